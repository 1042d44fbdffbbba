//! Why a request was not carried out, in one place with what becomes of it on the wire.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use tonic::Status;

use crate::bucket::{self, Wait};
use crate::driver;
use crate::store::{SealError, StoreError};

/// A request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No token, or none that is good. Which, is not told.
    #[error("a valid API token is needed")]
    Unknown,
    /// The token does not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// The request breaks a rule, which the text names.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing; the text names the nearest.
    #[error("{0}")]
    Missing(String),
    /// The name or key is used already.
    #[error("{0}")]
    Taken(String),
    /// Not in this state; the text says what is possible.
    #[error("{0}")]
    State(String),
    /// Too many calls: not carried out, and not written down either.
    #[error("too many calls: try again in {} ms", .0.as_millis())]
    Slow(Duration),
    /// Our own trouble: try again later.
    #[error("the coordinator cannot do it now: try again later, and look into its log")]
    Trouble(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A text that may be missing.
pub(super) fn optional<T: FromStr<Err: Display>>(text: &str) -> Result<Option<T>, Refusal> {
    if text.is_empty() { Ok(None) } else { required(text).map(Some) }
}

/// A text that must be there and well formed.
pub(super) fn required<T: FromStr<Err: Display>>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|error: T::Err| Refusal::Invalid(error.to_string()))
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Taken { .. } => Self::Taken(error.to_string()),
            StoreError::Database { .. } | StoreError::Form { .. } | StoreError::Ordered => {
                Self::Trouble(Box::new(error))
            }
        }
    }
}

impl From<SealError> for Refusal {
    fn from(error: SealError) -> Self {
        Self::Trouble(Box::new(error))
    }
}

impl From<Wait> for Refusal {
    fn from(Wait(wait): Wait) -> Self {
        Self::Slow(wait)
    }
}

impl From<driver::Refused> for Refusal {
    fn from(refused: driver::Refused) -> Self {
        match refused {
            driver::Refused::State(_) | driver::Refused::Busy { .. } => Self::State(refused.to_string()),
            driver::Refused::Unknown(_) => Self::Missing(refused.to_string()),
            driver::Refused::Store(_) | driver::Refused::Stopping => Self::Trouble(Box::new(refused)),
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Unknown => Self::unauthenticated(text),
            Refusal::Forbidden(_) => Self::permission_denied(text),
            Refusal::Invalid(_) => Self::invalid_argument(text),
            Refusal::Missing(_) => Self::not_found(text),
            Refusal::Taken(_) => Self::already_exists(text),
            Refusal::State(_) => Self::failed_precondition(text),
            Refusal::Slow(wait) => bucket::exhausted("too many calls", Wait(wait)),
            Refusal::Trouble(source) => {
                tracing::error!(error = source.as_ref() as &dyn std::error::Error, "a request failed");
                Self::unavailable(text)
            }
        }
    }
}
