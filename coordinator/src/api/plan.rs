//! A deployment that is not made: every node is asked what would happen, and nothing is stored or begun.
//!
//! Flows in: the same request as a deployment's. Flows out: what each host answered, or why it did not. Of each image
//! one node is asked first, as in a deployment: all others are asked about the digest it found. Must never wait longer
//! than the request allows.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use prost::Message;
use redeploy_proto::{TraceParent, v1};
use tokio::time::{Instant, timeout_at};

use super::create::{login, wanted};
use super::{Api, Caller, Refusal};
use crate::deployment::{Deployment, Digest, NodePart};
use crate::driver::{Image, Login, Order, OrderKind};
use crate::moment::Span;
use crate::store::NodeRow;

/// How long hosts may take, unless the request says otherwise: they may have to pull.
const PATIENCE: Span = Span::minutes(10);

/// A host says by itself that it took too long; its answer needs a while.
const GRACE: Duration = Duration::from_secs(5);

/// What all preflights of one answer may hold together.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What everybody is asked.
struct Plan<'a> {
    deployment: &'a Deployment,
    login: Option<Login>,
    until: Instant,
}

/// What a host said, or why it said nothing.
type Answer = Result<v1::Preflight, String>;

impl Api {
    /// The preflight of all nodes of a deployment that is not made.
    pub(crate) async fn plan(
        &self,
        caller: &Caller,
        request: &v1::CreateDeploymentRequest,
    ) -> Result<v1::PlanDeploymentResponse, Refusal> {
        let target = request.target.clone().unwrap_or_default();
        let deployment = match self.aim(caller, &target).await {
            Ok(aim) => self.deployment(caller, request, aim),
            Err(refusal) => Err(refusal),
        };
        let about = format!("{}/{} {}", target.env, target.group, wanted(request));
        // Noted before anybody is asked: hosts may pull an image for it, even if the caller stops waiting.
        let deployment = self.audited(caller, "plan", about.trim(), deployment).await?;
        let span = if request.deadline_ms == 0 { PATIENCE } else { deployment.terms.budget };
        let until = Instant::now() + Duration::from(span);
        let plan = Plan { deployment: &deployment, login: login(request), until };
        let answers = self.ask_all(&plan).await;
        self.planned(&deployment, answers).await
    }

    async fn ask_all(&self, plan: &Plan<'_>) -> BTreeMap<u32, Answer> {
        let mut images: BTreeMap<&str, Vec<&NodePart>> = BTreeMap::new();
        for part in plan.deployment.nodes.values() {
            images.entry(&part.image).or_default().push(part);
        }
        let groups = images.into_values().map(|parts| self.ask_group(plan, parts));
        join_all(groups).await.into_iter().flatten().collect()
    }

    /// All nodes that get one image.
    async fn ask_group(&self, plan: &Plan<'_>, mut parts: Vec<&NodePart>) -> Vec<(u32, Answer)> {
        let known = parts.first().and_then(|part| plan.deployment.fixed.get(&part.image));
        let mut digest = match known {
            Some(Digest::Of(digest)) => digest.clone(),
            Some(Digest::None) | None => String::new(),
        };
        let mut answers = Vec::with_capacity(parts.len());
        // Of those that can answer. If nobody can, each says so for itself.
        let lead = parts.iter().position(|part| self.views.is_connected(&part.host));
        if let Some(lead) = lead.filter(|_| known.is_none()) {
            let lead = parts.remove(lead);
            let answer = self.ask(plan, lead, &digest).await;
            if let Ok(preflight) = &answer {
                digest.clone_from(&preflight.digest);
            }
            answers.push((lead.node.0, answer));
        }
        let rest = parts.into_iter().map(|part| {
            let digest = &digest;
            async move { (part.node.0, self.ask(plan, part, digest).await) }
        });
        answers.extend(join_all(rest).await);
        answers
    }

    async fn ask(&self, plan: &Plan<'_>, part: &NodePart, digest: &str) -> Answer {
        let host = &part.host;
        let session = self.views.session_of(host);
        let session = session.ok_or_else(|| format!("host {host} is silent: is its agent running?"))?;
        let question = self.views.questions.ask(host.clone(), session);
        let gone = || format!("the session of host {host} ended while it was asked: plan again");
        // It may have ended before the question was there to be told.
        if self.views.session_of(host) != Some(session) {
            return Err(gone());
        }
        let left = plan.until.saturating_duration_since(Instant::now()).as_millis();
        let image =
            Image { reference: part.image.clone(), digest: digest.to_owned(), login: plan.login.clone() };
        let order = Order {
            id: question.id,
            // Nobody looks for the trace of a deployment that is not made.
            trace: TraceParent::of_deployment(plan.deployment.id.uuid()).of_order(question.id.uuid()),
            node: part.node,
            container: part.container.clone(),
            kind: OrderKind::Preflight { image, options: plan.deployment.terms.options.clone() },
            // 0 would mean none.
            deadline: Span(u32::try_from(left).unwrap_or(u32::MAX).max(1)),
        };
        self.hosts.send(host, session, order);
        match timeout_at(plan.until + GRACE, question.answer()).await {
            Ok(Some(preflight)) => Ok(preflight),
            Ok(None) => Err(gone()),
            Err(_) => Err(format!("host {host} did not answer in time")),
        }
    }

    async fn planned(
        &self,
        deployment: &Deployment,
        mut answers: BTreeMap<u32, Answer>,
    ) -> Result<v1::PlanDeploymentResponse, Refusal> {
        let hosts = self.hosts_by_id().await?;
        let rows = self.store.nodes().await?;
        let rows: BTreeMap<u32, &NodeRow> = rows.iter().map(|row| (row.node_id, row)).collect();
        let mut room = ANSWER_BYTES_MAX;
        let mut nodes = Vec::with_capacity(answers.len());
        for part in deployment.nodes.values() {
            let forgotten = || v1::Node { node_id: part.node.0, ..v1::Node::default() };
            let row = rows.get(&part.node.0);
            let node = row.map_or_else(forgotten, |row| self.show_node(row, &hosts));
            let (preflight, problem) = match answers.remove(&part.node.0) {
                Some(Ok(preflight)) => (Some(shortened(preflight, &mut room)), String::new()),
                Some(Err(problem)) => (None, problem),
                None => (None, "it was not asked".to_owned()),
            };
            nodes.push(v1::NodePreflight { node: Some(node), preflight, problem });
        }
        let is_ok = nodes.iter().all(|node| node.preflight.as_ref().is_some_and(is_good));
        let digest = common_digest(&nodes);
        let image = v1::ImageRef { reference: deployment.terms.image.clone(), digest };
        Ok(v1::PlanDeploymentResponse { is_ok, image: Some(image), nodes })
    }
}

/// Refusals count even if the agent calls it good.
fn is_good(preflight: &v1::Preflight) -> bool {
    preflight.is_ok && preflight.refusals.is_empty()
}

/// The digest every node would get; empty if there is none for all.
fn common_digest(nodes: &[v1::NodePreflight]) -> String {
    let mut digests = nodes.iter().map(|node| node.preflight.as_ref().map(|preflight| &preflight.digest));
    let first = digests.next().flatten();
    let is_one = digests.all(|digest| digest == first);
    first.filter(|_| is_one).cloned().unwrap_or_default()
}

/// Leaves out what an answer about many nodes has no room for: first the text, then the lists.
fn shortened(mut preflight: v1::Preflight, room: &mut usize) -> v1::Preflight {
    if preflight.encoded_len() > *room {
        preflight.plan_text.clear();
    }
    if preflight.encoded_len() > *room {
        let (lost, warnings) = (preflight.lost_paths.len(), preflight.warnings.len());
        preflight.lost_paths.clear();
        preflight.warnings =
            vec![format!("{warnings} warnings and {lost} lost paths are left out: plan this node alone")];
    }
    *room = room.saturating_sub(preflight.encoded_len());
    preflight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_left_out_and_said() {
        let whole = v1::Preflight {
            is_ok: true,
            plan_text: "x".repeat(1000),
            lost_paths: vec!["/a".repeat(100); 10],
            ..v1::Preflight::default()
        };
        let mut room = 10_000;
        assert_eq!(shortened(whole.clone(), &mut room), whole);
        let mut room = 2500;
        let shorter = shortened(whole.clone(), &mut room);
        assert!(shorter.plan_text.is_empty() && shorter.lost_paths.len() == 10);
        let shortest = shortened(whole, &mut room);
        assert!(shortest.lost_paths.is_empty() && shortest.warnings[0].contains("10 lost paths"));
    }
}
