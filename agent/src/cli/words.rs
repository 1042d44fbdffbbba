//! What the events of a saga are called in front of people: one vocabulary for the live list, the plain lines and
//! the report. Pure.

use redeploy_agent::report::Verdict;
use redeploy_agent::saga::{Event, Outcome};
use redeploy_agent::steps::StepOutput;

use super::units::{count, one_line, size};

/// One event as a line; `None` for what goes without saying.
pub(crate) fn event(event: &Event) -> Option<String> {
    Some(match event {
        Event::Opened { .. } => return None,
        Event::Started { step } => format!("{step}: started"),
        Event::Done { step, output: done } => match output(done) {
            Some(result) => format!("{step}: done, {result}"),
            None => format!("{step}: done"),
        },
        Event::TurnedBack { reason } => format!("putting everything back: {}", one_line(&reason.to_string())),
        Event::Undoing { step } => format!("{step}: undoing"),
        Event::Undone { step, .. } => format!("{step}: undone"),
        Event::Stuck { step, error } => format!("{step}: STUCK, the undo failed: {}", one_line(error)),
        Event::Committed => "committed: from here on only forward".to_owned(),
        Event::Resumed => "taking over where an earlier process was interrupted".to_owned(),
        Event::Closed { outcome } => outcome_words(*outcome).to_owned(),
    })
}

fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "ended: done",
        Outcome::DoneUntidy => "ended: done, tidying up is left",
        Outcome::Undone => "ended: everything is as it was",
    }
}

/// What a step brought about, if that can be counted.
pub(crate) fn output(output: &StepOutput) -> Option<String> {
    let (entries, bytes) = packed(output)?;
    Some(format!("{}, {}", count(entries, "entry", "entries"), size(bytes)))
}

/// Entries and bytes that went into archives, those of dependents included.
fn packed(output: &StepOutput) -> Option<(u64, u64)> {
    let packed = match output {
        StepOutput::Packed(packed) => packed,
        StepOutput::Settled(settled) => &settled.last,
        StepOutput::Crew(outputs) => return outputs.iter().filter_map(self::packed).reduce(add),
        StepOutput::Nothing
        | StepOutput::Created(_)
        | StepOutput::Stopped(_)
        | StepOutput::Started(_)
        | StepOutput::Drained(_)
        | StepOutput::Admitted(_) => {
            return None;
        }
    };
    packed.archives.values().map(|archive| (archive.entries, archive.bytes)).reduce(add)
}

fn add(a: (u64, u64), b: (u64, u64)) -> (u64, u64) {
    (a.0.saturating_add(b.0), a.1.saturating_add(b.1))
}

/// A verdict in one word, for tables.
pub(crate) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Done => "done",
        Verdict::DoneUntidy => "done (untidy)",
        Verdict::Undone => "undone",
        Verdict::Stuck => "STUCK",
        Verdict::Unfinished => "unfinished",
    }
}
