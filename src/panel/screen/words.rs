//! What a screen says of the status, whatever it is drawn on.

use super::pen::Tone;
use crate::{
    control::{Now, menu::View},
    status::{Fault, FirmwareState, Phase, PublicState, Severity, Showing, SignalState, Status},
};
use jiff::SignedDuration;

/// Peaks from here on are marked as clipped, dBFS.
pub const CLIP: f64 = -1.0;
/// The left end of a meter, dBFS.
const QUIET: f64 = -60.0;
/// From this on a queue is told as too long, ms; at 2000 pictures are dropped.
const LONG_QUEUE: u64 = 1000;

/// Where the push is, in one word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headline {
    /// Capitals.
    pub word: &'static str,
    /// What it means.
    pub tone: Tone,
    /// Beside the word, where that does not say all.
    pub tag: Option<&'static str>,
    /// How long it has been on air; none while it is not, or the clock is not set.
    pub time: Option<String>,
    /// Whether it blinks.
    pub blinks: bool,
}

/// The headline of `status` at `now`. On air is said in the phase on air only.
pub fn headline(status: &Status, now: Now) -> Headline {
    let plain = |word, tone| Headline { word, tone, tag: None, time: None, blinks: false };
    let shown = |phase| match status.program.showing {
        Some(Showing::Slate) => ("SLATE", Some(phase)),
        Some(Showing::Test) => ("TEST", Some(phase)),
        Some(Showing::Live | Showing::Hold) | None => (phase, None),
    };
    match status.phase {
        Phase::Previewing => {
            let (word, tag) = shown("PREVIEW");
            Headline { tag, ..plain(word, Tone::Warn) }
        }
        Phase::OnAir => {
            let (word, tag) = shown("ON AIR");
            Headline { tag, time: on_air_for(status, now).map(clock_of), ..plain(word, Tone::Air) }
        }
        Phase::Starting => plain("STARTING", Tone::Busy),
        Phase::Reconnecting => Headline { blinks: true, ..plain("RECONNECTING", Tone::Warn) },
        Phase::Stopping => plain("STOPPING", Tone::Busy),
        Phase::OffAir => match status.input.signal {
            SignalState::Locked if errors(status) => plain("NOT READY", Tone::Warn),
            SignalState::Locked => plain("READY", Tone::Good),
            signal => plain(signal_word(signal), Tone::Warn),
        },
    }
}

/// What is being done about the system, and percents of it; none: nothing.
pub fn update(status: &Status) -> Option<(String, Option<u8>)> {
    let firmware = status.firmware.as_ref()?;
    let to = firmware.to.as_deref().map(|to| format!(" {to}")).unwrap_or_default();
    let text = match firmware.state {
        FirmwareState::Idle | FirmwareState::OnTrial => return None,
        FirmwareState::Downloading => "Getting the update".into(),
        FirmwareState::Checking => "Checking the update".into(),
        FirmwareState::Installing => format!("Installing{to}"),
        FirmwareState::Restarting => format!("{} is installed", to.trim()),
    };
    Some((text, firmware.progress))
}

fn errors(status: &Status) -> bool {
    status.faults.iter().any(|fault| fault.severity == Severity::Error)
}

/// The state of an input in capitals.
pub fn signal_word(signal: SignalState) -> &'static str {
    match signal {
        SignalState::NoDevice => "NO DEVICE",
        SignalState::NoCable => "NO CABLE",
        SignalState::NoSignal => "NO SIGNAL",
        SignalState::NoLock => "NO LOCK",
        SignalState::OutOfRange => "OUT OF RANGE",
        SignalState::Locked => "LOCKED",
    }
}

/// How long it has been on air.
pub fn on_air_for(status: &Status, now: Now) -> Option<SignedDuration> {
    let since = status.on_air_since.filter(|_| status.phase == Phase::OnAir)?;
    Some(now.wall?.duration_since(since)).filter(|span| !span.is_negative())
}

fn clock_of(span: SignedDuration) -> String {
    let seconds = span.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A length of time that has no need of seconds: "3 d 4 h", "5 h 12 min".
pub fn long_span(ms: u64) -> String {
    let minutes = ms / 60_000;
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A rate and its unit, with three digits.
pub fn rate(bits: u64) -> (String, &'static str) {
    match bits as f64 / 1e6 {
        0.0 => ("0".into(), "kbit/s"),
        mega if mega < 0.9995 => (format!("{:.0}", mega * 1e3), "kbit/s"),
        mega if mega < 9.995 => (format!("{mega:.2}"), "Mbit/s"),
        mega if mega < 99.95 => (format!("{mega:.1}"), "Mbit/s"),
        mega if mega < 999.5 => (format!("{mega:.0}"), "Mbit/s"),
        mega => (format!("{:.0}", mega / 1e3), "Gbit/s"),
    }
}

/// Where the bitrate is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trend {
    /// More is asked of the encoder than was acknowledged.
    Rising,
    /// As much.
    Steady,
    /// Less, or media waits: the network carries less than it did.
    Falling,
}

/// What goes out of the box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Acknowledged by the first Source in the last second, bit/s.
    pub acknowledged: u64,
    /// Asked of the encoder, bit/s.
    pub asked: u64,
    /// Where that is going.
    pub trend: Trend,
    /// The longest queue, ms.
    pub queue: u64,
}

/// What goes out; none while nothing is pushed.
pub fn flow(status: &Status) -> Option<Flow> {
    if status.phase == Phase::OffAir {
        return None;
    }
    let stats = &status.stats;
    let acknowledged = stats.uplinks.first().map_or(0, |uplink| uplink.bitrate);
    let queue = stats.uplinks.iter().map(|uplink| uplink.queue_ms).max().unwrap_or_default();
    let (had, asked) = (acknowledged as f64, stats.bitrate as f64);
    let trend = if queue >= LONG_QUEUE || asked < had * 0.75 {
        Trend::Falling
    } else if asked > had * 1.25 && matches!(status.phase, Phase::OnAir | Phase::Previewing) {
        Trend::Rising
    } else {
        Trend::Steady
    };
    Some(Flow { acknowledged, asked: stats.bitrate, trend, queue })
}

/// A queue in words.
pub fn queue(ms: u64) -> (String, Tone) {
    let tone = if ms >= LONG_QUEUE { Tone::Warn } else { Tone::Plain };
    (if ms < 99_950 { format!("{:.1} s", ms as f64 / 1e3) } else { "> 99 s".into() }, tone)
}

/// A channel of the sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// How far its meter is filled, 0 to 1.
    pub filled: f64,
    /// Whether its peak was at or above [`CLIP`].
    pub clipped: bool,
}

/// The first two channels.
pub fn levels(status: &Status) -> Vec<Level> {
    let level = |db: &f64| Level { filled: position(*db), clipped: *db >= CLIP };
    status.stats.audio_peak_db.iter().take(2).map(level).collect()
}

/// Where a level is on a meter, 0 to 1; silence for what is no number.
pub fn position(db: f64) -> f64 {
    let position = (db - QUIET) / -QUIET;
    if position.is_nan() { 0.0 } else { position.clamp(0.0, 1.0) }
}

/// What is wrong, the worst first.
pub fn worst_first(status: &Status) -> Vec<&Fault> {
    let mut faults: Vec<&Fault> = status.faults.iter().collect();
    faults.sort_by_key(|fault| std::cmp::Reverse(fault.severity));
    faults
}

/// How a fault looks.
pub fn tone_of(severity: Severity) -> Tone {
    match severity {
        Severity::Notice => Tone::Busy,
        Severity::Warning => Tone::Warn,
        Severity::Error => Tone::Bad,
    }
}

/// The last line of the Live page: the worst fault, or where the program goes.
pub fn footer(status: &Status, view: &View) -> (String, Tone) {
    let faults = worst_first(status);
    if let Some(worst) = faults.first() {
        let more = if faults.len() > 1 { format!("{} faults: ", faults.len()) } else { String::new() };
        return (more + &worst.text, tone_of(worst.severity));
    }
    let listed = view.sources.iter().find(|source| source.primary).map(|source| (&source.name, &source.region));
    let pushed = status.uplinks.first().map(|uplink| (&uplink.source, &uplink.region));
    let place = match pushed.or(listed) {
        Some((source, Some(region))) => format!("{source}, {region}"),
        Some((source, None)) => source.clone(),
        None => status.name.clone(),
    };
    let place = match viewers(status) {
        Some(viewers) => format!("{viewers}, {place}"),
        None => place,
    };
    let others = status.uplinks.len().saturating_sub(1);
    (if others > 0 { format!("{place} and {others} more") } else { place }, Tone::Faint)
}

/// Who watch the Broadcast, while it is on air.
pub fn viewers(status: &Status) -> Option<String> {
    let broadcast = status.broadcast.as_ref().filter(|_| status.phase == Phase::OnAir)?;
    let viewers = broadcast.viewers.filter(|_| broadcast.state == PublicState::Running)?;
    Some(match viewers {
        1 => "1 viewer".into(),
        viewers if viewers < 10_000 => format!("{viewers} viewers"),
        viewers => format!("{} k viewers", viewers / 1000),
    })
}

/// How full the bar of a held button is, 0 to 1.
pub fn held(hold: &crate::control::menu::Hold, now: Now) -> f64 {
    let (passed, all) = (now.time.since(hold.since), hold.until.since(hold.since));
    if all.is_zero() { 1.0 } else { (passed.as_secs_f64() / all.as_secs_f64()).clamp(0.0, 1.0) }
}

/// What a button that was held at power-on will do: above, in large letters, and below.
pub fn reset(reset: &crate::control::menu::Reset, now: Now) -> [String; 3] {
    let seconds = |until: crate::units::Time| until.since(now.time).as_nanos().div_ceil(1_000_000_000);
    if now.time < reset.armed {
        return ["Factory reset in".into(), seconds(reset.armed).to_string(), "let go to cancel".into()];
    }
    let below = format!("hold on to cancel: {}", seconds(reset.until));
    ["To delete everything".into(), "LET GO".into(), below]
}

/// The digits that pair, in two groups, and how long they hold.
pub fn pin(pin: &crate::control::menu::Pin, now: Now) -> (String, String) {
    let digits: Vec<char> = pin.digits.chars().take(12).collect();
    let groups: Vec<String> = digits.chunks(3).map(|group| group.iter().collect()).collect();
    let left = pin.until.since(now.time).as_nanos().div_ceil(1_000_000_000);
    (groups.join(" "), format!("{}:{:02} left", left / 60, left % 60))
}
