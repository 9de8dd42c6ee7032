//! Correlated Gaussian noise over rounds: how much one device moves the whole history.
//!
//! Noise is `C^-1 Z` for a lower-triangular C; releasing that is releasing `C G + Z` (Choquette-Choo et al. 2023), one
//! Gaussian whose sensitivity is the largest `|C g|` over the rounds in which a device may take part. The trees are the
//! same with the tree's node sums as C (Kairouz et al. 2021, appendix D).
//!
//! The claim falls with the limits on participation: the device itself keeps to both.

use crate::math;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How often, and how far apart, a device may take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParticipationLimits {
    /// At most so many times.
    pub most: u32,
    /// At least so many rounds from one time to the next: 1 allows every round. (Some libraries count the rounds *between*
    /// two participations, which is one less.)
    pub separation: u32,
}

/// Why limits make no sense.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// One of the numbers is zero.
    #[error("rounds, participations, separation and bands must each be at least 1")]
    Zero,
    /// More rounds than are reckoned with.
    #[error("{0} rounds are more than the {MOST_ROUNDS} that correlated noise is reckoned for: plan a task of fewer")]
    TooMany(usize),
}

const MOST_ROUNDS: usize = 1 << 16;

/// How a task's noise is correlated, and the participation that it is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    /// Rounds of the task, numbered from 0.
    pub rounds: usize,
    /// Coefficients of the matrix; each more costs the coordinator the memory of one vector.
    pub bands: usize,
    /// What devices keep to.
    pub limits: ParticipationLimits,
}

impl Strategy {
    /// As many bands as rounds lie between two participations, which is the best cheap choice.
    pub fn new(rounds: usize, separation: u32) -> Self {
        let separation = separation.max(1);
        let most = rounds.div_ceil(separation as usize) as u32;
        Self { rounds, bands: (separation as usize).min(rounds), limits: ParticipationLimits { most, separation } }
    }

    /// How far one device moves all rounds together, in clips.
    ///
    /// # Errors
    /// [`Error::Zero`] and [`Error::TooMany`].
    pub fn sensitivity(&self) -> Result<f64, Error> {
        if self.rounds > MOST_ROUNDS {
            return Err(Error::TooMany(self.rounds));
        }
        toeplitz_sensitivity(&square_root(self.bands), self.rounds, self.limits)
    }

    /// The largest variance of one round's noise over that of fresh noise: the squared coefficients of the inverse matrix,
    /// added up.
    pub fn noise_growth(&self) -> f64 {
        let coefficients = square_root(self.bands);
        let mut inverse = vec![1.0];
        for _ in 1..self.rounds {
            let earlier = coefficients[1..].iter().zip(inverse.iter().rev());
            inverse.push(-earlier.map(|(c, d)| c * d).sum::<f64>());
        }
        inverse.iter().map(|d| d * d).sum()
    }
}

/// The first `bands` coefficients of the square root of the prefix-sum matrix: c_0 = 1, c_i = c_(i-1) (2i - 1) / (2i).
pub fn square_root(bands: usize) -> Vec<f64> {
    let mut coefficients = Vec::with_capacity(bands);
    let mut c = 1.0;
    for i in 0..bands {
        if i > 0 {
            c *= (2.0 * i as f64 - 1.0) / (2.0 * i as f64);
        }
        coefficients.push(c);
    }
    coefficients
}

/// Sensitivity of a lower-triangular Toeplitz strategy with these coefficients over `rounds` rounds, in clips:
/// `| sum_(j < k) shift(c, j b) |`. Exact where the coefficients are non-negative and do not increase, as a test against
/// all participation patterns shows.
///
/// # Errors
/// [`Error::Zero`].
pub fn toeplitz_sensitivity(coefficients: &[f64], rounds: usize, limits: ParticipationLimits) -> Result<f64, Error> {
    if rounds == 0 || coefficients.is_empty() || limits.most == 0 || limits.separation == 0 {
        return Err(Error::Zero);
    }
    let mut column = vec![0.0; rounds];
    for start in (0..rounds).step_by(limits.separation as usize).take(limits.most as usize) {
        column[start..].iter_mut().zip(coefficients).for_each(|(sum, c)| *sum += c);
    }
    Ok(column.iter().map(|v| v * v).sum::<f64>().sqrt())
}

/// Squared sensitivity of one binary tree over `leaves` rounds: the largest sum over all whole nodes of the squared number
/// of participations below them.
///
/// Exact while the search is small, else an upper bound in which each level takes its own worst case.
///
/// # Errors
/// [`Error::Zero`].
pub fn tree_sensitivity_squared(leaves: usize, limits: ParticipationLimits) -> Result<f64, Error> {
    if leaves == 0 || limits.most == 0 || limits.separation == 0 {
        return Err(Error::Zero);
    }
    let fits = (leaves - 1) / limits.separation as usize + 1;
    let most = (limits.most as usize).min(fits);
    // The size of the search's tables, and of the loops over them.
    let gap = limits.separation as f64;
    if most > 1 && math::powi(gap, 2) * (most * most) as f64 * math::log2(leaves as f64) > 1e10 {
        return Ok(tree_bound(leaves, most, limits.separation as usize));
    }
    Ok(TreeSearch::new(limits.separation as usize).most(leaves, most))
}

/// Squared sensitivity of trees that are restarted, a device being in each of them once: whole levels add up.
pub fn restarted_trees_sensitivity_squared(leaves: &[usize]) -> f64 {
    leaves.iter().filter(|&&n| n > 0).map(|&n| f64::from(n.ilog2() + 1)).sum()
}

// Each level for itself: as many participations together as its nodes hold.
fn tree_bound(leaves: usize, most: usize, separation: usize) -> f64 {
    let levels = leaves.ilog2();
    (0..=levels)
        .map(|level| {
            let holds = (((1usize << level) - 1) / separation + 1).min(most);
            ((most / holds) * holds * holds + (most % holds).pow(2)) as f64
        })
        .sum()
}

// Dynamic programme over blocks of consecutive leaves. `best[count][lead * separation + trail]` is the largest sum over the
// block's whole nodes with `count` participations, none in the first `lead` leaves and none in the last `trail`.
struct Block {
    size: usize,
    best: Vec<Vec<f64>>,
}

struct TreeSearch {
    separation: usize,
}

impl TreeSearch {
    fn new(separation: usize) -> Self {
        Self { separation }
    }

    fn most(&self, leaves: usize, most: usize) -> f64 {
        // Whole trees, the largest first, as the binary digits of the number of leaves say.
        let forest = (0..=leaves.ilog2())
            .rev()
            .filter(|level| leaves >> level & 1 == 1)
            .map(|level| self.tree(level, most))
            .reduce(|before, tree| self.join(&before, &tree));
        forest.map_or(0.0, |block| block.best.iter().map(|cells| cells[0]).fold(0.0, f64::max))
    }

    fn tree(&self, level: u32, most: usize) -> Block {
        let (size, gaps) = (1usize << level, self.separation);
        if size > gaps {
            let half = self.tree(level - 1, most);
            let mut block = self.join(&half, &half);
            for (count, cells) in block.best.iter_mut().enumerate() {
                cells.iter_mut().for_each(|v| *v += (count * count) as f64);
            }
            return block;
        }
        // At most one participation fits: it is in one node of each level.
        let mut best = vec![vec![f64::NEG_INFINITY; gaps * gaps]; most + 1];
        best[0].fill(0.0);
        for lead in 0..gaps {
            for trail in 0..gaps {
                if lead + trail < size {
                    best[1][lead * gaps + trail] = f64::from(level + 1);
                }
            }
        }
        Block { size, best }
    }

    fn join(&self, left: &Block, right: &Block) -> Block {
        let gaps = self.separation;
        let possible = |cells: &[f64]| cells.iter().any(|v| v.is_finite());
        let mut best = vec![vec![f64::NEG_INFINITY; gaps * gaps]; left.best.len()];
        for (count, cells) in best.iter_mut().enumerate() {
            for in_left in 0..=count {
                let (l, r) = (&left.best[in_left], &right.best[count - in_left]);
                if !possible(l) || !possible(r) {
                    continue;
                }
                // A larger gap on the left leaves the right more room, so of gaps with one value the largest is best.
                let steps: Vec<Vec<usize>> = l
                    .chunks_exact(gaps)
                    .map(|row| {
                        (0..gaps).filter(|&gap| row[gap].is_finite() && row.get(gap + 1) != Some(&row[gap])).collect()
                    })
                    .collect();
                for (cell, value) in cells.iter_mut().enumerate() {
                    let (lead, trail) = (cell / gaps, cell % gaps);
                    let sum = if in_left == 0 {
                        r[lead.saturating_sub(left.size) * gaps + trail]
                    } else if in_left == count {
                        l[lead * gaps + trail.saturating_sub(right.size)]
                    } else {
                        steps[lead]
                            .iter()
                            .map(|&gap| l[lead * gaps + gap] + r[(gaps - 1 - gap) * gaps + trail])
                            .fold(f64::NEG_INFINITY, f64::max)
                    };
                    *value = value.max(sum);
                }
            }
        }
        Block { size: left.size + right.size, best }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // All patterns of participation within the limits.
    fn patterns(rounds: usize, limits: ParticipationLimits) -> Vec<Vec<usize>> {
        let mut all: Vec<Vec<usize>> = vec![Vec::new()];
        let mut grown: Vec<Vec<usize>> = all.clone();
        for _ in 0..limits.most {
            grown = grown
                .iter()
                .flat_map(|p| {
                    let start = p.last().map_or(0, |last| last + limits.separation as usize);
                    (start..rounds).map(|r| p.iter().copied().chain([r]).collect()).collect::<Vec<_>>()
                })
                .collect();
            all.extend(grown.clone());
        }
        all
    }

    #[test]
    fn toeplitz_sensitivity_is_that_of_the_worst_pattern() {
        for (rounds, bands, most, separation) in
            [(8, 8, 3, 2), (10, 3, 3, 3), (9, 4, 2, 1), (7, 7, 1, 1), (10, 5, 4, 2)]
        {
            let limits = ParticipationLimits { most, separation };
            let c = square_root(bands);
            let worst = patterns(rounds, limits)
                .iter()
                .map(|pattern| {
                    let mut column = vec![0.0; rounds];
                    for &start in pattern {
                        column[start..].iter_mut().zip(&c).for_each(|(sum, c)| *sum += c);
                    }
                    column.iter().map(|v| v * v).sum::<f64>().sqrt()
                })
                .fold(0.0, f64::max);
            let got = toeplitz_sensitivity(&c, rounds, limits).expect("limits");
            assert!((got - worst).abs() < 1e-12, "{rounds} {bands} {limits:?}: {got} {worst}");
        }
    }

    #[test]
    fn tree_sensitivity_is_that_of_the_worst_pattern() {
        for leaves in [1usize, 2, 5, 8, 11, 16] {
            for (most, separation) in [(1, 1), (2, 1), (3, 2), (3, 3), (4, 3), (2, 7)] {
                let limits = ParticipationLimits { most, separation };
                let sum = |pattern: &Vec<usize>| -> f64 {
                    (0..=leaves.ilog2())
                        .flat_map(|level| (0..leaves >> level).map(move |node| (level, node)))
                        .map(|(level, node)| {
                            math::powi(pattern.iter().filter(|&&p| p >> level == node).count() as f64, 2)
                        })
                        .sum()
                };
                let worst = patterns(leaves, limits).iter().map(sum).fold(0.0, f64::max);
                let got = tree_sensitivity_squared(leaves, limits).expect("limits");
                assert_eq!(got, worst, "{leaves} leaves, {limits:?}");
                let fits = ((leaves - 1) / separation as usize + 1).min(most as usize);
                assert!(tree_bound(leaves, fits, separation as usize) >= worst);
            }
        }
    }

    // By the definition: the noise of every round as a row of the inverse.
    #[test]
    fn noise_grows_as_the_inverse_says() {
        let strategy = Strategy::new(12, 4);
        let c = square_root(strategy.bands);
        let mut inverse: Vec<Vec<f64>> = Vec::new();
        for row in 0..12 {
            let mut next: Vec<f64> = (0..12).map(|column| f64::from(u8::from(row == column))).collect();
            for lag in (1..4).filter(|&lag| lag <= row) {
                next.iter_mut().zip(&inverse[row - lag]).for_each(|(value, earlier)| *value -= c[lag] * earlier);
            }
            inverse.push(next);
        }
        let largest = inverse.iter().map(|row| row.iter().map(|v| v * v).sum::<f64>()).fold(0.0, f64::max);
        assert!((strategy.noise_growth() - largest).abs() < 1e-12 && largest > 1.0);
        assert_eq!(Strategy::new(1 << 20, 4).sensitivity(), Err(Error::TooMany(1 << 20)));
    }

    #[test]
    fn zero_limits_are_refused() {
        let none = ParticipationLimits { most: 0, separation: 1 };
        assert_eq!(toeplitz_sensitivity(&[1.0], 3, none), Err(Error::Zero));
        assert_eq!(tree_sensitivity_squared(0, ParticipationLimits { most: 1, separation: 1 }), Err(Error::Zero));
    }
}
