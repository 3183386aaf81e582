//! The status as Prometheus text (exposition format 0.0.4).

use crate::status::{Phase, SignalState, Status, UplinkState};
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write as _};

/// Writes every figure of `status` with its help and type.
pub fn text(status: &Status) -> String {
    let mut page = Page(String::new());
    let stats = &status.stats;
    let info = [("id", &*status.id), ("name", &*status.name), ("board", &*status.board), ("version", &*status.version)];
    page.family("info", "gauge", "What this box is", [(info.to_vec(), 1.0)]);
    let phases =
        [Phase::OffAir, Phase::Starting, Phase::Previewing, Phase::OnAir, Phase::Reconnecting, Phase::Stopping];
    page.states("phase", "Where the push is", &phases, &BTreeMap::from([("", status.phase)]));
    let signals = [
        SignalState::NoDevice,
        SignalState::NoCable,
        SignalState::NoSignal,
        SignalState::NoLock,
        SignalState::OutOfRange,
        SignalState::Locked,
    ];
    page.states("signal", "What the input receives", &signals, &BTreeMap::from([("", status.input.signal)]));
    page.gauge("uptime_seconds", "Since the daemon started", Some(stats.uptime_ms as f64 / 1e3));
    page.gauge("video_bitrate_bits_per_second", "Asked of the encoder", Some(stats.bitrate as f64));
    let dropped = [(Vec::new(), stats.dropped_pictures as f64)];
    page.family("dropped_pictures_total", "counter", "Dropped from queues since the push started", dropped);
    let channels: Vec<String> = (0..stats.audio_peak_db.len()).map(|channel| channel.to_string()).collect();
    let peaks = channels.iter().zip(&stats.audio_peak_db).map(|(channel, peak)| (vec![("channel", &**channel)], *peak));
    page.family("audio_peak_decibels", "gauge", "Peak in the last second, dBFS", peaks);

    // A Source that is released and taken again is there twice for a moment; a series may be there once.
    let states: BTreeMap<&str, UplinkState> = status.uplinks.iter().map(|u| (&*u.source, u.state)).collect();
    let known =
        [UplinkState::Idle, UplinkState::Connecting, UplinkState::OnAir, UplinkState::Waiting, UplinkState::Refused];
    page.states("uplink_state", "Where each delivery is", &known, &states);
    let uplinks: BTreeMap<&str, _> = stats.uplinks.iter().map(|uplink| (&*uplink.source, uplink)).collect();
    let mut each = |name, kind, help, value: &dyn Fn(&crate::status::UplinkStats) -> Option<f64>| {
        let samples = uplinks.iter().filter_map(|(source, uplink)| Some((vec![("source", *source)], value(uplink)?)));
        page.family(name, kind, help, samples.collect::<Vec<_>>());
    };
    let bits = "Acknowledged in the last second";
    each("uplink_bitrate_bits_per_second", "gauge", bits, &|uplink| Some(uplink.bitrate as f64));
    each("uplink_queue_seconds", "gauge", "Media waiting to be sent", &|uplink| Some(uplink.queue_ms as f64 / 1e3));
    each("uplink_rtt_seconds", "gauge", "Round trip", &|uplink| uplink.rtt_ms.map(|ms| ms as f64 / 1e3));
    each("uplink_loss_ratio", "gauge", "Packets that had to be sent again in the last second", &|uplink| uplink.loss);
    let bytes = "Acknowledged since the push started";
    each("uplink_acknowledged_bytes_total", "counter", bytes, &|uplink| Some(uplink.acknowledged_bytes as f64));
    let again = "Connections made again since the push started";
    each("uplink_reconnects_total", "counter", again, &|uplink| Some(uplink.reconnects as f64));

    let mut faults: BTreeMap<(&str, String), f64> = BTreeMap::new();
    status.faults.iter().for_each(|fault| *faults.entry((fault.code, word(&fault.severity))).or_default() += 1.0);
    let samples =
        faults.iter().map(|((code, severity), count)| (vec![("code", *code), ("severity", severity)], *count));
    page.family("faults", "gauge", "What is wrong now", samples);

    page.gauge("temperature_celsius", "Hottest thermal zone", stats.temperature_c);
    page.gauge("heat_headroom_celsius", "How much warmer it may get before it slows down", stats.heat_headroom_c);
    let cap = stats.heat_bitrate_cap.map(|cap| cap as f64);
    page.gauge("heat_bitrate_cap_bits_per_second", "Most that heat leaves of the bitrate", cap);
    let halved = Some(flag(stats.heat_half_pictures));
    page.gauge("heat_half_pictures", "Whether heat leaves every second picture out", halved);
    page.gauge("throttled", "Whether heat or a weak supply slows the box down", stats.throttled.map(flag));
    page.gauge("cpu_cores", "Used by the daemon and its workers", stats.cpu);
    page.gauge("memory_bytes", "Used by the daemon and its workers", stats.memory_bytes.map(|bytes| bytes as f64));
    page.gauge("disk_free_bytes", "On the state folder's disk", stats.disk_free_bytes.map(|bytes| bytes as f64));
    let synchronised = stats.clock.map(|clock| flag(clock == "synchronised"));
    page.gauge("clock_synchronised", "Whether a time server keeps the clock", synchronised);
    page.0
}

fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}

/// A state's word on every surface.
fn word<T: Serialize>(state: &T) -> String {
    serde_json::to_value(state).ok().and_then(|word| word.as_str().map(Into::into)).unwrap_or_default()
}

struct Page(String);

type Labels<'a> = Vec<(&'a str, &'a str)>;

impl Page {
    /// One metric; without samples it is left out.
    fn family<'a>(&mut self, name: &str, kind: &str, help: &str, samples: impl IntoIterator<Item = (Labels<'a>, f64)>) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let _ = writeln!(self.0, "# HELP fieldcast_{name} {help}\n# TYPE fieldcast_{name} {kind}");
        for (labels, value) in samples {
            let labels: Vec<String> = labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escaped(text))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(self.0, "fieldcast_{name}{labels} {value}");
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: Option<f64>) {
        self.family(name, "gauge", help, value.map(|value| (Vec::new(), value)));
    }

    /// For each thing (`""` for the box itself) one sample for each of `known`: 1 for the one that it is in.
    fn states<T: Serialize + PartialEq>(&mut self, name: &str, help: &str, known: &[T], current: &BTreeMap<&str, T>) {
        let words: Vec<String> = known.iter().map(word).collect();
        let samples = current.iter().flat_map(|(source, current)| {
            known.iter().zip(&words).map(move |(state, word)| {
                let mut labels = vec![("state", &**word)];
                labels.extend((!source.is_empty()).then_some(("source", *source)));
                (labels, flag(state == current))
            })
        });
        self.family(name, "gauge", help, samples);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Fault, Severity, tests::on_air};

    /// Reads the format strictly: each sample belongs to a family that was announced, and is there once.
    fn samples(text: &str) -> BTreeMap<String, f64> {
        let (mut family, mut samples) = (String::new(), BTreeMap::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split(' ').next().expect("a name").into();
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("name and type");
                assert!(name == family && matches!(kind, "gauge" | "counter"), "{line}");
            } else {
                let (series, value) = line.rsplit_once(' ').expect("series and value");
                assert_eq!(series.split('{').next(), Some(&*family), "{line}");
                assert_eq!(samples.insert(series.into(), value.parse().expect("a number")), None, "twice: {line}");
            }
        }
        samples
    }

    #[test]
    fn every_figure_is_there_once() {
        let mut status = on_air();
        status.uplinks.push(status.uplinks[0].clone());
        status.stats.uplinks.push(status.stats.uplinks[0].clone());
        status.stats.audio_peak_db = vec![-12.5, f64::NEG_INFINITY];
        status.stats.temperature_c = Some(51.0);
        (status.stats.heat_headroom_c, status.stats.heat_bitrate_cap) = (Some(-2.5), Some(3_000_000));
        let fault = |code, severity| Fault { code, severity, text: "x".into(), advice: "y".into(), since: None };
        status.faults = vec![fault("a", Severity::Error), fault("a", Severity::Error), fault("b", Severity::Notice)];
        let samples = samples(&text(&status));
        for (series, value) in [
            ("fieldcast_phase{state=\"on-air\"}", 1.0),
            ("fieldcast_phase{state=\"off-air\"}", 0.0),
            ("fieldcast_signal{state=\"locked\"}", 1.0),
            ("fieldcast_uplink_state{state=\"on-air\",source=\"Main\"}", 1.0),
            ("fieldcast_uplink_bitrate_bits_per_second{source=\"Main\"}", 3_980_000.0),
            ("fieldcast_audio_peak_decibels{channel=\"1\"}", f64::NEG_INFINITY),
            ("fieldcast_faults{code=\"a\",severity=\"error\"}", 2.0),
            ("fieldcast_temperature_celsius", 51.0),
            ("fieldcast_heat_headroom_celsius", -2.5),
            ("fieldcast_heat_bitrate_cap_bits_per_second", 3_000_000.0),
            ("fieldcast_heat_half_pictures", 0.0),
        ] {
            assert_eq!(samples.get(series), Some(&value), "{series}");
        }
        assert!(!samples.contains_key("fieldcast_cpu_cores"), "what is not known is left out");
    }

    #[test]
    fn a_name_cannot_break_the_page() {
        let mut status = on_air();
        status.name = "a\"} 1\nfieldcast_on_air 1 \\".into();
        let page = text(&status);
        assert!(page.contains(r#"name="a\"} 1\nfieldcast_on_air 1 \\""#), "{page}");
        samples(&page);
    }
}
