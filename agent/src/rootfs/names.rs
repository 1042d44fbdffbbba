//! The names in one directory, sorted, in one piece of memory: a directory may hold a million.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::fs::RawDir;
use rustix::io::Errno;

/// What one `getdents` call may fill.
const BUFFER_BYTES: usize = 32 * 1024;

/// Names in bytewise order, without `.` and `..`.
#[derive(Debug, Default)]
pub(crate) struct Names {
    text: Vec<u8>,
    places: Vec<(u32, u16)>,
}

impl Names {
    /// Reads all names of an open directory, from where its descriptor stands.
    pub(super) fn read(dir: impl AsFd) -> Result<Self, Errno> {
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER_BYTES];
        let mut entries = RawDir::new(dir, &mut buffer);
        let mut names = Self::default();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name)?;
            }
        }
        let text = &names.text;
        names.places.sort_unstable_by(|a, b| slice(text, *a).cmp(slice(text, *b)));
        // A name that is moved while we read can be given twice.
        names.places.dedup_by(|a, b| slice(text, *a) == slice(text, *b));
        names.places.shrink_to_fit();
        Ok(names)
    }

    /// The name at `position`.
    pub(crate) fn get(&self, position: usize) -> Option<&[u8]> {
        self.places.get(position).map(|place| slice(&self.text, *place))
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| slice(&self.text, *place))
    }

    fn push(&mut self, name: &[u8]) -> Result<(), Errno> {
        let start = u32::try_from(self.text.len()).map_err(|_| Errno::OVERFLOW)?;
        let len = u16::try_from(name.len()).map_err(|_| Errno::NAMETOOLONG)?;
        self.text.extend_from_slice(name);
        self.places.push((start, len));
        Ok(())
    }
}

fn slice(text: &[u8], (start, len): (u32, u16)) -> &[u8] {
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    text.get(start..start.saturating_add(len.into())).unwrap_or_default()
}
