//! What observed guesses prove.

use sordino_shared::math;
use sordino_shared::privacy::accountant::zcdp;

/// A canary: whether it was in, and how much the release looks as if it was.
#[derive(Clone, Copy, Debug)]
pub struct Guess {
    /// Whether the canary's vector was in the sum.
    pub inside: bool,
    /// The attacker's score.
    pub score: f64,
}

/// Lower bound on epsilon from one run with many canaries (Steinke, Nasr and Jagielski 2023, theorem 5.2): the attacker
/// guesses "in" for the `share` of canaries with the highest scores and "out" for as many with the lowest.
pub(super) fn one_run_epsilon(guesses: &[Guess], share: f64, delta: f64, confidence: f64) -> f64 {
    let each = ((guesses.len() as f64 * share).round() as usize).clamp(1, guesses.len() / 2);
    let mut sorted: Vec<&Guess> = guesses.iter().collect();
    sorted.sort_by(|a, b| a.score.total_cmp(&b.score));
    let right = sorted[..each].iter().filter(|g| !g.inside).count()
        + sorted[sorted.len() - each..].iter().filter(|g| g.inside).count();
    let refuted = |epsilon: f64| p_value(guesses.len(), 2 * each, right, epsilon, delta) < 1.0 - confidence;
    if !refuted(0.0) {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while refuted(high) && high < 100.0 {
        low = high;
        high *= 2.0;
    }
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if refuted(middle) { low = middle } else { high = middle }
    }
    low
}

// P(at least `right` of `guesses` right) under (epsilon, delta), m canaries in all.
fn p_value(canaries: usize, guesses: usize, right: usize, epsilon: f64, delta: f64) -> f64 {
    let q = 1.0 / (1.0 + math::exp(-epsilon));
    let mass = |k: usize| math::exp(log_binomial_mass(guesses, k, q));
    let tail: f64 = (right..=guesses).map(mass).sum();
    let (mut alpha, mut sum) = (0.0f64, 0.0);
    for i in 1..=right {
        let step = mass(right - i);
        sum += step;
        alpha = alpha.max(sum / i as f64);
        // Masses only shrink from the mode downwards, and so does their running mean.
        if step < 1e-18 {
            break;
        }
    }
    (tail + 2.0 * canaries as f64 * delta * alpha).min(1.0)
}

fn log_binomial_mass(n: usize, k: usize, p: f64) -> f64 {
    let (n, k) = (n as f64, k as f64);
    math::lgamma(n + 1.0) - math::lgamma(k + 1.0) - math::lgamma(n - k + 1.0)
        + k * math::ln(p)
        + (n - k) * math::ln_1p(-p)
}

/// Bounds on a probability from `hits` of `trials`, each wrong with probability at most `error` (Chernoff in its exact
/// form: `n KL(hits / n, p) <= ln(1 / error)`).
pub(super) fn interval(hits: usize, trials: usize, error: f64) -> (f64, f64) {
    let (n, share) = (trials as f64, hits as f64 / trials as f64);
    let divergence = |p: f64| {
        let term = |a: f64, b: f64| if a <= 0.0 { 0.0 } else { a * math::ln(a / b) };
        n * (term(share, p) + term(1.0 - share, 1.0 - p))
    };
    let limit = math::ln(1.0 / error);
    let end = |mut inner: f64, mut outer: f64| {
        for _ in 0..60 {
            let middle = 0.5 * (inner + outer);
            if divergence(middle) <= limit { inner = middle } else { outer = middle }
        }
        outer
    };
    (if hits == 0 { 0.0 } else { end(share, 0.0) }, if hits == trials { 1.0 } else { end(share, 1.0) })
}

/// Error rates at thresholds, as bounds: `(share of in above, at least; share of out above, at most)`, and the same for "out"
/// below a threshold. All bounds hold together with probability 1 - `error`: every second guess chooses the thresholds, as
/// quantiles, and the others, which know nothing of them, are counted.
pub(super) fn rates(guesses: &[Guess], error: f64) -> Vec<(f64, f64)> {
    let sorted = |parity: usize, inside: bool| {
        let own = guesses.iter().skip(parity).step_by(2).filter(|g| g.inside == inside);
        let mut scores: Vec<f64> = own.map(|g| g.score).collect();
        scores.sort_by(f64::total_cmp);
        scores
    };
    let [choose_in, choose_out, inside, outside] =
        [(0, true), (0, false), (1, true), (1, false)].map(|(p, i)| sorted(p, i));
    if [&choose_in, &choose_out, &inside, &outside].iter().any(|scores| scores.is_empty()) {
        return Vec::new();
    }
    let shares = [0.0002, 0.001, 0.005, 0.02, 0.1, 0.3, 0.5];
    let each = error / (4.0 * shares.len() as f64);
    let bounds = |hits: usize, of: usize, alarms: usize, among: usize| {
        (interval(hits, of, each).0, interval(alarms, among, each).1)
    };
    let quantile = |scores: &[f64], share: f64| scores[(share * (scores.len() - 1) as f64) as usize];
    let below = |scores: &[f64], threshold: f64| scores.partition_point(|&s| s < threshold);
    shares
        .iter()
        .flat_map(|&share| {
            let high = quantile(&choose_out, 1.0 - share);
            let above = |scores: &[f64]| scores.len() - scores.partition_point(|&s| s <= high);
            let low = quantile(&choose_in, share);
            [
                bounds(above(&inside), inside.len(), above(&outside), outside.len()),
                bounds(below(&outside, low), outside.len(), below(&inside, low), inside.len()),
            ]
        })
        .collect()
}

/// Lower bound on mu, the parameter of the Gaussian that is as hard to tell: `Phi^-1(hits) - Phi^-1(false alarms)`.
pub(super) fn mu(bounds: &[(f64, f64)]) -> f64 {
    bounds.iter().map(|&(hit, alarm)| quantile(hit) - quantile(alarm)).fold(0.0, f64::max)
}

/// Whether some threshold breaks `hits <= e^epsilon false alarms + delta(epsilon)` of the claimed curve at some epsilon.
pub(super) fn breaks_curve(bounds: &[(f64, f64)], curve: impl Fn(f64) -> f64) -> bool {
    (1..=60).any(|i| {
        let epsilon = 0.25 * f64::from(i);
        let delta = curve(epsilon);
        bounds.iter().any(|&(hit, alarm)| hit > math::exp(epsilon) * alarm + delta)
    })
}

/// The delta at which rho-zCDP converts to this epsilon.
pub(super) fn delta_of(rho: f64, epsilon: f64) -> f64 {
    let (mut low, mut high) = (-600.0f64, -1e-9f64);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if zcdp::epsilon(rho, math::exp(middle)) > epsilon { low = middle } else { high = middle }
    }
    math::exp(high)
}

/// Phi^-1, by bisection.
fn quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-40.0f64, 40.0f64);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if 0.5 * math::erfc(-middle / std::f64::consts::SQRT_2) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};
    use sordino_shared::privacy::accountant::gaussian;

    fn gaussians(mu: f64, count: usize) -> Vec<Guess> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        (0..count)
            .map(|i| {
                let noise: f64 = StandardNormal.sample(&mut rng);
                let inside = i / 2 % 2 == 0;
                Guess { inside, score: noise + if inside { mu } else { 0.0 } }
            })
            .collect()
    }

    #[test]
    fn bounds_lie_under_the_truth_and_near_it() {
        for mu_true in [0.5, 1.0, 2.0] {
            // Half of them choose thresholds, half are counted.
            let guesses = gaussians(mu_true, 200_000);
            let bounds = rates(&guesses, 0.001);
            let found = mu(&bounds);
            assert!(found <= mu_true && found > 0.9 * mu_true, "{found} {mu_true}");
            assert!(!breaks_curve(&bounds, |epsilon| delta_of(mu_true * mu_true / 2.0, epsilon)));
            assert!(breaks_curve(&bounds, |epsilon| delta_of(mu_true * mu_true / 8.0, epsilon)));
            let epsilon = one_run_epsilon(&guesses, 0.001, 1e-5, 0.95);
            assert!(epsilon <= gaussian::epsilon(&[1.0 / mu_true], 1e-5) && epsilon > 0.3 * mu_true, "{epsilon}");
        }
    }

    #[test]
    fn coin_flips_prove_nothing() {
        assert_eq!(one_run_epsilon(&gaussians(0.0, 10_000), 0.01, 1e-5, 0.95), 0.0);
    }

    // The paper's example: all of r guesses right gives epsilon = -ln(0.05^(-1/r) - 1) without delta.
    #[test]
    fn all_right_gives_the_closed_form() {
        let guesses: Vec<Guess> = (0..200).map(|i| Guess { inside: i >= 100, score: f64::from(i) }).collect();
        let got = one_run_epsilon(&guesses, 0.5, 0.0, 0.95);
        let expected = -math::ln(math::powf(0.05f64, -1.0 / 200.0) - 1.0);
        assert!((got - expected).abs() < 1e-6, "{got} {expected}");
    }

    #[test]
    fn intervals_hold_the_share() {
        let (low, high) = interval(30, 100, 0.01);
        assert!(low < 0.3 && high > 0.3 && low > 0.15 && high < 0.48);
        assert_eq!(interval(0, 50, 0.01).0, 0.0);
        assert_eq!(interval(50, 50, 0.01).1, 1.0);
    }
}
