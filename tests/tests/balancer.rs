//! Nodes behind a real HAProxy: drained before they stop, verified only when HAProxy calls them up, put back by an undo.
#![expect(
    clippy::disallowed_methods,
    reason = "a socket goes away and comes back as at a restart of HAProxy"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Result, ensure};
use redeploy_agent::report::Verdict;
use redeploy_tests::haproxy::Haproxy;
use redeploy_tests::images::{self, Image};
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait;

const CHECK: &str = "check inter 100ms fall 2 rise 2";

/// Nodes `web1`… with labels of group shop/cp, behind one HAProxy, and who redeploys them.
struct Room {
    haproxy: Haproxy,
    operator: Operator,
    nodes: Vec<String>,
    sandbox: Sandbox,
}

fn room(test: &str, count: u32, options: &str, toml: &str) -> Result<Room> {
    let sandbox = Sandbox::new(test)?;
    let image = images::subject_v1()?;
    let (mut nodes, mut servers) = (Vec::new(), Vec::new());
    for id in 1..=count {
        let node = format!("io.redeploy.node={id}");
        let labels =
            ["--label", "io.redeploy.env=shop", "--label", "io.redeploy.group=cp", "--label", node.as_str()];
        let name = sandbox.run_subject(&format!("web{id}"), &labels, &image)?;
        servers.push(format!("node{id} {} {options}", sandbox.docker().address(&name, 8080)?));
        nodes.push(name);
    }
    let haproxy = Haproxy::start(sandbox.path(), &servers)?;
    let toml = format!(
        "[balancer]\nsocket = \"{}\"\n\
         servers = [\"shop/cp = be/node{{nodeId}}\"]\n{toml}",
        haproxy.socket().display()
    );
    let operator = Operator::configured(&sandbox, &toml)?;
    let room = Room { haproxy, operator, nodes, sandbox };
    for id in 1..=count {
        room.wait_until_served(id)?;
    }
    Ok(room)
}

impl Room {
    fn node(&self, id: u32) -> Result<&str> {
        let at = usize::try_from(id)?.saturating_sub(1);
        self.nodes.get(at).map(String::as_str).ok_or_else(|| anyhow::anyhow!("no node {id}"))
    }

    /// Ready, up, and at the address that the serving container has.
    fn is_served(&self, id: u32) -> Result<bool> {
        let address = self.sandbox.docker().address(self.node(id)?, 8080)?.ip().to_string();
        Ok(self.haproxy.state(&format!("node{id}"))? == (address, "2".to_owned(), "0".to_owned()))
    }

    fn wait_until_served(&self, id: u32) -> Result<()> {
        wait::until(wait::PATIENCE, "the server to be up", || self.is_served(id))
    }
}

/// Asks the front again and again until it is dropped; counts.
struct Load {
    ends: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
    good: Arc<AtomicU64>,
    bad: Arc<AtomicU64>,
}

impl Load {
    fn on(haproxy: &Haproxy) -> Self {
        let (ends, good, bad) =
            (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let http = haproxy.http();
        let ask = |_| {
            let (ends, good, bad) = (Arc::clone(&ends), Arc::clone(&good), Arc::clone(&bad));
            std::thread::spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    let is_good = http.get("/version").is_ok_and(|answer| answer.status == 200);
                    if is_good { &good } else { &bad }.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            })
        };
        let threads = (0..3).map(ask).collect();
        Self { ends, threads, good, bad }
    }

    /// Requests that were answered, and those that were not.
    fn end(self) -> (u64, u64) {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // It cannot panic; if it did, it counted less.
            let _ = thread.join();
        }
        (self.good.load(Ordering::Relaxed), self.bad.load(Ordering::Relaxed))
    }
}

#[test]
fn three_nodes_one_after_the_other_lose_no_request_nor_does_a_bad_image_or_a_revert() -> Result<()> {
    let room = room("balanced", 3, CHECK, "")?;
    let load = Load::on(&room.haproxy);
    let v2 = images::subject_v2()?;
    for id in 1..=3 {
        let report = room.operator.redeploy(room.node(id)?, &v2, &[])?.done()?;
        ensure!(report.balancer.is_some_and(|it| it.in_service && it.server == format!("be/node{id}")));
        ensure!(room.is_served(id)?, "done before it was served");
    }
    let report = room.operator.redeploy(room.node(1)?, &images::subject_broken()?, &[])?.undone()?;
    ensure!(report.balancer.is_some_and(|it| it.in_service), "the undo did not put it back");
    ensure!(room.is_served(1)?);
    room.operator.revert(room.node(2)?, &[])?.done()?;
    ensure!(room.is_served(2)?);
    let (good, bad) = load.end();
    ensure!(bad == 0 && good > 0, "{bad} of {} requests failed", good + bad);
    Ok(())
}

#[test]
fn one_that_never_comes_up_and_servers_that_are_gone_or_unknown() -> Result<()> {
    // The container runs and settles, and HAProxy's check finds nothing at its port.
    let room = room("never up", 1, CHECK, "up_timeout = \"2s\"\n")?;
    let deaf = Image::subject("deaf")?.set("ENV START_DELAY_MS=600000").build()?;
    let report = room.operator.redeploy(room.node(1)?, &deaf, &[])?.undone()?;
    let reason = report.failure.map(|failure| failure.reason).unwrap_or_default();
    ensure!(reason.contains("step admit failed") && reason.contains("be/node1"), "{reason}");
    ensure!(room.is_served(1)?);

    // One that somebody took out stays out.
    room.haproxy.ask("set server be/node1 state maint")?;
    let v2 = images::subject_v2()?;
    let report = room.operator.redeploy(room.node(1)?, &v2, &[])?.done()?;
    ensure!(report.balancer.is_some_and(|it| !it.in_service));
    let address = room.sandbox.docker().address(room.node(1)?, 8080)?.ip().to_string();
    let (at, _, admin) = room.haproxy.state("node1")?;
    ensure!((at, admin) == (address, "1".to_owned()));

    let web = room.node(1)?;
    for (setting, value, word) in [
        ("REDEPLOY_BALANCER_SOCKET", "/nowhere/haproxy.sock", "cannot be reached"),
        ("REDEPLOY_BALANCER_SERVERS", "* = be/nobody", "has no server be/nobody"),
        ("REDEPLOY_BALANCER_SERVERS", "* = nothing/node1", "has no server nothing/node1"),
    ] {
        let config = room.sandbox.path().join("agent.toml");
        let config = config.to_str().unwrap_or_default();
        let agent = room.sandbox.agent()?.option("--config", config).variable(setting, value);
        let words = ["redeploy", "--container", web, "--image", &v2, "--pull", "never"];
        let outcome = agent.run(&words)?;
        ensure!(outcome.code != Some(0) && outcome.stderr.contains(word), "{}", outcome.describe());
    }
    Ok(())
}

#[test]
fn a_socket_that_is_gone_in_the_middle_leaves_it_out_and_named_until_recover() -> Result<()> {
    let room = room("socket gone", 1, CHECK, "up_timeout = \"1s\"\n")?;
    let (web, v2) = (room.node(1)?, images::subject_v2()?);
    // Drained is on record; then the agent dies, and the socket goes.
    room.operator.redeploy_killed_at(web, &v2, 8)?;
    let (socket, aside) = (room.haproxy.socket(), room.sandbox.path().join("aside.sock"));
    std::fs::rename(socket, &aside)?;
    let report = room.operator.recover()?.report()?;
    ensure!(report.verdict == Verdict::Stuck && report.balancer.is_some_and(|it| !it.in_service));
    let failure = report.failure.ok_or_else(|| anyhow::anyhow!("no failure"))?;
    let (stuck, sheet) = (failure.stuck.unwrap_or_default(), failure.recovery_sheet.unwrap_or_default());
    ensure!(
        stuck.contains("be/node1") && sheet.contains("set server be/node1 state ready"),
        "{stuck}\n{sheet}"
    );
    std::fs::rename(&aside, socket)?;
    let report = room.operator.recover()?.report()?;
    ensure!(report.verdict == Verdict::Undone && report.balancer.is_some_and(|it| it.in_service));
    ensure!(room.is_served(1)?);
    Ok(())
}

#[test]
fn killed_at_the_balancers_records_it_serves_with_whichever_container_serves() -> Result<()> {
    let room = room("killed", 1, CHECK, "")?;
    let images = [images::subject_v1()?, images::subject_v2()?];
    // Begun and done: drain, stop, admit; and the commit.
    for (record, image) in [7, 8, 9, 10, 18, 19, 20].iter().zip(images.iter().cycle().skip(1)) {
        room.operator.redeploy_killed_at(room.node(1)?, image, *record)?;
        let report = room.operator.recover()?.report()?;
        let wanted = if *record < 15 { Verdict::Undone } else { Verdict::Done };
        ensure!(report.verdict == wanted, "{record}: {report:?}");
        ensure!(report.balancer.is_some_and(|it| it.in_service), "{record}");
        ensure!(room.is_served(1)?, "{record}: {:?}", room.haproxy.state("node1")?);
    }
    Ok(())
}
