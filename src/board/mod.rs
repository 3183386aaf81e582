//! A board: what the hardware has and how it wants to be treated, read from `boards/*.toml`.
//!
//! What differs between boards is names and limits, so it is data; what differs in behaviour is a variant here.
//! [`parse`] turns a file's text into a checked [`Board`], [`find`] chooses the file that describes this machine.
//! `boards/README.md` explains the files field by field.

pub mod edid;
pub mod find;
pub mod front;
pub mod parse;
mod parse_front;
pub mod problem;

pub use edid::Edid;
pub use find::BoardError;
pub use front::{
    Button, ButtonPlace, ButtonRole, Display, DisplayKind, KeypadColour, KeypadKey, Lamp, LampPlace, Lcd,
    LcdController, Line, Oled, OledController, Pattern, Tally,
};
pub use problem::Problem;

use crate::{
    settings::Codec,
    units::{BitRate, Mode, Rate, Span},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// A checked hardware description.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    /// The file's stem: `"raspberry-pi-4"`.
    pub name: String,
    /// The machines that it describes.
    pub matches: Match,
    /// In order of preference; at least one, with unique names.
    pub inputs: Vec<Input>,
    /// In order of preference; at least one for H.264.
    pub encoders: Vec<Encoder>,
    /// The hardware scaler and colour converter; none: software.
    pub converter: Option<Converter>,
    /// The front panel's display; none: there is none.
    pub display: Option<Display>,
    /// Buttons and what they do.
    pub buttons: Vec<Button>,
    /// Tally lamps.
    pub lamps: Vec<Lamp>,
    /// Largest output the board can do in real time.
    pub limits: Limits,
}

impl Board {
    /// Hardware of which nothing is known, for a rescue without a board file: if the kernel has a framebuffer, that is the display.
    pub fn unknown(framebuffer: Option<PathBuf>) -> Self {
        let display = framebuffer.map(|device| Display { kind: DisplayKind::Framebuffer { device }, rotate: 0 });
        Self {
            name: "unknown".into(),
            matches: Match::default(),
            inputs: Vec::new(),
            encoders: Vec::new(),
            converter: None,
            display,
            buttons: Vec::new(),
            lamps: Vec::new(),
            limits: Limits { mode: Mode::progressive(1280, 720, Rate::new(30, 1)), bitrate: BitRate::new(4_000_000) },
        }
    }

    /// The inputs that `device = "auto"` tries, in order.
    pub fn automatic_inputs(&self) -> impl Iterator<Item = &Input> {
        self.inputs.iter().filter(|input| input.automatic)
    }
}

/// The machines that a board file describes; a machine that fits any of the conditions is one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Match {
    /// Device-tree `compatible` strings (Devicetree Specification 2.3.1).
    pub compatible: Vec<String>,
    /// Names in the firmware's DMI tables.
    pub dmi: Vec<DmiMatch>,
    /// Any machine of this architecture (`"x86_64"`) that has no device tree and that no other board describes.
    pub architecture: Option<String>,
}

/// Names in /sys/class/dmi/id (SMBIOS types 1 and 2); all that are given have to be equal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DmiMatch {
    /// `sys_vendor`.
    pub vendor: String,
    /// `product_name`.
    pub product: Option<String>,
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
    /// Whether `device = "auto"` tries it; if not, it is used only when named.
    pub automatic: bool,
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

/// How a video node is found. All given conditions have to hold, and at least one is given; of the capture nodes that
/// fit, the one with the lowest number is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeviceMatch {
    /// A path that stays when nodes are renumbered: `/dev/v4l/by-path/...`, `/dev/v4l/by-id/...`, or a udev symlink.
    pub path: Option<PathBuf>,
    /// The kernel driver's name, such as `"vivid"` or `"uvcvideo"`.
    pub driver: Option<String>,
    /// A part of the name in /sys/class/video4linux/*/name; for USB cameras that is the product's name.
    pub name: Option<String>,
}

/// An HDMI receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Hdmi {
    /// The capture node.
    pub device: DeviceMatch,
    /// V4L2 input number to choose (VIDIOC_S_INPUT); none: leave it.
    pub input: Option<u32>,
    /// The subdevice that has the DV timings, when it is not the capture node: a part of its name in
    /// /sys/class/video4linux/*/name.
    pub subdevice: Option<String>,
    /// Media-controller links to enable at start, from the receiver to the capture node.
    pub links: Vec<Link>,
    /// EDID to load at start.
    pub edid: Option<Edid>,
    /// How often the timings are asked for when no event comes, 500 ms to 10 min.
    pub requery: Span,
    /// Pixel format to capture in (fourcc), such as `"UYVY"`; none: the one that the driver has chosen.
    pub pixel_format: Option<String>,
    /// The largest size and rate that can be captured; what exceeds it is out of range. None: no limit of ours.
    pub max: Option<Mode>,
}

/// A media-controller link, written `"entity":pad -> "entity":pad` as media-ctl(1) writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where it starts: entity and source pad.
    pub source: Pad,
    /// Where it ends: entity and sink pad.
    pub sink: Pad,
}

/// A pad of a media-controller entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pad {
    /// The entity's name; with `*` at its end, how it starts: names of I2C devices end in bus and address.
    pub entity: String,
    /// The pad's index.
    pub index: u16,
}

impl Pad {
    /// Whether it is one of the entity called `name`.
    pub fn is_of(&self, name: &str) -> bool {
        self.entity == name || self.entity.strip_suffix('*').is_some_and(|start| name.starts_with(start))
    }
}

/// A camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Camera {
    /// The capture node.
    pub device: DeviceMatch,
    /// Pixel formats that may be used, in order of preference (fourcc); `"MJPG"` is decoded.
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
    /// How the keyframe interval, in pictures, is set.
    pub interval: IntervalControl,
    /// Properties set before it starts, as gst-launch-1.0 writes them.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// V4L2 controls set before it starts (`extra-controls`).
    #[serde(default)]
    pub controls: BTreeMap<String, i64>,
    /// H.264/HEVC profile asked for in the caps after the encoder: `"main"`, `"high"`, `"constrained-baseline"`.
    pub profile: String,
    /// Level to force in the caps after the encoder, such as `"4"`; none: its own choice.
    pub level: Option<String>,
    /// Pixel format that it wants, such as `"NV12"` or `"I420"`.
    pub format: String,
    /// The memory that pictures have to be in; none: the system's.
    pub memory: Option<Memory>,
    /// What the picture's size has to be a multiple of; both even.
    #[serde(default)]
    pub align: Align,
    /// Lowest picture rate that it survives, Hz.
    pub min_rate: Option<u32>,
    /// Lowest bitrate that it survives.
    pub min_bitrate: Option<BitRate>,
}

impl Encoder {
    /// The GStreamer elements that it cannot do without.
    pub fn elements(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.element.as_str()).chain(self.memory.as_ref().map(|memory| memory.upload.as_str()))
    }

    /// The mode nearest below `mode` that this encoder survives: size cut to its alignment, rate raised to its minimum.
    pub fn fit(&self, mode: Mode) -> Mode {
        let slowest = Rate::new(self.min_rate.unwrap_or(1), 1);
        let rate = if mode.rate.hz() < slowest.hz() { slowest } else { mode.rate };
        Mode { rate, ..self.align.fit(mode) }
    }
}

/// Memory of a device's own, which only its elements can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Memory {
    /// Its name in caps, a GstCapsFeature: `"memory:NVMM"`.
    pub feature: String,
    /// The element that brings pictures into it; where it is the board's converter, it also scales and converts.
    pub upload: String,
}

/// Sizes of pictures that an encoder takes: multiples of these, 2 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Align {
    /// The width is a multiple of this.
    pub width: u32,
    /// The height is a multiple of this.
    pub height: u32,
}

impl Align {
    /// The size of `mode` cut to multiples.
    pub fn fit(self, mode: Mode) -> Mode {
        let cut = |size: u32, to: u32| (size / to * to).max(to);
        Mode { width: cut(mode.width, self.width), height: cut(mode.height, self.height), ..mode }
    }
}

impl Default for Align {
    /// 4:2:0 pictures have even sizes.
    fn default() -> Self {
        Self { width: 2, height: 2 }
    }
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyframeControl {
    /// The GstForceKeyUnit event.
    Event,
    /// V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME on the element's `device-fd`.
    V4l2Control,
    /// An action signal of the element, by its name.
    Signal(String),
}

/// How the keyframe interval is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct IntervalControl {
    /// Property or V4L2 control that holds the interval in pictures.
    pub name: String,
    /// Property or V4L2 control.
    pub through: Through,
    /// Another property or V4L2 control that gets the same value, where I pictures and IDR pictures are counted apart.
    pub also: Option<String>,
}

/// A hardware scaler and colour converter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Converter {
    /// The GStreamer element, such as `"v4l2convert"`.
    pub element: String,
    /// Properties to set on it.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
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
