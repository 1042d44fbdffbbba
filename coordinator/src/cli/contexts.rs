//! Coordinators an operator knows: addresses, CAs and tokens, in one file that only its owner can read.
//!
//! Flows in: `~/.config/redeploy/contexts.toml`. Flows out: the same, replaced at once or not at all. Must never read a
//! file that others can read, nor print a token.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::exit::Stop;
use crate::durable;

/// No file of ours is larger.
const BYTES_MAX: u64 = 1 << 20;

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contexts {
    /// The one that counts when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(super) contexts: BTreeMap<String, Context>,
}

/// One coordinator.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Context {
    /// HOST:PORT.
    pub(super) coordinator: String,
    /// Certificates to trust, PEM.
    pub(super) ca: String,
    /// The API token.
    pub(super) token: String,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({}, …)", self.coordinator)
    }
}

/// Where the file is, without opening it.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    path: PathBuf,
}

impl Shelf {
    /// That of whoever runs this; `None` if they have no home.
    pub(super) fn of_user() -> Option<Self> {
        let variable =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let config = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")))?;
        Some(Self { path: config.join("redeploy").join("contexts.toml") })
    }

    #[cfg(test)]
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds; nothing if there is no file.
    pub(super) fn read(&self) -> Result<Contexts, Stop> {
        let bad = |why: String| Stop::usage(format!("{}: {why}", self.path.display()));
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contexts::default()),
            Err(error) => return Err(bad(error.to_string())),
        };
        let mode = file.metadata().map_err(|error| bad(error.to_string()))?.permissions().mode();
        if mode & 0o077 != 0 {
            let why =
                format!("others can read it (mode {:o}), and it holds tokens: chmod 600 it", mode & 0o777);
            return Err(bad(why));
        }
        let mut text = String::new();
        file.take(BYTES_MAX).read_to_string(&mut text).map_err(|error| bad(error.to_string()))?;
        // What a parser quotes may be a token.
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| text.get(..span.start).unwrap_or(&text).matches('\n').count() + 1);
            let line = line.map(|line| format!(" (line {line})")).unwrap_or_default();
            bad(format!("it is not in the form `redeployctl login` writes{line}: mend it, or remove it and log in again"))
        })
    }

    /// Changes it. Of two changes at once, one waits.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Contexts) -> Result<T, Stop>) -> Result<T, Stop> {
        let bad = |error: &dyn std::fmt::Display| Stop::refused(format!("{}: {error}", self.path.display()));
        let dir = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| bad(&error))?;
        let lock = self.path.with_extension("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(lock);
        let lock = lock.map_err(|error| bad(&error))?;
        lock.lock().map_err(|error| bad(&error))?;
        let mut contexts = self.read()?;
        let changed = change(&mut contexts)?;
        let text = toml::to_string(&contexts).map_err(|error| bad(&error))?;
        durable::write(&self.path, text.as_bytes()).map_err(|error| bad(&error))?;
        Ok(changed)
    }
}

impl Contexts {
    /// The context of this name, or the current one.
    pub(super) fn named(&self, name: Option<&str>) -> Result<Option<&Context>, Stop> {
        match (name, &self.current) {
            (Some(name), _) => self.contexts.get(name).map(Some).ok_or_else(|| self.missing(name)),
            // One that was edited away counts as none.
            (None, Some(current)) => Ok(self.contexts.get(current)),
            (None, None) => Ok(None),
        }
    }

    pub(super) fn missing(&self, name: &str) -> Stop {
        let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
        let known = if known.is_empty() {
            "there is none: `redeployctl login` makes one".to_owned()
        } else {
            format!("there are: {}", known.join(", "))
        };
        Stop::usage(format!("there is no context {name:?}; {known}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf() -> (Shelf, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        (Shelf::at(dir.path().join("redeploy/contexts.toml")), dir)
    }

    fn context(token: &str) -> Context {
        Context { coordinator: "c:7444".into(), ca: "PEM\n".into(), token: token.into() }
    }

    fn add(shelf: &Shelf, name: &str) {
        let added = shelf.change(|all| {
            all.current = Some(name.to_owned());
            all.contexts.insert(name.to_owned(), context("rda_1"));
            Ok(())
        });
        added.unwrap();
    }

    #[test]
    fn contexts_are_kept_in_a_file_for_their_owner_alone() {
        let (shelf, _dir) = shelf();
        assert!(shelf.read().unwrap().contexts.is_empty());
        add(&shelf, "a");
        add(&shelf, "b");
        let all = shelf.read().unwrap();
        assert_eq!(all.named(None).unwrap(), Some(&context("rda_1")));
        assert_eq!((all.current.as_deref(), all.contexts.len()), (Some("b"), 2));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(shelf.path()), mode(shelf.path().parent().unwrap())), (0o600, 0o700));
        assert!(all.named(Some("x")).unwrap_err().text.contains("there are: a, b"));
        assert!(!format!("{all:?}").contains("rda_1"));
    }

    #[test]
    fn a_file_that_others_can_read_or_that_is_damaged_is_refused_and_not_quoted() {
        let (shelf, _dir) = shelf();
        add(&shelf, "a");
        std::fs::set_permissions(shelf.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = shelf.read().unwrap_err();
        assert!(error.text.contains("chmod 600"), "{}", error.text);
        durable::write(shelf.path(), b"[contexts.a]\ntoken = rda_secret\n").unwrap();
        let error = shelf.read().unwrap_err();
        assert!(error.text.contains("(line 2)") && !error.text.contains("rda_secret"), "{}", error.text);
        assert!(shelf.change(|_| Ok(())).is_err(), "it is not overwritten");
    }
}
