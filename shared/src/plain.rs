//! Names and texts from outside, fit to be printed: one line of a listing is one thing, whoever wrote what stands in it.

use std::path::Path;

/// Whether a text is a name of at most `most` bytes: ASCII letters, digits, dots, dashes and underscores, at least one.
///
/// ```
/// use sordino_shared::plain::is_name;
/// assert!(is_name("rollout-spring_2.1", 64));
/// assert!(!is_name("", 64) && !is_name("a b", 64) && !is_name("a\nb", 64) && !is_name("abc", 2));
/// ```
pub fn is_name(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// A text as it is shown within a line: what would end the line, move a terminal's cursor or turn the writing is shown by its
/// number.
///
/// ```
/// assert_eq!(sordino_shared::plain::shown("Björk\n\u{1b}[2J"), "Björk\\u{a}\\u{1b}[2J");
/// ```
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

/// A reason as it is kept for people to read: its words with a space between them, at most 500 characters; `None` where there are
/// no words.
///
/// ```
/// use sordino_shared::plain::reason;
/// assert_eq!(reason(" they\n agreed\u{1b} ").as_deref(), Some("they agreed"));
/// assert_eq!(reason(" \n\t"), None);
/// ```
pub fn reason(text: &str) -> Option<String> {
    let words = text.split(|c: char| is_hidden(c) || c.is_whitespace()).filter(|word| !word.is_empty());
    let reason: String = words.collect::<Vec<_>>().join(" ").chars().take(MOST_REASON).collect();
    Some(reason).filter(|reason| !reason.is_empty())
}

/// A path as a shell takes it: in quotes where it holds more than plain characters.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:,@%=".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text;
    }
    let dashed = if text.starts_with('-') { format!("./{text}") } else { text };
    format!("'{}'", dashed.replace('\'', "'\\''"))
}

// Controls, separators of lines, and what changes the direction of the writing.
fn is_hidden(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

const MOST_REASON: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_leaves_its_line() {
        let hostile = "a\nb\rc\u{1b}[2Jd\u{85}e\u{9b}f\u{202e}g\u{2028}h\u{7f}i";
        let shown = shown(hostile);
        assert!(!shown.chars().any(is_hidden) && shown.lines().count() == 1, "{shown}");
        assert_eq!(super::shown("日本 – 'plain'"), "日本 – 'plain'");
        assert_eq!(reason(hostile).as_deref(), Some("a b c [2Jd e f g h i"));
        assert_eq!(reason(&"x ".repeat(9000)).map(|reason| reason.len()), Some(MOST_REASON));
    }

    #[test]
    fn paths_are_quoted_where_a_shell_would_part_them() {
        for (path, quoted) in [
            ("sordino-federation", "sordino-federation"),
            ("/srv/music.example", "/srv/music.example"),
            ("my music", "'my music'"),
            ("anna's", "'anna'\\''s'"),
            ("$HOME", "'$HOME'"),
            ("-x", "'./-x'"),
            ("", "''"),
        ] {
            assert_eq!(super::quoted(Path::new(path)), quoted);
        }
    }
}
