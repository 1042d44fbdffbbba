//! A real coordinator, in this process or as a program, and everybody who means it no good: strangers, floods, stalls,
//! bad certificates, a full disk.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed"
)]

#[path = "guard/audit.rs"]
mod audit;
#[path = "guard/certificates.rs"]
mod certificates;
#[path = "guard/disk.rs"]
mod disk;
#[path = "guard/house.rs"]
mod house;
#[path = "guard/limits.rs"]
mod limits;
#[path = "guard/logs.rs"]
mod logs;
#[path = "guard/notify.rs"]
mod notify;
#[path = "guard/refusals.rs"]
mod refusals;
#[path = "guard/secrets.rs"]
mod secrets;
#[path = "guard/units.rs"]
mod units;
