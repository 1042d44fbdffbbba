//! Logs, diff and events, through bollard, and bollard's errors in our words.

use std::time::Duration;

use bollard::errors::Error as Bollard;
use bollard::models::{ChangeType, EventMessage};
use bollard::query_parameters::{EventsOptionsBuilder, LogsOptionsBuilder};
use futures_util::StreamExt;

use super::super::tail::Tail;
use super::super::transport::{UnixClient, bad_answer, next_within, segment, within};
use super::super::{Change, ChangeKind, ContainerEvent, EventStream};
use super::{CHANGE, EngineError, RealEngine};

/// How long the next piece of a log may take.
const LOG_SILENCE: Duration = Duration::from_secs(60);

const NS_PER_S: i64 = 1_000_000_000;

impl RealEngine {
    pub(super) async fn last_logs(&self, id: &str, lines: u32) -> Result<String, EngineError> {
        let action = format!("give the logs of container {id}");
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let mut pieces = self.bollard.logs(&segment(id), Some(options));
        let mut tail = Tail::default();
        while let Some(piece) = next_within(LOG_SILENCE, &action, &mut pieces).await? {
            let piece = piece.map_err(|error| from_bollard(&self.client, &action, error))?;
            tail.push(piece.as_ref());
        }
        Ok(tail.text(usize::MAX))
    }

    pub(super) async fn changes(&self, id: &str) -> Result<Vec<Change>, EngineError> {
        let action = format!("list the changes of container {id}");
        let name = segment(id);
        let call = self.bollard.container_changes(&name);
        let changes = within(CHANGE, &action, async {
            call.await.map_err(|error| from_bollard(&self.client, &action, error))
        })
        .await?;
        let kind = |kind| match kind {
            ChangeType::_0 => ChangeKind::Modified,
            ChangeType::_1 => ChangeKind::Added,
            ChangeType::_2 => ChangeKind::Deleted,
        };
        let changes = changes.unwrap_or_default().into_iter();
        Ok(changes.map(|change| Change { path: change.path, kind: kind(change.kind) }).collect())
    }

    pub(super) fn container_events(&self, since_ns: i64) -> EventStream {
        let since = format!("{}.{:09}", since_ns.div_euclid(NS_PER_S), since_ns.rem_euclid(NS_PER_S));
        let filters = std::collections::HashMap::from([("type", vec!["container"])]);
        let options = EventsOptionsBuilder::new().since(&since).filters(&filters).build();
        let client = self.client.clone();
        let events = self.bollard.events(Some(options)).filter_map(move |event| {
            let event = match event {
                Ok(message) => read_event(message).map(Ok),
                Err(error) => Some(Err(from_bollard(&client, "report events", error))),
            };
            std::future::ready(event)
        });
        Box::pin(events)
    }
}

/// An event about a container; anything incomplete is none.
fn read_event(message: EventMessage) -> Option<ContainerEvent> {
    Some(ContainerEvent {
        container: message.actor?.id?,
        action: message.action?,
        time_ns: message.time_nano?,
    })
}

/// bollard's errors in our words.
#[expect(clippy::wildcard_enum_match_arm, reason = "bollard's errors; all others mean a broken exchange")]
pub(super) fn from_bollard(client: &UnixClient, action: &str, error: Bollard) -> EngineError {
    let unreachable = |source| EngineError::Unreachable {
        socket: client.socket().display().to_string(),
        action: action.to_owned(),
        source,
    };
    match error {
        Bollard::DockerResponseServerError { status_code, message } => {
            EngineError::Refused { action: action.to_owned(), status: status_code, message }
        }
        Bollard::SocketNotFoundError(_) => unreachable(Box::new(error)),
        Bollard::HyperLegacyError { ref err } if err.is_connect() => unreachable(Box::new(error)),
        other => bad_answer(action, other.to_string()),
    }
}
