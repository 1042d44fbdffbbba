//! Who gets in: the holder of a good token, at the coordinator that made it, and nobody else.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use redeploy_agent::paths::DataDir;
use redeploy_agent::session::{Identity, JoinError, join};
use redeploy_proto::JoinToken;
use redeploy_tests::group::Coordinator;
use tempfile::tempdir;

const HOUR: Duration = Duration::from_secs(3600);

async fn refused(coordinator: &Coordinator, token: &JoinToken) -> Result<JoinError> {
    let dir = tempdir()?;
    let data = DataDir::new(dir.path());
    match join(&data, &coordinator.address(), token).await {
        Ok(identity) => bail!("it joined as {}", identity.host_id),
        Err(error) => {
            ensure!(Identity::load(&data).is_err(), "a refused host has an identity");
            Ok(error)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_once_for_one_key_until_it_expires() -> Result<()> {
    let dir = tempdir()?;
    let coordinator = Coordinator::start(dir.path()).await?;

    let token = coordinator.token(HOUR).await?;
    let first = DataDir::new(dir.path().join("first"));
    let identity = join(&first, &coordinator.address(), &token).await?;
    ensure!(Identity::load(&first)?.host_id == identity.host_id);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(first.coordinator())?.permissions());
    ensure!(mode & 0o777 == 0o600, "others may read the key: {mode:o}");
    ensure!(!first.joining().exists(), "the key is there twice");

    ensure!(matches!(refused(&coordinator, &token).await?, JoinError::Token), "used by another key");
    let again = join(&first, &coordinator.address(), &token).await;
    ensure!(matches!(again, Err(JoinError::Joined(_))), "{again:?}");

    let expired = coordinator.token(Duration::ZERO).await?;
    ensure!(matches!(refused(&coordinator, &expired).await?, JoinError::Token), "expired");
    let mut wrong = coordinator.token(HOUR).await?;
    wrong.secret[0] ^= 1;
    ensure!(matches!(refused(&coordinator, &wrong).await?, JoinError::Token), "wrong");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_told_to_no_other_coordinator() -> Result<()> {
    let dir = tempdir()?;
    let ours = Coordinator::start(&dir.path().join("ours")).await?;
    let other = Coordinator::start(&dir.path().join("other")).await?;
    let token = ours.token(HOUR).await?;
    let error = refused(&other, &token).await?;
    ensure!(matches!(error, JoinError::Dial(_)), "{error:?}");
    // It was not used up.
    join(&DataDir::new(dir.path().join("host")), &ours.address(), &token).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_port_harms_nobody() -> Result<()> {
    let dir = tempdir()?;
    let coordinator = Coordinator::start(dir.path()).await?;
    let mut strangers = Vec::new();
    for words in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 4096], b"\x16\x03\x01\xff\xff", b""] {
        let mut stranger = TcpStream::connect(coordinator.socket())?;
        stranger.write_all(words)?;
        strangers.push(stranger);
    }
    let token = coordinator.token(HOUR).await?;
    join(&DataDir::new(dir.path().join("host")), &coordinator.address(), &token).await?;
    drop(strangers);
    Ok(())
}
