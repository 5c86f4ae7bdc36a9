//! The exponential function in a form that the compiler vectorises.

/// Below this, `e^x` is no normal number any more.
const LOWEST: f32 = -87.0;

/// Adding and taking away this number rounds to a whole one: 1.5 * 2^23.
const ROUNDER: f32 = 12_582_912.0;

/// The natural logarithm of 2 in two parts, the first with so few digits that its multiples are exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// The polynomial of `(e^x - 1 - x) / x^2` around 0, from the highest power on (Cephes `expf`).
const COEFFICIENTS: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

/// `e^x` for `x` up to 88, within two units of the last place; below -87 it stays at `e^-87` (1.6e-38), which is nothing
/// beside the 1 that a softmax has among its numbers. Not a number stays not a number.
#[inline(always)]
pub(super) fn exponential<const FUSED: bool>(x: f32) -> f32 {
    // Not `max`, which would turn NaN into a number.
    let x = if x < LOWEST { LOWEST } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let whole = shifted - ROUNDER;
    let rest = multiply_add::<FUSED>(-whole, LN_2[0], x);
    let rest = multiply_add::<FUSED>(-whole, LN_2[1], rest);
    let [first, others @ ..] = COEFFICIENTS;
    let mut sum = first;
    for coefficient in others {
        sum = multiply_add::<FUSED>(sum, rest, coefficient);
    }
    let fraction = multiply_add::<FUSED>(sum * rest, rest, rest) + 1.0;
    // The low bits of `shifted` hold the whole number, which becomes the exponent of a power of two.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    fraction * power
}

/// `a * b + c`, rounded once where the processor can.
#[inline(always)]
pub(super) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    // Without the instruction, `mul_add` is a call into a library.
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_exponential_function() {
        for step in 0..200_000 {
            let x = -87.0 + step as f32 * 87.5e-5;
            let exact = f64::from(x).exp();
            for found in [exponential::<true>(x), exponential::<false>(x)] {
                let error = (f64::from(found) - exact).abs() / exact;
                assert!(error < 2.5e-7, "{x}: {found} {exact}");
            }
        }
        assert_eq!(exponential::<true>(0.0), 1.0);
    }

    #[test]
    fn the_far_ends_are_nothing_and_not_a_number() {
        for x in [-87.5, -1e30, f32::NEG_INFINITY] {
            let found = exponential::<true>(x);
            assert!(found > 0.0 && found < 2e-38, "{x}: {found}");
        }
        assert!(exponential::<true>(f32::NAN).is_nan() && exponential::<false>(f32::NAN).is_nan());
    }
}
