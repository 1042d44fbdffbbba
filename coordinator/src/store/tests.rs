//! The store on a real file, and that the real one and the one in memory agree.

use std::collections::BTreeMap;

use redeploy_proto::RedeployId;

use super::*;
use crate::deployment::{
    Counts, Deployment, Failure, NodePart, NodeState, OnFailure, Options, Parallel, Phase, Terms, Verdict,
};
use crate::ids::{DeploymentId, HostId, NodeId};
use crate::moment::{Moment, Span};

const NOW: Moment = Moment(1_000_000);

async fn store() -> (Sqlite, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&dir.path().join("store.db")).await.unwrap();
    (store, dir)
}

fn host_row(name: &str) -> HostRow {
    HostRow {
        host_id: name.into(),
        name: name.into(),
        joined_at: 1,
        seen_at: 1,
        address: String::new(),
        cert_ends: 9,
        facts: None,
        revoked_at: None,
    }
}

fn host(name: &str) -> HostId {
    name.parse().unwrap()
}

fn seen(container: &str, labelled: bool) -> Seen {
    let label = labelled.then(|| ("shop".parse().unwrap(), "cp".parse().unwrap()));
    Seen { container: container.into(), label, facts: vec![1] }
}

fn deployment(phase: Phase) -> Deployment {
    let part = NodePart {
        node: NodeId(1),
        host: host("h1"),
        container: "web".into(),
        image: "web:2".into(),
        redeploy_id: RedeployId::generate(),
        revert_id: RedeployId::generate(),
        state: NodeState::Running { since: NOW, cancelled: false },
    };
    Deployment {
        id: DeploymentId::generate(),
        env: "shop".parse().unwrap(),
        group: "cp".parse().unwrap(),
        terms: Terms {
            image: "web:2".into(),
            parallel: Parallel::Nodes(1),
            delay: Span(0),
            on_failure: OnFailure::Halt,
            budget: Span::minutes(75),
            grace: Span::seconds(30),
            options: Options::default(),
        },
        fixed: BTreeMap::new(),
        phase,
        created_at: NOW,
        started_at: None,
        deadline: NOW,
        last_verified: None,
        ended_at: None,
        created_by: "ann".into(),
        comment: String::new(),
        nodes: [part].into_iter().collect(),
    }
}

fn batch(deployment: &Deployment, new: bool) -> Batch {
    let (head, parts) = (deployment.head(), deployment.nodes.values().cloned().collect());
    let counts = Counts::of(&deployment.nodes);
    let new = new.then(|| NewDeployment { idempotency: None, login: Some(vec![7; 40]) });
    Batch { at: Some(NOW), saved: vec![Saved { head, counts, parts, new }], ..Batch::default() }
}

fn order(deployment: &Deployment) -> NewOrder {
    let part = &deployment.nodes[&NodeId(1)];
    NewOrder {
        id: part.redeploy_id,
        kind: "redeploy",
        deployment: deployment.id,
        node: part.node,
        host: part.host.clone(),
    }
}

async fn take_inventory(store: &Sqlite, inventory: &[Seen]) {
    let news = HostNews { inventory: Some(inventory.to_vec()), ..HostNews::default() };
    store.hear(&[(&host("h1"), &news)], NOW).await.unwrap();
}

#[tokio::test]
async fn a_batch_is_there_after_the_store_was_closed_and_opened() {
    let (store, dir) = store().await;
    store.add_host(&host_row("h1")).await.unwrap();
    take_inventory(&store, &[seen("web", true)]).await;
    let life = deployment(Phase::Rolling);
    let mut first = batch(&life, true);
    first.orders.push(order(&life));
    let stored = store.commit(&first).await.unwrap();
    assert_eq!(stored, [StoredOrder { id: life.nodes[&NodeId(1)].redeploy_id, generation: 1 }]);
    assert_eq!(store.sealed_login(life.id).await.unwrap().unwrap(), vec![7; 40]);
    store.close().await;

    let store = Sqlite::open(&dir.path().join("store.db")).await.unwrap();
    assert_eq!(store.load().await.unwrap(), (vec![life.clone()], stored));
    let mut over = life.clone();
    over.phase = Phase::Done;
    over.nodes.get_mut(&NodeId(1)).unwrap().state = NodeState::Done { at: NOW };
    let mut end = batch(&over, false);
    end.wipe.push(over.id);
    store.commit(&end).await.unwrap();
    assert_eq!(store.load().await.unwrap().0, []);
    assert_eq!(store.load_one(over.id).await.unwrap(), Some(over.clone()));
    assert_eq!(store.sealed_login(over.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_list_counts_nodes_and_so_does_the_migration_of_an_older_store() {
    let (store, _dir) = store().await;
    let mut life = deployment(Phase::Rolling);
    store.commit(&batch(&life, true)).await.unwrap();
    let listed = async |only| {
        let filter = DeploymentFilter { only_open: true, limit: 10, ..DeploymentFilter::default() };
        let counts = store.deployments(&filter).await.unwrap()[0].1;
        assert_eq!(counts.only, only);
        (counts.total, counts.done, counts.failed)
    };
    assert_eq!(listed(Some(NodeId(1))).await, (1, 0, 0));
    let failure = Failure { verdict: Verdict::Stuck, why: "no".into() };
    let states = [
        NodeState::Done { at: NOW },
        NodeState::Failed { at: NOW, failure: failure.clone(), passed_over: false },
        NodeState::RevertFailed { at: NOW, failure },
        NodeState::Refused { why: "no".into() },
        NodeState::Ready,
    ];
    for (node, state) in (2..).zip(states) {
        let part = NodePart { node: NodeId(node), state, ..life.nodes[&NodeId(1)].clone() };
        life.nodes.put(part);
    }
    store.commit(&batch(&life, false)).await.unwrap();
    assert_eq!(listed(None).await, (6, 1, 3));

    sqlx::query("ALTER TABLE deployments DROP COLUMN counts").execute(&store.writer).await.unwrap();
    sqlx::raw_sql(include_str!("../../migrations/0005_counts.sql")).execute(&store.writer).await.unwrap();
    assert_eq!(listed(None).await, (6, 1, 3));
}

#[tokio::test]
async fn generations_rise_with_each_order_and_a_node_that_is_not_there_gets_none() {
    let (store, _dir) = store().await;
    store.add_host(&host_row("h1")).await.unwrap();
    take_inventory(&store, &[seen("web", true)]).await;
    let life = deployment(Phase::Rolling);
    let mut first = batch(&life, true);
    let again = |order: NewOrder| NewOrder { id: RedeployId::generate(), ..order };
    first.orders = vec![order(&life), again(order(&life))];
    let stored = store.commit(&first).await.unwrap();
    let mut generations: Vec<u64> = stored.iter().map(|order| order.generation).collect();
    generations.sort_unstable();
    assert_eq!(generations, [1, 2]);
    assert_eq!(store.nodes().await.unwrap()[0].generation, 2);
    let mut second = batch(&life, false);
    second.orders = vec![again(order(&life)), NewOrder { node: NodeId(9), ..again(order(&life)) }];
    let refused = store.commit(&second).await;
    assert!(matches!(refused, Err(StoreError::Database { .. })), "{refused:?}");
    second.orders.truncate(1);
    assert_eq!(store.commit(&second).await.unwrap()[0].generation, 3, "what was refused left nothing");
}

#[tokio::test]
async fn two_deployments_never_work_on_one_group() {
    let (real, _dir) = store().await;
    let memory = Memory::default();
    let ledgers: [&dyn Ledger; 2] = [&real, &memory];
    for ledger in ledgers {
        ledger.commit(&batch(&deployment(Phase::Checking), true)).await.unwrap();
        let second = ledger.commit(&batch(&deployment(Phase::Checking), true)).await;
        assert!(matches!(second, Err(StoreError::Taken { .. })), "{second:?}");
        ledger.commit(&batch(&deployment(Phase::Queued), true)).await.unwrap();
        assert_eq!(ledger.load().await.unwrap().0.len(), 2);
    }
}

#[tokio::test]
async fn a_failing_store_stores_nothing_or_everything() {
    let memory = std::sync::Arc::new(Memory::default());
    let failing = Failing::new(memory.clone(), Plan::Before(1));
    assert!(failing.commit(&batch(&deployment(Phase::Checking), true)).await.is_err());
    assert_eq!(memory.commits(), 0);
    let failing = Failing::new(memory.clone(), Plan::After(1));
    assert!(failing.commit(&batch(&deployment(Phase::Checking), true)).await.is_err());
    assert_eq!(memory.commits(), 1);
}

#[tokio::test]
async fn a_node_keeps_its_id_and_an_id_is_never_given_twice() {
    let (store, _dir) = store().await;
    store.add_host(&host_row("h1")).await.unwrap();
    let inventory = [seen("web", true), seen("db", false)];
    take_inventory(&store, &inventory).await;
    take_inventory(&store, &[]).await;
    assert!(!store.nodes().await.unwrap()[0].present);
    take_inventory(&store, &inventory).await;
    let nodes = store.nodes().await.unwrap();
    assert_eq!(nodes.iter().map(|n| (n.node_id, n.present)).collect::<Vec<_>>(), [(1, true)]);

    store.forget(NodeId(1), NOW).await.unwrap();
    take_inventory(&store, &inventory).await;
    assert_eq!(store.nodes().await.unwrap()[0].node_id, 2);
    let group = ("shop".parse().unwrap(), "sqldb".parse().unwrap());
    let adopted = store.adopt(&host("h1"), "db", (&group.0, &group.1), NOW).await.unwrap();
    assert_eq!(store.adopt(&host("h1"), "db", (&group.0, &group.1), NOW).await.unwrap(), adopted);
    take_inventory(&store, &inventory).await;
    let node = store.nodes().await.unwrap().pop().unwrap();
    assert_eq!((node.adopted, node.present, node.grp.as_str()), (true, true, "sqldb"));
}

#[tokio::test]
async fn a_join_token_is_good_for_one_key_until_it_expires() {
    let (store, _dir) = store().await;
    let token = JoinTokenRow {
        token_id: "t1".into(),
        comment: String::new(),
        created_at: NOW.0,
        created_by: "ann".into(),
        expires_at: NOW.0 + 10,
        used_by: None,
        revoked_at: None,
    };
    store.add_join_token(&token, b"hash").await.unwrap();
    let first = store.use_join_token(b"hash", b"key", &host("h1"), NOW).await.unwrap();
    assert_eq!(first, Used::By(host("h1")));
    let again = store.use_join_token(b"hash", b"key", &host("h2"), NOW).await.unwrap();
    assert_eq!(again, Used::By(host("h1")), "a lost answer costs nothing");
    for (hash, key, now) in
        [(b"hash", b"kex", NOW), (b"hasx", b"key", NOW), (b"hash", b"key", Moment(NOW.0 + 10))]
    {
        let used = store.use_join_token(hash, key, &host("h2"), now).await.unwrap();
        assert_eq!(used, Used::Refused);
    }
    assert!(store.revoke_join_token("t1", NOW).await.unwrap());
    assert_eq!(store.use_join_token(b"hash", b"key", &host("h1"), NOW).await.unwrap(), Used::Refused);
}

#[tokio::test]
async fn api_tokens_are_found_by_hash_until_they_expire_or_are_revoked() {
    let (store, _dir) = store().await;
    let secret = Secret::generate("rda_").unwrap();
    assert!(!format!("{secret:?}").contains(secret.reveal()));
    let new = NewApiToken {
        name: "ci".into(),
        role: Role::Deployer,
        envs: vec!["shop".parse().unwrap()],
        expires_at: NOW.0 + 5,
    };
    let made = store.add_api_token(&new, &secret.hash(), NOW).await.unwrap();
    assert!(matches!(store.add_api_token(&new, b"other", NOW).await, Err(StoreError::Taken { .. })));
    let hash = hash_of(secret.reveal());
    assert_eq!(store.api_token(&hash, NOW).await.unwrap(), Some(made));
    assert_eq!(store.api_token(&hash, Moment(NOW.0 + 5)).await.unwrap(), None);
    assert!(store.revoke_api_token("ci", NOW).await.unwrap());
    assert_eq!(store.api_token(&hash, NOW).await.unwrap(), None);
    assert!(!store.revoke_api_token("nobody", NOW).await.unwrap());
}

#[tokio::test]
async fn the_audit_log_cannot_be_changed() {
    let (store, _dir) = store().await;
    let row = AuditRow {
        at: 1,
        who: "ann".into(),
        what: "deploy".into(),
        target: "shop/cp".into(),
        address: "127.0.0.1".into(),
        result: "ok".into(),
    };
    store.audit(&row).await.unwrap();
    for sql in ["DELETE FROM audit", "UPDATE audit SET who = 'bob'"] {
        assert!(sqlx::query(sql).execute(&store.writer).await.is_err(), "{sql}");
    }
    assert_eq!(store.audit_log().await.unwrap(), [row]);
}

#[tokio::test]
async fn a_damaged_a_foreign_and_a_newer_store_are_refused_with_what_to_do() {
    let (store, dir) = store().await;
    let path = dir.path().join("store.db");
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (999, 'later', 1, x'00', 0)",
    )
    .execute(&store.writer)
    .await
    .unwrap();
    store.close().await;
    let newer = Sqlite::open(&path).await.unwrap_err();
    assert!(matches!(newer, OpenError::Newer { schema: 999, .. }), "{newer:?}");
    assert!(newer.to_string().contains("start the newer redeploy-coordinator"), "{newer}");

    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[100..middle].fill(0xee);
    crate::durable::write(&path, &bytes).unwrap();
    let damaged = Sqlite::open(&path).await.unwrap_err();
    assert!(matches!(damaged, OpenError::Damaged { .. }), "{damaged:?}");
    assert!(damaged.to_string().contains("put back a copy"), "{damaged}");

    crate::durable::write(&path, b"this is no database, but long enough to be looked at as if it were one")
        .unwrap();
    assert!(matches!(Sqlite::open(&path).await, Err(OpenError::Damaged { .. })));
    let nowhere = Sqlite::open(&dir.path().join("no/such/store.db")).await.unwrap_err();
    assert!(nowhere.to_string().contains("check that"), "{nowhere}");
}

#[tokio::test]
async fn an_idempotency_key_is_over_after_a_day_and_may_then_be_used_again() {
    let (store, _dir) = store().await;
    let key = Idempotency { by: "ann".into(), key: "k1".into(), request: vec![1] };
    let with_key = |at: Moment| {
        let mut life = deployment(Phase::Done);
        life.created_at = at;
        let mut batch = batch(&life, true);
        batch.at = Some(at);
        batch.saved[0].new = Some(NewDeployment { idempotency: Some(key.clone()), login: None });
        (life.id, batch)
    };
    let (first, made) = with_key(NOW);
    store.commit(&made).await.unwrap();
    let last = Moment(NOW.after(KEY_LIFE).0 - 1);
    assert_eq!(store.made_with(&key, last).await.unwrap(), Some((first, vec![1])));
    assert!(matches!(store.commit(&with_key(last).1).await, Err(StoreError::Taken { .. })));
    let over = NOW.after(KEY_LIFE);
    assert_eq!(store.made_with(&key, over).await.unwrap(), None);
    let (second, made) = with_key(over);
    store.commit(&made).await.unwrap();
    assert_eq!(store.made_with(&key, over).await.unwrap(), Some((second, vec![1])));
}

#[tokio::test]
async fn the_use_of_a_token_is_noted_once_a_minute() {
    let (store, _dir) = store().await;
    let new = NewApiToken { name: "ci".into(), role: Role::Viewer, envs: vec![], expires_at: 0 };
    let token = store.add_api_token(&new, b"hash", NOW).await.unwrap();
    let used = async |at: Moment| {
        let token = store.api_token(b"hash", at).await.unwrap().unwrap();
        store.api_token_used(&token, at).await.unwrap();
        store.api_tokens().await.unwrap()[0].used_at
    };
    assert_eq!(token.used_at, 0);
    assert_eq!(used(NOW).await, NOW.0);
    assert_eq!(used(NOW.after(Span::seconds(59))).await, NOW.0);
    let later = NOW.after(Span::seconds(60));
    assert_eq!(used(later).await, later.0);
}
