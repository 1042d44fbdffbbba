//! The commands about deployments.

use redeploy_proto::v1;
use tonic::{Response, Status};

use super::args::{DeployArgs, FollowArgs, HistoryArgs, IdArgs, Output, RevertArgs, StatusArgs, SureArgs};
use super::dial::{Coordinator, ask};
use super::exit::{Exit, Goal, Stop, may_be_asked_again};
use super::follow::{PAUSE, follow};
use super::request::{self, Password};
use super::{json, text};

/// How often an order is given again whose answer did not come.
const ATTEMPTS: u32 = 20;

/// Deployments in one answer.
const PAGE: u32 = 500;

pub(super) async fn deploy(
    at: &Coordinator,
    args: DeployArgs,
    password: Option<Password>,
    output: Output,
) -> Result<Exit, Stop> {
    let detach = args.detach;
    let request = request::deploy(args, password);
    // The key makes it one deployment, however often this is sent.
    let made = again(async || at.client().create_deployment(ask(request.clone())).await).await?;
    ordered(at, made, detach, Goal::Done, output).await
}

pub(super) async fn revert(at: &Coordinator, args: RevertArgs, output: Output) -> Result<Exit, Stop> {
    let detach = args.detach;
    let request = request::revert(args);
    let made = again(async || at.client().revert_node(ask(request.clone())).await).await?;
    ordered(at, made, detach, Goal::RolledBack, output).await
}

/// Gives an order that bears a key until its answer comes.
async fn again(
    order: impl AsyncFn() -> Result<Response<v1::Deployment>, Status>,
) -> Result<v1::Deployment, Status> {
    let mut attempt = 0;
    loop {
        match order().await {
            Err(status) if may_be_asked_again(&status) && attempt < ATTEMPTS => attempt += 1,
            answer => return answer.map(Response::into_inner),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

pub(super) async fn status(at: &Coordinator, args: StatusArgs, output: Output) -> Result<Exit, Stop> {
    let Some(id) = args.id else {
        let request = v1::ListDeploymentsRequest::default();
        let list = at.client().list_deployments(ask(request)).await?.into_inner();
        listed(&list.deployments, output);
        return Ok(Exit::Done);
    };
    if args.watch {
        return follow(at, &id, Goal::Done, output).await;
    }
    let found = at.client().get_deployment(ask(v1::GetDeploymentRequest { deployment_id: id })).await?;
    show(found.get_ref(), output);
    Ok(Exit::Done)
}

pub(super) async fn history(at: &Coordinator, args: HistoryArgs, output: Output) -> Result<Exit, Stop> {
    let mut request = v1::ListDeploymentsRequest {
        env: args.env.unwrap_or_default(),
        group: args.group.unwrap_or_default(),
        node_id: args.node.unwrap_or_default(),
        ..v1::ListDeploymentsRequest::default()
    };
    let mut found = Vec::new();
    let mut left = args.limit;
    while left > 0 {
        request.page_size = left.min(PAGE);
        let page = at.client().list_deployments(ask(request.clone())).await?.into_inner();
        left = left.saturating_sub(u32::try_from(page.deployments.len()).unwrap_or(u32::MAX));
        found.extend(page.deployments);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    listed(&found, output);
    Ok(Exit::Done)
}

fn listed(found: &[v1::Deployment], output: Output) {
    match output {
        Output::Json => found.iter().for_each(json::line),
        Output::Table => text::deployments(found),
    }
}

pub(super) async fn halt(at: &Coordinator, args: IdArgs, output: Output) -> Result<Exit, Stop> {
    let made = at.client().halt_deployment(ask(action(args))).await?;
    show(made.get_ref(), output);
    Ok(Exit::Done)
}

pub(super) async fn resume(at: &Coordinator, args: FollowArgs, output: Output) -> Result<Exit, Stop> {
    let made = at.client().resume_deployment(ask(action(args.id))).await?;
    ordered(at, made.into_inner(), args.detach, Goal::Done, output).await
}

pub(super) async fn retry_failed(at: &Coordinator, args: FollowArgs, output: Output) -> Result<Exit, Stop> {
    let made = at.client().retry_failed(ask(action(args.id))).await?;
    ordered(at, made.into_inner(), args.detach, Goal::Done, output).await
}

pub(super) async fn cancel(at: &Coordinator, args: SureArgs, output: Output) -> Result<Exit, Stop> {
    let SureArgs { follow, sure: _ } = args;
    let made = at.client().cancel_deployment(ask(action(follow.id))).await?;
    ordered(at, made.into_inner(), follow.detach, Goal::Cancelled, output).await
}

pub(super) async fn rollback(at: &Coordinator, args: SureArgs, output: Output) -> Result<Exit, Stop> {
    let SureArgs { follow, sure: _ } = args;
    let made = at.client().rollback_deployment(ask(action(follow.id))).await?;
    ordered(at, made.into_inner(), follow.detach, Goal::RolledBack, output).await
}

fn action(args: IdArgs) -> v1::DeploymentActionRequest {
    v1::DeploymentActionRequest { deployment_id: args.id, comment: args.comment }
}

/// What becomes of an order that was taken.
async fn ordered(
    at: &Coordinator,
    made: v1::Deployment,
    detach: bool,
    goal: Goal,
    output: Output,
) -> Result<Exit, Stop> {
    if detach {
        show(&made, output);
        return Ok(Exit::Done);
    }
    follow(at, &made.deployment_id, goal, output).await
}

fn show(deployment: &v1::Deployment, output: Output) {
    match output {
        Output::Json => json::line(deployment),
        Output::Table => text::whole(deployment),
    }
}
