//! The driver, the sessions and fake agents in virtual time.
//!
//! A world is a function of its seed. When a seed fails, `REDEPLOY_SIM_SEED=N cargo nextest run -p
//! redeploy-coordinator driver::tests::seeds --no-capture` plays it again and tells every event;
//! `REDEPLOY_SIM_SEEDS=10000` plays more of them, as `make soak` does. One world in a hundred has thousands of agents.

mod agent;
mod chance;
mod lines;
mod restart;
mod story;
mod truth;
mod world;

use std::collections::BTreeMap;
use std::panic;

use story::{Faults, Size};
use world::World;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn seeds() {
    let seeds = match number("REDEPLOY_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("REDEPLOY_SIM_SEEDS").unwrap_or(300),
    };
    let mut ends = BTreeMap::new();
    for seed in seeds {
        let told = format!("seed {seed}: play it again with REDEPLOY_SIM_SEED={seed}");
        match panic::catch_unwind(|| World::new(seed, Faults::Random, Size::of(seed)).run()) {
            Ok(end) => *ends.entry(end.phase).or_insert(0) += 1,
            Err(failure) => {
                eprintln!("{told}");
                panic::resume_unwind(failure);
            }
        }
    }
    println!("{ends:?}");
}

#[test]
fn a_seed_plays_the_same_world_again() {
    for seed in 0..10 {
        let play = || World::new(seed, Faults::Random, Size::Few).run();
        assert_eq!(play(), play(), "seed {seed}");
    }
}
