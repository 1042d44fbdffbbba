//! One turn of the driver: inputs in, one batch stored, orders out. No clock and no task of its own, so that a
//! simulation can turn it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use redeploy_proto::RedeployId;

use super::order::order;
use super::{Input, Link, Login, Refused, SessionId, changes};
use crate::deployment::{
    Command, Deployment, Doing, Errand, ErrandKind, Explanation, Fleet, HostSeen, NodeState, Phase, Report,
    settle,
};
use crate::ids::{DeploymentId, HostId, NodeId};
use crate::moment::Moment;
use crate::store::{Batch, Ledger, NewDeployment, NewEvent, NewOrder, StoreError};
use crate::views::Views;

/// Waits for an answer: whether it worked is known when the batch is stored.
type Reply = (tokio::sync::oneshot::Sender<Result<Deployment, Refused>>, DeploymentId);

/// Everything the driver knows. All of it but `hosts` is also in the store.
pub struct Core<S, K> {
    ledger: Arc<S>,
    link: Arc<K>,
    deployments: BTreeMap<DeploymentId, Deployment>,
    generations: HashMap<RedeployId, u64>,
    logins: HashMap<DeploymentId, Login>,
    hosts: HashMap<HostId, HostSeen>,
    sessions: HashMap<HostId, SessionId>,
    since: Moment,
    /// What was taken and not stored, because the store failed.
    again: Vec<Input>,
    /// A commit failed, so the store has to be read again before anything else.
    is_stale: bool,
    /// What is to be said again for the same reason.
    say: Vec<(DeploymentId, Errand)>,
}

/// What one turn does, until it is stored.
#[derive(Default)]
struct Turn {
    changed: BTreeMap<DeploymentId, Deployment>,
    new: HashMap<DeploymentId, NewDeployment>,
    logins: HashMap<DeploymentId, Login>,
    errands: Vec<(DeploymentId, Errand)>,
    reports: Vec<(RedeployId, Vec<u8>)>,
    events: Vec<NewEvent>,
    acks: Vec<(HostId, RedeployId)>,
    replies: Vec<Reply>,
    by: Option<String>,
    /// Inputs to take again should the store fail.
    taken: Vec<Input>,
}

impl<S: Ledger, K: Link> Core<S, K> {
    /// Goes on with what the store holds. No host is connected yet; silence counts from now. `logins` are those of
    /// the deployments that are not over.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn load(ledger: Arc<S>, link: Arc<K>, now: Moment) -> Result<Self, StoreError> {
        let (deployments, orders) = ledger.load().await?;
        Ok(Self {
            ledger,
            link,
            deployments: deployments.into_iter().map(|deployment| (deployment.id, deployment)).collect(),
            generations: orders.into_iter().map(|order| (order.id, order.generation)).collect(),
            logins: HashMap::new(),
            hosts: HashMap::new(),
            sessions: HashMap::new(),
            since: now,
            again: Vec::new(),
            is_stale: false,
            say: Vec::new(),
        })
    }

    /// The deployments that are not over.
    pub fn open(&self) -> impl Iterator<Item = &Deployment> {
        self.deployments.values()
    }

    /// Gives back the opened login of a deployment after a restart.
    pub fn remember_login(&mut self, id: DeploymentId, login: Login) {
        self.logins.insert(id, login);
    }

    /// One turn. Gives the moment to turn again if nothing is heard before.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was sent, operators were told; everything else is taken again in the next turn.
    pub async fn take(
        &mut self,
        inputs: Vec<Input>,
        now: Moment,
        views: &Views,
    ) -> Result<Option<Moment>, Arc<StoreError>> {
        if self.is_stale {
            self.again.extend(inputs);
            return self.reload().await.map(|()| Some(now));
        }
        let mut turn = Turn { errands: std::mem::take(&mut self.say), ..Turn::default() };
        for input in std::mem::take(&mut self.again).into_iter().chain(inputs) {
            self.accept(&mut turn, input, now).await;
        }
        let (explanations, wake_at) = self.settle_all(&mut turn, now);
        let batch = self.batch(&turn, now);
        let stored = if is_empty(&batch) { Ok(Vec::new()) } else { self.ledger.commit(&batch).await };
        match stored {
            Ok(orders) => {
                self.generations.extend(orders.iter().map(|order| (order.id, order.generation)));
                self.finish(turn, explanations, now, views);
                Ok(wake_at)
            }
            Err(error) => {
                let error = Arc::new(error);
                for (reply, _) in turn.replies {
                    let _gone = reply.send(Err(Refused::Store(error.clone())));
                }
                self.again = turn.taken;
                self.is_stale = true;
                Err(error)
            }
        }
    }

    /// Whether the batch was stored is not known: what is stored counts.
    async fn reload(&mut self) -> Result<(), Arc<StoreError>> {
        let (deployments, orders) = self.ledger.load().await.map_err(Arc::new)?;
        self.deployments = deployments.into_iter().map(|deployment| (deployment.id, deployment)).collect();
        self.generations.extend(orders.into_iter().map(|order| (order.id, order.generation)));
        self.say_everything_again();
        self.is_stale = false;
        Ok(())
    }

    /// After a store that failed: what it holds may be more than what was sent.
    fn say_everything_again(&mut self) {
        let orders = |deployment: &Deployment| {
            let parts = deployment.nodes.keys();
            let errands: Vec<Errand> = parts.flat_map(|node| deployment.standing(*node)).collect();
            errands.into_iter().map(|errand| (deployment.id, errand)).collect::<Vec<_>>()
        };
        self.say = self.deployments.values().flat_map(orders).collect();
    }

    async fn accept(&mut self, turn: &mut Turn, input: Input, now: Moment) {
        match input {
            Input::HostUp { host, session, open } => {
                if self.sessions.get(&host).is_none_or(|known| *known <= session) {
                    self.host_up(turn, &host, session, &open, now);
                    turn.taken.push(Input::HostUp { host, session, open });
                }
            }
            Input::HostDown { host, session } => {
                if self.sessions.get(&host) == Some(&session) {
                    self.sessions.remove(&host);
                    self.hosts.insert(host, HostSeen::Silent { since: now });
                }
            }
            Input::Word { host, id, report, raw } => self.word(turn, host, id, report, raw, now),
            Input::Create { deployment, new, login, queue, reply } => {
                self.create(turn, *deployment, new, login, queue, reply);
            }
            Input::Order { id, command, by, reply } => self.command(turn, id, &command, by, reply, now).await,
        }
    }

    /// The deployment as this turn has it so far.
    fn current<'a>(&'a self, turn: &'a Turn, id: DeploymentId) -> Option<&'a Deployment> {
        turn.changed.get(&id).or_else(|| self.deployments.get(&id))
    }

    fn change<'a>(&self, turn: &'a mut Turn, id: DeploymentId) -> Option<&'a mut Deployment> {
        if let std::collections::btree_map::Entry::Vacant(vacant) = turn.changed.entry(id) {
            vacant.insert(self.deployments.get(&id)?.clone());
        }
        turn.changed.get_mut(&id)
    }

    fn ids(&self, turn: &Turn) -> BTreeSet<DeploymentId> {
        self.deployments.keys().chain(turn.changed.keys()).copied().collect()
    }

    fn host_up(
        &mut self,
        turn: &mut Turn,
        host: &HostId,
        session: SessionId,
        open: &[RedeployId],
        now: Moment,
    ) {
        self.sessions.insert(host.clone(), session);
        self.hosts.insert(host.clone(), HostSeen::Connected);
        let open: BTreeSet<RedeployId> = open.iter().copied().collect();
        for id in self.ids(turn) {
            let Some(deployment) = self.current(turn, id) else { continue };
            let phase = deployment.phase.clone();
            let here = deployment.nodes.values().filter(|part| part.host == *host);
            let doubtful: Vec<(NodeId, Option<Doubt>)> =
                here.map(|part| (part.node, doubt(&part.state, part, &phase, &open))).collect();
            for (node, doubt) in doubtful {
                match doubt {
                    Some(Doubt::Word(id_of, report)) => {
                        if let Some(deployment) = self.change(turn, id) {
                            deployment.take_report(id_of, &report, now);
                        }
                    }
                    Some(Doubt::SayAgain) => {
                        let errands = self.current(turn, id).map(|d| d.standing(node)).unwrap_or_default();
                        turn.errands.extend(errands.into_iter().map(|errand| (id, errand)));
                    }
                    None => {}
                }
            }
        }
    }

    fn word(
        &mut self,
        turn: &mut Turn,
        host: HostId,
        id: RedeployId,
        report: Report,
        raw: Option<Vec<u8>>,
        now: Moment,
    ) {
        let owner = self.ids(turn).into_iter().find(|deployment| {
            let part = self.current(turn, *deployment).and_then(|d| d.nodes.get(&d.node_of(id)?));
            part.is_some_and(|part| part.host == host)
        });
        if let Some(deployment) = owner.and_then(|owner| self.change(turn, owner)) {
            deployment.take_report(id, &report, now);
        }
        if matches!(report, Report::Ended(_)) {
            turn.acks.push((host.clone(), id));
            turn.reports.extend(raw.clone().map(|raw| (id, raw)));
        }
        turn.taken.push(Input::Word { host, id, report, raw });
    }

    fn create(
        &self,
        turn: &mut Turn,
        deployment: Deployment,
        new: NewDeployment,
        login: Option<Login>,
        queue: bool,
        reply: tokio::sync::oneshot::Sender<Result<Deployment, Refused>>,
    ) {
        if let Some(busy) = self.ahead_of(turn, &deployment).filter(|_| !queue)
            && let Some(ahead) = self.current(turn, busy)
        {
            let _gone = reply.send(Err(Refused::Busy { id: busy, phase: ahead.phase.word() }));
            return;
        }
        let id = deployment.id;
        turn.by = Some(deployment.created_by.clone());
        turn.new.insert(id, new);
        turn.logins.extend(login.map(|login| (id, login)));
        turn.changed.insert(id, deployment);
        turn.replies.push((reply, id));
    }

    async fn command(
        &self,
        turn: &mut Turn,
        id: DeploymentId,
        command: &Command,
        by: String,
        reply: tokio::sync::oneshot::Sender<Result<Deployment, Refused>>,
        now: Moment,
    ) {
        if self.current(turn, id).is_none() {
            match self.ledger.load_one(id).await {
                Ok(over) => turn.changed.extend(over.map(|over| (id, over))),
                Err(error) => {
                    let _gone = reply.send(Err(Refused::Store(Arc::new(error))));
                    return;
                }
            }
        }
        let busy = self.current(turn, id).filter(|d| d.phase.is_end()).and_then(|d| self.ahead_of(turn, d));
        let Some(deployment) = self.change(turn, id) else {
            let _gone = reply.send(Err(Refused::Unknown(id)));
            return;
        };
        let done = match busy {
            Some(busy) => Err(Refused::Busy { id: busy, phase: "not over" }),
            None => deployment.command(command, now, &mut RedeployId::generate).map_err(Refused::State),
        };
        match done {
            Ok(()) => {
                turn.by = Some(by);
                turn.replies.push((reply, id));
            }
            Err(refused) => {
                let _gone = reply.send(Err(refused));
            }
        }
    }

    /// The deployment that holds this one's group, if it is another one: any at work, or an older one in the queue.
    fn ahead_of(&self, turn: &Turn, deployment: &Deployment) -> Option<DeploymentId> {
        self.ids(turn).into_iter().find(|id| {
            self.current(turn, *id).is_some_and(|other| {
                let same = other.env == deployment.env && other.group == deployment.group;
                let queued = other.phase == Phase::Queued;
                same && *id != deployment.id && !other.phase.is_end() && (!queued || *id < deployment.id)
            })
        })
    }

    fn settle_all(
        &mut self,
        turn: &mut Turn,
        now: Moment,
    ) -> (Vec<(DeploymentId, Explanation)>, Option<Moment>) {
        let mut explanations = Vec::new();
        let mut wake_at: Option<Moment> = None;
        let mut fleet = Fleet { hosts: std::mem::take(&mut self.hosts), since: self.since, ahead: None };
        for id in self.ids(turn) {
            let Some(current) = self.current(turn, id) else { continue };
            fleet.ahead = self.ahead_of(turn, current);
            let mut next = current.clone();
            let settled = settle(&mut next, &fleet, now);
            explanations.push((id, settled.explanation));
            turn.errands.extend(settled.errands.into_iter().map(|errand| (id, errand)));
            wake_at = match (wake_at, settled.wake_at) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            if self.current(turn, id) != Some(&next) {
                // One that ends makes room for a queued one, which may be settled already in this turn.
                if next.phase.is_end() {
                    wake_at = Some(now);
                }
                turn.changed.insert(id, next);
            }
        }
        self.hosts = fleet.hosts;
        (explanations, wake_at)
    }

    fn batch(&self, turn: &Turn, now: Moment) -> Batch {
        let mut batch = Batch { at: Some(now), reports: turn.reports.clone(), ..Batch::default() };
        let by = turn.by.as_deref().unwrap_or("coordinator");
        for (id, after) in &turn.changed {
            let before = self.deployments.get(id);
            batch.saved.extend(changes::saved(before, after, turn.new.get(id).cloned()));
            batch.events.extend(changes::events(before, after, by));
            if after.phase.is_end() {
                batch.wipe.push(*id);
            }
        }
        batch.events.extend(turn.events.iter().cloned());
        // Those that end come first: they make room for those that begin.
        batch.saved.sort_by_key(|saved| !saved.head.phase.is_end());
        let mut seen = BTreeSet::new();
        for (deployment, errand) in &turn.errands {
            let kind = match errand.kind {
                ErrandKind::Redeploy => "redeploy",
                ErrandKind::Revert => "revert",
                ErrandKind::Check | ErrandKind::Cancel => continue,
            };
            let host = self
                .current(turn, *deployment)
                .and_then(|d| d.nodes.get(&errand.node))
                .map(|p| p.host.clone());
            if let Some(host) = host
                && !self.generations.contains_key(&errand.id)
                && seen.insert(errand.id)
            {
                batch.orders.push(NewOrder {
                    id: errand.id,
                    kind,
                    deployment: *deployment,
                    node: errand.node,
                    host,
                });
            }
        }
        batch
    }

    /// It is stored: now it may be told.
    fn finish(
        &mut self,
        turn: Turn,
        explanations: Vec<(DeploymentId, Explanation)>,
        now: Moment,
        views: &Views,
    ) {
        self.logins.extend(turn.logins);
        self.deployments.extend(turn.changed);
        for (host, id) in turn.acks {
            if let Some(session) = self.sessions.get(&host) {
                self.link.acknowledge(&host, *session, id);
            }
        }
        let mut said = BTreeSet::new();
        for (id, errand) in turn.errands {
            if said.insert((errand.id, errand.kind as u8)) {
                self.send(id, errand, now);
            }
        }
        views.explain(explanations);
        for (reply, id) in turn.replies {
            if let Some(deployment) = self.deployments.get(&id) {
                let _gone = reply.send(Ok(deployment.clone()));
            }
        }
        self.let_go(views);
    }

    fn send(&self, id: DeploymentId, errand: Errand, now: Moment) {
        let Some(deployment) = self.deployments.get(&id) else { return };
        let Some(part) = deployment.nodes.get(&errand.node) else { return };
        let generation = self.generations.get(&errand.id).copied().unwrap_or_default();
        if let Some(session) = self.sessions.get(&part.host) {
            let order = order(deployment, part, errand, generation, self.logins.get(&id), now);
            self.link.send(&part.host, *session, order);
        }
    }

    /// Deployments that are over need not be known any more, unless an agent's word is awaited.
    fn let_go(&mut self, views: &Views) {
        let over: Vec<DeploymentId> = self
            .deployments
            .values()
            .filter(|d| d.phase.is_end() && !d.awaits_word())
            .map(|d| d.id)
            .collect();
        for id in over {
            self.logins.remove(&id);
            if let Some(deployment) = self.deployments.remove(&id) {
                let orders: Vec<RedeployId> =
                    deployment.nodes.values().flat_map(|p| [p.redeploy_id, p.revert_id]).collect();
                for order in &orders {
                    self.generations.remove(order);
                }
                views.forget(id, &orders);
            }
        }
    }
}

fn is_empty(batch: &Batch) -> bool {
    batch.saved.is_empty() && batch.orders.is_empty() && batch.reports.is_empty() && batch.events.is_empty()
}

/// What a new session means for one node on its host.
enum Doubt {
    /// As if the agent had said this.
    Word(RedeployId, Report),
    /// The order still stands and may not have arrived.
    SayAgain,
}

fn doubt(
    state: &NodeState,
    part: &crate::deployment::NodePart,
    phase: &Phase,
    open: &BTreeSet<RedeployId>,
) -> Option<Doubt> {
    let (id, wanted) = match state {
        NodeState::Checking { .. } => return Some(Doubt::SayAgain),
        NodeState::Running { cancelled, .. } => (part.redeploy_id, *phase == Phase::Rolling && !cancelled),
        NodeState::Reverting { .. } => (part.revert_id, *phase == Phase::GoingBack),
        NodeState::Unknown { doing: Doing::Redeploy, .. } => (part.redeploy_id, false),
        NodeState::Unknown { doing: Doing::Revert, .. } => (part.revert_id, false),
        NodeState::Waiting
        | NodeState::Ready
        | NodeState::Refused { .. }
        | NodeState::Done { .. }
        | NodeState::Failed { .. }
        | NodeState::Reverted { .. }
        | NodeState::RevertFailed { .. } => return None,
    };
    match (open.contains(&id), wanted) {
        // Nobody began it, and the deployment no longer wants it.
        (false, false) => Some(Doubt::Word(id, Report::NeverBegun)),
        (false, true) => Some(Doubt::SayAgain),
        (true, _) if matches!(state, NodeState::Unknown { .. }) => Some(Doubt::Word(id, Report::AtWork)),
        // Said again all the same: it costs nothing, and with it goes a cancel that may be lost.
        (true, _) => Some(Doubt::SayAgain),
    }
}
