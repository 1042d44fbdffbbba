//! Room on the disks: what an undo may need on top of the archives, and what the operator should know of it. Pure.

use super::{ArchivePlan, Into, Plan, Source, Space};

/// A failed new container is expected to have changed at most one part in so many of what the volumes it shares hold
/// before it was found to have failed.
const CHANGED_PART: u64 = 10;
/// And this much in any case, if they hold so much: small volumes are often rewritten as a whole.
const CHANGED_MIN: u64 = 64 << 20;

impl Space {
    /// Takes in one archive of so many bytes.
    pub(crate) fn add(&mut self, archive: &ArchivePlan, bytes: u64, entries: u64) {
        self.to_archive = self.to_archive.saturating_add(bytes);
        self.entries = self.entries.saturating_add(entries);
        let (expected, max) = match archive.source {
            // What is kept in a failed container is archived as a whole before it goes.
            Source::Root { into: Into::Replace } => (bytes, bytes),
            // Only what differs from the archive is set aside before a volume is put back.
            Source::Volume { shared: true, .. } | Source::Bind { shared: true, .. } => {
                (bytes.min(CHANGED_MIN.max(bytes / CHANGED_PART)), bytes)
            }
            Source::Root { into: Into::Underlay } | Source::Volume { .. } | Source::Bind { .. } => (0, 0),
        };
        if matches!(archive.source, Source::Root { .. }) {
            self.to_restore = self.to_restore.saturating_add(bytes);
        }
        self.to_set_aside = self.to_set_aside.saturating_add(expected);
        self.to_set_aside_max = self.to_set_aside_max.saturating_add(max);
    }

    /// Takes in what a dependent needs.
    pub(crate) fn add_all_of(&mut self, other: &Self) {
        self.to_archive = self.to_archive.saturating_add(other.to_archive);
        self.to_restore = self.to_restore.saturating_add(other.to_restore);
        self.to_copy = self.to_copy.saturating_add(other.to_copy);
        self.to_set_aside = self.to_set_aside.saturating_add(other.to_set_aside);
        self.to_set_aside_max = self.to_set_aside_max.saturating_add(other.to_set_aside_max);
        self.read_whole.extend(other.read_whole.iter().cloned());
    }

    /// Takes in one root of so many bytes that is copied to another container.
    pub(crate) fn add_copy(&mut self, bytes: u64) {
        self.to_copy = self.to_copy.saturating_add(bytes);
    }

    /// Bytes that may be written to the data directory's disk, with so much set aside by an undo.
    pub(super) fn needed_with(&self, set_aside: u64) -> u64 {
        let ours = self.to_archive.saturating_add(self.to_copy).saturating_add(set_aside);
        if self.same_disk { ours.saturating_add(self.needed_by_engine()) } else { ours }
    }

    /// Bytes that may be written to the engine's disk.
    pub(super) fn needed_by_engine(&self) -> u64 {
        self.to_restore.saturating_add(self.to_copy)
    }
}

/// Adds the warnings that only a whole plan, dependents and all, can give.
pub fn remark(plan: &mut Plan) {
    let warnings = [undo_warning(&plan.space)].into_iter().flatten().chain(slow_warnings(&plan.space));
    let warnings: Vec<String> = warnings.collect();
    plan.warnings.extend(warnings);
}

/// The undo would be stuck for want of room if the new container changes much more than expected.
fn undo_warning(space: &Space) -> Option<String> {
    let needed = space.needed_with(space.to_set_aside_max).saturating_add(space.headroom);
    (needed > space.data_dir_free && space.to_set_aside_max > space.to_set_aside).then(|| {
        format!(
            "if the new container fails after it rewrote all it can write to, the undo needs {} bytes to set that \
             aside, and {needed} of the {} free bytes in the data directory would be wanted in all (the plan counts \
             on {} bytes): free some space first if that may happen",
            space.to_set_aside_max, space.data_dir_free, space.to_set_aside
        )
    })
}

fn slow_warnings(space: &Space) -> impl Iterator<Item = String> {
    space.read_whole.iter().map(|it| {
        format!(
            "{} is on a file system ({}) that does not tell reliably what changed: all of its {} bytes are read once \
             more after the stop, and the downtime grows with them",
            it.what, it.file_system, it.bytes
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Selection;
    use crate::guest_path::GuestPath;
    use crate::plan::ReadWhole;

    fn archive(source: Source) -> ArchivePlan {
        let selection = Selection { include: vec![GuestPath::root()], exclude: Vec::new() };
        ArchivePlan { stem: "s".to_owned(), source, selection }
    }

    fn volume(shared: bool) -> ArchivePlan {
        archive(Source::Volume { name: "v".to_owned(), shared })
    }

    fn set_aside(archive: &ArchivePlan, bytes: u64) -> (u64, u64) {
        let mut space = Space::default();
        space.add(archive, bytes, 1);
        (space.to_set_aside, space.to_set_aside_max)
    }

    #[test]
    fn an_undo_is_given_room_for_what_a_failed_container_is_expected_to_change() {
        const GIB: u64 = 1 << 30;
        assert_eq!(set_aside(&volume(true), 10 * GIB), (GIB, 10 * GIB));
        assert_eq!(set_aside(&volume(true), 1000), (1000, 1000));
        assert_eq!(set_aside(&volume(false), GIB), (0, 0), "it is never put back");
        assert_eq!(set_aside(&archive(Source::Root { into: Into::Replace }), 5), (5, 5));
        assert_eq!(set_aside(&archive(Source::Root { into: Into::Underlay }), 5), (0, 0));
    }

    #[test]
    fn a_root_that_is_copied_is_wanted_where_the_engine_is_and_on_its_way_where_we_are() {
        let mut space = Space { to_archive: 1, to_restore: 10, ..Space::default() };
        space.add_copy(1000);
        assert_eq!((space.needed_with(100), space.needed_by_engine()), (1101, 1010));
        space.same_disk = true;
        assert_eq!(space.needed_with(100), 2111);
        let mut all = Space::default();
        all.add_all_of(&space);
        assert_eq!(all.to_copy, 1000);
    }

    #[test]
    fn an_undo_that_may_not_fit_is_warned_of_with_figures() {
        let mut space = Space { data_dir_free: 12 << 30, ..Space::default() };
        space.add(&volume(true), 10 << 30, 1);
        let warning = undo_warning(&space).unwrap();
        for figure in [10_u64 << 30, 20 << 30, 12 << 30, 1 << 30] {
            assert!(warning.contains(&figure.to_string()), "{figure} is missing: {warning}");
        }
        space.data_dir_free = 20 << 30;
        assert_eq!(undo_warning(&space), None);
    }

    #[test]
    fn what_is_read_as_a_whole_after_the_stop_is_told_with_its_size() {
        let read_whole =
            vec![ReadWhole { what: "volume v".into(), file_system: "tmpfs".into(), bytes: 4711 }];
        let space = Space { read_whole, ..Space::default() };
        let all: Vec<String> = slow_warnings(&space).collect();
        assert!(all.len() == 1 && all[0].contains("volume v") && all[0].contains("4711"), "{all:?}");
        assert!(all[0].contains("tmpfs") && all[0].contains("downtime"), "{all:?}");
    }
}
