//! Where the operator is on the panel: page, list, what is held, and what was said last.

use super::{Choice, Hold, Listing, Notice, Page, Preflight};
use crate::{board::ButtonRole, control::RequestId, units::Time, uplink::probe::Measured};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Without a press the panel goes back to its first page after this.
const AWAY: Duration = Duration::from_secs(30);
/// Without a press the display is dimmed after this.
const IDLE: Duration = Duration::from_secs(60);
/// So long it says what came of a choice.
const NOTICE: Duration = Duration::from_secs(5);
/// So long the box shows which one it is.
const IDENTIFY: Duration = Duration::from_secs(30);
/// Lines by which a long page is moved at once.
const LINES: usize = 2;

/// A list that is open.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Opened {
    pub listing: Listing,
    /// At least one.
    pub choices: Vec<Choice>,
    pub cursor: usize,
}

/// A button that is down and will do something.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    pub role: ButtonRole,
    pub since: Time,
    pub choice: Choice,
    /// Whether it locks or unlocks the buttons, which takes a time of its own.
    pub locks: bool,
}

/// The panel's state.
#[derive(Debug)]
pub(in crate::control) struct Menu {
    /// Where it goes back to.
    home: Page,
    pub(super) page: Page,
    pub(super) scroll: usize,
    /// Whether the buttons move a long page instead of turning pages.
    pub(super) reading: bool,
    pub(super) open: Option<Opened>,
    pub(super) down: BTreeSet<ButtonRole>,
    pub(super) held: Option<Held>,
    notice: Option<(Notice, Time)>,
    pub(super) locked: bool,
    /// Since when a button is held that was held at power-on.
    pub(super) reset: Option<Time>,
    /// Whether a USB stick is in the box.
    pub(in crate::control) stick: bool,
    touched: Time,
    /// Until when the box shows itself.
    identify: Option<Time>,
    /// What the panel asked for and has no answer to yet.
    pub(super) asked: BTreeMap<RequestId, Choice>,
    requests: u64,
    pub(super) preflight: Preflight,
    /// The command that asked for it, and when it got so far.
    pub(super) tried: Option<(RequestId, Time)>,
    /// By service, nearest first.
    pub(super) regions: BTreeMap<String, Vec<Measured>>,
    /// The paired computers, by id and name.
    pub(in crate::control) paired: Vec<(String, String)>,
}

impl Menu {
    /// The panel after power-on.
    pub fn new(now: Time) -> Self {
        Self {
            home: Page::Live,
            page: Page::Live,
            scroll: 0,
            reading: false,
            open: None,
            down: BTreeSet::new(),
            held: None,
            notice: None,
            locked: false,
            reset: None,
            stick: false,
            touched: now,
            identify: None,
            asked: BTreeMap::new(),
            requests: 0,
            preflight: Preflight::default(),
            tried: None,
            regions: BTreeMap::new(),
            paired: Vec::new(),
        }
    }

    /// Back to the first page.
    pub(super) fn home(&mut self) {
        self.turn_to(self.home);
    }

    /// Takes the page of faults for the first one.
    pub fn stay_with_faults(&mut self) {
        (self.home, self.page) = (Page::Faults, Page::Faults);
    }

    pub(super) fn turn_to(&mut self, page: Page) {
        (self.page, self.scroll, self.reading, self.open) = (page, 0, false, None);
    }

    /// The next page, entry or lines, or the one before; `lines`: of the page that is read.
    pub(super) fn step(&mut self, forward: bool, lines: usize) {
        let moved = |at: usize, count: usize| if forward { (at + 1) % count } else { (at + count - 1) % count };
        if let Some(open) = &mut self.open {
            open.cursor = moved(open.cursor, open.choices.len());
        } else if self.reading {
            self.scroll = moved(self.scroll / LINES, lines.div_ceil(LINES).max(1)) * LINES;
        } else {
            let at = Page::ALL.iter().position(|page| *page == self.page).unwrap_or(0);
            self.turn_to(Page::ALL[moved(at, Page::ALL.len())]);
        }
    }

    /// Whether a preflight of `source` runs.
    pub(in crate::control) fn tries(&self, source: &str) -> bool {
        self.preflight.source.as_deref() == Some(source) && self.preflight.verdict.is_none()
    }

    /// Something was pressed: the display is awake, and what it said is read.
    pub(super) fn touch(&mut self, now: Time) {
        self.touched = now;
        self.notice = None;
    }

    pub(super) fn say(&mut self, text: impl Into<String>, failed: bool, now: Time) {
        self.notice = Some((Notice { text: text.into(), failed }, now + NOTICE));
    }

    /// What is said now.
    pub(super) fn notice(&self, now: Time) -> Option<&Notice> {
        self.notice.as_ref().filter(|(_, until)| now < *until).map(|(notice, _)| notice)
    }

    /// Shows for a while which box this is.
    pub fn identify(&mut self, now: Time) {
        self.identify = Some(now + IDENTIFY);
    }

    /// Whether the box shows itself now.
    pub fn identifies(&self, now: Time) -> bool {
        self.identify.is_some_and(|until| now < until)
    }

    /// Switches the buttons off or on.
    pub fn lock(&mut self, locked: bool) {
        self.locked = locked;
        self.held = None;
        self.home();
    }

    pub(in crate::control) fn idle(&self, now: Time) -> bool {
        now.since(self.touched) >= IDLE && self.notice(now).is_none()
    }

    /// A number for what the panel asks for.
    pub(super) fn ask(&mut self, choice: Choice) -> RequestId {
        self.requests += 1;
        let request = RequestId::of_panel(self.requests);
        self.asked.insert(request, choice);
        request
    }

    /// Whether this was asked for and is not answered.
    pub(super) fn waits_for(&self, choice: &Choice) -> bool {
        self.asked.values().any(|asked| asked == choice)
    }

    /// When it goes back to the first page; a preflight that runs is looked at.
    fn away_at(&self) -> Option<Time> {
        let away = self.page != self.home || self.open.is_some();
        let tried = self.tried.filter(|_| self.page == Page::Preflight).map(|(_, at)| at);
        away.then(|| self.touched.max(tried.unwrap_or(self.touched)) + AWAY)
    }

    /// Forgets what is over.
    pub(super) fn pass(&mut self, now: Time) {
        if self.away_at().is_some_and(|at| at <= now) && self.held.is_none() {
            self.home();
        }
        self.notice.take_if(|(_, until)| *until <= now);
        self.identify.take_if(|until| *until <= now);
    }

    /// When something changes by itself, but for what is held.
    pub(super) fn wakes(&self) -> impl Iterator<Item = Time> {
        let notice = self.notice.as_ref().map(|(_, until)| *until);
        [Some(self.touched + IDLE), notice, self.identify, self.away_at()].into_iter().flatten()
    }

    /// What is held, for the bar.
    pub(super) fn bar(&self, until: Option<Time>) -> Option<Hold> {
        let held = self.held.as_ref()?;
        Some(Hold { text: held.choice.text(), since: held.since, until: until? })
    }
}
