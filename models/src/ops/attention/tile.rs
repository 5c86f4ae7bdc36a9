//! The inner loops of attention: some queries against all keys of a head.
//!
//! Numbers of several queries lie side by side (`LANES` of them), so that the softmax over the keys is arithmetic on whole
//! vectors. Both products have the form "a few numbers, each times a vector, added up"; their sums, `ROWS` vectors of
//! `LANES`, fill the registers of the processor.

use super::pack::Packed;
use crate::ops::Processor;
use crate::ops::exponential::{exponential, multiply_add};

/// Keys that are looked at together: their scores stay in the first cache.
pub(super) const BLOCK: usize = 96;

/// Products that are added to one running sum.
const CHAIN: usize = 32;

/// One number of each query of a tile.
type Lanes<const LANES: usize> = [f32; LANES];

/// Working space of one thread.
pub(super) struct Tile<const LANES: usize> {
    /// The queries, `[head_dim]`.
    pub(super) queries: Vec<Lanes<LANES>>,
    /// The result before the division by [`Tile::sums`], `[head_dim]`.
    pub(super) output: Vec<Lanes<LANES>>,
    /// The sum of the weights of each query.
    pub(super) sums: Lanes<LANES>,
    /// Scores and then weights of a block, `[BLOCK]`.
    scores: Vec<Lanes<LANES>>,
}

impl<const LANES: usize> Tile<LANES> {
    pub(super) fn new(head_dim: usize) -> Self {
        let rows = |count| vec![[0.0; LANES]; count];
        Self { queries: rows(head_dim), output: rows(head_dim), sums: [0.0; LANES], scores: rows(BLOCK) }
    }

    /// Reads all keys and values, with the instructions of `processor`.
    pub(super) fn attend<const ROWS: usize>(
        &mut self,
        processor: Processor,
        packed: &Packed<ROWS>,
        scale: f32,
    ) {
        match processor {
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "a function with other instructions than the rest of the program")]
            // SAFETY: `Processor::Avx512` and `Avx2` are only made where the machine has these instructions.
            Processor::Avx512 => unsafe { self.attend_avx512(packed, scale) },
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "a function with other instructions than the rest of the program")]
            // SAFETY: as above.
            Processor::Avx2 => unsafe { self.attend_avx2(packed, scale) },
            _ => self.attend_with::<ROWS, { cfg!(target_arch = "aarch64") }>(packed, scale),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
    fn attend_avx512<const ROWS: usize>(&mut self, packed: &Packed<ROWS>, scale: f32) {
        self.attend_with::<ROWS, true>(packed, scale);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn attend_avx2<const ROWS: usize>(&mut self, packed: &Packed<ROWS>, scale: f32) {
        self.attend_with::<ROWS, true>(packed, scale);
    }

    /// Online softmax (Milakov and Gimelshein, arXiv 1805.02867): the sums so far are scaled down whenever a block brings
    /// a larger score.
    #[inline(always)]
    fn attend_with<const ROWS: usize, const FUSED: bool>(&mut self, packed: &Packed<ROWS>, scale: f32) {
        let mut highest = [f32::NEG_INFINITY; LANES];
        self.sums = [0.0; LANES];
        self.output.fill([0.0; LANES]);
        for start in (0..packed.count).step_by(BLOCK) {
            let count = BLOCK.min(packed.count - start);
            let panels = packed.keys.chunks_exact(packed.head_dim).skip(start / ROWS);
            for (scores, panel) in self.scores.as_chunks_mut::<ROWS>().0.iter_mut().zip(panels) {
                *scores = product::<ROWS, ROWS, LANES, FUSED>([[0.0; LANES]; ROWS], panel, &self.queries);
            }
            let block = self.scores.get_mut(..count).unwrap_or_default();
            let before = highest;
            for scores in block.iter() {
                for (highest, &score) in highest.iter_mut().zip(scores) {
                    *highest = if score > *highest { score } else { *highest };
                }
            }
            if highest != before {
                let mut factor = [0.0; LANES];
                for lane in 0..LANES {
                    factor[lane] = exponential::<FUSED>((before[lane] - highest[lane]) * scale);
                    self.sums[lane] *= factor[lane];
                }
                for output in &mut self.output {
                    for lane in 0..LANES {
                        output[lane] *= factor[lane];
                    }
                }
            }
            let mut sums = self.sums;
            for weights in block.iter_mut() {
                for lane in 0..LANES {
                    let weight = exponential::<FUSED>((weights[lane] - highest[lane]) * scale);
                    weights[lane] = weight;
                    sums[lane] += weight;
                }
            }
            self.sums = sums;
            let values = packed.values.chunks_exact(packed.padded());
            for (output, panel) in self.output.chunks_mut(ROWS).zip(values) {
                add_values::<ROWS, LANES, FUSED>(output, panel.get(start..).unwrap_or_default(), block);
            }
        }
    }
}

/// Adds `values` times `weights` to a panel of the output, which may have fewer rows than others.
#[inline(always)]
fn add_values<const ROWS: usize, const LANES: usize, const FUSED: bool>(
    output: &mut [Lanes<LANES>],
    values: &[[f32; ROWS]],
    weights: &[Lanes<LANES>],
) {
    macro_rules! rows {
        ($($count:literal)*) => {
            match output.len() {
                $($count => for output in output.as_chunks_mut::<$count>().0 {
                    *output = product::<$count, ROWS, LANES, FUSED>(*output, values, weights);
                },)*
                _ => {}
            }
        };
    }
    rows!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// Adds to each row `r` of `sums` the product of column `r` of `factors` with `vectors`. Rows are at most as many as
/// columns.
///
/// Long sums are made of sums of [`CHAIN`] products, which rounds less than one running sum.
#[inline(always)]
fn product<const COUNT: usize, const ROWS: usize, const LANES: usize, const FUSED: bool>(
    mut sums: [Lanes<LANES>; COUNT],
    factors: &[[f32; ROWS]],
    vectors: &[Lanes<LANES>],
) -> [Lanes<LANES>; COUNT] {
    for (factors, vectors) in factors.chunks(CHAIN).zip(vectors.chunks(CHAIN)) {
        let mut part = [[0.0; LANES]; COUNT];
        for (factors, vector) in factors.iter().zip(vectors) {
            for (sums, &factor) in part.iter_mut().zip(factors) {
                for (sum, &number) in sums.iter_mut().zip(vector) {
                    *sum = multiply_add::<FUSED>(factor, number, *sum);
                }
            }
        }
        for (sums, part) in sums.iter_mut().zip(&part) {
            for (sum, part) in sums.iter_mut().zip(part) {
                *sum += part;
            }
        }
    }
    sums
}
