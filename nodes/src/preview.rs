//! What a latent on its way will look like, without decoding it.

use std::cell::RefCell;

use candle_core::Tensor;
use lumina_engine::{Call, Picture};
use lumina_models::vae::PreviewMap;

use crate::value::Space;

/// Shows the steps of a sampler that a run wants to see.
///
/// The velocity points from noise to data: `latent + (1 - time) * velocity` is where a straight line from here would
/// end, which looks like the picture long before the latent does.
pub(crate) struct Preview<'a> {
    call: &'a Call<'a>,
    map: PreviewMap,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Steps that are over.
    done: u64,
    /// Latent, time and velocity at the beginning of the step.
    first: Option<(Tensor, f64, Tensor)>,
}

impl<'a> Preview<'a> {
    pub(crate) fn new(call: &'a Call<'a>, space: &Space) -> Self {
        let map = space.preview.as_deref().cloned().unwrap_or_else(PreviewMap::first_channels);
        Self { call, map, state: RefCell::default() }
    }

    /// Takes note of a velocity, if it is the first of a step that is wanted.
    pub(crate) fn look(&self, latent: &Tensor, time: f64, velocity: &Tensor) {
        let mut state = self.state.borrow_mut();
        if state.first.is_none() && self.call.wants_preview(state.done + 1) {
            state.first = Some((latent.clone(), time, velocity.clone()));
        }
    }

    /// Shows a step that is over, if it is wanted.
    pub(crate) fn show(&self, step: u64) {
        let mut state = self.state.borrow_mut();
        state.done = step;
        let Some((latent, time, velocity)) = state.first.take() else { return };
        // A preview that cannot be made is no reason to stop.
        if let Ok((width, height, rgb)) = self.picture(&latent, time, &velocity) {
            self.call.preview(step, Picture { width, height, rgb });
        }
    }

    fn picture(
        &self,
        latent: &Tensor,
        time: f64,
        velocity: &Tensor,
    ) -> lumina_models::Result<(usize, usize, Vec<u8>)> {
        let clean = (latent + (velocity * (1.0 - time))?)?;
        self.map.picture(&clean)
    }
}
