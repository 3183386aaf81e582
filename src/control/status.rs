//! The one snapshot that every surface shows.

use super::{Control, Now, fault, onair};
use crate::{
    media::Plan,
    settings::OutputMode,
    status::{Fault, InputStatus, ProgramStatus, Showing, SignalState, Stats, Status},
    units::Time,
};

impl Control {
    /// What to show at `now`; `figures` has what the daemon measured of the host.
    pub fn status(&self, now: Now, showing: Option<Showing>, figures: Stats) -> Status {
        let signal = self.signals.get(&self.input);
        let (started, plan) = (self.video.started(), self.video.plan());
        let mode = match plan {
            Some(Plan::Video(plan)) => Some(plan.mode),
            _ => match self.running.output.mode {
                OutputMode::Fixed(mode) => Some(mode),
                OutputMode::Follow => None,
            },
        };
        Status {
            schema: 1,
            id: self.id.clone(),
            name: self.settings.name.clone(),
            board: self.board.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            phase: self.phase(now.time),
            intent: self.intent,
            on_air_since: self.on_air_since.flatten(),
            input: InputStatus {
                device: self.input.clone(),
                signal: signal.map_or(SignalState::NoDevice, |signal| signal.state),
                mode: signal.and_then(|signal| signal.mode),
                audio: self.audio.started().and(self.sound_name()),
            },
            program: ProgramStatus {
                showing,
                mode,
                codec: self.running.output.codec,
                encoder: started.map(|started| started.encoder.clone()),
                hardware: started.is_some_and(|started| started.hardware),
            },
            uplinks: self.uplinks.iter().map(|uplink| uplink.status(now.time)).collect(),
            broadcast: None,
            faults: self.standing.clone(),
            stats: Stats {
                time: now.wall,
                uptime_ms: now.time.since(self.begun).as_millis() as u64,
                bitrate: match plan {
                    Some(Plan::Video(plan)) if self.pushing() => plan.bitrate.bits(),
                    _ => 0,
                },
                dropped_pictures: self.uplinks.iter().map(|uplink| uplink.stats.dropped_pictures).sum(),
                audio_peak_db: self.meter.peaks(),
                uplinks: self.uplinks.iter().map(onair::Uplink::figures).collect(),
                ..figures
            },
        }
    }

    /// Brings the list of faults up to date; one that stands on keeps its time.
    pub(super) fn note_faults(&mut self, now: Now) {
        let notices = self.notices(now.time);
        self.standing = notices
            .into_iter()
            .map(|notice| {
                let known = self.standing.iter().find(|fault| fault.code == notice.code && fault.text == notice.text);
                Fault {
                    since: known.map_or(now.wall, |fault| fault.since),
                    code: notice.code,
                    severity: notice.severity,
                    text: notice.text,
                    advice: notice.advice,
                }
            })
            .collect();
    }

    fn notices(&self, now: Time) -> Vec<fault::Notice> {
        let mut notices = Vec::new();
        let pushing = self.pushing();
        if let Some(signal) = self.signals.get(&self.input) {
            notices.extend(fault::signal(&self.input, signal.state, pushing));
            if signal.protected {
                notices.push(fault::protected(&self.input));
            }
            if signal.state == SignalState::Locked {
                notices.extend(fault::video(self.video.failure(), self.video.given_up()));
                notices.extend(fault::sound(self.audio.failure(), self.audio.given_up()));
            }
        }
        if let Some(started) = self.video.started() {
            if !started.missing.is_empty() {
                notices.push(fault::software(&started.missing, &started.encoder));
            }
            if self.video.skipped() > 0 {
                notices.push(fault::fell_back(&started.encoder));
            }
            if self.video.bitrate_fixed() {
                notices.push(fault::bitrate_fixed(&started.encoder));
            }
        }
        if let Some(note) = self.audio.started().and_then(|started| started.note.as_ref()) {
            notices.push(fault::sound_note(note));
        }
        if pushing && self.wanted_sources().is_empty() {
            notices.push(fault::no_source());
        }
        for uplink in self.uplinks.iter().filter(|uplink| uplink.closing.is_none() && !uplink.on_air(now)) {
            notices.extend(uplink.cause.as_ref().map(|cause| fault::uplink(&uplink.source.name, cause)));
        }
        notices.extend(self.told.iter().cloned().map(Into::into));
        notices.sort_by(|one, other| other.severity.cmp(&one.severity).then(one.code.cmp(other.code)));
        notices
    }
}
