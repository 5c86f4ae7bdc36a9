//! Scaled dot-product attention with grouped heads and bounded memory.

use candle_core::{DType, Device, Tensor};

use crate::ops::{SeenKeys, blocked_attention, blocked_attention_bytes};
use crate::{ModelError, Result};

/// Largest number of attention scores held at once: 2^25 are 128 MiB in f32.
const MAX_SCORES: usize = 1 << 25;

/// A score far below every real one that is still a number: minus infinity would make a row without keys NaN.
const MASKED: f32 = -1e30;

/// Which keys each query may see.
#[derive(Clone, Debug)]
pub struct AttentionMask {
    /// `[batch, 1, 1, keys]` or `[batch, 1, queries, keys]`: 0 where a key is seen, [`MASKED`] where not.
    bias: Tensor,
    /// `[batch, 1, 1 or queries, 1]`: 0 for queries that see nothing, else 1. Absent when all see something.
    seeing: Option<Tensor>,
}

impl AttentionMask {
    /// The same keys for all queries of a batch row: `keys[row][key]` is not 0 where the key is seen.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the rows have different lengths.
    pub fn keys(keys: &[Vec<u32>], device: &Device) -> Result<Self> {
        let length = row_length(keys)?;
        let seen: Vec<bool> = keys.iter().flatten().map(|&key| key != 0).collect();
        Self::build(&seen, (keys.len(), 1, length), device)
    }

    /// As [`keys`](Self::keys), and no query sees a key behind itself.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the rows have different lengths.
    pub fn causal(keys: &[Vec<u32>], device: &Device) -> Result<Self> {
        Self::causal_window(keys, usize::MAX, device)
    }

    /// As [`causal`](Self::causal), and a query sees no more than itself and the `window - 1` keys before it. The window
    /// counts places in the row, whether they are seen or not.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the rows have different lengths.
    pub fn causal_window(keys: &[Vec<u32>], window: usize, device: &Device) -> Result<Self> {
        let length = row_length(keys)?;
        let seen: Vec<bool> = keys
            .iter()
            .flat_map(|row| {
                (0..length).flat_map(move |query| {
                    row.iter().enumerate().map(move |(k, &key)| key != 0 && k <= query && query - k < window)
                })
            })
            .collect();
        Self::build(&seen, (keys.len(), length, length), device)
    }

    fn build(seen: &[bool], (batch, queries, keys): (usize, usize, usize), device: &Device) -> Result<Self> {
        let bias: Vec<f32> = seen.iter().map(|&seen| if seen { 0.0 } else { MASKED }).collect();
        let bias = Tensor::from_vec(bias, (batch, 1, queries, keys), device)?;
        let rows: Vec<bool> = seen.chunks(keys.max(1)).map(|row| row.contains(&true)).collect();
        let seeing = if rows.contains(&false) {
            let rows: Vec<f32> = rows.iter().map(|&sees| f32::from(u8::from(sees))).collect();
            Some(Tensor::from_vec(rows, (batch, 1, queries, 1), device)?)
        } else {
            None
        };
        Ok(Self { bias, seeing })
    }

    /// The batch rows `start..start + count` alone.
    pub(crate) fn rows(&self, start: usize, count: usize) -> Result<Self> {
        let seeing = self.seeing.as_ref().map(|seeing| seeing.narrow(0, start, count)).transpose()?;
        Ok(Self { bias: self.bias.narrow(0, start, count)?, seeing })
    }

    /// The batch rows `rows` alone, in this order.
    pub(crate) fn select(&self, rows: &Tensor) -> Result<Self> {
        let seeing = self.seeing.as_ref().map(|seeing| seeing.index_select(rows, 0)).transpose()?;
        Ok(Self { bias: self.bias.index_select(rows, 0)?, seeing })
    }

    /// The keys that are seen, where these are the same for all queries of a batch row.
    fn seen_keys(&self) -> Result<Option<SeenKeys>> {
        let (batch, _, queries, keys) = self.bias.dims4()?;
        if queries != 1 {
            return Ok(None);
        }
        let rows = self.bias.reshape((batch, keys))?.to_vec2::<f32>()?;
        let seen =
            |row: Vec<f32>| (0..).zip(row).filter(|(_, bias)| *bias == 0.0).map(|(key, _)| key).collect();
        Ok(Some(rows.into_iter().map(seen).collect()))
    }

    /// The part for queries `start..start + length`, with an axis for the query heads that share a key head.
    fn part(tensor: &Tensor, start: usize, length: usize) -> Result<Tensor> {
        let rows = if tensor.dim(2)? == 1 { tensor.clone() } else { tensor.narrow(2, start, length)? };
        Ok(rows.unsqueeze(2)?)
    }
}

fn row_length(rows: &[Vec<u32>]) -> Result<usize> {
    let length = rows.first().map_or(0, Vec::len);
    match rows.iter().find(|row| row.len() != length) {
        None => Ok(length),
        Some(row) => {
            Err(ModelError::input("a row of the mask", format!("{length} entries"), row.len().to_string()))
        }
    }
}

/// What happens to the products of queries and keys before the softmax, in this order.
#[derive(Clone, Copy, Debug)]
pub struct Scores<'a> {
    /// They are multiplied with this.
    pub scale: f64,
    /// Squeezed between plus and minus this number: `cap tanh(score / cap)` (Gemma 2).
    pub soft_cap: Option<f64>,
    /// Added, in f32 and of shape `[1, heads, queries, keys]`: a number for each head and distance (T5).
    pub bias: Option<&'a Tensor>,
    /// Scores that do not count.
    pub mask: Option<&'a AttentionMask>,
}

impl Scores<'_> {
    /// They are multiplied with `scale`, and nothing else.
    pub fn scaled(scale: f64) -> Self {
        Self { scale, soft_cap: None, bias: None, mask: None }
    }
}

/// `softmax(scale * q k^T + mask) v`, the softmax in f32.
///
/// With fewer key heads than query heads, query head `h` reads key head `h / (heads / key_heads)`. A query that sees
/// no key gives zero. On the CPU no scores are kept (see [`ops`](crate::ops)); elsewhere, and with rules that do not allow
/// it, queries are taken in pieces. Either way memory stays bounded however long the sequence is.
///
/// # Shapes
/// `query` is `[batch, heads, queries, head_dim]`, `key` and `value` are `[batch, key_heads, keys, head_dim]`; the
/// result has the shape of `query`.
///
/// # Errors
/// [`ModelError::Input`] when the number of heads is not a multiple of the number of key heads.
pub fn attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    scale: f64,
    mask: Option<&AttentionMask>,
) -> Result<Tensor> {
    attention_with(query, key, value, &Scores { mask, ..Scores::scaled(scale) })
}

/// As [`attention`], with all that can happen to the scores.
///
/// # Errors
/// As [`attention`]; [`ModelError::Candle`] when the bias does not fit.
pub fn attention_with(query: &Tensor, key: &Tensor, value: &Tensor, rules: &Scores<'_>) -> Result<Tensor> {
    let (heads, key_heads) = (query.dim(1)?, key.dim(1)?);
    if key_heads == 0 || heads % key_heads != 0 {
        let expected = format!("a multiple of the {key_heads} key heads");
        return Err(ModelError::input("the number of query heads", expected, heads.to_string()));
    }
    if AttentionShape::is_blocked(query.dtype(), query.device())
        && rules.soft_cap.is_none()
        && rules.bias.is_none()
    {
        let seen = rules.mask.map(AttentionMask::seen_keys).transpose()?;
        if !matches!(seen, Some(None)) {
            return blocked_attention(query, key, value, rules.scale, seen.flatten());
        }
    }
    plain_attention(query, key, value, rules)
}

/// As [`attention_with`], out of operations of candle alone, which sum in the order of its matrix product.
///
/// # Errors
/// As [`attention_with`], but for the number of heads, which must fit.
pub fn plain_attention(query: &Tensor, key: &Tensor, value: &Tensor, rules: &Scores<'_>) -> Result<Tensor> {
    let mask = rules.mask;
    let (batch, heads, queries, head_dim) = query.dims4()?;
    let (_, key_heads, keys, _) = key.dims4()?;
    let shared = heads / key_heads;
    // The query heads of one key head are stacked as more queries, which spares copies of keys and values.
    let query = (query * rules.scale)?.reshape((batch, key_heads, shared, queries, head_dim))?;
    let key = key.contiguous()?.transpose(2, 3)?;
    let value = value.contiguous()?;
    let piece = (MAX_SCORES / (batch * heads * keys).max(1)).clamp(1, queries.max(1));
    let mut outputs = Vec::with_capacity(queries.div_ceil(piece));
    for start in (0..queries).step_by(piece) {
        let length = piece.min(queries - start);
        let stacked = query.narrow(3, start, length)?.contiguous()?.reshape((
            batch,
            key_heads,
            shared * length,
            head_dim,
        ))?;
        let mut scores = stacked.matmul(&key)?.to_dtype(DType::F32)?;
        if let Some(cap) = rules.soft_cap {
            // One step at a time, so that no more than two are held.
            scores = (scores / cap)?;
            scores = scores.tanh()?;
            scores = (scores * cap)?;
        }
        if let Some(bias) = rules.bias {
            let bias = bias.narrow(2, start, length)?.contiguous()?.reshape((
                1,
                key_heads,
                shared * length,
                keys,
            ))?;
            scores = scores.broadcast_add(&bias)?;
        }
        if let Some(mask) = mask {
            let bias = AttentionMask::part(&mask.bias, start, length)?;
            scores = scores.reshape((batch, key_heads, shared, length, keys))?.broadcast_add(&bias)?;
        }
        let scores = scores.reshape((batch, key_heads, shared * length, keys))?;
        let weights = candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(value.dtype())?;
        let mut output = weights.matmul(&value)?.reshape((batch, key_heads, shared, length, head_dim))?;
        if let Some(seeing) = mask.and_then(|mask| mask.seeing.as_ref()) {
            output = output
                .broadcast_mul(&AttentionMask::part(seeing, start, length)?.to_dtype(output.dtype())?)?;
        }
        outputs.push(output);
    }
    let output = if outputs.len() == 1 { outputs.remove(0) } else { Tensor::cat(&outputs, 3)? };
    Ok(output.reshape((batch, heads, queries, head_dim))?)
}

/// The sizes of one call of [`attention`].
#[derive(Clone, Copy, Debug)]
pub struct AttentionShape {
    /// Rows of the batch.
    pub batch: usize,
    /// Query heads.
    pub heads: usize,
    /// Queries of a row.
    pub queries: usize,
    /// Keys of a row.
    pub keys: usize,
    /// Channels of a head.
    pub head_dim: usize,
}

impl AttentionShape {
    /// Whether attention works in blocks. In f16 it does not: no processor computes in it faster than in f32, and nobody
    /// needs it there.
    fn is_blocked(dtype: DType, device: &Device) -> bool {
        device.is_cpu() && matches!(dtype, DType::F32 | DType::BF16)
    }

    /// Bytes that [`attention`] takes on `device` beside its arguments.
    pub fn bytes(&self, dtype: DType, device: &Device) -> u64 {
        if !Self::is_blocked(dtype, device) {
            return self.plain_bytes(dtype);
        }
        let states = self.batch * self.heads * self.queries * self.head_dim * dtype.size_in_bytes();
        let AttentionShape { batch, heads, queries, keys, head_dim } = *self;
        states as u64 + blocked_attention_bytes(batch * heads, queries, keys, head_dim)
    }

    /// Bytes that [`plain_attention`] takes beside its arguments: the scaled queries, scores and weights of one piece of
    /// the queries, and the result.
    pub fn plain_bytes(&self, dtype: DType) -> u64 {
        let rows = self.batch * self.heads;
        let piece = (MAX_SCORES / (rows * self.keys).max(1)).clamp(1, self.queries.max(1));
        let scores = (rows * piece * self.keys) as u64;
        let states = (rows * self.queries * self.head_dim * dtype.size_in_bytes()) as u64;
        // Scores and weights side by side in f32; in a narrower format once more in that.
        let narrow = if dtype == DType::F32 { 0 } else { dtype.size_in_bytes() as u64 };
        // In several pieces, these are joined in the end.
        let joined = if piece < self.queries { states } else { 0 };
        (scores * (8 + narrow)).max(joined) + 2 * states
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(shape: &[usize], step: f32) -> Tensor {
        let count = shape.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|i| (i as f32 * step).sin()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_query_without_keys_gives_zero() {
        let (q, k) = (wave(&[1, 2, 3, 4], 0.3), wave(&[1, 2, 3, 4], 0.7));
        let mask = AttentionMask::keys(&[vec![0, 0, 0]], &Device::Cpu).unwrap();
        let output = attention(&q, &k, &k, 0.5, Some(&mask)).unwrap().flatten_all().unwrap();
        assert!(output.to_vec1::<f32>().unwrap().iter().all(|&v| v == 0.0));
    }

    #[test]
    fn masked_keys_do_not_count() {
        let (q, k) = (wave(&[1, 2, 3, 4], 0.3), wave(&[1, 2, 5, 4], 0.7));
        let mask = AttentionMask::keys(&[vec![1, 1, 0, 0, 0]], &Device::Cpu).unwrap();
        let masked = attention(&q, &k, &k, 0.5, Some(&mask)).unwrap();
        let short = k.narrow(2, 0, 2).unwrap();
        let cut = attention(&q, &short, &short, 0.5, None).unwrap();
        let difference =
            (masked - cut).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(difference < 1e-6, "{difference}");
    }

    #[test]
    fn query_heads_read_their_key_head_in_blocks() {
        let (q, k) = (wave(&[1, 4, 3, 2], 0.3), wave(&[1, 2, 5, 2], 0.7));
        let grouped = attention(&q, &k, &k, 0.7, None).unwrap();
        let index = Tensor::new(&[0_u32, 0, 1, 1], &Device::Cpu).unwrap();
        let repeated = k.index_select(&index, 1).unwrap();
        let plain = attention(&q, &repeated, &repeated, 0.7, None).unwrap();
        let difference =
            (grouped - plain).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(difference < 1e-6, "{difference}");
    }

    #[test]
    fn a_causal_mask_hides_what_comes_later() {
        let (q, k) = (wave(&[1, 1, 3, 2], 0.3), wave(&[1, 1, 3, 2], 0.7));
        let mask = AttentionMask::causal(&[vec![1, 1, 1]], &Device::Cpu).unwrap();
        let first = attention(&q, &k, &k, 1.0, Some(&mask)).unwrap().narrow(2, 0, 1).unwrap();
        let difference = (first - k.narrow(2, 0, 1).unwrap()).unwrap().abs().unwrap();
        assert!(difference.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-6);
    }

    #[test]
    fn a_window_hides_what_came_long_ago() {
        let (q, k) = (wave(&[1, 1, 4, 2], 0.3), wave(&[1, 1, 4, 2], 0.7));
        let rows = [vec![1, 1, 1, 1]];
        let mask = AttentionMask::causal_window(&rows, 2, &Device::Cpu).unwrap();
        let last = attention(&q, &k, &k, 1.0, Some(&mask)).unwrap().narrow(2, 3, 1).unwrap();
        let seen = k.narrow(2, 2, 2).unwrap();
        let alone = attention(&q.narrow(2, 3, 1).unwrap(), &seen, &seen, 1.0, None).unwrap();
        let difference = (last - alone).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-6);
    }

    #[test]
    fn a_soft_cap_and_a_bias_act_on_the_scores_in_this_order() {
        // One channel of value 1: the output is the weight of the second key.
        let one = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap().reshape((1, 1, (), 1)).unwrap();
        let (query, key, value) = (one(&[1.0]), one(&[0.0, 6.0]), one(&[0.0, 1.0]));
        let bias = Tensor::new(&[1.0_f32, 0.0], &Device::Cpu).unwrap().reshape((1, 1, 1, 2)).unwrap();
        let rules = Scores { scale: 0.5, soft_cap: Some(2.0), bias: Some(&bias), mask: None };
        let output = attention_with(&query, &key, &value, &rules).unwrap().flatten_all().unwrap();
        let score = 2.0 * 1.5_f32.tanh() - 1.0;
        let expected = 1.0 / (1.0 + (-score).exp());
        assert!((output.to_vec1::<f32>().unwrap()[0] - expected).abs() < 1e-6);
    }
}
