//! The stochastic sampler of the transport code.

use candle_core::Tensor;

use super::super::kinds::Parameter;
use super::super::path::{Diffusion, Path};
use super::{Solver, SolverKind, Walk};
use crate::Result;

pub(super) const KIND: SolverKind = SolverKind {
    name: "sde",
    about: "goes towards data with fresh noise in every step; the last part of the grid is a step without noise",
    parameters: &[
        Parameter::choice("method", "how a step is made", &["euler", "heun"]),
        Parameter::choice("form", "how much noise is added at which time", Diffusion::NAMES),
        Parameter::number("norm", "the strength of the noise", 1.0, 0.0, 100.0),
        Parameter::choice("last_step", "how the last step is made", &["mean", "tweedie", "euler", "none"]),
    ],
    build: |settings| {
        Box::new(Sde {
            heun: settings.word("method") == "heun",
            diffusion: Diffusion::named(settings.word("form")).unwrap_or_default(),
            norm: settings.number("norm"),
            last_step: match settings.word("last_step") {
                "tweedie" => LastStep::Tweedie,
                "euler" => LastStep::Euler,
                "none" => LastStep::None,
                _ => LastStep::Mean,
            },
        })
    },
};

/// What is done along the last part of the grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastStep {
    /// A step without its noise.
    #[default]
    Mean,
    /// The data that the score expects.
    Tweedie,
    /// A step along the velocity.
    Euler,
    /// A step like the others.
    None,
}

/// `dx = (velocity + w score) dt + sqrt(2 w) dW` on the linear path.
///
/// Source: `sde` of Lumina-T2X `lumina_next_t2i/transport/integrators.py` and `Sampler.sample_sde`. There the grid is
/// uniform up to `1 - last_step_size`; here it is what it is, and its last part has that size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sde {
    /// Heun's method in place of Euler's: two velocities a step.
    pub heun: bool,
    /// How much noise is added at which time.
    pub diffusion: Diffusion,
    /// The strength of the noise.
    pub norm: f64,
    /// How the last step is made.
    pub last_step: LastStep,
}

impl Sde {
    fn strength(&self, time: f64) -> Result<f64> {
        self.diffusion.at(Path::Linear, self.norm, time)
    }

    /// The velocity and what the noise needs to keep the path.
    fn drift(&self, walk: &mut Walk<'_>, latent: &Tensor, time: f64) -> Result<Tensor> {
        let velocity = walk.velocity(latent, time)?;
        let score = Path::Linear.score(&velocity, latent, time)?;
        Ok((velocity + (score * self.strength(time)?)?)?)
    }

    fn last(&self, walk: &mut Walk<'_>, latent: &Tensor, time: f64, length: f64) -> Result<Tensor> {
        match self.last_step {
            LastStep::Euler => Ok((latent + (walk.velocity(latent, time)? * length)?)?),
            LastStep::Tweedie => {
                let velocity = walk.velocity(latent, time)?;
                let score = Path::Linear.score(&velocity, latent, time)?;
                let at = Path::Linear.at(time);
                Ok(((latent / at.alpha)? + (score * (at.sigma * at.sigma / at.alpha))?)?)
            }
            _ => Ok((latent + (self.drift(walk, latent, time)? * length)?)?),
        }
    }
}

impl Solver for Sde {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        walk.full_precision("sde")?;
        let steps = walk.times().len() - 1;
        walk.each_span(|walk, latent, span| {
            if span.index + 1 == steps && self.last_step != LastStep::None {
                return self.last(walk, latent, span.start, span.length);
            }
            let noise = (walk.noise()? * (2.0 * self.strength(span.start)? * span.length).sqrt())?;
            if !self.heun {
                let drift = self.drift(walk, latent, span.start)?;
                return Ok(((latent + (drift * span.length)?)? + noise)?);
            }
            let moved = (latent + noise)?;
            let first = self.drift(walk, &moved, span.start)?;
            let second = self.drift(walk, &(&moved + (&first * span.length)?)?, span.end)?;
            Ok((moved + ((first + second)? * (0.5 * span.length))?)?)
        })
    }
}
