//! The harness on trial: every piece the other suites rest on, on the real engine.
//!
//! Flows in: nothing. Flows out: trust. Must never need the agent's verbs: these tests hold even when it is broken.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use redeploy_tests::engine::Docker;
use redeploy_tests::images::{self, Image};
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::tree::{Content, Tree};
use redeploy_tests::wait;

#[test]
fn the_subject_serves_reads_writes_and_stops_at_once() -> Result<()> {
    let sandbox = Sandbox::new("subject serves")?;
    let web = sandbox.run_subject("web", &[], &images::subject_v1()?)?;
    let http = sandbox.http(&web)?;
    assert_eq!(http.get("/version")?.text(), "v1\n");
    assert_eq!(http.get("/")?.text(), "subject v1\ntitle: shipped with v1\ndata: welcome.txt\n");

    http.put_file("/etc/subject/app.conf", b"title = the user's\n")?;
    http.put_file("/data/deep/er/note", b"\0\xff")?;
    assert_eq!(http.file("/data/deep/er/note")?, Some(b"\0\xff".to_vec()));
    assert_eq!(http.get("/")?.text(), "subject v1\ntitle: the user's\ndata: deep, welcome.txt\n");
    http.delete_file("/data/deep/er/note")?;
    assert_eq!(http.file("/data/deep/er/note")?, None);
    assert_eq!(http.get("/nothing")?.status, 404);

    let start = Instant::now();
    sandbox.docker().call(&["stop", "--time", "30", &web])?;
    assert!(start.elapsed() < Duration::from_secs(10), "stopping took {:?}", start.elapsed());
    assert_eq!(sandbox.docker().inspect(&web)?.pointer("/State/ExitCode"), Some(&0.into()));
    Ok(())
}

#[test]
fn a_published_port_leads_to_the_subject() -> Result<()> {
    let sandbox = Sandbox::new("published")?;
    let web = sandbox.run_subject("web", &["--publish", "127.0.0.1::8080"], &images::subject_v2()?)?;
    let http = redeploy_tests::http::Http::new(sandbox.docker().published(&web, 8080)?);
    assert_eq!(http.get("/version")?.text(), "v2\n");
    Ok(())
}

#[test]
fn a_broken_version_ends_with_its_code() -> Result<()> {
    let sandbox = Sandbox::new("broken")?;
    let web = sandbox.run("web", &[], &images::subject_broken()?, &[])?;
    sandbox.wait_for_state(&web, "exited", wait::PATIENCE)?;
    assert_eq!(sandbox.docker().inspect(&web)?.pointer("/State/ExitCode"), Some(&1.into()));
    assert!(sandbox.docker().logs(&web)?.contains("FAIL_START"));
    Ok(())
}

#[test]
fn health_checks_tell_the_well_from_the_sick() -> Result<()> {
    let sandbox = Sandbox::new("health")?;
    let well = sandbox.run("well", &[], &images::subject_healthy()?, &[])?;
    let sick = sandbox.run("sick", &[], &images::subject_unhealthy()?, &[])?;
    for (container, expected) in [(well, "healthy"), (sick, "unhealthy")] {
        wait::until(wait::PATIENCE, expected, || {
            let inspected = sandbox.docker().inspect(&container)?;
            Ok(inspected.pointer("/State/Health/Status") == Some(&expected.into()))
        })?;
    }
    Ok(())
}

#[test]
fn the_write_loop_goes_on_where_it_was_killed() -> Result<()> {
    let sandbox = Sandbox::new("write loop")?;
    let volume = sandbox.volume("log")?;
    let options = ["--volume", &format!("{volume}:/data")];
    let image = images::subject_v1()?;
    let writer = sandbox.run("writer", &options, &image, &["/subject", "write-loop", "/data/log"])?;
    let docker = sandbox.docker();
    let mountpoint = docker.call(&["volume", "inspect", "--format", "{{.Mountpoint}}", &volume])?;
    let log = std::path::Path::new(&mountpoint).join("log");
    let lines = || -> Result<usize> { Ok(std::fs::read_to_string(&log)?.lines().count()) };

    wait::until(wait::PATIENCE, "ten lines", || Ok(lines()? >= 10))?;
    docker.call(&["kill", &writer])?;
    let before = lines()?;
    docker.call(&["start", &writer])?;
    wait::until(wait::PATIENCE, "another line", || Ok(lines()? > before))?;
    docker.call(&["stop", &writer])?;
    let text = std::fs::read_to_string(&log)?;
    for (number, line) in (1_u64..).zip(text.lines()) {
        assert_eq!(line, number.to_string());
    }
    Ok(())
}

#[test]
fn a_tree_is_read_inside_a_container_and_links_do_not_lead_out() -> Result<()> {
    let sandbox = Sandbox::new("tree")?;
    let image = Image::busybox("tree")?
        .file("/srv/kept/file", "contents")
        .owner("/srv/kept/file", 3_000_000, 12)
        .symlink("/srv/way", "/srv/kept")
        .symlink("/srv/kept/out", "/etc")
        .build()?;
    let shell = sandbox.run("shell", &[], &image, &[])?;
    let docker = sandbox.docker();
    docker.exec(&shell, &["mkfifo", "/srv/kept/pipe"])?;
    docker.exec(&shell, &["ln", "/srv/kept/file", "/srv/kept/second"])?;

    let tree = Tree::of_container(docker, &shell, "/srv/way")?;
    let names: Vec<_> = tree.nodes.keys().map(|path| path.display().to_string()).collect();
    assert_eq!(names, ["", "file", "out", "pipe", "second"]);
    let node = |name: &str| tree.nodes.get(std::path::Path::new(name)).context("no such node");
    assert_eq!((node("file")?.uid, node("file")?.gid), (3_000_000, 12));
    assert_eq!(node("second")?.same_file_as, std::path::Path::new("file"));
    assert_eq!(node("pipe")?.content, Content::Fifo);
    assert_eq!(node("out")?.content, Content::Link { target: "/etc".into() });

    docker.exec(&shell, &["chmod", "600", "/srv/kept/file"])?;
    let changed = tree.differences(&Tree::of_container(docker, &shell, "/srv/kept")?);
    assert_eq!(changed, ["file: mode 0644 -> 0600", "second: mode 0644 -> 0600"]);
    Ok(())
}

#[test]
fn an_image_is_built_once_and_another_content_is_another_image() -> Result<()> {
    let first = images::busybox_v1()?;
    let created = |name: &str| Docker.inspect_kind("image", name).map(|image| image.get("Id").cloned());
    let id = created(&first)?;
    assert_eq!(images::busybox_v1()?, first);
    assert_eq!(created(&first)?, id);
    assert_ne!(images::busybox_v2()?, first);
    Ok(())
}

#[test]
fn a_sandbox_takes_everything_with_it_also_when_a_test_panics() -> Result<()> {
    let image = images::subject_v1()?;
    let (send, receive) = std::sync::mpsc::channel();
    let panicked = std::thread::spawn(move || {
        let run = || -> Result<()> {
            let sandbox = Sandbox::new("leaves nothing")?;
            let (volume, network) = (sandbox.volume("data")?, sandbox.network("net")?);
            let options = ["--network", &network, "--volume", &format!("{volume}:/more")];
            let web = sandbox.run("web", &options, &image, &[])?;
            // As an agent may park it: renamed, and another one beside it without the sandbox's label.
            let parked = format!("{web}.parked");
            sandbox.docker().call(&["rename", &web, &parked])?;
            sandbox.docker().call(&["create", "--name", &web, &image])?;
            let inspected = sandbox.docker().inspect(&parked)?;
            let mounts = inspected.get("Mounts").and_then(|mounts| mounts.as_array()).context("no mounts")?;
            let volumes: Vec<String> =
                mounts.iter().filter_map(|mount| Some(mount.get("Name")?.as_str()?.to_owned())).collect();
            ensure!(volumes.len() == 2, "expected a named and a nameless volume: {volumes:?}");
            send.send((sandbox.path().to_owned(), volumes, network, vec![web, parked]))?;
            panic!("on purpose, with a sandbox in scope");
        };
        run()
    });
    let (path, volumes, network, containers) = receive.recv().context("the sandbox was not even set up")?;
    ensure!(panicked.join().is_err(), "it was to panic");
    ensure!(!path.exists(), "{} is still there", path.display());
    ensure!(!Docker.exists("network", &network)?, "the network is still there");
    for container in containers {
        ensure!(!Docker.exists("container", &container)?, "{container} is still there");
    }
    for volume in volumes {
        ensure!(!Docker.exists("volume", &volume)?, "{volume} is still there");
    }
    Ok(())
}

#[test]
fn an_engine_error_says_what_was_asked_and_what_was_wrong() {
    let error = Docker.call(&["inspect", "redeploy-test-no-such-thing"]).unwrap_err().to_string();
    assert!(error.contains("`docker inspect redeploy-test-no-such-thing`"), "{error}");
    assert!(error.contains("No such object"), "{error}");
}

#[test]
fn the_agent_under_test_is_the_one_these_sources_build() -> Result<()> {
    let sandbox = Sandbox::new("agent runs")?;
    let running = sandbox.agent()?.spawn(&["--help"])?;
    let outcome = running.wait(wait::PATIENCE)?;
    assert_eq!(outcome.signal, None, "{}", outcome.describe());
    Ok(())
}
