//! The map of a sparse file in PAX sparse format 1.0: where its data is, in decimal lines in front of the data.
//!
//! `count\n` then `offset\n` `length\n` for each stretch, padded with NULs to a full block (GNU tar manual,
//! "PAX Format, Version 1.0"). A file that ends in a hole has a last stretch of length 0 at its end: without it
//! GNU tar restores it too short. GNU tar also begins each stretch on a new block, the others right after the one
//! before: both agree only if all stretches but the last are whole blocks, so ours are, filled up with the zeros
//! that a hole holds anyway. Must never believe a count before it was checked.

use std::io::Read;

use super::entry::Segment;

const BLOCK: usize = 512;
const BLOCK_BYTES: u64 = 512;

/// Why a map cannot be used.
#[derive(Debug)]
pub(super) enum InvalidMap {
    /// The map ends early, or its input failed.
    Read(std::io::Error),
    /// Not digits, or too many of them.
    NotANumber,
    /// More stretches than allowed.
    TooMany(u64),
    /// Stretches that overlap, go backwards, or lie outside the file.
    Misplaced,
}

/// Do these stretches ascend, without overlap, within `size`?
pub(super) fn is_ordered(segments: &[Segment], size: u64) -> bool {
    let mut end = 0;
    segments.iter().all(|segment| {
        let fits = segment.offset >= end;
        segment.offset.checked_add(segment.len).is_some_and(|next| {
            end = next;
            fits && next <= size
        })
    })
}

/// Bytes to take from the file, then zeros to put behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) data: u64,
    pub(super) zeros: u64,
}

/// The same file in stretches of whole blocks, and how their bytes come together. Only for ordered segments.
pub(super) fn in_blocks(segments: &[Segment], size: u64) -> (Vec<Segment>, Vec<Piece>) {
    let mut stretches: Vec<Segment> = Vec::new();
    let mut pieces: Vec<Piece> = Vec::new();
    for segment in segments.iter().filter(|segment| segment.len > 0) {
        let end = segment.offset + segment.len;
        let reached = stretches.last().map_or(0, |last| last.offset + last.len);
        // Where filling up the stretch before reaches into this one, they become one.
        let start = match (stretches.last(), pieces.last_mut()) {
            (Some(last), Some(piece)) if segment.offset < reached => {
                piece.zeros -= reached - segment.offset;
                let start = last.offset;
                stretches.pop();
                start
            }
            (Some(_) | None, _) => segment.offset,
        };
        let filled = start.saturating_add((end - start).next_multiple_of(BLOCK_BYTES)).min(size);
        stretches.push(Segment { offset: start, len: filled - start });
        pieces.push(Piece { data: segment.len, zeros: filled - end });
    }
    (stretches, pieces)
}

/// The map as it stands in the archive, padded to whole blocks.
pub(super) fn write_map(stretches: &[Segment], size: u64) -> Vec<u8> {
    let end_of_data = stretches.last().map_or(0, |last| last.offset + last.len);
    let ends_in_hole = stretches.is_empty() || end_of_data < size;
    let last = ends_in_hole.then_some(Segment { offset: size, len: 0 });
    let mut map = format!("{}\n", stretches.len() + usize::from(ends_in_hole));
    for Segment { offset, len } in stretches.iter().copied().chain(last) {
        map.push_str(&format!("{offset}\n{len}\n"));
    }
    let mut map = map.into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}

/// Reads the map of a file of `size` bytes and leaves `input` at the first byte of data.
pub(super) fn read_map(
    input: &mut dyn Read,
    size: u64,
    segments_max: usize,
) -> Result<Vec<Segment>, InvalidMap> {
    let mut numbers = Numbers { input, block: [0; BLOCK], at: BLOCK };
    let count = numbers.next()?;
    if usize::try_from(count).map_or(true, |count| count > segments_max) {
        return Err(InvalidMap::TooMany(count));
    }
    let mut segments = Vec::new();
    for _ in 0..count {
        segments.push(Segment { offset: numbers.next()?, len: numbers.next()? });
    }
    if !is_ordered(&segments, size) {
        return Err(InvalidMap::Misplaced);
    }
    segments.retain(|segment| segment.len > 0);
    Ok(segments)
}

/// Decimal lines out of whole blocks.
struct Numbers<'a> {
    input: &'a mut dyn Read,
    block: [u8; BLOCK],
    at: usize,
}

impl Numbers<'_> {
    fn next(&mut self) -> Result<u64, InvalidMap> {
        let mut number: Option<u64> = None;
        loop {
            match self.byte()? {
                b'\n' => return number.ok_or(InvalidMap::NotANumber),
                digit @ b'0'..=b'9' => {
                    let shifted = number.unwrap_or(0).checked_mul(10);
                    number = shifted.and_then(|shifted| shifted.checked_add(u64::from(digit - b'0')));
                    if number.is_none() {
                        return Err(InvalidMap::NotANumber);
                    }
                }
                _ => return Err(InvalidMap::NotANumber),
            }
        }
    }

    fn byte(&mut self) -> Result<u8, InvalidMap> {
        if self.at >= BLOCK {
            self.input.read_exact(&mut self.block).map_err(InvalidMap::Read)?;
            self.at = 0;
        }
        let byte = self.block.get(self.at).copied().ok_or(InvalidMap::NotANumber)?;
        self.at += 1;
        Ok(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(pairs: &[(u64, u64)]) -> Vec<Segment> {
        pairs.iter().map(|&(offset, len)| Segment { offset, len }).collect()
    }

    #[test]
    fn the_map_is_what_the_manual_shows() {
        let map = write_map(&segments(&[(512, 1024), (4096, 512)]), 8192);
        assert_eq!(map.len(), 512);
        assert!(map.starts_with(b"3\n512\n1024\n4096\n512\n8192\n0\n\0"));
        assert!(write_map(&[], 7).starts_with(b"1\n7\n0\n\0"));
        assert!(write_map(&segments(&[(0, 7)]), 7).starts_with(b"1\n0\n7\n\0"));
    }

    #[test]
    fn stretches_are_filled_up_to_whole_blocks_and_joined_where_they_meet() {
        let given = segments(&[(10, 5), (100, 0), (300, 300), (700, 1), (5000, 4), (9998, 2)]);
        let (stretches, pieces) = in_blocks(&given, 10_000);
        assert_eq!(stretches, segments(&[(10, 1024), (5000, 512), (9998, 2)]));
        let pieces: Vec<(u64, u64)> = pieces.iter().map(|piece| (piece.data, piece.zeros)).collect();
        assert_eq!(pieces, [(5, 285), (300, 100), (1, 333), (4, 508), (2, 0)]);
    }

    #[test]
    fn whole_blocks_stay_as_they_are() {
        let given = segments(&[(0, 512), (512, 512), (4096, 4096), (9000, 7)]);
        assert_eq!(in_blocks(&given, 9007).0, given);
    }

    #[test]
    fn maps_that_lie_are_refused() {
        let read = |text: &str| {
            let mut block = text.as_bytes().to_vec();
            block.resize(512, 0);
            read_map(&mut block.as_slice(), 1000, 3)
        };
        assert_eq!(read("2\n0\n10\n1000\n0\n").unwrap(), segments(&[(0, 10)]));
        assert!(matches!(read("4\n"), Err(InvalidMap::TooMany(4))));
        assert!(matches!(read("18446744073709551615\n"), Err(InvalidMap::TooMany(_))));
        assert!(matches!(read("18446744073709551616\n"), Err(InvalidMap::NotANumber)));
        assert!(matches!(read("1\n\n5\n"), Err(InvalidMap::NotANumber)));
        assert!(matches!(read("1\n-1\n5\n"), Err(InvalidMap::NotANumber)));
        assert!(matches!(read("2\n0\n10\n5\n10\n"), Err(InvalidMap::Misplaced)));
        assert!(matches!(read("1\n990\n11\n"), Err(InvalidMap::Misplaced)));
        assert!(matches!(read("1\n18446744073709551615\n1\n"), Err(InvalidMap::Misplaced)));
        let digits = "1".repeat(512);
        assert!(matches!(read(&digits), Err(InvalidMap::NotANumber)));
        assert!(matches!(read_map(&mut &b"1\n"[..], 9, 3), Err(InvalidMap::Read(_))));
    }
}
