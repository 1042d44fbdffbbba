//! The commands that need the engine: plan, redeploy, revert, recover, prune. Each opens the room, gives one order,
//! closes the room, and only then prints the result.

mod request;

use redeploy_agent::config::Config;
use redeploy_agent::explain::explain;
use redeploy_agent::history;
use redeploy_agent::orders::Refused;
use redeploy_agent::paths::DataDir;
use redeploy_agent::plan::{self, Plan, Refusal};
use redeploy_agent::report::Report;
use redeploy_agent::saga::Faults;
use redeploy_agent::steps::Tidied;
use redeploy_proto::RedeployId;
use serde_json::json;

use super::args::{JsonArg, RevertArgs, What};
use super::engine_room::{Heard, Kind, Room};
use super::json::{plan_event, refused_event, report_event};
use super::out::{Out, Tint, say};
use super::units::one_line;
use super::{Exit, Screen, Variable, faults, report_text, serve, wrong};

/// What every order is given with.
pub(crate) struct Desk<'a> {
    config: Config,
    screen: &'a Screen,
    faults: Faults,
}

impl<'a> Desk<'a> {
    /// A desk, unless the faults that a test orders make no sense.
    pub(crate) fn new(config: Config, screen: &'a Screen, variable: Variable<'_>) -> Result<Self, Exit> {
        let faults = faults::ordered(variable).map_err(|error| wrong(&error.to_string()))?;
        Ok(Self { config, screen, faults })
    }

    /// Serves a coordinator until a signal comes.
    pub(crate) async fn serve(self) -> Result<Exit, Exit> {
        serve::run(self.config, self.screen, self.faults).await
    }

    async fn open(self, kind: Kind, out: Out) -> Result<Room, Exit> {
        let opened = Room::open(kind, self.config, self.screen, out.json, self.faults).await;
        opened.map_err(|error| refused(out, &[explain(&error)]))
    }

    /// What a redeploy would do.
    pub(crate) async fn plan(self, what: What, JsonArg { json }: JsonArg) -> Result<Exit, Exit> {
        let out = self.screen.out(json);
        let request =
            request::redeploy(&what, &self.config).await.map_err(|error| wrong(&error.to_string()))?;
        let room = self.open(Kind::Looks, out).await?;
        let order =
            room.agent.plan(RedeployId::generate(), &request.request, request.pull, request.login.as_ref());
        let result = Box::pin(order).await;
        room.close().await;
        Ok(planned(out, result))
    }

    /// A redeploy, to its end.
    pub(crate) async fn redeploy(self, what: What, JsonArg { json }: JsonArg) -> Result<Exit, Exit> {
        let out = self.screen.out(json);
        let request =
            request::redeploy(&what, &self.config).await.map_err(|error| wrong(&error.to_string()))?;
        let data = DataDir::new(&self.config.data_dir);
        let room = self.open(Kind::Acts, out).await?;
        let id = RedeployId::generate();
        let order = room.agent.redeploy(id, &request.request, request.pull, request.login.as_ref());
        let result = Box::pin(room.until_stopped(order)).await;
        Ok(ended(out, &data, id, result, &room.close().await))
    }

    /// A revert, to its end, or what it would do.
    pub(crate) async fn revert(self, args: RevertArgs) -> Result<Exit, Exit> {
        let out = self.screen.out(args.json.json);
        let request = request::revert(&args, &self.config).map_err(|error| wrong(&error.to_string()))?;
        let data = DataDir::new(&self.config.data_dir);
        let kind = if args.dry_run { Kind::Looks } else { Kind::Acts };
        let room = self.open(kind, out).await?;
        let id = RedeployId::generate();
        if args.dry_run {
            let result = Box::pin(room.agent.plan_revert(id, &request)).await;
            room.close().await;
            return Ok(planned(out, result));
        }
        let result = Box::pin(room.until_stopped(room.agent.revert(id, &request))).await;
        Ok(ended(out, &data, id, result, &room.close().await))
    }

    /// Ends what is open.
    pub(crate) async fn recover(self, JsonArg { json }: JsonArg) -> Result<Exit, Exit> {
        let out = self.screen.out(json);
        let data = DataDir::new(&self.config.data_dir);
        let room = self.open(Kind::Recovers, out).await?;
        let result = Box::pin(room.agent.recover()).await;
        let heard = room.close().await;
        // The agent logged each of them.
        let damaged = history::load(&data).iter().filter(|entry| entry.is_err()).count();
        let mut exit = if damaged > 0 { Exit::Stuck } else { Exit::Done };
        for report in &heard.reports {
            exit = exit.max(print(out, &data, report));
        }
        if let Err(error) = &result {
            return Ok(exit.max(broken(out, None, error)));
        }
        summary(out, heard.reports.len(), damaged);
        Ok(exit)
    }

    /// Removes what is old.
    pub(crate) async fn prune(self, JsonArg { json }: JsonArg) -> Result<Exit, Exit> {
        let out = self.screen.out(json);
        let room = self.open(Kind::Tidies, out).await?;
        let result = Box::pin(room.agent.prune()).await;
        room.close().await;
        Ok(match result {
            Ok(tidied) => pruned(out, &tidied),
            Err(error) => {
                failure(
                    out,
                    &format!(
                        "not everything could be removed; it is tried again the next time: {}",
                        explain(&error)
                    ),
                );
                Exit::Failed
            }
        })
    }
}

// === results ===

fn planned(out: Out, result: Result<(Plan, Vec<Refusal>), Refused>) -> Exit {
    let (plan, refusals) = match result {
        Ok(planned) => planned,
        Err(error) => return refused(out, &reasons(&error)),
    };
    let reasons: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    if out.json {
        out.event(&plan_event(&plan));
    } else {
        out.text(&plan::show(&plan), None);
    }
    if reasons.is_empty() { Exit::Done } else { refused(out, &reasons) }
}

fn ended(out: Out, data: &DataDir, id: RedeployId, result: Result<Report, Refused>, heard: &Heard) -> Exit {
    match result {
        Ok(report) => print(out, data, &report),
        Err(error) if heard.has_begun => broken(out, Some(id), &error),
        Err(error) => refused(out, &reasons(&error)),
    }
}

fn print(out: Out, data: &DataDir, report: &Report) -> Exit {
    let exit = Exit::from(report.verdict);
    if out.json {
        out.event(&report_event(report));
    } else {
        let archives = data.redeploy(report.id).archives();
        out.text(&report_text::report_text(report, &archives), Some(tint(exit)));
    }
    exit
}

/// The colour of an exit.
pub(crate) fn tint(exit: Exit) -> Tint {
    match exit {
        Exit::Done => Tint::Good,
        Exit::Failed => Tint::Odd,
        Exit::Refused | Exit::Stuck | Exit::Usage => Tint::Bad,
    }
}

/// Why, one reason each.
fn reasons(refused: &Refused) -> Vec<String> {
    match refused {
        Refused::Checks(refusals) => refusals.iter().map(ToString::to_string).collect(),
        Refused::Observe(_)
        | Refused::Image(_)
        | Refused::Recreate(_)
        | Refused::Engine(_)
        | Refused::Lock(_)
        | Refused::Durable(_)
        | Refused::Encode(_)
        | Refused::NothingParked(_)
        | Refused::Manifest(_)
        | Refused::Executor(_)
        | Refused::IdUsed(_)
        | Refused::Cancelled => vec![explain(refused)],
    }
}

/// Nothing was touched, and why.
pub(crate) fn refused(out: Out, reasons: &[String]) -> Exit {
    if out.json {
        out.event(&refused_event(reasons));
    } else {
        say("Refused, nothing was touched:");
        reasons.iter().for_each(|reason| say(&format!("  - {}", one_line(reason))));
    }
    Exit::Refused
}

/// It began, and its end is not known.
fn broken(out: Out, id: Option<RedeployId>, error: &Refused) -> Exit {
    let id = id.map_or_else(|| "one of them".to_owned(), |id| id.to_string());
    failure(
        out,
        &format!(
            "{id} did not come to its end: {}. `redeploy-agent history` shows where it stands, \
             `redeploy-agent recover` ends it",
            explain(error)
        ),
    );
    Exit::Stuck
}

fn failure(out: Out, text: &str) {
    if out.json {
        out.event(&json!({ "event": "error", "error": text }));
    } else {
        say(&format!("redeploy-agent: {text}"));
    }
}

fn summary(out: Out, ended: usize, damaged: usize) {
    if out.json {
        return out.event(&json!({ "event": "recovered", "ended": ended, "damaged": damaged }));
    }
    if ended == 0 && damaged == 0 {
        out.text("Nothing was left open.\n", None);
    }
    if damaged > 0 {
        say(&format!(
            "{damaged} damaged: `redeploy-agent history` says which and why. Whether they are open is unknown"
        ));
    }
}

fn pruned(out: Out, tidied: &Tidied) -> Exit {
    if out.json {
        out.event(&json!({
            "event": "pruned", "containers": tidied.containers, "archives": tidied.archives, "dead": tidied.dead,
        }));
        return Exit::Done;
    }
    let containers = tidied.containers.iter().map(|name| format!("Removed parked container {name}\n"));
    let archives = tidied.archives.iter().map(|id| format!("Removed the archives of {id}\n"));
    let dead =
        tidied.dead.iter().map(|name| format!("Container {name} is dead: the engine cannot remove it\n"));
    let text: String = containers.chain(archives).chain(dead).collect();
    out.text(if text.is_empty() { "Nothing is old enough to go.\n" } else { &text }, None);
    Exit::Done
}
