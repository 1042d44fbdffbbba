//! Hosts, nodes, groups and environments as they are shown.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost::Message;
use redeploy_proto::v1;

use super::{Api, Caller, Refusal, names, refusal};
use crate::deployment::Phase;
use crate::ids::{HostId, NodeId};
use crate::moment::Moment;
use crate::store::{DeploymentFilter, HostRow, NodeRow};
use crate::views::Containers;

impl Api {
    fn is_connected(&self, host_id: &str) -> bool {
        host_id.parse().is_ok_and(|host: HostId| self.views.is_connected(&host))
    }

    pub(super) fn show_node(&self, row: &NodeRow, hosts: &HashMap<String, HostRow>) -> v1::Node {
        let facts = row.facts.as_deref().and_then(|bytes| v1::ContainerFacts::decode(bytes).ok());
        v1::Node {
            node_id: row.node_id,
            env: row.env.clone(),
            group: row.grp.clone(),
            host_id: row.host_id.clone(),
            host_name: hosts.get(&row.host_id).map(|host| host.name.clone()).unwrap_or_default(),
            container: Some(facts.unwrap_or_else(|| v1::ContainerFacts {
                name: row.container.clone(),
                ..v1::ContainerFacts::default()
            })),
            seen_at_ms: row.seen_at,
            is_present: row.present && self.is_connected(&row.host_id),
            is_adopted: row.adopted,
            generation: row.generation.unsigned_abs(),
            last_redeploy: None,
        }
    }

    pub(super) async fn hosts_by_id(&self) -> Result<HashMap<String, HostRow>, Refusal> {
        Ok(self.store.hosts().await?.into_iter().map(|host| (host.host_id.clone(), host)).collect())
    }

    pub(super) async fn list_nodes(
        &self,
        caller: &Caller,
        request: &v1::ListNodesRequest,
    ) -> Result<v1::ListNodesResponse, Refusal> {
        caller.may_look()?;
        let hosts = self.hosts_by_id().await?;
        let rows = self.nodes_for(caller).await?;
        names::check(&rows, &request.env, &request.group)?;
        let host_id = match request.host_id.as_str() {
            "" => String::new(),
            host => self.host_for(caller, host).await?.host_id,
        };
        let fits = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        let rows = rows.iter().filter(|row| {
            fits(&request.env, &row.env) && fits(&request.group, &row.grp) && fits(&host_id, &row.host_id)
        });
        Ok(v1::ListNodesResponse { nodes: rows.map(|row| self.show_node(row, &hosts)).collect() })
    }

    pub(super) async fn get_node(&self, caller: &Caller, id: u32) -> Result<v1::Node, Refusal> {
        caller.may_look()?;
        let Some(row) = self.store.node(NodeId(id)).await?.filter(|row| caller.sees(&row.env)) else {
            let rows = self.nodes_for(caller).await?;
            return Err(Refusal::Missing(names::missing_node(id, rows.iter().map(|row| row.node_id))));
        };
        let host = self.store.host(&refusal::required(&row.host_id)?).await?;
        let hosts = host.map(|host| (host.host_id.clone(), host)).into_iter().collect();
        let last = self.store.last_report(NodeId(id), &row.host_id, &row.container).await?;
        let last_redeploy = last.and_then(|bytes| v1::Report::decode(bytes.as_slice()).ok());
        Ok(v1::Node { last_redeploy, ..self.show_node(&row, &hosts) })
    }

    pub(super) async fn adopt(
        &self,
        caller: &Caller,
        request: &v1::AdoptNodeRequest,
    ) -> Result<v1::Node, Refusal> {
        caller.may_everything()?;
        let host = self.host_for(caller, &request.host).await?;
        let host: HostId = refusal::required(&host.host_id)?;
        if request.container.is_empty() {
            return Err(Refusal::Invalid("say which container".into()));
        }
        let (env, group) = (refusal::required(&request.env)?, refusal::required(&request.group)?);
        self.must_be_there(&host, &request.container)?;
        let node = self.store.adopt(&host, &request.container, (&env, &group), Moment::now()).await?;
        self.get_node(caller, node.0).await
    }

    /// A name that nobody bears would be a node that is never present.
    fn must_be_there(&self, host: &HostId, container: &str) -> Result<(), Refusal> {
        let Some(Containers { names, are_more }) = self.views.containers_of(host) else {
            return Err(Refusal::State(format!(
                "host {host} is not connected, so its containers are not known: start its agent, then try again"
            )));
        };
        if are_more || names.iter().any(|name| name == container) {
            return Ok(());
        }
        let what = format!("container on host {host} called");
        Err(Refusal::Missing(names::missing(&what, container, names.iter().map(String::as_str))))
    }

    pub(super) async fn forget(&self, caller: &Caller, id: u32) -> Result<v1::ForgetNodeResponse, Refusal> {
        caller.may_everything()?;
        self.get_node(caller, id).await?;
        self.store.forget(NodeId(id), Moment::now()).await?;
        Ok(v1::ForgetNodeResponse {})
    }

    /// The nodes that exist for a caller.
    pub(super) async fn nodes_for(&self, caller: &Caller) -> Result<Vec<NodeRow>, Refusal> {
        let rows = self.store.nodes().await?;
        Ok(rows.into_iter().filter(|row| caller.sees(&row.env)).collect())
    }

    async fn groups(&self, caller: &Caller, env: &str) -> Result<Vec<v1::Group>, Refusal> {
        let rows = self.nodes_for(caller).await?;
        names::check(&rows, env, "")?;
        let mut groups: BTreeMap<(String, String), Vec<&NodeRow>> = BTreeMap::new();
        for row in rows.iter().filter(|row| env.is_empty() || row.env == env) {
            groups.entry((row.env.clone(), row.grp.clone())).or_default().push(row);
        }
        let open = DeploymentFilter { only_open: true, limit: 500, ..DeploymentFilter::default() };
        let open = self.store.deployments(&open).await?;
        let group = |((env, name), rows): ((String, String), Vec<&NodeRow>)| {
            let facts = |row: &&NodeRow| v1::ContainerFacts::decode(row.facts.as_deref()?).ok();
            let facts: Vec<v1::ContainerFacts> = rows.iter().filter_map(facts).collect();
            let running = facts.iter().filter(|facts| facts.state() == v1::ContainerState::Running).count();
            let images: BTreeSet<String> = facts.iter().map(|facts| facts.image.clone()).collect();
            // One at work comes before those that wait for it.
            let its = open.iter().filter(|(d, _)| d.env.as_str() == env && d.group.as_str() == name);
            let open = its.min_by_key(|(d, _)| d.phase == Phase::Queued);
            v1::Group {
                open_deployment_id: open.map(|(open, _)| open.id.to_string()).unwrap_or_default(),
                env,
                name,
                nodes: u32::try_from(rows.len()).unwrap_or(u32::MAX),
                nodes_running: u32::try_from(running).unwrap_or(u32::MAX),
                images: images.into_iter().collect(),
            }
        };
        Ok(groups.into_iter().map(group).collect())
    }

    pub(super) async fn list_groups(
        &self,
        caller: &Caller,
        env: &str,
    ) -> Result<v1::ListGroupsResponse, Refusal> {
        caller.may_look()?;
        Ok(v1::ListGroupsResponse { groups: self.groups(caller, env).await? })
    }

    pub(super) async fn list_environments(
        &self,
        caller: &Caller,
    ) -> Result<v1::ListEnvironmentsResponse, Refusal> {
        caller.may_look()?;
        let mut environments: BTreeMap<String, Vec<v1::Group>> = BTreeMap::new();
        for group in self.groups(caller, "").await? {
            environments.entry(group.env.clone()).or_default().push(group);
        }
        let environments = environments.into_iter().map(|(name, groups)| v1::Environment { name, groups });
        Ok(v1::ListEnvironmentsResponse { environments: environments.collect() })
    }

    /// How many nodes each host has that exist for a caller.
    async fn nodes_by_host(&self, caller: &Caller) -> Result<HashMap<String, u32>, Refusal> {
        let mut nodes: HashMap<String, u32> = HashMap::new();
        for node in self.nodes_for(caller).await? {
            *nodes.entry(node.host_id).or_default() += 1;
        }
        Ok(nodes)
    }

    /// The hosts that exist for a caller: for one of some environments, those that have a node of them.
    async fn hosts_for(&self, caller: &Caller) -> Result<Vec<HostRow>, Refusal> {
        let hosts = self.store.hosts().await?;
        if caller.envs.is_empty() {
            return Ok(hosts);
        }
        let nodes = self.nodes_by_host(caller).await?;
        Ok(hosts.into_iter().filter(|host| nodes.contains_key(&host.host_id)).collect())
    }

    /// A host by id, or by name if only one has it.
    async fn host_for(&self, caller: &Caller, text: &str) -> Result<HostRow, Refusal> {
        // The id first: whoever may see every host need not look through a fleet for it.
        if caller.envs.is_empty()
            && let Ok(id) = text.parse()
            && let Some(row) = self.store.host(&id).await?
        {
            return Ok(row);
        }
        let hosts = self.hosts_for(caller).await?;
        if let Some(host) = hosts.iter().find(|host| host.host_id == text) {
            return Ok(host.clone());
        }
        let found: Vec<&HostRow> = hosts.iter().filter(|host| host.name == text).collect();
        match found.as_slice() {
            [host] => Ok((*host).clone()),
            [] => Err(Refusal::Missing(names::missing(
                "host",
                text,
                hosts.iter().flat_map(|host| [host.name.as_str(), host.host_id.as_str()]),
            ))),
            [..] => Err(Refusal::Invalid(format!("{text:?} is the name of several hosts: give the id"))),
        }
    }

    fn show_host(&self, row: &HostRow, nodes: u32) -> v1::Host {
        let state = match (row.revoked_at, self.is_connected(&row.host_id)) {
            (Some(_), _) => v1::HostState::Revoked,
            (None, true) => v1::HostState::Connected,
            (None, false) => v1::HostState::Lost,
        };
        let facts = row.facts.as_deref().and_then(|bytes| v1::HostFacts::decode(bytes).ok());
        v1::Host {
            host_id: row.host_id.clone(),
            state: state.into(),
            facts: Some(facts.unwrap_or_else(|| v1::HostFacts {
                host_name: row.name.clone(),
                ..v1::HostFacts::default()
            })),
            address: row.address.clone(),
            joined_at_ms: row.joined_at,
            seen_at_ms: row.seen_at,
            certificate_not_after_ms: row.cert_ends,
            nodes,
        }
    }

    pub(super) async fn list_hosts(&self, caller: &Caller) -> Result<v1::ListHostsResponse, Refusal> {
        caller.may_look()?;
        let nodes = self.nodes_by_host(caller).await?;
        let hosts = self.store.hosts().await?;
        let shown = hosts.iter().filter_map(|row| match nodes.get(&row.host_id) {
            Some(count) => Some(self.show_host(row, *count)),
            None => caller.envs.is_empty().then(|| self.show_host(row, 0)),
        });
        Ok(v1::ListHostsResponse { hosts: shown.collect() })
    }

    pub(super) async fn get_host(&self, caller: &Caller, text: &str) -> Result<v1::Host, Refusal> {
        caller.may_look()?;
        let row = self.host_for(caller, text).await?;
        let nodes = if caller.envs.is_empty() {
            self.store.nodes_on(&refusal::required(&row.host_id)?).await?
        } else {
            self.nodes_by_host(caller).await?.get(&row.host_id).copied().unwrap_or_default()
        };
        Ok(self.show_host(&row, nodes))
    }

    /// Cuts a host off: first in the store, so that it cannot come back, then its session.
    pub(super) async fn revoke_host(&self, caller: &Caller, text: &str) -> Result<v1::Host, Refusal> {
        caller.may_everything()?;
        let row = self.host_for(caller, text).await?;
        let host: HostId = refusal::required(&row.host_id)?;
        self.store.revoke_host(&host, Moment::now()).await?;
        self.hosts.cut(&host);
        self.get_host(caller, &row.host_id).await
    }
}
