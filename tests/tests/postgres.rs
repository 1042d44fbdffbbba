//! A real database is redeployed under a client that commits all the time: no acknowledged row is ever lost, none
//! is there twice, and every page and index is sound.
//!
//! Two places for the data: a named volume, which both containers mount, and the container's own file system,
//! where each container has its own and the redeploy carries it over. They differ after a revert: a volume goes
//! on, but the container that comes back brings the file system it had, and what was acknowledged since stays in
//! the one that is parked in its turn. That is what is asserted, to the row.
//!
//! Times are printed and never judged.

#[path = "postgres/operator.rs"]
mod operator;
#[path = "postgres/salvage.rs"]
mod salvage;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use redeploy_agent::report::Verdict;
use redeploy_tests::postgres::{Commit, Database, Storage, Version, Writer};

use operator::{Moment, Operator};

/// Set to a number to go through every moment of the kill tests so many times.
const SOAK: &str = "REDEPLOY_SOAK";

/// Each of these takes another way through `recover`.
const MOMENTS: &[Moment] =
    &[Moment::In("capture"), Moment::In("settle"), Moment::In("start"), Moment::Served, Moment::Committed];

const ALL_MOMENTS: &[Moment] = &[
    Moment::In("create"),
    Moment::In("capture"),
    Moment::In("prefill"),
    Moment::In("stop"),
    Moment::In("settle"),
    Moment::In("swap"),
    Moment::In("start"),
    Moment::In("verify"),
    Moment::Served,
    Moment::Committed,
];

#[test]
fn redeploy_in_a_volume() -> Result<()> {
    redeploy_and_back("pg volume", Storage::Volume)
}

#[test]
fn redeploy_inside() -> Result<()> {
    redeploy_and_back("pg inside", Storage::Inside)
}

#[test]
fn killed_in_a_volume() -> Result<()> {
    kill_everywhere("pg kill volume", Storage::Volume)
}

#[test]
fn killed_inside() -> Result<()> {
    kill_everywhere("pg kill inside", Storage::Inside)
}

/// Everything is expected to be there.
fn all(_: &Commit) -> bool {
    true
}

/// A version that does not start, the next version, and the way back, under load throughout.
///
/// The version that fails must not accept the client: what a new server accepts before it fails is taken back (see
/// [`called_off_in_a_volume`]).
fn redeploy_and_back(test: &str, storage: Storage) -> Result<()> {
    let database = Database::start(test, storage, 40_000)?;
    let operator = Operator::new(&database)?;
    let writer = Writer::begin(database.container());
    writer.expect_more(100, "v1")?;

    operator.redeploy(Version::Broken, Verdict::Undone, &writer)?;
    database.check(Version::V1, &writer, all)?;

    operator.redeploy(Version::V2, Verdict::Done, &writer)?;
    database.check(Version::V2, &writer, all)?;

    operator.revert(Verdict::Done, &writer)?;
    let on_v2 = writer.ledger().commits.into_iter().filter(|commit| commit.server == "v2");
    let last_on_v2 = on_v2.map(|commit| commit.number).max().unwrap_or_default();
    // A volume goes on. A container that comes back has its own files of then; the others' rows stay with them.
    let came_back = |commit: &Commit| storage == Storage::Volume || commit.server == "v1";
    database.check(Version::V1, &writer, came_back)?;

    operator.revert(Verdict::Done, &writer)?;
    let parked_rows_are_here =
        |commit: &Commit| storage == Storage::Volume || commit.server == "v2" || commit.number < last_on_v2;
    database.check(Version::V2, &writer, parked_rows_are_here)?;
    writer.end().map(drop)
}

/// The agent is killed at one moment after another, and another process recovers: back before the new server may have
/// served, forward from then on. So every acknowledged row is there, whoever acknowledged it.
fn kill_everywhere(test: &str, storage: Storage) -> Result<()> {
    let database = Database::start(test, storage, 20_000)?;
    let operator = Operator::new(&database)?;
    let writer = Writer::begin(database.container());
    writer.expect_more(100, "v1")?;
    let (mut serving, mut other) = (Version::V1, Version::V2);
    for moment in moments() {
        let verdict = operator.killed(other, moment, &writer)?;
        let may_have_served =
            matches!(moment, Moment::In("start" | "verify") | Moment::Served | Moment::Committed);
        ensure!(verdict == Verdict::Done || !may_have_served, "killed at {moment:?}, and {verdict:?}");
        if verdict == Verdict::Done {
            (serving, other) = (other, serving);
        }
        database.check(serving, &writer, all)?;
    }
    writer.end().map(drop)
}

#[test]
fn called_off_in_a_volume() -> Result<()> {
    called_off("pg off volume", Storage::Volume)
}

#[test]
fn called_off_inside() -> Result<()> {
    called_off("pg off inside", Storage::Inside)
}

/// A new server that has accepted the client and is then taken back, because somebody calls the redeploy off, takes
/// those rows with it: the old server goes on where it was. Exactly these rows may be away, and they must be in what
/// the undo set aside.
fn called_off(test: &str, storage: Storage) -> Result<()> {
    let database = Database::start(test, storage, 20_000)?;
    let operator = Operator::new(&database)?;
    let writer = Writer::begin(database.container());
    writer.expect_more(100, "v1")?;
    let before = writer.count();
    operator.called_off(Version::V2, &writer)?;
    let commits = writer.ledger().commits.split_off(before);
    let accepted = commits.into_iter().filter(|commit| commit.server == "v2").map(|commit| commit.number);
    let taken_back: BTreeSet<i64> = accepted.collect();
    ensure!(!taken_back.is_empty(), "the new server accepted nothing");
    let kept = salvage::rows(&database, storage, Version::V2)?;
    let lost: Vec<&i64> = taken_back.difference(&kept).collect();
    ensure!(lost.is_empty(), "taken back, and not in the archive: {lost:?}");
    database.check(Version::V1, &writer, |commit| !taken_back.contains(&commit.number))?;
    writer.end().map(drop)
}

fn moments() -> Vec<Moment> {
    let rounds = std::env::var(SOAK).ok().and_then(|rounds| rounds.parse().ok());
    rounds.map_or_else(|| MOMENTS.to_vec(), |rounds| ALL_MOMENTS.repeat(rounds))
}
