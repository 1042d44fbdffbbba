//! create: the new container, under a temporary name, never started. A revert has one already.
//!
//! Undo: remove it, and the volumes made for it; if it ran, what it had in the preserved paths is archived first. Proof of done: it exists, carries our label, and its inspect
//! answer shows nothing that neither the plan nor the image nor the engine explains.

use serde_json::{Value, json};

use super::capture::pack_options;
use super::runner::Runner;
use super::{Created, StepError, anew, fresh, held};
use crate::archive::{Capture, RoundKind};
use crate::docker::Container;
use crate::durable;
use crate::plan::{ArchivePlan, Incoming, Into, NewContainer, Source};
use crate::recreate::{self, Recreation};
use crate::rootfs::Root;

pub(super) async fn apply(runner: &mut Runner) -> Result<Created, StepError> {
    let plan = runner.hands.plan.clone();
    let new = match &plan.incoming {
        Incoming::New(new) => new,
        Incoming::Parked { id, .. } => {
            runner.incoming().await?;
            held::prepare(runner).await?;
            return Ok(Created { container: id.clone() });
        }
    };
    for name in &new.fresh_volumes {
        runner.engine().create_volume(&json!({ "Name": name, "Labels": our_labels(runner) })).await?;
    }
    let container = match runner.engine().container(&new.temporary_name).await? {
        Some(there) if runner.is_ours(&there) => there,
        Some(_) => {
            return Err(StepError::NameTaken { name: new.temporary_name.clone(), id: plan.id });
        }
        None => create(runner, new).await?,
    };
    complete(runner, &new.recreation, &new.image_id, &container).await?;
    held::prepare(runner).await?;
    Ok(Created { container: container.id().to_owned() })
}

pub(super) async fn undo(runner: &mut Runner) -> Result<(), StepError> {
    let plan = runner.hands.plan.clone();
    anew::bring_back(runner).await?;
    held::clear(runner).await?;
    let Incoming::New(new) = &plan.incoming else { return Ok(()) };
    let mut fresh_volumes = new.fresh_volumes.clone();
    if let Some(container) = runner.find_incoming().await? {
        if has_run(&container) && !container.read_only_root() {
            keep_what_it_wrote(runner, &container).await?;
        }
        fresh_volumes = fresh::of(runner, new, &container).await?;
        if has_run(&container) {
            fresh_volumes = fresh::keep(runner, &fresh_volumes, fresh::Fate::Stays).await?;
        }
        runner.engine().remove(container.id()).await?;
    } else {
        // Removed by its engine or by somebody, and if it had run, only its volumes can tell; or never made.
        fresh_volumes = fresh::keep_orphans(runner, &fresh_volumes).await?;
    }
    fresh::remove(runner, &fresh_volumes).await
}

fn has_run(container: &Container) -> bool {
    !container.started_at().starts_with("0001-01-01")
}

/// A new container that ran may have taken in what users sent it, into paths that are to be kept: the old one serves
/// again by now, so there is time to archive them before it goes.
async fn keep_what_it_wrote(runner: &Runner, container: &Container) -> Result<(), StepError> {
    if !runner.plan().archives.iter().any(is_kept) {
        return Ok(());
    }
    keep_of_root(runner, runner.engine().open_root(container.id()).await?).await
}

/// Is this an archive of what is kept of a root?
fn is_kept(archive: &ArchivePlan) -> bool {
    archive.source == Source::Root { into: Into::Replace }
}

/// The same from a root that is open already.
pub(super) async fn keep_of_root(runner: &Runner, root: Root) -> Result<(), StepError> {
    let plan = runner.hands.plan.clone();
    let dir = runner.hands.dir.archives();
    durable::create_dir(&dir)?;
    for archive in &plan.archives {
        let stem = format!("{}.failed", archive.stem);
        if !is_kept(archive) || dir.join(format!("{stem}.tar.gz")).exists() {
            continue;
        }
        let root = root.try_clone()?;
        let (dir, selection) = (dir.clone(), archive.selection.clone());
        let options = pack_options(&plan.packing);
        let work = runner.blocking(super::Step::Create, &archive.stem, move |watch| {
            let mut capture = Capture::begin(&dir, &stem, selection, options)?;
            capture.round(&root, RoundKind::Final, watch)?;
            capture.finish()?;
            Ok(())
        });
        work.await?;
    }
    Ok(())
}

async fn create(runner: &Runner, new: &NewContainer) -> Result<Container, StepError> {
    let id = runner.engine().create(&new.temporary_name, &new.recreation.body).await?;
    let created = runner.engine().container(&id).await?;
    created.ok_or_else(|| StepError::ContainerGone { name: new.temporary_name.clone(), id })
}

/// Brings a container that was just created onto all its networks and compares it with the plan.
pub(super) async fn complete(
    runner: &Runner,
    recreation: &Recreation,
    image_id: &str,
    container: &Container,
) -> Result<(), StepError> {
    connect(runner, recreation, container).await?;
    compare(runner, recreation, image_id, container).await
}

/// The networks beyond the one given at creation; those it is on already are left alone.
async fn connect(runner: &Runner, recreation: &Recreation, container: &Container) -> Result<(), StepError> {
    for connect in &recreation.connects {
        let on = &container.raw()["NetworkSettings"]["Networks"][connect.network.as_str()];
        if on.is_null() {
            let engine = runner.engine();
            engine.network_connect(&connect.network, container.id(), &connect.endpoint).await?;
        }
    }
    Ok(())
}

async fn compare(
    runner: &Runner,
    recreation: &Recreation,
    image_id: &str,
    container: &Container,
) -> Result<(), StepError> {
    let engine = runner.engine();
    let mut recreation = recreation.clone();
    if let Some(leader) = &runner.leader {
        // One that is made anew on the way back leans on the leader under its own name.
        for name in [&leader.name, &leader.node] {
            let found = engine.container(name).await?;
            recreate::identify(&mut recreation, name, found.as_ref().map_or("", Container::id));
        }
    }
    let (info, image) = (engine.info().await?, engine.image(image_id).await?);
    let gone = || runner.gone(container.name(), container.id());
    let (created, image) =
        (engine.container(container.id()).await?.ok_or_else(gone)?, image.ok_or_else(gone)?);
    let differences = recreate::compare(&recreation, &image, &created, &info);
    if differences.is_empty() {
        return Ok(());
    }
    Err(StepError::Different { name: container.name().to_owned(), differences })
}

fn our_labels(runner: &Runner) -> Value {
    json!({ crate::plan::REDEPLOY_LABEL: runner.plan().id.to_string() })
}
