//! Holding a container that the engine removes when it stops (`--rm`), so that its root can still be read then.
//!
//! Flows in: a running container. Flows out: a [`Hold`]. An upload into the container is begun and kept open: the engine
//! locks the container for as long, so it cannot take note of its end, and what it would do after waits. The program is
//! sent its stop signal past the engine. Must never send a signal before the engine is seen to be held, and never to
//! another process than the container's.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, pidfd_send_signal};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::real::RealEngine;
use super::root_access::{empty_upload, on_disk, restore_mtime, upper_mtime};
use super::transport::{bad_answer, segment};
use super::{Container, EngineError};

/// A held container. The engine is let go when this is dropped, or when the process ends.
#[async_trait]
pub trait Hold: Send + Sync {
    /// Sends the container's program its stop signal, after its grace period SIGKILL, and returns when it has ended.
    async fn stop(&self) -> Result<(), EngineError>;

    /// Has the engine still not taken note of anything?
    fn stands(&self) -> bool;
}

/// The engine's answer to a question about a container that it has locked stays out. One that has not come after this
/// long is taken for that; should it come later, the hold does not stand.
const SILENCE: Duration = Duration::from_millis(500);

/// How long the engine may take to begin an upload.
const BEGIN_DEADLINE: Duration = Duration::from_secs(20);

/// Beyond this nobody holds an engine, whatever the last round takes.
const HOLD_DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// How often the program is looked at while it ends.
const END_POLL: Duration = Duration::from_millis(5);

/// What the kernel may need after SIGKILL.
const KILL_DEADLINE: Duration = Duration::from_secs(60);

/// The engine's own grace period for a container that names none.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A hold on a container of a real engine.
struct RealHold {
    name: String,
    /// `/proc/PID` of the container's first process: it stays that process's, whoever gets the number next.
    process: Arc<OwnedFd>,
    signal: Signal,
    /// `None` for ever.
    grace: Option<Duration>,
    stands: Arc<AtomicBool>,
    _engine: AbortOnDropHandle<()>,
}

/// See [`super::Engine::hold`].
pub(super) async fn hold(engine: &RealEngine, id: &str) -> Result<Box<dyn Hold>, EngineError> {
    let Some(container) = engine.inspect(id).await? else { return Err(not_held(id, "it does not exist")) };
    let name = container.name().to_owned();
    let signal = stop_signal(&container).ok_or_else(|| not_held(&name, "its stop signal is not known"))?;
    let (host, pid) = (engine.host().clone(), container.pid());
    if pid == 0 {
        return Err(not_held(&name, "it does not run"));
    }
    let process = on_disk(&name, move || host.open_process(pid)).await?;
    let host = engine.host().clone();
    let root = on_disk(&name, move || host.open_process_root(pid)).await?;
    // Only now the number is sure to have been this container's.
    let again = engine.inspect(id).await?;
    if again.is_none_or(|again| (again.pid(), again.started_at()) != (pid, container.started_at())) {
        return Err(not_held(&name, "it was started or stopped meanwhile"));
    }
    let mtime = upper_mtime(engine.host().clone(), &container).await?;
    let stands = Arc::new(AtomicBool::new(true));
    let task = keep_engine(engine, container.id(), &name, Arc::clone(&stands)).await?;
    if let Some(mtime) = mtime {
        // The engine has made and removed a directory in `/` for the upload.
        on_disk(&name, move || restore_mtime(&root, mtime)).await?;
    }
    let grace = container.raw()["Config"]["StopTimeout"].as_i64();
    let grace =
        grace.map_or(Some(STOP_GRACE), |seconds| u64::try_from(seconds).ok().map(Duration::from_secs));
    Ok(Box::new(RealHold { name, process: Arc::new(process), signal, grace, stands, _engine: task }))
}

/// Begins the upload, and returns once the engine is seen to be held by it. Dropping the task lets go.
async fn keep_engine(
    engine: &RealEngine,
    id: &str,
    name: &str,
    stands: Arc<AtomicBool>,
) -> Result<AbortOnDropHandle<()>, EngineError> {
    let action = format!("hold container {name}");
    let [first, _] = empty_upload();
    let url = format!("/containers/{}/archive?path=%2F", segment(id));
    let mut upload = engine.client().upload(&action, &url, first, HOLD_DEADLINE);
    let (client, question) = (engine.client().clone(), format!("/containers/{}/json", segment(id)));
    let deadline = Instant::now() + BEGIN_DEADLINE;
    let (client, asked) = (client, action.clone());
    let ask = move || {
        let (client, question, action) = (client.clone(), question.clone(), asked.clone());
        async move { client.request(&action, Method::GET, &question, None, HOLD_DEADLINE).await }
    };
    let mut answer = Box::pin(ask());
    loop {
        tokio::select! {
            refused = &mut upload => {
                refused?.accepted(&action)?;
                return Err(bad_answer(&action, "it ended an upload that had not ended"));
            }
            early = &mut answer => {
                early?;
                if Instant::now() > deadline {
                    return Err(not_held(name, "the engine does not wait for an upload"));
                }
                tokio::time::sleep(END_POLL).await;
                answer = Box::pin(ask());
            }
            () = tokio::time::sleep(SILENCE) => break,
        }
    }
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::select! { _ = &mut upload => {}, _ = &mut answer => {} }
        stands.store(false, Ordering::SeqCst);
    })))
}

/// The signal that a container's program is asked to end with; `None` for one that cannot be sent.
pub(super) fn stop_signal(container: &Container) -> Option<Signal> {
    const NAMED: [(&str, Signal); 16] = [
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("ABRT", Signal::ABORT),
        ("KILL", Signal::KILL),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("PIPE", Signal::PIPE),
        ("ALRM", Signal::ALARM),
        ("TERM", Signal::TERM),
        ("CHLD", Signal::CHILD),
        ("CONT", Signal::CONT),
        ("WINCH", Signal::WINCH),
        ("IO", Signal::IO),
        ("PWR", Signal::POWER),
        ("SYS", Signal::SYS),
    ];
    let text = container.raw()["Config"]["StopSignal"].as_str().filter(|text| !text.is_empty());
    let Some(text) = text else { return Some(Signal::TERM) };
    if let Ok(number) = text.parse() {
        return Signal::from_named_raw(number);
    }
    let upper = text.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMED.iter().find(|(name, _)| *name == short).map(|(_, signal)| *signal)
}

fn not_held(name: &str, detail: &str) -> EngineError {
    EngineError::NotHeld { name: name.to_owned(), detail: detail.to_owned() }
}

/// Has the process of this `/proc/PID` ended, and been taken note of by its parent?
fn has_ended(process: &OwnedFd) -> io::Result<bool> {
    let gone = |errno| matches!(errno, rustix::io::Errno::SRCH | rustix::io::Errno::NOENT);
    match rustix::fs::openat(process, "stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Err(errno) if gone(errno) => Ok(true),
        Err(errno) => Err(errno.into()),
        Ok(file) => match std::fs::File::from(file).read(&mut [0; 64]) {
            Err(error)
                if error
                    .raw_os_error()
                    .is_some_and(|raw| gone(rustix::io::Errno::from_raw_os_error(raw))) =>
            {
                Ok(true)
            }
            Err(error) => Err(error),
            Ok(_) => Ok(false),
        },
    }
}

// === impl RealHold ===

impl RealHold {
    async fn send(&self, signal: Signal) -> Result<(), EngineError> {
        let process = Arc::clone(&self.process);
        on_disk(&self.name, move || match pidfd_send_signal(process.as_fd(), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        })
        .await
    }

    /// Waits for the program's end; `false` if it has not come by then.
    async fn ends_within(&self, grace: Option<Duration>) -> Result<bool, EngineError> {
        let began = Instant::now();
        loop {
            let process = Arc::clone(&self.process);
            if on_disk(&self.name, move || has_ended(&process)).await? {
                return Ok(true);
            }
            if grace.is_some_and(|grace| began.elapsed() > grace) {
                return Ok(false);
            }
            tokio::time::sleep(END_POLL).await;
        }
    }
}

#[async_trait]
impl Hold for RealHold {
    async fn stop(&self) -> Result<(), EngineError> {
        self.send(self.signal).await?;
        if self.ends_within(self.grace).await? {
            return Ok(());
        }
        self.send(Signal::KILL).await?;
        match self.ends_within(Some(KILL_DEADLINE)).await? {
            true => Ok(()),
            false => {
                let action = format!("see container {} end", self.name);
                Err(EngineError::TimedOut { action, seconds: KILL_DEADLINE.as_secs() })
            }
        }
    }

    fn stands(&self) -> bool {
        self.stands.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_stop_signal_is_known_by_name_and_by_number() {
        let signal = |text: &str| stop_signal(&Container::new(json!({ "Config": { "StopSignal": text } })));
        assert_eq!(signal(""), Some(Signal::TERM));
        assert_eq!(signal("SIGINT"), Some(Signal::INT));
        assert_eq!(signal("quit"), Some(Signal::QUIT));
        assert_eq!(signal("15"), Some(Signal::TERM));
        assert_eq!(signal("SIGRTMIN+3"), None);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it takes a process to see one end")]
    fn a_process_has_ended_when_its_parent_took_note() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let view = super::super::HostView::at("/");
        let process = view.open_process(i64::from(child.id())).unwrap();
        assert!(!has_ended(&process).unwrap());
        pidfd_send_signal(&process, Signal::KILL).unwrap();
        child.wait().unwrap();
        assert!(has_ended(&process).unwrap());
    }
}
