//! Files with several names: the first name in a walk is the file, the later ones are links to it.

use std::collections::HashMap;

use super::entry::Timestamp;
use crate::guest_path::GuestPath;
use crate::rootfs::{FileKind, Stat};

/// The first names met so far. Grows only with files that have several names, and forgets one whose names have
/// all been met.
#[derive(Debug, Default)]
pub(super) struct Links(HashMap<(u64, u64), FirstName>);

/// A file's first name and what became of it in this round.
#[derive(Debug, Clone)]
pub(super) struct FirstName {
    pub(super) path: GuestPath,
    /// Its data was written in this round.
    pub(super) packed: bool,
    /// How it looked then.
    pub(super) looked: (u64, Timestamp),
    names_left: u32,
}

impl Links {
    /// The first name of this file, if this is a later one.
    pub(super) fn first(&self, stat: &Stat) -> Option<&FirstName> {
        if stat.kind != FileKind::File || stat.nlink < 2 {
            return None;
        }
        self.0.get(&(stat.dev, stat.ino))
    }

    /// Notes a first name.
    pub(super) fn note(&mut self, path: &GuestPath, stat: &Stat, packed: bool) {
        if stat.kind == FileKind::File && stat.nlink > 1 {
            let first = FirstName {
                path: path.clone(),
                packed,
                looked: (stat.size, stat.ctime),
                names_left: stat.nlink.saturating_sub(1),
            };
            self.0.insert((stat.dev, stat.ino), first);
        }
    }

    /// Notes that a later name was met.
    pub(super) fn met(&mut self, stat: &Stat) {
        if let Some(first) = self.0.get_mut(&(stat.dev, stat.ino)) {
            first.names_left = first.names_left.saturating_sub(1);
            if first.names_left == 0 {
                self.0.remove(&(stat.dev, stat.ino));
            }
        }
    }
}
