//! HAProxy's answers: `show servers state` and `show stat`, by the names of their columns. Pure.
//!
//! Columns are found by name, because each version adds some (HAProxy management guide, 9.1 and "show servers state").

use std::collections::HashMap;
use std::net::IpAddr;

use crate::balancer::{Health, Seen};

/// An answer that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Odd {
    /// HAProxy said this instead.
    Said(String),
    /// It has another form.
    Form(String),
}

/// Of `show servers state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    address: Option<IpAddr>,
    /// Bits; 0: it may serve. 0x01 to 0x04, 0x20 and 0x40 are kinds of maintenance, 0x08 and 0x10 of drain.
    admin: u32,
    /// 0 stopped, 1 starting (a slow start), 2 running, 3 stopping.
    operation: u32,
    /// Bit 0x04: its check is enabled.
    check: u32,
}

/// Of `show stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    sessions: u64,
    status: String,
    check: String,
}

const CHECK_ENABLED: u32 = 0x04;
/// What is shown of an answer that was not expected.
const SHOWN_CHARS: usize = 200;

/// Both answers together.
pub(super) fn seen(state: &State, stat: &Stat) -> Seen {
    let is_up = state.operation == 1 || state.operation == 2;
    let words = match stat.check.as_str() {
        "" => stat.status.clone(),
        check => format!("{} ({check})", stat.status),
    };
    Seen {
        admitted: state.admin == 0,
        address: state.address,
        sessions: stat.sessions,
        health: if is_up { Health::Up } else { Health::Down },
        checked: state.check & CHECK_ENABLED != 0,
        words,
    }
}

/// `show servers state BACKEND`: a line with the version, one with names, then one for each server.
pub(super) fn state(answer: &str, server: &str) -> Result<State, Odd> {
    let mut lines = answer.lines();
    match lines.next() {
        Some("1") => {}
        Some(other) if other.trim().parse::<u32>().is_err() => return Err(Odd::Said(answer.to_owned())),
        Some(other) => return Err(Odd::Form(format!("version {} is not known", shortened(other)))),
        None => return Err(Odd::Form("it is empty".to_owned())),
    }
    let names =
        lines.next().and_then(|line| line.strip_prefix("# ")).ok_or_else(|| missing("column names"))?;
    let names: Vec<&str> = names.split(' ').collect();
    for line in lines {
        let row: HashMap<&str, &str> = names.iter().copied().zip(line.split(' ')).collect();
        if row.get("srv_name") != Some(&server) {
            continue;
        }
        let number = |name: &str| -> Result<u32, Odd> {
            row.get(name).and_then(|text| text.parse().ok()).ok_or_else(|| missing(name))
        };
        return Ok(State {
            address: row.get("srv_addr").ok_or_else(|| missing("srv_addr"))?.parse().ok(),
            admin: number("srv_admin_state")?,
            operation: number("srv_op_state")?,
            check: number("srv_check_state")?,
        });
    }
    Err(Odd::Said("No such server.".to_owned()))
}

/// `show stat BACKEND 4 -1`: comma-separated values. No column before `last_chk` holds quotes.
pub(super) fn stat(answer: &str, backend: &str, server: &str) -> Result<Stat, Odd> {
    let mut lines = answer.lines();
    let Some(names) = lines.next().and_then(|line| line.strip_prefix("# ")) else {
        return Err(Odd::Said(answer.to_owned()));
    };
    let names: Vec<&str> = names.split(',').collect();
    for line in lines {
        let row: HashMap<&str, &str> = names.iter().copied().zip(line.split(',')).collect();
        if (row.get("pxname"), row.get("svname")) != (Some(&backend), Some(&server)) {
            continue;
        }
        let text = |name: &str| row.get(name).copied().ok_or_else(|| missing(name));
        let number = |name: &str| text(name)?.parse::<u64>().map_err(|_| missing(name));
        return Ok(Stat {
            sessions: number("scur")?.saturating_add(number("qcur")?),
            status: shortened(text("status")?),
            check: shortened(text("check_status")?),
        });
    }
    Err(Odd::Said("No such server.".to_owned()))
}

/// Does HAProxy say that there is no such backend or server?
pub(super) fn is_unknown(answer: &str) -> bool {
    ["No such", "Can't find"].iter().any(|words| answer.starts_with(words))
}

/// One line of an answer, for an error text.
pub(super) fn shortened(answer: &str) -> String {
    let line = answer.trim().lines().next().unwrap_or_default();
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_CHARS).collect()
}

fn missing(name: &str) -> Odd {
    Odd::Form(format!("{name} is missing or no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_check_state\n\
                         3 be 1 n1 172.17.0.3 0 8 6\n3 be 2 n2 ::1 2 0 0\n3 be 3 n3 - 2 1 14";
    const STAT: &str =
        "# pxname,svname,qcur,qmax,scur,status,check_status\nbe,n1,1,0,3,DRAIN,L4CON\nbe,n2,0,0,0,no check,";

    #[test]
    fn servers_are_found_by_the_names_of_columns() {
        let one = seen(&state(STATE, "n1").unwrap(), &stat(STAT, "be", "n1").unwrap());
        assert_eq!((one.admitted, one.sessions, one.health, one.checked), (false, 4, Health::Down, true));
        assert_eq!((one.address, one.words.as_str()), ("172.17.0.3".parse().ok(), "DRAIN (L4CON)"));
        let two = seen(&state(STATE, "n2").unwrap(), &stat(STAT, "be", "n2").unwrap());
        assert_eq!((two.admitted, two.sessions, two.health, two.checked), (true, 0, Health::Up, false));
        assert_eq!((two.address, two.words.as_str()), ("::1".parse().ok(), "no check"));
        assert_eq!(state(STATE, "n3").unwrap().address, None);
    }

    #[test]
    fn unknown_servers_and_refusals_are_told_apart_from_garbage() {
        for answer in ["Can't find backend.", "Permission denied", "Unknown command: "] {
            assert_eq!(state(answer, "n1"), Err(Odd::Said(answer.to_owned())));
            assert_eq!(stat(answer, "be", "n1"), Err(Odd::Said(answer.to_owned())));
        }
        assert!(matches!(state(STATE, "n9"), Err(Odd::Said(said)) if is_unknown(&said)));
        assert!(matches!(stat(STAT, "other", "n1"), Err(Odd::Said(said)) if is_unknown(&said)));
        for garbage in ["", "2\n# a b", "1", "1\nno names", "1\n# srv_name srv_addr\nn1 x"] {
            assert!(matches!(state(garbage, "n1"), Err(Odd::Form(_))), "{garbage:?}");
        }
        assert!(matches!(stat("# pxname,svname,scur,qcur\nbe,n1,x,1", "be", "n1"), Err(Odd::Form(_))));
        assert!(matches!(stat("# pxname,svname\nbe,n1", "be", "n1"), Err(Odd::Form(_))));
    }

    #[test]
    fn cut_anywhere_an_answer_is_never_taken_for_another_state() {
        let (whole_state, whole_stat) = (state(STATE, "n2").unwrap(), stat(STAT, "be", "n1").unwrap());
        for at in 0..STATE.len() {
            assert!(state(&STATE[..at], "n2").map_or(true, |cut| cut.admin == whole_state.admin), "{at}");
        }
        for at in 0..STAT.len() {
            assert!(
                stat(&STAT[..at], "be", "n1").map_or(true, |cut| cut.sessions == whole_stat.sessions),
                "{at}"
            );
        }
        assert_eq!(shortened("a\u{7}b\nc"), "a b");
    }
}
