//! One continuous timeline out of workers that come and go, and cards that stand in for them.
//!
//! - A stamp is the capture time on the monotonic clock; on each track stamps increase strictly, by a millisecond at least,
//!   because that is what FLV can tell apart.
//! - The program begins at an IDR picture, and switches at IDR pictures only. When live pictures stop, the viewer's player
//!   holds the last one for [`HOLD`]; then comes the slate: its GOP, encoded beforehand, is stamped `now - L`, with L the time
//!   that live pictures take to get here, filled back in one burst as far as the sound that left allows, and repeated until
//!   the next live IDR.
//!   The operator's own cut to slate or test picture is the same switch, without the wait.
//! - Sound is a [`Grid`]: it never gaps, and what is not there is silence.
//! - A unit that leaves is never more than [`INTERLEAVE`] behind what left on the other track: pictures wait for the sound
//!   before them, and a picture that comes too late is stamped later.

use super::{
    grid::{Grid, Instead},
    slate::Gop,
};
use crate::{
    access_unit::{AccessUnit, CodecConfig, Track},
    command::Cut,
    control::WorkerId,
    status::Showing,
    units::Time,
};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// How far apart the two tracks may be when they leave.
pub const INTERLEAVE: Duration = Duration::from_millis(100);
/// A longer gap between pictures is filled by the slate; without one it is shown as a hold.
pub const HOLD: Duration = Duration::from_millis(350);
/// FLV stamps are whole milliseconds.
const STEP: Duration = Duration::from_millis(1);
/// What live pictures take until one has come.
const LIVE_DELAY: Duration = Duration::from_millis(100);
/// A picture that took longer says nothing of the others.
const MOST_DELAY: Duration = Duration::from_secs(1);
/// A program whose input is there waits this long for its first picture; then it begins with the slate.
const FIRST: Duration = Duration::from_secs(3);
/// A live picture that takes so much longer than those before was held up: it does not end a card, as newer ones follow.
const HELD_UP: Duration = Duration::from_millis(500);
/// But for no longer than this.
const CATCHING_UP: Duration = Duration::from_secs(1);
/// A card shows an IDR picture again after this time at the earliest.
const REFRESH: Duration = Duration::from_millis(500);

/// The program's timeline, from the first picture after GO to the end of the push.
#[derive(Debug, Default)]
pub struct Timeline {
    video: Video,
    /// None until the first picture.
    audio: Option<Grid>,
    slate: Option<Gop>,
    bars: Option<Gop>,
    cut: Cut,
    mute: bool,
    /// The card that is shown.
    fill: Option<Fill>,
    /// A live IDR would end the card.
    key_wanted: bool,
    /// When it begins with a card unless a live picture has come.
    begin_at: Option<Time>,
    /// Since when live pictures come that were held up.
    held_up: Option<Time>,
}

#[derive(Debug)]
struct Video {
    worker: Option<WorkerId>,
    /// Whether its last picture was queued, so that the next one can refer to it.
    joined: bool,
    config: Option<Arc<CodecConfig>>,
    /// Stamp of the last picture that left.
    last: Option<Time>,
    /// When the last live picture came in.
    seen: Time,
    /// From capture to here.
    delay: Duration,
    /// Pictures that wait for the sound before them.
    waiting: VecDeque<AccessUnit>,
}

impl Default for Video {
    fn default() -> Self {
        Self {
            worker: None,
            joined: false,
            config: None,
            last: None,
            seen: Time::ZERO,
            delay: LIVE_DELAY,
            waiting: VecDeque::new(),
        }
    }
}

impl Video {
    /// Stamp of the newest picture, left or waiting.
    fn newest(&self) -> Option<Time> {
        self.waiting.back().map(|picture| picture.time).max(self.last)
    }

    fn queue(&mut self, mut unit: AccessUnit) {
        // A worker that came back with the same settings must not make every player start its decoder anew.
        match &self.config {
            Some(config) if **config == *unit.config => unit.config = config.clone(),
            _ => self.config = Some(unit.config.clone()),
        }
        self.waiting.push_back(unit);
    }
}

/// A card on its way to the viewers.
#[derive(Debug)]
struct Fill {
    card: Showing,
    /// Stamp of the next picture, and its place in the GOP.
    next: Time,
    index: u64,
    /// It is to begin anew.
    refresh: bool,
}

impl Timeline {
    /// A timeline that waits for its first picture.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a unit from `worker`; what is ready to leave is appended to `out`.
    pub fn push(&mut self, worker: WorkerId, unit: AccessUnit, now: Time, out: &mut Vec<AccessUnit>) {
        match unit.track {
            Track::Video => self.take_picture(worker, unit, now),
            Track::Audio => {
                let instead = self.instead();
                if let Some(grid) = self.audio.as_mut().filter(|_| instead.is_none()) {
                    grid.take(worker, unit, now, out);
                }
            }
        }
        self.tick(now, out);
    }

    /// Lets time pass: cards and silence fill what did not come, and pictures that waited for sound leave.
    pub fn tick(&mut self, now: Time, out: &mut Vec<AccessUnit>) {
        if self.begin_at.is_some_and(|at| at <= now) && self.due(now).is_some() {
            self.start(now);
        }
        let instead = self.instead();
        if let Some(grid) = &mut self.audio {
            grid.fill(instead, now, out);
        }
        self.fill(now);
        let Some(grid) = &mut self.audio else { return };
        while let Some(picture) = self.video.waiting.front() {
            let after_last = self.video.last.map_or(Time::ZERO, |last| last + STEP);
            let beside_sound = grid.last().map_or(Time::ZERO, |last| last - INTERLEAVE);
            let time = picture.time.max(after_last).max(beside_sound);
            if time > grid.due() + INTERLEAVE {
                break;
            }
            self.video.last = Some(time);
            out.extend(self.video.waiting.pop_front().map(|picture| AccessUnit { time, ..picture }));
        }
    }

    /// When [`tick`](Self::tick) next has something to do, if no unit comes before.
    pub fn next_wake(&self) -> Option<Time> {
        let Some(grid) = &self.audio else {
            // Without a card there is nothing to begin with.
            return self.begin_at.filter(|_| self.slate.is_some() || self.bars.is_some());
        };
        let picture = match &self.fill {
            Some(fill) => Some(fill.next + self.video.delay),
            // Once the hold is over it is over: nothing more happens without a card.
            None => self.slate.as_ref().map(|_| self.video.seen + HOLD + STEP),
        };
        picture.into_iter().chain([grid.next_wake(self.instead())]).min()
    }

    /// The sound worker has gone: its slots are no longer waited for.
    pub fn sound_gone(&mut self, worker: WorkerId) {
        if let Some(grid) = &mut self.audio {
            grid.gone(worker);
        }
    }

    /// Uses this as slate, or as test picture; what is shown changes at its next IDR.
    pub fn set_card(&mut self, cut: Cut, gop: Gop) {
        match cut {
            Cut::Slate => self.slate = Some(gop),
            Cut::Test => self.bars = Some(gop),
            Cut::Live => return,
        }
        if let Some(fill) = self.fill.as_mut().filter(|fill| Showing::from(cut) == fill.card) {
            (fill.index, fill.refresh) = (0, false);
        }
    }

    /// The operator's choice of what is seen, and whether nothing is heard.
    pub fn cut(&mut self, cut: Cut, mute: bool) {
        // Before the program has begun there is nothing to come back from: it begins at an IDR.
        self.key_wanted = cut == Cut::Live && !self.video.joined && self.audio.is_some();
        (self.cut, self.mute) = (cut, mute);
    }

    /// Begins at `now` as soon as there is a card: nothing comes in, and viewers are not to wait for it.
    pub fn begin(&mut self, now: Time) {
        self.begin_at = Some(now);
    }

    /// Begins with the first live picture; with a card if none comes.
    pub fn begin_live(&mut self, now: Time) {
        self.begin_at = Some(now + FIRST);
    }

    fn start(&mut self, now: Time) {
        self.begin_at = None;
        if self.audio.is_none() {
            self.audio = Some(Grid::new(now - self.video.delay));
        }
    }

    /// An uplink needs an IDR: a card begins anew. Live pictures are not in the timeline's hand.
    pub fn refresh(&mut self) {
        if let Some(fill) = &mut self.fill {
            fill.refresh = true;
        }
    }

    /// Whether a live IDR is needed to leave the card; asked for once.
    pub fn take_key_wanted(&mut self) -> bool {
        std::mem::take(&mut self.key_wanted)
    }

    /// What viewers see; none before the first picture.
    pub fn showing(&self, now: Time) -> Option<Showing> {
        self.audio.as_ref()?;
        Some(match &self.fill {
            Some(fill) => fill.card,
            None if now.since(self.video.seen) > HOLD => Showing::Hold,
            None => Showing::Live,
        })
    }

    /// What is heard instead of the input.
    fn instead(&self) -> Option<Instead> {
        match (self.mute, &self.fill) {
            (true, _) => Some(Instead::Silence),
            (false, Some(Fill { card: Showing::Test, .. })) => Some(Instead::Tone),
            _ => None,
        }
    }

    fn gop(&self, card: Showing) -> Option<&Gop> {
        match card {
            Showing::Slate => self.slate.as_ref(),
            Showing::Test => self.bars.as_ref(),
            Showing::Live | Showing::Hold => None,
        }
    }

    /// The card that is due at `now`; none: live pictures, or nothing to fill with.
    fn due(&self, now: Time) -> Option<Showing> {
        let lost = now.since(self.video.seen) > HOLD;
        let wanted = match self.cut {
            Cut::Test => [Some(Showing::Test), Some(Showing::Slate)],
            Cut::Slate => [Some(Showing::Slate), None],
            // Until the live IDR comes, what is shown stays.
            Cut::Live => [lost.then_some(Showing::Slate), self.fill.as_ref().map(|fill| fill.card)],
        };
        wanted.into_iter().flatten().find(|card| self.gop(*card).is_some())
    }

    /// Queues the pictures of the card that are due.
    fn fill(&mut self, now: Time) {
        let (Some(card), Some(grid)) = (self.due(now), &self.audio) else { return };
        let beside_sound = grid.last().map_or(Time::ZERO, |last| last - INTERLEAVE);
        let oldest = grid.slot_time(0).max(beside_sound);
        // Pictures of a slow encoder leave beside the sound as well, however late they were.
        let end = (now - self.video.delay).max(beside_sound);
        let Some(period) = self.gop(card).map(Gop::period) else { return };
        let newest = self.video.newest();
        let fill = self.fill.get_or_insert_with(|| Fill {
            card,
            next: newest.map_or(oldest, |newest| newest + period).max(oldest),
            index: 0,
            refresh: false,
        });
        if fill.card != card {
            (fill.card, fill.index, fill.refresh) = (card, 0, false);
        }
        // A machine that slept does not send what nobody can see any more.
        if fill.next + INTERLEAVE < oldest {
            fill.next = oldest;
        }
        let (mut next, mut index, mut refresh) = (fill.next, fill.index, fill.refresh);
        let mut pictures = Vec::new();
        if let Some(gop) = self.gop(card) {
            while next <= end {
                let place = index % gop.len();
                if refresh && period.saturating_mul(place as u32) >= REFRESH {
                    index = 0;
                }
                refresh &= place > 0 && index > 0;
                pictures.push(AccessUnit { time: next, ..gop.picture(index).clone() });
                (next, index) = (next + period, index + 1);
            }
        }
        if let Some(fill) = &mut self.fill {
            (fill.next, fill.index, fill.refresh) = (next, index, refresh);
        }
        for picture in pictures {
            self.video.joined = false;
            self.video.queue(picture);
        }
    }

    fn take_picture(&mut self, worker: WorkerId, mut unit: AccessUnit, now: Time) {
        let current = self.video.worker;
        match current {
            Some(current) if current > worker => return,
            Some(current) if current < worker && !unit.key => return,
            None if !unit.key => return,
            Some(current) if current == worker && self.was_held_up(unit.time, now) => {
                self.key_wanted = true;
                return;
            }
            _ => (self.video.worker, self.held_up) = (Some(worker), None),
        }
        unit.time = unit.time.min(now);
        self.video.seen = now;
        self.video.delay = (self.video.delay * 7 + now.since(unit.time).min(MOST_DELAY)) / 8;
        if self.cut != Cut::Live {
            // What the operator hides is not shown, not even while there is no card yet.
            self.video.joined = false;
            if self.due(now).is_some() {
                self.start(now);
            }
            return;
        }
        if !unit.key && !self.video.joined {
            self.key_wanted = true;
            return;
        }
        (self.video.joined, self.fill, self.begin_at, self.key_wanted) = (true, None, None, false);
        if self.audio.is_none() {
            self.audio = Some(Grid::new(unit.time));
        }
        self.video.queue(unit);
    }

    /// Whether the worker stood still and now gives what was captured meanwhile.
    fn was_held_up(&mut self, captured: Time, now: Time) -> bool {
        let late = self.fill.is_some() && now.since(captured) > self.video.delay + HELD_UP;
        late && now.since(*self.held_up.get_or_insert(now)) < CATCHING_UP
    }
}

impl From<Cut> for Showing {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Live => Self::Live,
            Cut::Slate => Self::Slate,
            Cut::Test => Self::Test,
        }
    }
}

#[cfg(test)]
mod tests;
