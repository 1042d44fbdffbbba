//! The reports that were said in one session, and which of them an acknowledgement means: it only names the redeploy.
//!
//! A verdict may change (stuck, then undone), and what was stored for one must not count for the next. The coordinator
//! acknowledges in the order in which it was told.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use redeploy_proto::{RedeployId, v1};

/// Reports of one redeploy without an answer; it is said again anyway.
const UNANSWERED_MAX: usize = 16;

/// See above.
#[derive(Debug, Default)]
pub(super) struct Said {
    reports: HashMap<RedeployId, Of>,
}

/// What was said of one redeploy.
#[derive(Debug)]
struct Of {
    last: v1::Verdict,
    at: Instant,
    unanswered: VecDeque<v1::Verdict>,
}

impl Said {
    /// Is this report to be said now? Remembers that it is.
    pub(super) fn is_new(&mut self, id: RedeployId, verdict: v1::Verdict, again: Duration) -> bool {
        let now = Instant::now();
        let is_new =
            self.reports.get(&id).is_none_or(|of| of.last != verdict || now.duration_since(of.at) >= again);
        if is_new {
            let unanswered = self.reports.remove(&id).map(|of| of.unanswered).unwrap_or_default();
            let mut of = Of { last: verdict, at: now, unanswered };
            of.unanswered.push_back(verdict);
            of.unanswered.truncate(UNANSWERED_MAX);
            self.reports.insert(id, of);
        }
        is_new
    }

    /// The verdict that the coordinator has stored, now that it acknowledges this redeploy.
    pub(super) fn answered(&mut self, id: RedeployId) -> Option<v1::Verdict> {
        self.reports.get_mut(&id)?.unanswered.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use v1::Verdict::{Stuck, Undone};

    const LATER: Duration = Duration::from_secs(60);

    #[test]
    fn it_is_said_once_until_it_changes_or_time_has_passed() {
        let (mut said, id) = (Said::default(), RedeployId::generate());
        assert!(said.is_new(id, Stuck, LATER) && !said.is_new(id, Stuck, LATER));
        assert!(said.is_new(id, Undone, LATER) && !said.is_new(id, Undone, LATER));
        assert!(said.is_new(id, Undone, Duration::ZERO));
        assert!(said.is_new(RedeployId::generate(), Undone, LATER));
    }

    #[test]
    fn what_was_stored_of_one_verdict_does_not_count_for_the_next() {
        let (mut said, id) = (Said::default(), RedeployId::generate());
        assert_eq!(said.answered(id), None);
        said.is_new(id, Stuck, LATER);
        said.is_new(id, Undone, LATER);
        assert_eq!(said.answered(id), Some(Stuck), "its acknowledgement was on its way");
        assert_eq!(said.answered(id), Some(Undone));
        assert_eq!(said.answered(id), None);
    }
}
