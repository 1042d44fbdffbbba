//! Which names there are, and what somebody who mistyped one probably meant.

use super::Refusal;
use crate::store::NodeRow;

/// Insists that an environment and a group of it exist; an empty name is not looked for.
pub(super) fn check(nodes: &[NodeRow], env: &str, group: &str) -> Result<(), Refusal> {
    let in_env = || nodes.iter().filter(|node| env.is_empty() || node.env == env);
    if !env.is_empty() && in_env().next().is_none() {
        let all = nodes.iter().map(|node| node.env.as_str());
        return Err(Refusal::Missing(missing("environment", env, all)));
    }
    if !group.is_empty() && !in_env().any(|node| node.grp == group) {
        let all = in_env().map(|node| node.grp.as_str());
        let what =
            if env.is_empty() { "group".to_owned() } else { format!("group of environment {env} called") };
        return Err(Refusal::Missing(missing(&what, group, all)));
    }
    Ok(())
}

/// `nothing called X`, with the nearest of the existing names.
pub(super) fn missing<'a>(what: &str, name: &str, existing: impl Iterator<Item = &'a str>) -> String {
    let nearest = existing.map(|other| (distance(name, other), other)).min();
    match nearest {
        Some((_, other)) => format!("there is no {what} {name:?}; the nearest is {other:?}"),
        None => format!("there is no {what} {name:?}, nor any other"),
    }
}

/// The same for a node, whose name is a number.
pub(super) fn missing_node(id: u32, existing: impl Iterator<Item = u32>) -> String {
    match existing.min_by_key(|other| other.abs_diff(id)) {
        Some(nearest) => format!("there is no node {id}; the nearest is {nearest}"),
        None => format!("there is no node {id}, nor any other"),
    }
}

/// How many letters have to be put in, taken out or changed.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let changed = corner + usize::from(a != *b);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_named() {
        let names = ["shop", "stage", "prod"];
        assert_eq!(
            missing("environment", "shpo", names.into_iter()),
            "there is no environment \"shpo\"; the nearest is \"shop\""
        );
        assert!(missing("group", "cp", [].into_iter()).ends_with("nor any other"));
        assert_eq!((distance("", "abc"), distance("kitten", "sitting")), (3, 3));
    }
}
