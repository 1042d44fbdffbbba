//! A child process whose output is gathered while it runs and which never outlives its deadline or its owner.
//!
//! Flows in: a command. Flows out: exit code or signal, both outputs, how long it took. Must never block on a
//! full pipe and never leave a child running.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::wait;

/// How a child ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was run, for messages.
    pub command: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Everything it wrote to its standard output.
    pub stdout: String,
    /// Everything it wrote to its standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Outcome {
    /// Insists on an exit code.
    ///
    /// # Errors
    /// Another code or a signal; the error carries both outputs.
    pub fn expect_code_of(self, codes: &[i32]) -> Result<Self> {
        ensure!(
            self.code.is_some_and(|code| codes.contains(&code)),
            "expected one of {codes:?}\n{}",
            self.describe()
        );
        Ok(self)
    }

    /// The outcome, if this was its exit code.
    ///
    /// # Errors
    /// It was another one; both outputs are in the error.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        ensure!(self.code == Some(code), "expected exit code {code}: {}", self.describe());
        Ok(self)
    }

    /// The standard output as one JSON document.
    ///
    /// # Errors
    /// It is none; the error carries both outputs.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| self.describe())
    }

    /// Everything a reader of a failed test wants to see.
    #[must_use]
    pub fn describe(&self) -> String {
        let Self { command, code, signal, stdout, stderr, took } = self;
        format!(
            "`{command}` ended with code {code:?}, signal {signal:?} after {took:?}\n\
             --- stdout\n{stdout}\n--- stderr\n{stderr}"
        )
    }
}

/// A child that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    command: String,
    child: Child,
    started: Instant,
    stdout: Gathered,
    stderr: Gathered,
}

impl Running {
    /// Starts the command with its outputs gathered and nothing to read.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(mut command: Command) -> Result<Self> {
        let words: Vec<_> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let words = words.join(" ");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{words}`"))?;
        let stdout = Gathered::from(child.stdout.take().context("no pipe for stdout")?);
        let stderr = Gathered::from(child.stderr.take().context("no pipe for stderr")?);
        Ok(Self { command: words, child, started: Instant::now(), stdout, stderr })
    }

    /// What it has written to its standard output by now.
    #[must_use]
    pub fn stdout_so_far(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to its standard error by now.
    #[must_use]
    pub fn stderr_so_far(&self) -> String {
        self.stderr.text()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has it come to its end by itself?
    ///
    /// # Errors
    /// The kernel refused.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Asks it to stop, as Ctrl-C or a service manager does (SIGTERM).
    ///
    /// # Errors
    /// The kernel refused.
    pub fn terminate(&self) -> Result<()> {
        let id = rustix::process::Pid::from_child(&self.child);
        Ok(rustix::process::kill_process(id, rustix::process::Signal::TERM)?)
    }

    /// Waits for the end; a child still there at the deadline is killed.
    ///
    /// # Errors
    /// The deadline passed; the error carries what was written until then.
    pub fn wait(mut self, deadline: Duration) -> Result<Outcome> {
        let child = &mut self.child;
        let ended = wait::eventually(deadline, "the end of a process", || Ok(child.try_wait()?));
        match ended {
            Ok(status) => Ok(self.finish(status)),
            Err(late) => {
                let outcome = self.kill()?;
                Err(late.context(outcome.describe()))
            }
        }
    }

    /// Kills it with SIGKILL, as a power cut would.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn kill(mut self) -> Result<Outcome> {
        self.child.kill()?;
        let status = self.child.wait()?;
        Ok(self.finish(status))
    }

    fn finish(&mut self, status: ExitStatus) -> Outcome {
        self.stdout.join();
        self.stderr.join();
        Outcome {
            command: self.command.clone(),
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            took: self.started.elapsed(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bytes of a pipe, read by a thread as they come.
#[derive(Debug)]
struct Gathered {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Gathered {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shelf = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                let new = buffer.get(..count).unwrap_or_default();
                shelf.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(new);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits for the end of the pipe.
    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            // The reader cannot panic; if it did, its text is what was read until then.
            let _ = reader.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Running::spawn(command).unwrap()
    }

    #[test]
    fn both_outputs_and_the_code_come_back_however_much_is_written() {
        let outcome = shell("head -c 300000 /dev/zero; echo bad >&2; exit 3").wait(wait::PATIENCE).unwrap();
        assert_eq!((outcome.code, outcome.signal), (Some(3), None));
        assert_eq!((outcome.stdout.len(), outcome.stderr.as_str()), (300_000, "bad\n"));
        let error = outcome.expect_code(0).unwrap_err().to_string();
        assert!(error.contains("code Some(3)") && error.contains("bad"), "{error}");
    }

    #[test]
    fn a_late_child_is_killed_and_what_it_said_is_told() {
        let running = shell("echo started; exec sleep 1000");
        wait::until(wait::PATIENCE, "its first line", || Ok(running.stdout_so_far() == "started\n")).unwrap();
        let error = format!("{:#}", running.wait(Duration::from_millis(50)).unwrap_err());
        assert!(error.contains("signal Some(9)") && error.contains("started"), "{error}");
    }

    #[test]
    fn a_dropped_child_ends() {
        let running = shell("exec sleep 1000");
        let process = std::path::PathBuf::from(format!("/proc/{}", running.id()));
        assert!(process.exists());
        drop(running);
        assert!(!process.exists());
    }
}
