//! start: the new container starts; downtime ends. One that takes the place of a stopped container stays stopped.
//!
//! Undo: it is stopped, its last words and exit code are kept, and volumes it may have written to become what they
//! were (what it wrote is kept as `*.failed.tar.gz`). Proof of done: the engine says it was started.

use super::runner::Runner;
use super::{Started, StepError, create, fresh, last_words, put_data, stop};
use crate::docker::{Container, EngineError, RunState};
use crate::explain::explain;
use crate::plan::Incoming;
use crate::saga::Interference;

pub(super) async fn apply(runner: &mut Runner) -> Result<Started, StepError> {
    let plan = runner.hands.plan.clone();
    let incoming = runner.incoming().await?;
    if incoming.is_alive() && !runner.known.start_ordered {
        let name = plan.incoming.name_before_swap();
        return Err(StepError::Interfered(Interference::found(
            name,
            "runs already",
            "not to be started yet",
        )));
    }
    if let Incoming::Parked { restart_policy, .. } = &plan.incoming {
        runner.engine().set_restart_policy(incoming.id(), restart_policy).await?;
    }
    if !plan.outgoing.alive {
        return Ok(Started { at: None });
    }
    // An earlier process started it: it serves since then, not since now.
    if incoming.state() == RunState::Running {
        let since = incoming.started_at().parse().unwrap_or_else(|_| jiff::Timestamp::now());
        return Ok(Started { at: Some(since) });
    }
    runner.known.start_ordered = true;
    runner.engine().start(incoming.id()).await?;
    Ok(Started { at: Some(jiff::Timestamp::now()) })
}

pub(super) async fn undo(runner: &mut Runner) -> Result<(), StepError> {
    let plan = runner.hands.plan.clone();
    let incoming = runner.find_incoming().await?;
    // One that somebody removed may have run before.
    let may_have_run = incoming.as_ref().is_none_or(|incoming| was_started(incoming, &plan.incoming));
    if let Some(incoming) = &incoming
        && plan.incoming.removes_itself()
    {
        stop_one_that_goes(runner, incoming, may_have_run).await?;
    } else if let Some(incoming) = incoming {
        let stopped = stop::stop_for_good(runner, incoming.id()).await;
        if stopped.is_err() && is_removed(runner).await? {
            return put_back_if_ran(runner, may_have_run).await;
        }
        stopped?;
        if may_have_run {
            last_words::keep(runner, Some(&incoming)).await;
        }
    } else {
        last_words::keep(runner, None).await;
    }
    put_back_if_ran(runner, may_have_run).await
}

/// The engine removes it when it stops: whatever is to be kept of it is kept before.
async fn stop_one_that_goes(
    runner: &mut Runner,
    incoming: &Container,
    may_have_run: bool,
) -> Result<(), StepError> {
    if !may_have_run {
        return Ok(());
    }
    last_words::keep(runner, Some(incoming)).await;
    if let Err(error) = keep_what_it_took_in(runner, incoming).await {
        // It may have ended by itself in the middle of this, and there is nothing left to keep.
        tracing::warn!(error = explain(&error), "what the failed container took in could not all be kept");
    }
    match runner.engine().stop(incoming.id(), None).await {
        Ok(()) | Err(EngineError::Refused { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    // Waits for the removal that is under way.
    Ok(runner.engine().remove(incoming.id()).await?)
}

/// Stops it and archives what it had in the preserved paths and in volumes that go with it, while the engine is held.
async fn keep_what_it_took_in(runner: &mut Runner, incoming: &Container) -> Result<(), StepError> {
    let Incoming::New(new) = &runner.plan().incoming else { return Ok(()) };
    if incoming.state() != RunState::Running {
        return Ok(());
    }
    let volumes = fresh::of(runner, new, incoming).await?;
    if incoming.read_only_root() {
        return fresh::keep(runner, &volumes).await.map(drop);
    }
    let root = runner.engine().open_root(incoming.id()).await?;
    let hold = runner.engine().hold(incoming.id()).await?;
    hold.stop().await?;
    fresh::keep(runner, &volumes).await?;
    create::keep_of_root(runner, root).await
}

async fn put_back_if_ran(runner: &mut Runner, may_have_run: bool) -> Result<(), StepError> {
    if may_have_run { put_data::put_back_shared(runner).await } else { Ok(()) }
}

/// Has somebody else removed it meanwhile? A removal that is under way is waited for: until then it has the name.
async fn is_removed(runner: &Runner) -> Result<bool, StepError> {
    match runner.find_incoming().await? {
        None => Ok(true),
        Some(found) if found.state() == RunState::Removing => {
            runner.engine().remove(found.id()).await?;
            Ok(true)
        }
        Some(_) => Ok(false),
    }
}

/// Has it run in this saga? A new container has no start time before; a parked one has run before it was parked,
/// so it counts as started.
fn was_started(container: &Container, incoming: &Incoming) -> bool {
    match incoming {
        Incoming::New(_) => !container.started_at().starts_with("0001-01-01"),
        Incoming::Parked { .. } => true,
    }
}
