//! The container and its dependents as one: every step is done for all of them, in an order in which nobody leans on
//! something that is not there, and undone in the reverse.

use std::sync::Arc;

use async_trait::async_trait;

use super::lookout::{Alarm, Lookout};
use super::runner::{Leader, Runner};
use super::{Hands, Step, StepError, StepOutput, held, retire, stand_in};
use crate::explain::explain;
use crate::plan::Plan;
use crate::saga::{Record, Undid, Work};

/// Carries out a plan and those of its dependents.
pub struct Crew {
    /// The container itself first.
    runners: Vec<Runner>,
    lookout: Lookout,
    alarm: Alarm,
}

impl Crew {
    /// A crew that has done nothing yet.
    #[must_use]
    pub fn new(hands: Hands) -> Self {
        let alarm = Alarm::default();
        let lookout = Lookout::new(Arc::clone(&hands.engine), alarm.clone());
        let leader = Leader {
            name: hands.plan.incoming.name_before_swap().to_owned(),
            node: hands.plan.node.clone(),
            id: hands.plan.outgoing.id.clone(),
        };
        let dependents: Vec<Runner> = hands
            .plan
            .dependents
            .iter()
            .enumerate()
            .map(|(index, plan)| {
                let of_it =
                    Hands { plan: Arc::new(plan.clone()), dir: hands.dir.dependent(index), ..hands.clone() };
                Runner::new(of_it, Some(leader.clone()), alarm.clone())
            })
            .collect();
        let runners = std::iter::once(Runner::new(hands, None, alarm.clone())).chain(dependents).collect();
        Self { runners, lookout, alarm }
    }

    /// The plan that is carried out.
    #[must_use]
    pub fn plan(&self) -> Option<Arc<Plan>> {
        self.runners.first().map(|runner| Arc::clone(&runner.hands.plan))
    }

    /// Positions in the order of a step: dependents stop before what they lean on, and do everything else after.
    fn order(&self, step: Step) -> Vec<usize> {
        let forward = 0..self.runners.len();
        match step {
            Step::Stop => forward.rev().collect(),
            Step::Create
            | Step::Capture
            | Step::Prefill
            | Step::Settle
            | Step::PutData
            | Step::Swap
            | Step::Start
            | Step::Verify
            | Step::Drain
            | Step::Admit => forward.collect(),
        }
    }

    /// Positions in the order of an undo: dependents end before what they lean on, which otherwise comes back first, so
    /// that one that has to be made anew finds it.
    fn order_back(&self, step: Step) -> Vec<usize> {
        let forward = 0..self.runners.len();
        match step {
            Step::Start => forward.rev().collect(),
            Step::Create
            | Step::Capture
            | Step::Prefill
            | Step::Stop
            | Step::Settle
            | Step::PutData
            | Step::Swap
            | Step::Verify
            | Step::Drain
            | Step::Admit => forward.collect(),
        }
    }

    /// Does a step for each, in order.
    async fn apply_to_all(&mut self, step: Step) -> Result<StepOutput, StepError> {
        let mut outputs = vec![StepOutput::Nothing; self.runners.len()];
        for position in self.order(step) {
            let (Some(runner), Some(output)) = (self.runners.get_mut(position), outputs.get_mut(position))
            else {
                continue;
            };
            *output = runner.apply(step).await?;
        }
        match outputs.len() {
            1 => Ok(outputs.remove(0)),
            _ => Ok(StepOutput::Crew(outputs)),
        }
    }
}

#[async_trait]
impl Work for Crew {
    async fn apply(&mut self, step: Step) -> Result<StepOutput, StepError> {
        self.lookout.expect(self.runners.iter().flat_map(|runner| runner.expects(step)).collect());
        let result = self.apply_to_all(step).await;
        if result.is_err() {
            self.lookout.look_now().await;
        }
        match (result, self.alarm.why()) {
            (Err(error), Some(why)) => {
                tracing::warn!(error = explain(&error), "{step} failed because of what somebody else did");
                Err(why)
            }
            (result, _) => result,
        }
    }

    async fn go_on(&mut self, step: Step) -> Result<(), StepError> {
        for runner in &mut self.runners {
            // Does the engine answer at all?
            runner.find_incoming().await?;
            runner.known.start_ordered = true;
        }
        // Somebody may have started the old one again, because nobody was there to.
        self.lookout.expect(self.runners.iter().flat_map(|runner| runner.expects(step)).collect());
        self.lookout.look_now().await;
        self.alarm.why().map_or(Ok(()), Err)
    }

    async fn undo(&mut self, step: Step) -> Result<Undid, StepError> {
        self.lookout.end();
        // A handle that any of them holds may be on a container that another undo starts.
        for runner in &mut self.runners {
            runner.let_go().await;
        }
        let (mut undid, mut failed) = (Undid::default(), None);
        for position in self.order_back(step) {
            let Some(runner) = self.runners.get_mut(position) else { continue };
            match runner.undo(step).await {
                Ok(of_one) => undid = undid.or(of_one),
                // One that cannot be brought back must not keep the others from coming back.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(undid), Err)
    }

    async fn retire(&mut self) -> Result<(), StepError> {
        self.lookout.end();
        for runner in &mut self.runners {
            runner.let_go().await;
            // Nothing can be called off any more.
            runner.alarm = Alarm::default();
        }
        for runner in &mut self.runners {
            // First: until it is done, anybody may start the parked container. It must not keep the archives unsealed.
            let taken_over = stand_in::take_over(runner).await;
            retire::seal_archives(runner).await?;
            taken_over?;
            stand_in::remove_used_up(runner).await?;
            held::forget(runner)?;
        }
        match self.runners.first() {
            Some(runner) => retire::tidy_node(&runner.hands).await,
            None => Ok(()),
        }
    }

    fn recall(&mut self, output: &StepOutput) {
        let outputs = match output {
            StepOutput::Crew(outputs) => outputs.as_slice(),
            StepOutput::Nothing
            | StepOutput::Created(_)
            | StepOutput::Packed(_)
            | StepOutput::Stopped(_)
            | StepOutput::Settled(_)
            | StepOutput::Started(_)
            | StepOutput::Drained(_)
            | StepOutput::Admitted(_) => std::slice::from_ref(output),
        };
        for (runner, output) in self.runners.iter_mut().zip(outputs) {
            runner.recall(output);
        }
    }

    fn on_record(&mut self, record: &Record) {
        if let Some(runner) = self.runners.first() {
            runner.hands.audience.record(record);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.runners.first().is_some_and(|runner| runner.hands.cancel.is_cancelled())
    }

    fn interference(&self) -> Option<StepError> {
        self.alarm.why()
    }
}
