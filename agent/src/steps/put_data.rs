//! put_data (revert only): volumes become what they were when the redeploy captured them. Today's data was
//! archived by the steps before, so nothing more is kept aside.
//!
//! Not under somebody else's container that writes to one of them by now: then it fails, as long as it can before
//! anything is touched.
//!
//! Undo: volumes become what they were today, but for those that somebody else's container writes to by now. Proof of done: a second pass finds nothing to do.

use super::runner::Runner;
use super::{Step, StepError, anew, capture};
use crate::archive::{ArchiveLine, Aside, Manifest, put_back};
use crate::docker::Container;
use crate::durable;
use crate::explain::explain;
use crate::paths::RedeployDir;
use crate::plan::{self, Source};

pub(super) async fn apply(runner: &mut Runner) -> Result<(), StepError> {
    let plan = runner.hands.plan.clone();
    for put in &plan.put_data {
        check_free(runner, &put.today).await?;
    }
    for put in &plan.put_data {
        // Those before it may have taken long.
        check_free(runner, &put.today).await?;
        let from = runner.hands.data.redeploy(put.from);
        let line = line_of(&from, &put.stem)?;
        restore(runner, Step::PutData, &from, line, &put.today, None).await?;
    }
    Ok(())
}

pub(super) async fn undo(runner: &mut Runner) -> Result<(), StepError> {
    if is_undone_already(runner).await? {
        return Ok(());
    }
    let plan = runner.hands.plan.clone();
    let here = runner.hands.dir.clone();
    for put in &plan.put_data {
        if is_anothers(runner, &put.today).await? {
            continue;
        }
        let line = line_of(&here, &put.today)?;
        restore(runner, Step::PutData, &here, line, &put.today, None).await?;
    }
    Ok(())
}

/// Puts every volume that the new container may have written to back as this saga captured it. What it wrote is kept
/// as `STEM.failed.tar.gz` among this saga's archives.
pub(super) async fn put_back_shared(runner: &mut Runner) -> Result<(), StepError> {
    if is_undone_already(runner).await? {
        return Ok(());
    }
    let plan = runner.hands.plan.clone();
    let here = runner.hands.dir.clone();
    for archive in &plan.archives {
        let shared = match archive.source {
            Source::Root { .. } => false,
            Source::Volume { shared, .. } | Source::Bind { shared, .. } => shared,
        };
        if shared && !is_anothers(runner, &archive.stem).await? {
            let line = line_of(&here, &archive.stem)?;
            let failed_stem = Some(format!("{}.failed", archive.stem));
            restore(runner, Step::Start, &here, line, &archive.stem, failed_stem).await?;
        }
    }
    Ok(())
}

/// Was this undone before, by somebody who could not journal it (a full disk, or a human with the recovery sheet)? The
/// list of archives goes with `capture`'s undo and the old container starts with `stop`'s; both come after ours. Volumes
/// are not touched under a container that runs: what it wrote since would be lost.
async fn is_undone_already(runner: &Runner) -> Result<bool, StepError> {
    let is_gone = matches!(runner.hands.dir.manifest().try_exists(), Ok(false));
    let outgoing = runner.find_outgoing().await?;
    let before = &runner.plan().outgoing;
    // One that looped was started by its policy until it was stopped; any other start is somebody's.
    let has_run = |now: &Container| match now.id() == before.id {
        true => now.is_alive() || (now.started_at() != before.started_at && !before.crash_looping),
        false => anew::has_run(now),
    };
    let is_taken_up = outgoing.is_some_and(|now| has_run(&now));
    if is_taken_up {
        tracing::warn!(
            container = runner.plan().node,
            "the old container has run since: its volumes stay as they are"
        );
    }
    Ok(is_gone || is_taken_up)
}

/// A volume, or directory of the host, and somebody else's container that writes to it.
struct TakenUp {
    what: String,
    by: String,
}

/// Does somebody else's container write to what this saga archived as `stem`? It may have been started after the plan was
/// made: what it wrote is newer than the capture, and it would lose it under its feet.
async fn taken_up(runner: &Runner, stem: &str) -> Result<Option<TakenUp>, StepError> {
    let source = runner.plan().archives.iter().find(|archive| archive.stem == stem);
    let Some(source) = source.map(|archive| &archive.source) else { return Ok(None) };
    let ours = [runner.find_outgoing().await?, runner.find_incoming().await?];
    let is_ours = |other: &Container| ours.iter().flatten().any(|our| our.id() == other.id());
    let others = runner.engine().containers().await?;
    let writer = others.iter().filter(|other| !is_ours(other)).find(|other| match source {
        Source::Root { .. } => false,
        Source::Volume { name, .. } => plan::may_write_to_volume(other, name),
        Source::Bind { path, .. } => plan::may_write_to_path(other, path),
    });
    let Some(writer) = writer else { return Ok(None) };
    let what = match source {
        Source::Root { .. } => "the root".to_owned(),
        Source::Volume { name, .. } => format!("volume {name}"),
        Source::Bind { path, .. } => format!("host directory {path}"),
    };
    Ok(Some(TakenUp { what, by: writer.name().to_owned() }))
}

/// On the way forward: nobody else writes to it.
async fn check_free(runner: &Runner, stem: &str) -> Result<(), StepError> {
    match taken_up(runner, stem).await? {
        Some(TakenUp { what, by }) => Err(StepError::TakenUp { what, by }),
        None => Ok(()),
    }
}

/// On the way back: is it left alone, because somebody else writes to it? Then there is a note, and its archive stays.
async fn is_anothers(runner: &mut Runner, stem: &str) -> Result<bool, StepError> {
    let Some(TakenUp { what, by }) = taken_up(runner, stem).await? else { return Ok(false) };
    let note = format!(
        "{what} was not put back, because container {by}, which somebody else has started, writes to it. What was captured is in {}",
        runner.hands.dir.archives().join(format!("{stem}.tar.gz")).display()
    );
    tracing::warn!("{note}");
    // Without it `capture`'s undo would drop the archive; that is no reason to stop here.
    let marker = runner.hands.dir.archives().join(format!("{stem}{}", capture::LEFT_ALONE_ENDING));
    if let Err(error) = durable::write(&marker, note.as_bytes()) {
        tracing::warn!(error = explain(&error), "the archive may not be kept");
    }
    runner.undid.tell(note);
    Ok(true)
}

/// Makes the volume that this saga archived as `stem` what `line`, an archive in `from`, says. With `failed_stem` what
/// differs is first archived under that stem, among this saga's archives.
async fn restore(
    runner: &Runner,
    step: Step,
    from: &RedeployDir,
    line: ArchiveLine,
    stem: &str,
    failed_stem: Option<String>,
) -> Result<(), StepError> {
    let engine = runner.engine();
    let source =
        runner.plan().archives.iter().find(|archive| archive.stem == stem).map(|found| &found.source);
    let root = match source {
        Some(Source::Volume { name, .. }) => engine.open_volume(name).await?,
        Some(Source::Bind { path, .. }) => engine.open_host_dir(path).await?,
        Some(Source::Root { .. }) | None => return Err(StepError::Missing { step }),
    };
    let (dir, here) = (from.archives(), runner.hands.dir.archives());
    let options = capture::pack_options(&runner.plan().packing);
    let work = runner.blocking(step, stem, move |watch| {
        let aside = failed_stem.as_deref().map(|stem| Aside { dir: &here, stem, options: &options });
        Ok(put_back(&dir, &line, &root, aside, watch)?)
    });
    work.await.map(drop)
}

fn line_of(dir: &RedeployDir, stem: &str) -> Result<ArchiveLine, StepError> {
    let manifest = Manifest::load(&dir.manifest())?;
    let line = manifest.archive(stem).cloned();
    line.ok_or_else(|| StepError::NoArchive { stem: stem.to_owned(), manifest: dir.manifest() })
}
