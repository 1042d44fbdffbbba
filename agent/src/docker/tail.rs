//! The end of what a container prints: the last bytes and lines, however much came before. Whole characters only.

/// More than this is never kept, nor given.
pub(super) const BYTES_MAX: usize = 64 * 1024;

/// Takes output in and forgets all but its end.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    /// Was anything forgotten?
    is_cut: bool,
}

impl Tail {
    /// Takes the next piece in.
    pub(super) fn push(&mut self, piece: &[u8]) {
        let skipped = piece.len().saturating_sub(BYTES_MAX);
        self.is_cut |= skipped > 0;
        self.bytes.extend_from_slice(piece.get(skipped..).unwrap_or_default());
        // Cut now and then, not at every line.
        if self.bytes.len() > 2 * BYTES_MAX {
            self.forget_to(BYTES_MAX);
        }
    }

    /// The last `lines` lines, at most [`BYTES_MAX`] bytes of them.
    pub(super) fn text(&mut self, lines: usize) -> String {
        self.forget_to(BYTES_MAX);
        let is_inside = |byte: &&u8| (0x80..0xC0).contains(*byte);
        let torn = if self.is_cut { self.bytes.iter().take_while(is_inside).count() } else { 0 };
        // A stray byte becomes three: cut once more.
        let text = String::from_utf8_lossy(self.bytes.get(torn..).unwrap_or_default());
        let text = last_bytes(&text);
        last_lines(text, lines).to_owned()
    }

    fn forget_to(&mut self, bytes: usize) {
        let surplus = self.bytes.len().saturating_sub(bytes);
        self.is_cut |= surplus > 0;
        self.bytes.drain(..surplus);
    }
}

fn last_bytes(text: &str) -> &str {
    let from = text.len().saturating_sub(BYTES_MAX);
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(from);
    text.get(from..).unwrap_or_default()
}

fn last_lines(text: &str, lines: usize) -> &str {
    let Some(before) = lines.checked_sub(1) else { return "" };
    let mut ends = text.strip_suffix('\n').unwrap_or(text).rmatch_indices('\n');
    match ends.nth(before) {
        Some((at, end)) => text.get(at + end.len()..).unwrap_or_default(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(pieces: &[&[u8]], lines: usize) -> String {
        let mut tail = Tail::default();
        pieces.iter().for_each(|piece| tail.push(piece));
        tail.text(lines)
    }

    #[test]
    fn the_last_lines_are_given_whole() {
        assert_eq!(tail(&[b"one\ntw", b"o\nthree\n"], 2), "two\nthree\n");
        assert_eq!(tail(&[b"one\ntwo"], 1), "two");
        assert_eq!(tail(&[b"one\ntwo\n"], 9), "one\ntwo\n");
        assert_eq!(tail(&[b"one\n\n"], 1), "\n");
        assert_eq!(tail(&[b"one\n"], 0), "");
        assert_eq!(tail(&[], 3), "");
    }

    #[test]
    fn output_is_cut_at_the_front_and_stays_text() {
        let long = "é".repeat(BYTES_MAX);
        let text = tail(&[long.as_bytes().get(1..).unwrap()], usize::MAX);
        assert!(text.len() <= BYTES_MAX && text.len() > BYTES_MAX - 4 && text.chars().all(|c| c == 'é'));
        let noise = vec![0xFF_u8; BYTES_MAX];
        assert!(tail(&[&noise], usize::MAX).len() <= BYTES_MAX);
    }

    #[test]
    fn whatever_is_printed_little_is_kept() {
        let mut tail = Tail::default();
        for _ in 0..1000 {
            tail.push(&[b'x'; 5000]);
            assert!(tail.bytes.len() <= 2 * BYTES_MAX);
        }
        tail.push(b"\nthe end\n");
        assert_eq!(tail.text(1), "the end\n");
        // Cut in the middle of a character, at exactly the limit.
        let mut tail = Tail::default();
        tail.push("é".repeat(BYTES_MAX + 1).as_bytes().get(..2 * BYTES_MAX + 1).unwrap());
        assert!(tail.text(1).starts_with('é'));
    }
}
