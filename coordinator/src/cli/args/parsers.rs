//! Values of arguments, from text to what is meant. Each says what is allowed; the coordinator checks again.

use std::time::Duration;

use super::Parallel;
use crate::ids::{EnvName, GroupName};
use crate::image_ref::{ImageRef, Tag};

const DAY: u64 = 24 * 3600;

/// Bytes of a comment.
const COMMENT_MAX: usize = 1024;

/// SHA-256 of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Fingerprint(pub(in crate::cli) [u8; 32]);

/// Text that says something.
pub(super) fn non_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// An environment.
pub(super) fn env(text: &str) -> Result<String, String> {
    text.parse::<EnvName>().map(String::from).map_err(|error| error.to_string())
}

/// A node group.
pub(super) fn group(text: &str) -> Result<String, String> {
    text.parse::<GroupName>().map(String::from).map_err(|error| error.to_string())
}

/// A context: any word that is no option.
pub(super) fn context(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-:@[]".contains(c);
    if !text.is_empty() && text.len() <= 255 && !text.starts_with('-') && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("write letters, digits, `.`, `_`, `-`, `:` or `@`".to_owned())
}

/// An API token's name.
pub(super) fn token_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    if (1..=63).contains(&text.len()) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("write 1 to 63 letters, digits, `.`, `_`, `-` or `@`".to_owned())
}

pub(super) fn comment(text: &str) -> Result<String, String> {
    if text.len() > COMMENT_MAX {
        Err(format!("it is longer than {COMMENT_MAX} bytes"))
    } else {
        Ok(text.to_owned())
    }
}

/// An image's whole reference.
pub(super) fn image(text: &str) -> Result<String, String> {
    text.parse::<ImageRef>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// A tag alone.
pub(super) fn tag(text: &str) -> Result<String, String> {
    text.parse::<Tag>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// What an agent can be told to ask; the agent knows the whole grammar.
pub(super) fn probe(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("tcp://"));
    let authority = rest.map(|rest| rest.split('/').next().unwrap_or(rest));
    let port = authority.and_then(|authority| authority.rsplit_once(':'));
    match port.and_then(|(_, port)| port.parse::<u16>().ok()) {
        Some(1..) => Ok(text.to_owned()),
        Some(0) | None => Err("write http://:PORT/PATH or tcp://:PORT".to_owned()),
    }
}

fn between(text: &str, what: &str, least: u64, most: u64) -> Result<Duration, String> {
    let range = Duration::from_secs(least)..=Duration::from_secs(most);
    let show = |seconds| humantime::format_duration(Duration::from_secs(seconds)).to_string();
    let rule =
        || format!("{what} is from {} to {}, with its unit, such as 90s or 5m", show(least), show(most));
    humantime::parse_duration(text).ok().filter(|time| range.contains(time)).ok_or_else(rule)
}

pub(super) fn delay(text: &str) -> Result<Duration, String> {
    between(text, "a delay", 0, DAY)
}

pub(super) fn deadline(text: &str) -> Result<Duration, String> {
    between(text, "a deadline", 1, 7 * DAY)
}

pub(super) fn verify_timeout(text: &str) -> Result<Duration, String> {
    between(text, "this time", 1, DAY)
}

pub(super) fn join_expiry(text: &str) -> Result<Duration, String> {
    between(text, "a join token's time", 1, 7 * DAY)
}

pub(super) fn expiry(text: &str) -> Result<Duration, String> {
    between(text, "a token's time", 60, 3650 * DAY)
}

pub(super) fn since(text: &str) -> Result<Duration, String> {
    between(text, "the time to look back", 1, 36_500 * DAY)
}

pub(super) fn parallel(text: &str) -> Result<Parallel, String> {
    let bad = || "write a number from 1, a percentage from 1% to 100%, or all".to_owned();
    if text == "all" {
        return Ok(Parallel::All);
    }
    let (number, is_percent) = text.strip_suffix('%').map_or((text, false), |number| (number, true));
    match (number.parse::<u32>().map_err(|_| bad())?, is_percent) {
        (percent @ 1..=100, true) => Ok(Parallel::Percent(percent)),
        (nodes @ 1.., false) => Ok(Parallel::Nodes(nodes)),
        (_, _) => Err(bad()),
    }
}

/// As `openssl x509 -fingerprint -sha256` prints it, or without colons.
pub(super) fn fingerprint(text: &str) -> Result<Fingerprint, String> {
    let bad = || "it is the SHA-256 of a certificate: 64 hex digits, with colons or without".to_owned();
    let hex: String = text.strip_prefix("sha256:").unwrap_or(text).chars().filter(|c| *c != ':').collect();
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(bad());
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        let pair = hex.get(at..at + 2).ok_or_else(bad)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
    }
    Ok(Fingerprint(bytes))
}

/// `NAME=VALUE`
pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write NAME=VALUE".to_owned()),
    }
}
