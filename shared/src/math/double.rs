//! Double precision, for what runs seldom: the crate `libm`, under the names of the standard library.

/// The inverse hyperbolic sine.
pub fn asinh(x: f64) -> f64 {
    libm::asinh(x)
}

/// The cosine, of radians.
pub fn cos(x: f64) -> f64 {
    libm::cos(x)
}

/// The complementary error function.
pub fn erfc(x: f64) -> f64 {
    libm::erfc(x)
}

/// e to the power of x.
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// `exp(x) - 1`, exact near 0 too.
pub fn exp_m1(x: f64) -> f64 {
    libm::expm1(x)
}

/// 2 to the power of x.
pub fn exp2(x: f64) -> f64 {
    libm::exp2(x)
}

/// The length of (x, y), without overflow on the way.
pub fn hypot(x: f64, y: f64) -> f64 {
    libm::hypot(x, y)
}

/// The natural logarithm of the absolute value of the gamma function.
pub fn lgamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// The natural logarithm.
pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// `ln(1 + x)`, exact near 0 too.
pub fn ln_1p(x: f64) -> f64 {
    libm::log1p(x)
}

/// The logarithm to base 2.
pub fn log2(x: f64) -> f64 {
    libm::log2(x)
}

/// The logarithm to base 10.
pub fn log10(x: f64) -> f64 {
    libm::log10(x)
}

/// x to the power of y.
pub fn powf(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

/// x to a whole power, by squaring; a negative one is the inverse of the positive.
#[inline]
pub fn powi(x: f64, power: i32) -> f64 {
    let (mut left, mut square, mut product) = (power.unsigned_abs(), x, 1.0);
    while left > 0 {
        if left % 2 == 1 {
            product *= square;
        }
        square *= square;
        left /= 2;
    }
    if power < 0 { 1.0 / product } else { product }
}

/// The sine, of radians.
pub fn sin(x: f64) -> f64 {
    libm::sin(x)
}

/// The hyperbolic tangent.
pub fn tanh(x: f64) -> f64 {
    libm::tanh(x)
}
