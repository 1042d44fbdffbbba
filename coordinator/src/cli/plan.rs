//! `plan`: what a deployment would do, node by node.

use redeploy_proto::v1;
use tonic::Request;

use super::args::{Output, PlanArgs};
use super::dial::{ANSWER, Coordinator, ask};
use super::exit::{Exit, Stop};
use super::json;
use super::request::{self, Password};
use super::text::{say, short};
use super::units::{count, size};

/// Paths named for one node, unless its whole plan is shown.
const PATHS_SHOWN: usize = 10;

pub(super) async fn plan(
    at: &Coordinator,
    args: PlanArgs,
    password: Option<Password>,
    output: Output,
) -> Result<Exit, Stop> {
    let (full, deadline) = (args.full, args.deadline);
    let mut request = Request::new(request::plan(args, password));
    request.set_timeout(deadline + ANSWER);
    let planned = at.client().plan_deployment(request).await;
    // Nothing is begun by it, so a lost answer leaves no doubt.
    let planned = planned.map_err(|status| Stop::refused(status.message()))?.into_inner();
    let open = open_deployment(at, &planned).await?;
    match output {
        Output::Json => json::line_with(&planned, "open_deployment_id", open.into()),
        Output::Table => {
            lines(&planned, full).iter().for_each(|line| say(line));
            if !open.is_empty() {
                let id = short(&open);
                say(&format!(
                    "deployment {id} of this group is not over: another one waits for it with --queue"
                ));
            }
        }
    }
    Ok(if planned.is_ok { Exit::Done } else { Exit::Refused })
}

/// What holds the group now; empty if nothing does.
async fn open_deployment(at: &Coordinator, plan: &v1::PlanDeploymentResponse) -> Result<String, Stop> {
    let Some(node) = plan.nodes.first().and_then(|node| node.node.clone()) else { return Ok(String::new()) };
    let request = v1::ListGroupsRequest { env: node.env };
    let groups = at.client().list_groups(ask(request)).await?.into_inner().groups;
    let group = groups.into_iter().find(|group| group.name == node.group);
    Ok(group.map(|group| group.open_deployment_id).unwrap_or_default())
}

fn lines(plan: &v1::PlanDeploymentResponse, full: bool) -> Vec<String> {
    let image = plan.image.clone().unwrap_or_default();
    let digest = if image.digest.is_empty() { String::new() } else { format!(" ({})", image.digest) };
    let mut lines = vec![format!("plan for {}{digest}; nothing was touched", image.reference)];
    plan.nodes.iter().for_each(|node| node_lines(node, full, &mut lines));
    let refused =
        |node: &&v1::NodePreflight| node.preflight.as_ref().is_some_and(|preflight| !preflight.is_ok);
    let refused = plan.nodes.iter().filter(refused).count();
    let silent = plan.nodes.iter().filter(|node| node.preflight.is_none()).count();
    lines.push(match (refused, silent) {
        (0, 0) => format!("nothing speaks against it on {}", count(plan.nodes.len(), "node")),
        (refused, silent) => {
            let nodes = count(plan.nodes.len(), "node");
            format!(
                "of {nodes}, {refused} refused and {silent} gave no answer: such a deployment does not start"
            )
        }
    });
    lines
}

fn node_lines(node: &v1::NodePreflight, full: bool, lines: &mut Vec<String>) {
    let facts = node.node.clone().unwrap_or_default();
    let container = facts.container.unwrap_or_default();
    let host = if facts.host_name.is_empty() { facts.host_id } else { facts.host_name };
    let name = format!("node {} {} on {host}, {}", facts.node_id, container.name, container.image);
    let Some(preflight) = &node.preflight else {
        lines.push(format!("  {name}: no answer: {}", node.problem));
        return;
    };
    if preflight.refusals.is_empty() {
        lines.push(format!("  {name}: ok, {} to archive", size(preflight.archive_bytes)));
    } else {
        lines.push(format!("  {name}: refused"));
    }
    let mut tell = |what: &str, text: &str| {
        text.lines().for_each(|line| lines.push(format!("    {what}{line}")));
    };
    preflight.refusals.iter().for_each(|refusal| tell("refusal: ", refusal));
    preflight.warnings.iter().for_each(|warning| tell("warning: ", warning));
    if full && !preflight.plan_text.is_empty() {
        tell("", &preflight.plan_text);
        return;
    }
    preflight.lost_paths.iter().take(PATHS_SHOWN).for_each(|path| tell("will be lost: ", path));
    let more = preflight.lost_paths.len().saturating_sub(PATHS_SHOWN);
    if more > 0 {
        tell("", &format!("and {} more: --full has them", count(more, "path")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u32, preflight: Option<v1::Preflight>) -> v1::NodePreflight {
        let container = v1::ContainerFacts {
            name: format!("web-{number}"),
            image: "web:1".into(),
            ..v1::ContainerFacts::default()
        };
        let node = v1::Node {
            node_id: number,
            host_name: "alpha".into(),
            container: Some(container),
            ..v1::Node::default()
        };
        let problem = if preflight.is_none() { "host h9 is silent".to_owned() } else { String::new() };
        v1::NodePreflight { node: Some(node), preflight, problem }
    }

    #[test]
    fn each_node_says_what_would_happen_and_what_speaks_against_it() {
        let good = v1::Preflight {
            is_ok: true,
            lost_paths: (0..12).map(|number| format!("/lost/{number}")).collect(),
            archive_bytes: 2 << 20,
            plan_text: "step one\nstep two".into(),
            ..v1::Preflight::default()
        };
        let bad = v1::Preflight { refusals: vec!["no room".into()], ..v1::Preflight::default() };
        let image = v1::ImageRef { reference: "2".into(), digest: String::new() };
        let nodes = vec![node(1, Some(good)), node(2, Some(bad)), node(3, None)];
        let plan = v1::PlanDeploymentResponse { is_ok: false, image: Some(image), nodes };
        let text = lines(&plan, false).join("\n");
        assert!(text.contains("  node 1 web-1 on alpha, web:1: ok, 2.0 MiB to archive\n"), "{text}");
        assert!(text.contains("    will be lost: /lost/9\n    and 2 paths more"), "{text}");
        assert!(text.contains("  node 2 web-2 on alpha, web:1: refused\n    refusal: no room\n"), "{text}");
        assert!(text.contains("node 3 web-3 on alpha, web:1: no answer: host h9 is silent\n"), "{text}");
        assert!(text.ends_with("1 refused and 1 gave no answer: such a deployment does not start"), "{text}");
        let full = lines(&plan, true).join("\n");
        assert!(full.contains("    step one\n    step two\n") && !full.contains("/lost/"), "{full}");
    }
}
