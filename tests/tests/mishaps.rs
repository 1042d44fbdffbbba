//! What others do to our containers in the middle of a saga, and what an engine does when it is being restarted: on
//! the fake engine, where the very moment can be chosen.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "mishaps/engine.rs"]
mod engine;
#[path = "mishaps/hands.rs"]
mod hands;
#[path = "mishaps/made_anew.rs"]
mod made_anew;
#[path = "mishaps/removes_itself.rs"]
mod removes_itself;
#[path = "mishaps/room.rs"]
mod room;
#[path = "mishaps/stand_ins.rs"]
mod stand_ins;
#[path = "mishaps/volumes.rs"]
mod volumes;
