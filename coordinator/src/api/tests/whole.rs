//! All parts together but the sockets: the API orders, the driver sends messages of the contract, and agents of this
//! test answer in messages of the contract.

use tokio::sync::mpsc;

use super::*;
use crate::agents::Agents;
use crate::driver::wire;
use crate::sessions::{Event, Said, SessionNumber};
use crate::store::EventFilter;
use redeploy_proto::v1::coordinator_message::Message as Down;

/// Carries what the driver says to the agents of this test.
struct Carrier {
    down: mpsc::UnboundedSender<(HostId, Down)>,
}

impl Link for Carrier {
    fn send(&self, host: &HostId, _: SessionId, order: Order) {
        let _closed = self.down.send((host.clone(), wire::message(order)));
    }

    fn acknowledge(&self, host: &HostId, _: SessionId, id: RedeployId) {
        let ack = Down::Ack(v1::ReportAck { redeploy_id: id.to_string() });
        let _closed = self.down.send((host.clone(), ack));
    }
}

pub(super) fn report(id: &str, verdict: v1::Verdict) -> v1::Report {
    let failure = v1::Failure { reason: "verify failed".into(), ..v1::Failure::default() };
    v1::Report {
        redeploy_id: id.into(),
        verdict: verdict.into(),
        failure: (verdict == v1::Verdict::Undone).then_some(failure),
        downtime_ms: Some(800),
        ..v1::Report::default()
    }
}

impl Hosts for Carrier {
    fn join_token(&self) -> Result<(String, Vec<u8>), Refusal> {
        Nobody.join_token()
    }

    fn cut(&self, _: &HostId) {}
}

pub(super) async fn say(agents: &Agents, host: &HostId, said: Said) {
    let lost = agents.bring(vec![Event::Said { host: host.clone(), said }]).await.unwrap();
    assert!(lost.is_empty(), "{lost:?}");
}

/// Answers orders as an agent does; a tag `broken` undoes itself on every node but `spared`.
async fn answer(agents: Agents, mut orders: mpsc::UnboundedReceiver<(HostId, Down)>, spared: u32) {
    while let Some((host, order)) = orders.recv().await {
        match order {
            Down::Preflight(order) => {
                let good = v1::Preflight {
                    is_ok: true,
                    digest: "sha256:1".into(),
                    plan_text: format!("asked about {:?}", order.image.unwrap_or_default().digest),
                    ..v1::Preflight::default()
                };
                let id = order.redeploy_id.parse().unwrap();
                say(&agents, &host, Said::Preflight(id, Box::new(good))).await;
            }
            Down::Redeploy(order) => {
                let image = order.image.unwrap();
                assert_eq!(image.digest, "sha256:1");
                let id = order.redeploy_id.parse().unwrap();
                say(&agents, &host, Said::Accepted(id)).await;
                let broken = image.reference.ends_with("broken") && order.node_id != spared;
                let verdict = if broken { v1::Verdict::Undone } else { v1::Verdict::Done };
                let report = report(&order.redeploy_id, verdict);
                say(&agents, &host, Said::Report(id, Box::new(report))).await;
            }
            Down::Revert(order) => {
                let done = report(&order.redeploy_id, v1::Verdict::Done);
                let id = order.redeploy_id.parse().unwrap();
                say(&agents, &host, Said::Report(id, Box::new(done))).await;
            }
            Down::Cancel(_) | Down::Ack(_) | Down::Welcome(_) => {}
        }
    }
}

pub(super) struct Whole {
    pub(super) room: Room,
    pub(super) agents: Agents,
}

/// Three hosts with one node each, connected and answering.
pub(super) async fn whole(spared: u32) -> Whole {
    let mut room = room().await;
    let store = room.api.store.clone();
    let (handle, inputs) = driver::driver();
    let (down, orders) = mpsc::unbounded_channel();
    let carrier = Arc::new(Carrier { down });
    Arc::get_mut(&mut room.api).unwrap().hosts = carrier.clone();
    let core = Core::load(Arc::new(store.clone()), carrier, Moment::now()).await.unwrap();
    tokio::spawn(driver::run(core, inputs, room.api.views.clone(), room.stop.clone()));
    Arc::get_mut(&mut room.api).unwrap().driver = handle.clone();
    let agents = Agents::new(store.clone(), handle, room.api.views.clone());
    tokio::spawn(answer(agents.clone(), orders, spared));
    for number in 1..=3 {
        let host: HostId = format!("w{number}").parse().unwrap();
        let row = HostRow {
            host_id: host.to_string(),
            name: format!("host-{number}"),
            joined_at: number,
            seen_at: 0,
            address: String::new(),
            cert_ends: 0,
            facts: None,
            revoked_at: None,
        };
        store.add_host(&row).await.unwrap();
        let container = v1::ContainerFacts {
            name: "web".into(),
            env: "live".into(),
            group: "cp".into(),
            image: "web:1".into(),
            ..v1::ContainerFacts::default()
        };
        let inventory = v1::Inventory { containers: vec![container], is_cut_short: false };
        let hello = v1::Hello {
            facts: Some(v1::HostFacts::default()),
            inventory: Some(inventory),
            ..v1::Hello::default()
        };
        let session = SessionNumber(1);
        let connected =
            Event::Connected { host, session, address: None, hello: Box::new(hello), open: Vec::new() };
        assert!(agents.bring(vec![connected]).await.unwrap().is_empty());
    }
    Whole { room, agents }
}

impl Whole {
    /// Waits until a deployment comes to rest in this phase.
    pub(super) async fn rests(
        &self,
        caller: &Caller,
        id: &str,
        phase: v1::DeploymentPhase,
    ) -> v1::Deployment {
        let mut changes = self.room.api.views.changes();
        let wait = async {
            loop {
                let seen = self.room.api.get(caller, id).await.unwrap();
                if seen.phase() == phase {
                    return seen;
                }
                changes.changed().await.unwrap();
            }
        };
        let patience = std::time::Duration::from_secs(30);
        tokio::time::timeout(patience, wait).await.expect("it did not come to rest in time")
    }
}

fn phases(deployment: &v1::Deployment) -> Vec<v1::NodePhase> {
    deployment.nodes.iter().map(v1::DeploymentNode::phase).collect()
}

fn action(id: &str) -> v1::DeploymentActionRequest {
    v1::DeploymentActionRequest { deployment_id: id.into(), comment: String::new() }
}

#[tokio::test]
async fn a_group_is_rolled_over_and_taken_back() {
    let whole = whole(0).await;
    let caller = whole.room.caller(Role::Admin, &[]).await;
    let made = whole.room.api.create(&caller, &deploy("live", "cp", "2")).await.unwrap();
    let id = made.deployment_id;
    let done = whole.rests(&caller, &id, v1::DeploymentPhase::Done).await;
    assert_eq!(phases(&done), [v1::NodePhase::Done; 3]);
    assert!(done.nodes.iter().all(|node| node.report.as_ref().is_some_and(|r| r.downtime_ms == Some(800))));
    let halt = Command::Halt { who: "ann".into() };
    whole.room.api.command(&caller, &action(&id), "halt", halt).await.unwrap_err();
    whole.room.api.command(&caller, &action(&id), "rollback", Command::Rollback).await.unwrap();
    let back = whole.rests(&caller, &id, v1::DeploymentPhase::RolledBack).await;
    assert_eq!(phases(&back), [v1::NodePhase::Reverted; 3]);
    let events = whole
        .room
        .api
        .store
        .events(&EventFilter { deployment: &id, ..EventFilter::default() }, 1000)
        .await
        .unwrap();
    let count = |kind: &str| events.iter().filter(|event| event.kind == kind).count();
    assert_eq!((count("deployment.done"), count("node.done")), (1, 3), "a refused order tells nothing again");
    let node = back.nodes[1].node_id;
    let revert = v1::RevertNodeRequest { node_id: node, ..v1::RevertNodeRequest::default() };
    let one = whole.room.api.revert(&caller, &revert).await.unwrap();
    let one = whole.rests(&caller, &one.deployment_id, v1::DeploymentPhase::RolledBack).await;
    assert_eq!(one.nodes.len(), 1);
}

#[tokio::test]
async fn a_broken_image_halts_at_the_first_node_it_breaks_and_the_rest_is_untouched() {
    let first = 3; // Nodes 1 and 2 belong to another environment.
    let whole = whole(first).await;
    let caller = whole.room.caller(Role::Admin, &[]).await;
    let made = whole.room.api.create(&caller, &deploy("live", "cp", "broken")).await.unwrap();
    let halted = whole.rests(&caller, &made.deployment_id, v1::DeploymentPhase::Halted).await;
    let expected = [v1::NodePhase::Done, v1::NodePhase::Failed, v1::NodePhase::Waiting];
    assert_eq!(phases(&halted), expected);
    assert_eq!(halted.reason, "node 4 failed");
    assert_eq!(halted.nodes[2].waits_for, "halted: node 4 failed");
    let events = whole
        .room
        .api
        .store
        .events(&EventFilter { env: "live", ..EventFilter::default() }, 1000)
        .await
        .unwrap();
    assert!(events.iter().any(|event| event.kind == "deployment.halted"));

    let id = made.deployment_id;
    whole.room.api.command(&caller, &action(&id), "rollback", Command::Rollback).await.unwrap();
    let back = whole.rests(&caller, &id, v1::DeploymentPhase::RolledBack).await;
    let expected = [v1::NodePhase::Reverted, v1::NodePhase::Failed, v1::NodePhase::Waiting];
    assert_eq!(phases(&back), expected);
}
