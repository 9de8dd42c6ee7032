//! Progress bars on standard error; silent where that is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over a number of bytes.
pub fn bytes(total: u64, what: &str) -> ProgressBar {
    bar(total, what, "{msg:24} [{bar:30}] {bytes}/{total_bytes} {eta}")
}

/// A bar over a number of steps.
pub fn steps(total: u64, what: &str) -> ProgressBar {
    bar(total, what, "{msg:24} [{bar:30}] {pos}/{len} {eta}")
}

fn bar(total: u64, what: &str, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style.progress_chars("=> ")).with_message(what.to_owned())
}
