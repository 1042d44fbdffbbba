//! One file, directory, link or special file with everything a restore must bring back.
//!
//! Flows in: a path. Flows out: its attributes and a digest of its contents. Must never follow the path's last link,
//! nor open anything but regular files: opening a FIFO blocks, opening a device acts.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

/// Names of attributes with which overlay file systems mark their own layers.
const NOT_OURS: [&[u8]; 2] = [b"trusted.overlay.", b"user.fuseoverlayfs."];

/// The largest value and the longest list of attributes Linux allows.
const XATTR_BYTES_MAX: usize = 65_536;

/// Device and inode: equal for two names of one file.
pub(super) type Identity = (u64, u64);

/// What there is to know of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What kind of thing, and what is in it.
    pub content: Content,
    /// Permission bits with set-id and sticky; 0o777 for links.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time in nanoseconds since 1970.
    pub mtime_ns: i128,
    /// All extended attributes, ACLs and capabilities among them, by name.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// The first name in the tree of the same file; its own name unless it is a later hard link.
    pub same_file_as: PathBuf,
}

/// The kinds of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
        /// Of the contents, in hexadecimal.
        sha256: String,
    },
    /// A symbolic link.
    Link {
        /// As it stands in the link.
        target: PathBuf,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character or block device.
    Device {
        /// Its number.
        number: u64,
    },
}

impl Node {
    /// Reads what is at `path`, and who it is; [`Node::same_file_as`] is for the reader of the tree to fill in.
    pub(super) fn read(path: &Path) -> Result<(Self, Identity)> {
        let metadata = fs::symlink_metadata(path)?;
        let node = Self {
            content: content(path, &metadata)?,
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
            xattrs: xattrs(path)?,
            same_file_as: PathBuf::new(),
        };
        Ok((node, (metadata.dev(), metadata.ino())))
    }

    /// What differs, as `what old -> new`.
    pub(super) fn changes(&self, new: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut compare = |what: &str, old: String, new: String| {
            if old != new {
                lines.push(format!("{what} {old} -> {new}"));
            }
        };
        compare("is", format!("{:?}", self.content), format!("{:?}", new.content));
        compare("mode", format!("{:04o}", self.mode), format!("{:04o}", new.mode));
        compare("owner", format!("{}:{}", self.uid, self.gid), format!("{}:{}", new.uid, new.gid));
        compare("mtime", self.mtime_ns.to_string(), new.mtime_ns.to_string());
        compare("xattrs", shown(&self.xattrs), shown(&new.xattrs));
        compare("same file as", format!("{:?}", self.same_file_as), format!("{:?}", new.same_file_as));
        lines
    }
}

fn content(path: &Path, metadata: &Metadata) -> Result<Content> {
    let kind = metadata.file_type();
    Ok(if kind.is_dir() {
        Content::Directory
    } else if kind.is_symlink() {
        Content::Link { target: fs::read_link(path)? }
    } else if kind.is_file() {
        Content::File { size: metadata.len(), sha256: sha256(path)? }
    } else if kind.is_fifo() {
        Content::Fifo
    } else if kind.is_socket() {
        Content::Socket
    } else if kind.is_char_device() || kind.is_block_device() {
        Content::Device { number: metadata.rdev() }
    } else {
        bail!("an unknown kind of file")
    })
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        digest.update(buffer.get(..count).unwrap_or_default());
    }
}

fn xattrs(path: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut list = vec![0; XATTR_BYTES_MAX];
    let length = match rustix::fs::llistxattr(path, list.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    list.truncate(length);
    let mut values = BTreeMap::new();
    for name in list.split_inclusive(|byte| *byte == 0) {
        let name: CString = CStr::from_bytes_with_nul(name)?.into();
        if NOT_OURS.iter().any(|prefix| name.as_bytes().starts_with(prefix)) {
            continue;
        }
        let mut value = vec![0; XATTR_BYTES_MAX];
        let length = rustix::fs::lgetxattr(path, name.as_c_str(), value.as_mut_slice())?;
        value.truncate(length);
        values.insert(name.to_string_lossy().into_owned(), value);
    }
    Ok(values)
}

fn shown(xattrs: &BTreeMap<String, Vec<u8>>) -> String {
    let list: Vec<String> =
        xattrs.iter().map(|(name, value)| format!("{name}={}", value.escape_ascii())).collect();
    format!("[{}]", list.join(" "))
}
