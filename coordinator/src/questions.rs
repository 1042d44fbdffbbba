//! Preflights that somebody waits for and no deployment stands behind: those of a plan.
//!
//! Flows in: who asks which host, and what hosts answer. Flows out: the answer, to the one who asked. Must never keep
//! a question that nobody waits for, and never take one host's answer for another's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redeploy_proto::{RedeployId, v1};
use tokio::sync::oneshot;

use crate::driver::SessionId;
use crate::ids::HostId;

/// Everything that was asked and not answered.
#[derive(Debug, Default, Clone)]
pub struct Questions {
    open: Arc<Mutex<HashMap<RedeployId, Open>>>,
}

#[derive(Debug)]
struct Open {
    host: HostId,
    session: SessionId,
    answer: oneshot::Sender<v1::Preflight>,
}

/// One question. Dropped, it is forgotten.
#[derive(Debug)]
pub struct Question {
    /// Names it.
    pub id: RedeployId,
    answer: oneshot::Receiver<v1::Preflight>,
    among: Questions,
}

impl Questions {
    /// A question to one session of a host, before it is sent.
    #[must_use]
    pub fn ask(&self, host: HostId, session: SessionId) -> Question {
        let (answer, receiver) = oneshot::channel();
        let id = RedeployId::generate();
        self.lock().insert(id, Open { host, session, answer });
        Question { id, answer: receiver, among: self.clone() }
    }

    /// Takes an answer. Gives it back if nobody asked this host for it.
    #[must_use]
    pub fn answered(&self, host: &HostId, id: RedeployId, preflight: v1::Preflight) -> Option<v1::Preflight> {
        let mut open = self.lock();
        if open.get(&id).is_none_or(|open| open.host != *host) {
            return Some(preflight);
        }
        if let Some(open) = open.remove(&id) {
            // Whoever does not wait any more has no need of it.
            let _ = open.answer.send(preflight);
        }
        None
    }

    /// A session is over, and with it what was asked in it: who waits is told.
    pub fn lost(&self, host: &HostId, session: SessionId) {
        self.lock().retain(|_, open| open.host != *host || open.session > session);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RedeployId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question {
    /// Waits for the answer; `None` if the session ended before it came.
    pub async fn answer(mut self) -> Option<v1::Preflight> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.among.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostId {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn an_answer_reaches_only_who_asked_that_host_for_it() {
        let questions = Questions::default();
        let question = questions.ask(host("h1"), 1);
        let good = v1::Preflight { is_ok: true, ..v1::Preflight::default() };
        let other = questions.answered(&host("h2"), question.id, good.clone());
        assert_eq!(other, Some(good.clone()), "another host cannot answer");
        assert_eq!(questions.answered(&host("h1"), RedeployId::generate(), good.clone()), Some(good.clone()));
        assert_eq!(questions.answered(&host("h1"), question.id, good.clone()), None);
        assert_eq!(question.answer().await, Some(good));
        assert!(questions.lock().is_empty());
    }

    #[tokio::test]
    async fn a_session_that_ends_takes_its_questions_along_and_a_newer_one_keeps_its_own() {
        let questions = Questions::default();
        let (old, new) = (questions.ask(host("h1"), 1), questions.ask(host("h1"), 2));
        questions.lost(&host("h1"), 1);
        assert_eq!(old.answer().await, None);
        assert_eq!(questions.lock().len(), 1);
        drop(new);
        assert!(questions.lock().is_empty(), "who stops waiting is forgotten");
    }
}
