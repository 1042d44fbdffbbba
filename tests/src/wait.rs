//! Waiting for something to become true, with a deadline: the only place of the harness that sleeps.
//!
//! Flows in: a question that is asked again and again. Flows out: its first answer, or an error that says what
//! never happened and how the last attempt failed. Must never wait a fixed time in the hope that it suffices.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// How long to pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// Long enough for a slow, busy machine; a test that needs all of it has found a defect.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until `attempt` yields a value. `Ok(None)` and errors both mean "not yet".
///
/// # Errors
/// `what` did not happen before the deadline; the last error of `attempt` is named.
pub fn eventually<T>(
    deadline: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        let last = match attempt() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => "it was not so".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if start.elapsed() >= deadline {
            return Err(anyhow!("waited {deadline:?} for {what}; at last: {last}"));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Asks until `condition` is true.
///
/// # Errors
/// As [`eventually`].
pub fn until(deadline: Duration, what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    eventually(deadline, what, || Ok(condition()?.then_some(())))
}
