//! A look into the container's root: its redeploy.conf, who its user is, what stands at the paths to be kept.

use std::sync::Arc;

use super::ObserveError;
use crate::docker::{Container, Engine, Image, MountKind};
use crate::explain::explain;
use crate::guest_path::GuestPath;
use crate::preserve::{self, CONF_BYTES_MAX, CONF_PATH, Defaults, PathFact, PreserveList};
use crate::rootfs::{Fact, Root, RootError};

/// `/etc/passwd` beyond this is not read: no home is worth it.
const PASSWD_BYTES_MAX: u64 = 1 << 20;

/// What the container keeps.
#[derive(Debug, Clone)]
pub struct Inside {
    /// The preserve list, settled against what is really there.
    pub preserve: PreserveList,
    /// Why the preserve list could not be read, if it is there and could not.
    pub unreadable: Option<String>,
    /// What the engine makes in every root.
    pub engine_owned: Vec<GuestPath>,
    /// Its root is read-only: nothing of the user's can be in it, and it is not opened.
    pub read_only: bool,
}

pub(super) async fn look(
    engine: &Arc<dyn Engine>,
    container: &Container,
    image: Option<&Image>,
    defaults: &Defaults,
    keep_volumes: bool,
) -> Result<Inside, ObserveError> {
    if container.read_only_root() {
        return Ok(Inside {
            preserve: PreserveList::nothing(),
            unreadable: None,
            engine_owned: defaults.engine_owned.clone(),
            read_only: true,
        });
    }
    let root = engine.open_root(container.id()).await?;
    let user = container.raw()["Config"]["User"].as_str().or(image.map(Image::user)).unwrap_or("");
    let user = user.split(':').next().unwrap_or("").to_owned();
    let staying = staying_mounts(container, keep_volumes);
    let defaults = defaults.clone();
    let task = tokio::task::spawn_blocking(move || read(&root, &user, &defaults, &staying));
    task.await.map_err(|_| ObserveError::Panicked { name: container.name().to_owned() })
}

/// Where mounts are whose data stays with the node: they need not be kept by path.
fn staying_mounts(container: &Container, keep_volumes: bool) -> Vec<GuestPath> {
    let mounts = container.mounts();
    let staying = mounts.iter().filter(|mount| match mount.kind {
        MountKind::Volume { .. } => keep_volumes,
        MountKind::Bind { .. } | MountKind::Tmpfs | MountKind::Other(_) => true,
    });
    staying.filter_map(|mount| GuestPath::new(&mount.target).ok()).collect()
}

fn read(root: &Root, user: &str, defaults: &Defaults, staying: &[GuestPath]) -> Inside {
    let (list, unreadable) = match read_conf(root, user, defaults) {
        Ok(list) => (list, None),
        Err(error) => (preserve::without_file(defaults), Some(explain(&error))),
    };
    let fact = |path: &GuestPath| match root.fact(path) {
        Ok(Fact::Missing) => PathFact::Missing,
        Ok(Fact::File) => PathFact::File,
        Ok(Fact::Dir) => PathFact::Dir,
        Ok(Fact::Symlink) => PathFact::Symlink,
        Ok(Fact::Other) => PathFact::Other,
        // A path that cannot even be resolved (a loop of links) names nothing that could be kept.
        Err(_) => PathFact::Missing,
    };
    Inside {
        preserve: preserve::settle(list, &fact, staying),
        unreadable,
        engine_owned: defaults.engine_owned.clone(),
        read_only: false,
    }
}

fn read_conf(root: &Root, user: &str, defaults: &Defaults) -> Result<PreserveList, RootError> {
    let (Ok(conf), Ok(passwd)) = (GuestPath::new(CONF_PATH), GuestPath::new("/etc/passwd")) else {
        return Ok(preserve::without_file(defaults));
    };
    let Some(text) = root.read_file(&conf, CONF_BYTES_MAX)? else {
        return Ok(preserve::without_file(defaults));
    };
    let passwd = root.read_file(&passwd, PASSWD_BYTES_MAX).ok().flatten();
    let home = preserve::home_of(user, &passwd.unwrap_or_default());
    Ok(preserve::parse(&text, home.as_ref(), defaults))
}
