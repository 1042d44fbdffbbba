//! An engine made of memory and plain directories, for tests of everything above it.
//!
//! Flows in: the same calls the real engine takes. Flows out: answers in the same form, by the same rules, as far as
//! a redeploy depends on them; the conformance suite runs on both. It also keeps a list of promises that were
//! broken, such as two containers that write to one volume. A container's root and its volumes are directories
//! of the one given; volumes are not visible inside roots.

mod create;
mod disk;
mod engine;
mod images;
mod life;
mod merge;
mod mounts;
mod state;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use super::error::PullFailure;
use super::{API_MIN, ApiVersion, EngineError, RegistryLogin};
use images::Pullable;
use state::{Fault, State};

pub use images::{Behaviour, FakeImage, OnStart};

/// The fake engine. Clones are the same engine.
#[derive(Debug, Clone)]
pub struct FakeEngine {
    state: Arc<Mutex<State>>,
    /// How many events there are, for streams that wait for the next.
    events: Arc<watch::Sender<usize>>,
}

/// What tests do to it and ask of it.
impl FakeEngine {
    /// An engine with nothing in it, of the oldest API, that keeps its files under `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self::with_api(dir, API_MIN)
    }

    /// The same with another API version.
    #[must_use]
    pub fn with_api(dir: &Path, api: ApiVersion) -> Self {
        let state = State::new(dir, api);
        Self { state: Arc::new(Mutex::new(state)), events: Arc::new(watch::Sender::new(0)) }
    }

    /// Gives it an image, as if pulled; answers the image's id.
    pub fn add_image(&self, image: FakeImage) -> String {
        self.lock().store_image(image)
    }

    /// Makes an image pullable by its reference and by its digest.
    pub fn serve(&self, image: FakeImage) {
        self.publish(Pullable { image, login: None });
    }

    /// The same, for one login only.
    pub fn serve_to(&self, login: &RegistryLogin, image: FakeImage) {
        self.publish(Pullable { image, login: Some(login.clone()) });
    }

    /// Makes pulls of a reference (`repository:tag` or `repository@digest`) fail.
    pub fn serve_failure(&self, reference: &str, reason: PullFailure) {
        self.lock().registry.insert(reference.to_owned(), Err(reason));
    }

    /// Creates and starts a container from an image and a create body (its `Image` is set here).
    ///
    /// # Errors
    /// As [`Engine::create`](super::Engine::create) and [`Engine::start`](super::Engine::start).
    pub fn add_container(&self, name: &str, image: &str, mut body: Value) -> Result<String, EngineError> {
        if body.is_null() {
            body = serde_json::json!({});
        }
        body["Image"] = serde_json::json!(image);
        self.quietly(|state| {
            let id = state.create(name, &body)?;
            state.start(&id)?;
            Ok(id)
        })
    }

    /// Adds a network; `overlay` ones refuse to rename their running containers.
    pub fn add_network(&self, name: &str, driver: &str) {
        self.lock().add_network(name, driver);
    }

    /// Names of the containers that are alive, sorted.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        self.names(|container| container.is_alive())
    }

    /// Names of all containers, sorted.
    #[must_use]
    pub fn names_of_all(&self) -> Vec<String> {
        self.names(|_| true)
    }

    /// The directory that is a container's root.
    #[must_use]
    pub fn root_dir(&self, id_or_name: &str) -> Option<PathBuf> {
        let state = self.lock();
        state.id_of(id_or_name).map(|id| state.root_dir(&id))
    }

    /// The directory that holds a volume's data.
    #[must_use]
    pub fn volume_dir(&self, name: &str) -> PathBuf {
        self.lock().volume_dir(name)
    }

    /// Every call so far, by the trait's method names.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        self.lock().calls.clone()
    }

    /// Promises that were broken so far: two live containers with one writable volume, a start under an open
    /// handle.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// The next call of `method` fails before it does anything. Several add up.
    pub fn fail_next(&self, method: &'static str, error: EngineError) {
        self.fail_nth(method, 1, error);
    }

    /// The `nth` call of `method` from now fails before it does anything, those before it do not.
    pub fn fail_nth(&self, method: &'static str, nth: usize, error: EngineError) {
        let skips = nth.saturating_sub(1);
        self.lock().faults.push(Fault { method, is_late: false, skips, error });
    }

    /// The next call of `method` does what it should, and then its answer is lost.
    pub fn fail_next_after(&self, method: &'static str, error: EngineError) {
        self.lock().faults.push(Fault { method, is_late: true, skips: 0, error });
    }

    /// From now on, or no longer, the engine cannot remove this container: it is left dead.
    pub fn jam(&self, id_or_name: &str, is_jammed: bool) {
        if let Ok(container) = self.lock().find_mut(id_or_name) {
            container.is_jammed = is_jammed;
        }
    }

    /// A container's process ends by itself; its restart policy applies.
    pub fn crash(&self, id_or_name: &str, exit_code: i64) {
        let mut state = self.lock();
        if let Some(id) = state.id_of(id_or_name) {
            state.die(&id, exit_code);
        }
        self.tell(&state);
    }

    /// The engine restarts: everything ends, and what its restart policy names comes back.
    ///
    /// # Errors
    /// If a container that comes back cannot write its files.
    pub fn simulate_daemon_restart(&self) -> Result<(), EngineError> {
        self.quietly(State::restart_daemon)
    }

    fn publish(&self, pullable: Pullable) {
        let mut state = self.lock();
        let names = [pullable.image.digest_reference(), pullable.image.reference.clone()];
        state.registry.extend(names.map(|name| (name, Ok(pullable.clone()))));
    }

    fn names(&self, wanted: impl Fn(&state::FakeContainer) -> bool) -> Vec<String> {
        let state = self.lock();
        let found = state.containers.values().filter(|container| wanted(container));
        let mut names: Vec<String> = found.map(|container| container.name().to_owned()).collect();
        names.sort();
        names
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, state: &State) {
        self.events.send_replace(state.events.len());
    }

    /// Does something that is no call.
    fn quietly<T>(&self, work: impl FnOnce(&mut State) -> Result<T, EngineError>) -> Result<T, EngineError> {
        let mut state = self.lock();
        let result = work(&mut state);
        self.tell(&state);
        result
    }

    /// One call: noted, failed if planned so, done.
    fn call<T>(
        &self,
        method: &'static str,
        work: impl FnOnce(&mut State) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.quietly(|state| {
            state.calls.push(method);
            if let Some(error) = state.take_fault(method, false) {
                return Err(error);
            }
            let done = work(state)?;
            state.take_fault(method, true).map_or(Ok(done), Err)
        })
    }
}

fn refused(action: &str, status: u16, message: impl Into<String>) -> EngineError {
    EngineError::Refused { action: action.to_owned(), status, message: message.into() }
}

fn broken(action: &str, error: &std::io::Error) -> EngineError {
    EngineError::BadAnswer { action: action.to_owned(), detail: error.to_string() }
}

#[cfg(test)]
mod tests;
