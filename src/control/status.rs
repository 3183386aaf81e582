//! The one snapshot that every surface shows.

use super::{Control, Now, fault, onair};
use crate::{
    board::InputKind,
    command::Cut,
    media::{FailureKind, Plan},
    settings::OutputMode,
    status::{Fault, InputStatus, PanelStatus, ProgramStatus, Severity, Showing, SignalState, Stats, Status},
    units::Time,
};
use std::time::Duration;

/// HDMI sound may come 1 to 4 s after the picture.
const LATE_SOUND: Duration = Duration::from_secs(5);

impl Control {
    /// What to show at `now`; `figures` has what the daemon measured of the host. The network is filled in by who knows it.
    pub fn status(&self, now: Now, showing: Option<Showing>, figures: Stats) -> Status {
        let signal = self.signals.get(&self.input);
        let (started, plan) = (self.video.started(), self.video.plan());
        // What follows the input is known with it.
        let known = plan.is_some() || self.show.program.is_some() || self.running.output.mode != OutputMode::Follow;
        let mode = known.then(|| self.output_mode());
        Status {
            schema: 1,
            id: self.id.clone(),
            name: self.settings.name.clone(),
            tags: self.settings.tags.clone(),
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
                muted: self.show.mute,
                mode,
                codec: self.running.output.codec,
                encoder: started.map(|started| started.encoder.clone()),
                hardware: started.is_some_and(|started| started.hardware),
            },
            uplinks: self.uplinks.iter().map(|uplink| uplink.status(now.time)).collect(),
            network: None,
            networks: Vec::new(),
            firmware: self.firmware(),
            broadcast: self.broadcast.status(&self.place(now.time), now.time),
            panel: self.board.display.as_ref().map(|display| PanelStatus {
                kind: display.kind.name(),
                present: self.display_present(),
                errors: self.display.map_or(0, |(_, errors)| errors),
            }),
            faults: self.standing.clone(),
            stats: Stats {
                time: now.wall,
                uptime_ms: now.time.since(self.begun).as_millis() as u64,
                bitrate: match plan {
                    Some(Plan::Video(plan)) if self.pushing() => plan.bitrate.bits(),
                    _ => 0,
                },
                heat_bitrate_cap: self.heat.cap().map(|_| self.rate_limits().max.bits()),
                heat_half_pictures: self.every() > 1,
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

    /// What keeps sound from coming, but for a card that is only late.
    fn sound_failure(&self, now: Time) -> Option<FailureKind> {
        let missing = self.card_missing.map(|since| (FailureKind::Device, now.since(since)));
        let failing = self.audio.failure().map(|kind| (kind, self.audio.failing_for(now)));
        let (kind, lasts) = missing.or(failing)?;
        (kind != FailureKind::Device || lasts >= LATE_SOUND).then_some(kind)
    }

    fn notices(&self, now: Time) -> Vec<fault::Notice> {
        let mut notices: Vec<_> = self.rescue_notice(now).into_iter().collect();
        let pushing = self.pushing();
        if let Some(signal) = self.signals.get(&self.input) {
            notices.extend(fault::signal(&self.input, signal.state, pushing));
            if signal.protected {
                notices.push(fault::protected(&self.input));
            }
            let locked = signal.state == SignalState::Locked;
            let own_card = self.running.input.audio != "auto" && pushing;
            if locked {
                notices.extend(fault::video(self.video.failure(), self.video.given_up()));
            }
            if locked || own_card {
                notices.extend(fault::sound(self.sound_failure(now), self.audio.given_up()));
            }
            if locked && pushing && notices.is_empty() && self.show.unexplained(now) {
                notices.push(fault::no_live_picture(&self.input));
            }
        }
        if self.video.stuck(now) || self.audio.stuck(now) {
            notices.push(fault::worker_stuck());
        }
        if pushing && self.show.cut == Cut::Live {
            let hdmi = self.board_input().is_some_and(|input| matches!(input.kind, InputKind::Hdmi(_)));
            notices.extend(self.content.seen(&self.input, hdmi, now));
        }
        if pushing && self.show.cut != Cut::Test && !self.show.mute {
            notices.extend(self.content.heard(now));
        }
        if let Some(started) = self.video.started() {
            if !started.missing.is_empty() {
                notices.push(fault::software(&started.missing, &started.encoder));
            }
            if !self.video.skipped().is_empty() {
                notices.push(fault::fell_back(self.video.skipped(), &started.encoder));
            }
            if self.video.bitrate_fixed() {
                notices.push(fault::bitrate_fixed(&started.encoder));
            }
        }
        if let Some(note) = self.audio.started().and_then(|started| started.note.as_ref()) {
            notices.push(fault::sound_note(note));
        }
        notices.extend(self.hot());
        if self.stills.picture_refused() {
            notices.push(fault::slate_picture());
        }
        if self.stills.without_slate() {
            notices.push(fault::without_slate());
        }
        if self.show.ended {
            notices.push(fault::ended_without_picture());
        }
        if pushing && self.wanted_sources().is_empty() {
            notices.push(fault::no_source());
        }
        if let (Some(display), Some((false, _))) = (&self.board.display, self.display) {
            notices.push(fault::display_missing(display.kind.name()));
        }
        let leading = self.leading(now).map(|uplink| uplink.id);
        let primary = self.primary().map(|uplink| uplink.id);
        for uplink in self.uplinks.iter().filter(|uplink| uplink.closing.is_none()) {
            let Some(cause) = uplink.trouble(now) else { continue };
            let mut notice = fault::uplink(&uplink.source.name, &cause);
            if Some(uplink.id) == primary && leading != primary {
                // Its viewers get the program from the backup.
                notice.severity = Severity::Warning;
            }
            notices.push(notice);
        }
        notices.extend(self.slow_links(now));
        if let (Some(spare), Some(primary), true) = (self.spare(), self.primary(), self.backup.carries()) {
            let back = self.running.push.backup_return;
            notices.push(fault::on_backup(&spare.name, &primary.source.name, back));
        }
        notices.extend(self.broadcast.notices(&self.place(now), self.unserved(now), now));
        notices.extend(self.update_notices());
        notices.extend(self.told.iter().cloned().map(Into::into));
        notices.sort_by(|one, other| other.severity.cmp(&one.severity).then(one.code.cmp(other.code)));
        notices
    }
}
