//! What the stand-in knows: accounts, tokens, sources, broadcasts, media, posts, and what was asked of it.

use super::{
    Settings,
    faults::Fault,
    reply::{Refusal, SHAPES, Shape},
    routes::Route,
};
use fieldcast::sys;
use ring::digest;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Somebody with an account at X.
#[derive(Clone, Debug)]
pub struct User {
    pub id: String,
    pub username: String,
    /// Whether X lets this account go live.
    pub eligible: bool,
}

/// Who asks, and what they may.
#[derive(Clone, Debug)]
pub struct Account {
    pub user: usize,
    /// None for OAuth 1.0a, whose app has read and write.
    pub scopes: Option<Vec<String>>,
}

/// A code that the authorise page gave.
pub struct Code {
    pub code: String,
    pub user: usize,
    pub scope: String,
    pub challenge: String,
    pub redirect: String,
    pub until: Duration,
}

/// What a user gave to the app.
pub struct Grant {
    pub user: usize,
    pub scope: String,
    pub access: String,
    pub until: Duration,
    pub refresh: Option<String>,
    pub revoked: bool,
}

/// A user token of OAuth 1.0a, with those of the app.
#[derive(Clone, Debug)]
pub struct Signer {
    pub user: usize,
    pub consumer_key: String,
    pub consumer_secret: String,
    pub token: String,
    pub token_secret: String,
}

#[derive(Clone, Debug)]
pub struct Source {
    pub id: String,
    pub user: usize,
    pub name: String,
    pub region: &'static str,
    pub stream_key: String,
    /// Video comes now.
    pub active: bool,
    /// When video came last, since 1970.
    pub last_video: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    NotStarted,
    Running,
    Ended,
    TimedOut,
    Canceled,
}

impl State {
    /// As X says it (facts 1B).
    pub fn text(self) -> &'static str {
        match self {
            Self::NotStarted => "NOT_STARTED",
            Self::Running => "RUNNING",
            Self::Ended => "ENDED",
            Self::TimedOut => "TIMED_OUT",
            Self::Canceled => "CANCELED",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Broadcast {
    pub id: String,
    pub user: usize,
    /// None once the source is deleted.
    pub source_id: Option<String>,
    pub state: State,
    pub title: String,
    pub chat_option: u64,
    pub language: String,
    pub created: Duration,
    pub started: Option<Duration>,
    pub ended: Option<Duration>,
    /// The announcement, unless it was not wanted.
    pub post: Option<String>,
    /// How often it was read: the announcement is there from the second time on.
    pub read: u32,
    pub media_key: String,
    pub watching: u64,
    pub scheduled: Option<Scheduled>,
}

/// When a broadcast is to be, and as what.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// The numeric one, beside that of the broadcast.
    pub id: String,
    pub start: Duration,
    pub end: Duration,
    pub manual: bool,
    /// What was asked for, as it was asked for.
    pub asked: Value,
    pub failed: bool,
}

#[derive(Clone, Debug)]
pub struct Post {
    pub id: String,
    pub user: usize,
    pub text: String,
    pub media_ids: Vec<String>,
}

/// A file that is or was uploaded, or that a broadcast left.
pub struct Media {
    pub id: String,
    pub key: String,
    pub user: usize,
    /// As it was announced, such as `tweet_video`.
    pub category: String,
    pub content_type: String,
    pub total: u64,
    pub upload: Upload,
    /// When it was finalised.
    pub finalized: Option<Duration>,
    pub broken: bool,
    pub alt_text: Option<String>,
    /// Bits per second and bytes of each file that can be had.
    pub variants: Vec<(u64, u64)>,
    /// The earliest time at which the status may be asked for, and how often it was asked for before.
    pub ask_after: Duration,
    pub hasty: u32,
}

/// Segments that came. The bytes are not kept, but those of segments that came before their turn.
pub struct Upload {
    pub segments: BTreeMap<u64, ([u8; 32], u64)>,
    pub early: BTreeMap<u64, bytes::Bytes>,
    pub next: u64,
    pub hash: digest::Context,
    pub length: u64,
    /// The first bytes, which tell what it is.
    pub head: Vec<u8>,
}

/// One request. Nothing secret is in it: a path that the schema refuses is shown as its template.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When it came, since 1970, by the stand-in's clock.
    pub at: Duration,
    pub method: String,
    pub path: String,
    /// The path with its parameters in braces; empty if there is no such route.
    pub template: String,
    /// None while there is no answer, and where a fault left none.
    pub status: Option<u16>,
    /// Why it was refused.
    pub refusal: Option<String>,
}

pub struct World {
    pub settings: Settings,
    /// How far the stand-in's clock was moved on.
    pub ahead: Duration,
    pub users: Vec<User>,
    /// Who is signed in at the browser.
    pub signed_in: usize,
    pub declines: bool,
    pub codes: Vec<Code>,
    pub grants: Vec<Grant>,
    pub signers: Vec<Signer>,
    pub nonces: BTreeSet<(String, String)>,
    pub sources: Vec<Source>,
    pub broadcasts: Vec<Broadcast>,
    pub media: Vec<Media>,
    pub posts: Vec<Post>,
    pub faults: Vec<(Route, Fault, u32)>,
    pub limits: BTreeMap<Route, u32>,
    /// Requests of a user at a route, and when the count begins anew.
    pub spent: BTreeMap<(usize, Route), (u32, Duration)>,
    pub asked: Vec<Asked>,
    pub violations: Vec<String>,
    /// Where its other host is: not X's API, and so not to be given a token.
    pub elsewhere: String,
    /// Ids that were given.
    count: u64,
    shapes: usize,
}

/// How long the requests of a limit are counted.
const WINDOW: Duration = Duration::from_secs(15 * 60);

impl World {
    pub fn new(settings: Settings, elsewhere: String) -> Self {
        let mut world = Self {
            settings,
            ahead: Duration::ZERO,
            users: Vec::new(),
            signed_in: 0,
            declines: false,
            codes: Vec::new(),
            grants: Vec::new(),
            signers: Vec::new(),
            nonces: BTreeSet::new(),
            sources: Vec::new(),
            broadcasts: Vec::new(),
            media: Vec::new(),
            posts: Vec::new(),
            faults: Vec::new(),
            limits: BTreeMap::new(),
            spent: BTreeMap::new(),
            asked: Vec::new(),
            violations: Vec::new(),
            elsewhere,
            count: 0,
            shapes: 0,
        };
        world.add_user("fieldcast");
        world
    }

    /// The stand-in's own time since 1970.
    pub fn now(&self) -> Duration {
        sys::wall() + self.ahead
    }

    /// An id of 19 digits, such as those of sources, media and posts.
    pub fn id(&mut self) -> String {
        self.count += 1;
        (1_923_456_789_012_345_678 + self.count * 1_000_003).to_string()
    }

    /// An id of a broadcast: 13 letters and digits.
    pub fn broadcast_id(&mut self) -> String {
        self.count += 1;
        format!("1yKS{:09}", self.count * 7_919 % 1_000_000_000)
    }

    pub fn add_user(&mut self, username: &str) -> usize {
        let id = self.id();
        self.users.push(User { id, username: username.to_owned(), eligible: true });
        self.users.len() - 1
    }

    pub fn user(&self, username: &str) -> usize {
        self.users.iter().position(|user| user.username == username).unwrap_or_else(|| panic!("no user {username}"))
    }

    /// The shape of the next error.
    pub fn shape(&mut self) -> Shape {
        if self.settings.all_error_shapes {
            self.shapes += 1;
        }
        SHAPES[self.shapes % SHAPES.len()]
    }

    /// Counts a request; the headers that tell so, and whether it is too many.
    pub fn spend(&mut self, user: usize, route: Route) -> (Vec<(&'static str, String)>, bool) {
        let now = self.now();
        let limit = self.limits.get(&route).copied().unwrap_or(route.limit());
        let (count, reset) = self.spent.entry((user, route)).or_insert((0, now + WINDOW));
        if now >= *reset {
            (*count, *reset) = (0, now + WINDOW);
        }
        let too_many = *count >= limit;
        *count += u32::from(!too_many);
        (rate_headers(limit, limit - *count, *reset), too_many)
    }

    /// Takes the next fault of this route.
    pub fn fault(&mut self, route: Route) -> Option<Fault> {
        let at = self.faults.iter().position(|(of, ..)| *of == route)?;
        let (_, fault, left) = &mut self.faults[at];
        *left -= 1;
        let (fault, over) = (fault.clone(), *left == 0);
        if over {
            self.faults.remove(at);
        }
        Some(fault)
    }

    /// A refusal unless the app is on the list for the Livestream API (facts 1B: 403).
    pub fn allowed(&self) -> Result<(), Refusal> {
        let refusal = Fault::NotAllowListed.refusal().expect("is one");
        if self.settings.allow_listed { Ok(()) } else { Err(refusal) }
    }

    /// A refusal unless this user may go live (facts 1B: 412).
    pub fn eligible(&self, user: usize) -> Result<(), Refusal> {
        let refusal = Fault::NotEligible.refusal().expect("is one");
        if self.users[user].eligible { Ok(()) } else { Err(refusal) }
    }

    pub fn source(&mut self, user: usize, id: &str) -> Result<&mut Source, Refusal> {
        let found = self.sources.iter_mut().find(|source| source.user == user && source.id == id);
        found.ok_or_else(|| Refusal::missing("source"))
    }
}

pub fn rate_headers(limit: u32, remaining: u32, reset: Duration) -> Vec<(&'static str, String)> {
    vec![
        ("x-rate-limit-limit", limit.to_string()),
        ("x-rate-limit-remaining", remaining.to_string()),
        ("x-rate-limit-reset", reset.as_secs().to_string()),
    ]
}

/// Letters and digits that nobody guesses.
pub fn secret(length: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(length).collect()
}
