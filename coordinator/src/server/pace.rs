//! When a device is told to come back (Bonawitz et al. 2019, section 2.3): a fleet much larger than a round is spread out,
//! so that about as many come at any time as are wanted; a small one is told one instant, so that a cohort fills.

use sordino_shared::control::RetryAfter;

/// What is known when a device is sent away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// N: devices that may come.
    pub(super) eligible: u64,
    /// R: devices that a round takes.
    pub(super) wanted: u64,
    /// W: milliseconds from one round to the next.
    pub(super) window_ms: u64,
    /// Milliseconds until the next round is known to open; 0 where it is not known.
    pub(super) next_ms: u64,
}

impl Pace {
    /// The span in which the device is to come back.
    pub(super) fn retry(&self) -> RetryAfter {
        let window = self.window_ms.max(LEAST_MS);
        let (min_ms, max_ms) = if self.eligible < SMALL * self.wanted.max(1) {
            let instant = if self.next_ms > 0 { self.next_ms } else { window.min(LATEST_MS) };
            let instant = instant.max(LEAST_MS);
            (instant, instant)
        } else {
            // 1.3: some of those who come will drop out.
            let length = self.eligible as f64 * window as f64 / (1.3 * self.wanted as f64);
            ((0.5 * length) as u64, (1.5 * length) as u64)
        };
        RetryAfter { min_ms, max_ms: max_ms.max(min_ms), registry: None }
    }
}

/// Where there is no task: the order of hours, spread out.
pub(super) const NOTHING: RetryAfter = RetryAfter { min_ms: 2 * HOUR_MS, max_ms: 6 * HOUR_MS, registry: None };

const HOUR_MS: u64 = 3_600_000;
const SMALL: u64 = 10;
const LEAST_MS: u64 = 250;
// In a small fleet a round that is not yet planned is asked after often.
const LATEST_MS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    // Of N devices that come back evenly within the span, 1.3 R come in a window.
    #[test]
    fn a_large_fleet_is_spread_out() {
        let pace = Pace { eligible: 1_000_000, wanted: 1000, window_ms: 3_600_000, next_ms: 5 };
        let RetryAfter { min_ms, max_ms, .. } = pace.retry();
        let mean = (min_ms + max_ms) as f64 / 2.0;
        let per_window = pace.eligible as f64 * pace.window_ms as f64 / mean;
        assert!((per_window / 1300.0 - 1.0).abs() < 0.01, "{per_window}");
        assert_eq!(max_ms / min_ms, 3);
    }

    #[test]
    fn a_small_fleet_is_told_one_instant() {
        let pace = Pace { eligible: 5000, wanted: 1000, window_ms: 60_000, next_ms: 1234 };
        assert_eq!((pace.retry().min_ms, pace.retry().max_ms), (1234, 1234));
        let unknown = Pace { next_ms: 0, ..pace };
        assert_eq!(unknown.retry().min_ms, unknown.retry().max_ms);
        let nobody = Pace { eligible: 0, wanted: 0, window_ms: 0, next_ms: 0 };
        assert!(nobody.retry().min_ms >= LEAST_MS);
    }
}
