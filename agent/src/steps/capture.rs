//! capture: everything to be kept goes into archives while the old container serves, in rounds, until a round is
//! small or they stop shrinking.
//!
//! Undo: the archives of this redeploy go, except what a failed new container had written (`*.failed.tar.gz`), the
//! archives that is the difference to, and those of what could not be put back (`*.left-alone.txt`).
//! Proof of done: every archive has at least one round.

use std::path::Path;

use super::open::OpenArchive;
use super::output::PackedArchive;
use super::runner::Runner;
use super::{Packed, Step, StepError, anew, stop};
use crate::archive::{ArchiveLine, Capture, Manifest, PackOptions, Round, RoundKind, Skipped, seal};
use crate::durable;
use crate::explain::explain;
use crate::plan::{ArchivePlan, Packing, Source};
use crate::rootfs::Root;

/// A live round this small is not worth another one: stopping now costs next to nothing.
const SMALL_ENTRIES: u64 = 200;
/// See [`SMALL_ENTRIES`].
const SMALL_BYTES: u64 = 8 << 20;
/// What a failed new container had written.
const FAILED_ENDING: &str = ".failed.tar.gz";
/// Beside the archive of what was not put back, because somebody else writes to it: why.
pub(super) const LEFT_ALONE_ENDING: &str = ".left-alone.txt";
/// How many skipped entries the journal keeps per archive; the manifest has them all.
const SKIPPED_KEPT: usize = 20;

pub(super) async fn apply(runner: &mut Runner) -> Result<Packed, StepError> {
    runner.let_go().await;
    let dir = runner.hands.dir.archives();
    clear(&dir, &[])?;
    durable::create_dir(&dir)?;
    if runner.plan().outgoing.crash_looping {
        // It serves nobody, and a root that comes and goes cannot be captured.
        let id = runner.plan().outgoing.id.clone();
        runner.known.stop_ordered = true;
        stop::stop_for_good(runner, &id).await?;
    }
    if !runner.plan().backups.is_empty() {
        old_root(runner).await?;
    }
    let plan = runner.hands.plan.clone();
    let mut packed = Packed::default();
    for archive in &plan.archives {
        let root = open(runner, archive).await?;
        let options = pack_options(&plan.packing);
        let capture = Capture::begin(&dir, &archive.stem, archive.selection.clone(), options)?;
        let open = OpenArchive { capture, root, packed: PackedArchive::default() };
        runner.open.archives.insert(archive.stem.clone(), open);
        live_rounds(runner, Step::Capture, &archive.stem).await?;
        let open = &runner.open.archives[&archive.stem];
        packed.archives.insert(archive.stem.clone(), open.packed.clone());
        anew::note_captured(runner).await?;
    }
    Ok(packed)
}

pub(super) async fn undo(runner: &mut Runner) -> Result<(), StepError> {
    // While the archives are still there.
    anew::bring_back(runner).await?;
    // What is not put back may be needed by a human.
    let settled = runner.hands.dir.manifest().exists();
    let unshared = runner.plan().archives.iter().filter(|archive| match archive.source {
        Source::Root { .. } => false,
        Source::Volume { shared, .. } | Source::Bind { shared, .. } => settled && !shared,
    });
    let kept: Vec<String> = unshared.map(|archive| archive.stem.clone()).collect();
    seal_what_differences_are_to(runner).await;
    clear(&runner.hands.dir.archives(), &kept)?;
    if runner.plan().outgoing.crash_looping {
        runner.undid = stop::undo(runner).await?;
    }
    Ok(())
}

/// Whoever wants what a failed container had written needs the archive it is the difference to as an ordinary one. The
/// old container serves by now, so there is time; that it cannot be had must not make the undo fail.
async fn seal_what_differences_are_to(runner: &Runner) {
    let dir = runner.hands.dir.archives();
    let Ok(manifest) = Manifest::load(&runner.hands.dir.manifest()) else { return };
    let has = |line: &ArchiveLine, ending: &str| dir.join(format!("{}{ending}", line.stem)).exists();
    let is_wanted = |line: &ArchiveLine| has(line, FAILED_ENDING) || has(line, LEFT_ALONE_ENDING);
    for line in manifest.archives.into_iter().filter(is_wanted) {
        let (dir, stem) = (dir.clone(), line.stem.clone());
        let work = runner.blocking(Step::Capture, &stem, move |watch| Ok(seal(&dir, &line, watch)?));
        if let Err(error) = work.await {
            tracing::warn!(
                archive = stem,
                error = explain(&error),
                "not sealed: it may hold older copies too"
            );
        }
    }
}

/// Live rounds of one archive until another would not pay.
pub(super) async fn live_rounds(
    runner: &mut Runner,
    step: Step,
    stem: &str,
) -> Result<Vec<Round>, StepError> {
    let mut rounds: Vec<Round> = Vec::new();
    while another_pays(&rounds, runner.plan().packing.rounds_max) {
        rounds.push(round(runner, step, stem, RoundKind::Live).await?);
    }
    Ok(rounds)
}

/// One round of one archive, on another thread.
pub(super) async fn round(
    runner: &mut Runner,
    step: Step,
    stem: &str,
    kind: RoundKind,
) -> Result<Round, StepError> {
    let open = runner.open.archives.remove(stem).ok_or(StepError::Missing { step })?;
    let (open, round) = round_of(runner, step, stem, open, kind).await?;
    runner.open.archives.insert(stem.to_owned(), open);
    Ok(round)
}

/// The same of an archive that was taken out, so that several can be at work at a time.
pub(super) async fn round_of(
    runner: &Runner,
    step: Step,
    stem: &str,
    mut open: OpenArchive,
    kind: RoundKind,
) -> Result<(OpenArchive, Round), StepError> {
    let work = runner.blocking(step, stem, move |watch| {
        let round = open.capture.round(&open.root, kind, watch)?;
        open.packed.note(&round);
        Ok((open, round))
    });
    work.await
}

/// Pure: is another live round worth its time?
pub(super) fn another_pays(rounds: &[Round], rounds_max: u32) -> bool {
    let Some(last) = rounds.last() else { return true };
    let small = last.written <= SMALL_ENTRIES && last.bytes <= SMALL_BYTES;
    let shrinking = match rounds {
        [.., before, last] => last.bytes < before.bytes / 2 || last.written < before.written / 2,
        _ => true,
    };
    !small && shrinking && rounds.len() < rounds_max as usize
}

async fn open(runner: &mut Runner, archive: &ArchivePlan) -> Result<Root, StepError> {
    let engine = std::sync::Arc::clone(&runner.hands.engine);
    Ok(match &archive.source {
        Source::Root { .. } => old_root(runner).await?,
        Source::Volume { name, .. } => engine.open_volume(name).await?,
        Source::Bind { path, .. } => engine.open_host_dir(path).await?,
    })
}

/// The old container's root: opened once, while it runs, and held through its stop, so that nothing need be opened
/// in the time in which nothing serves.
pub(super) async fn old_root(runner: &mut Runner) -> Result<Root, StepError> {
    if let Some(root) = &runner.open.old_root {
        return Ok(root.try_clone()?);
    }
    let root = runner.engine().open_root(&runner.plan().outgoing.id).await?;
    let clone = root.try_clone()?;
    runner.open.old_root = Some(root);
    Ok(clone)
}

pub(super) fn pack_options(packing: &Packing) -> PackOptions {
    PackOptions {
        level: packing.level,
        threads: packing.threads,
        entries_max: packing.entries_max,
        archive_bytes_max: packing.archive_bytes_max,
    }
}

/// Removes what is in the archive directory, but for what a failed new container had written and the archive that it
/// is the difference to.
fn clear(dir: &Path, also_kept: &[String]) -> Result<(), StepError> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
    let names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let stem = |name: &str| -> Option<String> {
        let stem = name.strip_suffix(FAILED_ENDING).or_else(|| name.strip_suffix(LEFT_ALONE_ENDING));
        stem.map(str::to_owned)
    };
    let mut kept: Vec<String> = names.iter().filter_map(|name| stem(name)).collect();
    kept.extend_from_slice(also_kept);
    for name in &names {
        let is_kept =
            |stem: &String| name.strip_prefix(stem.as_str()).is_some_and(|rest| rest.starts_with('.'));
        if !kept.iter().any(is_kept) {
            durable::remove_file(&dir.join(name))?;
        }
    }
    Ok(())
}

// === impl PackedArchive ===

impl PackedArchive {
    fn note(&mut self, round: &Round) {
        self.rounds = self.rounds.saturating_add(1);
        self.entries = self.entries.saturating_add(round.written);
        self.bytes = self.bytes.saturating_add(round.bytes);
        let more = round.skipped.iter().filter(|new| !self.skipped.contains(new)).cloned();
        let more: Vec<Skipped> = more.take(SKIPPED_KEPT.saturating_sub(self.skipped.len())).collect();
        self.skipped.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(written: u64, bytes: u64) -> Round {
        Round { written, bytes, ..Round::default() }
    }

    #[test]
    fn rounds_go_on_while_they_shrink_and_are_not_small() {
        let big = 1 << 30;
        assert!(another_pays(&[], 5));
        assert!(!another_pays(&[round(10, 100)], 5), "small");
        assert!(another_pays(&[round(100_000, big)], 5));
        assert!(another_pays(&[round(100_000, big), round(9_000, big / 4)], 5), "shrinking");
        assert!(!another_pays(&[round(1000, big), round(900, big)], 5), "not shrinking");
        assert!(!another_pays(&[round(100_000, big), round(9_000, big / 4)], 2), "enough");
    }
}
