//! What must hold after every saga, however it went.

use redeploy_agent::report::Verdict;

use super::stage::{Order, Serving, Stage};

/// A listed file, a listed directory, a `backup:` file, an unlisted file, volume data.
pub(crate) const LISTED: &str = "/etc/app.conf";
pub(crate) const IN_LISTED_DIR: &str = "/srv/keep/deep/file";
pub(crate) const SHIPPED_IN_LISTED_DIR: &str = "/srv/keep/shipped";
pub(crate) const BACKED_UP: &str = "/etc/php.ini";
pub(crate) const BACKUP: &str = "/etc/php.ini.backup";
pub(crate) const UNLISTED: &str = "/etc/other.conf";
pub(crate) const IN_VOLUME: &str = "/data/rows";
pub(crate) const IN_VOLUME_NEW: &str = "/data/today";
/// What v1 changes in the volume when it stops: rewritten, and deleted.
pub(crate) const FAREWELL: &str = "/data/state";
pub(crate) const PID: &str = "/data/pid";

/// The user's changes before an order; a revert needs a redeploy first, and changes after it.
pub(crate) async fn prepare(stage: &dyn Stage, order: Order) {
    stage.write(LISTED, b"mine");
    stage.write(IN_LISTED_DIR, b"deep");
    stage.delete(SHIPPED_IN_LISTED_DIR);
    stage.write(BACKED_UP, b"my php");
    stage.write(UNLISTED, b"mine, unlisted");
    stage.write(IN_VOLUME, b"rows of then");
    stage.write(FAREWELL, b"running");
    stage.write(PID, b"1");
    match order {
        Order::Redeploy => {}
        Order::RevertKeep | Order::RevertRestore => {
            let report = stage.run(Order::Redeploy, &[]).await.unwrap();
            assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
            stage.write(IN_VOLUME, b"rows of today");
            stage.write(IN_VOLUME_NEW, b"new today");
            stage.write(FAREWELL, b"today");
            stage.write(PID, b"today");
        }
    }
}

/// The last saga's verdict where nothing was left to recover.
pub(crate) fn ended(stage: &dyn Stage) -> Verdict {
    stage.last_verdict()
}

/// Never neither, never both, and every byte where it belongs.
pub(crate) async fn check(stage: &dyn Stage, order: Order, verdict: Verdict, what: &str) {
    assert_eq!(stage.violations(), Vec::<String>::new(), "{what}");
    let version =
        match (order, verdict) {
            (Order::Redeploy, Verdict::Done)
            | (Order::RevertKeep | Order::RevertRestore, Verdict::Undone) => "v2",
            (Order::Redeploy, Verdict::Undone)
            | (Order::RevertKeep | Order::RevertRestore, Verdict::Done) => "v1",
            (_, Verdict::DoneUntidy | Verdict::Stuck | Verdict::Unfinished) => panic!("{what}: {verdict:?}"),
        };
    let wanted = Serving { version: version.to_owned(), restart_policy: "always".to_owned() };
    assert_eq!(stage.serving().await, Some(wanted), "{what}");
    check_containers(stage, order, verdict, what).await;
    check_bytes(stage, order, verdict, version, what).await;
}

/// One runs; at most one more is parked, and nothing else is left.
async fn check_containers(stage: &dyn Stage, order: Order, verdict: Verdict, what: &str) {
    let containers = stage.containers().await;
    let running = containers.iter().filter(|(_, running)| *running).count();
    assert_eq!(running, 1, "{what}: {containers:?}");
    let parked = usize::from(order != Order::Redeploy || verdict == Verdict::Done);
    assert_eq!(containers.len(), 1 + parked, "{what}: {containers:?}");
    assert!(containers.iter().all(|(name, _)| !name.contains(".new-")), "{what}: {containers:?}");
}

async fn check_bytes(stage: &dyn Stage, order: Order, verdict: Verdict, version: &str, what: &str) {
    let text = async |path: &str| stage.read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let is = async |path: &str, wanted: Option<&str>| {
        assert_eq!(text(path).await.as_deref(), wanted, "{what}: {path}");
    };
    is(LISTED, Some("mine")).await;
    is(IN_LISTED_DIR, Some("deep")).await;
    is(SHIPPED_IN_LISTED_DIR, None).await;
    match version {
        "v1" => {
            is(BACKED_UP, Some("my php")).await;
            is(UNLISTED, Some("mine, unlisted")).await;
            is(BACKUP, None).await;
        }
        _ => {
            is(BACKED_UP, Some("php v2")).await;
            is(UNLISTED, Some("other v2")).await;
            is(BACKUP, Some("my php")).await;
        }
    }
    let (rows, today) = match (order, verdict) {
        (Order::Redeploy, _) | (Order::RevertRestore, Verdict::Done) => ("rows of then", None),
        (Order::RevertKeep | Order::RevertRestore, _) => ("rows of today", Some("new today")),
    };
    is(IN_VOLUME, Some(rows)).await;
    is(IN_VOLUME_NEW, today).await;
    match (order, verdict) {
        (Order::Redeploy, _) => {}
        (Order::RevertRestore, Verdict::Done) if stage.says_farewell() => {
            is(FAREWELL, Some("stopped")).await;
            is(PID, None).await;
        }
        (Order::RevertRestore, Verdict::Done) => is(FAREWELL, Some("running")).await,
        (Order::RevertKeep | Order::RevertRestore, _) => {
            is(FAREWELL, Some("today")).await;
            is(PID, Some("today")).await;
        }
    }
}
