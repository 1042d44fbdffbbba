//! Which hosts there are: the narrow door from sessions to the store.

use std::net::SocketAddr;

use async_trait::async_trait;

use crate::ids::HostId;
use crate::moment::Moment;
use crate::store::{AuditRow, HostRow, Sqlite, StoreError, Used};

/// A host that wants to join.
#[derive(Debug, Clone)]
pub struct Joining {
    /// Of the token's text.
    pub token_hash: Vec<u8>,
    /// Of its public key.
    pub key_hash: Vec<u8>,
    /// The id it gets if it joins for the first time.
    pub fresh: HostId,
    /// The machine's own name.
    pub name: String,
    /// Where it comes from.
    pub address: Option<SocketAddr>,
    /// When its certificate ends.
    pub certificate_ends: Moment,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// It is this host.
    As(HostId),
    /// The token is not good, for whatever reason.
    Refused,
}

/// May a host speak?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    Good,
    /// It was revoked.
    Revoked,
    /// There is no such host: the store is older than its certificate.
    Unknown,
}

/// The hosts, as sessions need them.
#[async_trait]
pub trait HostBook: Send + Sync {
    /// Uses a join token and stores the host. The same token and key again are the same host again.
    async fn join(&self, joining: &Joining, now: Moment) -> Result<Joined, StoreError>;

    /// May it speak?
    async fn standing(&self, host: &HostId) -> Result<Standing, StoreError>;

    /// Its certificate was renewed.
    async fn renewed(&self, host: &HostId, certificate_ends: Moment) -> Result<(), StoreError>;

    /// A line for the audit log.
    async fn note(&self, row: &AuditRow) -> Result<(), StoreError>;
}

#[async_trait]
impl HostBook for Sqlite {
    async fn join(&self, joining: &Joining, now: Moment) -> Result<Joined, StoreError> {
        let Joining { token_hash, key_hash, fresh, .. } = joining;
        let host = match self.use_join_token(token_hash, key_hash, fresh, now).await? {
            Used::By(host) => host,
            Used::Refused => return Ok(Joined::Refused),
        };
        // A crash here leaves a used token without a host; its key may use it again.
        let row = HostRow {
            host_id: host.as_str().to_owned(),
            name: joining.name.clone(),
            joined_at: now.0,
            seen_at: 0,
            address: joining.address.map(|address| address.to_string()).unwrap_or_default(),
            cert_ends: joining.certificate_ends.0,
            facts: None,
            revoked_at: None,
        };
        self.add_host(&row).await?;
        Ok(Joined::As(host))
    }

    async fn standing(&self, host: &HostId) -> Result<Standing, StoreError> {
        Ok(match self.host(host).await? {
            None => Standing::Unknown,
            Some(HostRow { revoked_at: Some(_), .. }) => Standing::Revoked,
            Some(HostRow { revoked_at: None, .. }) => Standing::Good,
        })
    }

    async fn renewed(&self, host: &HostId, certificate_ends: Moment) -> Result<(), StoreError> {
        self.host_renewed(host, certificate_ends).await
    }

    async fn note(&self, row: &AuditRow) -> Result<(), StoreError> {
        self.audit(row).await
    }
}
