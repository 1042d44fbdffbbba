//! From a plan to a report: the plan is written down, the saga runs, and what its journal says is reported.
//!
//! Flows in: a plan that nothing speaks against, or one that an earlier process began. Flows out: a report. Must never
//! start a saga whose plan is not durable, nor report what the journal does not say.

use std::sync::Arc;

use super::{Agent, Refused, leftovers};
use crate::durable;
use crate::plan::Plan;
use crate::recovery;
use crate::report::{Report, report};
use crate::saga::{ExecutorError, Saga, State, read_journal, state_of};
use crate::steps::{Crew, Hands, steps_of_plan};

impl Agent {
    pub(super) async fn carry_out(&self, plan: Plan) -> Result<Report, Refused> {
        if self.cancel.is_cancelled() {
            return Err(Refused::Cancelled);
        }
        let dir = self.data.redeploy(plan.id);
        if dir.journal().exists() {
            return Err(Refused::IdUsed(plan.id));
        }
        durable::create_dir(dir.root())?;
        durable::write(&dir.plan(), &serde_json::to_vec_pretty(&plan)?)?;
        self.audience.plan(&plan);
        let plan = Arc::new(plan);
        let mut crew = self.crew(&plan);
        let saga = Saga::begin(
            &dir.journal(),
            plan.id,
            plan.kind,
            steps_of_plan(&plan),
            &mut crew,
            self.faults.clone(),
        )?;
        let end = saga.run().await;
        self.conclude(&plan, end).await
    }

    pub(super) async fn take_over(&self, plan: Plan) -> Result<Report, Refused> {
        let dir = self.data.redeploy(plan.id);
        self.audience.plan(&plan);
        let plan = Arc::new(plan);
        let mut crew = self.crew(&plan);
        let saga = Saga::resume(&dir.journal(), steps_of_plan(&plan), &mut crew, self.faults.clone())?;
        let end = saga.run().await;
        self.conclude(&plan, end).await
    }

    /// Reports what the journal says, not what we believe.
    async fn conclude(&self, plan: &Plan, end: Result<State, ExecutorError>) -> Result<Report, Refused> {
        match end {
            Ok(_) => {}
            Err(error @ (ExecutorError::UndoneUnjournaled(_) | ExecutorError::StuckUnjournaled { .. })) => {
                tracing::error!(
                    error = crate::explain::explain(&error),
                    "the journal does not say how it ended"
                );
            }
            Err(error) => return Err(error.into()),
        }
        let dir = self.data.redeploy(plan.id);
        let records = read_journal(&dir.journal()).map_err(ExecutorError::from)?;
        let state = state_of(&dir.journal(), &records, steps_of_plan(plan)).map_err(ExecutorError::from)?;
        if matches!(state, State::Stuck { .. }) {
            durable::write(&dir.recovery_sheet(), recovery::sheet(plan, &dir).as_bytes())?;
        }
        let mut report = report(plan, &records, &state, leftovers(&self.data, plan.id));
        if report.parked.is_some() && self.is_parked_gone(plan).await {
            report.parked_is_gone();
        }
        report.warnings.extend(self.dead(plan).await);
        durable::write(&dir.report(), &serde_json::to_vec_pretty(&report)?)?;
        self.audience.report(&report);
        Ok(report)
    }

    fn crew(&self, plan: &Arc<Plan>) -> Crew {
        Crew::new(Hands {
            engine: Arc::clone(&self.engine),
            dir: self.data.redeploy(plan.id),
            plan: Arc::clone(plan),
            data: self.data.clone(),
            cancel: self.cancel.clone(),
            audience: Arc::clone(&self.audience),
            retention: self.retention(),
        })
    }
}
