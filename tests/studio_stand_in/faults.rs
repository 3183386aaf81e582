//! How the stand-in can fail when a test asks for it.

use super::{
    reply::{Refusal, Sent},
    server::Answer,
};
use bytes::Bytes;
use std::time::Duration;

/// One way to fail. "Before": the request is not carried out. "After": it is, and only the answer is wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Before: 401, as with a token that is expired or revoked.
    Unauthorized,
    /// Before: 403, the app is not on the list.
    NotAllowListed,
    /// Before: 404.
    NotFound,
    /// Before: 409.
    Conflict,
    /// Before: 412, the account may not go live.
    NotEligible,
    /// Before: 429, until so long from now.
    TooMany(Duration),
    /// Before: 500, 502, 503 or any other.
    Status(u16),
    /// Before: a page for people, with this status.
    Html(u16),
    /// Before: 307 to another host.
    RedirectAway,
    /// Before: no answer as long as the client waits.
    Hang,
    /// Before: the connection is cut.
    Cut,
    /// After: the connection is cut without a byte of the answer.
    LostAnswer,
    /// After: no answer as long as the client waits.
    HangAfter,
    /// After: half of the text, as if it were all.
    TruncatedJson,
    /// After: half of the text, then the connection is cut.
    HalfBody,
    /// After: 100 MB of something that begins like JSON.
    Huge,
    /// After: a byte at a time, so long apart.
    Drip(Duration),
}

impl Fault {
    /// The refusal that it is, if it is one in a documented shape.
    pub fn refusal(&self) -> Option<Refusal> {
        Some(match self {
            Self::Unauthorized => Refusal::plain(401, "Unauthorized"),
            Self::NotAllowListed => Refusal::plain(403, "This app is not allowed to use the Livestream API."),
            Self::NotFound => Refusal::missing("resource"),
            Self::Conflict => Refusal::conflict("The source can't go live right now."),
            Self::NotEligible => Refusal::plain(412, "This user may not go live."),
            Self::TooMany(_) => Refusal::plain(429, "Too Many Requests"),
            Self::Status(status) => Refusal::plain(*status, "Something is broken."),
            _ => return None,
        })
    }

    pub fn is_before(&self) -> bool {
        let after = [Self::LostAnswer, Self::HangAfter, Self::TruncatedJson, Self::HalfBody, Self::Huge];
        !after.contains(self) && !matches!(self, Self::Drip(_))
    }

    /// What becomes of the right answer, of which this is the beginning and the length, in bytes.
    pub fn spoil(&self, text: Bytes, length: u64) -> Answer {
        let half = text.slice(..text.len().min(length as usize / 2));
        Answer::Send(match self {
            Self::LostAnswer => return Answer::Cut,
            Self::HangAfter => return Answer::Hang,
            Self::TruncatedJson => Sent::Whole(half),
            Self::HalfBody => Sent::cut(half, length),
            Self::Huge => Sent::Endless(100_000_000),
            Self::Drip(each) => Sent::dripping(text, *each),
            _ => Sent::Whole(text),
        })
    }
}
