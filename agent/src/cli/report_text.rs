//! The report as text for people: how it ended, what it took, what is kept where, what to do next. Pure.
//!
//! Must never say more than the report does: what happened is the journal's to say.

use std::fmt::{Result, Write};
use std::path::Path;

use redeploy_agent::archive::SkipReason;
use redeploy_agent::report::{ArchiveReport, DependentReport, Failure, Report, StepTime, Verdict};
use redeploy_agent::saga::SagaKind;
use redeploy_agent::steps::Step;

use super::units::{count, moment, size, tame, took};

/// Left-out entries shown per archive; the manifest has more.
const SKIPPED_SHOWN: usize = 20;

/// Lines of the failed container's output that are shown, the last ones; the rest is in `new.log`.
const LAST_WORDS_SHOWN: usize = 40;

/// The whole report, its verdict on the first line. `archives` is where its archives are.
pub(crate) fn report_text(report: &Report, archives: &Path) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(&mut text, report, archives);
    tame(&text)
}

fn write_report(out: &mut String, report: &Report, archives: &Path) -> Result {
    writeln!(out, "{}", verdict(report))?;
    write_head(out, report)?;
    if let Some(failure) = &report.failure {
        write_failure(out, failure)?;
    }
    write_steps(out, &report.steps)?;
    write_archives(out, &report.archives, archives)?;
    if is_committed(report.verdict) {
        write_list(out, ".backup files written", report.backups.iter())?;
        write_list(out, "Settings", report.sources.iter())?;
    }
    write_dependents(out, report)?;
    write_list(out, "Warnings", report.warnings.iter())?;
    write_list(out, "Next", next(report).iter())?;
    write_sheet(out, report)
}

/// Is there a new container that has all this? What an undone one had went with it.
fn is_committed(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Done | Verdict::DoneUntidy => true,
        Verdict::Undone | Verdict::Stuck | Verdict::Unfinished => false,
    }
}

/// How it ended, in one sentence.
fn verdict(report: &Report) -> String {
    let Report { node, from, to, .. } = report;
    let what = match report.kind {
        SagaKind::Redeploy => "redeploy",
        SagaKind::Revert => "revert",
    };
    match report.verdict {
        Verdict::Done => format!("Done: {node} is on {to} now."),
        Verdict::DoneUntidy => format!("Done: {node} is on {to} now; tidying up is left."),
        Verdict::Undone if made_anew(report).is_some() => {
            format!("Undone: the {what} was taken back, and {node} is on {from}, made anew.")
        }
        Verdict::Undone => format!("Undone: the {what} was taken back, and {node} is as it was, on {from}."),
        Verdict::Stuck => {
            format!("STUCK: the {what} of {node} failed, and so did its undo. A human is needed.")
        }
        Verdict::Unfinished => format!("Unfinished: the {what} of {node} is under way or was interrupted."),
    }
}

/// What is not as it was before although it was undone.
fn made_anew(report: &Report) -> Option<&str> {
    report.failure.as_ref()?.made_anew.as_deref()
}

fn write_head(out: &mut String, report: &Report) -> Result {
    let to = match &report.digest {
        Some(digest) => format!("{}  ({digest})", report.to),
        None => report.to.clone(),
    };
    let all = report.ended_at.duration_since(report.began_at).as_millis();
    let all = took(u64::try_from(all).unwrap_or(0));
    writeln!(out, "  id        {}", report.id)?;
    writeln!(out, "  from      {}", report.from)?;
    writeln!(out, "  to        {to}")?;
    writeln!(out, "  began     {} UTC, took {all}", moment(report.began_at))?;
    writeln!(out, "  downtime  {}", downtime(report))?;
    match &report.balancer {
        Some(balancer) => writeln!(out, "  balancer  {balancer}")?,
        None => writeln!(out, "  balancer  none configured, not drained")?,
    }
    match &report.parked {
        Some(parked) => writeln!(out, "  parked    {parked}"),
        None => Ok(()),
    }
}

/// What was interrupted in the middle cannot always tell when the old container served again.
fn downtime(report: &Report) -> String {
    let was_to_stop = report.steps.iter().any(|time| time.step == Step::Stop);
    match (report.downtime_ms, report.verdict) {
        (Some(ms), _) => took(ms),
        (None, Verdict::Done | Verdict::DoneUntidy) => "none".to_owned(),
        (None, Verdict::Undone | Verdict::Stuck | Verdict::Unfinished) if was_to_stop => {
            "not known".to_owned()
        }
        (None, Verdict::Undone | Verdict::Stuck | Verdict::Unfinished) => "none".to_owned(),
    }
}

fn write_failure(out: &mut String, failure: &Failure) -> Result {
    writeln!(out, "\nWhy:\n{}", indented(&failure.reason))?;
    if let Some(stuck) = &failure.stuck {
        writeln!(out, "\nWhat is stuck:\n{}", indented(stuck))?;
    }
    if let Some(made_anew) = &failure.made_anew {
        writeln!(out, "\nMade anew:\n{}", indented(made_anew))?;
    }
    if !failure.notes.is_empty() {
        writeln!(out, "\nWhat is not as it was:")?;
        failure.notes.iter().try_for_each(|note| writeln!(out, "{}", indented(note)))?;
    }
    let Some(words) = failure.last_words.as_deref().filter(|words| !words.trim().is_empty()) else {
        return Ok(());
    };
    let lines: Vec<&str> = words.trim_end().lines().collect();
    let cut = lines.len().saturating_sub(LAST_WORDS_SHOWN);
    writeln!(out, "\nLast words of the new container:")?;
    if cut > 0 {
        writeln!(out, "    … {cut} more before these, in new.log")?;
    }
    lines.iter().skip(cut).try_for_each(|line| writeln!(out, "    {line}"))
}

fn write_steps(out: &mut String, steps: &[StepTime]) -> Result {
    if steps.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nSteps:")?;
    for time in steps {
        let mut line = match time.took_ms {
            Some(ms) => format!("  {:9} {:>8}", time.step, took(ms)),
            None => format!("  {:9} {:>8}", time.step, "not done"),
        };
        if let Some(ms) = time.undo_ms {
            write!(line, "   undone in {}", took(ms))?;
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn write_archives(out: &mut String, archives: &[ArchiveReport], dir: &Path) -> Result {
    if archives.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nArchives in {}:", dir.display())?;
    let width = archives.iter().map(|archive| archive.file.chars().count()).max().unwrap_or(0);
    for archive in archives {
        let (bytes, entries) = (size(archive.bytes), count(archive.entries, "entry", "entries"));
        writeln!(out, "  {:width$}  {bytes:>8}  {entries}", archive.file)?;
        for skipped in archive.skipped.iter().take(SKIPPED_SHOWN) {
            writeln!(out, "    left out: {} ({})", skipped.path, why(skipped.reason))?;
        }
        let more = archive.skipped.len().saturating_sub(SKIPPED_SHOWN);
        if more > 0 {
            writeln!(out, "    left out: {more} more, see manifest.json")?;
        }
    }
    Ok(())
}

fn why(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Mount => "another mount begins there",
        SkipReason::Socket => "a socket; its program makes it anew",
        SkipReason::Device => "a device",
        SkipReason::Unreadable => "could not be read",
    }
}

fn write_list<T: std::fmt::Display>(out: &mut String, title: &str, lines: impl Iterator<Item = T>) -> Result {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return Ok(());
    }
    writeln!(out, "\n{title}:")?;
    lines.try_for_each(|line| writeln!(out, "  {line}"))
}

/// Those that went along.
fn write_dependents(out: &mut String, report: &Report) -> Result {
    let line = |dependent: &DependentReport| {
        let DependentReport { node, image, parked, .. } = dependent;
        let downtime =
            dependent.downtime_ms.map_or_else(String::new, |ms| format!(", downtime {}", took(ms)));
        match parked {
            Some(parked) => format!("{node}: made anew from {image}{downtime}, parked as {parked}"),
            None => format!("{node}: not made anew, on {image}"),
        }
    };
    write_list(out, "Containers that lean on it", report.dependents.iter().map(line))
}

/// What to do now.
fn next(report: &Report) -> Vec<String> {
    let mut next = Vec::new();
    match report.verdict {
        Verdict::Done => {}
        Verdict::DoneUntidy => next.push("`redeploy-agent recover` tidies up".to_owned()),
        Verdict::Undone => next.push("remove what stopped it (see above), then order it again".to_owned()),
        Verdict::Stuck => {
            next.push(
                "remove the cause, then `redeploy-agent recover`; or follow the recovery sheet".to_owned(),
            );
        }
        Verdict::Unfinished => {
            next.push("`redeploy-agent recover` ends it, unless a process is at work on it".to_owned());
        }
    }
    if report.parked.is_some() {
        next.push(format!(
            "`redeploy-agent revert --container {}` brings the parked container back",
            report.node
        ));
    }
    next
}

/// Only when it is needed: it is long, and meant for bad days.
fn write_sheet(out: &mut String, report: &Report) -> Result {
    let sheet = report.failure.as_ref().and_then(|failure| failure.recovery_sheet.as_ref());
    match (report.verdict, sheet) {
        (Verdict::Stuck, Some(sheet)) => writeln!(out, "\n{}", sheet.trim_end()),
        (Verdict::Stuck | Verdict::Done | Verdict::DoneUntidy | Verdict::Undone | Verdict::Unfinished, _) => {
            Ok(())
        }
    }
}

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
