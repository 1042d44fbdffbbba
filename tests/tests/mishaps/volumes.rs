//! Volumes: made for a failed container, taken up by a stranger, hidden, put back or not.

use std::path::Path;
use std::sync::Arc;

use redeploy_agent::docker::{Behaviour, Engine, EngineError, FakeEngine};
use redeploy_agent::image::PullPolicy;
use redeploy_agent::orders::Refused;
use redeploy_agent::paths::DataDir;
use redeploy_agent::plan::{Refusal, VolumeData};
use redeploy_agent::progress::Nobody;
use redeploy_agent::report::{Report, Verdict};
use redeploy_agent::saga::{Event, Fault};
use redeploy_agent::steps::Step;
use redeploy_proto::RedeployId;
use redeploy_tests::in_process::request;
use serde_json::json;

use crate::room::{Room, When, archives, back, plain, remove_now, room, volumes, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_of_the_new_image_over_a_kept_path_is_refused() {
    let config = json!({ "Cmd": ["/bin/app"], "Volumes": { "/srv": {} } });
    let room = room(Behaviour::default(), config, Behaviour::default());
    let Err(Refused::Checks(refusals)) = room.redeploy(Arc::new(Nobody), &[]).await else {
        panic!("it was not refused");
    };
    let hidden = Refusal::Hidden { path: "/srv/keep".into(), target: "/srv".into() };
    assert_eq!(refusals, [hidden]);
    room.assert_old_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_of_the_new_image_over_a_backup_copy_is_refused() {
    let config = json!({ "Cmd": ["/bin/app"], "Volumes": { "/srv": {} } });
    let room = room(Behaviour::default(), config, Behaviour::default());
    let root = room.engine.root_dir("web").unwrap();
    write(root.join("etc/jelastic/redeploy.conf"), "backup:/srv/keep/a\n");
    let Err(Refused::Checks(refusals)) = room.redeploy(Arc::new(Nobody), &[]).await else {
        panic!("it was not refused");
    };
    assert_eq!(refusals, [Refusal::Hidden { path: "/srv/keep/a".into(), target: "/srv".into() }]);
}

/// Adds `api` with `/srv` on a volume, and asks for a redeploy that gives volumes up.
async fn give_up(room: &Room, host: serde_json::Value) -> Result<Report, Refused> {
    room.engine.add_container("api", "fake/app:v1", json!({ "HostConfig": host })).unwrap();
    let mut fresh = request("api", "fake/app:v2");
    fresh.use_existing_volumes = false;
    let agent = room.agent(Arc::new(Nobody), &[]);
    agent.redeploy(RedeployId::generate(), &fresh, PullPolicy::Never, None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_path_in_a_volume_given_up_is_refused() {
    let room = plain();
    let asked = give_up(&room, json!({ "Binds": ["api-data:/srv"] })).await;
    let Err(Refused::Checks(refusals)) = asked else { panic!("it was not refused: {asked:#?}") };
    assert_eq!(refusals, [Refusal::GivenUp { path: "/srv/keep".into(), target: "/srv".into() }]);
    // With its data, the kept path is in the volume that stays.
    let agent = room.agent(Arc::new(Nobody), &[]);
    let keep = request("api", "fake/app:v2");
    let report = agent.redeploy(RedeployId::generate(), &keep, PullPolicy::Never, None).await.unwrap();
    assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
}

/// Options of its own: a new volume of the same could well be the same data, so it is mounted again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_path_in_a_volume_that_cannot_be_fresh_is_not_refused() {
    let room = plain();
    let driver = json!({ "Name": "local", "Options": { "type": "nfs" } });
    let mount = json!({ "Type": "volume", "Source": "api-data", "Target": "/srv", "VolumeOptions": { "DriverConfig": driver } });
    let report = give_up(&room, json!({ "Mounts": [mount] })).await.unwrap();
    assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
    let api = room.engine.container("api").await.unwrap().unwrap();
    assert!(api.raw()["Mounts"].to_string().contains("api-data"), "{:#}", api.raw()["Mounts"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failed_new_one_took_in_is_kept_beside_what_was_captured() {
    let writes =
        vec![("/srv/keep/upload".to_owned(), b"precious".to_vec()), ("/data/row".into(), b"row".to_vec())];
    let behaviour = Behaviour { writes_on_start: writes, ..Behaviour::default() };
    let room = room(Behaviour::default(), json!({ "Cmd": ["/bin/app"] }), behaviour);
    let report = room.redeploy(Arc::new(Nobody), &[Fault::FailAfter(Step::Verify)]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    room.assert_old_serves().await;
    let archives = DataDir::new(&room.config.data_dir).redeploy(report.id).archives();
    for (stem, holds) in [("paths.failed", "precious"), ("volume-0-web-data.failed", "row")] {
        let file = std::fs::File::open(archives.join(format!("{stem}.tar.gz"))).unwrap();
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(file), &mut text).unwrap();
        assert!(String::from_utf8_lossy(&text).contains(holds), "{stem}");
    }
    assert!(archives.join("volume-0-web-data.tar.gz").exists(), "what the difference is to");
    assert!(!room.volume_file("row").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_made_for_a_failed_container_goes_with_it_and_what_it_wrote_is_kept() {
    let writes = vec![("/extra/row".to_owned(), b"taken in".to_vec())];
    let behaviour = Behaviour { writes_on_start: writes, ..Behaviour::default() };
    let config = json!({ "Cmd": ["/bin/app"], "Volumes": { "/extra": {} } });
    let room = room(Behaviour::default(), config, behaviour);
    let before = volumes(&room);
    for fault in [Fault::FailAfter(Step::Create), Fault::FailAfter(Step::Verify)] {
        let report = room.redeploy(Arc::new(Nobody), &[fault]).await.unwrap();
        assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
        assert_eq!(volumes(&room), before, "after {fault:?}");
        let is_kept = archives(&room, &report).iter().any(|name| name.starts_with("fresh-volume-0-"));
        assert_eq!(is_kept, fault == Fault::FailAfter(Step::Verify), "only one that ran wrote anything");
    }
    room.assert_old_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_of_a_failed_container_that_cannot_be_archived_stays() {
    let writes = vec![("/extra/row".to_owned(), b"taken in".to_vec())];
    let behaviour = Behaviour { writes_on_start: writes, ..Behaviour::default() };
    let config = json!({ "Cmd": ["/bin/app"], "Volumes": { "/extra": {} } });
    let room = room(Behaviour::default(), config, behaviour);
    let before = volumes(&room);
    let engine = room.engine.clone();
    let when = When(move |event: &Event| {
        if matches!(event, Event::Undoing { step: Step::Create }) {
            let error = EngineError::NoRoot { what: "the volume".into(), detail: "out of reach".into() };
            engine.fail_next("open_volume", error);
        }
    });
    let report = room.redeploy(Arc::new(when), &[Fault::FailAfter(Step::Verify)]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    assert_eq!(volumes(&room), before + 1, "what was taken in is there");
    let notes = report.failure.unwrap().notes;
    assert!(notes.len() == 1 && notes[0].contains("stays, because it could not be archived"), "{notes:?}");
    room.assert_old_serves().await;
}

/// Somebody starts a container of his own on the volume, and it writes.
fn take_up(engine: &FakeEngine, name: &str, rows: &Path) {
    let host = json!({ "Binds": ["web-data:/data"] });
    engine.add_container(name, "fake/app:v2", json!({ "HostConfig": host })).unwrap();
    write(rows, "the stranger's");
}

/// Somebody removes the new container while it proves itself, and starts one of his own on the volume.
async fn with_a_stranger(room: &Room, name: &'static str) -> Report {
    let (engine, rows) = (room.engine.clone(), room.volume_file("rows"));
    let when = When(move |event: &Event| {
        if matches!(event, Event::Started { step: Step::Verify }) {
            let handle = tokio::runtime::Handle::current();
            let web =
                tokio::task::block_in_place(|| handle.block_on(engine.container("web"))).unwrap().unwrap();
            remove_now(&engine, web.id());
            take_up(&engine, name, &rows);
        }
    });
    room.redeploy(Arc::new(when), &[Fault::FailAfter(Step::Verify), Fault::RepeatUndo]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_that_a_stranger_has_taken_up_is_not_put_back() {
    for (name, verdict) in [("web", Verdict::Stuck), ("other", Verdict::Undone)] {
        let room = plain();
        write(room.volume_file("rows"), "captured");
        let report = with_a_stranger(&room, name).await;
        assert_eq!(report.verdict, verdict, "{name}: {report:#?}");
        let rows = std::fs::read_to_string(room.volume_file("rows")).unwrap();
        assert_eq!(rows, "the stranger's", "{name}");
        let notes = report.failure.unwrap().notes;
        assert!(notes.len() == 1 && notes[0].contains("volume web-data was not put back"), "{notes:?}");
        // The note promises it.
        let archive = DataDir::new(&room.config.data_dir).redeploy(report.id).archives();
        assert!(archive.join("volume-0-web-data.tar.gz").exists(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_undo_of_a_revert_leaves_a_volume_that_a_stranger_has_taken_up() {
    let room = plain();
    write(room.volume_file("rows"), "then");
    assert_eq!(room.redeploy(Arc::new(Nobody), &[]).await.unwrap().verdict, Verdict::Done);
    write(room.volume_file("rows"), "today");
    let (engine, rows) = (room.engine.clone(), room.volume_file("rows"));
    let when = When(move |event: &Event| {
        if matches!(event, Event::Done { step: Step::PutData, .. }) {
            assert_eq!(std::fs::read_to_string(&rows).unwrap(), "then");
            take_up(&engine, "other", &rows);
        }
    });
    let agent = room.agent(Arc::new(when), &[Fault::FailBefore(Step::Swap)]);
    let report = agent.revert(RedeployId::generate(), &back(VolumeData::Restore)).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    assert_eq!(std::fs::read_to_string(room.volume_file("rows")).unwrap(), "the stranger's");
    assert_eq!(report.failure.unwrap().notes.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revert_does_not_put_data_back_under_a_stranger() {
    let room = plain();
    write(room.volume_file("rows"), "then");
    assert_eq!(room.redeploy(Arc::new(Nobody), &[]).await.unwrap().verdict, Verdict::Done);
    write(room.volume_file("rows"), "today");
    let (engine, rows) = (room.engine.clone(), room.volume_file("rows"));
    let when = When(move |event: &Event| {
        if matches!(event, Event::Started { step: Step::PutData }) {
            take_up(&engine, "other", &rows);
        }
    });
    let agent = room.agent(Arc::new(when), &[]);
    let report = agent.revert(RedeployId::generate(), &back(VolumeData::Restore)).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    let reason = report.failure.unwrap().reason;
    for word in ["put_data", "volume web-data", "container other", "stop it"] {
        assert!(reason.contains(word), "{word} is missing: {reason}");
    }
    assert_eq!(std::fs::read_to_string(room.volume_file("rows")).unwrap(), "the stranger's");
    assert_eq!(room.engine.running(), ["other", "web"]);
    let web = room.engine.container("web").await.unwrap().unwrap();
    assert!(web.image_reference().starts_with("fake/app:v2"), "what served before serves again");
}
