//! Whole reports against the files beside this one. To accept a change, copy what the failed test prints.

use redeploy_agent::report::Verdict;

use super::*;
use crate::cli::samples;

fn text(verdict: Verdict) -> String {
    report_text(&samples::report(verdict), Path::new("/var/lib/redeploy/redeploys/ID/archives"))
}

#[test]
fn done() {
    let text = text(Verdict::Done);
    assert_eq!(text, include_str!("done.txt"), "{text}");
}

#[test]
fn undone() {
    let text = text(Verdict::Undone);
    assert_eq!(text, include_str!("undone.txt"), "{text}");
}

#[test]
fn stuck() {
    let text = text(Verdict::Stuck);
    assert_eq!(text, include_str!("stuck.txt"), "{text}");
}

#[test]
fn untidy_and_unfinished_say_who_ends_them() {
    assert!(text(Verdict::DoneUntidy).contains("`redeploy-agent recover` tidies up"));
    let unfinished = text(Verdict::Unfinished);
    assert!(unfinished.contains("`redeploy-agent recover` ends it") && unfinished.contains("downtime  none"));
}

#[test]
fn a_container_that_talks_a_lot_is_cut_from_the_front_and_cannot_steer_the_terminal() {
    let mut report = samples::report(Verdict::Undone);
    let words: String = (1..=100).map(|line| format!("\u{1b}[31mline {line}\n")).collect();
    report.failure.as_mut().unwrap().last_words = Some(words);
    let text = report_text(&report, Path::new("/x"));
    assert!(
        text.contains("… 60 more before these") && text.contains("line 61\n") && !text.contains("line 60\n")
    );
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn a_downtime_that_nobody_saw_end_is_not_called_none() {
    let mut report = samples::report(Verdict::Undone);
    report.downtime_ms = None;
    assert!(report_text(&report, Path::new("/x")).contains("downtime  not known"));
    report.steps.truncate(3);
    assert!(report_text(&report, Path::new("/x")).contains("downtime  none"));
}
