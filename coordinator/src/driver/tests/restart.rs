//! The coordinator is killed at every commit, just before and just after it, and goes on as if nothing had been.

use super::story::{Faults, Size};
use super::world::World;
use crate::store::Plan;

#[test]
fn killed_at_every_stored_transition_it_ends_as_if_nothing_had_been() {
    let commits = World::new(7, Faults::None, Size::Few).commits();
    assert!(commits >= 8, "three nodes take more commits than {commits}");
    for commit in 1..=commits {
        for plan in [Plan::Before(commit), Plan::After(commit)] {
            let end = World::new(7, Faults::Store(plan), Size::Few).run().phase;
            assert_eq!(end, "done", "{plan:?}");
        }
    }
}
