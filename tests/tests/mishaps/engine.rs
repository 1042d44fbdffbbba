//! An engine that is being restarted, or does not do what it is asked, and containers that loop.

use std::sync::Arc;

use redeploy_agent::docker::{Behaviour, Engine, OnStart};
use redeploy_agent::progress::Nobody;
use redeploy_agent::report::Verdict;
use redeploy_agent::saga::{Event, Fault};
use redeploy_agent::steps::Step;
use serde_json::json;

use crate::room::{When, away, plain, room};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undo_waits_for_an_engine_that_is_being_restarted() {
    let room = plain();
    let engine = room.engine.clone();
    let when = When(move |event: &Event| {
        if matches!(event, Event::TurnedBack { .. }) {
            for method in ["stop", "rename", "start", "remove"] {
                engine.fail_next(method, away());
            }
        }
    });
    let report = room.redeploy(Arc::new(when), &[Fault::FailAfter(Step::Start)]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    room.assert_old_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_restarts_while_we_capture_is_noticed_and_undone() {
    let room = plain();
    let engine = room.engine.clone();
    let when = When(move |event: &Event| {
        if matches!(event, Event::Done { step: Step::Capture, .. }) {
            engine.simulate_daemon_restart().unwrap();
        }
    });
    let report = room.redeploy(Arc::new(when), &[]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    assert!(report.failure.unwrap().reason.contains("restarted"));
    room.assert_old_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_loops_is_redeployed_and_a_failure_leaves_it_as_it_was() {
    let looping = Behaviour { on_start: OnStart::ExitsWith(1), ..Behaviour::default() };
    let room = room(looping, json!({ "Cmd": ["/bin/app"] }), Behaviour::default());
    let report = room.redeploy(Arc::new(Nobody), &[Fault::FailAfter(Step::Verify)]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    let report = room.redeploy(Arc::new(Nobody), &[]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
    let web = room.engine.container("web").await.unwrap().unwrap();
    assert!(web.is_alive() && web.image_reference().starts_with("fake/app:v2"));
}
