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
    // No more than what the functions say of themselves.
    println!("tanh {tanh_error:?}, exp {exp_up:?} {exp_down:?}, logistic {logistic_up:?} {logistic_down:?}");
    assert!(tanh_error.0 <= 7.0 && tanh_error.1 <= 8.5);
    for (error, fall) in [exp_up, exp_down] {
        assert!(error <= 1.0 && fall == 0.0);
    }
    for (error, fall) in [logistic_up, logistic_down] {
        assert!(error <= 2.5 && fall == 0.0);
    }
}

#[test]
fn limits_signs_and_what_is_no_number() {
    for step in 0..200_000u32 {
        let x = f32::from_bits(step * 21_474);
        if x.is_finite() {
            assert_eq!(tanh_f32(-x).to_bits(), (-tanh_f32(x)).to_bits(), "{x}");
            assert!(tanh_f32(x).abs() <= 1.0 && (0.0..=1.0).contains(&logistic_f32(x)) && exp_f32(x) >= 0.0, "{x}");
        }
    }
    assert_eq!((tanh_f32(0.0).to_bits(), tanh_f32(-0.0).to_bits()), (0, (-0.0f32).to_bits()));
    assert_eq!([tanh_f32(9.1), tanh_f32(f32::INFINITY), tanh_f32(f32::NEG_INFINITY)], [1.0, 1.0, -1.0]);
    assert_eq!([exp_f32(0.0), exp_f32(f32::NEG_INFINITY), exp_f32(-104.0)], [1.0, 0.0, 0.0]);
    assert_eq!([exp_f32(88.73), exp_f32(f32::INFINITY)], [f32::INFINITY; 2]);
    assert!(exp_f32(-103.9) > 0.0, "down to the least float");
    assert_eq!([-200.0, 0.0, 200.0, f32::INFINITY].map(logistic_f32), [0.0, 0.5, 1.0, 1.0]);
    for function in [tanh_f32, exp_f32, logistic_f32, ln_f32, ln_1p_f32, sin_f32, cos_f32] {
        assert!(function(f32::NAN).is_nan());
    }
}

#[test]
fn slices_are_what_single_values_are() {
    let values: Vec<f32> = (0..37).map(|i| i as f32 * 0.7 - 12.0).collect();
    let (mut tanhs, mut exps) = (values.clone(), values.clone());
    tanh_slice(&mut tanhs);
    exp_slice(&mut exps);
    for (value, (t, e)) in values.iter().zip(tanhs.iter().zip(&exps)) {
        assert_eq!((t.to_bits(), e.to_bits()), (tanh_f32(*value).to_bits(), exp_f32(*value).to_bits()));
    }
}

// The crate's own errors are said to be below an ulp; another library is the witness, and may be off as much.
#[test]
#[expect(clippy::disallowed_methods, reason = "held against the system's")]
fn double_precision_agrees_with_the_systems() {
    let close = |name: &str, ours: f64, theirs: f64| {
        assert!(
            (ours - theirs).abs() <= 4.0 * f64::EPSILON * theirs.abs().max(f64::MIN_POSITIVE),
            "{name}: {ours} {theirs}"
        );
    };
    for step in 1..4000 {
        let x = f64::from(step) * 0.0137;
        close("exp", exp(x), x.exp());
        close("exp of less than 0", exp(-x), (-x).exp());
        close("exp_m1", exp_m1(-x), (-x).exp_m1());
        close("exp2", exp2(x), x.exp2());
        close("ln", ln(x), x.ln());
        close("ln_1p", ln_1p(x), x.ln_1p());
        close("log2", log2(x), x.log2());
        close("log10", log10(x), x.log10());
        close("powf", powf(x, 1.7), x.powf(1.7));
        close("powi", powi(x, -3), x.powi(-3));
        close("sin", sin(x), x.sin());
        close("cos", cos(x), x.cos());
        close("tanh", tanh(x), x.tanh());
        close("asinh", asinh(x), x.asinh());
        close("hypot", hypot(x, 3.0), x.hypot(3.0));
    }
    assert_eq!([powi(3.0, 4), powi(2.0, -2), powi(0.0, 0), powi(-2.0, 3)], [81.0, 0.25, 1.0, -8.0]);
}
