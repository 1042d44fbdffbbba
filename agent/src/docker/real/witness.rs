//! Attaching to a container's output, and waiting for its end, before it is started: as `docker run --rm` does.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http::Method;
use serde_json::Value;

use super::super::transport::{Download, bad_answer, segment};
use super::super::witness::{Witness, Word};
use super::frames::Frames;
use super::{EngineError, RealEngine};

/// How long the engine may take to begin. What it has to say after that takes as long as the container runs.
const BEGIN: Duration = Duration::from_secs(10);

/// No answer about an exit comes near this.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

impl RealEngine {
    /// Returns once the engine passes on what the container will print.
    pub(super) async fn listen(&self, id: &str) -> Result<Witness, EngineError> {
        let action = format!("let us listen to container {id}");
        let found = self.inspect(id).await?;
        let is_terminal = found.is_some_and(|found| found.raw()["Config"]["Tty"] == true);
        let name = segment(id);
        let attach = format!("/containers/{name}/attach?stream=1&stdout=1&stderr=1");
        let output = self.client.download(&action, Method::POST, &attach, BEGIN).await?;
        let wait = format!("/containers/{name}/wait?condition=next-exit");
        let exit = self.client.download(&action, Method::POST, &wait, BEGIN).await?;
        let exit = stream::once(async move { exit_code(&action, exit).await.map(Word::ExitCode) });
        Ok(Witness::new(stream::select(words(output, Frames::new(is_terminal)), exit)))
    }
}

/// What is printed, until the connection ends.
fn words(output: Download, frames: Frames) -> impl Stream<Item = Result<Word, EngineError>> {
    let pieces = stream::unfold(Some((output, frames)), |state| async {
        let (mut output, mut frames) = state?;
        match output.piece().await? {
            Err(error) => Some((vec![Err(error)], None)),
            Ok(piece) => match frames.feed(piece) {
                Ok(pieces) => Some((pieces.into_iter().map(Ok).collect(), Some((output, frames)))),
                Err(detail) => Some((vec![Err(bad_answer("listen to a container", detail))], None)),
            },
        }
    });
    pieces.flat_map(stream::iter).map(|piece: Result<Bytes, EngineError>| piece.map(Word::Output))
}

async fn exit_code(action: &str, mut answer: Download) -> Result<i64, EngineError> {
    let mut body = Vec::new();
    while let Some(piece) = answer.piece().await {
        body.extend_from_slice(&piece?);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(bad_answer(action, "the answer has no end"));
        }
    }
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    answer["StatusCode"].as_i64().ok_or_else(|| bad_answer(action, "it gave no exit code"))
}
