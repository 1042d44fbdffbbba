//! The plan of one redeploy or revert: pure data, complete before the first step, never changed after.
//!
//! Flows in: what was observed and what was asked. Flows out: every id, name, path and setting the steps use, or
//! the reasons why nothing will be done. Must never touch anything, and never hold a registry password.
//!
//! `plan/make.rs` makes the plan of a redeploy from `archives.rs` and `remarks.rs`, `plan/revert.rs` that of a revert, `plan/check.rs` says what
//! speaks against either, `plan/show.rs` prints it.

mod anew;
mod archives;
mod balancer;
mod check;
mod dependents;
mod make;
mod names;
mod refusal;
mod remarks;
mod request;
mod revert;
mod room;
mod show;
mod stand_in;

use std::time::Duration;

use jiff::Timestamp;
use redeploy_proto::RedeployId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use anew::{Anew, MADE_ANEW, make_anew};
pub use archives::{archives, may_write_to_path, may_write_to_volume};
pub use balancer::{BalancerPlan, NetworkOf, labels_of, make_balancer};
pub use check::check;
pub use dependents::{carried, dependent_archives, make_dependent};
pub use make::{Ground, Request, make};
pub use names::{
    MADE_LABEL, Names, ORIGIN_LABEL, REDEPLOY_LABEL, STEM_JELASTIC, STEM_PATHS, STEM_ROOT, volume_stem,
};
pub use refusal::Refusal;
pub use request::{InvalidProbe, Probe};
pub use revert::{RevertGround, RevertRequest, VolumeData, check_restore, make_revert, revert_archives};
pub use room::remark as remark_on_room;
pub use show::show;
pub use stand_in::{
    MADE_STAND_IN, RootFrom, StandIn, compose_label, compose_project, is_stand_in, make_stand_in,
};

use crate::archive::Selection;
use crate::guest_path::GuestPath;
use crate::preserve::PreserveList;
use crate::recreate::{RecreateFinding, Recreation};
use crate::saga::SagaKind;

/// The version of the plan's form on disk.
pub const PLAN_VERSION: u32 = 1;

/// What a `.backup` copy's name ends in.
const BACKUP_ENDING: &[u8] = b".backup";

/// Everything a saga will do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// Chosen once, by whoever ordered it.
    pub id: RedeployId,
    /// Redeploy or revert.
    pub kind: SagaKind,
    /// When it was made.
    pub made_at: Timestamp,
    /// The container's name, before and after.
    pub node: String,
    /// The container that serves now.
    pub outgoing: Outgoing,
    /// The container that takes over.
    pub incoming: Incoming,
    /// What is archived, in this order.
    pub archives: Vec<ArchivePlan>,
    /// Files of the old container written next to the new image's as `PATH.backup`.
    pub backups: Vec<Backup>,
    /// Volumes that a revert puts back as they were.
    pub put_data: Vec<PutData>,
    /// When the new container counts as verified.
    pub verify: VerifyPlan,
    /// The preserve list and what is odd about it.
    pub preserve: PreserveList,
    /// What the operator should know before saying yes.
    pub warnings: Vec<String>,
    /// What changed in the old container and is covered by nothing.
    pub coverage: Coverage,
    /// Disk space.
    pub space: Space,
    /// How archives are packed.
    pub packing: Packing,
    /// How the node leaves the load balancer and comes back; `None`: it is behind none, or does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balancer: Option<BalancerPlan>,
    /// Containers that lean on this one, made anew with everything in them in the same saga: one plan each, of the
    /// same steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<Plan>,
}

/// The container that serves now and is parked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outgoing {
    /// Full id.
    pub id: String,
    /// Its name once it is parked.
    pub parked_name: String,
    /// Does it run? One that does not is redeployed and stays stopped.
    pub alive: bool,
    /// When it was started, as the engine writes it: it must be the same run that is captured and stopped.
    pub started_at: String,
    /// Did it end and start again by its policy, over and over? Then it is stopped before it is captured.
    pub crash_looping: bool,
    /// Was it healthy, if it has a health check? Only then must it be healthy again after an undo.
    pub was_healthy: bool,
    /// Its restart policy, to be given back by an undo.
    pub restart_policy: Value,
    /// The image reference it was created with.
    pub image: String,
    /// Id of that image.
    pub image_id: String,
    /// Does the engine remove it when it stops (`--rm`)?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removes_itself: bool,
    /// How it is made anew if somebody removes it in the middle; `None` if its image is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anew: Option<Box<Anew>>,
    /// What takes its place once it is parked, if it cannot stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<Box<StandIn>>,
}

/// The container that takes over.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Incoming {
    /// One made from a new image.
    New(Box<NewContainer>),
    /// The parked one comes back.
    Parked {
        /// Full id.
        id: String,
        /// The name it is parked under.
        parked_name: String,
        /// The restart policy it had before it was parked.
        restart_policy: Value,
        /// Its image reference.
        image: String,
        /// Id of that image.
        image_id: String,
    },
}

/// A container to be created.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewContainer {
    /// Its name until the swap.
    pub temporary_name: String,
    /// What the operator wrote.
    pub reference: String,
    /// Id of the image on this host.
    pub image_id: String,
    /// Digest in its registry, where there is one.
    pub digest: Option<String>,
    /// How it is created.
    pub recreation: Recreation,
    /// Volumes made for it because the old data is given up.
    pub fresh_volumes: Vec<String>,
    /// Where it has volumes that its image declares.
    pub volume_targets: Vec<GuestPath>,
    /// The stand-in it is made anew from, in a revert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_from: Option<RootFrom>,
}

/// One archive.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchivePlan {
    /// File name without `.tar.gz`.
    pub stem: String,
    /// What it is made from.
    pub source: Source,
    /// Which part of it.
    pub selection: Selection,
}

/// What an archive is made from, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// The outgoing container's root; restored into the new one.
    Root {
        /// How.
        into: Into,
    },
    /// A volume; put back as captured if the new container had a chance to write to it.
    Volume {
        /// Its name.
        name: String,
        /// Will the new container mount it, writable?
        shared: bool,
    },
    /// A bind-mounted directory of the host; archived because it was asked for, put back like a volume.
    Bind {
        /// The host path.
        path: String,
        /// Will the new container mount it, writable, and no other container that runs?
        shared: bool,
    },
}

/// How an archive of the old root gets into the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Into {
    /// Exactly as the user left it.
    Replace,
    /// Below what the new image ships (`skipReinstall`).
    Underlay,
}

/// A file written next to the new image's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// The old container's file.
    pub path: GuestPath,
    /// `PATH.backup`.
    pub to: GuestPath,
}

/// A volume that a revert puts back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutData {
    /// The redeploy whose archives hold it.
    pub from: RedeployId,
    /// Its archive there.
    pub stem: String,
    /// The archive of today's data, made by this revert.
    pub today: String,
}

/// When a container counts as verified (DESIGN section 6).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyPlan {
    /// After this long it has failed, in milliseconds.
    pub timeout_ms: u64,
    /// How long it must run without a restart, in milliseconds.
    pub settle_ms: u64,
    /// An extra question to ask it.
    pub probe: Option<Probe>,
}

/// What the writable layer holds beyond what is carried over.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Added or changed by the user, kept by nothing: it stays in the parked container only.
    pub not_kept: Vec<String>,
    /// How many more there are than listed.
    pub more: u64,
}

/// Disk space the redeploy needs in the data directory.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// Bytes of everything to be archived, before compression.
    pub to_archive: u64,
    /// Of these, bytes that also go into the new container's root.
    pub to_restore: u64,
    /// Entries to be archived.
    pub entries: u64,
    /// Free bytes in the data directory.
    pub data_dir_free: u64,
    /// Free bytes where the engine keeps containers; `None` when it cannot be asked.
    pub engine_free: Option<u64>,
    /// Are both on the same disk (or is that unknown)?
    pub same_disk: bool,
    /// Bytes that must stay free.
    pub headroom: u64,
    /// Bytes an undo is expected to set aside as `*.failed.tar.gz` of what a failed new container wrote.
    #[serde(default)]
    pub to_set_aside: u64,
    /// The same if that container changes everything it can write to.
    #[serde(default)]
    pub to_set_aside_max: u64,
    /// Bytes of roots that are copied from one container to another, because of stand-ins: each goes into the engine's
    /// directory, and on its way through an archive in ours.
    #[serde(default)]
    pub to_copy: u64,
    /// What is read as a whole after the stop, because its file system does not tell what changed.
    #[serde(default)]
    pub read_whole: Vec<ReadWhole>,
}

/// Something to be archived that is on a file system whose change times prove nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadWhole {
    /// What it is, as people call it.
    pub what: String,
    /// Which kind of file system.
    pub file_system: String,
    /// Bytes in it.
    pub bytes: u64,
}

/// How archives are packed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packing {
    /// gzip level, 1 to 9.
    pub level: u32,
    /// Packing threads.
    pub threads: usize,
    /// Live rounds at most.
    pub rounds_max: u32,
    /// Entries at most, per archive; 0 for no limit.
    pub entries_max: u64,
    /// Bytes at most, per archive; 0 for no limit.
    pub archive_bytes_max: u64,
}

impl Plan {
    /// Will the new container go without volumes that the old one has?
    #[must_use]
    pub fn gives_up_volumes(&self) -> bool {
        match &self.incoming {
            Incoming::New(new) => {
                let mut findings = new.recreation.findings.iter();
                findings.any(|finding| matches!(finding, RecreateFinding::VolumeGivenUp { .. }))
            }
            Incoming::Parked { .. } => false,
        }
    }
}

impl Incoming {
    /// The name it has before the swap.
    #[must_use]
    pub fn name_before_swap(&self) -> &str {
        match self {
            Self::New(new) => &new.temporary_name,
            Self::Parked { parked_name, .. } => parked_name,
        }
    }

    /// Does the engine remove it when it stops (`--rm`)?
    #[must_use]
    pub fn removes_itself(&self) -> bool {
        match self {
            Self::New(new) => new.recreation.body["HostConfig"]["AutoRemove"] == true,
            Self::Parked { .. } => false,
        }
    }

    /// Its image, as people call it.
    #[must_use]
    pub fn image(&self) -> &str {
        match self {
            Self::New(new) => &new.reference,
            Self::Parked { image, .. } => image,
        }
    }
}

impl VerifyPlan {
    /// The deadline.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// The settling time.
    #[must_use]
    pub fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }
}
