//! Ctrl-C and SIGTERM: the first asks the saga to go back, no number of them ever kills an undo. A terminal that
//! hangs up counts too, or a lost connection would leave the service wherever it was.

use indicatif::MultiProgress;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::logging::say;

/// What the first signal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Go back.
    GoBack,
    /// Stop serving; what is under way goes back.
    StopServing,
    /// Nothing: what an interrupted process left open is brought to its end.
    GoOn,
}

/// Listens until it is dropped.
pub(crate) struct Listening(JoinHandle<()>);

/// From here on signals set `cancel`, unless nothing may be stopped, and say so above the live list.
///
/// # Errors
/// The signals cannot be listened to.
pub(crate) fn listen(
    manner: Manner,
    cancel: CancellationToken,
    screen: MultiProgress,
) -> std::io::Result<Listening> {
    let mut signals =
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    Ok(Listening(tokio::spawn(async move {
        while any(&mut signals).await {
            say(&screen, heard(manner, cancel.is_cancelled()));
            match manner {
                Manner::GoBack | Manner::StopServing => cancel.cancel(),
                Manner::GoOn => {}
            }
        }
    })))
}

async fn any(signals: &mut [Signal; 3]) -> bool {
    let [interrupt, terminate, hangup] = signals;
    tokio::select! {
        heard = interrupt.recv() => heard.is_some(),
        heard = terminate.recv() => heard.is_some(),
        heard = hangup.recv() => heard.is_some(),
    }
}

fn heard(manner: Manner, again: bool) -> &'static str {
    match (manner, again) {
        (Manner::GoBack, false) => "stopping: putting everything back…",
        (Manner::StopServing, false) => "stopping: what is under way is put back…",
        (Manner::GoBack | Manner::StopServing, true) => {
            "already stopping; what has begun is ended properly, please wait"
        }
        (Manner::GoOn, _) => "this cannot be stopped half way, please wait",
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}
