//! Faults for tests of the whole program: ordered by a variable, in debug builds only. A release never reads it.
//!
//! `kill-at=7,fail-after=start,fail-before=stop,repeat=swap,repeat-undo,fail-undo=stop`

use redeploy_agent::saga::{Fault, Faults};
use redeploy_agent::steps::{REDEPLOY_BALANCED, REVERT_BALANCED, Step};

/// The variable.
pub(crate) const VARIABLE: &str = "REDEPLOY_TEST_FAULTS";

/// The variable holds something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE}: {item:?} is no fault: {detail}")]
pub(crate) struct InvalidFault {
    item: String,
    detail: &'static str,
}

/// What the variable orders, if this build listens to it.
pub(crate) fn ordered(variable: &dyn Fn(&str) -> Option<String>) -> Result<Faults, InvalidFault> {
    if cfg!(debug_assertions) {
        parse(&variable(VARIABLE).unwrap_or_default())
    } else {
        Ok(Faults::default())
    }
}

fn parse(text: &str) -> Result<Faults, InvalidFault> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Ok(Faults::new(items.map(fault).collect::<Result<Vec<_>, _>>()?))
}

fn fault(item: &str) -> Result<Fault, InvalidFault> {
    let bad = |detail| InvalidFault { item: item.to_owned(), detail };
    let (name, value) = item.split_once('=').unwrap_or((item, ""));
    let step = || step(value).ok_or_else(|| bad("after \"=\" there must be the name of a step"));
    let record = || value.parse::<u32>().map_err(|_| bad("after \"=\" there must be a record's number"));
    Ok(match name {
        "kill-at" => Fault::KillAt(record()?),
        "journal-full-at" => Fault::JournalFullAt(record()?),
        "wait-at" => Fault::WaitAt(record()?),
        "repeat" => Fault::Repeat(step()?),
        "fail-before" => Fault::FailBefore(step()?),
        "fail-after" => Fault::FailAfter(step()?),
        "fail-undo" => Fault::FailUndo(step()?),
        "repeat-undo" if value.is_empty() => Fault::RepeatUndo,
        _ => {
            return Err(bad(
                "there are kill-at=N, wait-at=N, journal-full-at=N, repeat=STEP, fail-before=STEP, fail-after=STEP, fail-undo=STEP and \
                 repeat-undo",
            ));
        }
    })
}

fn step(word: &str) -> Option<Step> {
    REDEPLOY_BALANCED.iter().chain(REVERT_BALANCED).copied().find(|step| step.word() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_understood() {
        let text = "kill-at=7,wait-at=8, fail-after=start,fail-before=stop,repeat=swap,repeat-undo,fail-undo=put_data,";
        let faults = parse(text).unwrap();
        for fault in [
            Fault::KillAt(7),
            Fault::WaitAt(8),
            Fault::FailAfter(Step::Start),
            Fault::FailBefore(Step::Stop),
            Fault::Repeat(Step::Swap),
            Fault::RepeatUndo,
            Fault::FailUndo(Step::PutData),
        ] {
            assert!(faults.has(fault), "{fault:?}");
        }
        assert!(!faults.has(Fault::KillAt(8)));
    }

    #[test]
    fn what_is_not_a_fault_is_named() {
        for item in [
            "kill-at",
            "kill-at=x",
            "wait-at=",
            "repeat=dance",
            "repeat",
            "explode",
            "repeat-undo=stop",
            "=stop",
        ] {
            let error = parse(&format!("repeat-undo,{item}")).unwrap_err();
            assert!(error.to_string().contains(&format!("{item:?}")), "{error}");
        }
    }

    #[test]
    fn no_order_is_no_fault() {
        assert!(ordered(&|_| None).is_ok());
        assert!(ordered(&|_| Some(String::new())).is_ok());
    }
}
