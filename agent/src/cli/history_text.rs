//! The history as a table, newest first, and as JSON. Pure.

use jiff::Timestamp;
use redeploy_agent::history::Entry;
use redeploy_agent::report::{Leftovers, Verdict, report};
use redeploy_agent::saga::SagaKind;
use redeploy_proto::RedeployId;
use serde::Serialize;
use serde_json::{Value, json};

use super::json::object;
use super::units::{moment, one_line, took};
use super::words;

const HEAD: [&str; 8] = ["ID", "WHEN (UTC)", "CONTAINER", "KIND", "FROM", "TO", "RESULT", "DOWNTIME"];

/// One line of the history.
#[derive(Debug, Clone)]
pub(crate) enum Row {
    /// One that can be read.
    Sound(Sound),
    /// One that cannot.
    Damaged { error: String },
}

/// What is listed of one.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sound {
    pub(crate) id: RedeployId,
    pub(crate) began_at: Timestamp,
    pub(crate) ended_at: Timestamp,
    pub(crate) node: String,
    pub(crate) kind: SagaKind,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) verdict: Verdict,
    pub(crate) downtime_ms: Option<u64>,
}

impl Row {
    /// The line of an entry.
    pub(crate) fn of(entry: &Entry) -> Self {
        let report = report(&entry.plan, &entry.records, &entry.state, Leftovers::default());
        Self::Sound(Sound {
            id: report.id,
            began_at: report.began_at,
            ended_at: report.ended_at,
            node: report.node,
            kind: report.kind,
            from: report.from,
            to: report.to,
            verdict: report.verdict,
            downtime_ms: report.downtime_ms,
        })
    }

    /// For programs.
    pub(crate) fn event(&self) -> Value {
        match self {
            Self::Sound(sound) => object("entry", sound),
            Self::Damaged { error } => json!({ "event": "damaged", "error": error }),
        }
    }
}

/// For people.
pub(crate) fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "Nothing has been done yet.\n".to_owned();
    }
    let cells: Vec<[String; 8]> = rows.iter().filter_map(cells).collect();
    let mut text = String::new();
    if !cells.is_empty() {
        let widths = widths(&cells);
        text.push_str(&line(&HEAD.map(str::to_owned), &widths));
        cells.iter().for_each(|row| text.push_str(&line(row, &widths)));
    }
    for row in rows {
        if let Row::Damaged { error } = row {
            text.push_str(&format!("damaged: {}\n", one_line(error)));
        }
    }
    text
}

fn cells(row: &Row) -> Option<[String; 8]> {
    let Row::Sound(sound) = row else { return None };
    let kind = match sound.kind {
        SagaKind::Redeploy => "redeploy",
        SagaKind::Revert => "revert",
    };
    Some([
        sound.id.short(),
        moment(sound.began_at),
        one_line(&sound.node),
        kind.to_owned(),
        one_line(&sound.from),
        one_line(&sound.to),
        words::verdict(sound.verdict).to_owned(),
        sound.downtime_ms.map_or_else(|| "-".to_owned(), took),
    ])
}

fn widths(rows: &[[String; 8]]) -> [usize; 8] {
    let mut widths = HEAD.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

fn line(row: &[String; 8], widths: &[usize; 8]) -> String {
    let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    format!("{}\n", cells.join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::samples;

    #[test]
    fn damaged_entries_are_listed_below_the_sound_ones() {
        let report = samples::report(Verdict::Done);
        let sound = Sound {
            id: report.id,
            began_at: report.began_at,
            ended_at: report.ended_at,
            node: report.node,
            kind: report.kind,
            from: report.from,
            to: report.to,
            verdict: report.verdict,
            downtime_ms: report.downtime_ms,
        };
        let stuck = Sound { verdict: Verdict::Stuck, downtime_ms: None, ..sound.clone() };
        let damaged = Row::Damaged { error: "cannot read the plan /x\nbadly".to_owned() };
        let table = table(&[Row::Sound(sound), damaged.clone(), Row::Sound(stuck)]);
        assert_eq!(table, include_str!("history_text/expected.txt"), "{table}");
        assert_eq!(damaged.event()["event"], "damaged");
    }

    #[test]
    fn an_empty_history_says_so() {
        assert_eq!(table(&[]), "Nothing has been done yet.\n");
    }
}
