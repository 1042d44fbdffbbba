//! Every argument, right and wrong.

use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("redeploy-agent").chain(line.split_whitespace()))
}

fn what(line: &str) -> What {
    let parsed = parse(&format!("plan --container web --image web:2 {line}")).unwrap();
    let Verb::Plan(args) = parsed.verb else { panic!("not a plan") };
    args.what
}

#[test]
fn the_description_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn a_redeploy_with_nothing_said_keeps_volumes_and_asks_the_registry() {
    let what = what("");
    assert!(what.use_existing_volumes && !what.skip_reinstall && !what.archive_binds);
    assert_eq!((what.container.as_str(), what.image.as_str()), ("web", "web:2"));
    assert_eq!((what.pull, what.registry_user, what.verify.verify_timeout), (PullPolicy::Auto, None, None));
    assert!(what.verify.probe.is_none());
}

#[test]
fn every_option_of_a_redeploy_arrives() {
    assert!(!what("--use-existing-volumes=false").use_existing_volumes);
    assert!(what("--use-existing-volumes=true").use_existing_volumes);
    assert!(what("--use-existing-volumes").use_existing_volumes);
    assert!(what("--skip-reinstall").skip_reinstall);
    assert!(what("--archive-binds").archive_binds);
    assert_eq!(what("--pull never").pull, PullPolicy::Never);
    assert_eq!(what("--verify-timeout 90s").verify.verify_timeout, Some(Duration::from_secs(90)));
    let probe = what("--probe http://:8080/healthz").verify.probe.unwrap();
    assert_eq!(probe.to_string(), "http://:8080/healthz");
    let with_user = what("--registry-user ci --registry-password-stdin");
    assert!(with_user.registry_password_stdin && with_user.registry_user.as_deref() == Some("ci"));
    let Verb::Redeploy(args) = parse("redeploy --container web --image web:2 --dry-run --json").unwrap().verb
    else {
        panic!("not a redeploy")
    };
    assert!(args.dry_run && args.json.json);
}

#[test]
fn every_option_of_a_revert_arrives() {
    let line =
        "revert --container web --volumes restore --verify-timeout 2m --probe tcp://:5432 --dry-run --json";
    let Verb::Revert(args) = parse(line).unwrap().verb else { panic!("not a revert") };
    assert_eq!((args.container.as_str(), args.volumes), ("web", VolumeData::Restore));
    assert_eq!(args.verify.verify_timeout, Some(Duration::from_secs(120)));
    assert_eq!(args.verify.probe.unwrap().to_string(), "tcp://:5432");
    assert!(args.dry_run && args.json.json);
    let Verb::Revert(args) = parse("revert --container web").unwrap().verb else { panic!("not a revert") };
    assert!(args.volumes == VolumeData::Keep && !args.dry_run && !args.json.json);
}

#[test]
fn the_other_commands_take_theirs() {
    let verb = |line: &str| parse(line).unwrap().verb;
    assert!(matches!(verb("history --container web --json"),
        Verb::History(args) if args.container.as_deref() == Some("web") && args.json.json));
    assert!(matches!(verb("history"), Verb::History(args) if args.container.is_none()));
    assert!(
        matches!(verb("show 456789ab --json"), Verb::Show(args) if args.id == "456789ab" && args.json.json)
    );
    assert!(matches!(verb("recover --json"), Verb::Recover(JsonArg { json: true })));
    assert!(matches!(verb("prune"), Verb::Prune(JsonArg { json: false })));
    assert!(matches!(verb("check-conf - --home /home/app"), Verb::CheckConf(args)
        if args.home.as_ref().is_some_and(|home| home.to_string() == "/home/app")));
    assert!(matches!(verb("completions bash"), Verb::Completions { shell: clap_complete::Shell::Bash }));
    assert!(matches!(verb("man"), Verb::Man { dir: None }));
    assert!(matches!(verb("man /tmp/pages"), Verb::Man { dir: Some(_) }));
}

#[test]
fn global_options_stand_on_either_side_of_the_command() {
    let options = "--config /c.toml --data-dir /data --docker-socket unix:///run/d.sock -vv --color never";
    for line in [format!("{options} history"), format!("history {options}")] {
        let global = parse(&line).unwrap().global;
        assert_eq!(global.config.as_deref(), Some(std::path::Path::new("/c.toml")));
        assert_eq!(global.data_dir.as_deref(), Some("/data"));
        assert_eq!(global.docker_socket.as_deref(), Some("/run/d.sock"));
        assert_eq!((global.verbose, global.color), (2, Color::Never));
    }
    let relative = parse("--data-dir data history").unwrap().global.data_dir.unwrap();
    assert!(std::path::Path::new(&relative).is_absolute(), "{relative}");
}

#[test]
fn what_is_wrong_is_refused() {
    let full = "redeploy --container web --image web:2";
    for line in [
        "",
        "redeploy",
        "redeploy --container web",
        "redeploy --image web:2",
        "redeploy --container= --image web:2",
        "redeploy --container web --image Not/An:Image:Reference",
        "history --volumes keep",
        "revert --container web --volumes lose",
        "show",
        "show a b",
        "check-conf",
        "check-conf - --home /a/../b",
        "completions klingon",
        "--color sometimes history",
        "--docker-socket tcp://10.0.0.1:2375 history",
        "--data-dir= history",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
    for option in [
        "--use-existing-volumes=perhaps",
        "--use-existing-volumes false",
        "--pull sometimes",
        "--registry-user ci",
        "--registry-password-stdin",
        "--registry-password secret",
        "--verify-timeout 5",
        "--verify-timeout 0s",
        "--verify-timeout 25h",
        "--probe ftp://:21",
        "--probe http://:0/",
    ] {
        assert!(parse(&format!("{full} {option}")).is_err(), "{option}");
    }
}

#[test]
fn every_command_explains_itself() {
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        assert!(command.get_about().is_some(), "{name}");
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(after.contains("Examples:\n  ") || name == "help", "{name}: {after}");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{name} {argument}");
        }
    }
}
