//! What a container's `/etc/jelastic/redeploy.conf` asks to be preserved.
//!
//! Flows in: the bytes of that file, which any user of the container may write, and the default lists. Flows out: a
//! preserve list whose paths are valid, with remarks. Must never fail, never touch a file system, never guess, and
//! never work longer than a file of [`CONF_BYTES_MAX`] takes.
//!
//! One entry a line: `/path` is kept, `backup:/path` is copied to `/path.backup`, `#` begins a comment line.
//! `parse` reads the text; `settle` drops what turns out not to be there.

mod collect;
mod defaults;
mod finding;
mod fold;
mod home;
mod line;
mod settle;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::collect::Findings;
pub use self::defaults::Defaults;
pub use self::finding::{FINDINGS_MAX, Finding, FindingKind, Severity};
use self::fold::{Folding, fold};
pub use self::home::home_of;
use self::line::Request;
pub use self::settle::{PathFact, settle};
use crate::guest_path::GuestPath;

/// Where the file is in every container.
pub const CONF_PATH: &str = "/etc/jelastic/redeploy.conf";

/// How much of the file counts. Who reads it should read one byte more, so that a longer file is noticed.
pub const CONF_BYTES_MAX: u64 = 1 << 20;

/// How many different paths may be listed.
pub const ENTRIES_MAX: usize = 10_000;

/// What is preserved of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreserveList {
    /// Kept with all that is below them; sorted. One is inside another only with an exclusion, or a symbolic link,
    /// between them.
    pub keep: Vec<KeepEntry>,
    /// Files to be copied to `PATH.backup`; sorted, none of them kept.
    pub backup: Vec<BackupEntry>,
    /// Not kept although inside a kept directory: the image's, the engine's and, once settled, volumes; sorted.
    pub exclude: Vec<GuestPath>,
    /// Entries that another one makes needless. [`settle`] takes them up again if that one is a symbolic link.
    #[serde(default, skip_serializing_if = "Folded::is_empty")]
    pub folded: Folded,
    /// Remarks, by line.
    pub findings: Vec<Finding>,
}

/// A path to keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepEntry {
    /// File or directory.
    pub path: GuestPath,
    /// Who asked for it.
    pub origin: Origin,
}

/// A file to copy to its `.backup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupEntry {
    /// The file.
    pub path: GuestPath,
    /// Line of redeploy.conf, from 1.
    pub line: u32,
}

/// Who asked for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A line of redeploy.conf, from 1.
    Line(u32),
    /// The default lists.
    Default,
    /// Nobody needs to: redeploy.conf itself.
    AlwaysKept,
    /// Compose, which put the file there before the container's first start.
    Compose,
}

/// Entries that are part of others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folded {
    /// Inside kept directories.
    pub keep: Vec<KeepEntry>,
    /// Kept, therefore not copied.
    pub backup: Vec<BackupEntry>,
}

/// Reads a redeploy.conf. `home` is the home of the image's user ([`home_of`]).
#[must_use]
pub fn parse(text: &[u8], home: Option<&GuestPath>, defaults: &Defaults) -> PreserveList {
    let mut reading = Reading::new(defaults);
    let (text, is_cut) = within_limit(text);
    if is_cut {
        reading.findings.push(Finding::on_file(FindingKind::TooLong));
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        reading.read(number, line, home);
    }
    reading.finish()
}

/// The list of a container without a redeploy.conf: the defaults.
#[must_use]
pub fn without_file(defaults: &Defaults) -> PreserveList {
    Reading::new(defaults).finish()
}

/// The lines that are complete within [`CONF_BYTES_MAX`], and whether there is more.
fn within_limit(text: &[u8]) -> (&[u8], bool) {
    let max = usize::try_from(CONF_BYTES_MAX).unwrap_or(usize::MAX);
    let Some((head, _)) = text.split_at_checked(max).filter(|(_, rest)| !rest.is_empty()) else {
        return (text, false);
    };
    let end = head.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    (head.get(..end).unwrap_or_default(), true)
}

/// The state between two lines.
struct Reading<'a> {
    defaults: &'a Defaults,
    keep: BTreeMap<GuestPath, u32>,
    backup: BTreeMap<GuestPath, u32>,
    is_full: bool,
    findings: Findings,
}

impl<'a> Reading<'a> {
    fn new(defaults: &'a Defaults) -> Self {
        Self {
            defaults,
            keep: BTreeMap::new(),
            backup: BTreeMap::new(),
            is_full: false,
            findings: Findings::default(),
        }
    }

    fn read(&mut self, number: u32, line: &[u8], home: Option<&GuestPath>) {
        let outcome = match line::read(line, home) {
            Ok(None) => return,
            Ok(Some(request)) => self.admit(number, request),
            Err(kind) => Err(kind),
        };
        if let Err(kind) = outcome {
            self.findings.push(Finding::new(kind, Some(number), line.trim_ascii()));
        }
    }

    fn admit(&mut self, number: u32, request: Request) -> Result<(), FindingKind> {
        let Request { path, backup, remarks } = request;
        if path.is_root() {
            return Err(if backup { FindingKind::BackupIsDirectory } else { FindingKind::Root });
        }
        if self.defaults.is_engine_owned(&path) {
            return Err(FindingKind::EngineOwned);
        }
        let count = self.keep.len() + self.backup.len();
        let shelf = if backup { &mut self.backup } else { &mut self.keep };
        if let Some(first_line) = shelf.get(&path) {
            return Err(FindingKind::Duplicate { first_line: *first_line });
        }
        if count >= ENTRIES_MAX {
            let is_first = !std::mem::replace(&mut self.is_full, true);
            return if is_first { Err(FindingKind::TooManyEntries) } else { Ok(()) };
        }
        for kind in remarks {
            self.findings.push(Finding::new(kind, Some(number), path.as_bytes()));
        }
        shelf.insert(path, number);
        Ok(())
    }

    fn finish(self) -> PreserveList {
        let Self { defaults, keep, backup, mut findings, .. } = self;
        let wanted = Folded {
            keep: with_defaults(keep, defaults),
            backup: backup.into_iter().map(|(path, line)| BackupEntry { path, line }).collect(),
        };
        let exclude = [defaults.exclude.as_slice(), &defaults.engine_owned].concat();
        let Folding { keep, backup, exclude, folded, findings: said } = fold(wanted, exclude, &|_| false);
        for finding in said.into_iter().chain(partly_excluded(&keep, &exclude, defaults)) {
            findings.push(finding);
        }
        PreserveList { keep, backup, exclude, folded, findings: findings.finish() }
    }
}

/// Lines take the place of equal defaults: who wrote one wants to hear about it.
fn with_defaults(lines: BTreeMap<GuestPath, u32>, defaults: &Defaults) -> Vec<KeepEntry> {
    let usable = |path: &&GuestPath| !path.is_root() && !defaults.is_engine_owned(path);
    let mut keep: BTreeMap<GuestPath, Origin> =
        defaults.keep.iter().filter(usable).map(|path| (path.clone(), Origin::Default)).collect();
    keep.extend(lines.into_iter().map(|(path, line)| (path, Origin::Line(line))));
    if let Ok(conf) = GuestPath::new(CONF_PATH) {
        keep.insert(conf, Origin::AlwaysKept);
    }
    keep.into_iter().map(|(path, origin)| KeepEntry { path, origin }).collect()
}

/// Tells who lists a directory that a part of it is the image's. That /etc holds engine-owned files goes unsaid.
fn partly_excluded<'a>(
    keep: &'a [KeepEntry],
    exclude: &'a [GuestPath],
    defaults: &'a Defaults,
) -> impl Iterator<Item = Finding> + 'a {
    keep.iter().flat_map(move |entry| {
        let line = entry.origin.line();
        let inside = exclude.iter().filter(move |path| {
            line.is_some() && path.is_within(&entry.path) && !defaults.is_engine_owned(path)
        });
        inside.map(move |path| {
            let kind = FindingKind::PartlyExcluded { excluded: finding::shown(path.as_bytes()) };
            Finding::new(kind, line, entry.path.as_bytes())
        })
    })
}

impl Origin {
    /// The line of redeploy.conf, if it was one.
    #[must_use]
    pub fn line(self) -> Option<u32> {
        match self {
            Self::Line(line) => Some(line),
            Self::Default | Self::AlwaysKept | Self::Compose => None,
        }
    }
}

impl PreserveList {
    /// The list of something that keeps nothing by path.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            keep: Vec::new(),
            backup: Vec::new(),
            exclude: Vec::new(),
            folded: Folded::default(),
            findings: Vec::new(),
        }
    }

    /// Will `path` be kept? The nearest entry or exclusion at or above it decides.
    #[must_use]
    pub fn keeps(&self, path: &GuestPath) -> bool {
        let mut at = Some(path.clone());
        while let Some(path) = at {
            if self.keep.binary_search_by(|entry| entry.path.cmp(&path)).is_ok() {
                return true;
            }
            if self.exclude.binary_search(&path).is_ok() {
                return false;
            }
            at = path.parent();
        }
        false
    }
}

impl Folded {
    /// Is nothing in it?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keep.is_empty() && self.backup.is_empty()
    }
}

#[cfg(test)]
mod tests;
