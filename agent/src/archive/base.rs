//! The index of a root that was just made from an image, for a capture of another root of the same image to be compared
//! with: what looks the same in both is the image's own file.

use std::path::Path;

use super::index::{End, IndexWriter, Record};
use super::links::Links;
use super::selection::Selection;
use super::walk::{Step, Walk};
use super::{ArchiveError, Watch};
use crate::rootfs::{Root, Stat};

/// Writes down how everything in `base` looks, as if it were on the device `dev`: each container's root is a mount of
/// its own, and the inodes below are those of the image.
pub(super) fn write(
    base: &Root,
    dev: u64,
    selection: &Selection,
    index: &Path,
    watch: &Watch,
) -> Result<(), ArchiveError> {
    let mut writer = IndexWriter::create(index)?;
    let mut links = Links::default();
    let mut walk = Walk::new(base, selection, watch);
    while let Some(step) = walk.next()? {
        let Step::Found(found) = step else { continue };
        let link_to = links.first(&found.stat).map(|first| first.path.clone());
        match link_to {
            Some(_) => links.met(&found.stat),
            None => links.note(&found.path, &found.stat, false),
        }
        let Stat { kind, ino, size, ctime, .. } = found.stat;
        let (path, on_the_way) = (found.path, found.on_the_way);
        writer.push(&Record {
            path,
            kind,
            dev,
            ino,
            size,
            ctime,
            hot: false,
            on_the_way,
            link_to,
            round: 1,
        })?;
    }
    writer.finish(End::of(0, None))
}
