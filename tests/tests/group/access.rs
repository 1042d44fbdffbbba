//! Who may do what from where: logging in, contexts, API tokens, and an admin token when the first is lost.

#![expect(clippy::disallowed_methods, reason = "a test starts programs as a person at a shell does")]

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use redeploy_tests::agent::built_beside_tests;
use redeploy_tests::fleet::{Fleet, lines};
use redeploy_tests::process::{Outcome, Running};
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait;

/// `redeployctl` of somebody who has a home and nothing else.
fn at_home(home: &Path, words: &[&str], token: Option<&str>) -> Result<Outcome> {
    let mut command = Command::new(built_beside_tests("redeployctl")?);
    for name in
        ["XDG_CONFIG_HOME", "REDEPLOY_COORDINATOR", "REDEPLOY_CA", "REDEPLOY_TOKEN_FILE", "REDEPLOY_CONTEXT"]
    {
        command.env_remove(name);
    }
    command.env("HOME", home).env_remove("REDEPLOY_TOKEN").args(words);
    command.envs(token.map(|token| ("REDEPLOY_TOKEN", token)));
    Running::spawn(command)?.wait(wait::PATIENCE)
}

fn fails(outcome: Outcome, code: i32, says: &str) -> Result<()> {
    let outcome = outcome.expect_code(code)?;
    ensure!(outcome.stderr.contains(says), "{says:?} is not said: {}", outcome.describe());
    ensure!(!outcome.stderr.contains("rda_"), "a token is shown: {}", outcome.describe());
    Ok(())
}

#[test]
fn an_operator_logs_in_once_and_a_token_does_only_what_it_allows() -> Result<()> {
    let sandbox = Sandbox::new("access")?;
    let mut fleet = Fleet::new(&sandbox)?;
    let home = sandbox.path().join("home");
    std::fs::create_dir(&home)?;
    let operators = fleet.operators()?.to_owned();
    let admin = std::fs::read_to_string(fleet.data_dir().join("admin.token"))?.trim().to_owned();
    fails(at_home(&home, &["whoami"], None)?, 64, "redeployctl login")?;

    // Known by its fingerprint, which it tells at its start; nobody else is told the token.
    let fingerprint = fleet.said("fingerprint ").context("no fingerprint")?;
    let login = ["login", operators.as_str(), "--name", "lab", "--ca-fingerprint"];
    let wrong = fingerprint.chars().rev().collect::<String>();
    fails(at_home(&home, &[&login[..], &[&wrong]].concat(), Some(&admin))?, 2, "UnknownIssuer")?;
    fails(
        at_home(&home, &[&login[..], &[&fingerprint]].concat(), Some("rda_wrong"))?,
        2,
        "a valid API token",
    )?;
    fails(at_home(&home, &["whoami"], None)?, 64, "redeployctl login")?;
    at_home(&home, &[&login[..], &[&fingerprint]].concat(), Some(&admin))?.expect_code(0)?;
    let me = at_home(&home, &["whoami", "--json"], None)?.expect_code(0)?.json()?;
    ensure!(me["name"] == "admin" && me["role"] == "admin", "{me}");

    // A token with a role, and no more.
    let made = ["token", "create", "ci", "--role", "viewer", "--expires", "1h", "-o", "json"];
    let made = at_home(&home, &made, None)?.expect_code(0)?.json()?;
    let viewer = made["token"].as_str().context("no token")?;
    at_home(&home, &["node", "list"], Some(viewer))?.expect_code(0)?;
    fails(at_home(&home, &["token", "list"], Some(viewer))?, 2, "a token of role admin is needed")?;
    let again = ["token", "create", "ci", "--role", "viewer"];
    fails(at_home(&home, &again, None)?, 2, "there is one already")?;
    fails(at_home(&home, &["token", "revoke", "ci"], None)?, 64, "--yes")?;
    fails(at_home(&home, &["token", "revoke", "cy", "--yes"], None)?, 2, "the nearest is \"ci\"")?;
    at_home(&home, &["token", "revoke", "ci", "--yes"], None)?.expect_code(0)?;
    fails(at_home(&home, &["node", "list"], Some(viewer))?, 2, "a valid API token is needed")?;

    // A context's token does not go to another coordinator.
    fails(at_home(&home, &["whoami", "--coordinator", "127.0.0.1:1"], None)?, 64, "no coordinator is known")?;
    let contexts = lines(&at_home(&home, &["context", "list", "--json"], None)?.expect_code(0)?)?;
    ensure!(contexts.len() == 1 && contexts[0]["is_current"] == true, "{contexts:?}");
    fails(at_home(&home, &["context", "use", "prod"], None)?, 64, "there are: lab")?;
    fails(at_home(&home, &["context", "remove", "lab"], None)?, 64, "--yes")?;
    at_home(&home, &["context", "remove", "lab", "--yes"], None)?.expect_code(0)?;
    fails(at_home(&home, &["whoami"], None)?, 64, "redeployctl login")?;

    // The first admin token is lost.
    let mut command = Command::new(built_beside_tests("redeploy-coordinator")?);
    command.arg("admin-token").arg("--data-dir").arg(fleet.data_dir());
    let made = Running::spawn(command)?.wait(wait::PATIENCE)?.expect_code(0)?;
    let file = made.stdout.trim().strip_prefix("token ").context("no file")?;
    let me = fleet.ctl(&["whoami", "--json", "--token-file", file])?.expect_code(0)?.json()?;
    ensure!(me["name"] == "admin-1" && me["role"] == "admin", "{me}");
    fleet.stop_coordinator()
}

#[test]
fn what_is_wrong_is_told_with_the_rule_before_anybody_is_asked() -> Result<()> {
    let sandbox = Sandbox::new("bad words")?;
    let home = sandbox.path();
    let deploy = ["deploy", "--env", "shop", "--group", "cp", "--tag", "2"];
    for (more, rule) in [
        (&["--delay", "-5s"][..], "a delay is from"),
        (&["--delay", "99999h"], "a delay is from"),
        (&["--parallel", "0"], "a number from 1"),
        (&["--image", "a:1"], "cannot be used with"),
        (&["--login-user", "u"], "--password-stdin"),
    ] {
        fails(at_home(home, &[&deploy[..], more].concat(), None)?, 64, rule)?;
    }
    fails(at_home(home, &["plan", "--node", "1", "--image", "Web"], None)?, 64, "lower-case")?;
    for words in [&["cancel", "abcd"][..], &["rollback", "abcd"], &["revert", "1"], &["host", "revoke", "h"]]
    {
        fails(at_home(home, words, None)?, 64, "say --yes")?;
    }
    let script = at_home(home, &["completions", "bash"], None)?.expect_code(0)?;
    ensure!(script.stdout.contains("_redeployctl()"), "{}", script.describe());
    Ok(())
}
