//! The commands that only read: history, show, check-conf. They need neither the engine nor the lock.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use redeploy_agent::config::Config;
use redeploy_agent::explain::explain;
use redeploy_agent::history::{self, Entry};
use redeploy_agent::orders::leftovers;
use redeploy_agent::paths::DataDir;
use redeploy_agent::plan;
use redeploy_agent::preserve::{self, CONF_BYTES_MAX, Origin, PreserveList, Severity};
use redeploy_agent::report::{Report, report};

use super::args::{CheckConfArgs, HistoryArgs, ShowArgs};
use super::history_text::{self, Row};
use super::json::{object, plan_event, report_event};
use super::out::{Out, say};
use super::{Exit, orders, report_text, units};

/// No report of ours comes near.
const REPORT_BYTES_MAX: u64 = 64 << 20;

/// Lists what was done.
pub(crate) fn history(args: &HistoryArgs, config: &Config, out: Out) -> Exit {
    let wanted = |row: &Row| match (row, &args.container) {
        (Row::Sound(sound), Some(name)) => sound.node == *name,
        (Row::Sound(_), None) | (Row::Damaged { .. }, _) => true,
    };
    let entries = history::load(&DataDir::new(&config.data_dir)).into_iter();
    let rows = entries.map(|entry| match entry {
        Ok(entry) => Row::of(&entry),
        Err(error) => Row::Damaged { error: explain(&error) },
    });
    let rows: Vec<Row> = rows.filter(wanted).collect();
    if out.json {
        rows.iter().for_each(|row| out.event(&row.event()));
    } else {
        out.text(&history_text::table(&rows), None);
    }
    Exit::Done
}

/// Shows one.
pub(crate) fn show(args: &ShowArgs, config: &Config, out: Out) -> Exit {
    let data = DataDir::new(&config.data_dir);
    let entry = match history::find(&data, &args.id) {
        Ok(entry) => entry,
        Err(error) => return orders::refused(out, &[explain(&error)]),
    };
    let report = report_of(&data, &entry);
    if out.json {
        out.event(&plan_event(&entry.plan));
        out.event(&report_event(&report));
    } else {
        let tint = orders::tint(Exit::from(report.verdict));
        out.text(&report_text::report_text(&report, &entry.dir.archives()), Some(tint));
        out.text(&format!("\nThe plan it followed\n\n{}", plan::show(&entry.plan)), None);
    }
    Exit::Done
}

/// As it was written at the end, or, if that is missing or older than the journal, from the journal.
fn report_of(data: &DataDir, entry: &Entry) -> Report {
    let written = read(File::open(entry.dir.report()), REPORT_BYTES_MAX).ok();
    let written = written.and_then(|bytes| serde_json::from_slice::<Report>(&bytes).ok());
    let is_last = |written: &Report| written.id == entry.plan.id && written.ended_at == entry.last_at();
    let rebuilt = || report(&entry.plan, &entry.records, &entry.state, leftovers(data, entry.plan.id));
    written.filter(is_last).unwrap_or_else(rebuilt)
}

/// Judges a redeploy.conf.
pub(crate) fn check_conf(args: &CheckConfArgs, config: &Config, out: Out) -> Exit {
    let text = match read_conf(&args.file) {
        Ok(text) => text,
        Err(error) => {
            say(&format!("redeploy-agent: cannot read {}: {error}", args.file.display()));
            return Exit::Usage;
        }
    };
    let list = preserve::parse(&text, args.home.as_ref(), &config.preserve);
    if out.json {
        out.event(&object("preserve_list", &list));
    } else {
        out.text(&list_text(&list), None);
    }
    let is_fine = list.findings.iter().all(|finding| finding.severity < Severity::Warning);
    if is_fine { Exit::Done } else { Exit::Failed }
}

/// One byte more than counts, so that a longer file is noticed.
fn read_conf(file: &Path) -> io::Result<Vec<u8>> {
    if file == Path::new("-") {
        read(Ok(io::stdin().lock()), CONF_BYTES_MAX + 1)
    } else {
        read(File::open(file), CONF_BYTES_MAX + 1)
    }
}

fn read(from: io::Result<impl Read>, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from?.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Findings first: they are what one came for.
fn list_text(list: &PreserveList) -> String {
    let mut lines: Vec<String> = list.findings.iter().map(ToString::to_string).collect();
    if lines.is_empty() {
        lines.push("Nothing to remark.".to_owned());
    }
    lines.push(String::new());
    lines.push("Kept:".to_owned());
    lines.extend(list.keep.iter().map(|entry| format!("  {}  ({})", entry.path, origin(entry.origin))));
    if !list.backup.is_empty() {
        lines.push("Copied to .backup:".to_owned());
        lines.extend(list.backup.iter().map(|entry| format!("  {}  (line {})", entry.path, entry.line)));
    }
    let folded = list.folded.keep.len().saturating_add(list.folded.backup.len());
    if folded > 0 {
        let folded = u64::try_from(folded).unwrap_or(u64::MAX);
        lines.push(format!("{} part of these already.", units::count(folded, "entry is", "entries are")));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn origin(origin: Origin) -> String {
    match origin {
        Origin::Line(line) => format!("line {line}"),
        Origin::Default => "default".to_owned(),
        Origin::AlwaysKept => "always kept".to_owned(),
        Origin::Compose => "put there by Compose".to_owned(),
    }
}
