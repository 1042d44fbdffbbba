//! The commands about environments, groups, nodes and hosts.

mod show;

use redeploy_proto::v1;
use serde_json::json;

use self::show::{
    environment_facts, environments, group_facts, groups, host_facts, hosts, join_tokens, node_facts, nodes,
};
use super::args::{EnvVerb, GroupVerb, HostVerb, NodeVerb, Output};
use super::dial::{Coordinator, ask};
use super::exit::{Exit, Stop};
use super::json;
use super::request::ms;
use super::text::say;

pub(super) async fn env(at: &Coordinator, verb: EnvVerb, output: Output) -> Result<Exit, Stop> {
    let mut client = at.client();
    match verb {
        EnvVerb::List => {
            let all = client.list_environments(ask(v1::ListEnvironmentsRequest {})).await?.into_inner();
            environments(&all.environments, output);
        }
        EnvVerb::Show { env } => {
            let request = v1::ListGroupsRequest { env: env.clone() };
            let groups = client.list_groups(ask(request)).await?.into_inner().groups;
            environment_facts(&v1::Environment { name: env, groups }, output);
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn group(at: &Coordinator, verb: GroupVerb, output: Output) -> Result<Exit, Stop> {
    let mut client = at.client();
    match verb {
        GroupVerb::List { env } => {
            let request = v1::ListGroupsRequest { env: env.unwrap_or_default() };
            groups(&client.list_groups(ask(request)).await?.into_inner().groups, output);
        }
        GroupVerb::Show { group, env } => {
            // Names that do not exist are refused here.
            let request =
                v1::ListNodesRequest { env: env.clone(), group: group.clone(), host_id: String::new() };
            let nodes = client.list_nodes(ask(request)).await?.into_inner().nodes;
            let all = client.list_groups(ask(v1::ListGroupsRequest { env })).await?.into_inner().groups;
            let found = all.into_iter().find(|found| found.name == group);
            let found = found.ok_or_else(|| Stop::refused(format!("group {group:?} is gone")))?;
            group_facts(&found, &nodes, output);
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn node(at: &Coordinator, verb: NodeVerb, output: Output) -> Result<Exit, Stop> {
    let mut client = at.client();
    match verb {
        NodeVerb::List(args) => {
            let request = v1::ListNodesRequest {
                env: args.env.unwrap_or_default(),
                group: args.group.unwrap_or_default(),
                host_id: args.host.unwrap_or_default(),
            };
            nodes(&client.list_nodes(ask(request)).await?.into_inner().nodes, output);
        }
        NodeVerb::Show { id } => {
            let found = client.get_node(ask(v1::GetNodeRequest { node_id: id })).await?.into_inner();
            node_facts(&found, output);
        }
        NodeVerb::Adopt(args) => {
            let request = v1::AdoptNodeRequest {
                host: args.host,
                container: args.container,
                env: args.env,
                group: args.group,
            };
            nodes(&[client.adopt_node(ask(request)).await?.into_inner()], output);
        }
        NodeVerb::Forget(args) => {
            client.forget_node(ask(v1::ForgetNodeRequest { node_id: args.id })).await?;
            match output {
                Output::Json => json::own(&json!({ "node_id": args.id, "is_forgotten": true })),
                Output::Table => {
                    say(&format!("node {} is forgotten; its container was not touched", args.id))
                }
            }
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn host(at: &Coordinator, verb: HostVerb, output: Output) -> Result<Exit, Stop> {
    let mut client = at.client();
    match verb {
        HostVerb::List => {
            hosts(&client.list_hosts(ask(v1::ListHostsRequest {})).await?.into_inner().hosts, output);
        }
        HostVerb::Show { host } => {
            let found = client.get_host(ask(v1::GetHostRequest { host })).await?.into_inner();
            let request = v1::ListNodesRequest { host_id: found.host_id.clone(), ..Default::default() };
            let nodes = client.list_nodes(ask(request)).await?.into_inner().nodes;
            host_facts(&found, &nodes, output);
        }
        HostVerb::Token(args) => {
            let request =
                v1::CreateJoinTokenRequest { expires_in_ms: ms(args.expires), comment: args.comment };
            let made = client.create_join_token(ask(request)).await?.into_inner();
            match output {
                Output::Json => json::line(&made),
                Output::Table => say(&made.token),
            }
        }
        HostVerb::Tokens => {
            let all = client.list_join_tokens(ask(v1::ListJoinTokensRequest {})).await?.into_inner();
            join_tokens(&all.tokens, output);
        }
        HostVerb::RevokeToken(args) => {
            let request = v1::RevokeJoinTokenRequest { token_id: args.id };
            join_tokens(&[client.revoke_join_token(ask(request)).await?.into_inner()], output);
        }
        HostVerb::Revoke(args) => {
            let request = v1::RevokeHostRequest { host: args.host, comment: args.comment };
            hosts(&[client.revoke_host(ask(request)).await?.into_inner()], output);
        }
    }
    Ok(Exit::Done)
}
