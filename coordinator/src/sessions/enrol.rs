//! A host joins, or renews its certificate.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use redeploy_proto::v1::{EnrollRequest, EnrollResponse, RenewRequest, RenewResponse};
use tonic::{Code, Status};
use uuid::Uuid;

use super::book::{Joined, Joining};
use super::{Shared, service};
use crate::bucket::{self, owner_of};
use crate::door::Caller;
use crate::ids::HostId;
use crate::moment::Moment;
use crate::pki::{PkiError, key_hash};
use crate::store::{AuditRow, hash_of};

/// The longest name of a machine that is kept; Linux knows 64.
const NAME_CHARS_MAX: usize = 64;

/// The one answer to every token that is not good: nothing is to be learned from it.
fn refused() -> Status {
    Status::unauthenticated("the join token is not valid: ask for a new one")
}

pub(super) async fn enrol(
    shared: &Shared,
    request: EnrollRequest,
    address: Option<SocketAddr>,
) -> Result<EnrollResponse, Status> {
    let key_hash = key_hash(&request.csr).map_err(|error| bad_request(&error))?.to_vec();
    let now = SystemTime::now();
    let fresh: HostId = Uuid::now_v7().to_string().parse().map_err(service::internal)?;
    let not_after = moment(shared.authority.host_not_after(now));
    let joining = Joining {
        token_hash: hash_of(request.token.trim()),
        key_hash,
        fresh,
        name: plain(&request.host_name),
        address,
        certificate_ends: not_after,
    };
    match shared.book.join(&joining, Moment::now()).await {
        Ok(Joined::As(host)) => {
            note(shared, &joining.name, JOIN, host.as_str(), address, "ok").await?;
            tracing::info!(%host, name = joining.name, ?address, "a host joined");
            let certificate = shared.authority.issue(&request.csr, &host, now).map_err(service::internal)?;
            let ca = shared.authority.certificate().to_vec();
            Ok(EnrollResponse {
                host_id: host.as_str().to_owned(),
                certificate,
                ca,
                not_after_ms: not_after.0,
            })
        }
        Ok(Joined::Refused) => {
            let from = owner_of(address.map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.ip()));
            if let Err(wait) = shared.refused.take(from, Instant::now()) {
                tracing::debug!(?address, "too many joins without a good token");
                return Err(bucket::exhausted("too many joins without a good token", wait));
            }
            tracing::warn!(?address, name = joining.name, "a join token was refused");
            note(shared, "unknown", JOIN, &joining.name, address, "refused: the join token is not good")
                .await?;
            Err(refused())
        }
        Err(error) => Err(service::unavailable(&error)),
    }
}

pub(super) async fn renew(
    shared: &Shared,
    host: &HostId,
    request: RenewRequest,
) -> Result<RenewResponse, Status> {
    key_hash(&request.csr).map_err(|error| bad_request(&error))?;
    let now = SystemTime::now();
    let not_after = moment(shared.authority.host_not_after(now));
    let certificate = shared.authority.issue(&request.csr, host, now).map_err(service::internal)?;
    shared.book.renewed(host, not_after).await.map_err(|error| service::unavailable(&error))?;
    tracing::info!(%host, "a certificate was renewed");
    let ca = shared.authority.certificate().to_vec();
    Ok(RenewResponse { certificate, ca, not_after_ms: not_after.0 })
}

/// The words of the audit log.
const JOIN: &str = "join";
const RENEW: &str = "renew certificate";

/// Notes a renewal, or that it was refused. Whoever has no certificate is nobody, and was told so.
pub(super) async fn note_renewal(
    shared: &Shared,
    caller: &Caller,
    done: &Result<RenewResponse, Status>,
) -> Result<(), Status> {
    let Some(peer) = &caller.peer else { return Ok(()) };
    let host = peer.host.as_str();
    let result = match done {
        Ok(_) => "ok",
        // What is only too much, or our own trouble, is no decision.
        Err(status) if matches!(status.code(), Code::ResourceExhausted | Code::Unavailable) => return Ok(()),
        Err(status) => status.message(),
    };
    note(shared, &format!("host {host}"), RENEW, host, caller.address, result).await
}

/// A line in the audit log. What cannot be noted is not answered: the agent asks again.
async fn note(
    shared: &Shared,
    who: &str,
    what: &str,
    target: &str,
    address: Option<SocketAddr>,
    result: &str,
) -> Result<(), Status> {
    let row = AuditRow {
        at: Moment::now().0,
        who: who.to_owned(),
        what: what.to_owned(),
        target: target.to_owned(),
        address: address.map(|address| address.to_string()).unwrap_or_default(),
        result: result.to_owned(),
    };
    shared.book.note(&row).await.map_err(|error| service::unavailable(&error))
}

fn bad_request(error: &PkiError) -> Status {
    Status::invalid_argument(error.to_string())
}

/// A stranger's text goes into logs and onto screens.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
}

fn moment(time: SystemTime) -> Moment {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
