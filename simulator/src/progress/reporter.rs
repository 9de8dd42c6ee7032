//! When a line is due where there is no terminal, and what it says. Reads no clock.

use std::time::Duration;

/// An open bar.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// What is being done.
    pub(super) what: String,
    /// Steps done.
    pub(super) done: u64,
    /// Of how many.
    pub(super) of: u64,
    /// How long it has been open.
    pub(super) lasted: Duration,
    /// How long it will take, by its pace so far.
    pub(super) left: Duration,
}

/// Who waits, and since when he has heard nothing.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    // The last line, or when the waiting began; `None` where nobody waits.
    last: Option<Duration>,
    // Looks at which nothing was open, one after the other.
    idle: u32,
}

impl Reporter {
    /// The line that is due at `now`, if any: every ten seconds of waiting, whatever the waiting is for. The bars are those
    /// that are open, the outermost first.
    pub(super) fn line(&mut self, now: Duration, bars: &[State]) -> Option<String> {
        if bars.is_empty() {
            // Between two stages there is a moment without a bar, which does not end the waiting.
            self.idle += 1;
            if self.idle > MOST_IDLE {
                self.last = None;
            }
            return None;
        }
        self.idle = 0;
        let last = *self.last.get_or_insert(now);
        let lasting: Vec<&State> = bars.iter().filter(|bar| bar.lasted >= super::LEAST).collect();
        if now.saturating_sub(last) < BETWEEN || lasting.is_empty() {
            return None;
        }
        self.last = Some(now);
        Some(lasting.into_iter().map(words).collect::<Vec<_>>().join("; "))
    }
}

fn words(bar: &State) -> String {
    let State { what, done, of, left, .. } = bar;
    let share = (100 * done.min(of)).checked_div(*of).unwrap_or(0);
    let left = match left.as_secs() {
        // Nothing is done yet, or so little for so long that nothing is known of the pace.
        seconds if *done == 0 || seconds > MOST_LEFT => return format!("{what}: {share} %"),
        seconds @ 0..100 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    };
    format!("{what}: {share} %, about {left} left")
}

const BETWEEN: Duration = Duration::from_secs(10);
// A fortnight, in seconds.
const MOST_LEFT: u64 = 14 * 86_400;
// Two seconds of looks.
const MOST_IDLE: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(what: &str, done: u64, of: u64, lasted: u64, left: u64) -> State {
        let seconds = Duration::from_secs;
        State { what: what.into(), done, of, lasted: seconds(lasted), left: seconds(left) }
    }

    // Looks once a second for so long, from a moment on; the lines with their seconds.
    fn lines(reporter: &mut Reporter, from: u64, to: u64, bars: impl Fn(u64) -> Vec<State>) -> Vec<(u64, String)> {
        (from..to).filter_map(|s| Some((s, reporter.line(Duration::from_secs(s), &bars(s))?))).collect()
    }

    #[test]
    fn a_line_comes_every_ten_seconds_and_says_what_is_done_and_how_long_it_takes() {
        let told = lines(&mut Reporter::default(), 5, 30, |s| vec![bar("devices", s, 50, s - 5, 50 - s)]);
        let expected = [(15, "devices: 30 %, about 35 s left"), (25, "devices: 50 %, about 25 s left")];
        assert_eq!(told, expected.map(|(s, line)| (s, line.to_owned())));
    }

    // Twelve stages of two seconds: no bar is ten seconds old, but somebody has waited that long.
    #[test]
    fn short_stages_make_a_long_wait() {
        let stage = |s: u64| vec![bar(&format!("stage {}", s / 2), 1, 2, s % 2, 1)];
        let told = lines(&mut Reporter::default(), 0, 24, stage);
        assert_eq!(told.iter().map(|(s, _)| *s).collect::<Vec<_>>(), [11, 21]);
        assert!(told[0].1.starts_with("stage 5: 50 %"), "{told:?}");
    }

    #[test]
    fn nothing_is_said_of_what_takes_no_time_and_nothing_after_the_end() {
        let mut reporter = Reporter::default();
        assert!(lines(&mut reporter, 0, 9, |s| vec![bar("short", s, 9, s, 1)]).is_empty());
        assert!(lines(&mut reporter, 9, 60, |_| Vec::new()).is_empty());
        // Whoever waits anew has waited for nothing yet.
        assert!(lines(&mut reporter, 60, 69, |s| vec![bar("again", 1, 2, s - 60, 1)]).is_empty());
    }

    #[test]
    fn bars_within_bars_are_one_line() {
        let mut reporter = Reporter::default();
        let nested =
            |s| vec![bar("curve", 0, 5, s, 0), bar("measuring listeners", 9000, 9000, 3, 600), bar("new", 0, 1, 0, 0)];
        let told = lines(&mut reporter, 0, 12, nested);
        assert_eq!(told, [(10, "curve: 0 %; measuring listeners: 100 %, about 10 min left".to_owned())]);
    }

    // As of a process that was stopped for a while.
    #[test]
    fn an_estimate_that_is_none_is_left_out() {
        for (left, words) in [(14 * 86_400, "devices: 10 %, about 20160 min left"), (u64::MAX, "devices: 10 %")] {
            assert_eq!(super::words(&bar("devices", 1, 10, 60, left)), words);
        }
    }
}
