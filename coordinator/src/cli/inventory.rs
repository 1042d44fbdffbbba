//! The commands about nodes and hosts.

use redeploy_proto::v1;

use super::args::{HostVerb, NodeVerb};
use super::dial::{Coordinator, ask};
use super::exit::{Exit, Stop};
use super::json;
use super::text::{say, table, word};

pub(super) async fn node(at: &Coordinator, verb: NodeVerb, json: bool) -> Result<Exit, Stop> {
    let mut client = at.client();
    match verb {
        NodeVerb::List(args) => {
            let request = v1::ListNodesRequest { env: args.env, group: args.group, host_id: String::new() };
            nodes(&client.list_nodes(ask(request)).await?.into_inner().nodes, json);
        }
        NodeVerb::Adopt(args) => {
            let request = v1::AdoptNodeRequest {
                host: args.host,
                container: args.container,
                env: args.env,
                group: args.group,
            };
            nodes(&[client.adopt_node(ask(request)).await?.into_inner()], json);
        }
        NodeVerb::Forget(args) => {
            client.forget_node(ask(v1::ForgetNodeRequest { node_id: args.id })).await?;
        }
    }
    Ok(Exit::Done)
}

fn nodes(nodes: &[v1::Node], json: bool) {
    if json {
        return nodes.iter().for_each(json::line);
    }
    let head = ["NODE", "GROUP", "CONTAINER", "HOST", "STATE", "IMAGE"].map(str::to_owned).to_vec();
    let row = |node: &v1::Node| {
        let container = node.container.clone().unwrap_or_default();
        let state = word(container.state().as_str_name(), "CONTAINER_STATE_");
        vec![
            node.node_id.to_string(),
            format!("{}/{}", node.env, node.group),
            container.name,
            if node.host_name.is_empty() { node.host_id.clone() } else { node.host_name.clone() },
            if node.is_present { state } else { "not there".to_owned() },
            container.image,
        ]
    };
    table(&std::iter::once(head).chain(nodes.iter().map(row)).collect::<Vec<_>>());
}

pub(super) async fn host(at: &Coordinator, verb: HostVerb, json: bool) -> Result<Exit, Stop> {
    let mut client = at.client();
    match verb {
        HostVerb::List => {
            hosts(&client.list_hosts(ask(v1::ListHostsRequest {})).await?.into_inner().hosts, json);
        }
        HostVerb::Token(args) => {
            let expires_in_ms = u64::try_from(args.expires.as_millis()).unwrap_or(u64::MAX);
            let request = v1::CreateJoinTokenRequest { expires_in_ms, comment: args.comment };
            let made = client.create_join_token(ask(request)).await?.into_inner();
            if json {
                json::line(&made);
            } else {
                say(&made.token);
            }
        }
        HostVerb::Revoke(args) => {
            let request = v1::RevokeHostRequest { host: args.host, comment: String::new() };
            hosts(&[client.revoke_host(ask(request)).await?.into_inner()], json);
        }
    }
    Ok(Exit::Done)
}

fn hosts(hosts: &[v1::Host], json: bool) {
    if json {
        return hosts.iter().for_each(json::line);
    }
    let head = ["HOST", "NAME", "STATE", "NODES", "ENGINE", "ADDRESS"].map(str::to_owned).to_vec();
    let row = |host: &v1::Host| {
        let facts = host.facts.clone().unwrap_or_default();
        vec![
            host.host_id.clone(),
            facts.host_name,
            word(host.state().as_str_name(), "HOST_STATE_"),
            host.nodes.to_string(),
            facts.engine_version,
            host.address.clone(),
        ]
    };
    table(&std::iter::once(head).chain(hosts.iter().map(row)).collect::<Vec<_>>());
}
