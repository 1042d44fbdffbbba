//! The wire, against whoever answers badly: silence, floods, cuts, nobody.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::{ANSWER_BYTES_MAX, Haproxy};
use crate::balancer::{Balancer, BalancerError, ServerName};

fn server() -> ServerName {
    ServerName::try_from("be/n1".to_owned()).unwrap()
}

/// What an order comes to when it is answered with `answer`; silence if there is none.
async fn answered(answer: Option<Vec<u8>>) -> Result<(), BalancerError> {
    let is_silent = answer.is_none();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 64];
        let _ = stream.read(&mut asked).await;
        match answer {
            Some(answer) => drop(stream.write_all(&answer).await),
            None => std::future::pending().await,
        }
    });
    let mut haproxy = Haproxy::new(path.to_str().unwrap());
    if is_silent {
        haproxy.patience = Duration::from_millis(50);
    }
    let result = haproxy.drain(&server()).await;
    task.abort();
    result
}

#[tokio::test]
async fn an_empty_line_is_success_and_words_are_refusals() {
    assert_eq!(answered(Some(b"\n".to_vec())).await, Ok(()));
    let unknown = answered(Some(b"No such server.\n\n".to_vec())).await.unwrap_err();
    assert!(matches!(unknown, BalancerError::UnknownServer { .. }) && unknown.to_string().contains("be/n1"));
    let denied = answered(Some(b"Permission denied\n\n".to_vec())).await.unwrap_err();
    assert!(matches!(denied, BalancerError::Refused { .. }) && denied.to_string().contains("level admin"));
}

#[tokio::test]
async fn cut_short_or_endless_it_is_no_answer() {
    for bad in [Vec::new(), b"No su".to_vec(), vec![b'x'; usize::try_from(ANSWER_BYTES_MAX).unwrap() + 9]] {
        let error = answered(Some(bad)).await.unwrap_err();
        assert!(matches!(error, BalancerError::Broken { .. }) && error.may_pass(), "{error}");
    }
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let error = answered(None).await.unwrap_err();
    assert!(error.to_string().contains("took longer"), "{error}");
}

#[tokio::test]
async fn nobody_is_unreachable_and_nothing_was_sent() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("gone");
    for socket in [gone.to_str().unwrap(), "tcp://127.0.0.1:1", "tcp://nonsense"] {
        let error = Haproxy::new(socket).look(&server()).await.unwrap_err();
        assert!(matches!(error, BalancerError::Unreachable { .. }), "{error}");
    }
}
