//! A board: what the hardware has and how it wants to be treated, read from `boards/*.toml`.
//!
//! What differs between boards is names and limits, so it is data; what differs in behaviour is a variant here.

use crate::{
    settings::Codec,
    units::{BitRate, Mode, Span},
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A checked hardware description.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    /// The file's stem: `"raspberry-pi-4"`.
    pub name: String,
    /// In the order in which `device = "auto"` tries them; at least one.
    pub inputs: Vec<Input>,
    /// In order of preference; at least one for H.264.
    pub encoders: Vec<Encoder>,
    /// The hardware scaler and colour converter; none: software.
    pub converter: Option<Converter>,
    /// Buttons and what they do.
    pub buttons: Vec<Button>,
    /// Largest output the board can do in real time.
    pub limits: Limits,
}

/// One thing that a picture can come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// What settings call it: `"hdmi"`, `"camera"`, `"test"`.
    pub name: String,
    /// What it is and how it is found.
    pub kind: InputKind,
    /// The sound that belongs to it.
    pub audio: Audio,
}

/// What an input is.
#[derive(Debug, Clone, PartialEq)]
pub enum InputKind {
    /// A picture made by the media worker: bars, a counter, a flash and a beep each second.
    Test,
    /// A V4L2 receiver with DV timings.
    Hdmi(Hdmi),
    /// A V4L2 camera.
    Camera(Camera),
}

/// How a video node is found. All given conditions have to hold; the first matching node in path order is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeviceMatch {
    /// A path that stays when nodes are renumbered: `/dev/v4l/by-path/...`, `/dev/v4l/by-id/...`, or a udev symlink.
    pub path: Option<PathBuf>,
    /// The driver's name in VIDIOC_QUERYCAP, such as `"vivid"`.
    pub driver: Option<String>,
    /// A part of the card's name in VIDIOC_QUERYCAP.
    pub card: Option<String>,
}

/// An HDMI receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Hdmi {
    /// The capture node.
    pub device: DeviceMatch,
    /// V4L2 input number to choose (VIDIOC_S_INPUT); none: leave it.
    pub input: Option<u32>,
    /// The subdevice that has the DV timings, when it is not the capture node: a name in /sys/class/video4linux/*/name.
    pub subdevice: Option<String>,
    /// Media-controller links to enable at start, `"source entity":pad -> "sink entity":pad` as media-ctl(1) writes them.
    pub links: Vec<String>,
    /// EDID to load at start: 128 bytes a block.
    pub edid: Option<Vec<u8>>,
    /// How often the timings are asked for when no event comes.
    pub requery: Span,
    /// Pixel format to ask for (fourcc), such as `"UYVY"`; none: the driver's choice.
    pub pixel_format: Option<String>,
    /// Modes beyond which the receiver does not lock.
    pub max: Option<Mode>,
}

/// A camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Camera {
    /// The capture node.
    pub device: DeviceMatch,
    /// Pixel formats in order of preference (fourcc); `"MJPG"` is decoded.
    pub formats: Vec<String>,
    /// The mode asked of the camera; none: the one nearest to the output's.
    pub mode: Option<Mode>,
}

/// Where an input's sound comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audio {
    /// It has none.
    None,
    /// Beeps that belong to the test picture.
    Test,
    /// An ALSA card, by its id in /proc/asound/cards.
    Alsa(String),
}

/// One way to encode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Encoder {
    /// The GStreamer element: `"x264enc"`, `"v4l2h264enc"`.
    pub element: String,
    /// What it encodes to.
    pub codec: Codec,
    /// Whether it is hardware.
    #[serde(default)]
    pub hardware: bool,
    /// How its bitrate is set.
    pub bitrate: BitrateControl,
    /// How an IDR is asked for while it runs.
    pub keyframe: KeyframeControl,
    /// Time from a picture going in to its access unit coming out that is not in the stamps, milliseconds.
    #[serde(default)]
    pub properties: std::collections::BTreeMap<String, String>,
    /// V4L2 controls set before it starts (`extra-controls`).
    #[serde(default)]
    pub controls: std::collections::BTreeMap<String, i64>,
    /// The property that holds the keyframe interval in pictures; none: it is in `controls` under this board's name.
    pub interval: IntervalControl,
    /// H.264/HEVC profile asked for in the caps after the encoder: `"main"`, `"high"`, `"constrained-baseline"`.
    pub profile: String,
    /// Level to force in the caps after the encoder, such as `"4"`; none: its own choice.
    pub level: Option<String>,
    /// Pixel format that it wants, such as `"NV12"` or `"I420"`.
    pub format: String,
    /// Width and height are made a multiple of this.
    #[serde(default = "two")]
    pub align: u32,
    /// Lowest picture rate that it survives, Hz.
    pub min_rate: Option<u32>,
    /// Lowest bitrate that it survives.
    pub min_bitrate: Option<BitRate>,
}

fn two() -> u32 {
    2
}

/// How an encoder takes its bitrate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BitrateControl {
    /// A property of the element, or a V4L2 control when `through` says so.
    pub name: String,
    /// bit/s or kbit/s.
    pub unit: BitrateUnit,
    /// Property or V4L2 control.
    pub through: Through,
    /// Whether it may change while pictures flow.
    pub live: bool,
}

/// The unit of an encoder's bitrate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BitrateUnit {
    /// Bits a second.
    #[serde(rename = "bit/s")]
    Bit,
    /// Thousands of bits a second.
    #[serde(rename = "kbit/s")]
    Kilobit,
}

/// By what an encoder is controlled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Through {
    /// A GObject property.
    Property,
    /// A V4L2 control: by `extra-controls` at start, by ioctl on the element's `device-fd` while it runs.
    V4l2Control,
}

/// How an IDR is forced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyframeControl {
    /// The GstForceKeyUnit event.
    Event,
    /// V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME on the element's `device-fd`.
    V4l2Control,
}

/// How the keyframe interval is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct IntervalControl {
    /// Property or V4L2 control that holds the interval in pictures.
    pub name: String,
    /// Property or V4L2 control.
    pub through: Through,
}

/// A hardware scaler and colour converter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Converter {
    /// The GStreamer element, such as `"v4l2convert"`.
    pub element: String,
    /// Properties to set on it.
    #[serde(default)]
    pub properties: std::collections::BTreeMap<String, String>,
}

/// What a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ButtonRole {
    /// Held: go on air; held longer: stop.
    Go,
}

/// A key of an input device (evdev).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Button {
    /// What it does.
    pub role: ButtonRole,
    /// The key's name in linux/input-event-codes.h, such as `"KEY_ENTER"`.
    pub key: String,
    /// A part of the input device's name; none: any device that has the key.
    pub device: Option<String>,
}

/// What the board can do in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limits {
    /// Largest output mode.
    pub mode: Mode,
    /// Top video bitrate.
    pub bitrate: BitRate,
}
