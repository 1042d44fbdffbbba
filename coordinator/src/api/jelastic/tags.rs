//! `GetContainerNodeTags`: the tags a node could be brought to, as far as the coordinator knows. It never asks registries.
//!
//! Flows in: nodes and deployments. Flows out: tags of the node's repository that were seen here, its own first.

use std::collections::BTreeSet;

use redeploy_proto::v1;
use serde_json::{Value, json};

use super::answer;
use super::codes::{Code, Failed};
use super::params::{Params, Wrong};
use super::service::Service;
use crate::api::images::taken_apart;
use crate::api::names;

/// # Errors
/// [`Code::NoEnvironment`], [`Code::NotFound`], [`Code::Parameter`]
pub(super) async fn of_node(service: &Service, params: &Params) -> Result<Value, Failed> {
    let env = params.required("envName")?;
    let id: Option<u32> = params.number("nodeId", "the id of a node: a number from 1")?;
    let id = id.ok_or(Wrong::Missing("nodeId"))?;
    let nodes = service.nodes(env).await?;
    let Some(node) = nodes.iter().find(|node| node.node_id == id) else {
        let ids = nodes.iter().map(|node| node.node_id);
        let text = format!("in environment {env}: {}", names::missing_node(id, ids));
        return Err(Failed::new(Code::NotFound, text));
    };
    let others = service.nodes("").await?;
    let deployments = service.deployments(env, false).await?;
    Ok(answer::with(json!({ "object": tags(node, &others, &deployments) })))
}

fn image_of(node: &v1::Node) -> &str {
    node.container.as_ref().map(|facts| facts.image.as_str()).unwrap_or_default()
}

fn tags(node: &v1::Node, others: &[v1::Node], deployments: &[v1::Deployment]) -> Vec<String> {
    let (repository, own) = taken_apart(image_of(node));
    let of_nodes = others.iter().map(|other| taken_apart(image_of(other)));
    let of_nodes = of_nodes.filter(|(other, _)| *other == repository).map(|(_, tag)| tag);
    let in_group = |deployment: &&v1::Deployment| {
        deployment.target.as_ref().is_some_and(|target| target.env == node.env && target.group == node.group)
    };
    let asked = deployments.iter().filter(in_group).filter_map(|deployment| deployment.image.as_ref());
    let asked = asked.filter_map(|image| match taken_apart(&image.reference) {
        // What has no colon is a tag, or an image without one, which a tag cannot be told from.
        (tag, "") => (!tag.contains('/')).then_some(tag),
        (other, tag) => (other == repository).then_some(tag),
    });
    let all: BTreeSet<&str> = of_nodes.chain(asked).filter(|tag| !tag.is_empty() && *tag != own).collect();
    let own = (!own.is_empty()).then_some(own);
    own.into_iter().chain(all).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u32, image: &str) -> v1::Node {
        let container = Some(v1::ContainerFacts { image: image.into(), ..v1::ContainerFacts::default() });
        v1::Node { node_id: id, env: "shop".into(), group: "cp".into(), container, ..v1::Node::default() }
    }

    fn deployed(group: &str, reference: &str) -> v1::Deployment {
        let target = v1::Target { env: "shop".into(), group: group.into(), node_id: 0 };
        let image = v1::ImageRef { reference: reference.into(), digest: String::new() };
        v1::Deployment { target: Some(target), image: Some(image), ..v1::Deployment::default() }
    }

    #[test]
    fn tags_are_those_of_the_same_repository_with_the_nodes_own_first() {
        let nodes =
            [node(1, "r:5000/web:2"), node(2, "r:5000/web:1"), node(3, "db:9"), node(4, "r:5000/web")];
        let deployments = [
            deployed("cp", "3"),
            deployed("cp", "r:5000/web:2.5"),
            deployed("cp", "other:7"),
            deployed("cp", ""),
            deployed("sqldb", "8"),
        ];
        assert_eq!(tags(&nodes[0], &nodes, &deployments), ["2", "1", "2.5", "3"]);
        assert_eq!(tags(&nodes[3], &[], &[]), Vec::<String>::new());
    }
}
