//! Every call that changes something leaves a line, whether it was carried out, not allowed, or made by a stranger.

use std::collections::BTreeSet;

use prost::Message;
use redeploy_coordinator::server::Limits;
use redeploy_proto::v1;
use tonic::{Code, Status};

use crate::house::{House, Operator};

/// What the audit log calls each call that changes something.
const WORDS: [(&str, &str); 14] = [
    ("CreateDeployment", "deploy"),
    ("HaltDeployment", "halt"),
    ("ResumeDeployment", "resume"),
    ("RetryFailed", "retry-failed"),
    ("CancelDeployment", "cancel"),
    ("RollbackDeployment", "rollback"),
    ("RevertNode", "revert"),
    ("AdoptNode", "adopt node"),
    ("ForgetNode", "forget node"),
    ("RevokeHost", "revoke host"),
    ("CreateJoinToken", "create join token"),
    ("RevokeJoinToken", "revoke join token"),
    ("CreateApiToken", "create API token"),
    ("RevokeApiToken", "revoke API token"),
];

const PASSWORD: &str = "pa55word-of-the-registry";

/// The calls of the contract that change something: all but those whose names say that they only look.
fn changing() -> BTreeSet<String> {
    let looks =
        |name: &str| ["Get", "List", "Watch", "Plan", "WhoAmI"].iter().any(|word| name.starts_with(word));
    let set = prost_types::FileDescriptorSet::decode(v1::FILE_DESCRIPTOR_SET).unwrap();
    let services = set.file.iter().flat_map(|file| &file.service);
    let methods =
        services.filter(|service| service.name() == "OperatorService").flat_map(|service| &service.method);
    methods.map(|method| method.name().to_owned()).filter(|name| !looks(name)).collect()
}

/// Makes a call by its name, about things that are not there, or are named after `who`.
async fn call(operator: &mut Operator, name: &str, who: &str) -> Result<(), Status> {
    let action = || v1::DeploymentActionRequest {
        deployment_id: "0193a1b2-7c00-7000-8000-0123456789ab".into(),
        comment: "because".into(),
    };
    let login = v1::RegistryLogin { user: "u".into(), password: PASSWORD.into() };
    match name {
        "CreateDeployment" => {
            let target = Some(v1::Target { env: "shop".into(), group: "cp".into(), node_id: 0 });
            let request = v1::CreateDeploymentRequest {
                target,
                login: Some(login),
                ..v1::CreateDeploymentRequest::default()
            };
            operator.create_deployment(request).await.map(drop)
        }
        "HaltDeployment" => operator.halt_deployment(action()).await.map(drop),
        "ResumeDeployment" => operator.resume_deployment(action()).await.map(drop),
        "RetryFailed" => operator.retry_failed(action()).await.map(drop),
        "CancelDeployment" => operator.cancel_deployment(action()).await.map(drop),
        "RollbackDeployment" => operator.rollback_deployment(action()).await.map(drop),
        "RevertNode" => {
            let request = v1::RevertNodeRequest { node_id: 7, ..v1::RevertNodeRequest::default() };
            operator.revert_node(request).await.map(drop)
        }
        "AdoptNode" => {
            let request = v1::AdoptNodeRequest {
                host: "nowhere".into(),
                container: "web".into(),
                env: "shop".into(),
                group: "cp".into(),
            };
            operator.adopt_node(request).await.map(drop)
        }
        "ForgetNode" => operator.forget_node(v1::ForgetNodeRequest { node_id: 7 }).await.map(drop),
        "RevokeHost" => operator
            .revoke_host(v1::RevokeHostRequest { host: "nowhere".into(), comment: String::new() })
            .await
            .map(drop),
        "CreateJoinToken" => {
            operator.create_join_token(v1::CreateJoinTokenRequest::default()).await.map(drop)
        }
        "RevokeJoinToken" => {
            operator.revoke_join_token(v1::RevokeJoinTokenRequest { token_id: "none".into() }).await.map(drop)
        }
        "CreateApiToken" => {
            let request = v1::CreateApiTokenRequest {
                name: format!("made-by-{who}"),
                role: v1::Role::Viewer.into(),
                envs: vec![],
                expires_in_ms: 0,
            };
            operator.create_api_token(request).await.map(drop)
        }
        "RevokeApiToken" => {
            operator.revoke_api_token(v1::RevokeApiTokenRequest { token_id: "none".into() }).await.map(drop)
        }
        new => {
            panic!("{new} changes something, or does it? Make it here, and give it a word in the audit log")
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_that_changes_something_is_noted_with_who_what_whence_and_how_it_came_out() {
    let house = House::new(Limits::default()).await;
    let viewer_token = house.token("looker", v1::Role::Viewer, 0).await;
    let (mut admin, mut viewer) = (house.admin().await, house.operator(&viewer_token).await);
    let mut stranger = house.operator("rda_wrong").await;
    let names = changing();
    assert_eq!(names.len(), WORDS.len(), "{names:?}");
    for name in &names {
        let turned_away = call(&mut stranger, name, "stranger").await.unwrap_err();
        assert_eq!(turned_away.code(), Code::Unauthenticated, "{name}: {turned_away}");
        // What a viewer may not is refused; about what is not there nobody learns more.
        let refused = call(&mut viewer, name, "viewer").await.unwrap_err();
        assert!(matches!(refused.code(), Code::PermissionDenied | Code::NotFound), "{name}: {refused}");
        let _ = call(&mut admin, name, "admin").await;
    }
    let log = house.audit().await;
    for name in &names {
        let (_, word) = WORDS.iter().find(|(call, _)| call == name).expect("a word");
        for (who, result) in [("unknown", Some("refused")), ("looker", None), ("admin", None)] {
            let line = log.iter().find(|row| row.who == who && row.what == *word);
            let line = line.unwrap_or_else(|| panic!("{who} left no line of {word}"));
            assert!(line.address.starts_with("127.0.0.1:") && line.at > 0, "{line:?}");
            assert!(result.is_none_or(|result| line.result.starts_with(result)), "{line:?}");
            assert!(who == "admin" || line.result != "ok", "{line:?}");
        }
    }
    let made = log.iter().find(|row| row.target == "made-by-admin").expect("what was made");
    assert_eq!(made.result, "ok");
    let whole = format!("{log:?}");
    for secret in [&house.admin_token(), &viewer_token, "rda_wrong", PASSWORD] {
        assert!(!whole.contains(secret), "a secret is in the audit log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_and_renewals_are_noted_and_what_a_stranger_writes_is_cut() {
    let house = House::new(Limits::default()).await;
    let host = house.host("web-1").await;
    house.renew(&host).await.unwrap();
    let token = house.join_token(0).await.token;
    let key = rcgen::KeyPair::generate().unwrap();
    house.enroll("rdj_nonsense", &key, "mallory\nok").await.unwrap_err();
    let long =
        v1::CreateJoinTokenRequest { comment: format!("a\nb{}", "x".repeat(10_000)), expires_in_ms: 0 };
    house.admin().await.create_join_token(long).await.unwrap();
    house
        .admin()
        .await
        .revoke_host(v1::RevokeHostRequest { host: host.host.to_string(), comment: "lost".into() })
        .await
        .unwrap();
    house.renew(&host).await.unwrap_err();

    let log = house.audit().await;
    let lines: Vec<(&str, &str, bool)> =
        log.iter().map(|row| (row.who.as_str(), row.what.as_str(), row.result == "ok")).collect();
    let of = format!("host {}", host.host);
    for expected in [
        ("web-1", "join", true),
        (of.as_str(), "renew certificate", true),
        ("unknown", "join", false),
        (of.as_str(), "renew certificate", false),
        ("admin", "revoke host", true),
    ] {
        assert!(lines.contains(&expected), "{expected:?} is missing in {lines:?}");
    }
    let whole = format!("{log:?}");
    assert!(!whole.contains(&token) && !whole.contains("rdj_nonsense"), "a token is in the audit log");
    assert!(log.iter().all(|row| row.target.len() <= 512 && !row.target.contains('\n')), "{whole}");
}
