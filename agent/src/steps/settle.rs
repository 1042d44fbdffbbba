//! settle: nothing serves now, so what changed since the last live round is small and final: into the archives,
//! into the new root; the `.backup` copies; the archives finished and listed.
//!
//! Undo: none of its own; `capture`'s removes the archives, `create`'s the new root. Proof of done: the manifest
//! is durable.

use futures_util::future::join_all;

use super::capture::{old_root, round_of};
use super::prefill::{read_back, transfer};
use super::runner::Runner;
use super::{Packed, Settled, Step, StepError, anew, held};
use crate::archive::manifest::MANIFEST_VERSION;
use crate::archive::{ArchiveLine, Manifest, RoundKind};
use crate::plan::{Plan, Source};
use crate::rootfs::Root;

/// Each has packing threads and buffers of its own.
const ARCHIVES_AT_ONCE: usize = 4;

pub(super) async fn apply(runner: &mut Runner) -> Result<Settled, StepError> {
    if let (Some(settled), true) = (runner.known.settled.clone(), runner.open.archives.is_empty()) {
        return Ok(settled);
    }
    let plan = runner.hands.plan.clone();
    let mut last = Packed::default();
    let numbers = last_rounds(runner, &plan).await?;
    for (archive, number) in plan.archives.iter().zip(numbers) {
        match archive.source {
            Source::Root { into } => transfer(runner, Step::Settle, archive, into, number).await?,
            Source::Volume { .. } | Source::Bind { .. } => {
                read_back(runner, Step::Settle, &archive.stem, number).await?;
            }
        }
    }
    let backups = write_backups(runner).await?;
    held::last_round(runner).await?;
    held::is_whole(runner).await?;
    let lines = finish(runner, &mut last).await?;
    Manifest { version: MANIFEST_VERSION, archives: lines }.store(&runner.hands.dir.manifest())?;
    anew::forget_captured(&runner.hands.dir)?;
    held::let_go(runner).await?;
    runner.open.close_old_root_beside();
    runner.open.close_new_root().await;
    let settled = Settled { last, backups };
    runner.known.settled = Some(settled.clone());
    Ok(settled)
}

/// The last round of every archive, several at a time: each looks at every name once, and nothing serves meanwhile.
/// Gives their numbers, in the order of the plan.
async fn last_rounds(runner: &mut Runner, plan: &Plan) -> Result<Vec<u32>, StepError> {
    let mut numbers = Vec::new();
    for some in plan.archives.chunks(ARCHIVES_AT_ONCE) {
        let mut taken = Vec::new();
        for archive in some {
            let open = runner.open.archives.remove(&archive.stem);
            taken.push((archive, open.ok_or(StepError::Missing { step: Step::Settle })?));
        }
        let shared = &*runner;
        let work = taken
            .into_iter()
            .map(|(archive, open)| round_of(shared, Step::Settle, &archive.stem, open, RoundKind::Final));
        // All of them are waited for, also when one fails: nobody must be reading when an undo begins.
        for (archive, done) in some.iter().zip(join_all(work).await) {
            let (open, round) = done?;
            runner.open.archives.insert(archive.stem.clone(), open);
            numbers.push(round.number);
        }
    }
    Ok(numbers)
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
    let mut taken = Vec::new();
    for archive in &plan.archives {
        let open = runner.open.archives.remove(&archive.stem);
        let open = open.ok_or(StepError::Missing { step: Step::Settle })?;
        last.archives.insert(archive.stem.clone(), open.packed.clone());
        taken.push((archive, open.capture));
    }
    let shared = &*runner;
    // At once: each ends with waiting for the disk, and disks take several files in one go.
    let work = taken.into_iter().map(|(archive, capture)| {
        shared.blocking(Step::Settle, &archive.stem, move |_| Ok(capture.finish()?))
    });
    join_all(work).await.into_iter().collect()
}
