//! redeploy.conf: whatever it holds gives a list that is in order, safe, and says of each line what became of it.

use std::collections::BTreeSet;

use redeploy_agent::guest_path::GuestPath;
use redeploy_agent::preserve::{Defaults, PreserveList, parse};

use super::Target;

pub(crate) const TARGET: Target = Target {
    name: "conf",
    check,
    words: &[
        b"/",
        b"\n",
        b"\r\n",
        b"backup:",
        b"backup: /",
        b"${home}",
        b"..",
        b"/../",
        b"./",
        b"#",
        b" ",
        b"\t",
        b"\0",
        b"/etc",
        b"/proc/self",
        b"/var/lib/jelastic",
        b"/overrides",
        b"/etc/jelastic/redeploy.conf",
        b"*",
        b"~",
        b"\xef\xbb\xbf",
        b"\xff",
        b"//",
    ],
    mend: |_| {},
};

fn check(bytes: &[u8]) {
    let defaults = Defaults::built_in();
    let home = GuestPath::new("/home/web").unwrap();
    let list = parse(bytes, Some(&home), &defaults);
    assert!(list.keep.is_sorted_by(|a, b| a.path < b.path), "kept paths in order, each once");
    assert!(list.backup.is_sorted_by(|a, b| a.path < b.path), "backups in order, each once");
    for path in list.keep.iter().map(|entry| &entry.path).chain(list.backup.iter().map(|entry| &entry.path)) {
        assert!(!path.is_root() && !defaults.is_engine_owned(path), "{path}");
        assert_eq!(GuestPath::new(path.as_bytes()).as_ref(), Ok(path), "in normal form");
    }
    let lines = bytes.split(|byte| *byte == b'\n').count();
    for finding in &list.findings {
        assert!(!finding.to_string().chars().any(char::is_control), "{finding:?}");
        assert!(
            finding.line.is_none_or(|line| usize::try_from(line).is_ok_and(|line| line <= lines)),
            "{finding:?}"
        );
    }
    written_again_it_says_the_same(&list, &defaults);
}

/// The kept paths, one a line: those that need no quoting, which the language does not have.
fn written_again_it_says_the_same(list: &PreserveList, defaults: &Defaults) {
    let plain = |path: &&GuestPath| {
        path.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(byte))
    };
    let paths: BTreeSet<GuestPath> =
        list.keep.iter().map(|entry| &entry.path).filter(plain).cloned().collect();
    let text: String = paths.iter().map(|path| format!("{path}\n")).collect();
    let again = parse(text.as_bytes(), None, defaults);
    for path in &paths {
        assert!(again.keeps(path), "{path} is lost when it is written again");
    }
}
