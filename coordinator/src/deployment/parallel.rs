//! How many nodes at once: `1`, `3`, `25%`, `all`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many nodes may be down at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Parallel {
    /// So many; 1 is sequential.
    Nodes(u32),
    /// So many in a hundred, rounded down, at least one.
    Percent(u8),
    /// All at once.
    All,
}

/// The text says no such thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a number of nodes at once: write 1 or more, 1% to 100%, or all")]
pub struct InvalidParallel(String);

impl Parallel {
    /// Of so many nodes.
    #[must_use]
    pub fn of(self, nodes: usize) -> usize {
        match self {
            Self::Nodes(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Self::Percent(percent) => (nodes * usize::from(percent) / 100).max(1),
            Self::All => nodes,
        }
    }
}

impl FromStr for Parallel {
    type Err = InvalidParallel;

    fn from_str(text: &str) -> Result<Self, InvalidParallel> {
        let bad = || InvalidParallel(text.chars().take(32).collect());
        if text == "all" {
            return Ok(Self::All);
        }
        let (digits, percent) = text.strip_suffix('%').map_or((text, false), |digits| (digits, true));
        // `parse` would take a leading plus.
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        let number: u32 = digits.parse().map_err(|_| bad())?;
        match (number, percent) {
            (0, _) => Err(bad()),
            (count, false) => Ok(Self::Nodes(count)),
            (share, true) => {
                u8::try_from(share).ok().filter(|s| *s <= 100).map(Self::Percent).ok_or_else(bad)
            }
        }
    }
}

impl fmt::Display for Parallel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::All => f.write_str("all"),
        }
    }
}

impl TryFrom<String> for Parallel {
    type Error = InvalidParallel;
    fn try_from(text: String) -> Result<Self, InvalidParallel> {
        text.parse()
    }
}

impl From<Parallel> for String {
    fn from(parallel: Parallel) -> Self {
        parallel.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_meant() {
        for text in ["1", "3", "25%", "100%", "all"] {
            assert_eq!(text.parse::<Parallel>().unwrap().to_string(), text);
        }
        for text in ["", "0", "0%", "101%", "-1", "+1", "%", "1.5", "ALL", "99999999999"] {
            assert!(text.parse::<Parallel>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_rounded_down_but_never_to_nothing() {
        assert_eq!(Parallel::Percent(25).of(7), 1);
        assert_eq!(Parallel::Percent(50).of(7), 3);
        assert_eq!(Parallel::Percent(1).of(3), 1);
        assert_eq!(Parallel::All.of(9), 9);
    }
}
