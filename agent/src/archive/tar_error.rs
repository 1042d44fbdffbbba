//! What can go wrong with a tar stream, in words an operator can act on.
//!
//! Must never carry contents of files or values of attributes.

use std::io;

use super::acl::InvalidAcl;
use crate::guest_path::{GuestPath, InvalidGuestPath};

/// An archive could not be written or read. Offsets are bytes from the start of the unpacked stream.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The archive's own file or pipe refuses bytes.
    #[error("cannot write {path} into the archive: check the disk the archive is on")]
    Output {
        /// The entry at hand.
        path: GuestPath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The archive's end could not be written.
    #[error("cannot finish the archive: check the disk it is on")]
    Finish(#[source] io::Error),
    /// The file being archived could not be read to its end. The stream is still well-formed.
    #[error("cannot read all of {path}: its last {missing} bytes stand as zeros in the archive")]
    Source {
        /// The file.
        path: GuestPath,
        /// How many bytes are zeros now.
        missing: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An entry no archive can hold. Nothing of it was written.
    #[error("{path} cannot be archived: {reason}")]
    Unfit {
        /// The entry.
        path: GuestPath,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More attributes than a reader accepts. Nothing of the entry was written.
    #[error("{path} cannot be archived with its attributes: they take {bytes} bytes, {max} are allowed")]
    AttributesTooLarge {
        /// The entry.
        path: GuestPath,
        /// What they take.
        bytes: u64,
        /// What is allowed.
        max: u64,
    },
    /// The archive's input failed.
    #[error("cannot read the archive at byte {offset}: check its disk and its checksum")]
    Input {
        /// Where.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The archive stops before its end marker.
    #[error("the archive breaks off at byte {offset}: it was cut or never finished; use another one")]
    Truncated {
        /// Where it stops.
        offset: u64,
    },
    /// A header is not what was written, or never was one.
    #[error("the archive is damaged at byte {offset}: {detail}")]
    Header {
        /// Where the header begins.
        offset: u64,
        /// What is wrong.
        detail: &'static str,
    },
    /// An extended header cannot be understood.
    #[error("the archive has a bad extended header at byte {offset}: {detail}")]
    Pax {
        /// Where the entry it belongs to begins.
        offset: u64,
        /// What is wrong.
        detail: &'static str,
    },
    /// Something is larger than we are ready to hold in memory.
    #[error("the archive's {what} at byte {offset} takes {bytes} bytes, {max} are allowed")]
    TooLarge {
        /// Where.
        offset: u64,
        /// What.
        what: &'static str,
        /// What it claims.
        bytes: u64,
        /// What is allowed.
        max: u64,
    },
    /// A name that means nothing inside a container. The next entry can be read.
    #[error("the archive's entry at byte {offset} has a name that is not allowed")]
    Name {
        /// Where the entry begins.
        offset: u64,
        /// What is wrong with the name.
        #[source]
        source: InvalidGuestPath,
    },
    /// A device, or a kind of entry nobody here knows. The next entry can be read.
    #[error("{path} is of a kind that is not restored (tar type {})", type_flag.escape_ascii())]
    Unsupported {
        /// The entry.
        path: GuestPath,
        /// Its type byte in the header.
        type_flag: u8,
    },
    /// One value of an entry makes no sense. The next entry can be read.
    #[error("{path} stands in the archive with a bad {what}")]
    Value {
        /// The entry.
        path: GuestPath,
        /// Which value.
        what: &'static str,
    },
    /// An access control list cannot be understood. The next entry can be read.
    #[error("{path} stands in the archive with a bad access control list")]
    Acl {
        /// The entry.
        path: GuestPath,
        /// What is wrong with it.
        #[source]
        source: InvalidAcl,
    },
    /// An earlier error made the rest of the stream meaningless.
    #[error("nothing more can be done with this archive: see the error before this one")]
    AlreadyBroken,
}

impl TarError {
    /// Does it end the reading (`true`), or only concern one entry, so that the next one can still be read?
    #[must_use]
    pub fn ends_reading(&self) -> bool {
        match self {
            Self::Name { .. } | Self::Unsupported { .. } | Self::Value { .. } | Self::Acl { .. } => false,
            Self::Output { .. }
            | Self::Finish(_)
            | Self::Source { .. }
            | Self::Unfit { .. }
            | Self::AttributesTooLarge { .. }
            | Self::Input { .. }
            | Self::Truncated { .. }
            | Self::Header { .. }
            | Self::Pax { .. }
            | Self::TooLarge { .. }
            | Self::AlreadyBroken => true,
        }
    }
}
