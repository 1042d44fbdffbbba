//! The orders the agent takes: plan, redeploy, revert, recover, prune. Each puts the parts together: observe,
//! plan, check, write the plan down, run the saga, report.
//!
//! Flows in: a request. Flows out: a report, or the reasons why nothing was done. Must never start a saga whose
//! plan is not durable.

mod again;
mod carry_out;

use std::sync::Arc;

use jiff::Timestamp;
use redeploy_proto::RedeployId;
use tokio_util::sync::CancellationToken;

use crate::archive::{Manifest, ManifestError};
use crate::compose;
use crate::config::Config;
use crate::docker::{Container, Engine, EngineError, RegistryLogin};
use crate::durable::DurableError;
use crate::history::{self, Entry};
use crate::image::{self, ImageError, PullPolicy};
use crate::lock::LockError;
use crate::observe::{self, ObserveError, Observed};
use crate::paths::{DataDir, RedeployDir};
use crate::plan::{self, Plan, Refusal, Request, RevertGround, RevertRequest};
use crate::progress::Audience;
use crate::recreate::{self, RecreateError};
use crate::report::{Leftovers, Report};
use crate::retention::Retention;
use crate::saga::{ExecutorError, Faults, State};
use crate::steps::{self, StepError, Tidied};

/// Everything an order is carried out with.
pub struct Agent {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// The configuration.
    pub config: Config,
    /// Where everything is written.
    pub data: DataDir,
    /// Who watches.
    pub audience: Arc<dyn Audience>,
    /// Set to stop.
    pub cancel: CancellationToken,
    /// What tests order to go wrong.
    pub faults: Faults,
}

/// Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// These speak against it.
    #[error("{}", lines(.0))]
    Checks(Vec<Refusal>),
    /// The container cannot be looked at.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The image cannot be had.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The container cannot be recreated.
    #[error(transparent)]
    Recreate(#[from] RecreateError),
    /// The engine did not answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Another process is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The plan could not be written down.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The plan could not be put into words.
    #[error("the plan cannot be written as JSON")]
    Encode(#[from] serde_json::Error),
    /// There is no way back.
    #[error(
        "container {0} has no parked container to go back to: `redeploy-agent history` shows what was done"
    )]
    NothingParked(String),
    /// A manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The journal could not be begun.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// The id names another redeploy already.
    #[error("redeploy {0} exists already: an id is used once")]
    IdUsed(RedeployId),
    /// Asked to stop before anything began.
    #[error("cancelled before anything was touched")]
    Cancelled,
}

fn lines(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Agent {
    /// The plan of a redeploy, and what speaks against it. Nothing is touched but the image store, if the image is
    /// to be pulled.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn plan(
        &self,
        id: RedeployId,
        request: &Request,
        pull: PullPolicy,
        login: Option<&RegistryLogin>,
    ) -> Result<(Plan, Vec<Refusal>), Refused> {
        let engine = self.engine.as_ref();
        let info = engine.info().await?;
        let keep = request.use_existing_volumes;
        let observed =
            observe::observe(&self.engine, &self.config, &self.data, &request.container, keep).await?;
        let compose = self.compose();
        let picture = compose::look(&observed.container, observed.old_image.as_ref(), &compose).await;
        let fetched = image::fetch(engine, &info, &request.image, pull, login, &self.audience).await?;
        let archives = plan::archives(&observed, request);
        let outgoing = observed.container.id().to_owned();
        let space = observe::measure(&self.engine, &self.config, &outgoing, &archives).await?;
        let ground = plan::Ground { observed: &observed, fetched: &fetched, config: &self.config };
        let mut plan = plan::make(id, Timestamp::now(), ground, request, archives, space)?;
        compose::settle(&mut plan, picture, &compose).await;
        plan.outgoing.anew = self.anew(id, &observed).await?;
        plan.outgoing.stand_in = plan::make_stand_in(id, &observed).filter(|_| plan.outgoing.anew.is_some());
        self.add_copies(&mut plan).await?;
        self.add_dependents(&mut plan, &observed).await?;
        plan::remark_on_room(&mut plan);
        let mut refusals = plan::check(&plan, &observed);
        refusals.extend(self.add_balancer(&mut plan, &observed.container).await);
        Ok((plan, refusals))
    }

    /// Plans for the containers that lean on the one that is replaced.
    async fn add_dependents(&self, plan: &mut Plan, observed: &Observed) -> Result<(), Refused> {
        // A parked container leans on what it leaned on when it served; it is somebody's way back and stays as it is.
        let parked = history::parked(&self.data);
        let serving: Vec<Container> = observed
            .containers
            .iter()
            .filter(|other| !plan::is_stand_in(other))
            .filter(|other| !parked.iter().any(|(id, name)| id == other.id() && name == other.name()))
            .cloned()
            .collect();
        for dependent in plan::carried(recreate::dependents(&observed.container, &serving)) {
            let seen = observe::observe(&self.engine, &self.config, &self.data, &dependent.id, true).await?;
            if let Some(id) = seen.unfinished {
                let refusal = Refusal::Unfinished { node: dependent.name, id: id.to_string() };
                return Err(Refused::Checks(vec![refusal]));
            }
            if seen.is_ourselves {
                return Err(Refused::Checks(vec![Refusal::Ourselves(dependent.name)]));
            }
            let fetched = image::present(self.engine.as_ref(), &seen.container).await?;
            let archives = plan::dependent_archives(&seen);
            let space = observe::measure(&self.engine, &self.config, &dependent.id, &archives).await?;
            let ground = plan::Ground { observed: &seen, fetched: &fetched, config: &self.config };
            let mut of_it = plan::make_dependent(plan, Timestamp::now(), ground, archives, space)?;
            of_it.outgoing.anew = self.anew(plan.id, &seen).await?;
            of_it.outgoing.stand_in = plan::make_stand_in(plan.id, &seen);
            self.add_copies(&mut of_it).await?;
            plan.space.add_all_of(&of_it.space);
            plan.dependents.push(of_it);
        }
        Ok(())
    }

    /// Redeploys. The report says how it ended; an error says that nothing was touched.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn redeploy(
        &self,
        id: RedeployId,
        request: &Request,
        pull: PullPolicy,
        login: Option<&RegistryLogin>,
    ) -> Result<Report, Refused> {
        let (plan, refusals) = self.plan(id, request, pull, login).await?;
        if !refusals.is_empty() {
            return Err(Refused::Checks(refusals));
        }
        self.carry_out(plan).await
    }

    /// Puts the parked container back.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn revert(&self, id: RedeployId, request: &RevertRequest) -> Result<Report, Refused> {
        let (plan, refusals) = self.plan_revert(id, request).await?;
        if !refusals.is_empty() {
            return Err(Refused::Checks(refusals));
        }
        self.carry_out(plan).await
    }

    /// The plan of a revert, and what speaks against it.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn plan_revert(
        &self,
        id: RedeployId,
        request: &RevertRequest,
    ) -> Result<(Plan, Vec<Refusal>), Refused> {
        let observed =
            observe::observe(&self.engine, &self.config, &self.data, &request.container, true).await?;
        let (entry, parked) = self.parked_of(&observed).await?;
        let manifest = match entry.dir.manifest().exists() {
            true => Some(Manifest::load(&entry.dir.manifest())?),
            false => None,
        };
        let archives = plan::revert_archives(&observed);
        let outgoing = observed.container.id().to_owned();
        let space = observe::measure(&self.engine, &self.config, &outgoing, &archives).await?;
        let ground = RevertGround { parked_by: &entry.plan, manifest: manifest.as_ref(), parked: &parked };
        let mut plan =
            plan::make_revert(id, Timestamp::now(), &observed, ground, request, &self.config, space);
        plan.outgoing.anew = self.anew(id, &observed).await?;
        plan.outgoing.stand_in = plan::make_stand_in(id, &observed).filter(|_| plan.outgoing.anew.is_some());
        self.fix_image(&mut plan).await?;
        self.add_copies(&mut plan).await?;
        self.add_dependents(&mut plan, &observed).await?;
        plan::remark_on_room(&mut plan);
        let mut refusals = plan::check(&plan, &observed);
        refusals.extend(plan::check_restore(&observed, ground, request));
        refusals.extend(self.add_balancer(&mut plan, &observed.container).await);
        Ok((plan, refusals))
    }

    /// The newest redeploy of this node whose parked container is still there.
    async fn parked_of(&self, observed: &Observed) -> Result<(Entry, Container), Refused> {
        let node = observed.container.name();
        for entry in history::of_node(&self.data, node) {
            if !entry.is_committed() {
                continue;
            }
            if let Some(parked) = steps::parked_by(self.engine.as_ref(), &entry.plan).await? {
                return Ok((entry, parked));
            }
        }
        Err(Refused::NothingParked(node.to_owned()))
    }

    /// Ends every saga that an earlier process left open.
    ///
    /// # Errors
    /// [`Refused`] when one cannot be taken over; those before it are ended.
    pub async fn recover(&self) -> Result<Vec<Report>, Refused> {
        let mut reports = Vec::new();
        let mut failed = None;
        for entry in history::load(&self.data).into_iter().rev() {
            match entry {
                Ok(entry) if needs_recovery(&entry.state) => match self.take_over(entry.plan).await {
                    Ok(report) => reports.push(report),
                    // The others must not wait for this one.
                    Err(error) => failed = failed.or(Some(error)),
                },
                Ok(_) => {}
                Err(error) => tracing::error!(error = crate::explain::explain(&error), "cannot be read"),
            }
        }
        failed.map_or(Ok(reports), Err)
    }

    /// Removes what retention no longer holds, of every node.
    ///
    /// # Errors
    /// [`StepError`] of the first node where not everything could be removed; the others are seen to all the same.
    pub async fn prune(&self) -> Result<Tidied, StepError> {
        let mut nodes: Vec<String> =
            history::load(&self.data).into_iter().flatten().map(|entry| entry.plan.node).collect();
        nodes.sort();
        nodes.dedup();
        let mut tidied = Tidied::default();
        let mut failed = None;
        for node in nodes {
            match steps::tidy(self.engine.as_ref(), &self.data, &node, self.retention()).await {
                Ok(more) => {
                    tidied.containers.extend(more.containers);
                    tidied.archives.extend(more.archives);
                    tidied.dead.extend(more.dead);
                }
                Err(error) => {
                    tracing::error!(node, error = crate::explain::explain(&error), "cannot be pruned");
                    failed = failed.or(Some(error));
                }
            }
        }
        failed.map_or(Ok(tidied), Err)
    }

    fn retention(&self) -> Retention {
        let days = u64::from(self.config.retention_days);
        Retention {
            parked_max: usize::try_from(self.config.parked_max).unwrap_or(usize::MAX),
            age_max: std::time::Duration::from_secs(days.saturating_mul(86_400)),
        }
    }
}

/// Is there anything for `recover` to do?
fn needs_recovery(state: &State) -> bool {
    use crate::saga::Outcome;
    match state {
        State::Forward { .. } | State::Backward { .. } | State::Stuck { .. } | State::Retiring => true,
        State::Closed(Outcome::DoneUntidy) => true,
        State::Closed(Outcome::Done | Outcome::Undone) => false,
    }
}

/// What only the disk can tell about a saga.
#[must_use]
pub fn leftovers(data: &DataDir, id: RedeployId) -> Leftovers {
    let dir = data.redeploy(id);
    let dependents = (0..).map(|index| dir.dependent(index)).take_while(|dir| dir.root().is_dir());
    Leftovers {
        recovery_sheet: std::fs::read_to_string(dir.recovery_sheet()).ok(),
        dependents: dependents.map(|dir| leftovers_in(&dir)).collect(),
        ..leftovers_in(&dir)
    }
}

fn leftovers_in(dir: &RedeployDir) -> Leftovers {
    Leftovers {
        manifest: Manifest::load(&dir.manifest()).ok(),
        last_words: std::fs::read_to_string(dir.failed_log()).ok(),
        ..Leftovers::default()
    }
}
