//! What the box asks about its own Broadcast, and what it is told. Asked of the account and Source of a push Source with
//! `studio = {...}`.

use super::{Broadcast, Studio, Trouble, sources};
use crate::settings::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// Where a Source takes its media, verbatim as the API says. Its serialised form is for its file only: it has the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ingest {
    /// `rtmps://` where there is one.
    pub url: String,
    /// The stream key.
    #[serde(serialize_with = "super::account::reveal")]
    pub key: Secret,
    /// The region of the Source.
    pub region: Option<String>,
}

/// How long a push waits for the API where it has the ingest from before: a box that has lost power is back on air in seconds.
const HURRY: Duration = Duration::from_secs(3);

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
    /// To [`Ask::GoLive`]: the Source was public before, and its Broadcast is as it was (200 instead of 201).
    AlreadyLive(Box<Broadcast>),
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
        let name = match self.linked(account) {
            Ok(linked) => linked.name.clone(),
            Err(trouble) => return Told::Failed(trouble),
        };
        let account = Some(name.as_str());
        let told = match ask {
            Ask::Source => self.activity(account, source_id).await,
            Ask::GoLive { title, chat_option, locale, post } => {
                let body = go_live(source_id, title, chat_option, locale, post);
                self.go_live(account, body).await.map(|(broadcast, already)| match already {
                    true => Told::AlreadyLive(Box::new(broadcast)),
                    false => Told::Broadcast(Box::new(broadcast)),
                })
            }
            Ask::Find { since } => {
                self.find(account, source_id, since).await.map(|broadcast| Told::Found(broadcast.map(Box::new)))
            }
            Ask::Broadcast { id } => self.broadcast(account, &id).await.map(|it| Told::Broadcast(Box::new(it))),
            Ask::End { id } => self.end_broadcast(account, &id).await.map(|()| Told::Ended),
        };
        let mut told = told.unwrap_or_else(Told::Failed);
        if let Told::Broadcast(found) | Told::AlreadyLive(found) | Told::Found(Some(found)) = &mut told {
            found.account = Some(name);
        }
        told
    }

    async fn activity(&self, account: Option<&str>, source_id: &str) -> Result<Told, Trouble> {
        let (source, notes) = self.source(account, source_id).await?;
        let active = match source.active {
            Some(active) => active,
            // Only of the list it is written that it tells.
            None => {
                let all = self.sources(account).await?;
                all.iter().any(|source| source.id == source_id && source.active == Some(true))
            }
        };
        Ok(Told::Source { active, notes })
    }

    /// Ingest and stream key of a Source, as the API says now; where it cannot be asked, as it said last.
    ///
    /// # Errors
    /// They cannot be learnt, and are not known from before; or there is no such Source.
    pub async fn ingest(&self, account: Option<&str>, source_id: &str) -> Result<Ingest, Trouble> {
        let kept = self.kept_ingest(source_id).await;
        let (studio, account, id, last) =
            (self.clone(), account.map(str::to_owned), source_id.to_owned(), kept.clone());
        // A call that refreshes the tokens is not to be broken off: a push that goes on without it leaves it to its end.
        let asked = tokio::spawn(async move { studio.told_ingest(account.as_deref(), &id, last).await });
        let patience = if kept.is_some() { HURRY } else { Duration::MAX };
        let told = timeout(patience, asked).await.ok().and_then(Result::ok).unwrap_or(Err(Trouble::AnswerLost));
        match (told, kept) {
            (Ok(ingest), _) => Ok(ingest),
            (Err(Trouble::NotFound), _) => Err(Trouble::NotFound),
            (Err(trouble), None) => Err(trouble),
            (Err(trouble), Some(ingest)) => {
                tracing::warn!(
                    source_id,
                    why = trouble.text(),
                    "the Studio does not tell the ingest: it is the last known"
                );
                Ok(ingest)
            }
        }
    }

    /// As the API says now, which is kept.
    async fn told_ingest(&self, account: Option<&str>, id: &str, kept: Option<Ingest>) -> Result<Ingest, Trouble> {
        let (source, _) = self.source(account, id).await?;
        let key = self.stream_key(account, id).await?;
        let ingest = sources::ingest(&source, key);
        let ingest = ingest.ok_or_else(|| Trouble::Garbled("the Source's URL is missing".into()))?;
        if kept.as_ref() != Some(&ingest) {
            self.keep_ingest(&source, ingest.key.reveal().to_owned()).await;
        }
        Ok(ingest)
    }
}

/// The body of `POST /2/broadcasts`: a field that was not asked for is left to X.
fn go_live(
    source_id: &str,
    title: Option<String>,
    chat_option: Option<u8>,
    locale: Option<String>,
    post: Option<bool>,
) -> Value {
    let mut body = json!({"source_id": source_id});
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[name] = value;
        }
    };
    add("title", title.map(Value::from));
    add("chat_option", chat_option.map(Value::from));
    add("locale", locale.map(Value::from));
    add("should_not_tweet", post.map(|post| Value::from(!post)));
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_is_left_to_x() {
        assert_eq!(go_live("77", None, None, None, None), json!({"source_id": "77"}));
        let all = go_live("77", Some("Title".into()), Some(1), Some("en_US".into()), Some(false));
        let wanted = json!({
            "source_id": "77", "title": "Title", "chat_option": 1, "locale": "en_US", "should_not_tweet": true,
        });
        assert_eq!(all, wanted);
        assert_eq!(go_live("77", None, None, None, Some(true))["should_not_tweet"], json!(false));
    }
}
