//! The course of one redeploy, as its journal on the host has it.
//!
//! Flows in: a host's data directory. Flows out: when each redeploy began and ended, and whether any step was done twice.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use redeploy_agent::history::{self, Entry};
use redeploy_agent::saga::{Event, Record};

use super::Host;

/// One redeploy or revert.
#[derive(Debug)]
pub struct Course {
    /// Its id.
    pub id: String,
    records: Vec<Record>,
}

impl Host {
    /// All of them, the oldest first.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn courses(&self) -> Result<Vec<Course>> {
        let mut courses = Vec::new();
        for entry in history::load(&self.data()) {
            let Entry { dir, records, .. } = entry?;
            let id = dir.root().file_name().map(|name| name.to_string_lossy().into_owned());
            courses.push(Course { id: id.unwrap_or_default(), records });
        }
        courses.reverse();
        Ok(courses)
    }

    /// The newest one.
    ///
    /// # Errors
    /// There is none.
    pub fn last_course(&self) -> Result<Course> {
        match self.courses()?.pop() {
            Some(course) => Ok(course),
            None => bail!("{} has redeployed nothing", self.name),
        }
    }
}

impl Course {
    /// When its first record was written, in milliseconds since 1970.
    #[must_use]
    pub fn began_ms(&self) -> i64 {
        self.records.first().map_or(0, |record| record.at.as_millisecond())
    }

    /// When its last one was.
    #[must_use]
    pub fn ended_ms(&self) -> i64 {
        self.records.last().map_or(0, |record| record.at.as_millisecond())
    }

    /// How many records it has.
    #[must_use]
    pub fn records(&self) -> u32 {
        u32::try_from(self.records.len()).unwrap_or(u32::MAX)
    }

    /// Is nothing left to do?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.records.iter().any(|record| matches!(record.event, Event::Closed { .. }))
    }

    /// Was it committed?
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.records.iter().any(|record| matches!(record.event, Event::Committed))
    }

    /// Each step is begun at most once and done at most once, and the commit is one.
    ///
    /// # Errors
    /// What was done twice.
    pub fn nothing_twice(&self) -> Result<()> {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for record in &self.records {
            let what = match &record.event {
                Event::Started { step } => format!("started {step}"),
                Event::Done { step, .. } => format!("done {step}"),
                Event::Committed => "committed".to_owned(),
                Event::Opened { .. } => "opened".to_owned(),
                Event::Closed { .. } => "closed".to_owned(),
                // An undo may be begun again after an interruption.
                Event::TurnedBack { .. }
                | Event::Undoing { .. }
                | Event::Undone { .. }
                | Event::Stuck { .. }
                | Event::Resumed => continue,
            };
            *counts.entry(what).or_default() += 1;
        }
        let twice: Vec<&String> =
            counts.iter().filter(|(_, count)| **count > 1).map(|(what, _)| what).collect();
        ensure!(twice.is_empty(), "{}: {twice:?} more than once: {:?}", self.id, self.records);
        Ok(())
    }
}
