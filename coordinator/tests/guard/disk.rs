//! A data directory that is full, damaged, of a newer program, or somebody else's.

#![expect(clippy::disallowed_methods, reason = "a test mounts a file system and damages files")]

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use redeploy_coordinator::server::{Limits, StartError};
use redeploy_proto::v1;
use tonic::Code;

use crate::house::{House, settings, start, until};

/// A small file system of its own; gone when this is dropped.
struct Small {
    at: tempfile::TempDir,
}

impl Small {
    fn new(size: &str) -> Self {
        let at = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=0700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at.path()).status();
        assert!(mounted.unwrap().success(), "a tmpfs cannot be mounted: run the tests as root");
        Self { at }
    }

    /// Takes all that is left.
    fn fill(&self) -> PathBuf {
        let filler = self.at.path().join("filler");
        let mut block = 1 << 20;
        let mut file = std::fs::File::create(&filler).unwrap();
        while block > 0 {
            if std::io::Write::write_all(&mut file, &vec![0; block]).is_err() {
                block /= 2;
            }
        }
        filler
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.at.path()).status();
    }
}

fn with_causes(error: &StartError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

async fn refused(data_dir: &Path) -> String {
    match start(&settings(data_dir, Limits::default())).await {
        Ok(server) => {
            server.stop().await;
            panic!("it started");
        }
        Err(error) => with_causes(&error),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_it_does_not_start_and_says_so() {
    let small = Small::new("1m");
    small.fill();
    let error = refused(&small.at.path().join("data")).await;
    assert!(error.contains("disk is not full") || error.contains("can be made and written"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_disk_fills_up_it_takes_no_orders_and_goes_on_when_there_is_room() {
    let small = Small::new("8m");
    let data = small.at.path().join("data");
    let house = House::at(&data, Limits::default()).await;
    let mut admin = house.admin().await;
    admin.create_join_token(v1::CreateJoinTokenRequest::default()).await.expect("there is room");
    let before = house.audit().await.len();
    let filler = small.fill();
    // What was allocated before may still take some.
    let mut refused = None;
    for _ in 0..2000 {
        let comment = "x".repeat(400);
        let request = v1::CreateJoinTokenRequest { comment, expires_in_ms: 0 };
        if let Err(status) = admin.create_join_token(request).await {
            refused = Some(status);
            break;
        }
    }
    let refused = refused.expect("a full disk takes no orders");
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    admin.list_join_tokens(v1::ListJoinTokensRequest {}).await.expect("who only looks is served");
    std::fs::remove_file(filler).unwrap();
    until("orders to be taken again", || {
        let mut admin = admin.clone();
        async move { admin.create_join_token(v1::CreateJoinTokenRequest::default()).await.is_ok() }
    })
    .await;
    assert!(house.audit().await.len() > before);
    let mut house = house;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_newer_store_is_refused_with_what_to_do() {
    let mut house = House::new(Limits::default()).await;
    house.stop().await;
    let store = house.data_dir().join("store.db");
    let good = std::fs::read(&store).unwrap();

    let mut bad = good.clone();
    bad[4096..12_288].fill(0xa5);
    std::fs::write(&store, &bad).unwrap();
    let error = refused(house.data_dir()).await;
    assert!(error.contains("is damaged") && error.contains("put back a copy"), "{error}");

    std::fs::write(&store, &good).unwrap();
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", store.display())).await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET version = 9999 WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    let error = refused(house.data_dir()).await;
    assert!(error.contains("newer than this program") && error.contains("before the upgrade"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_can_get_at_is_refused_or_closed() {
    let mut house = House::new(Limits::default()).await;
    house.stop().await;
    let dir = house.data_dir().to_owned();
    let mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for entry in ["store.db", "seal.key", "admin.token", "pki/ca.key"] {
        let found = dir.join(entry).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(found, 0o600, "{entry}");
    }
    mode(&dir, 0o777);
    assert!(refused(&dir).await.contains("chmod go-rwx"));
    mode(&dir, 0o700);
    for key in ["seal.key", "pki/ca.key", "admin.token"] {
        mode(&dir.join(key), 0o644);
        let error = refused(&dir).await;
        assert!(error.contains("chmod 600") && error.contains(key), "{error}");
        mode(&dir.join(key), 0o600);
    }
    chown(&dir, Some(12_345), None).unwrap();
    let error = refused(&dir).await;
    assert!(error.contains("belongs to user 12345") && error.contains("chown"), "{error}");
    chown(&dir, Some(0), None).unwrap();
    // As `mkdir` and a volume of an engine make it.
    mode(&dir, 0o755);
    mode(&dir.join("store.db"), 0o644);
    start(&settings(&dir, Limits::default())).await.unwrap().stop().await;
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(dir.join("store.db").metadata().unwrap().permissions().mode() & 0o777, 0o600);
}
