//! A container of a Docker Compose project stays Compose's: after a redeploy, and after a revert, `docker-compose up`
//! with the right tag in the file finds nothing to do. With the Compose of this host, whichever version it is.

#![expect(clippy::disallowed_methods, reason = "a user edits files and runs Compose as users do")]

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use redeploy_tests::engine::Docker;
use redeploy_tests::images::Image;
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait;

/// A project `web` with a named and an anonymous volume, up on v1.
struct Shop {
    sandbox: Sandbox,
    web: String,
}

fn image(tag: &str) -> Result<String> {
    Image::busybox(tag)?.file("/etc/jelastic/redeploy.conf", "/etc/mine\n").file("/etc/shipped", "x").build()
}

impl Shop {
    fn up(test: &str) -> Result<Self> {
        let sandbox = Sandbox::new(test)?;
        let shop = Self { web: sandbox.name("web"), sandbox };
        shop.compose_up("v1")?;
        let write = "echo mine >/etc/mine; echo mine >/etc/unlisted; rm /etc/shipped; ln /etc/unlisted /etc/second; \
                     chmod 700 /etc; echo rows >/data/rows; echo rows >/anonymous/rows";
        shop.docker().exec(&shop.web, &["sh", "-c", write])?;
        Ok(shop)
    }

    fn docker(&self) -> Docker {
        self.sandbox.docker()
    }

    fn file(&self) -> PathBuf {
        self.sandbox.path().join("docker-compose.yml")
    }

    /// As a user does: the tag in the file, then `up`.
    fn compose_up(&self, tag: &str) -> Result<()> {
        let (name, image) = (|short| self.sandbox.name(short), image(tag)?);
        let text = format!(
            "version: \"3.5\"\nservices:\n  web:\n    image: {image}\n    container_name: {}\n    \
             environment: [COLOUR=blue]\n    restart: always\n    stop_grace_period: 1s\n    \
             volumes: [\"data:/data\", \"/anonymous\"]\n\
             volumes:\n  data: {{name: {}}}\nnetworks:\n  default: {{name: {}}}\n",
            name("web"),
            name("data"),
            name("net")
        );
        std::fs::write(self.file(), text)?;
        self.compose(&["up", "-d"]).map(drop)
    }

    fn compose(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("docker-compose");
        let output = command
            .args(["--project-name", &self.sandbox.prefix().to_lowercase()])
            .args(words)
            .current_dir(self.sandbox.path());
        let output = output.output().context("docker-compose")?;
        ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn id(&self) -> Result<String> {
        Ok(self.docker().inspect(&self.web)?["Id"].as_str().context("no id")?.to_owned())
    }

    /// `up` with this tag in the file leaves the container that serves alone, and everything else as well.
    fn up_changes_nothing(&self, tag: &str) -> Result<()> {
        let (id, containers) = (self.id()?, self.sandbox.containers()?);
        let started = self.docker().inspect(&self.web)?["State"]["StartedAt"].clone();
        self.compose_up(tag)?;
        ensure!(self.id()? == id, "{tag}: another container serves");
        ensure!(
            self.docker().inspect(&self.web)?["State"]["StartedAt"] == started,
            "{tag}: it was restarted"
        );
        ensure!(self.sandbox.containers()? == containers, "{tag}: {:?}", self.sandbox.containers()?);
        ensure!(self.docker().exec(&self.web, &["cat", "/etc/motd"])? == format!("busybox {tag}"));
        let rows = self.docker().exec(&self.web, &["cat", "/data/rows", "/anonymous/rows", "/etc/mine"])?;
        ensure!(rows == "rows\nrows\nmine", "{tag}: {rows}");
        Ok(())
    }
}

#[test]
fn up_finds_nothing_to_do_after_a_redeploy_and_after_a_revert() -> Result<()> {
    let shop = Shop::up("compose")?;
    let operator = Operator::new(&shop.sandbox)?;
    let report = operator.redeploy(&shop.web, &image("v2")?, &[])?.done()?;
    let parked = report.parked.clone().context("nothing parked")?;
    ensure!(report.warnings.iter().any(|warning| warning.contains("write image")), "{:?}", report.warnings);
    shop.up_changes_nothing("v2")?;
    shop.compose(&["restart", "--timeout", "0"])?;
    let stand_in = shop.docker().inspect(&parked)?;
    ensure!(stand_in["State"]["Status"] == "created", "{stand_in:#?}");
    let labels = stand_in["Config"]["Labels"].to_string();
    ensure!(!labels.contains("com.docker.compose"), "{labels}");

    operator.revert(&shop.web, &[])?.done()?;
    shop.up_changes_nothing("v1")?;
    let exec = |command: &str| shop.docker().exec(&shop.web, &["sh", "-c", command]);
    ensure!(
        exec("cat /etc/unlisted /etc/second; stat -c %h /etc/second; stat -c %a /etc")?
            == "mine\nmine\n2\n700"
    );
    ensure!(exec("ls /etc/shipped || echo gone")? == "gone");
    let env = shop.docker().inspect(&shop.web)?["Config"]["Env"].to_string();
    ensure!(env.contains("COLOUR=blue"), "{env}");
    ensure!(shop.sandbox.containers()?.len() == 2, "{:?}", shop.sandbox.containers()?);

    // And forth again: a revert can be reverted.
    operator.revert(&shop.web, &[])?.done()?;
    shop.up_changes_nothing("v2")?;
    wait::until(wait::PATIENCE, "it to run", || Ok(shop.docker().state(&shop.web)? == "running"))
}

#[test]
fn without_a_right_picture_the_plan_says_what_the_next_up_costs() -> Result<()> {
    let shop = Shop::up("compose-changed")?;
    // The file is another than the last `up` saw.
    let text = std::fs::read_to_string(shop.file())?.replace("blue", "green");
    std::fs::write(shop.file(), text)?;
    let report = Operator::new(&shop.sandbox)?.redeploy(&shop.web, &image("v2")?, &[])?.done()?;
    let warned = report.warnings.iter().any(|warning| warning.contains("makes it anew once"));
    ensure!(warned, "{:?}", report.warnings);
    // It costs the root, once; it does not start what is parked.
    shop.compose_up("v2")?;
    ensure!(shop.docker().exec(&shop.web, &["cat", "/etc/motd", "/data/rows"])? == "busybox v2\nrows");
    ensure!(shop.sandbox.containers()?.len() == 2, "{:?}", shop.sandbox.containers()?);
    Ok(())
}
