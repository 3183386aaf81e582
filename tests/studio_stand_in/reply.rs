//! Answers: their status, headers and bodies, and the shapes that errors have.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use serde_json::{Value, json};
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub content: Content,
}

pub enum Content {
    None,
    Json(Value),
    /// Bytes of a made file from the first up to the last, excluded.
    File(u64, u64),
}

impl Reply {
    pub fn json(status: u16, value: Value) -> Self {
        Self { status, headers: Vec::new(), content: Content::Json(value) }
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), content: Content::None }
    }

    pub fn to(status: u16, location: String) -> Self {
        Self { status, headers: vec![("location", location)], content: Content::None }
    }
}

/// Which of the documented shapes the body of an error has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// RFC 7807, the shape of the present routes (facts 1C).
    Problem,
    /// `{"errors": ["name: field is required"]}` (facts 1B).
    Texts,
    /// `{"errors": [{"message", "code"}]}` (facts 1B).
    Codes,
    /// `{"error_type", "message"}` (facts 1B).
    Type,
}

pub const SHAPES: [Shape; 4] = [Shape::Problem, Shape::Texts, Shape::Codes, Shape::Type];

/// A request that is not carried out.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: u16,
    pub detail: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Invalid {
        parameter: String,
    },
    Missing {
        resource: &'static str,
    },
    Conflict,
    Internal,
    Plain,
    /// RFC 6749, 5.2.
    Token(&'static str),
}

impl Refusal {
    pub fn invalid(parameter: &str, detail: impl Into<String>) -> Self {
        Self { status: 400, detail: detail.into(), kind: Kind::Invalid { parameter: parameter.to_owned() } }
    }

    /// There is no such thing of this user's. The id is not told: it may be a key.
    pub fn missing(resource: &'static str) -> Self {
        let detail = format!("Could not find {resource} with this id.");
        Self { status: 404, detail, kind: Kind::Missing { resource } }
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self { status: 409, detail: detail.into(), kind: Kind::Conflict }
    }

    pub fn token(error: &'static str, detail: &str) -> Self {
        Self { status: 400, detail: detail.to_owned(), kind: Kind::Token(error) }
    }

    pub fn plain(status: u16, detail: &str) -> Self {
        let kind = if status == 500 { Kind::Internal } else { Kind::Plain };
        Self { status, detail: detail.to_owned(), kind }
    }

    pub fn reply(&self, shape: Shape) -> Reply {
        let (status, detail) = (self.status, &self.detail);
        let title =
            hyper::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()).unwrap_or("Error");
        let problem = |kind: &str| format!("https://api.x.com/2/problems/{kind}");
        let code = match status {
            401 => 32,
            404 => 34,
            429 => 88,
            500.. => 131,
            _ => 25,
        };
        let body = match (&self.kind, shape) {
            (Kind::Token(error), _) => json!({"error": error, "error_description": detail}),
            (_, Shape::Texts) => json!({"errors": [detail]}),
            (_, Shape::Codes) => json!({"errors": [{"message": detail, "code": code}]}),
            (_, Shape::Type) => json!({"error_type": title, "message": detail}),
            (Kind::Invalid { parameter }, _) => json!({
                "type": problem("invalid-request"), "title": "Invalid Request", "detail": detail, "status": status,
                "parameter": parameter,
            }),
            (Kind::Missing { resource }, _) => json!({
                "type": problem("resource-not-found"), "title": "Not Found Error", "detail": detail, "status": status,
                "resource_type": resource,
            }),
            (Kind::Conflict, _) => {
                json!({"type": problem("conflict"), "title": "Conflict", "detail": detail, "status": status})
            }
            (Kind::Internal, _) => {
                json!({"type": problem("internal-error"), "title": title, "detail": detail, "status": status})
            }
            (Kind::Plain, _) => json!({"type": "about:blank", "title": title, "detail": detail, "status": status}),
        };
        let mut reply = Reply::json(status, body);
        if shape == Shape::Problem && !matches!(self.kind, Kind::Token(_)) {
            reply.headers.push(("content-type", "application/problem+json".into()));
        }
        reply
    }
}

/// The byte of a made file at this place: a test can tell whether what it got is in the right place.
pub fn made_byte(at: u64) -> u8 {
    (at ^ (at >> 8).wrapping_mul(31) ^ (at >> 16).wrapping_mul(17)) as u8
}

/// Of a body that is made while it is sent, at most this much at once, in bytes.
const PIECE: u64 = 64 * 1024;

/// A body that need not be in memory.
pub enum Sent {
    Whole(Bytes),
    /// A byte at a time, so long apart.
    Dripping(Bytes, Duration, Pin<Box<Sleep>>),
    /// A made file.
    Made(u64, u64),
    /// JSON text that has no end yet after so many bytes.
    Endless(u64),
    /// The length of the whole is announced, and the connection is cut after this part, once that has left.
    Cut(Option<Bytes>, u64, Pin<Box<Sleep>>),
}

impl Sent {
    pub fn dripping(text: Bytes, each: Duration) -> Self {
        Self::Dripping(text, each, Box::pin(sleep(each)))
    }

    pub fn cut(part: Bytes, length: u64) -> Self {
        Self::Cut(Some(part), length, Box::pin(sleep(Duration::from_millis(100))))
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = |bytes: Bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => frame(std::mem::take(bytes)),
            Self::Dripping(bytes, ..) if bytes.is_empty() => Poll::Ready(None),
            Self::Dripping(bytes, each, wait) => {
                ready!(wait.as_mut().poll(context));
                *wait = Box::pin(sleep(*each));
                frame(bytes.split_to(1))
            }
            Self::Made(at, end) if at == end => Poll::Ready(None),
            Self::Made(at, end) => {
                let next = (*end).min(*at + PIECE);
                let piece = (*at..next).map(made_byte).collect::<Vec<_>>();
                *at = next;
                frame(piece.into())
            }
            Self::Endless(0) => Poll::Ready(None),
            Self::Endless(left) => {
                let piece = (*left).min(PIECE);
                *left -= piece;
                frame(vec![b'['; piece as usize].into())
            }
            Self::Cut(part, _, wait) => match part.take() {
                Some(part) => frame(part),
                None => {
                    ready!(wait.as_mut().poll(context));
                    Poll::Ready(Some(Err(io::Error::other("cut, as a test asked for"))))
                }
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Whole(bytes) | Self::Dripping(bytes, ..) => bytes.len() as u64,
            Self::Made(at, end) => end - at,
            Self::Endless(length) | Self::Cut(_, length, _) => *length,
        })
    }
}
