//! A swarm of this engine alone, for what only exists in one: overlay networks and tasks of services.
//!
//! Flows in: a test that needs one. Flows out: a swarm until it is dropped. One test at a time has it; it is left again if
//! it was begun here. Must never leave a swarm that was there before.

use std::fs::File;
use std::io::{Read, Seek, Write};

use anyhow::Result;

use crate::engine::Docker;

/// This engine is in a swarm for as long as this lives.
#[derive(Debug)]
pub struct Swarm {
    begun: bool,
    lock: File,
}

/// In the lock file while a swarm stands that a test began: the next test leaves it if that one was killed.
const OURS: &str = "begun by a test";

fn write_over(file: &mut File, text: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

impl Swarm {
    /// Waits for its turn, and begins a swarm unless there is one.
    ///
    /// # Errors
    /// The engine refused.
    pub fn join() -> Result<Self> {
        let path = std::env::temp_dir().join("redeploy-test-swarm.lock");
        let mut lock = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        lock.lock()?;
        let mut left_by = String::new();
        lock.read_to_string(&mut left_by)?;
        let state = Docker.call(&["info", "--format", "{{.Swarm.LocalNodeState}}"])?;
        let is_none = state == "inactive";
        if is_none {
            write_over(&mut lock, OURS)?;
            Docker.call(&["swarm", "init", "--advertise-addr", "127.0.0.1"])?;
        }
        Ok(Self { begun: is_none || left_by == OURS, lock })
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        if !self.begun {
            return;
        }
        let left = Docker.call(&["swarm", "leave", "--force"]);
        if let Err(error) = left.and_then(|_| Ok(write_over(&mut self.lock, "")?)) {
            eprintln!("the swarm is not left: {error:#}");
        }
    }
}
