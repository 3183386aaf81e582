//! What the operator wants of the box: `settings.toml`, with `overrides.toml` from the state folder applied over it.
//!
//! The words are those of every surface. Unknown keys are refused with the nearest known one; values carry their units.
//! This file holds the words; `document` reads a file, `check` knows what is sensible, `layers` lays the overrides over
//! the file, `effect` tells when a change is felt, and `secret` keeps what must not be seen.

mod check;
mod document;
mod effect;
mod layers;
mod secret;
#[cfg(test)]
mod tests;

pub(crate) use document::nearest;
pub use document::{Problem, Problems};
pub use effect::{TakesEffect, effects, takes_effect};
pub use layers::{Changes, Layer, Layers, OVERRIDES, Overrides, parse_overrides};
pub use secret::{Secret, StreamKey};

use crate::units::{BitRate, Gain, Mode, Shift, Span};
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf};

/// Where the operator's settings are unless `--settings` says otherwise.
pub const PATH: &str = "/etc/fieldcast/settings.toml";

/// The whole settings file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// The box's id on every surface; none: made from the hardware.
    pub id: Option<String>,
    /// The box's name for people.
    pub name: String,
    /// Words to find the box by.
    pub tags: Vec<String>,
    /// What comes in.
    pub input: Input,
    /// What goes out.
    pub output: Output,
    /// Where it can go.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    /// Where it goes, and when by itself.
    pub push: Push,
    /// The HTTP surface.
    pub http: Http,
    /// The front panel.
    pub panel: Panel,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            id: None,
            name: "Fieldcast".into(),
            tags: Vec::new(),
            input: Input::default(),
            output: Output::default(),
            sources: Vec::new(),
            push: Push::default(),
            http: Http::default(),
            panel: Panel::default(),
        }
    }
}

/// `[input]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Input {
    /// `"auto"`: the first input of the board that locks; else an input of the board.
    pub device: String,
    /// `"auto"`: the input's own sound; `"none"`: silence; else an ALSA card.
    pub audio: String,
    /// Level change of the sound.
    pub gain: Gain,
    /// Sound against picture; positive delays the sound.
    pub delay: Shift,
}

impl Default for Input {
    fn default() -> Self {
        Self { device: "auto".into(), audio: "auto".into(), gain: Gain::default(), delay: Shift::default() }
    }
}

/// The picture format that goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputMode {
    /// The input's size and picture rate, within the limits of board and service.
    Follow,
    /// Always this one; progressive.
    Fixed(Mode),
}

impl<'de> Deserialize<'de> for OutputMode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "follow" {
            return Ok(Self::Follow);
        }
        let mode: Mode = text.parse().map_err(serde::de::Error::custom)?;
        if mode.interlaced || mode.width % 2 == 1 || mode.height % 2 == 1 {
            return Err(serde::de::Error::custom(format!(
                "the output has to be progressive with an even width and height, got {text:?}"
            )));
        }
        Ok(Self::Fixed(mode))
    }
}

impl Serialize for OutputMode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for OutputMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Follow => f.write_str("follow"),
            Self::Fixed(mode) => mode.fmt(f),
        }
    }
}

/// The video codec of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codec {
    /// H.264, which every ingest takes.
    H264,
    /// HEVC, for ingests with enhanced RTMP.
    Hevc,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
        })
    }
}

/// How much delay the encoder may spend on quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Latency {
    /// No look-ahead.
    Low,
    /// The encoder may look some pictures ahead.
    Normal,
}

/// `[output]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Output {
    /// Picture format.
    pub mode: OutputMode,
    /// Video codec.
    pub codec: Codec,
    /// Top video bitrate.
    pub bitrate_max: BitRate,
    /// Lowest video bitrate.
    pub bitrate_min: BitRate,
    /// Sound bitrate.
    pub audio_bitrate: BitRate,
    /// Time between two IDR pictures.
    pub keyframe_interval: Span,
    /// Delay against quality.
    pub latency: Latency,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            mode: OutputMode::Fixed(Mode::progressive(1280, 720, crate::units::Rate::new(30, 1))),
            codec: Codec::H264,
            bitrate_max: BitRate::new(4_000_000),
            bitrate_min: BitRate::new(500_000),
            audio_bitrate: BitRate::new(128_000),
            keyframe_interval: Span::from_millis(2000),
            latency: Latency::Low,
        }
    }
}

/// `[[source]]`: a named place to push to. Either `url`, or `service` with `region`; the stream key in one of three ways.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Source {
    /// Unique among the Sources.
    pub name: String,
    /// The ingest, `rtmp://host[:port]/app` or `rtmps://...`; used verbatim.
    pub url: Option<String>,
    /// A service of the ingest table, instead of `url`.
    pub service: Option<String>,
    /// `"auto"` or a region of that service; with `url`, a label only.
    pub region: Option<String>,
    /// The stream key.
    pub key: Option<Secret>,
    /// A file that holds the stream key, read when a push starts.
    pub key_file: Option<PathBuf>,
    /// A systemd credential that holds the stream key (systemd.exec(5), `LoadCredential=`).
    pub credential: Option<String>,
}

/// When the box goes on air by itself after power-on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PowerOn {
    /// It waits for GO.
    Never,
    /// It is what it was before the power went.
    Resume,
    /// It goes on air.
    Always,
}

/// `[push]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Push {
    /// Names of Sources; the first is the primary. Empty: the first Source of the file.
    pub sources: Vec<String>,
    /// When to go on air by itself.
    pub at_power_on: PowerOn,
}

impl Default for Push {
    fn default() -> Self {
        Self { sources: Vec::new(), at_power_on: PowerOn::Resume }
    }
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Http {
    /// Loopback address and port; port 0 takes a free one.
    pub listen: std::net::SocketAddr,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: std::net::SocketAddr::from(([127, 0, 0, 1], 8080)) }
    }
}

/// `[panel]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Panel {
    /// How long GO is held to go on air.
    pub hold_to_start: Span,
    /// How long GO is held to stop.
    pub hold_to_stop: Span,
}

impl Default for Panel {
    fn default() -> Self {
        Self { hold_to_start: Span::from_millis(1000), hold_to_stop: Span::from_millis(2000) }
    }
}
