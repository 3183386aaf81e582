//! What is known of one box. Boxes of older and newer versions are read too: what is missing or of another kind is not known,
//! and no error. Texts come from outside: what could move or turn a terminal's text is taken out of them.

use crate::{status::Severity, units::Time};
use serde_json::{Map, Value, json};
use std::{collections::VecDeque, time::Duration};

/// Figures kept for the sparkline: one a second.
pub const KEPT: usize = 60;
/// A box tells its status each 30 s: one that has not for two of these and some more is taken for offline.
const SILENCE: Duration = Duration::from_secs(75);

/// Something that a box told.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Whether it is connected.
    Availability(bool),
    /// What it is.
    Info(Value),
    /// What it does; `live`: now, and not when the broker kept it.
    Status {
        /// The document.
        document: Value,
        /// It was not kept by the broker.
        live: bool,
    },
    /// Its figures.
    Stats(Value),
}

/// A box.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    id: String,
    available: Option<bool>,
    /// When it last told something of its own accord.
    heard: Option<Time>,
    /// The way to it was lost, and it has told nothing since.
    lost: bool,
    info: Value,
    status: Value,
    stats: Value,
    rates: VecDeque<u64>,
}

/// One delivery of a box's program.
#[derive(Debug, Clone, PartialEq)]
pub struct Uplink {
    /// The Source.
    pub source: String,
    /// Its region.
    pub region: Option<String>,
    /// The word for its state.
    pub state: String,
    /// Acknowledged in the last second, bit/s.
    pub bitrate: Option<u64>,
    /// Round trip, ms.
    pub rtt_ms: Option<u64>,
    /// Media waiting to be sent, ms.
    pub queue_ms: Option<u64>,
    /// Time to the next try, ms.
    pub retry_in_ms: Option<u64>,
}

/// The Broadcast of a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broadcast {
    /// The word for its state.
    pub state: String,
    /// Who watch it.
    pub viewers: Option<u64>,
    /// Its title.
    pub title: Option<String>,
    /// Where people watch it.
    pub share_url: Option<String>,
}

/// Something wrong with a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// How bad.
    pub severity: Severity,
    /// What.
    pub text: String,
    /// What to do.
    pub advice: String,
}

impl Seen {
    /// A box of which nothing but its id is known.
    pub fn new(id: &str) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// The way to it is lost: whether it is there is not known any more.
    pub fn lose(&mut self) {
        (self.available, self.heard, self.lost) = (None, None, true);
    }

    /// Whether the way to it is lost.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Takes what the box told.
    pub fn hear(&mut self, told: Told, now: Time) {
        self.lost &= matches!(told, Told::Info(_) | Told::Status { live: false, .. });
        match told {
            Told::Availability(available) => {
                self.available = Some(available);
                self.heard = available.then_some(now);
            }
            Told::Info(document) => self.info = document,
            Told::Status { mut document, live } => {
                if live {
                    self.heard = Some(now);
                }
                // HTTP gives both in one.
                let stats = document.as_object_mut().and_then(|document| document.remove("stats"));
                self.status = document;
                if let Some(stats) = stats {
                    self.figures(stats);
                }
            }
            Told::Stats(stats) => {
                self.heard = Some(now);
                self.figures(stats);
            }
        }
    }

    fn figures(&mut self, stats: Value) {
        self.stats = stats;
        let rate = self.uplinks().first().and_then(|uplink| uplink.bitrate).unwrap_or(0);
        self.rates.push_back(rate);
        while self.rates.len() > KEPT {
            self.rates.pop_front();
        }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name for people; its id while none is known.
    pub fn name(&self) -> String {
        let name = self.status_text("name").or_else(|| text(&self.info, "name"));
        name.filter(|name| !name.is_empty()).unwrap_or_else(|| self.id.clone())
    }

    /// Its tags.
    pub fn tags(&self) -> Vec<String> {
        let of = |document: &Value| {
            document["tags"].as_array().map(|tags| tags.iter().filter_map(Value::as_str).map(clean).collect::<Vec<_>>())
        };
        of(&self.status).or_else(|| of(&self.info)).unwrap_or_default()
    }

    /// Whether it is there at `now`: by what it said of its connection; where no broker kept that, by what it told lately.
    pub fn online(&self, now: Time) -> bool {
        let heard = self.heard.is_some_and(|heard| now.since(heard) < SILENCE);
        self.available.unwrap_or(heard)
    }

    /// Whether a status was told ever.
    pub fn known(&self) -> bool {
        self.status.is_object()
    }

    /// The word for its phase; none while nothing is known.
    pub fn phase(&self) -> Option<String> {
        self.status_text("phase")
    }

    /// Whether viewers could see something that a stop would take from them. Not known counts as yes.
    pub fn pushing(&self) -> bool {
        self.phase().is_none_or(|phase| phase != "off-air")
    }

    /// Since when it is on air, RFC 3339.
    pub fn on_air_since(&self) -> Option<String> {
        self.status_text("on-air-since")
    }

    /// The word for what its input receives.
    pub fn signal(&self) -> Option<String> {
        text(&self.status["input"], "signal")
    }

    /// The input, and the mode that it is locked to.
    pub fn input(&self) -> (Option<String>, Option<String>) {
        (text(&self.status["input"], "device"), text(&self.status["input"], "mode"))
    }

    /// What viewers see, the mode and the codec.
    pub fn program(&self) -> [Option<String>; 3] {
        ["showing", "mode", "codec"].map(|key| text(&self.status["program"], key))
    }

    /// The version of Fieldcast.
    pub fn version(&self) -> Option<String> {
        self.status_text("version").or_else(|| text(&self.info, "version"))
    }

    /// The board's name.
    pub fn board(&self) -> Option<String> {
        self.status_text("board").or_else(|| text(&self.info, "board"))
    }

    /// Its address in its network.
    pub fn address(&self) -> Option<String> {
        text(&self.status["network"], "address").or_else(|| {
            let first = self.info["address"].as_array()?.first()?.as_str()?;
            Some(clean(first))
        })
    }

    /// Each network, the best first: what it is and how it is. With one alone, the address says all.
    pub fn networks(&self) -> Vec<Vec<String>> {
        let all = self.status["networks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let said = |network: &Value| {
            let state = match (network["used"].as_bool(), network["up"].as_bool()) {
                (Some(true), _) => "in use",
                (_, Some(true)) => "standing by",
                _ => "down",
            };
            let metric = network["metric"].as_u64().map(|metric| format!("metric {metric}"));
            let words =
                [text(network, "interface"), text(network, "kind"), Some(state.into()), text(network, "address")];
            words.into_iter().chain([metric]).flatten().collect::<Vec<String>>()
        };
        all.iter().filter(|_| all.len() > 1).map(said).collect()
    }

    /// Each delivery with its figures.
    pub fn uplinks(&self) -> Vec<Uplink> {
        let states = self.status["uplinks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let figures = self.stats["uplinks"].as_array().map(Vec::as_slice).unwrap_or_default();
        states
            .iter()
            .filter_map(|state| {
                let source = text(state, "source")?;
                let figures = figures.iter().find(|figures| figures["source"] == state["source"]);
                let figure = |key: &str| figures.and_then(|figures| figures[key].as_u64());
                Some(Uplink {
                    region: text(state, "region"),
                    state: text(state, "state").unwrap_or_default(),
                    bitrate: figure("bitrate"),
                    rtt_ms: figure("rtt-ms"),
                    queue_ms: figure("queue-ms"),
                    retry_in_ms: state["retry-in-ms"].as_u64(),
                    source,
                })
            })
            .collect()
    }

    /// The Broadcast that it made public, or may.
    pub fn broadcast(&self) -> Option<Broadcast> {
        let broadcast = &self.status["broadcast"];
        Some(Broadcast {
            state: text(broadcast, "state")?,
            viewers: broadcast["viewers"].as_u64(),
            title: text(broadcast, "title"),
            share_url: text(broadcast, "share-url"),
        })
    }

    /// Whether its Broadcast is public, or may be.
    pub fn is_public(&self) -> bool {
        let state = self.broadcast().map(|broadcast| broadcast.state);
        matches!(state.as_deref(), Some("publishing" | "running" | "ending" | "unknown"))
    }

    /// What is wrong, the worst first.
    pub fn troubles(&self) -> Vec<Trouble> {
        let faults = self.status["faults"].as_array().map(Vec::as_slice).unwrap_or_default();
        let read = |fault: &Value| {
            let severity = match fault["severity"].as_str() {
                Some("error") => Severity::Error,
                Some("notice") => Severity::Notice,
                _ => Severity::Warning,
            };
            Some(Trouble { severity, text: text(fault, "text")?, advice: text(fault, "advice").unwrap_or_default() })
        };
        let mut troubles: Vec<_> = faults.iter().filter_map(read).collect();
        troubles.sort_by_key(|trouble| std::cmp::Reverse(trouble.severity));
        troubles
    }

    /// Hottest thermal zone, degrees Celsius.
    pub fn temperature(&self) -> Option<f64> {
        self.stats["temperature-c"].as_f64()
    }

    /// What the first delivery carried in each of the last seconds, bit/s; the newest last.
    pub fn rates(&self) -> &VecDeque<u64> {
        &self.rates
    }

    /// All of it as one object, for programs.
    pub fn document(&self, now: Time) -> Value {
        let mut document = match &self.status {
            Value::Object(status) => status.clone(),
            _ => Map::new(),
        };
        document.insert("id".into(), json!(self.id));
        document.insert("online".into(), json!(self.online(now)));
        for (key, value) in [("info", &self.info), ("stats", &self.stats)] {
            if !value.is_null() {
                document.insert(key.into(), value.clone());
            }
        }
        Value::Object(document)
    }

    fn status_text(&self, key: &str) -> Option<String> {
        text(&self.status, key)
    }
}

fn text(document: &Value, key: &str) -> Option<String> {
    document[key].as_str().map(clean)
}

/// `text` without what a terminal would obey, and what would move or turn what stands beside it (Unicode, UAX #9).
pub fn clean(text: &str) -> String {
    let unseen = |c: &char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(|c| !unseen(c)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::status::tests::on_air;
    use proptest::prelude::*;

    pub(in crate::desk) fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    /// A box on air, as the broker tells of it.
    pub(in crate::desk) fn seen() -> Seen {
        let mut seen = Seen::new("fc-1a2b3c4d");
        let mut document = serde_json::to_value(on_air()).expect("JSON");
        document["tags"] = json!(["stage-left"]);
        document["stats"]["uplinks"][0]["rtt-ms"] = json!(31);
        document["stats"]["uplinks"][0]["queue-ms"] = json!(12);
        document["stats"]["temperature-c"] = json!(51.4);
        seen.hear(Told::Availability(true), at(0));
        seen.hear(Told::Status { document, live: true }, at(0));
        seen
    }

    #[test]
    fn a_status_of_this_version_is_understood_whole() {
        let seen = seen();
        assert_eq!((seen.name(), seen.tags()), ("OB van 3".into(), vec!["stage-left".into()]));
        assert_eq!((seen.phase().as_deref(), seen.pushing()), (Some("on-air"), true));
        assert_eq!((seen.signal().as_deref(), seen.input().1.as_deref()), (Some("locked"), Some("1280x720p60")));
        assert_eq!(seen.address().as_deref(), Some("192.0.2.17"));
        let uplink = &seen.uplinks()[0];
        let figures = (uplink.bitrate, uplink.rtt_ms, uplink.queue_ms);
        assert_eq!((uplink.state.as_str(), figures), ("on-air", (Some(3_980_000), Some(31), Some(12))));
        assert_eq!((seen.temperature(), seen.rates().back()), (Some(51.4), Some(&3_980_000)));
        let document = seen.document(at(1));
        assert_eq!((&document["online"], &document["stats"]["temperature-c"]), (&json!(true), &json!(51.4)));
    }

    #[test]
    fn who_said_nothing_of_its_connection_is_there_while_it_is_heard() {
        let mut seen = Seen::new("fc-1");
        seen.hear(Told::Status { document: json!({}), live: false }, at(0));
        assert!(!seen.online(at(0)), "a kept status says nothing of now");
        seen.hear(Told::Stats(json!({})), at(10));
        assert!(seen.online(at(80)) && !seen.online(at(90)));
        seen.hear(Told::Availability(true), at(90));
        assert!(seen.online(at(9000)), "its last will would have told");
        seen.hear(Told::Availability(false), at(9001));
        seen.hear(Told::Status { document: json!({}), live: false }, at(9002));
        assert!(!seen.online(at(9002)));
        seen.lose();
        seen.hear(Told::Status { document: json!({}), live: false }, at(9003));
        assert!(seen.is_lost() && !seen.online(at(9003)), "not that it is offline is known, but nothing");
        seen.hear(Told::Availability(true), at(9004));
        assert!(!seen.is_lost() && seen.online(at(9004)));
    }

    #[test]
    fn nothing_is_known_of_who_told_nothing() {
        let seen = Seen::new("fc-1");
        assert_eq!((seen.name(), seen.phase(), seen.pushing()), ("fc-1".into(), None, true));
        assert!(!seen.known() && seen.uplinks().is_empty() && seen.troubles().is_empty());
    }

    #[test]
    fn the_worst_is_told_first_and_no_text_moves_the_terminal() {
        let mut seen = Seen::new("fc-1");
        let fault = |severity: &str, text: &str| json!({"severity": severity, "text": text, "advice": "a"});
        let faults = [fault("notice", "n"), fault("error", "e\u{1b}[2J\u{202e}!\n"), fault("new", "w")];
        seen.hear(Told::Status { document: json!({ "faults": faults, "name": "\u{7}Van" }), live: true }, at(0));
        let troubles = seen.troubles();
        let texts: Vec<_> = troubles.iter().map(|trouble| trouble.text.as_str()).collect();
        assert_eq!((texts, seen.name()), (vec!["e[2J!", "w", "n"], "Van".into()));
    }

    pub(in crate::desk) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        let word = prop::sample::select(vec![
            "name", "tags", "phase", "input", "signal", "device", "mode", "uplinks", "source", "state", "stats",
            "faults", "text", "severity", "bitrate", "network", "address", "rtt-ms", "id", "result", "status",
            "passed", "steps",
        ]);
        leaf.prop_recursive(4, 40, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((word.clone(), inner), 0..5)
                    .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_documents_are_read_as_far_as_they_go(told in prop::collection::vec((any_json(), 0..4), 0..5)) {
            let mut seen = Seen::new("fc-1");
            for (document, kind) in told {
                let told = match kind {
                    0 => Told::Info(document),
                    1 => Told::Status { document, live: true },
                    2 => Told::Availability(document == json!(true)),
                    _ => Told::Stats(document),
                };
                seen.hear(told, at(1));
                let texts = [Some(seen.name()), seen.phase(), seen.signal(), seen.address(), seen.version(), seen.board()];
                let troubles = seen.troubles().into_iter().flat_map(|trouble| [trouble.text, trouble.advice]);
                let of_uplinks = seen.uplinks().into_iter().flat_map(|uplink| [uplink.source, uplink.state]);
                for text in texts.into_iter().flatten().chain(troubles).chain(of_uplinks).chain(seen.tags()) {
                    prop_assert!(!text.chars().any(char::is_control));
                }
                prop_assert!(seen.rates().len() <= KEPT && seen.document(at(1))["id"] == "fc-1");
            }
        }
    }
}
