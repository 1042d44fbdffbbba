//! Containers, networks, events, logs.

use std::time::Duration;

use futures_util::StreamExt;
use redeploy_agent::docker::{API_MAX, API_MIN, EngineError, RunState};
use serde_json::json;

use crate::fixture::{ENDS_WITH, Fixture, PATIENCE, PRINTS};

/// The HTTP status of a refusal.
pub(crate) fn status<T: std::fmt::Debug>(result: Result<T, EngineError>) -> u16 {
    match result {
        Err(EngineError::Refused { status, .. }) => status,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

pub(crate) async fn a_container_lives_from_create_to_remove(fixture: &impl Fixture) {
    let (engine, name) = (fixture.engine(), fixture.name("life"));
    let id = fixture.create("life", &fixture.body()).await;
    let created = fixture.inspect(&name).await;
    assert_eq!((created.id(), created.name(), created.state()), (&*id, &*name, RunState::Created));
    assert_eq!(created.pid(), 0);

    engine.start(&id).await.unwrap();
    let running = fixture.inspect(&id).await;
    assert_eq!(running.state(), RunState::Running);
    assert!(running.pid() > 0);
    engine.start(&id).await.unwrap();
    assert_eq!(fixture.inspect(&id).await.started_at(), running.started_at());
    assert!(engine.containers().await.unwrap().iter().any(|container| container.id() == id));

    engine.stop(&id, Some(Duration::from_secs(20))).await.unwrap();
    assert_eq!(fixture.inspect(&id).await.state(), RunState::Exited);
    engine.stop(&id, None).await.unwrap();

    let parked = fixture.name("parked");
    engine.rename(&id, &parked).await.unwrap();
    assert!(engine.container(&name).await.unwrap().is_none());
    assert_eq!(fixture.inspect(&parked).await.id(), id);

    engine.start(&id).await.unwrap();
    assert_eq!(status(engine.remove_stopped(&id).await), 409);
    assert_eq!(fixture.inspect(&id).await.state(), RunState::Running);
    engine.remove(&id).await.unwrap();
    assert!(engine.container(&id).await.unwrap().is_none());
    engine.remove(&id).await.unwrap();

    let id = fixture.create("life", &fixture.body()).await;
    engine.remove_stopped(&id).await.unwrap();
    assert!(engine.container(&id).await.unwrap().is_none());
    engine.remove_stopped(&id).await.unwrap();
}

/// One that the engine removes when it stops is still there, and its root readable, as long as it is held.
pub(crate) async fn a_held_container_ends_unnoticed(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let mut body = fixture.body();
    body["HostConfig"]["AutoRemove"] = json!(true);
    let id = fixture.create("held", &body).await;
    engine.start(&id).await.unwrap();
    let root = engine.open_root(&id).await.unwrap();
    let hold = engine.hold(&id).await.unwrap();
    assert!(hold.stands());
    hold.stop().await.unwrap();
    assert_eq!(crate::files::read(&root, "etc/motd").unwrap(), crate::fixture::MOTD);
    assert!(hold.stands());
    drop(root);
    drop(hold);
    let gone = tokio::time::timeout(PATIENCE, async {
        while engine.container(&id).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(gone.await.is_ok(), "it was not removed");
}

pub(crate) async fn what_is_missing_is_none_or_refused(fixture: &impl Fixture) {
    let (engine, none) = (fixture.engine(), fixture.name("none"));
    assert!(engine.container(&none).await.unwrap().is_none());
    assert!(engine.container("").await.unwrap().is_none());
    assert!(engine.image(&format!("{none}:1")).await.unwrap().is_none());
    assert!(engine.network(&none).await.unwrap().is_none());
    assert!(engine.volume(&none).await.unwrap().is_none());
    assert!(engine.volume("../../info").await.unwrap().is_none());
    engine.remove(&none).await.unwrap();
    engine.remove_volume(&none).await.unwrap();
    engine.untag(&format!("{none}:1")).await.unwrap();
    assert_eq!(status(engine.start(&none).await), 404);
    assert_eq!(status(engine.stop(&none, None).await), 404);
    assert_eq!(status(engine.rename(&none, &fixture.name("other")).await), 404);
    assert_eq!(status(engine.logs(&none, 1).await), 404);
    assert_eq!(status(engine.diff(&none).await), 404);
    assert_eq!(status(engine.set_restart_policy(&none, &json!({ "Name": "no" })).await), 404);
    assert_eq!(
        status(engine.create(&none, &json!({ "Image": format!("{none}:1"), "Cmd": ["x"] })).await),
        404
    );
    assert!(matches!(engine.open_root(&none).await, Err(EngineError::NoRoot { .. })));
    assert!(matches!(engine.open_volume(&none).await, Err(EngineError::NoRoot { .. })));

    // The beginning of an id or name is not the whole.
    let id = fixture.create("whole", &fixture.body()).await;
    assert!(engine.container(id.get(..12).unwrap()).await.unwrap().is_none());
    assert!(engine.container(&fixture.name("who")).await.unwrap().is_none());
    let image = engine.image(&fixture.image()).await.unwrap().unwrap();
    let digits = image.id().trim_start_matches("sha256:");
    assert!(engine.image(digits).await.unwrap().is_some());
    assert!(engine.image(digits.get(..12).unwrap()).await.unwrap().is_none());
}

pub(crate) async fn names_are_taken_once(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let first = fixture.create("first", &fixture.body()).await;
    let second = fixture.create("second", &fixture.body()).await;
    assert_eq!(status(engine.create(&fixture.name("first"), &fixture.body()).await), 409);
    assert_eq!(status(engine.rename(&second, &fixture.name("first")).await), 409);
    assert_eq!(fixture.inspect(&fixture.name("first")).await.id(), first);
    assert_eq!(status(engine.create("no/slashes", &fixture.body()).await), 400);
}

pub(crate) async fn image_settings_are_merged_into_new_containers(fixture: &impl Fixture) {
    let mut body = fixture.body();
    body["Env"] = json!(["SHARED=mine", "OWN=1"]);
    body["Labels"] = json!({ "shared": "mine" });
    body["HostConfig"]["Memory"] = json!(64 << 20);
    let id = fixture.create("merged", &body).await;
    let container = fixture.inspect(&id).await;
    let raw = container.raw();
    assert_eq!(raw["Config"]["Env"], json!(["SHARED=mine", "OWN=1", "FROM_IMAGE=yes"]));
    assert_eq!(raw["Config"]["Labels"], json!({ "from": "image", "shared": "mine" }));
    assert_eq!(raw["Config"]["WorkingDir"], "/etc");
    assert_eq!(raw["Config"]["Cmd"][0], "/bin/busybox");
    assert_eq!(raw["Config"]["Hostname"], id.get(..12).unwrap());
    assert_eq!(raw["HostConfig"]["MemorySwap"], 128 << 20);
    assert_eq!(raw["HostConfig"]["Runtime"], "runc");
    assert_eq!(container.image_reference(), fixture.image());
    let image = fixture.engine().image(&fixture.image()).await.unwrap().unwrap();
    assert_eq!(container.image_id(), image.id());

    body["Entrypoint"] = json!(["/bin/busybox", "true"]);
    let own = fixture.create("own-entrypoint", &body).await;
    let own = fixture.inspect(&own).await;
    assert_eq!(own.raw()["Config"]["Entrypoint"], json!(["/bin/busybox", "true"]));
    assert!(own.raw()["Config"]["Cmd"].is_null());
}

pub(crate) async fn restart_policies_are_recorded(fixture: &impl Fixture) {
    let mut body = fixture.body();
    body["HostConfig"]["RestartPolicy"] = json!({ "Name": "on-failure", "MaximumRetryCount": 3 });
    let id = fixture.create("policy", &body).await;
    let kept = fixture.inspect(&id).await.restart_policy().clone();
    assert_eq!(kept, json!({ "Name": "on-failure", "MaximumRetryCount": 3 }));
    fixture.engine().set_restart_policy(&id, &json!({ "Name": "no" })).await.unwrap();
    assert_eq!(fixture.inspect(&id).await.restart_policy()["Name"], "no");
    fixture.engine().set_restart_policy(&id, &kept).await.unwrap();
    assert_eq!(fixture.inspect(&id).await.restart_policy(), &kept);
}

pub(crate) async fn a_taken_host_port_fails_the_start(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let mut body = fixture.body();
    body["ExposedPorts"] = json!({ "80/tcp": {} });
    body["HostConfig"] =
        json!({ "PortBindings": { "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": port }] } });
    let first = fixture.create("port-a", &body).await;
    let second = fixture.create("port-b", &body).await;
    engine.start(&first).await.unwrap();
    let refusal = engine.start(&second).await.unwrap_err();
    assert!(refusal.to_string().contains("port is already allocated"), "{refusal}");
    assert!(!fixture.inspect(&second).await.is_alive());
    engine.stop(&first, None).await.unwrap();
    engine.start(&second).await.unwrap();
}

pub(crate) async fn networks_are_joined_and_left(fixture: &impl Fixture) {
    let (engine, network) = (fixture.engine(), fixture.name("net"));
    fixture.add_network(&network);
    let found = engine.network(&network).await.unwrap().unwrap();
    assert_eq!(found["Name"], *network);
    assert!(engine.network(found["Id"].as_str().unwrap()).await.unwrap().is_some());

    let body = json!({ "Image": fixture.image(), "HostConfig": { "NetworkMode": "bridge" } });
    let id = fixture.create("joins", &body).await;
    engine.network_connect(&network, &id, &json!({ "Aliases": ["db"] })).await.unwrap();
    let joined = fixture.inspect(&id).await;
    let endpoint = &joined.raw()["NetworkSettings"]["Networks"][&network];
    assert!(endpoint["Aliases"].as_array().unwrap().contains(&json!("db")), "{endpoint}");
    engine.start(&id).await.unwrap();
    engine.network_disconnect(&network, &id).await.unwrap();
    let left = fixture.inspect(&id).await;
    assert!(left.raw()["NetworkSettings"]["Networks"].get(&network).is_none());
    engine.network_disconnect(&network, &id).await.unwrap();
    // Not the status: an engine that is in a swarm asks its manager, and answers 500.
    let nowhere = engine.network_connect(&fixture.name("none"), &id, &json!({})).await.unwrap_err();
    assert!(nowhere.to_string().contains("not found"), "{nowhere}");
}

pub(crate) async fn events_tell_what_happened(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let early = fixture.create("events", &fixture.body()).await;
    let since = time_of_create(fixture, &early).await;
    let mut events = engine.events(since).await.unwrap();
    engine.start(&early).await.unwrap();
    engine.stop(&early, None).await.unwrap();
    engine.remove(&early).await.unwrap();
    let mut wanted = vec!["create", "start", "die", "destroy"].into_iter().peekable();
    tokio::time::timeout(PATIENCE, async {
        while let Some(action) = wanted.peek() {
            let event = events.next().await.unwrap().unwrap();
            assert!(event.time_ns >= since);
            if event.container == early && event.action == *action {
                wanted.next();
            }
        }
    })
    .await
    .unwrap();
}

/// A moment just before a container came into being.
async fn time_of_create(fixture: &impl Fixture, id: &str) -> i64 {
    let container = fixture.inspect(id).await;
    let created: jiff::Timestamp = container.raw()["Created"].as_str().unwrap().parse().unwrap();
    i64::try_from(created.as_nanosecond()).unwrap() - 1_000_000
}

pub(crate) async fn logs_are_the_last_lines(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let id = fixture.create("logs", &fixture.body()).await;
    assert_eq!(engine.logs(&id, 10).await.unwrap(), "");
    engine.start(&id).await.unwrap();
    tokio::time::timeout(PATIENCE, async {
        while engine.logs(&id, 100).await.unwrap() != PRINTS {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(engine.logs(&id, 2).await.unwrap(), "two\nthree\n");
}

pub(crate) async fn what_a_container_says_and_how_it_ends_is_witnessed(fixture: &impl Fixture) {
    let engine = fixture.engine();
    assert_eq!(status(engine.witness(&fixture.name("none")).await.map(drop)), 404);
    for is_terminal in [false, true] {
        let mut body = fixture.body_of_one_that_ends();
        body["Tty"] = json!(is_terminal);
        body["HostConfig"]["AutoRemove"] = json!(true);
        let id = fixture.create(&format!("heard-{is_terminal}"), &body).await;
        let witness = engine.witness(&id).await.unwrap();
        engine.start(&id).await.unwrap();
        // The engine removes it, and what it said was in nothing but in it.
        let account = witness.account(2, PATIENCE).await;
        assert_eq!(account.output.replace('\r', ""), "two\nthree\n", "a terminal: {is_terminal}");
        assert_eq!(account.exit_code, Some(ENDS_WITH), "a terminal: {is_terminal}");
        assert_eq!(witness.account(100, PATIENCE).await.output.replace('\r', ""), PRINTS);
    }
    // One that lives on has said what it has said so far.
    let id = fixture.create("heard-alive", &fixture.body()).await;
    let witness = engine.witness(&id).await.unwrap();
    engine.start(&id).await.unwrap();
    let told = tokio::time::timeout(PATIENCE, async {
        while witness.account(100, Duration::from_millis(10)).await.output != PRINTS {}
    });
    assert!(told.await.is_ok(), "it was not heard");
    assert_eq!(witness.account(1, Duration::ZERO).await.exit_code, None);
}

pub(crate) async fn the_engine_describes_itself(fixture: &impl Fixture) {
    let info = fixture.engine().info().await.unwrap();
    assert!((API_MIN..=API_MAX).contains(&info.api));
    assert_eq!(info.os, "linux");
    for text in [&info.version, &info.architecture, &info.root_dir, &info.storage_driver, &info.engine_id] {
        assert!(!text.is_empty(), "{info:?}");
    }
    assert_eq!((&*info.default_runtime, &*info.default_log_driver), ("runc", "json-file"));
    assert!(matches!(info.cgroup_version, 1 | 2));
}
