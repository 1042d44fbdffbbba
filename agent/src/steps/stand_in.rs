//! The stand-in: after the commit it takes the place of a parked container that cannot stay (see `plan/stand_in.rs`),
//! with an exact copy of its root; a revert makes the container anew from its saved body and the stand-in's root.
//!
//! Flows in: a committed plan. Flows out: a stand-in under the parked name, and the parked container gone, its volumes
//! not. Idempotent, forward only: the parked one is removed only after the copy is whole, which the stand-in's name tells
//! from then on, and only if nobody touched it meanwhile. Must never start either, or remove one that somebody started.

use super::capture::pack_options;
use super::runner::Runner;
use super::{Step, StepError};
use crate::archive::{ApplyMode, Capture, PackOptions, RoundKind, Selection, apply as apply_round};
use crate::docker::{Container, Engine, EngineError, RunState};
use crate::durable;
use crate::explain::explain;
use crate::plan::{Incoming, Names, Plan, REDEPLOY_LABEL, StandIn, is_stand_in};
use crate::rootfs::Root;
use crate::saga::Interference;

/// Where the difference between two roots lies on its way.
const STEM_COPY: &str = "copy";

/// Puts the stand-in in the parked container's place, if the plan has one.
pub(super) async fn take_over(runner: &Runner) -> Result<(), StepError> {
    let plan = runner.hands.plan.clone();
    let Some(stand_in) = &plan.outgoing.stand_in else { return Ok(()) };
    let parked = runner.engine().container(&plan.outgoing.id).await?;
    if let Some(dead) = parked.as_ref().filter(|parked| parked.is_going()) {
        make_way(runner, dead).await?;
    } else if let Some(parked) = &parked {
        if parked.is_alive() || parked.name() != plan.outgoing.parked_name {
            let found = format!("is {:?} as {}", parked.state(), parked.name());
            let what = Interference::found(&plan.outgoing.parked_name, &found, "to stay parked");
            return Err(StepError::Interfered(what));
        }
        let made = make(runner, stand_in, &half_name(&plan)).await?;
        if stand_in.has_root {
            copy_root(runner, Step::Verify, parked.id(), made.id(), &stand_in.selection).await?;
        }
        runner.engine().rename(made.id(), &stand_in.temporary_name).await?;
        remove_parked(runner, parked.id()).await?;
    } else {
        // What it was a copy of is gone.
        remove_if_there(runner, &half_name(&plan)).await?;
    }
    match find(runner, &stand_in.temporary_name).await? {
        Some(made) => Ok(runner.engine().rename(made.id(), &plan.outgoing.parked_name).await?),
        None => Ok(()),
    }
}

async fn remove_parked(runner: &Runner, id: &str) -> Result<(), StepError> {
    let Err(error) = runner.engine().remove_stopped(id).await else { return Ok(()) };
    match runner.engine().container(id).await?.filter(Container::is_going) {
        Some(dead) => make_way(runner, &dead).await,
        None => Err(error.into()),
    }
}

/// A parked container whose removal has begun is no way back, and no longer whole: only what was copied from it before
/// counts. If the engine cannot bring the removal to its end, it is left under another name; `tidy` tries again.
async fn make_way(runner: &Runner, dead: &Container) -> Result<(), StepError> {
    let plan = runner.hands.plan.clone();
    remove_if_there(runner, &half_name(&plan)).await?;
    match runner.engine().remove_stopped(dead.id()).await {
        Err(error @ EngineError::Refused { .. }) => {
            tracing::warn!(container = dead.name(), error = explain(&error), "the engine cannot remove it");
        }
        ended => return Ok(ended?),
    }
    if dead.name() == plan.outgoing.parked_name {
        runner.engine().rename(dead.id(), &Names::new(&plan.node, plan.id).dead()).await?;
    }
    Ok(())
}

/// The name of a stand-in whose copy is not whole.
fn half_name(plan: &Plan) -> String {
    Names::new(&plan.node, plan.id).half_stand_in()
}

/// A stand-in that this revert has taken the container from is needed no more.
pub(super) async fn remove_used_up(runner: &Runner) -> Result<(), StepError> {
    let Incoming::New(new) = &runner.plan().incoming else { return Ok(()) };
    let Some(from) = &new.root_from else { return Ok(()) };
    match runner.engine().container(&from.id).await?.filter(is_stand_in) {
        Some(used_up) => Ok(runner.engine().remove(used_up.id()).await?),
        None => Ok(()),
    }
}

/// The container that this plan parked, or its stand-in, if it still stands parked under our name, whole.
///
/// # Errors
/// [`EngineError`]
pub async fn parked_by(engine: &dyn Engine, plan: &Plan) -> Result<Option<Container>, EngineError> {
    let name = &plan.outgoing.parked_name;
    let found = engine.container(&plan.outgoing.id).await?;
    let found = found.filter(|found| found.name() == name && !found.is_going());
    if found.is_some() || plan.outgoing.stand_in.is_none() {
        return Ok(found);
    }
    let id = plan.id.to_string();
    let is_it = |found: &Container| {
        found.name() == name
            && is_stand_in(found)
            && found.label(REDEPLOY_LABEL) == Some(id.as_str())
            && !found.is_going()
    };
    Ok(engine.container(name).await?.filter(is_it))
}

/// Does a whole stand-in, made by this plan, only wait for the parked name?
///
/// # Errors
/// [`EngineError`]
pub async fn awaits_parked_name(engine: &dyn Engine, plan: &Plan) -> Result<bool, EngineError> {
    let Some(stand_in) = &plan.outgoing.stand_in else { return Ok(false) };
    let (name, id) = (&stand_in.temporary_name, plan.id.to_string());
    let is_it = |found: &Container| {
        found.name() == name && is_stand_in(found) && found.label(REDEPLOY_LABEL) == Some(id.as_str())
    };
    Ok(engine.container(name).await?.is_some_and(|found| is_it(&found)))
}

pub(super) async fn find(runner: &Runner, name: &str) -> Result<Option<Container>, StepError> {
    let found = runner.engine().container(name).await?;
    Ok(found.filter(|found| runner.is_ours(found) && is_stand_in(found) && found.name() == name))
}

/// A fresh one each time, under `name`: half a copy must not be compared with.
pub(super) async fn make(runner: &Runner, stand_in: &StandIn, name: &str) -> Result<Container, StepError> {
    remove_if_there(runner, &half_name(runner.plan())).await?;
    // A whole one is a copy of what was there then.
    remove_if_there(runner, &stand_in.temporary_name).await?;
    let id = runner.engine().create(name, &stand_in.body).await?;
    runner.engine().container(&id).await?.ok_or_else(|| runner.gone(name, &id))
}

async fn remove_if_there(runner: &Runner, name: &str) -> Result<(), StepError> {
    match find(runner, name).await? {
        Some(found) => Ok(runner.engine().remove(found.id()).await?),
        None => Ok(()),
    }
}

/// Makes the root of `to`, a fresh container of the same image, what the root of `from` is. Neither runs: it fails if
/// somebody did anything to `from` meanwhile.
pub(super) async fn copy_root(
    runner: &Runner,
    step: Step,
    from: &str,
    to: &str,
    selection: &Selection,
) -> Result<(), StepError> {
    let before = at_rest(runner, from).await?;
    let (source, to) = (runner.engine().open_root(from).await?, runner.engine().open_root(to).await?);
    copy(runner, step, source, to, selection).await?;
    let after = at_rest(runner, from).await?;
    if (after.name(), after.started_at()) != (before.name(), before.started_at()) {
        let found = format!("was renamed to {}, or has been started", after.name());
        return Err(StepError::Interfered(Interference::found(before.name(), &found, "to stay as it is")));
    }
    Ok(())
}

/// A container whose root nobody writes to or removes.
async fn at_rest(runner: &Runner, id: &str) -> Result<Container, StepError> {
    let found = runner.engine().container(id).await?.ok_or_else(|| runner.gone("parked", id))?;
    match found.state() {
        RunState::Created | RunState::Exited => Ok(found),
        RunState::Removing | RunState::Dead => Err(runner.gone(found.name(), id)),
        RunState::Running | RunState::Paused | RunState::Restarting => {
            let what =
                Interference::found(found.name(), &format!("is {:?}", found.state()), "to stay parked");
            Err(StepError::Interfered(what))
        }
    }
}

/// What differs goes through an archive of its own: exact, and no larger than the difference.
pub(super) async fn copy(
    runner: &Runner,
    step: Step,
    from: Root,
    to: Root,
    selection: &Selection,
) -> Result<(), StepError> {
    let dir = runner.hands.dir.copying();
    durable::create_dir(&dir)?;
    let selection = selection.clone();
    // Limits are for what is kept; a whole root is as large as it is.
    let options =
        PackOptions { entries_max: 0, archive_bytes_max: 0, ..pack_options(&runner.plan().packing) };
    let at = dir.clone();
    let work = runner.blocking(step, "root", move |watch| {
        let mut capture = Capture::begin(&at, STEM_COPY, selection, options)?.against(&to, &from, watch)?;
        let round = capture.round(&from, RoundKind::Final, watch)?;
        apply_round(&at, capture.line(), round.number, &to, &ApplyMode::Difference, watch)?;
        Ok(())
    });
    work.await?;
    Ok(durable::remove_dir(&dir)?)
}
