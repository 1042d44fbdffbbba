//! One line of the live list: a mark, a name, a time, and what there is to say.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressFinish, ProgressStyle};

use crate::cli::out::Tint;
use crate::cli::units::took;

/// How often a line that works is drawn.
const TICK: Duration = Duration::from_millis(120);

/// Frames of the mark of a line that works; the last one is never shown.
const FRAMES: &str = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ";

/// How lines look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) color: bool,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Pending,
    Running,
    Ended,
}

/// One line.
pub(super) struct Line {
    bar: ProgressBar,
    look: Look,
    stage: Cell<Stage>,
    began: Cell<Instant>,
}

impl Line {
    /// A line at the end of the list that waits.
    pub(super) fn new(screen: &MultiProgress, name: &'static str, look: Look) -> Self {
        // Nothing that was done vanishes with its line.
        let bar = screen.add(ProgressBar::new_spinner().with_finish(ProgressFinish::Abandon));
        let line = Self { bar, look, stage: Cell::new(Stage::Pending), began: Cell::new(Instant::now()) };
        line.bar.set_prefix(name);
        line.dress("·", None, "      ");
        line.bar.tick();
        line
    }

    pub(super) fn is_pending(&self) -> bool {
        self.stage.get() == Stage::Pending
    }

    pub(super) fn is_running(&self) -> bool {
        self.stage.get() == Stage::Running
    }

    /// Since it began to work.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.get().elapsed()
    }

    /// It works.
    pub(super) fn run(&self) {
        self.work("{spinner}", None);
    }

    /// Its undo works.
    pub(super) fn run_back(&self) {
        self.work("{spinner}", Some(Tint::Odd));
        self.bar.set_message("undoing");
    }

    fn work(&self, mark: &str, tint: Option<Tint>) {
        self.stage.set(Stage::Running);
        self.began.set(Instant::now());
        self.bar.reset_elapsed();
        self.bar.set_message("");
        self.dress(mark, tint, "{elapsed:>6}");
        self.bar.enable_steady_tick(TICK);
    }

    /// What it works on.
    pub(super) fn say(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    /// What was said last.
    #[cfg(test)]
    pub(super) fn said(&self) -> String {
        self.bar.message()
    }

    /// It is done; a text that is empty leaves what was said last.
    pub(super) fn done(&self, text: &str) {
        self.end("✓", Some(Tint::Good), text);
    }

    /// It failed.
    pub(super) fn failed(&self, text: &str) {
        self.end("✗", Some(Tint::Bad), text);
    }

    /// It was undone.
    pub(super) fn undone(&self) {
        self.end("↩", Some(Tint::Odd), "undone");
    }

    fn end(&self, mark: &str, tint: Option<Tint>, text: &str) {
        let time = took(u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.stage.set(Stage::Ended);
        self.bar.disable_steady_tick();
        if !text.is_empty() {
            self.say(text);
        }
        self.dress(mark, tint, &format!("{time:>6}"));
        self.bar.tick();
    }

    /// It will never work, so it need not be seen.
    pub(super) fn hide(&self) {
        self.stage.set(Stage::Ended);
        self.bar.finish_and_clear();
    }

    /// It stays on the screen as it is.
    pub(super) fn leave(&self) {
        self.bar.disable_steady_tick();
        if self.is_pending() {
            self.bar.finish_and_clear();
        } else {
            self.bar.abandon();
        }
    }

    fn dress(&self, mark: &str, tint: Option<Tint>, time: &str) {
        let mark = match tint {
            Some(tint) if self.look.color => tint.paint(mark),
            Some(_) | None => mark.to_owned(),
        };
        let template = format!("  {mark} {{prefix:9}} {time}  {{wide_msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            self.bar.set_style(style.tick_chars(FRAMES));
        }
    }
}
