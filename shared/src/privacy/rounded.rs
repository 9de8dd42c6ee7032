//! Privacy figures as text, rounded to the careful side: what was spent is never printed as less, what is left never as more.

use crate::math;

/// A figure that is spent or promised, such as an epsilon: rounded up at its last digit.
///
/// ```
/// use sordino_shared::privacy::rounded::up;
/// assert_eq!(up(3.9999999, 3), "4.000");
/// assert_eq!(up(4.0, 3), "4.000");
/// assert_eq!(up(4.0000001, 3), "4.001");
/// assert_eq!(up(f64::INFINITY, 3), "inf");
/// ```
pub fn up(value: f64, digits: usize) -> String {
    beyond(value, digits, |shown, value| shown < value, 1.0)
}

/// A figure that may still be spent, such as what is left of a budget: rounded down at its last digit.
///
/// ```
/// use sordino_shared::privacy::rounded::down;
/// assert_eq!(down(0.0426, 3), "0.042");
/// assert_eq!(down(4.0, 3), "4.000");
/// ```
pub fn down(value: f64, digits: usize) -> String {
    beyond(value, digits, |shown, value| shown > value, -1.0)
}

/// A small figure such as a delta in two digits, rounded up.
///
/// ```
/// use sordino_shared::privacy::rounded::up_small;
/// assert_eq!(up_small(1e-6), "1.0e-6");
/// assert_eq!(up_small(6.923e-7), "7.0e-7");
/// assert_eq!(up_small(9.99e-7), "1.0e-6");
/// ```
pub fn up_small(value: f64) -> String {
    let text = format!("{value:.1e}");
    let too_small = text.parse::<f64>().is_ok_and(|shown| shown < value);
    match text.split_once('e').and_then(|(front, power)| Some((front.parse::<f64>().ok()?, power.parse::<i32>().ok()?)))
    {
        Some((front, power)) if too_small => {
            let (front, power) = if front + 0.1 > 9.95 { (1.0, power + 1) } else { (front + 0.1, power) };
            format!("{front:.1}e{power}")
        }
        _ => text,
    }
}

// The nearest text, or the one beyond it where the nearest is on the wrong side.
fn beyond(value: f64, digits: usize, is_wrong: fn(f64, f64) -> bool, direction: f64) -> String {
    let text = format!("{value:.digits$}");
    let Ok(shown) = text.parse::<f64>() else { return text };
    if !value.is_finite() || !is_wrong(shown, value) {
        return text;
    }
    let step = direction * math::powi(10.0, -(digits as i32));
    let next = format!("{:.digits$}", shown + step);
    // A figure so large that the step is lost in it has no digits to round.
    if next.parse::<f64>().is_ok_and(|next| !is_wrong(next, value)) { next } else { format!("{value}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_printed_on_the_wrong_side() {
        let mut value = 1e-12;
        while value < 1e6 {
            for digits in [1, 2, 3, 4, 6] {
                let parse = |text: String| text.parse::<f64>().expect("a number");
                let (high, low) = (parse(up(value, digits)), parse(down(value, digits)));
                let step = math::powi(10.0, -(digits as i32)) * (1.0 + 1e-9);
                assert!(high >= value && high <= value + step, "{value} up: {high}");
                assert!(low <= value && low >= value - step, "{value} down: {low}");
            }
            let small = up_small(value).parse::<f64>().expect("a number");
            assert!(small >= value && small <= 1.11 * value, "{value}: {small}");
            value *= 1.0173;
        }
    }

    #[test]
    fn round_figures_stay_as_they_are() {
        for value in [0.1, 0.25, 1.0, 2.0, 4.0, 8.0, 37.5] {
            assert_eq!(up(value, 3), format!("{value:.3}"));
            assert_eq!(down(value, 3), format!("{value:.3}"));
        }
        assert_eq!((up(0.0, 2).as_str(), up(f64::NAN, 2).as_str()), ("0.00", "NaN"));
    }
}
