//! The journal of one saga: an append-only file, one record a line, synced before anything it announces happens.
//!
//! ```text
//! 9f3ac2d1 {"seq":0,"at":"2026-01-01T00:00:00Z","event":{"what":"opened",…}}
//! └ CRC-32 of the JSON, so that a torn or altered line is seen
//! ```
//!
//! A last line that is incomplete is what a power cut leaves: its append never returned, so nothing that it
//! announces has happened, and it is dropped. Damage anywhere else is an error for a human.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::record::{Event, JOURNAL_VERSION, Record};
use super::state::IllegalTransition;
use crate::durable::{self, DurableError};

/// A journal is a few dozen lines; anything near this size was not written by us.
const JOURNAL_BYTES_MAX: u64 = 16 << 20;

/// An open journal, at its end.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    next_seq: u32,
    /// Up to here it is whole.
    whole_bytes: u64,
}

/// A journal could not be read or extended.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refused.
    #[error("cannot {action} the journal {path}", path = path.display())]
    Io {
        /// What we wanted.
        action: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Its name could not be made durable.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// A line that is not the last is not what was written.
    #[error(
        "journal {path}, line {line} is damaged ({detail}): restore the file, or finish by hand with the recovery sheet",
        path = path.display()
    )]
    Damaged {
        /// Its path.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        detail: String,
    },
    /// A newer agent wrote it.
    #[error(
        "journal {path} has version {found}, this agent knows {JOURNAL_VERSION}: use the newer agent",
        path = path.display()
    )]
    TooNew {
        /// Its path.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Far larger than any journal.
    #[error("journal {path} is larger than {JOURNAL_BYTES_MAX} bytes: it is not one of ours", path = path.display())]
    TooLarge {
        /// Its path.
        path: PathBuf,
    },
    /// Its records contradict each other.
    #[error("journal {path}", path = path.display())]
    Contradiction {
        /// Its path.
        path: PathBuf,
        /// Which records.
        #[source]
        source: IllegalTransition,
    },
}

impl Journal {
    /// A new journal; its first record is written and durable.
    ///
    /// # Errors
    /// [`JournalError`]; also when there is one already.
    pub fn create(path: &Path, opened: Event) -> Result<Self, JournalError> {
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(io_error("create", path))?;
        let mut journal = Self { file, path: path.to_owned(), next_seq: 0, whole_bytes: 0 };
        journal.append(opened)?;
        durable::sync_parent(path)?;
        Ok(journal)
    }

    /// Opens an existing journal at its end and gives the records in it. A torn last line is cut off.
    ///
    /// # Errors
    /// [`JournalError`]
    pub fn open(path: &Path) -> Result<(Self, Vec<Record>), JournalError> {
        let mut file =
            OpenOptions::new().read(true).append(true).open(path).map_err(io_error("open", path))?;
        let (records, whole_bytes) = read_records(&mut file, path)?;
        file.set_len(whole_bytes).and_then(|()| file.sync_all()).map_err(io_error("repair", path))?;
        file.seek(SeekFrom::End(0)).map_err(io_error("open", path))?;
        let next_seq = records.last().map_or(0, |last| last.seq.saturating_add(1));
        Ok((Self { file, path: path.to_owned(), next_seq, whole_bytes }, records))
    }

    /// Writes one record; when this returns, it survives a power cut.
    ///
    /// # Errors
    /// [`JournalError::Io`]; then what the event announces must not be done, and the journal is as it was before.
    pub fn append(&mut self, event: Event) -> Result<Record, JournalError> {
        let record = Record { seq: self.next_seq, at: jiff::Timestamp::now(), event };
        let line = encode(&record).map_err(io_error("extend", &self.path))?;
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Whole or in part, the line must not be found by the next reader: nobody acted on it.
            let _ = self.file.set_len(self.whole_bytes).and_then(|()| self.file.sync_data());
            return Err(io_error("extend", &self.path)(error));
        }
        self.next_seq = self.next_seq.saturating_add(1);
        self.whole_bytes = self.whole_bytes.saturating_add(line.len() as u64);
        Ok(record)
    }

    /// The number of the next record.
    #[must_use]
    pub fn next_seq(&self) -> u32 {
        self.next_seq
    }

    /// What [`Journal::append`] says on a full disk; for tests.
    pub(super) fn full(&self) -> JournalError {
        io_error("extend", &self.path)(io::Error::from(io::ErrorKind::StorageFull))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads a journal somebody else may be writing: nothing is repaired.
///
/// # Errors
/// [`JournalError`]
pub fn read_journal(path: &Path) -> Result<Vec<Record>, JournalError> {
    let mut file = File::open(path).map_err(io_error("open", path))?;
    read_records(&mut file, path).map(|(records, _)| records)
}

// === reading ===

/// The records, and how many bytes they take up: what follows is a torn line.
fn read_records(file: &mut File, path: &Path) -> Result<(Vec<Record>, u64), JournalError> {
    let mut bytes = Vec::new();
    file.take(JOURNAL_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io_error("read", path))?;
    if bytes.len() as u64 > JOURNAL_BYTES_MAX {
        return Err(JournalError::TooLarge { path: path.to_owned() });
    }
    parse(&bytes, path)
}

/// Pure: everything a journal's bytes can say, and how many of them are whole records. `path` only names it in errors.
///
/// # Errors
/// [`JournalError::Damaged`], [`JournalError::TooNew`]
pub fn parse(bytes: &[u8], path: &Path) -> Result<(Vec<Record>, u64), JournalError> {
    let mut records = Vec::new();
    let mut whole_bytes = 0;
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let is_last = lines.peek().is_none();
        match decode(line, records.len()) {
            Ok(record) => {
                check_version(&record, path)?;
                records.push(record);
                whole_bytes += line.len() as u64;
            }
            Err(_) if is_last => break,
            Err(detail) => {
                return Err(JournalError::Damaged { path: path.to_owned(), line: index + 1, detail });
            }
        }
    }
    Ok((records, whole_bytes))
}

fn check_version(record: &Record, path: &Path) -> Result<(), JournalError> {
    let Event::Opened { version, .. } = &record.event else { return Ok(()) };
    if *version > JOURNAL_VERSION {
        return Err(JournalError::TooNew { path: path.to_owned(), found: *version });
    }
    Ok(())
}

fn encode(record: &Record) -> io::Result<String> {
    let json = serde_json::to_string(record)?;
    Ok(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())))
}

fn decode(line: &[u8], expected_seq: usize) -> Result<Record, String> {
    let line = line.strip_suffix(b"\n").ok_or("the line is not complete")?;
    let (sum, json) = line.split_at_checked(9).ok_or("the line is too short")?;
    let sum = sum.strip_suffix(b" ").and_then(|sum| std::str::from_utf8(sum).ok());
    let sum = sum.and_then(|sum| u32::from_str_radix(sum, 16).ok()).ok_or("it has no checksum")?;
    if sum != crc32fast::hash(json) {
        return Err("its checksum does not match".into());
    }
    let record: Record = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if record.seq as usize != expected_seq {
        return Err(format!("it is record {}, expected {expected_seq}", record.seq));
    }
    Ok(record)
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saga::record::{Outcome, SagaKind};
    use crate::steps::Step;
    use proptest::prelude::*;

    fn opened(version: u32) -> Event {
        let id = "0193a1b2-7c00-7000-8000-0123456789ab".parse().unwrap();
        Event::Opened { version, id, kind: SagaKind::Redeploy }
    }

    fn sample(dir: &Path) -> PathBuf {
        let path = dir.join("journal");
        let mut journal = Journal::create(&path, opened(JOURNAL_VERSION)).unwrap();
        journal.append(Event::Started { step: Step::Create }).unwrap();
        journal.append(Event::Closed { outcome: Outcome::Undone }).unwrap();
        path
    }

    #[test]
    fn what_was_appended_is_read_back_and_extended() {
        let dir = tempfile::tempdir().unwrap();
        let path = sample(dir.path());
        let (mut journal, records) = Journal::open(&path).unwrap();
        assert_eq!(records.len(), 3);
        assert_eq!(journal.append(Event::Resumed).unwrap().seq, 3);
        assert_eq!(read_journal(&path).unwrap().len(), 4);
        assert!(Journal::create(&path, opened(1)).is_err(), "a journal is never overwritten");
    }

    #[test]
    fn a_torn_last_line_is_cut_off_wherever_it_tore() {
        let dir = tempfile::tempdir().unwrap();
        let path = sample(dir.path());
        let whole = std::fs::read(&path).unwrap();
        let last_line = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
        for cut in last_line..whole.len() {
            std::fs::File::create(&path).unwrap().write_all(&whole[..cut]).unwrap();
            let (mut journal, records) = Journal::open(&path).unwrap();
            assert_eq!(records.len(), 2, "cut at {cut}");
            journal.append(Event::Resumed).unwrap();
            assert_eq!(read_journal(&path).unwrap().len(), 3, "cut at {cut}");
        }
    }

    #[test]
    fn damage_before_the_last_line_is_an_error_that_names_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = sample(dir.path());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[30] ^= 1;
        std::fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        let error = Journal::open(&path).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { line: 1, .. }), "{error}");
    }

    #[test]
    fn a_newer_journal_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        Journal::create(&path, opened(JOURNAL_VERSION + 1)).unwrap();
        assert!(matches!(Journal::open(&path).unwrap_err(), JournalError::TooNew { found: 2, .. }));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            drop(parse(&bytes, Path::new("j")));
        }

        #[test]
        fn one_flipped_bit_never_changes_what_is_read(at in 0usize..10_000, bit in 0u8..8) {
            let dir = tempfile::tempdir().unwrap();
            let path = sample(dir.path());
            let mut bytes = std::fs::read(&path).unwrap();
            let before = parse(&bytes, &path).unwrap().0;
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            if let Ok((after, _)) = parse(&bytes, &path) {
                prop_assert!(before.starts_with(&after), "{after:?}");
            }
        }
    }
}
