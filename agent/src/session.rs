//! The agent under a coordinator: one session at a time, held from here, and work that does not depend on it.
//!
//! ```text
//!  coordinator ══ session ══▶ wire ▶ ledger (order.json) ▶ worker ──▶ orders::Agent ──▶ plan, saga, steps
//!       ▲                                                    │             │
//!       ╚══ reports ◀══ reporter ◀── history on disk ◀───────┼─────────────┘
//!       ╚══ accepted, progress, preflights ◀══ outbox ◀──────┘
//! ```
//!
//! Flows in: an identity (`join`), orders. Flows out: facts, inventory, progress, reports until they are acknowledged.
//! Must never stop a job because a session ended, or do an order twice.

mod address;
mod dial;
mod host;
mod identity;
mod join;
mod ledger;
mod line;
mod outbox;
mod pause;
mod said;
mod trace;
mod wire;
mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use redeploy_proto::v1::coordinator_message::Message;
use redeploy_proto::{RedeployId, v1};
use redeploy_trace::Span;
use tokio_util::sync::CancellationToken;
use tonic::Code;

pub use address::{Address, DEFAULT_PORT, InvalidAddress};
pub use dial::DialError;
pub use identity::{Identity, IdentityError};
pub use join::{JoinError, join};
pub use ledger::Note;
pub use worker::Means;

use crate::explain::explain;
use crate::reporter::Reporter;
use line::{Line, LineError};
use pause::pause;
use worker::{Pauses, Worker};

/// A report that is not acknowledged is sent again after this, in the same session.
const REPORT_AGAIN: Duration = Duration::from_secs(30);

/// How often progress is said.
const PROGRESS: Duration = Duration::from_millis(500);

/// How long a renewal may take: meanwhile nothing else is said.
const RENEWAL: Duration = Duration::from_secs(10);

/// How soon, and how late at the latest, a renewal that failed is tried again.
const RENEWAL_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// As after so many attempts that failed.
const RARELY: u32 = 6;

/// The agent does not serve any more.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It has not joined, or its identity is damaged.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The coordinator does not want it any more.
    #[error(
        "the coordinator has revoked this host: join again with a new token, after removing coordinator.json from the data directory"
    )]
    Revoked,
}

/// Whoever wants to know how it goes.
pub trait Onlooker: Send + Sync {
    /// What was left open is being ended, and orders are taken as soon as there is a session.
    fn ready(&self);

    /// How it stands with the coordinator, in a few words.
    fn status(&self, text: &str);

    /// Whether it wants to hear of work that is over.
    fn collects(&self) -> bool;

    /// Work that is over and known to the coordinator.
    fn over(&self, spans: Vec<Span>);
}

/// Nobody looks on.
#[derive(Debug)]
pub struct Unwatched;

impl Onlooker for Unwatched {
    fn ready(&self) {}
    fn status(&self, _: &str) {}
    fn collects(&self) -> bool {
        false
    }
    fn over(&self, _: Vec<Span>) {}
}

/// As [`run_watched`], when nobody looks on.
///
/// # Errors
/// [`RunError`]
pub async fn run(means: Means, stop: CancellationToken) -> Result<(), RunError> {
    Box::pin(run_watched(means, stop, Arc::new(Unwatched))).await
}

/// Serves the coordinator until `stop`. What was left open is ended before anything else is begun. At `stop` jobs turn
/// back, and are waited for.
///
/// # Errors
/// [`RunError`]
pub async fn run_watched(
    means: Means,
    stop: CancellationToken,
    onlooker: Arc<dyn Onlooker>,
) -> Result<(), RunError> {
    let identity = Identity::load(&means.data)?;
    let reporter = Arc::new(Reporter::new(&means.data, identity.joined_at));
    let worker = Arc::new(Worker::new(means, stop.child_token()));
    worker.recover(true);
    worker.prune_by_the_clock(Pauses::default());
    onlooker.ready();
    let mut runner = Runner { identity, worker, reporter, stop, onlooker, renew_at: Instant::now() };
    let ended = runner.sessions().await;
    runner.worker.stop().await;
    ended
}

struct Runner {
    identity: Identity,
    worker: Arc<Worker>,
    reporter: Arc<Reporter>,
    stop: CancellationToken,
    onlooker: Arc<dyn Onlooker>,
    /// Not before then, after an attempt that failed.
    renew_at: Instant,
}

impl Runner {
    /// One session after another, with pauses that grow while none comes about.
    async fn sessions(&mut self) -> Result<(), RunError> {
        let mut attempt = 0;
        loop {
            self.mind_the_certificate();
            let stop = self.stop.clone();
            let ended = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                ended = self.session(&mut attempt) => ended,
            };
            let Err(error) = ended;
            if let LineError::Ended(status) = &error
                && status.code() == Code::PermissionDenied
            {
                return Err(RunError::Revoked);
            }
            if is_duplicate(&error) {
                tracing::error!(
                    "another agent has taken this host's session over: two of them use one coordinator.json. Stop one, remove that file from its data directory, and let it join by itself"
                );
                // Two that throw each other out are to do it rarely.
                attempt = attempt.max(RARELY);
            }
            let pause = pause(attempt);
            self.onlooker.status(&format!("no session: {}", explain(&error)));
            tracing::warn!(error = explain(&error), ?pause, "no session; dials again");
            attempt += 1;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One session, until it ends. It never ends well.
    async fn session(&mut self, attempt: &mut u32) -> Result<std::convert::Infallible, LineError> {
        let worker = Arc::clone(&self.worker);
        worker.outbox.clear();
        let client = dial::ourselves(&self.identity).await?;
        let mut line = Line::open(client, &worker.means, self.open().await).await?;
        *attempt = 0;
        tracing::info!(coordinator = %self.identity.coordinator, "a session began");
        self.onlooker.status(&format!("connected to {}", self.identity.coordinator));
        self.report(&mut line).await?;
        let mut beat = tokio::time::interval(line.heartbeat);
        let mut progress = tokio::time::interval(PROGRESS);
        loop {
            tokio::select! {
                message = line.next() => self.take(message?, &mut line).await,
                () = worker.outbox.news.notified() => line.say_all(worker.outbox.take()).await?,
                _ = progress.tick() => line.say_all(worker.outbox.take()).await?,
                () = worker.outbox.ended.notified() => {
                    // Who hears of the end looks at the inventory next, so that comes first.
                    line.beat(&worker.means).await?;
                    self.report(&mut line).await?;
                }
                _ = beat.tick() => {
                    line.beat(&worker.means).await?;
                    self.report(&mut line).await?;
                    if self.identity.is_due(Timestamp::now()) && Instant::now() >= self.renew_at {
                        self.renew(&mut line).await;
                    }
                }
            }
        }
    }

    /// What the coordinator is to know before it sends anything again.
    async fn open(&self) -> Vec<v1::OpenOrder> {
        let due = self.due().await;
        // In this order: what ends in between is then said to be running, and its report follows.
        let running = self.worker.open().await;
        let ended = due.iter().filter(|(id, _)| !running.contains(id)).map(|(id, _)| (*id, true));
        let open = running.iter().map(|id| (*id, false)).chain(ended);
        open.map(|(id, has_ended)| v1::OpenOrder { redeploy_id: id.to_string(), has_ended }).collect()
    }

    async fn due(&self) -> Vec<(RedeployId, v1::Report)> {
        let reporter = Arc::clone(&self.reporter);
        tokio::task::spawn_blocking(move || reporter.due()).await.unwrap_or_default()
    }

    /// Says what is not acknowledged, and was not said in this session just now.
    async fn report(&self, line: &mut Line) -> Result<(), LineError> {
        for (id, report) in self.due().await {
            if line.said.is_new(id, report.verdict(), REPORT_AGAIN) {
                line.say(v1::agent_message::Message::Report(report)).await?;
            }
        }
        Ok(())
    }

    /// Does as it is told. What makes no sense is told in the log: nobody can answer for an id that is none.
    async fn take(&self, message: Message, line: &mut Line) {
        let worker = &self.worker;
        let config = &worker.means.config;
        let taken = match message {
            Message::Welcome(_) => return tracing::warn!("a second Welcome is ignored"),
            Message::Redeploy(order) => match wire::redeploy(order, config) {
                Ok(order) => {
                    self.order(order).await;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Message::Revert(order) => match wire::revert(order, config) {
                Ok(order) => {
                    self.order(order).await;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Message::Preflight(order) => order.redeploy_id.parse().map(|id| worker.preflight(id, order)),
            Message::Cancel(order) => order.redeploy_id.parse().map(|id| worker.cancel(id)),
            Message::Ack(ack) => match ack.redeploy_id.parse() {
                Ok(id) => {
                    self.acknowledged(id, line).await;
                    Ok(())
                }
                Err(error) => Err(error),
            },
        };
        if let Err(error) = taken {
            tracing::error!(%error, "the coordinator sent something that makes no sense");
        }
    }

    /// An order that comes again is answered again, acknowledged or not.
    async fn order(&self, order: wire::Order) {
        let id = order.id;
        if !self.worker.order(order).await {
            return;
        }
        let reporter = Arc::clone(&self.reporter);
        if let Ok(Some(report)) = tokio::task::spawn_blocking(move || reporter.report(id)).await {
            self.worker.outbox.answer(report);
        }
    }

    async fn acknowledged(&self, id: RedeployId, line: &mut Line) {
        // One that was not said in this session belongs to an older one; it is said again.
        let Some(verdict) = line.said.answered(id) else { return };
        let reporter = Arc::clone(&self.reporter);
        let keeping = tokio::task::spawn_blocking(move || reporter.acknowledge(id, verdict)).await;
        if let Ok(Err(error)) = keeping {
            tracing::error!(%id, error = explain(&error), "an acknowledgement cannot be kept");
        }
        // Told now and not when it ended: then it is told also of what a crash has interrupted.
        if self.onlooker.collects() {
            self.onlooker.over(trace::spans(&self.worker.means.data, &self.identity.host_id, id));
        }
    }

    /// The next certificate, for the next session. If there is none, the old one is still good for a third of its life,
    /// and it is tried again, the sooner the less is left.
    async fn renew(&mut self, line: &mut Line) {
        let renewing = join::renew(&mut line.client, &self.worker.means.data, &self.identity);
        let failed = match tokio::time::timeout(RENEWAL, renewing).await {
            Ok(Ok(identity)) => {
                tracing::info!(until = %identity.not_after, "the certificate was renewed");
                self.identity = identity;
                return;
            }
            Ok(Err(error)) => explain(&error),
            Err(_) => "the coordinator does not answer".to_owned(),
        };
        let again = (self.identity.remaining(Timestamp::now()) / 10).clamp(RENEWAL_AGAIN.0, RENEWAL_AGAIN.1);
        self.renew_at = Instant::now() + again;
        let until = self.identity.not_after;
        tracing::warn!(error = failed, %until, ?again, "the certificate was not renewed; tries again");
    }

    /// What only a human can mend is said each time it stands in the way.
    fn mind_the_certificate(&self) {
        let Identity { not_after, .. } = &self.identity;
        if self.identity.remaining(Timestamp::now()).is_zero() {
            let file = self.worker.means.data.coordinator();
            tracing::error!(
                ended = %not_after, file = %file.display(),
                "the certificate of this host has ended, so the coordinator does not let it in. If this machine's clock is right: remove the file and `redeploy-agent join` again, with a token of `redeployctl host token`"
            );
        }
    }
}

fn is_duplicate(error: &LineError) -> bool {
    matches!(error, LineError::Ended(status) if status.code() == Code::Aborted)
}
