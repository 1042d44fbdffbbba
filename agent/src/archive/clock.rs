//! What the kernel's clock lets us conclude from a file's ctime.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::entry::Timestamp;

/// The kernel stamps files with a clock that ticks every 1 to 10 ms (CONFIG_HZ), so two changes within a tick
/// can look alike. Twice the longest tick.
const CTIME_SLACK_NANOS: i64 = 20_000_000;

/// Is `time` before `mark` by more than the slack? Then a change after `mark` cannot look like one at `time`.
pub(super) fn well_before(time: Timestamp, mark: Timestamp) -> bool {
    let nanos = |time: Timestamp| i128::from(time.secs) * 1_000_000_000 + i128::from(time.nanos);
    nanos(time) + i128::from(CTIME_SLACK_NANOS) < nanos(mark)
}

/// Waits, no longer than twice the slack, until a change of what was hot cannot look like the change already
/// seen; says from when on that is so. Most rounds take longer than the slack and do not wait at all.
pub(super) fn settle(hottest: Timestamp) -> Timestamp {
    let patience = Duration::from_nanos(CTIME_SLACK_NANOS.unsigned_abs()).saturating_mul(2);
    let began = Instant::now();
    while !well_before(hottest, coarse_now()) && began.elapsed() < patience {
        std::thread::sleep(Duration::from_millis(2));
    }
    coarse_now()
}

/// The clock with which the kernel stamps files.
pub(super) fn coarse_now() -> Timestamp {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    Timestamp { secs: now.tv_sec, nanos: u32::try_from(now.tv_nsec).unwrap_or(0) }
}
