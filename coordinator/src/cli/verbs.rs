//! The commands about deployments.

use redeploy_proto::v1;
use redeploy_proto::v1::create_deployment_request::To;
use uuid::Uuid;

use super::args::{DeployArgs, FollowArgs, IdArgs, OnFailure, Parallel, Pull, StatusArgs, SureArgs};
use super::dial::{Coordinator, ask};
use super::exit::{Exit, Goal, Stop, is_passing};
use super::follow::{PAUSE, follow};
use super::{json, text};

/// How often an order is given again whose answer did not come.
const ATTEMPTS: u32 = 20;

pub(super) async fn deploy(at: &Coordinator, args: DeployArgs, json: bool) -> Result<Exit, Stop> {
    let detach = args.detach;
    let request = request(args);
    let mut attempt = 0;
    let made = loop {
        // The key makes it one deployment, however often this is sent.
        match at.client().create_deployment(ask(request.clone())).await {
            Err(status) if is_passing(&status) && attempt < ATTEMPTS => attempt += 1,
            answer => break answer?.into_inner(),
        }
        tokio::time::sleep(PAUSE).await;
    };
    ordered(at, made, detach, Goal::Done, json).await
}

fn request(args: DeployArgs) -> v1::CreateDeploymentRequest {
    use v1::batches::Size;
    use v1::strategy::Kind;
    let batches = |size| Kind::Batches(v1::Batches { size: Some(size) });
    let kind = match args.parallel {
        Parallel::Nodes(1) => Kind::Sequential(v1::Sequential {}),
        Parallel::Nodes(nodes) => batches(Size::Nodes(nodes)),
        Parallel::Percent(percent) => batches(Size::Percent(percent)),
        Parallel::All => Kind::AllAtOnce(v1::AllAtOnce {}),
    };
    let pull = match args.pull {
        Pull::Auto => v1::PullPolicy::Auto,
        Pull::Never => v1::PullPolicy::Never,
    };
    let on_failure = match args.on_failure {
        OnFailure::Halt => v1::FailurePolicy::Halt,
        OnFailure::Rollback => v1::FailurePolicy::Rollback,
    };
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    v1::CreateDeploymentRequest {
        idempotency_key: Uuid::now_v7().to_string(),
        target: Some(v1::Target {
            env: args.env.unwrap_or_default(),
            group: args.group.unwrap_or_default(),
            node_id: args.node.unwrap_or_default(),
        }),
        to: args.image.map(To::Image).or(args.tag.map(To::Tag)),
        options: Some(v1::RedeployOptions {
            verify_timeout_ms: args.verify_timeout.map_or(0, ms),
            probe: args.probe.unwrap_or_default(),
            pull: pull.into(),
            ..v1::RedeployOptions::default()
        }),
        login: None,
        strategy: Some(v1::Strategy { kind: Some(kind), delay_ms: ms(args.delay) }),
        on_failure: on_failure.into(),
        deadline_ms: args.deadline.map_or(0, ms),
        queue: args.queue,
        comment: args.comment,
    }
}

pub(super) async fn status(at: &Coordinator, args: StatusArgs, json: bool) -> Result<Exit, Stop> {
    let Some(id) = args.id else {
        let list = at.client().list_deployments(ask(v1::ListDeploymentsRequest::default())).await?;
        let found = list.into_inner().deployments;
        if json {
            found.iter().for_each(json::line);
        } else {
            text::deployments(&found);
        }
        return Ok(Exit::Done);
    };
    if args.follow {
        return follow(at, &id, Goal::Done, json).await;
    }
    let found = at.client().get_deployment(ask(v1::GetDeploymentRequest { deployment_id: id })).await?;
    show(found.get_ref(), json);
    Ok(Exit::Done)
}

pub(super) async fn halt(at: &Coordinator, args: IdArgs, json: bool) -> Result<Exit, Stop> {
    let made = at.client().halt_deployment(ask(action(args.id))).await?;
    show(made.get_ref(), json);
    Ok(Exit::Done)
}

pub(super) async fn resume(at: &Coordinator, args: FollowArgs, json: bool) -> Result<Exit, Stop> {
    let made = at.client().resume_deployment(ask(action(args.id.id))).await?;
    ordered(at, made.into_inner(), args.detach, Goal::Done, json).await
}

pub(super) async fn retry_failed(at: &Coordinator, args: FollowArgs, json: bool) -> Result<Exit, Stop> {
    let made = at.client().retry_failed(ask(action(args.id.id))).await?;
    ordered(at, made.into_inner(), args.detach, Goal::Done, json).await
}

pub(super) async fn cancel(at: &Coordinator, args: SureArgs, json: bool) -> Result<Exit, Stop> {
    let SureArgs { follow, sure: _ } = args;
    let made = at.client().cancel_deployment(ask(action(follow.id.id))).await?;
    ordered(at, made.into_inner(), follow.detach, Goal::Cancelled, json).await
}

pub(super) async fn rollback(at: &Coordinator, args: SureArgs, json: bool) -> Result<Exit, Stop> {
    let SureArgs { follow, sure: _ } = args;
    let made = at.client().rollback_deployment(ask(action(follow.id.id))).await?;
    ordered(at, made.into_inner(), follow.detach, Goal::RolledBack, json).await
}

fn action(deployment_id: String) -> v1::DeploymentActionRequest {
    v1::DeploymentActionRequest { deployment_id, comment: String::new() }
}

/// What becomes of an order that was taken.
async fn ordered(
    at: &Coordinator,
    made: v1::Deployment,
    detach: bool,
    goal: Goal,
    json: bool,
) -> Result<Exit, Stop> {
    if detach {
        show(&made, json);
        return Ok(Exit::Done);
    }
    follow(at, &made.deployment_id, goal, json).await
}

fn show(deployment: &v1::Deployment, json: bool) {
    if json {
        json::line(deployment);
    } else {
        text::whole(deployment);
    }
}
