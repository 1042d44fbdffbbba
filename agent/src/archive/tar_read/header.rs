//! The 512 bytes of a header, taken apart and checked.
//!
//! Pure. Numbers are octal text, or GNU's base-256 where the first byte has its top bit set. Must never take a
//! number whose field does not hold one.

use super::Block;

const DAMAGED: &str = "a header's checksum is wrong";
const BAD_NUMBER: &str = "a header's number is not one";

/// What a header says, before extended headers have their word.
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) type_flag: u8,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
    pub(super) size: u64,
    /// Does the map of an old GNU sparse file go on in another block?
    pub(super) map_goes_on: bool,
}

impl Header {
    pub(super) fn parse(block: &Block) -> Result<Self, &'static str> {
        let raw = tar::Header::from_byte_slice(block);
        let old = raw.as_old();
        if number(&old.cksum) != Some(i64::from(sum(block))) {
            return Err(DAMAGED);
        }
        let short = |field: &[u8]| number(field).and_then(|n| u32::try_from(n).ok()).ok_or(BAD_NUMBER);
        let [type_flag] = old.linkflag;
        Ok(Self {
            name: name(raw),
            link: text(&old.linkname).to_vec(),
            type_flag,
            mode: short(&old.mode)?,
            uid: short(&old.uid)?,
            gid: short(&old.gid)?,
            mtime: number(&old.mtime).ok_or(BAD_NUMBER)?,
            size: number(&old.size).and_then(|n| u64::try_from(n).ok()).ok_or(BAD_NUMBER)?,
            map_goes_on: raw.as_gnu().is_some_and(|gnu| gnu.isextended != [0]),
        })
    }
}

/// Of all bytes, the checksum's own taken as spaces.
fn sum(block: &Block) -> u32 {
    let (before, rest) = block.split_at(148);
    let (_, after) = rest.split_at(8);
    before.iter().chain(b"        ").chain(after).map(|b| u32::from(*b)).sum()
}

/// The name with the prefix that only ustar has; GNU keeps other things in its place.
fn name(raw: &tar::Header) -> Vec<u8> {
    match raw.as_ustar() {
        Some(ustar) if ustar.prefix.first().is_some_and(|b| *b != 0) => {
            [text(&ustar.prefix), b"/", text(&ustar.name)].concat()
        }
        _ => text(&raw.as_old().name).to_vec(),
    }
}

/// Up to the first NUL, or the whole field.
fn text(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// An empty field is 0.
fn number(field: &[u8]) -> Option<i64> {
    match field.split_first() {
        Some((0x80, rest)) => base_256(0, rest),
        Some((0xff, rest)) => base_256(-1, rest),
        Some((128.., _)) => None,
        Some(_) | None => octal(field),
    }
}

fn base_256(sign: i64, bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(sign, |number, byte| number.checked_mul(256)?.checked_add(i64::from(*byte)))
}

fn octal(field: &[u8]) -> Option<i64> {
    let digits = text(field).trim_ascii();
    digits.iter().try_fold(0_i64, |number, digit| match digit {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}
