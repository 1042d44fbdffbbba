//! Folds entries that lie inside another one, by one walk over all paths in tree order.
//!
//! Flows in: what was asked for, and what is excluded. Flows out: the fewest entries that keep the same, those that
//! fell to their ancestors, and remarks. The nearest entry or exclusion above a path decides about it.

use super::finding::{Finding, FindingKind, shown};
use super::{BackupEntry, Folded, KeepEntry};
use crate::guest_path::GuestPath;

/// The outcome.
pub(super) struct Folding {
    pub(super) keep: Vec<KeepEntry>,
    pub(super) backup: Vec<BackupEntry>,
    pub(super) exclude: Vec<GuestPath>,
    pub(super) folded: Folded,
    pub(super) findings: Vec<Finding>,
}

/// Something at a path.
enum Mark {
    Exclude(GuestPath),
    Keep(KeepEntry),
    Backup(BackupEntry),
}

/// A path above the one at hand, and what it means for what is below it.
struct Above {
    path: GuestPath,
    reach: Reach,
}

#[derive(PartialEq)]
enum Reach {
    /// Everything below is kept.
    All,
    /// Kept, but nothing is below it: a symbolic link.
    ItselfOnly,
    /// Nothing below is kept.
    Nothing,
}

/// Folds; `is_link` knows which kept paths are symbolic links (what is "below" those is elsewhere).
pub(super) fn fold(
    wanted: Folded,
    mut exclude: Vec<GuestPath>,
    is_link: &dyn Fn(&GuestPath) -> bool,
) -> Folding {
    let kept: std::collections::BTreeSet<&GuestPath> = wanted.keep.iter().map(|entry| &entry.path).collect();
    exclude.retain(|path| !kept.contains(path));
    exclude.sort();
    exclude.dedup();

    let mut folding = Folding {
        keep: Vec::new(),
        backup: Vec::new(),
        exclude: exclude.clone(),
        folded: Folded::default(),
        findings: Vec::new(),
    };
    let mut above: Vec<Above> = Vec::new();
    for mark in in_tree_order(wanted, exclude) {
        while above.last().is_some_and(|above| !mark.path().is_within(&above.path)) {
            above.pop();
        }
        let keeper = above.last().filter(|above| above.keeps(mark.path())).map(|above| &above.path);
        if let Some(below) = folding.place(mark, keeper, is_link) {
            above.push(below);
        }
    }
    folding
}

fn in_tree_order(wanted: Folded, exclude: Vec<GuestPath>) -> Vec<Mark> {
    let mut marks: Vec<Mark> = exclude.into_iter().map(Mark::Exclude).collect();
    marks.extend(wanted.keep.into_iter().map(Mark::Keep));
    marks.extend(wanted.backup.into_iter().map(Mark::Backup));
    // Stable: among equal paths the order above stays.
    marks.sort_by(|a, b| a.path().cmp(b.path()));
    marks
}

impl Mark {
    fn path(&self) -> &GuestPath {
        match self {
            Self::Exclude(path) => path,
            Self::Keep(entry) => &entry.path,
            Self::Backup(entry) => &entry.path,
        }
    }
}

impl Above {
    fn keeps(&self, path: &GuestPath) -> bool {
        match self.reach {
            Reach::All => true,
            Reach::ItselfOnly => self.path == *path,
            Reach::Nothing => false,
        }
    }
}

impl Folding {
    /// Puts one mark where it belongs; the answer is what it means for the paths below it, if anything.
    fn place(
        &mut self,
        mark: Mark,
        keeper: Option<&GuestPath>,
        is_link: &dyn Fn(&GuestPath) -> bool,
    ) -> Option<Above> {
        match (mark, keeper) {
            (Mark::Exclude(path), _) => return Some(Above { path, reach: Reach::Nothing }),
            (Mark::Keep(entry), None) => {
                let reach = if is_link(&entry.path) { Reach::ItselfOnly } else { Reach::All };
                let path = entry.path.clone();
                self.keep.push(entry);
                return Some(Above { path, reach });
            }
            (Mark::Keep(entry), Some(by)) => {
                if entry.origin.line().is_some() {
                    let kind = FindingKind::AlreadyKept { by: shown(by.as_bytes()) };
                    self.findings.push(Finding::new(kind, entry.origin.line(), entry.path.as_bytes()));
                }
                self.folded.keep.push(entry);
            }
            (Mark::Backup(entry), None) => self.backup.push(entry),
            (Mark::Backup(entry), Some(by)) => {
                let kind = FindingKind::KeptAndBackup { by: shown(by.as_bytes()) };
                self.findings.push(Finding::new(kind, Some(entry.line), entry.path.as_bytes()));
                self.folded.backup.push(entry);
            }
        }
        None
    }
}
