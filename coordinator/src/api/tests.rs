//! The handlers, on a real store and a running driver whose agents never answer.

mod asking;
mod document;
mod jelastic;
mod rest;
mod scope;
mod serving;
mod web;
mod whole;

use std::sync::Arc;

use prost::Message;
use redeploy_proto::{RedeployId, v1};
use tokio_util::sync::CancellationToken;

use super::{Api, Caller, Gate, Hosts, Refusal};
use crate::bucket::Rate;
use crate::deployment::Command;
use crate::driver::{self, Core, Link, Order, SessionId};
use crate::ids::{EnvName, HostId};
use crate::moment::{Moment, Span};
use crate::store::{HostNews, HostRow, NewApiToken, Role, Sealer, Secret, Seen, Sqlite};
use crate::views::Views;

/// Agents that never hear anything.
struct Nobody;

impl Link for Nobody {
    fn send(&self, _: &HostId, _: SessionId, _: Order) {}
    fn acknowledge(&self, _: &HostId, _: SessionId, _: RedeployId) {}
}

impl Hosts for Nobody {
    fn join_token(&self) -> Result<(String, Vec<u8>), Refusal> {
        let secret = Secret::generate("join_")?;
        Ok((secret.reveal().to_owned(), secret.hash()))
    }

    fn cut(&self, _: &HostId) {}
}

struct Room {
    api: Arc<Api>,
    stop: CancellationToken,
    _dir: tempfile::TempDir,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn room() -> Room {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&dir.path().join("store.db")).await.unwrap();
    let host: HostId = "h1".parse().unwrap();
    let row = HostRow {
        host_id: "h1".into(),
        name: "alpha".into(),
        joined_at: 1,
        seen_at: 1,
        address: String::new(),
        cert_ends: 9,
        facts: None,
        revoked_at: None,
    };
    store.add_host(&row).await.unwrap();
    let facts = v1::ContainerFacts { image: "r.example:5000/web:1".into(), ..v1::ContainerFacts::default() };
    let seen = |name: &str| Seen {
        container: name.into(),
        label: Some(("shop".parse().unwrap(), "cp".parse().unwrap())),
        facts: facts.encode_to_vec(),
    };
    let news = HostNews { inventory: Some(vec![seen("a"), seen("b")]), ..HostNews::default() };
    store.hear(&[(&host, &news)], Moment::now()).await.unwrap();
    let (handle, inputs) = driver::driver();
    let views = Arc::new(Views::default());
    let stop = CancellationToken::new();
    let core = Core::load(Arc::new(store.clone()), Arc::new(Nobody), Moment::now()).await.unwrap();
    tokio::spawn(driver::run(core, inputs, views.clone(), stop.clone()));
    let sealer = Arc::new(Sealer::from_file(&dir.path().join("seal.key")).unwrap());
    let gate = Gate::new(Rate { per_second: 100, burst: 500 });
    let api =
        Api { store, driver: handle, views, sealer, hosts: Arc::new(Nobody), grace: Span::seconds(30), gate };
    Room { api: Arc::new(api), stop, _dir: dir }
}

impl Room {
    async fn caller(&self, role: Role, envs: &[&str]) -> Caller {
        let header = format!("Bearer {}", self.token(role, envs).await);
        self.api.authenticate(Some(&header), "here".into(), "test").await.unwrap()
    }

    async fn token(&self, role: Role, envs: &[&str]) -> String {
        let secret = Secret::generate("rda_").unwrap();
        let envs: Vec<EnvName> = envs.iter().map(|env| env.parse().unwrap()).collect();
        let new = NewApiToken { name: format!("{role:?}{envs:?}"), role, envs, expires_at: 0 };
        self.api.store.add_api_token(&new, &secret.hash(), Moment::now()).await.unwrap();
        secret.reveal().to_owned()
    }
}

fn deploy(env: &str, group: &str, tag: &str) -> v1::CreateDeploymentRequest {
    v1::CreateDeploymentRequest {
        target: Some(v1::Target { env: env.into(), group: group.into(), node_id: 0 }),
        to: Some(v1::create_deployment_request::To::Tag(tag.into())),
        ..v1::CreateDeploymentRequest::default()
    }
}

#[tokio::test]
async fn a_deployment_is_made_of_the_groups_nodes_and_each_keeps_its_repository() {
    let room = room().await;
    let caller = room.caller(Role::Deployer, &["shop"]).await;
    let login = v1::RegistryLogin { user: "u".into(), password: "pa55word".into() };
    let request = v1::CreateDeploymentRequest { login: Some(login), ..deploy("shop", "cp", "2") };
    let made = room.api.create(&caller, &request).await.unwrap();
    assert_eq!(made.phase(), v1::DeploymentPhase::Preflight);
    assert_eq!(made.nodes.iter().map(|n| n.node_id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(made.nodes[1].waits_for, "node 1 is asked first what the image is");
    let id = made.deployment_id.parse().unwrap();
    let stored = crate::store::Ledger::load_one(&room.api.store, id).await.unwrap().unwrap();
    assert!(stored.nodes.values().all(|part| part.image == "r.example:5000/web:2"));
    let sealed = room.api.store.sealed_login(id).await.unwrap().unwrap();
    assert!(!sealed.windows(8).any(|window| window == b"pa55word"));

    let second = room.api.create(&caller, &deploy("shop", "cp", "3")).await.unwrap_err();
    assert!(matches!(second, Refusal::State(_)) && second.to_string().contains("`cancel`"), "{second}");
    let queued = v1::CreateDeploymentRequest { queue: true, ..deploy("shop", "cp", "3") };
    let queued = room.api.create(&caller, &queued).await.unwrap();
    assert_eq!(queued.phase(), v1::DeploymentPhase::Queued);

    let short = &made.deployment_id[28..];
    let action = v1::DeploymentActionRequest { deployment_id: short.into(), comment: String::new() };
    let over = room.api.command(&caller, &action, "cancel", Command::Cancel).await.unwrap();
    assert_eq!(over.phase(), v1::DeploymentPhase::Cancelled);
    assert_eq!(room.api.store.sealed_login(id).await.unwrap(), None, "the login is wiped at the end");
    let log = room.api.store.audit_log().await.unwrap();
    let lines: Vec<(&str, bool)> = log.iter().map(|row| (row.what.as_str(), row.result == "ok")).collect();
    assert_eq!(lines, [("deploy", true), ("deploy", false), ("deploy", true), ("cancel", true)]);
}

#[tokio::test]
async fn what_a_token_does_not_allow_is_refused() {
    let room = room().await;
    for header in [None, Some("Bearer nonsense"), Some("nonsense")] {
        assert!(matches!(room.api.authenticate(header, String::new(), "test").await, Err(Refusal::Unknown)));
    }
    let request = deploy("shop", "cp", "2");
    for (role, envs) in [(Role::Viewer, &["shop"][..]), (Role::Deployer, &["stage"][..])] {
        let caller = room.caller(role, envs).await;
        let refused = room.api.create(&caller, &request).await.unwrap_err();
        assert!(matches!(refused, Refusal::Forbidden(_)), "{refused}");
        let token = room.api.create_join_token(&caller, &v1::CreateJoinTokenRequest::default()).await;
        assert!(matches!(token, Err(Refusal::Forbidden(_))));
    }
}

#[tokio::test]
async fn bad_requests_are_refused_with_the_rule_or_the_nearest_name() {
    let room = room().await;
    let caller = room.caller(Role::Admin, &[]).await;
    let batch = |nodes| v1::Strategy {
        kind: Some(v1::strategy::Kind::Batches(v1::Batches { size: Some(v1::batches::Size::Nodes(nodes)) })),
        delay_ms: 0,
    };
    let with =
        |strategy| v1::CreateDeploymentRequest { strategy: Some(strategy), ..deploy("shop", "cp", "2") };
    let huge = v1::Strategy { kind: None, delay_ms: u64::MAX };
    for (request, expected) in [
        (deploy("shpo", "cp", "2"), "the nearest is \"shop\""),
        (deploy("shop", "pc", "2"), "the nearest is \"cp\""),
        (deploy("shop", "", "2"), "neither was given"),
        (deploy("shop", "cp", "2 3"), "is not a tag: a tag has 1 to 128"),
        (deploy("shop", "cp", "web:2"), "more than a tag"),
        (with(batch(0)), "1 to 2 nodes"),
        (with(batch(3)), "1 to 2 nodes"),
        (with(huge), "a delay may last"),
    ] {
        let refused = room.api.create(&caller, &request).await.unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
    let missing = room.api.get(&caller, "abcd1234").await.unwrap_err();
    assert!(matches!(missing, Refusal::Missing(_)));
}

#[tokio::test]
async fn the_same_idempotency_key_is_the_same_deployment() {
    let room = room().await;
    let caller = room.caller(Role::Admin, &[]).await;
    let request = v1::CreateDeploymentRequest { idempotency_key: "k1".into(), ..deploy("shop", "cp", "2") };
    let first = room.api.create(&caller, &request).await.unwrap();
    let again = room.api.create(&caller, &request).await.unwrap();
    assert_eq!(first.deployment_id, again.deployment_id);
    let other = v1::CreateDeploymentRequest { idempotency_key: "k1".into(), ..deploy("shop", "cp", "3") };
    assert!(matches!(room.api.create(&caller, &other).await, Err(Refusal::Taken(_))));
}
