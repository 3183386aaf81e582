//! What the box asks about its own Broadcast, and what it is told. Asked of the account and Source of a push Source with
//! `studio = {...}`.

use super::{Broadcast, Studio, Trouble};
use crate::settings::Secret;
use jiff::Timestamp;

/// Where a Source takes its media, verbatim as the API says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    /// `rtmps://` where there is one.
    pub url: String,
    /// The stream key.
    pub key: Secret,
    /// The region of the Source.
    pub region: Option<String>,
}

/// A question; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// A question to the Studio. Each is one call of the API, except [`Find`](Ask::Find), which may read several pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Does the Source get media?
    Source,
    /// Make what the Source gets public (`POST /2/broadcasts`). Never repeated by who performs it.
    GoLive {
        /// The title, and the text of the post.
        title: Option<String>,
        /// Who may chat, the API's number.
        chat_option: Option<u8>,
        /// Such as `en_US`.
        locale: Option<String>,
        /// Whether X posts the Broadcast.
        post: Option<bool>,
    },
    /// The newest Broadcast of the Source that began at `since` or later.
    Find {
        /// Not those before; none: the clock was not set, so only one that is running now is meant.
        since: Option<Timestamp>,
    },
    /// How is this Broadcast?
    Broadcast {
        /// Its id.
        id: String,
    },
    /// End this Broadcast. Ending one that has ended is no failure.
    End {
        /// Its id.
        id: String,
    },
}

/// The one answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// To [`Ask::Source`].
    Source {
        /// Whether the Studio says that media comes.
        active: bool,
        /// What the Studio finds wrong with the stream, for people.
        notes: Vec<String>,
    },
    /// To [`Ask::GoLive`], and to [`Ask::Broadcast`].
    Broadcast(Box<Broadcast>),
    /// To [`Ask::Find`].
    Found(Option<Box<Broadcast>>),
    /// To [`Ask::End`].
    Ended,
    /// It could not be learnt or done.
    Failed(Trouble),
}

impl Studio {
    /// Asks about the box's own Broadcast, of the Source `source_id` of `account`.
    pub async fn ask(&self, account: Option<&str>, source_id: &str, ask: Ask) -> Told {
        let _ = (source_id, ask);
        Told::Failed(Trouble::NotLinked(account.unwrap_or_default().into()))
    }

    /// Ingest and stream key of a Source.
    ///
    /// # Errors
    /// They cannot be learnt, and are not known from before.
    pub async fn ingest(&self, account: Option<&str>, source_id: &str) -> Result<Ingest, Trouble> {
        let _ = source_id;
        Err(Trouble::NotLinked(account.unwrap_or_default().into()))
    }
}
