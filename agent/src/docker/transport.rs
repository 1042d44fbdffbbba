//! Plain HTTP/1.1 to the engine over its unix socket, with JSON in and out and nothing lost between.
//!
//! Flows in: method, path, body. Flows out: status and the JSON as the engine wrote it. One connection per
//! request, closed with it, also when the caller goes away. Must never log or keep a body, and never wait
//! without a deadline.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{ApiVersion, EngineError};

/// No answer we ask for comes near this; a list of a thousand containers has a few MiB.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An HTTP client for one unix socket.
#[derive(Debug, Clone)]
pub(super) struct UnixClient {
    socket: PathBuf,
    prefix: String,
}

/// What the engine answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: StatusCode,
    /// Headers.
    pub(super) headers: HeaderMap,
    /// The body; `Null` when there was none.
    pub(super) body: Value,
}

/// An answer that is read as it comes. Dropping it breaks the connection.
pub(super) struct Download {
    action: String,
    body: Incoming,
    _connection: Connection,
}

/// Ends with this.
type Connection = AbortOnDropHandle<hyper::Result<()>>;

/// A request whose body we still hold open. Dropping it breaks the connection.
pub(super) struct Upload {
    body: mpsc::Sender<Bytes>,
    answer: Pin<Box<dyn Future<Output = Result<Answer, EngineError>> + Send>>,
}

impl UnixClient {
    /// A client that names no API version yet; only `/version` may be asked.
    pub(super) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), prefix: String::new() }
    }

    /// The same client, naming `api` in every request.
    pub(super) fn speaking(&self, api: ApiVersion) -> Self {
        Self { socket: self.socket.clone(), prefix: format!("/v{api}") }
    }

    /// Where the engine listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// One request, start to end. `action` completes "cannot …" in errors; `path` is already encoded.
    pub(super) async fn request(
        &self,
        action: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
        deadline: Duration,
    ) -> Result<Answer, EngineError> {
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let exchange = self.exchange(action, method, path, "application/json", Full::new(bytes));
        within(deadline, action, exchange).await
    }

    /// Asks for a JSON object that may not be there: `None` for HTTP 404.
    pub(super) async fn look_up(
        &self,
        action: &str,
        path: &str,
        deadline: Duration,
    ) -> Result<Option<Value>, EngineError> {
        let answer = self.request(action, Method::GET, path, None, deadline).await?;
        if answer.status == StatusCode::NOT_FOUND { Ok(None) } else { answer.accepted(action).map(Some) }
    }

    /// Begins a request with a tar body that starts with `first` and stays open until [`Upload::finish`],
    /// for `deadline` at most.
    pub(super) fn upload(&self, action: &str, path: &str, first: Bytes, deadline: Duration) -> Upload {
        let (body, mut chunks) = mpsc::channel::<Bytes>(1);
        let frames = futures_util::stream::poll_fn(move |cx| chunks.poll_recv(cx));
        let frames = futures_util::stream::once(std::future::ready(first)).chain(frames);
        let frames = StreamBody::new(frames.map(|chunk| Ok::<_, BoxError>(Frame::data(chunk))));
        let (client, action, path) = (self.clone(), action.to_owned(), path.to_owned());
        let answer = async move {
            let exchange = client.exchange(&action, Method::PUT, &path, "application/x-tar", frames);
            within(deadline, &action, exchange).await
        };
        Upload { body, answer: Box::pin(answer) }
    }

    /// Begins a request without a body whose answer goes on and on: returns once the engine, within `deadline`, has
    /// said that it will answer. From then on only the caller limits the time.
    pub(super) async fn download(
        &self,
        action: &str,
        method: Method,
        path: &str,
        deadline: Duration,
    ) -> Result<Download, EngineError> {
        let sending = self.send(action, method, path, "application/json", Full::new(Bytes::new()));
        let (answer, connection) = within(deadline, action, sending).await?;
        if answer.status().is_success() {
            let (action, body) = (action.to_owned(), answer.into_body());
            return Ok(Download { action, body, _connection: connection });
        }
        let refusal = within(deadline, action, read_answer(action, answer)).await?;
        Err(refusal.refusal(action))
    }

    async fn exchange<B>(
        &self,
        action: &str,
        method: Method,
        path: &str,
        content_type: &str,
        body: B,
    ) -> Result<Answer, EngineError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (answer, _connection) = self.send(action, method, path, content_type, body).await?;
        read_answer(action, answer).await
    }

    /// Sends a request on a connection of its own; its answer has begun when this returns.
    async fn send<B>(
        &self,
        action: &str,
        method: Method,
        path: &str,
        content_type: &str,
        body: B,
    ) -> Result<(http::Response<Incoming>, Connection), EngineError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let broken = |error: hyper::Error| broken(action, &error);
        let stream =
            UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(action, error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(http::header::HOST, "docker")
            .header(http::header::CONTENT_TYPE, content_type)
            .body(body)
            .map_err(|error| bad_answer(action, format!("the request could not be written: {error}")))?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        Ok((answer, connection))
    }

    fn unreachable(&self, action: &str, error: impl Into<BoxError>) -> EngineError {
        EngineError::Unreachable {
            socket: self.socket.display().to_string(),
            action: action.to_owned(),
            source: error.into(),
        }
    }
}

impl Answer {
    /// The body of a 2xx or 304 answer; anything else is the engine's refusal.
    pub(super) fn accepted(self, action: &str) -> Result<Value, EngineError> {
        if self.status.is_success() || self.status == StatusCode::NOT_MODIFIED {
            Ok(self.body)
        } else {
            Err(self.refusal(action))
        }
    }

    /// The engine's own words for an error status.
    pub(super) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or("it gave no reason")
    }

    /// This answer as an error.
    pub(super) fn refusal(&self, action: &str) -> EngineError {
        EngineError::Refused {
            action: action.to_owned(),
            status: self.status.as_u16(),
            message: self.message().to_owned(),
        }
    }
}

impl Download {
    /// The next piece of the body, when it comes; `None` at its end.
    pub(super) async fn piece(&mut self) -> Option<Result<Bytes, EngineError>> {
        loop {
            match self.body.frame().await? {
                Err(error) => return Some(Err(broken(&self.action, &error))),
                // Trailers are none of ours.
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some(Ok(data)),
                    Err(_) => continue,
                },
            }
        }
    }
}

impl Upload {
    /// Sends `last` and ends the body, then waits for the answer.
    pub(super) async fn finish(self, last: Bytes) -> Result<Answer, EngineError> {
        let Self { body, mut answer } = self;
        tokio::select! {
            // Also true when the engine answered before the body was read: then the answer says why.
            sent = body.send(last) => { drop(sent); drop(body); answer.await }
            early = &mut answer => early,
        }
    }
}

/// Resolves to the engine's answer, which comes early only if it refuses.
impl Future for Upload {
    type Output = Result<Answer, EngineError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.as_mut().poll(cx)
    }
}

/// Runs `work`, but not longer than `deadline`.
pub(super) async fn within<T>(
    deadline: Duration,
    action: &str,
    work: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(deadline, work).await {
        Ok(result) => result,
        Err(_elapsed) => {
            Err(EngineError::TimedOut { action: action.to_owned(), seconds: deadline.as_secs() })
        }
    }
}

/// The next item of `stream`, if it comes before `deadline`.
pub(super) async fn next_within<S: Stream + Unpin>(
    deadline: Duration,
    action: &str,
    stream: &mut S,
) -> Result<Option<S::Item>, EngineError> {
    within(deadline, action, async { Ok(stream.next().await) }).await
}

/// A name as one segment of a path: everything but unreserved characters (RFC 3986, 2.3) percent-encoded.
pub(super) fn segment(name: &str) -> String {
    encode(name, b"-._~")
}

/// An image reference as the rest of a path: its own `/`, `:` and `@` stay, as the engine's router expects.
pub(super) fn reference_path(reference: &str) -> String {
    encode(reference, b"-._~/:@")
}

fn encode(text: &str, kept: &[u8]) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

async fn read_answer(action: &str, answer: http::Response<Incoming>) -> Result<Answer, EngineError> {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let bytes = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| bad_answer(action, error.to_string()))?
        .to_bytes();
    if bytes.is_empty() {
        return Ok(Answer { status, headers, body: Value::Null });
    }
    match serde_json::from_slice(&bytes) {
        Ok(body) => Ok(Answer { status, headers, body }),
        Err(error) if status.is_success() => Err(bad_answer(action, format!("not JSON: {error}"))),
        Err(_) => {
            let message = String::from_utf8_lossy(bytes.get(..1024).unwrap_or(&bytes)).into_owned();
            Ok(Answer { status, headers, body: serde_json::json!({ "message": message }) })
        }
    }
}

fn broken(action: &str, error: &hyper::Error) -> EngineError {
    bad_answer(action, error.to_string())
}

/// An answer that was none.
pub(super) fn bad_answer(action: &str, detail: impl Into<String>) -> EngineError {
    EngineError::BadAnswer { action: action.to_owned(), detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_the_path() {
        assert_eq!(segment("web-1_a.b"), "web-1_a.b");
        assert_eq!(segment("../info?x=1#y"), "..%2Finfo%3Fx%3D1%23y");
        assert_eq!(reference_path("127.0.0.1:5000/a/b@sha256:ff"), "127.0.0.1:5000/a/b@sha256:ff");
        assert_eq!(reference_path("a b?c"), "a%20b%3Fc");
    }

    #[tokio::test]
    async fn nobody_listening_is_unreachable_and_names_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let client = UnixClient::new(&dir.path().join("none.sock"));
        let deadline = Duration::from_secs(5);
        let error = client.request("look", Method::GET, "/version", None, deadline).await.unwrap_err();
        assert!(matches!(&error, EngineError::Unreachable { socket, .. } if socket.ends_with("none.sock")));
    }

    #[tokio::test]
    async fn an_engine_that_never_answers_runs_into_the_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mute.sock");
        let _listener = tokio::net::UnixListener::bind(&path).unwrap();
        let client = UnixClient::new(&path);
        let deadline = Duration::from_millis(50);
        let error = client.request("look", Method::GET, "/version", None, deadline).await.unwrap_err();
        assert!(matches!(error, EngineError::TimedOut { .. }), "{error}");
    }
}
