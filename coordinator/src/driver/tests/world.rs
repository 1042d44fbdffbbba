//! A coordinator and its agents in virtual time: everything that happens is an event with a moment, in one queue.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use redeploy_proto::RedeployId;
use tokio::sync::oneshot;

use super::agent::Agent;
use super::chance::Chance;
use crate::deployment::{
    Command, Deployment, Doing, NodePart, NodeState, OnFailure, Options, Parallel, Phase, Report, Terms,
};
use crate::driver::{Core, Input, Link, Order, SessionId};
use crate::ids::{DeploymentId, HostId, NodeId};
use crate::moment::{Moment, Span};
use crate::store::{Failing, Ledger, Memory, NewDeployment, Plan};
use crate::views::Views;

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(super) enum Faults {
    /// Whatever the seed says.
    Random,
    /// Only this: the store fails at this commit, and the coordinator is started again.
    Store(Plan),
    /// Nothing.
    None,
}

#[derive(Debug)]
enum Event {
    Deliver { host: usize, session: SessionId, order: Order },
    Hear { host: usize, session: SessionId, id: RedeployId, report: Report },
    Acknowledge { host: usize, session: SessionId, id: RedeployId },
    End { host: usize, id: RedeployId },
    Connect { host: usize },
    Break { host: usize },
    Restart,
    Press { button: u64 },
    Wake,
}

/// What the coordinator said: an order, or that a report is stored.
enum Sent {
    Order(Order),
    Stored(RedeployId),
}

#[derive(Default)]
struct Wire {
    sent: Mutex<Vec<(HostId, SessionId, Sent)>>,
}

impl Link for Wire {
    fn send(&self, host: &HostId, session: SessionId, order: Order) {
        self.sent.lock().unwrap().push((host.clone(), session, Sent::Order(order)));
    }

    fn acknowledge(&self, host: &HostId, session: SessionId, id: RedeployId) {
        self.sent.lock().unwrap().push((host.clone(), session, Sent::Stored(id)));
    }
}

type Brain = Core<Failing<Memory>, Wire>;

pub(super) struct World {
    chance: Chance,
    faults: Faults,
    now: i64,
    count: u64,
    queue: BTreeMap<(i64, u64), Event>,
    agents: Vec<Agent>,
    store: Arc<Memory>,
    wire: Arc<Wire>,
    brain: Option<Brain>,
    inputs: Vec<Input>,
    allowed: usize,
    deployment: DeploymentId,
    sessions: u64,
    runs: HashMap<RedeployId, u32>,
    quiet: bool,
}

const START: i64 = 1_000_000;
/// When faults end, and when everything must have come to rest.
const CALM: i64 = START + 2 * 3600 * 1000;
const END: i64 = CALM + 6 * 3600 * 1000;

impl World {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        let mut chance = Chance::new(seed);
        let quiet = !matches!(faults, Faults::Random);
        let nodes = if quiet { 3 } else { 1 + chance.below(8) };
        let fails = if quiet { 0 } else { [0, 0, 5, 20][chance.index(4)] };
        let agents = (0..nodes).map(|number| Agent {
            host: format!("h{number}").parse().unwrap(),
            session: None,
            journal: BTreeMap::new(),
            generation: 0,
            is_new: false,
            is_stuck: false,
            fails_in_hundred: fails,
        });
        let agents: Vec<Agent> = agents.collect();
        Self {
            chance,
            faults,
            now: START,
            count: 0,
            queue: BTreeMap::new(),
            agents,
            store: Arc::new(Memory::default()),
            wire: Arc::new(Wire::default()),
            brain: None,
            inputs: Vec::new(),
            allowed: 0,
            deployment: DeploymentId::generate(),
            sessions: 0,
            runs: HashMap::new(),
            quiet,
        }
    }

    /// Plays it to its end and gives the phase it ended in.
    pub(super) fn run(mut self) -> &'static str {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let plan = if let Faults::Store(plan) = self.faults { plan } else { Plan::Before(u64::MAX) };
            self.start(plan).await;
            self.order();
            self.plan_faults();
            while let Some(((at, _), event)) = self.queue.pop_first() {
                assert!(at <= END, "it never came to rest: {:?}", self.deployment().await.phase);
                self.now = at;
                if std::env::var_os("REDEPLOY_SIM_SEED").is_some() {
                    println!("{} {event:?}", at - START);
                }
                self.happen(event).await;
                self.turn().await;
                self.check();
            }
            self.check_end().await
        })
    }

    /// How many commits a run without faults takes.
    pub(super) fn commits(self) -> u64 {
        let store = self.store.clone();
        self.run();
        store.commits()
    }

    fn at(&mut self, after: u64, event: Event) {
        self.count += 1;
        self.queue.insert((self.now + i64::try_from(after).unwrap(), self.count), event);
    }

    async fn start(&mut self, plan: Plan) {
        let ledger = Arc::new(Failing::new(self.store.clone(), plan));
        self.brain = Some(Core::load(ledger, self.wire.clone(), Moment(self.now)).await.unwrap());
        self.wire.sent.lock().unwrap().clear();
        self.inputs.clear();
        for host in 0..self.agents.len() {
            self.agents[host].session = None;
            let after = self.chance.below(5_000);
            self.at(after, Event::Connect { host });
        }
        self.at(0, Event::Wake);
    }

    fn order(&mut self) {
        let nodes = u32::try_from(self.agents.len()).unwrap();
        let parallel = match self.chance.below(4) {
            0 => Parallel::All,
            1 => Parallel::Nodes(1 + self.chance.small(nodes)),
            2 => Parallel::Percent([1, 25, 50, 100][self.chance.index(4)]),
            _ => Parallel::Nodes(1),
        };
        let on_failure = if self.chance.in_hundred(40) { OnFailure::Rollback } else { OnFailure::Halt };
        let parts = self.agents.iter().zip(1..).map(|(agent, number)| NodePart {
            node: NodeId(number),
            host: agent.host.clone(),
            container: "web".into(),
            image: "web:2".into(),
            redeploy_id: RedeployId::generate(),
            revert_id: RedeployId::generate(),
            state: NodeState::Waiting,
        });
        let deployment = Deployment {
            id: self.deployment,
            env: "shop".parse().unwrap(),
            group: "cp".parse().unwrap(),
            terms: Terms {
                image: "web:2".into(),
                parallel,
                delay: Span::seconds(self.chance.small(40)),
                on_failure,
                budget: Span::minutes(75),
                grace: Span::seconds(60),
                options: Options::default(),
            },
            fixed: BTreeMap::new(),
            phase: Phase::Queued,
            created_at: Moment(self.now),
            started_at: None,
            deadline: Moment(self.now),
            last_verified: None,
            ended_at: None,
            created_by: "sim".into(),
            comment: String::new(),
            nodes: parts.map(|part| (part.node, part)).collect(),
        };
        self.allowed = deployment.allowed_down();
        self.inputs.push(Input::Create {
            deployment: Box::new(deployment),
            new: NewDeployment::default(),
            login: None,
            queue: false,
            reply: oneshot::channel().0,
        });
    }

    fn plan_faults(&mut self) {
        if self.quiet {
            return;
        }
        let span = u64::try_from(CALM - START).unwrap();
        for _ in 0..self.chance.below(12) {
            let host = self.chance.index(self.agents.len());
            let after = self.chance.below(span / 8);
            self.at(after, Event::Break { host });
        }
        for _ in 0..self.chance.below(4) {
            let after = self.chance.below(span / 8);
            self.at(after, Event::Restart);
        }
        for _ in 0..self.chance.below(6) {
            let (after, button) = (self.chance.below(span), self.chance.below(5));
            self.at(after, Event::Press { button });
        }
    }

    async fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { host, session, order } if self.agents[host].session == Some(session) => {
                let known = self.agents[host].journal.contains_key(&order.id);
                let answer = self.agents[host].take(&order, &mut self.chance);
                let running = self.agents[host].running() == Some(order.id);
                if running && !known {
                    *self.runs.entry(order.id).or_default() += 1;
                    let after = 5_000 + self.chance.below(60_000);
                    self.at(after, Event::End { host, id: order.id });
                }
                if let Some(report) = answer {
                    self.say(host, order.id, report);
                }
            }
            Event::Hear { host, session, id, report } if self.agents[host].session == Some(session) => {
                let host = self.agents[host].host.clone();
                self.inputs.push(Input::Word { host, id, report, raw: None });
            }
            Event::Acknowledge { host, session, id } if self.agents[host].session == Some(session) => {
                if let Some(saga) = self.agents[host].journal.get_mut(&id) {
                    saga.acknowledged = true;
                }
            }
            // What a broken session carried is lost.
            Event::Deliver { .. } | Event::Hear { .. } | Event::Acknowledge { .. } => {}
            Event::End { host, id } => {
                self.agents[host].end(id, &mut self.chance);
                if let Some(report) = self.agents[host].word(id) {
                    self.say(host, id, report);
                }
            }
            Event::Connect { host } => self.connect(host),
            Event::Break { host } => self.disconnect(host),
            Event::Restart => {
                let commit = 1 + self.chance.below(12);
                let plan =
                    if self.chance.in_hundred(50) { Plan::Before(commit) } else { Plan::After(commit) };
                self.start(plan).await;
                self.order_if_lost().await;
            }
            Event::Press { button } => self.press(button),
            Event::Wake => {}
        }
    }

    /// An agent's word, sometimes twice.
    fn say(&mut self, host: usize, id: RedeployId, report: Report) {
        let Some(session) = self.agents[host].session else { return };
        let times = if !self.quiet && self.chance.in_hundred(10) { 2 } else { 1 };
        for _ in 0..times {
            let after = self.chance.below(300);
            self.at(after, Event::Hear { host, session, id, report: report.clone() });
        }
    }

    fn connect(&mut self, host: usize) {
        if self.agents[host].session.is_some() {
            return;
        }
        self.sessions += 1;
        let session = self.sessions;
        self.agents[host].session = Some(session);
        let open = self.agents[host].open();
        self.inputs.push(Input::HostUp { host: self.agents[host].host.clone(), session, open: open.clone() });
        for id in open {
            if let Some(report) = self.agents[host].word(id) {
                self.say(host, id, report);
            }
        }
    }

    fn disconnect(&mut self, host: usize) {
        if let Some(session) = self.agents[host].session.take() {
            self.inputs.push(Input::HostDown { host: self.agents[host].host.clone(), session });
            let after = 1_000 + self.chance.below(150_000);
            self.at(after, Event::Connect { host });
        }
    }

    fn press(&mut self, button: u64) {
        let command = match button {
            0 => Command::Halt { who: "ann".into() },
            1 => Command::Resume,
            2 => Command::RetryFailed,
            3 => Command::Rollback,
            _ => Command::Cancel,
        };
        let reply = oneshot::channel().0;
        self.inputs.push(Input::Order { id: self.deployment, command, by: "ann".into(), reply });
    }

    async fn turn(&mut self) {
        let inputs = std::mem::take(&mut self.inputs);
        let Some(mut brain) = self.brain.take() else { return };
        match brain.take(inputs, Moment(self.now), &Views::default()).await {
            Ok(wake_at) => {
                self.brain = Some(brain);
                if let Some(at) = wake_at {
                    let after = u64::try_from((at.0 - self.now).max(0)).unwrap();
                    self.at(after, Event::Wake);
                }
            }
            // The process goes on, or is killed there and then and started again.
            Err(_) if !self.quiet && self.chance.in_hundred(50) => {
                self.brain = Some(brain);
                self.order_if_lost().await;
                self.at(1_000, Event::Wake);
            }
            Err(_) => {
                self.start(Plan::Before(u64::MAX)).await;
                self.order_if_lost().await;
            }
        }
        let sent = std::mem::take(&mut *self.wire.sent.lock().unwrap());
        for (host, session, sent) in sent {
            let host = self.agents.iter().position(|agent| agent.host == host).unwrap();
            let after = self.chance.below(300);
            match sent {
                Sent::Order(order) => self.at(after, Event::Deliver { host, session, order }),
                Sent::Stored(id) => self.at(after, Event::Acknowledge { host, session, id }),
            }
        }
    }

    /// What was ordered and not stored is ordered again by whoever ordered it.
    async fn order_if_lost(&mut self) {
        if self.store.load_one(self.deployment).await.unwrap().is_none() {
            self.order();
        }
    }

    fn check(&self) {
        let down = self.agents.iter().filter(|agent| agent.is_down()).count();
        assert!(down <= self.allowed, "{down} down, {} allowed, at {}", self.allowed, self.now);
        assert!(self.runs.values().all(|count| *count == 1), "an id had its effect twice");
    }

    async fn deployment(&self) -> Deployment {
        self.store.load_one(self.deployment).await.unwrap().unwrap()
    }

    /// What the coordinator says of each node is what its agent knows.
    async fn check_end(&self) -> &'static str {
        let deployment = self.deployment().await;
        let rests = deployment.phase.is_end()
            || matches!(deployment.phase, Phase::Halted { .. } | Phase::BackHalted { .. });
        assert!(rests, "it ended {:?}", deployment.phase);
        for (part, agent) in deployment.nodes.values().zip(&self.agents) {
            let truth = (agent.is_new, agent.is_stuck);
            let told = match &part.state {
                NodeState::Done { .. } => (true, false),
                NodeState::Failed { failure, .. } => (false, failure.is_stuck()),
                NodeState::RevertFailed { failure, .. } => (true, failure.is_stuck()),
                NodeState::Unknown { doing, .. } => {
                    panic!("{} is back, and its {doing:?} is still unknown", Doing::Redeploy as u8)
                }
                NodeState::Running { .. } | NodeState::Reverting { .. } => panic!("still at work: {part:?}"),
                NodeState::Waiting
                | NodeState::Checking { .. }
                | NodeState::Ready
                | NodeState::Refused { .. }
                | NodeState::Reverted { .. } => (false, false),
            };
            assert_eq!(told, truth, "the report is not true: {part:?} {agent:?}");
        }
        deployment.phase.word()
    }
}
