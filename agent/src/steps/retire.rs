//! retire, after the commit and forward only: archives are sealed, parked containers and archives that retention
//! no longer holds go.
//!
//! A container that the engine cannot remove is left dead: it cannot start and is no way back. That keeps nothing from
//! being tidy; it is told, and its removal tried again each time.

use jiff::Timestamp;

use super::runner::Runner;
use super::{Hands, StepError, parked_by};
use crate::archive::{Manifest, seal};
use crate::docker::{Container, Engine, EngineError};
use crate::durable;
use crate::explain::explain;
use crate::history::{self, Entry};
use crate::paths::{DataDir, RedeployDir};
use crate::plan::{Incoming, Plan, REDEPLOY_LABEL, is_stand_in};
use crate::retention::{Kept, Retention, ToGo};

pub(super) async fn tidy_node(hands: &Hands) -> Result<(), StepError> {
    tidy(hands.engine.as_ref(), &hands.data, &hands.plan.node, hands.retention).await.map(drop)
}

pub(super) async fn seal_archives(runner: &mut Runner) -> Result<(), StepError> {
    let dir = runner.hands.dir.clone();
    let manifest = Manifest::load(&dir.manifest())?;
    for archive in &manifest.archives {
        let (archives, line, file) = (dir.archives(), archive.clone(), dir.manifest());
        let work = runner.blocking(super::Step::Settle, &archive.stem, move |watch| {
            let sealed = seal(&archives, &line, watch)?;
            let mut manifest = Manifest::load(&file)?;
            if let Some(line) = manifest.archives.iter_mut().find(|line| line.stem == sealed.stem) {
                *line = sealed;
            }
            manifest.store(&file)?;
            Ok(())
        });
        work.await?;
    }
    Ok(())
}

/// What retention let go of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Parked containers, and new ones that an undo could not see yet, removed, by name.
    pub containers: Vec<String>,
    /// Containers of ours that the engine could not remove, by name: dead, harmless, and tried again the next time.
    pub dead: Vec<String>,
    /// Redeploys whose archives were removed.
    pub archives: Vec<redeploy_proto::RedeployId>,
}

impl Tidied {
    /// Was there nothing to do?
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.containers.is_empty() && self.dead.is_empty() && self.archives.is_empty()
    }
}

/// Removes what retention no longer holds of one node.
///
/// # Errors
/// [`StepError`]; what is left is tried again the next time.
pub async fn tidy(
    engine: &dyn Engine,
    data: &DataDir,
    node: &str,
    retention: Retention,
) -> Result<Tidied, StepError> {
    let entries = history::of_node(data, node);
    let mut kept = Vec::new();
    for entry in entries.iter().filter(|entry| entry.has_ended() || entry.is_committed()) {
        kept.push(Kept {
            id: entry.plan.id,
            ended_at: entry.last_at(),
            has_parked: parked_by(engine, &entry.plan).await?.is_some(),
            has_archives: holds_anything(entry),
        });
    }
    let to_go = retention.decide(&kept, Timestamp::now());
    let mut tidied = carry_out(engine, &entries, &to_go).await?;
    tidied.containers.extend(remove_strays(engine, &entries).await?);
    for dead in dead_of(engine, &entries).await? {
        let name = dead.name().to_owned();
        match engine.remove(dead.id()).await {
            Ok(()) => tidied.containers.push(name),
            Err(error @ EngineError::Refused { .. }) => {
                tracing::warn!(container = name, error = explain(&error), "the engine cannot remove it");
                tidied.dead.push(name);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(tidied)
}

/// Names of the containers of a node, parked or stand-ins, that the engine could not remove.
///
/// # Errors
/// [`StepError`]
pub async fn dead(engine: &dyn Engine, data: &DataDir, node: &str) -> Result<Vec<String>, StepError> {
    let dead = dead_of(engine, &history::of_node(data, node)).await?;
    Ok(dead.iter().map(|dead| dead.name().to_owned()).collect())
}

async fn dead_of(engine: &dyn Engine, entries: &[Entry]) -> Result<Vec<Container>, EngineError> {
    let committed = entries.iter().filter(|entry| entry.is_committed());
    let plans: Vec<&Plan> =
        committed.flat_map(|entry| std::iter::once(&entry.plan).chain(&entry.plan.dependents)).collect();
    let is_ours = |dead: &Container| {
        let made_by = dead.label(REDEPLOY_LABEL).filter(|_| is_stand_in(dead));
        plans
            .iter()
            .any(|plan| dead.id() == plan.outgoing.id || made_by == Some(plan.id.to_string().as_str()))
    };
    let all = engine.containers().await?;
    Ok(all.into_iter().filter(|found| found.is_going() && is_ours(found)).collect())
}

/// A new container whose redeploy was undone, and which came into being after that: the agent was killed while the engine
/// made it. One that has run is somebody's work by now and stays.
async fn remove_strays(engine: &dyn Engine, entries: &[Entry]) -> Result<Vec<String>, StepError> {
    let mut removed = Vec::new();
    for entry in entries.iter().filter(|entry| entry.has_ended() && !entry.is_committed()) {
        for plan in std::iter::once(&entry.plan).chain(&entry.plan.dependents) {
            let new = match &plan.incoming {
                Incoming::New(new) => Some(&new.temporary_name),
                Incoming::Parked { .. } => None,
            };
            let stand_in = plan.outgoing.stand_in.as_ref().map(|stand_in| &stand_in.temporary_name);
            for name in new.into_iter().chain(stand_in) {
                let Some(found) = engine.container(name).await? else { continue };
                let is_ours = found.label(REDEPLOY_LABEL) == Some(plan.id.to_string().as_str());
                if is_ours && found.started_at().starts_with("0001-01-01") {
                    engine.remove(found.id()).await?;
                    removed.push(name.clone());
                }
            }
        }
    }
    Ok(removed)
}

/// Archives, or what a failed new container had written; of the container or a dependent.
fn holds_anything(entry: &Entry) -> bool {
    let dependents = (0..entry.plan.dependents.len()).map(|index| entry.dir.dependent(index));
    let holds =
        |dir: RedeployDir| std::fs::read_dir(dir.archives()).is_ok_and(|mut names| names.next().is_some());
    std::iter::once(entry.dir.clone()).chain(dependents).any(holds)
}

async fn carry_out(engine: &dyn Engine, entries: &[Entry], to_go: &ToGo) -> Result<Tidied, StepError> {
    let mut tidied = Tidied::default();
    for entry in entries.iter().filter(|entry| to_go.parked.contains(&entry.plan.id)) {
        if remove_parked(engine, &entry.plan).await? {
            tidied.containers.push(entry.plan.outgoing.parked_name.clone());
        }
    }
    for entry in entries.iter().filter(|entry| to_go.archives.contains(&entry.plan.id)) {
        durable::remove_dir(&entry.dir.archives())?;
        for index in 0..entry.plan.dependents.len() {
            durable::remove_dir(&entry.dir.dependent(index).archives())?;
        }
        tidied.archives.push(entry.plan.id);
    }
    Ok(tidied)
}

/// Removes the container that this plan parked, if it still is parked. `false`: the engine has left it, or a dependent,
/// dead.
async fn remove_parked(engine: &dyn Engine, plan: &Plan) -> Result<bool, StepError> {
    let mut is_gone = true;
    for plan in std::iter::once(plan).chain(&plan.dependents) {
        let Some(parked) = parked_by(engine, plan).await? else { continue };
        let Err(error) = engine.remove(parked.id()).await else { continue };
        match engine.container(parked.id()).await? {
            Some(left) if left.is_going() => is_gone = false,
            Some(_) | None => return Err(error.into()),
        }
    }
    Ok(is_gone)
}
