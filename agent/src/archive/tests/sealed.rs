//! Days later: a volume is put back from an archive that was sealed, that was about to be, or that lost its index.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::tree::*;
use crate::archive::{ArchiveLine, Aside, PutBack, RoundKind, Watch, put_back, seal, verify};

/// Two rounds that differ: a file superseded, one deleted, one added.
fn captured(bench: &Bench) -> ArchiveLine {
    fill_with_everything(&bench.old());
    let capture = bench.two_rounds(everything(), |old| {
        put(old, "etc/app.conf", "as captured");
        put(old, "etc/added", "between the rounds");
        fs::remove_file(old.join("etc/empty")).unwrap();
    });
    let line = capture.finish().unwrap();
    assert!(line.superseded > 0 && line.deleted > 0, "{line:?}");
    line
}

/// What a new version does to a volume in the days it serves.
fn days_pass(old: &Path) {
    put(old, "etc/app.conf", "of another day");
    put(old, "etc/empty", "back again");
    put(old, "etc/new/file", "new");
    fs::remove_file(old.join("etc/added")).unwrap();
    fs::remove_dir_all(old.join("data/inherits")).unwrap();
    fs::remove_file(old.join("data/same.conf")).unwrap();
    chmod(&old.join("bin/tool"), 0o700);
}

fn restore(bench: &Bench, dir: &Path, line: &ArchiveLine) -> PutBack {
    put_back(dir, line, &bench.old_handle(), None, &Watch::new()).unwrap()
}

fn sealed(bench: &Bench, line: &ArchiveLine) -> ArchiveLine {
    seal(&bench.archives(), line, &Watch::new()).unwrap()
}

#[test]
fn a_sealed_archive_serves_as_before_however_often_it_was_sealed() {
    let bench = Bench::new();
    let line = captured(&bench);
    let then = digest(&bench.old());
    let sealed_once = sealed(&bench, &line);
    assert_ne!(sealed_once.sha256, line.sha256, "it was rewritten");
    assert_eq!(restore(&bench, &bench.archives(), &sealed_once), PutBack::default(), "nothing differs");
    for _ in 0..3 {
        assert_eq!(sealed(&bench, &sealed_once), sealed_once);
        days_pass(&bench.old());
        let done = restore(&bench, &bench.archives(), &sealed_once);
        assert!(done.restored > 0 && done.removed > 0 && done.failed.is_none(), "{done:?}");
        assert_same(&digest(&bench.old()), &then);
        assert_eq!(restore(&bench, &bench.archives(), &sealed_once), PutBack::default());
    }
}

#[test]
fn what_differs_is_kept_where_the_caller_wants_it_or_not_at_all() {
    let bench = Bench::new();
    let line = sealed(&bench, &captured(&bench));
    let here = bench.path().join("another redeploy");
    fs::create_dir(&here).unwrap();
    let names = |dir: &Path| -> Vec<PathBuf> {
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
        names.sort();
        names
    };
    let before = names(&bench.archives());
    days_pass(&bench.old());
    let options = options();
    let aside = Aside { dir: &here, stem: "data.failed", options: &options };
    let done = put_back(&bench.archives(), &line, &bench.old_handle(), Some(aside), &Watch::new()).unwrap();
    verify(&here, &done.failed.unwrap(), &Watch::new()).unwrap();
    assert_eq!(names(&bench.archives()), before);
    let kept = ["line.json", "removed", "tar.gz"].map(|what| here.join(format!("data.failed.{what}")));
    assert_eq!(names(&here), kept);
}

/// What is being done, the line the manifest has, the files that are there.
type Instant<'a> = (&'a str, &'a ArchiveLine, &'a [(&'a str, &'a [u8])]);

/// A directory with these files, and copies of another's sidecars.
fn composed(bench: &Bench, name: &str, files: &[(&str, &[u8])], sidecars_of: &Path) -> PathBuf {
    let dir = bench.path().join(name);
    fs::create_dir(&dir).unwrap();
    for sidecar in ["data.index", "data.deleted-2"] {
        fs::copy(sidecars_of.join(sidecar), dir.join(sidecar)).unwrap();
    }
    for (name, contents) in files {
        fs::write(dir.join(name), contents).unwrap();
    }
    dir
}

#[test]
fn a_sealing_cut_at_any_instant_leaves_an_archive_that_serves_and_is_finished_by_the_next() {
    let bench = Bench::new();
    let line = captured(&bench);
    let then = digest(&bench.old());
    let dir = bench.archives();
    let old = fs::read(dir.join("data.tar.gz")).unwrap();
    let new_line = sealed(&bench, &line);
    let new = fs::read(dir.join("data.tar.gz")).unwrap();
    let note = fs::read(dir.join("data.sealed.json")).unwrap();
    assert_ne!(old, new);
    let (half, half_note) = (&new[..new.len() / 2], &note[..note.len() / 2]);
    let (file, fresh, json) = ("data.tar.gz", "data.tar.gz.sealing", "data.sealed.json");
    let instants: [Instant<'_>; 8] = [
        ("not begun", &line, &[(file, &old)]),
        ("writing the new file", &line, &[(file, &old), (fresh, half)]),
        ("new file written", &line, &[(file, &old), (fresh, &new)]),
        ("writing the note", &line, &[(file, &old), (fresh, &new), ("data.sealed.json.part", half_note)]),
        ("note written", &line, &[(file, &old), (fresh, &new), (json, &note)]),
        ("renamed", &line, &[(file, &new), (json, &note)]),
        ("line stored", &new_line, &[(file, &new), (json, &note)]),
        ("tidied up", &new_line, &[(file, &new)]),
    ];
    for (name, line, files) in instants {
        let dir = composed(&bench, name, files, &dir);
        verify(&dir, line, &Watch::new()).unwrap();
        days_pass(&bench.old());
        assert!(restore(&bench, &dir, line).restored > 0, "{name}");
        assert_same(&digest(&bench.old()), &then);
        let next = seal(&dir, line, &Watch::new()).unwrap();
        assert_eq!((next.tar_sha256.as_str(), next.sealed), (new_line.tar_sha256.as_str(), true), "{name}");
        // With whichever of the two lines the manifest has from here on.
        for line in [line, &next] {
            verify(&dir, line, &Watch::new()).unwrap();
            days_pass(&bench.old());
            assert!(restore(&bench, &dir, line).restored > 0, "{name}");
            assert_same(&digest(&bench.old()), &then);
        }
        assert_same(
            &digest(&bench.untar(&ArchiveLine { file: dir.join(file).display().to_string(), ..next })),
            &then,
        );
    }
}

#[test]
fn without_its_index_everything_is_restored_and_the_index_is_made_anew() {
    for seal_first in [false, true] {
        for damage in [
            |index: &Path| fs::remove_file(index).unwrap(),
            |index: &Path| {
                let mut bytes = fs::read(index).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(index, bytes).unwrap();
            },
        ] {
            let bench = Bench::new();
            let line = captured(&bench);
            let then = digest(&bench.old());
            let line = if seal_first { sealed(&bench, &line) } else { line };
            damage(&bench.archives().join("data.index"));
            // The trap: other contents behind the same size, times, owner and mode.
            let trap = bench.old().join("data/acl");
            let before = fs::metadata(&trap).unwrap();
            fs::write(&trap, "GUARDED").unwrap();
            set_mtime(&trap, before.mtime(), before.mtime_nsec());
            days_pass(&bench.old());
            let entries = line.entries;
            let done = restore(&bench, &bench.archives(), &line);
            assert_eq!(done.restored, entries, "{done:?}");
            assert_same(&digest(&bench.old()), &then);
            // From here on it is as with any other index, and sealing works with it too.
            assert_eq!(restore(&bench, &bench.archives(), &line), PutBack::default());
            let line = sealed(&bench, &line);
            days_pass(&bench.old());
            restore(&bench, &bench.archives(), &line);
            assert_same(&digest(&bench.old()), &then);
        }
    }
}

#[test]
fn an_archive_without_index_is_sealed_to_the_same() {
    let bench = Bench::new();
    let line = captured(&bench);
    let then = digest(&bench.old());
    fs::remove_file(bench.archives().join("data.index")).unwrap();
    let sealed = sealed(&bench, &line);
    assert_eq!((sealed.entries, sealed.superseded), (line.entries, 0));
    assert_same(&digest(&bench.untar(&sealed)), &then);
}

#[test]
fn a_name_that_was_taken_away_after_a_restore_comes_back_with_the_next() {
    let bench = Bench::new();
    let line = sealed(&bench, &captured(&bench));
    let then = digest(&bench.old());
    for _ in 0..2 {
        fs::remove_dir_all(bench.old().join("data")).unwrap();
        fs::remove_file(bench.old().join("bin/tool")).unwrap();
        assert!(restore(&bench, &bench.archives(), &line).restored > 0);
        assert_same(&digest(&bench.old()), &then);
    }
}

#[test]
fn an_index_from_before_the_last_round_is_made_anew() {
    let bench = Bench::new();
    fill_with_everything(&bench.old());
    let mut capture = bench.begin(everything());
    bench.round(&mut capture, RoundKind::Live);
    let index = bench.archives().join("data.index");
    let before = fs::read(&index).unwrap();
    put(&bench.old(), "etc/app.conf", "as captured");
    put(&bench.old(), "etc/added", "between the rounds");
    bench.round(&mut capture, RoundKind::Final);
    let line = capture.finish().unwrap();
    let then = digest(&bench.old());
    // A power cut right after: the last index had not reached the disk.
    fs::write(&index, before).unwrap();
    days_pass(&bench.old());
    restore(&bench, &bench.archives(), &line);
    assert_same(&digest(&bench.old()), &then);
}
