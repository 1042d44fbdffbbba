//! The outgoing container when somebody has removed it in the middle: on the way back it is made anew from its saved
//! body, with its own image, its volumes and what was captured of its root. One that leans on such a container holds an
//! id that is dead: it is made anew as well, with the root of the old one, which goes then.
//!
//! Flows in: the plan's saved body, the archives. Flows out: a container that stands for the outgoing one in every
//! undo, and a note on what did not come back with it. Idempotent: until it is whole it has a name of its own, from
//! then on the node's; name and label find it. Must never touch a container that is not ours.

mod notes;

use jiff::Timestamp;

use super::create;
use super::held::Has;
use super::runner::Runner;
use super::{Step, StepError, held, stand_in, stop};
use crate::archive::{ApplyMode, ArchiveLine, Manifest, apply as apply_round};
use crate::docker::{Container, RunState};
use crate::durable;
use crate::paths::RedeployDir;
use crate::plan::{Anew, MADE_ANEW, MADE_LABEL, Plan, Source};
use notes::{Filled, note, note_of_dependent, note_of_whole_root};

/// The container that stands for the outgoing one, whole or not.
pub(super) async fn find(runner: &Runner) -> Result<Option<Container>, StepError> {
    let plan = runner.plan();
    let Some(anew) = &plan.outgoing.anew else { return Ok(None) };
    for name in [&anew.temporary_name, &plan.node] {
        let found = runner.engine().container(name).await?;
        let is_it = |found: &Container| {
            runner.is_ours(found) && found.label(MADE_LABEL) == Some(MADE_ANEW) && found.name() == name
        };
        if let Some(found) = found.filter(is_it) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// On the way back: the outgoing container, or the one that is made anew in its place, under the node's name.
pub(super) async fn outgoing(runner: &mut Runner) -> Result<Container, StepError> {
    let plan = runner.hands.plan.clone();
    if let Some(there) = original(runner).await? {
        return Ok(there);
    }
    let gone = || runner.gone(&plan.node, &plan.outgoing.id);
    let anew = plan.outgoing.anew.as_ref().ok_or_else(gone)?;
    let dead = by_id(runner, &plan.outgoing.id).await?;
    let found = find(runner).await?;
    let mut filled = Filled::Earlier;
    let container = match found {
        Some(whole) if whole.name() == plan.node => whole,
        half => {
            let container = make(runner, anew, half, dead.is_some()).await?;
            if let Some(dead) = &dead {
                clear_the_way(runner, dead).await?;
            }
            create::complete(runner, &anew.recreation, &plan.outgoing.image_id, &container).await?;
            filled = match &dead {
                Some(dead) => take_root(runner, dead, &container).await?,
                None => fill_all(runner, &container).await?,
            };
            give_nodes_name(runner, &container).await?;
            container
        }
    };
    if let Some(dead) = dead {
        runner.engine().remove(dead.id()).await?;
    }
    match &runner.leader {
        None => {
            let text = match held::stand_in_has(runner) {
                Has::Nothing => note(&plan, filled),
                has @ (Has::Live | Has::Whole) => {
                    note_of_whole_root(&plan, has, held::is_stop_ordered(runner))
                }
            };
            runner.undid.note.get_or_insert(text);
        }
        Some(leader) => {
            let told = note_of_dependent(&plan, &leader.node, filled);
            runner.undid.tell(told);
        }
    }
    runner.engine().container(container.id()).await?.ok_or_else(|| runner.gone(&plan.node, container.id()))
}

/// Before an undo that does not bring the outgoing container back by itself: it serves, if only because it was made
/// anew.
pub(super) async fn bring_back(runner: &mut Runner) -> Result<(), StepError> {
    let plan = runner.hands.plan.clone();
    if original(runner).await?.is_some() {
        return Ok(());
    }
    let is_leaning = by_id(runner, &plan.outgoing.id).await?.is_some();
    if plan.outgoing.anew.is_none() && !is_leaning {
        return Ok(());
    }
    let whole = find(runner).await?.filter(|found| found.name() == plan.node);
    if is_leaning || !whole.is_some_and(|whole| is_back(&plan, &whole)) {
        runner.undid = stop::undo(runner).await?;
    }
    Ok(())
}

/// Is one that was made anew where the old one was: at work, its work done, or stopped as before?
fn is_back(plan: &Plan, whole: &Container) -> bool {
    let has_finished = has_run(whole) && whole.state() == RunState::Exited && whole.exit_code() == 0;
    !plan.outgoing.alive || whole.state() == RunState::Running || has_finished
}

/// The container that the plan was made for, if it can serve again.
async fn original(runner: &Runner) -> Result<Option<Container>, StepError> {
    if held::is_stop_ordered(runner) {
        held::finish_stop(runner).await?;
        return Ok(None);
    }
    match by_id(runner, &runner.plan().outgoing.id).await? {
        Some(_) if is_leader_lost(runner).await? => Ok(None),
        found => Ok(found),
    }
}

/// Was the container that this one leans on made anew? Nothing can make this one lean on the new id.
async fn is_leader_lost(runner: &Runner) -> Result<bool, StepError> {
    let Some(leader) = &runner.leader else { return Ok(false) };
    if by_id(runner, &leader.id).await?.is_some() {
        return Ok(false);
    }
    let found = runner.engine().container(&leader.node).await?;
    let is_it = |found: Container| runner.is_ours(&found) && found.label(MADE_LABEL) == Some(MADE_ANEW);
    match found.is_some_and(is_it) {
        true => Ok(true),
        // It comes back first; if it could not, this one had better stay as it is.
        false => Err(runner.gone(&leader.node, &leader.id)),
    }
}

/// A removal that is under way is waited for: until then it has the name.
async fn by_id(runner: &Runner, id: &str) -> Result<Option<Container>, StepError> {
    let found = runner.engine().container(id).await?;
    match found {
        Some(found) if matches!(found.state(), RunState::Removing | RunState::Dead) => {
            runner.engine().remove(found.id()).await?;
            Ok(None)
        }
        found => Ok(found),
    }
}

/// `half` is what an interrupted undo left; a half copy must not be compared with, so then it is begun afresh.
async fn make(
    runner: &Runner,
    anew: &Anew,
    half: Option<Container>,
    is_copied: bool,
) -> Result<Container, StepError> {
    match half {
        Some(half) if is_copied => runner.engine().remove(half.id()).await?,
        Some(half) => return Ok(half),
        None => {}
    }
    let name = &anew.temporary_name;
    if runner.engine().container(name).await?.is_some() {
        return Err(StepError::NameTaken { name: name.clone(), id: runner.plan().id });
    }
    let id = runner.engine().create(name, &anew.recreation.body).await?;
    runner.engine().container(&id).await?.ok_or_else(|| runner.gone(name, &id))
}

/// What leans on a dead id stops for good, and leaves the node's name.
async fn clear_the_way(runner: &Runner, dead: &Container) -> Result<(), StepError> {
    stop::stop_for_good(runner, dead.id()).await?;
    let plan = runner.plan();
    if dead.name() == plan.node {
        runner.engine().rename(dead.id(), &plan.outgoing.parked_name).await?;
    }
    Ok(())
}

/// All of the root of the one that stands there still.
async fn take_root(runner: &Runner, dead: &Container, new: &Container) -> Result<Filled, StepError> {
    for archive in runner.plan().archives.iter().filter(|archive| of_root(&archive.source)) {
        stand_in::copy_root(runner, Step::Stop, dead.id(), new.id(), &archive.selection).await?;
    }
    Ok(Filled::Everything)
}

async fn give_nodes_name(runner: &Runner, container: &Container) -> Result<(), StepError> {
    let node = &runner.plan().node;
    if runner.engine().container(node).await?.is_some_and(|holder| holder.name() == node) {
        return Err(StepError::NameTaken { name: node.clone(), id: runner.plan().id });
    }
    Ok(runner.engine().rename(container.id(), node).await?)
}

/// What a stand-in has of the whole root, and what is kept, which may be newer in the archives.
async fn fill_all(runner: &Runner, container: &Container) -> Result<Filled, StepError> {
    let has_root = fill_from_stand_in(runner, container).await?;
    Ok(match (fill(runner, container).await?, has_root) {
        (Filled::Partly, true) => Filled::Wholly,
        (filled, _) => filled,
    })
}

/// Makes the root what the stand-in's is, if that was filled.
async fn fill_from_stand_in(runner: &Runner, container: &Container) -> Result<bool, StepError> {
    let plan = runner.hands.plan.clone();
    let Some(stand_in) = plan.outgoing.stand_in.as_ref().filter(|stand_in| stand_in.has_root) else {
        return Ok(false);
    };
    if held::stand_in_has(runner) == Has::Nothing {
        return Ok(false);
    }
    let Some(found) = stand_in::find(runner, &stand_in.temporary_name).await? else { return Ok(false) };
    stand_in::copy_root(runner, Step::Stop, found.id(), container.id(), &stand_in.selection).await?;
    Ok(true)
}

/// Puts what was captured of the root back.
async fn fill(runner: &Runner, container: &Container) -> Result<Filled, StepError> {
    let wanted = runner.plan().archives.iter().filter(|archive| of_root(&archive.source));
    let stems: Vec<String> = wanted.map(|archive| archive.stem.clone()).collect();
    if stems.is_empty() {
        return Ok(Filled::Wholly);
    }
    let (lines, as_of) = captured(&runner.hands.dir)?;
    let lines: Vec<ArchiveLine> = lines.into_iter().filter(|line| stems.contains(&line.stem)).collect();
    let filled = match as_of {
        _ if lines.len() < stems.len() => Filled::Partly,
        Some(at) => Filled::AsOf(at),
        None => Filled::Wholly,
    };
    let root = runner.engine().open_root(container.id()).await?;
    let dir = runner.hands.dir.archives();
    let work = runner.blocking(Step::Stop, "made anew", move |watch| {
        for line in &lines {
            for number in (1..).take(line.rounds.len()) {
                apply_round(&dir, line, number, &root, &ApplyMode::Replace, watch)?;
            }
        }
        Ok(())
    });
    work.await?;
    Ok(filled)
}

// === what is captured so far ===

/// Writes down what every archive holds that was captured from the outgoing container while it was sure to be there.
pub(super) async fn note_captured(runner: &Runner) -> Result<(), StepError> {
    runner.outgoing_is_there().await?;
    let archives = runner.open.archives.values().map(|open| open.capture.line().clone()).collect();
    Ok(Manifest { archives, ..Manifest::default() }.store(&runner.hands.dir.captured())?)
}

/// The lines of what was captured: of finished archives from the manifest, else as far as they had come, and when that
/// was.
fn captured(dir: &RedeployDir) -> Result<(Vec<ArchiveLine>, Option<Timestamp>), StepError> {
    if dir.manifest().exists() {
        return Ok((Manifest::load(&dir.manifest())?.archives, None));
    }
    let Ok(written) = std::fs::metadata(dir.captured()).and_then(|file| file.modified()) else {
        return Ok((Vec::new(), None));
    };
    let mut lines = Manifest::load(&dir.captured())?.archives;
    for line in &mut lines {
        // Finished, but not listed yet.
        let finished = format!("{}.tar.gz", line.stem);
        if !line.path(&dir.archives()).exists() && dir.archives().join(&finished).exists() {
            line.file = finished;
        }
    }
    lines.retain(|line| line.path(&dir.archives()).exists());
    Ok((lines, Timestamp::try_from(written).ok()))
}

/// The manifest says it all now.
pub(super) fn forget_captured(dir: &RedeployDir) -> Result<(), StepError> {
    Ok(durable::remove_file(&dir.captured())?)
}

fn of_root(source: &Source) -> bool {
    match source {
        Source::Root { .. } => true,
        Source::Volume { .. } | Source::Bind { .. } => false,
    }
}

/// Is this container one that was made anew, and has it run?
pub(super) fn has_run(container: &Container) -> bool {
    container.is_alive() || !container.started_at().starts_with("0001-01-01")
}
