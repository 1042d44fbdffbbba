//! What is archived of a container, by archive, and whether an undo may put it back. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use super::{ArchivePlan, Into, Request, STEM_JELASTIC, STEM_PATHS, STEM_ROOT, Source, volume_stem};
use crate::archive::Selection;
use crate::docker::{Container, MountKind};
use crate::guest_path::GuestPath;
use crate::observe::Observed;

/// Where the platform keeps its own things in a container.
const JELASTIC_DIR: &[u8] = b"/var/lib/jelastic";

/// What would be archived: needed before the plan, because it is measured first.
#[must_use]
pub fn archives(observed: &Observed, request: &Request) -> Vec<ArchivePlan> {
    let mut archives = root_archives(observed, request);
    archives.extend(volume_archives(observed, request.use_existing_volumes));
    archives.extend(bind_archives(observed, request));
    archives
}

fn root_archives(observed: &Observed, request: &Request) -> Vec<ArchivePlan> {
    if observed.inside.read_only {
        return Vec::new();
    }
    let mut exclude = observed.inside.preserve.exclude.clone();
    exclude.extend(mount_targets(&observed.container));
    exclude.sort();
    exclude.dedup();
    let mut archives = Vec::new();
    if request.skip_reinstall {
        let mut exclude = exclude.clone();
        exclude.extend(observed.inside.preserve.keep.iter().map(|entry| entry.path.clone()));
        let selection = Selection { include: vec![GuestPath::root()], exclude };
        let source = Source::Root { into: Into::Underlay };
        archives.push(ArchivePlan { stem: STEM_ROOT.to_owned(), source, selection });
    }
    for (stem, include) in layers(observed) {
        let exclude = exclude_for(&include, &exclude);
        let source = Source::Root { into: Into::Replace };
        archives.push(ArchivePlan { stem, source, selection: Selection { include, exclude } });
    }
    archives
}

/// Kept paths by archive. One that lies inside another kept path (with an exclusion between) needs an archive of
/// its own, applied later, because an exclusion always wins within one.
fn layers(observed: &Observed) -> BTreeMap<String, Vec<GuestPath>> {
    let mut layers: BTreeMap<String, Vec<GuestPath>> = BTreeMap::new();
    let keep: Vec<&GuestPath> = observed.inside.preserve.keep.iter().map(|entry| &entry.path).collect();
    for path in &keep {
        let depth = keep.iter().filter(|other| path.is_within(other) && path != *other).count();
        let in_jelastic = GuestPath::new(JELASTIC_DIR).is_ok_and(|dir| path.is_within(&dir));
        let base = if in_jelastic { STEM_JELASTIC } else { STEM_PATHS };
        let stem = if depth == 0 { base.to_owned() } else { format!("{base}-{depth}") };
        layers.entry(stem).or_default().push((*path).clone());
    }
    layers
}

/// Exclusions that an inclusion lies in are not meant for it.
fn exclude_for(include: &[GuestPath], exclude: &[GuestPath]) -> Vec<GuestPath> {
    let hits = |exclusion: &&GuestPath| !include.iter().any(|path| path.is_within(exclusion));
    exclude.iter().filter(hits).cloned().collect()
}

pub(super) fn mount_targets(container: &Container) -> Vec<GuestPath> {
    container.mounts().iter().filter_map(|mount| GuestPath::new(&mount.target).ok()).collect()
}

pub(super) fn volume_archives(observed: &Observed, keep_volumes: bool) -> Vec<ArchivePlan> {
    let mut archives: Vec<ArchivePlan> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for mount in observed.container.mounts() {
        let MountKind::Volume { name, .. } = mount.kind else { continue };
        if !observed.open_volumes.contains(&name) || seen.contains(&name) {
            continue;
        }
        let may_put_back =
            others_using(observed, &name).is_empty() && !observed.mounted_on_use.contains(&name);
        let shared = keep_volumes && mount.writable && may_put_back;
        archives.push(ArchivePlan {
            stem: volume_stem(seen.len(), &name),
            source: Source::Volume { name: name.clone(), shared },
            selection: whole(),
        });
        seen.push(name);
    }
    archives
}

fn bind_archives(observed: &Observed, request: &Request) -> Vec<ArchivePlan> {
    if !request.archive_binds {
        return Vec::new();
    }
    let mounts = observed.container.mounts();
    let binds = mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Bind { source } if observed.open_binds.contains(source) => {
            Some((source, mount.writable && !is_bound_elsewhere(observed, source)))
        }
        MountKind::Bind { .. } | MountKind::Volume { .. } | MountKind::Tmpfs | MountKind::Other(_) => None,
    });
    let archive = |(index, (path, shared)): (usize, (&String, bool))| ArchivePlan {
        stem: format!("bind-{}", volume_stem(index, path)),
        source: Source::Bind { path: path.clone(), shared },
        selection: whole(),
    };
    binds.enumerate().map(archive).collect()
}

/// Does another running container mount this host path, something in it, or something it lies in, writable?
fn is_bound_elsewhere(observed: &Observed, path: &str) -> bool {
    let mut others = observed.containers.iter().filter(|other| other.id() != observed.container.id());
    others.any(|other| may_write_to_path(other, path))
}

/// May this container be writing to this host path, something in it, or something it lies in?
#[must_use]
pub fn may_write_to_path(container: &Container, path: &str) -> bool {
    let path = Path::new(path);
    let overlaps = |other: &str| path.starts_with(other) || Path::new(other).starts_with(path);
    container.is_alive()
        && container.mounts().iter().any(|mount| match &mount.kind {
            MountKind::Bind { source } => mount.writable && overlaps(source),
            MountKind::Volume { .. } | MountKind::Tmpfs | MountKind::Other(_) => false,
        })
}

/// May this container be writing to this volume?
#[must_use]
pub fn may_write_to_volume(container: &Container, volume: &str) -> bool {
    container.is_alive()
        && container.mounts().iter().any(|mount| {
            mount.writable && matches!(&mount.kind, MountKind::Volume { name, .. } if name == volume)
        })
}

fn whole() -> Selection {
    Selection { include: vec![GuestPath::root()], exclude: Vec::new() }
}

/// Other running containers that may write to a volume: putting it back would undo what *they* wrote.
pub(super) fn others_using(observed: &Observed, volume: &str) -> Vec<String> {
    let uses = |container: &&Container| {
        container.id() != observed.container.id() && may_write_to_volume(container, volume)
    };
    observed.containers.iter().filter(uses).map(|container| container.name().to_owned()).collect()
}
