//! Sizes, times and numbers as people read them. Pure.

use std::time::{Duration, UNIX_EPOCH};

const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/// A speed is told when this much time is behind it.
const SPEED_MS_MIN: u64 = 500;

/// `512 B`, `1.5 KiB`, `20 MiB`.
pub(super) fn size(bytes: u64) -> String {
    let mut unit = "B";
    // Tenths of a unit, so that nothing is lost to floating point.
    let mut tenths = u128::from(bytes) * 10;
    for larger in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = larger;
    }
    if unit == "B" || tenths >= 100 {
        format!("{} {unit}", tenths / 10)
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

/// `35 MiB/s`; nothing before there is anything to tell.
pub(super) fn speed(bytes: u64, ms: u64) -> Option<String> {
    if ms < SPEED_MS_MIN {
        return None;
    }
    let per_second = u128::from(bytes) * 1000 / u128::from(ms);
    Some(format!("{}/s", size(u64::try_from(per_second).ok()?)))
}

/// `0.3 s`, `12.0 s`, `3m 12s`, `1h 05m`.
pub(super) fn took(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..=59 => format!("{seconds}.{} s", ms % 1000 / 100),
        60..=3599 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

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
    fn sizes_keep_two_digits() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (20 << 20, "20 MiB"), (u64::MAX, "16383 PiB")]
        {
            assert_eq!(size(bytes), text);
        }
        assert_eq!((speed(1 << 20, 100), speed(1 << 20, 2000).as_deref()), (None, Some("512 KiB/s")));
    }

    #[test]
    fn times_fit_their_length_and_odd_ones_are_left_out() {
        for (ms, text) in [(340, "0.3 s"), (192_000, "3m 12s"), (3_900_000, "1h 05m")] {
            assert_eq!(took(ms), text);
        }
        assert_eq!(moment(1_700_000_000_000), "2023-11-14T22:13:20Z");
        assert_eq!([moment(0), moment(-1), moment(i64::MAX)], ["", "", ""]);
    }
}
