//! The live list drawn on a terminal in memory.

use indicatif::{InMemoryTerm, ProgressDrawTarget};

use super::*;
use crate::cli::samples;

fn drawn(records: Vec<Record>) -> String {
    let term = InMemoryTerm::new(40, 100);
    let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
    let mut live = Live::new(MultiProgress::with_draw_target(target), false);
    live.show(News::Plan(Box::new(samples::plan())));
    for record in records {
        live.show(News::Record(Box::new(record)));
    }
    live.end();
    term.contents()
}

#[test]
fn a_good_end_leaves_one_done_line_per_step() {
    let screen = drawn(samples::records());
    for step in redeploy_agent::steps::steps_of(redeploy_agent::saga::SagaKind::Redeploy) {
        let done = |line: &str| line.contains('✓') && line.contains(step.word());
        assert_eq!(screen.lines().filter(|line| done(line)).count(), 1, "{step} in\n{screen}");
    }
    assert!(screen.contains("1204 entries, 12 MiB") && screen.contains("✓ tidy up"), "{screen}");
}

#[test]
fn a_way_back_shows_every_undo_and_why() {
    let screen = drawn(samples::records_of_failure(false));
    assert!(screen.contains("putting everything back: step verify failed"), "{screen}");
    assert_eq!(screen.lines().filter(|line| line.contains('↩')).count(), 8, "{screen}");
    assert!(!screen.contains("tidy up"), "{screen}");
}

#[test]
fn stuck_is_loud() {
    let screen = drawn(samples::records_of_failure(true));
    assert!(screen.contains("start: STUCK, the undo failed"), "{screen}");
    assert!(screen.lines().any(|line| line.contains('✗') && line.contains("start")), "{screen}");
}

#[test]
fn a_pull_stays_on_the_screen_with_its_size() {
    let term = InMemoryTerm::new(40, 100);
    let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
    let mut live = Live::new(MultiProgress::with_draw_target(target), false);
    for bytes_done in [0, 5 << 20, 10 << 20] {
        live.show(News::Pulling { reference: "web:2".to_owned(), bytes_done, bytes_total: 10 << 20 });
    }
    live.end();
    let screen = term.contents();
    assert!(screen.contains("✓ pull") && screen.contains("web:2  10 MiB of 10 MiB"), "{screen}");
}

#[test]
fn progress_says_what_how_much_and_nothing_of_a_piece_that_ended() {
    let mut live = Live::new(MultiProgress::with_draw_target(ProgressDrawTarget::hidden()), false);
    live.show(News::Plan(Box::new(samples::plan())));
    let progress = |what: &str, bytes, files| News::Progress {
        step: Step::Capture,
        what: what.to_owned(),
        bytes,
        files,
    };
    for news in [progress("paths", 0, 0), progress("paths", 2048, 3), progress("volume-0", 10, 1)] {
        live.show(news);
    }
    let said = live.steps.iter().find(|(step, _)| *step == Step::Capture).map(|(_, line)| line.said());
    assert_eq!(said.as_deref(), Some("volume-0  10 B, 1 entry"));
}
