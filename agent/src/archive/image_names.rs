//! The names an image ships, on disk: what wins over the user's files when the old file system is kept and the
//! new image's files are put on top.

use std::path::{Path, PathBuf};

use super::frames::{FrameReader, FrameWriter};
use super::selection::Selection;
use super::walk::{Step, Walk};
use super::{ArchiveError, Watch};
use crate::guest_path::GuestPath;
use crate::rootfs::{FileKind, Root};

const MAGIC: [u8; 8] = *b"RDimage1";
/// One name in so many is kept in memory, to find the others by.
const STRIDE: u64 = 256;
const DIR: u8 = b'd';
const OTHER: u8 = b'o';

/// What an image has at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageHas {
    Dir,
    Other,
}

/// The names of an image, stored in a file.
#[derive(Debug, Clone)]
pub struct ImageNames {
    file: PathBuf,
    marks: Vec<(GuestPath, u64)>,
}

impl ImageNames {
    /// Stores all names of `root`, which must hold nothing but the image's files yet, in `file`.
    ///
    /// # Errors
    /// [`ArchiveError`]
    pub fn scan(root: &Root, file: &Path, watch: &Watch) -> Result<Self, ArchiveError> {
        let everything = Selection { include: vec![GuestPath::root()], exclude: Vec::new() };
        let mut walk = Walk::new(root, &everything, watch);
        let mut writer = FrameWriter::create(file, MAGIC)?;
        let mut marks = Vec::new();
        let mut count: u64 = 0;
        while let Some(step) = walk.next()? {
            let (path, tag) = match step {
                Step::Found(found) if found.stat.kind == FileKind::Dir => (found.path, DIR),
                Step::Found(found) => (found.path, OTHER),
                Step::Skipped(skipped) => (skipped.path, OTHER),
                Step::Unreadable { path, source } => {
                    return Err(ArchiveError::guest("read", root.label(), &path)(source));
                }
            };
            if count.is_multiple_of(STRIDE) {
                marks.push((path.clone(), writer.offset()));
            }
            count = count.saturating_add(1);
            let mut body = vec![tag];
            body.extend(path.as_bytes());
            writer.frame(&body)?;
        }
        writer.finish()?;
        Ok(Self { file: file.to_owned(), marks })
    }

    pub(super) fn cursor(&self) -> Result<ImageCursor<'_>, ArchiveError> {
        let frames = FrameReader::open(&self.file, MAGIC)?;
        let mut cursor = ImageCursor { names: self, frames, current: None };
        cursor.step()?;
        Ok(cursor)
    }
}

/// Looks names up; fast when they come in order.
pub(super) struct ImageCursor<'a> {
    names: &'a ImageNames,
    frames: FrameReader,
    current: Option<(GuestPath, ImageHas)>,
}

impl ImageCursor<'_> {
    /// What the image has at `path`.
    pub(super) fn look_up(&mut self, path: &GuestPath) -> Result<Option<ImageHas>, ArchiveError> {
        if self.current.as_ref().is_none_or(|(current, _)| current > path) {
            let after = self.names.marks.partition_point(|(mark, _)| mark <= path);
            let Some((_, offset)) = after.checked_sub(1).and_then(|at| self.names.marks.get(at)) else {
                return Ok(None);
            };
            self.frames.seek(*offset)?;
            self.step()?;
        }
        while let Some((current, has)) = &self.current {
            match current.cmp(path) {
                std::cmp::Ordering::Less => self.step()?,
                std::cmp::Ordering::Equal => return Ok(Some(*has)),
                std::cmp::Ordering::Greater => return Ok(None),
            }
        }
        Ok(None)
    }

    fn step(&mut self) -> Result<(), ArchiveError> {
        let decoded = match self.frames.next()? {
            None => {
                self.current = None;
                return Ok(());
            }
            Some([DIR, path @ ..]) => GuestPath::new(path).map(|path| (path, ImageHas::Dir)),
            Some([_, path @ ..]) => GuestPath::new(path).map(|path| (path, ImageHas::Other)),
            Some([]) => return Err(self.frames.damaged()),
        };
        self.current = Some(decoded.map_err(|_| self.frames.damaged())?);
        Ok(())
    }
}
