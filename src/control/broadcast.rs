//! The box's own Broadcast in the Studio: what is wanted of it, what is known of it, and the one question that is under way.
//!
//! ```text
//! publish ─▶ Waiting ──active──▶ Keeping ──kept──▶ Asking ──answer──▶ Known ──end──▶ (over)
//!               ▲                                    │ answer lost       ▲
//!               └──────── none, believed ───────── Doubt ────found───────┘
//! ```
//!
//! The API has no idempotency keys, so a Broadcast is never asked for twice blindly: the record is on the disk before the API
//! hears of it, and what may have been made is looked for until it is found or certainly is not there. One question is asked at
//! a time, so an end follows every answer that could still make something public.

mod ask;
mod hear;
mod show;
mod wish;

use super::{Effect, Now, RequestId};
use crate::{
    command::{Answer, Reason, studio::Publish},
    settings::{Source, StudioId},
    studio::{self, Ask, AskId, BroadcastState, Trouble},
    units::Time,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

/// The Source, and a Broadcast that is not public yet, are looked at so often: 180 requests of the 450 in 15 minutes that
/// the API allows.
const POLL: Duration = Duration::from_secs(5);
/// A public Broadcast is looked at so often.
const WATCH: Duration = Duration::from_secs(15);
/// What the Studio said of the Source is good for so long.
const FRESH: Duration = Duration::from_secs(6);
/// A request whose answer was lost may be carried out so long after: only then "there is none" is believed.
const SETTLE: Duration = Duration::from_secs(10);
/// A disk that says nothing does not hold a Broadcast up for longer.
const DISK: Duration = Duration::from_secs(5);
/// A Broadcast of an account that is not linked any more, whose Source gets nothing from here, is over by then: X ends it 5 min
/// after the last video.
const GONE: Duration = Duration::from_secs(600);
/// How long `publish` waits.
const PUBLISH: Duration = Duration::from_secs(60);
/// How long `end` waits.
const END: Duration = Duration::from_secs(30);
/// The longest pause after a failure; longer only where the Studio says so, or nothing but a person helps.
const PAUSE: Duration = Duration::from_secs(30);
/// The same where only a person helps, and nothing waits for it.
const LONG_PAUSE: Duration = Duration::from_secs(60);
/// The longest that the Studio can make the box wait: the window of its limits.
const LIMIT: Duration = Duration::from_secs(900);

/// The box's clock and the Studio's may differ by so much.
const SKEW: Duration = Duration::from_secs(60);
/// A Broadcast of which nothing was heard for so long is told of.
const UNCONFIRMED: Duration = Duration::from_secs(60);

/// What the operator wants of a Broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    /// That it is public.
    Published,
    /// That it is not any more.
    Ended,
}

/// A Broadcast as it is kept over a power cut, from before the Studio is asked for it until it certainly is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SavedBroadcast {
    /// What is wanted.
    pub wish: Wish,
    /// When it was first asked for; none: the clock was not set.
    pub begun: Option<Timestamp>,
    /// The Source's name in the settings.
    pub source: String,
    /// Its account and id in the Studio.
    pub studio: StudioId,
    /// How it is published.
    pub publish: Publish,
    /// Its id, once that is known; before, it is not known whether there is one.
    pub id: Option<String>,
    /// The one before it, which is over.
    pub before: Option<String>,
}

/// How far a Broadcast is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The Source has to get media first. There certainly is no Broadcast.
    Waiting,
    /// It is being written down under this mark, since then.
    Keeping(u64, Time),
    /// It is asked for, or will be at once.
    Asking,
    /// It may have been made, at this time at the latest.
    Doubt(Time),
    /// Its id is known.
    Known,
}

/// What the Studio said last of a Broadcast.
#[derive(Debug, Clone, Default)]
struct Seen {
    state: Option<BroadcastState>,
    title: Option<String>,
    viewers: Option<u64>,
    share_url: Option<String>,
    started: Option<Timestamp>,
    /// When it said so, by either clock.
    at: Option<Time>,
    wall: Option<Timestamp>,
}

/// The Broadcast.
#[derive(Debug)]
struct Own {
    saved: SavedBroadcast,
    step: Step,
    /// Whether the disk has it, or may have.
    kept: bool,
    /// When it was first asked for, by this process.
    asked_at: Option<Time>,
    /// Whether it was public before it was asked for.
    already: bool,
    /// Since when it is known, or the process runs.
    since: Time,
    seen: Seen,
}

/// What the Studio said of a Source.
#[derive(Debug)]
struct Activity {
    source_id: String,
    active: bool,
    notes: Vec<String>,
    at: Time,
}

/// A question that waits for its answer.
#[derive(Debug)]
struct Asked {
    id: AskId,
    ask: Ask,
    source_id: String,
    at: Time,
}

/// Why a Broadcast is over.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Over {
    /// As it was wanted.
    Ended,
    /// It was not asked for yet, and is not wanted any more.
    Dropped,
    /// Somebody else, or X, ended it.
    Elsewhere(BroadcastState),
    /// Somebody deleted it.
    Deleted,
    /// The Studio does not want it.
    Refused(Trouble),
    /// Whether there was one is not known, and cannot be found out.
    Unknown,
}

/// Who waits for a Broadcast.
#[derive(Debug)]
struct Waiting {
    request: RequestId,
    until: Time,
    /// Whether it was public when the command came.
    already: bool,
}

/// Where media goes, as far as it matters here.
#[derive(Debug, Default)]
pub struct Place {
    /// The first of the wanted Sources that is one of the Studio.
    pub source: Option<Source>,
    /// The Studio's ids of all wanted Sources.
    pub wanted: Vec<String>,
    /// Whether a push is wanted.
    pub pushing: bool,
    /// Whether the process ends: nothing more is asked.
    pub ending: bool,
    /// The Studio's ids of the Sources that get media now.
    pub delivered: Vec<String>,
}

/// The Broadcast of this box, and what is known of its Source.
#[derive(Debug)]
pub struct Broadcast {
    own: Option<Own>,
    /// What became of the one before, for people.
    last: Option<(SavedBroadcast, Seen, Over)>,
    activity: Option<Activity>,
    asked: Option<Asked>,
    /// Nothing is asked before.
    due: Time,
    /// Failures in a row, and the last one.
    failures: u32,
    trouble: Option<Trouble>,
    /// The end was refused: look first whether it has ended.
    look: bool,
    /// The last one that is over.
    before: Option<String>,
    marks: u64,
    /// That it is over is being written down under this mark, since then: only then an end is acknowledged.
    clearing: Option<(u64, Time)>,
    publishes: Vec<Waiting>,
    ends: Vec<Waiting>,
}

impl Broadcast {
    /// After power-on, with what was kept.
    pub fn new(saved: Option<SavedBroadcast>, now: Time) -> Self {
        let own = saved.map(|saved| Own {
            step: if saved.id.is_some() { Step::Known } else { Step::Doubt(now) },
            saved,
            kept: true,
            asked_at: None,
            already: false,
            since: now,
            seen: Seen::default(),
        });
        Self {
            before: own.as_ref().and_then(|own| own.saved.before.clone()),
            own,
            last: None,
            activity: None,
            asked: None,
            due: now,
            failures: 0,
            trouble: None,
            look: false,
            marks: 0,
            clearing: None,
            publishes: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Whether there is none, and a power cut would not change that.
    pub fn is_over(&self) -> bool {
        self.own.is_none() && self.clearing.is_none()
    }

    /// Whether there is one, wanted or being ended.
    pub fn exists(&self) -> bool {
        self.own.is_some()
    }

    /// Whether it may be public, and should be.
    pub fn published(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.saved.wish == Wish::Published && self.may_be_public(own))
    }

    /// Whether it is to be ended, and that is not acknowledged.
    pub fn is_ending(&self) -> bool {
        self.clearing.is_some() || self.own.as_ref().is_some_and(|own| own.saved.wish == Wish::Ended)
    }

    /// Whether the Studio's Source of this id is public by the Studio's last word.
    pub fn is_public(&self, source_id: &str) -> bool {
        let of = |own: &&Own| own.saved.studio.source_id == source_id;
        self.own.as_ref().filter(of).is_some_and(|own| own.seen.state == Some(BroadcastState::Running))
    }

    /// The name of the Source that is public.
    pub fn public_source(&self) -> Option<&str> {
        let own = self.own.as_ref().filter(|own| self.is_public(&own.saved.studio.source_id))?;
        Some(&own.saved.source)
    }

    fn may_be_public(&self, own: &Own) -> bool {
        let asked = self.asked.as_ref().is_some_and(|asked| matches!(asked.ask, Ask::GoLive { .. }));
        matches!(own.step, Step::Doubt(_) | Step::Known) || asked
    }

    /// Makes what goes to `source` public, and answers `request` then.
    ///
    /// # Errors
    /// The answer to give: another one is public or being ended.
    pub fn publish(&mut self, request: RequestId, publish: Publish, source: &Source, now: Time) -> Result<(), Answer> {
        let Some(studio) = &source.studio else {
            return Err(Answer::failed(Reason::WrongState, "This is no Source of the Studio"));
        };
        let refused = match &self.own {
            None if !self.ends.is_empty() => Some("The Broadcast before is still being ended".into()),
            Some(own) if own.saved.wish == Wish::Ended => Some("The Broadcast before is still being ended".into()),
            Some(own) if own.saved.studio.source_id != studio.source_id => {
                Some(format!("A Broadcast is published from {}: end it first", own.saved.source))
            }
            _ => None,
        };
        if let Some(text) = refused {
            return Err(Answer::failed(Reason::WrongState, text));
        }
        self.publishes.push(Waiting { request, until: now + PUBLISH, already: self.is_public(&studio.source_id) });
        if self.own.is_some() {
            return Ok(());
        }
        let saved = SavedBroadcast {
            wish: Wish::Published,
            begun: None,
            source: source.name.clone(),
            studio: studio.clone(),
            publish,
            id: None,
            before: self.before.clone(),
        };
        let (step, seen) = (Step::Waiting, Seen::default());
        self.own = Some(Own { saved, step, kept: false, asked_at: None, already: false, since: now, seen });
        self.last = None;
        self.hurry(now);
        Ok(())
    }

    /// Ends it, and answers `request` then.
    ///
    /// # Errors
    /// The answer to give: there is none.
    pub fn end(&mut self, request: Option<RequestId>, now: Time, effects: &mut Vec<Effect>) -> Result<(), Answer> {
        let Some(own) = &mut self.own else {
            return Err(Answer::failed(Reason::WrongState, "Nothing is published"));
        };
        if own.saved.wish != Wish::Ended {
            own.saved.wish = Wish::Ended;
            if own.kept {
                self.keep(effects);
            }
            self.fail_publishes("It was ended before it was public", effects);
            // Limits are by route: that of another question does not hold an end up.
            (self.failures, self.due) = (0, now);
        }
        self.ends.extend(request.map(|request| Waiting { request, until: now + END, already: false }));
        Ok(())
    }

    /// A push begins or ends: what became of the Broadcast before is not told any more.
    pub fn forget_last(&mut self) {
        self.last = None;
    }

    fn hurry(&mut self, now: Time) {
        self.failures = 0;
        if !matches!(self.trouble, Some(Trouble::TooMany(_))) {
            self.due = now;
        }
    }

    /// Another network: what was not reached may be now.
    pub fn network_changed(&mut self, now: Time) {
        if self.trouble == Some(Trouble::Unreachable) {
            self.hurry(now);
        }
    }

    /// What was to be kept under `mark` is on the disk, or cannot be; delivery matters more.
    pub fn note_kept(&mut self, mark: u64) {
        if let Some(own) = self.own.as_mut().filter(|own| matches!(own.step, Step::Keeping(kept, _) if kept == mark)) {
            own.step = Step::Asking;
        }
        self.clearing.take_if(|(kept, _)| *kept == mark);
    }
}

impl Own {
    /// When the Studio last said something of it.
    fn confirmed(&self) -> Time {
        self.seen.at.unwrap_or(self.since)
    }

    /// Whether the Studio knew it a moment ago: it may not be in all that it answers from yet.
    fn just_seen(&self, now: Time) -> bool {
        self.seen.at.is_some_and(|at| now.since(at) < SETTLE)
    }
}
