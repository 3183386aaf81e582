//! What can be asked of X Media Studio: the words and arguments of `publish`, `end`, `schedule` and `studio-…`.

use super::{Answer, Arguments};
use crate::settings::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// How a Broadcast is made public.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Publish {
    /// A Source of the settings; none: the primary.
    pub source: Option<String>,
    /// The Broadcast's title, and the text of its post.
    pub title: Option<String>,
    /// At most two of the Studio's categories: kept with the Broadcast, and hashtags in its post.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Who may chat; none: what X does by itself.
    pub chat: Option<Chat>,
    /// Such as `en_US`.
    pub locale: Option<String>,
    /// Whether X posts the Broadcast; not given: it does.
    pub post: Option<bool>,
}

/// Who may chat (docs.x.com, `chat_option`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chat {
    /// Nobody.
    Off,
    /// Everyone.
    Everyone,
    /// Verified accounts.
    Verified,
    /// Accounts that the broadcaster follows.
    Followed,
    /// Subscribers.
    Subscribers,
}

impl Chat {
    const WORDS: [(&'static str, Self); 5] = [
        ("off", Self::Off),
        ("everyone", Self::Everyone),
        ("verified", Self::Verified),
        ("followed", Self::Followed),
        ("subscribers", Self::Subscribers),
    ];

    /// The API's number for it.
    pub fn option(self) -> u8 {
        match self {
            Self::Off => 1,
            Self::Everyone => 2,
            Self::Verified => 3,
            Self::Followed => 4,
            Self::Subscribers => 5,
        }
    }
}

/// A Broadcast that begins by itself later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The one to change; none: a new one.
    pub id: Option<String>,
    /// The Studio's id of its Source, or the name of a Source of the settings that has one; for a new one.
    pub source: Option<String>,
    /// When it begins; for a new one.
    pub start: Option<Timestamp>,
    /// When it ends.
    pub end: Option<Timestamp>,
    /// Its title.
    pub title: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Who may chat.
    pub chat: Option<Chat>,
    /// Such as `en_US`.
    pub locale: Option<String>,
}

/// What a computer hands to the box so that it may act for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// OAuth 2.0 with PKCE.
    OAuth2 {
        /// The operator's app.
        client_id: String,
        /// Worth something for two hours.
        access_token: Secret,
        /// Gives the next two; none: the link ends with the access token.
        refresh_token: Option<Secret>,
        /// Seconds from now on for which the access token is good.
        expires_in: u64,
    },
    /// OAuth 1.0a.
    OAuth1 {
        /// The operator's app.
        consumer_key: Secret,
        /// Its secret.
        consumer_secret: Secret,
        /// The user's token.
        token: Secret,
        /// Its secret.
        token_secret: Secret,
    },
}

/// Something that the Studio is asked, by the box or by a computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The linked account that asks, by its name; none: the one of the settings, or the only one.
    pub account: Option<String>,
    /// What.
    pub what: What,
}

/// What the Studio is asked. Ids are the API's, of 1 to 19 digits and letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The linked accounts.
    Accounts,
    /// Act for an account from now on.
    Link(Grant),
    /// Forget the account, and let its tokens be worth nothing.
    Unlink,
    /// All Sources.
    Sources,
    /// One Source.
    Source(String),
    /// Make a Source.
    CreateSource {
        /// Its name.
        name: String,
        /// Its region; none: the one that X recommends from here.
        region: Option<String>,
    },
    /// Give a Source another name.
    RenameSource(String, String),
    /// Delete a Source.
    DeleteSource(String),
    /// The last Broadcasts, newest first.
    Broadcasts {
        /// How many, 1 to 100.
        limit: u8,
    },
    /// One Broadcast.
    Broadcast(String),
    /// End a Broadcast, whoever made it.
    EndBroadcast(String),
    /// Delete a Broadcast that has ended.
    DeleteBroadcast(String),
    /// What is scheduled.
    Schedules,
    /// Schedule a Broadcast, or change that.
    Schedule(Box<Schedule>),
    /// Take a scheduled Broadcast back.
    CancelSchedule(String),
    /// Begin a scheduled Broadcast now.
    StartSchedule(String),
    /// Upload an image, GIF or video.
    Upload {
        /// The file, where it is asked.
        file: PathBuf,
        /// The API's `media_category`; none: by what the file is.
        category: Option<String>,
        /// What those are told who do not see it, 1 to 1000 characters.
        alt_text: Option<String>,
    },
    /// Post.
    Post {
        /// The text.
        text: String,
        /// Ids of uploaded media, up to four.
        media: Vec<String>,
    },
    /// A media object with its variants.
    Media(String),
    /// The best variant of a media object, to a file.
    Download {
        /// The media key.
        key: String,
        /// Where to; none: named by the key, in the recordings.
        file: Option<PathBuf>,
    },
}

impl What {
    /// Its command's name on every surface, and whether it takes something from viewers or for ever.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accounts => "studio-accounts",
            Self::Link(_) => "studio-link",
            Self::Unlink => "studio-unlink",
            Self::Sources => "studio-sources",
            Self::Source(_) => "studio-source",
            Self::CreateSource { .. } => "studio-source-create",
            Self::RenameSource(..) => "studio-source-rename",
            Self::DeleteSource(_) => "studio-source-delete",
            Self::Broadcasts { .. } => "studio-broadcasts",
            Self::Broadcast(_) => "studio-broadcast",
            Self::EndBroadcast(_) => "studio-broadcast-end",
            Self::DeleteBroadcast(_) => "studio-broadcast-delete",
            Self::Schedules => "studio-schedules",
            Self::Schedule(_) => "schedule",
            Self::CancelSchedule(_) => "studio-schedule-cancel",
            Self::StartSchedule(_) => "studio-schedule-start",
            Self::Upload { .. } => "studio-upload",
            Self::Post { .. } => "studio-post",
            Self::Media(_) => "studio-media",
            Self::Download { .. } => "studio-download",
        }
    }
}

impl Publish {
    pub(super) fn parse(arguments: &Value) -> Result<Self, Answer> {
        let known = ["source", "title", "tags", "chat", "locale", "post"];
        refuse_what_x_has_not(arguments)?;
        let given = Arguments::of("publish", arguments, &known)?;
        let tags = given.texts("tags")?.unwrap_or_default();
        if tags.len() > 2 {
            return Err(Answer::wrong("tags", "at most two"));
        }
        Ok(Self {
            source: given.optional_text("source")?,
            title: given.optional_text("title")?,
            tags,
            chat: chat(&given)?,
            locale: locale(&given)?,
            post: given.flag("post")?,
        })
    }
}

/// Fields that people look for and the API does not have (docs.x.com, `POST /2/broadcasts`).
fn refuse_what_x_has_not(arguments: &Value) -> Result<(), Answer> {
    let asked = |field: &str| arguments.get(field).is_some_and(|value| !value.is_null());
    for (field, text) in [
        ("hearts", "X's API has no field for hearts: switch them off in the Studio's web page"),
        ("private", "X's API makes every Broadcast public; post = false leaves out the post only"),
        ("latency", "X's API refuses it: set output.latency and output.keyframe-interval of the box"),
    ] {
        if asked(field) {
            return Err(Answer::wrong(field, text));
        }
    }
    Ok(())
}

fn chat(given: &Arguments) -> Result<Option<Chat>, Answer> {
    let Some(word) = given.optional_text("chat")? else { return Ok(None) };
    match Chat::WORDS.iter().find(|(known, _)| *known == word) {
        Some((_, chat)) => Ok(Some(*chat)),
        None => Err(Answer::wrong("chat", "expected off, everyone, verified, followed or subscribers")),
    }
}

fn locale(given: &Arguments) -> Result<Option<String>, Answer> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match given.optional_text("locale")? {
        Some(text) if text.len() > 16 || !text.chars().all(word) => {
            Err(Answer::wrong("locale", "expected a locale such as en_US"))
        }
        locale => Ok(locale),
    }
}

/// An id of the API: it becomes a part of a path.
fn id(given: &Arguments, name: &str) -> Result<String, Answer> {
    let id = given.text(name)?;
    match !id.is_empty() && id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        true => Ok(id),
        false => Err(Answer::wrong(name, "expected an id of the Studio: digits and letters")),
    }
}

fn ids(given: &Arguments, name: &str) -> Result<Vec<String>, Answer> {
    let ids = given.texts(name)?.unwrap_or_default();
    match ids.len() <= 4 && ids.iter().all(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_digit())) {
        true => Ok(ids),
        false => Err(Answer::wrong(name, "expected up to four media ids")),
    }
}

impl Request {
    /// The request that command `name` is; none: it is none of the Studio's.
    pub(super) fn parse(name: &str, arguments: &Value) -> Option<Result<Self, Answer>> {
        let read = |known: &[&'static str], what: &dyn Fn(&Arguments) -> Result<What, Answer>| {
            let known = [&["account"], known].concat();
            let given = Arguments::of(name, arguments, &known)?;
            Ok(Self { account: given.optional_text("account")?, what: what(&given)? })
        };
        let with_id = |what: &dyn Fn(String) -> What| read(&["id"], &|given| Ok(what(id(given, "id")?)));
        Some(match name {
            "studio-accounts" => read(&[], &|_| Ok(What::Accounts)),
            "studio-link" => read(&GRANT, &|given| Ok(What::Link(grant(given)?))),
            "studio-unlink" => read(&[], &|_| Ok(What::Unlink)),
            "studio-sources" => read(&[], &|_| Ok(What::Sources)),
            "studio-source" => with_id(&What::Source),
            "studio-source-create" => read(&["name", "region"], &|given| {
                Ok(What::CreateSource { name: given.text("name")?, region: given.optional_text("region")? })
            }),
            "studio-source-rename" => {
                read(&["id", "name"], &|given| Ok(What::RenameSource(id(given, "id")?, given.text("name")?)))
            }
            "studio-source-delete" => confirmed(&read, &What::DeleteSource, "This deletes the Source"),
            "studio-broadcasts" => read(&["limit"], &|given| {
                Ok(What::Broadcasts { limit: given.number("limit", 1..=100)?.map_or(20, |limit| limit as u8) })
            }),
            "studio-broadcast" => with_id(&What::Broadcast),
            "studio-broadcast-end" => confirmed(&read, &What::EndBroadcast, "This ends the Broadcast for its viewers"),
            "studio-broadcast-delete" => confirmed(&read, &What::DeleteBroadcast, "This deletes the Broadcast"),
            "studio-schedules" => read(&[], &|_| Ok(What::Schedules)),
            "schedule" => {
                if let Err(answer) = refuse_what_x_has_not(arguments) {
                    return Some(Err(answer));
                }
                read(&SCHEDULE, &|given| Ok(What::Schedule(Box::new(schedule(given)?))))
            }
            "studio-schedule-cancel" => with_id(&What::CancelSchedule),
            "studio-schedule-start" => with_id(&What::StartSchedule),
            "studio-upload" => read(&["file", "category", "alt-text"], &|given| {
                Ok(What::Upload {
                    file: given.text("file")?.into(),
                    category: given.optional_text("category")?,
                    alt_text: given.long_text("alt-text", 1000)?,
                })
            }),
            "studio-post" => read(&["text", "media"], &|given| {
                let text = given.long_text("text", 4000)?;
                Ok(What::Post { text: text.unwrap_or_default(), media: ids(given, "media")? })
            }),
            "studio-media" => read(&["key"], &|given| Ok(What::Media(id(given, "key")?))),
            "studio-download" => read(&["key", "file"], &|given| {
                Ok(What::Download { key: id(given, "key")?, file: given.optional_text("file")?.map(Into::into) })
            }),
            _ => return None,
        })
    }
}

const SCHEDULE: [&str; 8] = ["id", "source", "start", "end", "title", "description", "chat", "locale"];

fn schedule(given: &Arguments) -> Result<Schedule, Answer> {
    let changed = given.given("id").map(|_| id(given, "id")).transpose()?;
    let schedule = Schedule {
        source: given.optional_text("source")?,
        start: given.time("start")?,
        end: given.time("end")?,
        title: given.optional_text("title")?,
        description: given.long_text("description", 1000)?,
        chat: chat(given)?,
        locale: locale(given)?,
        id: changed,
    };
    if schedule.id.is_none() && schedule.start.is_none() {
        return Err(Answer::wrong("start", "is missing"));
    }
    if let (Some(start), Some(end)) = (schedule.start, schedule.end)
        && end <= start
    {
        return Err(Answer::wrong("end", "is not after the start"));
    }
    Ok(schedule)
}

const GRANT: [&str; 8] = [
    "client-id",
    "access-token",
    "refresh-token",
    "expires-in",
    "consumer-key",
    "consumer-secret",
    "token",
    "token-secret",
];

fn grant(given: &Arguments) -> Result<Grant, Answer> {
    let secret = |name: &str| given.text(name).map(Secret::new);
    if given.given("client-id").is_some() {
        return Ok(Grant::OAuth2 {
            client_id: given.text("client-id")?,
            access_token: secret("access-token")?,
            refresh_token: given.optional_text("refresh-token")?.map(Secret::new),
            expires_in: given.number("expires-in", 0..=31_536_000)?.unwrap_or(7200),
        });
    }
    if given.given("consumer-key").is_some() {
        return Ok(Grant::OAuth1 {
            consumer_key: secret("consumer-key")?,
            consumer_secret: secret("consumer-secret")?,
            token: secret("token")?,
            token_secret: secret("token-secret")?,
        });
    }
    Err(Answer::wrong("client-id", "is missing: `fieldcast studio link` sends what is needed"))
}

type Read<'a> = dyn Fn(&[&'static str], &dyn Fn(&Arguments) -> Result<What, Answer>) -> Result<Request, Answer> + 'a;

fn confirmed(read: &Read<'_>, what: &dyn Fn(String) -> What, ends: &str) -> Result<Request, Answer> {
    read(&["id", "confirm"], &|given| {
        let id = id(given, "id")?;
        match given.flag("confirm")? {
            Some(true) => Ok(what(id)),
            _ => Err(Answer::not_confirmed(ends)),
        }
    })
}
