//! A directory with one of everything a user can leave behind, for trees that must come back exactly.
//!
//! Flows in: a directory, of a container or a volume. Flows out: files with every attribute that counts. Must
//! never leave anything to the clock: all times are set.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, setxattr, utimensat};
use walkdir::WalkDir;

/// The length of the sparse file.
const SPARSE_BYTES: u64 = 16 << 20;

/// An ACL as the kernel stores it: owner rwx, user 1234 r-x, group r-x, mask rwx, others none.
const ACL: [u8; 44] = {
    let mut acl = [0; 44];
    acl[0] = 2;
    let entries: [(u8, u8, [u8; 4]); 5] = [
        (0x01, 7, [0xff; 4]),
        (0x02, 5, [0xd2, 0x04, 0, 0]),
        (0x04, 5, [0xff; 4]),
        (0x10, 7, [0xff; 4]),
        (0x20, 0, [0xff; 4]),
    ];
    let mut n = 0;
    while n < entries.len() {
        let at = 4 + n * 8;
        acl[at] = entries[n].0;
        acl[at + 2] = entries[n].1;
        let mut byte = 0;
        while byte < 4 {
            acl[at + 4 + byte] = entries[n].2[byte];
            byte += 1;
        }
        n += 1;
    }
    acl
};

/// A capability set as the kernel stores it: effective `cap_net_bind_service`.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Fills a directory, which is made if it is missing.
///
/// # Errors
/// The file system refused something.
pub fn fill(dir: &Path) -> Result<()> {
    let at = |name: &str| dir.join(name);
    fs::create_dir_all(at("deep/er/still"))?;
    fs::create_dir_all(at("empty dir"))?;
    for name in ["plain", "deep/er/file", "set-uid", "capable", "with acl", ".hidden", "deep/two names"] {
        fs::write(at(name), format!("the user's {name}\n"))?;
    }
    fs::write(at("empty"), "")?;
    fs::write(dir.join(OsStr::from_bytes(b"caf\xe9 \n line")), "a name that is no UTF-8\n")?;
    fs::write(at(&"n".repeat(240)), "a long name\n")?;
    fs::hard_link(at("deep/two names"), at("other name"))?;
    symlink("deep/er/file", at("link"))?;
    symlink("/nowhere/at all", at("deep/dangling"))?;
    symlink("/etc", at("deep/to a directory"))?;
    sparse(&at("sparse"))?;
    attributes(dir)?;
    set_times(dir)
}

/// Does the sparse file of this directory still have its hole?
///
/// # Errors
/// It is not there.
pub fn is_still_sparse(dir: &Path) -> Result<bool> {
    let metadata = fs::metadata(dir.join("sparse"))?;
    Ok(metadata.size() == SPARSE_BYTES && metadata.blocks() * 512 < SPARSE_BYTES / 4)
}

fn sparse(path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    file.write_all(b"begin")?;
    file.set_len(SPARSE_BYTES)?;
    file.write_all_at(b"end", SPARSE_BYTES - 3)?;
    Ok(())
}

fn attributes(dir: &Path) -> Result<()> {
    let at = |name: &str| dir.join(name);
    // Owners first: a change of owner takes set-id bits and capabilities away.
    chown(at("plain"), Some(1000), Some(1001))?;
    chown(at("deep/er"), Some(65_534), Some(4_000_000))?;
    chown(at("set-uid"), Some(7), Some(7))?;
    std::os::unix::fs::lchown(at("link"), Some(1000), Some(1000))?;
    for (name, mode) in [("plain", 0o640), ("set-uid", 0o4755), ("deep/er", 0o2775), ("empty dir", 0o1777)] {
        fs::set_permissions(at(name), Permissions::from_mode(mode))?;
    }
    setxattr(at("plain"), "user.note", b"line\nand \0 and \xff", XattrFlags::empty())?;
    setxattr(at("deep"), "user.on a directory", b"", XattrFlags::empty())?;
    setxattr(at("capable"), "security.capability", &CAPABILITY, XattrFlags::empty())?;
    setxattr(at("with acl"), "system.posix_acl_access", &ACL, XattrFlags::empty())?;
    setxattr(at("deep/er/still"), "system.posix_acl_default", &ACL, XattrFlags::empty())?;
    Ok(())
}

/// Each name gets a time of its own, down to the nanosecond; contents before their directories.
fn set_times(dir: &Path) -> Result<()> {
    let names = WalkDir::new(dir).contents_first(true).sort_by_file_name();
    for (number, entry) in names.into_iter().enumerate() {
        let number = i64::try_from(number)?;
        let time = Timespec { tv_sec: 1_000_000_000 + 7919 * number, tv_nsec: 123_456_789 + number };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, entry?.path(), &times, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

/// Writes a file with a fixed time, with the directories above it.
///
/// # Errors
/// The file system refused.
pub fn write(path: &Path, contents: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, contents)?;
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 987_654_321);
    Ok(File::open(path)?.set_modified(time)?)
}
