//! What was measured, as a table with the aims beside it.

use crate::witness::{Asked, Traffic};
use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

/// Most bytes of a `status`.
pub const STATUS: usize = 2048;
/// Most bytes of a `stats`.
pub const STATS: usize = 500;

/// What boxes said, and what they used for control, remote control and the stand-ins, while nothing was asked of them.
#[derive(Debug)]
pub struct Span {
    pub time: Duration,
    pub traffic: BTreeMap<&'static str, Traffic>,
    /// CPU time of one box.
    pub used: Duration,
}

/// All that was measured.
#[derive(Debug)]
pub struct Figures {
    pub boxes: usize,
    pub online: Duration,
    /// `start`, one box after the other.
    pub single: Vec<Asked>,
    /// `start --all`.
    pub all: Vec<Asked>,
    /// The same as the operator waits for it, from the call of `fieldcast` to its end.
    pub command: Duration,
    pub off_air: Span,
    pub on_air: Span,
    /// The largest payload of each kind, bytes.
    pub largest: BTreeMap<&'static str, usize>,
    /// From the end of the broker, which is started again at once, until all boxes are at it.
    pub back: Duration,
}

/// The value that this part of all does not exceed, in ms: nearest rank.
fn percentile(spans: &[Duration], part: f64) -> f64 {
    let mut sorted = spans.to_vec();
    sorted.sort();
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).map_or(f64::NAN, Duration::as_secs_f64) * 1000.0
}

/// p50, p99 and the last of what `end` gives, since `begin`.
fn spread(asked: &[Asked], begin: impl Fn(&Asked) -> Instant, end: impl Fn(&Asked) -> Option<Instant>) -> String {
    let spans: Vec<Duration> = asked.iter().filter_map(|asked| Some(end(asked)? - begin(asked))).collect();
    let [p50, p99, last] = [0.5, 0.99, 1.0].map(|part| percentile(&spans, part));
    format!("p50 {p50:.1} ms, p99 {p99:.1} ms, last {last:.1} ms")
}

fn executing(asked: &Asked) -> Option<Instant> {
    asked.executing
}

fn answered(asked: &Asked) -> Option<Instant> {
    asked.answered.as_ref().map(|(at, _)| *at)
}

impl Span {
    /// Messages and bytes of one of so many boxes in a second.
    fn traffic(&self, kind: &str, boxes: usize) -> String {
        let traffic = self.traffic.get(kind).copied().unwrap_or_default();
        let share = |count: usize| count as f64 / boxes as f64 / self.time.as_secs_f64();
        format!("{:.2} messages/s, {:.0} bytes/s", share(traffic.messages), share(traffic.bytes))
    }

    fn cpu(&self) -> String {
        format!("{:.3} % of a core", self.used.as_secs_f64() / self.time.as_secs_f64() * 100.0)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let boxes = self.boxes;
        let pressed = self.all.iter().map(|asked| asked.at).min();
        let press = |asked: &Asked| pressed.unwrap_or(asked.at);
        let largest = |kind: &str| format!("{} bytes", self.largest.get(kind).copied().unwrap_or_default());
        let rows = [
            ("all online after the start", format!("{:.2} s", self.online.as_secs_f64()), ""),
            ("one start to executing", spread(&self.single, |asked| asked.at, executing), "p99 20 ms"),
            ("one start to successful", spread(&self.single, |asked| asked.at, answered), ""),
            ("start --all to executing", spread(&self.all, press, executing), ""),
            ("start --all to successful", spread(&self.all, press, answered), "last 3 s"),
            ("  with finding the boxes", format!("{:.2} s", self.command.as_secs_f64()), ""),
            ("broker restarted: all back", format!("{:.2} s", self.back.as_secs_f64()), ""),
            ("status of a box", self.on_air.traffic("status", boxes), ""),
            ("stats of a box", self.on_air.traffic("stats", boxes), ""),
            ("  largest status", largest("status"), "2048 bytes"),
            ("  largest stats", largest("stats"), "500 bytes"),
            ("CPU of a box, off air", self.off_air.cpu(), "0.3 % for MQTT alone"),
            ("CPU of a box, on air", self.on_air.cpu(), "0.3 % for MQTT alone"),
        ];
        let title = format!("{boxes} boxes");
        writeln!(f, "{title:28}{:44}aim", "measured")?;
        rows.iter().try_for_each(|(what, measured, aim)| writeln!(f, "{what:28}{measured:44}{aim}"))
    }
}
