//! The stream of `attach`, taken apart: raw from a terminal, else in frames of eight bytes of head and so many of output.
//!
//! A frame's length is the container's own doing as far as we know, so nothing of a frame but its head is ever kept.

use bytes::Bytes;

/// Bytes of a head: which stream, three zeroes, the length in network order.
const HEAD: usize = 8;

/// The streams there are: input, output, errors, the engine's own.
const STREAM_MAX: u8 = 3;

/// Where the stream stands.
#[derive(Debug)]
pub(super) enum Frames {
    /// From a terminal: there are none.
    Raw,
    /// Not from a terminal.
    Framed {
        /// Of the next head, what has come.
        head: Vec<u8>,
        /// Of this frame, what has not come.
        left: usize,
    },
}

impl Frames {
    /// The stream of a container with a terminal, or without.
    pub(super) fn new(is_terminal: bool) -> Self {
        if is_terminal { Self::Raw } else { Self::Framed { head: Vec::new(), left: 0 } }
    }

    /// The output in the next piece of the stream, or what is wrong with it.
    pub(super) fn feed(&mut self, mut piece: Bytes) -> Result<Vec<Bytes>, &'static str> {
        let Self::Framed { head, left } = self else { return Ok(vec![piece]) };
        let mut output = Vec::new();
        while !piece.is_empty() {
            if *left > 0 {
                let part = piece.split_to(piece.len().min(*left));
                *left -= part.len();
                output.push(part);
                continue;
            }
            head.extend_from_slice(&piece.split_to(piece.len().min(HEAD - head.len())));
            if let [stream, zeroes @ .., a, b, c, d] = head.as_slice()
                && head.len() == HEAD
            {
                if *stream > STREAM_MAX || zeroes != [0; 3] {
                    return Err("its output is not in frames");
                }
                *left = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
                head.clear();
            }
        }
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(stream: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], length.as_slice(), text.as_bytes()].concat()
    }

    fn fed(frames: &mut Frames, pieces: impl Iterator<Item = Vec<u8>>) -> String {
        let output = pieces.flat_map(|piece| frames.feed(Bytes::from(piece)).unwrap());
        String::from_utf8(output.flatten().collect()).unwrap()
    }

    #[test]
    fn frames_are_found_wherever_the_stream_is_cut() {
        let stream = [framed(1, "one\n"), framed(2, ""), framed(2, "two\n"), framed(1, "three\n")].concat();
        for size in 1..=stream.len() {
            let mut frames = Frames::new(false);
            let pieces = stream.chunks(size).map(<[u8]>::to_vec);
            assert_eq!(fed(&mut frames, pieces), "one\ntwo\nthree\n", "pieces of {size}");
        }
    }

    #[test]
    fn what_a_terminal_gets_is_taken_as_it_is() {
        let mut frames = Frames::new(true);
        let odd = Bytes::from_static(&[1, 0, 0, 0, 255, 255, 255, 255, b'x']);
        assert_eq!(frames.feed(odd.clone()).unwrap(), [odd]);
    }

    #[test]
    fn a_frame_that_announces_much_keeps_nothing_back() {
        let mut frames = Frames::new(false);
        assert_eq!(frames.feed(Bytes::from_static(&[1, 0, 0, 0, 255, 255, 255, 255, b'x'])).unwrap(), ["x"]);
        assert_eq!(frames.feed(Bytes::from_static(b"y")).unwrap(), ["y"]);
        assert!(Frames::new(false).feed(Bytes::from_static(b"no frame")).is_err());
    }
}
