//! The stream of messages down to one agent: what the registry queues, until the session ends, then why.

use futures_util::stream::{self, Stream};
use redeploy_proto::v1::CoordinatorMessage;
use tokio::sync::watch;
use tonic::Status;

use super::registry::{Ending, Orders};

struct Down {
    first: Option<CoordinatorMessage>,
    orders: Orders,
    ending: watch::Receiver<Ending>,
    is_over: bool,
}

/// `first`, then orders as they come. The end comes at once, before what is still queued.
pub(super) fn down(
    first: CoordinatorMessage,
    orders: Orders,
    ending: watch::Receiver<Ending>,
) -> impl Stream<Item = Result<CoordinatorMessage, Status>> + Send + 'static {
    let down = Down { first: Some(first), orders, ending, is_over: false };
    stream::unfold(down, |mut down| async move {
        if down.is_over {
            return None;
        }
        if let Some(first) = down.first.take() {
            return Some((Ok(first), down));
        }
        let next = tokio::select! {
            biased;
            why = ended(&mut down.ending) => Err(why),
            order = down.orders.recv() => order.map(|order| *order).ok_or_else(|| Status::unavailable("the session is over")),
        };
        down.is_over = next.is_err();
        Some((next, down))
    })
}

/// Waits for the end of a session.
pub(super) async fn ended(ending: &mut watch::Receiver<Ending>) -> Status {
    match ending.wait_for(Option::is_some).await {
        Ok(why) => why.clone().unwrap_or_else(|| Status::internal("a session ended without a reason")),
        // The registry let go of it without a word: its own reader ended.
        Err(_) => Status::unavailable("the session is over"),
    }
}
