//! The coordinator: keeps what is wanted of a node group, sequences its agents, halts at the first failure.
//!
//! Flows in: operators' orders, agents' reports. Flows out: orders to agents, and a reason for whatever waits. Must
//! never touch Docker.

pub mod admin_token;
pub mod agents;
pub mod api;
mod bucket;
pub mod cli;
pub mod deployment;
mod door;
pub mod driver;
pub mod durable;
pub mod exchange;
pub mod ids;
pub mod image_ref;
mod json;
pub mod metrics;
pub mod moment;
pub mod open_files;
pub mod pki;
mod private;
pub mod questions;
pub mod server;
pub mod sessions;
pub mod store;
mod threads;
mod traces;
mod upkeep;
pub mod views;
