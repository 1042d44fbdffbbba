//! settle: nothing serves now, so what changed since the last live round is small and final: into the archives,
//! into the new root; the `.backup` copies; the archives finished and listed.
//!
//! Undo: none of its own; `capture`'s removes the archives, `create`'s the new root. Proof of done: the manifest
//! is durable.

use super::capture::{old_root, round};
use super::prefill::{read_back, transfer};
use super::runner::Runner;
use super::{Packed, Settled, Step, StepError, anew};
use crate::archive::manifest::MANIFEST_VERSION;
use crate::archive::{ArchiveLine, Manifest, RoundKind};
use crate::plan::Source;
use crate::rootfs::Root;

pub(super) async fn apply(runner: &mut Runner) -> Result<Settled, StepError> {
    if let (Some(settled), true) = (runner.known.settled.clone(), runner.open.archives.is_empty()) {
        return Ok(settled);
    }
    let plan = runner.hands.plan.clone();
    let mut last = Packed::default();
    for archive in &plan.archives {
        let last = round(runner, Step::Settle, &archive.stem, RoundKind::Final).await?;
        match archive.source {
            Source::Root { into } => transfer(runner, Step::Settle, archive, into, last.number).await?,
            Source::Volume { .. } | Source::Bind { .. } => {
                read_back(runner, Step::Settle, &archive.stem, last.number).await?;
            }
        }
    }
    let backups = write_backups(runner).await?;
    runner.outgoing_is_there().await?;
    let lines = finish(runner, &mut last).await?;
    Manifest { version: MANIFEST_VERSION, archives: lines }.store(&runner.hands.dir.manifest())?;
    anew::forget_captured(&runner.hands.dir)?;
    runner.let_go();
    let settled = Settled { last, backups };
    runner.known.settled = Some(settled.clone());
    Ok(settled)
}

/// The old files next to the new image's. One that is missing or is no file was reported with the plan.
async fn write_backups(runner: &mut Runner) -> Result<Vec<String>, StepError> {
    let plan = runner.hands.plan.clone();
    if plan.backups.is_empty() {
        return Ok(Vec::new());
    }
    let to = runner.open.new_root.as_ref().ok_or(StepError::Missing { step: Step::Settle })?.try_clone()?;
    let from = old_root(runner).await?;
    let backups = plan.backups.clone();
    let work = runner.blocking(Step::Settle, "backups", move |_| {
        let mut written = Vec::new();
        for backup in &backups {
            if Root::copy_as(&from, &backup.path, &to, &backup.to)? {
                written.push(backup.to.to_string());
            } else {
                tracing::warn!(path = %backup.path, "no .backup copy: there is no regular file");
            }
        }
        Ok(written)
    });
    work.await
}

async fn finish(runner: &mut Runner, last: &mut Packed) -> Result<Vec<ArchiveLine>, StepError> {
    let plan = runner.hands.plan.clone();
    let mut lines = Vec::new();
    for archive in &plan.archives {
        let open = runner.open.archives.remove(&archive.stem);
        let open = open.ok_or(StepError::Missing { step: Step::Settle })?;
        last.archives.insert(archive.stem.clone(), open.packed.clone());
        let work = runner.blocking(Step::Settle, &archive.stem, move |_| Ok(open.capture.finish()?));
        lines.push(work.await?);
    }
    Ok(lines)
}
