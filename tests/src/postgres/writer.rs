//! A client that commits rows all the time, whoever serves, and remembers what it was promised.
//!
//! Flows in: a container's name. Flows out: a [`Ledger`]. It keeps one connection, and opens another when that one
//! breaks. Must never send a number twice: whether an unanswered insert happened is not known.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postgres::{Client, Statement};

use super::connect;
use super::ledger::{Commit, Ledger};
use crate::wait;

/// Counts on one account, scattered over the table, and writes the row, or does neither.
const COMMIT: &str = "WITH account AS (UPDATE accounts SET touched = touched + 1 \
    WHERE id = $1::bigint * 7919 % (SELECT max(id) FROM accounts) + 1 RETURNING id) \
    INSERT INTO rows SELECT $1::bigint, id, md5(($1::bigint)::text) FROM account";

/// How long a client without a server looks for one. A redeploy with all its undoing takes less.
const HOMELESS: Duration = Duration::from_secs(90);

/// A client at work on a thread of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Writer {
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Writer {
    /// Begins to write to the server in this container, and in whichever takes its name later.
    #[must_use]
    pub fn begin(container: &str) -> Self {
        let (ledger, stop) = (Arc::default(), Arc::default());
        let work =
            Work { container: container.to_owned(), ledger: Arc::clone(&ledger), stop: Arc::clone(&stop) };
        let thread = Some(std::thread::spawn(move || work.run()));
        Self { ledger, stop, thread }
    }

    /// What was promised so far.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        locked(&self.ledger).clone()
    }

    /// How many commits were acknowledged so far.
    #[must_use]
    pub fn count(&self) -> usize {
        locked(&self.ledger).commits.len()
    }

    /// The last number that was sent.
    #[must_use]
    pub fn last_sent(&self) -> i64 {
        locked(&self.ledger).last_sent
    }

    /// Waits until this server has acknowledged so many more.
    ///
    /// # Errors
    /// It did not, or the client found something that is no broken connection.
    pub fn expect_more(&self, commits: usize, server: &str) -> Result<()> {
        let from = self.count();
        wait::until(wait::PATIENCE, &format!("{commits} more commits on {server}"), || {
            let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
            ensure!(!ended, "the client has ended");
            let ledger = locked(&self.ledger);
            let new = ledger.commits.get(from..).unwrap_or_default();
            Ok(new.iter().filter(|commit| commit.server == server).count() >= commits)
        })
    }

    /// Ends the client and gives what it was promised.
    ///
    /// # Errors
    /// It met something that is no broken connection.
    pub fn end(mut self) -> Result<Ledger> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the client has ended")?;
        thread.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
        Ok(self.ledger())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A test that failed has its own reason to tell.
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct Work {
    container: String,
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn run(&self) -> Result<()> {
        while let Some(mut session) = self.session()? {
            while !self.stopped() {
                let number = self.next_number();
                match session.commit(number) {
                    Ok(()) => self.acknowledged(number, &session.server),
                    Err(error) => {
                        expect_broken_connection(&error)?;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// A connection to whoever serves; `None` when the client is to end.
    fn session(&self) -> Result<Option<Session>> {
        wait::eventually(HOMELESS, "a server that accepts the client", || {
            if self.stopped() {
                return Ok(Some(Ok(None)));
            }
            match Session::open(&self.container) {
                Ok(session) => Ok(Some(Ok(Some(session)))),
                Err(error) => match error.downcast_ref().map(expect_broken_connection) {
                    Some(Err(defect)) => Ok(Some(Err(defect))),
                    Some(Ok(())) | None => Err(error),
                },
            }
        })?
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn next_number(&self) -> i64 {
        let mut ledger = locked(&self.ledger);
        ledger.last_sent += 1;
        ledger.last_sent
    }

    fn acknowledged(&self, number: i64, server: &str) {
        let commit = Commit { number, server: server.to_owned(), at: Instant::now() };
        locked(&self.ledger).commits.push(commit);
    }
}

/// One connection.
struct Session {
    client: Client,
    commit: Statement,
    server: String,
}

impl Session {
    fn open(container: &str) -> Result<Self> {
        let mut client = connect(container)?;
        let server = client.query_one("SHOW cluster_name", &[])?.try_get(0)?;
        let commit = client.prepare(COMMIT)?;
        Ok(Self { client, commit, server })
    }

    fn commit(&mut self, number: i64) -> Result<(), postgres::Error> {
        self.client.execute(&self.commit, &[&number]).map(drop)
    }
}

/// A server that stops says so in class 57; anything else it says is a defect of the data or of the test.
fn expect_broken_connection(error: &postgres::Error) -> Result<()> {
    let said = error.as_db_error();
    ensure!(said.is_none_or(|said| said.code().code().starts_with("57")), "the server said: {said:?}");
    Ok(())
}

fn locked(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
