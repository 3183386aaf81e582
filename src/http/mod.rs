//! The HTTP surface on loopback: status, events, commands, preview, metrics and health. It translates and decides nothing.
//!
//! Nothing that a client does or leaves undone may cost the box more than a connection of few: sizes, times and numbers
//! are limited here, and requests that a web page of another site makes a browser send are refused in `guard`.

mod api;
mod events;
mod guard;
mod metrics;
mod preview;
mod problem;

use crate::{
    command::{Answer, Command, Origin},
    status::Status,
};
use bytes::Bytes;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
};

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// Most bytes of a request's line and headers together, and most headers.
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;
/// Time for a request's head, also the time that an idle connection is kept, and the time for its body.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Time after which a client that does not take its answer is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// What the surface shows and whom it asks.
#[derive(Debug, Clone)]
pub struct Interface {
    /// The one snapshot.
    pub status: watch::Receiver<Arc<Status>>,
    /// To the loop that does the work.
    pub asks: mpsc::Sender<Ask>,
}

/// Something asked of the loop that does the work; a dropped reply is answered as an internal error.
#[derive(Debug)]
pub enum Ask {
    /// Do this.
    Command {
        /// What.
        command: Command,
        /// Who asked.
        origin: Origin,
        /// For the one answer, within 35 s.
        reply: oneshot::Sender<Answer>,
    },
    /// One JPEG of the input; none: there is no picture.
    Preview {
        /// For the picture, within 5 s.
        reply: oneshot::Sender<Option<Bytes>>,
    },
    /// Does the loop come round?
    Health {
        /// For the sign of life, within 5 s.
        reply: oneshot::Sender<()>,
    },
}

/// Serves `listener` for ever. Dropping the future ends all connections.
pub async fn serve(listener: TcpListener, interface: Interface) {
    let router = api::router(interface);
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors: trying again at once would burn a core.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let router = router.clone();
        connections.spawn(async move {
            connection(stream, router).await;
            drop(slot);
        });
    }
}

async fn connection(stream: TcpStream, router: axum::Router) {
    // Also ends a connection whose client has stopped reading (tcp(7): with a window of zero the time runs as well).
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(WRITE_TIMEOUT));
    let _ = stream.set_nodelay(true);
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}
