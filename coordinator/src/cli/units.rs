//! Sizes, times and numbers as people read them. Pure.

use std::time::{Duration, UNIX_EPOCH};

pub(super) use redeploy_proto::units::{size, speed, took};

/// `2026-01-31T12:00:01Z`; nothing for a time that is not known.
pub(super) fn moment(ms: i64) -> String {
    let since = u64::try_from(ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
    let at = since.and_then(|since| UNIX_EPOCH.checked_add(since));
    // Later than anything a calendar holds is of a clock that is off.
    let last = Duration::from_secs(253_402_300_799);
    let at = at.filter(|_| since.is_some_and(|since| since <= last));
    at.map(|at| humantime::format_rfc3339_seconds(at).to_string()).unwrap_or_default()
}

/// `1 node`, `5 nodes`.
pub(super) fn count(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_times_are_left_out() {
        assert_eq!(moment(1_700_000_000_000), "2023-11-14T22:13:20Z");
        assert_eq!([moment(0), moment(-1), moment(i64::MAX)], ["", "", ""]);
    }
}
