//! Somebody acts on one of our containers, or something of ours comes into being late.

use std::sync::Arc;

use redeploy_agent::docker::Engine;
use redeploy_agent::orders::Refused;
use redeploy_agent::paths::DataDir;
use redeploy_agent::plan::Plan;
use redeploy_agent::progress::Nobody;
use redeploy_agent::report::Verdict;
use redeploy_agent::saga::{Event, ExecutorError, Fault};
use redeploy_agent::steps::Step;
use serde_json::json;

use crate::room::{Room, When, id_of_web, plain, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_old_one_wrote_after_somebody_started_it_again_is_never_put_back() {
    let room = plain();
    write(room.volume_file("rows"), "then");
    // Stopped right after the new one was started; a human follows the recovery sheet, and the service goes on.
    let id = room.engine.container("web").await.unwrap().unwrap().id().to_owned();
    let mut stopped_at = None;
    for seq in 0..40 {
        match room.redeploy(Arc::new(Nobody), &[Fault::StopAt(seq), Fault::FailAfter(Step::Verify)]).await {
            Err(Refused::Executor(ExecutorError::StoppedByFault(_))) => {}
            other => panic!("{other:?}"),
        }
        if room.engine.container(&id).await.unwrap().unwrap().name() != "web" {
            stopped_at = Some(seq);
            break;
        }
        room.agent(Arc::new(Nobody), &[]).recover().await.unwrap();
    }
    assert!(stopped_at.is_some(), "the swap was never reached");
    let new = room.engine.container("web").await.unwrap().unwrap().id().to_owned();
    room.engine.start(&new).await.unwrap();
    room.engine.stop(&new, None).await.unwrap();
    room.engine.rename(&new, "aside").await.unwrap();
    room.engine.rename(&id, "web").await.unwrap();
    room.engine.start(&id).await.unwrap();
    write(room.volume_file("rows"), "days later");
    let reports = room.agent(Arc::new(Nobody), &[]).recover().await.unwrap();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].verdict, Verdict::Undone, "{reports:#?}");
    assert_eq!(std::fs::read_to_string(room.volume_file("rows")).unwrap(), "days later");
    room.assert_old_serves().await;
}

/// Enough for a step to take longer than the engine needs to tell of an event.
#[expect(clippy::disallowed_methods, reason = "a user writes as users do")]
fn much_data(path: &std::path::Path) {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut block = vec![0_u8; 1 << 20];
    for word in block.chunks_exact_mut(8) {
        seed = (seed ^ (seed << 7)).wrapping_mul(0x2545_F491_4F6C_DD1D).rotate_left(17);
        word.copy_from_slice(&seed.to_le_bytes());
    }
    std::fs::write(path, block.repeat(64)).unwrap();
}

/// Somebody acts as soon as a step has begun that has much to do.
async fn cut_short(step: Step, act: &'static str, found: &str) -> Room {
    let room = plain();
    let (file, engine) = (room.volume_file("big"), room.engine.clone());
    much_data(&file);
    let (runtime, old) = (tokio::runtime::Handle::current(), id_of_web(&room).await);
    let when = When(move |event: &Event| {
        // So that there is something left for the last round.
        if matches!(event, Event::Done { step: Step::Stop, .. }) {
            much_data(&file);
        }
        if !matches!(event, Event::Started { step: begun } if *begun == step) {
            return;
        }
        let (engine, old) = (engine.clone(), old.clone());
        runtime.spawn(async move {
            let new = engine.names_of_all().into_iter().find(|name| name.contains(".new-"));
            match act {
                "rename old" => engine.rename(&old, "elsewhere").await.unwrap(),
                "start old" => engine.start(&old).await.unwrap(),
                _ => engine.remove(&new.unwrap()).await.unwrap(),
            }
        });
    });
    let report = room.redeploy(Arc::new(when), &[]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    let last = report.steps.last().unwrap();
    assert_eq!((last.step, last.took_ms), (step, None), "it went on: {report:#?}");
    let interference = report.failure.unwrap().interference.unwrap();
    assert!(interference.found.contains(found), "{interference:?}");
    room
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_acts_on_our_containers_ends_a_long_step_at_once() {
    let room = cut_short(Step::Capture, "rename old", "renamed to elsewhere").await;
    assert_eq!(room.engine.running(), ["elsewhere"]);
    let room = cut_short(Step::Prefill, "remove new", "no longer exists").await;
    room.assert_old_serves().await;
    let room = cut_short(Step::Settle, "start old", "has been started").await;
    room.assert_old_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_container_that_comes_into_being_after_its_undo_is_pruned() {
    let room = plain();
    let report = room.redeploy(Arc::new(Nobody), &[Fault::FailAfter(Step::Create)]).await.unwrap();
    let text =
        std::fs::read_to_string(DataDir::new(&room.config.data_dir).redeploy(report.id).plan()).unwrap();
    let plan: Plan = serde_json::from_str(&text).unwrap();
    let redeploy_agent::plan::Incoming::New(new) = &plan.incoming else { panic!("{plan:?}") };
    // The engine was still at it when the agent was killed, and its successor found nothing to undo.
    room.engine.create(&new.temporary_name, &new.recreation.body).await.unwrap();
    let stranger = json!({ "Image": "fake/app:v2" });
    room.engine.create("web.new-stranger", &stranger).await.unwrap();
    let tidied = room.agent(Arc::new(Nobody), &[]).prune().await.unwrap();
    assert_eq!(tidied.containers, std::slice::from_ref(&new.temporary_name));
    assert_eq!(room.engine.names_of_all(), ["web", "web.new-stranger"]);
}
