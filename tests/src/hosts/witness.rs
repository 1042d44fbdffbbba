//! A client of one node that never stops asking which version serves.
//!
//! Flows in: an address. Flows out: how often it was answered and how often not, and the versions in the order in which they
//! were seen.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::http::Http;
use crate::wait;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);

/// A client at work. Dropping it ends it.
#[derive(Debug)]
pub struct Witness {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Questions with an answer.
    pub answers: u64,
    /// Questions without.
    pub misses: u64,
    /// Each change of the version.
    pub versions: Vec<String>,
}

impl Witness {
    /// Begins to ask.
    #[must_use]
    pub fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (ordered, shelf) = (Arc::clone(&stop), Arc::clone(&seen));
        let thread = std::thread::spawn(move || {
            while !ordered.load(Ordering::Relaxed) {
                let answer = Http::new(address).get("/version");
                let mut seen = shelf.lock().unwrap_or_else(PoisonError::into_inner);
                match answer {
                    Ok(answer) if answer.status == 200 => seen.note(answer.text().trim()),
                    Ok(_) | Err(_) => seen.misses += 1,
                }
                drop(seen);
                std::thread::sleep(PAUSE);
            }
        });
        Self { stop, seen, thread: Some(thread) }
    }

    /// What it has seen by now.
    #[must_use]
    pub fn so_far(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until these are the versions it has seen, in this order and no other.
    ///
    /// # Errors
    /// It has seen others.
    pub fn wait_for(&self, versions: &[&str]) -> Result<()> {
        wait::until(wait::PATIENCE, &format!("{versions:?} to be what was served"), || {
            let seen = self.so_far().versions;
            ensure!(seen == versions, "it was {seen:?}");
            Ok(true)
        })
    }

    /// Waits for a few more answers, and insists that there was no miss and no other version since `before`.
    ///
    /// # Errors
    /// There was.
    pub fn is_undisturbed_since(&self, before: &Seen) -> Result<()> {
        wait::until(wait::PATIENCE, "more answers", || Ok(self.so_far().answers > before.answers + 3))?;
        let now = self.so_far();
        ensure!(now.misses == before.misses, "{} of its users had no answer", now.misses - before.misses);
        ensure!(now.versions == before.versions, "its users saw {:?}", now.versions);
        Ok(())
    }
}

impl Seen {
    fn note(&mut self, version: &str) {
        self.answers += 1;
        if self.versions.last().is_none_or(|last| last != version) {
            self.versions.push(version.to_owned());
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic; if it did, what it saw until then counts.
            let _ = thread.join();
        }
    }
}
