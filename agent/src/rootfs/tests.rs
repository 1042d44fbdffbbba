//! Looking and copying inside roots.
#![expect(clippy::disallowed_methods, reason = "tests make plain files")]

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, XattrFlags};

use super::*;

struct Bench(tempfile::TempDir);

impl Bench {
    /// A root with a file and a link out of it, and a secret beside it.
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("redeploy-rootfs").tempdir_in("/var/tmp").unwrap();
        fs::create_dir_all(dir.path().join("root/etc")).unwrap();
        fs::write(dir.path().join("root/etc/conf"), "inside").unwrap();
        fs::write(dir.path().join("secret"), "outside").unwrap();
        Self(dir)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join("root").join(name)
    }

    fn root(&self) -> Root {
        Root::open_dir(&self.at(""), "test root").unwrap()
    }
}

fn path(text: &str) -> GuestPath {
    GuestPath::new(text).unwrap()
}

#[test]
fn facts_are_about_the_name_itself_and_links_stay_inside() {
    let bench = Bench::new();
    symlink(bench.0.path().join("secret"), bench.at("absolute")).unwrap();
    symlink("../../secret", bench.at("etc/climbing")).unwrap();
    symlink("/etc", bench.at("alias")).unwrap();
    symlink("conf", bench.at("etc/link")).unwrap();
    symlink("loop", bench.at("loop")).unwrap();
    rustix::fs::mknodat(CWD, bench.at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let root = bench.root();
    for (name, fact) in [
        ("/", Fact::Dir),
        ("/etc/conf", Fact::File),
        ("/alias", Fact::Symlink),
        ("/alias/conf", Fact::File),
        ("/absolute", Fact::Symlink),
        ("/fifo", Fact::Other),
        ("/nothing/here", Fact::Missing),
        ("/etc/conf/below-a-file", Fact::Missing),
    ] {
        assert_eq!(root.fact(&path(name)).unwrap(), fact, "{name}");
    }
    let read = |name: &str| root.read_file(&path(name), 100).unwrap();
    assert_eq!(read("/alias/link"), Some(b"inside".to_vec()));
    assert_eq!((read("/absolute"), read("/etc/climbing"), read("/nothing")), (None, None, None));
    assert_eq!(root.real_path(&path("/alias")).unwrap(), path("/etc"));
    assert_eq!(root.real_path(&path("/")).unwrap(), path("/"));
    assert!(matches!(root.read_file(&path("/fifo"), 10), Err(RootError::NotAFile { .. })));
    assert!(matches!(root.read_file(&path("/etc"), 10), Err(RootError::NotAFile { .. })));
    assert!(matches!(root.read_file(&path("/etc/conf"), 5), Err(RootError::TooLarge { bytes_max: 5, .. })));
    assert_eq!(root.read_file(&path("/etc/conf"), 6).unwrap().unwrap().len(), 6);
    assert!(matches!(root.read_file(&path("/loop"), 10), Err(RootError::Access { .. })));
}

#[test]
fn a_root_survives_being_opened_in_other_ways() {
    let bench = Bench::new();
    let fd = rustix::fs::open(bench.at(""), OFlags::PATH, Mode::empty()).unwrap();
    let root = Root::from_fd(fd, "by descriptor").unwrap().try_clone().unwrap();
    assert_eq!((root.label(), root.fact(&path("/etc")).unwrap()), ("by descriptor", Fact::Dir));
    assert!(root.free_space().unwrap() > 0);
    let file = rustix::fs::open(bench.at("etc/conf"), OFlags::RDONLY, Mode::empty()).unwrap();
    assert!(matches!(Root::from_fd(file, "a file"), Err(RootError::NotADirectory { .. })));
    let error = Root::open_dir(&bench.at("missing"), "x").unwrap_err().to_string();
    assert!(error.contains("root/missing"), "{error}");
}

#[test]
fn trust_depends_on_the_file_system() {
    for (kind, of_host, of_container) in [
        (FsKind::Ext, true, true),
        (FsKind::Xfs, true, true),
        (FsKind::Btrfs, true, true),
        (FsKind::Overlay, true, true),
        (FsKind::Fuse, false, true),
        (FsKind::Tmpfs, false, false),
        (FsKind::Other, false, false),
    ] {
        let got = (kind.stamps_changes(false), kind.stamps_changes(true));
        assert_eq!(got, (of_host, of_container), "{kind:?}");
    }
    let memory = Root::open_dir(Path::new("/dev/shm"), "memory").unwrap();
    assert_eq!(memory.fs_kind().unwrap(), FsKind::Tmpfs);
}

#[test]
fn a_copy_has_everything_and_replaces_in_one_step() {
    let (from, to) = (Bench::new(), Bench::new());
    let source = from.at("etc/deep/er/app.conf");
    fs::create_dir_all(source.parent().unwrap()).unwrap();
    fs::write(&source, "mine").unwrap();
    std::os::unix::fs::chown(from.at("etc/deep/er"), Some(7), Some(8)).unwrap();
    std::os::unix::fs::chown(&source, Some(70), Some(80)).unwrap();
    rustix::fs::chmod(from.at("etc/deep/er"), Mode::from_raw_mode(0o751)).unwrap();
    rustix::fs::chmod(&source, Mode::from_raw_mode(0o4640)).unwrap();
    rustix::fs::lsetxattr(&source, "user.note", b"kept", XattrFlags::empty()).unwrap();
    let (there, here) = (path("/etc/deep/er/app.conf"), path("/etc/deep/er/app.conf.backup"));
    for contents in ["mine", "newer"] {
        fs::write(&source, contents).unwrap();
        assert!(Root::copy_as(&from.root(), &there, &to.root(), &here).unwrap());
        assert_eq!(fs::read_to_string(to.at("etc/deep/er/app.conf.backup")).unwrap(), contents);
    }
    let (old, new) =
        (fs::metadata(&source).unwrap(), fs::metadata(to.at("etc/deep/er/app.conf.backup")).unwrap());
    let seen = |meta: &fs::Metadata| (meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec());
    assert_eq!(seen(&old), seen(&new));
    let parent = fs::metadata(to.at("etc/deep/er")).unwrap();
    assert_eq!((parent.mode() & 0o7777, parent.uid(), parent.gid()), (0o751, 7, 8));
    assert_eq!(fs::read_dir(to.at("etc/deep/er")).unwrap().count(), 1, "nothing else is left");
    let mut value = [0; 16];
    let len =
        rustix::fs::lgetxattr(to.at("etc/deep/er/app.conf.backup"), "user.note", &mut value[..]).unwrap();
    assert_eq!(&value[..len], b"kept");
}

#[test]
fn only_files_are_copied_and_links_in_the_target_stay_inside() {
    let (from, to) = (Bench::new(), Bench::new());
    symlink("conf", from.at("etc/link")).unwrap();
    let copy = |name: &str, dest: &str| Root::copy_as(&from.root(), &path(name), &to.root(), &path(dest));
    assert!(!copy("/etc/missing", "/x").unwrap());
    assert!(!copy("/etc/link", "/x").unwrap());
    assert!(!copy("/etc", "/x").unwrap());
    assert!(matches!(copy("/etc/conf", "/etc"), Err(RootError::NotAFile { .. })));
    symlink(to.0.path(), to.at("out")).unwrap();
    assert!(copy("/etc/conf", "/out/secret").is_err());
    // A link in the way is replaced, not written through.
    symlink("../secret", to.at("here")).unwrap();
    assert!(copy("/etc/conf", "/here").unwrap());
    assert_eq!(fs::read_to_string(to.0.path().join("secret")).unwrap(), "outside");
    assert_eq!(fs::read_to_string(to.at("here")).unwrap(), "inside");
}
