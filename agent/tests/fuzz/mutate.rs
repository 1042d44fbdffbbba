//! Damages valid files: bit by bit, by runs of bytes, by lines, by words of their language, by numbers.
//!
//! Flows in: seeds. Flows out: one damaged file after the other, the same ones for the same number. Pure.

/// No damaged file is larger.
pub(crate) const BYTES_MAX: usize = 96 * 1024;

/// So many kinds of damage are done to one file, at most.
const DAMAGES_MAX: usize = 6;

/// Numbers at the edges of types.
const EDGES: &[&str] = &[
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "18446744073709551616",
    "1e9",
];

/// A source of damaged files.
pub(crate) struct Mutator {
    state: u64,
    seeds: Vec<Vec<u8>>,
    words: &'static [&'static [u8]],
}

impl Mutator {
    pub(crate) fn new(seed: u64, seeds: Vec<Vec<u8>>, words: &'static [&'static [u8]]) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, seeds, words }
    }

    /// The next damaged file.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.pick_seed();
        for _ in 0..=self.below(DAMAGES_MAX) {
            self.damage(&mut bytes);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    /// True every other time.
    pub(crate) fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let to = (at + self.short_length()).min(bytes.len());
        match self.below(11) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => self.repeat(bytes, at, to),
            3 => self.splice(bytes, at),
            4 => self.lines(bytes),
            5 => self.word(bytes, at, to),
            6 => self.number(bytes),
            7 => bytes[at..to].fill(0),
            8 => bytes[at..to].iter_mut().for_each(|byte| *byte = byte.wrapping_add(1)),
            _ if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            _ => bytes.push(u8::try_from(self.below(256)).unwrap()),
        }
    }

    /// A stretch once more, here or many times over.
    fn repeat(&mut self, bytes: &mut Vec<u8>, at: usize, to: usize) {
        let times = if self.below(8) == 0 { 200 } else { 1 };
        let stretch = bytes[at..to].repeat(times);
        bytes.splice(at..at, stretch);
        bytes.truncate(BYTES_MAX);
    }

    /// The rest of another file.
    fn splice(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let other = self.pick_seed();
        let from = self.below(other.len() + 1);
        bytes.truncate(at);
        bytes.extend(&other[from..]);
    }

    /// Two lines change places, or one is left out.
    fn lines(&mut self, bytes: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> =
            bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.is_empty() {
            return;
        }
        let (one, other) = (self.below(lines.len()), self.below(lines.len()));
        if one == other {
            lines.remove(one);
        } else {
            lines.swap(one, other);
        }
        *bytes = lines.concat();
    }

    /// A word of the language in the place of what is there, or before it.
    fn word(&mut self, bytes: &mut Vec<u8>, at: usize, to: usize) {
        let word = self.words[self.below(self.words.len())];
        let to = if self.flip() { at } else { to };
        bytes.splice(at..to, word.iter().copied());
    }

    /// Another number in the place of one.
    fn number(&mut self, bytes: &mut Vec<u8>) {
        let starts: Vec<usize> = (0..bytes.len())
            .filter(|at| bytes[*at].is_ascii_digit() && (*at == 0 || !bytes[*at - 1].is_ascii_digit()))
            .collect();
        if starts.is_empty() {
            return;
        }
        let start = starts[self.below(starts.len())];
        let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let edge = EDGES[self.below(EDGES.len())];
        bytes.splice(start..start + digits, edge.bytes());
    }

    fn pick_seed(&mut self) -> Vec<u8> {
        let number = self.below(self.seeds.len());
        self.seeds[number].clone()
    }

    /// Mostly short, sometimes long.
    fn short_length(&mut self) -> usize {
        let bits = self.below(13);
        self.below(1 << bits) + 1
    }

    /// xorshift64*: good enough to choose places.
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let number = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % bound.max(1)
    }
}
