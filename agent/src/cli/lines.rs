//! For pipes and logs: one plain line per event, and a line of progress now and then.
//!
//! Flows in: news. Flows out: lines. Times are UTC, those of the journal's records.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use redeploy_agent::plan::Plan;
use redeploy_agent::saga::SagaKind;

use super::teller::{News, Presenter};
use super::units::{clock, count, one_line, size};
use super::words;

/// Progress is shown no more often than this.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Writes plain lines.
pub(crate) struct Lines<W> {
    out: W,
    now: fn() -> Timestamp,
    progress_shown_at: Option<Timestamp>,
}

impl<W: Write> Lines<W> {
    /// Lines on `out`; `now` is asked for the time of what has none of its own.
    pub(crate) fn new(out: W, now: fn() -> Timestamp) -> Self {
        Self { out, now, progress_shown_at: None }
    }

    /// A line that cannot be written is nobody's loss: the journal has it.
    fn line(&mut self, at: Timestamp, text: &str) {
        let _ = writeln!(self.out, "{} {text}", clock(at)).and_then(|()| self.out.flush());
    }

    fn progress(&mut self, text: &str) {
        let now = (self.now)();
        let is_early = self
            .progress_shown_at
            .is_some_and(|shown| now.duration_since(shown).unsigned_abs() < PROGRESS_EVERY);
        if !is_early {
            self.progress_shown_at = Some(now);
            self.line(now, text);
        }
    }
}

impl<W: Write + Send> Presenter for Lines<W> {
    fn show(&mut self, news: News) {
        match news {
            News::Pulling { reference, bytes_done, bytes_total } => {
                let of = if bytes_total > 0 { format!(" of {}", size(bytes_total)) } else { String::new() };
                self.progress(&format!("pull {}: {}{of}", one_line(&reference), size(bytes_done)));
            }
            News::Plan(plan) => {
                let at = (self.now)();
                self.line(at, &headline(&plan));
            }
            News::Record(record) => {
                // The first line of progress after an event may come at once.
                self.progress_shown_at = Some(record.at);
                if let Some(text) = words::event(&record.event) {
                    self.line(record.at, &text);
                }
            }
            News::Progress { step, what, bytes, files } => {
                let files = count(files, "entry", "entries");
                self.progress(&format!("{step}: {}: {}, {files}", one_line(&what), size(bytes)));
            }
        }
    }

    fn end(&mut self) {}
}

/// What begins now, on one line.
pub(crate) fn headline(plan: &Plan) -> String {
    let what = match plan.kind {
        SagaKind::Redeploy => "redeploy",
        SagaKind::Revert => "revert",
    };
    let (from, to) = (one_line(&plan.outgoing.image), one_line(plan.incoming.image()));
    format!("{what} of {} from {from} to {to} (id {})", plan.node, plan.id)
}

#[cfg(test)]
mod tests {
    use redeploy_agent::steps::Step;

    use super::*;
    use crate::cli::samples;

    thread_local! {
        static NOW: std::cell::Cell<i64> = const { std::cell::Cell::new(1_769_860_800) };
    }

    fn now() -> Timestamp {
        Timestamp::from_second(NOW.get()).unwrap()
    }

    fn lines(news: impl IntoIterator<Item = (i64, News)>) -> Vec<String> {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out, now);
        for (second, news) in news {
            NOW.set(1_769_860_800 + second);
            lines.show(news);
        }
        lines.end();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    fn progress(bytes: u64) -> News {
        News::Progress { step: Step::Capture, what: "paths".to_owned(), bytes, files: 7 }
    }

    #[test]
    fn one_line_per_event() {
        let mut news = vec![(0, News::Plan(Box::new(samples::plan())))];
        let records = samples::records_of_failure(true);
        news.extend(records.into_iter().map(|record| (0, News::Record(Box::new(record)))));
        let lines = lines(news);
        assert_eq!(
            lines.first().unwrap(),
            "12:00:00 redeploy of web from web:1 to web:2 (id 0193a1b2-7c00-7000-8000-0123456789ab)"
        );
        for line in [
            "12:00:03 capture: started",
            "12:00:04 capture: done, 1204 entries, 12 MiB",
            "12:00:16 putting everything back: step verify failed: the new container exited with code 1",
            "12:00:18 verify: undone",
            "12:00:20 start: STUCK, the undo failed: the Docker Engine did not stop it within 10 s",
        ] {
            assert!(lines.iter().any(|written| written == line), "{line} in {lines:#?}");
        }
    }

    #[test]
    fn progress_comes_every_five_seconds() {
        let lines = lines((0..=12).map(|second| (second, progress(1024))));
        let line = |time: &str| format!("{time} capture: paths: 1.0 KiB, 7 entries");
        assert_eq!(lines, ["12:00:00", "12:00:05", "12:00:10"].map(line));
    }

    #[test]
    fn names_of_strangers_stay_on_their_line() {
        let pull = News::Pulling { reference: "a\n12:00 b\x1b[2J".to_owned(), bytes_done: 1, bytes_total: 0 };
        assert_eq!(lines([(0, pull)]), ["12:00:00 pull a / 12:00 b\\u{1b}[2J: 1 B"]);
    }
}
