//! The stage on the real engine, by the agent's own code in this process (`real_kills` in `loops.rs` has the real process).

use std::path::PathBuf;

use async_trait::async_trait;
use redeploy_agent::orders::Agent;
use redeploy_agent::paths::DataDir;
use redeploy_agent::report::{Report, Verdict};
use redeploy_agent::saga::Fault;
use redeploy_tests::images::Image;
use redeploy_tests::in_process;
use redeploy_tests::sandbox::Sandbox;

use super::fake::{carry_out, last_report, last_verdict};
use super::invariant::{BACKED_UP, LISTED, SHIPPED_IN_LISTED_DIR, UNLISTED};
use super::stage::{Order, Serving, Stage};

/// Who carries the orders out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The agent's code in this process; a stop is the executor's return.
    Code,
    /// The real program; a stop is SIGKILL.
    Program,
}

pub(crate) struct RealStage {
    by: By,
    pub(crate) sandbox: Sandbox,
    pub(crate) web: String,
    pub(crate) v2: String,
}

/// A service from v1 with a named volume. v2 writes to the volume as soon as it starts, so that an undo has
/// something to put back.
pub(crate) fn stage(name: &str, by: By) -> RealStage {
    let sandbox = Sandbox::new(name).unwrap();
    let (v1, v2) = (image("v1").build().unwrap(), image("v2").build().unwrap());
    let volume = sandbox.volume("data").unwrap();
    let mount = format!("{volume}:/data");
    let web = sandbox
        .run("web", &["-v", &mount, "--restart", "always", "--stop-signal", "SIGKILL"], &v1, &[])
        .unwrap();
    RealStage { by, sandbox, web, v2 }
}

/// Stops at once: what matters here is the order of things, not a server's farewell.
fn image(version: &str) -> Image {
    let conf = format!("{LISTED}\n/srv/keep/\nbackup: {BACKED_UP}\n");
    let writes = if version == "v1" { "" } else { "echo x > /data/written-at-start; " };
    Image::busybox(&format!("loops-{version}"))
        .unwrap()
        .file("/etc/jelastic/redeploy.conf", &conf)
        .file(LISTED, &format!("app {version}"))
        .file(SHIPPED_IN_LISTED_DIR, &format!("shipped {version}"))
        .file(BACKED_UP, &format!("php {version}"))
        .file(UNLISTED, &format!("other {version}"))
        .set(&format!("ENV VERSION={version}"))
        .set(&format!("CMD [\"sh\", \"-c\", \"{writes}exec sleep 100000\"]"))
}

const AGENT_TOML: &str = "settle_time = \"100ms\"\nverify_timeout = \"20s\"\ndisk_headroom = 0\n";

impl RealStage {
    async fn agent(&self, faults: &[Fault]) -> Agent {
        in_process::agent(&self.sandbox.data_dir(), faults).await.unwrap()
    }

    fn program(&self, faults: &[Fault]) -> redeploy_tests::agent::Agent {
        let agent = self.sandbox.agent_configured(AGENT_TOML).unwrap();
        let faults: Vec<String> = faults.iter().map(fault_text).collect();
        agent.variable("REDEPLOY_TEST_FAULTS", &faults.join(","))
    }

    /// `None` if it was killed, as ordered.
    fn run_program(&self, order: Order, faults: &[Fault]) -> Option<Report> {
        let container = ["--container", &self.web];
        let redeploy = ["redeploy", "--image", &self.v2, "--pull", "never"];
        let words = match order {
            Order::Redeploy => [&redeploy[..], &container].concat(),
            Order::RevertKeep => [&["revert", "--volumes", "keep"][..], &container].concat(),
            Order::RevertRestore => [&["revert", "--volumes", "restore"][..], &container].concat(),
        };
        let outcome = self.program(faults).run(&words).unwrap();
        match outcome.signal {
            Some(signal) => assert_eq!(signal, 9, "{}", outcome.describe()),
            None => assert!(matches!(outcome.code, Some(0 | 1)), "{}", outcome.describe()),
        }
        outcome.signal.is_none().then(|| last_report(&DataDir::new(self.sandbox.data_dir())))
    }
}

/// As the agent's debug builds take it.
fn fault_text(fault: &Fault) -> String {
    match fault {
        Fault::Repeat(step) => format!("repeat={step}"),
        Fault::FailBefore(step) => format!("fail-before={step}"),
        Fault::FailAfter(step) => format!("fail-after={step}"),
        Fault::RepeatUndo => "repeat-undo".to_owned(),
        Fault::FailUndo(step) => format!("fail-undo={step}"),
        Fault::KillAt(seq) | Fault::StopAt(seq) => format!("kill-at={seq}"),
        Fault::WaitAt(seq) => format!("wait-at={seq}"),
        Fault::JournalFullAt(seq) => format!("journal-full-at={seq}"),
    }
}

#[async_trait]
impl Stage for RealStage {
    async fn run(&self, order: Order, faults: &[Fault]) -> Option<Report> {
        match self.by {
            By::Code => carry_out(&self.agent(faults).await, order, &self.web, &self.v2).await,
            By::Program => self.run_program(order, faults),
        }
    }

    async fn recover(&self) -> Option<Verdict> {
        if self.by == By::Program {
            self.program(&[]).run(&["recover"]).unwrap().expect_code_of(&[0, 1]).unwrap();
            return None;
        }
        let reports = self.agent(&[]).await.recover().await.unwrap();
        assert!(reports.len() <= 1, "{reports:?}");
        reports.first().map(|report| report.verdict)
    }

    fn last_verdict(&self) -> Verdict {
        last_verdict(&DataDir::new(self.sandbox.data_dir()))
    }

    async fn serving(&self) -> Option<Serving> {
        let web = self.sandbox.docker().inspect(&self.web).ok()?;
        let env = web.pointer("/Config/Env")?.as_array()?;
        let version = env.iter().find_map(|entry| entry.as_str()?.strip_prefix("VERSION="))?.to_owned();
        let restart_policy = web.pointer("/HostConfig/RestartPolicy/Name")?.as_str()?.to_owned();
        let running = web.pointer("/State/Running")?.as_bool()?;
        running.then_some(Serving { version, restart_policy })
    }

    async fn containers(&self) -> Vec<(String, bool)> {
        let docker = self.sandbox.docker();
        let mut containers = Vec::new();
        for name in self.sandbox.containers().unwrap() {
            let inspected = docker.inspect(&name).unwrap();
            let running = inspected.pointer("/State/Running").unwrap().as_bool().unwrap();
            if name != self.web {
                let policy = inspected.pointer("/HostConfig/RestartPolicy/Name").unwrap();
                assert_eq!(policy, "no", "{name} could start by itself");
            }
            containers.push((name, running));
        }
        containers
    }

    fn host_path(&self, path: &str) -> PathBuf {
        self.sandbox.docker().root(&self.web).unwrap().join(path.trim_start_matches('/'))
    }

    fn says_farewell(&self) -> bool {
        false
    }

    fn violations(&self) -> Vec<String> {
        Vec::new()
    }
}
