//! A container that writes all the time: what it wrote last is what the new one finds.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use redeploy_agent::report::Report;
use redeploy_tests::engine::Docker;
use redeploy_tests::images::Image;
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait;

/// Writes numbered lines to two kept files and a volume, as fast as a shell can, and makes and deletes files. When
/// it starts it says where it found the logs: `found KEPT LISTED VOLUME`. When it stops, where it leaves them.
const WRITER: &str = "trap 'echo left $n $n $n; exit 0' TERM\n\
    last() { x=$(tail -n 1 $1 2>/dev/null); echo ${x:-0}; }\n\
    n=$(last /data/log)\n\
    echo found $(last /srv/keep/log) $(last /etc/app.log) $(last /data/log)\n\
    while :; do\n\
      m=$((n + 1)); echo $m >>/srv/keep/log; echo $m >>/etc/app.log; echo $m >>/data/log; n=$m\n\
      echo $n >/srv/keep/turn.$((n % 7)); rm -f /srv/keep/turn.$(((n + 3) % 7))\n\
    done\n";

fn image(tag: &str) -> Result<String> {
    Image::busybox(tag)?
        .symlink("/bin/tail", "busybox")
        .file("/writer", WRITER)
        .file("/etc/jelastic/redeploy.conf", "/srv/keep\n/etc/app.log\n")
        .file("/srv/keep/shipped", "shipped\n")
        .set("CMD [\"sh\", \"/writer\"]")
        .build()
}

fn words(docker: Docker, container: &str, what: &str) -> Result<Vec<u64>> {
    let logs = docker.logs(container)?;
    let line = logs.lines().find_map(|line| line.strip_prefix(what)).with_context(|| logs.clone())?;
    line.split_whitespace().map(|word| Ok(word.parse()?)).collect()
}

fn wait_for_lines(docker: Docker, container: &str, path: &str, at_least: u64) -> Result<()> {
    wait::until(wait::PATIENCE, "the writer to write", || {
        Ok(docker.exec(container, &["tail", "-n", "1", path])?.trim().parse::<u64>()? >= at_least)
    })
}

#[test]
fn what_the_old_container_wrote_last_is_what_the_new_one_finds() -> Result<()> {
    let sandbox = Sandbox::new("live")?;
    let docker = sandbox.docker();
    let volume = sandbox.volume("data")?;
    let options = ["--volume", &format!("{volume}:/data")];
    let web = sandbox.run("web", &options, &image("v1")?, &[])?;
    wait_for_lines(docker, &web, "/data/log", 50)?;

    // Two in a row: the second one's archives begin with the logs of the first.
    for image in [image("v2")?, image("v3")?] {
        let operator = Operator::new(&sandbox)?;
        let report: Report = operator.redeploy(&web, &image, &[])?.done()?;
        let parked = report.parked.context("nothing is parked")?;
        let left = words(docker, &parked, "left ")?;
        ensure!(left[0] > 50, "{left:?}");
        // The line may have been written after the number was, never before: then it is the next one.
        for (left, found) in left.iter().zip(words(docker, &web, "found ")?) {
            ensure!(found == *left || found == *left + 1, "left {left}, found {found}");
        }
        wait_for_lines(docker, &web, "/data/log", left[0] + 20)?;
        for log in ["/srv/keep/log", "/etc/app.log", "/data/log"] {
            is_unbroken(&docker.root(&web)?, log)?;
        }
    }
    Ok(())
}

/// 1, 2, 3, … with nothing missing. A number stands twice where the writer was stopped between two of its logs: it
/// goes on from the one it writes last.
fn is_unbroken(root: &Path, log: &str) -> Result<()> {
    let text = std::fs::read_to_string(root.join(log.trim_start_matches('/')))?;
    // The last line may be half written at this moment.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let mut last = 0_u64;
    for line in whole.lines() {
        let number = line.parse().with_context(|| format!("{log}: {line:?} after {last}"))?;
        ensure!(number == last || number == last + 1, "{log}: {number} after {last}");
        last = number;
    }
    Ok(())
}

#[test]
fn what_was_written_until_a_failed_start_is_there_when_the_old_one_serves_again() -> Result<()> {
    let sandbox = Sandbox::new("live undone")?;
    let docker = sandbox.docker();
    let volume = sandbox.volume("data")?;
    let options = ["--volume", &format!("{volume}:/data"), "--stop-timeout", "30"];
    let web = sandbox.run("web", &options, &image("v1")?, &[])?;
    wait_for_lines(docker, &web, "/data/log", 50)?;
    let broken =
        Image::busybox("broken")?.set("CMD [\"sh\", \"-c\", \"echo 999999 >>/data/log; exit 3\"]").build()?;

    let answer = Operator::new(&sandbox)?.redeploy(&web, &broken, &[])?;

    answer.undone()?;
    sandbox.wait_for_state(&web, "running", Duration::ZERO)?;
    let at_return = docker.exec(&web, &["tail", "-n", "1", "/data/log"])?.trim().parse::<u64>()?;
    wait_for_lines(docker, &web, "/data/log", at_return + 20)?;
    for log in ["/srv/keep/log", "/etc/app.log", "/data/log"] {
        is_unbroken(&docker.root(&web)?, log)?;
    }
    Ok(())
}
