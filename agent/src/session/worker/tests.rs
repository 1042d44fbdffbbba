//! Jobs that are cut short, called off while they wait, or panic, and what becomes of their containers and orders.

use serde_json::json;
use tokio::time::timeout;

use super::preflight::{Checked, PREFLIGHTS_WAITING_MAX};
use super::*;
use crate::docker::{FakeEngine, FakeImage};
use crate::history;
use crate::image::PullPolicy;
use crate::plan::Request;
use crate::saga::{Fault, SagaKind};

const PATIENCE: Duration = Duration::from_secs(60);

/// A worker for an engine with `web` on it.
fn worker(dir: &std::path::Path, faults: &[Fault]) -> Arc<Worker> {
    let engine = FakeEngine::new(&dir.join("engine"));
    for tag in ["v1", "v2"] {
        let files = vec![("/etc/motd".to_owned(), tag.into())];
        engine.add_image(FakeImage { reference: format!("fake/app:{tag}"), files, ..FakeImage::default() });
    }
    engine.add_container("web", "fake/app:v1", json!({})).unwrap();
    let mut config = Config::built_in();
    config.data_dir = dir.join("data");
    config.settle_time = Duration::ZERO;
    config.disk_headroom_bytes = 0;
    let data = DataDir::new(&config.data_dir);
    let faults = Faults::new(faults.iter().copied());
    let means = Means { engine: Arc::new(engine), config, data, faults };
    Arc::new(Worker::new(means, CancellationToken::new()))
}

fn order(id: RedeployId) -> Order {
    let request = Request {
        container: "web".to_owned(),
        image: "fake/app:v2".to_owned(),
        use_existing_volumes: true,
        skip_reinstall: false,
        archive_binds: false,
        verify_timeout: Duration::from_secs(20),
        probe: None,
    };
    Order {
        id,
        note: Note::new(1, 1, "web", SagaKind::Redeploy),
        deadline: None,
        task: Ok(Task::Redeploy { request, pull: PullPolicy::Never, login: None }),
    }
}

/// A worker that has redeployed `web` while retention was 7 days, and then is started again with this many.
async fn after_a_redeploy_kept_for(dir: &std::path::Path, days: u32) -> Arc<Worker> {
    let first = worker(dir, &[]);
    first.order(order(RedeployId::generate())).await;
    until(&first, "the job goes on", async || first.running().is_empty()).await;
    first.stop().await;
    let config = Config { retention_days: days, ..first.means.config.clone() };
    let (engine, data) = (Arc::clone(&first.means.engine), first.means.data.clone());
    let means = Means { engine, config, data, faults: Faults::default() };
    Arc::new(Worker::new(means, CancellationToken::new()))
}

/// Waits until the worker says that something is over and `done` is true.
async fn until(worker: &Worker, what: &str, done: impl AsyncFn() -> bool) {
    let waiting = async {
        while !done().await {
            let _ = timeout(Duration::from_millis(50), worker.outbox.ended.notified()).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_job_left_open_is_ended_without_anybody_asking() {
    let dir = tempfile::tempdir().unwrap();
    let worker = worker(dir.path(), &[Fault::StopAt(6)]);
    let id = RedeployId::generate();
    assert!(!worker.order(order(id)).await);
    let state = || history::load_one(&worker.means.data, id).unwrap().map(|entry| entry.state);
    until(&worker, "it stays open", async || matches!(state(), Some(crate::saga::State::Closed(_)))).await;
    worker.stop().await;
    assert!(worker.running().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_cut_short_is_known_to_be_open_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (id, never) = (RedeployId::generate(), RedeployId::generate());
    let first = worker(dir.path(), &[Fault::StopAt(6)]);
    // Nobody is to end it.
    first.closing.cancel();
    first.order(order(id)).await;
    until(&first, "the job goes on", async || first.running().is_empty()).await;
    let again = Worker::new(
        Means {
            engine: Arc::clone(&first.means.engine),
            config: first.means.config.clone(),
            data: first.means.data.clone(),
            faults: Faults::default(),
        },
        CancellationToken::new(),
    );
    assert_eq!(again.open().await, [id]);
    assert!(!again.open().await.contains(&never));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_can_be_called_off_while_another_ends_what_was_left_open() {
    let dir = tempfile::tempdir().unwrap();
    let worker = worker(dir.path(), &[]);
    let id = RedeployId::generate();
    let held = worker.lock.lock().await;
    worker.order(order(id)).await;
    assert_eq!(worker.running(), [id]);
    worker.cancel(id);
    until(&worker, "it waits on", async || worker.running().is_empty()).await;
    drop(held);
    let note = Note::read(&worker.means.data.redeploy(id)).unwrap();
    assert!(note.refusals[0].contains("cancelled"), "{:?}", note.refusals);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_no_longer_holds_goes_without_a_redeploy_but_not_beside_one() {
    let dir = tempfile::tempdir().unwrap();
    let kept = after_a_redeploy_kept_for(dir.path(), 7).await;
    assert!(kept.prune_if_quiet().await);
    assert_eq!(kept.means.engine.containers().await.unwrap().len(), 2, "its days are not over");
    kept.stop().await;
    drop(kept);
    let dir = tempfile::tempdir().unwrap();
    let later = after_a_redeploy_kept_for(dir.path(), 0).await;
    let containers = async || later.means.engine.containers().await.unwrap().len();
    let at_work = later.quiet.read().await;
    assert!(!later.prune_if_quiet().await, "beside a job");
    assert_eq!(containers().await, 2);
    drop(at_work);
    assert!(later.prune_if_quiet().await);
    assert_eq!(containers().await, 1, "the one that serves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruning_is_begun_by_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let later = after_a_redeploy_kept_for(dir.path(), 0).await;
    let containers = async || later.means.engine.containers().await.unwrap().len();
    let soon = Duration::from_millis(1);
    later.prune_by_the_clock(Pauses { first: soon, every: PATIENCE * 60, put_off: soon });
    until(&later, "nothing is pruned", async || containers().await == 1).await;
    later.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_panics_leaves_its_container_free() {
    let dir = tempfile::tempdir().unwrap();
    let worker = worker(dir.path(), &[]);
    let booked = worker.book(RedeployId::generate(), "web").unwrap();
    assert!(worker.book(RedeployId::generate(), "web").is_err());
    let panicking = tokio::spawn(async move {
        let _booked = booked;
        panic!("as a defect would");
    });
    assert!(panicking.await.is_err());
    assert!(worker.book(RedeployId::generate(), "web").is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preflight_is_made_once_at_a_time_and_not_without_limit() {
    let dir = tempfile::tempdir().unwrap();
    let worker = worker(dir.path(), &[]);
    let id = RedeployId::generate();
    let first = worker.check(id).unwrap();
    assert!(worker.check(id).is_none(), "it is under way");
    drop(first);
    let mut all: Vec<Checked> =
        (0..PREFLIGHTS_WAITING_MAX).filter_map(|_| worker.check(RedeployId::generate())).collect();
    assert_eq!(all.len(), PREFLIGHTS_WAITING_MAX);
    assert!(worker.outbox.take().is_empty());
    assert!(worker.check(id).is_none());
    assert_eq!(worker.outbox.take().len(), 1, "it is told that it was not made");
    all.pop();
    assert!(worker.check(id).is_some());
}
