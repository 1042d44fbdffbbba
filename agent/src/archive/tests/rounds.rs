//! What changed between rounds, and only that, gets into the next one; the result is always the last state.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags};

use super::tree::*;
use crate::archive::{RoundKind, Selection, SkipReason, Watch, seal, verify};

/// Makes the first state, a live round, the change, a final round; then compares the new root, and GNU tar's
/// reading of the sealed archive, with the old root.
fn check(first: impl FnOnce(&Path), change: impl FnOnce(&Path)) {
    let bench = Bench::new();
    first(&bench.old());
    let mut capture = bench.begin(everything());
    bench.round(&mut capture, RoundKind::Live);
    bench.apply(capture.line(), 1).unwrap();
    change(&bench.old());
    bench.round(&mut capture, RoundKind::Final);
    bench.apply(capture.line(), 2).unwrap();
    assert_same(&digest(&bench.new_root()), &digest(&bench.old()));
    bench.apply(capture.line(), 2).unwrap();
    assert_same(&digest(&bench.new_root()), &digest(&bench.old()));
    let line = capture.finish().unwrap();
    verify(&bench.archives(), &line, &Watch::new()).unwrap();
    let sealed = seal(&bench.archives(), &line, &Watch::new()).unwrap();
    assert_same(&digest(&bench.untar(&sealed)), &digest(&bench.old()));
}

fn age(root: &Path) {
    wait_past(fs::metadata(root).unwrap());
}

/// Waits until the clock is well past a file's last change, so that it is not hot.
fn wait_past(meta: fs::Metadata) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let now = crate::archive::clock::coarse_now();
        let seen = (meta.ctime(), meta.ctime_nsec() + 60_000_000);
        if (now.secs, i64::from(now.nanos)) > (seen.0 + seen.1 / 1_000_000_000, seen.1 % 1_000_000_000) {
            return;
        }
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}

#[test]
fn contents_modified_appended_truncated() {
    check(fill_with_everything, |old| {
        fs::OpenOptions::new().write(true).open(old.join("bin/tool")).unwrap().write_all_at(b"x", 7).unwrap();
        let mut file = OpenOptions::new().append(true).open(old.join("etc/empty")).unwrap();
        file.write_all(b"grown").unwrap();
        OpenOptions::new().write(true).open(old.join("data/holes")).unwrap().set_len(100).unwrap();
    });
}

#[test]
fn a_change_hidden_by_setting_the_time_back_is_seen() {
    let bench = Bench::new();
    put(&bench.old(), "a", "before");
    set_mtime(&bench.old().join("a"), 1000, 1);
    check(
        |old| {
            put(old, "a", "before");
            set_mtime(&old.join("a"), 1000, 1);
        },
        |old| {
            put(old, "a", "behind");
            set_mtime(&old.join("a"), 1000, 1);
        },
    );
}

#[test]
fn names_renamed_deleted_linked_and_kinds_changed() {
    check(
        |old| {
            fill_with_everything(old);
            for name in ["k/file-to-dir", "k/file-to-link", "k/dir-to-file/x/y", "k/dir-to-link/x", "r/from"]
            {
                put(old, name, name);
            }
            symlink("x", old.join("k/link-to-dir")).unwrap();
        },
        |old| {
            let at = |name: &str| old.join(name);
            for name in ["k/file-to-dir", "k/file-to-link", "k/link-to-dir"] {
                fs::remove_file(at(name)).unwrap();
            }
            for name in ["k/dir-to-file", "k/dir-to-link"] {
                fs::remove_dir_all(at(name)).unwrap();
            }
            put(old, "k/file-to-dir/below", "1");
            put(old, "k/link-to-dir/below", "2");
            put(old, "k/dir-to-file", "3");
            symlink("/etc", at("k/file-to-link")).unwrap();
            symlink("/etc", at("k/dir-to-link")).unwrap();
            fs::rename(at("r/from"), at("r/to")).unwrap();
            fs::rename(at("data/inherits"), at("moved")).unwrap();
            fs::hard_link(at("bin/tool"), at("bin/again")).unwrap();
            fs::remove_file(at("etc/app.conf")).unwrap();
            fs::remove_file(at("data/pipe")).unwrap();
        },
    );
}

#[test]
fn a_link_deleted_and_a_linked_file_rewritten() {
    check(fill_with_everything, |old| {
        fs::remove_file(old.join("data/same.conf")).unwrap();
        put(old, "etc/app.conf", "both names of it");
        put(old, "data/0-first", "x");
        fs::hard_link(old.join("etc/zz.conf"), old.join("a-new-first-name")).unwrap();
    });
}

#[test]
fn two_directories_swapped() {
    check(
        |old| {
            put(old, "one/file", "1");
            put(old, "one/deep/file", "11");
            put(old, "two/file", "2");
        },
        |old| {
            rustix::fs::renameat_with(CWD, old.join("one"), CWD, old.join("two"), RenameFlags::EXCHANGE)
                .unwrap();
        },
    );
}

#[test]
fn metadata_alone() {
    check(fill_with_everything, |old| {
        chmod(&old.join("etc/app.conf"), 0o600);
        own(&old.join("data/link"), 1, 1);
        rustix::fs::lremovexattr(old.join("bin/tool"), "user.with newline").unwrap();
        rustix::fs::lremovexattr(old.join("data/inherits"), "system.posix_acl_default").unwrap();
        set_xattr(&old.join("data/inherits/child"), "user.new", b"1");
        set_mtime(&old.join("data"), 77, 7);
        chmod(old, 0o711);
    });
}

#[test]
fn what_did_not_change_is_not_written_again() {
    let bench = Bench::new();
    fill_with_everything(&bench.old());
    put(&bench.old(), "quiet/deep/file", "1");
    age(&bench.old().join("quiet/deep/file"));
    let mut capture = bench.begin(everything());
    let first = bench.round(&mut capture, RoundKind::Live);
    assert_eq!((first.hot, first.unchanged, first.changed), (0, 0, first.names));
    let second = bench.round(&mut capture, RoundKind::Live);
    assert_eq!((second.written, second.hot, second.unchanged), (0, 0, first.names));
    // Contents alone: no directory's own record moves, but those around are written again.
    OpenOptions::new()
        .append(true)
        .open(bench.old().join("quiet/deep/file"))
        .unwrap()
        .write_all(b"2")
        .unwrap();
    let third = bench.round(&mut capture, RoundKind::Final);
    assert_eq!((third.changed, third.written, third.deleted), (1, 4, 0));
    bench.apply_all(capture.line()).unwrap();
    assert_same(&digest(&bench.new_root()), &digest(&bench.old()));
}

#[test]
fn a_file_changed_within_the_clocks_tick_is_read_again() {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let bench = Bench::new();
        put(&bench.old(), "a", "1");
        let mut capture = bench.begin(everything());
        let hot = bench.round(&mut capture, RoundKind::Live).hot;
        // A busy machine may not be quick enough to meet the tick.
        if hot == 2 {
            assert_eq!(bench.round(&mut capture, RoundKind::Live).changed, 2);
            return;
        }
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn on_a_file_system_that_is_not_trusted_the_last_round_copies_everything() {
    let bench = Bench::new();
    let shm = tempfile::tempdir_in("/dev/shm").unwrap();
    put(shm.path(), "a/b", "1");
    age(&shm.path().join("a/b"));
    let root = || crate::rootfs::Root::open_dir(shm.path(), "memory").unwrap();
    let mut capture = bench.begin(everything());
    for (kind, changed) in [(RoundKind::Live, 3), (RoundKind::Live, 0), (RoundKind::Final, 3)] {
        let round = capture.round(&root(), kind, &Watch::new()).unwrap();
        assert_eq!((round.changed, round.hot), (changed, 3), "{round:?}");
    }
    bench.apply_all(capture.line()).unwrap();
    assert_same(&digest(&bench.new_root()), &digest(shm.path()));
}

#[test]
fn sockets_and_mounts_are_noted() {
    let bench = Bench::new();
    put(&bench.old(), "a", "1");
    let _socket = std::os::unix::net::UnixListener::bind(bench.old().join("socket")).unwrap();
    let mut capture = bench.begin(everything());
    let round = bench.round(&mut capture, RoundKind::Final);
    assert_eq!(round.skipped_count, 1);
    assert_eq!((&round.skipped[0].path, round.skipped[0].reason), (&path("/socket"), SkipReason::Socket));
    // The machine's own root: whatever is mounted on /proc is not entered.
    let selection = Selection { include: vec![path("/proc")], exclude: Vec::new() };
    let mut capture =
        crate::archive::Capture::begin(&bench.archives(), "host", selection, options()).unwrap();
    let host = crate::rootfs::Root::open_dir(Path::new("/"), "host").unwrap();
    let round = capture.round(&host, RoundKind::Final, &Watch::new()).unwrap();
    assert_eq!((round.names, round.skipped[0].reason), (0, SkipReason::Mount));
}

#[test]
fn a_file_with_many_names_keeps_one_inode_through_rounds() {
    check(
        |old| {
            put(old, "m/a", "x");
            for name in ["m/b", "m/c", "n/d"] {
                fs::create_dir_all(old.join(name).parent().unwrap()).unwrap();
                fs::hard_link(old.join("m/a"), old.join(name)).unwrap();
            }
            age(&old.join("m/a"));
        },
        |old| {
            // The first name goes, another file takes its place.
            fs::remove_file(old.join("m/a")).unwrap();
            put(old, "m/a", "another file");
            assert_eq!(fs::metadata(old.join("n/d")).unwrap().nlink(), 3);
        },
    );
}

/// Writes through a mapping of `file` from another process, which keeps it mapped, whenever told to on its input.
const MAPPED_WRITER: &str = "
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(fd, 0)
for line in sys.stdin:
    m[int(line)] = 0x58
    print('done', flush=True)
";

#[test]
fn a_write_through_a_mapping_is_seen() {
    use std::io::BufRead;
    use std::process::{Command, Stdio};
    let bench = Bench::new();
    put(&bench.old(), "mapped", vec![b'.'; 10_000]);
    let mut writer = Command::new("python3")
        .args(["-c", MAPPED_WRITER])
        .arg(bench.old().join("mapped"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut orders = writer.stdin.take().unwrap();
    let mut answers = std::io::BufReader::new(writer.stdout.take().unwrap());
    let mut write_at = |position: u32| {
        writeln!(orders, "{position}").unwrap();
        answers.read_line(&mut String::new()).unwrap();
    };
    // The page is dirty and writable before the first round: only the flush makes the next write show.
    write_at(10);
    age(&bench.old().join("mapped"));
    let mut capture = bench.begin(everything());
    let first = bench.round(&mut capture, RoundKind::Live);
    assert_eq!(first.hot, 0, "{first:?}");
    write_at(11);
    let second = bench.round(&mut capture, RoundKind::Live);
    assert_eq!(second.changed, 1, "{second:?}");
    write_at(5000);
    bench.round(&mut capture, RoundKind::Final);
    bench.apply_all(capture.line()).unwrap();
    let bytes = fs::read(bench.new_root().join("mapped")).unwrap();
    assert_eq!((bytes[10], bytes[11], bytes[5000]), (b'X', b'X', b'X'));
    drop(orders);
    writer.wait().unwrap();
}
