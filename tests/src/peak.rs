//! How much memory a process ever had, as the kernel counts it.
//!
//! Flows in: a process id. Flows out: the highest `VmHWM` of `/proc/PID/status` that was seen. The kernel's mark
//! only grows, so looking often misses no more than what was added in the last moment. Must never outlive its
//! owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// A process being watched.
#[derive(Debug)]
pub struct Peak {
    seen: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Peak {
    /// Watches the process with this id until it ends.
    #[must_use]
    pub fn of(id: u32) -> Self {
        let (seen, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (shelf, ordered) = (Arc::clone(&seen), Arc::clone(&stop));
        let watcher = std::thread::spawn(move || {
            while let (false, Some(bytes)) = (ordered.load(Ordering::Relaxed), mark_of(id)) {
                shelf.fetch_max(bytes, Ordering::Relaxed);
                std::thread::sleep(PAUSE);
            }
        });
        Self { seen, stop, watcher: Some(watcher) }
    }

    /// The highest mark, in bytes.
    ///
    /// # Errors
    /// The process was never seen.
    pub fn bytes(mut self) -> Result<u64> {
        self.end();
        let bytes = self.seen.load(Ordering::Relaxed);
        ensure!(bytes > 0, "the process was gone before its memory could be looked at");
        Ok(bytes)
    }

    /// Of this very process, so far.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn own() -> Result<u64> {
        mark_of(std::process::id()).context("/proc/self/status has no VmHWM")
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            // It cannot panic; if it did, what it saw counts.
            let _ = watcher.join();
        }
    }
}

impl Drop for Peak {
    fn drop(&mut self) {
        self.end();
    }
}

/// `None` once the process has ended.
fn mark_of(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_used_is_seen() {
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let peak = Peak::of(std::process::id());
        crate::wait::until(crate::wait::PATIENCE, "a look", || Ok(peak.seen.load(Ordering::Relaxed) > 0))
            .unwrap();
        assert!(peak.bytes().unwrap() > 64 << 20);
        drop(block);
    }
}
