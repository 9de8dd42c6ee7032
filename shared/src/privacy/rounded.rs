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

/// A budget, rounded down to three digits of which none is a zero at the end.
///
/// ```
/// use sordino_shared::privacy::rounded::limit;
/// assert_eq!((limit(8.0).as_str(), limit(2.5).as_str(), limit(2.9579).as_str()), ("8", "2.5", "2.957"));
/// ```
pub fn limit(value: f64) -> String {
    let text = down(value, 3);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// How much of a budget is spent, in hundredths, rounded up but for what the division itself rounds.
///
/// ```
/// use sordino_shared::privacy::rounded::share_spent;
/// assert_eq!((share_spent(0.1, 0.4, 1).as_str(), share_spent(0.1, 0.3, 1).as_str()), ("25.0", "33.4"));
/// ```
pub fn share_spent(spent: f64, budget: f64, digits: usize) -> String {
    up(100.0 * spent / budget * (1.0 - ROUNDING), digits)
}

/// How much of a budget is left, in hundredths, rounded down but for what the division itself rounds;
/// nothing where more is spent.
///
/// ```
/// use sordino_shared::privacy::rounded::share_left;
/// assert_eq!((share_left(0.3, 0.4, 0).as_str(), share_left(0.1, 0.3, 1).as_str()), ("25", "66.6"));
/// assert_eq!(share_left(2.0, 1.0, 0), "0");
/// ```
pub fn share_left(spent: f64, budget: f64, digits: usize) -> String {
    down((100.0 * (1.0 - spent / budget) + ROUNDING).max(0.0), digits)
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
    up_scientific(value, 1)
}

/// A small figure with so many digits after its first, rounded up at the last.
///
/// ```
/// use sordino_shared::privacy::rounded::up_scientific;
/// assert_eq!(up_scientific(1.23401e-4, 3), "1.235e-4");
/// assert_eq!(up_scientific(9.9999e-4, 3), "1.000e-3");
/// ```
pub fn up_scientific(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$e}");
    let Some((front, power)) = text.split_once('e') else { return text };
    if !text.parse::<f64>().is_ok_and(|shown| shown < value) {
        return text;
    }
    let Ok(front) = front.parse::<f64>() else { return text };
    // Ten is written as one of the next power.
    let next = format!("{:.digits$}e{power}", front + math::powi(10.0, -(digits as i32)));
    next.parse::<f64>().map_or(text, |next| format!("{next:.digits$e}"))
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

// A division rounds by less than this, in parts of the result or, near nothing, in hundredths.
const ROUNDING: f64 = 1e-12;

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
            let finer = up_scientific(value, 3).parse::<f64>().expect("a number");
            assert!(finer >= value && finer <= 1.0011 * value, "{value}: {finer}");
            let budget = limit(value).parse::<f64>().expect("a number");
            assert!(budget <= value && budget >= value - 0.001_000_1, "{value}: {budget}");
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

    // Whoever prints a figure of privacy with so many digits uses the functions above: `{:.3}` rounds to
    // the nearest, which may be below the truth.
    #[test]
    fn no_figure_of_privacy_is_rounded_to_the_nearest() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut sources = Vec::new();
        for part in ["shared", "client", "client/device", "coordinator", "simulator"] {
            collect(&root.join(part).join("src"), &mut sources);
        }
        assert!(sources.len() > 100, "only {} files were read", sources.len());
        let mut found = Vec::new();
        for path in sources {
            let text = std::fs::read_to_string(&path).expect("a source");
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            found.extend(nearest(text).map(|words| format!("{}: {words}", path.display())));
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn a_figure_that_is_rounded_to_the_nearest_would_be_found() {
        for text in [
            r#"format!("epsilon {:.3} of {}", spent)"#,
            r#"format!("epsilon {spent:.3}")"#,
            r#"write!(out, "left: {:.0} % of the budget")"#,
            r#"("costs rho {cost:.6e}")"#,
        ] {
            assert_eq!(nearest(text).count(), 1, "{text}");
        }
        let fine = r#"format!("epsilon {} at delta {delta:e}; {:.2} points better", up(spent, 3))"#;
        assert_eq!(nearest(fine).count(), 0);
    }

    fn collect(folder: &std::path::Path, sources: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, sources);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
                sources.push(path);
            }
        }
    }

    // Figures in digits that follow a word of privacy, or come right before one.
    fn nearest(text: &str) -> impl Iterator<Item = &str> {
        let words = ["epsilon", "rho", "delta", "spent", "may spend", "may still spend", "distance", "of the budget"];
        text.lines().filter(move |line| {
            let is_text = line.contains('"') || line.trim_start().starts_with(|c: char| c.is_ascii_lowercase());
            let is_comment = line.trim_start().starts_with("//");
            is_text
                && !is_comment
                && line.match_indices('{').any(|(at, _)| {
                    let Some(end) = line[at..].find('}') else { return false };
                    let is_rounded = line[at..at + end].contains(":.");
                    let (before, after) = (&line[..at], &line[at + end + 1..]);
                    let is_figure = words.iter().any(|word| before.trim_end().ends_with(word))
                        || ["% of the budget", "is spent", "of it is spent"]
                            .iter()
                            .any(|word| after.trim_start_matches([' ', ')']).starts_with(word));
                    // `epsilon {:.3} of {:.3}`: the second is the budget.
                    let is_budget = before.ends_with("} of ") && words.iter().any(|word| before.contains(word));
                    is_rounded && (is_figure || is_budget)
                })
        })
    }
}
