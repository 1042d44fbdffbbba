//! A deployment that is followed: on a terminal one line per node, drawn again in place; in a pipe a line per change;
//! for programs one JSON object per change.
//!
//! Flows in: states, newest only. Flows out: lines on stdout. Must never print the same twice in a pipe, nor a line
//! for every byte.

mod frame;
mod speed;

use std::collections::HashMap;
use std::io::{IsTerminal, Write};

use redeploy_proto::v1;

use self::frame::{Size, frame};
use self::speed::Speeds;
use super::args::Output;
use super::summary::summary;
use super::{json, text};

/// Where what is followed is shown.
pub(super) enum Screen {
    /// For programs.
    Json,
    /// Each thing once.
    Lines(Lines),
    /// Drawn again in place.
    Live(Live),
}

impl Screen {
    /// What fits stdout.
    pub(super) fn of(output: Output) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        match output {
            Output::Json => Self::Json,
            Output::Table if std::io::stdout().is_terminal() && !is_dumb => Self::Live(Live::default()),
            Output::Table => Self::Lines(Lines::default()),
        }
    }

    pub(super) fn show(&mut self, deployment: &v1::Deployment) {
        match self {
            Self::Json => json::line(deployment),
            Self::Lines(lines) => lines.of(deployment).iter().for_each(|line| text::say(line)),
            Self::Live(live) => live.show(deployment),
        }
    }

    /// The last state, and what makes sense next.
    pub(super) fn end(&mut self, deployment: &v1::Deployment) {
        match self {
            Self::Json => json::line(deployment),
            Self::Lines(lines) => {
                lines.of(deployment).iter().for_each(|line| text::say(line));
                summary(deployment).iter().for_each(|line| text::say(line));
            }
            Self::Live(live) => {
                live.draw(&[]);
                // The whole list stays on the screen, however long it is.
                deployment.nodes.iter().for_each(|part| text::say(&format!("  {}", text::node(part))));
                summary(deployment).iter().for_each(|line| text::say(line));
            }
        }
    }

    /// Something keeps states from coming.
    pub(super) fn away(&mut self, why: &str) {
        match self {
            Self::Json | Self::Lines(_) => {}
            Self::Live(live) => live.note(why),
        }
    }

    /// Nothing is drawn again.
    pub(super) fn leave(&mut self) {
        match self {
            Self::Json | Self::Lines(_) => {}
            Self::Live(live) => live.drawn.clear(),
        }
    }
}

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Lines {
    phase: String,
    nodes: HashMap<u32, String>,
}

impl Lines {
    /// The lines that say what is new.
    fn of(&mut self, deployment: &v1::Deployment) -> Vec<String> {
        let mut lines = Vec::new();
        let phase = text::head(deployment);
        if self.phase != phase {
            lines.push(phase.clone());
            self.phase = phase;
        }
        for part in &deployment.nodes {
            let line = text::node(&without_bytes(part));
            let gist = gist(&line);
            // What a node waits for is counted down, for every node; only another kind of reason is news.
            if self.nodes.get(&part.node_id) != Some(&gist) {
                lines.push(format!("  {line}"));
                self.nodes.insert(part.node_id, gist);
            }
        }
        lines
    }
}

fn without_bytes(part: &v1::DeploymentNode) -> v1::DeploymentNode {
    let mut part = part.clone();
    if let Some(progress) = &mut part.progress {
        (progress.what, progress.done_bytes, progress.total_bytes) = (String::new(), 0, 0);
    }
    part
}

fn gist(line: &str) -> String {
    line.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// What stands on the terminal, and how fast nodes are.
#[derive(Debug, Default)]
pub(super) struct Live {
    drawn: Vec<String>,
    speeds: Speeds,
}

impl Live {
    fn show(&mut self, deployment: &v1::Deployment) {
        self.speeds.take(deployment);
        let size = console::Term::stdout().size_checked();
        let size = size
            .map_or(Size::default(), |(rows, columns)| Size { rows: rows.into(), columns: columns.into() });
        let lines = frame(deployment, &self.speeds, size);
        self.draw(&lines);
    }

    fn note(&mut self, why: &str) {
        let mut lines = self.drawn.clone();
        if lines.last().is_none_or(|last| last != why) {
            lines.push(why.to_owned());
            self.draw(&lines);
        }
    }

    /// Replaces what was drawn. Lines are not wrapped, so that it is known how many there are.
    fn draw(&mut self, lines: &[String]) {
        let mut text = match self.drawn.len() {
            0 => String::new(),
            above => format!("\x1b[{above}A"),
        };
        text.push_str("\x1b[?7l");
        for line in lines {
            text.push_str(&format!("\x1b[2K{}\n", text::tame(line)));
        }
        text.push_str("\x1b[J\x1b[?7h");
        // A terminal that is gone has nobody in front of it.
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        self.drawn = lines.to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(reason: &str, bytes: u64) -> v1::Deployment {
        let progress = v1::Progress {
            step: "capture".into(),
            what: "paths".into(),
            done_bytes: bytes,
            ..v1::Progress::default()
        };
        let busy = v1::DeploymentNode {
            node_id: 1,
            container: "a".into(),
            phase: v1::NodePhase::Running.into(),
            progress: Some(progress),
            ..v1::DeploymentNode::default()
        };
        let waiting = v1::DeploymentNode {
            node_id: 2,
            container: "b".into(),
            phase: v1::NodePhase::Waiting.into(),
            waits_for: reason.into(),
            ..v1::DeploymentNode::default()
        };
        v1::Deployment { nodes: vec![busy, waiting], ..v1::Deployment::default() }
    }

    #[test]
    fn in_a_pipe_bytes_and_countdowns_are_no_news() {
        let mut lines = Lines::default();
        let first = lines.of(&deployment("node 1 goes first, one at a time", 1));
        assert_eq!(first.len(), 3, "{first:?}");
        assert_eq!(
            first[1..],
            ["  node 1 a: running, capture", "  node 2 b: waiting, node 1 goes first, one at a time"]
        );
        assert!(lines.of(&deployment("node 1 goes first, one at a time", 2)).is_empty());
        let pause = lines.of(&deployment("pause after the last node, 30 s left", 2));
        assert_eq!(pause, ["  node 2 b: waiting, pause after the last node, 30 s left"]);
        assert!(lines.of(&deployment("pause after the last node, 29 s left", 2)).is_empty());
    }
}
