//! Orders that are refused: the reason is told, and nothing was touched.

#![expect(clippy::disallowed_methods, reason = "a test starts programs as a person at a shell does")]

#[path = "refusals/containers.rs"]
mod containers;
#[path = "refusals/hosts.rs"]
mod hosts;
#[path = "refusals/images.rs"]
mod images;
#[path = "refusals/old_engine.rs"]
mod old_engine;
#[path = "refusals/ourselves.rs"]
mod ourselves;
#[path = "refusals/untouched.rs"]
mod untouched;
