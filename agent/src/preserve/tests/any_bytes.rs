//! What must hold for any bytes at all.

use proptest::prelude::*;

use super::*;

/// Bytes that look enough like a redeploy.conf to reach every rule.
fn conf_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "/",
            "\n",
            "\r\n",
            "backup:",
            "${home}",
            "$HOME",
            "..",
            ".",
            "#",
            " ",
            "/etc",
            "/etc/hosts",
            "/proc",
            "a",
            "b",
            "\0",
            "/var/lib/jelastic",
            "/overrides",
            CONF_PATH,
            "*",
            "~",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn check_holds(text: &[u8], list: &PreserveList) {
    let lines = u32::try_from(text.split(|byte| *byte == b'\n').count()).unwrap();
    let defaults = Defaults::built_in();
    for path in list.keep.iter().map(|entry| &entry.path).chain(list.backup.iter().map(|entry| &entry.path)) {
        assert_eq!(GuestPath::new(path.as_bytes()).as_ref(), Ok(path), "normal form");
        assert!(!path.is_root() && !defaults.is_engine_owned(path), "{path}");
    }
    assert!(list.keep.is_sorted_by(|a, b| a.path < b.path), "sorted, no duplicates");
    assert!(list.backup.is_sorted_by(|a, b| a.path < b.path), "sorted, no duplicates");
    assert!(list.exclude.is_sorted_by(|a, b| a < b), "sorted, no duplicates");
    for entry in &list.keep {
        assert!(list.keeps(&entry.path), "{} is kept", entry.path);
    }
    for entry in &list.backup {
        assert!(!list.keeps(&entry.path), "{} is not both", entry.path);
    }
    for finding in &list.findings {
        assert!(finding.line.is_none_or(|line| (1..=lines).contains(&line)), "{finding}");
        assert!(!finding.to_string().chars().any(char::is_control), "{finding}");
    }
}

proptest! {
    #[test]
    fn any_bytes_make_a_valid_list(text in conf_bytes(), home in any::<bool>(), shape in any::<u8>()) {
        let home = home.then(|| path("/home/web"));
        let defaults = Defaults::built_in();
        let list = parse(&text, home.as_ref(), &defaults);
        check_holds(&text, &list);
        prop_assert_eq!(&list, &parse(&text, home.as_ref(), &defaults));

        let facts = |at: &GuestPath| match (at.as_bytes().len() + usize::from(shape)) % 6 {
            0 => PathFact::Missing,
            1 => PathFact::Other,
            2 => PathFact::Symlink,
            3 => PathFact::File,
            _ => PathFact::Dir,
        };
        let volumes = [path("/etc/a")];
        let settled = settle(list.clone(), &facts, &volumes);
        check_holds(&text, &settled);
        let again = settle(settled.clone(), &facts, &volumes);
        prop_assert_eq!((&again.keep, &again.backup), (&settled.keep, &settled.backup), "settled stays settled");
    }

    #[test]
    fn every_line_alone_is_kept_or_told(line in "[/a-c.$ #~{}*]{0,12}") {
        let list = parse(line.as_bytes(), None, &bare());
        let text = line.trim();
        let silent = text.is_empty() || text.starts_with('#') || kept(&list).len() == 1;
        prop_assert!(silent || !list.findings.is_empty(), "{:?} vanished without a word", line);
    }
}
