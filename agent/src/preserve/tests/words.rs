//! What people and programs see.

use super::*;

#[test]
fn findings_read_like_this() {
    let sample = include_bytes!("../testdata/nasty.conf");
    let facts = |at: &GuestPath| match at.to_string().as_str() {
        "/etc/app.conf" | CONF_PATH => PathFact::File,
        "/srv/app" | "/etc/php.d" | "/var/lib/jelastic" => PathFact::Dir,
        "/srv/current" => PathFact::Symlink,
        "/run/app.sock" => PathFact::Other,
        _ => PathFact::Missing,
    };
    let list = parse(sample, None, &Defaults::built_in());
    let list = settle(list, &facts, &[path("/data")]);
    let words: String = list.findings.iter().map(|finding| format!("{finding}\n")).collect();
    assert_eq!(words, include_str!("../testdata/nasty.findings"), "as printed:\n{words}");
}

#[test]
fn a_finding_cannot_forge_lines_or_flood_a_terminal() {
    let list = read(format!("/a\x1b[2J\r/{}/..", "b".repeat(2000)));
    let shown = list.findings[0].to_string();
    assert!(shown.is_ascii() || shown.contains('…'), "{shown}");
    assert!(!shown.chars().any(char::is_control), "{shown}");
    assert_eq!(list.findings[0].path.as_ref().unwrap().chars().count(), 200);
}

#[test]
fn json_is_flat_and_comes_back_the_same() {
    let list = read("/b\n/b\nrel\nbackup:/b/c\n/caf\u{e9}\n");
    let json = serde_json::to_value(&list).unwrap();
    assert_eq!(
        json["findings"][0],
        serde_json::json!({"severity": "info", "line": 2, "path": "/b", "kind": "duplicate", "first_line": 1})
    );
    assert_eq!(json["keep"][0], serde_json::json!({"path": "/b", "origin": {"line": 1}}));
    assert_eq!(serde_json::from_value::<PreserveList>(json).unwrap(), list);
}
