//! The decisions: an event and the time go in, effects come out. No clock, no thread, no socket in here.
//!
//! *Intent* is what the operator wants and survives a power cut; *facts* are what signals, workers and uplinks say. An event
//! changes facts or intent, then `Control::reconcile` compares the two: it alone starts and stops things. Workers and
//! uplinks carry ids that are never used twice, so what an old one says changes nothing.

pub mod button;
mod commands;
mod content;
pub mod event;
pub mod fault;
mod lane;
mod meter;
pub mod onair;
mod pace;
pub mod rate;
mod reconcile;
mod show;
mod status;
mod stills;

pub use event::{CardId, Effect, Event, Job, Now, RequestId, SavedIntent, Signal, UplinkId, WorkerId};

pub mod backoff;
pub mod backup;
pub mod menu;

use crate::{
    board::{Board, ButtonRole},
    command::Cut,
    media::Report,
    settings::{Output, PowerOn, Settings},
    status::{Fault, Intent, Phase},
    units::Time,
    uplink,
};
use backup::Backup;
use button::{GoButton, Held};
use content::Content;
use jiff::Timestamp;
use lane::Lane;
use meter::Meter;
use onair::Uplink;
use pace::Pace;
use show::Show;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use stills::Stills;

/// How long `start` waits for the first acknowledgement.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Everything is given up after this when the process ends.
const SHUTDOWN: Duration = Duration::from_secs(4);
/// IDR pictures are forced at most so often.
const KEYFRAME_PAUSE: Duration = Duration::from_secs(1);

/// The control core.
#[derive(Debug)]
pub struct Control {
    board: Board,
    settings: Settings,
    /// The settings that the running push uses.
    running: Settings,
    id: String,
    begun: Time,

    intent: Intent,
    /// The Sources named by `start`.
    chosen_sources: Option<Vec<String>>,
    shutdown: Option<Time>,

    signals: BTreeMap<String, Signal>,
    /// Sound cards that can be recorded from; none: not known yet.
    cards: Option<BTreeSet<String>>,
    /// Since when the wanted one is not among them.
    card_missing: Option<Time>,
    /// The input in use.
    input: String,
    video: Lane,
    audio: Lane,
    meter: Meter,
    content: Content,
    /// In the order in which they were opened.
    uplinks: Vec<Uplink>,
    backup: Backup,
    pace: Pace,
    show: Show,
    stills: Stills,
    /// Some since the push was first acknowledged: since when, by the calendar.
    on_air_since: Option<Option<Timestamp>>,
    keyframe_at: Option<Time>,
    keyframe_wanted: bool,

    button: GoButton,
    starts: Vec<(RequestId, Time)>,
    stops: Vec<RequestId>,
    told: Vec<Fault>,
    standing: Vec<Fault>,
    pin: Option<menu::Pin>,
    next_id: u64,
}

impl Control {
    /// The core after power-on, with the intent that was saved before.
    pub fn new(board: Board, settings: Settings, id: String, saved: Option<SavedIntent>, now: Time) -> Self {
        // What the operator hid from viewers stays hidden, whatever put the box on air again.
        let on_air =
            |saved: &&SavedIntent| saved.intent == Intent::OnAir && settings.push.at_power_on != PowerOn::Never;
        let (cut, mute) = saved.as_ref().filter(on_air).map_or((Cut::Live, false), |saved| (saved.show, saved.mute));
        let saved = saved.filter(|_| settings.push.at_power_on == PowerOn::Resume);
        let intent = match settings.push.at_power_on {
            PowerOn::Always => Intent::OnAir,
            PowerOn::Never => Intent::OffAir,
            PowerOn::Resume => saved.as_ref().map_or(Intent::OffAir, |saved| saved.intent),
        };
        let input = board
            .automatic_inputs()
            .next()
            .or(board.inputs.first())
            .map(|input| input.name.clone())
            .unwrap_or_default();
        Self {
            running: settings.clone(),
            board,
            settings,
            id,
            begun: now,
            intent,
            chosen_sources: saved.and_then(|saved| saved.sources),
            shutdown: None,
            signals: BTreeMap::new(),
            cards: None,
            card_missing: None,
            input,
            video: Lane::default(),
            audio: Lane::default(),
            meter: Meter::default(),
            content: Content::default(),
            uplinks: Vec::new(),
            backup: Backup::default(),
            pace: Pace::default(),
            show: Show { cut, mute, ..Show::default() },
            stills: Stills::default(),
            on_air_since: None,
            keyframe_at: None,
            keyframe_wanted: false,
            button: GoButton::default(),
            starts: Vec::new(),
            stops: Vec::new(),
            told: Vec::new(),
            standing: Vec::new(),
            pin: None,
            next_id: 0,
        }
    }

    /// Takes an event; what follows from it is to be done in this order.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Signal { input, signal } => self.note_signal(input, signal),
            Event::Cards(cards) => {
                if self.cards.as_ref() != Some(&cards) {
                    self.audio.forgive();
                }
                self.cards = Some(cards);
            }
            Event::Worker { id, report } => self.note_worker(id, &report, now.time),
            Event::WorkerExited { id } => self.note_exit(id, now.time),
            Event::Uplink { id, report } => effects.extend(self.note_uplink(id, &report, now)),
            Event::Button { role, pressed } => {
                let pushing = self.pushing();
                if role == ButtonRole::Go {
                    self.button.press(pressed, pushing, now.time);
                }
            }
            Event::Command { request, origin, command } => {
                effects.extend(self.take_command(request, origin, command, now.time));
            }
            Event::Settings { settings, at_once } => self.take_settings(*settings, at_once),
            Event::Told(faults) => self.told = faults,
            Event::Card { id, result } => {
                let made = result.is_ok();
                if self.stills.hear(id, result, now.time) && made {
                    effects.push(Effect::UseCard { id });
                }
            }
            Event::KeyframeWanted => self.keyframe_wanted = true,
            Event::Measured(rate) => self.pace.measured(rate),
            Event::KnownRate(known) => self.note_known_rate(known),
            Event::Pin(pin) => self.pin = pin,
            Event::NetworkChanged => effects.push(Effect::RetryUplinks),
            Event::Shutdown => {
                self.shutdown.get_or_insert(now.time);
            }
            Event::Tick => {}
        }
        self.reconcile(now, &mut effects);
        effects
    }

    /// When after `now` [`Event::Tick`] has something to do at the latest, if nothing else happens.
    pub fn next_wake(&self, now: Time) -> Option<Time> {
        let (start, stop) = self.hold_times();
        let mut wakes: Vec<Time> = Vec::new();
        wakes.extend(self.button.acts_at(start, stop));
        wakes.extend(self.starts.iter().map(|(_, deadline)| *deadline));
        wakes.extend(self.shutdown.map(|since| since + SHUTDOWN));
        wakes.extend(self.keyframe_at.filter(|_| self.keyframe_wanted).map(|at| at + KEYFRAME_PAUSE));
        for uplink in &self.uplinks {
            wakes.extend(uplink.stale_at());
            wakes.extend(uplink.overdue_at());
        }
        wakes.extend(self.backup.wake().filter(|_| self.spare().is_some()));
        wakes.extend(self.show.next_wake(self.running.push.on_signal_loss));
        wakes.extend([self.settled_at()]);
        wakes.extend(self.pin.as_ref().map(|pin| pin.until));
        wakes.extend(self.stills.next_wake());
        if self.wanted_signal().is_some() {
            wakes.extend(self.video.next_wake());
        }
        wakes.extend(self.audio.next_wake());
        wakes.into_iter().filter(|wake| *wake > now).min()
    }

    /// Whether media should flow.
    pub fn pushing(&self) -> bool {
        self.intent == Intent::OnAir && self.shutdown.is_none()
    }

    /// The phase, never better than what was acknowledged.
    pub fn phase(&self, now: Time) -> Phase {
        onair::phase(self.pushing(), &self.uplinks, self.on_air_since.is_some(), now)
    }

    /// The hardware.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// The PIN that is to be seen at the box at `now`.
    pub fn pin(&self, now: Time) -> Option<&menu::Pin> {
        self.pin.as_ref().filter(|pin| now < pin.until)
    }

    /// The worker that can be asked for a picture of the input.
    pub fn camera(&self) -> Option<WorkerId> {
        self.video.live().filter(|_| self.video.started().is_some())
    }

    fn note_signal(&mut self, input: String, signal: Signal) {
        if input == self.input && self.signals.get(&input).is_none_or(|old| old.state != signal.state) {
            self.video.forgive();
            self.audio.forgive();
        }
        if self.board.inputs.iter().any(|known| known.name == input) {
            self.signals.insert(input, signal);
        }
    }

    fn note_worker(&mut self, id: WorkerId, report: &Report, now: Time) {
        let on_air = self.pushing();
        if self.video.hear(id, report, now)
            && let Report::Picture(look) = report
            && on_air
        {
            self.content.picture(*look, now);
        }
        if self.audio.hear(id, report, now)
            && let Report::Level(peaks) = report
        {
            self.meter.take(peaks, now);
            if on_air {
                self.content.sound(peaks, now);
            }
        }
    }

    fn note_exit(&mut self, id: WorkerId, now: Time) {
        if self.audio.exited(id, 1, now) {
            self.meter.clear();
            self.content.sound_gone();
            return;
        }
        let codec = self.running.output.codec;
        let encoders = self.board.encoders.iter().filter(|encoder| encoder.codec == codec).count();
        if self.video.exited(id, encoders, now) {
            self.content.picture_gone();
        }
    }

    fn note_uplink(&mut self, id: UplinkId, report: &uplink::Report, now: Now) -> Option<Effect> {
        if *report == uplink::Report::Closed {
            self.uplinks.retain(|uplink| uplink.id != id);
        }
        let uplink = self.uplinks.iter_mut().find(|uplink| uplink.id == id && uplink.closing.is_none())?;
        uplink.hear(report, now);
        if matches!(report, uplink::Report::Publishing { .. } | uplink::Report::Link(_)) {
            self.note_link(id, report, now.time);
            return None;
        }
        if *report != uplink::Report::KeyframeWanted {
            return None;
        }
        let forced = uplink.forces_keyframe(now.time);
        // The leading one always gets it; a Source that is slow must not cost the others a picture each second.
        let heard = forced || self.leading(now.time).is_some_and(|leading| leading.id == id);
        self.keyframe_wanted |= heard;
        heard.then_some(Effect::RefreshCard)
    }

    /// Takes changed settings over; unless `at_once`, a running push keeps what it cannot change without a break.
    fn take_settings(&mut self, settings: Settings, at_once: bool) {
        self.stills.forgive();
        if self.settings.input != settings.input || self.settings.output != settings.output {
            self.video.forgive();
            self.audio.forgive();
        }
        let running = std::mem::replace(&mut self.running, settings.clone());
        if self.pushing() && !at_once {
            let Output { bitrate_max, bitrate_min, .. } = settings.output;
            self.running.output = Output { bitrate_max, bitrate_min, ..running.output };
        }
        self.settings = settings;
        if at_once && self.show.program.take().is_some() {
            self.show.program = Some(self.output_mode());
        }
    }

    fn hold_times(&self) -> (Duration, Duration) {
        let panel = &self.settings.panel;
        (panel.hold_to_start.duration(), panel.hold_to_stop.duration())
    }
}

#[cfg(test)]
mod tests;
