//! Environments as `GetEnvInfo` and `GetEnvs` show them. What the coordinator does not know is there with a value that
//! means nothing (`""`, 0, false), because clients fail when a key is missing.
//!
//! Flows in: nodes, hosts and deployments at work. Flows out: JSON. The shape is that of the vendor's answers, as its public
//! clients read them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use redeploy_proto::v1::{self, ContainerState, DeploymentPhase};
use serde_json::{Value, json};

use super::answer;
use super::codes::Failed;
use super::service::Service;
use crate::api::images::taken_apart;

/// The groups that clients of the vendor's know; they fail on others.
const GROUPS: [&str; 6] = ["bl", "cp", "cache", "sqldb", "nosqldb", "storage"];

/// What the vendor counts memory in.
const CLOUDLET_BYTES: u64 = 128 << 20;

/// Seconds between two nodes, as the vendor's dialog proposes them.
const DELAY_S: u32 = 30;

/// Numbers for a status, of environments and of nodes. Source: the vendor's clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Running = 1,
    Down = 2,
    Launching = 3,
    Sleep = 4,
    Unknown = 5,
    Broken = 11,
    Updating = 12,
}

/// Everything that is shown.
struct Seen {
    /// Address of each host, or its name.
    hosts: HashMap<String, String>,
    /// Environments where a deployment is at work.
    updating: BTreeSet<String>,
}

/// One environment.
///
/// # Errors
/// [`Code::NoEnvironment`](super::codes::Code)
pub(super) async fn one(service: &Service, env: &str) -> Result<Value, Failed> {
    let nodes = service.nodes(env).await?;
    let seen = Seen::ask(service, env).await?;
    Ok(answer::with(seen.environment(env, &nodes.iter().collect::<Vec<_>>())))
}

/// All of them.
///
/// # Errors
/// The service refused.
pub(super) async fn all(service: &Service) -> Result<Value, Failed> {
    let nodes = service.nodes("").await?;
    let seen = Seen::ask(service, "").await?;
    let mut environments: BTreeMap<&str, Vec<&v1::Node>> = BTreeMap::new();
    for node in &nodes {
        environments.entry(&node.env).or_default().push(node);
    }
    let infos: Vec<Value> = environments.iter().map(|(env, nodes)| seen.whole(env, nodes)).collect();
    Ok(answer::with(json!({ "infos": infos })))
}

impl Seen {
    async fn ask(service: &Service, env: &str) -> Result<Self, Failed> {
        let hosts = service.hosts().await?;
        let open = service.deployments(env, true).await?;
        Ok(Self {
            hosts: hosts.iter().map(|host| (host.host_id.clone(), address(host))).collect(),
            updating: open.iter().filter(|open| is_at_work(open)).filter_map(env_of).collect(),
        })
    }

    /// With a head of its own, as in a list.
    fn whole(&self, env: &str, nodes: &[&v1::Node]) -> Value {
        answer::with(self.environment(env, nodes))
    }

    fn environment(&self, env: &str, nodes: &[&v1::Node]) -> Value {
        let groups: BTreeSet<&str> = nodes.iter().map(|node| node.group.as_str()).collect();
        let groups = groups.into_iter().filter(|group| GROUPS.contains(group));
        let groups: Vec<Value> = groups
            .map(|name| json!({ "name": name, "isRedeploySupport": true, "redeployContainerDelay": DELAY_S }))
            .collect();
        let nodes_shown: Vec<Value> = nodes.iter().map(|node| self.node(node)).collect();
        json!({
            "env": {
                "envName": env,
                "displayName": env,
                "shortdomain": env,
                "domain": env,
                "hardwareNodeGroup": "",
                "sslstate": false,
                "ishaenabled": false,
                "status": self.status(env, nodes) as u8,
                "extdomains": [],
            },
            "nodeGroups": groups,
            "nodes": nodes_shown,
        })
    }

    fn status(&self, env: &str, nodes: &[&v1::Node]) -> Status {
        let all: Vec<Status> = nodes.iter().map(|node| status(node)).collect();
        if self.updating.contains(env) {
            Status::Updating
        } else if all.contains(&Status::Running) {
            Status::Running
        } else if all.iter().all(|status| *status == Status::Unknown) {
            Status::Unknown
        } else {
            Status::Down
        }
    }

    fn node(&self, node: &v1::Node) -> Value {
        let facts = node.container.clone().unwrap_or_default();
        let (repository, tag) = taken_apart(&facts.image);
        let address = self.hosts.get(&node.host_id).unwrap_or(&node.host_name);
        json!({
            "id": node.node_id,
            "name": facts.name,
            "displayName": facts.name,
            "nodemission": "docker",
            "type": "DOCKERIZED",
            "nodeType": if node.group == "storage" { "storage" } else { "docker" },
            "nodeGroup": node.group,
            "status": status(node) as u8,
            "intIP": address,
            "url": format!("http://{address}"),
            "diskLimit": 0,
            "fixedCloudlets": 0,
            "flexibleCloudlets": facts.memory_bytes.div_ceil(CLOUDLET_BYTES),
            "customitem": { "dockerName": repository, "dockerTag": tag },
        })
    }
}

fn env_of(deployment: &v1::Deployment) -> Option<String> {
    deployment.target.as_ref().map(|target| target.env.clone())
}

/// One that is halted waits for a human, and its nodes are what they are.
fn is_at_work(deployment: &v1::Deployment) -> bool {
    matches!(
        deployment.phase(),
        DeploymentPhase::Preflight | DeploymentPhase::Running | DeploymentPhase::RollingBack
    )
}

/// Where a host's ports are: the address its session comes from, or its name.
fn address(host: &v1::Host) -> String {
    let name = host.facts.as_ref().map(|facts| facts.host_name.clone()).unwrap_or_default();
    host.address.parse::<SocketAddr>().map_or(name, |address| address.ip().to_string())
}

fn status(node: &v1::Node) -> Status {
    if !node.is_present {
        return Status::Unknown;
    }
    match node.container.as_ref().map(v1::ContainerFacts::state).unwrap_or_default() {
        ContainerState::Running => Status::Running,
        ContainerState::Created | ContainerState::Exited => Status::Down,
        ContainerState::Restarting => Status::Launching,
        ContainerState::Paused => Status::Sleep,
        ContainerState::Dead => Status::Broken,
        ContainerState::Unspecified => Status::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(group: &str, state: ContainerState, is_present: bool) -> v1::Node {
        let facts = v1::ContainerFacts {
            name: "web-a".into(),
            image: "r.example:5000/web:1.2".into(),
            memory_bytes: 300 << 20,
            state: state.into(),
            ..v1::ContainerFacts::default()
        };
        let (host_id, host_name) = ("h1".to_owned(), "alpha".to_owned());
        let (env, group, container) = ("shop".to_owned(), group.to_owned(), Some(facts));
        v1::Node { node_id: 7, env, group, host_id, host_name, container, is_present, ..Default::default() }
    }

    fn seen(updating: &[&str]) -> Seen {
        let updating = updating.iter().map(|env| (*env).to_owned()).collect();
        Seen { hosts: [("h1".to_owned(), "10.0.0.5".to_owned())].into(), updating }
    }

    #[test]
    fn every_key_that_clients_read_is_there() {
        let nodes = [node("cp", ContainerState::Running, true), node("blue", ContainerState::Running, true)];
        let shown = seen(&[]).environment("shop", &nodes.iter().collect::<Vec<_>>());
        for key in
            ["shortdomain", "domain", "envName", "hardwareNodeGroup", "sslstate", "ishaenabled", "status"]
        {
            assert!(!shown["env"][key].is_null(), "{key}");
        }
        assert!(shown["env"]["extdomains"].is_array());
        assert_eq!(
            shown["nodeGroups"].as_array().unwrap().len(),
            1,
            "clients fail on names they do not know"
        );
        assert_eq!(shown["nodeGroups"][0]["redeployContainerDelay"], 30);
        let one = &shown["nodes"][0];
        for key in [
            "id",
            "name",
            "nodemission",
            "type",
            "nodeType",
            "nodeGroup",
            "status",
            "diskLimit",
            "fixedCloudlets",
        ] {
            assert!(!one[key].is_null(), "{key}");
        }
        assert_eq!((&one["intIP"], &one["url"]), (&json!("10.0.0.5"), &json!("http://10.0.0.5")));
        assert_eq!(one["flexibleCloudlets"], 3);
        assert_eq!(one["customitem"], json!({ "dockerName": "r.example:5000/web", "dockerTag": "1.2" }));
        assert_eq!((&shown["nodes"][1]["nodeGroup"], &one["nodeType"]), (&json!("blue"), &json!("docker")));
        let storage = node("storage", ContainerState::Running, true);
        assert_eq!(seen(&[]).node(&storage)["nodeType"], "storage");
    }

    #[test]
    fn a_status_is_what_can_be_said_of_all_nodes() {
        use ContainerState as C;
        for (updating, nodes, expected) in [
            (&[][..], vec![(C::Running, true), (C::Exited, true)], Status::Running),
            (&[], vec![(C::Exited, true), (C::Created, true)], Status::Down),
            (&[], vec![(C::Running, false)], Status::Unknown),
            (&[], vec![(C::Running, false), (C::Exited, true)], Status::Down),
            (&["shop"], vec![(C::Running, true)], Status::Updating),
            (&["other"], vec![(C::Running, true)], Status::Running),
        ] {
            let nodes: Vec<v1::Node> = nodes.into_iter().map(|(state, is)| node("cp", state, is)).collect();
            let status = seen(updating).status("shop", &nodes.iter().collect::<Vec<_>>());
            assert_eq!(status, expected);
        }
        let of = |state| status(&node("cp", state, true)) as u8;
        assert_eq!([of(C::Paused), of(C::Restarting), of(C::Dead), of(C::Unspecified)], [4, 3, 11, 5]);
    }
}
