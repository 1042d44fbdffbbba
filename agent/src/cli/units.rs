//! Sizes, times and strange text as people read them. Pure.

use std::fmt::Write;

use jiff::Timestamp;

pub(crate) use redeploy_proto::units::{size, speed, took};

/// `1 entry`, `5 entries`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `2026-01-31 12:00:01`, in UTC.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `12:00:01`, in UTC.
pub(crate) fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// Text of strangers (a container's output, an engine's words) must not steer a terminal: control characters other
/// than line ends are shown escaped, tabs become blanks.
pub(crate) fn tame(text: &str) -> String {
    let mut tame = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => tame.push('\n'),
            '\t' => tame.push_str("    "),
            '\r' => {}
            c if c.is_control() || is_bidi(c) => {
                let _ = write!(tame, "\\u{{{:x}}}", u32::from(c));
            }
            c => tame.push(c),
        }
    }
    tame
}

/// The same on one line.
pub(crate) fn one_line(text: &str) -> String {
    tame(text).replace('\n', " / ")
}

/// Characters that change the order in which others are shown.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_strangers_cannot_steer_the_terminal() {
        assert_eq!(tame("a\x1b[2Jb\tc\r\nd\u{202e}"), "a\\u{1b}[2Jb    c\nd\\u{202e}");
        assert_eq!(one_line("a\nb"), "a / b");
    }
}
