//! From a container, volume or host path to a directory handle on its files.
//!
//! Flows in: an id or name. Flows out: a [`Root`]. A running container is entered through its process. For one
//! that does not run the engine is made to mount it: an upload is begun and held, the mounted directory opened,
//! the upload ended with nothing in it. Must never hand out a directory of the host that merely stands where a
//! mount should be.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderValue, Method};
use rustix::fs::{Timespec, Timestamps};
use serde_json::Value;

use super::real::{HostView, RealEngine, is_mount_root};
use super::transport::{bad_answer, segment};
use super::{Container, Engine, EngineError};
use crate::guest_path::GuestPath;
use crate::rootfs::Root;

/// How long the engine may take to mount a root after the upload began. Another copy into the same container
/// holds its lock meanwhile.
const MOUNT_DEADLINE: Duration = Duration::from_secs(60);

/// How long an upload that waits for us may stay open.
const UPLOAD_DEADLINE: Duration = Duration::from_secs(300);

/// How long the engine may take to say what it knows of `/`.
const STAT_DEADLINE: Duration = Duration::from_secs(120);

/// How often we look whether it has; a mount takes a few milliseconds.
const MOUNT_POLL: Duration = Duration::from_millis(2);

/// What we looked at to open a root was replaced meanwhile.
const ATTEMPTS: usize = 2;

/// See [`Engine::open_root`].
pub(super) async fn open_root(engine: &RealEngine, id: &str) -> Result<Root, EngineError> {
    for _ in 0..ATTEMPTS {
        let Some(container) = engine.inspect(id).await? else {
            return Err(no_root(id, "there is no such container"));
        };
        let opened = match container.pid() {
            0 => Some(open_mounted(engine, &container).await?),
            pid => open_running(engine.host().clone(), id, pid).await?,
        };
        let after = engine.inspect(id).await?;
        let same = after.is_some_and(|after| {
            after.pid() == container.pid() && after.started_at() == container.started_at()
        });
        if let (Some(directory), true) = (opened, same) {
            let label = format!("container {}", container.name());
            return on_disk(id, move || as_root(directory, label).map(Root::of_container)).await;
        }
    }
    Err(no_root(id, "it was started or stopped while it was being opened, twice in a row; try again"))
}

/// See [`Engine::open_volume`].
pub(super) async fn open_volume(engine: &RealEngine, name: &str) -> Result<Root, EngineError> {
    let what = format!("volume {name}");
    let Some(volume) = engine.volume(name).await? else {
        return Err(no_root(&what, "there is no such volume"));
    };
    if volume.driver != "local" {
        return Err(no_root(&what, format!("its driver {} keeps the data out of reach", volume.driver)));
    }
    // The engine mounts such a volume only while a container runs with it; else its directory is an empty shell.
    let is_mounted_on_demand = ["device", "type"].iter().any(|option| volume.options.contains_key(*option));
    let (host, label) = (engine.host().clone(), what.clone());
    on_disk(&what, move || {
        let directory = host.open_dir(Path::new(&volume.mountpoint))?;
        if is_mounted_on_demand && !is_mount_root(&directory)? {
            return Err(io::Error::other("it is mounted only while a container that uses it runs"));
        }
        as_root(directory, label)
    })
    .await
}

/// See [`Engine::open_host_dir`].
pub(super) async fn open_host_dir(host: HostView, path: &str) -> Result<Root, EngineError> {
    let what = format!("host directory {path}");
    if !path.starts_with('/') {
        return Err(no_root(&what, "it is not an absolute path"));
    }
    let (path, label) = (PathBuf::from(path), what.clone());
    on_disk(&what, move || as_root(host.open_dir(&path)?, label)).await
}

/// Larger records of a container are not read.
const OWN_RECORD_BYTES_MAX: u64 = 4 << 20;

/// See [`Engine::own_record`]. Everything that keeps it from being read means the same: it is not known.
pub(super) async fn own_record(
    host: HostView,
    root_dir: &str,
    id: &str,
) -> Result<Option<Value>, EngineError> {
    let directory = Path::new(root_dir).join("containers").join(id);
    on_disk(id, move || {
        let read = || -> Option<Value> {
            let root = as_root(host.open_dir(&directory).ok()?, String::new()).ok()?;
            let name = GuestPath::new("/config.v2.json").ok()?;
            let bytes = root.read_file(&name, OWN_RECORD_BYTES_MAX).ok()??;
            serde_json::from_slice(&bytes).ok()
        };
        Ok(read())
    })
    .await
}

/// The root of a running process; `None` if it has just ended.
async fn open_running(host: HostView, id: &str, pid: i64) -> Result<Option<OwnedFd>, EngineError> {
    on_disk(id, move || match host.open_process_root(pid) {
        Ok(directory) => Ok(Some(directory)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    })
    .await
}

/// The root of a container without a process, mounted by the engine for an upload that brings nothing.
async fn open_mounted(engine: &RealEngine, container: &Container) -> Result<OwnedFd, EngineError> {
    let what = container.name();
    if container.read_only_root() {
        return Err(no_root(what, "its root file system is read-only and it does not run"));
    }
    let path = merged_dir(engine, container).await?;
    let action = format!("mount the root of container {what}");
    let url = format!("/containers/{}/archive?path=%2F", segment(container.id()));
    let mtime = match upper_mtime(engine.host().clone(), container).await? {
        Some(mtime) => mtime,
        None => root_mtime(engine, &action, &url).await?,
    };
    let [beginning, end] = empty_upload();
    let mut upload = engine.client().upload(&action, &url, beginning, UPLOAD_DEADLINE);
    let directory = tokio::select! {
        answer = &mut upload => {
            let answer = answer?;
            return Err(no_root(what, format!("the engine refused to mount it: {}", answer.message())));
        }
        opened = wait_for_mount(engine.host().clone(), what, path) => opened?,
    };
    upload.finish(end).await?.accepted(&action)?;
    on_disk(what, move || restore_mtime(&directory, mtime).map(|()| directory)).await
}

/// When `/` of a container was last changed, from the writable layer itself; `None` where the engine does not tell
/// the place of it. Engines make and remove a directory in `/` for every upload (the place for their pivot_root),
/// newer ones for every question too: so this has to be known before, and without asking.
pub(super) async fn upper_mtime(
    host: HostView,
    container: &Container,
) -> Result<Option<Timespec>, EngineError> {
    let Some(upper) = container.raw()["GraphDriver"]["Data"]["UpperDir"].as_str() else { return Ok(None) };
    let upper = PathBuf::from(upper);
    on_disk(container.name(), move || {
        let facts = rustix::fs::fstat(host.open_dir(&upper)?)?;
        let tv_nsec = i64::try_from(facts.st_mtime_nsec).unwrap_or(0);
        Ok(Some(Timespec { tv_sec: facts.st_mtime, tv_nsec }))
    })
    .await
}

/// The same by the engine's word. With the containerd store of newer engines it is the time of the question: nothing
/// tells the one before.
async fn root_mtime(engine: &RealEngine, action: &str, url: &str) -> Result<Timespec, EngineError> {
    let answer = engine.client().request(action, Method::HEAD, url, None, STAT_DEADLINE).await?;
    if !answer.status.is_success() {
        return Err(answer.refusal(action));
    }
    let header = answer.headers.get("x-docker-container-path-stat");
    header.and_then(read_mtime).ok_or_else(|| bad_answer(action, "it did not say when / was changed"))
}

/// The time in a path's facts, which are JSON in base64.
fn read_mtime(header: &HeaderValue) -> Option<Timespec> {
    let facts = base64::engine::general_purpose::STANDARD.decode(header.as_bytes()).ok()?;
    let facts: Value = serde_json::from_slice(&facts).ok()?;
    let mtime: jiff::Timestamp = facts["mtime"].as_str()?.parse().ok()?;
    let (mut tv_sec, mut nanoseconds) = (mtime.as_second(), mtime.subsec_nanosecond());
    // Before 1970 jiff counts both parts down from zero; the kernel wants the second one up.
    if nanoseconds < 0 {
        (tv_sec, nanoseconds) = (tv_sec - 1, nanoseconds + 1_000_000_000);
    }
    Some(Timespec { tv_sec, tv_nsec: nanoseconds.into() })
}

pub(super) fn restore_mtime(directory: &OwnedFd, mtime: Timespec) -> io::Result<()> {
    let now = rustix::fs::fstat(directory)?;
    if (now.st_mtime, i64::try_from(now.st_mtime_nsec)) == (mtime.tv_sec, Ok(mtime.tv_nsec)) {
        return Ok(());
    }
    let kept = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
    Ok(rustix::fs::futimens(directory, &Timestamps { last_access: kept, last_modification: mtime })?)
}

/// Where the engine mounts this container's root.
async fn merged_dir(engine: &RealEngine, container: &Container) -> Result<PathBuf, EngineError> {
    if let Some(path) = container.raw()["GraphDriver"]["Data"]["MergedDir"].as_str() {
        return Ok(PathBuf::from(path));
    }
    let info = engine.raw_info().await?;
    let driver = info["Driver"].as_str().unwrap_or("");
    let root = info["DockerRootDir"].as_str().unwrap_or("");
    if is_containerd_store(&info) && !root.is_empty() && !driver.is_empty() {
        return Ok(Path::new(root).join("rootfs").join(driver).join(container.id()));
    }
    let detail = format!("the storage driver {driver} does not tell where it mounts a stopped container");
    Err(no_root(container.name(), detail))
}

fn is_containerd_store(info: &Value) -> bool {
    let mut status = info["DriverStatus"].as_array().into_iter().flatten();
    status.any(|pair| pair[0] == "driver-type" && pair[1] == "io.containerd.snapshotter.v1")
}

async fn wait_for_mount(host: HostView, what: &str, path: PathBuf) -> Result<OwnedFd, EngineError> {
    let deadline = tokio::time::Instant::now() + MOUNT_DEADLINE;
    while tokio::time::Instant::now() < deadline {
        let (host, path) = (host.clone(), path.clone());
        if let Some(directory) = on_disk(what, move || open_if_mounted(&host, &path)).await? {
            return Ok(directory);
        }
        tokio::time::sleep(MOUNT_POLL).await;
    }
    let detail = format!("nothing was mounted at {} within {} s", path.display(), MOUNT_DEADLINE.as_secs());
    Err(no_root(what, detail))
}

fn open_if_mounted(host: &HostView, path: &Path) -> io::Result<Option<OwnedFd>> {
    match host.open_dir(path) {
        Ok(directory) => Ok(is_mount_root(&directory)?.then_some(directory)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A tar with a global PAX header and nothing it could apply to, in two parts: the engine unpacks no entry and
/// touches nothing. Newer engines (26 and later) look at the first bytes, to see how they are compressed, before
/// they mount; so the upload is held after the first part and not before it.
pub(super) fn empty_upload() -> [Bytes; 2] {
    const RECORD: &[u8] = b"19 comment=nothing\n";
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XGlobalHeader);
    header.set_size(RECORD.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    let mut rest = RECORD.to_vec();
    // The record's block filled up, then the two empty blocks that end an archive.
    rest.resize(3 * 512, 0);
    [Bytes::copy_from_slice(header.as_bytes()), Bytes::from(rest)]
}

fn as_root(directory: OwnedFd, label: String) -> io::Result<Root> {
    Root::from_fd(directory, label).map_err(io::Error::other)
}

/// The process, or its part of /proc, has ended between our look and our open.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// Runs file system work where it may block.
pub(super) async fn on_disk<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, EngineError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| no_root(what, error.to_string())),
        Err(error) => Err(no_root(what, format!("the work was cut off: {error}"))),
    }
}

fn no_root(what: &str, detail: impl Into<String>) -> EngineError {
    EngineError::NoRoot { what: what.to_owned(), detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_upload_is_a_whole_archive_without_entries() {
        let [beginning, end] = empty_upload();
        assert!(!beginning.is_empty(), "what the engine waits for before it mounts");
        let bytes = [beginning, end].concat();
        assert_eq!(bytes.len() % 512, 0);
        let mut archive = tar::Archive::new(bytes.as_slice());
        for entry in archive.entries().unwrap() {
            assert_eq!(entry.unwrap().header().entry_type(), tar::EntryType::XGlobalHeader);
        }
    }

    #[test]
    fn a_directory_that_is_not_mounted_is_not_handed_out() {
        let dir = tempfile::tempdir().unwrap();
        let host = HostView::at("/");
        assert!(open_if_mounted(&host, dir.path()).unwrap().is_none());
        assert!(open_if_mounted(&host, &dir.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn the_time_of_a_root_is_read_to_the_nanosecond() {
        let read = |facts: &str| {
            let coded = base64::engine::general_purpose::STANDARD.encode(facts);
            read_mtime(&HeaderValue::from_str(&coded).unwrap()).map(|time| (time.tv_sec, time.tv_nsec))
        };
        assert_eq!(read(r#"{"mtime":"1970-01-01T00:01:00.000000007Z"}"#), Some((60, 7)));
        assert_eq!(read(r#"{"mtime":"1970-01-01T02:00:00+02:00"}"#), Some((0, 0)));
        assert_eq!(read(r#"{"mtime":"1969-12-31T23:59:58.5Z"}"#), Some((-2, 500_000_000)));
        assert_eq!(read(r#"{"name":"/"}"#), None);
    }

    #[test]
    fn the_containerd_store_is_known_by_its_driver_type() {
        let info = serde_json::json!({"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]});
        assert!(is_containerd_store(&info));
        assert!(!is_containerd_store(&serde_json::json!({"DriverStatus": null})));
    }
}
