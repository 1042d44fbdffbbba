//! The lookout on the fake engine: who acts, when, and what is heard of it.

use std::future::Future;

use serde_json::json;

use super::expect::Run;
use super::*;
use crate::docker::{FakeEngine, FakeImage};

/// How long a test waits for what must come.
const SOON: Duration = Duration::from_secs(20);

struct Scene {
    engine: FakeEngine,
    alarm: Alarm,
    lookout: Lookout,
    id: String,
    _dir: tempfile::TempDir,
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let engine = FakeEngine::new(dir.path());
    engine.add_image(FakeImage::default());
    let id = engine.add_container("web", "fake/app:1", json!({})).unwrap();
    let alarm = Alarm::default();
    let lookout = Lookout::new(Arc::new(engine.clone()), alarm.clone());
    Scene { engine, alarm, lookout, id, _dir: dir }
}

impl Scene {
    fn watched(&self, run: Run) -> Vec<Watched> {
        vec![Watched {
            id: self.id.clone(),
            name: "web".into(),
            names: vec!["web".into()],
            run,
            may_go: false,
        }]
    }

    async fn same(&self) -> Vec<Watched> {
        let started_at = self.engine.container("web").await.unwrap().unwrap().started_at().to_owned();
        self.watched(Run::Same { started_at })
    }

    /// The lookout has looked, and follows the events.
    async fn until_it_follows(&self) {
        let has_looked = || {
            self.engine.calls().iter().skip_while(|call| **call != "events").any(|call| *call == "container")
        };
        until(|| async { has_looked() }).await;
    }

    async fn heard(&self) -> Interference {
        tokio::time::timeout(SOON, self.alarm.raised()).await.unwrap();
        self.alarm.why().unwrap().interference().unwrap().clone()
    }
}

async fn until<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.unwrap();
}

#[tokio::test]
async fn who_stops_renames_or_removes_it_is_told_with_the_event() {
    for (act, found) in
        [("stop", "has stopped"), ("rename", "was renamed to other"), ("remove", "no longer exists")]
    {
        let mut scene = scene();
        scene.lookout.expect(scene.same().await);
        scene.until_it_follows().await;
        match act {
            "stop" => scene.engine.stop(&scene.id, None).await.unwrap(),
            "rename" => scene.engine.rename(&scene.id, "other").await.unwrap(),
            _ => scene.engine.remove(&scene.id).await.unwrap(),
        }
        let heard = scene.heard().await;
        assert_eq!(heard.found, found);
        assert!(heard.event.is_some(), "{heard:?}");
    }
}

#[tokio::test]
async fn what_a_step_does_itself_raises_nothing_however_late_its_events_come() {
    let mut scene = scene();
    scene.lookout.expect(scene.same().await);
    scene.lookout.expect(scene.watched(Run::Any));
    scene.engine.stop(&scene.id, None).await.unwrap();
    scene.lookout.expect(scene.watched(Run::Stopped { started_at: None }));
    let is_seen = || async { !scene.lookout.expected.is_closed() && scene.engine.calls().len() > 6 };
    // Looks of its own: the events of the stop, and the new expectation.
    scene.engine.set_restart_policy(&scene.id, &json!({ "Name": "no" })).await.unwrap();
    until(is_seen).await;
    assert!(scene.alarm.why().is_none());
    // And it still listens.
    scene.engine.start(&scene.id).await.unwrap();
    assert_eq!(scene.heard().await.found, "has been started");
}

#[tokio::test]
async fn what_happened_while_the_engine_restarted_is_seen_when_it_is_back() {
    let mut scene = scene();
    scene.lookout.expect(scene.same().await);
    scene.until_it_follows().await;
    let away =
        || EngineError::Unreachable { socket: "s".into(), action: "a".into(), source: "restart".into() };
    (0..3).for_each(|_| scene.engine.fail_next("events", away()));
    scene.engine.simulate_daemon_restart().unwrap();
    assert_eq!(scene.heard().await.found, "has stopped");
}

#[tokio::test]
async fn an_engine_that_never_answers_again_is_not_waited_for_for_ever() {
    let mut scene = scene();
    let away = || EngineError::Unreachable { socket: "s".into(), action: "a".into(), source: "gone".into() };
    (0..1000).for_each(|_| scene.engine.fail_next("events", away()));
    scene.lookout.patience = Duration::from_millis(300);
    scene.lookout.expect(scene.watched(Run::Any));
    scene.alarm.raised().await;
    assert!(matches!(scene.alarm.why(), Some(StepError::Engine(EngineError::TimedOut { .. }))));
}

#[tokio::test]
async fn quiet_is_not_silence_and_a_restart_after_it_is_told_as_one() {
    let mut scene = scene();
    scene.lookout.patience = Duration::from_millis(200);
    scene.lookout.expect(scene.same().await);
    scene.until_it_follows().await;
    // Nothing is waited for here: that nothing happens for longer than its patience is the case.
    tokio::time::sleep(scene.lookout.patience * 3).await;
    assert!(scene.alarm.why().is_none());
    scene.engine.simulate_daemon_restart().unwrap();
    assert_eq!(scene.heard().await.found, "has stopped");
}

#[tokio::test]
async fn an_engine_that_hangs_while_it_holds_the_line_is_noticed() {
    let mut scene = scene();
    scene.lookout.patience = Duration::from_millis(200);
    scene.lookout.expect(scene.same().await);
    scene.until_it_follows().await;
    let hangs = || EngineError::TimedOut { action: "inspect".into(), seconds: 60 };
    (0..10_000).for_each(|_| scene.engine.fail_next("container", hangs()));
    scene.alarm.raised().await;
    assert!(matches!(scene.alarm.why(), Some(StepError::Engine(EngineError::TimedOut { .. }))));
}

#[tokio::test]
async fn once_ended_it_is_deaf() {
    let mut scene = scene();
    scene.lookout.expect(scene.same().await);
    scene.until_it_follows().await;
    scene.lookout.end();
    until(|| async { scene.lookout.expected.receiver_count() == 0 }).await;
    scene.engine.stop(&scene.id, None).await.unwrap();
    assert!(scene.alarm.why().is_none());
}
