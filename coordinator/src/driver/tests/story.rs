//! What a world is made of, and what goes wrong in it: all of it drawn from its seed.

use std::collections::BTreeMap;

use redeploy_proto::RedeployId;

use super::agent::Agent;
use super::chance::Chance;
use super::world::{CALM, Event, START, World};
use crate::deployment::{Deployment, NodePart, NodeState, OnFailure, Options, Parallel, Phase, Terms};
use crate::ids::NodeId;
use crate::moment::{Moment, Span};
use crate::store::Plan;

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

/// How many agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// One to eight: most of what can go wrong needs no more.
    Few,
    /// One to three thousand.
    Thousands,
}

impl Size {
    /// One world in a hundred is large.
    pub(super) fn of(seed: u64) -> Self {
        if seed % 100 == 99 { Self::Thousands } else { Self::Few }
    }
}

pub(super) fn agents(chance: &mut Chance, faults: Faults, size: Size) -> Vec<Agent> {
    let is_quiet = !matches!(faults, Faults::Random);
    let nodes = match size {
        Size::Few if is_quiet => 3,
        Size::Few => 1 + chance.below(8),
        Size::Thousands => 1000 + chance.below(2000),
    };
    let fails = if is_quiet { 0 } else { [0, 0, 5, 20][chance.index(4)] };
    (0..nodes).map(|number| Agent::new(format!("h{number}").parse().unwrap(), fails)).collect()
}

pub(super) fn deployment(world: &mut World) -> Deployment {
    let nodes = u32::try_from(world.agents.len()).unwrap();
    let chance = &mut world.chance;
    let parallel = match chance.below(4) {
        0 => Parallel::All,
        // One after another, thousands would take longer than any deadline.
        _ if nodes > 100 => Parallel::Percent([10, 25, 50][chance.index(3)]),
        1 => Parallel::Nodes(1 + chance.small(nodes)),
        2 => Parallel::Percent([1, 25, 50, 100][chance.index(4)]),
        _ => Parallel::Nodes(1),
    };
    let on_failure = if chance.in_hundred(40) { OnFailure::Rollback } else { OnFailure::Halt };
    let delay = Span::seconds(chance.small(40));
    let parts = world.agents.iter().zip(1..).map(|(agent, number)| NodePart {
        node: NodeId(number),
        host: agent.host.clone(),
        container: "web".into(),
        image: "web:2".into(),
        redeploy_id: RedeployId::generate(),
        revert_id: RedeployId::generate(),
        state: NodeState::Waiting,
    });
    Deployment {
        id: world.deployment,
        env: "shop".parse().unwrap(),
        group: "cp".parse().unwrap(),
        terms: Terms {
            image: "web:2".into(),
            parallel,
            delay,
            on_failure,
            budget: Span::minutes(75),
            grace: Span::seconds(60),
            options: Options::default(),
        },
        fixed: BTreeMap::new(),
        phase: Phase::Queued,
        created_at: Moment(world.now),
        deadline: Moment(world.now),
        last_verified: None,
        ended_at: None,
        created_by: "sim".into(),
        nodes: parts.collect(),
    }
}

/// Hosts fall silent and come back, agents are killed and dial twice, hosts are revoked, the coordinator is killed,
/// operators press everything.
pub(super) fn plan_faults(world: &mut World) {
    if world.is_quiet() {
        return;
    }
    let span = u64::try_from(CALM - START).unwrap();
    let agents = world.agents.len() as u64;
    // In a world of thousands as many per agent as make a deployment's end possible at all.
    let many = |count: u64| if agents > 100 { count * agents / 100 } else { count };
    for (count, event) in [
        (many(12), (|host| Event::Break { host }) as fn(usize) -> Event),
        (many(4), |host| Event::Twin { host }),
        (many(4), |host| Event::Crash { host }),
    ] {
        for _ in 0..world.chance.below(count) {
            let (host, after) = (world.chance.index(world.agents.len()), world.chance.below(span / 8));
            world.at(after, event(host));
        }
    }
    if world.chance.in_hundred(20) {
        let (host, after) = (world.chance.index(world.agents.len()), world.chance.below(span / 8));
        world.at(after, Event::Revoke { host });
    }
    for _ in 0..world.chance.below(4) {
        let after = world.chance.below(span / 8);
        world.at(after, Event::Restart);
    }
    for _ in 0..world.chance.below(6) {
        let (after, button) = (world.chance.below(span), world.chance.below(5));
        world.at(after, Event::Press { button });
    }
}
