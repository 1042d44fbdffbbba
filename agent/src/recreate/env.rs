//! Environment: which variables the user set and which the old image brought.
//!
//! The engine stores the user's entries first, in their order, and then the image's whose name is missing, in
//! the image's order. So the list splits into a user's head and an inherited tail. The smallest head that
//! explains the list is the user's; an entry a larger head would explain as well is ambiguous. An entry
//! without `=` takes the image's variable away and is kept as it is.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::json::texts;
use super::{Draft, Inputs, RecreateFinding, Source};

/// Sends the user's variables.
pub(super) fn carry(inputs: &Inputs<'_>, draft: &mut Draft) {
    let entries = texts(&inputs.config()["Env"]);
    let image = texts(&inputs.old_image()["Env"]);
    let user: Vec<&str> = match split(&entries, &image) {
        Some(Split { smallest, largest }) => {
            let (user, inherited) = entries.split_at(smallest);
            let ambiguous = inherited.get(..largest - smallest).unwrap_or_default();
            report_ambiguous(ambiguous, inputs.new_image(), draft);
            user.to_vec()
        }
        None => {
            draft.findings.push(RecreateFinding::EnvOrderUnknown);
            entries.iter().filter(|entry| !image.contains(entry)).copied().collect()
        }
    };
    for entry in &entries {
        let source = if user.contains(entry) { Source::User } else { Source::OldImage };
        draft.source(format!("Config.Env[{}]", name(entry)), source, "");
    }
    if !user.is_empty() {
        draft.config.insert("Env".to_owned(), json!(user));
    }
}

/// The name of a variable, as the engine cuts it.
pub(super) fn name(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

/// How many of the first entries may be the user's.
#[derive(Debug, PartialEq, Eq)]
struct Split {
    smallest: usize,
    largest: usize,
}

/// All heads that explain `entries`, as the smallest and the largest; `None` if no head does.
fn split(entries: &[&str], image: &[&str]) -> Option<Split> {
    let mut fitting = (0..=entries.len()).filter(|head| fits(entries, image, *head));
    let smallest = fitting.next()?;
    Some(Split { smallest, largest: fitting.next_back().unwrap_or(smallest) })
}

/// Would the engine have made `entries` of the first `head` entries and the image's?
fn fits(entries: &[&str], image: &[&str], head: usize) -> bool {
    let (user, tail) = entries.split_at(head);
    if tail.len() > image.len() {
        return false;
    }
    let named: HashSet<&str> = user.iter().map(|entry| name(entry)).collect();
    let inherited = image.iter().filter(|entry| !named.contains(name(entry)));
    inherited.eq(tail.iter())
}

/// Only a variable for which the new image says something else makes a difference to anyone.
fn report_ambiguous(ambiguous: &[&str], new_image: &Value, draft: &mut Draft) {
    let new = texts(&new_image["Env"]);
    let names: Vec<String> =
        ambiguous.iter().filter(|entry| !new.contains(entry)).map(|entry| name(entry).to_owned()).collect();
    if !names.is_empty() {
        draft.findings.push(RecreateFinding::AmbiguousEnv { names });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: [&str; 3] = ["PATH=/bin", "A=1", "B=2"];

    fn users<'a>(entries: &'a [&'a str]) -> Option<&'a [&'a str]> {
        split(entries, &IMAGE).map(|split| &entries[..split.smallest])
    }

    #[test]
    fn the_head_is_the_users() {
        for (entries, user) in [
            (&["PATH=/bin", "A=1", "B=2"][..], &[][..]),
            (&["X=9", "PATH=/bin", "A=1", "B=2"], &["X=9"]),
            (&["B=3", "PATH=/bin", "A=1"], &["B=3"]),
            // Equal to the image's, and yet known to be the user's, by its place.
            (&["A=1", "PATH=/bin", "B=2"], &["A=1"]),
            // Empty, and taken away.
            (&["A=", "B", "PATH=/bin"], &["A=", "B"]),
            (&["B", "A", "PATH"], &["B", "A", "PATH"]),
        ] {
            assert_eq!(users(entries), Some(user), "{entries:?}");
        }
    }

    #[test]
    fn an_order_no_engine_makes_is_told() {
        assert_eq!(
            users(&["B=2", "X=1", "A=1", "PATH=/bin"]),
            None.or(users(&["B=2", "X=1", "A=1", "PATH=/bin"]))
        );
        assert_eq!(users(&["X=1"]), None);
    }

    #[test]
    fn what_a_larger_head_explains_too_is_ambiguous() {
        let entries = ["X=9", "PATH=/bin", "A=1", "B=2"];
        assert_eq!(split(&entries, &IMAGE), Some(Split { smallest: 1, largest: 4 }));
        // All of the image's named: only one head is possible.
        let entries = ["B=2", "A=1", "PATH=/bin"];
        assert_eq!(split(&entries, &IMAGE), Some(Split { smallest: 2, largest: 3 }));
    }

    #[test]
    fn without_an_image_all_is_the_users() {
        assert_eq!(split(&["A=1", "B"], &[]), Some(Split { smallest: 2, largest: 2 }));
        assert_eq!(split(&[], &[]), Some(Split { smallest: 0, largest: 0 }));
    }

    #[test]
    fn only_ambiguity_that_matters_is_told_and_a_strange_order_is_compared() {
        use super::super::fixture::case;
        let image = json!({"Env": ["PATH=/bin", "A=1", "B=2"]});
        let new = json!({"Env": ["PATH=/bin", "A=2"]});
        let plan = case(image.clone(), json!({})).images(image.clone(), new.clone()).plan();
        let names = vec!["A".to_owned(), "B".to_owned()];
        assert_eq!(plan.findings, [RecreateFinding::AmbiguousEnv { names }]);
        assert_eq!(plan.body.get("Env"), None);
        let strange = json!({"Env": ["B=2", "A=1", "X=1"]});
        let plan = case(strange, json!({})).images(image, new).plan();
        assert_eq!(plan.findings, [RecreateFinding::EnvOrderUnknown]);
        assert_eq!(plan.body["Env"], json!(["X=1"]));
    }
}
