//! A container that the engine removes when it stops (`--rm`): before its stop its whole root is in a stand-in already,
//! which takes its place; the engine is held (see `docker/hold.rs`) until what it wrote while it ended is there, too.
//!
//! Flows in: a plan whose outgoing container removes itself; of every other nothing here does anything. Flows out: a
//! filled stand-in, and the container gone, its volumes not. Before the stop is ordered, a mark of that is durable: an
//! undo then never takes the container for one that lives. Must never inspect a held container.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::capture::{another_pays, old_root, pack_options, round_of};
use super::open::{Filling, OpenArchive};
use super::output::PackedArchive;
use super::runner::Runner;
use super::{Step, StepError, stand_in};
use crate::archive::{ApplyMode, Capture, PackOptions, Round, RoundKind, apply as apply_round};
use crate::docker::{Container, EngineError};
use crate::durable;
use crate::plan::StandIn;

/// The archive through which the root goes into the stand-in.
const STEM: &str = "root";
/// How long the engine may take to remove a container that has ended.
const REMOVAL_DEADLINE: Duration = Duration::from_secs(300);
/// How often that is looked at.
const REMOVAL_POLL: Duration = Duration::from_millis(20);

/// How much of the old root the stand-in has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Has {
    /// Nothing that counts.
    Nothing,
    /// All of it as of the last live round.
    Live,
    /// All of it.
    Whole,
}

/// Of `create`: the stand-in. It mounts the volumes, so that those without a name outlive the container.
pub(super) async fn prepare(runner: &Runner) -> Result<(), StepError> {
    match planned(runner) {
        Some(stand_in) => stand_in::make(runner, stand_in, &stand_in.temporary_name).await.map(drop),
        None => Ok(()),
    }
}

/// Of `prefill`: the root as it is now, and how to bring in what changes from now on.
pub(super) async fn prefill(runner: &mut Runner) -> Result<(), StepError> {
    let plan = runner.hands.plan.clone();
    let Some(stand_in) = planned(runner).filter(|stand_in| stand_in.has_root).cloned() else { return Ok(()) };
    runner.open.stand_in = None;
    let dir = runner.hands.dir.held();
    durable::create_dir(&dir)?;
    durable::remove_file(&mark(runner, Mark::Filled))?;
    let root = old_root(runner).await?;
    let found = stand_in::find(runner, &stand_in.temporary_name).await?;
    let found = found.ok_or_else(|| runner.gone(&stand_in.temporary_name, "stand-in"))?;
    let to = runner.engine().open_root(found.id()).await?;
    let options = PackOptions { entries_max: 0, archive_bytes_max: 0, ..pack_options(&plan.packing) };
    let selection = stand_in.selection.clone();
    let work = runner.blocking(Step::Prefill, STEM, move |watch| {
        let capture = Capture::begin(&dir, STEM, selection, options)?.against(&to, &root, watch)?;
        let archive = OpenArchive { capture, root, packed: PackedArchive::default() };
        Ok(Filling { archive, to })
    });
    runner.open.stand_in = Some(work.await?);
    let mut rounds: Vec<Round> = Vec::new();
    while another_pays(&rounds, plan.packing.rounds_max) {
        rounds.push(fill(runner, Step::Prefill, RoundKind::Live).await?);
    }
    set_mark(runner, Mark::Filled)
}

/// Of `stop`. Says when the stop was asked for.
pub(super) async fn stop(runner: &mut Runner, outgoing: &Container) -> Result<Timestamp, StepError> {
    durable::create_dir(&runner.hands.dir.held())?;
    if planned(runner).is_some_and(|stand_in| stand_in.has_root) {
        let hold = runner.engine().hold(outgoing.id()).await?;
        set_mark(runner, Mark::StopOrdered)?;
        runner.known.stop_ordered = true;
        let asked_at = Timestamp::now();
        let ended = hold.stop().await;
        runner.open.hold = Some(hold);
        ended?;
        return Ok(asked_at);
    }
    // A read-only root: nothing that matters is in it.
    set_mark(runner, Mark::StopOrdered)?;
    runner.known.stop_ordered = true;
    let asked_at = Timestamp::now();
    finish_stop(runner).await?;
    Ok(asked_at)
}

/// Of `settle`: what it wrote while it ended.
pub(super) async fn last_round(runner: &mut Runner) -> Result<(), StepError> {
    if runner.open.stand_in.is_none() {
        return Ok(());
    }
    fill(runner, Step::Settle, RoundKind::Final).await?;
    set_mark(runner, Mark::Whole)
}

/// Everything that was read so far was read from a whole root: the engine has not begun to remove it.
pub(super) async fn is_whole(runner: &Runner) -> Result<(), StepError> {
    match &runner.open.hold {
        Some(hold) if hold.stands() => Ok(()),
        Some(_) => {
            let detail = "it went on while the last round was read".to_owned();
            Err(EngineError::NotHeld { name: runner.plan().node.clone(), detail }.into())
        }
        // A read-only root: nothing was read from it.
        None if runner.known.stop_ordered && planned(runner).is_some() => Ok(()),
        None => runner.outgoing_is_there().await,
    }
}

/// Of `settle`: the engine may remove it now, and has done so when this returns. Does nothing with others.
pub(super) async fn let_go(runner: &mut Runner) -> Result<(), StepError> {
    if planned(runner).is_none() {
        return Ok(());
    }
    runner.let_go().await;
    until_gone(runner).await
}

/// Was the container told to stop, by this process or one before it? Then it is as good as gone.
pub(super) fn is_stop_ordered(runner: &Runner) -> bool {
    planned(runner).is_some() && mark(runner, Mark::StopOrdered).exists()
}

/// How much of the root an undo finds in the stand-in.
pub(super) fn stand_in_has(runner: &Runner) -> Has {
    match planned(runner) {
        None => Has::Nothing,
        Some(stand_in) if !stand_in.has_root => Has::Whole,
        Some(_) if mark(runner, Mark::Whole).exists() => Has::Whole,
        Some(_) if mark(runner, Mark::Filled).exists() => Has::Live,
        Some(_) => Has::Nothing,
    }
}

/// Ends a stop that was ordered, and waits until the engine has removed the container.
pub(super) async fn finish_stop(runner: &Runner) -> Result<(), StepError> {
    let id = &runner.plan().outgoing.id;
    if runner.engine().container(id).await?.is_some() {
        match runner.engine().stop(id, None).await {
            // It may go, or be gone, at any moment.
            Ok(()) | Err(EngineError::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    until_gone(runner).await
}

/// Of `create`'s undo, once the old container serves again.
pub(super) async fn clear(runner: &Runner) -> Result<(), StepError> {
    let Some(stand_in) = planned(runner) else { return Ok(()) };
    if let Some(unused) = stand_in::find(runner, &stand_in.temporary_name).await? {
        runner.engine().remove(unused.id()).await?;
    }
    Ok(durable::remove_dir(&runner.hands.dir.held())?)
}

/// After the commit the stand-in holds everything.
pub(super) fn forget(runner: &Runner) -> Result<(), StepError> {
    Ok(durable::remove_dir(&runner.hands.dir.held())?)
}

fn planned(runner: &Runner) -> Option<&StandIn> {
    let outgoing = &runner.plan().outgoing;
    outgoing.stand_in.as_deref().filter(|_| outgoing.removes_itself)
}

async fn until_gone(runner: &Runner) -> Result<(), StepError> {
    let deadline = Instant::now() + REMOVAL_DEADLINE;
    while runner.engine().container(&runner.plan().outgoing.id).await?.is_some() {
        if Instant::now() > deadline {
            let action = format!("remove container {}, which has ended", runner.plan().node);
            return Err(EngineError::TimedOut { action, seconds: REMOVAL_DEADLINE.as_secs() }.into());
        }
        tokio::time::sleep(REMOVAL_POLL).await;
    }
    Ok(())
}

/// One round from the old root into the stand-in, if the old root was whole to its end.
async fn fill(runner: &mut Runner, step: Step, kind: RoundKind) -> Result<Round, StepError> {
    let Filling { archive, to } = runner.open.stand_in.take().ok_or(StepError::Missing { step })?;
    let (archive, round) = round_of(runner, step, STEM, archive, kind).await?;
    is_whole(runner).await?;
    let (dir, line, number) = (runner.hands.dir.held(), archive.capture.line().clone(), round.number);
    let work = runner.blocking(step, STEM, move |watch| {
        apply_round(&dir, &line, number, &to, &ApplyMode::Difference, watch)?;
        Ok(to)
    });
    let to = work.await?;
    runner.open.stand_in = Some(Filling { archive, to });
    Ok(round)
}

// === marks ===

/// What must be known after a crash, each an empty file.
#[derive(Debug, Clone, Copy)]
enum Mark {
    Filled,
    StopOrdered,
    Whole,
}

fn mark(runner: &Runner, mark: Mark) -> PathBuf {
    let name = match mark {
        Mark::Filled => "filled",
        Mark::StopOrdered => "stop-ordered",
        Mark::Whole => "whole",
    };
    runner.hands.dir.held().join(name)
}

fn set_mark(runner: &Runner, which: Mark) -> Result<(), StepError> {
    Ok(durable::write(&mark(runner, which), b"")?)
}
