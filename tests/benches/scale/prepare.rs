//! A coordinator's data directory in which so many hosts have joined, and their certificates.
//!
//! Flows in: how many. Flows out: a directory with `coordinator/` (store, CA), `key` and `certificates` for the
//! simulated agents. They share one key, which changes nothing for the coordinator; each has a certificate of its own.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result};
use rcgen::{CertificateParams, KeyPair};
use redeploy_coordinator::ids::HostId;
use redeploy_coordinator::pki::Authority;
use redeploy_coordinator::store::{HostRow, Sqlite};
use tempfile::TempDir;

/// Everything the processes of a run share.
pub(crate) struct Room {
    dir: TempDir,
    path: String,
}

impl Room {
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn coordinator(&self) -> PathBuf {
        self.dir.path().join("coordinator")
    }
}

/// What a simulated agent is.
pub(crate) struct Identity {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

pub(crate) fn hosts(count: u64) -> Result<Room> {
    let began = Instant::now();
    let dir = tempfile::Builder::new().prefix("redeploy-bench-").tempdir_in("/var/tmp")?;
    let path = dir.path().to_str().context("the path is not UTF-8")?.to_owned();
    let room = Room { dir, path };
    let authority = Authority::open(&room.coordinator().join("pki"), SystemTime::now())?;
    let key = KeyPair::generate()?;
    let csr = CertificateParams::default().serialize_request(&key)?;
    let ids: Result<Vec<HostId>, _> = (0..count).map(|number| host_id(number).parse()).collect();
    let ids = ids?;
    let mut certificates = Vec::new();
    for id in &ids {
        let certificate = authority.issue(csr.der(), id, SystemTime::now())?;
        certificates.extend(u32::try_from(certificate.len())?.to_be_bytes());
        certificates.extend(certificate);
    }
    std::fs::write(room.dir.path().join("certificates"), certificates)?;
    std::fs::write(room.dir.path().join("key"), key.serialize_der())?;
    store(&room.coordinator().join("store.db"), &ids)?;
    println!("prepared in {:.1} s", began.elapsed().as_secs_f64());
    Ok(room)
}

fn host_id(number: u64) -> String {
    format!("00000000-0000-7000-8000-{number:012}")
}

/// Made in memory and then copied: one wait for the disk for each host would take minutes.
fn store(path: &Path, hosts: &[HostId]) -> Result<()> {
    let quick = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
    let made = quick.path().join("store.db");
    tokio::runtime::Runtime::new()?.block_on(async {
        let store = Sqlite::open(&made).await?;
        for host in hosts {
            store.add_host(&row(host)).await?;
        }
        store.close().await;
        anyhow::Ok(())
    })?;
    std::fs::copy(made, path)?;
    Ok(())
}

fn row(host: &HostId) -> HostRow {
    HostRow {
        host_id: host.as_str().to_owned(),
        name: format!("host-{host}"),
        joined_at: 1,
        seen_at: 0,
        address: String::new(),
        cert_ends: i64::MAX,
        facts: None,
        revoked_at: None,
    }
}

/// The identities of a room, for the process that simulates the agents.
pub(crate) fn identities(room: &Path) -> Result<Vec<Identity>> {
    let key = std::fs::read(room.join("key"))?;
    let bytes = std::fs::read(room.join("certificates"))?;
    let mut rest = bytes.as_slice();
    let mut all = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (certificate, after) = after.split_at_checked(length).context("certificates are cut short")?;
        all.push(Identity { certificate: certificate.to_vec(), key: key.clone() });
        rest = after;
    }
    Ok(all)
}

/// The CA's certificate of a room.
pub(crate) fn ca(room: &Path) -> PathBuf {
    room.join("coordinator/pki/ca.crt")
}
