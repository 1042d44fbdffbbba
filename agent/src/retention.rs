//! How long parked containers and archives stay. Pure: what is to go is decided here and done elsewhere.

use std::time::Duration;

use jiff::Timestamp;
use redeploy_proto::RedeployId;

/// The rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Parked containers kept per node.
    pub parked_max: usize,
    /// Archives and parked containers go when they are older than this.
    pub age_max: Duration,
}

/// One ended saga of a node, as far as retention is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub id: RedeployId,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Does it still have a parked container?
    pub has_parked: bool,
    /// Does it still have archives?
    pub has_archives: bool,
}

/// What is to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToGo {
    /// Sagas whose parked container goes.
    pub parked: Vec<RedeployId>,
    /// Sagas whose archives go. A parked container never loses its archives.
    pub archives: Vec<RedeployId>,
}

impl Retention {
    /// Of one node's ended sagas, what is to go at `now`.
    #[must_use]
    pub fn decide(&self, sagas: &[Kept], now: Timestamp) -> ToGo {
        let mut newest_first: Vec<&Kept> = sagas.iter().collect();
        newest_first.sort_by_key(|kept| std::cmp::Reverse((kept.ended_at, kept.id)));
        let mut to_go = ToGo::default();
        let mut parked_left = self.parked_max;
        for kept in newest_first {
            let is_old = self.is_old(kept.ended_at, now);
            let parked_stays = kept.has_parked && parked_left > 0 && !is_old;
            if parked_stays {
                parked_left -= 1;
            } else if kept.has_parked {
                to_go.parked.push(kept.id);
            }
            if kept.has_archives && !parked_stays && (is_old || kept.has_parked) {
                to_go.archives.push(kept.id);
            }
        }
        to_go
    }

    fn is_old(&self, then: Timestamp, now: Timestamp) -> bool {
        let age = now.duration_since(then);
        u64::try_from(age.as_secs()).is_ok_and(|seconds| seconds >= self.age_max.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Retention = Retention { parked_max: 1, age_max: Duration::from_secs(7 * 86_400) };

    fn kept(number: u8, day: i64, has_parked: bool) -> Kept {
        let id = format!("0193a1b2-7c00-7000-8000-0000000000{number:02}").parse().unwrap();
        let ended_at = Timestamp::from_second(day * 86_400).unwrap();
        Kept { id, ended_at, has_parked, has_archives: true }
    }

    fn decide(sagas: &[Kept], day: i64) -> (Vec<RedeployId>, Vec<RedeployId>) {
        let to_go = RULE.decide(sagas, Timestamp::from_second(day * 86_400).unwrap());
        (to_go.parked, to_go.archives)
    }

    #[test]
    fn the_newest_parked_container_stays_with_its_archives() {
        let sagas = [kept(1, 1, true), kept(2, 2, true), kept(3, 3, true)];
        let older = vec![sagas[1].id, sagas[0].id];
        assert_eq!(decide(&sagas, 4), (older.clone(), older));
    }

    #[test]
    fn everything_goes_when_it_is_old_enough() {
        let sagas = [kept(1, 1, true), kept(2, 2, false)];
        assert_eq!(decide(&sagas, 5), (vec![], vec![]));
        assert_eq!(decide(&sagas, 8), (vec![sagas[0].id], vec![sagas[0].id]));
        assert_eq!(decide(&sagas, 9), (vec![sagas[0].id], vec![sagas[1].id, sagas[0].id]));
    }
}
