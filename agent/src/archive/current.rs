//! An archive's current copies in the order of a walk, whichever round each of them is in.
//!
//! Each round is in that order itself, so one reader per round suffices: the index says whose turn it is, older
//! copies are passed over.

use std::path::{Path, PathBuf};

use super::entry::Entry;
use super::files::index_path_of;
use super::index::{IndexReader, Record};
use super::manifest::ArchiveLine;
use super::member::Member;
use super::{ArchiveError, Watch};

/// See the module.
pub(super) struct CurrentCopies<'a> {
    index: IndexReader,
    rounds: Vec<Member<'a>>,
    sealed: bool,
    archive: PathBuf,
}

impl<'a> CurrentCopies<'a> {
    pub(super) fn open(dir: &Path, line: &ArchiveLine, watch: &'a Watch) -> Result<Self, ArchiveError> {
        let index = IndexReader::open(&index_path_of(dir, &line.stem))?;
        let numbers = 1..=u32::try_from(line.rounds.len()).unwrap_or(u32::MAX);
        let rounds: Result<_, _> = numbers.map(|number| Member::open(dir, line, number, watch)).collect();
        Ok(Self { index, rounds: rounds?, sealed: line.sealed, archive: line.path(dir) })
    }

    /// The next name with its current entry, and where its data can be read. At the end every round is read out,
    /// which proves it undamaged.
    pub(super) fn next(&mut self) -> Result<Option<(Record, Entry, &mut Member<'a>)>, ArchiveError> {
        let Some(record) = self.index.take_before(None)? else {
            for member in &mut self.rounds {
                while member.next()?.is_some() {}
            }
            return Ok(None);
        };
        // A sealed archive has one round, whatever its index said before.
        let round = if self.sealed { 1 } else { record.round };
        let missing = |detail| ArchiveError::Damaged { archive: self.archive.clone(), detail };
        let position = usize::try_from(round).unwrap_or(usize::MAX).wrapping_sub(1);
        let member = self.rounds.get_mut(position).ok_or_else(|| missing("a round is missing"))?;
        loop {
            match member.next()? {
                Some(entry) if entry.path == record.path => return Ok(Some((record, entry, member))),
                Some(entry) if entry.path < record.path => {}
                Some(_) | None => return Err(missing("an entry is missing")),
            }
        }
    }
}
