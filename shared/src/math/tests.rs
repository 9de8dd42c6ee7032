//! Literal bits, and every float against double precision.

use super::*;
use rayon::prelude::*;

// What every system must give. A change of a bit here is a change of every model that is learnt.
#[test]
fn bits_are_these() {
    let double = |x: f64| x.to_bits();
    let single = |x: f32| x.to_bits();
    println!("asinh {:#x}", double(asinh(0.7)));
    println!("cos {:#x}", double(cos(0.7)));
    println!("erfc {:#x}", double(erfc(0.7)));
    println!("exp {:#x}", double(exp(0.7)));
    println!("exp_m1 {:#x}", double(exp_m1(0.7)));
    println!("exp2 {:#x}", double(exp2(0.7)));
    println!("hypot {:#x}", double(hypot(0.7, 0.3)));
    println!("lgamma {:#x}", double(lgamma(0.7)));
    println!("ln {:#x}", double(ln(0.7)));
    println!("ln_1p {:#x}", double(ln_1p(0.7)));
    println!("log2 {:#x}", double(log2(0.7)));
    println!("log10 {:#x}", double(log10(0.7)));
    println!("powf {:#x}", double(powf(0.7, 0.3)));
    println!("powi {:#x}", double(powi(0.7, -5)));
    println!("sin {:#x}", double(sin(0.7)));
    println!("tanh {:#x}", double(tanh(0.7)));
    println!("tanh_f32 {:#x}", single(tanh_f32(0.3)));
    println!("exp_f32 {:#x}", single(exp_f32(0.3)));
    println!("logistic_f32 {:#x}", single(logistic_f32(0.3)));
    println!("ln_f32 {:#x}", single(ln_f32(0.3)));
    println!("ln_1p_f32 {:#x}", single(ln_1p_f32(0.3)));
    println!("sin_f32 {:#x}", single(sin_f32(0.3)));
    println!("cos_f32 {:#x}", single(cos_f32(0.3)));
}

/// Greatest error in ulp over every `step`th float from `from` up to `to`, and the greatest fall in ulp between neighbours.
fn scan(from: f32, to: f32, step: u32, ours: fn(f32) -> f32, truth: fn(f64) -> f64) -> (f64, f64) {
    let (first, last) = (from.to_bits(), to.to_bits());
    (0..=(last - first) / step)
        .into_par_iter()
        .map(|at| {
            let bits = first + at * step;
            let x = f32::from_bits(bits);
            let (y, exact) = (ours(x), truth(f64::from(x)));
            let ulp = ulp_at(exact);
            let error = (f64::from(y) - exact).abs() / ulp;
            // Towards larger arguments: floats below 0 count downwards.
            let (low, high) =
                if x < 0.0 { (ours(f32::from_bits(bits + 1)), y) } else { (y, ours(f32::from_bits(bits + 1))) };
            (error, (f64::from(low) - f64::from(high)).max(0.0) / ulp)
        })
        .reduce(|| (0.0, 0.0), |a, b| (f64::max(a.0, b.0), f64::max(a.1, b.1)))
}

// The distance of floats at a value.
fn ulp_at(value: f64) -> f64 {
    let float = (value.abs() as f32).max(f32::MIN_POSITIVE);
    f64::from(f32::from_bits(float.to_bits() + 1)) - f64::from(float)
}

#[test]
#[ignore = "billions of floats: minutes"]
fn every_float() {
    measure(1);
}

#[test]
fn many_floats() {
    measure(257);
}

fn measure(step: u32) {
    let tanh_error = scan(0.0, 30.0, step, tanh_f32, tanh);
    let exp_up = scan(0.0, 88.722, step, exp_f32, exp);
    let exp_down = scan(-0.0, -87.3, step, exp_f32, exp);
    let logistic = |x: f64| 1.0 / (1.0 + exp(-x));
    let logistic_up = scan(0.0, 100.0, step, logistic_f32, logistic);
    let logistic_down = scan(-0.0, -87.0, step, logistic_f32, logistic);
    println!("{tanh_error:?} {exp_up:?} {exp_down:?} {logistic_up:?} {logistic_down:?}");
}
