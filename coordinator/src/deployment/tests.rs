//! The rules of a deployment: a table of who may become what, single cases, and random lives.

mod cases;
mod lives;
mod table;

use std::collections::{BTreeMap, HashMap};

use redeploy_proto::RedeployId;

use super::*;
use crate::ids::NodeId;
use crate::moment::Span;

/// The start of every test.
const T0: Moment = Moment(1_000_000);

fn host(number: u32) -> HostId {
    format!("host-{number}").parse().unwrap()
}

fn part(number: u32, state: NodeState) -> NodePart {
    NodePart {
        node: NodeId(number),
        host: host(number),
        container: format!("c{number}"),
        image: "web:2".into(),
        redeploy_id: RedeployId::generate(),
        revert_id: RedeployId::generate(),
        state,
    }
}

fn terms() -> Terms {
    Terms {
        image: "web:2".into(),
        parallel: Parallel::Nodes(1),
        delay: Span(0),
        on_failure: OnFailure::Halt,
        budget: Span::minutes(75),
        grace: Span::seconds(30),
        options: Options::default(),
    }
}

fn deployment(nodes: u32, phase: Phase, state: &NodeState) -> Deployment {
    Deployment {
        id: DeploymentId::generate(),
        env: "shop".parse().unwrap(),
        group: "cp".parse().unwrap(),
        terms: terms(),
        fixed: BTreeMap::new(),
        phase,
        created_at: T0,
        deadline: T0.after(Span::minutes(75)),
        last_verified: None,
        ended_at: None,
        created_by: "test".into(),
        nodes: (1..=nodes).map(|number| part(number, state.clone())).collect(),
    }
}

fn fleet(nodes: u32) -> Fleet {
    let hosts: HashMap<_, _> = (1..=nodes).map(|number| (host(number), HostSeen::Connected)).collect();
    Fleet { hosts, since: T0, ahead: None }
}

fn stuck() -> Failure {
    Failure { verdict: Verdict::Stuck, why: "the undo failed".into() }
}

fn undone() -> Failure {
    Failure { verdict: Verdict::Undone, why: "verify failed".into() }
}

fn fresh() -> RedeployId {
    RedeployId::generate()
}

fn tell(deployment: &mut Deployment, errand: &Errand, report: &Report, now: Moment) {
    assert!(deployment.take_report(errand.node, errand.id, report, now), "{report:?} changed nothing");
}
