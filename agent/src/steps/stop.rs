//! stop: the old container's restart policy becomes `no`, then it is stopped with its own grace period. Downtime
//! begins.
//!
//! Undo: policy back, started again if it ran, and seen to run. Proof of done: it does not run and could not start
//! by itself.

use jiff::Timestamp;
use serde_json::json;

use super::runner::Runner;
use super::{StepError, Stopped, anew, held, last_words, verify};
use crate::docker::{Container, EngineError, RunState};
use crate::saga::{Interference, Undid};

pub(super) async fn apply(runner: &mut Runner) -> Result<Stopped, StepError> {
    if runner.plan().outgoing.removes_itself && runner.known.stop_ordered {
        return Ok(Stopped { asked_at: None });
    }
    let outgoing = runner.outgoing().await?;
    if !runner.known.stop_ordered {
        check_same_run(runner, &outgoing)?;
        last_words::listen(runner).await;
    }
    if runner.plan().outgoing.removes_itself {
        let asked_at = held::stop(runner, &outgoing).await?;
        return Ok(Stopped { asked_at: Some(asked_at) });
    }
    runner.known.stop_ordered = true;
    let asked_at = outgoing.is_alive().then(Timestamp::now);
    stop_for_good(runner, outgoing.id()).await?;
    let stopped = runner.outgoing().await?;
    if stopped.is_alive() {
        let found = Interference::found(&runner.plan().node, "runs again", "to stay stopped");
        return Err(StepError::Interfered(found));
    }
    Ok(Stopped { asked_at })
}

pub(super) async fn undo(runner: &mut Runner) -> Result<Undid, StepError> {
    let plan = runner.hands.plan.clone();
    let outgoing = anew::outgoing(runner).await?;
    if !outgoing.auto_remove() {
        runner.engine().set_restart_policy(outgoing.id(), &plan.outgoing.restart_policy).await?;
    }
    if !plan.outgoing.alive {
        return Ok(std::mem::take(&mut runner.undid));
    }
    if outgoing.state() != RunState::Running {
        runner.engine().start(outgoing.id()).await?;
        runner.undid.serving_since = Some(Timestamp::now());
    }
    if !plan.outgoing.crash_looping {
        verify::came_back(runner, outgoing.id()).await?;
    }
    Ok(std::mem::take(&mut runner.undid))
}

/// What was captured live is only right for the run it was captured from: a restart mounts the root anew.
fn check_same_run(runner: &Runner, outgoing: &Container) -> Result<(), StepError> {
    let plan = &runner.plan().outgoing;
    let found = match (plan.alive, outgoing.is_alive()) {
        _ if plan.crash_looping => return Ok(()),
        (true, false) => "has stopped",
        (false, true) => "has been started",
        (true, true) if outgoing.state() == RunState::Restarting => "has ended and is being restarted",
        (true, true) if outgoing.started_at() != plan.started_at => "has been restarted",
        (true, true) | (false, false) => return Ok(()),
    };
    let expected = "to be left alone while it was captured";
    Err(StepError::Interfered(Interference::found(&runner.plan().node, found, expected)))
}

/// The policy first, so that nothing brings the container back once it is stopped. One that ends again and again
/// refuses that at the very instant it ends; stopped, it takes it.
pub(super) async fn stop_for_good(runner: &Runner, id: &str) -> Result<(), EngineError> {
    let never = json!({ "Name": "no" });
    let refused = runner.engine().set_restart_policy(id, &never).await.is_err();
    runner.engine().stop(id, None).await?;
    if refused { runner.engine().set_restart_policy(id, &never).await } else { Ok(()) }
}
