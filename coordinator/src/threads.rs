//! The threads on which the fleet is heard and told, apart from those that answer operators.
//!
//! Ten thousand agents that speak at once keep every core busy for seconds. Operators' calls must not wait behind them: so
//! the sessions and the driver run on a runtime of their own, whose threads give way to others.
//!
//! Flows in: tasks of sessions and driver. Flows out: their handles. Must never run anything an operator waits for.

use std::future::Future;
use std::io;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};
use tokio::task::JoinHandle;

/// How much the fleet's threads give way, as `nice` counts: a thread that answers an operator gets three times as much of
/// a core that both want.
const NICENESS: i32 = 5;

/// The fleet's threads. They end when this is dropped; what still runs on them then is cut off.
#[derive(Debug)]
pub(crate) struct FleetThreads {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl FleetThreads {
    /// As many as there are cores.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name("fleet")
            .on_thread_start(give_way)
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle })
    }

    /// Runs a task on them, and everything it spawns.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn(task)
    }

    /// Where what is made belongs to them: listeners wake the threads they were made for.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }
}

impl Drop for FleetThreads {
    fn drop(&mut self) {
        // To wait for them is forbidden where this may be dropped.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// For the calling thread: on Linux niceness belongs to threads, see setpriority(2), "C library/kernel differences".
fn give_way() {
    let given = getpriority_process(None).and_then(|now| setpriority_process(None, now + NICENESS));
    if let Err(error) = given {
        tracing::debug!(%error, "the fleet's threads do not give way to operators'");
    }
}
