//! What people and programs are told while a saga runs, and who they are.
//!
//! Flows in: journal records as they become durable, and how far long work is. Flows out: whatever the audience
//! makes of it. Must never slow a step down: telling is quick and cannot fail.

use std::time::Duration;

use crate::plan::Plan;
use crate::report::Report;
use crate::saga::Record;
use crate::steps::Step;

/// How often long work reports.
pub const TICK: Duration = Duration::from_millis(100);

/// Somebody who watches.
pub trait Audience: Send + Sync {
    /// The image is being pulled.
    fn pulling(&self, reference: &str, bytes_done: u64, bytes_total: u64);
    /// The plan stands, and is about to be carried out.
    fn plan(&self, plan: &Plan);
    /// A record has become durable.
    fn record(&self, record: &Record);
    /// How far a step is with one of its things.
    fn progress(&self, step: Step, what: &str, bytes: u64, files: u64);
    /// It is over.
    fn report(&self, report: &Report);
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Audience for Nobody {
    fn pulling(&self, _: &str, _: u64, _: u64) {}
    fn plan(&self, _: &Plan) {}
    fn record(&self, _: &Record) {}
    fn progress(&self, _: Step, _: &str, _: u64, _: u64) {}
    fn report(&self, _: &Report) {}
}
