//! Carries the orders for one container to the step files, and remembers what later steps and undos look at. Nothing in
//! here is needed after a crash.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::lookout::{self, Alarm, Watched};
use super::open::Open;
use super::{
    Created, Packed, Settled, Step, StepError, StepOutput, admit, anew, capture, create, drain, prefill,
    put_data, settle, start, stop, swap, verify,
};
use crate::archive::{ArchiveError, Watch};
use crate::docker::{Container, Engine, RunState, Witness};
use crate::paths::{DataDir, RedeployDir};
use crate::plan::{Incoming, Plan};
use crate::progress::Audience;
use crate::saga::Undid;

/// What a step works with: fixed for the whole saga.
#[derive(Clone)]
pub struct Hands {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// The plan.
    pub plan: Arc<Plan>,
    /// All data.
    pub data: DataDir,
    /// This saga's directory.
    pub dir: RedeployDir,
    /// Set when somebody asks to stop.
    pub cancel: CancellationToken,
    /// Who is told.
    pub audience: Arc<dyn Audience>,
    /// How parked containers and archives are kept.
    pub retention: crate::retention::Retention,
}

/// The container that a dependent leans on.
#[derive(Debug, Clone)]
pub(super) struct Leader {
    /// The name of the one that takes over, before the swap.
    pub(super) name: String,
    /// Its own name.
    pub(super) node: String,
    /// The id of the one that serves now.
    pub(super) id: String,
}

/// Outputs of steps that later steps and undos look at.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) created: Option<Created>,
    pub(super) settled: Option<Settled>,
    /// Has this process ordered the stop? Then a stopped container is what was wanted.
    pub(super) stop_ordered: bool,
    /// Has this process ordered the start?
    pub(super) start_ordered: bool,
    /// Has this process ordered the balancer to drain the server? `None`: it has not come to that step.
    pub(super) drain_ordered: Option<bool>,
    /// Has this process seen the new container up at the balancer?
    pub(super) admitted: bool,
}

/// Applies and undoes the steps of one plan.
pub(super) struct Runner {
    pub(super) hands: Hands,
    /// Raised when somebody else acts on one of the saga's containers.
    pub(super) alarm: Alarm,
    /// Whom this container leans on, if it is a dependent.
    pub(super) leader: Option<Leader>,
    pub(super) known: Known,
    pub(super) open: Open,
    /// Listens to a new container that removes itself, from before its start to the end of the saga.
    pub(super) witness: Option<Witness>,
    /// What the undo under way has come to.
    pub(super) undid: Undid,
    going_back: bool,
}

impl Runner {
    /// A runner that has done nothing yet.
    pub(super) fn new(hands: Hands, leader: Option<Leader>, alarm: Alarm) -> Self {
        Self {
            hands,
            leader,
            alarm,
            known: Known::default(),
            open: Open::default(),
            witness: None,
            undid: Undid::default(),
            going_back: false,
        }
    }

    pub(super) fn engine(&self) -> &dyn Engine {
        self.hands.engine.as_ref()
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.hands.plan
    }

    /// Lets go of everything that is open: a root handle must be gone before its container starts.
    pub(super) async fn let_go(&mut self) {
        self.open.close().await;
    }

    /// The container that serves now.
    pub(super) async fn outgoing(&self) -> Result<Container, StepError> {
        let id = &self.plan().outgoing.id;
        self.find_outgoing().await?.ok_or_else(|| self.gone(&self.plan().node, id))
    }

    /// The container that serves now, or the one that was made anew in its place, if either is there.
    pub(super) async fn find_outgoing(&self) -> Result<Option<Container>, StepError> {
        match self.engine().container(&self.plan().outgoing.id).await? {
            Some(found) => Ok(Some(found)),
            None => anew::find(self).await,
        }
    }

    /// Nobody has removed the old container, or begun to: what was just read from its root is all that was in it.
    pub(super) async fn outgoing_is_there(&self) -> Result<(), StepError> {
        match self.outgoing().await?.state() {
            RunState::Removing | RunState::Dead => {
                Err(self.gone(&self.plan().node, &self.plan().outgoing.id))
            }
            RunState::Created
            | RunState::Running
            | RunState::Paused
            | RunState::Restarting
            | RunState::Exited => Ok(()),
        }
    }

    /// The container that takes over, if it exists.
    pub(super) async fn find_incoming(&self) -> Result<Option<Container>, StepError> {
        match (&self.plan().incoming, &self.known.created) {
            (Incoming::Parked { id, .. }, _) => Ok(self.engine().container(id).await?),
            (Incoming::New(_), Some(created)) => Ok(self.engine().container(&created.container).await?),
            (Incoming::New(new), None) => {
                // `create` was interrupted before its output was journaled: the name and our label find it.
                let found = self.engine().container(&new.temporary_name).await?;
                Ok(found.filter(|container| self.is_ours(container)))
            }
        }
    }

    /// The container that takes over.
    pub(super) async fn incoming(&self) -> Result<Container, StepError> {
        let name = self.plan().incoming.name_before_swap();
        self.find_incoming().await?.ok_or_else(|| self.gone(name, "new container"))
    }

    /// Was this container created by this redeploy?
    pub(super) fn is_ours(&self, container: &Container) -> bool {
        container.label(crate::plan::REDEPLOY_LABEL) == Some(self.plan().id.to_string().as_str())
    }

    /// What this step expects of its containers, for the lookout.
    pub(super) fn expects(&self, step: Step) -> Vec<Watched> {
        let created = self.known.created.as_ref().map(|created| created.container.as_str());
        lookout::of_step(step, self.plan(), created)
    }

    /// Is this an undo?
    pub(super) fn is_going_back(&self) -> bool {
        self.going_back
    }

    /// On the way forward, a request to stop or the alarm ends a long wait.
    pub(super) fn stop_if_cancelled(&self) -> Result<(), StepError> {
        if self.going_back {
            return Ok(());
        }
        match self.alarm.why() {
            Some(error) => Err(error),
            None if self.hands.cancel.is_cancelled() => Err(StepError::Cancelled),
            None => Ok(()),
        }
    }

    /// Returns once somebody asks to stop, or the alarm is raised.
    async fn called_off(&self) {
        tokio::select! {
            () = self.hands.cancel.cancelled() => {}
            () = self.alarm.raised() => {}
        }
    }

    pub(super) fn gone(&self, name: &str, id: &str) -> StepError {
        StepError::ContainerGone { name: name.to_owned(), id: id.to_owned() }
    }

    /// Runs blocking work on another thread, tells the audience how far it is, and hands the cancel flag on:
    /// on the way forward only, because an undo is never cut short.
    pub(super) async fn blocking<T, F>(&self, step: Step, what: &str, work: F) -> Result<T, StepError>
    where
        T: Send + 'static,
        F: FnOnce(&Watch) -> Result<T, StepError> + Send + 'static,
    {
        let watch = Arc::new(Watch::default());
        let for_thread = Arc::clone(&watch);
        let mut task = tokio::task::spawn_blocking(move || work(&for_thread));
        let mut tick = tokio::time::interval(crate::progress::TICK);
        let result = loop {
            tokio::select! {
                result = &mut task => break result,
                _ = tick.tick() => self.hands.audience.progress(step, what, watch.bytes(), watch.files()),
                () = self.called_off(), if !self.going_back && !watch.is_cancelled() => watch.cancel(),
            }
        };
        match result {
            Ok(Err(StepError::Archive(ArchiveError::Cancelled))) => {
                self.stop_if_cancelled()?;
                Err(StepError::Cancelled)
            }
            Ok(result) => result,
            Err(_) => Err(StepError::Panicked { what: what.to_owned() }),
        }
    }
}

impl Runner {
    /// Does a step.
    pub(super) async fn apply(&mut self, step: Step) -> Result<StepOutput, StepError> {
        match step {
            Step::Create => create::apply(self).await.map(StepOutput::Created),
            Step::Capture => capture::apply(self).await.map(StepOutput::Packed),
            Step::Prefill => prefill::apply(self).await.map(StepOutput::Packed),
            Step::Stop => stop::apply(self).await.map(StepOutput::Stopped),
            Step::Settle => settle::apply(self).await.map(StepOutput::Settled),
            Step::PutData => put_data::apply(self).await.map(|()| StepOutput::Nothing),
            Step::Swap => swap::apply(self).await.map(|()| StepOutput::Nothing),
            Step::Start => start::apply(self).await.map(StepOutput::Started),
            Step::Drain => drain::apply(self).await,
            Step::Admit => admit::apply(self).await,
            Step::Verify => verify::apply(self).await.map(|()| StepOutput::Nothing),
        }
    }

    /// Takes a step back.
    pub(super) async fn undo(&mut self, step: Step) -> Result<Undid, StepError> {
        self.going_back = true;
        self.let_go().await;
        self.undid = Undid::default();
        match step {
            Step::Create => create::undo(self).await?,
            Step::Capture => capture::undo(self).await?,
            Step::Stop => self.undid = stop::undo(self).await?,
            Step::PutData => put_data::undo(self).await?,
            Step::Swap => swap::undo(self).await?,
            Step::Start => start::undo(self).await?,
            // What they did is in the new container and in archives, and goes with those.
            Step::Prefill | Step::Settle => {}
            Step::Drain => drain::undo(self).await?,
            Step::Admit => admit::undo(self).await?,
            // It only looked.
            Step::Verify => {}
        }
        Ok(std::mem::take(&mut self.undid))
    }

    /// Remembers what later steps and undos look at.
    pub(super) fn recall(&mut self, output: &StepOutput) {
        match output {
            StepOutput::Created(created) => self.known.created = Some(created.clone()),
            StepOutput::Settled(settled) => self.known.settled = Some(settled.clone()),
            StepOutput::Packed(Packed { .. })
            | StepOutput::Stopped(_)
            | StepOutput::Started(_)
            | StepOutput::Drained(_)
            | StepOutput::Admitted(_)
            | StepOutput::Crew(_)
            | StepOutput::Nothing => {}
        }
    }
}
