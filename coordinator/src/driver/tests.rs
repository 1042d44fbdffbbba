//! The driver against fake agents in virtual time.
//!
//! A world is a function of its seed. When a seed fails, `REDEPLOY_SIM_SEED=N cargo nextest run -p
//! redeploy-coordinator seeds` plays it again; `REDEPLOY_SIM_SEEDS=10000` plays more of them.

mod agent;
mod chance;
mod restart;
mod world;

use world::{Faults, World};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn seeds() {
    let seeds = match number("REDEPLOY_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("REDEPLOY_SIM_SEEDS").unwrap_or(300),
    };
    let mut ends = std::collections::BTreeMap::new();
    for seed in seeds {
        let told = format!("seed {seed}: play it again with REDEPLOY_SIM_SEED={seed}");
        let run = std::panic::catch_unwind(|| World::new(seed, Faults::Random).run());
        match run {
            Ok(end) => *ends.entry(end).or_insert(0) += 1,
            Err(panic) => {
                eprintln!("{told}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{ends:?}");
}
