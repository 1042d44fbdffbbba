//! The second look at a preserve list, by somebody who can see the container.
//!
//! Flows in: a list, a way to ask what is at a path, the mount points. Flows out: the list of what is really there
//! to be kept, with remarks on the rest. Pure: whoever calls does the looking.

use std::collections::BTreeSet;

use super::collect::Findings;
use super::finding::{Finding, FindingKind, Severity, shown};
use super::fold::{Folding, fold};
use super::{Folded, Origin, PreserveList};
use crate::guest_path::GuestPath;

/// What is at a path. A symbolic link at the end of it is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathFact {
    /// Nothing.
    Missing,
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A socket, pipe or device.
    Other,
}

/// Drops what is not there or need not be kept, says so, and folds anew.
///
/// `volumes` are the mount points whose data stays with the container: volumes that are mounted again, and binds.
/// Entries inside one are dropped, and each becomes an exclusion, because it is not part of the root.
/// Missing, special or volume-held *defaults* are dropped without a word.
#[must_use]
pub fn settle(
    list: PreserveList,
    facts: &dyn Fn(&GuestPath) -> PathFact,
    volumes: &[GuestPath],
) -> PreserveList {
    let mut look = Look { facts, volumes, found: Vec::new(), links: Vec::new() };
    let mut wanted = Folded::default();
    for entry in list.keep.into_iter().chain(list.folded.keep) {
        if look.is_to_keep(&entry.path, entry.origin) {
            wanted.keep.push(entry);
        }
    }
    for entry in list.backup.into_iter().chain(list.folded.backup) {
        if look.is_to_back_up(&entry.path, entry.line) {
            wanted.backup.push(entry);
        }
    }
    let exclude = list.exclude.into_iter().chain(volumes.iter().cloned()).collect();

    let Look { found, mut links, .. } = look;
    links.sort();
    let Folding { keep, backup, exclude, folded, findings: said } =
        fold(wanted, exclude, &|path| links.binary_search(path).is_ok());

    let lines: BTreeSet<u32> = keep.iter().filter_map(|entry| entry.origin.line()).collect();
    let mut findings =
        Findings::resume(list.findings.into_iter().filter(|finding| still_holds(finding, &lines)));
    for finding in found.into_iter().chain(said) {
        findings.push(finding);
    }
    PreserveList { keep, backup, exclude, folded, findings: findings.finish() }
}

/// Is an earlier finding still true? What folding said is said again; what is said of a kept line goes with it.
fn still_holds(finding: &Finding, kept_lines: &BTreeSet<u32>) -> bool {
    if matches!(finding.kind, FindingKind::AlreadyKept { .. } | FindingKind::KeptAndBackup { .. }) {
        return false;
    }
    let of_kept = matches!(finding.kind, FindingKind::PartlyExcluded { .. });
    !of_kept || finding.line.is_some_and(|line| kept_lines.contains(&line))
}

/// The eyes of [`settle`].
struct Look<'a> {
    facts: &'a dyn Fn(&GuestPath) -> PathFact,
    volumes: &'a [GuestPath],
    found: Vec<Finding>,
    links: Vec<GuestPath>,
}

impl Look<'_> {
    fn is_to_keep(&mut self, path: &GuestPath, origin: Origin) -> bool {
        let line = origin.line();
        let wrong = match self.fact(path) {
            Err(volume) => Some(FindingKind::InsideVolume { volume }),
            Ok(PathFact::Missing) => Some(FindingKind::Missing),
            Ok(PathFact::Other) => Some(FindingKind::SpecialFile),
            Ok(PathFact::Symlink) => {
                self.remark_on_link(path, line);
                self.links.push(path.clone());
                None
            }
            Ok(PathFact::File | PathFact::Dir) => None,
        };
        let keep = wrong.is_none();
        if let (Some(kind), Some(line)) = (wrong, line) {
            self.found.push(Finding::new(kind, Some(line), path.as_bytes()));
        }
        keep
    }

    fn is_to_back_up(&mut self, path: &GuestPath, line: u32) -> bool {
        let wrong = match self.fact(path) {
            Err(volume) => FindingKind::InsideVolume { volume },
            Ok(PathFact::Missing) => FindingKind::Missing,
            Ok(PathFact::Other) => FindingKind::SpecialFile,
            Ok(PathFact::Dir) => FindingKind::BackupIsDirectory,
            Ok(PathFact::Symlink) => {
                self.remark_on_link(path, Some(line));
                return true;
            }
            Ok(PathFact::File) => return true,
        };
        self.found.push(Finding::new(wrong, Some(line), path.as_bytes()));
        false
    }

    /// What is at the path, or the volume it is on.
    fn fact(&self, path: &GuestPath) -> Result<PathFact, String> {
        match self.volumes.iter().find(|volume| path.is_within(volume)) {
            Some(volume) => Err(shown(volume.as_bytes())),
            None => Ok((self.facts)(path)),
        }
    }

    /// Nobody wrote a default's line, so nobody need change it.
    fn remark_on_link(&mut self, path: &GuestPath, line: Option<u32>) {
        let mut finding = Finding::new(FindingKind::Symlink, line, path.as_bytes());
        if line.is_none() {
            finding.severity = Severity::Info;
        }
        self.found.push(finding);
    }
}
