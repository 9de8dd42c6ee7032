//! Single precision. The three functions that networks spend their time in are straight lines without branches or calls,
//! so that loops over them become vector instructions.
//!
//! Errors are the greatest over all floats (the test `every_float`, against double precision).

/// The hyperbolic tangent: odd to the bit, never beyond 1, NaN of NaN; within 7 ulp (4.2e-7), and from one
/// float to the next never falling by more than 8 ulp of its own.
///
/// `x P(x^2) / Q(x^2)` with P and Q of degree 4. Coefficients: least greatest relative error over 0 to 9.02 by Lawson's
/// weighted least squares (Lawson 1961; 120 Chebyshev nodes, 40 digits), where it is 2.1e-8, then rounded to single
/// precision. All are positive, so nothing cancels.
#[inline]
pub fn tanh_f32(x: f32) -> f32 {
    // Comparisons that are false of NaN let it through; beyond the limit tanh rounds to 1.
    let x = if x > TANH_LIMIT { TANH_LIMIT } else { x };
    let x = if x < -TANH_LIMIT { -TANH_LIMIT } else { x };
    let s = x * x;
    let p = P[0] + s * (P[1] + s * (P[2] + s * (P[3] + s * P[4])));
    let q = Q[0] + s * (Q[1] + s * (Q[2] + s * (Q[3] + s * Q[4])));
    let y = x * p / q;
    let y = if y > 1.0 || x == TANH_LIMIT { 1.0 } else { y };
    if y < -1.0 || x == -TANH_LIMIT { -1.0 } else { y }
}

/// [`tanh_f32`] of each value.
pub fn tanh_slice(values: &mut [f32]) {
    values.iter_mut().for_each(|value| *value = tanh_f32(*value));
}

/// e to the power of x, within 1 ulp where the result is a normal number; never falling, infinite above
/// 88.72, 0 from -104 down, NaN of NaN.
///
/// x is parted into n ln 2 and a rest of at most half of that (Cody and Waite 1980); `1 + r + r^2 p(r)` with p of degree 4
/// is e to the rest, its coefficients by Lawson's method as for [`tanh_f32`] (relative error 3e-9); 2^n comes in two
/// factors, so that neither overflows before the product does.
#[inline]
pub fn exp_f32(x: f32) -> f32 {
    let x = if x > EXP_MOST { EXP_MOST } else { x };
    let x = if x < EXP_LEAST { EXP_LEAST } else { x };
    // Adding 1.5 x 2^23 leaves the nearest whole number in the last bits.
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let power = (shifted.to_bits() as i32).wrapping_sub(SHIFT.to_bits() as i32);
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let p = E[0] + r * (E[1] + r * (E[2] + r * (E[3] + r * E[4])));
    let y = 1.0 + (r + r * r * p);
    let half = power >> 1;
    y * power_of_two(half) * power_of_two(power.wrapping_sub(half))
}

/// [`exp_f32`] of each value.
pub fn exp_slice(values: &mut [f32]) {
    values.iter_mut().for_each(|value| *value = exp_f32(*value));
}

/// `1 / (1 + exp(-x))`, within 2.5 ulp where it is a normal number; never falling, 1/2 at 0, NaN of NaN.
#[inline]
pub fn logistic_f32(x: f32) -> f32 {
    1.0 / (1.0 + exp_f32(-x))
}

/// The natural logarithm.
pub fn ln_f32(x: f32) -> f32 {
    super::ln(f64::from(x)) as f32
}

/// `ln(1 + x)`, exact near 0 too.
pub fn ln_1p_f32(x: f32) -> f32 {
    super::ln_1p(f64::from(x)) as f32
}

/// The sine, of radians.
pub fn sin_f32(x: f32) -> f32 {
    super::sin(f64::from(x)) as f32
}

/// The cosine, of radians.
pub fn cos_f32(x: f32) -> f32 {
    super::cos(f64::from(x)) as f32
}

#[inline]
fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits((exponent.wrapping_add(127) as u32) << 23)
}

// tanh of it is above 1 - 2^-25, so the nearest float is 1.
const TANH_LIMIT: f32 = 9.02;
const P: [f32; 5] = [1.0, 0.133_797_29, 0.003_494_047_6, 2.058_368_6e-5, 1.331_933_85e-8];
const Q: [f32; 5] = [1.0, 0.467_130_45, 0.025_871_124, 0.000_328_311_38, 7.762_132_6e-7];
// Beyond them the result is infinite, and 0.
const EXP_MOST: f32 = 89.0;
const EXP_LEAST: f32 = -104.0;
const SHIFT: f32 = 12_582_912.0;
// ln 2 in two parts; the first has so few bits that its products with n are exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;
const E: [f32; 5] = [0.499_999_94, 0.166_665_21, 0.041_668_39, 0.008_368_737, 0.001_381_466_2];
