//! Tensors of heads as they lie in memory.

use candle_core::{CpuStorage, Layout, WithDType};
use half::bf16;

/// A number format that attention reads and writes.
pub(super) trait Number: WithDType {
    fn wide(self) -> f32;
    fn narrow(wide: f32) -> Self;
}

impl Number for f32 {
    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }

    #[inline(always)]
    fn narrow(wide: f32) -> Self {
        wide
    }
}

impl Number for bf16 {
    #[inline(always)]
    fn wide(self) -> f32 {
        self.to_f32()
    }

    #[inline(always)]
    fn narrow(wide: f32) -> Self {
        Self::from_f32(wide)
    }
}

/// A tensor `[batch, heads, tokens, head_dim]` whose channels lie side by side; the rest may be in any order.
#[derive(Clone, Copy)]
pub(super) struct Heads<'a, T> {
    numbers: &'a [T],
    dims: [usize; 4],
    strides: [usize; 4],
}

impl<'a, T: Number> Heads<'a, T> {
    pub(super) fn new(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<Self> {
        let numbers = storage.as_slice::<T>()?;
        let (&[batch, heads, tokens, head_dim], &[by_batch, by_head, by_token, by_channel]) =
            (layout.dims(), layout.stride())
        else {
            candle_core::bail!("attention needs tensors of four dimensions")
        };
        if by_channel != 1 && head_dim > 1 {
            candle_core::bail!("attention needs channels side by side")
        }
        Ok(Self {
            numbers: numbers.get(layout.start_offset()..).unwrap_or_default(),
            dims: [batch, heads, tokens, head_dim],
            strides: [by_batch, by_head, by_token, by_channel],
        })
    }

    pub(super) fn batch(&self) -> usize {
        self.dims[0]
    }

    pub(super) fn heads(&self) -> usize {
        self.dims[1]
    }

    pub(super) fn tokens(&self) -> usize {
        self.dims[2]
    }

    pub(super) fn head_dim(&self) -> usize {
        self.dims[3]
    }

    /// The channels of one token.
    #[inline(always)]
    pub(super) fn row(&self, batch: usize, head: usize, token: usize) -> &'a [T] {
        let start = batch * self.strides[0] + head * self.strides[1] + token * self.strides[2];
        self.numbers.get(start..start + self.dims[3]).unwrap_or_default()
    }
}
