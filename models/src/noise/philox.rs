//! Philox 4x32-10, a generator without state: number i is a function of the seed and of i.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011), and their Random123.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Four random words for a counter and a key.
fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let [c0, c1, c2, c3] = counter;
        let first = u64::from(MULTIPLIERS[0]) * u64::from(c0);
        let second = u64::from(MULTIPLIERS[1]) * u64::from(c2);
        counter = [
            (second >> 32) as u32 ^ c1 ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ c3 ^ key[1],
            first as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// `count` standard normal numbers; a longer row begins with the shorter one.
pub(super) fn normal(seed: u64, count: usize) -> Vec<f32> {
    let key = [seed as u32, (seed >> 32) as u32];
    let mut values = Vec::with_capacity(count.next_multiple_of(4));
    for block in 0..count.div_ceil(4) as u64 {
        let [a, b, c, d] = philox4x32([block as u32, (block >> 32) as u32, 0, 0], key);
        values.extend(box_muller(a, b));
        values.extend(box_muller(c, d));
    }
    values.truncate(count);
    values
}

/// Two normal numbers from two words.
///
/// In f64 and rounded once at the end, so that differences between mathematical libraries vanish nearly always.
fn box_muller(a: u32, b: u32) -> [f32; 2] {
    let scale = 1.0 / 4_294_967_296.0;
    // Never 0, whose logarithm is infinite.
    let radius = (-2.0 * ((f64::from(a) + 1.0) * scale).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * f64::from(b) * scale).sin_cos();
    [(radius * cos) as f32, (radius * sin) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of Random123 (`tests/kat_vectors`, `philox4x32 10`).
    #[test]
    fn the_published_vectors_come_out() {
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox4x32([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn an_element_does_not_depend_on_the_length() {
        let long = normal(7, 101);
        assert_eq!(normal(7, 6), long[..6]);
        assert_ne!(normal(8, 6), long[..6]);
    }

    #[test]
    fn mean_and_variance_are_those_of_a_standard_normal() {
        let values = normal(3, 100_000);
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let variance = values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}
