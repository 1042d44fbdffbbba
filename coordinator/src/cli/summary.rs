//! How a deployment ended, and what makes sense next. Pure.

use redeploy_proto::v1;
use redeploy_proto::v1::{DeploymentPhase, NodePhase};

use super::text::{head, node, short};

/// The lines at the end.
pub(super) fn summary(deployment: &v1::Deployment) -> Vec<String> {
    let mut lines = vec![head(deployment), format!("  {}", counts(deployment))];
    let bad = [NodePhase::Failed, NodePhase::Stuck, NodePhase::Unknown];
    let troubled = deployment.nodes.iter().filter(|part| bad.contains(&part.phase()));
    lines.extend(troubled.map(|part| format!("  {}", node(part))));
    let next = next(deployment);
    if !next.is_empty() {
        lines.push("next:".to_owned());
        let width = next.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
        lines.extend(next.iter().map(|(command, what)| format!("  {command:width$}  {what}")));
    }
    lines
}

fn count(deployment: &v1::Deployment, phases: &[NodePhase]) -> usize {
    deployment.nodes.iter().filter(|node| phases.contains(&node.phase())).count()
}

/// `2 done, 1 failed, 3 untouched`; while it runs also how many are at work.
pub(super) fn counts(deployment: &v1::Deployment) -> String {
    let count = |phases: &[NodePhase]| count(deployment, phases);
    let done = count(&[NodePhase::Done]);
    let others = [
        (count(&[NodePhase::Running, NodePhase::Ordered, NodePhase::Reverting]), "at work"),
        (count(&[NodePhase::Failed]), "failed"),
        (count(&[NodePhase::Stuck]), "stuck"),
        (count(&[NodePhase::Unknown]), "unknown"),
        (count(&[NodePhase::Reverted]), "brought back"),
        (count(&[NodePhase::Waiting]), "untouched"),
    ];
    let others =
        others.iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}"));
    std::iter::once(format!("{done} of {} done", deployment.nodes.len()))
        .chain(others)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Commands, each with what it does.
fn next(deployment: &v1::Deployment) -> Vec<(String, &'static str)> {
    let id = short(&deployment.deployment_id);
    let of = |verb: &str, what| (format!("redeployctl {verb} {id}"), what);
    let has = |phase: NodePhase| count(deployment, &[phase]) > 0;
    match deployment.phase() {
        DeploymentPhase::Halted if has(NodePhase::Unknown) => vec![
            of("status --watch", "what became of the unknown node is told when its agent is back"),
            of("cancel", "leave every node as it is now"),
        ],
        DeploymentPhase::Halted => {
            let mut next = Vec::new();
            if has(NodePhase::Stuck) {
                next.push((
                    "redeploy-agent recover".to_owned(),
                    "on the host of each stuck node; then one of these",
                ));
            }
            let is_going_back = is_going_back(deployment);
            if has(NodePhase::Failed) && !is_going_back {
                next.push(of("retry-failed", "failed nodes again, then the untouched ones"));
            }
            if has(NodePhase::Waiting) && !is_going_back {
                next.push(of("resume", "the untouched nodes; failed ones stay as they are"));
            }
            if is_going_back {
                next.push(of("rollback", "go on bringing nodes back"));
            } else if has(NodePhase::Done) {
                next.push(of("rollback", "bring finished nodes back, the last one first"));
            }
            next.push(of("cancel", "leave every node as it is now"));
            next
        }
        DeploymentPhase::Done => vec![of("rollback", "bring every node back")],
        DeploymentPhase::Refused => vec![of("status", "what spoke against it, node by node")],
        DeploymentPhase::Queued | DeploymentPhase::Preflight | DeploymentPhase::Running => {
            vec![of("status --watch", "follow it again"), of("halt", "no further node starts")]
        }
        DeploymentPhase::RollingBack => vec![of("status --watch", "follow it again")],
        DeploymentPhase::Unspecified | DeploymentPhase::RolledBack | DeploymentPhase::Cancelled => Vec::new(),
    }
}

/// It halted while nodes were brought back: it cannot go forward any more.
fn is_going_back(deployment: &v1::Deployment) -> bool {
    let back = |part: &v1::DeploymentNode| {
        let kind = part.report.as_ref().map(v1::Report::kind);
        let is_back = matches!(part.phase(), NodePhase::Reverted | NodePhase::Reverting);
        is_back || (part.phase() != NodePhase::Done && kind == Some(v1::RedeployKind::Revert))
    };
    deployment.kind() == v1::RedeployKind::Revert || deployment.nodes.iter().any(back)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(phase: DeploymentPhase, nodes: &[NodePhase]) -> v1::Deployment {
        let part = |(phase, number): (&NodePhase, u32)| v1::DeploymentNode {
            node_id: number,
            container: format!("c{number}"),
            phase: (*phase).into(),
            ..Default::default()
        };
        v1::Deployment {
            deployment_id: "0193a1b2-7c00-7000-8000-0123456789ab".to_owned(),
            target: Some(v1::Target { env: "shop".into(), group: "cp".into(), node_id: 0 }),
            image: Some(v1::ImageRef { reference: "web:2".into(), digest: String::new() }),
            phase: phase.into(),
            nodes: nodes.iter().zip(1..).map(part).collect(),
            ..v1::Deployment::default()
        }
    }

    #[test]
    fn a_halted_deployment_says_what_can_be_done() {
        let halted =
            deployment(DeploymentPhase::Halted, &[NodePhase::Done, NodePhase::Failed, NodePhase::Waiting]);
        assert_eq!(
            summary(&halted).join("\n"),
            "456789ab shop/cp to web:2: halted\n  \
             1 of 3 done, 1 failed, 1 untouched\n  \
             node 2 c2: failed\n\
             next:\n  \
             redeployctl retry-failed 456789ab  failed nodes again, then the untouched ones\n  \
             redeployctl resume 456789ab        the untouched nodes; failed ones stay as they are\n  \
             redeployctl rollback 456789ab      bring finished nodes back, the last one first\n  \
             redeployctl cancel 456789ab        leave every node as it is now"
        );
    }

    #[test]
    fn only_what_is_possible_is_offered() {
        let verbs = |deployment: &v1::Deployment| {
            let next = next(deployment);
            next.iter().filter_map(|(line, _)| line.split(' ').nth(1).map(str::to_owned)).collect::<Vec<_>>()
        };
        let halted = |nodes: &[NodePhase]| deployment(DeploymentPhase::Halted, nodes);
        assert_eq!(verbs(&halted(&[NodePhase::Stuck, NodePhase::Waiting])), ["recover", "resume", "cancel"]);
        assert_eq!(verbs(&halted(&[NodePhase::Failed])), ["retry-failed", "cancel"]);
        let back = halted(&[NodePhase::Reverted, NodePhase::Failed, NodePhase::Waiting]);
        assert_eq!(verbs(&back), ["rollback", "cancel"]);
        assert_eq!(verbs(&deployment(DeploymentPhase::Done, &[NodePhase::Done])), ["rollback"]);
        assert!(verbs(&deployment(DeploymentPhase::Cancelled, &[NodePhase::Done])).is_empty());
    }
}
