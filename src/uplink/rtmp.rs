//! An RTMP session on a socket. Every method can be dropped while it waits without losing a byte of the session's state.

use super::{
    Cause, Stage, Target,
    connect::{Stream, within},
    queue::Queue,
    session::{Purpose, Session},
};
use crate::sys::{self, TcpFigures};
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::timeout,
};

/// Bytes given to the kernel at once: more would pass `TCP_NOTSENT_LOWAT` by so much (measured: 32 KB instead of 16).
const PIECE: usize = 4096;
/// rustls may hold this much of what was written.
const TLS_BUFFER: u64 = 16 * 1024;
/// All that a stop may take.
const STOP: Duration = Duration::from_millis(900);
/// Part of it for media that still waits.
const LAST_MEDIA: Duration = Duration::from_millis(400);

/// A connection to an ingest.
pub struct Connection {
    stream: Stream,
    session: Session,
    /// TLS holds bytes that the kernel had no room for.
    unflushed: bool,
}

impl Connection {
    /// Begins a session on a fresh stream.
    pub fn new(stream: Stream, target: &Target, purpose: Purpose) -> Self {
        let session = Session::new(target, purpose, || fastrand::u8(..), sys::now());
        Self { stream, session, unflushed: false }
    }

    /// The session.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The stream.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The stream alone; the session is over.
    pub fn into_stream(self) -> Stream {
        self.stream
    }

    /// Whether all pending bytes are with the kernel: the moment to give the next unit.
    pub fn is_idle(&self) -> bool {
        self.session.pending().is_empty() && !self.unflushed
    }

    /// Waits for the socket and moves bytes one way: what came is handled, or up to 4 KiB are written.
    ///
    /// # Errors
    /// Why the connection is of no use any more.
    pub async fn transfer(&mut self) -> Result<(), Cause> {
        poll_fn(|cx| self.poll_transfer(cx)).await
    }

    fn poll_transfer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        // Reading comes first: when the ingest says why and hangs up, the reason is still there and writing fails.
        let mut bytes = [0; 4096];
        let mut buffer = ReadBuf::new(&mut bytes);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Err(self.session.closed(true))),
            Poll::Ready(Ok(())) => return Poll::Ready(self.session.receive(buffer.filled(), sys::now())),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(self.broken(&error))),
            Poll::Pending => {}
        }
        let pending = self.session.pending();
        if !pending.is_empty() {
            let piece = &pending[..pending.len().min(PIECE)];
            let written =
                ready!(Pin::new(&mut self.stream).poll_write(cx, piece)).map_err(|error| self.broken(&error))?;
            self.session.sent(written);
            self.unflushed = matches!(self.stream, Stream::Tls(_));
            return Poll::Ready(Ok(()));
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx)).map_err(|error| self.broken(&error))?;
            self.unflushed = false;
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    fn broken(&self, error: &io::Error) -> Cause {
        match error.kind() {
            io::ErrorKind::TimedOut => Cause::Stalled,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkDown => {
                Cause::NoNetwork
            }
            // TLS ended without a goodbye, which many servers do.
            io::ErrorKind::UnexpectedEof => self.session.closed(true),
            _ => self.session.closed(false),
        }
    }

    /// Goes through a stage.
    ///
    /// # Errors
    /// Why it cannot be passed; [`Cause::Silent`] at its deadline.
    pub async fn pass(&mut self, stage: Stage) -> Result<(), Cause> {
        within(stage, async {
            while self.session.stage() == Some(stage) {
                self.transfer().await?;
            }
            Ok(())
        })
        .await
    }

    /// Looks at the kernel's count, for the ledger; gives the figures.
    pub fn observe(&mut self) -> Option<TcpFigures> {
        let figures = self.stream.figures()?;
        let behind =
            self.session.pending().len() as u64 + figures.unacknowledged + if self.unflushed { TLS_BUFFER } else { 0 };
        self.session.ledger().tcp(behind, sys::now());
        Some(figures)
    }

    /// Ends the publish and the connection: the rest of the media as far as it goes in 400 ms, `FCUnpublish`,
    /// `deleteStream`, end of stream, and the ingest's own end. Takes at most 0.9 s, whatever the ingest does.
    pub async fn finish(mut self, mut rest: Queue) {
        let goodbye = async {
            let media = async {
                loop {
                    while self.is_idle() {
                        match rest.pop() {
                            Some(unit) => self.session.send(&unit, sys::now()),
                            None => return Ok(()),
                        }
                    }
                    self.transfer().await?;
                }
            };
            if let Ok(Err(cause)) = timeout(LAST_MEDIA, media).await {
                return Err::<(), Cause>(cause);
            }
            self.session.unpublish(sys::now());
            while !self.is_idle() {
                self.transfer().await?;
            }
            let _ = self.stream.shutdown().await;
            // Closing with something unread would send a reset, which can overtake what was just said.
            loop {
                self.transfer().await?;
            }
        };
        let _ = timeout(STOP, goodbye).await;
    }
}
