//! The agent: replaces one container's image on this host and keeps everything the user put into it.
//!
//! See ARCHITECTURE.md for the drawing. In short: `observe` looks, `plan` decides (pure), `saga` carries the
//! plan out step by step with a journal, `steps` are those steps, `docker`, `archive` and `rootfs` are their hands.

pub mod archive;
pub mod balancer;
pub mod compose;
pub mod config;
pub mod docker;
pub mod durable;
pub mod explain;
pub mod guest_path;
pub mod history;
pub mod image;
pub mod lock;
pub mod observe;
pub mod orders;
pub mod paths;
pub mod plan;
pub mod preserve;
pub mod progress;
pub mod recovery;
pub mod recreate;
pub mod report;
pub mod reporter;
pub mod retention;
pub mod rootfs;
pub mod saga;
pub mod session;
pub mod steps;
