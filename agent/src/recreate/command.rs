//! Entrypoint and command, which the engine merges together.
//!
//! An entrypoint that is set keeps the image's command out; the engine stores a reset entrypoint as null and
//! takes `[""]` for a reset. Both are always lists, never joined into a line.

use serde_json::{Value, json};

use super::json::says_nothing;
use super::{Draft, Inputs, RecreateFinding, Source};

/// What becomes of the two fields. `None` leaves a field to the new image.
#[derive(Debug, PartialEq)]
struct Sent {
    entrypoint: Option<Value>,
    cmd: Option<Value>,
}

/// Sends entrypoint and command as far as the user set them.
pub(super) fn carry(inputs: &Inputs<'_>, draft: &mut Draft) {
    let (config, image) = (inputs.config(), inputs.old_image());
    let sent = if inputs.old.image.is_some() { sent(config, image) } else { pinned(config) };
    let new = inputs.new_image();
    if sent.entrypoint.is_none() && sent.cmd.is_some() && new["Entrypoint"] != image["Entrypoint"] {
        draft.findings.push(RecreateFinding::CommandMeetsNewEntrypoint);
    }
    // Windows only: whether the command is one already escaped line.
    if sent.cmd.is_some() && !says_nothing(&config["ArgsEscaped"]) {
        draft.config.insert("ArgsEscaped".to_owned(), config["ArgsEscaped"].clone());
    }
    for (field, value) in [("Entrypoint", sent.entrypoint), ("Cmd", sent.cmd)] {
        match value {
            Some(value) => {
                let note = if value == json!([""]) { "the user reset it" } else { "" };
                draft.source(format!("Config.{field}"), Source::User, note);
                draft.config.insert(field.to_owned(), value);
            }
            None if !says_nothing(&config[field]) => draft.old_image(format!("Config.{field}")),
            None => {}
        }
    }
}

/// With the image known.
fn sent(config: &Value, image: &Value) -> Sent {
    let (entrypoint, cmd) = (&config["Entrypoint"], &config["Cmd"]);
    let explicit = |cmd: &Value| Some(cmd.clone()).filter(|cmd| !says_nothing(cmd));
    let unless_inherited = || explicit(cmd).filter(|cmd| *cmd != image["Cmd"]);
    if says_nothing(entrypoint) {
        if says_nothing(&image["Entrypoint"]) {
            return Sent { entrypoint: None, cmd: unless_inherited() };
        }
        if entrypoint.is_array() {
            // `[]` empties the entrypoint and lets the image's command in.
            return Sent { entrypoint: Some(json!([])), cmd: unless_inherited() };
        }
        return Sent { entrypoint: Some(json!([""])), cmd: explicit(cmd) };
    }
    let own = *entrypoint != image["Entrypoint"] || (says_nothing(cmd) && !says_nothing(&image["Cmd"]));
    if own {
        return Sent { entrypoint: Some(entrypoint.clone()), cmd: explicit(cmd) };
    }
    Sent { entrypoint: None, cmd: unless_inherited() }
}

/// Without it: run exactly what ran, whatever the new image says.
fn pinned(config: &Value) -> Sent {
    let entrypoint = Some(config["Entrypoint"].clone()).filter(|value| !says_nothing(value));
    let cmd = Some(config["Cmd"].clone()).filter(|value| !says_nothing(value));
    Sent { entrypoint: entrypoint.or_else(|| Some(json!([""]))), cmd }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_fields_in_every_combination() {
        let image = json!({"Entrypoint": ["/e"], "Cmd": ["c"]});
        let bare = json!({"Cmd": ["c"]});
        let (some, none) = (Some, None::<Value>);
        for (config, image, entrypoint, cmd, why) in [
            (json!({"Entrypoint": ["/e"], "Cmd": ["c"]}), &image, none.clone(), none.clone(), "inherited"),
            (
                json!({"Entrypoint": ["/e"], "Cmd": ["d"]}),
                &image,
                none.clone(),
                some(json!(["d"])),
                "arguments",
            ),
            (
                json!({"Entrypoint": ["/e"], "Cmd": null}),
                &image,
                some(json!(["/e"])),
                none.clone(),
                "set to the same, which keeps the image's command out",
            ),
            (
                json!({"Entrypoint": null, "Cmd": ["d"]}),
                &image,
                some(json!([""])),
                some(json!(["d"])),
                "reset",
            ),
            (
                json!({"Entrypoint": null, "Cmd": ["c"]}),
                &image,
                some(json!([""])),
                some(json!(["c"])),
                "reset, with the image's command written out",
            ),
            (json!({"Entrypoint": [], "Cmd": ["c"]}), &image, some(json!([])), none.clone(), "emptied"),
            (json!({"Entrypoint": ["/x", "y z"]}), &image, some(json!(["/x", "y z"])), none.clone(), "own"),
            (
                json!({"Entrypoint": ["/x"], "Cmd": ["c"]}),
                &image,
                some(json!(["/x"])),
                some(json!(["c"])),
                "own, and a command that only looks like the image's",
            ),
            (json!({"Entrypoint": null, "Cmd": ["c"]}), &bare, none.clone(), none.clone(), "none to inherit"),
            (
                json!({"Entrypoint": null, "Cmd": ["d"]}),
                &bare,
                none.clone(),
                some(json!(["d"])),
                "command only",
            ),
        ] {
            assert_eq!(sent(&config, image), Sent { entrypoint, cmd }, "{why}");
        }
    }

    #[test]
    fn without_the_old_image_what_ran_is_pinned() {
        assert_eq!(
            pinned(&json!({"Entrypoint": null, "Cmd": ["c"]})),
            Sent { entrypoint: Some(json!([""])), cmd: Some(json!(["c"])) }
        );
    }
}
