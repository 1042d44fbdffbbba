//! Follows a deployment to its end, also when the coordinator is away in between.
//!
//! Must never cancel anything: who stops following leaves the deployment alone.

use std::time::{Duration, Instant};

use redeploy_proto::v1;
use tonic::Request;

use super::args::Output;
use super::dial::{ANSWER, Coordinator};
use super::exit::{Exit, Goal, Stop, may_be_asked_again};
use super::screen::Screen;

/// Before the coordinator is asked again.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// How long a coordinator may be away.
const AWAY_MAX: Duration = Duration::from_secs(120);

pub(super) async fn follow(at: &Coordinator, id: &str, goal: Goal, output: Output) -> Result<Exit, Stop> {
    let mut screen = Screen::of(output);
    let ended = tokio::select! {
        ended = to_its_end(at, id, goal, &mut screen) => ended,
        Ok(()) = tokio::signal::ctrl_c() => {
            let text = format!("not followed any more; the deployment goes on: redeployctl status {id} --watch");
            Err(Stop { exit: Exit::Stuck, text })
        }
    };
    // What was drawn stays; what is said next begins on a line of its own.
    screen.leave();
    ended
}

async fn to_its_end(at: &Coordinator, id: &str, goal: Goal, screen: &mut Screen) -> Result<Exit, Stop> {
    let mut heard = Instant::now();
    loop {
        match watch(at, id, goal, screen, &mut heard).await {
            Ok(Some(exit)) => return Ok(exit),
            Ok(None) => {}
            Err(status) if may_be_asked_again(&status) && heard.elapsed() < AWAY_MAX => {
                screen.away("the coordinator does not answer; trying again");
            }
            Err(status) => return Err(status.into()),
        }
        if heard.elapsed() >= AWAY_MAX {
            let text = format!("the coordinator does not answer; later: redeployctl status {id} --watch");
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
        if let Some(exit) = Exit::of(&deployment, goal) {
            screen.end(&deployment);
            return Ok(Some(exit));
        }
        screen.show(&deployment);
    }
    Ok(None)
}
