//! The oracle: is a recreated container what the same `docker create` makes of the new image?
//!
//! For every row of the table a container is made from image v1 with the row's flags, its successor is worked
//! out by `recreate` and created with the raw body, and a fresh container is made from v2 with the same flags.
//! The two must be equal in every setting, and `compare` must find nothing; where a plan is sabotaged it must.
//! Then the same once more with a whole redeploy: every step, journal and archives, parked container and all.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up is a failed test")]

#[path = "oracle/bench.rs"]
mod bench;
#[path = "oracle/http.rs"]
mod http;
#[path = "oracle/images.rs"]
mod images;
#[path = "oracle/normal.rs"]
mod normal;
#[path = "oracle/rows.rs"]
mod rows;
#[path = "oracle/sabotage.rs"]
mod sabotage;
#[path = "oracle/special.rs"]
mod special;
#[path = "oracle/whole.rs"]
mod whole;

use bench::Bench;
use rows::Row;

/// Runs all rows of a group and reports all that fail.
fn prove(group: &str, rows: &[Row]) {
    prove_each(group, rows, Bench::prove);
}

/// As [`prove`], by whole redeploys.
fn redeploy(group: &str, rows: &[Row]) {
    prove_each(&format!("whole-{group}"), rows, Bench::redeploy);
}

fn prove_each(group: &str, rows: &[Row], prove: impl Fn(&Bench, &Row) -> Result<(), String>) {
    let bench = Bench::new(group);
    let failures: Vec<String> = rows
        .iter()
        .filter_map(|row| prove(&bench, row).err().map(|why| format!("== {} ==\n{why}", row.name)))
        .collect();
    assert!(failures.is_empty(), "{} of {} rows fail\n{}", failures.len(), rows.len(), failures.join("\n"));
}

#[test]
fn process_settings() {
    prove("process", rows::PROCESS);
}

#[test]
fn limits_and_privileges() {
    prove("limits", rows::LIMITS);
}

#[test]
fn storage() {
    prove("storage", rows::STORAGE);
}

#[test]
fn networks() {
    prove("networks", rows::NETWORKS);
}

#[test]
fn process_settings_by_a_whole_redeploy() {
    redeploy("process", rows::PROCESS);
}

#[test]
fn limits_and_privileges_by_a_whole_redeploy() {
    redeploy("limits", rows::LIMITS);
}

#[test]
fn storage_by_a_whole_redeploy() {
    redeploy("storage", rows::STORAGE);
}

#[test]
fn networks_by_a_whole_redeploy() {
    redeploy("networks", rows::NETWORKS);
}

#[test]
fn the_table_is_large_enough_and_names_are_unique() {
    let all = [rows::PROCESS, rows::LIMITS, rows::STORAGE, rows::NETWORKS].concat();
    let names: std::collections::BTreeSet<&str> = all.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), all.len());
    assert!(all.len() >= 60, "{}", all.len());
}
