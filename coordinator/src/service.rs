//! What the service manager is told: ready, alive, stopping. Without one nothing is told.
//!
//! Flows in: `NOTIFY_SOCKET` and `WATCHDOG_USEC`, which systemd sets, and the server's pulse. Flows out: datagrams. Must
//! never say that it is alive because a timer still runs: only a driver that answers counts.

use redeploy_coordinator::server::Pulse;
use sd_notify::NotifyState;

/// The ports are open, and everything stored is known again.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It was asked to stop.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says that it is alive, twice in the time after which the manager would act, each time the driver has answered. Never
/// returns.
pub(crate) async fn keep_alive(pulse: &Pulse) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut beat = tokio::time::interval(limit / 2);
    loop {
        beat.tick().await;
        match tokio::time::timeout(limit, pulse.beats()).await {
            Ok(connected) => {
                let status = format!("{connected} hosts connected");
                tell(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
            }
            Err(_) => tracing::error!(
                "the driver does not answer; the service manager is not told that all is well"
            ),
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
