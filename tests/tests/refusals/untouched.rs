//! Everything of a sandbox, before and after: a refusal leaves no trace.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use redeploy_tests::operator::{Answer, Operator};
use redeploy_tests::sandbox::Sandbox;
use serde_json::Value;

/// What there is.
#[derive(Debug, PartialEq)]
pub(crate) struct Snapshot {
    containers: BTreeMap<String, Value>,
    differences: BTreeMap<String, Vec<String>>,
    redeploys: usize,
}

impl Snapshot {
    /// Looks at every container of the room, down to what differs from its image.
    pub(crate) fn of(sandbox: &Sandbox) -> Result<Self> {
        let (mut containers, mut differences) = (BTreeMap::new(), BTreeMap::new());
        for name in sandbox.containers()? {
            let lines = sandbox.docker().call(&["diff", &name])?;
            let mut lines: Vec<String> = lines.lines().map(str::to_owned).collect();
            lines.sort();
            differences.insert(name.clone(), lines);
            containers.insert(name.clone(), sandbox.docker().inspect(&name)?);
        }
        let redeploys = std::fs::read_dir(sandbox.data_dir().join("redeploys"));
        let redeploys = redeploys.map_or(0, |entries| entries.flatten().count());
        Ok(Self { containers, differences, redeploys })
    }
}

/// Insists that this order is refused for a reason with these words in it, and that nothing was touched.
pub(crate) fn refused(
    sandbox: &Sandbox,
    reasons: &[&str],
    order: impl FnOnce() -> Result<Answer>,
) -> Result<()> {
    let before = Snapshot::of(sandbox)?;
    let text = order()?.refused()?;
    for reason in reasons {
        ensure!(text.contains(reason), "{reason:?} is not in: {text}");
    }
    let after = Snapshot::of(sandbox)?;
    ensure!(before == after, "something was touched: {before:#?}\nbecame {after:#?}");
    Ok(())
}

/// As [`refused`], for a redeploy by an operator with nothing special.
pub(crate) fn redeploy_refused(
    sandbox: &Sandbox,
    container: &str,
    image: &str,
    reasons: &[&str],
) -> Result<()> {
    let operator = Operator::new(sandbox)?;
    refused(sandbox, reasons, || operator.redeploy(container, image, &[]))
}
