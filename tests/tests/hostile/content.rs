//! Links out of the root at every depth, paths that change while they are read, pipes, names as long as they get.

use std::path::Path;

use anyhow::{Result, ensure};
use redeploy_tests::images::Image;
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;

use crate::canary::Canary;

/// Kept: a directory full of traps, paths through traps, and one that the new image makes a trap of.
const CONF: &str = "/srv/keep\n/srv/absolute/secret\n/srv/climbing/secret\n/srv/proc/secret\n/srv/trap/mine\n\
    backup:/srv/absolute/secret\nbackup:/srv/file\n";

/// Nothing here needs a network.
const QUICK: [&str; 4] = ["--stop-signal", "SIGKILL", "--network", "none"];

fn image(version: &str) -> Result<Image> {
    Ok(Image::busybox(&format!("hostile-{version}"))?.file("/etc/jelastic/redeploy.conf", CONF))
}

#[test]
fn links_out_of_the_root_lead_nowhere_at_any_depth() -> Result<()> {
    let sandbox = Sandbox::new("hostile links")?;
    let (docker, v1) = (sandbox.docker(), image("v1")?.build()?);
    let canary = Canary::new(&sandbox, &v1)?;
    let (outside, secret) = (canary.outside.display().to_string(), canary.secret());
    // The new image leads the path of a kept file out of the root.
    let v2 = image("v2")?.symlink("/srv/trap", &outside).build()?;
    let web = sandbox.run("web", &QUICK, &v1, &[])?;
    let script = format!(
        "set -e; mkdir -p /srv/keep /srv/trap; echo mine > /srv/trap/mine; up=/../../../../../../../..; \
         ln -s {outside} /srv/absolute; ln -s ..$up{outside} /srv/climbing; ln -s /proc/1/root{outside} /srv/proc; \
         ln -s {secret} /srv/file; dir=/srv/keep; \
         for depth in 1 2 3 4 5 6 7 8; do \
           ln -s {outside} $dir/dir; ln -s {secret} $dir/file; ln -s .$up{secret} $dir/climbing; \
           ln -s /proc/self/root{secret} $dir/magic; ln $dir/file $dir/hard; mkfifo $dir/pipe; \
           dir=$dir/$depth; mkdir $dir; done; echo deep > $dir/data"
    );
    docker.exec(&web, &["sh", "-c", &script])?;

    Operator::new(&sandbox)?.redeploy(&web, &v2, &[])?.done()?;

    canary.is_unharmed(docker, &sandbox.data_dir())?;
    let root = docker.root(&web)?.join("srv");
    ensure!(std::fs::read_to_string(root.join("keep/1/2/3/4/5/6/7/8/data"))? == "deep\n");
    ensure!(
        std::fs::read_link(root.join("keep/1/2/3/hard"))? == Path::new(&secret),
        "a link is kept as it is"
    );
    ensure!(std::os::unix::fs::FileTypeExt::is_fifo(
        &root.join("keep/1/pipe").symlink_metadata()?.file_type()
    ));
    let mut holds = std::fs::read_dir(&canary.outside)?;
    ensure!(holds.next().is_some() && holds.next().is_none(), "something was written outside");
    Ok(())
}

#[test]
fn a_path_that_becomes_a_link_while_it_is_read_shows_nothing_outside() -> Result<()> {
    let sandbox = Sandbox::new("hostile swaps")?;
    let (docker, v1, v2) = (sandbox.docker(), image("v1")?.build()?, image("v2")?.build()?);
    let canary = Canary::new(&sandbox, &v1)?;
    let (outside, secret) = (canary.outside.display(), canary.secret());
    let web = sandbox.run("web", &QUICK, &v1, &[])?;
    let fill = "set -e; mkdir -p /srv/keep/dir/a /srv/keep/files; echo mine > /srv/keep/dir/a/secret; n=0; \
        while [ $n -lt 200 ]; do echo $n > /srv/keep/files/$n; n=$((n+1)); done";
    docker.exec(&web, &["sh", "-c", fill])?;
    let swap = format!(
        "cd /srv/keep; while :; do mv dir was; ln -s {outside} dir; rm dir; mv was dir; \
         mv files/7 files/was; ln -s {secret} files/7; mv files/was files/7; done"
    );
    docker.call(&["exec", "--detach", &web, "sh", "-c", &swap])?;

    let operator = Operator::new(&sandbox)?;
    for image in [&v2, &v1] {
        operator.redeploy(&web, image, &[])?.done()?;
        canary.is_unharmed(docker, &sandbox.data_dir())?;
        docker.call(&["exec", "--detach", &web, "sh", "-c", &swap])?;
    }
    Ok(())
}

#[test]
fn names_as_long_as_they_get_are_kept() -> Result<()> {
    let sandbox = Sandbox::new("hostile names")?;
    let (docker, v1, v2) = (sandbox.docker(), image("v1")?.build()?, image("v2")?.build()?);
    // In a volume: fuse-overlayfs, where the engine uses it, gives up earlier. 15 directories of 255 bytes make a
    // path of 3,846 bytes, as near to 4,000 as whole names get.
    let mount = format!("{}:/data", sandbox.volume("data")?);
    let web = sandbox.run("web", &[&QUICK[..], &["--volume", &mount]].concat(), &v1, &[])?;
    let fill = "set -e; n=nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn; n=$n$n$n$n$n; cd /data; \
        for depth in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do mkdir $n; cd $n; done; echo far > data";
    docker.exec(&web, &["sh", "-c", fill])?;

    let operator = Operator::new(&sandbox)?;
    operator.redeploy(&web, &v2, &[])?.done()?;
    docker.exec(&web, &["sh", "-c", "echo '' > /data/newer"])?;
    operator.revert(&web, &["--volumes", "restore"])?.done()?;

    let look =
        "cd /data; for depth in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do cd n*; done; cat data; ls /data";
    let found = docker.exec(&web, &["sh", "-c", look])?;
    ensure!(found.starts_with("far\nnn") && !found.contains("newer"), "{found}");
    Ok(())
}
