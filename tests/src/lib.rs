//! The harness of the end-to-end suites: real images, a real engine, the real agent binary, and a room per test
//! that is empty again when the test ends.
//!
//! Flows in: the engine at the usual socket, the agent built beside the tests. Flows out: evidence, such as
//! answers of the subject, exit codes, digests of whole trees. Must never leave a container, volume, network or
//! directory behind, and never touch one it did not make. One exception, on purpose: the images named
//! `redeploy-test/…` stay for the next run; `make clean-images` removes them.

#![expect(
    clippy::disallowed_methods,
    reason = "the harness acts as a person at a shell does: it starts programs and writes plain files"
)]

pub mod agent;
pub mod asker;
pub mod collector;
pub mod contest;
mod debian;
pub mod engine;
pub mod engine_host;
pub mod fleet;
pub mod freshness;
pub mod group;
pub mod haproxy;
pub mod hosts;
pub mod http;
pub mod images;
pub mod in_process;
pub mod jelastic;
pub mod operator;
pub mod peak;
pub mod postgres;
pub mod process;
pub mod rich;
pub mod sandbox;
pub mod settings;
pub mod swarm;
pub mod tree;
pub mod wait;
