//! What the operator and the container's own settings choose: volumes, binds, layers, states.

use anyhow::{Context, Result, ensure};
use redeploy_tests::images::{self, Image};
use redeploy_tests::operator::Operator;
use redeploy_tests::rich;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::tree::Tree;
use redeploy_tests::wait;

#[test]
fn skip_reinstall_keeps_the_old_file_system_below_the_new_images_files() -> Result<()> {
    let sandbox = Sandbox::new("skip reinstall")?;
    let docker = sandbox.docker();
    let web = sandbox.run_subject("web", &[], &images::subject_v1()?)?;
    let root = docker.root(&web)?;
    rich::fill(&root.join("opt/mine"))?;
    rich::write(&root.join("etc/subject/other.conf"), "changed, and shipped by both\n")?;
    rich::write(&root.join("etc/subject/app.conf"), "title = listed\n")?;
    std::fs::remove_file(root.join("etc/subject/conf.d/base.conf"))?;
    let mine = Tree::of(&root.join("opt/mine"))?;

    Operator::new(&sandbox)?.redeploy(&web, &images::subject_v2()?, &["--skip-reinstall"])?.done()?;

    let root = docker.root(&web)?;
    mine.expect_same(&Tree::of(&root.join("opt/mine"))?)?;
    let read = |path: &str| std::fs::read_to_string(root.join(path));
    ensure!(read("etc/subject/app.conf")? == "title = listed\n");
    ensure!(read("etc/subject/other.conf")? == "other = shipped with v2\n");
    ensure!(read("etc/subject/new.conf")? == "new = shipped with v2\n");
    ensure!(!root.join("etc/subject/conf.d/base.conf").exists(), "deleted in a listed directory");
    Ok(())
}

#[test]
fn anonymous_volumes_are_mounted_again_and_given_up_volumes_are_archived_and_replaced() -> Result<()> {
    let sandbox = Sandbox::new("volumes")?;
    let docker = sandbox.docker();
    // `VOLUME /data` of the image, and one that the user asked for without a name.
    let web = sandbox.run_subject("web", &["--volume", "/more"], &images::subject_v1()?)?;
    let http = sandbox.http(&web)?;
    http.put_file("/data/mine", b"rows")?;
    http.put_file("/more/mine", b"more rows")?;
    let volumes = |container: &str| -> Result<Vec<(String, String)>> {
        let inspected = docker.inspect(container)?;
        let mounts = inspected["Mounts"].as_array().context("no mounts")?.clone();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or("").to_owned();
        let mut mounts: Vec<_> =
            mounts.iter().map(|mount| (text(&mount["Destination"]), text(&mount["Name"]))).collect();
        mounts.sort();
        Ok(mounts)
    };
    let before = volumes(&web)?;
    let operator = Operator::new(&sandbox)?;
    operator.redeploy(&web, &images::subject_v2()?, &[])?.done()?;
    ensure!(volumes(&web)? == before, "{before:?} became {:?}", volumes(&web)?);
    sandbox.wait_until_it_serves(&web)?;
    ensure!(sandbox.http(&web)?.text_of("/data/mine")?.as_deref() == Some("rows"));
    ensure!(sandbox.http(&web)?.text_of("/more/mine")?.as_deref() == Some("more rows"));
    ensure!(sandbox.http(&web)?.text_of("/data/welcome.txt")?.as_deref() == Some("shipped with v1\n"));

    let words = ["--use-existing-volumes=false"];
    let report = operator.redeploy(&web, &images::subject_v1()?, &words)?.done()?;
    sandbox.wait_until_it_serves(&web)?;
    let http = sandbox.http(&web)?;
    ensure!(http.file("/data/mine")?.is_none() && http.file("/more/mine")?.is_none());
    ensure!(http.text_of("/data/welcome.txt")?.as_deref() == Some("shipped with v1\n"));
    for (target, name) in &before {
        ensure!(docker.exists("volume", name)?, "{target}: {name} is gone");
        ensure!(!volumes(&web)?.iter().any(|(_, now)| now == name));
        let archives = &report.archives;
        ensure!(archives.iter().any(|archive| archive.file.contains(&name[..60])), "{archives:?}");
    }

    // The way back leads to the volumes of then.
    operator.revert(&web, &[])?.done()?;
    ensure!(volumes(&web)? == before);
    sandbox.wait_until_it_serves(&web)?;
    ensure!(sandbox.http(&web)?.text_of("/data/mine")?.as_deref() == Some("rows"));
    Ok(())
}

#[test]
fn given_up_volumes_come_back_when_the_new_image_fails() -> Result<()> {
    let sandbox = Sandbox::new("volumes undone")?;
    let web = sandbox.run_subject("web", &[], &images::subject_v1()?)?;
    sandbox.http(&web)?.put_file("/data/mine", b"rows")?;
    let volumes = || sandbox.docker().call(&["volume", "ls", "--quiet", "--filter", &format!("name={web}")]);
    let words = ["--use-existing-volumes=false"];
    Operator::new(&sandbox)?.redeploy(&web, &images::subject_broken()?, &words)?.undone()?;
    sandbox.wait_until_it_serves(&web)?;
    ensure!(sandbox.http(&web)?.text_of("/data/mine")?.as_deref() == Some("rows"));
    ensure!(volumes()?.is_empty(), "left: {}", volumes()?);
    Ok(())
}

#[test]
fn bind_mounts_stay_and_are_archived_when_asked() -> Result<()> {
    let sandbox = Sandbox::new("binds")?;
    let docker = sandbox.docker();
    let host = sandbox.path().join("host");
    rich::fill(&host)?;
    let options = ["--volume", &format!("{}:/srv/bound", host.display())];
    let web = sandbox.run_subject("web", &options, &images::subject_v1()?)?;
    let before = Tree::of(&host)?;
    let operator = Operator::new(&sandbox)?;
    let report = operator.redeploy(&web, &images::subject_v2()?, &[])?.done()?;
    ensure!(!report.archives.iter().any(|archive| archive.file.starts_with("bind-")));
    let report = operator.redeploy(&web, &images::subject_v1()?, &["--archive-binds"])?.done()?;
    ensure!(report.archives.iter().any(|archive| archive.file.starts_with("bind-")), "{:?}", report.archives);
    before.expect_same(&Tree::of(&host)?)?;
    before.expect_same(&Tree::of(&docker.root(&web)?.join("srv/bound"))?)?;

    // A new container that fails may have written there: put back, because it was archived.
    let spoiler = Image::subject("spoiler")?
        .set("CMD [\"/subject\", \"write-loop\", \"/srv/bound/plain\"]")
        .set("HEALTHCHECK --interval=1s --retries=1 CMD [\"/subject\", \"health\"]")
        .build()?;
    operator.redeploy(&web, &spoiler, &["--archive-binds"])?.undone()?;
    before.expect_same(&Tree::of(&host)?)
}

/// Mounted from outside, as a file or with its directory: what stands beneath the mount is not the list, whether the
/// container runs or not.
#[test]
fn a_preserve_list_that_is_mounted_is_the_list() -> Result<()> {
    let sandbox = Sandbox::new("mounted list")?;
    let docker = sandbox.docker();
    let host = sandbox.path().join("host");
    rich::write(&host.join("list"), "/opt/mine\n")?;
    let volume = sandbox.volume("lists")?;
    let file = format!("{}:/etc/jelastic/redeploy.conf:ro", host.join("list").display());
    let dir = format!("{volume}:/etc/jelastic");
    for (name, mount) in [("file", file), ("volume", dir)] {
        let web = sandbox.run_subject(name, &["--volume", &mount], &images::subject_v1()?)?;
        if name == "volume" {
            sandbox.http(&web)?.put_file("/etc/jelastic/redeploy.conf", b"/opt/mine\n")?;
        }
        rich::write(&docker.root(&web)?.join("opt/mine"), "kept\n")?;
        let operator = Operator::new(&sandbox)?;
        for (is_stopped, image) in [(false, images::subject_v2()?), (true, images::subject_v1()?)] {
            if is_stopped {
                docker.call(&["stop", &web])?;
            }
            operator.redeploy(&web, &image, &[])?.done()?;
            if is_stopped {
                docker.call(&["start", &web])?;
            }
            let kept = std::fs::read_to_string(docker.root(&web)?.join("opt/mine"));
            ensure!(kept.as_deref().ok() == Some("kept\n"), "{name}, stopped: {is_stopped}: {kept:?}");
        }
    }
    Ok(())
}

#[test]
fn a_read_only_root_is_redeployed_with_its_volume() -> Result<()> {
    let sandbox = Sandbox::new("read only")?;
    let volume = sandbox.volume("data")?;
    let options = ["--read-only", "--volume", &format!("{volume}:/data"), "--tmpfs", "/tmp"];
    let web = sandbox.run_subject("web", &options, &images::subject_v1()?)?;
    sandbox.http(&web)?.put_file("/data/mine", b"rows")?;
    let report = Operator::new(&sandbox)?.redeploy(&web, &images::subject_v2()?, &[])?.done()?;
    ensure!(report.warnings.iter().any(|warning| warning.contains("read-only")), "{:?}", report.warnings);
    sandbox.wait_until_it_serves(&web)?;
    let http = sandbox.http(&web)?;
    ensure!(http.get("/version")?.text() == "v2\n" && http.text_of("/data/mine")?.as_deref() == Some("rows"));
    ensure!(sandbox.docker().inspect(&web)?["HostConfig"]["ReadonlyRootfs"] == true);
    Ok(())
}

/// Configs with a content of their own and secrets from the environment: Compose copies them in before the first start,
/// and only when it makes a container.
#[test]
fn what_compose_put_into_the_container_is_kept() -> Result<()> {
    let sandbox = Sandbox::new("injected")?;
    let docker = sandbox.docker();
    let put_in = sandbox.path().join("put-in");
    rich::write(&put_in.join("motd"), "hello\n")?;
    rich::write(&put_in.join("run/secrets/key"), "from the environment\n")?;
    let labels = ["--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=web"];
    for (name, labels, kept) in [("web", &labels[..], true), ("other", &[], false)] {
        let web = sandbox.create(name, labels, &images::subject_v1()?, &[])?;
        docker.call(&["cp", &format!("{}/.", put_in.display()), &format!("{web}:/")])?;
        docker.call(&["start", &web])?;
        sandbox.wait_until_it_serves(&web)?;
        let operator = Operator::new(&sandbox)?;
        let report = operator.redeploy(&web, &images::subject_v2()?, &[])?.done()?;
        let root = docker.root(&web)?;
        for (path, text) in [("motd", "hello\n"), ("run/secrets/key", "from the environment\n")] {
            let found = std::fs::read_to_string(root.join(path)).ok();
            ensure!(found.as_deref() == kept.then_some(text), "{name}: {path}: {found:?}, {report:?}");
        }
        // It does not grow: what was kept is kept again, and nothing else.
        operator.redeploy(&web, &images::subject_v1()?, &[])?.done()?;
        ensure!(docker.root(&web)?.join("motd").exists() == kept, "{name}");
    }
    Ok(())
}

#[test]
fn a_container_of_a_compose_project_is_redeployed_with_a_warning() -> Result<()> {
    let sandbox = Sandbox::new("compose")?;
    let labels =
        ["--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.image=sha256:old"];
    let web = sandbox.run_subject("web", &labels, &images::subject_v1()?)?;
    let report = Operator::new(&sandbox)?.redeploy(&web, &images::subject_v2()?, &[])?.done()?;
    let warning = report.warnings.iter().find(|warning| warning.contains("compose project shop"));
    ensure!(warning.is_some_and(|warning| warning.contains("docker compose up")), "{:?}", report.warnings);
    // Compose 2 compares this label with the image it would start.
    let inspected = sandbox.docker().inspect(&web)?;
    ensure!(inspected["Config"]["Labels"]["com.docker.compose.image"] == inspected["Image"]);
    Ok(())
}

#[test]
fn a_stopped_container_is_redeployed_and_stays_stopped() -> Result<()> {
    let sandbox = Sandbox::new("stopped")?;
    let docker = sandbox.docker();
    let web = sandbox.run_subject("web", &["--restart", "always"], &images::subject_v1()?)?;
    sandbox.http(&web)?.put_file("/etc/subject/app.conf", b"title = mine\n")?;
    sandbox.http(&web)?.put_file("/data/mine", b"rows")?;
    docker.call(&["stop", &web])?;
    let report = Operator::new(&sandbox)?.redeploy(&web, &images::subject_v2()?, &[])?.done()?;
    let inspected = docker.inspect(&web)?;
    ensure!(inspected["State"]["Status"] == "created", "{}", inspected["State"]);
    ensure!(report.downtime_ms.is_none(), "nothing was stopped");
    docker.call(&["start", &web])?;
    sandbox.wait_until_it_serves(&web)?;
    let http = sandbox.http(&web)?;
    ensure!(
        http.get("/")?.text() == "subject v2\ntitle: mine\ndata: mine, welcome.txt\n",
        "{}",
        http.get("/")?.text()
    );

    // And back: the parked one, too, as it was.
    docker.call(&["stop", &web])?;
    Operator::new(&sandbox)?.revert(&web, &[])?.done()?;
    sandbox.wait_for_state(&web, "exited", wait::PATIENCE)?;
    docker.call(&["start", &web])?;
    sandbox.wait_until_it_serves(&web)?;
    ensure!(sandbox.http(&web)?.get("/version")?.text() == "v1\n");
    Ok(())
}

#[test]
fn a_container_that_was_never_started_is_redeployed_and_never_started() -> Result<()> {
    let sandbox = Sandbox::new("created")?;
    let docker = sandbox.docker();
    let web = sandbox.create("web", &[], &images::subject_v1()?, &[])?;
    docker.call_with(
        &["cp", "-", &format!("{web}:/etc/subject")],
        &one_file("app.conf", "title = copied in\n")?,
    )?;
    Operator::new(&sandbox)?.redeploy(&web, &images::subject_v2()?, &[])?.done()?;
    ensure!(docker.state(&web)? == "created");
    docker.call(&["start", &web])?;
    sandbox.wait_until_it_serves(&web)?;
    let page = sandbox.http(&web)?.get("/")?.text();
    ensure!(page.starts_with("subject v2\ntitle: copied in\n"), "{page}");
    Ok(())
}

fn one_file(name: &str, contents: &str) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(contents.len())?);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, contents.as_bytes())?;
    Ok(tar.into_inner()?)
}
