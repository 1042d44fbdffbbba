//! `audit`: who did what, from where, and what came of it.

use redeploy_proto::v1;

use super::args::{AuditArgs, Output};
use super::dial::{Coordinator, ask};
use super::exit::{Exit, Stop};
use super::json;
use super::request::ms;
use super::text::{say, table};
use super::units::moment;
use crate::moment::Moment;

/// Lines in one answer.
const PAGE: u32 = 1000;

pub(super) async fn audit(at: &Coordinator, args: AuditArgs, output: Output) -> Result<Exit, Stop> {
    let now = Moment::now().0;
    let mut request = v1::ListAuditRequest {
        after_seq: args.part.after.unwrap_or_default(),
        page_size: PAGE,
        who: args.who.unwrap_or_default(),
        since_ms: args.since.map_or(0, |since| now.saturating_sub(i64::try_from(ms(since)).unwrap_or(now))),
        newest: if args.part.after.is_some() || args.since.is_some() { 0 } else { args.part.limit },
    };
    let mut all = Vec::new();
    loop {
        let page = at.client().list_audit(ask(request.clone())).await?.into_inner().lines;
        request.after_seq = page.last().map_or(request.after_seq, |last| last.seq);
        let is_last = request.newest > 0 || page.is_empty();
        match output {
            Output::Json => page.iter().for_each(json::line),
            Output::Table => all.extend(page),
        }
        if is_last {
            break;
        }
    }
    if output == Output::Table {
        show(&all);
    }
    Ok(Exit::Done)
}

fn show(lines: &[v1::AuditLine]) {
    if lines.is_empty() {
        return say("Nothing.");
    }
    let head = ["SEQ", "WHEN", "WHO", "WHAT", "TARGET", "FROM", "RESULT"].map(str::to_owned).to_vec();
    let row = |line: &v1::AuditLine| {
        let [who, what, target] = [&line.who, &line.what, &line.target].map(String::clone);
        vec![
            line.seq.to_string(),
            moment(line.at_ms),
            who,
            what,
            target,
            line.address.clone(),
            line.result.clone(),
        ]
    };
    table(&std::iter::once(head).chain(lines.iter().map(row)).collect::<Vec<_>>());
}
