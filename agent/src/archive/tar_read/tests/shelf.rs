//! The shelf: archives no honest writer makes, built block by block.

use super::*;

/// A hostile archive and the error it must meet.
pub(super) struct Shelved {
    pub(super) title: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) expected: fn(&TarError) -> bool,
}

/// The records of a sparse file of 100,000 bytes.
pub(super) const SPARSE: &[(&str, &[u8])] =
    &[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"100000")];

/// A header without its checksum.
pub(super) fn block(name: &str, type_flag: u8, size: u64) -> Vec<u8> {
    let mut header = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(124, format!("{size:011o}").as_bytes());
    put(156, &[type_flag]);
    put(257, b"ustar\x0000");
    header
}

/// Makes a header's checksum right.
pub(super) fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// An entry with its data.
pub(super) fn member(name: &str, type_flag: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = block(name, type_flag, u64::try_from(data.len()).unwrap());
    seal(&mut bytes);
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// An extended header.
pub(super) fn extended(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        pax::push(&mut data, key.as_bytes(), value);
    }
    member("PaxHeaders/x", b'x', &data)
}

fn with(records: &[(&str, &[u8])]) -> Vec<u8> {
    [extended(records), member("f", b'0', b"12345")].concat()
}

fn sparse(map: &str) -> Vec<u8> {
    let mut data = map.as_bytes().to_vec();
    data.resize(512 + 5, 0);
    [extended(SPARSE), member("f", b'0', &data)].concat()
}

fn linked(type_flag: u8, target: &[u8]) -> Vec<u8> {
    let mut bytes = member("l", type_flag, b"");
    bytes[157..157 + target.len()].copy_from_slice(target);
    seal(&mut bytes);
    bytes
}

fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut member = member("f", b'0', b"12345");
    member[at..at + bytes.len()].copy_from_slice(bytes);
    seal(&mut member);
    member
}

fn is_header(error: &TarError) -> bool {
    matches!(error, TarError::Header { .. })
}

fn is_pax(error: &TarError) -> bool {
    matches!(error, TarError::Pax { .. })
}

fn is_name(error: &TarError) -> bool {
    matches!(error, TarError::Name { .. })
}

fn is_value(error: &TarError) -> bool {
    matches!(error, TarError::Value { .. })
}

fn is_truncated(error: &TarError) -> bool {
    matches!(error, TarError::Truncated { .. })
}

fn is_too_large(error: &TarError) -> bool {
    matches!(error, TarError::TooLarge { .. })
}

/// All of them.
pub(super) fn shelf() -> Vec<Shelved> {
    let shelved = |(title, bytes, expected)| Shelved { title, bytes, expected };
    [headers(), names(), extended_headers(), sparse_maps()].into_iter().flatten().map(shelved).collect()
}

type Item = (&'static str, Vec<u8>, fn(&TarError) -> bool);

fn headers() -> Vec<Item> {
    let mut wrong_sum = member("f", b'0', b"");
    wrong_sum[0] = b'g';
    vec![
        ("nothing at all", vec![], is_truncated),
        ("no end marker", member("f", b'0', b""), is_truncated),
        ("half an end marker", vec![0; 512], is_truncated),
        ("a lone zero block", [vec![0; 512], member("f", b'0', b"")].concat(), is_header),
        ("a wrong checksum", wrong_sum, is_header),
        ("garbage", b"not a tar file at all ".repeat(100), is_header),
        ("letters for a size", changed(124, b"0000000000z"), is_header),
        ("a negative size", changed(124, &[0xff; 12]), is_header),
        ("a size of 96 bits", changed(124, &[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), is_header),
        ("a negative owner", changed(108, &[0xff; 8]), is_header),
        ("an owner of 33 bits", changed(108, &[0x80, 0, 0, 1, 0, 0, 0, 0]), is_header),
        ("a directory with data", member("d", b'5', b"smuggled"), is_header),
        ("a hard link with data", member("d", b'1', b"smuggled"), is_header),
        ("a symbolic link with data", member("d", b'2', b"smuggled"), is_header),
        ("a pipe with data", member("d", b'6', b"smuggled"), is_header),
        ("data that is not there", member("f", b'0', &[1; 600])[..600].to_vec(), is_truncated),
    ]
}

fn names() -> Vec<Item> {
    let long = |name: &[u8]| [member("././@LongLink", b'L', name), member("f", b'0', b"")].concat();
    vec![
        ("a name that climbs", member("a/../../etc/passwd", b'0', b""), is_name),
        ("no name", member("", b'0', b""), is_name),
        ("a hard link that climbs", linked(b'1', b"../../etc/passwd"), is_name),
        ("a hard link to nothing", linked(b'1', b""), is_name),
        ("a hard link to the root", linked(b'1', b"/"), is_value),
        ("a symbolic link to nothing", linked(b'2', b""), is_value),
        ("a root that is a file", member("./", b'0', b"12345"), is_value),
        ("a root that is a link", member(".", b'2', b""), is_value),
        ("a long name that climbs", long(b"a/../../b\0"), is_name),
        ("an empty long name", long(b"\0"), is_name),
        ("a name with a NUL", with(&[("path", b"etc/pass\0wd")]), is_name),
        ("a name that climbs, extended", with(&[("path", b"../f")]), is_name),
        ("a name longer than the kernel takes", with(&[("path", &[b'x'; 5000])]), is_name),
        ("a link with a NUL", [extended(&[("linkpath", b"a\0b")]), linked(b'2', b"x")].concat(), is_value),
        (
            "a link longer than the kernel takes",
            { [extended(&[("linkpath", &[b'x'; 5000])]), linked(b'2', b"x")].concat() },
            is_value,
        ),
        (
            "two words for one name",
            { [extended(&[("path", b"a")]), member("@", b'L', b"b\0"), member("f", b'0', b"")].concat() },
            is_pax,
        ),
    ]
}

fn extended_headers() -> Vec<Item> {
    let raw = |data: &[u8]| [member("x", b'x', data), member("f", b'0', b"")].concat();
    vec![
        ("a record longer than its header", raw(b"99999 path=evil\n"), is_pax),
        ("a record with a huge length", raw(b"18446744073709551615 path=evil\n"), is_pax),
        ("a record that does not end", raw(b"12 path=evil!"), is_pax),
        ("a record without equals sign", raw(b"8 path!\n"), is_pax),
        ("an extended header of 2 MiB", raw(&vec![b'1'; 2 << 20]), is_too_large),
        ("an extended header for nobody", [extended(&[("path", b"a")]), vec![0; 1024]].concat(), is_header),
        ("an extended header at the end", extended(&[("path", b"a")]), is_truncated),
        ("two extended headers", [extended(&[("path", b"a")]), with(&[("path", b"b")])].concat(), is_pax),
        ("letters for a size", with(&[("size", b"five")]), is_pax),
        ("a negative size", with(&[("size", b"-1")]), is_pax),
        ("a size beyond any disk", with(&[("size", b"18446744073709551615")]), is_header),
        ("letters for an owner", with(&[("uid", b"root")]), is_value),
        ("an owner of 33 bits", with(&[("gid", b"4294967296")]), is_value),
        ("a time that is none", with(&[("mtime", b"1.-5")]), is_value),
        ("an attribute without a name", with(&[("SCHILY.xattr.", b"x")]), is_value),
        ("an attribute with a NUL in its name", with(&[("SCHILY.xattr.user.\0", b"x")]), is_value),
        ("a list by names", with(&[("SCHILY.acl.access", b"user:lisa:rwx")]), |error| {
            matches!(error, TarError::Acl { .. })
        }),
    ]
}

fn sparse_maps() -> Vec<Item> {
    let old = with(&[("GNU.sparse.size", b"5"), ("GNU.sparse.map", b"0,5")]);
    let no_size = &SPARSE[..2];
    let mut no_room = extended(SPARSE);
    no_room.extend(member("f", b'0', b"1\n0\n5\n"));
    vec![
        ("an older format", old, is_value),
        ("no size", with(no_size), is_value),
        ("no room for a map", no_room, is_value),
        ("a count that is none", sparse("many\n"), is_value),
        ("more than anybody has", sparse("1000000\n"), is_too_large),
        ("overlapping stretches", sparse("2\n0\n4\n3\n1\n"), is_value),
        ("a stretch outside the file", sparse("1\n99996\n5\n"), is_value),
        ("less data than the map says", sparse("1\n0\n6\n"), is_value),
        ("more data than the map says", sparse("1\n0\n4\n"), is_value),
        ("lengths that overflow", sparse("2\n0\n5\n5\n18446744073709551615\n"), is_value),
    ]
}
