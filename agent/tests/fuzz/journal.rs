//! Journals: what is read is a beginning of what was written, and replaying it never panics.

use std::path::Path;

use redeploy_agent::saga::{parse_journal, state_of};
use redeploy_agent::steps::{REDEPLOY, REVERT};

use super::Target;

pub(crate) const TARGET: Target = Target {
    name: "journal",
    check,
    words: &[
        b"{",
        b"}",
        b"[",
        b"]",
        b"null",
        b"\n",
        b"\"seq\":0",
        b"\"what\":\"committed\"",
        b"\"what\":\"resumed\"",
        b"\"what\":\"opened\"",
        b"\"what\":\"closed\"",
        b"\"step\":\"start\"",
        b"\"outcome\":\"done\"",
        b"\\u0000",
        b"00000000 ",
        b"\xff",
        b"{\"a\":{\"a\":{\"a\":",
    ],
    mend,
};

fn check(bytes: &[u8]) {
    let path = Path::new("journal");
    let Ok((records, whole_bytes)) = parse_journal(bytes, path) else { return };
    let whole = usize::try_from(whole_bytes).unwrap();
    let (again, again_bytes) = parse_journal(&bytes[..whole], path).unwrap();
    assert_eq!((&again, again_bytes), (&records, whole_bytes), "the torn line counts for nothing");
    for (seq, record) in records.iter().enumerate() {
        assert_eq!(usize::try_from(record.seq).unwrap(), seq);
        let json = serde_json::to_string(record).unwrap();
        assert_eq!(&serde_json::from_str::<redeploy_agent::saga::Record>(&json).unwrap(), record);
    }
    for steps in [REDEPLOY, REVERT] {
        // A contradiction is an error; here it only must not be a panic.
        drop(state_of(path, &records, steps));
    }
}

/// Gives every line the checksum its text deserves.
fn mend(bytes: &mut Vec<u8>) {
    let mut mended = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let whole = line.strip_suffix(b"\n").unwrap_or(line);
        match whole.split_at_checked(9) {
            Some((_, json)) => {
                mended.extend(format!("{:08x} ", crc32fast::hash(json)).into_bytes());
                mended.extend(json);
            }
            None => mended.extend(whole),
        }
        mended.extend(&line[whole.len()..]);
    }
    *bytes = mended;
}
