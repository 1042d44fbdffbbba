//! An agent in a container, told to replace that very container.

use anyhow::{Context, Result, ensure};
use redeploy_tests::agent::built_beside_tests;
use redeploy_tests::images;
use redeploy_tests::sandbox::Sandbox;

use crate::untouched::Snapshot;

/// Where the program and what it is linked with are in the container.
const PROGRAM: &str = "/agent/redeploy-agent";

#[test]
fn the_container_that_the_agent_runs_in() -> Result<()> {
    let sandbox = Sandbox::new("ourselves")?;
    let (v1, v2) = (images::busybox_v1()?, images::busybox_v2()?);
    let program = built_beside_tests("redeploy-agent")?;
    let dir = program.parent().context("the program has no directory")?;
    let agent = format!("{}:/agent:ro", dir.display());
    let data = format!("{}:/var/lib/redeploy", sandbox.data_dir().display());
    let mut options = vec!["--pid", "host", "--volume", &agent, "--volume", &data];
    options.extend(["--cap-add", "SYS_PTRACE", "--security-opt", "seccomp=unconfined"]);
    // It is linked dynamically.
    for library in ["/lib:/lib:ro", "/lib64:/lib64:ro", "/usr/lib:/usr/lib:ro"] {
        options.extend(["--volume", library]);
    }
    options.extend(["--volume", "/var/run/docker.sock:/var/run/docker.sock"]);
    let agent = sandbox.run("agent", &options, &v1, &[])?;
    let other = sandbox.run("other", &[], &v1, &[])?;
    let before = Snapshot::of(&sandbox)?;
    let order = |verb: &str, container: &str| {
        let words = [PROGRAM, verb, "--container", container, "--image", &v2, "--pull", "never"];
        sandbox.docker().exec(&agent, &words)
    };
    for verb in ["plan", "redeploy"] {
        let text = format!("{:#}", order(verb, &agent).err().context("it was not refused")?);
        ensure!(text.contains("is the one this agent runs in: redeploy it from the host"), "{text}");
    }
    // It is not being in a container that is in the way.
    let plan = order("plan", &other)?;
    ensure!(plan.contains(&other), "{plan}");
    ensure!(before == Snapshot::of(&sandbox)?, "something was touched");
    Ok(())
}
