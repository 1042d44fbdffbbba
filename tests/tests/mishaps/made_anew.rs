//! Somebody removes the old container: it is made anew, and whatever leans on it.

use std::sync::Arc;

use redeploy_agent::docker::Engine;
use redeploy_agent::orders::Refused;
use redeploy_agent::progress::Nobody;
use redeploy_agent::report::Verdict;
use redeploy_agent::saga::{Event, ExecutorError, Fault};
use redeploy_agent::steps::Step;
use serde_json::json;

use crate::room::{Moment, Room, When, away, id_of_web, in_root, in_root_of, plain, remove_now, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_old_container_is_made_anew_with_what_is_kept() {
    let moments: [(&str, Moment, bool); 6] = [
        ("create", |event| matches!(event, Event::Done { step: Step::Create, .. }), false),
        ("capture", |event| matches!(event, Event::Done { step: Step::Capture, .. }), true),
        ("prefill", |event| matches!(event, Event::Done { step: Step::Prefill, .. }), true),
        ("stop", |event| matches!(event, Event::Done { step: Step::Stop, .. }), true),
        ("swap", |event| matches!(event, Event::Done { step: Step::Swap, .. }), true),
        ("start", |event| matches!(event, Event::Done { step: Step::Start, .. }), true),
    ];
    for (what, moment, is_captured) in moments {
        let room = plain();
        let id = room.engine.container("web").await.unwrap().unwrap().id().to_owned();
        let root = room.engine.root_dir("web").unwrap();
        write(root.join("srv/keep/a"), "mine");
        write(root.join("etc/unlisted"), "mine");
        write(room.volume_file("rows"), "rows");
        let engine = room.engine.clone();
        let gone = id.clone();
        let when = When(move |event: &Event| {
            if moment(event) {
                remove_now(&engine, &gone);
            }
        });
        let faults = [Fault::FailAfter(Step::Verify), Fault::RepeatUndo];
        let report = room.redeploy(Arc::new(when), &faults).await.unwrap();
        assert_eq!(report.verdict, Verdict::Undone, "{what}: {report:#?}");
        room.assert_old_serves().await;
        let web = room.engine.container("web").await.unwrap().unwrap();
        assert_ne!(web.id(), id, "{what}");
        let kept = in_root(&room, "/srv/keep/a").await;
        assert_eq!(kept.as_deref(), Some(if is_captured { "mine" } else { "v1" }), "{what}");
        assert_eq!(in_root(&room, "/etc/unlisted").await, None, "{what}");
        assert_eq!(std::fs::read_to_string(room.volume_file("rows")).unwrap(), "rows", "{what}");
        let note = report.failure.unwrap().made_anew.unwrap();
        assert!(note.contains("/etc/unlisted"), "{what}: {note}");
        assert_eq!(note.contains("before all that is kept"), !is_captured, "{what}: {note}");
        let misses_the_end = matches!(what, "capture" | "prefill" | "stop");
        assert_eq!(note.contains("what was written there later is lost"), misses_the_end, "{what}: {note}");
        assert_eq!(room.engine.violations(), Vec::<String>::new(), "{what}");
        // It is a container like any other: the next redeploy finds nothing strange about it.
        let report = room.redeploy(Arc::new(Nobody), &[]).await.unwrap();
        assert_eq!(report.verdict, Verdict::Done, "{what}: {report:#?}");
        let web = room.engine.container("web").await.unwrap().unwrap();
        assert_eq!(web.label("io.redeploy.made"), None, "{what}");
    }
}

/// Somebody removes `web` once its successor has started, that fails, and the agent is stopped at every record from then
/// on, one after the other. `meanwhile` is done before `recover`, `holds` looks at what that leaves.
async fn removed_and_stopped_anywhere(
    lay_out: impl Fn() -> Room,
    meanwhile: impl Fn(&Room, u32),
    holds: impl AsyncFn(&Room, u32),
) {
    let mut stopped = 0;
    for seq in 17.. {
        let room = lay_out();
        let (engine, id) = (room.engine.clone(), id_of_web(&room).await);
        let when = When(move |event: &Event| {
            if matches!(event, Event::Done { step: Step::Start, .. }) {
                remove_now(&engine, &id);
            }
        });
        let faults = [Fault::FailAfter(Step::Verify), Fault::StopAt(seq)];
        match room.redeploy(Arc::new(when), &faults).await {
            Err(Refused::Executor(ExecutorError::StoppedByFault(_))) => stopped += 1,
            Ok(_) => break,
            other => panic!("{other:?}"),
        }
        meanwhile(&room, seq);
        room.agent(Arc::new(Nobody), &[]).recover().await.unwrap();
        holds(&room, seq).await;
        assert_eq!(room.engine.violations(), Vec::<String>::new(), "{seq}");
    }
    assert!(stopped >= 12, "only {stopped}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_removed_and_then_interrupted_anywhere_is_made_anew_all_the_same() {
    let lay_out = || {
        let room = plain();
        write(room.engine.root_dir("web").unwrap().join("srv/keep/a"), "mine");
        room
    };
    removed_and_stopped_anywhere(
        lay_out,
        |_, _| {},
        async |room, seq| {
            room.assert_old_serves().await;
            assert_eq!(in_root(room, "/srv/keep/a").await.as_deref(), Some("mine"), "{seq}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_removed_while_the_new_one_proves_itself_is_no_way_back_and_the_report_says_so() {
    let room = plain();
    let id = room.engine.container("web").await.unwrap().unwrap().id().to_owned();
    let engine = room.engine.clone();
    let when = When(move |event: &Event| {
        if matches!(event, Event::Started { step: Step::Verify }) {
            remove_now(&engine, &id);
        }
    });
    let report = room.redeploy(Arc::new(when), &[]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
    assert_eq!(report.parked, None);
    assert!(report.warnings.iter().any(|warning| warning.contains("nothing to revert to")), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_leans_on_a_removed_container_is_made_anew_with_it() {
    let steps = [Step::Create, Step::Capture, Step::Prefill, Step::Stop, Step::Swap, Step::Start];
    for (step, victim) in steps.into_iter().flat_map(|step| [(step, "web"), (step, "side")]) {
        let what = format!("{victim} after {step}");
        let room = plain();
        let body = json!({ "HostConfig": { "NetworkMode": "container:web", "RestartPolicy": { "Name": "always" } } });
        room.engine.add_container("side", "fake/app:v1", body).unwrap();
        write(room.engine.root_dir("side").unwrap().join("etc/anything"), "mine");
        let id = room.engine.container(victim).await.unwrap().unwrap().id().to_owned();
        let engine = room.engine.clone();
        let when = When(move |event: &Event| {
            if matches!(event, Event::Done { step: done, .. } if *done == step) {
                remove_now(&engine, &id);
            }
        });
        let faults = [Fault::FailAfter(Step::Verify), Fault::RepeatUndo];
        let report = room.redeploy(Arc::new(when), &faults).await.unwrap();
        assert_eq!(report.verdict, Verdict::Undone, "{what}: {report:#?}");
        assert_eq!(room.engine.running(), ["side", "web"], "{what}");
        assert_eq!(room.engine.names_of_all(), ["side", "web"], "{what}");
        let (web, side) = (id_of_web(&room).await, room.engine.container("side").await.unwrap().unwrap());
        assert_eq!(side.raw()["HostConfig"]["NetworkMode"], format!("container:{web}"), "{what}");
        assert_eq!(side.restart_policy()["Name"], "always", "{what}");
        // All of it is captured, and one that still stands there need not be captured.
        if victim == "web" || step > Step::Create {
            assert_eq!(in_root_of(&room, "side", "/etc/anything").as_deref(), Some("mine"), "{what}");
        }
        let failure = report.failure.unwrap();
        assert!(failure.notes.len() == 1 && failure.notes[0].contains("side was made anew"), "{failure:#?}");
        assert_eq!(failure.made_anew.is_some(), victim == "web", "{what}");
        assert_eq!(room.engine.violations(), Vec::<String>::new(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_leans_on_a_removed_container_comes_back_after_any_interruption() {
    let lay_out = || {
        let room = plain();
        let body = json!({ "HostConfig": { "NetworkMode": "container:web" } });
        room.engine.add_container("side", "fake/app:v1", body).unwrap();
        write(room.engine.root_dir("side").unwrap().join("etc/anything"), "mine");
        room
    };
    // And once more in the middle of an undo.
    let meanwhile = |room: &Room, seq: u32| {
        let method = ["create", "rename", "remove", "open_root", "start"][seq as usize % 5];
        room.engine.fail_next_after(method, away());
    };
    removed_and_stopped_anywhere(lay_out, meanwhile, async |room, seq| {
        assert_eq!(room.engine.running(), ["side", "web"], "{seq}");
        assert_eq!(room.engine.names_of_all(), ["side", "web"], "{seq}");
        assert_eq!(in_root_of(room, "side", "/etc/anything").as_deref(), Some("mine"), "{seq}");
    })
    .await;
}
