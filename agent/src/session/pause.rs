//! How long to wait before the next attempt: longer each time, and never the same on two hosts.

use std::time::Duration;

use uuid::Uuid;

const FIRST_MS: u64 = 500;
const LONGEST_MS: u64 = 30_000;

/// The pause after so many attempts that failed in a row.
pub(super) fn pause(attempt: u32) -> Duration {
    // The end of a version 7 UUID is random.
    let random = Uuid::now_v7().as_bytes()[15];
    pause_of(attempt, random)
}

/// From a half to the whole of a time that doubles.
fn pause_of(attempt: u32, random: u8) -> Duration {
    let whole = FIRST_MS.saturating_mul(1 << attempt.min(16)).min(LONGEST_MS);
    Duration::from_millis(whole / 2 + whole / 2 * u64::from(random) / 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_up_to_a_limit_and_differs() {
        assert_eq!(pause_of(0, 0), Duration::from_millis(250));
        assert_eq!(pause_of(0, 255), Duration::from_millis(500));
        assert_eq!(pause_of(2, 255), Duration::from_millis(2000));
        assert_eq!(pause_of(u32::MAX, 255), Duration::from_millis(LONGEST_MS));
        assert_eq!(pause_of(u32::MAX, 0), Duration::from_millis(LONGEST_MS / 2));
    }
}
