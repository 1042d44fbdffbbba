//! From arguments to requests of the contract. Pure, but for the password that is read from stdin.

use std::time::Duration;

use redeploy_proto::v1;
use redeploy_proto::v1::create_deployment_request::To;
use uuid::Uuid;

use super::args::{
    DeployArgs, LoginUser, OnFailure, Parallel, PlanArgs, Pull, RevertArgs, Verb, Volumes, What,
};
use super::exit::Stop;
use super::login::secret;

/// A password that was read. Does not print itself.
pub(super) struct Password(String);

/// The password of a registry login, if one was asked for.
pub(super) fn secret_of(verb: &Verb) -> Result<Option<Password>, Stop> {
    let read =
        |login: &LoginUser| login.password_stdin.then(|| secret("Password: ").map(Password)).transpose();
    match verb {
        Verb::Deploy(args) => read(&args.what.login),
        Verb::Plan(args) => read(&args.what.login),
        Verb::Status(_)
        | Verb::History(_)
        | Verb::Halt(_)
        | Verb::Resume(_)
        | Verb::RetryFailed(_)
        | Verb::Cancel(_)
        | Verb::Rollback(_)
        | Verb::Revert(_)
        | Verb::Env(_)
        | Verb::Group(_)
        | Verb::Node(_)
        | Verb::Host(_)
        | Verb::Events(_)
        | Verb::Token(_)
        | Verb::Login(_)
        | Verb::Whoami
        | Verb::Context(_)
        | Verb::Completions { .. }
        | Verb::Man { .. } => Ok(None),
    }
}

pub(super) fn deploy(args: DeployArgs, password: Option<Password>) -> v1::CreateDeploymentRequest {
    use v1::batches::Size;
    use v1::strategy::Kind;
    let batches = |size| Kind::Batches(v1::Batches { size: Some(size) });
    let kind = match args.parallel {
        Parallel::Nodes(1) => Kind::Sequential(v1::Sequential {}),
        Parallel::Nodes(nodes) => batches(Size::Nodes(nodes)),
        Parallel::Percent(percent) => batches(Size::Percent(percent)),
        Parallel::All => Kind::AllAtOnce(v1::AllAtOnce {}),
    };
    let on_failure = match args.on_failure {
        OnFailure::Halt => v1::FailurePolicy::Halt,
        OnFailure::Rollback => v1::FailurePolicy::Rollback,
    };
    v1::CreateDeploymentRequest {
        idempotency_key: Uuid::now_v7().to_string(),
        strategy: Some(v1::Strategy { kind: Some(kind), delay_ms: ms(args.delay) }),
        on_failure: on_failure.into(),
        deadline_ms: args.deadline.map_or(0, ms),
        queue: args.queue,
        comment: args.comment,
        ..what(args.what, password)
    }
}

pub(super) fn plan(args: PlanArgs, password: Option<Password>) -> v1::CreateDeploymentRequest {
    v1::CreateDeploymentRequest { deadline_ms: ms(args.deadline), ..what(args.what, password) }
}

fn what(what: What, password: Option<Password>) -> v1::CreateDeploymentRequest {
    let pull = match what.pull {
        Pull::Auto => v1::PullPolicy::Auto,
        Pull::Never => v1::PullPolicy::Never,
    };
    let login = what.login.login_user.zip(password);
    v1::CreateDeploymentRequest {
        target: Some(v1::Target {
            env: what.env.unwrap_or_default(),
            group: what.group.unwrap_or_default(),
            node_id: what.node.unwrap_or_default(),
        }),
        to: what.image.map(To::Image).or(what.tag.map(To::Tag)),
        options: Some(v1::RedeployOptions {
            use_existing_volumes: Some(what.use_existing_volumes),
            skip_reinstall: what.skip_reinstall,
            archive_binds: what.archive_binds,
            verify_timeout_ms: what.verify_timeout.map_or(0, ms),
            probe: what.probe.unwrap_or_default(),
            pull: pull.into(),
        }),
        login: login.map(|(user, Password(password))| v1::RegistryLogin { user, password }),
        ..v1::CreateDeploymentRequest::default()
    }
}

pub(super) fn revert(args: RevertArgs) -> v1::RevertNodeRequest {
    let volumes = match args.volumes {
        Volumes::Keep => v1::VolumeData::Keep,
        Volumes::Restore => v1::VolumeData::Restore,
    };
    v1::RevertNodeRequest {
        idempotency_key: Uuid::now_v7().to_string(),
        node_id: args.node,
        options: Some(v1::RevertOptions {
            volumes: volumes.into(),
            verify_timeout_ms: args.verify_timeout.map_or(0, ms),
            probe: args.probe.unwrap_or_default(),
        }),
        comment: args.comment,
    }
}

/// Milliseconds of a span.
pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
