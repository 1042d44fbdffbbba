//! What operators order: one by one, in batches, all at once, a broken image, back again.

use anyhow::{Context, Result, ensure};
use redeploy_tests::fleet::{lines, phases};
use redeploy_tests::hosts::{Course, Host, Hosts, Images, Seen, Witness};
use redeploy_tests::sandbox::Sandbox;
use serde_json::Value;

fn id(told: &Value) -> Result<&str> {
    told["deployment_id"].as_str().context("no id")
}

/// The newest redeploy of each host.
fn courses(hosts: &Hosts<'_>) -> Result<Vec<Course>> {
    hosts.hosts.iter().map(Host::last_course).collect()
}

/// How many redeploys each host has seen.
fn counts(hosts: &Hosts<'_>) -> Result<Vec<usize>> {
    hosts.hosts.iter().map(|host| Ok(host.courses()?.len())).collect()
}

fn at_work_at_most(states: &[Value], most: usize) -> Result<()> {
    for state in states {
        let at_work = phases(state).iter().filter(|phase| ["ordered", "running"].contains(phase)).count();
        ensure!(at_work <= most, "{at_work} at work: {state}");
    }
    Ok(())
}

/// Each after the one before, with at least this pause, by the hosts' own journals.
fn one_after_another(courses: &[Course], pause_ms: i64) -> Result<()> {
    for pair in courses.windows(2) {
        let pause = pair[1].began_ms() - pair[0].ended_ms();
        ensure!(pause >= pause_ms, "only {pause} ms between {:?} and {:?}", pair[0], pair[1]);
    }
    Ok(())
}

fn at_the_same_time(courses: &[Course]) -> Result<()> {
    let last_begin = courses.iter().map(Course::began_ms).max().unwrap_or(0);
    let first_end = courses.iter().map(Course::ended_ms).min().unwrap_or(0);
    ensure!(last_begin < first_end, "not at the same time: {courses:?}");
    Ok(())
}

fn all_served(witnesses: &[Witness], versions: &[&str]) -> Result<()> {
    witnesses.iter().try_for_each(|witness| witness.wait_for(versions))
}

#[test]
fn a_group_rolls_over_in_every_order_halts_at_a_broken_image_and_comes_back() -> Result<()> {
    let sandbox = Sandbox::new("fleet rollouts")?;
    let images = Images::all()?;
    let hosts = Hosts::start(&sandbox, &images)?;
    let witnesses = hosts.witnesses();

    // One by one, with a pause.
    let states = hosts.deploy(&images.v2, &["--delay", "1s"])?.ended(0)?;
    at_work_at_most(&states, 1)?;
    one_after_another(&courses(&hosts)?, 1000)?;
    let first = states.last().context("nothing was told")?;
    hosts.all_done(first)?;
    hosts.check(first, &images)?;
    all_served(&witnesses, &["v1", "v2"])?;

    // Two at a time.
    let states = hosts.deploy(&images.v1, &["--parallel", "2"])?.ended(0)?;
    at_work_at_most(&states, 2)?;
    let by_host = courses(&hosts)?;
    at_the_same_time(&by_host[..2])?;
    let first_end = by_host[..2].iter().map(Course::ended_ms).min().unwrap_or(0);
    ensure!(by_host[2].began_ms() >= first_end, "three at once: {by_host:?}");
    hosts.check(states.last().context("nothing was told")?, &images)?;
    all_served(&witnesses, &["v1", "v2", "v1"])?;

    // All at once.
    let states = hosts.deploy(&images.v2, &["--parallel", "all"])?.ended(0)?;
    at_the_same_time(&courses(&hosts)?)?;
    let whole = states.last().context("nothing was told")?;
    hosts.all_done(whole)?;
    hosts.check(whole, &images)?;
    all_served(&witnesses, &["v1", "v2", "v1", "v2"])?;

    // A broken one halts at its first node; the others are not touched, and serve.
    let before: Vec<Seen> = witnesses.iter().map(Witness::so_far).collect();
    let touched = counts(&hosts)?;
    let states = hosts.deploy(&images.broken, &[])?.ended(5)?;
    let halted = states.last().context("nothing was told")?;
    ensure!(phases(halted) == ["failed", "waiting", "waiting"], "{halted}");
    ensure!(halted["nodes"][0]["verdict"] == "undone", "{halted}");
    for (witness, before) in witnesses.iter().zip(&before).skip(1) {
        witness.is_undisturbed_since(before)?;
    }
    ensure!(counts(&hosts)? == [touched[0] + 1, touched[1], touched[2]], "more than one host was touched");
    hosts.check(halted, &images)?;
    hosts.order("cancel", id(halted)?, &["--yes"], 0)?;

    // The whole group back, and one node of it forth and back.
    let back = hosts.order("rollback", id(whole)?, &["--yes"], 0)?;
    ensure!(phases(&back) == ["reverted"; 3], "{back}");
    hosts.check(&back, &images)?;
    all_served(&witnesses, &["v1", "v2", "v1", "v2", "v1"])?;
    let before: Vec<Seen> = witnesses.iter().map(Witness::so_far).collect();
    let words = ["deploy", "--node", "2", "--image", &images.v2, "--pull", "never", "--json"];
    let alone = lines(&hosts.fleet.ctl(&words)?.expect_code(0)?)?.pop().context("nothing was told")?;
    witnesses[1].wait_for(&["v1", "v2", "v1", "v2", "v1", "v2"])?;
    hosts.order("rollback", id(&alone)?, &["--yes"], 0)?;
    witnesses[1].wait_for(&["v1", "v2", "v1", "v2", "v1", "v2", "v1"])?;
    for node in [0, 2] {
        witnesses[node].is_undisturbed_since(&before[node])?;
    }
    // The last one fails, and the policy takes the others back, the last one first.
    hosts.hosts[2].restart_agent_with("fail-after=verify")?;
    let failed = hosts.deploy(&images.v2, &["--on-failure", "rollback"])?.ended(1)?;
    let last = failed.last().context("nothing was told")?;
    ensure!(last["phase"] == "rolled_back" && phases(last) == ["reverted", "reverted", "failed"], "{last}");
    let mut reverts = courses(&hosts)?;
    reverts.truncate(2);
    reverts.reverse();
    one_after_another(&reverts, 0)?;
    hosts.check(last, &images)
}
