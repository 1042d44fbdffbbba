//! Collects findings within a limit, the weightiest first.
//!
//! A hostile file can earn a finding per byte; what is held here stays small whatever comes in.

use super::finding::{FINDINGS_MAX, Finding, FindingKind, Severity};

/// Findings so far: at most [`FINDINGS_MAX`] of each severity, the others counted.
#[derive(Debug, Default)]
pub(super) struct Findings {
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    infos: Vec<Finding>,
    uncounted: u64,
}

impl Findings {
    /// Goes on from an earlier, possibly cut, list.
    pub(super) fn resume(earlier: impl IntoIterator<Item = Finding>) -> Self {
        let mut findings = Self::default();
        for finding in earlier {
            if let FindingKind::MoreFindings { count } = finding.kind {
                findings.uncounted = findings.uncounted.saturating_add(count);
            } else {
                findings.push(finding);
            }
        }
        findings
    }

    pub(super) fn push(&mut self, finding: Finding) {
        let shelf = match finding.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
            Severity::Info => &mut self.infos,
        };
        if shelf.len() < FINDINGS_MAX {
            shelf.push(finding);
        } else {
            self.uncounted = self.uncounted.saturating_add(1);
        }
    }

    /// Those to show, by line (the whole file's first), and one that counts the rest.
    pub(super) fn finish(self) -> Vec<Finding> {
        let mut all = self.errors;
        all.extend(self.warnings);
        all.extend(self.infos);
        let cut = all.len().saturating_sub(FINDINGS_MAX);
        all.truncate(FINDINGS_MAX);
        all.sort_by_key(|finding| finding.line);
        let count = self.uncounted.saturating_add(u64::try_from(cut).unwrap_or(u64::MAX));
        if count > 0 {
            all.push(Finding::on_file(FindingKind::MoreFindings { count }));
        }
        all
    }
}
