//! A coordinator and its agents in virtual time: everything that happens is an event with a moment, in one queue.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use redeploy_proto::v1::coordinator_message::Message as Down;
use redeploy_proto::{RedeployId, v1};
use tokio::sync::oneshot;

use super::agent::Agent;
use super::chance::Chance;
use super::lines::Lines;
use super::story::{self, Faults, Size};
use crate::deployment::{Command, Deployment};
use crate::driver::{Core, Input};
use crate::ids::{DeploymentId, HostId};
use crate::moment::Moment;
use crate::sessions::SessionNumber;
use crate::store::{Failing, Ledger, Memory, NewDeployment, Plan};

#[derive(Debug)]
pub(super) enum Event {
    /// A message reaches an agent, if its session still stands.
    Deliver {
        host: usize,
        life: u64,
        number: SessionNumber,
        down: Down,
    },
    /// A message reaches the coordinator, likewise.
    Hear {
        host: usize,
        life: u64,
        number: SessionNumber,
        message: v1::AgentMessage,
    },
    /// A saga on a host comes to its end.
    End {
        host: usize,
        id: RedeployId,
    },
    Connect {
        host: usize,
    },
    /// The network between a host and the coordinator is cut.
    Break {
        host: usize,
    },
    /// An agent dials again although its session stands.
    Twin {
        host: usize,
    },
    /// An agent is killed, and started again by its host.
    Crash {
        host: usize,
    },
    Revoke {
        host: usize,
    },
    /// The coordinator notices that a session is over.
    Notice {
        host: usize,
        life: u64,
        number: SessionNumber,
    },
    /// The coordinator is killed and started again.
    Restart,
    /// An operator orders something.
    Press {
        button: u64,
    },
    Wake,
}

type Brain = Core<Failing<Memory>, Lines>;

pub(super) struct World {
    pub(super) chance: Chance,
    pub(super) faults: Faults,
    pub(super) now: i64,
    count: u64,
    queue: BTreeMap<(i64, u64), Event>,
    pub(super) agents: Vec<Agent>,
    places: HashMap<HostId, usize>,
    pub(super) store: Arc<Memory>,
    lines: Arc<Lines>,
    /// How many coordinators there were.
    life: u64,
    brain: Option<Brain>,
    inputs: Vec<Input>,
    /// Events this close together are taken in one turn, as the driver's queue does it when much happens.
    window_ms: i64,
    pub(super) allowed: usize,
    pub(super) deployment: DeploymentId,
    pub(super) runs: HashMap<RedeployId, u32>,
}

/// How a world ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// The deployment's phase.
    pub(super) phase: &'static str,
    /// When, and how much had happened: the same for the same seed.
    pub(super) at: i64,
    pub(super) events: u64,
}

pub(super) const START: i64 = 1_000_000;
/// When faults end, and when everything must have come to rest.
pub(super) const CALM: i64 = START + 2 * 3600 * 1000;
const END: i64 = CALM + 6 * 3600 * 1000;

impl World {
    pub(super) fn new(seed: u64, faults: Faults, size: Size) -> Self {
        let mut chance = Chance::new(seed);
        let agents = story::agents(&mut chance, faults, size);
        let place = |(place, agent): (usize, &Agent)| (agent.host.clone(), place);
        Self {
            places: agents.iter().enumerate().map(place).collect(),
            chance,
            faults,
            now: START,
            count: 0,
            queue: BTreeMap::new(),
            window_ms: if agents.len() > 100 { 200 } else { 0 },
            agents,
            store: Arc::new(Memory::default()),
            lines: Arc::new(Lines::default()),
            life: 0,
            brain: None,
            inputs: Vec::new(),
            allowed: 0,
            deployment: DeploymentId::generate(),
            runs: HashMap::new(),
        }
    }

    /// Plays it to its end.
    pub(super) fn run(mut self) -> End {
        let is_told = std::env::var_os("REDEPLOY_SIM_SEED").is_some();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let plan = if let Faults::Store(plan) = self.faults { plan } else { Plan::Before(u64::MAX) };
            self.start(plan).await;
            self.order();
            story::plan_faults(&mut self);
            while let Some(((at, _), event)) = self.queue.pop_first() {
                assert!(at <= END, "it never came to rest: {:?}", self.deployment().await.phase);
                self.now = self.now.max(at);
                if is_told {
                    println!("{} {event:?}", at - START);
                }
                self.happen(event).await;
                let goes_on = self.queue.first_key_value();
                if goes_on.is_none_or(|((next, _), _)| self.window_ms == 0 || *next > at + self.window_ms) {
                    self.turn().await;
                    self.check();
                }
            }
            let phase = self.check_end().await;
            End { phase, at: self.now, events: self.count }
        })
    }

    /// How many commits a run without faults takes.
    pub(super) fn commits(self) -> u64 {
        let store = self.store.clone();
        self.run();
        store.commits()
    }

    pub(super) fn is_quiet(&self) -> bool {
        !matches!(self.faults, Faults::Random)
    }

    /// Something will happen so many milliseconds from now.
    pub(super) fn at(&mut self, after: u64, event: Event) {
        self.count += 1;
        self.queue.insert((self.now + i64::try_from(after).unwrap(), self.count), event);
    }

    async fn start(&mut self, plan: Plan) {
        let ledger = Arc::new(Failing::new(self.store.clone(), plan));
        self.life += 1;
        self.lines = Arc::new(Lines::default());
        self.brain = Some(Core::load(ledger, self.lines.clone(), Moment(self.now)).await.unwrap());
        self.inputs.clear();
        for host in 0..self.agents.len() {
            self.agents[host].line = None;
            let after = self.chance.below(5_000);
            self.at(after, Event::Connect { host });
        }
        self.at(0, Event::Wake);
    }

    fn order(&mut self) {
        let deployment = story::deployment(self);
        self.allowed = deployment.allowed_down();
        self.inputs.push(Input::Create {
            deployment: Box::new(deployment),
            new: NewDeployment::default(),
            login: None,
            queue: false,
            reply: oneshot::channel().0,
        });
    }

    /// What was ordered and not stored is ordered again by whoever ordered it.
    async fn order_if_lost(&mut self) {
        if self.store.load_one(self.deployment).await.unwrap().is_none() {
            self.order();
        }
    }

    async fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { host, life, number, down } => {
                if self.has(host, life, number) {
                    self.deliver(host, &down);
                }
            }
            Event::Hear { host, life, number, message } => {
                // What a broken session carried is lost.
                if self.has(host, life, number) {
                    self.lines.hear(&self.agents[host].host, message);
                }
            }
            Event::End { host, id } => {
                if self.agents[host].running() == Some(id) {
                    self.agents[host].end(id, &mut self.chance);
                    let word = self.agents[host].word(id);
                    self.say(host, word);
                }
            }
            Event::Connect { host } => self.connect(host),
            Event::Break { host } => self.disconnect(host),
            Event::Twin { host } => {
                if let Some(old) = self.agents[host].line.take() {
                    let after = self.chance.below(5_000);
                    self.at(after, Event::Notice { host, life: self.life, number: old.number });
                    self.connect(host);
                }
            }
            Event::Crash { host } => {
                self.agents[host].crash(&mut self.chance);
                self.disconnect(host);
            }
            Event::Revoke { host } => {
                self.agents[host].is_revoked = true;
                self.lines.cut(&self.agents[host].host);
            }
            Event::Notice { host, life, number } => {
                if life == self.life {
                    self.lines.close(&self.agents[host].host, number);
                }
            }
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

    /// Whether this very session of an agent stands.
    fn has(&self, host: usize, life: u64, number: SessionNumber) -> bool {
        life == self.life && self.agents[host].line.as_ref().is_some_and(|line| line.number == number)
    }

    fn deliver(&mut self, host: usize, down: &Down) {
        let before = self.agents[host].running();
        let answer = self.agents[host].take(down, &mut self.chance);
        if let Some(id) = self.agents[host].running().filter(|id| before != Some(*id)) {
            *self.runs.entry(id).or_default() += 1;
            let after = 5_000 + self.chance.below(60_000);
            self.at(after, Event::End { host, id });
        }
        self.say(host, answer);
    }

    /// An agent's word, sometimes twice; one that is later may arrive before one that is earlier.
    fn say(&mut self, host: usize, message: Option<v1::AgentMessage>) {
        let (Some(message), Some(line)) = (message, &self.agents[host].line) else { return };
        let (life, number) = (self.life, line.number);
        let times = if !self.is_quiet() && self.chance.in_hundred(10) { 2 } else { 1 };
        for _ in 0..times {
            let after = self.chance.below(300);
            self.at(after, Event::Hear { host, life, number, message: message.clone() });
        }
    }

    fn connect(&mut self, host: usize) {
        if self.agents[host].line.is_some() || self.agents[host].is_revoked {
            return;
        }
        let line = self.lines.open(&self.agents[host].host, self.agents[host].hello());
        self.agents[host].line = Some(line);
        for message in self.agents[host].words() {
            self.say(host, Some(message));
        }
    }

    /// The coordinator may take its time to notice.
    fn disconnect(&mut self, host: usize) {
        let Some(line) = self.agents[host].line.take() else { return };
        if self.chance.in_hundred(30) {
            let after = self.chance.below(60_000);
            self.at(after, Event::Notice { host, life: self.life, number: line.number });
        } else {
            self.lines.close(&self.agents[host].host, line.number);
        }
        let after = 1_000 + self.chance.below(150_000);
        self.at(after, Event::Connect { host });
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
        let fails = if self.is_quiet() { 0 } else { 1 };
        let (lines, chance) = (self.lines.clone(), &mut self.chance);
        self.inputs.extend(lines.inputs(|_| chance.in_hundred(fails)));
        let inputs = std::mem::take(&mut self.inputs);
        let Some(mut brain) = self.brain.take() else { return };
        match brain.take(inputs, Moment(self.now), &lines.views).await {
            Ok(wake_at) => {
                self.brain = Some(brain);
                if let Some(at) = wake_at {
                    let after = u64::try_from((at.0 - self.now).max(0)).unwrap();
                    self.at(after, Event::Wake);
                }
            }
            // The process goes on, or is killed there and then and started again.
            Err(_) if !self.is_quiet() && self.chance.in_hundred(50) => {
                self.brain = Some(brain);
                self.order_if_lost().await;
                self.at(1_000, Event::Wake);
            }
            Err(_) => {
                self.start(Plan::Before(u64::MAX)).await;
                self.order_if_lost().await;
            }
        }
        self.carry();
    }

    /// What the coordinator said gets under way, each message at its own pace; sessions it ended are over.
    fn carry(&mut self) {
        for host in self.lines.told() {
            let host = self.places[&host];
            let life = self.life;
            let Some(line) = self.agents[host].line.as_mut() else { continue };
            let number = line.number;
            let messages: Vec<_> = line.take().into_iter().filter_map(|message| message.message).collect();
            if line.is_ended() {
                self.agents[host].line = None;
                self.lines.close(&self.agents[host].host, number);
                self.at(1_000, Event::Connect { host });
            }
            for down in messages {
                let after = self.chance.below(300);
                self.at(after, Event::Deliver { host, life, number, down });
            }
        }
    }

    pub(super) async fn deployment(&self) -> Deployment {
        self.store.load_one(self.deployment).await.unwrap().unwrap()
    }
}
