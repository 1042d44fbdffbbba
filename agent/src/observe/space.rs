//! How much there is to archive, and how much room there is for it.

use std::sync::Arc;

use super::ObserveError;
use crate::archive::{self, Watch};
use crate::config::Config;
use crate::docker::Engine;
use crate::guest_path::GuestPath;
use crate::plan::{ArchivePlan, ReadWhole, Source, Space};
use crate::rootfs::{FsKind, Root};

/// Measures what `archives` would hold. `outgoing` is the container's id.
///
/// # Errors
/// [`ObserveError`]
pub async fn measure(
    engine: &Arc<dyn Engine>,
    config: &Config,
    outgoing: &str,
    archives: &[ArchivePlan],
) -> Result<Space, ObserveError> {
    let mut space = Space { headroom: config.disk_headroom_bytes, ..Space::default() };
    for archive in archives {
        let root = match &archive.source {
            Source::Root { .. } => engine.open_root(outgoing).await?,
            Source::Volume { name, .. } => engine.open_volume(name).await?,
            Source::Bind { path, .. } => engine.open_host_dir(path).await?,
        };
        let unreliable = match (root.stamps_changes(), root.fs_kind()) {
            (Ok(true), _) => None,
            (Ok(false) | Err(_), kind) => Some(kind.map_or("unknown", FsKind::word).to_owned()),
        };
        let (selection, label) = (archive.selection.clone(), root.label().to_owned());
        let task =
            tokio::task::spawn_blocking(move || archive::measure(&root, &selection, &Watch::default()));
        let panicked = |_| ObserveError::Panicked { name: outgoing.to_owned() };
        // What cannot be measured now cannot be captured either; the capture says why.
        let measured = task.await.map_err(panicked)?.unwrap_or_default();
        space.add(archive, measured.bytes, measured.entries);
        if let Some(file_system) = unreliable {
            space.read_whole.push(ReadWhole { what: label, file_system, bytes: measured.bytes });
        }
    }
    let ours = nearest_existing(&config.data_dir);
    space.data_dir_free = ours.as_ref().map_or(0, free);
    let engine_dir = engine.open_host_dir(&engine.info().await?.root_dir).await.ok();
    space.engine_free = engine_dir.as_ref().map(free);
    space.same_disk = match (ours.as_ref().and_then(device), engine_dir.as_ref().and_then(device)) {
        (Some(ours), Some(theirs)) => ours == theirs,
        _ => true,
    };
    Ok(space)
}

/// The data directory, or the directory it will be created in.
fn nearest_existing(path: &std::path::Path) -> Option<Root> {
    path.ancestors().find_map(|path| Root::open_dir(path, "data directory").ok())
}

fn free(root: &Root) -> u64 {
    root.free_space().unwrap_or(0)
}

fn device(root: &Root) -> Option<u64> {
    root.stat(&GuestPath::root()).ok().flatten().map(|stat| stat.dev)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Selection;
    use crate::docker::FakeEngine;
    use crate::plan::ArchivePlan;
    use serde_json::json;

    #[tokio::test]
    async fn a_volume_in_memory_is_known_to_be_read_as_a_whole() {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let fake = FakeEngine::new(dir.path());
        fake.create_volume(&json!({ "Name": "v" })).await.unwrap();
        crate::durable::write(&fake.volume_dir("v").join("rows"), &[1; 5000]).unwrap();
        let selection = Selection { include: vec![GuestPath::root()], exclude: Vec::new() };
        let source = Source::Volume { name: "v".to_owned(), shared: true };
        let archives = [ArchivePlan { stem: "volume-0-v".to_owned(), source, selection }];
        let engine: Arc<dyn Engine> = Arc::new(fake);
        let space = measure(&engine, &Config::built_in(), "no container", &archives).await.unwrap();
        let ReadWhole { what, file_system, bytes } = &space.read_whole[0];
        assert_eq!((what.as_str(), file_system.as_str(), *bytes), ("volume v", "tmpfs", 5000));
        assert_eq!(space.to_set_aside, 5000);
    }
}
