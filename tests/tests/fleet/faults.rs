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

/// An agent that was cut off silently notices after 25 seconds, and dials again after 30 at most.
const RETURN: Duration = Duration::from_secs(90);

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

    /// Says what was played and how long it took.
    fn timed(&mut self, what: &str, play: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let began = std::time::Instant::now();
        play(self).with_context(|| what.to_owned())?;
        println!("{:.1} s: {what}", began.elapsed().as_secs_f64());
        Ok(())
    }

    fn play(&mut self, case: &Case) -> Result<()> {
        let image = self.next_image();
        self.everywhere(case, |host, at, _| host.restart_agent_with(&format!("hold-at={at}")))?;
        let deploy = self.hosts.deploy(&image, &["--parallel", "all"])?;
        self.everywhere(case, |host, _, _| host.wait_until_held())?;
        if case.coordinator {
            self.hosts.fleet.kill_coordinator()?;
        }
        self.everywhere(case, strike)?;
        if case.coordinator {
            self.hosts.fleet.start_coordinator()?;
        }
        let (code, told) = deploy.rests()?;
        ensure!(matches!(code, Some(0 | 5)), "it ended with {code:?}: {told}");
        self.hosts.check(&told, &self.images)?;
        self.finish(&told)
    }

    /// On each host that is in trouble, at the same time.
    fn everywhere(&self, case: &Case, act: impl Fn(&Host, u32, Trouble) -> Result<()> + Sync) -> Result<()> {
        let act = &act;
        let troubled = self.hosts.hosts.iter().zip(case.troubles);
        let troubled = troubled.filter(|(_, (_, trouble))| *trouble != Trouble::None);
        std::thread::scope(|scope| {
            let acts: Vec<_> =
                troubled.map(|(host, (at, trouble))| scope.spawn(move || act(host, at, trouble))).collect();
            acts.into_iter().try_for_each(|act| act.join().unwrap_or_else(|_| anyhow::bail!("panicked")))
        })
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
    fn coordinator_dies(&mut self, faults: &str, parallel: &str) -> Result<u32> {
        let image = self.next_image();
        let touched = self.counts()?;
        self.hosts.fleet.kill_coordinator()?;
        self.hosts.fleet.start_coordinator_with(faults, &[])?;
        let mut deploy = self.hosts.deploy(&image, &["--parallel", parallel])?;
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

    /// A host is cut off before anything was ordered, and comes back: the group waits for it.
    fn host_is_late(&mut self, cut: Cut) -> Result<()> {
        let image = self.next_image();
        let host = self.hosts.hosts.get(1).context("no second host")?;
        host.cut(cut)?;
        let deploy = self.hosts.deploy(&image, &["--parallel", "2"])?;
        // The others have answered, and it is asked.
        wait::until(wait::PATIENCE, "the preflight to wait for it", || {
            let told = deploy.so_far()?.pop().context("nothing was told")?;
            Ok(told["nodes"][0]["waits_for"] == "the preflight of 1 more is not over")
        })?;
        host.heal(cut)?;
        let (code, told) = deploy.rests()?;
        ensure!(code == Some(0), "it ended with {code:?}: {told}");
        self.hosts.all_done(&told)?;
        self.hosts.check(&told, &self.images)
    }

    /// A host that is cut off in the middle halts the rest; what it did meanwhile is taken over when it is back.
    fn host_is_silent(&mut self, cut: Cut) -> Result<()> {
        let image = self.next_image();
        self.hosts.fleet.kill_coordinator()?;
        self.hosts.fleet.start_coordinator_with("", &["--grace", "1s"])?;
        let host = self.hosts.hosts.first().context("no hosts")?;
        host.restart_agent_with("hold-at=9")?;
        let deploy = self.hosts.deploy(&image, &[])?;
        host.wait_until_held()?;
        host.cut(cut)?;
        let (code, told) = deploy.rests()?;
        ensure!(code == Some(5) && phases(&told) == ["unknown", "waiting", "waiting"], "{code:?}: {told}");
        host.let_go()?;
        wait::until(wait::PATIENCE, "the redeploy to end", || Ok(host.last_course()?.is_closed()))?;
        host.heal(cut)?;
        let id = told["deployment_id"].as_str().context("no id")?;
        let known = wait::eventually(RETURN, "what became of it to be known", || {
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
        story.timed(&format!("{case:?}"), |story| story.play(case))?;
    }
    let cuts = if is_all { &[Cut::Reset, Cut::Silent, Cut::Cable][..] } else { &[Cut::Reset] };
    for cut in cuts {
        story.timed(&format!("late {cut:?}"), |story| story.host_is_late(*cut))?;
        story.timed(&format!("silent {cut:?}"), |story| story.host_is_silent(*cut))?;
    }
    for parallel in if is_all { &["1", "2", "all"][..] } else { &["all"] } {
        for faults in ["kill-after-commit=1", "kill-before-commit=2"] {
            story.timed(&format!("{faults}, {parallel} at once"), |story| {
                let lives = story.coordinator_dies(faults, parallel)?;
                println!("{lives} lives");
                ensure!(lives >= 4, "a rollout takes more commits than {lives}");
                Ok(())
            })?;
        }
    }
    Ok(())
}
