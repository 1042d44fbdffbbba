//! Containers that lean on the one that is redeployed: they go along, forwards, back, and in a revert.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use redeploy_agent::plan::{RevertRequest, VolumeData};
use redeploy_agent::report::{Report, Verdict};
use redeploy_agent::saga::Fault;
use redeploy_agent::steps::{REDEPLOY, Step};
use redeploy_proto::RedeployId;
use redeploy_tests::images::Image;
use redeploy_tests::in_process;
use redeploy_tests::sandbox::Sandbox;

use redeploy_agent::image::PullPolicy;

/// A service with a container in its network and one linked to it.
struct Room {
    sandbox: Sandbox,
    web: String,
    sidecar: String,
    linked: String,
    v2: String,
}

fn image(version: &str) -> String {
    let image = Image::busybox(&format!("dependents-{version}")).unwrap();
    image.set(&format!("ENV VERSION={version}")).build().unwrap()
}

fn room(name: &str) -> Room {
    let sandbox = Sandbox::new(name).unwrap();
    let (v1, v2) = (image("v1"), image("v2"));
    let quick = ["--stop-signal", "SIGKILL", "--restart", "always"];
    let web = sandbox.run("web", &quick, &v1, &[]).unwrap();
    let network = format!("container:{web}");
    let sidecar = sandbox.run("side", &[&quick[..], &["--network", &network]].concat(), &v1, &[]).unwrap();
    let link = format!("{web}:backend");
    let linked = sandbox.run("linked", &[&quick[..], &["--link", &link]].concat(), &v1, &[]).unwrap();
    for container in [&sidecar, &linked] {
        let write = format!("echo {container} > /anywhere; rm /etc/motd");
        sandbox.docker().exec(container, &["sh", "-c", &write]).unwrap();
    }
    Room { sandbox, web, sidecar, linked, v2 }
}

impl Room {
    async fn redeploy(&self, faults: &[Fault]) -> Report {
        let agent = in_process::agent(&self.sandbox.data_dir(), faults).await.unwrap();
        let request = in_process::request(&self.web, &self.v2);
        agent.redeploy(RedeployId::generate(), &request, PullPolicy::Never, None).await.unwrap()
    }

    fn text(&self, container: &str, pointer: &str) -> String {
        let inspected = self.sandbox.docker().inspect(container).unwrap();
        inspected.pointer(pointer).unwrap().as_str().unwrap().to_owned()
    }

    /// The report says of each dependent what was made anew, when it stood still, and what is kept.
    fn check_report(&self, report: &Report) {
        assert_eq!(report.dependents.len(), 2, "{report:#?}");
        for told in &report.dependents {
            assert!([&self.sidecar, &self.linked].contains(&&told.node), "{told:?}");
            assert_eq!(told.made_anew.as_deref(), Some(self.text(&told.node, "/Id").as_str()));
            assert!(self.sandbox.containers().unwrap().contains(told.parked.as_ref().unwrap()), "{told:?}");
            assert!(told.stopped_at < told.started_at && told.downtime_ms.is_some(), "{told:?}");
            assert_eq!(told.archives.iter().map(|it| it.file.as_str()).collect::<Vec<_>>(), ["root.tar.gz"]);
        }
    }

    fn network_namespace(&self, container: &str) -> String {
        let pid =
            self.sandbox.docker().inspect(container).unwrap().pointer("/State/Pid").unwrap().to_string();
        std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap().to_string_lossy().into_owned()
    }

    /// Whoever serves as `web`, its dependents lean on it and have everything that was in them.
    fn check(&self, version: &str) {
        let docker = self.sandbox.docker();
        let web_id = self.text(&self.web, "/Id");
        let env = docker.inspect(&self.web).unwrap().pointer("/Config/Env").unwrap().to_string();
        assert!(env.contains(&format!("VERSION={version}")), "{env}");
        assert_eq!(self.text(&self.sidecar, "/HostConfig/NetworkMode"), format!("container:{web_id}"));
        assert_eq!(self.network_namespace(&self.sidecar), self.network_namespace(&self.web));
        let hosts = docker.exec(&self.linked, &["cat", "/etc/hosts"]).unwrap();
        let address = self.text(&self.web, "/NetworkSettings/IPAddress");
        let entry = hosts.lines().find(|line| line.contains("backend")).unwrap();
        assert!(entry.starts_with(&format!("{address}\t")), "{entry} should name {address}");
        for container in [&self.sidecar, &self.linked] {
            let text = docker.exec(container, &["cat", "/anywhere"]).unwrap();
            assert_eq!(text.trim(), container);
            docker.exec(container, &["cat", "/etc/motd"]).unwrap_err();
            assert_eq!(self.text(container, "/HostConfig/RestartPolicy/Name"), "always");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_go_along_and_come_back_with_a_revert() {
    let room = room("dependents");
    room.check("v1");
    let report = room.redeploy(&[]).await;
    assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
    room.check("v2");
    room.check_report(&report);
    let agent = in_process::agent(&room.sandbox.data_dir(), &[]).await.unwrap();
    let request = RevertRequest {
        container: room.web.clone(),
        volumes: VolumeData::Keep,
        verify_timeout: std::time::Duration::from_secs(20),
        probe: None,
    };
    let report = agent.revert(RedeployId::generate(), &request).await.unwrap();
    assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
    room.check("v1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_step_fails_they_lean_on_the_old_one_again() {
    let room = room("dependents-undo");
    let ids = [&room.web, &room.sidecar, &room.linked].map(|name| room.text(name, "/Id"));
    for step in REDEPLOY.iter().filter(|step| **step >= Step::Stop || **step == Step::Create) {
        let report = room.redeploy(&[Fault::FailAfter(*step)]).await;
        assert_eq!(report.verdict, Verdict::Undone, "{report:#?}");
        let told = &report.dependents;
        assert!(
            told.len() == 2 && told.iter().all(|it| it.made_anew.is_none() && it.parked.is_none()),
            "{told:?}"
        );
        room.check("v1");
        assert_eq!(ids, [&room.web, &room.sidecar, &room.linked].map(|name| room.text(name, "/Id")));
        assert_eq!(room.sandbox.containers().unwrap().len(), 3);
    }
}
