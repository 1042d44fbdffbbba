//! Any entry a container could hold, for property tests; and what its data is.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::archive::acl;

/// An entry and its stored bytes.
pub(in crate::archive) fn entry() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    (path(), kind(), metadata()).prop_map(|(path, kind, meta)| {
        let data = data_of(&kind);
        (Entry { path, kind, meta }, data)
    })
}

/// Bytes that differ from place to place.
pub(in crate::archive) fn data_of(kind: &EntryKind) -> Vec<u8> {
    let stored = usize::try_from(kind.stored_bytes()).unwrap();
    (0_u8..=250).cycle().take(stored).collect()
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let any_byte = any::<u8>().prop_map(|b| if b == 0 || b == b'/' { b'_' } else { b });
    prop_oneof![
        4 => "[a-z0-9 ._-]{1,12}".prop_map(String::into_bytes),
        1 => "[äß漢🦀=\n]{1,8}".prop_map(String::into_bytes),
        1 => vec(any_byte, 1..20),
        1 => Just(vec![b'x'; 255]),
    ]
    .prop_filter("no directory itself", |name| name != b"." && name != b"..")
}

fn path() -> impl Strategy<Value = GuestPath> {
    vec(name(), 1..6).prop_map(|names| GuestPath::new(names.join(&b'/')).unwrap())
}

fn kind() -> impl Strategy<Value = EntryKind> {
    let size = prop_oneof![
        (0..3_u64).prop_map(|blocks| blocks * 512),
        (0..4_u64).prop_map(|blocks| blocks * 512 + 1),
        (1..4_u64).prop_map(|blocks| blocks * 512 - 1),
        Just(64 * 1024 + 1),
    ];
    prop_oneof![
        Just(EntryKind::Dir),
        Just(EntryKind::Fifo),
        size.prop_map(|size| EntryKind::File { size, data: DataMap::Whole }),
        sparse(),
        vec(1..=255_u8, 1..300).prop_map(|target| EntryKind::Symlink { target }),
        path().prop_map(|target| EntryKind::Hardlink { target }),
    ]
}

/// Holes in front, between, behind, nothing but a hole, nothing at all.
fn sparse() -> impl Strategy<Value = EntryKind> {
    let hole = prop_oneof![Just(0), 1..100_000_u64, Just(1 << 40)];
    (vec((hole.clone(), 1..1500_u64), 0..6), hole).prop_map(|(stretches, last_hole)| {
        let mut end = 0;
        let segments = stretches.into_iter().map(|(hole, len)| {
            let offset = end + hole;
            end = offset + len;
            Segment { offset, len }
        });
        let data = DataMap::Sparse(segments.collect());
        EntryKind::File { size: end + last_hole, data }
    })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let mtime = (-(1_i64 << 40)..(1 << 40), prop_oneof![Just(0), 0..1_000_000_000_u32])
        .prop_map(|(secs, nanos)| Timestamp { secs, nanos });
    let xattrs = (btree_map(xattr_name(), xattr_value(), 0..4), proptest::option::of(acl()));
    (0..=0o7777_u32, any::<u32>(), any::<u32>(), mtime, xattrs).prop_map(
        |(mode, uid, gid, mtime, (mut xattrs, acl))| {
            xattrs.extend(acl.map(|acl| (b"system.posix_acl_access".to_vec(), acl)));
            Metadata { mode, uid, gid, mtime, xattrs: xattrs.into_iter().collect() }
        },
    )
}

fn xattr_name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "user\\.[a-z=%]{1,12}".prop_map(String::into_bytes),
        Just(b"security.capability".to_vec()),
        Just(b"system.posix_acl_default".to_vec()),
        vec(1..=255_u8, 1..40),
    ]
}

fn xattr_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..200),
        Just(b"\n21 path=etc/evil.so\n30 size=9\n\0\n".to_vec()),
        Just(b"\n".to_vec()),
    ]
}

/// Lists the kernel would accept, and others.
fn acl() -> impl Strategy<Value = Vec<u8>> {
    let ids = || btree_map(0..u32::MAX, 0..8_usize, 0..3);
    let complete = (ids(), ids()).prop_map(|(users, groups)| {
        let text = |kind: &str, ids: BTreeMap<u32, usize>| {
            ids.into_iter()
                .map(|(id, bits)| format!("{kind}:{id}:{},", &"rwxr-x-w"[bits..bits + 1]))
                .collect()
        };
        let (users, groups): (String, String) = (text("user", users), text("group", groups));
        let text = format!("user::rw-,{users}group::r--,{groups}mask::rwx,other::--x");
        acl::from_text(text.as_bytes()).unwrap()
    });
    prop_oneof![3 => complete, 1 => vec(any::<u8>(), 0..60)]
}
