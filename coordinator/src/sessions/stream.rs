//! The stream of messages down to one agent: what the registry queues, until the session ends, then why.

use futures_util::stream::{self, Stream};
use redeploy_proto::v1::CoordinatorMessage;
use tonic::Status;

use super::line::Line;

struct Down {
    first: Option<Box<CoordinatorMessage>>,
    line: Line,
    is_over: bool,
}

/// `first`, then orders as they come. The end comes at once, before what is still queued.
pub(super) fn down(
    first: CoordinatorMessage,
    line: Line,
) -> impl Stream<Item = Result<CoordinatorMessage, Status>> + Send + 'static {
    let down = Down { first: Some(Box::new(first)), line, is_over: false };
    stream::unfold(down, |mut down| async move {
        if down.is_over {
            return None;
        }
        if let Some(first) = down.first.take() {
            return Some((Ok(*first), down));
        }
        let next = down.line.next().await;
        down.is_over = next.is_err();
        Some((next, down))
    })
}
