//! How a deployment ended, as the answer of a redeploy: one line for each node, in the vendor's wording. Pure.
//!
//! Flows in: a deployment at rest. Flows out: JSON. Must never call something done that is not.

use redeploy_proto::v1::{self, DeploymentPhase, NodePhase, Verdict};
use serde_json::{Value, json};

use super::answer;
use super::codes::{Code, Failed};

/// What became of one node.
struct NodeEnd {
    code: Code,
    error: String,
    out: String,
    last_words: String,
}

/// The answer of a redeploy.
pub(super) fn told(ended: Result<v1::Deployment, Failed>) -> Value {
    let deployment = match ended {
        Ok(deployment) => deployment,
        Err(failed) => return answer::failure(&failed),
    };
    let ends: Vec<(&v1::DeploymentNode, NodeEnd)> =
        deployment.nodes.iter().map(|node| (node, NodeEnd::of(node))).collect();
    let code = whole(&deployment, ends.iter().map(|(_, end)| end.code));
    let head = if code == Code::Done {
        answer::success()
    } else {
        answer::failure(&Failed::new(code, why(&deployment, &ends)))
    };
    let responses: Vec<Value> = ends.iter().map(|(node, end)| end.response(node)).collect();
    answer::joined(head, json!({ "deploymentId": deployment.deployment_id, "responses": responses }))
}

/// One code for all nodes: the one that most needs a human.
fn whole(deployment: &v1::Deployment, nodes: impl Iterator<Item = Code>) -> Code {
    match deployment.phase() {
        DeploymentPhase::Done => Code::Done,
        DeploymentPhase::Refused => Code::Refused,
        DeploymentPhase::RolledBack => Code::RolledBack,
        DeploymentPhase::Cancelled => Code::Cancelled,
        DeploymentPhase::Halted
        | DeploymentPhase::Unspecified
        | DeploymentPhase::Queued
        | DeploymentPhase::Preflight
        | DeploymentPhase::Running
        | DeploymentPhase::RollingBack => {
            let worst = [Code::Stuck, Code::Silent, Code::Undone, Code::Refused];
            let nodes: Vec<Code> = nodes.collect();
            worst.into_iter().find(|code| nodes.contains(code)).unwrap_or(Code::Halted)
        }
    }
}

/// For people: what went wrong first, how many are done, and where to look.
fn why(deployment: &v1::Deployment, ends: &[(&v1::DeploymentNode, NodeEnd)]) -> String {
    let is_trouble = |code| !matches!(code, Code::Done | Code::NotBegun);
    let first = ends.iter().find(|(_, end)| is_trouble(end.code));
    let first = match first {
        Some((node, end)) => format!("node {} {}: {}", node.node_id, node.container, end.error),
        None => deployment.reason.clone(),
    };
    let (done, total) = (deployment.nodes_done, deployment.nodes_total);
    format!("{first}; {done} of {total} done; deployment {}", deployment.deployment_id)
}

impl NodeEnd {
    fn of(node: &v1::DeploymentNode) -> Self {
        let report = node.report.clone().unwrap_or_default();
        let failure = report.failure.clone().unwrap_or_default();
        let (code, error, out) = match node.phase() {
            NodePhase::Done => (Code::Done, String::new(), done(&report)),
            NodePhase::Stuck => (
                Code::Stuck,
                format!("{}; its undo failed, too: {}", failure.reason, failure.stuck),
                String::new(),
            ),
            NodePhase::Failed => failed(node, &report),
            NodePhase::Unknown => {
                (Code::Silent, format!("its host is silent: {}", node.waits_for), String::new())
            }
            NodePhase::Reverting | NodePhase::Reverted => {
                (Code::RolledBack, "it was brought back to the image of before".to_owned(), String::new())
            }
            NodePhase::Unspecified | NodePhase::Waiting | NodePhase::Ordered | NodePhase::Running => {
                (Code::NotBegun, format!("not begun: {}", node.waits_for), String::new())
            }
        };
        Self { code, error, out, last_words: failure.last_words }
    }

    /// As the vendor's `NodeSSHResponse`, under both names that its documents have for the node.
    fn response(&self, node: &v1::DeploymentNode) -> Value {
        json!({
            "result": self.code.number(),
            "error": self.error,
            "reason": self.code.reason(),
            "source": self.code.source(),
            "nodeid": node.node_id,
            "nodeId": node.node_id,
            "name": node.container,
            "out": self.out,
            "errOut": self.last_words,
        })
    }
}

/// The vendor's words.
fn done(report: &v1::Report) -> String {
    let seconds = report.ended_at_ms.saturating_sub(report.began_at_ms).max(0).unsigned_abs().div_ceil(1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (from, to) = (&report.from_image, &report.to_image);
    format!(
        "Node has been successfully updated from image {from} to {to}\nDuration: {hours:02}:{minutes:02}:{seconds:02}"
    )
}

/// Undone on the host, or refused there or in the preflight.
fn failed(node: &v1::DeploymentNode, report: &v1::Report) -> (Code, String, String) {
    let refusals = match &node.preflight {
        _ if !report.refusals.is_empty() => report.refusals.join("; "),
        Some(preflight) if !preflight.refusals.is_empty() => preflight.refusals.join("; "),
        Some(_) | None => node.waits_for.clone(),
    };
    match &report.failure {
        Some(failure) if report.verdict() == Verdict::Undone => {
            (Code::Undone, failure.reason.clone(), String::new())
        }
        Some(_) | None => (Code::Refused, refusals, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u32, phase: NodePhase, report: Option<v1::Report>) -> v1::DeploymentNode {
        let container = format!("web-{id}");
        let waits_for = "halted: node 2 failed".to_owned();
        v1::DeploymentNode {
            node_id: id,
            container,
            phase: phase.into(),
            report,
            waits_for,
            ..Default::default()
        }
    }

    fn report(verdict: Verdict) -> v1::Report {
        let failure = v1::Failure {
            reason: "step verify failed".into(),
            stuck: "no engine".into(),
            last_words: "out of memory".into(),
            ..v1::Failure::default()
        };
        v1::Report {
            verdict: verdict.into(),
            from_image: "jelastic/redis:5.0.3".into(),
            to_image: "jelastic/redis:5.0.5".into(),
            began_at_ms: 1000,
            ended_at_ms: 3_664_000,
            failure: (verdict != Verdict::Done).then_some(failure),
            ..v1::Report::default()
        }
    }

    fn ended(phase: DeploymentPhase, nodes: Vec<v1::DeploymentNode>) -> Value {
        let done = nodes.iter().filter(|node| node.phase() == NodePhase::Done).count();
        told(Ok(v1::Deployment {
            deployment_id: "d1".into(),
            phase: phase.into(),
            nodes_done: u32::try_from(done).unwrap(),
            nodes_total: u32::try_from(nodes.len()).unwrap(),
            reason: "halted by ann".into(),
            nodes,
            ..v1::Deployment::default()
        }))
    }

    #[test]
    fn success_reads_as_the_vendors() {
        let answer =
            ended(DeploymentPhase::Done, vec![node(7, NodePhase::Done, Some(report(Verdict::Done)))]);
        assert_eq!(
            (&answer["result"], &answer["error"], &answer["deploymentId"]),
            (&json!(0), &json!(""), &json!("d1"))
        );
        let one = &answer["responses"][0];
        assert_eq!((&one["result"], &one["nodeid"], &one["nodeId"]), (&json!(0), &json!(7), &json!(7)));
        let out = "Node has been successfully updated from image jelastic/redis:5.0.3 to jelastic/redis:5.0.5\n\
                   Duration: 01:01:03";
        assert_eq!(one["out"], out);
    }

    #[test]
    fn a_halt_names_what_failed_and_what_was_not_begun() {
        let nodes = vec![
            node(1, NodePhase::Done, Some(report(Verdict::Done))),
            node(2, NodePhase::Failed, Some(report(Verdict::Undone))),
            node(3, NodePhase::Waiting, None),
        ];
        let answer = ended(DeploymentPhase::Halted, nodes);
        assert_eq!(answer["result"], Code::Undone.number());
        assert_eq!(answer["error"], "node 2 web-2: step verify failed; 1 of 3 done; deployment d1");
        let results: Vec<_> =
            answer["responses"].as_array().unwrap().iter().map(|one| one["reason"].clone()).collect();
        assert_eq!(results, ["", "undone", "not_begun"]);
        assert_eq!(answer["responses"][1]["errOut"], "out of memory");
        assert_eq!(answer["responses"][2]["error"], "not begun: halted: node 2 failed");
    }

    #[test]
    fn every_end_has_a_code_of_its_own() {
        use {DeploymentPhase as D, NodePhase as N};
        let undone = || Some(report(Verdict::Undone));
        for (phase, nodes, code) in [
            (D::Halted, vec![node(1, N::Failed, undone()), node(2, N::Stuck, undone())], Code::Stuck),
            (D::Halted, vec![node(1, N::Failed, undone()), node(2, N::Unknown, None)], Code::Silent),
            (D::Halted, vec![node(1, N::Failed, Some(report(Verdict::Refused)))], Code::Refused),
            (D::Halted, vec![node(1, N::Done, None), node(2, N::Waiting, None)], Code::Halted),
            (D::Refused, vec![node(1, N::Failed, None), node(2, N::Waiting, None)], Code::Refused),
            (D::RolledBack, vec![node(1, N::Reverted, None)], Code::RolledBack),
            (D::Cancelled, vec![node(1, N::Done, None), node(2, N::Waiting, None)], Code::Cancelled),
        ] {
            let answer = ended(phase, nodes);
            assert_eq!(answer["result"], code.number(), "{answer}");
            assert!(!answer["error"].as_str().unwrap().is_empty(), "{answer}");
        }
        let lost = told(Err(Failed::new(Code::Trouble, "gone")));
        assert_eq!((&lost["result"], &lost["error"]), (&json!(Code::Trouble.number()), &json!("gone")));
    }

    #[test]
    fn a_refusal_says_why() {
        let preflight =
            v1::Preflight { refusals: vec!["no room".into(), "paused".into()], ..Default::default() };
        let refused = v1::DeploymentNode { preflight: Some(preflight), ..node(1, NodePhase::Failed, None) };
        let answer = ended(DeploymentPhase::Refused, vec![refused]);
        assert_eq!(answer["responses"][0]["error"], "no room; paused");
    }
}
