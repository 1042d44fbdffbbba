//! One agent per data directory: an advisory lock that the kernel lets go of when the process ends, however.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

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
        Ok(Self { _file: file })
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
}
