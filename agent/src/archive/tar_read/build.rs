//! From headers to an entry: what the extended headers say goes before what the plain one says.
//!
//! Must set where the entry's data ends before it looks at anything else, so that a bad entry can be skipped.

use std::collections::BTreeMap;
use std::io::Read;

use super::super::entry::{DataMap, Entry, EntryKind, Metadata, Timestamp, Xattrs};
use super::super::sparse::{self, InvalidMap};
use super::super::{acl, pax};
use super::{Header, Records, TarError, TarReader};
use crate::guest_path::{GuestPath, PATH_BYTES_MAX};

/// What stood in front of an entry's header.
#[derive(Default)]
pub(super) struct Extra {
    pub(super) records: Option<Records>,
    /// GNU long name and long link.
    pub(super) name: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
}

impl Extra {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_none() && self.name.is_none() && self.link.is_none()
    }

    /// Readers disagree about which of two counts: refused.
    pub(super) fn set_records(&mut self, records: Records, offset: u64) -> Result<(), TarError> {
        if self.records.replace(records).is_some() {
            return Err(TarError::Pax { offset, detail: "one entry has two of them" });
        }
        Ok(())
    }
}

/// The entry's own records before the global ones. An empty value says no more than the plain header does.
struct Lookup<'a> {
    own: &'a Records,
    globals: &'a Records,
}

impl Lookup<'_> {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let value = self.own.get(key).or_else(|| self.globals.get(key))?;
        (!value.is_empty()).then_some(value)
    }

    /// All keys, the entry's own values first in line.
    fn all(&self) -> BTreeMap<&[u8], &[u8]> {
        let pairs = self.globals.iter().chain(self.own);
        pairs.map(|(key, value)| (key.as_slice(), value.as_slice())).collect()
    }
}

impl<R: Read> TarReader<R> {
    pub(super) fn build(&mut self, header: Header, extra: Extra, offset: u64) -> Result<Entry, TarError> {
        let own = extra.records.unwrap_or_default();
        // Taken out while the reader itself is needed to read a sparse map.
        let globals = std::mem::take(&mut self.globals);
        let lookup = Lookup { own: &own, globals: &globals };
        let long = (extra.name, extra.link);
        let built = self.build_with(&header, &lookup, long, offset);
        self.globals = globals;
        built
    }

    fn build_with(
        &mut self,
        header: &Header,
        lookup: &Lookup<'_>,
        (long_name, long_link): (Option<Vec<u8>>, Option<Vec<u8>>),
        offset: u64,
    ) -> Result<Entry, TarError> {
        let pax = |detail| TarError::Pax { offset, detail };
        let size = match lookup.get(b"size") {
            Some(text) => pax::decimal(text).ok_or_else(|| pax("its size is not a number"))?,
            None => header.size,
        };
        if i64::try_from(size).is_err() {
            return Err(TarError::Header { offset, detail: "an entry's size is out of range" });
        }
        if header.type_flag == b'S' && header.map_goes_on {
            self.skip_old_sparse_map()?;
        }
        self.expect_data(size);

        let sparse_name = lookup.get(b"GNU.sparse.name");
        if long_name.is_some() && (lookup.get(b"path").is_some() || sparse_name.is_some())
            || long_link.is_some() && lookup.get(b"linkpath").is_some()
        {
            return Err(pax("it names its entry, and so does a GNU long name"));
        }
        let name = sparse_name.or_else(|| lookup.get(b"path")).or(long_name.as_deref());
        let name = name.unwrap_or(&header.name);
        let is_dir = header.type_flag == b'5' || (header.type_flag == 0 && name.ends_with(b"/"));
        let is_file = !is_dir && matches!(header.type_flag, 0 | b'0' | b'7');
        if size > 0 && (is_dir || matches!(header.type_flag, b'1'..=b'6')) {
            return Err(TarError::Header { offset, detail: "an entry without data claims to have some" });
        }
        let path = GuestPath::new(name).map_err(|source| TarError::Name { offset, source })?;
        let link = lookup.get(b"linkpath").or(long_link.as_deref()).unwrap_or(&header.link);
        let meta = metadata(header, lookup, &path)?;
        let kind = if is_dir {
            EntryKind::Dir
        } else if path.is_root() {
            return Err(TarError::Value { path, what: "type: only a directory can be the root" });
        } else if is_file {
            self.file(lookup, &path, size)?
        } else {
            no_data_kind(header.type_flag, link, &path, offset)?
        };
        Ok(Entry { path, kind, meta })
    }

    /// A regular file; of a sparse one, the map is read here.
    fn file(&mut self, lookup: &Lookup<'_>, path: &GuestPath, size: u64) -> Result<EntryKind, TarError> {
        let bad = |what| TarError::Value { path: path.clone(), what };
        match (lookup.get(b"GNU.sparse.major"), lookup.get(b"GNU.sparse.minor")) {
            (None, None) if lookup.own.keys().any(|key| key.starts_with(b"GNU.sparse.")) => {
                return Err(bad("sparse format: only PAX sparse 1.0 is read"));
            }
            (None, None) => return Ok(EntryKind::File { size, data: DataMap::Whole }),
            (Some(b"1"), Some(b"0")) => {}
            (Some(_) | None, _) => return Err(bad("sparse format: only PAX sparse 1.0 is read")),
        }
        let real = lookup.get(b"GNU.sparse.realsize").and_then(pax::decimal);
        let real =
            real.filter(|real| i64::try_from(*real).is_ok()).ok_or_else(|| bad("size of a sparse file"))?;
        let segments_max = self.limits.segments_max;
        let start = self.offset;
        let segments = match sparse::read_map(self, real, segments_max) {
            Ok(segments) => segments,
            // Still data left, or never any: the map is wrong. Otherwise the input is.
            Err(InvalidMap::Read(source)) if self.is_broken() => return Err(self.input_error(source)),
            Err(InvalidMap::Read(_) | InvalidMap::NotANumber | InvalidMap::Misplaced) => {
                return Err(bad("map of a sparse file"));
            }
            Err(InvalidMap::TooMany(count)) => {
                let max = u64::try_from(segments_max).unwrap_or(u64::MAX).saturating_mul(16);
                let bytes = count.saturating_mul(16);
                return Err(TarError::TooLarge { offset: start, what: "map of a sparse file", bytes, max });
            }
        };
        let kind = EntryKind::File { size: real, data: DataMap::Sparse(segments) };
        if kind.stored_bytes() != self.rest {
            return Err(bad("map of a sparse file: its data is not all there"));
        }
        Ok(kind)
    }

    /// The blocks in which the map of an old GNU sparse file goes on; each says whether one more follows.
    fn skip_old_sparse_map(&mut self) -> Result<(), TarError> {
        loop {
            let offset = self.offset;
            let block = self.block()?.ok_or(TarError::Truncated { offset })?;
            if block.get(504).is_none_or(|more| *more == 0) {
                return Ok(());
            }
        }
    }
}

fn no_data_kind(type_flag: u8, link: &[u8], path: &GuestPath, offset: u64) -> Result<EntryKind, TarError> {
    match type_flag {
        b'1' => {
            let target = GuestPath::new(link).map_err(|source| TarError::Name { offset, source })?;
            if target.is_root() {
                return Err(TarError::Value { path: path.clone(), what: "target of a hard link" });
            }
            Ok(EntryKind::Hardlink { target })
        }
        b'2' if link.is_empty() || link.contains(&0) || link.len() > PATH_BYTES_MAX => {
            Err(TarError::Value { path: path.clone(), what: "target of a symbolic link" })
        }
        b'2' => Ok(EntryKind::Symlink { target: link.to_vec() }),
        b'6' => Ok(EntryKind::Fifo),
        type_flag => Err(TarError::Unsupported { path: path.clone(), type_flag }),
    }
}

fn metadata(header: &Header, lookup: &Lookup<'_>, path: &GuestPath) -> Result<Metadata, TarError> {
    let bad = |what| TarError::Value { path: path.clone(), what };
    let id = |key: &[u8], plain: u32| match lookup.get(key) {
        Some(text) => pax::decimal(text).and_then(|id| u32::try_from(id).ok()).ok_or_else(|| bad("owner")),
        None => Ok(plain),
    };
    let mtime = match lookup.get(b"mtime") {
        Some(text) => pax::parse_time(text).ok_or_else(|| bad("time"))?,
        None => Timestamp { secs: header.mtime, nanos: 0 },
    };
    Ok(Metadata {
        mode: header.mode & 0o7777,
        uid: id(b"uid", header.uid)?,
        gid: id(b"gid", header.gid)?,
        mtime,
        xattrs: xattrs(lookup, path)?,
    })
}

/// In order of their names. A list that stands as text goes before the same as a raw attribute.
fn xattrs(lookup: &Lookup<'_>, path: &GuestPath) -> Result<Xattrs, TarError> {
    let mut xattrs = BTreeMap::new();
    for (key, value) in lookup.all() {
        let Some(name) = pax::xattr_name(key) else { continue };
        if name.is_empty() || name.contains(&0) {
            return Err(TarError::Value { path: path.clone(), what: "name of an extended attribute" });
        }
        xattrs.insert(name, value.to_vec());
    }
    for (key, name) in pax::ACLS {
        if let Some(text) = lookup.get(key) {
            let raw = acl::from_text(text).map_err(|source| TarError::Acl { path: path.clone(), source })?;
            xattrs.insert(name.to_vec(), raw);
        }
    }
    Ok(xattrs.into_iter().collect())
}
