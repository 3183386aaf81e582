//! The media workers: what one is asked to do, what it reports, and the supervisor that keeps it.
//!
//! A worker is a process of its own (`fieldcast-media`), the only place that loads GStreamer. Its standard input is a
//! Unix socket on which [`wire`] frames go both ways; its standard error is its log.

pub mod cards;
pub mod drift;
pub mod flow;
pub mod iec61937;
pub mod launch;
pub mod nal;
pub mod pace;
pub mod picture_file;
pub mod plan;
pub mod sps;
pub mod supervisor;
pub mod testcard;
pub mod wire;

#[cfg(feature = "media")]
mod canvas;
#[cfg(feature = "media")]
pub mod confine;
#[cfg(feature = "media")]
mod encoder;
#[cfg(feature = "media")]
mod link;
#[cfg(feature = "media")]
mod look;
#[cfg(feature = "media")]
mod pipeline;
#[cfg(feature = "media")]
mod preview;
#[cfg(feature = "media")]
mod sound;
#[cfg(feature = "media")]
mod still;
#[cfg(feature = "media")]
mod thin;
#[cfg(feature = "media")]
pub mod worker;

use crate::{
    access_unit::AccessUnit,
    board,
    settings::{Codec, Latency},
    units::{BitRate, Mode},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};

/// What a worker is to do: one pipeline. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plan {
    /// Pictures.
    Video(VideoPlan),
    /// Sound.
    Audio(AudioPlan),
    /// One still picture; the worker ends by itself.
    Still(StillPlan),
}

/// What can be shown instead of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Card {
    /// A PNG or JPEG file of the operator's.
    Picture(PathBuf),
    /// The built-in card with the box's name.
    Name(String),
    /// Colour bars.
    Bars,
}

/// One picture, encoded once as a closed GOP; the worker exits when all its units are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StillPlan {
    /// What it shows.
    pub card: Card,
    /// What goes out; always progressive.
    pub mode: Mode,
    /// Video codec.
    pub codec: Codec,
    /// In order of preference; the first whose element exists is used.
    pub encoders: Vec<board::Encoder>,
    /// Bitrate.
    pub bitrate: BitRate,
    /// Pictures in the GOP.
    pub keyframe_interval: u32,
    /// Delay against quality, as the live pictures have it: the encoder is set up alike.
    pub latency: Latency,
}

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VideoSource {
    /// Made by the worker: bars with a counter, and a flash at each whole second of the monotonic clock.
    Test,
    /// A V4L2 node that captures `mode` in `format`.
    V4l2 {
        /// The node, `/dev/video0`.
        device: PathBuf,
        /// fourcc such as `"UYVY"` or `"MJPG"`; none: what the driver offers.
        format: Option<String>,
        /// What the input sends.
        mode: Mode,
        /// HDMI (DV timings) or a camera.
        hdmi: bool,
    },
}

/// One video pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VideoPlan {
    /// Where pictures come from.
    pub source: VideoSource,
    /// What goes out; always progressive.
    pub mode: Mode,
    /// Video codec.
    pub codec: Codec,
    /// In order of preference; the first whose element exists is used.
    pub encoders: Vec<board::Encoder>,
    /// Hardware scaler and colour converter.
    pub converter: Option<board::Converter>,
    /// Bitrate to start with.
    pub bitrate: BitRate,
    /// Pictures between two IDR pictures.
    pub keyframe_interval: u32,
    /// Delay against quality.
    pub latency: Latency,
}

impl StillPlan {
    /// Pictures that are encoded: two GOPs. An encoder begins carefully and gets better while a picture stands still; in a
    /// first GOP that repeats, viewers would see that each time. The second begins where the first ended.
    pub fn pictures(&self) -> u32 {
        self.keyframe_interval.saturating_mul(2)
    }
}

/// Where sound comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AudioSource {
    /// A beep at each whole second of the monotonic clock, with the test picture's flash.
    Test,
    /// An ALSA device, `"hw:CARD=vivid"`.
    Alsa(String),
}

/// One sound pipeline; AAC-LC, 48 kHz, stereo comes out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AudioPlan {
    /// Where sound comes from.
    pub source: AudioSource,
    /// Bitrate of the AAC stream.
    pub bitrate: BitRate,
    /// Factor on each sample.
    pub gain: f64,
    /// Added to each stamp, nanoseconds; positive delays the sound.
    pub delay: i64,
}

/// What the daemon tells a worker after the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Encode from now on, starting at an IDR. Until then only preview and level run.
    Encode,
    /// Make the next picture an IDR.
    Keyframe,
    /// Change the bitrate; an encoder that cannot while it runs answers [`Report::BitrateFixed`].
    Bitrate(BitRate),
    /// Encode each so many-th picture only, in the same size and with IDR pictures as far apart; 1: all.
    Thin(u32),
    /// Send one JPEG of the input, at most 640 pixels wide.
    Preview,
}

/// What a worker tells the daemon.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// The pipeline runs.
    Started(Started),
    /// One encoded picture or AAC frame; of the program once it went through the timeline.
    Unit(AccessUnit),
    /// Peak of each channel since the last report, dBFS (10 a second).
    Level(Vec<f64>),
    /// A picture of the input as JPEG.
    Preview(Bytes),
    /// The encoder cannot change its bitrate while it runs.
    BitrateFixed,
    /// The pipeline runs, and so it flows (4 a second).
    Alive(Flow),
    /// What the encoded pictures look like (2 a second).
    Picture(Look),
    /// It cannot go on; it exits after this.
    Failed(Failure),
}

/// How a pipeline flows, as the worker measures it: what the daemon does late does not show in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// Since the last raw picture or samples; since the pipeline runs while none came.
    pub captured: Duration,
    /// How long the encoder has had something to encode without giving anything.
    pub waiting: Duration,
    /// Whether the encoder has ever given something: the first takes longer.
    pub encoded: bool,
}

/// What is wrong with the look of the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// Nothing in it is brighter than black.
    pub black: bool,
    /// It is, sample for sample, the one looked at before.
    pub still: bool,
}

/// What a worker runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Started {
    /// The encoder's element.
    pub encoder: String,
    /// Whether it is hardware.
    pub hardware: bool,
    /// Elements that the board prefers and that are missing here.
    pub missing: Vec<String>,
    /// What was done to the sound, for people: `"5.1 mixed down to stereo"`.
    pub note: Option<String>,
}

/// Why a worker cannot go on. The text is for the log only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// What kind, for the control core.
    pub kind: FailureKind,
    /// GStreamer's own words.
    pub text: String,
}

/// Kinds of worker failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// None of the encoders exists.
    NoEncoder,
    /// A plugin is missing.
    MissingElement,
    /// The capture device cannot be opened, or went away.
    Device,
    /// The capture device is used by another program.
    Busy,
    /// The sound is not PCM (a bitstream such as AC-3).
    NotPcm,
    /// The format does not fit.
    Format,
    /// The encoder failed.
    Encoder,
    /// A file cannot be used as a still picture.
    Picture,
    /// Anything else.
    Other,
    /// Nothing is captured any more although the device is there (the daemon's judgement, as are the next two).
    Stalled,
    /// The encoder gives nothing although it is fed.
    EncoderStalled,
    /// The worker says nothing any more.
    Wedged,
}
