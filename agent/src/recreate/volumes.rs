//! Volumes and mounts: the same ones again, anonymous ones by their name, or fresh ones by choice.
//!
//! `Binds` and `Mounts` go on in the form they were given. What only the engine's list of mounts shows is an
//! anonymous volume and is mounted by its name at the same target, never where something else is mounted, and
//! never if it comes with `VolumesFrom`.

mod mounted;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::docker::ApiVersion;

use super::json::{clean_path, keys, text, texts};
use super::{Draft, Inputs, RecreateError, RecreateFinding, Source, peers};

pub use mounted::{OwnVolume, given_targets, own_volumes};
use mounted::{bind_target, can_be_fresh, comes_from_a_peer, mounted};

/// Sends binds, mounts, and `VolumesFrom`.
///
/// # Errors
/// [`RecreateError`]
pub(super) fn carry(inputs: &Inputs<'_>, draft: &mut Draft) -> Result<(), RecreateError> {
    let binds = binds(inputs, draft)?;
    let mut mounts = mounts(inputs, draft)?;
    let mut occupied: BTreeSet<String> = given_targets(inputs.host()).into_iter().collect();
    volumes_from(inputs, draft, &mut occupied, &mut mounts);
    anonymous(inputs, draft, &occupied, &mut mounts)?;
    report_new_volumes(inputs, &occupied, &mounts, draft);
    for (field, list) in [("Binds", binds), ("Mounts", mounts)] {
        if !list.is_empty() {
            draft.host.insert(field.to_owned(), Value::Array(list));
        } else if let Some(value) = inputs.host().get(field) {
            draft.host.insert(field.to_owned(), value.clone());
        }
    }
    Ok(())
}

fn binds(inputs: &Inputs<'_>, draft: &mut Draft) -> Result<Vec<Value>, RecreateError> {
    let mut sent = Vec::new();
    for bind in texts(&inputs.host()["Binds"]) {
        draft.user(format!("HostConfig.Binds[{}]", bind_target(bind)));
        let (source, rest) = match bind.split_once(':') {
            // A target alone: an anonymous volume.
            None => ("", bind),
            Some((source, rest)) => (source, rest),
        };
        if source.starts_with('/') {
            sent.push(json!(bind));
            continue;
        }
        let name = volume_to_mount(inputs, draft, &bind_target(bind), source)?;
        sent.push(json!(format!("{name}:{rest}")));
    }
    Ok(sent)
}

fn mounts(inputs: &Inputs<'_>, draft: &mut Draft) -> Result<Vec<Value>, RecreateError> {
    let mut sent = Vec::new();
    for mount in inputs.host()["Mounts"].as_array().into_iter().flatten() {
        let target = clean_path(text(&mount["Target"]));
        draft.user(format!("HostConfig.Mounts[{target}]"));
        let mut mount = mount.clone();
        drop_strange_options(inputs.around.engine.api, &target, &mut mount, draft);
        if text(&mount["Type"]) == "volume" {
            let source = text(&mount["Source"]).to_owned();
            mount["Source"] = json!(volume_to_mount(inputs, draft, &target, &source)?);
        }
        sent.push(mount);
    }
    Ok(sent)
}

/// From API 1.42 on a mount must not carry options of another type, not even empty ones.
fn drop_strange_options(api: ApiVersion, target: &str, mount: &mut Value, draft: &mut Draft) {
    let own = match text(&mount["Type"]) {
        "bind" => "BindOptions",
        "volume" => "VolumeOptions",
        "tmpfs" => "TmpfsOptions",
        _ => return,
    };
    let Some(object) = mount.as_object_mut() else { return };
    if api < (ApiVersion { major: 1, minor: 42 }) {
        return;
    }
    for options in ["BindOptions", "VolumeOptions", "TmpfsOptions"].into_iter().filter(|name| *name != own) {
        if object.shift_remove(options).is_some_and(|value| !value.is_null()) {
            draft.findings.push(RecreateFinding::MountOptionsDropped {
                target: target.to_owned(),
                options: options.to_owned(),
            });
        }
    }
}

/// The volume to mount at `target`, which the user called `given` (empty: gave no name).
fn volume_to_mount(
    inputs: &Inputs<'_>,
    draft: &mut Draft,
    target: &str,
    given: &str,
) -> Result<String, RecreateError> {
    let container = inputs.old.container;
    let seen = mounted(container).into_iter().find(|mount| mount.kind == "volume" && mount.target == target);
    let name = match (given, &seen) {
        ("", Some(mount)) if !mount.name.is_empty() => mount.name,
        ("", _) => {
            return Err(RecreateError::VolumeUnknown {
                container: container.name().to_owned(),
                target: target.to_owned(),
            });
        }
        (given, _) => given,
    };
    let (target, volume) = (target.to_owned(), name.to_owned());
    if inputs.choices.keep_volumes {
        if given.is_empty() {
            draft.findings.push(RecreateFinding::AnonymousVolumeKept { target, volume: volume.clone() });
        }
        return Ok(volume);
    }
    if !can_be_fresh(inputs.host(), &target, seen.map_or("", |mount| mount.driver)) {
        draft.findings.push(RecreateFinding::VolumeCannotBeFresh { target, volume: volume.clone() });
        return Ok(volume);
    }
    let Some(fresh) = inputs.choices.fresh_volume_names.get(&target).cloned() else {
        return Err(RecreateError::NoFreshVolume { container: container.name().to_owned(), target });
    };
    draft.findings.push(RecreateFinding::VolumeGivenUp { target, volume, fresh: Some(fresh.clone()) });
    Ok(fresh)
}

/// Volumes and binds of other containers. Of one that is gone, what is still mounted is mounted one by one.
fn volumes_from(
    inputs: &Inputs<'_>,
    draft: &mut Draft,
    occupied: &mut BTreeSet<String>,
    mounts: &mut Vec<Value>,
) {
    let all = inputs.around.containers;
    let (mut sent, mut gone) = (Vec::new(), false);
    for entry in texts(&inputs.host()["VolumesFrom"]) {
        let (peer, mode) = peers::of_volumes_from(entry);
        let Some(found) = peers::find(peer, all) else {
            draft.findings.push(RecreateFinding::VolumesFromGone { peer: peer.to_owned() });
            gone = true;
            continue;
        };
        draft.user(format!("HostConfig.VolumesFrom[{}]", found.name()));
        sent.push(mode.map_or_else(|| found.name().to_owned(), |mode| format!("{}:{mode}", found.name())));
    }
    if gone {
        let container = inputs.old.container;
        let declared: Vec<String> = keys(&inputs.config()["Volumes"]).map(clean_path).collect();
        for mount in mounted(container) {
            let explained = occupied.contains(&mount.target)
                || declared.contains(&mount.target)
                || comes_from_a_peer(&mount, container, all);
            if let Some(spec) = mount.spec().filter(|_| !explained) {
                occupied.insert(mount.target.clone());
                mounts.push(spec);
            }
        }
    }
    if !sent.is_empty() {
        draft.host.insert("VolumesFrom".to_owned(), json!(sent));
    }
}

fn anonymous(
    inputs: &Inputs<'_>,
    draft: &mut Draft,
    occupied: &BTreeSet<String>,
    mounts: &mut Vec<Value>,
) -> Result<(), RecreateError> {
    let new: Vec<String> = keys(&inputs.new_image()["Volumes"]).map(clean_path).collect();
    let old: Vec<String> = keys(&inputs.old_image()["Volumes"]).map(clean_path).collect();
    for volume in own_volumes(inputs.old.container, inputs.around.containers) {
        let target = volume.target;
        if occupied.contains(&target) {
            continue;
        }
        if !inputs.choices.keep_volumes && old.contains(&target) && !new.contains(&target) {
            let volume = volume.name;
            draft.findings.push(RecreateFinding::VolumeGivenUp { target, volume, fresh: None });
            continue;
        }
        draft.source(
            format!("HostConfig.Mounts[{target}]"),
            Source::Plan,
            "an anonymous volume, from now on mounted by name",
        );
        let name = volume_to_mount(inputs, draft, &target, "")?;
        mounts.push(json!({"Type": "volume", "Source": name, "Target": target}));
    }
    Ok(())
}

fn report_new_volumes(inputs: &Inputs<'_>, occupied: &BTreeSet<String>, mounts: &[Value], draft: &mut Draft) {
    let mounted: Vec<String> = mounted(inputs.old.container).into_iter().map(|mount| mount.target).collect();
    let sent: Vec<String> = mounts.iter().map(|mount| clean_path(text(&mount["Target"]))).collect();
    for target in keys(&inputs.new_image()["Volumes"]).map(clean_path) {
        if !occupied.contains(&target) && !mounted.contains(&target) && !sent.contains(&target) {
            draft.findings.push(RecreateFinding::NewImageVolume { target });
        }
    }
}
