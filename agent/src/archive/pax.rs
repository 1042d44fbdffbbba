//! PAX extended headers: records of `length key=value\n`, and the numbers that stand in them as text.
//!
//! A record's end is told by its length alone: values hold any byte, newlines and NULs too. Must never look for
//! the end of a record by its newline, or a file's attribute could pass for a record.
//!
//! Source of the form: POSIX.1-2017, pax, "pax Extended Header".

use std::collections::BTreeMap;

use super::entry::Timestamp;

/// Prefix of extended attributes; what follows is the kernel's name of it.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";
/// Text form of the `system.posix_acl_access` and `system.posix_acl_default` attributes.
pub(super) const ACLS: [(&[u8], &[u8]); 2] = [
    (b"SCHILY.acl.access", b"system.posix_acl_access"),
    (b"SCHILY.acl.default", b"system.posix_acl_default"),
];

/// Parsed records. Of a key that stands twice the last counts.
pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Appends one record.
pub(super) fn push(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // A space, the equals sign, the newline; the length counts its own digits too.
    let body = key.len() + value.len() + 3;
    let digits = |number: usize| number.to_string().len();
    let mut total = body + digits(body);
    total = body + digits(total);
    out.extend(total.to_string().as_bytes());
    out.push(b' ');
    out.extend(key);
    out.push(b'=');
    out.extend(value);
    out.push(b'\n');
}

/// All records of one extended header, in place of those with the same key.
pub(super) fn parse(mut bytes: &[u8], into: &mut Records) -> Result<(), &'static str> {
    while !bytes.is_empty() {
        let (record, rest) = split_record(bytes)?;
        let equals = record.iter().position(|b| *b == b'=').ok_or("a record has no equals sign")?;
        let (key, value) = record.split_at(equals);
        if key.is_empty() {
            return Err("a record has no key");
        }
        into.insert(key.to_vec(), value.get(1..).unwrap_or_default().to_vec());
        bytes = rest;
    }
    Ok(())
}

/// The first record's `key=value`, and what follows the record.
fn split_record(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    const BAD_LENGTH: &str = "a record's length is wrong";
    // 20 digits hold every length there can be.
    let space = bytes.iter().take(21).position(|b| *b == b' ').ok_or(BAD_LENGTH)?;
    let length = bytes.get(..space).and_then(decimal).ok_or(BAD_LENGTH)?;
    let length = usize::try_from(length).map_err(|_| BAD_LENGTH)?;
    let (record, rest) = bytes.split_at_checked(length).ok_or(BAD_LENGTH)?;
    let record = record.get(space + 1..).ok_or(BAD_LENGTH)?;
    let record = record.strip_suffix(b"\n").ok_or(BAD_LENGTH)?;
    Ok((record, rest))
}

/// A number of plain digits.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A time as decimal seconds, exact to the nanosecond.
pub(super) fn time_text(time: Timestamp) -> String {
    let text = match (time.secs, time.nanos) {
        (secs, 0) => return secs.to_string(),
        (secs @ 0.., nanos) => format!("{secs}.{nanos:09}"),
        // -1 s + 0.3 s reads -0.7: seconds rounded towards zero, the fraction from there. `!secs` is -secs - 1.
        (secs, nanos) => format!("-{}.{:09}", !secs, 1_000_000_000_u32.saturating_sub(nanos)),
    };
    text.trim_end_matches('0').to_owned()
}

/// Reads what [`time_text`] and others write; digits beyond nanoseconds are dropped.
pub(super) fn parse_time(text: &[u8]) -> Option<Timestamp> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |b| *b == b'.');
    let whole = i64::try_from(decimal(parts.next()?)?).ok()?;
    let nanos = parts.next().map_or(Some(0), parse_nanos)?;
    Some(match (negative, nanos) {
        (false, nanos) => Timestamp { secs: whole, nanos },
        (true, 0) => Timestamp { secs: -whole, nanos: 0 },
        (true, nanos) => Timestamp { secs: !whole, nanos: 1_000_000_000 - nanos },
    })
}

fn parse_nanos(fraction: &[u8]) -> Option<u32> {
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().map(|b| u32::from(b - b'0')).chain(std::iter::repeat(0));
    Some(digits.take(9).fold(0, |nanos, digit| nanos * 10 + digit))
}

/// An attribute's name as a key. `=` would end the key early, so it and `%` are written as GNU tar writes them.
pub(super) fn xattr_key(name: &[u8]) -> Vec<u8> {
    let mut key = XATTR.to_vec();
    for byte in name {
        match byte {
            b'=' => key.extend(b"%3D"),
            b'%' => key.extend(b"%25"),
            byte => key.push(*byte),
        }
    }
    key
}

/// The attribute's name in a key; `None` if the key is about something else.
pub(super) fn xattr_name(key: &[u8]) -> Option<Vec<u8>> {
    let mut rest = key.strip_prefix(XATTR)?;
    let mut name = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'%', [b'3', b'D', after @ ..]) => (b'=', after),
            (b'%', [b'2', b'5', after @ ..]) => (b'%', after),
            _ => (*first, after),
        };
        name.push(byte);
        rest = after;
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(bytes: &[u8]) -> Result<Records, &'static str> {
        let mut records = Records::new();
        parse(bytes, &mut records).map(|()| records)
    }

    #[test]
    fn a_length_counts_its_own_digits() {
        for size in [0, 1, 3, 90, 91, 92, 93, 94, 988, 989, 990, 991, 992, 9986, 9987, 9988] {
            let mut record = Vec::new();
            push(&mut record, b"key", &vec![b'v'; size]);
            let digits = record.iter().position(|b| *b == b' ').unwrap();
            assert_eq!(decimal(&record[..digits]), Some(u64::try_from(record.len()).unwrap()), "{size}");
            assert_eq!(parsed(&record).unwrap()[&b"key"[..]].len(), size);
        }
    }

    #[test]
    fn a_value_cannot_smuggle_a_record() {
        let mut bytes = Vec::new();
        let value = b"a\n21 path=etc/evil.so\n\0\n";
        push(&mut bytes, b"SCHILY.xattr.user.x", value);
        push(&mut bytes, b"path", b"good");
        let records = parsed(&bytes).unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!(records[&b"path"[..]], b"good");
        assert_eq!(records[&b"SCHILY.xattr.user.x"[..]], value);
    }

    #[test]
    fn records_that_lie_about_themselves_are_refused() {
        for bad in [
            "path=x\n",
            "8 path=x\n",
            "11 path=x\n",
            "9 path=xx",
            "0 path=x\n",
            "2 path=x\n",
            "3 \n",
            "4 =\n",
            "5 ab\n",
            "+9 path=x\n",
            " 9 path=x\n",
            "-1 path=x\n",
            "99999999999999999999 path=x\n",
            "18446744073709551615 path=x\n",
            "000000000000000000000000010 path=x\n",
            "10",
        ] {
            assert!(parsed(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(parsed(b"11 path=x\n"), Err("a record's length is wrong"));
        assert!(parsed(b"9 path=x\n11 path=yz\n").is_ok_and(|records| records[&b"path"[..]] == b"yz"));
    }

    #[test]
    fn times_read_as_they_are_meant() {
        for (secs, nanos, text) in [
            (0, 0, "0"),
            (12, 0, "12"),
            (-12, 0, "-12"),
            (1, 500_000_000, "1.5"),
            (1, 1, "1.000000001"),
            (-1, 500_000_000, "-0.5"),
            (-1, 1, "-0.999999999"),
            (-3, 250_000_000, "-2.75"),
            (120, 0, "120"),
        ] {
            let time = Timestamp { secs, nanos };
            assert_eq!(time_text(time), text);
            assert_eq!(parse_time(text.as_bytes()), Some(time), "{text}");
        }
        assert_eq!(parse_time(b"1.1234567899"), Some(Timestamp { secs: 1, nanos: 123_456_789 }));
        for bad in ["", "-", ".5", "1.x", "1e3", "+1", "--1", "1.2.3", "9223372036854775808", " 1"] {
            assert_eq!(parse_time(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn attribute_names_stand_as_gnu_tar_writes_them() {
        assert_eq!(xattr_key(b"user.a=b%"), b"SCHILY.xattr.user.a%3Db%25");
        assert_eq!(xattr_name(b"SCHILY.xattr.user.%3d%3D%41"), Some(b"user.%3d=%41".to_vec()));
        assert_eq!(xattr_name(b"SCHILY.acl.access"), None);
    }

    proptest! {
        #[test]
        fn times_come_back(secs in (i64::MIN + 1).., nanos in 0..1_000_000_000_u32) {
            let time = Timestamp { secs, nanos };
            prop_assert_eq!(parse_time(time_text(time).as_bytes()), Some(time));
        }

        #[test]
        fn any_bytes_are_records_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parsed(&bytes);
        }

        #[test]
        fn attribute_names_come_back(name in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(xattr_name(&xattr_key(&name)), Some(name));
        }
    }
}
