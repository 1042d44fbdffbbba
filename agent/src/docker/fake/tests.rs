//! What only the fake can do: break on order, restart its engine, and tell on its callers.

use serde_json::json;

use super::*;
use crate::docker::{Engine, RunState};

fn engine() -> (FakeEngine, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let engine = FakeEngine::new(dir.path());
    engine.add_image(FakeImage::default());
    (engine, dir)
}

fn image(tag: &str, behaviour: Behaviour) -> FakeImage {
    FakeImage { reference: format!("fake/app:{tag}"), behaviour, ..FakeImage::default() }
}

fn lost() -> EngineError {
    EngineError::TimedOut { action: "test".into(), seconds: 1 }
}

#[tokio::test]
async fn a_planned_failure_comes_once_before_or_after_the_effect() {
    let (engine, _dir) = engine();
    let id = engine.add_container("web", "fake/app:1", json!({})).unwrap();
    engine.fail_next("stop", lost());
    assert!(engine.stop(&id, None).await.is_err());
    assert_eq!(engine.running(), ["web"]);
    engine.fail_next_after("stop", lost());
    assert!(engine.stop(&id, None).await.is_err());
    assert_eq!(engine.running(), [""; 0]);
    engine.stop(&id, None).await.unwrap();
    assert_eq!(engine.calls(), ["stop", "stop", "stop"]);
}

#[tokio::test]
async fn two_writers_on_one_volume_are_told_of() {
    let (engine, _dir) = engine();
    let body = json!({ "HostConfig": { "Binds": ["data:/data"] } });
    let reader = json!({ "HostConfig": { "Binds": ["data:/data:ro"] } });
    engine.add_container("old", "fake/app:1", body.clone()).unwrap();
    engine.add_container("reader", "fake/app:1", reader).unwrap();
    assert_eq!(engine.violations(), [""; 0]);
    engine.add_container("new", "fake/app:1", body).unwrap();
    assert_eq!(engine.violations(), ["old and new were alive at once with volume data"]);
}

#[tokio::test]
async fn a_start_under_an_open_handle_is_told_of() {
    let (engine, _dir) = engine();
    let id = engine.add_container("web", "fake/app:1", json!({})).unwrap();
    engine.stop(&id, None).await.unwrap();
    let root = engine.open_root(&id).await.unwrap();
    engine.start(&id).await.unwrap();
    assert_eq!(engine.violations(), ["web was started while its root was held open"]);
    drop(root);
}

#[tokio::test]
async fn a_second_handle_on_a_root_that_does_not_run_is_told_of() {
    let (engine, _dir) = engine();
    let id = engine.add_container("web", "fake/app:1", json!({})).unwrap();
    let live = (engine.open_root(&id).await.unwrap(), engine.open_root(&id).await.unwrap());
    engine.stop(&id, None).await.unwrap();
    assert_eq!(engine.violations(), [""; 0]);
    let second = engine.open_root(&id).await.unwrap();
    assert_eq!(engine.violations(), ["the root of web, which does not run, was opened while held open"]);
    drop((live, second));
}

#[tokio::test]
async fn an_engine_restart_brings_back_what_the_policies_name() {
    let (engine, _dir) = engine();
    for policy in ["no", "always", "unless-stopped", "on-failure"] {
        let body = json!({ "HostConfig": { "RestartPolicy": { "Name": policy } } });
        engine.add_container(&format!("up-{policy}"), "fake/app:1", body.clone()).unwrap();
        let stopped = engine.add_container(&format!("stopped-{policy}"), "fake/app:1", body.clone()).unwrap();
        engine.stop(&stopped, None).await.unwrap();
        let mut body = body;
        body["Image"] = json!("fake/app:1");
        engine.create(&format!("created-{policy}"), &body).await.unwrap();
    }
    engine.simulate_daemon_restart().unwrap();
    let back = ["stopped-always", "stopped-on-failure", "up-always", "up-on-failure", "up-unless-stopped"];
    assert_eq!(engine.running(), back);
}

#[tokio::test]
async fn a_parked_container_stays_down() {
    let (engine, _dir) = engine();
    let body = json!({ "HostConfig": { "RestartPolicy": { "Name": "always" } } });
    let id = engine.add_container("web", "fake/app:1", body).unwrap();
    engine.set_restart_policy(&id, &json!({ "Name": "no" })).await.unwrap();
    engine.stop(&id, None).await.unwrap();
    engine.simulate_daemon_restart().unwrap();
    assert_eq!(engine.running(), [""; 0]);
}

#[tokio::test]
async fn containers_live_as_their_image_says() {
    let (engine, _dir) = engine();
    engine.add_image(image("done", Behaviour { on_start: OnStart::ExitsWith(0), ..Behaviour::default() }));
    engine.add_image(image("loops", Behaviour { on_start: OnStart::ExitsWith(3), ..Behaviour::default() }));
    engine.add_image(image("sick", Behaviour { on_start: OnStart::Unhealthy, ..Behaviour::default() }));
    engine.add_image(image("slow", Behaviour { on_start: OnStart::BecomesHealthy, ..Behaviour::default() }));
    let restarts = json!({ "HostConfig": { "RestartPolicy": { "Name": "on-failure" } } });
    for tag in ["done", "loops", "sick", "slow"] {
        engine.add_container(&format!("c-{tag}"), &format!("fake/app:{tag}"), restarts.clone()).unwrap();
    }
    let look = async |name: &str| engine.container(name).await.unwrap().unwrap();
    let done = look("c-done").await;
    assert_eq!((done.state(), done.exit_code()), (RunState::Exited, 0));
    let loops = look("c-loops").await;
    assert_eq!((loops.state(), loops.exit_code(), loops.restart_count()), (RunState::Restarting, 3, 1));
    assert_eq!(look("c-sick").await.health(), Some("unhealthy"));
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(look("c-slow").await.health().unwrap().to_owned());
    }
    assert_eq!(seen, ["starting", "starting", "healthy"]);
}

#[tokio::test]
async fn a_started_container_writes_to_its_volume_or_its_root() {
    let (engine, _dir) = engine();
    let writes = vec![("/data/db".to_owned(), b"1".to_vec()), ("/var/run/pid".to_owned(), b"2".to_vec())];
    engine.add_image(image("writes", Behaviour { writes_on_start: writes, ..Behaviour::default() }));
    let body = json!({ "HostConfig": { "Binds": ["data:/data"] } });
    engine.add_container("web", "fake/app:writes", body).unwrap();
    let root = engine.root_dir("web").unwrap();
    assert_eq!(std::fs::read(engine.volume_dir("data").join("db")).unwrap(), b"1");
    assert_eq!(std::fs::read(root.join("var/run/pid")).unwrap(), b"2");
    assert!(!root.join("data/db").exists());
}

#[tokio::test]
async fn a_container_that_removes_itself_takes_its_anonymous_volumes() {
    let (engine, _dir) = engine();
    let body =
        json!({ "Volumes": { "/a": {} }, "HostConfig": { "AutoRemove": true, "Binds": ["named:/n"] } });
    let id = engine.add_container("once", "fake/app:1", body).unwrap();
    assert_eq!(engine.lock().volumes.len(), 2);
    engine.stop(&id, None).await.unwrap();
    assert_eq!(engine.names_of_all(), [""; 0]);
    assert_eq!(engine.lock().volumes.keys().collect::<Vec<_>>(), ["named"]);
}

#[tokio::test]
async fn the_oldest_api_takes_one_network_and_overlays_refuse_a_rename() {
    let (engine, _dir) = engine();
    engine.add_network("mesh", "overlay");
    let both = json!({
        "Image": "fake/app:1", "HostConfig": { "NetworkMode": "mesh" },
        "NetworkingConfig": { "EndpointsConfig": { "mesh": {}, "bridge": {} } }
    });
    assert!(matches!(engine.create("two", &both).await, Err(EngineError::Refused { status: 400, .. })));
    let id = engine
        .add_container("web", "fake/app:1", json!({ "HostConfig": { "NetworkMode": "mesh" } }))
        .unwrap();
    assert!(engine.rename(&id, "parked").await.is_err());
    engine.network_disconnect("mesh", &id).await.unwrap();
    engine.rename(&id, "parked").await.unwrap();
}
