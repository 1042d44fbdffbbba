//! Result codes: all of them, in one table. Those the vendor's public material gives evidence for are used as documented;
//! for the rest it gives none, and they are ours, from 70000 on.
//!
//! Flows in: how a call of the gRPC service failed, or how a deployment ended. Flows out: a code with its words. Must never
//! change a number: scripts compare them.

use tonic::Status;

use super::params::Wrong;
use crate::api::Refusal;

/// What a call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Done,
    NotFound,
    Forbidden,
    NoEnvironment,
    Busy,
    Silent,
    NoPermission,
    Session,
    Parameter,
    NoMethod,
    Slow,
    Trouble,
    Undone,
    Refused,
    Stuck,
    Halted,
    NotBegun,
    Cancelled,
    RolledBack,
}

/// Why a call was not carried out, or not to its good end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) code: Code,
    /// For people; says what to do.
    pub(super) error: String,
}

/// For the documentation and the tests of it.
#[cfg(test)]
pub(super) const ALL: [Code; 19] = [
    Code::Done,
    Code::NotFound,
    Code::Forbidden,
    Code::NoEnvironment,
    Code::Busy,
    Code::Silent,
    Code::NoPermission,
    Code::Session,
    Code::Parameter,
    Code::NoMethod,
    Code::Slow,
    Code::Trouble,
    Code::Undone,
    Code::Refused,
    Code::Stuck,
    Code::Halted,
    Code::NotBegun,
    Code::Cancelled,
    Code::RolledBack,
];

// === impl Code ===

impl Code {
    /// `result`; and `reason`, one word for programs. Both are frozen.
    const fn row(self) -> (u32, &'static str) {
        match self {
            Self::Done => (0, ""),
            // The vendor's.
            Self::NotFound => (5, "not_found"),
            Self::Forbidden => (8, "forbidden"),
            Self::NoEnvironment => (11, "no_environment"),
            Self::Busy => (2212, "busy"),
            Self::Silent => (4109, "silent"),
            Self::NoPermission => (8202, "no_permission"),
            // Ours.
            Self::Session => (70001, "session"),
            Self::Parameter => (70002, "parameter"),
            Self::NoMethod => (70003, "no_method"),
            Self::Slow => (70004, "slow"),
            Self::Trouble => (70005, "trouble"),
            Self::Undone => (70010, "undone"),
            Self::Refused => (70011, "refused"),
            Self::Stuck => (70012, "stuck"),
            Self::Halted => (70013, "halted"),
            Self::NotBegun => (70014, "not_begun"),
            Self::Cancelled => (70015, "cancelled"),
            Self::RolledBack => (70016, "rolled_back"),
        }
    }

    /// `result`
    pub(super) const fn number(self) -> u32 {
        self.row().0
    }

    /// `reason`
    pub(super) const fn reason(self) -> &'static str {
        self.row().1
    }

    /// `source`: the vendor's word where there is evidence for one.
    pub(super) const fn source(self) -> &'static str {
        match self {
            Self::Forbidden => "hx-core",
            Self::Done
            | Self::NotFound
            | Self::NoEnvironment
            | Self::Busy
            | Self::Silent
            | Self::NoPermission
            | Self::Session
            | Self::Parameter
            | Self::NoMethod
            | Self::Slow
            | Self::Trouble
            | Self::Undone
            | Self::Refused
            | Self::Stuck
            | Self::Halted
            | Self::NotBegun
            | Self::Cancelled
            | Self::RolledBack => "redeploy",
        }
    }

    fn of(code: tonic::Code) -> Self {
        match code {
            tonic::Code::Ok => Self::Done,
            tonic::Code::NotFound => Self::NotFound,
            tonic::Code::PermissionDenied => Self::Forbidden,
            tonic::Code::Unauthenticated => Self::Session,
            tonic::Code::InvalidArgument | tonic::Code::OutOfRange => Self::Parameter,
            tonic::Code::FailedPrecondition | tonic::Code::AlreadyExists => Self::Busy,
            tonic::Code::ResourceExhausted => Self::Slow,
            tonic::Code::Cancelled
            | tonic::Code::Unknown
            | tonic::Code::DeadlineExceeded
            | tonic::Code::Aborted
            | tonic::Code::Unimplemented
            | tonic::Code::Internal
            | tonic::Code::Unavailable
            | tonic::Code::DataLoss => Self::Trouble,
        }
    }
}

// === impl Failed ===

impl Failed {
    pub(super) fn new(code: Code, error: impl Into<String>) -> Self {
        Self { code, error: error.into() }
    }

    /// The same failure under another code, if it has this one.
    pub(super) fn instead(self, of: Code, code: Code) -> Self {
        if self.code == of { Self { code, ..self } } else { self }
    }
}

impl From<Status> for Failed {
    fn from(status: Status) -> Self {
        Self::new(Code::of(status.code()), status.message())
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        let is_session = matches!(refusal, Refusal::Unknown);
        let failed = Self::from(Status::from(refusal));
        if is_session {
            let text = "the session is wrong or over: sign in again, or give an API token as `session`";
            return Self::new(Code::Session, text);
        }
        failed
    }
}

impl From<Wrong> for Failed {
    fn from(wrong: Wrong) -> Self {
        Self::new(Code::Parameter, wrong.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: &str = include_str!("../../../../docs/jelastic-api.md");

    #[test]
    fn the_guide_has_every_code_once_and_no_other() {
        let rows = |line: &str| -> Option<(u32, String)> {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let number = cells.next()?.parse().ok()?;
            Some((number, cells.next()?.trim_matches('`').to_owned()))
        };
        let mut documented: Vec<(u32, String)> = GUIDE.lines().filter_map(rows).collect();
        let mut known: Vec<(u32, String)> =
            ALL.iter().map(|code| (code.number(), code.reason().to_owned())).collect();
        documented.sort();
        known.sort();
        assert_eq!(documented, known);
    }

    #[test]
    fn every_failure_of_the_service_has_a_code_that_is_no_success() {
        for code in 1..=16 {
            assert_ne!(Code::of(tonic::Code::from(code)), Code::Done, "{code}");
        }
    }
}
