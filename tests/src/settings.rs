//! What a person tells benchmarks and long tests through environment variables.
//!
//! Flows in: variables. Flows out: numbers, and a refusal to fill a disk. Must never guess what an odd value means.

use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Left free on every disk, whatever was ordered.
const BYTES_LEFT_FREE: u64 = 2 << 30;

/// A whole number.
///
/// # Errors
/// The variable holds something else.
pub fn number(variable: &str, default: u64) -> Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable}={text} is not a whole number")),
        Err(_) => Ok(default),
    }
}

/// A size in GiB, such as `4` or `0.25`, in bytes.
///
/// # Errors
/// The variable holds something else.
pub fn gib(variable: &str, default: f64) -> Result<u64> {
    let gib = match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable}={text} is not a number of GiB"))?,
        Err(_) => default,
    };
    ensure!((0.001..=1024.0).contains(&gib), "{variable}={gib}: from 0.001 to 1024");
    Ok(std::time::Duration::from_secs_f64(gib)
        .as_millis()
        .try_into()
        .map(|milli: u64| (milli << 30) / 1000)?)
}

/// Refuses when the disk of `dir` has no room for `bytes` more.
///
/// # Errors
/// It has none.
pub fn need_space(dir: &Path, bytes: u64) -> Result<()> {
    let disk = rustix::fs::statvfs(dir)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let wanted = bytes.saturating_add(BYTES_LEFT_FREE);
    ensure!(free >= wanted, "{} has {} MiB free, {} are needed", dir.display(), free >> 20, wanted >> 20);
    Ok(())
}
