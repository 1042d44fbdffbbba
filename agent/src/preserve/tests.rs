//! The grammar row by row, folding, and limits.

mod any_bytes;
mod second_look;
mod words;

use std::time::{Duration, Instant};

use super::*;

fn path(text: &str) -> GuestPath {
    GuestPath::new(text).unwrap()
}

/// Lists without entries of their own, so that tests see only what they wrote.
fn bare() -> Defaults {
    Defaults { keep: Vec::new(), ..Defaults::built_in() }
}

fn read(text: impl AsRef<[u8]>) -> PreserveList {
    parse(text.as_ref(), Some(&path("/home/web")), &bare())
}

/// Kept paths that came from lines.
fn kept(list: &PreserveList) -> Vec<String> {
    let from_line = |entry: &&KeepEntry| matches!(entry.origin, Origin::Line(_));
    list.keep.iter().filter(from_line).map(|entry| entry.path.to_string()).collect()
}

fn backups(list: &PreserveList) -> Vec<String> {
    list.backup.iter().map(|entry| entry.path.to_string()).collect()
}

fn kinds(list: &PreserveList) -> Vec<FindingKind> {
    list.findings.iter().map(|finding| finding.kind.clone()).collect()
}

#[test]
fn the_built_in_lists_are_valid_and_agree_with_each_other() {
    let defaults = Defaults::built_in();
    assert!(defaults.keep.contains(&path("/var/lib/jelastic")));
    assert_eq!(defaults.exclude, [path("/var/lib/jelastic/overrides")]);
    for kept in &defaults.keep {
        assert!(!kept.is_root() && !defaults.is_engine_owned(kept), "{kept}");
    }
}

#[test]
fn lines_that_are_understood() {
    for (text, keep, backup) in [
        (&b""[..], vec![], vec![]),
        (b"\n\n \t\n", vec![], vec![]),
        (b"# /etc/a\n  # /etc/b\n#", vec![], vec![]),
        (b"/etc/a\n/etc/b\n", vec!["/etc/a", "/etc/b"], vec![]),
        (b"/etc/a", vec!["/etc/a"], vec![]),
        (b"/etc/a\r\n/etc/b\r\n", vec!["/etc/a", "/etc/b"], vec![]),
        (b"  /etc/a\t \n", vec!["/etc/a"], vec![]),
        (b"\xef\xbb\xbf/etc/a\n", vec!["/etc/a"], vec![]),
        (b"\xef\xbb\xbf# comment\n", vec![], vec![]),
        (b"/var/www/.ssh/\n/opt//etc/\n", vec!["/opt/etc", "/var/www/.ssh"], vec![]),
        (b"/etc/caf\xe9\n", vec!["/etc/caf\\xe9"], vec![]),
        (b"/etc/my file\n", vec!["/etc/my file"], vec![]),
        (b"/opt/a/..b/c\n", vec!["/opt/a/..b/c"], vec![]),
        (b"/opt/cash$\n/opt/a$1\n", vec!["/opt/a$1", "/opt/cash$"], vec![]),
        (b"backup:/etc/php.ini\n", vec![], vec!["/etc/php.ini"]),
        (b"backup: /etc/php.ini\n", vec![], vec!["/etc/php.ini"]),
        (b"  backup:\t/etc//php.ini \r\n", vec![], vec!["/etc/php.ini"]),
        (b"backup:${home}/.rc", vec![], vec!["/home/web/.rc"]),
        (b"${home}", vec!["/home/web"], vec![]),
        (b"${home}/lib/\n/${home}/.rc", vec!["/home/web/.rc", "/home/web/lib"], vec![]),
        (b"/etc", vec!["/etc"], vec![]),
        (b"/deviant", vec!["/deviant"], vec![]),
    ] {
        let list = read(text);
        assert_eq!((kept(&list), backups(&list)), (own(&keep), own(&backup)), "{}", text.escape_ascii());
        assert_eq!(list.findings, [], "{}", text.escape_ascii());
    }
}

fn own(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn lines_that_are_odd_yet_taken() {
    for (text, keep, kind) in [
        ("var/spool/cron/nodejs", "/var/spool/cron/nodejs", FindingKind::Relative),
        ("home/jelastic//.ssh2/", "/home/jelastic/.ssh2", FindingKind::Relative),
        ("/etc/a /etc/b", "/etc/a /etc/b", FindingKind::LooksGlued),
        ("/etc/abackup:/etc/b", "/etc/abackup:/etc/b", FindingKind::LooksGlued),
        ("/etc/a # mine", "/etc/a # mine", FindingKind::LooksCommented),
        ("/etc/*.conf", "/etc/*.conf", FindingKind::Wildcard),
    ] {
        let list = read(text);
        assert_eq!(kept(&list), [keep], "{text}");
        assert_eq!(kinds(&list), [kind], "{text}");
        assert_eq!(list.findings[0].line, Some(1));
    }
    let glued_without_a_blank = read("/etc/a/etc/b");
    assert_eq!(kept(&glued_without_a_blank), ["/etc/a/etc/b"]);
}

#[test]
fn lines_that_are_skipped() {
    let long = "/x".repeat(3000);
    for (text, kind) in [
        ("/", FindingKind::Root),
        ("//./", FindingKind::Root),
        (".", FindingKind::Root),
        ("backup:/", FindingKind::BackupIsDirectory),
        ("backup:", FindingKind::BackupWithoutPath),
        ("/etc/../root", FindingKind::Climbs),
        ("${home}/../root", FindingKind::Climbs),
        ("/etc/a\0b", FindingKind::Nul),
        ("$HOME/.rc", FindingKind::Variable),
        ("${HOME}/.rc", FindingKind::Variable),
        ("${homes}/.rc", FindingKind::Variable),
        ("${home}s/.rc", FindingKind::Variable),
        ("/srv/${home}/x", FindingKind::Variable),
        ("${home}/$USER", FindingKind::Variable),
        ("$(pwd)/a", FindingKind::Variable),
        ("~/.rc", FindingKind::Variable),
        ("backup:$WEBROOT/a", FindingKind::Variable),
        ("/etc/hosts", FindingKind::EngineOwned),
        ("/etc/hostname/", FindingKind::EngineOwned),
        ("backup:/etc/resolv.conf", FindingKind::EngineOwned),
        ("/proc", FindingKind::EngineOwned),
        ("/sys/fs/cgroup", FindingKind::EngineOwned),
        ("/dev/shm", FindingKind::EngineOwned),
        ("/.dockerenv", FindingKind::EngineOwned),
        (long.as_str(), FindingKind::PathTooLong),
    ] {
        let list = read(format!("# first\n{text}\n/etc/after\n"));
        assert_eq!(kept(&list), ["/etc/after"], "{text}");
        assert_eq!(list.backup, [], "{text}");
        assert_eq!(kinds(&list), [kind], "{text}");
        assert_eq!(list.findings[0].line, Some(2), "{text}");
    }
}

#[test]
fn a_home_that_is_unknown_or_the_root_is_not_used() {
    let unknown = parse(b"${home}/lib", None, &bare());
    assert_eq!((kept(&unknown), kinds(&unknown)), (vec![], vec![FindingKind::UnknownHome]));
    let root = parse(b"${home}/lib", Some(&GuestPath::root()), &bare());
    assert_eq!((kept(&root), kinds(&root)), (vec![], vec![FindingKind::HomeIsRoot]));
}

#[test]
fn the_file_itself_is_always_kept_and_listing_it_is_no_news() {
    for list in [without_file(&bare()), read(""), read(CONF_PATH)] {
        assert_eq!(list.keep, [KeepEntry { path: path(CONF_PATH), origin: Origin::AlwaysKept }]);
        assert_eq!(list.findings, []);
    }
}

#[test]
fn a_line_takes_the_place_of_an_equal_default_silently() {
    let list = parse(b"/etc/exports\n", None, &Defaults::built_in());
    let entry = list.keep.iter().find(|entry| entry.path == path("/etc/exports")).unwrap();
    assert_eq!(entry.origin, Origin::Line(1));
    assert_eq!(list.findings, []);
    assert_eq!(without_file(&Defaults::built_in()).keep.len(), Defaults::built_in().keep.len() + 1);
}

#[test]
fn duplicates_and_nested_entries_are_folded() {
    let list = read("/opt/app/conf\n/opt/app\n/opt/app/\n/opt/app-data\n");
    assert_eq!(kept(&list), ["/opt/app", "/opt/app-data"]);
    assert_eq!(
        kinds(&list),
        [FindingKind::AlreadyKept { by: "/opt/app".into() }, FindingKind::Duplicate { first_line: 2 }]
    );
    assert!(list.findings.iter().all(|finding| finding.severity == Severity::Info));
}

#[test]
fn what_is_kept_is_not_backed_up() {
    let list = read("backup:/etc/a\n/etc/a\n/opt\nbackup:/opt/x/y\nbackup:/srv/z\n");
    assert_eq!(kept(&list), ["/etc/a", "/opt"]);
    assert_eq!(backups(&list), ["/srv/z"]);
    assert_eq!(
        kinds(&list),
        [
            FindingKind::KeptAndBackup { by: "/etc/a".into() },
            FindingKind::KeptAndBackup { by: "/opt".into() }
        ]
    );
}

#[test]
fn the_nearest_entry_or_exclusion_decides() {
    let list = parse(b"/var/lib/jelastic/overrides/mine\n", None, &Defaults::built_in());
    assert_eq!(kept(&list), ["/var/lib/jelastic/overrides/mine"]);
    for (at, expected) in [
        ("/var/lib/jelastic", true),
        ("/var/lib/jelastic/keys/a", true),
        ("/var/lib/jelastic/overrides", false),
        ("/var/lib/jelastic/overrides/other", false),
        ("/var/lib/jelastic/overrides/mine", true),
        ("/var/lib/jelastic/overrides/mine/deep/er", true),
        ("/var/lib", false),
        ("/", false),
    ] {
        assert_eq!(list.keeps(&path(at)), expected, "{at}");
    }
    assert!(
        !read("/etc").keeps(&path("/etc/hosts")),
        "the engine's files are excluded from a kept directory"
    );
}

#[test]
fn listing_an_excluded_path_lifts_the_exclusion() {
    let lifted = parse(b"/var/lib/jelastic/overrides\n", None, &Defaults::built_in());
    assert!(lifted.keeps(&path("/var/lib/jelastic/overrides/any")));
    let above = parse(b"/var/lib\n", None, &Defaults::built_in());
    assert!(!above.keeps(&path("/var/lib/jelastic/overrides/any")));
    let excluded = "/var/lib/jelastic/overrides".to_owned();
    assert_eq!(kinds(&above), [FindingKind::PartlyExcluded { excluded }]);
}

#[test]
fn too_many_entries_are_cut_with_an_error() {
    let text: String = (0..ENTRIES_MAX + 5).map(|n| format!("/srv/f{n:05}\n/srv/f{n:05}\n")).collect();
    let list = read(text);
    assert_eq!(kept(&list).len(), ENTRIES_MAX);
    let errors: Vec<_> = list.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    assert_eq!(errors.len(), 1, "shown even among thousands of lesser findings");
    assert_eq!(errors[0].kind, FindingKind::TooManyEntries);
    assert_eq!(errors[0].line, Some(u32::try_from(2 * ENTRIES_MAX + 1).unwrap()));
}

#[test]
fn findings_are_cut_and_the_rest_is_counted() {
    let list = read("relative\n".repeat(FINDINGS_MAX + 20));
    assert_eq!(list.findings.len(), FINDINGS_MAX + 1);
    assert_eq!(kinds(&list).last(), Some(&FindingKind::MoreFindings { count: 20 }));
    let settled = settle(list, &|_| PathFact::Missing, &[]);
    assert_eq!(settled.findings.len(), FINDINGS_MAX + 1);
    assert_eq!(kinds(&settled).last(), Some(&FindingKind::MoreFindings { count: 21 }));
}

#[test]
fn a_huge_file_is_read_only_up_to_its_last_full_line_within_the_limit() {
    let max = usize::try_from(CONF_BYTES_MAX).unwrap();
    let mut text = b"/etc/a\n/etc/b".to_vec();
    text.resize(100 << 20, b'b');
    let begin = Instant::now();
    let list = read(&text);
    assert!(begin.elapsed() < Duration::from_secs(5), "took {:?}", begin.elapsed());
    assert_eq!(kept(&list), ["/etc/a"]);
    assert_eq!(kinds(&list), [FindingKind::TooLong]);
    assert_eq!(list, read(&text[..max + 1]), "nothing after the limit counts");
    let whole = [&b"/etc/a\n"[..], &vec![b'#'; max - 7]].concat();
    assert_eq!(read(whole).findings, []);
}

#[test]
fn a_file_made_to_be_slow_is_not() {
    let deep: String = (0..250).map(|n| format!("{}/{n}\n", "/d".repeat(2000))).collect();
    let one_byte_lines = "a\n".repeat(500_000);
    let nested: String = (0..1400).map(|n| format!("{}\n", "/n".repeat(n % 700 + 1))).collect();
    for text in [deep, one_byte_lines, nested] {
        let begin = Instant::now();
        let _list = read(&text);
        assert!(begin.elapsed() < Duration::from_secs(20), "took {:?}", begin.elapsed());
    }
}
