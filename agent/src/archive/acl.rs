//! Access control lists: the kernel's binary form ↔ the text that stands in archives.
//!
//! GNU tar and bsdtar restore only the text (`SCHILY.acl.access`, `SCHILY.acl.default`). Ids are numbers, never
//! names. What the text cannot say exactly is left binary: must never change a list on its way.
//!
//! Binary form: `posix_acl_xattr_header` and `posix_acl_xattr_entry` of linux/posix_acl_xattr.h, version 2.

const VERSION: u32 = 2;
/// `ACL_UNDEFINED_ID`: the id of entries that have none.
const NO_ID: u32 = u32::MAX;

/// Why a text is no access control list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAcl {
    /// Not text at all.
    #[error("it is not text")]
    NotText,
    /// An entry that is not `kind:id:rwx`.
    #[error("entry {0} is not of the form kind:id:permissions")]
    Entry(usize),
    /// An entry that names somebody by name, without a number.
    #[error("entry {0} names a user or group without giving its number")]
    NameOnly(usize),
    /// One of the three basic entries is missing or stands twice, or there is no mask where one is needed.
    #[error("its entries do not make a complete list")]
    Incomplete,
}

/// Whom an entry is about. The numbers are the kernel's, and so is their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
enum Tag {
    UserObj = 0x01,
    User = 0x02,
    GroupObj = 0x04,
    Group = 0x08,
    Mask = 0x10,
    Other = 0x20,
}

/// Ordered as the kernel orders them: by tag, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AclEntry {
    tag: Tag,
    id: u32,
    permissions: u8,
}

/// The text for a kernel list, or `None` where the text would not give back exactly these bytes.
pub(super) fn to_text(raw: &[u8]) -> Option<String> {
    let (version, entries) = raw.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != VERSION || entries.is_empty() {
        return None;
    }
    let text: Option<Vec<String>> = entries.chunks(8).map(|raw| Some(entry_text(decode(raw)?))).collect();
    let text = text?.join(",");
    (from_text(text.as_bytes()).ok()? == raw).then_some(text)
}

/// The kernel's form of a list written by us, GNU tar (newlines between entries) or bsdtar (the id as a fourth
/// field after the name).
pub(super) fn from_text(text: &[u8]) -> Result<Vec<u8>, InvalidAcl> {
    let text = std::str::from_utf8(text).map_err(|_| InvalidAcl::NotText)?;
    let mut entries = Vec::new();
    for (at, part) in text.split([',', '\n']).enumerate() {
        // getfacl's remark about what the mask leaves over
        let part = part.split('#').next().unwrap_or_default().trim();
        if !part.is_empty() {
            entries.push(parse_entry(part, at + 1)?);
        }
    }
    entries.sort_unstable();
    if !is_complete(&entries) {
        return Err(InvalidAcl::Incomplete);
    }
    let mut raw = VERSION.to_le_bytes().to_vec();
    for entry in entries {
        raw.extend((entry.tag as u16).to_le_bytes());
        raw.extend(u16::from(entry.permissions).to_le_bytes());
        raw.extend(entry.id.to_le_bytes());
    }
    Ok(raw)
}

/// The kernel's own rules (`posix_acl_valid`): three basic entries, nobody twice, a mask if somebody is named.
fn is_complete(entries: &[AclEntry]) -> bool {
    let count = |tag| entries.iter().filter(|entry| entry.tag == tag).count();
    let one_each = [Tag::UserObj, Tag::GroupObj, Tag::Other].into_iter().all(|tag| count(tag) == 1);
    let named = count(Tag::User) + count(Tag::Group) > 0;
    let masks = count(Tag::Mask);
    let nobody_twice = entries
        .iter()
        .zip(entries.iter().skip(1))
        .all(|(left, right)| (left.tag, left.id) != (right.tag, right.id));
    one_each && nobody_twice && masks <= 1 && (masks == 1 || !named)
}

fn decode(raw: &[u8]) -> Option<AclEntry> {
    let &[tag_low, tag_high, permissions, 0, a, b, c, d] = raw else { return None };
    let tag = match u16::from_le_bytes([tag_low, tag_high]) {
        0x01 => Tag::UserObj,
        0x02 => Tag::User,
        0x04 => Tag::GroupObj,
        0x08 => Tag::Group,
        0x10 => Tag::Mask,
        0x20 => Tag::Other,
        _ => return None,
    };
    (permissions <= 7).then_some(AclEntry { tag, id: u32::from_le_bytes([a, b, c, d]), permissions })
}

fn entry_text(entry: AclEntry) -> String {
    let bit = |bit: u8, letter: char| if entry.permissions & bit == 0 { '-' } else { letter };
    let permissions: String = [bit(4, 'r'), bit(2, 'w'), bit(1, 'x')].into_iter().collect();
    let id = entry.id;
    match entry.tag {
        Tag::UserObj => format!("user::{permissions}"),
        Tag::User => format!("user:{id}:{permissions}"),
        Tag::GroupObj => format!("group::{permissions}"),
        Tag::Group => format!("group:{id}:{permissions}"),
        Tag::Mask => format!("mask::{permissions}"),
        Tag::Other => format!("other::{permissions}"),
    }
}

fn parse_entry(text: &str, at: usize) -> Result<AclEntry, InvalidAcl> {
    let fields: Vec<&str> = text.strip_prefix("default:").unwrap_or(text).split(':').map(str::trim).collect();
    // `mask:r-x` and `other:r-x` are older spellings without the empty middle.
    let (kind, name, permissions, id) = match *fields.as_slice() {
        [kind @ ("mask" | "m" | "other" | "o"), permissions] => (kind, "", permissions, None),
        [kind, name, permissions] => (kind, name, permissions, None),
        [kind, name, permissions, id] => (kind, name, permissions, Some(id)),
        _ => return Err(InvalidAcl::Entry(at)),
    };
    let tag = match (kind, name.is_empty()) {
        ("user" | "u", true) => Tag::UserObj,
        ("user" | "u", false) => Tag::User,
        ("group" | "g", true) => Tag::GroupObj,
        ("group" | "g", false) => Tag::Group,
        ("mask" | "m", true) => Tag::Mask,
        ("other" | "o", true) => Tag::Other,
        _ => return Err(InvalidAcl::Entry(at)),
    };
    let id = if name.is_empty() {
        NO_ID
    } else {
        let number = |text: &str| text.parse::<u32>().ok().filter(|id| *id != NO_ID);
        id.and_then(number).or_else(|| number(name)).ok_or(InvalidAcl::NameOnly(at))?
    };
    let permissions = parse_permissions(permissions).ok_or(InvalidAcl::Entry(at))?;
    Ok(AclEntry { tag, id, permissions })
}

fn parse_permissions(text: &str) -> Option<u8> {
    let mut bits = 0;
    for letter in text.bytes() {
        let bit = match letter {
            b'r' => 4,
            b'w' => 2,
            b'x' => 1,
            b'-' => continue,
            _ => return None,
        };
        if bits & bit != 0 {
            return None;
        }
        bits |= bit;
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "user::rwx,user:1000:r--,group::r-x,group:7:--x,mask::r-x,other::---";

    #[test]
    fn the_binary_form_is_the_kernels() {
        let raw = from_text(b"user::rw-,user:1000:r--,group::r--,mask::r--,other::---").unwrap();
        let entries: [[u8; 8]; 5] = [
            [0x01, 0, 6, 0, 0xff, 0xff, 0xff, 0xff],
            [0x02, 0, 4, 0, 0xe8, 0x03, 0, 0],
            [0x04, 0, 4, 0, 0xff, 0xff, 0xff, 0xff],
            [0x10, 0, 4, 0, 0xff, 0xff, 0xff, 0xff],
            [0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        ];
        assert_eq!(raw, [&[2, 0, 0, 0][..], entries.concat().as_slice()].concat());
    }

    /// The kernel takes what we made of a text, and gives the same back.
    #[test]
    fn the_kernel_agrees() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let raw = from_text(TEXT.as_bytes()).unwrap();
        let name = "system.posix_acl_access";
        rustix::fs::setxattr(file.path(), name, &raw, rustix::fs::XattrFlags::empty()).unwrap();
        let mut kept = vec![0; 1000];
        let len = rustix::fs::getxattr(file.path(), name, &mut kept).unwrap();
        assert_eq!(to_text(&kept[..len]).as_deref(), Some(TEXT));
    }

    #[test]
    fn other_spellings_mean_the_same() {
        let raw = from_text(TEXT.as_bytes()).unwrap();
        for text in [
            "user::rwx\nuser:1000:r--\ngroup::r-x\ngroup:7:--x\nmask::r-x\nother::---\n",
            "other:---,mask:r-x,g:7:x,g::rx,u:1000:r,u::rwx",
            "user::rwx,user:lisa:r--:1000,group::r-x,group:staff:--x:7,mask::r-x,other::---",
            "default:user::rwx,default:user:1000:r--,group::r-x #effective:r--,group:7:--x,mask::r-x,other::---",
        ] {
            assert_eq!(from_text(text.as_bytes()).unwrap(), raw, "{text}");
        }
    }

    #[test]
    fn what_is_no_complete_list_is_refused() {
        for (text, error) in [
            ("", InvalidAcl::Incomplete),
            ("user::rwx,group::r-x", InvalidAcl::Incomplete),
            ("user::rwx,user::rwx,group::r-x,other::---", InvalidAcl::Incomplete),
            ("user::rwx,user:5:r--,group::r-x,other::---", InvalidAcl::Incomplete),
            ("user::rwx,user:5:r--,user:5:---,group::r-x,mask::---,other::---", InvalidAcl::Incomplete),
            ("user::rwx,user:lisa:r--,group::r-x", InvalidAcl::NameOnly(2)),
            ("user::rwx,user:4294967295:r--", InvalidAcl::NameOnly(2)),
            ("user::rwxr", InvalidAcl::Entry(1)),
            ("user::rwz", InvalidAcl::Entry(1)),
            ("other:5:rwx", InvalidAcl::Entry(1)),
            ("everyone::rwx", InvalidAcl::Entry(1)),
            ("user::rwx:1:2", InvalidAcl::Entry(1)),
        ] {
            assert_eq!(from_text(text.as_bytes()), Err(error), "{text}");
        }
        assert_eq!(from_text(b"user::\xff"), Err(InvalidAcl::NotText));
    }

    #[test]
    fn lists_that_text_cannot_say_stay_binary() {
        let raw = from_text(TEXT.as_bytes()).unwrap();
        let changed = |at: usize, byte: u8| {
            let mut raw = raw.clone();
            raw[at] = byte;
            raw
        };
        // another version, unknown tag, high permission bits, an id where none belongs, entries out of order
        for odd in [changed(0, 1), changed(4, 0x40), changed(6, 15), changed(8, 0), changed(4, 0x20)] {
            assert_eq!(to_text(&odd), None);
        }
        assert_eq!(to_text(&raw[..raw.len() - 1]), None);
        assert_eq!(to_text(&raw[..4]), None);
        assert_eq!(to_text(b""), None);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_becomes_text_comes_back(raw in proptest::collection::vec(0..9_u8, 0..60)) {
            if let Some(text) = to_text(&raw) {
                prop_assert_eq!(from_text(text.as_bytes()), Ok(raw));
            }
        }

        #[test]
        fn any_text_is_a_list_or_an_error(text in "[ugmo:,rwx0-9\n#-]{0,60}") {
            if let Ok(raw) = from_text(text.as_bytes()) {
                prop_assert!(to_text(&raw).is_some());
            }
        }
    }
}
