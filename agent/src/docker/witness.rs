//! A witness: listens to a container from before its start, because one that the engine removes when it ends (`--rm`)
//! takes its output and its exit code along.
//!
//! Flows in: what the container prints, and the code it ends with. Flows out: the end of that, whenever somebody asks.
//! Keeps little, whatever is printed, and nothing on disk. Must never make the container wait, nor who asks for longer
//! than he says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::EngineError;
use super::tail::Tail;
use crate::explain::explain;

/// Listens until the container ends, or this is dropped.
pub struct Witness {
    heard: Arc<Mutex<Heard>>,
    is_over: watch::Receiver<bool>,
    _task: AbortOnDropHandle<()>,
}

/// What a witness tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The last lines of both output streams, as text, at most 64 KiB.
    pub output: String,
    /// The code it ended with; `None` if it has not ended, or that was not heard.
    pub exit_code: Option<i64>,
}

/// One thing that is heard.
#[derive(Debug)]
pub(super) enum Word {
    /// Printed.
    Output(Bytes),
    /// Ended.
    ExitCode(i64),
}

#[derive(Debug, Default)]
struct Heard {
    tail: Tail,
    exit_code: Option<i64>,
}

impl Witness {
    /// Listens to `words`, which end when the container has ended and said everything.
    pub(super) fn new(words: impl Stream<Item = Result<Word, EngineError>> + Send + 'static) -> Self {
        let heard = Arc::<Mutex<Heard>>::default();
        let (over, is_over) = watch::channel(false);
        let to = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            let mut words = std::pin::pin!(words);
            while let Some(word) = words.next().await {
                match word {
                    Ok(Word::Output(piece)) => lock(&to).tail.push(&piece),
                    Ok(Word::ExitCode(code)) => lock(&to).exit_code = Some(code),
                    Err(error) => tracing::warn!(error = explain(&error), "a container is heard no more"),
                }
            }
            over.send_replace(true);
        });
        Self { heard, is_over, _task: AbortOnDropHandle::new(task) }
    }

    /// What was heard so far, the last `lines` lines of it. Waits for the end of what is said, but not longer than
    /// `patience`.
    pub async fn account(&self, lines: usize, patience: Duration) -> Account {
        let mut is_over = self.is_over.clone();
        // Whatever comes of the wait, what was heard counts.
        let _ = tokio::time::timeout(patience, is_over.wait_for(|over| *over)).await;
        let mut heard = lock(&self.heard);
        Account { output: heard.tail.text(lines), exit_code: heard.exit_code }
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn printed(text: &'static str) -> Result<Word, EngineError> {
        Ok(Word::Output(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test]
    async fn who_asks_is_told_what_was_heard_and_waits_no_longer_than_he_says() {
        let words = stream::iter([printed("one\n"), printed("two\n")]).chain(stream::pending());
        let witness = Witness::new(words);
        let account = witness.account(1, Duration::from_millis(20)).await;
        assert_eq!(account, Account { output: "two\n".into(), exit_code: None });
    }

    #[tokio::test]
    async fn a_connection_that_breaks_does_not_cost_what_was_heard() {
        let broken = EngineError::BadAnswer { action: "listen".into(), detail: "it broke".into() };
        let words = stream::iter([printed("one\n"), Err(broken), Ok(Word::ExitCode(3))]);
        let account = Witness::new(words).account(9, Duration::from_secs(60)).await;
        assert_eq!(account, Account { output: "one\n".into(), exit_code: Some(3) });
    }
}
