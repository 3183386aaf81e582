//! What the operator wants of the box: `settings.toml`, with `overrides.toml` from the state folder applied over it.
//!
//! The words are those of every surface. Unknown keys are refused with the nearest known one; values carry their units.
//! This file holds the words; `document` reads a file, `check` knows what is sensible, `layers` lays the overrides over
//! the file, `effect` tells when a change is felt, and `secret` keeps what must not be seen.

mod check;
mod clock;
mod document;
mod effect;
mod layers;
mod login;
mod mqtt;
mod secret;
#[cfg(test)]
mod tests;

pub use clock::{Clock, WebServer};
pub(crate) use document::{
    Document, Flaw, add_checked, key_of, known_keys, nearest, read, settings as read_settings, tolerant,
};
pub use document::{Problem, Problems};
pub use effect::{TakesEffect, effects, takes_effect};
pub use layers::{Changes, Layer, Layers, OVERRIDES, Overrides, parse_overrides};
pub use mqtt::{BrokerUrl, Mqtt, MqttMode, Way};
pub use secret::{Secret, StreamKey, is_secret};

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
    /// What viewers see while there is no picture.
    pub slate: Slate,
    /// The HTTP surface.
    pub http: Http,
    /// Remote control.
    pub mqtt: Mqtt,
    /// How the time is learnt.
    pub clock: Clock,
    /// The front panel.
    pub panel: Panel,
    /// X Media Studio's Producer.
    pub studio: Studio,
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
            slate: Slate::default(),
            http: Http::default(),
            mqtt: Mqtt::default(),
            clock: Clock::default(),
            panel: Panel::default(),
            studio: Studio::default(),
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

/// How an SRT connection is encrypted, once there is a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encryption {
    /// With a key of 128 bits.
    #[serde(rename = "aes-128")]
    Aes128,
    /// With a key of 256 bits.
    #[serde(rename = "aes-256")]
    Aes256,
}

impl Encryption {
    /// Length of the key, bits.
    pub fn bits(self) -> u32 {
        match self {
            Self::Aes128 => 128,
            Self::Aes256 => 256,
        }
    }
}

/// `[[source]]`: a named place to push to. Either `url`, or `service` with `region`, or `studio`; for RTMP the stream key in one of three
/// ways, for SRT what its receiver wants of `stream-id`, `passphrase`, `encryption` and `latency`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Source {
    /// Unique among the Sources.
    pub name: String,
    /// The ingest, `rtmp://host[:port]/app`, `rtmps://...` or `srt://host:port`; used verbatim.
    pub url: Option<String>,
    /// A service of the ingest table, instead of `url`.
    pub service: Option<String>,
    /// `"auto"` or a region of that service; with `url`, a label only.
    pub region: Option<String>,
    /// A Source of the Studio, which tells URL and key.
    pub studio: Option<StudioId>,
    /// The stream key.
    pub key: Option<Secret>,
    /// A file that holds the stream key, read when a push starts.
    pub key_file: Option<PathBuf>,
    /// A systemd credential that holds the stream key (systemd.exec(5), `LoadCredential=`).
    pub credential: Option<String>,
    /// SRT: told to the receiver, which knows by it what this is; some have their key in it. Up to 512 bytes.
    pub stream_id: Option<Secret>,
    /// SRT: encrypts the connection; 10 to 79 bytes, the same on both sides.
    pub passphrase: Option<Secret>,
    /// SRT: a file that holds the passphrase, read when a push starts.
    pub passphrase_file: Option<PathBuf>,
    /// SRT: length of the key that is made of the passphrase; `"aes-128"` when not given.
    pub encryption: Option<Encryption>,
    /// SRT: how long the receiver waits for what was lost, at least; 20 ms to 8 s, `"800 ms"` when not given.
    pub latency: Option<Span>,
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

/// Whose network the bitrate follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateFollows {
    /// The primary's; a slower Source drops pictures.
    Primary,
    /// The slowest one's that is on air: all Sources get what it can take.
    Slowest,
}

/// When the backup is left: `"after 30 s"` or `"never"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupReturn {
    /// When the primary has been on air for this long without a break.
    After(Span),
    /// It stays in use until the push is ended.
    Never,
}

impl<'de> Deserialize<'de> for BackupReturn {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.strip_prefix("after ") {
            Some(span) => span.parse().map(Self::After).map_err(serde::de::Error::custom),
            None if text == "never" => Ok(Self::Never),
            None => Err(serde::de::Error::custom(format!(
                "expected \"never\" or a time as in \"after 30 s\", got {text:?}"
            ))),
        }
    }
}

impl Serialize for BackupReturn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::After(span) => serializer.collect_str(&format_args!("after {span}")),
            Self::Never => serializer.serialize_str("never"),
        }
    }
}

/// What happens when the picture goes while pushing: `"slate"`, or `"stop after 60 s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSignalLoss {
    /// Viewers see the slate until the picture is back or the operator stops.
    Slate,
    /// They see it for this long; then the push ends by itself.
    StopAfter(Span),
}

impl<'de> Deserialize<'de> for OnSignalLoss {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.strip_prefix("stop after ") {
            Some(span) => span.parse().map(Self::StopAfter).map_err(serde::de::Error::custom),
            None if text == "slate" => Ok(Self::Slate),
            None => Err(serde::de::Error::custom(format!(
                "expected \"slate\" or a time as in \"stop after 60 s\", got {text:?}"
            ))),
        }
    }
}

impl Serialize for OnSignalLoss {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Slate => serializer.serialize_str("slate"),
            Self::StopAfter(span) => serializer.collect_str(&format_args!("stop after {span}")),
        }
    }
}

/// `[push]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Push {
    /// Names of Sources; the first is the primary. Empty: the first Source of the file.
    pub sources: Vec<String>,
    /// A Source that is used when the primary is lost for 10 s.
    pub backup: Option<String>,
    /// When the backup is left.
    pub backup_return: BackupReturn,
    /// Whose network the bitrate follows.
    pub rate_follows: RateFollows,
    /// When to go on air by itself.
    pub at_power_on: PowerOn,
    /// What happens when the picture goes.
    pub on_signal_loss: OnSignalLoss,
}

impl Default for Push {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            backup: None,
            backup_return: BackupReturn::After(Span::from_millis(30_000)),
            rate_follows: RateFollows::Primary,
            at_power_on: PowerOn::Resume,
            on_signal_loss: OnSignalLoss::Slate,
        }
    }
}

/// `[slate]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Slate {
    /// A PNG or JPEG file, looked for beside the settings file; none: a card with the box's name.
    pub picture: Option<PathBuf>,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Http {
    /// Address and port. On loopback HTTP, where port 0 takes a free one; beyond it HTTPS for paired computers, with HTTP on
    /// the same port of loopback.
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
    /// Light of the display, 1 to 100 percent.
    pub brightness: u8,
}

impl Default for Panel {
    fn default() -> Self {
        Self { hold_to_start: Span::from_millis(1000), hold_to_stop: Span::from_millis(2000), brightness: 80 }
    }
}

/// `studio = {...}` of a Source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StudioId {
    /// The linked account; none: that of `[studio]`, or the only one.
    #[serde(default)]
    pub account: Option<String>,
    /// The API's id of the Source, up to 19 digits.
    pub source_id: String,
}

/// `[studio]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Studio {
    /// The operator's own app at X.
    pub client_id: Option<String>,
    /// The linked account that is used where none is named.
    pub account: Option<String>,
    /// Where X's API is; none: `https://api.x.com`.
    pub base_url: Option<String>,
}
