//! The HTTP surface: status, events, commands, preview, metrics and health. It translates and decides nothing.
//!
//! On loopback it speaks HTTP and asks nobody who they are; beyond it speaks HTTPS, on the same port, with paired computers
//! only. Nothing that a client does or leaves undone may cost the box more than a connection of few: sizes, times and numbers
//! are limited in `serve`, and who may ask is judged in `guard`.

mod api;
mod events;
mod guard;
mod metrics;
mod page;
pub mod pairing;
mod preview;
mod problem;
mod serve;
mod studio;
pub mod tls;
pub mod tokens;
mod upload;

pub use serve::{Https, listen, router, serve};

use crate::{
    command::{Answer, Command, Origin},
    remote::message::Progress,
    status::Status,
};
use bytes::Bytes;
use pairing::{Pin, Refusal};
use std::{path::Path, sync::Arc, time::Duration};
use tokens::{Token, TokenId, Tokens};
use tokio::sync::{mpsc, oneshot, watch};

/// Time for a request's head, also the time that an idle connection is kept, and the time for its body.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// What the surface shows and whom it asks.
#[derive(Debug, Clone)]
pub struct Interface {
    /// The one snapshot.
    pub status: watch::Receiver<Arc<Status>>,
    /// The paired computers.
    pub tokens: watch::Receiver<Arc<Tokens>>,
    /// To the loop that does the work.
    pub asks: mpsc::Sender<Ask>,
    /// The state folder, in which uploads are put down.
    pub state: Arc<Path>,
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
        /// Who wants to know how far it is.
        progress: Option<mpsc::UnboundedSender<Progress>>,
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
    /// A token for this PIN.
    Pair {
        /// What was typed.
        pin: Pin,
        /// The computer's name: 1 to 64 characters on one line.
        name: String,
        /// For the token.
        reply: oneshot::Sender<Result<Token, Refusal>>,
    },
    /// A paired computer was here; told each ten minutes.
    Used {
        /// Which.
        id: TokenId,
    },
}
