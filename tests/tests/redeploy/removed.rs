//! Containers that were started with `--rm`: the engine removes them when they stop, and with it everything that was only
//! in them, unless that was copied before.

use anyhow::{Context, Result, ensure};
use redeploy_tests::engine::Docker;
use redeploy_tests::images::Image;
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;

/// A container with `--rm`, of v1, with a named and an anonymous volume, and with what a user changes in it. Told to
/// stop, it says good-bye in all of them.
struct Shop {
    sandbox: Sandbox,
    operator: Operator,
    web: String,
}

/// The places where it is written, kept by the list or not.
const KEPT: &str = "/etc/mine";
const UNLISTED: &str = "/etc/unlisted";
const NAMED: &str = "/data/rows";
const ANONYMOUS: &str = "/anonymous/rows";

fn image(tag: &str) -> Result<Image> {
    let bye = [KEPT, UNLISTED, NAMED, ANONYMOUS].map(|path| format!("echo bye >>{path}")).join("; ");
    let serve = format!("trap '{bye}; exit 0' TERM; while :; do sleep 1000 & wait $!; done");
    Ok(Image::busybox(tag)?
        .file("/etc/jelastic/redeploy.conf", "/etc/mine\n")
        .file("/etc/shipped", "x")
        .set(&format!("CMD [\"sh\", \"-c\", \"{serve}\"]")))
}

impl Shop {
    fn open(test: &str) -> Result<Self> {
        let sandbox = Sandbox::new(test)?;
        let named = format!("{}:/data", sandbox.volume("data")?);
        let options = ["--rm", "-v", &named, "-v", "/anonymous", "-e", "COLOUR=blue"];
        let web = sandbox.run("web", &options, &image("v1")?.build()?, &[])?;
        let shop = Self { operator: Operator::new(&sandbox)?, sandbox, web };
        shop.sh(&format!(
            "for at in {KEPT} {UNLISTED} {NAMED} {ANONYMOUS}; do echo mine >$at; done; rm /etc/shipped; \
             ln {UNLISTED} /etc/second; chmod 700 /etc"
        ))?;
        Ok(shop)
    }

    fn docker(&self) -> Docker {
        self.sandbox.docker()
    }

    fn sh(&self, command: &str) -> Result<String> {
        self.docker().exec(&self.web, &["sh", "-c", command])
    }

    /// How often it said good-bye there, on top of what the user wrote.
    fn byes(&self, path: &str, wanted: usize) -> Result<()> {
        let text = self.sh(&format!("cat {path}"))?;
        ensure!(text == format!("mine{}", "\nbye".repeat(wanted)), "{path}: {text:?}");
        Ok(())
    }

    /// This version serves, started with `--rm`, after so many stops in which it said good-bye.
    fn serves(&self, tag: &str, stops: usize) -> Result<()> {
        ensure!(self.sh("cat /etc/motd")? == format!("busybox {tag}"));
        let seen = self.docker().inspect(&self.web)?;
        ensure!(seen["HostConfig"]["AutoRemove"] == true, "{:#?}", seen["HostConfig"]);
        ensure!(seen["Config"]["Env"].to_string().contains("COLOUR=blue"));
        [KEPT, NAMED, ANONYMOUS].into_iter().try_for_each(|path| self.byes(path, stops))
    }

    /// The rest of the root is the user's, too.
    fn has_whole_root(&self, stops: usize) -> Result<()> {
        self.byes(UNLISTED, stops)?;
        self.byes("/etc/second", stops)?;
        ensure!(
            self.sh("stat -c %h /etc/second; stat -c %a /etc; ls /etc/shipped || echo gone")?
                == "2\n700\ngone"
        );
        Ok(())
    }

    fn containers(&self, count: usize) -> Result<()> {
        let names = self.sandbox.containers()?;
        ensure!(names.len() == count, "{names:?}");
        Ok(())
    }
}

#[test]
fn it_is_redeployed_and_reverted_with_all_its_data() -> Result<()> {
    let shop = Shop::open("rm")?;
    let report = shop.operator.redeploy(&shop.web, &image("v2")?.build()?, &[])?.done()?;
    shop.serves("v2", 1)?;
    ensure!(shop.sh(&format!("cat {UNLISTED} || echo new"))? == "new");
    ensure!(report.warnings.iter().any(|warning| warning.contains("--rm")), "{:?}", report.warnings);
    let parked = report.parked.context("nothing parked")?;
    ensure!(shop.docker().inspect(&parked)?["State"]["Status"] == "created");
    shop.containers(2)?;

    // Back: as it was when it ended. The volumes have seen v2's end as well.
    shop.operator.revert(&shop.web, &["--volumes=keep"])?.done()?;
    shop.has_whole_root(1)?;
    shop.byes(KEPT, 1)?;
    [NAMED, ANONYMOUS].into_iter().try_for_each(|path| shop.byes(path, 2))?;
    shop.containers(2)?;

    // And forth again.
    shop.operator.revert(&shop.web, &[])?.done()?;
    ensure!(shop.sh("cat /etc/motd")? == "busybox v2");
    shop.byes(KEPT, 2)?;
    [NAMED, ANONYMOUS].into_iter().try_for_each(|path| shop.byes(path, 3))?;
    shop.containers(2)
}

#[test]
fn when_its_successor_fails_it_is_made_anew_with_its_whole_root() -> Result<()> {
    let shop = Shop::open("rm fails")?;
    let spoils = "echo spoilt >/data/rows; echo spoilt >/anonymous/rows; echo cannot go on; exit 3";
    let broken = image("broken")?.set(&format!("CMD [\"sh\", \"-c\", \"{spoils}\"]")).build()?;
    let report = shop.operator.redeploy(&shop.web, &broken, &[])?.undone()?;
    shop.serves("v1", 1)?;
    shop.has_whole_root(1)?;
    shop.containers(1)?;
    let failure = report.failure.context("no failure")?;
    ensure!(failure.reason.contains("exited with code 3"), "{}", failure.reason);
    let last_words = failure.last_words.context("no last words")?;
    ensure!(last_words.contains("exit code 3") && last_words.contains("cannot go on"), "{last_words}");
    let note = failure.made_anew.context("it is not said that it was made anew")?;
    ensure!(note.contains("--rm") && note.contains("whole root") && !note.contains("missing"), "{note}");
    // It is a container like any other.
    shop.operator.redeploy(&shop.web, &image("v2")?.build()?, &[])?.done()?;
    shop.serves("v2", 2)
}

#[test]
fn what_its_failed_successor_took_in_is_kept_beside() -> Result<()> {
    let shop = Shop::open("rm probe")?;
    let takes = "trap 'exit 0' TERM; echo upload >/etc/mine; echo upload >/fresh/upload; echo hello; sleep 1000 & wait";
    let image =
        image("deaf")?.set("VOLUME /fresh").set(&format!("CMD [\"sh\", \"-c\", \"{takes}\"]")).build()?;
    let words = ["--probe=tcp://:81", "--verify-timeout=1s"];
    let report = shop.operator.redeploy(&shop.web, &image, &words)?.undone()?;
    shop.serves("v1", 1)?;
    let failure = report.failure.context("no failure")?;
    let last_words = failure.last_words.context("no last words")?;
    ensure!(last_words.contains("hello") && last_words.contains("still ran"), "{last_words}");
    let archives = shop.operator.dir_of(report.id).archives();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&archives)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    for stem in ["paths.failed", "fresh-volume-0-"] {
        ensure!(names.iter().any(|name| name.starts_with(stem)), "{stem}: {names:?}");
    }
    Ok(())
}

fn killed_at(records: &[u32]) -> Result<()> {
    for record in records {
        let shop = Shop::open(&format!("rm kill {record}"))?;
        let v2 = image("v2")?.build()?;
        shop.operator.redeploy_killed_at(&shop.web, &v2, *record)?;
        shop.operator.recover()?.undone()?;
        // Killed before its stop it has not said good-bye. Killed in the middle of it, the last word may be lost where
        // it was only in the root; what was there before never is.
        let said = shop.sh(&format!("cat {NAMED}"))?.lines().count() - 1;
        ensure!(said <= 1, "record {record}: it was stopped {said} times");
        shop.byes(ANONYMOUS, said)?;
        for path in [KEPT, UNLISTED] {
            let text = shop.sh(&format!("cat {path}"))?;
            ensure!(
                text == "mine" || (text == "mine\nbye" && said == 1),
                "record {record}: {path}: {text:?}"
            );
        }
        let text = shop.sh("cat /etc/motd; stat -c %a /etc; ls /etc/shipped || echo gone")?;
        ensure!(text == "busybox v1\n700\ngone", "record {record}: {text}");
        shop.containers(1)?;
    }
    Ok(())
}

#[test]
fn killed_before_its_stop_it_is_as_it_was() -> Result<()> {
    killed_at(&[2, 6])
}

#[test]
fn killed_while_it_is_held_it_is_made_anew() -> Result<()> {
    killed_at(&[7, 8, 9])
}

#[test]
fn killed_when_it_is_gone_it_is_made_anew() -> Result<()> {
    killed_at(&[10, 12])
}

/// The new one may have served by then, so it goes on: with what the old one wrote last, and the stand-in as its way back.
#[test]
fn killed_when_the_new_one_was_started_it_goes_on() -> Result<()> {
    let shop = Shop::open("rm kill late")?;
    let v2 = image("v2")?.build()?;
    shop.operator.redeploy_killed_at(&shop.web, &v2, 14)?;
    shop.operator.recover()?.done()?;
    shop.serves("v2", 1)?;
    shop.containers(2)
}

#[test]
fn one_that_others_lean_on_or_that_nobody_can_signal_is_refused() -> Result<()> {
    let shop = Shop::open("rm refused")?;
    let v2 = image("v2")?.build()?;
    let network = format!("container:{}", shop.web);
    let side = shop.sandbox.run("side", &["--network", &network], &image("v1")?.build()?, &[])?;
    let text = shop.operator.redeploy(&shop.web, &v2, &[])?.refused()?;
    ensure!(text.contains("--rm") && text.contains("lean on it"), "{text}");
    shop.docker().call(&["rm", "--force", &side])?;
    let options = ["--rm", "--stop-signal", "SIGRTMIN+3"];
    let odd = shop.sandbox.run("odd", &options, &image("v1")?.build()?, &[])?;
    let text = shop.operator.redeploy(&odd, &v2, &[])?.refused()?;
    ensure!(text.contains("--rm") && text.contains("stop signal"), "{text}");
    shop.serves("v1", 0)
}
