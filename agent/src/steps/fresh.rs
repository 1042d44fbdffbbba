//! Volumes that came into being with the new container and go with it: those of the plan, made because the old data is
//! given up, and those the engine made because the image declares them.
//!
//! Flows in: the new container of an undo. Flows out: their names, and an archive of each that it may have written to.
//! Must never remove one that should be archived and is not, nor name a volume that the plan mounts, or that another container has.
//! Those that the engine made go with a container that removes itself, whatever we do.

use super::capture::pack_options;
use super::runner::Runner;
use super::{Step, StepError};
use crate::archive::{Capture, RoundKind, Selection, Watch, measure};
use crate::docker::{Container, EngineError, MountKind};
use crate::durable;
use crate::explain::explain;
use crate::guest_path::GuestPath;
use crate::plan::{NewContainer, volume_stem};
use crate::recreate;

/// What the names of their archives begin with.
const STEM: &str = "fresh-";

/// What becomes of a volume that cannot be archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays, for a human.
    Stays,
    /// The engine removes it with its container, which was started with `--rm`.
    GoesWithIt,
}

/// The volumes that are there only for `container`.
pub(super) async fn of(
    runner: &Runner,
    new: &NewContainer,
    container: &Container,
) -> Result<Vec<String>, StepError> {
    let made = made_by_engine(runner, new, container).await?;
    Ok(new.fresh_volumes.iter().cloned().chain(made).collect())
}

/// Of these, the ones that the engine made, because the image declares them.
pub(super) async fn made_by_engine(
    runner: &Runner,
    new: &NewContainer,
    container: &Container,
) -> Result<Vec<String>, StepError> {
    let mut names = Vec::new();
    let others = runner.engine().containers().await?;
    let others: Vec<&Container> = others.iter().filter(|other| other.id() != container.id()).collect();
    // A volume that goes on is mounted by its name, even one that never was given a name.
    let planned = new.recreation.body.to_string();
    for mount in container.mounts() {
        let MountKind::Volume { name, .. } = mount.kind else { continue };
        let is_elsewhere = others.iter().any(|other| mounts(other, &name));
        if is_without_name(&name) && !planned.contains(&name) && !is_elsewhere && !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Archives, whole, what a container that ran may have taken in there: `fresh-volume-N-NAME.failed.tar.gz`. Gives the
/// volumes that may go. For one that cannot be archived there is a note: nothing of the undo depends on it, and the old
/// container serves.
pub(super) async fn keep(
    runner: &mut Runner,
    names: &[String],
    fate: Fate,
) -> Result<Vec<String>, StepError> {
    let mut kept = Vec::new();
    for (index, name) in names.iter().enumerate() {
        match archive(runner, index, name).await {
            Ok(()) => kept.push(name.clone()),
            // It is being restarted: asked again later.
            Err(error) if error.is_engine_away() => return Err(error),
            Err(error) => {
                let why = explain(&error);
                tracing::warn!(volume = name, error = why, ?fate, "a fresh volume could not be archived");
                runner.undid.tell(match fate {
                    Fate::Stays => format!(
                        "volume {name}, made for the failed container, stays, because it could not be archived: {why}"
                    ),
                    Fate::GoesWithIt => format!(
                        "volume {name}, made by the engine for the failed container, went with it, because that was \
                         started with --rm; it could not be archived: {why}"
                    ),
                });
            }
        }
    }
    Ok(kept)
}

/// Of volumes whose container is gone, or never came into being: those that are there with something in them are archived.
/// Gives the volumes that may go.
pub(super) async fn keep_orphans(runner: &mut Runner, names: &[String]) -> Result<Vec<String>, StepError> {
    let mut there = Vec::new();
    for name in names {
        if runner.engine().volume(name).await?.is_some() {
            there.push(name.clone());
        }
    }
    keep(runner, &there, Fate::Stays).await
}

/// A container that the engine has removed, because it ended, took along what the engine had made for it.
pub(super) fn tell_what_went(runner: &mut Runner, new: &NewContainer) {
    let planned = recreate::given_targets(&new.recreation.body["HostConfig"]);
    let targets = new.volume_targets.iter().map(ToString::to_string);
    let lost: Vec<String> = targets.filter(|target| !planned.contains(target)).collect();
    // Then an undo before this one stopped it, and kept what was there.
    let names = std::fs::read_dir(runner.hands.dir.archives()).into_iter().flatten().flatten();
    let mut kept = names.filter(|entry| entry.file_name().to_string_lossy().starts_with(STEM));
    if lost.is_empty() || kept.next().is_some() {
        return;
    }
    runner.undid.tell(format!(
        "what the failed container had written to the volumes that its image declares at {} is gone: it was started \
         with --rm, so the engine removed it, and them with it, when it ended",
        lost.join(", ")
    ));
}

async fn archive(runner: &Runner, index: usize, name: &str) -> Result<(), StepError> {
    let dir = runner.hands.dir.archives();
    durable::create_dir(&dir)?;
    let stem = format!("{STEM}{}.failed", volume_stem(index, name));
    if dir.join(format!("{stem}.tar.gz")).exists() {
        return Ok(());
    }
    let root = runner.engine().open_volume(name).await?;
    let selection = Selection { include: vec![GuestPath::root()], exclude: Vec::new() };
    let options = pack_options(&runner.plan().packing);
    let work = runner.blocking(Step::Create, name, move |watch| {
        if measure(&root, &selection, &Watch::default())?.entries == 0 {
            return Ok(());
        }
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
fn is_without_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
