//! What takes the place of a parked container that cannot stay, when it cannot be finished, and what cannot be removed.

use std::sync::Arc;

use redeploy_agent::docker::{Engine, FakeEngine, RunState};
use redeploy_agent::image::PullPolicy;
use redeploy_agent::plan::{Plan, VolumeData};
use redeploy_agent::progress::{Audience, Nobody};
use redeploy_agent::report::{Report, Verdict};
use redeploy_agent::saga::{Event, Record};
use redeploy_agent::steps::Step;
use redeploy_proto::RedeployId;
use redeploy_tests::in_process::request;
use serde_json::json;

use crate::room::{Room, When, back, id_of_web, in_root, parked, plain, refused, write};

/// `plain`, of a Compose project.
async fn composed() -> Room {
    let room = plain();
    room.engine.remove(&id_of_web(&room).await).await.unwrap();
    let labels = json!({ "com.docker.compose.project": "shop" });
    let host = json!({ "Binds": ["web-data:/data"], "RestartPolicy": { "Name": "always" } });
    room.engine.add_container("web", "fake/app:v1", json!({ "Labels": labels, "HostConfig": host })).unwrap();
    room
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stand_in_that_could_not_be_finished_is_finished_by_recover() {
    for method in ["create", "open_root", "remove_stopped", "rename"] {
        let room = composed().await;
        let engine = room.engine.clone();
        let when = When(move |event: &Event| {
            if matches!(event, Event::Committed) {
                engine.fail_next(method, refused());
            }
        });
        let report = room.redeploy(Arc::new(when), &[]).await.unwrap();
        assert_eq!(report.verdict, Verdict::DoneUntidy, "{method}: {report:#?}");
        assert!(report.parked.is_some(), "{method}: {report:#?}");
        let reports = room.agent(Arc::new(Nobody), &[]).recover().await.unwrap();
        assert_eq!(reports[0].verdict, Verdict::Done, "{method}: {reports:#?}");
        let parked = reports[0].parked.clone().unwrap();
        assert_eq!(room.engine.names_of_all(), ["web".to_owned(), parked.clone()], "{method}");
        let parked = room.engine.container(&parked).await.unwrap().unwrap();
        assert_eq!(parked.label("com.docker.compose.project"), None, "{method}");
        assert_eq!(room.engine.violations(), Vec::<String>::new(), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stand_in_whose_renaming_failed_is_no_removal_by_somebody() {
    let room = composed().await;
    let engine = room.engine.clone();
    let when = When(move |event: &Event| {
        if matches!(event, Event::Committed) {
            // The answer to the removal is lost: the parked one is gone, the stand-in waits for its name.
            engine.fail_next_after("remove_stopped", refused());
        }
    });
    let report = room.redeploy(Arc::new(when), &[]).await.unwrap();
    assert_eq!(report.verdict, Verdict::DoneUntidy, "{report:#?}");
    assert!(report.parked.is_some(), "{report:#?}");
    assert!(room.engine.names_of_all().iter().any(|name| name.contains(".stand-in-")));
    let reports = room.agent(Arc::new(Nobody), &[]).recover().await.unwrap();
    assert_eq!(reports[0].verdict, Verdict::Done, "{reports:#?}");
    assert_eq!(room.engine.names_of_all(), ["web".to_owned(), reports[0].parked.clone().unwrap()]);
}

/// Does something, once, while a root is copied.
struct WhileCopied<F>(std::sync::Mutex<Option<F>>);

impl<F: FnOnce() + Send> Audience for WhileCopied<F> {
    fn pulling(&self, _: &str, _: u64, _: u64) {}
    fn plan(&self, _: &Plan) {}
    fn record(&self, _: &Record) {}
    fn progress(&self, _: Step, what: &str, _: u64, _: u64) {
        if what == "root"
            && let Some(act) = self.0.lock().unwrap().take()
        {
            act();
        }
    }
    fn report(&self, _: &Report) {}
}

/// Meanwhile nothing else is done with the container's root but the copying itself.
fn while_copied(act: impl AsyncFnOnce(FakeEngine) + Send + 'static, room: &Room) -> Arc<dyn Audience> {
    let (engine, runtime) = (room.engine.clone(), tokio::runtime::Handle::current());
    let act = move || tokio::task::block_in_place(|| runtime.block_on(act(engine)));
    Arc::new(WhileCopied(std::sync::Mutex::new(Some(act))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_container_that_is_started_while_it_is_copied_is_not_removed() {
    let room = composed().await;
    let id = id_of_web(&room).await;
    let start = while_copied(async |engine| engine.start(&parked(&engine)).await.unwrap(), &room);
    let report = room.redeploy(start, &[]).await.unwrap();
    assert_eq!(report.verdict, Verdict::DoneUntidy, "{report:#?}");
    assert_eq!(room.engine.running(), ["web".to_owned(), parked(&room.engine)]);

    // One that has been started and stopped may have written something: it is copied again.
    room.engine.stop(&id, None).await.unwrap();
    let touch = while_copied(
        async |engine| {
            engine.start(&parked(&engine)).await.unwrap();
            engine.stop(&parked(&engine), None).await.unwrap();
        },
        &room,
    );
    let reports = room.agent(touch, &[]).recover().await.unwrap();
    assert_eq!(reports[0].verdict, Verdict::DoneUntidy, "{reports:#?}");
    assert!(room.engine.container(&id).await.unwrap().is_some());
    let reports = room.agent(Arc::new(Nobody), &[]).recover().await.unwrap();
    assert_eq!(reports[0].verdict, Verdict::Done, "{reports:#?}");
    assert_eq!(room.engine.names_of_all(), ["web".to_owned(), parked(&room.engine)]);
    assert!(room.engine.container(&id).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_copy_is_never_taken_for_the_parked_container() {
    let room = composed().await;
    let remove = while_copied(async |engine| engine.remove(&parked(&engine)).await.unwrap(), &room);
    let report = room.redeploy(remove, &[]).await.unwrap();
    assert_eq!(report.verdict, Verdict::DoneUntidy, "{report:#?}");
    assert_eq!(report.parked, None);
    let reports = room.agent(Arc::new(Nobody), &[]).recover().await.unwrap();
    assert_eq!((reports[0].verdict, reports[0].parked.clone()), (Verdict::Done, None), "{reports:#?}");
    assert_eq!(room.engine.names_of_all(), ["web"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revert_that_loses_its_stand_in_while_it_is_copied_is_undone() {
    let room = composed().await;
    room.redeploy(Arc::new(Nobody), &[]).await.unwrap();
    let remove = while_copied(async |engine| engine.remove(&parked(&engine)).await.unwrap(), &room);
    let agent = room.agent(remove, &[]);
    let report = agent.revert(RedeployId::generate(), &back(VolumeData::Keep)).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    let web = room.engine.container("web").await.unwrap().unwrap();
    assert!(web.image_reference().starts_with("fake/app:v2"), "{}", web.image_reference());
    assert_eq!(room.engine.running(), ["web"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_container_that_the_engine_cannot_remove_is_left_with_a_note_and_tried_again() {
    let room = plain();
    let first = room.redeploy(Arc::new(Nobody), &[]).await.unwrap().parked.unwrap();
    let id = room.engine.container(&first).await.unwrap().unwrap().id().to_owned();
    room.engine.jam(&id, true);
    let report = room.redeploy(Arc::new(Nobody), &[]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
    let dead = room.engine.container(&id).await.unwrap().unwrap();
    assert_eq!((dead.state(), dead.name()), (RunState::Dead, first.as_str()));
    let is_told =
        |report: &Report| report.warnings.iter().any(|told| told.contains(&first) && told.contains("dead"));
    assert!(is_told(&report), "{:?}", report.warnings);

    // It is no way back, and does not take the place of one.
    let tidied = room.agent(Arc::new(Nobody), &[]).prune().await.unwrap();
    assert_eq!((tidied.containers.len(), tidied.dead), (0, vec![first.clone()]));
    let agent = room.agent(Arc::new(Nobody), &[]);
    let report = agent.revert(RedeployId::generate(), &back(VolumeData::Keep)).await.unwrap();
    assert_eq!(report.verdict, Verdict::Done, "{report:#?}");

    room.engine.jam(&id, false);
    let tidied = room.agent(Arc::new(Nobody), &[]).prune().await.unwrap();
    assert_eq!((tidied.containers, tidied.dead.len()), (vec![first], 0));
    assert!(room.engine.container(&id).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_be_removed_leaves_its_name_to_its_stand_in() {
    for is_moved in [true, false] {
        let room = composed().await;
        write(room.engine.root_dir("web").unwrap().join("etc/unlisted"), "mine");
        let id = id_of_web(&room).await;
        room.engine.jam(&id, true);
        let engine = room.engine.clone();
        let when = When(move |event: &Event| {
            if matches!(event, Event::Committed) && !is_moved {
                // The second of the three: the stand-in becomes whole, the dead one makes way, the stand-in takes its name.
                engine.fail_nth("rename", 2, refused());
            }
        });
        let report = room.redeploy(Arc::new(when), &[]).await.unwrap();
        let wanted = if is_moved { Verdict::Done } else { Verdict::DoneUntidy };
        assert_eq!(report.verdict, wanted, "{report:#?}");
        if !is_moved {
            let reports = room.agent(Arc::new(Nobody), &[]).recover().await.unwrap();
            assert_eq!(reports[0].verdict, Verdict::Done, "{reports:#?}");
        }
        let name = parked(&room.engine);
        let stand_in = room.engine.container(&name).await.unwrap().unwrap();
        assert_ne!(stand_in.id(), id, "the dead one has its place still");
        assert_eq!(stand_in.label("io.redeploy.made"), Some("stand-in"));
        let dead = room.engine.container(&id).await.unwrap().unwrap();
        assert!(dead.state() == RunState::Dead && dead.name().contains(".dead-"), "{}", dead.name());

        // What the stand-in holds is the way back.
        let agent = room.agent(Arc::new(Nobody), &[]);
        let report = agent.revert(RedeployId::generate(), &back(VolumeData::Keep)).await.unwrap();
        assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
        assert_eq!(in_root(&room, "/etc/unlisted").await.as_deref(), Some("mine"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_room_that_the_copies_of_a_root_take_is_counted() {
    let wanted = request("web", "fake/app:v2");
    let agent = |room: &Room| room.agent(Arc::new(Nobody), &[]);
    let plan =
        async |room: &Room| agent(room).plan(RedeployId::generate(), &wanted, PullPolicy::Never, None).await;
    let room = composed().await;
    write(room.engine.root_dir("web").unwrap().join("etc/unlisted"), &"x".repeat(50_000));
    let (planned, _) = plan(&room).await.unwrap();
    assert!((50_000..60_000).contains(&planned.space.to_copy), "{:?}", planned.space);

    // Back it goes through the stand-in, too.
    room.redeploy(Arc::new(Nobody), &[]).await.unwrap();
    let back = back(VolumeData::Keep);
    let (planned, _) = agent(&room).plan_revert(RedeployId::generate(), &back).await.unwrap();
    assert!((50_000..60_000).contains(&planned.space.to_copy), "{:?}", planned.space);

    // One that is parked as it is needs no copy.
    let room = plain();
    write(room.engine.root_dir("web").unwrap().join("etc/unlisted"), &"x".repeat(50_000));
    assert_eq!(plan(&room).await.unwrap().0.space.to_copy, 0);
}
