//! How much there is to archive, and how much room there is for it.

use std::sync::Arc;

use super::ObserveError;
use crate::archive::{self, Watch};
use crate::config::Config;
use crate::docker::Engine;
use crate::guest_path::GuestPath;
use crate::plan::{ArchivePlan, Source, Space};
use crate::rootfs::Root;

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
        let selection = archive.selection.clone();
        let task =
            tokio::task::spawn_blocking(move || archive::measure(&root, &selection, &Watch::default()));
        let panicked = |_| ObserveError::Panicked { name: outgoing.to_owned() };
        // What cannot be measured now cannot be captured either; the capture says why.
        let measured = task.await.map_err(panicked)?.unwrap_or_default();
        space.to_archive = space.to_archive.saturating_add(measured.bytes);
        space.entries = space.entries.saturating_add(measured.entries);
        if matches!(archive.source, Source::Root { .. }) {
            space.to_restore = space.to_restore.saturating_add(measured.bytes);
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
