//! A file system in memory that becomes a tar, the same bytes each time.
//!
//! Flows in: paths and contents. Flows out: a tar whose entries stand in the order they were first named, parents
//! before children. Must never depend on the clock, the machine or the user: the digest of an image would change.

use anyhow::Result;

/// All entries carry this time: any fixed one does.
const MTIME: u64 = 1_600_000_000;

/// One entry.
#[derive(Debug, Clone)]
struct Entry {
    /// Without the leading slash.
    path: String,
    kind: Kind,
    mode: u32,
    uid: u64,
    gid: u64,
}

#[derive(Debug, Clone)]
enum Kind {
    Directory,
    File(Vec<u8>),
    Link(String),
}

/// Files, directories and links, by absolute path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer {
    entries: Vec<Entry>,
}

impl Layer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn file(self, path: &str, contents: &[u8], mode: u32) -> Self {
        self.put(path, Kind::File(contents.to_vec()), mode)
    }

    pub(crate) fn dir(self, path: &str, mode: u32) -> Self {
        self.put(path, Kind::Directory, mode)
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.put(path, Kind::Link(target.to_owned()), 0o777)
    }

    pub(crate) fn owner(mut self, path: &str, uid: u64, gid: u64) -> Self {
        let path = path.trim_start_matches('/');
        for entry in self.entries.iter_mut().filter(|entry| entry.path == path) {
            (entry.uid, entry.gid) = (uid, gid);
        }
        self
    }

    pub(crate) fn pack(&self) -> Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for entry in &self.entries {
            let mut header = tar::Header::new_ustar();
            header.set_mode(entry.mode);
            header.set_uid(entry.uid);
            header.set_gid(entry.gid);
            header.set_mtime(MTIME);
            header.set_size(0);
            match &entry.kind {
                Kind::Directory => {
                    header.set_entry_type(tar::EntryType::Directory);
                    tar.append_data(&mut header, &entry.path, std::io::empty())?;
                }
                Kind::File(contents) => {
                    header.set_size(u64::try_from(contents.len())?);
                    tar.append_data(&mut header, &entry.path, contents.as_slice())?;
                }
                Kind::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    tar.append_link(&mut header, &entry.path, target)?;
                }
            }
        }
        Ok(tar.into_inner()?)
    }

    /// Puts an entry in its place, or in that of the one with the same path; missing parents come before it.
    fn put(mut self, path: &str, kind: Kind, mode: u32) -> Self {
        let path = path.trim_start_matches('/');
        if let Some((parent, _)) = path.rsplit_once('/')
            && !self.entries.iter().any(|entry| entry.path == parent)
        {
            self = self.put(parent, Kind::Directory, 0o755);
        }
        let entry = Entry { path: path.to_owned(), kind, mode, uid: 0, gid: 0 };
        match self.entries.iter_mut().find(|entry| entry.path == path) {
            Some(present) => *present = entry,
            None => self.entries.push(entry),
        }
        self
    }
}
