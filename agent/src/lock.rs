//! One agent per data directory: an advisory lock that the kernel lets go of when the process ends, however.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::durable::{self, DurableError};
use crate::paths::DataDir;

/// Held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The lock was not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("another redeploy-agent (process {holder}) works with {path}: wait for it, or use another data directory",
        path = path.display())]
    Held {
        /// The data directory.
        path: PathBuf,
        /// Its process id, as far as the lock file tells.
        holder: String,
    },
    /// The data directory cannot be made.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The lock file cannot be opened.
    #[error("cannot open the lock file {path}", path = path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Lock {
    /// Takes the lock, or says at once who has it. Creates the data directory.
    ///
    /// # Errors
    /// [`LockError`]
    pub fn take(data: &DataDir) -> Result<Self, LockError> {
        durable::create_dir(data.root())?;
        durable::create_dir(&data.redeploys())?;
        let path = data.lock();
        let io = |source| LockError::Io { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let read = (&mut file).take(20).read_to_string(&mut holder);
            let known = read.is_ok() && !holder.trim().is_empty();
            let holder = if known { holder.trim().to_owned() } else { "unknown".to_owned() };
            return Err(LockError::Held { path: data.root().to_owned(), holder });
        }
        // The number is for people who are refused; the lock does not depend on it.
        let written = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        written.map_err(io)?;
        sweep(&data.scratch());
        Ok(Self { _file: file })
    }
}

/// Removes what a process that was killed left here. Whoever is still at work, a `plan`, has its directory locked.
fn sweep(scratch: &Path) {
    for entry in std::fs::read_dir(scratch).into_iter().flatten().flatten() {
        let path = entry.path();
        let unused = |dir: File| flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok();
        if entry.file_type().is_ok_and(|kind| kind.is_dir())
            && File::open(&path).is_ok_and(unused)
            && let Err(error) = durable::remove_dir(&path)
        {
            tracing::warn!(%error, "scratch files are left");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_it_and_gets_it_later() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path().join("data"));
        let first = Lock::take(&data).unwrap();
        let error = Lock::take(&data).unwrap_err();
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(first);
        Lock::take(&data).unwrap();
    }

    #[test]
    fn what_a_killed_process_left_goes_and_what_is_in_use_stays() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let (left, used) = (data.scratch().join("left"), data.scratch().join("used"));
        durable::create_dir(&left).unwrap();
        durable::write(&left.join("0.yml"), b"secret").unwrap();
        durable::create_dir(&used).unwrap();
        let user = File::open(&used).unwrap();
        flock(&user, FlockOperation::NonBlockingLockShared).unwrap();
        Lock::take(&data).unwrap();
        assert_eq!((left.exists(), used.exists()), (false, true));
    }
}
