//! A swarm of this engine alone, for what only exists in one: overlay networks and tasks of services.
//!
//! Flows in: a test that needs one. Flows out: a swarm until it is dropped. One test at a time has it; it is left again if
//! it was begun here. Must never leave a swarm that was there before.

use std::fs::File;

use anyhow::Result;

use crate::engine::Docker;

/// This engine is in a swarm for as long as this lives.
#[derive(Debug)]
pub struct Swarm {
    begun: bool,
    _lock: File,
}

impl Swarm {
    /// Waits for its turn, and begins a swarm unless there is one.
    ///
    /// # Errors
    /// The engine refused.
    pub fn join() -> Result<Self> {
        let lock = File::create(std::env::temp_dir().join("redeploy-test-swarm.lock"))?;
        lock.lock()?;
        let state = Docker.call(&["info", "--format", "{{.Swarm.LocalNodeState}}"])?;
        let begun = state == "inactive";
        if begun {
            Docker.call(&["swarm", "init", "--advertise-addr", "127.0.0.1"])?;
        }
        Ok(Self { begun, _lock: lock })
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        if self.begun
            && let Err(error) = Docker.call(&["swarm", "leave", "--force"])
        {
            eprintln!("the swarm is not left: {error:#}");
        }
    }
}
