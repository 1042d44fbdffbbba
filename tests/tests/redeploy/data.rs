//! The main job: what the user keeps comes over exactly, and nothing else does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use redeploy_agent::archive::Manifest;
use redeploy_tests::images::Image;
use redeploy_tests::operator::Operator;
use redeploy_tests::rich;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::tree::Tree;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What the user's list says; the new image says something else.
const CONF: &str = "# CUSTOM FILES AND FOLDERS\n\
    /srv/keep\n\
    /etc/app.conf\n\
    backup:/etc/php.ini\n";

fn image(tag: &str) -> Result<Image> {
    Ok(Image::busybox(tag)?
        .file("/etc/jelastic/redeploy.conf", CONF)
        .file("/srv/keep/shipped", &format!("shipped with {tag}\n"))
        .file(&format!("/srv/keep/only in {tag}"), "shipped\n")
        .file("/etc/app.conf", &format!("shipped with {tag}\n"))
        .file("/etc/php.ini", &format!("shipped with {tag}\n"))
        .file("/etc/other.conf", &format!("shipped with {tag}\n"))
        .file("/var/lib/jelastic/overrides/rule", &format!("shipped with {tag}\n"))
        .file("/var/lib/jelastic/state", &format!("shipped with {tag}\n")))
}

/// What a user does to a container, through its root.
fn live_in(root: &Path) -> Result<()> {
    rich::fill(&root.join("srv/keep/mine"))?;
    std::fs::remove_file(root.join("srv/keep/shipped"))?;
    rich::write(&root.join("etc/app.conf"), "the user's\n")?;
    rich::write(&root.join("etc/php.ini"), "the user's php.ini\n")?;
    rich::write(&root.join("etc/other.conf"), "changed, but not listed\n")?;
    rich::fill(&root.join("var/lib/jelastic/mine"))?;
    rich::write(&root.join("var/lib/jelastic/state"), "the platform's\n")?;
    rich::write(&root.join("var/lib/jelastic/overrides/rule"), "changed\n")
}

fn read(root: &Path, path: &str) -> Result<String> {
    let path = root.join(path);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

#[test]
fn everything_the_user_keeps_comes_over_exactly_and_nothing_else() -> Result<()> {
    let sandbox = Sandbox::new("main job")?;
    let docker = sandbox.docker();
    let (v1, v2) = (image("v1")?.build()?, image("v2")?.build()?);
    let volume = sandbox.volume("data")?;
    let options = ["--volume", &format!("{volume}:/data"), "--restart", "always", "--env", "MINE=1"];
    let web = sandbox.run("web", &options, &v1, &[])?;
    let old_root = docker.root(&web)?;
    live_in(&old_root)?;
    rich::fill(&docker.mountpoint(&volume)?.join("mine"))?;
    let kept = Tree::of(&old_root.join("srv/keep"))?;
    let jelastic = Tree::of(&old_root.join("var/lib/jelastic"))?;
    let data = Tree::of(&docker.mountpoint(&volume)?)?;
    let etc = Tree::of(&old_root.join("etc"))?;
    let old = docker.inspect(&web)?;

    let operator = Operator::new(&sandbox)?;
    let report = operator.redeploy(&web, &v2, &[])?.done()?;

    let root = docker.root(&web)?;
    // Exactly as it was: what the user deleted stays deleted, what the new image ships does not appear.
    kept.expect_same(&Tree::of(&root.join("srv/keep"))?)?;
    ensure!(!kept.nodes.contains_key(Path::new("shipped")));
    ensure!(rich::is_still_sparse(&root.join("srv/keep/mine"))?, "the hole was filled");
    let image_owned = ["overrides"];
    jelastic.without(&image_owned).without_directory_times().expect_same(
        &Tree::of(&root.join("var/lib/jelastic"))?.without(&image_owned).without_directory_times(),
    )?;
    ensure!(read(&root, "var/lib/jelastic/overrides/rule")? == "shipped with v2\n");
    data.expect_same(&Tree::of(&docker.mountpoint(&volume)?)?)?;
    ensure!(read(&root, "etc/app.conf")? == "the user's\n");
    ensure!(read(&root, "etc/other.conf")? == "shipped with v2\n");
    ensure!(read(&root, "etc/php.ini")? == "shipped with v2\n");
    let new_etc = Tree::of(&root.join("etc"))?;
    for (now, before) in [("app.conf", "app.conf"), ("php.ini.backup", "php.ini")] {
        let (now, before) = (&new_etc.nodes[Path::new(now)], &etc.nodes[Path::new(before)]);
        ensure!(now.content == before.content && now.mtime_ns == before.mtime_ns && now.mode == before.mode);
    }
    ensure!(read(&root, "etc/motd")? == "busybox v2\n");

    // The container: new image, the user's settings; the old one stopped and unable to start by itself.
    let new = docker.inspect(&web)?;
    ensure!(new["Id"] != old["Id"] && new["State"]["Running"] == true);
    ensure!(new["HostConfig"]["RestartPolicy"]["Name"] == "always");
    ensure!(new["Config"]["Env"].as_array().is_some_and(|env| env.contains(&Value::from("MINE=1"))));
    let parked = docker.inspect(report.parked.as_deref().context("nothing is parked")?)?;
    ensure!(parked["Id"] == old["Id"] && parked["State"]["Running"] == false);
    ensure!(parked["HostConfig"]["RestartPolicy"]["Name"] == "no");

    // Another plan calls the copy that this one wrote by its name: replaced, not one of the user's that nothing keeps.
    let planned =
        operator.ask(&["plan", "--container", &web, "--image", &v2, "--pull=never"])?.outcome.stdout;
    let line = planned.lines().find(|line| line.contains("\"event\":\"plan\"")).context("no plan")?;
    let plan: Value = serde_json::from_str(line)?;
    ensure!(!plan["coverage"].to_string().contains("php.ini.backup"), "{}", plan["coverage"]);
    ensure!(plan["warnings"].to_string().contains("/etc/php.ini.backup"), "{}", plan["warnings"]);

    // The report and the archives.
    ensure!(report.to == v2 && report.from == v1 && report.node == web);
    ensure!(report.backups == ["/etc/php.ini.backup"], "{:?}", report.backups);
    ensure!(report.downtime_ms.is_some_and(|ms| ms < 20_000), "{:?}", report.downtime_ms);
    let archives = operator.dir_of(report.id).archives();
    let manifest = Manifest::load(&operator.dir_of(report.id).manifest())?;
    let stems: BTreeSet<&str> = manifest.archives.iter().map(|line| line.stem.as_str()).collect();
    let volume_stem = format!("volume-0-{volume}");
    ensure!(stems == BTreeSet::from(["jelastic", "paths", &volume_stem]), "{stems:?}");
    for line in &manifest.archives {
        let bytes = std::fs::read(archives.join(&line.file))?;
        ensure!(line.sealed && line.bytes == u64::try_from(bytes.len())?, "{line:?}");
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(digest == line.sha256, "{}", line.file);
    }
    let unpacked = unpack(&sandbox, &archives.join("paths.tar.gz"))?;
    kept.expect_same(&Tree::of(&unpacked.join("srv/keep"))?)?;
    let unpacked = unpack(&sandbox, &archives.join(format!("{volume_stem}.tar.gz")))?;
    data.expect_same(&Tree::of(&unpacked)?)
}

/// As anybody would who has nothing but the archive: GNU tar, told to bring attributes back.
fn unpack(sandbox: &Sandbox, archive: &Path) -> Result<PathBuf> {
    let dir = tempfile::Builder::new().prefix("unpacked").tempdir_in(sandbox.path())?.keep();
    let mut tar = Command::new("tar");
    tar.arg("xzf").arg(archive).args(["--acls", "--xattrs", "--xattrs-include=*", "-C"]).arg(&dir);
    let output = tar.output()?;
    ensure!(output.status.success(), "tar: {}", String::from_utf8_lossy(&output.stderr));
    Ok(dir)
}
