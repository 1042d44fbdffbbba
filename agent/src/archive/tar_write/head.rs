//! The blocks in front of an entry's data: extended header if needed, ustar header, map of a sparse file.
//!
//! Pure: an entry goes in, bytes come out, or a reason why no archive can hold it.

use tar::{EntryType, Header};

use super::super::entry::{DataMap, Entry, EntryKind, Metadata, SEGMENTS_MAX};
use super::super::sparse::Piece;
use super::super::tar_read::PAX_BYTES_MAX;
use super::super::{acl, pax, sparse};
use super::{BLOCK, TarError};
use crate::guest_path::{GuestPath, PATH_BYTES_MAX};

/// What the octal fields of a header hold: 7 digits for ids, 11 for size and time.
const ID_MAX: u32 = 0o7_777_777;
const NUMBER_MAX: u64 = 0o77_777_777_777;
/// Far above what any file system holds, far below where sums would overflow.
const SIZE_MAX: u64 = 1 << 62;
/// The kernel's limit for an attribute's name (`XATTR_NAME_MAX`, limits.h).
const XATTR_NAME_MAX: usize = 255;

/// Everything that stands before an entry's data, and how that data comes together.
pub(super) struct Head {
    pub(super) blocks: Vec<u8>,
    pub(super) pieces: Vec<Piece>,
}

/// The head of `entry`.
pub(super) fn of(entry: &Entry) -> Result<Head, TarError> {
    check(entry).map_err(|reason| TarError::Unfit { path: entry.path.clone(), reason })?;
    let is_dir = matches!(entry.kind, EntryKind::Dir);
    let name = stored_name(&entry.path, is_dir);
    let mut records = Vec::new();
    if !names_are_utf8(entry) {
        // Without it bsdtar complains; GNU tar restores the same bytes either way and says it ignores the record.
        pax::push(&mut records, b"hdrcharset", b"BINARY");
    }
    let mut header = Header::new_ustar();
    let (map, pieces) = data_of(&entry.kind);
    describe_names(&mut header, &mut records, entry, &name);
    describe_size(&mut header, &mut records, &map, &pieces);
    describe_meta(&mut header, &mut records, &entry.meta);

    let mut blocks = Vec::new();
    if !records.is_empty() {
        push_extended(&mut blocks, &records, entry)?;
    }
    header.set_cksum();
    blocks.extend(header.as_bytes());
    blocks.extend(map);
    Ok(Head { blocks, pieces })
}

/// What no tar reader, or not ours, would take.
fn check(entry: &Entry) -> Result<(), &'static str> {
    if entry.path.is_root() && !matches!(entry.kind, EntryKind::Dir) {
        return Err("the root can only be a directory");
    }
    if entry.meta.mtime.nanos >= 1_000_000_000 {
        return Err("its time has more than a second of nanoseconds");
    }
    if entry.meta.mtime.secs == i64::MIN {
        return Err("its time is out of range");
    }
    let bad_name = |name: &[u8]| name.is_empty() || name.len() > XATTR_NAME_MAX || name.contains(&0);
    if entry.meta.xattrs.iter().any(|(name, _)| bad_name(name)) {
        return Err("an extended attribute has an impossible name");
    }
    match &entry.kind {
        EntryKind::Hardlink { target } if target.is_root() => Err("it is another name of the root"),
        EntryKind::Symlink { target } if target.is_empty() || target.contains(&0) => {
            Err("its target is empty or holds a NUL byte")
        }
        EntryKind::Symlink { target } if target.len() > PATH_BYTES_MAX => Err("its target is too long"),
        // The map of a sparse file counts too, hence the room.
        EntryKind::File { size, .. } if *size > SIZE_MAX => Err("its size is out of range"),
        EntryKind::File { size, data: DataMap::Sparse(segments) } => {
            if segments.len() > SEGMENTS_MAX {
                Err("it has more stretches of data than a sparse file may have here")
            } else if !sparse::is_ordered(segments, *size) {
                Err("its stretches of data overlap or lie outside it")
            } else {
                Ok(())
            }
        }
        EntryKind::Dir
        | EntryKind::File { .. }
        | EntryKind::Symlink { .. }
        | EntryKind::Hardlink { .. }
        | EntryKind::Fifo => Ok(()),
    }
}

fn names_are_utf8(entry: &Entry) -> bool {
    let link = match &entry.kind {
        EntryKind::Symlink { target } => target.as_slice(),
        EntryKind::Hardlink { target } => target.as_bytes(),
        EntryKind::Dir | EntryKind::File { .. } | EntryKind::Fifo => b"",
    };
    std::str::from_utf8(entry.path.as_bytes()).is_ok() && std::str::from_utf8(link).is_ok()
}

/// The name as it stands in an archive: relative, directories with a slash at the end, the root as `./`.
fn stored_name(path: &GuestPath, is_dir: bool) -> Vec<u8> {
    if path.is_root() {
        return b"./".to_vec();
    }
    let mut name = path.as_bytes().iter().skip(1).copied().collect::<Vec<u8>>();
    if is_dir {
        name.push(b'/');
    }
    name
}

/// The map that stands in front of a sparse file's data, and the pieces of a file's data.
fn data_of(kind: &EntryKind) -> (Vec<u8>, Vec<Piece>) {
    match kind {
        EntryKind::File { size, data: DataMap::Whole } => (Vec::new(), vec![Piece { data: *size, zeros: 0 }]),
        EntryKind::File { size, data: DataMap::Sparse(segments) } => {
            let (stretches, pieces) = sparse::in_blocks(segments, *size);
            (sparse::write_map(&stretches, *size), pieces)
        }
        EntryKind::Dir | EntryKind::Symlink { .. } | EntryKind::Hardlink { .. } | EntryKind::Fifo => {
            (Vec::new(), Vec::new())
        }
    }
}

/// Type and names.
fn describe_names(header: &mut Header, records: &mut Vec<u8>, entry: &Entry, name: &[u8]) {
    header.set_entry_type(match &entry.kind {
        EntryKind::Dir => EntryType::Directory,
        EntryKind::File { .. } => EntryType::Regular,
        EntryKind::Symlink { .. } => EntryType::Symlink,
        EntryKind::Hardlink { .. } => EntryType::Link,
        EntryKind::Fifo => EntryType::Fifo,
    });
    if let EntryKind::File { size, data: DataMap::Sparse(_) } = &entry.kind {
        describe_sparse(header, records, entry, name, *size);
    } else {
        put_name(&mut header.as_old_mut().name, name, b"path", records);
    }
    match &entry.kind {
        EntryKind::Symlink { target } => {
            put_name(&mut header.as_old_mut().linkname, target, b"linkpath", records);
        }
        EntryKind::Hardlink { target } => {
            let target = stored_name(target, false);
            put_name(&mut header.as_old_mut().linkname, &target, b"linkpath", records);
        }
        EntryKind::Dir | EntryKind::File { .. } | EntryKind::Fifo => {}
    }
}

/// How many bytes follow the header.
fn describe_size(header: &mut Header, records: &mut Vec<u8>, map: &[u8], pieces: &[Piece]) {
    let map_bytes = u64::try_from(map.len()).unwrap_or(u64::MAX);
    let size = pieces.iter().fold(map_bytes, |sum, piece| sum + piece.data + piece.zeros);
    if size > NUMBER_MAX {
        pax::push(records, b"size", size.to_string().as_bytes());
    }
    header.set_size(if size > NUMBER_MAX { 0 } else { size });
}

/// The records of PAX sparse 1.0. Readers that do not know them unpack map and data under a name of its own.
fn describe_sparse(header: &mut Header, records: &mut Vec<u8>, entry: &Entry, name: &[u8], size: u64) {
    pax::push(records, b"GNU.sparse.major", b"1");
    pax::push(records, b"GNU.sparse.minor", b"0");
    pax::push(records, b"GNU.sparse.name", name);
    pax::push(records, b"GNU.sparse.realsize", size.to_string().as_bytes());
    let mut shown = b"GNUSparseFile.0/".to_vec();
    shown.extend(entry.path.file_name().unwrap_or_default());
    put(&mut header.as_old_mut().name, &shown);
}

fn describe_meta(header: &mut Header, records: &mut Vec<u8>, meta: &Metadata) {
    header.set_mode(meta.mode & 0o7777);
    for (key, id) in [(b"uid", meta.uid), (b"gid", meta.gid)] {
        if id > ID_MAX {
            pax::push(records, key, id.to_string().as_bytes());
        }
    }
    let in_field = |id: u32| if id > ID_MAX { 0 } else { u64::from(id) };
    header.set_uid(in_field(meta.uid));
    header.set_gid(in_field(meta.gid));

    let seconds = u64::try_from(meta.mtime.secs).ok().filter(|secs| *secs <= NUMBER_MAX);
    if seconds.is_none() || meta.mtime.nanos != 0 {
        pax::push(records, b"mtime", pax::time_text(meta.mtime).as_bytes());
    }
    header.set_mtime(seconds.unwrap_or(0));

    let mut xattrs: Vec<&(Vec<u8>, Vec<u8>)> = meta.xattrs.iter().collect();
    xattrs.sort();
    for (name, value) in xattrs {
        push_xattr(records, name, value);
    }
}

/// An attribute; a list that text can say exactly, as text.
fn push_xattr(records: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let acl_key = pax::ACLS.iter().find(|(_, xattr)| *xattr == name).map(|(key, _)| *key);
    match (acl_key, acl_key.and_then(|_| acl::to_text(value))) {
        (Some(key), Some(text)) => pax::push(records, key, text.as_bytes()),
        (Some(_) | None, _) => pax::push(records, &pax::xattr_key(name), value),
    }
}

/// The extended header's own header and its records, padded.
fn push_extended(blocks: &mut Vec<u8>, records: &[u8], entry: &Entry) -> Result<(), TarError> {
    let bytes = u64::try_from(records.len()).unwrap_or(u64::MAX);
    if bytes > PAX_BYTES_MAX {
        return Err(TarError::AttributesTooLarge { path: entry.path.clone(), bytes, max: PAX_BYTES_MAX });
    }
    let mut header = Header::new_ustar();
    let mut shown = b"PaxHeaders.0/".to_vec();
    shown.extend(entry.path.file_name().unwrap_or(b"root"));
    put(&mut header.as_old_mut().name, &shown);
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes);
    header.set_cksum();
    blocks.extend(header.as_bytes());
    blocks.extend(records);
    blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
    Ok(())
}

/// A name into its field, and where the field cannot say it exactly, also into a record.
fn put_name(field: &mut [u8; 100], name: &[u8], key: &[u8], records: &mut Vec<u8>) {
    if name.len() > field.len() || !name.is_ascii() {
        pax::push(records, key, name);
    }
    put(field, name);
}

/// As much of a name as the field takes, without bytes that readers interpret by their own character set.
fn put(field: &mut [u8; 100], name: &[u8]) {
    for (slot, byte) in field.iter_mut().zip(name) {
        *slot = if byte.is_ascii() { *byte } else { b'_' };
    }
}
