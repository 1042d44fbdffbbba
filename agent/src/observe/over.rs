//! What is mounted over a container's root, for those who want to see what a process in the container sees.
//!
//! Flows in: a container and its host's other ones. Flows out: where mounts are whose data stays, and directory handles
//! on those that must be looked into. Must never open a mount that nobody asks about.

use std::path::Path;
use std::sync::Arc;

use crate::docker::{Container, Engine, EngineError, Mount, MountKind};
use crate::explain::explain;
use crate::guest_path::GuestPath;
use crate::preserve::CONF_PATH;
use crate::recreate;
use crate::rootfs::Root;

/// A mount whose contents can be read here.
pub(super) struct Opened {
    /// Where it is mounted.
    pub(super) target: GuestPath,
    /// A directory that holds what is mounted.
    pub(super) root: Root,
    /// What of that directory is mounted: all of it, or one file.
    pub(super) at: GuestPath,
}

impl Opened {
    /// Where a path of the container is in [`Self::root`]; `None` if it is not in this mount.
    pub(super) fn within(&self, path: &GuestPath) -> Option<GuestPath> {
        if !path.is_within(&self.target) {
            return None;
        }
        let mut names = path.names().skip(self.target.names().count());
        names.try_fold(self.at.clone(), |at, name| at.join(name).ok())
    }
}

/// A container's mounts by what becomes of them.
pub(super) struct Mounts {
    /// Where mounts are whose data stays with the node: they need not be kept by path.
    pub(super) staying: Vec<GuestPath>,
    /// Volumes that the node will not have any more.
    given_up: Vec<(GuestPath, String)>,
    /// What is mounted over the preserve list.
    over_conf: Option<(GuestPath, Mount)>,
}

impl Mounts {
    pub(super) fn of(container: &Container, containers: &[Container], keep_volumes: bool) -> Self {
        let own = recreate::own_volumes(container, containers);
        let goes = |target: &GuestPath| {
            let mut own = own.iter().filter(|own| own.can_be_fresh);
            !keep_volumes && own.any(|own| own.target.as_bytes() == target.as_bytes())
        };
        let mut mounts = Self { staying: Vec::new(), given_up: Vec::new(), over_conf: None };
        let conf = GuestPath::new(CONF_PATH).ok();
        for mount in container.mounts() {
            let Ok(target) = GuestPath::new(&mount.target) else { continue };
            let covers = conf.as_ref().is_some_and(|conf| conf.is_within(&target));
            let nearer = |(known, _): &(GuestPath, Mount)| target.is_within(known);
            if covers && mounts.over_conf.as_ref().is_none_or(nearer) {
                mounts.over_conf = Some((target.clone(), mount.clone()));
            }
            match mount.kind {
                MountKind::Volume { name, .. } if goes(&target) => mounts.given_up.push((target, name)),
                MountKind::Volume { .. }
                | MountKind::Bind { .. }
                | MountKind::Tmpfs
                | MountKind::Other(_) => {
                    mounts.staying.push(target);
                }
            }
        }
        mounts
    }

    /// What is mounted over the preserve list, so that it is read from there, or why it cannot be.
    pub(super) async fn open_over_conf(&self, engine: &Arc<dyn Engine>) -> Option<Result<Opened, String>> {
        let (target, mount) = self.over_conf.as_ref()?;
        let opened = match &mount.kind {
            MountKind::Volume { name, .. } => {
                engine.open_volume(name).await.map(|root| (root, GuestPath::root()))
            }
            MountKind::Bind { source } => open_bind(engine, source).await,
            MountKind::Tmpfs | MountKind::Other(_) => {
                return Some(Err(format!(
                    "{CONF_PATH} is in what is mounted at {target}, which only the container sees"
                )));
            }
        };
        Some(match opened {
            Ok((root, at)) => Ok(Opened { target: target.clone(), root, at }),
            Err(error) => Err(format!("{CONF_PATH} is in what is mounted at {target}: {}", explain(&error))),
        })
    }

    /// Those that are given up and can be looked into; of others the plan says that they cannot be archived.
    pub(super) async fn open_given_up(&self, engine: &Arc<dyn Engine>) -> Vec<Opened> {
        let mut opened = Vec::new();
        for (target, name) in &self.given_up {
            if let Ok(root) = engine.open_volume(name).await {
                opened.push(Opened { target: target.clone(), root, at: GuestPath::root() });
            }
        }
        opened
    }
}

/// A bind is of a directory or of one file; the engine opens directories.
async fn open_bind(engine: &Arc<dyn Engine>, source: &str) -> Result<(Root, GuestPath), EngineError> {
    let whole = engine.open_host_dir(source).await;
    match (whole, in_parent(source)) {
        (Err(_), Some((parent, at))) => engine.open_host_dir(parent).await.map(|root| (root, at)),
        (whole, _) => whole.map(|root| (root, GuestPath::root())),
    }
}

/// The directory that a host path is in, and the path in that.
fn in_parent(path: &str) -> Option<(&str, GuestPath)> {
    let path = Path::new(path);
    let at = GuestPath::root().join(path.file_name()?.as_encoded_bytes()).ok()?;
    Some((path.parent()?.to_str()?, at))
}
