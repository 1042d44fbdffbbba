//! The audit log, for administrators: what somebody did from where is nobody else's business.

use redeploy_proto::v1;

use super::{Api, Caller, Refusal};
use crate::store::{AuditFilter, AuditLine};

/// Lines in one answer, unless asked otherwise, and at most.
const LINES: u32 = 100;
const LINES_MAX: u32 = 1000;

impl Api {
    pub(crate) async fn list_audit(
        &self,
        caller: &Caller,
        request: &v1::ListAuditRequest,
    ) -> Result<v1::ListAuditResponse, Refusal> {
        caller.may_everything()?;
        let filter = AuditFilter { after: request.after_seq, since: request.since_ms, who: &request.who };
        let (limit, newest) = match (request.newest, request.page_size) {
            (0, 0) => (LINES, false),
            (0, page) => (page.min(LINES_MAX), false),
            (newest, _) => (newest.min(LINES_MAX), true),
        };
        let lines = self.store.audit_lines(filter, limit, newest).await?;
        Ok(v1::ListAuditResponse { lines: lines.into_iter().map(line).collect() })
    }
}

fn line(AuditLine { seq, row }: AuditLine) -> v1::AuditLine {
    v1::AuditLine {
        seq: u64::try_from(seq).unwrap_or(0),
        at_ms: row.at,
        who: row.who,
        what: row.what,
        target: row.target,
        address: row.address,
        result: row.result,
    }
}
