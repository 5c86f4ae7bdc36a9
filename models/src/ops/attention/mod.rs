//! Attention in blocks of queries and keys: scores never leave the first cache, and memory grows with the number of
//! tokens, not with its square.
//!
//! The idea is that of FlashAttention (Dao et al., arXiv 2205.14135), laid out for a processor with vector instructions.

mod pack;
mod tile;
mod view;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Shape, Tensor};
use half::bf16;
use rayon::prelude::*;

use self::pack::Packed;
use self::tile::Tile;
use self::view::{Heads, Number};
use super::Processor;
use crate::Result;

/// The keys that the queries of each batch row see, in rising order. One row stands for all.
pub(crate) type SeenKeys = Vec<Vec<u32>>;

/// Tiles that a thread gets at least: with fewer, more heads are packed at once.
const TILES_PER_THREAD: usize = 8;

/// `softmax(scale * q k^T) v` on the CPU, computed in f32, over the keys that are seen. Queries that see none give zero.
///
/// # Shapes
/// As [`attention`](crate::nn::attention). The channels of a token should lie side by side; other dimensions may be in any
/// order, no copy is made of them.
///
/// # Errors
/// [`crate::ModelError::Candle`] for tensors that are not on the CPU or do not fit.
pub(crate) fn blocked_attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    scale: f64,
    seen: Option<SeenKeys>,
) -> Result<Tensor> {
    let straight = |tensor: &Tensor| match tensor.stride() {
        [.., 1] => Ok(tensor.clone()),
        _ => tensor.contiguous(),
    };
    let call = Blocked { processor: Processor::detect(), scale: scale as f32, seen };
    Ok(straight(query)?.apply_op3_no_bwd(&straight(key)?, &straight(value)?, &call)?)
}

/// Bytes that [`blocked_attention`] takes beside its arguments and its result: keys and values in the order of the inner
/// loops, of as many heads as are worked on at once.
pub(crate) fn blocked_attention_bytes(heads: usize, queries: usize, keys: usize, head_dim: usize) -> u64 {
    let at_once = heads_at_once(queries.div_ceil(LANES_AVX512)).min(heads);
    (at_once * Packed::<ROWS_AVX512>::bytes(keys, head_dim)) as u64
}

/// The sizes of a tile with AVX-512: 24 of the 32 registers hold sums.
const ROWS_AVX512: usize = 12;
const LANES_AVX512: usize = 32;

/// One call.
struct Blocked {
    processor: Processor,
    scale: f32,
    seen: Option<SeenKeys>,
}

impl CustomOp3 for Blocked {
    fn name(&self) -> &'static str {
        "blocked-attention"
    }

    fn cpu_fwd(
        &self,
        query: &CpuStorage,
        query_layout: &Layout,
        key: &CpuStorage,
        key_layout: &Layout,
        value: &CpuStorage,
        value_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let shape = query_layout.shape().clone();
        macro_rules! call {
            ($ty:ty) => {{
                let heads = [
                    Heads::<$ty>::new(query, query_layout)?,
                    Heads::new(key, key_layout)?,
                    Heads::new(value, value_layout)?,
                ];
                <$ty as candle_core::WithDType>::to_cpu_storage_owned(self.compute(&heads)?)
            }};
        }
        let output = match query.dtype() {
            DType::F32 => call!(f32),
            DType::BF16 => call!(bf16),
            other => candle_core::bail!("attention does not read {other:?}"),
        };
        Ok((output, shape))
    }
}

impl Blocked {
    fn compute<T: Number>(&self, heads: &[Heads<'_, T>; 3]) -> candle_core::Result<Vec<T>> {
        match self.processor {
            Processor::Avx512 => self.compute_with::<T, ROWS_AVX512, LANES_AVX512>(heads),
            Processor::Avx2 => self.compute_with::<T, 6, 16>(heads),
            Processor::Plain => self.compute_with::<T, 4, 8>(heads),
        }
    }

    fn compute_with<T: Number, const ROWS: usize, const LANES: usize>(
        &self,
        [query, key, value]: &[Heads<'_, T>; 3],
    ) -> candle_core::Result<Vec<T>> {
        let (batch, key_heads, head_dim) = (query.batch(), key.heads(), query.head_dim());
        let fits = |heads: &Heads<'_, T>| {
            (heads.batch(), heads.heads(), heads.tokens(), heads.head_dim())
                == (batch, key_heads, key.tokens(), head_dim)
        };
        if !fits(key) || !fits(value) || key_heads == 0 || !query.heads().is_multiple_of(key_heads) {
            candle_core::bail!("queries, keys and values of attention do not fit each other")
        }
        let shared = query.heads() / key_heads;
        let size = query.tokens() * head_dim;
        let mut output = vec![T::zero(); batch * query.heads() * size];
        if output.is_empty() {
            return Ok(output);
        }
        let all: Vec<u32> = (0..u32::try_from(key.tokens())?).collect();
        let seen = |row: usize| match &self.seen {
            Some(rows) => rows.get(row % rows.len().max(1)).map_or(&[][..], Vec::as_slice),
            None => all.as_slice(),
        };
        let tiles = shared * query.tokens().div_ceil(LANES);
        let at_once = heads_at_once(tiles);
        for (group, output) in output.chunks_mut(at_once * shared * size).enumerate() {
            let first = group * at_once;
            output.par_chunks_mut(shared * size).enumerate().for_each(|(index, output)| {
                let (row, head) = ((first + index) / key_heads, (first + index) % key_heads);
                let packed = Packed::<ROWS>::new((key, value), (row, head), seen(row));
                if packed.count == 0 {
                    return;
                }
                output.par_chunks_mut(size).enumerate().for_each(|(index, output)| {
                    let head = head * shared + index;
                    let tiles = output.par_chunks_mut(LANES * head_dim).enumerate();
                    tiles.for_each_init(
                        || Tile::<LANES>::new(head_dim),
                        |tile, (index, output)| {
                            self.load(tile, query, (row, head, index * LANES), output.len() / head_dim);
                            tile.attend(self.processor, &packed, self.scale);
                            store(tile, output, head_dim);
                        },
                    );
                });
            });
        }
        Ok(output)
    }

    /// Puts queries side by side.
    fn load<T: Number, const LANES: usize>(
        &self,
        tile: &mut Tile<LANES>,
        query: &Heads<'_, T>,
        (row, head, first): (usize, usize, usize),
        count: usize,
    ) {
        if count < LANES {
            tile.queries.fill([0.0; LANES]);
        }
        for lane in 0..count.min(LANES) {
            let numbers = query.row(row, head, first + lane);
            for (place, number) in tile.queries.iter_mut().zip(numbers) {
                place[lane] = number.wide();
            }
        }
    }
}

/// How many heads are packed at once, so that all threads have something to do.
fn heads_at_once(tiles: usize) -> usize {
    (rayon::current_num_threads() * TILES_PER_THREAD).div_ceil(tiles.max(1))
}

/// Takes the results of the queries apart.
fn store<T: Number, const LANES: usize>(tile: &Tile<LANES>, output: &mut [T], head_dim: usize) {
    for ((lane, output), sum) in output.chunks_exact_mut(head_dim).enumerate().zip(tile.sums) {
        for (place, numbers) in output.iter_mut().zip(&tile.output) {
            *place = T::narrow(numbers.get(lane).copied().unwrap_or_default() / sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;
    use crate::nn::{AttentionMask, Scores, plain_attention};
    use crate::noise::Generator;

    fn normal(seed: u64, shape: &[usize], dtype: DType) -> Tensor {
        Generator::Philox.normal(seed, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    }

    fn largest(tensor: &Tensor) -> f32 {
        let wide = tensor.to_dtype(DType::F32).unwrap().abs().unwrap().flatten_all().unwrap();
        wide.max(0).unwrap().to_scalar().unwrap()
    }

    /// The difference to attention out of operations of candle, on every set of instructions.
    fn differences(
        [query, key, value]: [&Tensor; 3],
        scale: f64,
        seen: Option<&[Vec<u32>]>,
    ) -> Vec<(Processor, f32)> {
        let mask = seen.map(|rows| {
            let flags =
                |row: &Vec<u32>| (0..key.dim(2).unwrap() as u32).map(|k| row.contains(&k).into()).collect();
            AttentionMask::keys(&rows.iter().map(flags).collect::<Vec<Vec<u32>>>(), &Device::Cpu).unwrap()
        });
        let rules = Scores { scale, soft_cap: None, bias: None, mask: mask.as_ref() };
        let expected = plain_attention(query, key, value, &rules).unwrap();
        let difference = |processor| {
            let call = Blocked { processor, scale: scale as f32, seen: seen.map(<[_]>::to_vec) };
            let found = query.apply_op3_no_bwd(key, value, &call).unwrap();
            assert_eq!((found.dims(), found.dtype()), (expected.dims(), expected.dtype()));
            (processor, largest(&(found - &expected).unwrap()))
        };
        Processor::available().into_iter().map(difference).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn it_is_attention_whatever_the_sizes(
            batch in 1..3_usize,
            key_heads in 1..3_usize,
            shared in 1..4_usize,
            queries in 1..80_usize,
            keys in 1..220_usize,
            head_dim in 1..80_usize,
            scale in 0.01..1.5_f64,
            cut in proptest::option::of(0..220_u32),
        ) {
            let query = normal(1, &[batch, key_heads * shared, queries, head_dim], DType::F32);
            let key = normal(2, &[batch, key_heads, keys, head_dim], DType::F32);
            let value = normal(3, &[batch, key_heads, keys, head_dim], DType::F32);
            // The first batch row sees a part of the keys, the others all.
            let all: Vec<u32> = (0..keys as u32).collect();
            let seen = cut.map(|cut| {
                let mut rows = vec![all.clone(); batch];
                rows[0].retain(|key| key % 3 != 1 && *key < cut);
                rows
            });
            // Scores are up to this large, and their rounding errors grow with them.
            let allowed = 1e-6 * (1.0 + scale * head_dim as f64) as f32;
            for (processor, difference) in differences([&query, &key, &value], scale, seen.as_deref()) {
                prop_assert!(difference < allowed, "{processor}: {difference}, allowed {allowed}");
            }
        }
    }

    #[test]
    fn bf16_is_rounded_once() {
        let [query, key, value] = [1, 2, 3].map(|seed| normal(seed, &[1, 2, 70, 24], DType::BF16));
        let wide = |tensor: &Tensor| tensor.to_dtype(DType::F32).unwrap();
        let exact = blocked_attention(&wide(&query), &wide(&key), &wide(&value), 0.2, None).unwrap();
        let found = blocked_attention(&query, &key, &value, 0.2, None).unwrap();
        assert_eq!(found.dtype(), DType::BF16);
        let difference = largest(&(wide(&found) - &exact).unwrap()) / largest(&exact);
        assert!(difference <= 1.0 / 256.0, "{difference}");
    }

    #[test]
    fn tokens_before_heads_are_read_where_they_lie() {
        let [query, key, value] =
            [1, 2, 3].map(|seed| normal(seed, &[2, 50, 3, 16], DType::F32).transpose(1, 2).unwrap());
        let straight = |tensor: &Tensor| tensor.contiguous().unwrap();
        let expected =
            blocked_attention(&straight(&query), &straight(&key), &straight(&value), 0.3, None).unwrap();
        let found = blocked_attention(&query, &key, &value, 0.3, None).unwrap();
        assert_eq!(largest(&(found - expected).unwrap()), 0.0);
    }

    #[test]
    fn large_scores_do_not_overflow_and_not_a_number_is_not_hidden() {
        let [query, key, value] = [1, 2, 3].map(|seed| normal(seed, &[1, 1, 40, 8], DType::F32));
        let sharp = blocked_attention(&(&query * 1e4).unwrap(), &key, &value, 1.0, None).unwrap();
        assert!(largest(&sharp) <= largest(&value));
        let broken = (&key * f64::NAN).unwrap();
        let output = blocked_attention(&query, &broken, &value, 1.0, None).unwrap().flatten_all().unwrap();
        assert!(output.to_vec1::<f32>().unwrap().iter().all(|number| number.is_nan()));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let tensor = |shape: &[usize]| normal(1, shape, DType::F32);
        let (query, key) = (tensor(&[1, 4, 3, 8]), tensor(&[1, 3, 5, 8]));
        assert!(blocked_attention(&query, &key, &key, 1.0, None).is_err());
        let (key, value) = (tensor(&[1, 2, 5, 8]), tensor(&[1, 2, 6, 8]));
        assert!(blocked_attention(&query, &key, &value, 1.0, None).is_err());
        let wide = key.to_dtype(DType::F64).unwrap();
        assert!(blocked_attention(&query.to_dtype(DType::F64).unwrap(), &wide, &wide, 1.0, None).is_err());
    }
}
