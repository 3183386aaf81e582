//! Server-sent events: the whole status on each change.

use crate::status::Status;
use axum::response::sse::Event;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

/// Time between two events.
const PAUSE: Duration = Duration::from_millis(500);

/// The status now and on each change, at most two a second. A slow client misses states in between, never the last one.
/// Ends with `ended`; `slot` is given back then, or when the client is gone.
pub fn stream(
    status: watch::Receiver<Arc<Status>>,
    slot: OwnedSemaphorePermit,
    ended: impl Future<Output = ()> + Send + 'static,
) -> ReceiverStream<Result<Event, Infallible>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = ended => {}
            () = feed(status, &sender) => {}
            () = sender.closed() => {}
        }
        drop(slot);
    });
    ReceiverStream::new(receiver)
}

async fn feed(mut status: watch::Receiver<Arc<Status>>, sender: &mpsc::Sender<Result<Event, Infallible>>) {
    while let Ok(room) = sender.reserve().await {
        let current = Arc::clone(&status.borrow_and_update());
        match Event::default().event("status").json_data(&*current) {
            Ok(event) => room.send(Ok(event)),
            Err(error) => tracing::error!(%error, "the status cannot be written as JSON"),
        }
        tokio::time::sleep(PAUSE).await;
        if status.changed().await.is_err() {
            return;
        }
    }
}
