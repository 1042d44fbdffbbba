//! What can only be seen on the wire and in the mount table.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use redeploy_agent::docker::{API_MIN, Engine, EngineError, HostView, RealEngine};

use crate::fake::Fake;
use crate::files::{read, write};
use crate::fixture::{Fixture, MOTD, PATIENCE};
use crate::proxy::Proxy;
use crate::real::Real;

/// Waits until `done` says so.
async fn eventually(what: &str, done: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

fn is_mounted(path: &str) -> bool {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_names_the_version_and_closes_its_connection() {
    let (real, proxy) = (Real::new().await, Proxy::new());
    let engine = RealEngine::connect(&proxy.socket(), HostView::detect()).await.unwrap();
    let id = real.create("wire", &real.body()).await;
    let witness = engine.witness(&id).await.unwrap();
    engine.start(&id).await.unwrap();
    engine.logs(&id, 1).await.unwrap();
    engine.diff(&id).await.unwrap();
    engine.open_root(&id).await.unwrap();
    let mut events = engine.events(0).await.unwrap();
    events.next().await.unwrap().unwrap();
    drop(events);
    drop(witness);
    engine.stop(&id, Some(Duration::from_secs(5))).await.unwrap();
    engine.open_root(&id).await.unwrap();
    engine.remove(&id).await.unwrap();
    let pulled = engine.pull("127.0.0.1:1/nobody", "1", None, &|_| {}).await;
    assert!(matches!(pulled, Err(EngineError::Pull { .. })));
    let asked = proxy.asked.lock().unwrap().clone();
    let (first, rest) = asked.split_first().unwrap();
    assert_eq!(first, "GET /version HTTP/1.1");
    assert!(rest.len() > 10);
    let api = format!(" /v{}/", engine.info().await.unwrap().api);
    assert!(rest.iter().all(|line| line.contains(&api)), "{rest:?}");
    eventually("connections stay open", || proxy.open.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn giving_up_on_a_root_lets_the_container_go() {
    let (real, proxy) = (Real::new().await, Proxy::new());
    let engine = RealEngine::connect(&proxy.socket(), HostView::detect()).await.unwrap();
    let id = real.create("given-up", &real.body()).await;
    let container = real.inspect(&id).await;
    // With the containerd store the engine does not tell the place; the container's id is in it.
    let merged = container.raw()["GraphDriver"]["Data"]["MergedDir"].as_str().unwrap_or(&id);
    for milliseconds in [0, 2, 5, 8, 12, 20, 40] {
        let patience = Duration::from_millis(milliseconds);
        let _ = tokio::time::timeout(patience, engine.open_root(&id)).await;
        eventually("connections stay open", || proxy.open.load(Ordering::SeqCst) == 0).await;
    }
    eventually("the root stays mounted", || !is_mounted(merged)).await;
    let root = engine.open_root(&id).await.unwrap();
    assert_eq!(read(&root, "etc/motd").unwrap(), MOTD);
    drop(root);
    engine.start(&id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_may_open_a_root_at_once() {
    let real = Real::new().await;
    let id = real.create("twice", &real.body()).await;
    let (one, two) = tokio::join!(real.engine().open_root(&id), real.engine().open_root(&id));
    for root in [one.unwrap(), two.unwrap()] {
        assert_eq!(read(&root, "etc/motd").unwrap(), MOTD);
    }
    let alone = real.engine().open_root(&id).await.unwrap();
    write(&alone, "etc/later", b"1");
    drop(alone);
    real.engine().start(&id).await.unwrap();
    let root = real.engine().open_root(&id).await.unwrap();
    assert_eq!(read(&root, "etc/later").unwrap(), b"1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_under_way_is_waited_for() {
    let real = Real::new().await;
    let id = real.create("removed-twice", &real.body()).await;
    real.engine().start(&id).await.unwrap();
    let (one, two) = tokio::join!(real.engine().remove(&id), real.engine().remove(&id));
    one.unwrap();
    two.unwrap();
    assert!(real.engine().container(&id).await.unwrap().is_none());
}

/// What engines since API 1.42 left out or lengthened: the fake is as Engine 20.10.
const SINCE_1_42: [&str; 3] = ["KernelMemory", "KernelMemoryTCP", "MaskedPaths"];

/// The fake bakes in the same settings as Engine 20.10, field by field.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fake_describes_a_container_as_the_real_engine_does() {
    let (real, fake) = (Real::new().await, Fake::new());
    let api = real.engine().info().await.unwrap().api;
    let mut sides = Vec::new();
    for fixture in [&real as &dyn Fixture, &fake] {
        let mut body = fixture.body();
        body["Image"] = serde_json::json!(fixture.image_with_volume());
        body["Env"] = serde_json::json!(["A=1"]);
        body["ExposedPorts"] = serde_json::json!({ "80/tcp": {} });
        body["HostConfig"]["Memory"] = serde_json::json!(64 << 20);
        body["HostConfig"]["RestartPolicy"] = serde_json::json!({ "Name": "always" });
        let id = fixture.create("described", &body).await;
        let mut raw = fixture.inspect(&id).await.raw().clone();
        raw["Config"]["Image"] = serde_json::json!("same");
        raw["Config"]["Hostname"] = serde_json::json!("same");
        // Set for all containers in the engine's own configuration.
        raw["HostConfig"]["LogConfig"]["Config"] = serde_json::json!({});
        if let Some(volume) = raw["Mounts"][0]["Name"].as_str() {
            fixture.clean_up_volume(volume);
        }
        sides.push(raw);
    }
    let [real, fake] = sides.as_slice() else { panic!("two sides") };
    let mut different = Vec::new();
    let changed = if api > API_MIN { SINCE_1_42.as_slice() } else { &[] };
    for part in ["Config", "HostConfig", "State"] {
        let keys = real[part].as_object().unwrap().keys().chain(fake[part].as_object().unwrap().keys());
        for key in keys.collect::<std::collections::BTreeSet<_>>() {
            if real[part][key] != fake[part][key] && !changed.contains(&key.as_str()) {
                different.push(format!("{part}.{key}: real {} fake {}", real[part][key], fake[part][key]));
            }
        }
    }
    assert!(different.is_empty(), "{different:#?}");
    for key in ["Type", "Destination", "Driver", "Mode", "RW", "Propagation"] {
        assert_eq!(real["Mounts"][0][key], fake["Mounts"][0][key], "{key}");
    }
    let keys =
        |side: &serde_json::Value| side["NetworkSettings"]["Networks"]["none"].as_object().unwrap().clone();
    let missing: Vec<String> =
        keys(real).keys().filter(|key| !keys(fake).contains_key(*key)).cloned().collect();
    let added: &[&str] = if api > API_MIN { &["GwPriority", "DNSNames"] } else { &[] };
    assert!(missing.iter().all(|key| added.contains(&key.as_str())), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_restart_policy_of_a_container_that_is_exiting_can_be_set() {
    let real = Real::new().await;
    let engine = real.engine();
    let mut body = real.body();
    body["Cmd"] = serde_json::json!(["/bin/busybox", "false"]);
    let id = real.create("exiting", &body).await;
    for policy in ["always", "no"].into_iter().cycle().take(20) {
        engine.start(&id).await.unwrap();
        engine.set_restart_policy(&id, &serde_json::json!({ "Name": policy })).await.unwrap();
        let found = engine.container(&id).await.unwrap().unwrap();
        assert_eq!(found.restart_policy()["Name"], policy);
    }
}
