//! What people must know of a container that was made anew: what came back with it and what is lost. Pure.

use jiff::Timestamp;

use super::super::held::Has;
use crate::plan::Plan;

/// How many lost paths a note names.
const LOST_NAMED: usize = 20;

/// How much of what is kept of the root came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// All that was in it, kept or not.
    Everything,
    /// All of it.
    Wholly,
    /// All of it, as it was when it was last captured while it served.
    AsOf(Timestamp),
    /// Some had not been captured.
    Partly,
    /// Whatever came back, an undo before this one put it there and told.
    Earlier,
}

/// Pure: what people must know of a container that was made anew.
pub(super) fn note(plan: &Plan, filled: Filled) -> String {
    let why = match plan.outgoing.removes_itself {
        true => format!("container {}, which was started with --rm, was gone", plan.node),
        false => format!("somebody removed container {} in the middle", plan.node),
    };
    let mut text = format!(
        "{why}: it was made anew from its own image {}, with the same settings and volumes",
        plan.outgoing.image
    );
    text.push_str(&match filled {
        Filled::Everything => " and all of its root.".to_owned(),
        Filled::Wholly => " and what is kept of its root.".to_owned(),
        Filled::AsOf(at) => format!(
            " and what is kept of its root, as it was at {}: what was written there later is lost.",
            at.strftime("%Y-%m-%d %H:%M:%S UTC")
        ),
        Filled::Earlier => ".".to_owned(),
        Filled::Partly => {
            ". It was removed before all that is kept of its root was captured: that is lost.".to_owned()
        }
    });
    let backups = plan.backups.iter().map(|backup| backup.path.to_string());
    let lost: Vec<String> = plan.coverage.not_kept.iter().cloned().chain(backups).collect();
    let is_told = plan.outgoing.removes_itself && filled == Filled::Earlier;
    if !lost.is_empty() && !is_told {
        let more = (lost.len().saturating_sub(LOST_NAMED) as u64).saturating_add(plan.coverage.more);
        let named = lost.iter().take(LOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!(" Lost, because nothing keeps it: {named}{more}."));
    }
    text
}

/// Pure: the same where its whole root was copied beforehand.
pub(super) fn note_of_whole_root(plan: &Plan, has: Has, is_stop_ordered: bool) -> String {
    let why = match is_stop_ordered {
        true => "was started with --rm, so the engine removed it when it stopped",
        false => "was started with --rm and was stopped or removed by somebody in the middle",
    };
    let lost = match has {
        Has::Whole => "",
        Has::Nothing | Has::Live => {
            " What its program wrote to its root just before it ended, outside its volumes, may be missing."
        }
    };
    format!(
        "container {} {why}: it was made anew from its own image {}, with the same settings and volumes and with its \
         whole root.{lost} It has another id.",
        plan.node, plan.outgoing.image
    )
}

/// Pure: the same of one that leans on another. Its beginning is that of a shorter one that tells less.
pub(super) fn note_of_dependent(plan: &Plan, leader: &str, filled: Filled) -> String {
    let what = format!("container {} was made anew", plan.node);
    match filled {
        Filled::Everything => format!(
            "{what}: it leans on {leader}, which was made anew. Everything that was in it is in the new one."
        ),
        Filled::Earlier => what,
        Filled::Wholly | Filled::AsOf(_) | Filled::Partly => format!("{what}: {}", note(plan, filled)),
    }
}
