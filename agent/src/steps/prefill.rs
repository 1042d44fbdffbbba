//! prefill: what was captured goes into the new container's root, still while the old one serves; then whatever
//! changed meanwhile, so that little is left for the time in which nothing serves. Volumes' archives, which go
//! nowhere, are read back instead.
//!
//! Undo: none; the new container goes with `create`'s. Proof of done: every round of every root archive has been
//! applied, every byte of the others has been read back.

use super::capture::{live_rounds, round};
use super::runner::Runner;
use super::{Packed, Step, StepError, anew, held, stand_in};
use crate::archive::{ApplyMode, ImageNames, RoundKind, apply as apply_round, verify_round};
use crate::plan::{ArchivePlan, Incoming, Into, Plan, Source};
use crate::rootfs::Root;

pub(super) async fn apply(runner: &mut Runner) -> Result<Packed, StepError> {
    let plan = runner.hands.plan.clone();
    let fills = plan.archives.iter().any(|archive| matches!(archive.source, Source::Root { .. }));
    if fills || !plan.backups.is_empty() {
        open_new_root(runner).await?;
    }
    if let Incoming::New(new) = &plan.incoming
        && let Some(from) = new.root_from.as_ref().filter(|from| from.has_root)
    {
        let incoming = runner.incoming().await?;
        stand_in::copy_root(runner, Step::Prefill, &from.id, incoming.id(), &from.selection).await?;
    }
    let mut packed = Packed::default();
    for archive in &plan.archives {
        let stem = &archive.stem;
        let rounds = runner.open.archives.get(stem).map_or(0, |open| open.packed.rounds);
        match archive.source {
            Source::Root { into } => {
                for number in 1..=rounds {
                    transfer(runner, Step::Prefill, archive, into, number).await?;
                }
                let more = live_rounds(runner, Step::Prefill, stem).await?;
                for round in more {
                    transfer(runner, Step::Prefill, archive, into, round.number).await?;
                }
            }
            Source::Volume { .. } | Source::Bind { .. } => {
                for number in 1..=rounds {
                    read_back(runner, Step::Prefill, stem, number).await?;
                }
                round(runner, Step::Prefill, stem, RoundKind::Live).await?;
            }
        }
        let open = runner.open.archives.get(stem).ok_or(StepError::Missing { step: Step::Prefill })?;
        packed.archives.insert(stem.clone(), open.packed.clone());
    }
    held::prefill(runner).await?;
    anew::note_captured(runner).await?;
    write_out(runner).await?;
    // Closing it once more is quick: what was cached of it goes now, and not while nothing serves.
    if runner.open.new_root.is_some() {
        open_new_root(runner).await?;
    }
    Ok(packed)
}

/// Lets everything written so far reach the disks now, so that no small write waits behind it while nothing serves.
async fn write_out(runner: &Runner) -> Result<(), StepError> {
    let new_root = runner.open.new_root.as_ref().map(Root::try_clone).transpose()?;
    let archives = Root::open_dir(&runner.hands.dir.archives(), "archives")?;
    let work = runner.blocking(Step::Prefill, "disk", move |_| {
        for root in new_root.iter().chain([&archives]) {
            root.flush()?;
        }
        Ok(())
    });
    work.await
}

/// Opens the new root and, before anything is put into it, notes what its image ships there if that must win.
async fn open_new_root(runner: &mut Runner) -> Result<(), StepError> {
    // Two handles would be two mounts, each with its own idea of what is there.
    runner.open.close_new_root().await;
    // A read-only root cannot be opened while its container does not run, and nothing is to go into it.
    if !is_needed(runner.plan()) {
        return Ok(());
    }
    let incoming = runner.incoming().await?;
    let root = runner.engine().open_root(incoming.id()).await?;
    let underlay = |archive: &ArchivePlan| archive.source == Source::Root { into: Into::Underlay };
    if runner.plan().archives.iter().any(underlay) && runner.open.image_names.is_none() {
        let index = runner.hands.dir.archives().join("image.names");
        let scan_root = root.try_clone()?;
        let names = runner
            .blocking(Step::Prefill, "image", move |watch| Ok(ImageNames::scan(&scan_root, &index, watch)?));
        runner.open.image_names = Some(names.await?);
    }
    runner.open.new_root = Some(root);
    Ok(())
}

/// Does anything go into the new root?
fn is_needed(plan: &Plan) -> bool {
    let of_root = |archive: &ArchivePlan| match archive.source {
        Source::Root { .. } => true,
        Source::Volume { .. } | Source::Bind { .. } => false,
    };
    !plan.backups.is_empty() || plan.archives.iter().any(of_root)
}

/// Puts one round of a root archive into the new root.
pub(super) async fn transfer(
    runner: &mut Runner,
    step: Step,
    archive: &ArchivePlan,
    into: Into,
    number: u32,
) -> Result<(), StepError> {
    let stem = &archive.stem;
    let missing = || StepError::Missing { step };
    let line = runner.open.archives.get(stem).ok_or_else(missing)?.capture.line().clone();
    let root = runner.open.new_root.as_ref().ok_or_else(missing)?.try_clone()?;
    let mode = match into {
        Into::Replace => ApplyMode::Replace,
        Into::Underlay => ApplyMode::Underlay(runner.open.image_names.clone().ok_or_else(missing)?),
    };
    let dir = runner.hands.dir.archives();
    let work =
        runner.blocking(step, stem, move |watch| Ok(apply_round(&dir, &line, number, &root, &mode, watch)?));
    work.await.map(drop)
}

/// Reads a round back and compares it with what was written.
pub(super) async fn read_back(runner: &Runner, step: Step, stem: &str, number: u32) -> Result<(), StepError> {
    let open = runner.open.archives.get(stem).ok_or(StepError::Missing { step })?;
    let line = open.capture.line().clone();
    let dir = runner.hands.dir.archives();
    runner.blocking(step, stem, move |watch| Ok(verify_round(&dir, &line, number, watch)?)).await
}
