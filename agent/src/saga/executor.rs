//! Carries a saga out: forward until the commit, backward when anything fails, and from wherever an earlier
//! process was interrupted: backward before the new container may have served, forward from then on.
//!
//! Every effect stands between two durable records. If the journal itself cannot be extended (disk full), nothing
//! new is begun: what was done is undone without it, and undone again by `recover`, which is harmless. That holds for
//! any record on the way forward or back; on the way back the disk is often full already.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use redeploy_proto::RedeployId;

use super::fault::{Fault, Faults, WAIT};
use super::journal::{Journal, JournalError};
use super::patience::Patience;
use super::record::{Event, JOURNAL_VERSION, Outcome, Reason, Record, SagaKind};
use super::state::State;
use super::undid::Undid;
use crate::explain::explain;
use crate::steps::{Step, StepError, StepOutput};

/// How often it is looked whether a test lets it go on.
const WAIT_PAUSE: Duration = Duration::from_millis(10);

/// Who applies and undoes the steps. Both must be idempotent, and `undo` safe after half an `apply`.
#[async_trait]
pub trait Work: Send {
    /// Does a step.
    async fn apply(&mut self, step: Step) -> Result<StepOutput, StepError>;

    /// An earlier process began this step and may have ended anywhere after that. Makes sure that it can be done again.
    async fn go_on(&mut self, step: Step) -> Result<(), StepError>;

    /// Takes a step back, whether it was done, half done or not begun.
    async fn undo(&mut self, step: Step) -> Result<Undid, StepError>;

    /// After the commit: tidies up. May fail and be tried again later.
    async fn retire(&mut self) -> Result<(), StepError>;

    /// A step's output becomes known: it was just done, or the journal of an earlier process has it.
    fn recall(&mut self, output: &StepOutput);

    /// A record has become durable; for people who watch.
    fn on_record(&mut self, record: &Record);

    /// Has somebody asked to stop?
    fn is_cancelled(&self) -> bool;

    /// Has somebody else acted on what the steps work with?
    fn interference(&self) -> Option<StepError> {
        None
    }
}

/// One saga and its journal.
pub struct Saga<'a, W> {
    journal: Journal,
    state: State,
    steps: &'a [Step],
    work: &'a mut W,
    faults: Faults,
    /// Why nothing more is written: then the way is back, and only back.
    journal_lost: Option<JournalError>,
}

/// The saga could not be begun, taken over or brought to an end.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It was undone, but the journal could not say so: `recover` will undo it once more.
    #[error(
        "everything was put back, but the journal could not be extended: free disk space, then run `recover`"
    )]
    UndoneUnjournaled(#[source] JournalError),
    /// An undo failed, and the journal could not say so.
    #[error(
        "an undo failed ({error}), and the journal could not be extended: free disk space, then run `recover`"
    )]
    StuckUnjournaled {
        /// What the undo said.
        error: String,
        /// Why the journal could not be extended.
        #[source]
        journal: JournalError,
    },
    /// A test ordered the process to end here.
    #[error("stopped by order of a test at journal record {0}")]
    StoppedByFault(u32),
}

impl<'a, W: Work> Saga<'a, W> {
    /// A new saga with a new journal at `path`. `steps` are those before the commit.
    ///
    /// # Errors
    /// [`ExecutorError::Journal`]
    pub fn begin(
        path: &Path,
        id: RedeployId,
        kind: SagaKind,
        steps: &'a [Step],
        work: &'a mut W,
        faults: Faults,
    ) -> Result<Self, ExecutorError> {
        let opened = Event::Opened { version: JOURNAL_VERSION, id, kind };
        let journal = Journal::create(path, opened)?;
        let saga = Self { journal, state: State::start(), steps, work, faults, journal_lost: None };
        saga.die_if_ordered(0)?;
        Ok(saga)
    }

    /// Takes over a saga that was interrupted or got stuck: the journal is replayed, nothing is done yet. One that was
    /// interrupted goes back, unless the new container may have served since; then it goes on.
    ///
    /// # Errors
    /// [`ExecutorError::Journal`], among them records that contradict each other.
    pub fn resume(
        path: &Path,
        steps: &'a [Step],
        work: &'a mut W,
        faults: Faults,
    ) -> Result<Self, ExecutorError> {
        let (journal, records) = Journal::open(path)?;
        let state = state_of(path, &records, steps)?;
        for record in &records {
            if let Event::Done { output, .. } = &record.event {
                work.recall(output);
            }
        }
        let mut saga = Self { journal, state, steps, work, faults, journal_lost: None };
        match saga.state {
            State::Retiring | State::Closed(_) => saga.record(Event::Resumed)?,
            State::Forward { .. } => {
                saga.record_back(Event::Resumed)?;
                match saga.state.goes_on_with(steps).filter(|_| saga.journal_lost.is_none()) {
                    Some(step) => saga.record_begin(step)?,
                    None => saga.turn_back(Reason::Interrupted)?,
                }
            }
            State::Backward { .. } | State::Stuck { .. } => saga.record_back(Event::Resumed)?,
        }
        Ok(saga)
    }

    /// Goes on until nothing is left to do, or a human is needed. Returns the last state: `Closed` or `Stuck`.
    ///
    /// # Errors
    /// [`ExecutorError`]; the journal then tells where it stands.
    pub async fn run(mut self) -> Result<State, ExecutorError> {
        loop {
            match &self.state {
                State::Forward { at, begun } => match self.steps.get(*at) {
                    Some(step) if *begun => self.go_on(*step).await?,
                    Some(step) => self.forward(*step).await?,
                    None => self.commit()?,
                },
                State::Backward { left, .. } => match left.checked_sub(1).and_then(|at| self.steps.get(at)) {
                    Some(step) => self.backward(*step).await?,
                    None => self.record_back(Event::Closed { outcome: Outcome::Undone })?,
                },
                State::Retiring => self.retire().await?,
                State::Stuck { .. } | State::Closed(_) => return self.end(),
            }
        }
    }

    fn end(self) -> Result<State, ExecutorError> {
        match (self.journal_lost, self.state) {
            (None, state) => Ok(state),
            (Some(journal), State::Stuck { error, .. }) => {
                Err(ExecutorError::StuckUnjournaled { error, journal })
            }
            (
                Some(journal),
                State::Forward { .. } | State::Backward { .. } | State::Retiring | State::Closed(_),
            ) => Err(ExecutorError::UndoneUnjournaled(journal)),
        }
    }

    async fn forward(&mut self, step: Step) -> Result<(), ExecutorError> {
        if let Some(reason) = self.called_off(step) {
            return self.turn_back(reason);
        }
        self.record_begin(step)?;
        match self.state {
            State::Forward { .. } => self.carry_out(step).await,
            // The journal could not be extended.
            State::Backward { .. } | State::Stuck { .. } | State::Retiring | State::Closed(_) => Ok(()),
        }
    }

    /// A step begins, unless the journal cannot say so: then the way is back.
    fn record_begin(&mut self, step: Step) -> Result<(), ExecutorError> {
        match self.record(Event::Started { step }) {
            Ok(()) => Ok(()),
            Err(error) => self.turn_back_deaf(step, error),
        }
    }

    /// Goes on with a step that an earlier process has begun.
    async fn go_on(&mut self, step: Step) -> Result<(), ExecutorError> {
        if let Some(reason) = self.called_off(step) {
            return self.turn_back(reason);
        }
        match self.go_on_patiently(step).await {
            Ok(()) => self.carry_out(step).await,
            Err(StepError::Cancelled) => self.turn_back(Reason::Cancelled),
            Err(error) => self.turn_back(failed(step, &error)),
        }
    }

    /// After a power cut the engine may still be coming up.
    async fn go_on_patiently(&mut self, step: Step) -> Result<(), StepError> {
        let mut patience = Patience::new();
        loop {
            match self.work.go_on(step).await {
                Err(_) if self.work.is_cancelled() => return Err(StepError::Cancelled),
                Err(error) if patience.waits(&error, "going on").await => {}
                result => return result,
            }
        }
    }

    /// Does a step whose begin is on record.
    async fn carry_out(&mut self, step: Step) -> Result<(), ExecutorError> {
        match self.apply(step).await {
            Ok(output) => {
                self.work.recall(&output);
                match self.record(Event::Done { step, output }) {
                    Ok(()) => Ok(()),
                    Err(error) => self.turn_back_deaf(step, error),
                }
            }
            Err(StepError::Cancelled) => self.turn_back(Reason::Cancelled),
            Err(error) => self.turn_back(failed(step, &error)),
        }
    }

    async fn apply(&mut self, step: Step) -> Result<StepOutput, StepError> {
        if self.faults.has(Fault::FailBefore(step)) {
            return Err(StepError::OrderedByTest);
        }
        let mut output = self.work.apply(step).await?;
        if self.faults.has(Fault::Repeat(step)) {
            output = self.work.apply(step).await?;
        }
        if self.faults.has(Fault::FailAfter(step)) {
            return Err(StepError::OrderedByTest);
        }
        Ok(output)
    }

    /// Does anything speak against going on between two steps? `step` is the next one, or the last.
    fn called_off(&self, step: Step) -> Option<Reason> {
        match self.work.interference() {
            Some(error) => Some(failed(step, &error)),
            None => self.work.is_cancelled().then_some(Reason::Cancelled),
        }
    }

    fn commit(&mut self) -> Result<(), ExecutorError> {
        let last = self.steps.last();
        if let Some(reason) = last.and_then(|step| self.called_off(*step)) {
            return self.turn_back(reason);
        }
        match (self.record(Event::Committed), last) {
            (Err(error), Some(step)) => self.turn_back_deaf(*step, error),
            (result, _) => result,
        }
    }

    async fn backward(&mut self, step: Step) -> Result<(), ExecutorError> {
        self.record_back(Event::Undoing { step })?;
        let mut result = self.undo_patiently(step).await;
        if result.is_ok() && self.faults.has(Fault::RepeatUndo) {
            result = self.work.undo(step).await.map(|again| result.unwrap_or_default().or(again));
        }
        if self.faults.has(Fault::FailUndo(step)) {
            result = Err(StepError::OrderedByTest);
        }
        match result {
            Ok(Undid { serving_since, note, notes }) => {
                self.record_back(Event::Undone { step, serving_since, note, notes })
            }
            Err(error) => self.record_back(Event::Stuck { step, error: explain(&error) }),
        }
    }

    /// An undo waits for an engine that is being restarted: giving up would leave nothing serving.
    async fn undo_patiently(&mut self, step: Step) -> Result<Undid, StepError> {
        let mut patience = Patience::new();
        loop {
            match self.work.undo(step).await {
                Err(error) if patience.waits(&error, "undo").await => {}
                result => return result,
            }
        }
    }

    /// So does tidying up, which nobody would do again before the next start. Nothing depends on it, so it gives up when
    /// the process is to stop.
    async fn retire_patiently(&mut self) -> Result<(), StepError> {
        let mut patience = Patience::new();
        loop {
            match self.work.retire().await {
                Err(error) if !self.work.is_cancelled() && patience.waits(&error, "tidying up").await => {}
                result => return result,
            }
        }
    }

    async fn retire(&mut self) -> Result<(), ExecutorError> {
        match self.retire_patiently().await {
            Ok(()) => self.close(Outcome::Done),
            Err(error) => {
                tracing::warn!(error = explain(&error), "tidying up failed; it will be tried again");
                self.close(Outcome::DoneUntidy)
            }
        }
    }

    fn close(&mut self, outcome: Outcome) -> Result<(), ExecutorError> {
        self.record(Event::Closed { outcome })
    }

    fn turn_back(&mut self, reason: Reason) -> Result<(), ExecutorError> {
        self.record_back(Event::TurnedBack { reason })
    }

    /// The journal is lost in the middle of the way forward: go back without it.
    fn turn_back_deaf(&mut self, step: Step, error: ExecutorError) -> Result<(), ExecutorError> {
        let ExecutorError::Journal(error) = error else { return Err(error) };
        let reason = Reason::Failed { step, error: explain(&error), interference: None };
        self.lose_journal(error);
        self.turn_back(reason)
    }

    /// From now on nothing is written, not even if there is room again: a gap would make the journal contradict
    /// itself.
    fn lose_journal(&mut self, error: JournalError) {
        tracing::error!(error = explain(&error), "the journal cannot be extended: undoing without it");
        self.journal_lost = Some(error);
    }

    /// Makes an event of the way back durable if that can be had, and believes it in any case: what was done is
    /// undone without a journal, too.
    fn record_back(&mut self, event: Event) -> Result<(), ExecutorError> {
        let next = self.next(&event)?;
        if self.journal_lost.is_none() {
            match self.record(event) {
                Err(ExecutorError::Journal(error)) => self.lose_journal(error),
                result => return result,
            }
        }
        self.state = next;
        Ok(())
    }

    /// Makes an event durable, then believes it.
    fn record(&mut self, event: Event) -> Result<(), ExecutorError> {
        let next = self.next(&event)?;
        if self.faults.has(Fault::JournalFullAt(self.journal.next_seq())) {
            return Err(self.journal.full().into());
        }
        let record = self.journal.append(event)?;
        self.state = next;
        self.work.on_record(&record);
        self.die_if_ordered(record.seq)
    }

    fn next(&self, event: &Event) -> Result<State, JournalError> {
        let path = || self.journal.path().to_owned();
        let next = self.state.clone().after(event, self.steps);
        next.map_err(|source| JournalError::Contradiction { path: path(), source })
    }

    fn die_if_ordered(&self, seq: u32) -> Result<(), ExecutorError> {
        if self.faults.has(Fault::KillAt(seq)) {
            let me = rustix::process::getpid();
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
        }
        if self.faults.has(Fault::StopAt(seq)) {
            return Err(ExecutorError::StoppedByFault(seq));
        }
        if self.faults.waits_at(seq) {
            wait_there(&self.journal.path().with_file_name(WAIT));
        }
        Ok(())
    }
}

/// Waits for a test that looks. If the mark cannot be made, the test sees none and fails.
fn wait_there(mark: &Path) {
    if std::fs::File::create_new(mark).is_ok() {
        tokio::task::block_in_place(|| {
            while mark.exists() {
                std::thread::sleep(WAIT_PAUSE);
            }
        });
    }
}

fn failed(step: Step, error: &StepError) -> Reason {
    Reason::Failed { step, error: explain(error), interference: error.interference().cloned() }
}

/// Where a saga stands, from its records alone.
///
/// # Errors
/// [`JournalError::Contradiction`]
pub fn state_of(path: &Path, records: &[Record], steps: &[Step]) -> Result<State, JournalError> {
    records.iter().try_fold(State::start(), |state, record| {
        let fold = state.after(&record.event, steps);
        fold.map_err(|source| JournalError::Contradiction { path: path.to_owned(), source })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::EngineError;
    use crate::saga::read_journal;
    use std::collections::BTreeSet;

    const STEPS: &[Step] = &[Step::Create, Step::Capture, Step::Stop, Step::Start];

    /// The world as a set of steps whose effect is in place.
    #[derive(Default)]
    struct World {
        in_place: BTreeSet<Step>,
        retired: bool,
        cancel_at: Option<Step>,
        cancelled: bool,
        went_on_with: Vec<Step>,
        /// So many times the engine does not answer a retire.
        away: u32,
    }

    #[async_trait]
    impl Work for World {
        async fn apply(&mut self, step: Step) -> Result<StepOutput, StepError> {
            self.in_place.insert(step);
            self.cancelled |= self.cancel_at == Some(step);
            Ok(StepOutput::Nothing)
        }
        async fn undo(&mut self, step: Step) -> Result<Undid, StepError> {
            let later = self
                .in_place
                .iter()
                .any(|other| STEPS.iter().position(|s| s == other) > STEPS.iter().position(|s| *s == step));
            assert!(!later, "undone out of order: {step:?} before {:?}", self.in_place);
            self.in_place.remove(&step);
            Ok(Undid::default())
        }
        async fn retire(&mut self) -> Result<(), StepError> {
            if let Some(left) = self.away.checked_sub(1) {
                self.away = left;
                let (socket, action) = ("engine".to_owned(), "look".to_owned());
                let source = "connection refused".into();
                return Err(EngineError::Unreachable { socket, action, source }.into());
            }
            self.retired = true;
            Ok(())
        }
        async fn go_on(&mut self, step: Step) -> Result<(), StepError> {
            self.went_on_with.push(step);
            // One that was undone without a journal is found as it was before.
            let before = STEPS.iter().take_while(|it| **it != step);
            if before.clone().all(|it| self.in_place.contains(it)) {
                Ok(())
            } else {
                Err(StepError::OrderedByTest)
            }
        }
        fn recall(&mut self, _: &StepOutput) {}
        fn on_record(&mut self, _: &Record) {}
        fn is_cancelled(&self) -> bool {
            self.cancelled
        }
    }

    impl World {
        fn assert_all_or_nothing(&self, what: &str) {
            let all = self.in_place.len() == STEPS.len();
            assert!(all || self.in_place.is_empty(), "{what}: half done: {:?}", self.in_place);
            assert_eq!(all, self.retired, "{what}");
        }
    }

    fn id() -> RedeployId {
        RedeployId::generate()
    }

    async fn run(path: &Path, world: &mut World, faults: Faults) -> Result<State, ExecutorError> {
        Saga::begin(path, id(), SagaKind::Redeploy, STEPS, world, faults)?.run().await
    }

    #[tokio::test]
    async fn without_faults_everything_is_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::default();
        let end = run(&dir.path().join("j"), &mut world, Faults::default()).await.unwrap();
        assert_eq!(end, State::Closed(Outcome::Done));
        assert!(world.retired && world.in_place.len() == STEPS.len());
    }

    #[tokio::test]
    async fn tidying_up_waits_for_an_engine_that_is_restarted_unless_it_is_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World { away: 2, ..World::default() };
        let end = run(&dir.path().join("j"), &mut world, Faults::default()).await.unwrap();
        assert_eq!(end, State::Closed(Outcome::Done));
        assert!(world.retired);

        // The last step is done when it is asked to stop: too late to turn back, and it does not wait either.
        let path = dir.path().join("k");
        let mut world = World { away: u32::MAX, ..World::default() };
        let faults = Faults::new([Fault::StopAt(u32::try_from(2 * STEPS.len() + 1).unwrap())]);
        assert!(run(&path, &mut world, faults).await.is_err());
        world.cancelled = true;
        let again = Saga::resume(&path, STEPS, &mut world, Faults::default()).unwrap();
        assert_eq!(again.run().await.unwrap(), State::Closed(Outcome::DoneUntidy));
    }

    #[tokio::test]
    async fn every_step_can_be_repeated_and_every_failure_undoes_all() {
        for step in STEPS {
            for (fault, ends) in [
                (Fault::Repeat(*step), Outcome::Done),
                (Fault::FailBefore(*step), Outcome::Undone),
                (Fault::FailAfter(*step), Outcome::Undone),
            ] {
                let dir = tempfile::tempdir().unwrap();
                let mut world = World::default();
                let faults = Faults::new([fault, Fault::RepeatUndo]);
                let end = run(&dir.path().join("j"), &mut world, faults).await.unwrap();
                assert_eq!(end, State::Closed(ends), "{fault:?}");
                world.assert_all_or_nothing(&format!("{fault:?}"));
            }
        }
    }

    #[tokio::test]
    async fn a_failed_undo_is_stuck_until_somebody_orders_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut world = World::default();
        let faults = Faults::new([Fault::FailAfter(Step::Stop), Fault::FailUndo(Step::Capture)]);
        let end = run(&path, &mut world, faults).await.unwrap();
        assert!(matches!(end, State::Stuck { left: 2, .. }), "{end:?}");
        let again = Saga::resume(&path, STEPS, &mut world, Faults::default()).unwrap();
        assert_eq!(again.run().await.unwrap(), State::Closed(Outcome::Undone));
        world.assert_all_or_nothing("after the second try");
    }

    #[tokio::test]
    async fn stopped_at_any_record_and_taken_over_it_is_all_or_nothing() {
        for failing in [None, Some(Fault::FailAfter(Step::Stop))] {
            let mut stopped = 0;
            for seq in 0.. {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("j");
                let mut world = World::default();
                let faults = Faults::new([Fault::StopAt(seq)].into_iter().chain(failing));
                match run(&path, &mut world, faults).await {
                    Err(ExecutorError::StoppedByFault(at)) => assert_eq!(at, seq),
                    Ok(_) => break,
                    Err(error) => panic!("{error}"),
                }
                stopped += 1;
                // The second process is stopped as well, at its first record, and a third one ends it.
                let steps = read_journal(&path).unwrap().len();
                let second = Faults::new([Fault::StopAt(u32::try_from(steps).unwrap())]);
                drop(Saga::resume(&path, STEPS, &mut world, second));
                if !state_of(&path, &read_journal(&path).unwrap(), STEPS).unwrap().is_open() {
                    world.assert_all_or_nothing("stopped at the last record");
                    continue;
                }
                let third = Saga::resume(&path, STEPS, &mut world, Faults::default()).unwrap();
                let end = third.run().await.unwrap();
                assert!(!end.is_open(), "{seq}: {end:?}");
                world.assert_all_or_nothing(&format!("stopped at record {seq}"));
            }
            assert!(stopped >= 9, "only {stopped} records: the loop lost its subject");
        }
    }

    #[tokio::test]
    async fn interrupted_before_start_it_goes_back_and_from_then_on_forward() {
        let mut went = Vec::new();
        for seq in 0..10 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("j");
            let mut world = World::default();
            let stopped = run(&path, &mut world, Faults::new([Fault::StopAt(seq)])).await;
            assert!(matches!(stopped, Err(ExecutorError::StoppedByFault(_))), "{stopped:?}");
            let records = read_journal(&path).unwrap();
            let has = |event: Event| records.iter().any(|record| record.event == event);
            let is_committed = has(Event::Committed);
            let may_have_served = has(Event::Started { step: Step::Start });
            let again = Saga::resume(&path, STEPS, &mut world, Faults::default()).unwrap();
            let outcome = if may_have_served { Outcome::Done } else { Outcome::Undone };
            assert_eq!(again.run().await.unwrap(), State::Closed(outcome), "record {seq}");
            assert_eq!(world.went_on_with.len(), usize::from(may_have_served && !is_committed), "{seq}");
            went.push(outcome);
        }
        assert!(went.contains(&Outcome::Done) && went.contains(&Outcome::Undone), "{went:?}");
    }

    #[tokio::test]
    async fn one_that_goes_on_and_fails_then_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut world = World::default();
        let stopped = run(&path, &mut world, Faults::new([Fault::StopAt(8)])).await;
        assert!(matches!(stopped, Err(ExecutorError::StoppedByFault(8))), "{stopped:?}");
        let fails = Faults::new([Fault::FailAfter(Step::Start)]);
        let end = Saga::resume(&path, STEPS, &mut world, fails).unwrap().run().await.unwrap();
        assert_eq!((end, world.in_place.len()), (State::Closed(Outcome::Undone), 0));
        assert_eq!(world.went_on_with, [Step::Start]);
    }

    #[tokio::test]
    async fn any_record_can_be_lost_to_a_full_disk() {
        for failing in [None, Some(Fault::FailAfter(Step::Stop))] {
            let mut lost = 0;
            for seq in 1.. {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("j");
                let mut world = World::default();
                let faults = Faults::new([Fault::JournalFullAt(seq)].into_iter().chain(failing));
                let is_committed = match run(&path, &mut world, faults).await {
                    Err(ExecutorError::UndoneUnjournaled(_)) => false,
                    Err(ExecutorError::Journal(_)) => true,
                    Ok(_) => break,
                    Err(error) => panic!("{error}"),
                };
                lost += 1;
                world.assert_all_or_nothing(&format!("record {seq} lost"));
                let again = Saga::resume(&path, STEPS, &mut world, Faults::default()).unwrap();
                let outcome = if is_committed { Outcome::Done } else { Outcome::Undone };
                assert_eq!(again.run().await.unwrap(), State::Closed(outcome), "{seq}");
                world.assert_all_or_nothing(&format!("record {seq} lost, then taken over"));
            }
            assert!(lost >= 10, "only {lost} records: the loop lost its subject");
        }
    }

    #[tokio::test]
    async fn a_take_over_on_a_full_disk_undoes_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut world = World::default();
        let stopped = run(&path, &mut world, Faults::new([Fault::StopAt(5)])).await;
        assert!(matches!(stopped, Err(ExecutorError::StoppedByFault(5))), "{stopped:?}");
        let full = Faults::new([Fault::JournalFullAt(6)]);
        let end = Saga::resume(&path, STEPS, &mut world, full).unwrap().run().await;
        assert!(matches!(end, Err(ExecutorError::UndoneUnjournaled(_))), "{end:?}");
        assert!(world.in_place.is_empty());
    }

    #[tokio::test]
    async fn a_failed_undo_without_journal_is_not_called_undone() {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::default();
        let faults = [Fault::JournalFullAt(5), Fault::FailUndo(Step::Create)];
        let end = run(&dir.path().join("j"), &mut world, Faults::new(faults)).await;
        assert!(matches!(end, Err(ExecutorError::StuckUnjournaled { .. })), "{end:?}");
    }

    #[tokio::test]
    async fn cancelled_in_the_middle_it_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World { cancel_at: Some(Step::Capture), ..World::default() };
        let end = run(&dir.path().join("j"), &mut world, Faults::default()).await.unwrap();
        assert_eq!(end, State::Closed(Outcome::Undone));
        world.assert_all_or_nothing("cancelled");
    }
}
