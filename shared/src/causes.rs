//! An error with its causes, as people are told.

use std::error::Error;

/// An error with its causes in one line of reasoning. Many errors say their cause themselves and give it as their source too: what has
/// been said already is not said again.
pub fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string().trim_end().to_owned();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        let words = words.trim_end();
        if !text.contains(words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use thiserror::Error;

    #[derive(Debug, Error)]
    enum Outer {
        #[error("the task cannot be read: {0}")]
        Says(#[from] Inner),
        #[error("the task cannot be read")]
        Silent(#[source] Inner),
    }

    #[derive(Debug, Error)]
    #[error("line 3 has no value\n")]
    struct Inner;

    #[test]
    fn causes_are_told_once() {
        for outer in [Outer::Says(Inner), Outer::Silent(Inner)] {
            assert_eq!(sentence(&outer), "the task cannot be read: line 3 has no value");
        }
    }
}
