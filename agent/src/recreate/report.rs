//! Where each field came from, and what the operator should know: the part of a recreation people read.
//!
//! Names only. The values of variables, labels and commands may be secrets and never appear here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who a field of the old container came from, and so what happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The user set it: sent again.
    User,
    /// The old image brought it: not sent, the new image's takes its place.
    OldImage,
    /// This redeploy sets it.
    Plan,
    /// The engine made it up: not sent.
    Daemon,
}

/// One field of the old container and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSource {
    /// Such as `Config.Env[PATH]` or `HostConfig.Binds`.
    pub field: String,
    /// Who it came from.
    pub source: Source,
    /// Why, where that is not plain; may be empty.
    pub note: String,
}

impl fmt::Display for FieldSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.source {
            Source::User => "the user's, kept",
            Source::OldImage => "the old image's, replaced by the new one's",
            Source::Plan => "set by this redeploy",
            Source::Daemon => "the engine's own, made anew",
        };
        write!(f, "{}: {what}", self.field)?;
        if self.note.is_empty() { Ok(()) } else { write!(f, " ({})", self.note) }
    }
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// May surprise the operator after the redeploy.
    Warning,
}

/// Something the operator should know before the recreation is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum RecreateFinding {
    /// Without the old image nobody can tell its settings from the user's.
    OldImageGone {
        /// Its id.
        image: String,
    },
    /// These equal the old image's and differ from the new one's; a user may have set them to the very same.
    AmbiguousEnv {
        /// Names of the variables.
        names: Vec<String>,
    },
    /// The variables are not in the order the engine puts them in; taken apart by comparing them instead.
    EnvOrderUnknown,
    /// As [`RecreateFinding::AmbiguousEnv`], for labels.
    AmbiguousLabels {
        /// Names of the labels.
        names: Vec<String>,
    },
    /// The user gave the command, the image the entrypoint, and the new image's entrypoint is another one.
    CommandMeetsNewEntrypoint,
    /// A host port the engine chooses will be another one.
    EphemeralPorts {
        /// Such as `80/tcp`.
        ports: Vec<String>,
    },
    /// The container writes to this volume, began as anonymous, and gets the same one by name.
    AnonymousVolumeKept {
        /// Where it is mounted.
        target: String,
        /// Its name.
        volume: String,
    },
    /// The volume was to be given up, but its contents are elsewhere or its driver is not the plain one.
    VolumeCannotBeFresh {
        /// Where it is mounted.
        target: String,
        /// Its name.
        volume: String,
    },
    /// The volume is given up and another takes its place.
    VolumeGivenUp {
        /// Where it is mounted.
        target: String,
        /// The old one.
        volume: String,
        /// The new one; `None` when the new image declares no volume there.
        fresh: Option<String>,
    },
    /// The new image declares a volume the old container does not have; the engine names it.
    NewImageVolume {
        /// Where it will be mounted.
        target: String,
    },
    /// The container whose volumes it uses does not exist; they are mounted one by one.
    VolumesFromGone {
        /// Id or name, as written in `VolumesFrom`.
        peer: String,
    },
    /// The network it was created on is no longer one of its networks.
    PrimaryNetworkLeft {
        /// `NetworkMode`.
        mode: String,
        /// The network it will be created on instead; `None` when it is on no network at all, and the engine
        /// will connect it to `mode`.
        instead: Option<String>,
    },
    /// A network is not to be found on this host; overlay networks vanish with their last endpoint.
    NetworkNotFound {
        /// Its name.
        network: String,
    },
    /// The host's own name may be baked in; it is sent again in case the user chose it.
    HostNameKept,
    /// A mount carries options of another kind of mount, which the engine no longer accepts.
    MountOptionsDropped {
        /// Where it is mounted.
        target: String,
        /// The options' field.
        options: String,
    },
}

impl RecreateFinding {
    /// How much it matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::OldImageGone { .. }
            | Self::EphemeralPorts { .. }
            | Self::EnvOrderUnknown
            | Self::VolumeCannotBeFresh { .. }
            | Self::VolumesFromGone { .. }
            | Self::PrimaryNetworkLeft { .. }
            | Self::NetworkNotFound { .. } => Severity::Warning,
            Self::AmbiguousEnv { .. }
            | Self::AmbiguousLabels { .. }
            | Self::CommandMeetsNewEntrypoint
            | Self::AnonymousVolumeKept { .. }
            | Self::VolumeGivenUp { .. }
            | Self::NewImageVolume { .. }
            | Self::HostNameKept
            | Self::MountOptionsDropped { .. } => Severity::Note,
        }
    }
}

impl fmt::Display for RecreateFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldImageGone { image } => write!(
                f,
                "the image it was created from ({image}) is gone: its variables, command, labels and the like \
                 cannot be told from the user's, so all of them are kept and hide those of the new image"
            ),
            Self::AmbiguousEnv { names } => write!(
                f,
                "these variables equal the old image's and take the new image's value; set them again if you \
                 meant to pin them: {}",
                names.join(", ")
            ),
            Self::EnvOrderUnknown => f.write_str(
                "the variables are not in the engine's order: those that equal the old image's take the new \
                 image's value, all others are kept",
            ),
            Self::AmbiguousLabels { names } => write!(
                f,
                "these labels equal the old image's and take the new image's value; set them again if you \
                 meant to pin them: {}",
                names.join(", ")
            ),
            Self::CommandMeetsNewEntrypoint => f.write_str(
                "the user's command becomes the arguments of the new image's entrypoint, which is not the old \
                 image's; set the entrypoint if you meant to pin it",
            ),
            Self::EphemeralPorts { ports } => {
                write!(f, "the engine chooses the host port of {} anew: it will change", ports.join(", "))
            }
            Self::AnonymousVolumeKept { target, volume } => {
                write!(f, "the anonymous volume at {target} is kept; it is now mounted by its name {volume}")
            }
            Self::VolumeCannotBeFresh { target, volume } => write!(
                f,
                "the volume {volume} at {target} has a driver of its own and is kept, although volumes were to \
                 be given up"
            ),
            Self::VolumeGivenUp { target, volume, fresh: Some(fresh) } => {
                write!(f, "the volume {volume} at {target} is given up for the new volume {fresh}")
            }
            Self::VolumeGivenUp { target, volume, fresh: None } => write!(
                f,
                "the volume {volume} at {target} is given up; the new image declares no volume there"
            ),
            Self::NewImageVolume { target } => {
                write!(f, "the new image declares a volume at {target}; the engine creates it")
            }
            Self::VolumesFromGone { peer } => write!(
                f,
                "container {peer}, whose volumes it uses, does not exist; the volumes are mounted one by one"
            ),
            Self::PrimaryNetworkLeft { mode, instead: Some(network) } => write!(
                f,
                "it was created on network {mode} and has left it; it will be created on {network}"
            ),
            Self::PrimaryNetworkLeft { mode, instead: None } => write!(
                f,
                "it is on no network; the new container will be connected to {mode}: disconnect it if unwanted"
            ),
            Self::NetworkNotFound { network } => write!(
                f,
                "network {network} is not to be found on this host: create it, or check that the swarm still \
                 offers it"
            ),
            Self::HostNameKept => f.write_str(
                "the host name is sent as it is: with the host's network it is either the user's or the host's",
            ),
            Self::MountOptionsDropped { target, options } => write!(
                f,
                "the mount at {target} carries {options}, which belong to another kind of mount; they had no \
                 effect and are dropped"
            ),
        }
    }
}
