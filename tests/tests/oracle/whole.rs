//! A row by a whole redeploy, of a container that does not run: nothing has to be waited for, and what is compared are two
//! containers that have not been started.

use redeploy_agent::image::PullPolicy;
use redeploy_agent::report::Verdict;
use redeploy_proto::RedeployId;
use redeploy_tests::in_process;

use crate::bench::{Bench, Seen};
use crate::normal::{differences, settings};
use crate::rows::Row;

impl Bench {
    /// Proves one row.
    pub(crate) fn redeploy(&self, row: &Row) -> Result<(), String> {
        let result = self.redeploy_and_compare(row);
        self.clear();
        result
    }

    fn redeploy_and_compare(&self, row: &Row) -> Result<(), String> {
        let old = self.make(row, "old", 1)?;
        let ours = self.redeployed(row)?;
        let fresh = self.make(row, "fresh", 2)?;
        if ours.id() == old.id() {
            return Err("the old container is still there".to_owned());
        }
        let mut of_ours = settings(ours.raw());
        let of_fresh = settings(fresh.raw());
        Self::without_the_dropped_volume(&mut of_ours, &of_fresh);
        let mut wrong = differences("", &of_ours, &of_fresh);
        wrong.extend(self.same_volumes(&old, &ours));
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    fn redeployed(&self, row: &Row) -> Result<Seen, String> {
        let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
        let (name, image) = (self.fill("{old}"), self.fill(&row.image(2)));
        let data = self.dir.path().join("data");
        let report = runtime.block_on(async {
            let agent = in_process::agent(&data, &[]).await.map_err(|error| format!("{error:#}"))?;
            let request = in_process::request(&name, &image);
            let order = agent.redeploy(RedeployId::generate(), &request, PullPolicy::Never, None);
            Box::pin(order).await.map_err(|error| error.to_string())
        })?;
        self.remember_container(report.parked.clone());
        match report.verdict {
            Verdict::Done => self.seen("{old}"),
            other @ (Verdict::DoneUntidy | Verdict::Undone | Verdict::Stuck | Verdict::Unfinished) => {
                Err(format!("it ended {other:?}: {:?}", report.failure))
            }
        }
    }
}
