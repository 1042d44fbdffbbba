//! Handles on the files of containers, volumes and the host.

use redeploy_agent::docker::{Change, ChangeKind, EngineError, MountKind};
use serde_json::json;

use crate::checks::status;
use crate::files::{delete, facts, read, write};
use crate::fixture::{Fixture, MOTD, SHIPPED};

pub(crate) async fn the_root_of_a_new_container_can_be_written_before_its_start(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let id = fixture.create("prefilled", &fixture.body()).await;
    let root = engine.open_root(&id).await.unwrap();
    assert_eq!(read(&root, "etc/motd").unwrap(), MOTD);
    write(&root, "etc/prefilled", b"kept");
    write(&root, "etc/motd", b"changed");
    drop(root);
    engine.start(&id).await.unwrap();
    let inside = engine.open_root(&id).await.unwrap();
    assert_eq!(read(&inside, "etc/prefilled").unwrap(), b"kept");
    assert_eq!(read(&inside, "etc/motd").unwrap(), b"changed");
    write(&inside, "etc/while-running", b"live");
    let changes = engine.diff(&id).await.unwrap();
    let has = |path: &str, kind| changes.contains(&Change { path: path.to_owned(), kind });
    assert!(has("/etc/prefilled", ChangeKind::Added), "{changes:?}");
    assert!(has("/etc/while-running", ChangeKind::Added), "{changes:?}");
    assert!(has("/etc/motd", ChangeKind::Modified), "{changes:?}");
    assert!(has("/etc", ChangeKind::Modified), "{changes:?}");
}

pub(crate) async fn opening_a_root_changes_nothing(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let id = fixture.create("untouched", &fixture.body()).await;
    let before = facts(&engine.open_root(&id).await.unwrap());
    let listed = engine.diff(&id).await.unwrap();
    let after = facts(&engine.open_root(&id).await.unwrap());
    assert_eq!((before.st_mode, before.st_uid, before.st_gid), (after.st_mode, after.st_uid, after.st_gid));
    // With the containerd store even a question makes and removes a directory in `/`, and nothing tells the time
    // before.
    if fixture.inspect(&id).await.raw()["GraphDriver"]["Data"]["MergedDir"].is_string() {
        assert_eq!((before.st_mtime, before.st_mtime_nsec), (after.st_mtime, after.st_mtime_nsec));
    }
    assert_eq!(engine.diff(&id).await.unwrap(), listed);
    assert_eq!(listed, []);
}

pub(crate) async fn a_handle_outlives_the_run_and_deletes_for_good(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let id = fixture.create("outlived", &fixture.body()).await;
    engine.start(&id).await.unwrap();
    let live = engine.open_root(&id).await.unwrap();
    write(&live, "etc/last-words", b"still here");
    engine.stop(&id, None).await.unwrap();
    assert_eq!(read(&live, "etc/last-words").unwrap(), b"still here");
    drop(live);

    let stopped = engine.open_root(&id).await.unwrap();
    assert_eq!(read(&stopped, "etc/last-words").unwrap(), b"still here");
    delete(&stopped, "etc/last-words");
    delete(&stopped, "etc/motd");
    drop(stopped);
    engine.start(&id).await.unwrap();
    let again = engine.open_root(&id).await.unwrap();
    assert_eq!(read(&again, "etc/motd"), None);
    assert_eq!(read(&again, "etc/last-words"), None);
    let gone = Change { path: "/etc/motd".to_owned(), kind: ChangeKind::Deleted };
    assert!(engine.diff(&id).await.unwrap().contains(&gone));
}

pub(crate) async fn the_size_of_what_was_written_is_told(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let id = fixture.create("size", &fixture.body()).await;
    let before = engine.written_bytes(&id).await.unwrap().unwrap();
    let root = engine.open_root(&id).await.unwrap();
    write(&root, "etc/big", &[1; 100_000]);
    drop(root);
    let written = engine.written_bytes(&id).await.unwrap().unwrap() - before;
    assert!((100_000..110_000).contains(&written), "{written}");
    assert_eq!(status(engine.written_bytes(&fixture.name("none")).await), 404);
}

pub(crate) async fn a_read_only_root_that_does_not_run_is_refused(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let mut body = fixture.body();
    body["HostConfig"]["ReadonlyRootfs"] = json!(true);
    let id = fixture.create("read-only", &body).await;
    match engine.open_root(&id).await {
        Err(EngineError::NoRoot { detail, .. }) => assert!(detail.contains("read-only"), "{detail}"),
        other => panic!("expected a refusal, got {other:?}"),
    }
    engine.start(&id).await.unwrap();
    assert_eq!(read(&engine.open_root(&id).await.unwrap(), "etc/motd").unwrap(), MOTD);
}

pub(crate) async fn volumes_are_kept_filled_and_opened(fixture: &impl Fixture) {
    let (engine, name) = (fixture.engine(), fixture.name("volume"));
    let mut body = fixture.body();
    body["Image"] = json!(fixture.image_with_volume());
    let id = fixture.create("anonymous", &body).await;
    let mounts = fixture.inspect(&id).await.mounts();
    let [mount] = mounts.as_slice() else { panic!("one mount, not {mounts:?}") };
    let MountKind::Volume { name: anonymous, .. } = &mount.kind else { panic!("a volume, not {mount:?}") };
    fixture.clean_up_volume(anonymous);
    assert_eq!((mount.target.as_str(), mount.writable), ("/data", true));
    assert_eq!(anonymous.len(), 64);
    engine.remove(&id).await.unwrap();
    assert_eq!(read(&engine.open_volume(anonymous).await.unwrap(), "shipped").unwrap(), SHIPPED);
    engine.remove_volume(anonymous).await.unwrap();
    assert!(engine.volume(anonymous).await.unwrap().is_none());

    let labelled = json!({ "Name": name, "Labels": { "kept": "yes" } });
    engine.create_volume(&labelled).await.unwrap();
    engine.create_volume(&labelled).await.unwrap();
    let volume = engine.volume(&name).await.unwrap().unwrap();
    assert_eq!((volume.driver.as_str(), volume.labels["kept"].as_str()), ("local", "yes"));
    write(&engine.open_volume(&name).await.unwrap(), "mine", b"before");
    body["HostConfig"]["Binds"] = json!([format!("{name}:/data")]);
    let id = fixture.create("named", &body).await;
    engine.start(&id).await.unwrap();
    let data = engine.open_volume(&name).await.unwrap();
    assert_eq!(read(&data, "mine").unwrap(), b"before");
    assert_eq!(read(&data, "shipped"), None, "a volume with contents is not filled");
    assert_eq!(crate::checks::status(engine.remove_volume(&name).await), 409);
    engine.remove(&id).await.unwrap();
    assert!(engine.volume(&name).await.unwrap().is_some());
}

pub(crate) async fn host_directories_are_opened(fixture: &impl Fixture) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("inner")).unwrap();
    let root = fixture.engine().open_host_dir(dir.path().to_str().unwrap()).await.unwrap();
    write(&root, "inner/file", b"x");
    assert_eq!(std::fs::read(dir.path().join("inner/file")).unwrap(), b"x");
    let none = dir.path().join("none");
    let refused = fixture.engine().open_host_dir(none.to_str().unwrap()).await;
    assert!(matches!(refused, Err(EngineError::NoRoot { .. })));
}
