//! What goes wrong in a fleet, at every moment of a redeploy: agents killed, the network cut, hosts and engines going down,
//! the coordinator killed at every commit. After each: no node is lost, nothing was done twice, what is told is true, and
//! every node serves.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use redeploy_tests::fleet::phases;
use redeploy_tests::hosts::{Cut, Host, Hosts, Images};
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait;
use serde_json::Value;

/// Set by `make fleet`.
const ALL: &str = "REDEPLOY_FLEET";

/// A redeploy without faults has the records 0 (opened) to 18 (closed).
const RECORDS: u32 = 19;

/// What happens to a host while its agent holds still right after a record of its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Nothing.
    None,
    /// SIGKILL of its agent.
    Agent,
    /// SIGKILL of its engine.
    Engine,
    /// Its engine is restarted in order.
    EngineRestart,
    /// All its processes are killed, and it boots.
    Power,
    /// It is cut off from the coordinator until its redeploy has ended.
    Long(Cut),
    /// It is cut off until the next step is over.
    Short(Cut),
}

/// One deployment, all nodes at once, and what happens to each host at which record.
#[derive(Debug, Clone)]
struct Case {
    troubles: [(u32, Trouble); 3],
    /// The coordinator is killed while the agents hold still.
    coordinator: bool,
}

/// The group goes from one image to the other, case by case.
struct Story<'a> {
    hosts: Hosts<'a>,
    images: Images,
    is_on_v2: bool,
}

impl Story<'_> {
    fn next_image(&mut self) -> String {
        self.is_on_v2 = !self.is_on_v2;
        if self.is_on_v2 { self.images.v2.clone() } else { self.images.v1.clone() }
    }

    fn play(&mut self, case: &Case) -> Result<()> {
        let image = self.next_image();
        let mut deploy = None;
        let scenes = || self.hosts.hosts.iter().zip(case.troubles);
        for (host, (at, trouble)) in scenes() {
            if trouble != Trouble::None {
                host.restart_agent_with(&format!("hold-at={at}"))?;
            }
        }
        deploy.replace(self.hosts.deploy(&image, &["--parallel", "all"])?);
        for (host, (_, trouble)) in scenes() {
            if trouble != Trouble::None {
                host.wait_until_held()?;
            }
        }
        if case.coordinator {
            self.hosts.fleet.kill_coordinator()?;
        }
        std::thread::scope(|scope| {
            let strikes: Vec<_> = self
                .hosts
                .hosts
                .iter()
                .zip(case.troubles)
                .map(|(host, (at, trouble))| scope.spawn(move || strike(host, at, trouble)))
                .collect();
            strikes
                .into_iter()
                .try_for_each(|strike| strike.join().unwrap_or_else(|_| anyhow::bail!("panicked")))
        })?;
        if case.coordinator {
            self.hosts.fleet.start_coordinator()?;
        }
        let (code, told) = deploy.context("no deployment")?.rests()?;
        ensure!(matches!(code, Some(0 | 5)), "it ended with {code:?}: {told}");
        self.hosts.check(&told, &self.images)?;
        self.finish(&told)
    }

    /// What failed is tried again, now that nothing is in its way.
    fn finish(&self, told: &Value) -> Result<()> {
        if phases(told).iter().all(|phase| *phase == "done") {
            return Ok(());
        }
        let id = told["deployment_id"].as_str().context("no id")?;
        let told = self.hosts.order("retry-failed", id, &[], 0)?;
        self.hosts.all_done(&told)?;
        self.hosts.check(&told, &self.images)
    }

    /// The coordinator dies at each of its commits, one after the other, while a group rolls over.
    fn coordinator_dies(&mut self, faults: &str) -> Result<u32> {
        let image = self.next_image();
        let touched = self.counts()?;
        self.hosts.fleet.kill_coordinator()?;
        self.hosts.fleet.start_coordinator_with(faults, &[])?;
        let mut deploy = self.hosts.deploy(&image, &[])?;
        let mut lives = 1;
        wait::until(Duration::from_secs(120), "a coordinator that dies all the time to finish", || {
            if self.hosts.fleet.coordinator_has_died()? {
                self.hosts.fleet.start_coordinator_with(faults, &[])?;
                lives += 1;
            }
            deploy.has_ended()
        })
        .with_context(|| self.hosts.fleet.log())?;
        if !self.hosts.fleet.coordinator_has_died()? {
            self.hosts.fleet.kill_coordinator()?;
        }
        self.hosts.fleet.start_coordinator()?;
        let (code, told) = deploy.rests()?;
        ensure!(code == Some(0), "it ended with {code:?}: {told}");
        self.hosts.all_done(&told)?;
        self.hosts.check(&told, &self.images)?;
        let now = self.counts()?;
        ensure!(
            now.iter().zip(&touched).all(|(now, before)| *now == before + 1),
            "{touched:?} became {now:?}"
        );
        Ok(lives)
    }

    /// A host that is cut off in the middle halts the rest; what it did meanwhile is taken over when it is back.
    fn host_is_silent(&mut self) -> Result<()> {
        let image = self.next_image();
        self.hosts.fleet.kill_coordinator()?;
        self.hosts.fleet.start_coordinator_with("", &["--grace", "1s"])?;
        let host = self.hosts.hosts.first().context("no hosts")?;
        host.restart_agent_with("hold-at=9")?;
        let deploy = self.hosts.deploy(&image, &[])?;
        host.wait_until_held()?;
        host.cut(Cut::Reset)?;
        let (code, told) = deploy.rests()?;
        ensure!(code == Some(5) && phases(&told) == ["unknown", "waiting", "waiting"], "{code:?}: {told}");
        host.let_go()?;
        wait::until(wait::PATIENCE, "the redeploy to end", || Ok(host.last_course()?.is_closed()))?;
        host.heal(Cut::Reset)?;
        let id = told["deployment_id"].as_str().context("no id")?;
        let known = wait::eventually(wait::PATIENCE, "what became of it to be known", || {
            let told = self.hosts.fleet.ctl(&["status", id, "--json"])?.expect_code(0)?.json()?;
            Ok((phases(&told) == ["done", "waiting", "waiting"]).then_some(told))
        })?;
        self.hosts.check(&known, &self.images)?;
        let told = self.hosts.order("resume", id, &[], 0)?;
        self.hosts.all_done(&told)?;
        self.hosts.check(&told, &self.images)
    }

    fn counts(&self) -> Result<Vec<usize>> {
        self.hosts.hosts.iter().map(|host| Ok(host.courses()?.len())).collect()
    }
}

fn strike(host: &Host, at: u32, trouble: Trouble) -> Result<()> {
    match trouble {
        Trouble::None => Ok(()),
        Trouble::Agent => {
            host.kill_agent()?;
            host.let_go()
        }
        Trouble::Engine => {
            host.kill_engine()?;
            host.let_go()
        }
        Trouble::EngineRestart => {
            host.restart_engine()?;
            host.let_go()
        }
        Trouble::Power => {
            host.power_off()?;
            host.let_go()?;
            host.power_on()
        }
        Trouble::Long(cut) => {
            host.cut(cut)?;
            host.let_go()?;
            wait::until(wait::PATIENCE, "the redeploy to end", || Ok(host.last_course()?.is_closed()))?;
            host.heal(cut)
        }
        Trouble::Short(cut) => {
            host.cut(cut)?;
            host.let_go()?;
            wait::until(wait::PATIENCE, "the step to end", || {
                let course = host.last_course()?;
                Ok(course.is_closed() || course.records() > at + 2)
            })?;
            host.heal(cut)
        }
    }
}

/// The same trouble at every record, three at a time.
fn everywhere(trouble: Trouble, coordinator: bool) -> Vec<Case> {
    let case = |first: u32| Case {
        troubles: [0, 1, 2].map(|more| {
            let at = first + more;
            (at, if at < RECORDS { trouble } else { Trouble::None })
        }),
        coordinator,
    };
    (0..RECORDS).step_by(3).map(case).collect()
}

fn all() -> Vec<Case> {
    let cuts = [Cut::Silent, Cut::Reset, Cut::Cable];
    let troubles = [Trouble::Agent, Trouble::Engine, Trouble::EngineRestart, Trouble::Power];
    let troubles = troubles.into_iter().chain(cuts.map(Trouble::Long)).chain(cuts.map(Trouble::Short));
    let alone = troubles.flat_map(|trouble| everywhere(trouble, false));
    // Both at once.
    let both = [Trouble::Agent, Trouble::Power, Trouble::Long(Cut::Reset)];
    alone.chain(both.into_iter().flat_map(|trouble| everywhere(trouble, true))).collect()
}

/// The moments that differ most: while the old one serves, while nobody does, after the commit.
fn some() -> Vec<Case> {
    let case = |troubles, coordinator| Case { troubles, coordinator };
    vec![
        case([(9, Trouble::Power), (5, Trouble::Long(Cut::Silent)), (12, Trouble::Agent)], true),
        case([(15, Trouble::Long(Cut::Reset)), (8, Trouble::Engine), (17, Trouble::Power)], false),
        case([(4, Trouble::EngineRestart), (11, Trouble::Agent), (13, Trouble::Short(Cut::Cable))], false),
    ]
}

#[test]
fn whatever_goes_wrong_no_node_is_lost_nothing_is_done_twice_and_what_is_told_is_true() -> Result<()> {
    let sandbox = Sandbox::new("fleet faults")?;
    let images = Images::all()?;
    let hosts = Hosts::start(&sandbox, &images)?;
    let mut story = Story { hosts, images, is_on_v2: false };
    let is_all = std::env::var_os(ALL).is_some();
    let cases = if is_all { all() } else { some() };
    for case in &cases {
        let began = std::time::Instant::now();
        story.play(case).with_context(|| format!("{case:?}"))?;
        println!("{:.1} s: {case:?}", began.elapsed().as_secs_f64());
    }
    story.host_is_silent()?;
    for faults in ["kill-after-commit=1", "kill-before-commit=2"] {
        let lives = story.coordinator_dies(faults).with_context(|| faults.to_owned())?;
        println!("{faults}: {lives} lives");
        ensure!(lives >= 8, "three nodes take more commits than {lives}");
    }
    Ok(())
}
