//! What a box tells of itself: what it is and can do, what happened, lines of its log.

use crate::status::{Phase, SignalState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Most bytes of [`Info`].
const INFO_LIMIT: usize = 2048;

/// What the box is and can do; retained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Info {
    /// Version of this document.
    pub schema: u32,
    /// The box's id.
    pub id: String,
    /// The box's name for people.
    pub name: String,
    /// The board's name.
    pub board: String,
    /// Fieldcast's version.
    pub version: String,
    /// Words to find the box by.
    pub tags: Vec<String>,
    /// Names of the commands that it takes.
    pub commands: Vec<String>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Where it is on its own network.
    pub address: Vec<IpAddr>,
    /// Whether it only tells and takes no command.
    pub observe: bool,
}

/// What a box can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Capabilities {
    /// Video codecs.
    pub codecs: Vec<String>,
    /// Where it can push to.
    pub sources: Vec<SourceInfo>,
    /// What `input` takes, without `auto`.
    pub inputs: Vec<String>,
    /// Whether it has a display or buttons.
    pub panel: bool,
    /// Whether an input has sound of its own or a sound card.
    pub audio: bool,
}

/// A Source, as far as operators need to know to choose it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct SourceInfo {
    /// Its name.
    pub name: String,
    /// The service, where its ingest is chosen by region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

impl Info {
    /// The payload, of at most 2 KiB: what is too much is left out, Sources first.
    pub fn payload(&self) -> String {
        let text = |info: &Self| serde_json::to_string(info).unwrap_or_default();
        let mut info = self.clone();
        while text(&info).len() > INFO_LIMIT {
            let left_out = info.capabilities.sources.pop().map(drop);
            if left_out.or_else(|| info.tags.pop().map(drop)).or_else(|| info.commands.pop().map(drop)).is_none() {
                break;
            }
        }
        text(&info)
    }
}

/// Something that happened, in the order in which it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// Grows by one with each event of the box, across restarts; a gap is what was lost.
    pub sequence: u64,
    /// When; null while the clock was not set.
    pub time: Option<Timestamp>,
    /// What.
    #[serde(flatten)]
    pub what: What,
    /// The same for people.
    pub text: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// The daemon has started: after power-on, an update or `restart`.
    Booted {
        /// Its version.
        version: String,
    },
    /// A push is wanted from now on.
    Started,
    /// Media is acknowledged by the first Source.
    OnAir,
    /// The push has ended.
    OffAir,
    /// The push is somewhere else on its way.
    Phase {
        /// Where it was.
        from: Phase,
        /// Where it is.
        to: Phase,
        /// The code of the worst fault at that moment.
        cause: Option<String>,
    },
    /// The input receives something else.
    Signal {
        /// What it received.
        from: SignalState,
        /// What it receives.
        to: SignalState,
    },
    /// Something is wrong.
    FaultBegun {
        /// Stable word for programs.
        code: String,
    },
    /// It is not any more.
    FaultEnded {
        /// Stable word for programs.
        code: String,
    },
    /// A command has its answer.
    Command {
        /// The command.
        name: String,
        /// The request's id; none: it had none.
        id: Option<String>,
        /// Who asked: `mqtt`.
        origin: String,
        /// `successful` or `failed`.
        status: String,
        /// Why it failed, a word of [`crate::command::Reason`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Events were lost: the broker could not be reached, or did not take them.
    EventsLost {
        /// How many.
        count: u64,
    },
    /// Another client has connected with this box's id.
    Takeover,
    /// Messages that are no requests have come.
    RefusedPayload {
        /// How many since the daemon started.
        count: u64,
    },
    /// What a later version tells.
    #[serde(other)]
    Unknown,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogLine {
    /// When; null while the clock was not set.
    pub time: Option<Timestamp>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The part of the daemon that said it.
    pub target: String,
    /// What was said.
    pub text: String,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn time() -> Option<Timestamp> {
        "2026-11-23T18:00:00Z".parse().ok()
    }

    pub(crate) fn info() -> Info {
        Info {
            schema: 1,
            id: "fc-1a2b3c4d".into(),
            name: "OB van 3".into(),
            board: "qemu-virt".into(),
            version: "0.1.0".into(),
            tags: vec!["stage-left".into()],
            commands: vec!["start".into(), "stop".into()],
            capabilities: Capabilities {
                codecs: vec!["h264".into()],
                sources: vec![
                    SourceInfo { name: "Main".into(), service: None },
                    SourceInfo { name: "Stage".into(), service: Some("twitch".into()) },
                ],
                inputs: vec!["hdmi".into()],
                panel: true,
                audio: true,
            },
            address: vec!["192.0.2.17".parse().expect("an address")],
            observe: false,
        }
    }

    #[test]
    fn info_is_pinned() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&info()).expect("json"), @r#"
        {
          "schema": 1,
          "id": "fc-1a2b3c4d",
          "name": "OB van 3",
          "board": "qemu-virt",
          "version": "0.1.0",
          "tags": [
            "stage-left"
          ],
          "commands": [
            "start",
            "stop"
          ],
          "capabilities": {
            "codecs": [
              "h264"
            ],
            "sources": [
              {
                "name": "Main"
              },
              {
                "name": "Stage",
                "service": "twitch"
              }
            ],
            "inputs": [
              "hdmi"
            ],
            "panel": true,
            "audio": true
          },
          "address": [
            "192.0.2.17"
          ],
          "observe": false
        }
        "#);
    }

    #[test]
    fn info_is_never_larger_than_it_may_be() {
        let mut large = info();
        large.capabilities.sources = vec![SourceInfo { name: "ä".repeat(64), service: Some("x".repeat(32)) }; 16];
        large.tags = vec!["ö".repeat(32); 16];
        let text = large.payload();
        assert!(text.len() <= INFO_LIMIT, "{}", text.len());
        let read: Info = serde_json::from_str(&text).expect("info");
        assert!(read.capabilities.sources.len() < 16 && read.commands.len() == 2);
    }

    #[test]
    fn lines_of_the_log_are_pinned() {
        let line =
            LogLine { time: time(), level: "info".into(), target: "fieldcast::daemon".into(), text: "Off air".into() };
        insta::assert_snapshot!(serde_json::to_string(&line).expect("json"), @r#"{"time":"2026-11-23T18:00:00Z","level":"info","target":"fieldcast::daemon","text":"Off air"}"#);
    }

    #[test]
    fn events_are_pinned() {
        let command = |reason: Option<&str>| What::Command {
            name: "stop".into(),
            id: Some("a1".into()),
            origin: "mqtt".into(),
            status: if reason.is_some() { "failed" } else { "successful" }.into(),
            reason: reason.map(Into::into),
        };
        let events: Vec<Event> = [
            What::Booted { version: "0.1.0".into() },
            What::Started,
            What::OnAir,
            What::OffAir,
            What::Phase { from: Phase::OnAir, to: Phase::Reconnecting, cause: Some("no-network".into()) },
            What::Signal { from: SignalState::Locked, to: SignalState::NoCable },
            What::FaultBegun { code: "no-signal".into() },
            What::FaultEnded { code: "no-signal".into() },
            command(None),
            command(Some("expired")),
            What::EventsLost { count: 3 },
            What::Takeover,
            What::RefusedPayload { count: 1 },
        ]
        .into_iter()
        .zip(1..)
        .map(|(what, sequence)| Event { sequence, time: time().filter(|_| sequence > 1), what, text: "T".into() })
        .collect();
        let texts: Vec<String> = events.iter().map(|event| serde_json::to_string(event).expect("json")).collect();
        insta::assert_snapshot!(texts.join("\n"), @r#"
        {"sequence":1,"time":null,"kind":"booted","version":"0.1.0","text":"T"}
        {"sequence":2,"time":"2026-11-23T18:00:00Z","kind":"started","text":"T"}
        {"sequence":3,"time":"2026-11-23T18:00:00Z","kind":"on-air","text":"T"}
        {"sequence":4,"time":"2026-11-23T18:00:00Z","kind":"off-air","text":"T"}
        {"sequence":5,"time":"2026-11-23T18:00:00Z","kind":"phase","from":"on-air","to":"reconnecting","cause":"no-network","text":"T"}
        {"sequence":6,"time":"2026-11-23T18:00:00Z","kind":"signal","from":"locked","to":"no-cable","text":"T"}
        {"sequence":7,"time":"2026-11-23T18:00:00Z","kind":"fault-begun","code":"no-signal","text":"T"}
        {"sequence":8,"time":"2026-11-23T18:00:00Z","kind":"fault-ended","code":"no-signal","text":"T"}
        {"sequence":9,"time":"2026-11-23T18:00:00Z","kind":"command","name":"stop","id":"a1","origin":"mqtt","status":"successful","text":"T"}
        {"sequence":10,"time":"2026-11-23T18:00:00Z","kind":"command","name":"stop","id":"a1","origin":"mqtt","status":"failed","reason":"expired","text":"T"}
        {"sequence":11,"time":"2026-11-23T18:00:00Z","kind":"events-lost","count":3,"text":"T"}
        {"sequence":12,"time":"2026-11-23T18:00:00Z","kind":"takeover","text":"T"}
        {"sequence":13,"time":"2026-11-23T18:00:00Z","kind":"refused-payload","count":1,"text":"T"}
        "#);
        for (event, text) in events.iter().zip(&texts) {
            assert_eq!(serde_json::from_str::<Event>(text).ok().as_ref(), Some(event));
        }
        let later = r#"{"sequence":9,"time":null,"kind":"caught-fire","where":"roof","text":"Fire"}"#;
        assert_eq!(serde_json::from_str::<Event>(later).map(|event| event.what).ok(), Some(What::Unknown));
    }
}
