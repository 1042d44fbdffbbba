//! A look into the container's root: its redeploy.conf, who its user is, what stands at the paths to be kept.

use std::sync::Arc;

use super::ObserveError;
use super::over::{Mounts, Opened};
use crate::docker::{Container, Engine, Image};
use crate::explain::explain;
use crate::guest_path::GuestPath;
use crate::preserve::{self, CONF_BYTES_MAX, CONF_PATH, Defaults, KeepEntry, Origin, PathFact, PreserveList};
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
    /// What the list names and is there, but in a volume that is given up: the list and the order contradict each other.
    pub given_up: Vec<GivenUp>,
    /// What the engine makes in every root.
    pub engine_owned: Vec<GuestPath>,
    /// Its root is read-only: nothing of the user's can be in it, and it is not opened.
    pub read_only: bool,
}

/// A path to be kept, in a volume that is to be given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// The path, as a process in the container sees it.
    pub path: GuestPath,
    /// Where the volume is mounted.
    pub target: GuestPath,
}

/// What is known before anybody looks inside.
pub(super) struct Seen<'a> {
    /// The container.
    pub(super) container: &'a Container,
    /// All of the host.
    pub(super) containers: &'a [Container],
    /// Its image, if the engine still has it.
    pub(super) image: Option<&'a Image>,
    /// What Compose may have put into it.
    pub(super) injected: Vec<GuestPath>,
}

pub(super) async fn look(
    engine: &Arc<dyn Engine>,
    seen: Seen<'_>,
    defaults: &Defaults,
    keep_volumes: bool,
) -> Result<Inside, ObserveError> {
    let Seen { container, containers, image, injected } = seen;
    if container.read_only_root() {
        return Ok(Inside {
            preserve: PreserveList::nothing(),
            unreadable: None,
            given_up: Vec::new(),
            engine_owned: defaults.engine_owned.clone(),
            read_only: true,
        });
    }
    let user = container.raw()["Config"]["User"].as_str().or(image.map(Image::user)).unwrap_or("");
    let user = user.split(':').next().unwrap_or("").to_owned();
    let mounts = Mounts::of(container, containers, keep_volumes);
    let root = engine.open_root(container.id()).await?;
    let conf = mounts.open_over_conf(engine).await;
    let given_up = mounts.open_given_up(engine).await;
    let defaults = defaults.clone();
    let task = tokio::task::spawn_blocking(move || {
        let view = View { root, conf, given_up, staying: mounts.staying };
        read(&view, &user, &defaults, &injected)
    });
    task.await.map_err(|_| ObserveError::Panicked { name: container.name().to_owned() })
}

/// The root and what is mounted over it.
struct View {
    root: Root,
    /// What is mounted over the preserve list, or why that cannot be opened.
    conf: Option<Result<Opened, String>>,
    /// Volumes that will not come with the node.
    given_up: Vec<Opened>,
    /// Where mounts are whose data stays with it.
    staying: Vec<GuestPath>,
}

impl View {
    /// What is at a path. One that cannot even be resolved (a loop of links) names nothing that could be kept.
    fn fact(&self, path: &GuestPath) -> PathFact {
        let found = match self.lost_with(path).and_then(|mount| Some((mount, mount.within(path)?))) {
            Some((mount, path)) => mount.root.fact(&path),
            None => self.root.fact(path),
        };
        match found {
            Ok(Fact::Missing) | Err(_) => PathFact::Missing,
            Ok(Fact::File) => PathFact::File,
            Ok(Fact::Dir) => PathFact::Dir,
            Ok(Fact::Symlink) => PathFact::Symlink,
            Ok(Fact::Other) => PathFact::Other,
        }
    }

    /// The volume that is given up and that a path is in: the innermost.
    fn lost_with(&self, path: &GuestPath) -> Option<&Opened> {
        let over = self.given_up.iter().filter(|mount| path.is_within(&mount.target));
        over.max_by_key(|mount| mount.target.as_bytes().len())
    }

    /// Which of the list's paths are there, but in a volume that is given up.
    fn lost_with_volumes(&self, list: &PreserveList) -> Vec<GivenUp> {
        let keep = list.keep.iter().map(|entry| &entry.path);
        let paths = keep.chain(list.backup.iter().map(|entry| &entry.path));
        let lost = paths.filter_map(|path| {
            let target = self.lost_with(path)?.target.clone();
            Some(GivenUp { path: path.clone(), target })
        });
        lost.collect()
    }
}

fn read(view: &View, user: &str, defaults: &Defaults, injected: &[GuestPath]) -> Inside {
    let read = match &view.conf {
        Some(Err(detail)) => Err(detail.clone()),
        Some(Ok(mount)) => read_conf(view, Some(mount), user, defaults).map_err(|error| explain(&error)),
        None => read_conf(view, None, user, defaults).map_err(|error| explain(&error)),
    };
    let (mut list, unreadable) = match read {
        Ok(list) => (list, None),
        Err(detail) => (preserve::without_file(defaults), Some(detail)),
    };
    let files = injected.iter().filter(|path| view.fact(path) == PathFact::File && !list.keeps(path));
    let files: Vec<KeepEntry> =
        files.map(|path| KeepEntry { path: path.clone(), origin: Origin::Compose }).collect();
    list.keep.extend(files);
    let list = preserve::settle(list, &|path| view.fact(path), &view.staying);
    Inside {
        given_up: view.lost_with_volumes(&list),
        preserve: list,
        unreadable,
        engine_owned: defaults.engine_owned.clone(),
        read_only: false,
    }
}

fn read_conf(
    view: &View,
    over: Option<&Opened>,
    user: &str,
    defaults: &Defaults,
) -> Result<PreserveList, RootError> {
    let (Ok(conf), Ok(passwd)) = (GuestPath::new(CONF_PATH), GuestPath::new("/etc/passwd")) else {
        return Ok(preserve::without_file(defaults));
    };
    let (place, at) = match over.and_then(|mount| Some((mount, mount.within(&conf)?))) {
        Some((mount, at)) => (&mount.root, at),
        None => (&view.root, conf),
    };
    let Some(text) = place.read_file(&at, CONF_BYTES_MAX)? else {
        return Ok(preserve::without_file(defaults));
    };
    let passwd = view.root.read_file(&passwd, PASSWD_BYTES_MAX).ok().flatten();
    let home = preserve::home_of(user, &passwd.unwrap_or_default());
    Ok(preserve::parse(&text, home.as_ref(), defaults))
}
