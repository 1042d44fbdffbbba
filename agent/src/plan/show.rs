//! The plan as text for people: what will happen, what is kept, what is not, what is odd. Values of environment
//! variables are never shown.

use std::fmt::Write;

use super::{Incoming, Into, Plan, Source};
use crate::saga::SagaKind;
use crate::steps::steps_of_plan;

/// The whole plan, ending in a newline.
#[must_use]
pub fn show(plan: &Plan) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_plan(&mut text, plan);
    text
}

fn write_plan(out: &mut String, plan: &Plan) -> std::fmt::Result {
    let what = match plan.kind {
        SagaKind::Redeploy => "Redeploy",
        SagaKind::Revert => "Revert",
    };
    writeln!(out, "{what} of {}  (id {})", plan.node, plan.id)?;
    writeln!(out, "  from    {}  ({})", plan.outgoing.image, short(&plan.outgoing.image_id))?;
    match &plan.incoming {
        Incoming::New(new) => {
            let digest = new.digest.as_deref().unwrap_or("built on this host, no registry digest");
            writeln!(out, "  to      {}  ({}, {digest})", new.reference, short(&new.image_id))?;
        }
        Incoming::Parked { image, image_id, parked_name, .. } => {
            writeln!(out, "  to      {image}  ({}, parked as {parked_name})", short(image_id))?;
        }
    }
    writeln!(out, "  parked  as {}", plan.outgoing.parked_name)?;
    if !plan.outgoing.alive {
        writeln!(out, "  state   not running now, and stays so")?;
    }
    let steps: Vec<&str> = steps_of_plan(plan).iter().map(|step| step.word()).collect();
    writeln!(out, "  steps   {}", steps.join(" > "))?;
    write_archives(out, plan)?;
    write_settings(out, plan)?;
    write_list(
        out,
        "Not kept (changed in the container, listed nowhere; stays in the parked container)",
        &lost(plan),
    )?;
    write_list(out, "Warnings", &plan.warnings)
}

fn write_archives(out: &mut String, plan: &Plan) -> std::fmt::Result {
    writeln!(
        out,
        "\nKept ({} entries, {} bytes before packing):",
        plan.space.entries, plan.space.to_archive
    )?;
    for archive in &plan.archives {
        let what = match &archive.source {
            Source::Root { into: Into::Replace } => "restored exactly".to_owned(),
            Source::Root { into: Into::Underlay } => "below what the new image ships".to_owned(),
            Source::Volume { name, shared: true } => format!("volume {name}, mounted again"),
            Source::Volume { name, shared: false } => format!("volume {name}, archived only"),
            Source::Bind { path, .. } => format!("host directory {path}"),
        };
        writeln!(out, "  {}.tar.gz  ({what})", archive.stem)?;
        if matches!(archive.source, Source::Root { .. }) {
            for path in &archive.selection.include {
                writeln!(out, "    {path}")?;
            }
        }
    }
    for backup in &plan.backups {
        writeln!(out, "  {} is written next to the new one as {}", backup.path, backup.to)?;
    }
    for put in &plan.put_data {
        writeln!(out, "  {} goes back into its volume as captured by {}", put.stem, put.from)?;
    }
    Ok(())
}

fn write_settings(out: &mut String, plan: &Plan) -> std::fmt::Result {
    let Incoming::New(new) = &plan.incoming else { return Ok(()) };
    writeln!(out, "\nSettings:")?;
    for source in &new.recreation.sources {
        writeln!(out, "  {source}")?;
    }
    Ok(())
}

fn lost(plan: &Plan) -> Vec<String> {
    let mut lost = plan.coverage.not_kept.clone();
    if plan.coverage.more > 0 {
        lost.push(format!("… and {} more", plan.coverage.more));
    }
    lost
}

fn write_list(out: &mut String, title: &str, lines: &[String]) -> std::fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}:")?;
    lines.iter().try_for_each(|line| writeln!(out, "  {line}"))
}

/// An image id as people read it.
fn short(id: &str) -> &str {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    hex.get(..12).unwrap_or(hex)
}
