//! Volumes that came into being with the new container and go with it: those of the plan, made because the old data is
//! given up, and those the engine made because the image declares them.
//!
//! Flows in: the new container of an undo. Flows out: their names, and an archive of each that it may have written to.
//! Must never remove one that should be archived and is not, nor name a volume that the plan mounts, or that another container has.

use super::capture::pack_options;
use super::runner::Runner;
use super::{Step, StepError};
use crate::archive::{Capture, RoundKind, Selection};
use crate::docker::{Container, EngineError, MountKind};
use crate::durable;
use crate::explain::explain;
use crate::guest_path::GuestPath;
use crate::plan::{NewContainer, volume_stem};

/// The volumes that are there only for `container`.
pub(super) async fn of(
    runner: &Runner,
    new: &NewContainer,
    container: &Container,
) -> Result<Vec<String>, StepError> {
    let mut names = new.fresh_volumes.clone();
    let others = runner.engine().containers().await?;
    let others: Vec<&Container> = others.iter().filter(|other| other.id() != container.id()).collect();
    // A volume that goes on is mounted by its name, even one that never was given a name.
    let planned = new.recreation.body.to_string();
    for mount in container.mounts() {
        let MountKind::Volume { name, .. } = mount.kind else { continue };
        let is_elsewhere = others.iter().any(|other| mounts(other, &name));
        if is_made_by_engine(&name) && !planned.contains(&name) && !is_elsewhere && !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Archives, whole, what a container that ran may have taken in there: `fresh-volume-N-NAME.failed.tar.gz`. Gives the
/// volumes that may go. What cannot be archived stays: nothing of the undo depends on it, and the old container serves.
pub(super) async fn keep(runner: &mut Runner, names: &[String]) -> Result<Vec<String>, StepError> {
    let mut kept = Vec::new();
    for (index, name) in names.iter().enumerate() {
        match archive(runner, index, name).await {
            Ok(()) => kept.push(name.clone()),
            // It is being restarted: asked again later.
            Err(error) if error.is_engine_away() => return Err(error),
            Err(error) => {
                let why = explain(&error);
                tracing::warn!(volume = name, error = why, "a fresh volume stays");
                let note = format!(
                    "volume {name}, made for the failed container, stays, because it could not be archived: {why}"
                );
                runner.undid.tell(note);
            }
        }
    }
    Ok(kept)
}

async fn archive(runner: &Runner, index: usize, name: &str) -> Result<(), StepError> {
    let dir = runner.hands.dir.archives();
    durable::create_dir(&dir)?;
    let stem = format!("fresh-{}.failed", volume_stem(index, name));
    if dir.join(format!("{stem}.tar.gz")).exists() {
        return Ok(());
    }
    let root = runner.engine().open_volume(name).await?;
    let selection = Selection { include: vec![GuestPath::root()], exclude: Vec::new() };
    let options = pack_options(&runner.plan().packing);
    let work = runner.blocking(Step::Create, name, move |watch| {
        let mut capture = Capture::begin(&dir, &stem, selection, options)?;
        capture.round(&root, RoundKind::Final, watch)?;
        capture.finish()?;
        Ok(())
    });
    work.await
}

/// Removes them once their container is gone. One that cannot be removed is left: nothing of the undo depends on it.
pub(super) async fn remove(runner: &Runner, names: &[String]) -> Result<(), StepError> {
    for name in names {
        match runner.engine().remove_volume(name).await {
            Err(error @ EngineError::Refused { .. }) => {
                tracing::warn!(volume = name, error = explain(&error), "a fresh volume stays");
            }
            result => result?,
        }
    }
    Ok(())
}

fn mounts(container: &Container, volume: &str) -> bool {
    container
        .mounts()
        .iter()
        .any(|mount| matches!(&mount.kind, MountKind::Volume { name, .. } if name == volume))
}

/// Nobody gave it a name.
fn is_made_by_engine(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
