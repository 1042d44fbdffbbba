//! A row by a whole redeploy, of a container that does not run: nothing has to be waited for, and what is compared are two
//! containers that have not been started.

use redeploy_agent::image::PullPolicy;
use redeploy_agent::plan::REDEPLOY_LABEL;
use redeploy_agent::report::Verdict;
use redeploy_proto::RedeployId;
use redeploy_tests::in_process;
use serde_json::json;

use crate::bench::{Bench, Seen};
use crate::normal::text;
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
        let wrong = Self::unlike(&old, &without_marks(&ours), &fresh);
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

/// Without what only a redeploy leaves: its id, and, where the engine's store has a digest for each image, that.
fn without_marks(ours: &Seen) -> Seen {
    let mut raw = ours.raw().clone();
    if let Some(labels) = raw["Config"]["Labels"].as_object_mut() {
        labels.remove(REDEPLOY_LABEL);
    }
    let image = text(&raw["Config"]["Image"]);
    raw["Config"]["Image"] = json!(image.split_once('@').map_or(image, |(tag, _)| tag));
    Seen::new(raw)
}
