//! Containers that were started with `--rm`, and an engine that does not hold them, or tells nothing of them.

use std::sync::Arc;

use redeploy_agent::docker::{Behaviour, Engine, EngineError, FakeEngine, OnStart};
use redeploy_agent::image::PullPolicy;
use redeploy_agent::progress::Nobody;
use redeploy_agent::report::Verdict;
use redeploy_agent::saga::{Event, Fault};
use redeploy_agent::steps::Step;
use redeploy_proto::RedeployId;
use redeploy_tests::in_process::request;
use serde_json::json;

use crate::room::{Moment, Room, When, archives, away, in_root, plain, remove_now, room, volumes, write};

/// `web` from v1, started with `--rm`, and what a user wrote into it. Its engine can lose its grip, or not be held at all.
async fn removing_room() -> (Room, String) {
    removing(plain()).await
}

/// The same with another v2.
async fn removing(room: Room) -> (Room, String) {
    let id = room.engine.container("web").await.unwrap().unwrap().id().to_owned();
    room.engine.remove(&id).await.unwrap();
    let host = json!({ "Binds": ["web-data:/data"], "AutoRemove": true });
    let id = room.engine.add_container("web", "fake/app:v1", json!({ "HostConfig": host })).unwrap();
    for path in ["srv/keep/a", "etc/unlisted"] {
        write(room.engine.root_dir("web").unwrap().join(path), "mine");
    }
    (room, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_cannot_be_held_is_found_out_before_anything_is_stopped() {
    let (room, id) = removing_room().await;
    let refusal = EngineError::NotHeld { name: "web".into(), detail: "it goes on".into() };
    room.engine.fail_next("hold", refusal);
    let report = room.redeploy(Arc::new(Nobody), &[]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    let failure = report.failure.unwrap();
    assert!(failure.reason.contains("--rm") && failure.made_anew.is_none(), "{failure:?}");
    assert_eq!(room.engine.container("web").await.unwrap().unwrap().id(), id, "it was never stopped");
    assert_eq!(room.engine.names_of_all(), ["web"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_loses_its_grip_costs_at_most_the_last_words() {
    let moments: [(&str, Moment); 2] = [
        ("stop", |event| matches!(event, Event::Done { step: Step::Stop, .. })),
        ("prefill", |event| matches!(event, Event::Done { step: Step::Prefill, .. })),
    ];
    for (what, moment) in moments {
        let (room, id) = removing_room().await;
        let (engine, gone) = (room.engine.clone(), id.clone());
        let when = When(move |event: &Event| {
            if moment(event) {
                remove_now(&engine, &gone);
            }
        });
        let report = room.redeploy(Arc::new(when), &[Fault::RepeatUndo]).await.unwrap();
        assert_eq!(report.verdict, Verdict::Undone, "{what}: {report:#?}");
        let note = report.failure.unwrap().made_anew.unwrap();
        assert!(note.contains("whole root") && note.contains("may be missing"), "{what}: {note}");
        for path in ["/srv/keep/a", "/etc/unlisted"] {
            assert_eq!(in_root(&room, path).await.as_deref(), Some("mine"), "{what}: {path}");
        }
        assert_eq!(room.engine.names_of_all(), ["web"], "{what}");
        assert_eq!(room.engine.violations(), Vec::<String>::new(), "{what}");
    }
}

fn v2_that_ends() -> Behaviour {
    let prints = "cannot open /etc/app.conf\n".to_owned();
    Behaviour { on_start: OnStart::ExitsWith(3), prints, ..Behaviour::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_new_one_said_before_the_engine_removed_it_is_in_the_report() {
    let (room, _) =
        removing(room(Behaviour::default(), json!({ "Cmd": ["/bin/app"] }), v2_that_ends())).await;
    let report = room.redeploy(Arc::new(Nobody), &[]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    let failure = report.failure.unwrap();
    assert!(failure.reason.contains("exited with code 3"), "{}", failure.reason);
    let last_words = failure.last_words.unwrap();
    assert!(last_words.starts_with("# exit code 3;"), "{last_words}");
    assert!(last_words.ends_with("\ncannot open /etc/app.conf\n"), "{last_words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_lets_nobody_listen_costs_the_last_words_and_nothing_else() {
    let (good, _) = removing_room().await;
    good.engine.fail_next("witness", away());
    let report = good.redeploy(Arc::new(Nobody), &[]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Done, "{report:#?}");

    let (bad, _) = removing(room(Behaviour::default(), json!({ "Cmd": ["/bin/app"] }), v2_that_ends())).await;
    bad.engine.fail_next("witness", away());
    let report = bad.redeploy(Arc::new(Nobody), &[]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    let failure = report.failure.unwrap();
    assert!(failure.reason.contains("its exit code with it"), "{}", failure.reason);
    assert_eq!(failure.last_words, None);
}

/// A v2 that declares a volume and writes into it, and into the one at `/data`.
fn v2_that_writes(on_start: OnStart) -> Room {
    let writes = ["/extra/row", "/data/row"].map(|path| (path.to_owned(), b"taken in".to_vec()));
    let behaviour = Behaviour { writes_on_start: writes.into(), on_start, ..Behaviour::default() };
    room(Behaviour::default(), json!({ "Cmd": ["/bin/app"], "Volumes": { "/extra": {} } }), behaviour)
}

/// From when the new container is being stopped on, so many volumes cannot be opened.
fn unreadable_volumes(engine: FakeEngine, count: usize) -> impl Fn(&Event) + Send + Sync {
    move |event: &Event| {
        if matches!(event, Event::Undoing { step: Step::Start }) {
            let error = || EngineError::NoRoot { what: "the volume".into(), detail: "out of reach".into() };
            (0..count).for_each(|_| engine.fail_next("open_volume", error()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_volume_that_goes_with_the_failed_container_it_is_not_said_that_it_stays() {
    let (room, _) = removing(v2_that_writes(OnStart::Runs)).await;
    let before = volumes(&room);
    let when = When(unreadable_volumes(room.engine.clone(), 1));
    let report = room.redeploy(Arc::new(when), &[Fault::FailAfter(Step::Verify)]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    assert_eq!(volumes(&room), before);
    let notes = report.failure.unwrap().notes;
    assert!(notes.len() == 1 && !notes[0].contains("stays") && notes[0].contains("--rm"), "{notes:?}");
    assert!(notes[0].contains("went with it") && notes[0].contains("out of reach"), "{notes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_that_is_said_to_stay_stays() {
    let (room, _) = removing(v2_that_writes(OnStart::Runs)).await;
    let before = volumes(&room);
    // The image's own, and the planned one.
    let when = When(unreadable_volumes(room.engine.clone(), 2));
    let mut fresh = request("web", "fake/app:v2");
    fresh.use_existing_volumes = false;
    let agent = room.agent(Arc::new(when), &[Fault::FailAfter(Step::Verify)]);
    let report = agent.redeploy(RedeployId::generate(), &fresh, PullPolicy::Never, None).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    let notes = report.failure.unwrap().notes;
    assert!(
        notes.iter().any(|note| note.contains("volume web.volume-") && note.contains("stays")),
        "{notes:?}"
    );
    assert_eq!(volumes(&room), before + 1, "{notes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_that_is_gone_had_written_to_its_own_volumes_is_kept_or_told() {
    let (room, _) = removing(v2_that_writes(OnStart::ExitsWith(3))).await;
    let before = volumes(&room);
    let mut fresh = request("web", "fake/app:v2");
    fresh.use_existing_volumes = false;
    let agent = room.agent(Arc::new(Nobody), &[]);
    let report = agent.redeploy(RedeployId::generate(), &fresh, PullPolicy::Never, None).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    assert_eq!(volumes(&room), before);
    let archives = archives(&room, &report);
    assert!(archives.iter().any(|name| name.starts_with("fresh-volume-0-web.volume-")), "{archives:?}");
    let notes = report.failure.unwrap().notes;
    assert!(notes.len() == 1 && notes[0].contains("/extra") && notes[0].contains("is gone"), "{notes:?}");
}
