//! Strangers as judges: GNU tar and Python's tarfile must find in our archives what we put there.
//!
//! GNU tar extracts as root into a temporary directory; what lies there is compared with what was packed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::archive::acl;
use crate::archive::gzip::GzipWriter;

/// Runs a judge on `input`; it must succeed.
#[expect(clippy::disallowed_methods, reason = "the agent never shells out, its judges must be run")]
fn run(program: &str, args: &[&OsStr], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.env("LC_ALL", "C.UTF-8").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Ignored: a judge may stop reading at the end marker.
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = feeder.join().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program}: {complaint}");
    output.stdout
}

fn zipped(plain: &[u8]) -> Vec<u8> {
    let mut writer = GzipWriter::new(Vec::new(), 4, 2);
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

/// The contents of a file with its holes filled in.
fn expanded(kind: &EntryKind, stored: &[u8]) -> Vec<u8> {
    match kind {
        EntryKind::File { size, data: DataMap::Sparse(segments) } => {
            let mut contents = vec![0; usize::try_from(*size).unwrap()];
            let mut stored = stored;
            for segment in segments {
                let start = usize::try_from(segment.offset).unwrap();
                let len = usize::try_from(segment.len).unwrap();
                let (data, rest) = stored.split_at(len);
                contents[start..start + len].copy_from_slice(data);
                stored = rest;
            }
            contents
        }
        EntryKind::File { .. }
        | EntryKind::Dir
        | EntryKind::Symlink { .. }
        | EntryKind::Hardlink { .. }
        | EntryKind::Fifo => stored.to_vec(),
    }
}

/// What the kernel says about a file.
fn metadata_at(path: &Path) -> Metadata {
    let found = fs::symlink_metadata(path).unwrap();
    let mut names = vec![0; 64 * 1024];
    let len = rustix::fs::llistxattr(path, &mut names).unwrap();
    let mut xattrs: Vec<(Vec<u8>, Vec<u8>)> = names[..len]
        .split(|b| *b == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0; 64 * 1024];
            let len = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value).unwrap();
            (name.to_vec(), value[..len].to_vec())
        })
        .collect();
    xattrs.sort();
    let nanos = u32::try_from(found.mtime_nsec()).unwrap();
    let mtime = Timestamp { secs: found.mtime(), nanos };
    Metadata { mode: found.mode() & 0o7777, uid: found.uid(), gid: found.gid(), mtime, xattrs }
}

/// Everything a container may hold, with every kind of metadata ext4 takes.
fn household() -> Vec<(Entry, Vec<u8>)> {
    let xattr = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
    let acl = |text: &str| acl::from_text(text.as_bytes()).unwrap();
    let capability = [1, 0, 0, 2, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let time = |secs, nanos| Timestamp { secs, nanos };
    let meta = |mode, uid, gid, mtime, xattrs| Metadata { mode, uid, gid, mtime, xattrs };
    let long = [b"/d/".as_slice(), &[b'n'; 200], b"/", &[b'm'; 255]].concat();
    let sparse = |size, segments: &[(u64, u64)]| EntryKind::File {
        size,
        data: DataMap::Sparse(segments.iter().map(|&(offset, len)| Segment { offset, len }).collect()),
    };
    let file_acl = acl("user::rw-,user:1000:r--,user:3000000:r--,group::r--,mask::r--,other::---");
    let dir_acl = acl("user::rwx,group::r-x,group:70000:rwx,mask::rwx,other::---");
    let things = vec![
        ("/".as_bytes(), EntryKind::Dir, meta(0o755, 1, 2, time(1_600_000_000, 5), vec![])),
        (
            b"/d",
            EntryKind::Dir,
            meta(
                0o3775,
                3_000_000,
                7,
                time(-3, 250_000_000),
                vec![xattr("system.posix_acl_default", &dir_acl), xattr("user.dir", b"yes")],
            ),
        ),
        (b"/d/f", whole(1000), {
            let xattrs = vec![
                xattr("security.capability", &capability),
                xattr("system.posix_acl_access", &file_acl),
                xattr("trusted.t", b"\0\xff"),
                xattr("user.a=b%c%3D", b"\n22 path=smuggled.so\n"),
                xattr("user.empty", b""),
            ];
            meta(0o640, 4_000_000_000, 2_097_152, time(1_700_000_000, 1), xattrs)
        }),
        (b"/d/setuid", whole(0), meta(0o4755, 0, 0, time(0, 999_999_999), vec![])),
        (b"/d/old", whole(65_537), meta(0o444, 9, 9, time(-1_000_000, 0), vec![])),
        (b"/d/holes", sparse(3_000_000, &[(1_000_000, 700), (2_000_000, 5000)]), Metadata::default()),
        (b"/d/begins and ends", sparse(1_004_096, &[(0, 4096), (1_000_000, 4096)]), Metadata::default()),
        (b"/d/hole only", sparse(2_000_000, &[]), Metadata::default()),
        (b"/d/no hole", sparse(0, &[]), Metadata::default()),
        (b"/d/caf\xe9\n", whole(3), Metadata::default()),
        ("/d/ünï🦀".as_bytes(), whole(3), Metadata::default()),
        (&long[..204], EntryKind::Dir, meta(0o700, 0, 0, time(7, 0), vec![])),
        (&long, whole(9), Metadata::default()),
        (b"/d/link", EntryKind::Symlink { target: b"/abs/\xff/../x".to_vec() }, {
            meta(0o777, 5, 6, time(-1, 1), vec![])
        }),
        (b"/d/far", EntryKind::Symlink { target: vec![b't'; 300] }, meta(0o777, 0, 0, time(9, 0), vec![])),
        (b"/d/pipe", EntryKind::Fifo, meta(0o622, 8, 8, time(99, 99), vec![])),
    ];
    let entries = things.into_iter().map(|(path, kind, meta)| {
        let data = arbitrary::data_of(&kind);
        (Entry { path: GuestPath::new(path).unwrap(), kind, meta }, data)
    });
    let mut entries: Vec<_> = entries.collect();
    let linked = entries.iter().find(|(entry, _)| entry.path.as_bytes() == b"/d/f").unwrap().0.clone();
    for name in [b"/d/hard".to_vec(), [b"/d/".as_slice(), &[0xfe; 120]].concat()] {
        let kind = EntryKind::Hardlink { target: linked.path.clone() };
        let path = GuestPath::new(name).unwrap();
        entries.push((Entry { path, kind, meta: linked.meta.clone() }, vec![]));
    }
    entries
}

fn assert_restored(root: &Path, (entry, data): &(Entry, Vec<u8>)) {
    let path = root.join(entry.path.relative());
    let found = fs::symlink_metadata(&path).unwrap();
    match &entry.kind {
        EntryKind::Dir => assert!(found.is_dir()),
        EntryKind::Fifo => assert!(found.file_type().is_fifo()),
        EntryKind::Symlink { target } => {
            assert_eq!(fs::read_link(&path).unwrap().as_os_str().as_bytes(), target);
        }
        EntryKind::Hardlink { target } => {
            let target = fs::symlink_metadata(root.join(target.relative())).unwrap();
            assert_eq!(found.ino(), target.ino(), "{}", entry.path);
        }
        EntryKind::File { data: map, .. } => {
            assert!(fs::read(&path).unwrap() == expanded(&entry.kind, data), "contents of {}", entry.path);
            if matches!(map, DataMap::Sparse(_)) && found.len() > 0 {
                assert!(found.blocks() * 512 < found.len(), "{} has lost its holes", entry.path);
            }
        }
    }
    assert_eq!(metadata_at(&path), entry.meta, "{}", entry.path);
}

#[test]
fn gnu_tar_restores_everything() {
    let entries = household();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("root.tar.gz");
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    File::create(&file).unwrap().write_all(&zipped(&archive(&entries))).unwrap();
    run("gzip", &[OsStr::new("-t"), file.as_os_str()], b"");
    let args = ["-xpz", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "-C"];
    let mut args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    args.extend([root.as_os_str(), OsStr::new("-f"), file.as_os_str()]);
    run("tar", &args, b"");
    for entry in &entries {
        assert_restored(&root, entry);
    }
}

#[test]
fn gnu_tar_and_python_see_the_size_of_a_huge_file() {
    let size: u64 = 9 << 30;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&head::of(&entry(b"/huge", whole(size))).unwrap().blocks).unwrap();
    file.seek(SeekFrom::End(0)).unwrap();
    // A hole is what zeros and the end marker look like.
    let end = file.stream_position().unwrap() + size + 1024;
    file.as_file().set_len(end).unwrap();
    let listing = run("tar", &[OsStr::new("-tvf"), file.path().as_os_str()], b"");
    let listing = String::from_utf8(listing).unwrap();
    assert!(listing.contains(&format!(" {size} ")) && listing.ends_with(" huge\n"), "{listing}");
    let script = "import sys,tarfile\nprint([(m.name,m.size) for m in tarfile.open(sys.argv[1])])";
    let seen = run("python3", &[OsStr::new("-c"), OsStr::new(script), file.path().as_os_str()], b"");
    assert_eq!(String::from_utf8(seen).unwrap(), format!("[('huge', {size})]\n"));
}

/// Prints what Python sees as JSON: name, type, owner, group, mode, size, link, and the contents if small.
const PYTHON: &str = r"
import json, os, sys, tarfile
members = []
with tarfile.open(sys.argv[1], 'r:', encoding='utf-8') as archive:
    for m in archive:
        small = m.isreg() and m.size <= 1000000
        data = archive.extractfile(m).read().hex() if small else None
        raw = lambda text: text.encode('utf-8', 'surrogateescape').hex()
        members.append([raw(m.name), m.type.decode(), m.uid, m.gid, m.mode, m.size, raw(m.linkname), data])
print(json.dumps(members))
";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// One line of [`PYTHON`]'s output, as it has to be.
fn as_python_sees((entry, data): &(Entry, Vec<u8>)) -> serde_json::Value {
    let (kind, size, link) = match &entry.kind {
        EntryKind::Dir => ("5", 0, vec![]),
        EntryKind::File { size, .. } => ("0", *size, vec![]),
        EntryKind::Symlink { target } => ("2", 0, target.clone()),
        EntryKind::Hardlink { target } => ("1", 0, target.relative().as_os_str().as_bytes().to_vec()),
        EntryKind::Fifo => ("6", 0, vec![]),
    };
    let name = entry.path.relative().as_os_str().as_bytes();
    let small = matches!(entry.kind, EntryKind::File { .. }) && size <= 1_000_000;
    let contents = small.then(|| hex(&expanded(&entry.kind, data)));
    let meta = &entry.meta;
    serde_json::json!([hex(name), kind, meta.uid, meta.gid, meta.mode, size, hex(&link), contents])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn gnu_tar_and_python_list_any_entries(entries in vec(arbitrary::entry(), 1..12)) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&archive(&entries)).unwrap();
        let args = [OsStr::new("-c"), OsStr::new(PYTHON), file.path().as_os_str()];
        let seen: serde_json::Value = serde_json::from_slice(&run("python3", &args, b"")).unwrap();
        let meant: Vec<_> = entries.iter().map(as_python_sees).collect();
        prop_assert_eq!(seen, serde_json::Value::from(meant));
        let quoting = OsStr::new("--quoting-style=escape");
        let listing = run("tar", &[OsStr::new("-tf"), file.path().as_os_str(), quoting], b"");
        let lines = listing.split(|b| *b == b'\n').filter(|line| !line.is_empty()).count();
        prop_assert_eq!(lines, entries.len());
    }
}

#[test]
fn what_gnu_tar_packs_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let long = "n".repeat(150);
    File::create(dir.path().join(&long)).unwrap().write_all(b"contents").unwrap();
    std::os::unix::fs::symlink("t".repeat(120), dir.path().join("link")).unwrap();
    for format in ["--format=gnu", "--format=pax", "--format=posix"] {
        let args = ["-c", format, "--sort=name", "-C"];
        let mut args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        args.extend([dir.path().as_os_str(), OsStr::new(".")]);
        let packed = run("tar", &args, b"");
        let read = read_all(&packed);
        let names: Vec<String> = read.iter().map(|(entry, _)| entry.path.to_string()).collect();
        assert_eq!(names, ["/".to_owned(), "/link".to_owned(), format!("/{long}")], "{format}");
        assert_eq!(read[1].0.kind, EntryKind::Symlink { target: vec![b't'; 120] });
        assert_eq!(read[2].1, b"contents");
        assert_eq!(read[2].0.meta, metadata_if(format, &dir.path().join(&long)));
    }
}

/// The GNU format keeps whole seconds only.
fn metadata_if(format: &str, path: &Path) -> Metadata {
    let mut meta = metadata_at(path);
    if format == "--format=gnu" {
        meta.mtime.nanos = 0;
    }
    meta
}

#[test]
fn what_gnu_tar_packs_sparse_is_read_like_our_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = File::create(dir.path().join("s")).unwrap();
    file.set_len(1 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[7; 4096], 512 * 1024).unwrap();
    file.sync_all().unwrap();
    let args = ["-cS", "--format=pax", "--sparse-version=1.0", "--xattrs", "--acls", "-C"];
    let mut args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    args.extend([dir.path().as_os_str(), OsStr::new("s")]);
    let read = read_all(&run("tar", &args, b""));
    let data = DataMap::Sparse(vec![Segment { offset: 512 * 1024, len: 4096 }]);
    assert_eq!(read[0].0.kind, EntryKind::File { size: 1 << 20, data });
    assert_eq!(read[0].1, [7; 4096]);
    assert_eq!(read[0].0.path.to_string(), "/s");
}
