//! Contenders timed side by side: in turn, round after round, so that a busy machine is busy for all of them.
//!
//! Flows in: one measurement per contender and round. Flows out: the median ratio to a rival, its spread, and
//! whether a goal is met; the same in processor time, which hardly depends on what else the machine does. Must never turn into a promise of seconds: only ratios from the same run are compared,
//! and a missed goal is printed, never a failure.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// USER_HZ, the same on all Linux machines.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a ratio should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// This or less: for costs.
    AtMost(f64),
    /// This or more: for speeds.
    AtLeast(f64),
    /// None; shown for contrast.
    Contrast,
}

/// The times of one contender, one per round.
#[derive(Debug, Clone)]
pub struct Times {
    wall: Vec<f64>,
    /// Of all processors together; empty where only an outsider's time is measured.
    cpu: Vec<f64>,
}

/// One line of the result.
#[derive(Debug, Clone)]
pub struct Verdict {
    name: String,
    goal: Goal,
    ratios: Vec<f64>,
}

impl Times {
    /// Nothing measured yet.
    #[must_use]
    pub const fn none() -> Self {
        Self { wall: Vec::new(), cpu: Vec::new() }
    }

    /// Adds a round's time.
    pub fn note(&mut self, took: Duration) {
        self.wall.push(took.as_secs_f64());
    }

    /// Times `work` and adds it.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn time<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let (began, cpu_before) = (Instant::now(), cpu_seconds()?);
        let done = work()?;
        self.note(began.elapsed());
        self.cpu.push(cpu_seconds()? - cpu_before);
        Ok(done)
    }

    /// The middle one, in seconds.
    #[must_use]
    pub fn median(&self) -> f64 {
        median(&self.wall)
    }

    /// How many times as long as `other` it took, round by round.
    #[must_use]
    pub fn against(&self, other: &Self, name: &str, goal: Goal) -> Verdict {
        Verdict { name: name.to_owned(), goal, ratios: ratios(&self.wall, &other.wall) }
    }

    /// The same in processor time, for contrast.
    #[must_use]
    pub fn against_in_cpu(&self, other: &Self, name: &str) -> Verdict {
        Verdict { name: name.to_owned(), goal: Goal::Contrast, ratios: ratios(&self.cpu, &other.cpu) }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = ends(&self.wall);
        write!(f, "{:.3} s ({low:.3} to {high:.3})", self.median())?;
        if self.cpu.is_empty() { Ok(()) } else { write!(f, ", cpu {:.3} s", median(&self.cpu)) }
    }
}

impl Verdict {
    /// A single number against a goal, such as bytes in units of what is allowed.
    #[must_use]
    pub fn of(name: &str, ratio: f64, goal: Goal) -> Self {
        Self { name: name.to_owned(), goal, ratios: vec![ratio] }
    }

    fn is_met(&self) -> Option<bool> {
        let median = median(&self.ratios);
        match self.goal {
            Goal::AtMost(most) => Some(median <= most),
            Goal::AtLeast(least) => Some(median >= least),
            Goal::Contrast => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.is_met() {
            Some(true) => "PASS",
            Some(false) => "MISS",
            None => "    ",
        };
        let goal = match self.goal {
            Goal::AtMost(most) => format!("goal: at most {most:.2}"),
            Goal::AtLeast(least) => format!("goal: at least {least:.2}"),
            Goal::Contrast => "for contrast".to_owned(),
        };
        let (low, high) = ends(&self.ratios);
        let (name, median) = (&self.name, median(&self.ratios));
        write!(f, "{word}  {name:<62} {median:>6.2}  ({low:.2} to {high:.2}; {goal})")
    }
}

fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

/// What this process and the children it waited for have used so far (proc(5), `stat`, fields 14 to 17).
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, after_name) = stat.rsplit_once(')').context("/proc/self/stat")?;
    let ticks = after_name.split_whitespace().skip(11).take(4).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle.saturating_sub(1)), sorted.get(middle)) {
        (0, Some(below), Some(above)) => f64::midpoint(*below, *above),
        (_, _, Some(middle)) => *middle,
        _ => f64::NAN,
    }
}

fn ends(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(values: &[f64]) -> Times {
        Times { wall: values.to_vec(), cpu: Vec::new() }
    }

    #[test]
    fn the_middle_of_the_rounds_ratios_decides() {
        let (ours, floor) = (times(&[1.1, 2.0, 1.2]), times(&[1.0, 1.0, 1.0]));
        let verdict = ours.against(&floor, "downtime", Goal::AtMost(1.25));
        assert_eq!(verdict.is_met(), Some(true));
        let line = verdict.to_string();
        assert!(line.starts_with("PASS  downtime") && line.contains("1.20  (1.10 to 2.00; "), "{line}");
        assert_eq!(ours.against(&floor, "", Goal::AtMost(1.15)).is_met(), Some(false));
        assert_eq!(ours.against(&floor, "", Goal::AtLeast(1.3)).is_met(), Some(false));
        assert_eq!(ours.against(&floor, "", Goal::Contrast).is_met(), None);
    }

    #[test]
    fn an_even_number_of_rounds_has_a_middle_too() {
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }
}
