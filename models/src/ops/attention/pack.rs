//! Keys, values and queries in the order in which the inner loops read them.

use super::view::{Heads, Number};

/// Keys and values of a head, without those that are not seen, `ROWS` of them side by side.
pub(super) struct Packed<const ROWS: usize> {
    /// `[panel of ROWS keys][head_dim]`: one channel of each key of the panel.
    pub(super) keys: Vec<[f32; ROWS]>,
    /// `[panel of ROWS channels][key, padded]`: the channels of the panel of one value.
    pub(super) values: Vec<[f32; ROWS]>,
    /// How many keys there are.
    pub(super) count: usize,
    pub(super) head_dim: usize,
}

impl<const ROWS: usize> Packed<ROWS> {
    /// The rows `seen` of head `head` of batch row `batch`.
    pub(super) fn new<T: Number>(
        (keys, values): (&Heads<'_, T>, &Heads<'_, T>),
        (batch, head): (usize, usize),
        seen: &[u32],
    ) -> Self {
        let head_dim = keys.head_dim();
        let panels = seen.len().div_ceil(ROWS);
        let mut packed = Self {
            keys: vec![[0.0; ROWS]; panels * head_dim],
            values: vec![[0.0; ROWS]; head_dim.div_ceil(ROWS) * panels * ROWS],
            count: seen.len(),
            head_dim,
        };
        let panels = packed.keys.chunks_exact_mut(head_dim.max(1)).zip(seen.chunks(ROWS));
        for (panel, rows) in panels {
            for (column, &row) in rows.iter().enumerate() {
                let key = keys.row(batch, head, row as usize);
                for (place, number) in panel.iter_mut().zip(key) {
                    place[column] = number.wide();
                }
            }
        }
        let padded = packed.padded();
        for (panel, places) in packed.values.chunks_exact_mut(padded.max(1)).enumerate() {
            for (place, &row) in places.iter_mut().zip(seen) {
                let value = values.row(batch, head, row as usize);
                let channels = value.get(panel * ROWS..).unwrap_or_default();
                for (place, number) in place.iter_mut().zip(channels) {
                    *place = number.wide();
                }
            }
        }
        packed
    }

    /// The number of keys, filled up to whole panels.
    pub(super) fn padded(&self) -> usize {
        self.count.next_multiple_of(ROWS)
    }
    /// Bytes that `keys` keys and as many values take.
    pub(super) fn bytes(keys: usize, head_dim: usize) -> usize {
        keys.next_multiple_of(ROWS) * (head_dim + head_dim.next_multiple_of(ROWS)) * size_of::<f32>()
    }
}
