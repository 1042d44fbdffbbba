//! What a client of the database was promised, and what of it is there. Pure.
//!
//! Flows in: acknowledged numbers, each with the server that acknowledged it, and the numbers found in a table.
//! Flows out: one line for each broken promise. An insert whose acknowledgement never came may be there or not.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One acknowledged commit.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The row's number; no two inserts share one, acknowledged or not.
    pub number: i64,
    /// Which server acknowledged it: the word of its version.
    pub server: String,
    /// When the acknowledgement arrived.
    pub at: Instant,
}

/// Everything one client sent and was promised.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The last number sent; numbers begin with 1.
    pub last_sent: i64,
    /// In the order of their numbers.
    pub commits: Vec<Commit>,
}

impl Ledger {
    /// The longest time between two acknowledgements, from the commit number `from` (counting commits) on.
    #[must_use]
    pub fn longest_silence(&self, from: usize) -> Duration {
        let commits = self.commits.get(from.saturating_sub(1)..).unwrap_or_default();
        let pairs = commits.iter().zip(commits.iter().skip(1));
        pairs.map(|(before, after)| after.at.duration_since(before.at)).max().unwrap_or_default()
    }

    /// What is wrong with a table that should hold exactly the commits that `expected` picks.
    ///
    /// `found` says how often each number is there. `last_sent` is the client's after the table was read, `self`
    /// its ledger from before.
    #[must_use]
    pub fn broken_promises(
        &self,
        found: &BTreeMap<i64, i64>,
        last_sent: i64,
        expected: impl Fn(&Commit) -> bool,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        for commit in &self.commits {
            let Commit { number, server, .. } = commit;
            match (expected(commit), found.contains_key(number)) {
                (true, false) => lines.push(format!("row {number}, acknowledged by {server}, is lost")),
                (false, true) => {
                    lines.push(format!("row {number}, acknowledged by {server}, should not be here"))
                }
                (true, true) | (false, false) => {}
            }
        }
        for (number, count) in found {
            if *count != 1 {
                lines.push(format!("row {number} is there {count} times"));
            }
            if !(1..=last_sent).contains(number) {
                lines.push(format!("row {number} was never sent"));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(commits: &[(i64, &str)]) -> Ledger {
        let at = Instant::now();
        let commit =
            |(number, server): &(i64, &str)| Commit { number: *number, server: (*server).into(), at };
        Ledger { last_sent: 9, commits: commits.iter().map(commit).collect() }
    }

    fn table(numbers: &[i64]) -> BTreeMap<i64, i64> {
        let mut found = BTreeMap::new();
        for number in numbers {
            *found.entry(*number).or_default() += 1;
        }
        found
    }

    #[test]
    fn what_was_promised_must_be_there_and_what_was_not_may_be() {
        let ledger = ledger(&[(1, "v1"), (2, "v1"), (4, "v2")]);
        let broken = |found: &[i64]| ledger.broken_promises(&table(found), 9, |_| true);
        assert_eq!(broken(&[1, 2, 4]), Vec::<String>::new());
        assert_eq!(broken(&[1, 2, 3, 4, 5]), Vec::<String>::new());
        assert_eq!(broken(&[1, 4]), ["row 2, acknowledged by v1, is lost"]);
        assert_eq!(broken(&[1, 2, 2, 4, 10]), ["row 2 is there 2 times", "row 10 was never sent"]);
    }

    #[test]
    fn rows_of_another_server_must_be_away() {
        let ledger = ledger(&[(1, "v1"), (4, "v2")]);
        let broken = |found: &[i64]| ledger.broken_promises(&table(found), 9, |commit| commit.server == "v1");
        assert_eq!(broken(&[1]), Vec::<String>::new());
        assert_eq!(broken(&[1, 4]), ["row 4, acknowledged by v2, should not be here"]);
    }

    #[test]
    fn silence_is_measured_between_acknowledgements() {
        let mut ledger = ledger(&[(1, "v1"), (2, "v1"), (3, "v1")]);
        let begun = ledger.commits[0].at;
        for (commit, ms) in ledger.commits.iter_mut().zip([0, 700, 800]) {
            commit.at = begun + Duration::from_millis(ms);
        }
        assert_eq!(ledger.longest_silence(0), Duration::from_millis(700));
        assert_eq!(ledger.longest_silence(2), Duration::from_millis(100));
        assert_eq!(ledger.longest_silence(3), Duration::ZERO);
    }
}
