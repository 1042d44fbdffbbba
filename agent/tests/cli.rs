//! The program as scripts see it, as far as that needs no engine: exit codes, what goes to which output, and that
//! secrets go to neither.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use redeploy_agent::lock::Lock;
use redeploy_agent::paths::DataDir;
use redeploy_agent::saga::{Event, Journal, Outcome, Reason, SagaKind};
use serde_json::Value;

const PLAN: &str = include_str!("../src/cli/samples/plan.json");
const ID: &str = "0193a1b2-7c00-7000-8000-0123456789ab";

/// How it ended.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// Runs the program with these lines on stdin and none of our variables.
#[expect(clippy::disallowed_methods, reason = "the program under test is started, not used by the agent")]
fn run_with(arguments: &[&str], variables: &[(&str, &str)], stdin: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redeploy-agent"));
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("REDEPLOY_") || name == "DOCKER_HOST")
    {
        command.env_remove(name);
    }
    command.args(arguments).envs(variables.iter().copied());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may end without reading.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().expect("ended by a signal"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, &[], "")
}

impl Ran {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    fn events(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

/// A data directory with one redeploy that was cancelled and undone.
fn with_one_redeploy(root: &Path) -> DataDir {
    let data = DataDir::new(root);
    let id = ID.parse().unwrap();
    let dir = data.redeploy(id);
    redeploy_agent::durable::create_dir(dir.root()).unwrap();
    redeploy_agent::durable::write(&dir.plan(), PLAN.as_bytes()).unwrap();
    let opened = Event::Opened { version: 1, id, kind: SagaKind::Redeploy };
    let mut journal = Journal::create(&dir.journal(), opened).unwrap();
    journal.append(Event::TurnedBack { reason: Reason::Cancelled }).unwrap();
    journal.append(Event::Closed { outcome: Outcome::Undone }).unwrap();
    data
}

// === usage ===

#[test]
fn wrong_arguments_are_64_and_say_why_on_stderr_only() {
    for arguments in [
        &[][..],
        &["dance"],
        &["redeploy", "--container", "web"],
        &["plan", "--container", "web", "--image", "web:2", "--registry-user", "ci"],
        &["plan", "--container", "web", "--image", "web:2", "--verify-timeout", "5"],
    ] {
        let ran = run(arguments).expect(64);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{arguments:?}: {}", ran.out);
    }
}

#[test]
fn help_and_version_are_0_and_help_names_the_exit_codes() {
    assert!(run(&["--version"]).expect(0).out.starts_with("redeploy-agent "));
    let help = run(&["--help"]).expect(0).out;
    for code in ["  0   ", "  1   ", "  2   ", "  3   ", "  64  "] {
        assert!(help.contains(code), "{help}");
    }
    for verb in ["plan", "redeploy", "revert", "history", "show", "recover", "prune", "check-conf"] {
        let help = run(&[verb, "--help"]).expect(0).out;
        assert!(help.contains("Examples:") && help.contains("Exit code"), "{help}");
    }
}

#[test]
fn a_wrong_configuration_is_64_with_every_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    redeploy_agent::durable::write(&file, b"parked_max = 99\ncolour = 1\n").unwrap();
    let ran = run(&["--config", file.to_str().unwrap(), "history"]).expect(64);
    assert!(ran.err.contains("parked_max") && ran.err.contains("colour"), "{}", ran.err);
    let missing = run(&["--config", "/no/such/file", "history"]).expect(64);
    assert!(missing.err.contains("/no/such/file"), "{}", missing.err);
}

#[test]
fn options_stand_above_variables_even_wrong_ones() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let variables = [("REDEPLOY_DATA_DIR", "not/absolute"), ("DOCKER_HOST", "tcp://10.0.0.1:2375")];
    run_with(&["history"], &variables, "").expect(64);
    let options = ["--data-dir", data, "--docker-socket", "/nowhere.sock", "history"];
    run_with(&options, &variables, "").expect(0);
}

#[test]
#[cfg(debug_assertions)]
fn a_fault_that_is_none_is_64() {
    let ran = run_with(&["recover"], &[("REDEPLOY_TEST_FAULTS", "explode")], "").expect(64);
    assert!(ran.err.contains("explode"), "{}", ran.err);
}

// === refusals ===

#[test]
fn no_engine_is_refused_and_the_password_appears_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let base =
        ["--data-dir", data, "--docker-socket", "/nowhere.sock", "-vv", "redeploy", "--container", "web"];
    let more = ["--image", "web:2", "--registry-user", "ci", "--registry-password-stdin"];
    let arguments = [base.as_slice(), more.as_slice()].concat();
    let people = run_with(&arguments, &[], "hunter2\n").expect(2);
    assert!(people.err.contains("Refused, nothing was touched") && people.out.is_empty(), "{}", people.err);
    let programs = run_with(&[arguments.as_slice(), &["--json"]].concat(), &[], "hunter2\n").expect(2);
    let events = programs.events();
    assert_eq!(events.len(), 1, "{}", programs.out);
    assert_eq!(events[0]["event"], "refused");
    assert_eq!(events[0]["reasons"].as_array().unwrap().len(), 1);
    for text in [people.out, people.err, programs.out, programs.err] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    run_with(&arguments, &[], "").expect(64);
}

#[test]
fn a_held_lock_refuses_whoever_acts_and_nobody_who_looks() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let _held = Lock::take(&data).unwrap();
    let options = ["--data-dir", dir.path().to_str().unwrap(), "--docker-socket", "/nowhere.sock"];
    for verb in [
        &["recover"][..],
        &["prune"],
        &["redeploy", "--container", "web", "--image", "web:2"],
        &["revert", "--container", "web"],
    ] {
        let ran = run(&[options.as_slice(), verb].concat()).expect(2);
        let says_who = ran.err.contains(&std::process::id().to_string());
        assert!(says_who || ran.err.contains("needs root"), "{}", ran.err);
    }
    run(&[options.as_slice(), &["history"]].concat()).expect(0);
}

// === history and show ===

#[test]
fn an_empty_history_is_no_error_and_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let ran = run(&["--data-dir", data.to_str().unwrap(), "history"]).expect(0);
    assert_eq!(ran.out, "Nothing has been done yet.\n");
    assert_eq!(run(&["--data-dir", data.to_str().unwrap(), "history", "--json"]).expect(0).out, "");
    assert!(!data.exists());
}

#[test]
fn history_lists_the_sound_and_the_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let data = with_one_redeploy(dir.path());
    let broken = data.redeploy("0193a1b2-7c00-7000-8000-000000000001".parse().unwrap());
    redeploy_agent::durable::create_dir(broken.root()).unwrap();
    redeploy_agent::durable::write(&broken.plan(), b"{}").unwrap();
    redeploy_agent::durable::write(&broken.journal(), b"").unwrap();
    let options = ["--data-dir", dir.path().to_str().unwrap(), "history"];
    let people = run(&options).expect(0);
    assert!(people.out.contains("456789ab  ") && people.out.contains("undone"), "{}", people.out);
    assert!(people.out.contains("damaged: "), "{}", people.out);
    let events = run(&[options.as_slice(), &["--json"]].concat()).expect(0).events();
    let kinds: Vec<&Value> = events.iter().map(|event| &event["event"]).collect();
    assert_eq!(kinds, ["entry", "damaged"]);
    assert_eq!((&events[0]["id"], &events[0]["verdict"]), (&ID.into(), &"undone".into()));
    let other = run(&[options.as_slice(), &["--container", "db", "--json"]].concat()).expect(0).events();
    assert!(other.iter().all(|event| event["event"] == "damaged"), "{other:?}");
}

#[test]
fn show_finds_by_beginning_or_end_and_masks() {
    let dir = tempfile::tempdir().unwrap();
    with_one_redeploy(dir.path());
    let options = ["--data-dir", dir.path().to_str().unwrap(), "show"];
    for id in [ID, "456789ab", "0193"] {
        let ran = run(&[options.as_slice(), &[id]].concat()).expect(0);
        assert!(ran.out.starts_with("Undone: ") && ran.out.contains("it was cancelled"), "{}", ran.out);
        assert!(!ran.out.contains("hunter2"), "{}", ran.out);
    }
    let ran = run(&[options.as_slice(), &["456789ab", "--json"]].concat()).expect(0);
    let events = ran.events();
    let kinds: Vec<&Value> = events.iter().map(|event| &event["event"]).collect();
    assert_eq!(kinds, ["plan", "report"]);
    assert_eq!(events[0]["incoming"]["new"]["recreation"]["body"]["Env"][0], "PASSWORD=…");
    assert!(!ran.out.contains("hunter2"), "{}", ran.out);
    run(&[options.as_slice(), &["ffff"]].concat()).expect(2);
}

#[test]
fn a_report_on_disk_is_shown_while_it_is_the_journals_last_word() {
    let dir = tempfile::tempdir().unwrap();
    let data = with_one_redeploy(dir.path());
    let options = ["--data-dir", dir.path().to_str().unwrap(), "show", ID];
    let json = [options.as_slice(), &["--json"]].concat();
    let mut report = run(&json).expect(0).events().remove(1);
    report.as_object_mut().unwrap().remove("event");
    report["warnings"] = serde_json::json!(["as it was written"]);
    let file = data.redeploy(ID.parse().unwrap()).report();
    redeploy_agent::durable::write(&file, report.to_string().as_bytes()).unwrap();
    assert!(run(&options).expect(0).out.contains("as it was written"));
    report["ended_at"] = "2001-01-01T00:00:00Z".into();
    redeploy_agent::durable::write(&file, report.to_string().as_bytes()).unwrap();
    assert!(!run(&options).expect(0).out.contains("as it was written"));
}

// === check-conf ===

#[test]
fn check_conf_is_0_without_and_1_with_something_to_change() {
    let good = run_with(&["check-conf", "-"], &[], "# ours\n/srv/data\nbackup:/etc/app.conf\n").expect(0);
    assert!(good.out.contains("  /srv/data  (line 2)"), "{}", good.out);
    assert!(good.out.contains("  /etc/app.conf  (line 3)"), "{}", good.out);
    let odd = run_with(&["check-conf", "-"], &[], "srv/data\n").expect(1);
    assert!(odd.out.starts_with("line 1: warning: "), "{}", odd.out);
}

#[test]
fn check_conf_knows_a_home_only_when_told() {
    run_with(&["check-conf", "-"], &[], "${home}/app\n").expect(1);
    let told = run_with(&["check-conf", "-", "--home", "/home/app", "--json"], &[], "${home}/x\n").expect(0);
    let events = told.events();
    assert_eq!(events[0]["event"], "preserve_list");
    assert!(events[0]["keep"].to_string().contains("/home/app/x"), "{}", told.out);
}

#[test]
fn check_conf_of_nothing_readable_is_64() {
    run(&["check-conf", "/no/such/file"]).expect(64);
    run(&["check-conf", "/"]).expect(64);
}

// === pages ===

#[test]
fn completions_and_manual_pages_are_made_for_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(run(&["completions", shell]).expect(0).out.contains("check-conf"), "{shell}");
    }
    assert!(run(&["man"]).expect(0).out.contains(".TH"));
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    run(&["man", pages.to_str().unwrap()]).expect(0);
    for page in ["redeploy-agent.1", "redeploy-agent-redeploy.1", "redeploy-agent-check-conf.1"] {
        let text = std::fs::read_to_string(pages.join(page)).expect(page);
        assert!(text.contains(".TH"), "{page}");
    }
    run(&["man", "/dev/null/pages"]).expect(2);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the program under test is started, not used by the agent")]
fn a_reader_that_goes_away_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redeploy-agent"));
    let mut child =
        command.args(["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}
