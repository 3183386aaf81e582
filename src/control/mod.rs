//! The decisions: an event and the time go in, effects come out. No clock, no thread, no socket in here.
//!
//! *Intent* is what the operator wants and survives a power cut; *facts* are what signals, workers and uplinks say. An event
//! changes facts or intent, then `Control::reconcile` compares the two: it alone starts and stops things. Workers and
//! uplinks carry ids that are never used twice, so what an old one says changes nothing.

mod commands;
mod content;
pub mod event;
pub mod fault;
pub mod heat;
mod lane;
mod meter;
pub mod onair;
mod pace;
pub mod rate;
mod reconcile;
mod rescue;
mod show;
mod status;
mod stills;
mod tally;
pub mod trial;
pub mod update;

pub use event::{CardId, Effect, Event, Job, Now, RequestId, SavedIntent, Signal, UplinkId, WorkerId};

pub mod backoff;
pub mod backup;
pub mod broadcast;
pub mod menu;

use crate::{
    board::Board,
    command::Cut,
    media::Report,
    settings::{Output, PowerOn, Settings},
    status::{Fault, Intent, Showing},
    units::Time,
    uplink,
};
use backup::Backup;
use broadcast::{Broadcast, SavedBroadcast};
use content::Content;
use heat::Governor;
use jiff::Timestamp;
use lane::Lane;
use menu::Menu;
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

/// Why the process ends although nobody told it to from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restart {
    /// To start anew.
    Plain,
    /// The same, with nothing left of what was changed; this command is to be answered.
    Reset(RequestId),
}

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
    restart: Option<Restart>,
    /// Some: the daemon does not stay up, and this stands in for it.
    rescue: Option<rescue::Rescue>,

    signals: BTreeMap<String, Signal>,
    /// Sound cards that can be recorded from; none: not known yet.
    cards: Option<BTreeSet<String>>,
    /// Since when the wanted one is not among them.
    card_missing: Option<Time>,
    /// The input in use, and whether it is that of the push before a restart.
    input: String,
    resumed_input: bool,
    video: Lane,
    audio: Lane,
    meter: Meter,
    content: Content,
    /// In the order in which they were opened.
    uplinks: Vec<Uplink>,
    backup: Backup,
    broadcast: Broadcast,
    /// The push ends then, or once the Broadcast has ended.
    stop_at: Option<Time>,
    pace: Pace,
    heat: Governor,
    show: Show,
    stills: Stills,
    /// Whether an ingest has answered in this push, and whether media was acknowledged.
    answered: bool,
    acknowledged: bool,
    /// Some while it is on air, or is connected again: since when, by the calendar.
    on_air_since: Option<Option<Timestamp>>,
    keyframe_at: Option<Time>,
    keyframe_wanted: bool,

    menu: Menu,
    starts: Vec<(RequestId, Time)>,
    stops: Vec<RequestId>,
    /// Whether the board's display is there, and how often it failed; none: nothing is known of it yet.
    display: Option<(bool, u64)>,
    told: Vec<Fault>,
    standing: Vec<Fault>,
    pin: Option<menu::Pin>,
    update: update::Update,
    next_id: u64,
}

impl Control {
    /// The core after power-on, with the intent and the Broadcast that were saved before.
    pub fn new(
        board: Board,
        settings: Settings,
        id: String,
        saved: Option<SavedIntent>,
        broadcast: Option<SavedBroadcast>,
        now: Time,
    ) -> Self {
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
        let resumed = saved.as_ref().and_then(|saved| saved.input.as_ref());
        let resumed = board.automatic_inputs().find(|input| Some(&input.name) == resumed);
        let resumed_input = intent == Intent::OnAir && resumed.is_some();
        let input = resumed
            .filter(|_| resumed_input)
            .or(board.automatic_inputs().next())
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
            restart: None,
            rescue: None,
            signals: BTreeMap::new(),
            cards: None,
            card_missing: None,
            input,
            resumed_input,
            video: Lane::default(),
            audio: Lane::default(),
            meter: Meter::default(),
            content: Content::default(),
            uplinks: Vec::new(),
            backup: Backup::default(),
            broadcast: Broadcast::new(broadcast, now),
            stop_at: None,
            pace: Pace::default(),
            heat: Governor::default(),
            show: Show { cut, mute, ..Show::default() },
            stills: Stills::default(),
            answered: false,
            acknowledged: false,
            on_air_since: None,
            keyframe_at: None,
            keyframe_wanted: false,
            menu: Menu::new(now),
            starts: Vec::new(),
            stops: Vec::new(),
            display: None,
            told: Vec::new(),
            standing: Vec::new(),
            pin: None,
            update: update::Update::default(),
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
            Event::Button { role, pressed } => self.press(role, pressed, now.time, &mut effects),
            Event::HeldAtStart { role } => self.held_at_start(role, now.time),
            Event::Stick(here) => self.menu.stick = here,
            Event::Command { request, origin, command } => {
                effects.extend(self.take_command(request, origin, command, now.time));
            }
            Event::Answered { request, answer } => self.take_answer(request, &answer, now.time),
            Event::Preflight { request, progress } => self.note_progress(request, &progress, now.time),
            Event::Preflighted { request, result } => self.note_preflight(request, &result, now.time),
            Event::Paired(paired) => self.menu.paired = paired,
            Event::Regions { service, table } => self.note_regions(service, table),
            Event::Settings { settings, at_once } => self.take_settings(*settings, at_once),
            Event::SourcesChosen => {
                if self.chosen_sources.take().is_some() {
                    effects.push(Effect::SaveIntent(self.saved_intent()));
                }
            }
            Event::Told(faults) => self.told = faults,
            Event::Card { id, result } => {
                let made = result.is_ok();
                if self.stills.hear(id, result, now.time) && made {
                    effects.push(Effect::UseCard { id });
                }
            }
            Event::Showing(showing) => {
                self.show.see(showing, now.time);
                // Who waited for an IDR has just got one.
                self.keyframe_wanted &= showing != Some(Showing::Live);
            }
            Event::KeyframeWanted => self.keyframe_wanted = true,
            Event::Measured(rate) => self.pace.measured(rate),
            Event::Heat(heat) => self.note_heat(heat, now.time),
            Event::KnownRate(known) => self.note_known_rate(known),
            Event::Pin(pin) => self.pin = pin,
            Event::NetworkChanged => {
                self.broadcast.network_changed(now.time);
                effects.push(Effect::RetryUplinks);
            }
            Event::Display { present, errors } => self.display = Some((present, errors)),
            Event::Studio { id, told } => self.broadcast.hear(id, told, now, &mut effects),
            Event::BroadcastKept { mark } => self.broadcast.note_kept(mark),
            Event::Update(told) => self.note_update(told, now, &mut effects),
            Event::Shutdown => {
                self.shutdown.get_or_insert(now.time);
            }
            Event::Tick => self.beat_update(now.time),
        }
        self.reconcile(now, &mut effects);
        effects
    }

    /// When after `now` [`Event::Tick`] has something to do at the latest, if nothing else happens.
    pub fn next_wake(&self, now: Time) -> Option<Time> {
        let mut wakes: Vec<Time> = self.menu_wakes().collect();
        wakes.extend(self.starts.iter().map(|(_, deadline)| *deadline));
        wakes.extend(self.shutdown.map(|since| since + SHUTDOWN));
        wakes.extend(self.keyframe_at.filter(|_| self.keyframe_wanted).map(|at| at + KEYFRAME_PAUSE));
        for uplink in &self.uplinks {
            wakes.extend(uplink.stale_at());
            wakes.extend(uplink.overdue_at());
        }
        wakes.extend(self.backup.wake().filter(|_| self.spare().is_some()));
        wakes.extend(self.show.next_wake(self.running.push.on_signal_loss));
        wakes.extend(self.cards_wakes());
        wakes.extend(self.rescue_wake());
        wakes.extend(self.pin.as_ref().map(|pin| pin.until));
        wakes.extend(self.stills.next_wake());
        if self.wanted_signal().is_some() {
            wakes.extend(self.video.next_wake());
        }
        wakes.extend(self.audio.next_wake());
        wakes.extend(self.update_wake());
        wakes.extend(self.stop_at.into_iter().chain(self.broadcast.wakes(&self.place(now))));
        wakes.into_iter().filter(|wake| *wake > now).min()
    }

    /// Whether media should flow.
    pub fn pushing(&self) -> bool {
        self.intent == Intent::OnAir && self.shutdown.is_none()
    }

    /// Whether nothing goes on that figures could tell of: no picture, sound or push, nobody at the panel, no system on trial.
    pub fn at_rest(&self, now: Time) -> bool {
        let still = self.video.is_empty() && self.audio.is_empty() && self.uplinks.is_empty();
        still && !self.pushing() && self.update.trial.is_none() && self.menu.idle(now)
    }

    /// Whether the process ends in order to be started anew.
    pub fn restarting(&self) -> bool {
        self.restart.is_some()
    }

    /// The hardware.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// The PIN that is to be seen at the box at `now`.
    pub fn pin(&self, now: Time) -> Option<&menu::Pin> {
        self.pin.as_ref().filter(|pin| now < pin.until)
    }

    /// Whether the board's display shows what it should.
    pub fn display_present(&self) -> bool {
        self.display.is_some_and(|(present, _)| present)
    }

    /// The worker that can be asked for a picture of the input.
    pub fn camera(&self) -> Option<WorkerId> {
        self.video.live().filter(|_| self.video.started().is_some())
    }

    fn note_signal(&mut self, input: String, signal: Signal) {
        let differs = |old: &Signal| {
            (old.state, &old.node, old.mode, &old.format) != (signal.state, &signal.node, signal.mode, &signal.format)
        };
        if input == self.input && self.signals.get(&input).is_none_or(differs) {
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
                self.content.sound(peaks, self.running.input.gain.db(), now);
            }
        }
    }

    fn note_exit(&mut self, id: WorkerId, now: Time) {
        if self.audio.exited(id, now) {
            self.meter.clear();
            self.content.sound_gone();
            return;
        }
        if self.video.exited(id, now) {
            self.content.picture_gone();
        }
    }

    fn note_uplink(&mut self, id: UplinkId, report: &uplink::Report, now: Now) -> Option<Effect> {
        if *report == uplink::Report::Closed {
            self.uplinks.retain(|uplink| uplink.id != id);
        }
        let uplink = self.uplinks.iter_mut().find(|uplink| uplink.id == id && uplink.closing.is_none())?;
        uplink.hear(report, now);
        self.answered |= match report {
            uplink::Report::Connecting(stage) => *stage >= uplink::Stage::Connect,
            uplink::Report::Publishing { .. } | uplink::Report::Acknowledged { .. } => true,
            _ => false,
        };
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
        let other_mode = running.output.mode != settings.output.mode;
        if self.pushing() && !at_once {
            let Output { bitrate_max, bitrate_min, .. } = settings.output;
            self.running.output = Output { bitrate_max, bitrate_min, ..running.output };
        } else if self.pushing() {
            // Ingests were told of this one.
            self.running.output.codec = running.output.codec;
        }
        self.settings = settings;
        if at_once && other_mode && self.show.program.take().is_some() {
            self.show.program = Some(self.output_mode());
        }
    }
}

#[cfg(test)]
mod tests;
