//! Stdout: results for people as text, for programs as JSON lines. One of the two, never both.
//!
//! Must never fail because nobody reads: a closed pipe ends the output, not the work.

use std::io::{self, Write};

use serde_json::Value;

use super::units::tame;

/// The colours in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tint {
    Good,
    Bad,
    Odd,
}

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    /// JSON instead of text?
    pub(crate) json: bool,
    /// Colours on stdout?
    pub(crate) color: bool,
}

impl Out {
    /// Text for people, made harmless; its first line in colour.
    pub(crate) fn text(self, text: &str, tint: Option<Tint>) {
        let text = tame(text);
        let shown = match (tint, text.split_once('\n')) {
            (Some(tint), Some((first, rest))) if self.color => format!("{}\n{rest}", tint.paint(first)),
            (Some(_) | None, _) => text,
        };
        put(shown.as_bytes());
    }

    /// One object for programs.
    pub(crate) fn event(self, event: &Value) {
        put(format!("{event}\n").as_bytes());
    }
}

/// Bytes as they are: completions, manual pages.
pub(crate) fn put(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    // Nobody reads any more, or the disk behind it is full: there is nobody to tell.
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// A message for people on stderr.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", tame(text));
}

impl Tint {
    /// The text in this colour.
    pub(crate) fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Good => "32",
            Self::Bad => "1;31",
            Self::Odd => "33",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
