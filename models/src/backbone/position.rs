//! Where a token stands: rotary phases of lines, grids and frames.

use candle_core::{Device, Tensor};

use super::RopeChange;
use crate::nn::rope::RotaryTable;
use crate::{ModelError, Result};

/// Cosine and sine of every frequency at one position.
type Phases = Vec<(f32, f32)>;

/// The rotary table of a grid of tokens, row by row.
///
/// Channel pair `2k` follows the row and pair `2k + 1` the column, both with frequency
/// `theta^(-4k / head_dim) / linear`, `theta = 10000 * ntk`; everything in f32 as the reference has it.
///
/// Source: `NextDiT.precompute_freqs_cis` of Lumina-T2X, `get_2d_rotary_pos_embed_lumina` of diffusers. The reference
/// builds a table of 384 x 384 positions; here there is no largest position.
///
/// # Shapes
/// Two tables `[rows * columns, head_dim / 2]`.
///
/// # Errors
/// [`ModelError::Input`] for factors that are not positive numbers.
pub fn grid_table(
    rows: usize,
    columns: usize,
    head_dim: usize,
    change: impl Into<RopeChange>,
    device: &Device,
) -> Result<RotaryTable> {
    let positions = phases(rows.max(columns), head_dim / 4, head_dim, change.into())?;
    let (mut cos, mut sin) = (Vec::new(), Vec::new());
    for row in positions.iter().take(rows) {
        for column in positions.iter().take(columns) {
            for (row, column) in row.iter().zip(column) {
                cos.extend([row.0, column.0]);
                sin.extend([row.1, column.1]);
            }
        }
    }
    table((cos, sin), rows * columns, head_dim / 4 * 2, device)
}

/// The rotary table of a grid of tokens in each of several frames, frame by frame.
///
/// Channel pair `3k` follows the frame, pair `3k + 1` the row and pair `3k + 2` the column, all with frequency
/// `theta^(-6k / head_dim)`. `change` is for rows and columns, as it is pictures that are larger than in the training.
///
/// Lumina-Next (arXiv 2406.18583) gives each axis a third of the channels but neither code nor the order of the pairs;
/// here they take turns as in the published grid. With one frame this is not [`grid_table`]: a third of the channels
/// stays unturned, and the frequencies of the others lie further apart.
///
/// # Shapes
/// Two tables `[frames * rows * columns, head_dim / 2]`.
///
/// # Errors
/// [`ModelError::Input`] for factors that are not positive numbers, and when 6 does not divide `head_dim`.
pub fn frames_table(
    (frames, rows, columns): (usize, usize, usize),
    head_dim: usize,
    change: impl Into<RopeChange>,
    device: &Device,
) -> Result<RotaryTable> {
    if !head_dim.is_multiple_of(6) {
        let expected = "a multiple of 6 (three axes of channel pairs)";
        return Err(ModelError::input("the channels of a head", expected, head_dim.to_string()));
    }
    let times = phases(frames, head_dim / 6, head_dim, RopeChange::default())?;
    let positions = phases(rows.max(columns), head_dim / 6, head_dim, change.into())?;
    let (mut cos, mut sin) = (Vec::new(), Vec::new());
    for frame in &times {
        for row in positions.iter().take(rows) {
            for column in positions.iter().take(columns) {
                for ((frame, row), column) in frame.iter().zip(row).zip(column) {
                    cos.extend([frame.0, row.0, column.0]);
                    sin.extend([frame.1, row.1, column.1]);
                }
            }
        }
    }
    table((cos, sin), frames * rows * columns, head_dim / 2, device)
}

/// The rotary table of tokens in one line: phases `position / linear * theta^(-2k / head_dim)`, `theta = 10000 * ntk`.
///
/// Source: `DiT_Llama.precompute_freqs_cis` of Lumina-T2X `lumina_t2i/models/model.py`. The reference builds a table of
/// 40000 positions; here there is no largest position.
///
/// # Shapes
/// Two tables `[tokens, head_dim / 2]`.
///
/// # Errors
/// [`ModelError::Input`] for factors that are not positive numbers.
pub fn line_table(
    tokens: usize,
    head_dim: usize,
    change: impl Into<RopeChange>,
    device: &Device,
) -> Result<RotaryTable> {
    let (frequencies, linear) = change.into().frequencies(head_dim / 2, head_dim)?;
    let phases = (0..tokens).flat_map(|token| {
        let position = token as f32 / linear;
        frequencies.iter().map(move |frequency| position * frequency)
    });
    RotaryTable::from_phases(phases, (tokens, head_dim / 2), device)
}

/// The phases of one axis at each of its first `length` positions. Sines are dear: a table only copies them.
fn phases(length: usize, count: usize, head_dim: usize, change: RopeChange) -> Result<Vec<Phases>> {
    let (mut frequencies, linear) = change.frequencies(count, head_dim)?;
    // Where positions have several axes, the reference divides the frequencies and not the positions.
    frequencies.iter_mut().for_each(|frequency| *frequency /= linear);
    let at = |position: usize| {
        let phase = |frequency: &f32| position as f32 * frequency;
        frequencies.iter().map(|frequency| (phase(frequency).cos(), phase(frequency).sin())).collect()
    };
    Ok((0..length).map(at).collect())
}

fn table(
    (cos, sin): (Vec<f32>, Vec<f32>),
    tokens: usize,
    channels: usize,
    device: &Device,
) -> Result<RotaryTable> {
    let tensor = |values: Vec<f32>| Tensor::from_vec(values, (tokens, channels), device);
    Ok(RotaryTable { cos: tensor(cos)?, sin: tensor(sin)? })
}

#[cfg(test)]
mod tests {
    use candle_core::DType;
    use proptest::prelude::*;

    use super::*;
    use crate::backbone::RopeFactors;
    use crate::nn::rope::rotate_pairs;

    const HEAD_DIM: usize = 12;

    fn values(tensor: &Tensor) -> Vec<Vec<f32>> {
        tensor.to_vec2().unwrap()
    }

    fn frames(sizes: (usize, usize, usize), change: RopeChange) -> RotaryTable {
        frames_table(sizes, HEAD_DIM, change, &Device::Cpu).unwrap()
    }

    /// The products of the same two vectors, turned, for every pair of tokens.
    fn products(table: &RotaryTable) -> Vec<Vec<f32>> {
        let tokens = table.cos.dims()[0];
        let vector = |seed: f32| {
            let values: Vec<f32> = (0..HEAD_DIM).map(|channel| (seed * channel as f32).sin()).collect();
            let vector = Tensor::from_vec(values, (1, 1, 1, HEAD_DIM), &Device::Cpu).unwrap();
            let all = vector.repeat((1, 1, tokens, 1)).unwrap();
            rotate_pairs(&all, table).unwrap().squeeze(0).unwrap().squeeze(0).unwrap()
        };
        values(&vector(0.7).matmul(&vector(1.3).t().unwrap()).unwrap())
    }

    #[test]
    fn every_form_of_change_makes_a_table_of_every_kind() {
        for change in [
            RopeFactors { linear: 2.0, ntk: 1.0 }.into(),
            RopeChange::FrequencyAware { scale: 2.0, trained_length: 64.0 },
            RopeChange::TimeAware { scale: 2.0, time: 0.5 },
        ] {
            let line = line_table(7, HEAD_DIM, change, &Device::Cpu).unwrap();
            assert_eq!(line.cos.dims(), [7, 6]);
            let grid = grid_table(2, 3, HEAD_DIM, change, &Device::Cpu).unwrap();
            assert_eq!(grid.sin.dims(), [6, 6]);
            assert_eq!(frames((2, 3, 4), change).sin.dims(), [24, 6]);
        }
    }

    #[test]
    fn a_head_without_room_for_three_axes_is_refused() {
        let error = frames_table((1, 1, 1), 32, RopeChange::default(), &Device::Cpu).unwrap_err().to_string();
        assert!(error.contains("a multiple of 6") && error.contains("32"), "{error}");
    }

    #[test]
    fn one_frame_leaves_a_third_of_the_channels_unturned_and_is_not_the_grid() {
        let table = frames((1, 2, 3), RopeChange::default());
        for sin in values(&table.sin) {
            assert_eq!((sin[0], sin[3]), (0.0, 0.0));
        }
        let grid = grid_table(2, 3, HEAD_DIM, RopeChange::default(), &Device::Cpu).unwrap();
        assert_ne!(values(&table.sin), values(&grid.sin));
    }

    #[test]
    fn frames_stay_where_they_are_in_a_larger_picture() {
        let change = RopeFactors { linear: 2.0, ntk: 1.0 };
        let (plain, changed) = (frames((3, 2, 2), RopeChange::default()), frames((3, 2, 2), change.into()));
        for (plain, changed) in values(&plain.sin).into_iter().zip(values(&changed.sin)) {
            assert_eq!((plain[0], plain[3]), (changed[0], changed[3]));
        }
        assert_ne!(values(&plain.sin), values(&changed.sin));
    }

    proptest! {
        #[test]
        fn each_axis_of_frames_decides_its_own_channels_alone(
            sizes in (1_usize..5, 1_usize..5, 1_usize..5), scale in 1.0_f64..4.0, time in 0.0_f64..1.0,
        ) {
            let table = frames(sizes, RopeChange::TimeAware { scale, time });
            let line = |change: RopeChange| change.frequencies(2, HEAD_DIM).unwrap().0;
            let (times, positions) = (line(RopeChange::default()), line(RopeChange::TimeAware { scale, time }));
            for (token, (cos, sin)) in values(&table.cos).iter().zip(values(&table.sin)).enumerate() {
                let column = token % sizes.2;
                let row = token / sizes.2 % sizes.1;
                let frame = token / sizes.2 / sizes.1;
                for k in 0..2 {
                    let expected = [frame as f32 * times[k], row as f32 * positions[k], column as f32 * positions[k]];
                    for (axis, phase) in expected.into_iter().enumerate() {
                        prop_assert_eq!((cos[3 * k + axis], sin[3 * k + axis]), (phase.cos(), phase.sin()));
                    }
                }
            }
        }

        #[test]
        fn products_of_turned_vectors_depend_on_offsets_alone(
            sizes in (1_usize..4, 1_usize..4, 1_usize..4), scale in 0.5_f64..4.0, time in 0.0_f64..1.0,
        ) {
            let change = RopeChange::TimeAware { scale, time };
            let grid = (1, sizes.1, sizes.2);
            let line = (1, 1, sizes.0 * sizes.1 * sizes.2);
            let tables = [
                (sizes, frames(sizes, change)),
                (grid, grid_table(grid.1, grid.2, HEAD_DIM, change, &Device::Cpu).unwrap()),
                (line, line_table(line.2, HEAD_DIM, change, &Device::Cpu).unwrap()),
            ];
            for ((_, rows, columns), table) in tables {
                prop_assert_eq!(table.cos.dtype(), DType::F32);
                let place = |token: usize| {
                    [token / columns / rows, token / columns % rows, token % columns].map(|axis| axis as isize)
                };
                let mut known = std::collections::HashMap::new();
                for (query, products) in products(&table).into_iter().enumerate() {
                    for (key, product) in products.into_iter().enumerate() {
                        let (query, key) = (place(query), place(key));
                        let offset = [0, 1, 2].map(|axis| key[axis] - query[axis]);
                        let first = *known.entry(offset).or_insert(product);
                        prop_assert!((product - first).abs() < 1e-5, "{:?}: {} {}", offset, product, first);
                    }
                }
            }
        }
    }
}
