//! Root to archive to root: everything is as it was.

use std::fs;

use super::tree::*;
use crate::archive::{
    ApplyMode, ArchiveError, Capture, Manifest, RoundKind, Selection, Watch, apply, seal, verify,
};

#[test]
fn every_kind_and_all_metadata_come_back() {
    let bench = Bench::new();
    fill_with_everything(&bench.old());
    put(&bench.new_root(), "etc/shipped-by-the-image", "must not appear");
    let mut capture = bench.begin(everything());
    let round = bench.round(&mut capture, RoundKind::Final);
    assert_eq!((round.deleted, round.unchanged, round.skipped_count), (0, 0, 0));
    bench.apply(capture.line(), 1).unwrap();
    assert_same(&digest(&bench.new_root()), &digest(&bench.old()));
    // Again, into what is there already.
    bench.apply(capture.line(), 1).unwrap();
    assert_same(&digest(&bench.new_root()), &digest(&bench.old()));
    let line = capture.finish().unwrap();
    verify(&bench.archives(), &line, &Watch::new()).unwrap();
    bench.apply(&line, 1).unwrap();
    assert_same(&digest(&bench.new_root()), &digest(&bench.old()));
}

#[test]
fn gnu_tar_restores_a_sealed_archive_of_several_rounds() {
    let bench = Bench::new();
    fill_with_everything(&bench.old());
    let capture = bench.two_rounds(everything(), |old| {
        put(old, "etc/app.conf", "port=8080\n");
        put(old, "etc/added", "new");
        fs::remove_dir_all(old.join("data/inherits")).unwrap();
        set_mtime(&old.join("data"), 1_500_000_000, 5);
    });
    let line = capture.finish().unwrap();
    assert!(line.superseded > 0 && line.deleted > 0, "{line:?}");
    verify(&bench.archives(), &line, &Watch::new()).unwrap();
    let sealed = seal(&bench.archives(), &line, &Watch::new()).unwrap();
    assert!(sealed.sealed && sealed.superseded == 0 && sealed.entries == line.entries);
    verify(&bench.archives(), &sealed, &Watch::new()).unwrap();
    assert_same(&digest(&bench.untar(&sealed)), &digest(&bench.old()));
    bench.apply(&sealed, 1).unwrap();
    assert_same(&digest(&bench.new_root()), &digest(&bench.old()));
    // Sealing what is sealed tidies up and changes nothing.
    assert_eq!(seal(&bench.archives(), &sealed, &Watch::new()).unwrap(), sealed);
    let mut left: Vec<_> =
        fs::read_dir(bench.archives()).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["data.deleted-2", "data.index", "data.tar.gz"]);
}

#[test]
fn an_archive_of_one_round_is_sealed_as_it_is() {
    let bench = Bench::new();
    fill_with_everything(&bench.old());
    let mut capture = bench.begin(everything());
    bench.round(&mut capture, RoundKind::Final);
    let line = capture.finish().unwrap();
    let sealed = seal(&bench.archives(), &line, &Watch::new()).unwrap();
    assert_eq!((sealed.sha256.as_str(), sealed.sealed), (line.sha256.as_str(), true));
    assert_same(&digest(&bench.untar(&sealed)), &digest(&bench.old()));
}

#[test]
fn a_sealing_that_was_cut_short_is_finished_by_the_next() {
    let bench = Bench::new();
    put(&bench.old(), "a", "1");
    let line = bench.two_rounds(everything(), |old| put(old, "a", "two")).finish().unwrap();
    let before = fs::read(line.path(&bench.archives())).unwrap();
    // Cut while the new file is written.
    put(&bench.archives(), "data.tar.gz.sealing", "half of a");
    let sealed = seal(&bench.archives(), &line, &Watch::new()).unwrap();
    // Cut after the rename, before the new line was stored: the old line is all we have.
    assert_eq!(seal(&bench.archives(), &line, &Watch::new()).unwrap(), sealed);
    // Cut right before the rename: the note is there, the archive is still the old one.
    fs::write(line.path(&bench.archives()), before).unwrap();
    assert_eq!(seal(&bench.archives(), &line, &Watch::new()).unwrap(), sealed);
    verify(&bench.archives(), &sealed, &Watch::new()).unwrap();
}

#[test]
fn only_what_is_selected_is_kept_and_replaced() {
    let bench = Bench::new();
    put(&bench.old(), "srv/app/file", "user's");
    put(&bench.old(), "srv/app/overrides/image", "old image's");
    put(&bench.old(), "srv/other", "not kept");
    put(&bench.old(), "etc/one.conf", "kept");
    own(&bench.old().join("srv"), 11, 12);
    chmod(&bench.old().join("srv"), 0o750);
    put(&bench.new_root(), "srv-is-missing-here", "");
    put(&bench.new_root(), "etc/one.conf/was a directory", "");
    put(&bench.new_root(), "etc/two.conf", "image's");
    put(&bench.new_root(), "gone/file", "deleted by the user");
    let selection = Selection {
        include: vec![path("/srv/app"), path("/etc/one.conf"), path("/gone"), path("/nothing/here")],
        exclude: vec![path("/srv/app/overrides")],
    };
    let mut capture = bench.begin(selection.clone());
    bench.round(&mut capture, RoundKind::Final);
    bench.apply(capture.line(), 1).unwrap();
    let read = |name: &str| fs::read_to_string(bench.new_root().join(name)).ok();
    assert_eq!(read("srv/app/file").as_deref(), Some("user's"));
    assert_eq!(read("etc/one.conf").as_deref(), Some("kept"));
    assert_eq!(read("etc/two.conf").as_deref(), Some("image's"));
    assert_eq!((read("srv/app/overrides/image"), read("srv/other"), read("gone/file")), (None, None, None));
    let parent = digest(&bench.new_root())[std::path::Path::new("srv")].clone();
    assert!(parent.starts_with("40750 11:12"), "{parent}");
    // What the image has at an excluded place stays through it all.
    put(&bench.new_root(), "srv/app/overrides/image", "new image's");
    bench.apply(capture.line(), 1).unwrap();
    assert_eq!(read("srv/app/overrides/image").as_deref(), Some("new image's"));
}

#[test]
fn parents_that_are_links_inside_the_target_are_followed_there() {
    let bench = Bench::new();
    put(&bench.old(), "var/run/app/pid", "1");
    fs::create_dir_all(bench.new_root().join("run")).unwrap();
    fs::create_dir_all(bench.new_root().join("var")).unwrap();
    std::os::unix::fs::symlink("/run", bench.new_root().join("var/run")).unwrap();
    let mut capture = bench.begin(only(&["/var/run/app"]));
    bench.round(&mut capture, RoundKind::Final);
    bench.apply(capture.line(), 1).unwrap();
    assert_eq!(fs::read_to_string(bench.new_root().join("run/app/pid")).unwrap(), "1");
    // One that leads nowhere is replaced by a directory.
    fs::remove_dir_all(bench.new_root().join("run")).unwrap();
    bench.apply(capture.line(), 1).unwrap();
    assert_eq!(fs::read_to_string(bench.new_root().join("var/run/app/pid")).unwrap(), "1");
    assert!(bench.new_root().join("var/run").symlink_metadata().unwrap().is_dir());
}

#[test]
fn the_manifest_comes_back_and_strange_ones_are_refused() {
    let bench = Bench::new();
    put(&bench.old(), "a", "1");
    let line = bench.two_rounds(everything(), |old| put(old, "b", "2")).finish().unwrap();
    let file = bench.archives().join("manifest.json");
    let manifest = Manifest { archives: vec![line], ..Manifest::default() };
    manifest.store(&file).unwrap();
    assert_eq!(Manifest::load(&file).unwrap(), manifest);
    for (text, word) in [
        ("{\"version\": 2, \"archives\": 7}", "version 2"),
        ("{\"version\": 1, \"archives\": [], \"more\": 1}", "cannot be understood"),
        ("{\"version\": 1, \"arch", "cannot be understood"),
    ] {
        fs::write(&file, text).unwrap();
        assert!(Manifest::load(&file).unwrap_err().to_string().contains(word), "{text}");
    }
}

#[test]
fn cancelling_and_limits_leave_the_archive_as_it_was() {
    let bench = Bench::new();
    put(&bench.old(), "a", vec![1; 100_000]);
    let mut capture = bench.begin(everything());
    bench.round(&mut capture, RoundKind::Live);
    let before = (capture.line().clone(), fs::read(capture.line().path(&bench.archives())).unwrap());
    put(&bench.old(), "b", vec![2; 100_000]);
    let watch = Watch::new();
    watch.cancel();
    let error = capture.round(&bench.old_handle(), RoundKind::Live, &watch).unwrap_err();
    assert!(matches!(error, ArchiveError::Cancelled), "{error}");
    assert_eq!(fs::read(capture.line().path(&bench.archives())).unwrap(), before.1);
    assert_eq!(*capture.line(), before.0);
    let round = bench.round(&mut capture, RoundKind::Final);
    assert!(round.written >= 2);
    bench.apply_all(capture.line()).unwrap();
    assert_same(&digest(&bench.new_root()), &digest(&bench.old()));
    let error = apply(&bench.archives(), capture.line(), 1, &bench.new_handle(), &ApplyMode::Replace, &watch);
    assert!(matches!(error, Err(ArchiveError::Cancelled)));
}

#[test]
fn what_callers_hold_can_go_to_a_blocking_thread() {
    fn can_be_sent<T: Send + 'static>() {}
    can_be_sent::<Capture>();
    can_be_sent::<ApplyMode>();
    can_be_sent::<ArchiveError>();
    can_be_sent::<std::sync::Arc<Watch>>();
    can_be_sent::<crate::rootfs::Root>();
}
