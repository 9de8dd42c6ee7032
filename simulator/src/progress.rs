//! What a person sees while he waits, on standard error: bars in a terminal, and where there is none a line every ten seconds.
//!
//! Whoever makes somebody wait opens a bar and moves it. One thread looks at all open bars a few times a second; what is over
//! within a second is never shown. What is shown depends on the clock, what is computed does not.

mod reporter;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, WeakProgressBar};
use reporter::{Reporter, State};
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A bar over a number of bytes.
pub fn bytes(total: u64, what: &str) -> ProgressBar {
    open(total, what, "{msg:32} [{bar:24}] {bytes}/{total_bytes}, {eta} left")
}

/// A bar over a number of steps.
pub fn steps(total: u64, what: &str) -> ProgressBar {
    open(total, what, "{msg:32} [{bar:24}] {pos}/{len}, {eta} left")
}

/// Prints a line on standard error, above the bars where there are some.
pub fn say(line: &str) {
    let print = || {
        // Nothing can be done about an output that is gone, and nothing depends on it.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    };
    match SCREEN.get() {
        Some(screen) => screen.bars.suspend(print),
        None => print(),
    }
}

fn open(total: u64, what: &str, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden())
        .with_style(style.progress_chars("=> "))
        .with_message(what.to_owned());
    let screen = SCREEN.get_or_init(Screen::open);
    screen.watched().push(Watched { bar: bar.downgrade(), since: screen.began.elapsed(), is_shown: false });
    bar
}

static SCREEN: OnceLock<Screen> = OnceLock::new();

/// The process' standard error, and the bars that are open.
struct Screen {
    began: Instant,
    bars: MultiProgress,
    watched: Mutex<Vec<Watched>>,
}

struct Watched {
    bar: WeakProgressBar,
    since: Duration,
    is_shown: bool,
}

impl Screen {
    fn open() -> Self {
        let _ = std::thread::Builder::new().name("progress".into()).spawn(watch);
        Self { began: Instant::now(), bars: MultiProgress::new(), watched: Mutex::default() }
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, Vec<Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Shows in a terminal what has lasted, and gives every open bar's state.
    fn look(&self, now: Duration, in_terminal: bool) -> Vec<State> {
        let mut states = Vec::new();
        self.watched().retain_mut(|watched| {
            let Some(bar) = watched.bar.upgrade().filter(|bar| !bar.is_finished()) else { return false };
            let lasted = now.saturating_sub(watched.since);
            if in_terminal && lasted >= LEAST {
                if !watched.is_shown {
                    self.bars.add(bar.clone());
                    watched.is_shown = true;
                }
                bar.tick();
            }
            states.push(State {
                what: bar.message(),
                done: bar.position(),
                of: bar.length().unwrap_or(0),
                lasted,
                left: bar.eta(),
            });
            true
        });
        states
    }
}

// Lives as long as the process; sleeps nearly always.
fn watch() {
    let in_terminal = std::io::stderr().is_terminal();
    let mut reporter = Reporter::default();
    loop {
        std::thread::sleep(EVERY);
        let Some(screen) = SCREEN.get() else { continue };
        let now = screen.began.elapsed();
        let states = screen.look(now, in_terminal);
        if !in_terminal && let Some(line) = reporter.line(now, &states) {
            say(&line);
        }
    }
}

const EVERY: Duration = Duration::from_millis(200);
// What is over sooner is not shown.
const LEAST: Duration = Duration::from_secs(1);
