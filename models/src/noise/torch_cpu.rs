//! The numbers of PyTorch's generator on the CPU, to the last bit.
//!
//! Source: PyTorch `ATen/core/MT19937RNGEngine.h`, `ATen/core/DistributionsHelper.h` and
//! `ATen/native/cpu/DistributionTemplates.h`. From 16 numbers on PyTorch uses vector instructions with logarithm, sine
//! and cosine of their own (`avx_mathfun.h`, after the Cephes library, with fused multiplications); these are
//! followed here one number at a time. On processors without AVX2 PyTorch itself gives slightly other numbers.

/// Block length of the vectorised path.
const BLOCK: usize = 16;

/// `count` numbers of `torch.randn` in f32 after `torch.manual_seed(seed)`.
pub(super) fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut engine = Mt19937::new(seed as u32);
    if count < BLOCK {
        return short(&mut engine, count);
    }
    let mut values: Vec<f32> = (0..count).map(|_| engine.uniform()).collect();
    for block in values.as_chunks_mut::<BLOCK>().0 {
        fill(block);
    }
    // The last sixteen are drawn anew where blocks do not end with the row, over numbers that were finished already.
    if !count.is_multiple_of(BLOCK)
        && let Some(tail) = values.last_chunk_mut::<BLOCK>()
    {
        tail.fill_with(|| engine.uniform());
        fill(tail);
    }
    values
}

/// The path for few numbers: in f64, two from one draw.
fn short(engine: &mut Mt19937, count: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let (u1, u2) = (engine.uniform_f64(), engine.uniform_f64());
        let radius = (-2.0 * (-u2).ln_1p()).sqrt();
        let angle = std::f64::consts::TAU * u1;
        values.extend([(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]);
    }
    values.truncate(count);
    values
}

/// Box and Muller's transform of eight pairs.
fn fill(block: &mut [f32; BLOCK]) {
    let (first, second) = block.split_at_mut(BLOCK / 2);
    for (a, b) in first.iter_mut().zip(second) {
        let radius = (-2.0 * log(1.0 - *a)).sqrt();
        let (sin, cos) = sin_cos(std::f64::consts::TAU as f32 * *b);
        (*a, *b) = (radius * cos, radius * sin);
    }
}

/// Logarithm of a positive number (`log256_ps`).
fn log(x: f32) -> f32 {
    const P: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_87e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    const Q1: f32 = -2.121_944_4e-4;
    const Q2: f32 = 0.693_359_4;
    let bits = x.max(f32::MIN_POSITIVE).to_bits();
    let mut exponent = (bits >> 23) as f32 - 126.0;
    let mantissa = f32::from_bits((bits & !0x7f80_0000) | 0.5_f32.to_bits());
    let mut x = mantissa - 1.0;
    if mantissa < std::f32::consts::FRAC_1_SQRT_2 {
        exponent -= 1.0;
        x += mantissa;
    }
    let z = x * x;
    let [p0, rest @ ..] = P;
    let y = rest.into_iter().fold(p0, |y, p| y.mul_add(x, p)) * x;
    let y = y.mul_add(z, exponent * Q1);
    let y = z.mul_add(-0.5, y);
    exponent.mul_add(Q2, x + y)
}

/// Sine and cosine of a number that is not negative (`sincos256_ps`).
fn sin_cos(x: f32) -> (f32, f32) {
    const DP: [f32; 3] = [-0.785_156_25, -2.418_756_5e-4, -3.774_895e-8];
    const SIN: [f32; 3] = [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1];
    const COS: [f32; 3] = [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2];
    let octant = ((x * (4.0 / std::f64::consts::PI) as f32) as u32 + 1) & !1;
    let y = octant as f32;
    let x = DP.into_iter().fold(x, |x, part| y.mul_add(part, x));
    let z = x * x;
    let polynomial = |[a, b, c]: [f32; 3]| a.mul_add(z, b).mul_add(z, c) * z;
    let cos = polynomial(COS).mul_add(z, -(z * 0.5)) + 1.0;
    let sin = polynomial(SIN).mul_add(x, x);
    let (sin, cos) = if octant & 2 == 0 { (sin, cos) } else { (cos, sin) };
    let signed = |value: f32, negative: bool| if negative { -value } else { value };
    (signed(sin, octant & 4 != 0), signed(cos, octant.wrapping_sub(2) & 4 == 0))
}

/// The Mersenne Twister of Matsumoto and Nishimura.
struct Mt19937 {
    state: [u32; Self::SIZE],
    next: usize,
}

impl Mt19937 {
    const SIZE: usize = 624;
    const MIDDLE: usize = 397;

    fn new(seed: u32) -> Self {
        let mut state = [0_u32; Self::SIZE];
        let mut last = seed;
        for (index, word) in state.iter_mut().enumerate() {
            if index > 0 {
                last = (last ^ (last >> 30)).wrapping_mul(1_812_433_253).wrapping_add(index as u32);
            }
            *word = last;
        }
        Self { state, next: Self::SIZE }
    }

    fn twist(&mut self) {
        for index in 0..Self::SIZE {
            let high = self.state[index] & 0x8000_0000;
            let low = self.state[(index + 1) % Self::SIZE] & 0x7fff_ffff;
            let mixed = high | low;
            let odd = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[index] = self.state[(index + Self::MIDDLE) % Self::SIZE] ^ (mixed >> 1) ^ odd;
        }
        self.next = 0;
    }

    fn word(&mut self) -> u32 {
        if self.next == Self::SIZE {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// In 0..1, from the lowest 24 bits.
    fn uniform(&mut self) -> f32 {
        (self.word() & 0x00ff_ffff) as f32 / 16_777_216.0
    }

    /// In 0..1, from the lowest 53 bits of two words, the first one above.
    fn uniform_f64(&mut self) -> f64 {
        let (high, low) = (u64::from(self.word()), u64::from(self.word()));
        (((high << 32) | low) & ((1 << 53) - 1)) as f64 / 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Vectors of torch 2.15.0 on an x86-64 processor with AVX2: `torch.manual_seed(seed); torch.randn(count)`.

    fn bits(seed: u64, count: usize) -> Vec<u32> {
        normal(seed, count).into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn the_first_words_are_those_of_the_mersenne_twister() {
        let mut engine = Mt19937::new(5489);
        assert_eq!([engine.word(), engine.word()], [3_499_211_612, 581_869_302]);
    }

    #[test]
    fn a_short_row_takes_the_path_in_double_precision() {
        assert_eq!(bits(42, 5), [0x3eac62ae, 0x3e03e69d, 0x3e7016e7, 0x3e6bdc6c, 0xbf8fb9c2]);
    }

    #[test]
    fn the_tail_of_a_row_is_drawn_anew() {
        assert_eq!(
            bits(42, 20),
            [
                0x3ff6a529, 0x3fbe5f53, 0x3f669567, 0xc006c0db, 0xbf4214e2, 0x3f8a0650, 0x3f4d0144,
                0x3fd71e93, 0x3eb63345, 0xbf2fc686, 0xbefc9934, 0x3e774893, 0xbe6d2eed, 0x3d2b0c00,
                0xbe80ce7a, 0x3f5c1fb0, 0xbe9e9482, 0xbeca9a91, 0x3f4dac3c, 0xbf1f20e0
            ]
        );
    }

    #[test]
    fn only_the_lower_half_of_the_seed_counts() {
        assert_eq!(
            bits(1099511627783, 16),
            [
                0xbf51f456, 0x3eca902b, 0x3f661ede, 0xbfb1b738, 0xbe2b0101, 0x3e91ff2d, 0xbf241e93,
                0xbf64c69a, 0x3f6d31ec, 0xbf091754, 0xbf9471b7, 0xbeeb99b8, 0x3f3562d1, 0x3f81a1f8,
                0x3e6bed28, 0x3f8b8a88
            ]
        );
    }

    #[test]
    fn three_numbers_of_seed_zero() {
        assert_eq!(bits(0, 3), [0x3fc53f5c, 0xbe963c50, 0xc00b7149]);
    }

    /// Over many numbers: sum and exclusive or of the bits.
    #[test]
    fn long_rows_are_those_of_torch() {
        for (seed, count, sum, xor) in [
            (42, 100_003, 213_250_655_693_397_u64, 0xcfa1_78e7_u32),
            (1234, 65_536, 139_674_476_559_799, 0x8a9f_094d),
        ] {
            let bits = bits(seed, count);
            assert_eq!(bits.iter().map(|&b| u64::from(b)).sum::<u64>(), sum);
            assert_eq!(bits.iter().fold(0, |all, b| all ^ b), xor);
        }
    }
}
