//! Sizes, speeds and lengths of time as people read them, the same in every program. Pure.

use std::time::Duration;

const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/// `512 B`, `1.5 KiB`, `20 MiB`: two digits or more, never rounded up to a unit too large.
#[must_use]
pub fn size(bytes: u64) -> String {
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
#[must_use]
pub fn speed(bytes: u64, elapsed: Duration) -> Option<String> {
    let ms = u64::try_from(elapsed.as_millis()).ok().filter(|ms| *ms >= 500)?;
    let per_second = u128::from(bytes) * 1000 / u128::from(ms);
    Some(format!("{}/s", size(u64::try_from(per_second).ok()?)))
}

/// `0.3 s`, `12.0 s`, `3m 12s`, `1h 05m`.
#[must_use]
pub fn took(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..=59 => format!("{seconds}.{} s", ms % 1000 / 100),
        60..=3599 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_two_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 * 1024, "10 KiB"),
            (1024 * 1024 - 1, "1023 KiB"),
            (1024 * 1024, "1.0 MiB"),
            (20 << 20, "20 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16383 PiB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn times_fit_their_length() {
        for (ms, text) in
            [(0, "0.0 s"), (340, "0.3 s"), (59_999, "59.9 s"), (192_000, "3m 12s"), (3_900_000, "1h 05m")]
        {
            assert_eq!(took(ms), text);
        }
    }

    #[test]
    fn speed_waits_for_something_to_tell() {
        assert_eq!(speed(1 << 20, Duration::from_millis(100)), None);
        assert_eq!(speed(1 << 20, Duration::from_secs(2)).as_deref(), Some("512 KiB/s"));
    }
}
