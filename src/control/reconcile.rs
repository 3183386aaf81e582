//! Intent against facts: the only place that starts or stops anything.

use super::{
    Content, Control, Effect, KEYFRAME_PAUSE, Now, Restart, SHUTDOWN, Signal, Uplink, UplinkId, backup::Primary,
    show::PATIENCE,
};
use crate::{
    board,
    command::{Answer, Cut, Reason},
    media::{AudioPlan, AudioSource, Order, Plan, VideoPlan, plan},
    settings::Source,
    status::{Intent, Phase, SignalState},
    units::Time,
    uplink::MediaInfo,
};
use serde_json::json;
use std::time::Duration;

/// What takes a Source's place gets this long to be on air before the old one is released.
const TAKE_OVER: Duration = Duration::from_secs(10);
/// Pictures a second before an ingest has answered; fewer would look like a signal that goes (viewers get the slate after 350 ms).
const READY_PICTURES: u32 = 5;

impl Control {
    /// Brings workers and uplinks to where intent and facts say they should be, and answers who waits for that.
    pub(super) fn reconcile(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.end_rescue(now.time);
        self.tick_menu(now.time, effects);
        self.finish_stop(now.time, effects);
        self.choose_input(now.time);
        self.judge_loss(now, effects);
        self.begin_program(now.time, effects);
        self.note_pictured(effects);
        self.reconcile_workers(now.time, effects);
        self.reconcile_uplinks(now, effects);
        self.reconcile_broadcast(now, effects);
        self.note_on_air(now);
        self.reconcile_pace(now, effects);
        self.make_cards(now.time, effects);
        self.force_keyframe(now.time, effects);
        self.answer_waiting(now, effects);
        self.reconcile_update(now, effects);
        self.note_faults(now);
        let stopped = self.video.is_empty() && self.audio.is_empty() && self.uplinks.is_empty();
        if self.shutdown.is_some_and(|since| stopped || now.time.since(since) >= SHUTDOWN) {
            if let Some(Restart::Reset(request)) = self.restart {
                self.restart = Some(Restart::Plain);
                effects.push(Effect::Reset { request });
            }
            effects.push(Effect::Exit);
        }
    }

    /// Changes what the operator wants, and keeps it over a power cut.
    pub(super) fn set_intent(&mut self, intent: Intent, sources: Option<Vec<String>>, effects: &mut Vec<Effect>) {
        if self.intent != intent {
            if intent == Intent::OnAir && self.show.program.take().is_some() {
                // Of the push before, whose streams are being ended.
                effects.push(Effect::EndProgram);
            }
            self.running = self.settings.clone();
            self.show.pictured = false;
            (self.answered, self.acknowledged, self.on_air_since) = (false, false, None);
            self.broadcast.forget_last();
            (self.show.since, self.show.lost, self.show.ended) = (None, None, false);
        }
        if intent == Intent::OffAir {
            (self.show.cut, self.show.mute) = (Cut::Live, false);
        }
        self.intent = intent;
        self.content = Content::default();
        self.chosen_sources = sources;
        effects.push(Effect::SaveIntent(self.saved_intent()));
    }

    /// The Sources to push to, the primary first; the backup while it carries the program.
    pub(super) fn wanted_sources(&self) -> Vec<&Source> {
        let mut sources = self.chosen();
        sources.extend(self.spare().filter(|_| self.backup.carries()));
        sources
    }

    /// The Sources that the operator chose, the primary first.
    pub(super) fn chosen(&self) -> Vec<&Source> {
        let names = self.chosen_sources.as_ref().unwrap_or(&self.running.push.sources);
        if names.is_empty() {
            return self.running.sources.first().into_iter().collect();
        }
        names.iter().filter_map(|name| self.running.sources.iter().find(|source| source.name == *name)).collect()
    }

    /// The backup, unless it is pushed to anyway.
    pub(super) fn spare(&self) -> Option<&Source> {
        let name = self.running.push.backup.as_ref()?;
        let spare = self.running.sources.iter().find(|source| source.name == *name);
        spare.filter(|spare| !self.chosen().iter().any(|source| source.name == spare.name))
    }

    /// The primary's delivery, once it was opened and until it is ended.
    pub(super) fn primary(&self) -> Option<&Uplink> {
        let source = *self.chosen().first()?;
        self.uplinks.iter().find(|uplink| uplink.closing.is_none() && uplink.source == *source)
    }

    /// The delivery that decides where one has to: the primary's, or the backup's while only that is on air.
    pub fn leading(&self, now: Time) -> Option<&Uplink> {
        let primary = self.primary();
        let spare = self.spare().filter(|_| self.backup.carries());
        let backup = self.uplinks.iter().find(|uplink| uplink.closing.is_none() && Some(&uplink.source) == spare);
        match (primary, backup) {
            (Some(primary), Some(backup)) if !primary.on_air(now) && backup.on_air(now) => Some(backup),
            (primary, _) => primary,
        }
    }

    fn judge_backup(&mut self, now: Time) {
        let primary = self.primary().filter(|_| self.pushing() && self.spare().is_some());
        let name = primary.map(|uplink| uplink.source.name.clone());
        let primary = primary.zip(name.as_deref()).map(|(uplink, name)| Primary {
            name,
            heard: uplink.heard(),
            on_air: uplink.on_air(now),
        });
        self.backup.judge(primary, self.running.push.backup_return, now);
    }

    /// The chosen input's signal while it is locked and wanted.
    pub(super) fn wanted_signal(&self) -> Option<&Signal> {
        let signal = self.signals.get(&self.input).filter(|signal| signal.state == SignalState::Locked);
        signal.filter(|_| self.shutdown.is_none() && !self.in_rescue())
    }

    /// What the status calls the sound.
    pub(super) fn sound_name(&self) -> Option<String> {
        match self.running.input.audio.as_str() {
            "auto" => Some(self.input.clone()),
            card => Some(card.to_owned()),
        }
    }

    pub(super) fn board_input(&self) -> Option<&board::Input> {
        self.board.inputs.iter().find(|input| input.name == self.input)
    }

    /// `auto` takes the first input that locks, and stays with it once viewers have seen it: a cut to another camera is the
    /// operator's.
    fn choose_input(&mut self, now: Time) {
        let wanted = &self.running.input.device;
        if wanted != "auto" {
            self.input.clone_from(wanted);
            return;
        }
        let locked = |name: &str| self.signals.get(name).is_some_and(|signal| signal.state == SignalState::Locked);
        // After a restart on air the input that viewers saw before gets the time to lock.
        let awaited = self.resumed_input && now.since(self.begun) < PATIENCE;
        if !self.show.pictured
            && !awaited
            && !locked(&self.input)
            && let Some(first) = self.board.automatic_inputs().find(|input| locked(&input.name))
        {
            self.input.clone_from(&first.name);
        }
    }

    /// Viewers see the input from here on.
    fn note_pictured(&mut self, effects: &mut Vec<Effect>) {
        if !self.show.pictured && self.show.program.is_some() && self.wanted_signal().is_some() {
            self.show.pictured = true;
            effects.push(Effect::SaveIntent(self.saved_intent()));
        }
    }

    /// Whether a sound card is known not to be there, or not to be recordable.
    fn is_missing(&self, source: &AudioSource) -> bool {
        match (source, &self.cards) {
            (AudioSource::Alsa(device), Some(cards)) => {
                // Of another kind of device nothing is known.
                let card = device.strip_prefix("hw:CARD=").map(|card| card.split(',').next().unwrap_or(card));
                card.is_some_and(|card| !cards.contains(card))
            }
            _ => false,
        }
    }

    fn reconcile_workers(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let (mut video, mut audio): (Option<VideoPlan>, Option<AudioPlan>) = (None, None);
        if let (Some(signal), Some(input)) = (self.wanted_signal(), self.board_input()) {
            video = plan::video(&self.board, input, &self.output(), signal, self.video.skipped());
            if let Some(plan) = &mut video {
                plan.bitrate = self.bitrate(now);
            }
        }
        // A card of its own goes on when the picture goes.
        let own = self.running.input.audio != "auto" && self.pushing();
        if let Some(input) = self.board_input().filter(|_| own || video.is_some()) {
            audio = plan::audio(input, &self.running.input, &self.running.output);
        }
        // Its process would only fail to open it, again and again.
        let missing = audio.as_ref().is_some_and(|plan| self.is_missing(&plan.source));
        self.card_missing = missing.then(|| self.card_missing.unwrap_or(now));
        let audio = audio.filter(|_| !missing).map(Plan::Audio);
        let (video, encode) = (video.map(Plan::Video), self.pushing());
        effects.extend(self.video.reconcile(video.as_ref(), encode, now, &mut self.next_id));
        effects.extend(self.video.thin(self.every().max(self.every_unanswered())));
        effects.extend(self.audio.reconcile(audio.as_ref(), encode, now, &mut self.next_id));
    }

    /// Of how many pictures one is encoded while there is nobody to send them to: a few a second keep everything ready, and
    /// leave the processor to what brings the network up.
    fn every_unanswered(&self) -> u32 {
        let failed = self.uplinks.iter().all(|uplink| uplink.cause.is_some());
        if self.answered || !self.pushing() || self.uplinks.is_empty() || !failed {
            return 1;
        }
        let survives = self.usual_encoder().and_then(|encoder| encoder.min_rate);
        let least = survives.unwrap_or(0).max(READY_PICTURES);
        ((self.output_mode().rate.hz() / f64::from(least)) as u32).max(1)
    }

    /// Uplinks open once there is something to push, then stay until the operator ends the push. One that is no longer
    /// wanted is released when those that are wanted are on air, or have failed to get there for some seconds beside one that is.
    fn reconcile_uplinks(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.uplinks.retain(|uplink| {
            let overdue = uplink.overdue(now.time);
            // Nothing of it may go on: the key is free for the next one.
            effects.extend(overdue.then_some(Effect::DropUplink { id: uplink.id }));
            !overdue
        });
        self.judge_backup(now.time);
        let pushing = self.pushing();
        if pushing && self.show.program.is_some() {
            let missing: Vec<Source> = self
                .wanted_sources()
                .into_iter()
                // One that is ending still has the key: the ingest would refuse a second one with it.
                .filter(|source| !self.uplinks.iter().any(|uplink| uplink.source == **source))
                .cloned()
                .collect();
            for source in missing {
                self.next_id += 1;
                let id = UplinkId(self.next_id);
                let media = Box::new(self.media_info());
                self.uplinks.push(Uplink::new(id, source.clone(), now));
                effects.push(Effect::OpenUplink { id, source: Box::new(source), media });
            }
        }
        let wanted: Vec<Source> = self.wanted_sources().into_iter().cloned().collect();
        let mut taking_over =
            self.uplinks.iter().filter(|uplink| uplink.closing.is_none() && wanted.contains(&uplink.source));
        let served = taking_over.clone().any(|uplink| uplink.on_air(now.time))
            && taking_over.all(|uplink| uplink.on_air(now.time) || now.time.since(uplink.heard()) >= TAKE_OVER);
        for uplink in &mut self.uplinks {
            uplink.note_state(now);
            let release = !pushing || (served && !wanted.contains(&uplink.source));
            if release && uplink.closing.is_none() {
                uplink.closing = Some(now.time);
                effects.push(Effect::CloseUplink { id: uplink.id });
            }
        }
        if self.show.program.is_some() && !pushing && self.uplinks.is_empty() {
            self.show.program = None;
            effects.push(Effect::EndProgram);
        }
        self.acknowledged |= pushing && self.uplinks.iter().any(|uplink| uplink.on_air(now.time));
    }

    /// Since when viewers see it; a Broadcast that has ended begins anew.
    fn note_on_air(&mut self, now: Now) {
        match self.phase(now.time) {
            Phase::OnAir => drop(self.on_air_since.get_or_insert(now.wall)),
            Phase::Previewing => self.on_air_since = None,
            _ => {}
        }
    }

    /// What an ingest is told of the program.
    pub fn media_info(&self) -> MediaInfo {
        let output = &self.running.output;
        let encoder = match self.video.plan() {
            Some(Plan::Video(plan)) => plan.encoders.first().map(|encoder| encoder.element.clone()),
            _ => None,
        };
        MediaInfo {
            mode: self.output_mode(),
            codec: output.codec,
            bitrate: output.bitrate_max,
            audio_bitrate: output.audio_bitrate,
            encoder: self.video.started().map(|started| started.encoder.clone()).or(encoder).unwrap_or_default(),
        }
    }

    fn force_keyframe(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let rested = self.keyframe_at.is_none_or(|at| now.since(at) >= KEYFRAME_PAUSE);
        if !self.keyframe_wanted || !rested {
            return;
        }
        // Without a worker nothing is to be forced: the next one begins with an IDR.
        self.keyframe_wanted = false;
        if let Some(id) = self.video.live() {
            self.keyframe_at = Some(now);
            effects.push(Effect::Order { id, order: Order::Keyframe });
        }
    }

    fn answer_waiting(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let on_air = self.uplinks.iter().any(|uplink| uplink.closing.is_none() && uplink.on_air(now.time));
        let pushing = self.pushing();
        let cause = self.uplinks.iter().find_map(|uplink| uplink.cause.as_ref().map(|cause| cause.text()));
        self.starts.retain(|(request, deadline)| {
            let answer = if on_air && pushing {
                Answer::done()
            } else if !pushing {
                Answer::failed(Reason::WrongState, "The push was stopped before it was on air")
            } else if now.time >= *deadline {
                let why = cause.clone().unwrap_or_else(|| "there is no picture to push".into());
                Answer::failed(Reason::NotAcknowledged, format!("Not on air after 30 s: {why}. It is still tried"))
            } else {
                return true;
            };
            effects.push(Effect::Answer { request: *request, answer });
            false
        });
        // One that ends the Broadcast first is under way while media flows on.
        let first = pushing && self.stop_at.is_some();
        if !first && (pushing || self.uplinks.is_empty()) {
            for request in self.stops.drain(..) {
                let answer = if pushing {
                    Answer::failed(Reason::WrongState, "The push was started again before it had ended")
                } else if self.broadcast.is_ending() {
                    Answer::Successful { result: json!({ "broadcast": "ending" }) }
                } else {
                    Answer::done()
                };
                effects.push(Effect::Answer { request, answer });
            }
        }
    }
}
