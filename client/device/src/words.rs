//! What a person reads.

use std::io::{IsTerminal, Write};

/// An error with its causes, each said once: many an error has its cause in its own words already.
pub fn of(error: &anyhow::Error) -> String {
    sordino_shared::causes::sentence(error.as_ref())
}

/// Prints; a reader that has gone away is no fault.
pub fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Says something that is no result, beside the output.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Sends logs of this filter to standard error, in colour where a person looks at it.
///
/// # Errors
/// Where the filter is none.
pub fn logs(filter: &str) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|error| anyhow::anyhow!("--log {filter}: {error}; use error, warn, info, debug or trace"))?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(colour)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}

/// A count with its noun.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    #[test]
    fn a_cause_is_said_once() {
        let inner = std::io::Error::other("the disk is full");
        let error = Err::<(), _>(inner).context("events.jsonl: the disk is full").context("nothing was kept");
        assert_eq!(super::of(&error.expect_err("an error")), "nothing was kept: events.jsonl: the disk is full");
        let plain = Err::<(), _>(std::io::Error::other("gone")).context("store.sqlite").expect_err("an error");
        assert_eq!(super::of(&plain), "store.sqlite: gone");
    }
}
