//! For a terminal: the list of steps, each line alive while its step works; on the way back the same lines show the
//! undo.
//!
//! Flows in: news. Flows out: lines on stderr that are drawn again and again. Log lines that are written meanwhile
//! must go through the same [`MultiProgress`] (`logging`), or they garble the list.

mod line;

use std::time::Duration;

use indicatif::MultiProgress;
use redeploy_agent::plan::Plan;
use redeploy_agent::saga::{Event, Outcome, Record};
use redeploy_agent::steps::{Step, steps_of_plan};

use self::line::{Line, Look};
use super::lines::headline;
use super::teller::{News, Presenter};
use super::units::{count, one_line, size, speed};
use super::words;

/// Draws the list.
pub(crate) struct Live {
    screen: MultiProgress,
    look: Look,
    pull: Option<Line>,
    steps: Vec<(Step, Line)>,
    tidying: Option<Line>,
    piece: Piece,
}

/// What a step works on at the moment.
#[derive(Debug, Clone, Default)]
struct Piece {
    what: String,
    bytes: u64,
    began: Option<std::time::Instant>,
}

impl Live {
    /// The list on `screen`.
    pub(crate) fn new(screen: MultiProgress, color: bool) -> Self {
        Self {
            screen,
            look: Look { color },
            pull: None,
            steps: Vec::new(),
            tidying: None,
            piece: Piece::default(),
        }
    }

    fn pulling(&mut self, reference: &str, bytes_done: u64, bytes_total: u64) {
        let line = self.pull.get_or_insert_with(|| {
            let line = Line::new(&self.screen, "pull", self.look);
            line.run();
            line
        });
        let of = if bytes_total > 0 { format!(" of {}", size(bytes_total)) } else { String::new() };
        let speed = speed(bytes_done, line.elapsed()).map(|speed| format!("  {speed}")).unwrap_or_default();
        line.say(&format!("{}  {}{of}{speed}", one_line(reference), size(bytes_done)));
    }

    fn plan(&mut self, plan: &Plan) {
        self.end();
        self.println(&headline(plan));
        let line = |step: &Step| (*step, Line::new(&self.screen, step.word(), self.look));
        self.steps = steps_of_plan(plan).iter().map(line).collect();
    }

    fn record(&mut self, record: &Record) {
        match &record.event {
            Event::Started { step } => self.begin(*step, Line::run),
            Event::Undoing { step } => self.begin(*step, Line::run_back),
            Event::Done { step, output } => {
                self.on(*step, |line| line.done(&words::output(output).unwrap_or_default()));
            }
            Event::Undone { step, .. } => self.on(*step, Line::undone),
            Event::TurnedBack { .. } => {
                let running = self.steps.iter().filter(|(_, line)| line.is_running());
                running.for_each(|(_, line)| line.failed("failed"));
                self.steps.iter().filter(|(_, line)| line.is_pending()).for_each(|(_, line)| line.hide());
                self.tell(&record.event);
            }
            Event::Stuck { step, .. } => {
                self.on(*step, |line| line.failed("STUCK: the undo failed"));
                self.tell(&record.event);
            }
            Event::Committed => {
                let line = Line::new(&self.screen, "tidy up", self.look);
                line.run();
                self.tidying = Some(line);
            }
            Event::Closed { outcome } => self.closed(*outcome),
            Event::Opened { .. } | Event::Resumed => self.tell(&record.event),
        }
    }

    fn begin(&mut self, step: Step, how: fn(&Line)) {
        self.piece = Piece::default();
        self.on(step, how);
    }

    fn on(&self, step: Step, what: impl FnOnce(&Line)) {
        if let Some((_, line)) = self.steps.iter().find(|(its, _)| *its == step) {
            what(line);
        }
    }

    fn closed(&mut self, outcome: Outcome) {
        let Some(line) = self.tidying.take() else { return };
        match outcome {
            Outcome::Done => line.done(""),
            Outcome::DoneUntidy => line.failed("left for the next time"),
            Outcome::Undone => line.hide(),
        }
    }

    fn progress(&mut self, step: Step, what: &str, bytes: u64, files: u64) {
        // Each round of each archive counts from nothing.
        if self.piece.what != what || bytes < self.piece.bytes || self.piece.began.is_none() {
            self.piece = Piece { what: what.to_owned(), bytes, began: Some(std::time::Instant::now()) };
        }
        self.piece.bytes = bytes;
        let elapsed = self.piece.began.map_or(Duration::ZERO, |began| began.elapsed());
        let speed = speed(bytes, elapsed).map(|speed| format!(", {speed}")).unwrap_or_default();
        let text =
            format!("{}  {}, {}{speed}", one_line(what), size(bytes), count(files, "entry", "entries"));
        self.on(step, |line| line.say(&text));
    }

    fn tell(&self, event: &Event) {
        if let Some(text) = words::event(event) {
            self.println(&text);
        }
    }

    fn println(&self, text: &str) {
        // A terminal that is gone has nobody in front of it.
        let _ = self.screen.println(text);
    }
}

impl Presenter for Live {
    fn show(&mut self, news: News) {
        match news {
            News::Pulling { reference, bytes_done, bytes_total } => {
                self.pulling(&reference, bytes_done, bytes_total);
            }
            News::Plan(plan) => self.plan(&plan),
            News::Record(record) => self.record(&record),
            News::Progress { step, what, bytes, files } => self.progress(step, &what, bytes, files),
        }
    }

    /// Leaves on the screen what was done.
    fn end(&mut self) {
        for (_, line) in self.steps.drain(..) {
            line.leave();
        }
        if let Some(line) = self.pull.take() {
            line.done("");
        }
        if let Some(line) = self.tidying.take() {
            line.leave();
        }
    }
}

#[cfg(test)]
mod tests;
