//! What is dropped, taken up again, and said, once somebody has looked.

use std::collections::BTreeMap;

use super::*;

fn settled(text: &str, facts: &[(&str, PathFact)], volumes: &[&str], defaults: &Defaults) -> PreserveList {
    let facts: BTreeMap<GuestPath, PathFact> = facts.iter().map(|(at, fact)| (path(at), *fact)).collect();
    let volumes: Vec<GuestPath> = volumes.iter().map(|at| path(at)).collect();
    let list = parse(text.as_bytes(), None, defaults);
    settle(list, &|at| facts.get(at).copied().unwrap_or(PathFact::Missing), &volumes)
}

#[test]
fn what_is_not_there_is_dropped_and_only_lines_are_told() {
    let list = settled("/opt/a\n/opt/b\n", &[("/opt/a", PathFact::Dir)], &[], &Defaults::built_in());
    assert_eq!(list.keep, [KeepEntry { path: path("/opt/a"), origin: Origin::Line(1) }]);
    assert_eq!(kinds(&list), [FindingKind::Missing]);
    assert_eq!(list.findings[0].line, Some(2));
}

#[test]
fn special_files_are_dropped_and_links_are_kept_with_a_warning() {
    let facts = [("/run/s", PathFact::Other), ("/opt/l", PathFact::Symlink), (CONF_PATH, PathFact::Symlink)];
    let list = settled("/run/s\n/opt/l\n", &facts, &[], &bare());
    assert_eq!(kept(&list), ["/opt/l"]);
    let severities: Vec<_> = list.findings.iter().map(|finding| (finding.line, finding.severity)).collect();
    assert_eq!(
        severities,
        [(None, Severity::Info), (Some(1), Severity::Warning), (Some(2), Severity::Warning)]
    );
}

#[test]
fn backups_are_for_files() {
    let facts =
        [("/d", PathFact::Dir), ("/f", PathFact::File), ("/p", PathFact::Other), ("/l", PathFact::Symlink)];
    let list = settled("backup:/d\nbackup:/f\nbackup:/p\nbackup:/l\nbackup:/m", &facts, &[], &bare());
    assert_eq!(backups(&list), ["/f", "/l"]);
    assert_eq!(
        kinds(&list),
        [
            FindingKind::BackupIsDirectory,
            FindingKind::SpecialFile,
            FindingKind::Symlink,
            FindingKind::Missing
        ]
    );
}

#[test]
fn volumes_keep_their_own_and_are_left_out_of_the_root() {
    let facts = [("/var/lib", PathFact::Dir), ("/data/x", PathFact::File)];
    let text = "/data/x\n/data\nbackup:/data/y\n/var/lib\n";
    let list = settled(text, &facts, &["/data", "/var/lib/mysql"], &bare());
    assert_eq!(kept(&list), ["/var/lib"]);
    assert_eq!(list.backup, []);
    assert!(list.keeps(&path("/var/lib/x")));
    assert!(!list.keeps(&path("/var/lib/mysql/ibdata1")));
    let inside = FindingKind::InsideVolume { volume: "/data".into() };
    let excluded = "/var/lib/jelastic/overrides".to_owned();
    let partly = FindingKind::PartlyExcluded { excluded };
    assert_eq!(kinds(&list), [inside.clone(), inside.clone(), inside, partly]);
}

#[test]
fn an_entry_below_a_link_is_taken_up_again() {
    let facts = [("/srv/link", PathFact::Symlink), ("/srv/link/x", PathFact::File)];
    let list = settled("/srv/link\n/srv/link/x\nbackup:/srv/link/y\n", &facts, &[], &bare());
    assert_eq!(kept(&list), ["/srv/link", "/srv/link/x"]);
    assert_eq!(kinds(&list), [FindingKind::Symlink, FindingKind::Missing]);
    let plain = [("/srv/link", PathFact::Dir), ("/srv/link/x", PathFact::File)];
    let list = settled("/srv/link\n/srv/link/x\n", &plain, &[], &bare());
    assert_eq!(kept(&list), ["/srv/link"]);
    assert_eq!(kinds(&list), [FindingKind::AlreadyKept { by: "/srv/link".into() }]);
}

#[test]
fn nothing_is_said_of_parts_of_a_directory_that_is_not_there() {
    let list = settled("/var/lib\n", &[], &[], &bare());
    assert_eq!(kinds(&list), [FindingKind::Missing]);
}

#[test]
fn a_nested_entry_outlives_an_ancestor_that_is_dropped() {
    let list = settled("/a\n/a/b\n", &[("/a/b", PathFact::File)], &[], &bare());
    assert_eq!(kept(&list), ["/a/b"]);
    assert_eq!(kinds(&list), [FindingKind::Missing]);
}
