//! Redeploys of real containers on the real engine, as their users see them.

#![expect(clippy::disallowed_methods, reason = "a test starts programs as a person at a shell does")]

#[path = "redeploy/backwards.rs"]
mod backwards;
#[path = "redeploy/choices.rs"]
mod choices;
#[path = "redeploy/data.rs"]
mod data;
#[path = "redeploy/failing.rs"]
mod failing;
#[path = "redeploy/live.rs"]
mod live;
#[path = "redeploy/proof.rs"]
mod proof;
#[path = "redeploy/removed.rs"]
mod removed;
