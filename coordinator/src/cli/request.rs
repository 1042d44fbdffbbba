//! From arguments to requests of the contract. Pure, but for the password that is read from stdin.

use std::time::Duration;

use redeploy_proto::v1;
use redeploy_proto::v1::create_deployment_request::To;
use uuid::Uuid;

use super::args::{
    Ask, DeployArgs, LoginUser, OnFailure, Parallel, PlanArgs, Pull, RevertArgs, Volumes, What,
};
use super::exit::Stop;
use super::login::secret;

/// A password that was read. Does not print itself.
pub(super) struct Password(String);

/// The password of a registry login, if one was asked for.
pub(super) fn secret_of(ask: &Ask) -> Result<Option<Password>, Stop> {
    let read =
        |login: &LoginUser| login.password_stdin.then(|| secret("Password: ").map(Password)).transpose();
    match ask {
        Ask::Deploy(args) => read(&args.what.login),
        Ask::Plan(args) => read(&args.what.login),
        Ask::Status(_)
        | Ask::History(_)
        | Ask::Halt(_)
        | Ask::Resume(_)
        | Ask::RetryFailed(_)
        | Ask::Cancel(_)
        | Ask::Rollback(_)
        | Ask::Revert(_)
        | Ask::Env(_)
        | Ask::Group(_)
        | Ask::Node(_)
        | Ask::Host(_)
        | Ask::Audit(_)
        | Ask::Events(_)
        | Ask::Token(_)
        | Ask::Whoami => Ok(None),
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
        allow_image_change: what.allow_image_change,
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Verb};

    fn asked(words: &[&str]) -> Ask {
        let words = std::iter::once(&"redeployctl").chain(words);
        match Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).verb {
            Verb::Ask(ask) => ask,
            Verb::Local(_) => panic!("it asks nobody"),
        }
    }

    #[test]
    fn a_deploy_asks_for_what_was_said_and_for_nothing_else() {
        let words =
            ["deploy", "--env", "shop", "--group", "cp", "--tag", "2", "--parallel", "25%", "--delay", "30s"];
        let more =
            ["--login-user", "u", "--password-stdin", "--skip-reinstall", "--use-existing-volumes=false"];
        let Ask::Deploy(args) = asked(&[&words[..], &more].concat()) else { panic!("another command") };
        let request = deploy(*args, Some(Password("pa55word".into())));
        let login = request.login.unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("u", "pa55word"));
        let strategy = request.strategy.unwrap();
        let percent = v1::batches::Size::Percent(25);
        let batches = v1::strategy::Kind::Batches(v1::Batches { size: Some(percent) });
        assert_eq!((strategy.kind, strategy.delay_ms), (Some(batches), 30_000));
        let options = request.options.unwrap();
        assert!(options.skip_reinstall && options.use_existing_volumes == Some(false));
        assert_eq!(options.archive_binds, None);
        assert_eq!(request.to, Some(To::Tag("2".into())));

        let Ask::Deploy(args) = asked(&words) else { panic!("another command") };
        assert_eq!(secret_of(&Ask::Deploy(args)).unwrap_or_else(|_| panic!()).map(|_| ()), None);
        let Ask::Plan(args) = asked(&["plan", "--node", "3", "--image", "web:2"]) else {
            panic!("another command")
        };
        let request = plan(*args, None);
        assert_eq!((request.target.unwrap().node_id, request.login), (3, None));
        assert!(request.idempotency_key.is_empty() && request.deadline_ms == 600_000);
    }
}
