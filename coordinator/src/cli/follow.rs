//! Follows a deployment to its end, also when the coordinator is away in between.
//!
//! Must never cancel anything: who stops following leaves the deployment alone.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redeploy_proto::v1;
use tonic::Request;

use super::dial::{ANSWER, Coordinator};
use super::exit::{Exit, Goal, Stop, is_passing};
use super::{json, text};

/// Before the coordinator is asked again.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// How long a coordinator may be away.
const AWAY_MAX: Duration = Duration::from_secs(120);

pub(super) async fn follow(at: &Coordinator, id: &str, goal: Goal, json: bool) -> Result<Exit, Stop> {
    let mut screen = Screen { json, said: HashMap::new(), phase: String::new() };
    tokio::select! {
        ended = to_its_end(at, id, goal, &mut screen) => ended,
        Ok(()) = tokio::signal::ctrl_c() => {
            let text = format!("not followed any more; the deployment goes on: redeployctl status {id} --follow");
            Err(Stop { exit: Exit::Stuck, text })
        }
    }
}

async fn to_its_end(at: &Coordinator, id: &str, goal: Goal, screen: &mut Screen) -> Result<Exit, Stop> {
    let mut heard = Instant::now();
    loop {
        match watch(at, id, goal, screen, &mut heard).await {
            Ok(Some(exit)) => return Ok(exit),
            Ok(None) => {}
            Err(status) if is_passing(&status) && heard.elapsed() < AWAY_MAX => {}
            Err(status) => return Err(status.into()),
        }
        if heard.elapsed() >= AWAY_MAX {
            let text = format!("the coordinator does not answer; later: redeployctl status {id} --follow");
            return Err(Stop { exit: Exit::Stuck, text });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One stream; `None` if it ended before the deployment did.
async fn watch(
    at: &Coordinator,
    id: &str,
    goal: Goal,
    screen: &mut Screen,
    heard: &mut Instant,
) -> Result<Option<Exit>, tonic::Status> {
    let request = Request::new(v1::WatchDeploymentRequest { deployment_id: id.to_owned() });
    let mut client = at.client();
    let begun = tokio::time::timeout(ANSWER, client.watch_deployment(request)).await;
    let mut updates =
        begun.map_err(|_| tonic::Status::deadline_exceeded("the coordinator does not answer"))??.into_inner();
    while let Some(update) = updates.message().await? {
        *heard = Instant::now();
        let Some(deployment) = update.deployment else { continue };
        screen.show(&deployment);
        if let Some(exit) = Exit::of(&deployment, goal) {
            screen.end(&deployment);
            return Ok(Some(exit));
        }
    }
    Ok(None)
}

/// Says each thing once.
struct Screen {
    json: bool,
    said: HashMap<u32, String>,
    phase: String,
}

impl Screen {
    fn show(&mut self, deployment: &v1::Deployment) {
        if self.json {
            return json::line(deployment);
        }
        let phase = text::head(deployment);
        if self.phase != phase {
            text::say(&phase);
            self.phase = phase;
        }
        for node in &deployment.nodes {
            let now = text::node(node);
            if self.said.get(&node.node_id) != Some(&now) {
                text::say(&format!("  {now}"));
                self.said.insert(node.node_id, now);
            }
        }
    }

    fn end(&self, deployment: &v1::Deployment) {
        if !self.json {
            text::say(&text::summary(deployment));
        }
    }
}
