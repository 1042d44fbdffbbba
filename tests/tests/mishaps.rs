//! What others do to our containers in the middle of a saga, and what an engine does when it is being restarted: on
//! the fake engine, where the very moment can be chosen.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redeploy_agent::config::Config;
use redeploy_agent::docker::{Behaviour, Engine, EngineError, FakeEngine, FakeImage, OnStart};
use redeploy_agent::image::PullPolicy;
use redeploy_agent::orders::{Agent, Refused};
use redeploy_agent::paths::DataDir;
use redeploy_agent::plan::{Plan, Refusal, RevertRequest, VolumeData};
use redeploy_agent::progress::{Audience, Nobody};
use redeploy_agent::report::{Report, Verdict};
use redeploy_agent::saga::{Event, ExecutorError, Fault, Faults, Record};
use redeploy_agent::steps::Step;
use redeploy_proto::RedeployId;
use redeploy_tests::in_process::request;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

struct Room {
    engine: FakeEngine,
    config: Config,
    _dir: tempfile::TempDir,
}

fn image(version: &str, config: Value, behaviour: Behaviour) -> FakeImage {
    let conf = b"/srv/keep\n".to_vec();
    let files =
        vec![("/etc/jelastic/redeploy.conf".to_owned(), conf), ("/srv/keep/a".to_owned(), version.into())];
    FakeImage { reference: format!("fake/app:{version}"), config, files, behaviour, ..FakeImage::default() }
}

/// `web` from v1 with a volume, and v2 as given.
fn room(v1: Behaviour, v2_config: Value, v2: Behaviour) -> Room {
    let dir = tempfile::tempdir().unwrap();
    let engine = FakeEngine::new(&dir.path().join("engine"));
    engine.add_image(image("v1", json!({ "Cmd": ["/bin/app"] }), v1));
    engine.add_image(image("v2", v2_config, v2));
    let host = json!({ "Binds": ["web-data:/data"], "RestartPolicy": { "Name": "always" } });
    engine.add_container("web", "fake/app:v1", json!({ "HostConfig": host })).unwrap();
    let mut config = Config::built_in();
    config.data_dir = dir.path().join("data");
    config.settle_time = Duration::ZERO;
    config.disk_headroom_bytes = 0;
    Room { engine, config, _dir: dir }
}

fn plain() -> Room {
    room(Behaviour::default(), json!({ "Cmd": ["/bin/app"] }), Behaviour::default())
}

impl Room {
    fn agent(&self, audience: Arc<dyn Audience>, faults: &[Fault]) -> Agent {
        Agent {
            engine: Arc::new(self.engine.clone()),
            data: DataDir::new(&self.config.data_dir),
            config: self.config.clone(),
            audience,
            cancel: CancellationToken::new(),
            faults: Faults::new(faults.iter().copied()),
        }
    }

    async fn redeploy(&self, audience: Arc<dyn Audience>, faults: &[Fault]) -> Result<Report, Refused> {
        let agent = self.agent(audience, faults);
        agent.redeploy(RedeployId::generate(), &request("web", "fake/app:v2"), PullPolicy::Never, None).await
    }

    fn volume_file(&self, name: &str) -> PathBuf {
        self.engine.volume_dir("web-data").join(name)
    }

    /// v1 serves, alone.
    async fn assert_old_serves(&self) {
        assert_eq!(self.engine.running(), ["web"]);
        assert_eq!(self.engine.names_of_all(), ["web"]);
        let web = self.engine.container("web").await.unwrap().unwrap();
        assert_eq!(web.image_reference(), "fake/app:v1");
        assert_eq!(web.restart_policy()["Name"], "always");
    }
}

fn away() -> EngineError {
    EngineError::Unreachable {
        socket: "/var/run/docker.sock".into(),
        action: "answer".into(),
        source: "being restarted".into(),
    }
}

/// Does something when a record has become durable.
struct When<F>(F);

impl<F: Fn(&Event) + Send + Sync> Audience for When<F> {
    fn pulling(&self, _: &str, _: u64, _: u64) {}
    fn plan(&self, _: &Plan) {}
    fn record(&self, record: &Record) {
        (self.0)(&record.event);
    }
    fn progress(&self, _: Step, _: &str, _: u64, _: u64) {}
    fn report(&self, _: &Report) {}
}

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
async fn what_the_old_one_wrote_after_somebody_started_it_again_is_never_put_back() {
    let room = plain();
    #[expect(clippy::disallowed_methods, reason = "a user writes as users do")]
    let write = |text: &str| std::fs::write(room.volume_file("rows"), text).unwrap();
    write("then");
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
    write("days later");
    let reports = room.agent(Arc::new(Nobody), &[]).recover().await.unwrap();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].verdict, Verdict::Undone, "{reports:#?}");
    assert_eq!(std::fs::read_to_string(room.volume_file("rows")).unwrap(), "days later");
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

/// What is in the serving container's root.
async fn in_root(room: &Room, path: &str) -> Option<String> {
    let root = room.engine.root_dir("web").unwrap();
    std::fs::read_to_string(root.join(path.trim_start_matches('/'))).ok()
}

/// From within an audience, which cannot wait.
fn remove_now(engine: &FakeEngine, id: &str) {
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| handle.block_on(engine.remove(id))).unwrap();
}

/// Is this the record after which somebody removes the old container?
type Moment = fn(&Event) -> bool;

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
        #[expect(clippy::disallowed_methods, reason = "a user writes as users do")]
        {
            let root = room.engine.root_dir("web").unwrap();
            std::fs::write(root.join("srv/keep/a"), "mine").unwrap();
            std::fs::write(root.join("etc/unlisted"), "mine").unwrap();
            std::fs::write(room.volume_file("rows"), "rows").unwrap();
        }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_removed_and_then_interrupted_anywhere_is_made_anew_all_the_same() {
    let mut stopped = 0;
    for seq in 17.. {
        let room = plain();
        let id = room.engine.container("web").await.unwrap().unwrap().id().to_owned();
        #[expect(clippy::disallowed_methods, reason = "a user writes as users do")]
        std::fs::write(room.engine.root_dir("web").unwrap().join("srv/keep/a"), "mine").unwrap();
        let engine = room.engine.clone();
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
        room.agent(Arc::new(Nobody), &[]).recover().await.unwrap();
        room.assert_old_serves().await;
        assert_eq!(in_root(&room, "/srv/keep/a").await.as_deref(), Some("mine"), "{seq}");
        assert_eq!(room.engine.violations(), Vec::<String>::new(), "{seq}");
    }
    assert!(stopped >= 12, "only {stopped}");
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

async fn id_of_web(room: &Room) -> String {
    room.engine.container("web").await.unwrap().unwrap().id().to_owned()
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
async fn a_volume_made_for_a_failed_container_goes_with_it_and_what_it_wrote_is_kept() {
    let writes = vec![("/extra/row".to_owned(), b"taken in".to_vec())];
    let behaviour = Behaviour { writes_on_start: writes, ..Behaviour::default() };
    let config = json!({ "Cmd": ["/bin/app"], "Volumes": { "/extra": {} } });
    let room = room(Behaviour::default(), config, behaviour);
    let all = room.engine.volume_dir("web-data").ancestors().nth(2).unwrap().to_owned();
    let volumes = || std::fs::read_dir(&all).unwrap().count();
    let before = volumes();
    for fault in [Fault::FailAfter(Step::Create), Fault::FailAfter(Step::Verify)] {
        let report = room.redeploy(Arc::new(Nobody), &[fault]).await.unwrap();
        assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
        assert_eq!(volumes(), before, "after {fault:?}");
        let archives = DataDir::new(&room.config.data_dir).redeploy(report.id).archives();
        let kept: Vec<PathBuf> = std::fs::read_dir(archives)
            .map(|names| names.map(|name| name.unwrap().path()).collect())
            .unwrap_or_default();
        let kept = kept.iter().find(|path| path.to_string_lossy().contains("/fresh-volume-0-"));
        assert_eq!(
            kept.is_some(),
            fault == Fault::FailAfter(Step::Verify),
            "only one that ran wrote anything"
        );
    }
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

/// `plain`, of a Compose project.
async fn composed() -> Room {
    let room = plain();
    room.engine.remove(&id_of_web(&room).await).await.unwrap();
    let labels = json!({ "com.docker.compose.project": "shop" });
    let host = json!({ "Binds": ["web-data:/data"], "RestartPolicy": { "Name": "always" } });
    room.engine.add_container("web", "fake/app:v1", json!({ "Labels": labels, "HostConfig": host })).unwrap();
    room
}

/// `web` from v1, started with `--rm`, and what a user wrote into it. Its engine can lose its grip, or not be held at all.
async fn removing_room() -> (Room, String) {
    let room = plain();
    let id = room.engine.container("web").await.unwrap().unwrap().id().to_owned();
    room.engine.remove(&id).await.unwrap();
    let host = json!({ "Binds": ["web-data:/data"], "AutoRemove": true });
    let id = room.engine.add_container("web", "fake/app:v1", json!({ "HostConfig": host })).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a user writes as users do")]
    for path in ["srv/keep/a", "etc/unlisted"] {
        std::fs::write(room.engine.root_dir("web").unwrap().join(path), "mine").unwrap();
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stand_in_that_could_not_be_finished_is_finished_by_recover() {
    for method in ["create", "open_root", "remove_stopped", "rename"] {
        let room = composed().await;
        let engine = room.engine.clone();
        let when = When(move |event: &Event| {
            if matches!(event, Event::Committed) {
                engine.fail_next(method, away());
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
            engine.fail_next_after("remove_stopped", away());
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

fn parked(engine: &FakeEngine) -> String {
    engine.names_of_all().into_iter().find(|name| name.contains(".parked-")).unwrap()
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
    let request = RevertRequest {
        container: "web".to_owned(),
        volumes: VolumeData::Keep,
        verify_timeout: Duration::from_secs(20),
        probe: None,
    };
    let report = room.agent(remove, &[]).revert(RedeployId::generate(), &request).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    let web = room.engine.container("web").await.unwrap().unwrap();
    assert!(web.image_reference().starts_with("fake/app:v2"), "{}", web.image_reference());
    assert_eq!(room.engine.running(), ["web"]);
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
            let host = json!({ "Binds": ["web-data:/data"] });
            engine.add_container(name, "fake/app:v2", json!({ "HostConfig": host })).unwrap();
            #[expect(clippy::disallowed_methods, reason = "a user writes as users do")]
            std::fs::write(&rows, "the stranger's").unwrap();
        }
    });
    room.redeploy(Arc::new(when), &[Fault::FailAfter(Step::Verify), Fault::RepeatUndo]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_that_a_stranger_has_taken_up_is_not_put_back() {
    for (name, verdict) in [("web", Verdict::Stuck), ("other", Verdict::Undone)] {
        let room = plain();
        #[expect(clippy::disallowed_methods, reason = "a user writes as users do")]
        std::fs::write(room.volume_file("rows"), "captured").unwrap();
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
    #[expect(clippy::disallowed_methods, reason = "a user writes as users do")]
    let write = |text: &str| std::fs::write(room.volume_file("rows"), text).unwrap();
    write("then");
    assert_eq!(room.redeploy(Arc::new(Nobody), &[]).await.unwrap().verdict, Verdict::Done);
    write("today");
    let (engine, rows) = (room.engine.clone(), room.volume_file("rows"));
    let when = When(move |event: &Event| {
        if matches!(event, Event::Done { step: Step::PutData, .. }) {
            assert_eq!(std::fs::read_to_string(&rows).unwrap(), "then");
            let host = json!({ "Binds": ["web-data:/data"] });
            engine.add_container("other", "fake/app:v2", json!({ "HostConfig": host })).unwrap();
            #[expect(clippy::disallowed_methods, reason = "a user writes as users do")]
            std::fs::write(&rows, "the stranger's").unwrap();
        }
    });
    let request = RevertRequest {
        container: "web".to_owned(),
        volumes: VolumeData::Restore,
        verify_timeout: Duration::from_secs(20),
        probe: None,
    };
    let agent = room.agent(Arc::new(when), &[Fault::FailBefore(Step::Swap)]);
    let report = agent.revert(RedeployId::generate(), &request).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    assert_eq!(std::fs::read_to_string(room.volume_file("rows")).unwrap(), "the stranger's");
    assert_eq!(report.failure.unwrap().notes.len(), 1);
}

/// What is in a container's root.
fn in_root_of(room: &Room, name: &str, path: &str) -> Option<String> {
    let root = room.engine.root_dir(name)?;
    std::fs::read_to_string(root.join(path.trim_start_matches('/'))).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_leans_on_a_removed_container_is_made_anew_with_it() {
    let steps = [Step::Create, Step::Capture, Step::Prefill, Step::Stop, Step::Swap, Step::Start];
    for (step, victim) in steps.into_iter().flat_map(|step| [(step, "web"), (step, "side")]) {
        let what = format!("{victim} after {step}");
        let room = plain();
        let body = json!({ "HostConfig": { "NetworkMode": "container:web", "RestartPolicy": { "Name": "always" } } });
        room.engine.add_container("side", "fake/app:v1", body).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a user writes as users do")]
        std::fs::write(room.engine.root_dir("side").unwrap().join("etc/anything"), "mine").unwrap();
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
    let mut stopped = 0;
    for seq in 17.. {
        let room = plain();
        let body = json!({ "HostConfig": { "NetworkMode": "container:web" } });
        room.engine.add_container("side", "fake/app:v1", body).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a user writes as users do")]
        std::fs::write(room.engine.root_dir("side").unwrap().join("etc/anything"), "mine").unwrap();
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
        // And once more in the middle of an undo.
        let method = ["create", "rename", "remove", "open_root", "start"][seq as usize % 5];
        room.engine.fail_next_after(method, away());
        room.agent(Arc::new(Nobody), &[]).recover().await.unwrap();
        assert_eq!(room.engine.running(), ["side", "web"], "{seq}");
        assert_eq!(room.engine.names_of_all(), ["side", "web"], "{seq}");
        assert_eq!(in_root_of(&room, "side", "/etc/anything").as_deref(), Some("mine"), "{seq}");
        assert_eq!(room.engine.violations(), Vec::<String>::new(), "{seq}");
    }
    assert!(stopped >= 12, "only {stopped}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_of_a_failed_container_that_cannot_be_archived_stays() {
    let writes = vec![("/extra/row".to_owned(), b"taken in".to_vec())];
    let behaviour = Behaviour { writes_on_start: writes, ..Behaviour::default() };
    let config = json!({ "Cmd": ["/bin/app"], "Volumes": { "/extra": {} } });
    let room = room(Behaviour::default(), config, behaviour);
    let all = room.engine.volume_dir("web-data").ancestors().nth(2).unwrap().to_owned();
    let volumes = || std::fs::read_dir(&all).unwrap().count();
    let before = volumes();
    let engine = room.engine.clone();
    let when = When(move |event: &Event| {
        if matches!(event, Event::Undoing { step: Step::Create }) {
            let error = EngineError::NoRoot { what: "the volume".into(), detail: "out of reach".into() };
            engine.fail_next("open_volume", error);
        }
    });
    let report = room.redeploy(Arc::new(when), &[Fault::FailAfter(Step::Verify)]).await.unwrap();
    assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
    assert_eq!(volumes(), before + 1, "what was taken in is there");
    let notes = report.failure.unwrap().notes;
    assert!(notes.len() == 1 && notes[0].contains("stays, because it could not be archived"), "{notes:?}");
    room.assert_old_serves().await;
}
