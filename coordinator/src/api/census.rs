//! How many there are of everything, for `/metrics`.

use std::collections::BTreeMap;

use super::{Api, Caller, Refusal, show};
use crate::deployment::Phase;
use crate::json;
use crate::metrics::Census;
use redeploy_proto::v1;

/// Of a node whose host is not connected, or has it no more.
const ABSENT: &str = "absent";

impl Api {
    /// The text for Prometheus.
    pub(super) async fn metrics(&self, caller: &Caller) -> Result<String, Refusal> {
        caller.may_look_everywhere()?;
        let mut deployments = none("DeploymentPhase");
        for (phase, count) in self.store.deployments_by_phase().await? {
            // Some phases are shown as one.
            let phase = serde_json::from_str::<Phase>(&phase).map(|phase| show::phase(&phase));
            let phase = phase.unwrap_or(v1::DeploymentPhase::Unspecified);
            add(&mut deployments, json::word_of(phase.as_str_name(), "DEPLOYMENT_PHASE_"), count);
        }
        let (mut nodes, mut hosts) = (none("ContainerState"), none("HostState"));
        nodes.insert(ABSENT.to_owned(), 0);
        for node in self.list_nodes(caller, &v1::ListNodesRequest::default()).await?.nodes {
            let state = node.container.unwrap_or_default().state().as_str_name();
            let state = json::word_of(state, "CONTAINER_STATE_");
            add(&mut nodes, if node.is_present { state } else { ABSENT.to_owned() }, 1);
        }
        for host in self.list_hosts(caller).await?.hosts {
            add(&mut hosts, json::word_of(host.state().as_str_name(), "HOST_STATE_"), 1);
        }
        let list = |counts: BTreeMap<String, i64>| counts.into_iter().collect();
        let census = Census { deployments: list(deployments), nodes: list(nodes), hosts: list(hosts) };
        self.views.tally.text(&census).map_err(|error| Refusal::Trouble(Box::new(error)))
    }
}

/// A count for every word, so that an alarm has something to look at before the first of a kind.
fn none(words: &str) -> BTreeMap<String, i64> {
    json::words_of(words).into_iter().map(|word| (word, 0)).collect()
}

fn add(counts: &mut BTreeMap<String, i64>, word: String, count: i64) {
    *counts.entry(word).or_default() += count;
}
