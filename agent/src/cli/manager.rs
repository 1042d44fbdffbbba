//! What the service manager is told of `run`: ready, alive, stopping; and a collector of traces, of what is over.
//!
//! Flows in: `NOTIFY_SOCKET` and `WATCHDOG_USEC`, which systemd sets. Flows out: datagrams; without a manager none. Must
//! never let an engine or a coordinator that does not answer look like an agent that is dead: it is the one that puts
//! things back.

use std::sync::{Arc, Once};
use std::time::Duration;

use redeploy_agent::session::Onlooker;
use redeploy_trace::{Span, Traces};
use sd_notify::NotifyState;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::units::one_line;

/// How often the manager is told that stopping goes on, and how much longer it may take each time. An undo takes what
/// it takes.
const STOPPING_BEAT: Duration = Duration::from_secs(10);
const STOPPING_MORE_US: u32 = 60_000_000;

/// The service manager and the collector.
pub(crate) struct Manager {
    traces: Option<Arc<Traces>>,
}

/// Tells that the program is alive, or that it is stopping, until this is dropped.
pub(crate) struct Alive {
    beats: JoinHandle<()>,
    stopping: Arc<Once>,
}

impl Manager {
    pub(crate) fn new(traces: Option<Traces>) -> Self {
        Self { traces: traces.map(Arc::new) }
    }

    /// Says that the program is alive as long as its tasks get their turns. From `stop` on, that it is stopping.
    pub(crate) fn keep_alive(stop: CancellationToken) -> Alive {
        let stopping = Arc::new(Once::new());
        let said = Arc::clone(&stopping);
        let beats = tokio::spawn(async move {
            let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
            tokio::select! {
                () = beat(watchdog, &[NotifyState::Watchdog]) => {}
                () = stop.cancelled() => {}
            }
            say_stopping(&said);
            let every = watchdog.map_or(STOPPING_BEAT, |half| half.min(STOPPING_BEAT));
            let alive = watchdog.map(|_| NotifyState::Watchdog);
            let longer = NotifyState::ExtendTimeoutUsec(STOPPING_MORE_US);
            let states: Vec<NotifyState> = alive.into_iter().chain([longer]).collect();
            beat(Some(every), &states).await;
        });
        Alive { beats, stopping }
    }

    /// Sends what was not sent.
    pub(crate) async fn close(&self) {
        if let Some(traces) = self.traces.clone() {
            // A task that panicked has said so.
            let _ = tokio::task::spawn_blocking(move || traces.close()).await;
        }
    }
}

impl Onlooker for Manager {
    fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    fn status(&self, text: &str) {
        // Each line of a datagram is an order to the manager.
        tell(&[NotifyState::Status(&one_line(text))]);
    }

    fn collects(&self) -> bool {
        self.traces.is_some()
    }

    fn over(&self, spans: Vec<Span>) {
        if let Some(traces) = &self.traces {
            traces.tell(spans);
        }
    }
}

impl Drop for Alive {
    /// What had nothing to finish is over before its beats got their turn to say that it is stopping.
    fn drop(&mut self) {
        self.beats.abort();
        say_stopping(&self.stopping);
    }
}

fn say_stopping(said: &Once) {
    said.call_once(|| tell(&[NotifyState::Stopping]));
}

/// Tells these states each time. With no time between them, nothing, for ever.
async fn beat(every: Option<Duration>, states: &[NotifyState<'_>]) {
    let Some(every) = every else { return std::future::pending().await };
    let mut beat = tokio::time::interval(every);
    loop {
        beat.tick().await;
        tell(states);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
