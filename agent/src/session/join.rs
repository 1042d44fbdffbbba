//! A host joins its coordinator: a key of its own, a signing request, and back comes a certificate.
//!
//! Flows in: an address and a join token. Flows out: `coordinator.json`. Must never send the token to anybody but the
//! coordinator it was made by.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::CertificateParams;
use redeploy_proto::JoinToken;
use redeploy_proto::v1::{EnrollRequest, RenewRequest};
use sha2::{Digest, Sha256};
use tonic::{Code, Response, Status};

use super::address::Address;
use super::dial::{self, Client, DialError};
use super::host;
use super::identity::{Identity, IdentityError, joining_key};
use crate::durable::{self, DurableError};
use crate::paths::DataDir;

/// How long the coordinator may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// This host did not join, or its certificate was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It has already.
    #[error(
        "this host has joined the coordinator at {0} already: to join another one, remove coordinator.json from the data directory"
    )]
    Joined(Address),
    /// No identity can be kept.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The token is not good.
    #[error(
        "the coordinator does not accept the join token: it is wrong, used, revoked or too old. Make a new one"
    )]
    Token,
    /// Something else was wrong.
    #[error("the coordinator refused ({code}): {message}", code = .0.code(), message = .0.message())]
    Refused(Box<Status>),
    /// It is connected, and says nothing.
    #[error("the coordinator does not answer within {0:?}")]
    Silent(Duration),
    /// Its answer makes no sense.
    #[error("the coordinator's answer makes no sense: {0}")]
    Answer(&'static str),
    /// What is not needed any more cannot be removed.
    #[error(transparent)]
    Durable(#[from] DurableError),
}

/// Joins, and answers who we are now.
///
/// # Errors
/// [`JoinError`]
pub async fn join(data: &DataDir, address: &Address, token: &JoinToken) -> Result<Identity, JoinError> {
    match Identity::load(data) {
        Ok(identity) => return Err(JoinError::Joined(identity.coordinator)),
        Err(IdentityError::NotJoined) => {}
        Err(error) => return Err(error.into()),
    }
    let key = joining_key(data)?;
    let csr = CertificateParams::default()
        .serialize_request(&key)
        .map_err(|error| IdentityError::Key(error.to_string()))?;
    let mut client = dial::stranger(address, token.ca_fingerprint).await?;
    let request = EnrollRequest {
        token: token.reveal(),
        csr: csr.der().to_vec(),
        host_name: host::name(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let answer = answered(PATIENCE, client.enroll(request)).await?;
    if Sha256::digest(&answer.ca)[..] != token.ca_fingerprint {
        return Err(JoinError::Answer("its CA is not the one of the token"));
    }
    let now = Timestamp::now();
    let identity = Identity {
        coordinator: address.clone(),
        host_id: answer.host_id,
        key: key.serialize_pem(),
        certificate: answer.certificate,
        ca: answer.ca,
        joined_at: now,
        issued_at: now,
        not_after: until(answer.not_after_ms)?,
    };
    identity.store(data)?;
    durable::remove_file(&data.joining())?;
    Ok(identity)
}

/// Has the certificate renewed, with the same key.
///
/// # Errors
/// [`JoinError`]
pub(super) async fn renew(
    client: &mut Client,
    data: &DataDir,
    identity: &Identity,
) -> Result<Identity, JoinError> {
    let made = |error: rcgen::Error| IdentityError::Key(error.to_string());
    let key = rcgen::KeyPair::from_pem(&identity.key).map_err(made)?;
    let csr = CertificateParams::default().serialize_request(&key).map_err(made)?;
    let answer = answered(PATIENCE, client.renew(RenewRequest { csr: csr.der().to_vec() })).await?;
    let renewed = Identity {
        certificate: answer.certificate,
        ca: answer.ca,
        issued_at: Timestamp::now(),
        not_after: until(answer.not_after_ms)?,
        ..identity.clone()
    };
    renewed.store(data)?;
    Ok(renewed)
}

/// A session that waits for this must not wait for ever.
async fn answered<T>(
    patience: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, JoinError> {
    match tokio::time::timeout(patience, call).await {
        Ok(answer) => Ok(answer.map_err(refused)?.into_inner()),
        Err(_) => Err(JoinError::Silent(patience)),
    }
}

fn refused(status: Status) -> JoinError {
    if status.code() == Code::Unauthenticated {
        JoinError::Token
    } else {
        JoinError::Refused(Box::new(status))
    }
}

fn until(not_after_ms: i64) -> Result<Timestamp, JoinError> {
    Timestamp::from_millisecond(not_after_ms)
        .map_err(|_| JoinError::Answer("the certificate's end is no time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_coordinator_that_says_nothing_is_not_waited_for_for_ever() {
        let patience = Duration::from_millis(10);
        let silent = answered(patience, std::future::pending::<Result<Response<()>, Status>>()).await;
        assert!(matches!(silent, Err(JoinError::Silent(_))), "{silent:?}");
        let denied =
            answered(patience, async { Err::<Response<()>, _>(Status::unauthenticated("no")) }).await;
        assert!(matches!(denied, Err(JoinError::Token)), "{denied:?}");
    }
}
