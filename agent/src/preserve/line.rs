//! One line of redeploy.conf.
//!
//! Flows in: the bytes between two line ends. Flows out: the path it means with remarks, or why it means none.
//! Must never guess: a line that may mean two things means what is written.

use super::finding::FindingKind;
use crate::guest_path::{GuestPath, InvalidGuestPath};

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) path: GuestPath,
    /// `backup:` stood before the path.
    pub(super) backup: bool,
    /// Odd, yet understood.
    pub(super) remarks: Vec<FindingKind>,
}

/// Reads a line; `None` for a blank one or a comment.
///
/// # Errors
/// Why the line is skipped.
pub(super) fn read(line: &[u8], home: Option<&GuestPath>) -> Result<Option<Request>, FindingKind> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    let (text, backup) = match line.strip_prefix(b"backup:") {
        Some(rest) => (rest.trim_ascii_start(), true),
        None => (line, false),
    };
    if text.is_empty() {
        return Err(FindingKind::BackupWithoutPath);
    }
    let (path, remarks) = match after_home(text) {
        Some(rest) => (below_home(rest, home)?, remarks_on(rest)),
        None => (valid(text)?, remarks_on(text)),
    };
    Ok(Some(Request { path, backup, remarks: with_relative(text, remarks) }))
}

/// What follows a leading `${home}` as a whole name.
fn after_home(text: &[u8]) -> Option<&[u8]> {
    let slashes = text.iter().take_while(|byte| **byte == b'/').count();
    let rest = text.get(slashes..)?.strip_prefix(b"${home}")?;
    matches!(rest.first(), None | Some(b'/')).then_some(rest)
}

fn below_home(rest: &[u8], home: Option<&GuestPath>) -> Result<GuestPath, FindingKind> {
    let home = home.ok_or(FindingKind::UnknownHome)?;
    if home.is_root() {
        return Err(FindingKind::HomeIsRoot);
    }
    valid(&[home.as_bytes(), rest].concat())
}

fn valid(text: &[u8]) -> Result<GuestPath, FindingKind> {
    // A NUL is looked for first: it tells of a file in the wrong encoding, whatever else is odd about the line.
    if !text.contains(&0) && has_variable(text) {
        return Err(FindingKind::Variable);
    }
    GuestPath::new(text).map_err(|error| match error {
        InvalidGuestPath::Nul(_) => FindingKind::Nul,
        InvalidGuestPath::Climbs(_) => FindingKind::Climbs,
        InvalidGuestPath::TooLong(_) => FindingKind::PathTooLong,
        InvalidGuestPath::Empty => FindingKind::BackupWithoutPath,
    })
}

/// Would a shell put something else here? A `$` that begins no name is an ordinary character.
fn has_variable(text: &[u8]) -> bool {
    let tilde = text == b"~" || text.starts_with(b"~/");
    let begins_name = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'{' | b'(');
    tilde || text.windows(2).any(|pair| matches!(pair, [b'$', next] if begins_name(next)))
}

fn remarks_on(text: &[u8]) -> Vec<FindingKind> {
    let blank_then = |wanted: u8| {
        text.windows(2)
            .any(|pair| matches!(pair, [blank, next] if blank.is_ascii_whitespace() && *next == wanted))
    };
    let mut remarks = Vec::new();
    if blank_then(b'/') || text.windows(8).any(|part| part == b"backup:/") {
        remarks.push(FindingKind::LooksGlued);
    }
    if blank_then(b'#') {
        remarks.push(FindingKind::LooksCommented);
    }
    if text.iter().any(|byte| matches!(byte, b'*' | b'?')) {
        remarks.push(FindingKind::Wildcard);
    }
    remarks
}

fn with_relative(text: &[u8], mut remarks: Vec<FindingKind>) -> Vec<FindingKind> {
    if !text.starts_with(b"/") && after_home(text).is_none() {
        remarks.insert(0, FindingKind::Relative);
    }
    remarks
}
