//! What the tests share: a place to work in, trees with everything in them, and a digest of a tree.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, XattrFlags};
use sha2::{Digest, Sha256};

use crate::archive::{
    ApplyMode, ArchiveError, ArchiveLine, Capture, PackOptions, Round, RoundKind, Selection, Watch, apply,
};
use crate::guest_path::GuestPath;
use crate::rootfs::Root;

/// Two roots and a directory for archives, on disk (not tmpfs: its changes are not trusted).
pub(super) struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("redeploy-archive").tempdir_in("/var/tmp").unwrap();
        for name in ["old", "new", "archives", "plain"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn old(&self) -> PathBuf {
        self.dir.path().join("old")
    }

    pub(super) fn new_root(&self) -> PathBuf {
        self.dir.path().join("new")
    }

    pub(super) fn archives(&self) -> PathBuf {
        self.dir.path().join("archives")
    }

    pub(super) fn old_handle(&self) -> Root {
        Root::open_dir(&self.old(), "old root").unwrap()
    }

    pub(super) fn new_handle(&self) -> Root {
        Root::open_dir(&self.new_root(), "new root").unwrap()
    }

    pub(super) fn begin(&self, selection: Selection) -> Capture {
        Capture::begin(&self.archives(), "data", selection, options()).unwrap()
    }

    pub(super) fn round(&self, capture: &mut Capture, kind: RoundKind) -> Round {
        capture.round(&self.old_handle(), kind, &Watch::new()).unwrap()
    }

    /// A live round, then the final one after whatever `between` does.
    pub(super) fn two_rounds(&self, selection: Selection, between: impl FnOnce(&Path)) -> Capture {
        let mut capture = self.begin(selection);
        self.round(&mut capture, RoundKind::Live);
        between(&self.old());
        self.round(&mut capture, RoundKind::Final);
        capture
    }

    /// Applies every round so far to the new root.
    pub(super) fn apply_all(&self, line: &ArchiveLine) -> Result<(), ArchiveError> {
        for number in 1..=u32::try_from(line.rounds.len()).unwrap() {
            self.apply(line, number)?;
        }
        Ok(())
    }

    pub(super) fn apply(&self, line: &ArchiveLine, number: u32) -> Result<(), ArchiveError> {
        let mode = ApplyMode::Replace;
        apply(&self.archives(), line, number, &self.new_handle(), &mode, &Watch::new()).map(|_| ())
    }

    /// Unpacks an archive with GNU tar, into an empty directory, and gives that.
    pub(super) fn untar(&self, line: &ArchiveLine) -> PathBuf {
        let plain = self.dir.path().join("plain");
        fs::remove_dir_all(&plain).unwrap();
        fs::create_dir(&plain).unwrap();
        self.untar_into(line, &plain);
        plain
    }

    /// Unpacks an archive with GNU tar over what is there.
    pub(super) fn untar_into(&self, line: &ArchiveLine, plain: &Path) {
        let done = Command::new("tar")
            .args(["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-p", "-xzf"])
            .arg(line.path(&self.archives()))
            .arg("-C")
            .arg(plain)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        let complaints: Vec<_> = said.lines().filter(|line| !line.contains("implausibly old")).collect();
        assert!(done.status.success() && complaints.is_empty(), "{complaints:?}");
    }
}

pub(super) fn options() -> PackOptions {
    PackOptions { level: 2, threads: 2, entries_max: 0, archive_bytes_max: 0 }
}

pub(super) fn path(text: &str) -> GuestPath {
    GuestPath::new(text).unwrap()
}

pub(super) fn everything() -> Selection {
    Selection { include: vec![GuestPath::root()], exclude: Vec::new() }
}

pub(super) fn only(include: &[&str]) -> Selection {
    Selection { include: include.iter().map(|text| path(text)).collect(), exclude: Vec::new() }
}

/// Writes a file with its directories.
pub(super) fn put(root: &Path, name: &str, contents: impl AsRef<[u8]>) {
    let file = root.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, contents).unwrap();
}

pub(super) fn set_mtime(path: &Path, secs: i64, nanos: i64) {
    let time = Timespec { tv_sec: secs, tv_nsec: nanos };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

pub(super) fn own(path: &Path, uid: u32, gid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
}

pub(super) fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(super) fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

/// An access control list as the kernel stores it: the owner rwx, uid 4242 r-x, group r-x, mask r-x, others none.
pub(super) fn acl() -> Vec<u8> {
    let mut raw = 2u32.to_le_bytes().to_vec();
    for (tag, bits, id) in
        [(1u16, 7u16, u32::MAX), (2, 5, 4242), (4, 5, u32::MAX), (16, 5, u32::MAX), (32, 0, u32::MAX)]
    {
        raw.extend(tag.to_le_bytes());
        raw.extend(bits.to_le_bytes());
        raw.extend(id.to_le_bytes());
    }
    raw
}

/// Every kind of thing with every kind of metadata.
pub(super) fn fill_with_everything(root: &Path) {
    put(root, "etc/app.conf", "port=80\n");
    put(root, "etc/empty", "");
    put(root, "bin/tool", vec![7; 300_000]);
    own(&root.join("bin/tool"), 1234, 5678);
    chmod(&root.join("bin/tool"), 0o6755);
    set_xattr(&root.join("bin/tool"), "security.capability", &capability());
    set_xattr(&root.join("bin/tool"), "user.with newline", b"a\nb\0c");
    set_xattr(&root.join("bin/tool"), "trusted.mark", b"x");
    put(root, "data/acl", "guarded");
    set_xattr(&root.join("data/acl"), "system.posix_acl_access", &acl());
    fs::create_dir(root.join("data/inherits")).unwrap();
    set_xattr(&root.join("data/inherits"), "system.posix_acl_default", &acl());
    put(root, "data/inherits/child", "has an inherited list");
    fs::hard_link(root.join("etc/app.conf"), root.join("data/same.conf")).unwrap();
    fs::hard_link(root.join("etc/app.conf"), root.join("etc/zz.conf")).unwrap();
    symlink("/nowhere/at all", root.join("data/dangling")).unwrap();
    symlink("../etc", root.join("data/link")).unwrap();
    own(&root.join("data/link"), 99, 3_000_000);
    set_mtime(&root.join("data/link"), 1_000_000_000, 987_654_321);
    rustix::fs::mknodat(
        CWD,
        root.join("data/pipe"),
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o620),
        0,
    )
    .unwrap();
    own(&root.join("data/pipe"), 5, 6);
    let holes = fs::File::create(root.join("data/holes")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, b"in the middle", 5 << 20).unwrap();
    holes.set_len(9 << 20).unwrap();
    put(root, "data/caf\u{e9}/\u{1F980} name with spaces\n", "odd name");
    put(root, &format!("data/{}/{}", "d".repeat(200), "f".repeat(255)), "long names");
    chmod(&root.join("data"), 0o1777);
    own(&root.join("data/acl"), 3_000_000, 70_000);
    set_mtime(&root.join("etc/app.conf"), 1, 1);
    set_mtime(&root.join("etc/empty"), -5, 500_000_000);
    set_mtime(&root.join("data/inherits"), 1_600_000_000, 123_456_789);
    set_mtime(&root.join("data"), 1_600_000_001, 1);
}

/// `cap_net_bind_service+ep`, version 2.
fn capability() -> Vec<u8> {
    let mut raw = Vec::new();
    for word in [0x0200_0001u32, 1 << 10, 0, 0, 0] {
        raw.extend(word.to_le_bytes());
    }
    raw
}

/// Are these the same tree? Shows only what differs.
#[track_caller]
pub(super) fn assert_same(left: &Tree, right: &Tree) {
    let differing = |one: &Tree, other: &Tree| -> Tree {
        one.iter()
            .filter(|(name, line)| other.get(*name) != Some(line))
            .map(|(n, l)| (n.clone(), l.clone()))
            .collect()
    };
    assert_eq!(differing(left, right), differing(right, left));
}

/// What [`digest`] gives.
pub(super) type Tree = BTreeMap<PathBuf, String>;

/// One line per name: kind, mode, owner, time, attributes, contents, and which names are the same file.
pub(super) fn digest(root: &Path) -> Tree {
    let mut lines = BTreeMap::new();
    let mut links = HashMap::new();
    describe(root, Path::new(""), &mut lines, &mut links);
    lines
}

fn describe(root: &Path, name: &Path, lines: &mut Tree, links: &mut HashMap<(u64, u64), PathBuf>) {
    let path = root.join(name);
    let meta = fs::symlink_metadata(&path).unwrap();
    let kind = meta.file_type();
    let mut line =
        format!("{:o} {}:{} {}.{:09}", meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec());
    for (name, value) in xattrs(&path) {
        line.push_str(&format!(" {name}={}", value.escape_ascii()));
    }
    if kind.is_symlink() {
        line.push_str(&format!(" -> {:?}", fs::read_link(&path).unwrap()));
    } else if kind.is_file() {
        let contents = Sha256::digest(fs::read(&path).unwrap());
        let first = links.entry((meta.dev(), meta.ino())).or_insert_with(|| name.to_owned());
        line.push_str(&format!(" {} {:02x?} as {first:?}", meta.len(), &contents[..8]));
        // Holes may be laid out anew, but they must stay holes.
        line.push_str(if meta.blocks() * 512 < meta.len() / 2 { " sparse" } else { "" });
    } else if kind.is_fifo() {
        line.push_str(" fifo");
    }
    lines.insert(name.to_owned(), line);
    if kind.is_dir() {
        let mut names: Vec<_> =
            fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for below in names {
            describe(root, &name.join(below), lines, links);
        }
    }
}

fn xattrs(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut list = vec![0; 65536];
    let size = rustix::fs::llistxattr(path, list.as_mut_slice()).unwrap();
    list.truncate(size);
    let mut found = Vec::new();
    for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 65536];
        let size = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap();
        value.truncate(size);
        found.push((String::from_utf8(name.to_vec()).unwrap(), value));
    }
    found.sort();
    found
}
