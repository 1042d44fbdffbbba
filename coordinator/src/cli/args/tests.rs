//! What the command line understands, and what it refuses with which rule.

use clap::CommandFactory;

use super::*;

fn parse(words: &[&str]) -> Result<Cli, String> {
    let words = std::iter::once(&"redeployctl").chain(words);
    Cli::try_parse_from(words).map_err(|error| error.to_string())
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn parallel_is_a_number_a_percentage_or_all() {
    assert_eq!(parsers::parallel("3"), Ok(Parallel::Nodes(3)));
    assert_eq!(parsers::parallel("25%"), Ok(Parallel::Percent(25)));
    assert_eq!(parsers::parallel("all"), Ok(Parallel::All));
    for text in ["0", "0%", "101%", "-1", "", "%", "x", "1.5", "4294967296"] {
        assert!(parsers::parallel(text).is_err(), "{text}");
    }
}

#[test]
fn what_a_deploy_needs_is_asked_for() {
    let good = ["deploy", "--env", "shop", "--group", "cp", "--tag", "2"];
    assert!(parse(&good).is_ok());
    assert!(parse(&good[..5]).is_err(), "neither image nor tag");
    assert!(parse(&[&good[..], &["--image", "a:1"]].concat()).is_err(), "both");
    assert!(parse(&["deploy", "--tag", "2"]).is_err(), "no target");
    assert!(parse(&["deploy", "--node", "1", "--tag", "2"]).is_ok());
    assert!(parse(&[&good[..], &["--login-user", "u"]].concat()).is_err(), "no password");
    assert!(parse(&[&good[..], &["--password-stdin"]].concat()).is_err(), "no user");
}

#[test]
fn what_breaks_a_rule_is_refused_with_it() {
    let deploy = ["deploy", "--env", "shop", "--group", "cp"];
    for (words, rule) in [
        (&["--tag", "a b"][..], "a tag has 1 to 128"),
        (&["--tag", "web:2"], "more than a tag"),
        (&["--image", "Web"], "lower-case"),
        (&["--image", "web@sha256:1"], "a digest"),
        (&["--tag", "2", "--delay", "-5s"], "a delay is from 0s to 1day"),
        (&["--tag", "2", "--delay", "9000years"], "a delay is from"),
        (&["--tag", "2", "--delay", "5"], "with its unit"),
        (&["--tag", "2", "--deadline", "0s"], "a deadline is from 1s to 7days"),
        (&["--tag", "2", "--parallel", "0"], "a number from 1"),
        (&["--tag", "2", "--parallel", "-1"], "a number from 1"),
        (&["--tag", "2", "--probe", "ftp://:1"], "write http://"),
        (&["--tag", "2", "--env", "a b"], "the name of an environment"),
        (&["--tag", "2", "--node", "0"], "0 is not in 1"),
    ] {
        let words = if words.contains(&"--env") {
            [&["deploy"][..], words].concat()
        } else {
            [&deploy[..], words].concat()
        };
        let error = parse(&words).unwrap_err();
        assert!(error.contains(rule), "{words:?}: {error}");
    }
}

#[test]
fn every_form_of_output_can_be_said_before_and_after_the_command() {
    for words in [&["--json", "whoami"][..], &["whoami", "-o", "json"], &["whoami", "--output=json"]] {
        assert_eq!(parse(words).unwrap().global.output(), Output::Json);
    }
    assert_eq!(parse(&["whoami"]).unwrap().global.output(), Output::Table);
}

#[test]
fn a_fingerprint_may_have_colons() {
    let plain = "ab".repeat(32);
    let colons = vec!["AB"; 32].join(":");
    assert_eq!(parsers::fingerprint(&plain), parsers::fingerprint(&colons));
    assert_eq!(parsers::fingerprint(&format!("sha256:{plain}")).unwrap().0, [0xab; 32]);
    for text in ["", "ab", &plain[1..], &plain.replace('a', "g")] {
        assert!(parsers::fingerprint(text).is_err(), "{text}");
    }
}
