//! What the operator should know before saying yes: warnings, and what nothing keeps. Pure.

use std::collections::BTreeSet;

use super::archives::{mount_targets, others_using};
use super::{Coverage, Request};
use crate::docker::{ChangeKind, MountKind};
use crate::guest_path::GuestPath;
use crate::image::Fetched;
use crate::observe::Observed;
use crate::preserve::Severity;
use crate::recreate::{self, Recreation};

/// How many uncovered paths a plan lists.
const NOT_KEPT_LISTED: usize = 200;

pub(super) fn warnings(
    observed: &Observed,
    fetched: &Fetched,
    request: &Request,
    recreation: &Recreation,
) -> Vec<String> {
    let mut warnings: Vec<String> = fetched.warning.iter().cloned().collect();
    let preserve = observed.inside.preserve.findings.iter();
    let loud = preserve.filter(|finding| finding.severity != Severity::Info);
    warnings.extend(loud.map(|finding| format!("redeploy.conf {finding}")));
    let loud = recreation.findings.iter().filter(|finding| finding.severity() == recreate::Severity::Warning);
    warnings.extend(loud.map(ToString::to_string));
    if observed.inside.read_only {
        warnings
            .push("its root file system is read-only: nothing in it is archived or carried over".to_owned());
    }
    for mount in observed.container.mounts() {
        warnings.extend(mount_warning(observed, request, &mount));
    }
    warnings.extend(removes_itself(observed));
    warnings.extend(replaced_copies(observed));
    warnings.extend(unknown_changes(observed).filter(|_| !request.skip_reinstall));
    warnings
}

/// The engine removes a container that was started with `--rm` when it stops.
pub(super) fn removes_itself(observed: &Observed) -> Option<String> {
    observed.container.auto_remove().then(|| {
        "it was started with --rm, so the engine removes it when it stops: a copy of its whole root is parked, and an \
         undo or a revert makes the container anew from that, under another id"
            .to_owned()
    })
}

/// Without the list of what changed, the plan cannot say what nothing covers.
pub(super) fn unknown_changes(observed: &Observed) -> Option<String> {
    let error = observed.changes.as_ref().err()?;
    Some(format!(
        "what the user changed outside the kept paths is not known, and goes with the old container: {error}"
    ))
}

fn mount_warning(observed: &Observed, request: &Request, mount: &crate::docker::Mount) -> Option<String> {
    let target = &mount.target;
    match &mount.kind {
        MountKind::Volume { name, driver } if !observed.open_volumes.contains(name) => Some(format!(
            "volume {name} at {target} (driver {driver}) cannot be opened on this host: it is mounted again, but \
             not archived, so an undo cannot put it back"
        )),
        MountKind::Volume { name, .. } if observed.mounted_on_use.contains(name) => Some(format!(
            "volume {name} at {target} is mounted by its driver options only while a container uses it: it is archived, but \
             an undo leaves it alone"
        )),
        MountKind::Volume { name, .. } if request.use_existing_volumes => {
            let others = others_using(observed, name);
            (!others.is_empty()).then(|| {
                format!(
                    "volume {name} at {target} is also written by {}: it is archived, but an undo leaves it alone",
                    others.join(", ")
                )
            })
        }
        MountKind::Volume { name, .. } => Some(format!(
            "volume {name} at {target} is given up as asked: archived, then replaced by a fresh one"
        )),
        MountKind::Tmpfs => Some(format!("what is in memory at {target} is lost, as at every stop")),
        MountKind::Bind { source } if request.archive_binds && !observed.open_binds.contains(source) => {
            Some(format!("bind mount {source} is no directory that can be opened here: it is not archived"))
        }
        MountKind::Bind { .. } | MountKind::Other(_) => None,
    }
}

/// What the user changed and nothing covers.
pub(super) fn coverage(observed: &Observed, request: &Request) -> Coverage {
    if request.skip_reinstall {
        return Coverage::default();
    }
    let mounts = mount_targets(&observed.container);
    let is_covered = |path: &GuestPath| {
        let preserve = &observed.inside.preserve;
        preserve.keeps(path)
            || preserve.backup.iter().any(|backup| backup.path == *path || is_its_copy(path, &backup.path))
            || mounts.iter().any(|mount| path.is_within(mount) || mount.is_within(path))
            || preserve.keep.iter().any(|entry| entry.path.is_within(path))
            || preserve.exclude.iter().any(|exclude| path.is_within(exclude))
    };
    uncovered(observed, &is_covered)
}

/// Copies that an earlier redeploy wrote: they are no paths that nothing keeps, but today's copies replace them.
fn replaced_copies(observed: &Observed) -> Option<String> {
    let changed = observed.changes.iter().flatten().filter(|change| change.kind != ChangeKind::Deleted);
    let paths = changed.filter_map(|change| GuestPath::new(&change.path).ok());
    let is_copy = |path: &GuestPath| {
        observed.inside.preserve.backup.iter().any(|backup| is_its_copy(path, &backup.path))
    };
    let copies: Vec<String> = paths.filter(is_copy).map(|path| path.to_string()).collect();
    (!copies.is_empty()).then(|| {
        format!(
            "copies of an earlier redeploy are replaced by copies of today's files: {}. Take out of them before what is \
             still wanted; the parked container has them too",
            copies.join(", ")
        )
    })
}

/// Is it the copy of this file that an earlier redeploy wrote?
fn is_its_copy(path: &GuestPath, of: &GuestPath) -> bool {
    path.as_bytes().strip_suffix(super::BACKUP_ENDING) == Some(of.as_bytes())
}

/// A revert takes nothing of the root back with it: all that changed in it since stays behind, parked.
pub(super) fn coverage_of_revert(observed: &Observed) -> Coverage {
    let mounts = mount_targets(&observed.container);
    let owned = &observed.inside.engine_owned;
    let is_elsewhere = |path: &GuestPath| {
        mounts.iter().any(|mount| path.is_within(mount) || mount.is_within(path))
            || owned.iter().any(|owned| path.is_within(owned))
    };
    uncovered(observed, &is_elsewhere)
}

fn uncovered(observed: &Observed, is_covered: &dyn Fn(&GuestPath) -> bool) -> Coverage {
    let changed = observed.changes.iter().flatten().filter(|change| change.kind != ChangeKind::Deleted);
    let paths: Vec<GuestPath> = changed.filter_map(|change| GuestPath::new(&change.path).ok()).collect();
    // A changed directory whose changed contents are listed anyway says nothing more.
    let parents: BTreeSet<GuestPath> = paths.iter().filter_map(GuestPath::parent).collect();
    let lost = paths.iter().filter(|path| !parents.contains(path) && !is_covered(path));
    let mut lost: Vec<String> = lost.map(ToString::to_string).collect();
    lost.sort();
    let more = lost.len().saturating_sub(NOT_KEPT_LISTED);
    lost.truncate(NOT_KEPT_LISTED);
    Coverage { not_kept: lost, more: more as u64 }
}
