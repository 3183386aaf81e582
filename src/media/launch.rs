//! From a plan to a GStreamer launch description (pure; needs no GStreamer).
//!
//! The worker builds its pipeline from these very arguments, so what `fieldcastd plan` prints is what runs, but for its
//! end: pasted into gst-launch-1.0 it writes a Matroska file. It holds no secrets: a plan has none.

use super::{AudioPlan, AudioSource, Card, Plan, StillPlan, VideoPlan, VideoSource};
use crate::{
    board::{BitrateUnit, Encoder, Through},
    settings::{Codec, Latency},
    units::{BitRate, Mode, Rate},
};
use std::collections::BTreeMap;

/// AAC encoders in order of preference. voaacenc comes first: avenc_aac costs 37 MiB, as it loads libav (measured).
pub const AAC_ENCODERS: [&str; 2] = ["voaacenc", "avenc_aac"];

/// The element that brings pictures into the encoder's memory; before it, they can be looked at.
pub const UPLOAD: &str = "upload";

/// What a described pipeline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The worker: nothing is encoded until its valve opens, and access units go to an application sink.
    Worker,
    /// gst-launch-1.0: encodes at once, into a Matroska file in the working directory.
    Paste,
}

/// The plan as text that pastes into gst-launch-1.0, with its first encoder.
pub fn describe(plan: &Plan) -> String {
    let line = match plan {
        Plan::Video(plan) => match plan.encoders.iter().find(|encoder| encoder.codec == plan.codec) {
            Some(encoder) => video(plan, encoder, Use::Paste),
            None => {
                // Still a line that runs: capture alone.
                let mut line = Line::default();
                line.capture(plan, "I420", plan.mode);
                line.element("fakesink", &[]);
                line.0
            }
        },
        Plan::Audio(plan) => audio(plan, AAC_ENCODERS[0], Use::Paste),
        Plan::Still(plan) => match plan.encoders.first() {
            Some(encoder) => still(plan, encoder, Use::Paste),
            None => vec!["fakesrc".into(), "num-buffers=1".into(), "!".into(), "fakesink".into()],
        },
    };
    line.iter().map(|argument| quoted(argument)).collect::<Vec<_>>().join(" ")
}

/// The arguments of gst-launch-1.0 for the video pipeline with `encoder`. Elements that the worker talks to are called
/// `source`, `air` (the valve), `encoder` and `units` (the sink).
pub fn video(plan: &VideoPlan, encoder: &Encoder, purpose: Use) -> Vec<String> {
    let out = encoder.fit(plan.mode);
    let mut line = Line::default();
    line.capture(plan, &encoder.format, out);
    line.valve(purpose);
    line.conversion(plan, encoder, out);
    line.encoder(encoder, plan.bitrate, plan.keyframe_interval, plan.latency);
    line.end(purpose, "video");
    line.0
}

/// The arguments of gst-launch-1.0 that make a still picture one GOP with `encoder`, which is set up as [`video`] does it.
/// The worker pushes it into `source` as RGB of that size; sink as in [`video`].
pub fn still(plan: &StillPlan, encoder: &Encoder, purpose: Use) -> Vec<String> {
    let out = encoder.fit(plan.mode);
    let mut line = Line::default();
    match (purpose, &plan.card) {
        (Use::Worker, _) => line.element("appsrc", &[("name", "source")]),
        (Use::Paste, Card::Picture(file)) => {
            line.element("filesrc", &[("location", &file.to_string_lossy())]);
            line.element("decodebin", &[]);
        }
        (Use::Paste, Card::Name(_) | Card::Bars) => {
            line.element("videotestsrc", &[("num-buffers", "1"), ("pattern", "smpte75")]);
        }
    }
    line.element("videoconvertscale", &[("add-borders", "true")]);
    let caps = raw_caps(&encoder.format, out);
    line.caps(format!("{caps},colorimetry={},interlace-mode=progressive", colour(out)));
    line.element("imagefreeze", &[("num-buffers", &plan.pictures().to_string())]);
    line.caps(format!("video/x-raw,framerate={}/{}", out.rate.num, out.rate.den));
    line.upload(encoder, out);
    line.encoder(encoder, plan.bitrate, plan.keyframe_interval, plan.latency);
    line.end(purpose, "still");
    line.0
}

/// The arguments of gst-launch-1.0 that decode a PNG (`png`) or JPEG file pushed into `file`, whole: RGB with its
/// transparency, scaled to `width` x `height`, comes out at `picture`.
pub fn decoded(png: bool, width: u32, height: u32) -> Vec<String> {
    let mut line = Line::default();
    line.element("appsrc", &[("name", "file")]);
    line.element(if png { "pngdec" } else { "jpegdec" }, &[("name", "decoder")]);
    line.element("videoconvertscale", &[("method", "lanczos")]);
    line.caps(format!("video/x-raw,format=RGBA,width={width},height={height},pixel-aspect-ratio=1/1"));
    line.element("appsink", &[("name", "picture"), ("sync", "false")]);
    line.0
}

/// The colour matrix that goes out, limited range: BT.709 from 720 lines up, BT.601 below, which is what players assume
/// of a stream that says nothing.
fn colour(mode: Mode) -> &'static str {
    if mode.height >= 720 { "bt709" } else { "bt601" }
}

fn raw_caps(format: &str, mode: Mode) -> String {
    format!("video/x-raw,{}", pixels(format, mode))
}

/// What `encoder` takes: pictures of its format, in its memory.
fn encoder_caps(encoder: &Encoder, mode: Mode) -> String {
    format!("video/x-raw{},{}", feature(encoder), pixels(&encoder.format, mode))
}

/// The memory that `encoder` takes pictures in, as caps write it: in brackets, and not at all for the system's.
fn feature(encoder: &Encoder) -> String {
    encoder.memory.as_ref().map_or(String::new(), |memory| format!("({})", memory.feature))
}

fn pixels(format: &str, mode: Mode) -> String {
    format!("format={format},width={},height={},pixel-aspect-ratio=1/1", mode.width, mode.height)
}

/// The arguments of gst-launch-1.0: elements with their properties, and caps, `!` between them.
#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn link(&mut self) {
        if !self.0.is_empty() {
            self.0.push("!".into());
        }
    }

    fn element(&mut self, name: &str, properties: &[(&str, &str)]) {
        self.link();
        self.0.push(name.into());
        self.0.extend(properties.iter().map(|(key, value)| format!("{key}={value}")));
    }

    fn element_of(&mut self, name: &str, properties: &BTreeMap<String, String>) {
        let pairs: Vec<(&str, &str)> = properties.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.element(name, &pairs);
    }

    fn caps(&mut self, caps: impl Into<String>) {
        self.link();
        self.0.push(caps.into());
    }

    fn capture(&mut self, plan: &VideoPlan, format: &str, out: Mode) {
        match &plan.source {
            VideoSource::Test => {
                self.element("videotestsrc", &[("name", "source"), ("is-live", "true")]);
                // The counter is drawn into a plane of luma alone.
                let format = if has_luma_plane(format) { format } else { "I420" };
                let Rate { num, den } = out.rate;
                self.caps(format!("{},framerate={num}/{den},colorimetry={}", raw_caps(format, out), colour(out)));
            }
            VideoSource::V4l2 { device, format, mode, hdmi } => {
                self.element("v4l2src", &[("name", "source"), ("device", &device.to_string_lossy())]);
                // An HDMI receiver's rate comes from its pixel clock: some odd fraction near the nominal one.
                let rate = if *hdmi { String::new() } else { format!(",framerate={}", about(mode.picture_rate())) };
                let rest = format!(",width={},height={}{rate}", mode.width, mode.height);
                let pixels =
                    format.as_deref().and_then(gst_format).map_or(String::new(), |name| format!(",format={name}"));
                self.caps(match format.as_deref() {
                    Some("MJPG" | "JPEG") => format!("image/jpeg{rest}"),
                    // Fields come woven into pictures, or one by one: then v4l2src wants that said, both ways.
                    _ if mode.interlaced => format!(
                        "video/x-raw,interlace-mode=interleaved{pixels}{rest};\
                         video/x-raw(format:Interlaced),interlace-mode=alternate{pixels}{rest}"
                    ),
                    _ => format!("video/x-raw{pixels}{rest}"),
                });
            }
        }
    }

    fn valve(&mut self, purpose: Use) {
        let drop = if purpose == Use::Worker { "true" } else { "false" };
        self.element("valve", &[("name", "air"), ("drop", drop)]);
    }

    /// From what is captured to what the encoder takes.
    fn conversion(&mut self, plan: &VideoPlan, encoder: &Encoder, out: Mode) {
        let format = encoder.format.as_str();
        let VideoSource::V4l2 { format: captured, mode, hdmi, .. } = &plan.source else {
            if !has_luma_plane(format) {
                self.element("videoconvertscale", &[]);
                self.caps(raw_caps(format, out));
            }
            self.upload(encoder, out);
            return;
        };
        if matches!(captured.as_deref(), Some("MJPG" | "JPEG")) {
            self.element("jpegdec", &[]);
        }
        let mut rate = mode.rate;
        if mode.interlaced {
            // Both fields become pictures only where so many are wanted.
            let all = out.rate.hz() > mode.picture_rate().hz();
            self.element("deinterlace", &[("fields", if all { "all" } else { "top" })]);
            rate = if all { mode.rate } else { mode.picture_rate() };
        }
        // A receiver's pictures come at their nominal rate and stay as they are; a camera's rate falls in the dark.
        let steady = *hdmi && rate == out.rate;
        // Pictures are dropped before they cost a conversion, and repeated after it.
        let fewer = out.rate.hz() <= rate.hz();
        if !steady && fewer {
            self.retime(out.rate, "");
        }
        let same_shape = u64::from(mode.width) * u64::from(out.height) == u64::from(mode.height) * u64::from(out.width);
        match &plan.converter {
            // Hardware scalers draw no borders.
            Some(converter) if same_shape => {
                let mut properties = converter.properties.clone();
                let uploads = encoder.memory.as_ref().is_some_and(|memory| memory.upload == converter.element);
                if uploads {
                    properties.insert("name".into(), UPLOAD.into());
                }
                self.element_of(&converter.element, &properties);
                if uploads {
                    self.caps(encoder_caps(encoder, out));
                } else {
                    self.caps(raw_caps(format, out));
                    self.upload(encoder, out);
                }
            }
            _ => {
                self.element("videoconvertscale", &[("add-borders", "true")]);
                self.caps(format!("{},colorimetry={},interlace-mode=progressive", raw_caps(format, out), colour(out)));
                self.upload(encoder, out);
            }
        }
        if !steady && !fewer {
            self.retime(out.rate, &feature(encoder));
        }
        // Capture and conversion run beside the encoder; when that falls behind, pictures are lost here and not in the
        // driver, which has few buffers.
        self.element(
            "queue",
            &[("max-size-buffers", "3"), ("max-size-bytes", "0"), ("max-size-time", "0"), ("leaky", "downstream")],
        );
    }

    /// Brings pictures of the encoder's format and size into its memory, where it wants them in one of its own.
    fn upload(&mut self, encoder: &Encoder, out: Mode) {
        if let Some(memory) = &encoder.memory {
            self.element(&memory.upload, &[("name", UPLOAD)]);
            self.caps(encoder_caps(encoder, out));
        }
    }

    /// Makes the rate exactly `rate`. The first picture is not repeated back to the clock's zero, nor the one that ends a
    /// gap into that gap: the timeline holds the last picture there. `feature` names the memory of the pictures, in brackets.
    fn retime(&mut self, rate: Rate, feature: &str) {
        self.element("videorate", &[("skip-to-first", "true"), ("max-duplication-time", "500000000")]);
        self.caps(format!("video/x-raw{feature},framerate={}/{}", rate.num, rate.den));
    }

    /// The encoder with its parser: access units as [`super::nal`] reads them.
    fn encoder(&mut self, encoder: &Encoder, bitrate: BitRate, interval: u32, latency: Latency) {
        let (media, parser, stream) = match encoder.codec {
            Codec::H264 => ("video/x-h264", "h264parse", "avc"),
            Codec::Hevc => ("video/x-h265", "h265parse", "hvc1"),
        };
        let level = encoder.level.as_ref().map(|level| format!(",level=(string){level}")).unwrap_or_default();
        let mut properties = encoder.properties.clone();
        properties.extend(tuning(&encoder.element, latency));
        let mut controls = encoder.controls.clone();
        let bitrate = (&encoder.bitrate.name, encoder.bitrate.through, bitrate_value(encoder, bitrate));
        let counted = std::iter::once(&encoder.interval.name).chain(&encoder.interval.also);
        let intervals = counted.map(|name| (name, encoder.interval.through, u64::from(interval)));
        for (name, through, value) in std::iter::once(bitrate).chain(intervals) {
            match through {
                Through::Property => drop(properties.insert(name.clone(), value.to_string())),
                Through::V4l2Control => drop(controls.insert(name.clone(), value.cast_signed())),
            }
        }
        if !controls.is_empty() {
            let list: String = controls.iter().map(|(name, value)| format!(",{name}={value}")).collect();
            properties.insert("extra-controls".into(), format!("controls{list}"));
        }
        properties.insert("name".into(), "encoder".into());
        self.element_of(&encoder.element, &properties);
        self.caps(format!("{media},profile={}{level}", encoder.profile));
        self.element(parser, &[]);
        self.caps(format!("{media},stream-format={stream},alignment=au"));
    }

    fn end(&mut self, purpose: Use, track: &str) {
        match purpose {
            Use::Worker => self.element("appsink", &[("name", "units"), ("sync", "false")]),
            Use::Paste => {
                self.element("matroskamux", &[("streamable", "true")]);
                self.element("filesink", &[("location", &format!("fieldcast-{track}.mkv"))]);
            }
        }
    }
}

/// Whether the format starts with a plane of luma alone, 8 bits a sample.
fn has_luma_plane(format: &str) -> bool {
    matches!(format, "I420" | "YV12" | "NV12" | "NV21")
}

/// Rates within 0.2 % of `rate`: some cameras say 30 and some 29.97 of the same thing.
fn about(rate: Rate) -> String {
    let (num, den) = (u64::from(rate.num), u64::from(rate.den) * 1000);
    format!("[{}/{den},{}/{den}]", num * 998, num * 1002)
}

/// GStreamer's name of a V4L2 pixel format (gstv4l2object.c); none: one that only the driver can choose.
fn gst_format(fourcc: &str) -> Option<&'static str> {
    Some(match fourcc {
        "UYVY" => "UYVY",
        "YUYV" => "YUY2",
        "YVYU" => "YVYU",
        "NV12" | "NM12" => "NV12",
        "NV21" | "NM21" => "NV21",
        "NV16" | "NM16" => "NV16",
        "NV24" => "NV24",
        "YU12" | "YM12" => "I420",
        "YV12" | "YM21" => "YV12",
        "RGB3" => "RGB",
        "BGR3" => "BGR",
        "XR24" | "BGR4" => "BGRx",
        "GREY" => "GRAY8",
        _ => return None,
    })
}

/// What an encoder is told for a latency, beyond what its board tells it.
fn tuning(element: &str, latency: Latency) -> Option<(String, String)> {
    let software = matches!(element, "x264enc" | "x265enc");
    (software && latency == Latency::Low).then(|| ("tune".into(), "zerolatency".into()))
}

/// `bitrate` as the encoder counts it, never below what it survives.
pub fn bitrate_value(encoder: &Encoder, bitrate: BitRate) -> u64 {
    let bits = bitrate.max(encoder.min_bitrate.unwrap_or(bitrate)).bits();
    match encoder.bitrate.unit {
        BitrateUnit::Bit => bits,
        BitrateUnit::Kilobit => (bits / 1000).max(1),
    }
}

/// The arguments of gst-launch-1.0 for the sound pipeline with the AAC encoder `encoder`; names as in [`video`].
pub fn audio(plan: &AudioPlan, encoder: &str, purpose: Use) -> Vec<String> {
    const RAW: &str = "audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved,channel-mask=(bitmask)0x3";
    let mut line = Line::default();
    match &plan.source {
        AudioSource::Test => {
            let source = [("name", "source"), ("is-live", "true"), ("samplesperbuffer", "480")];
            let ticks = [("wave", "ticks"), ("freq", "1000"), ("sine-periods-per-tick", "100"), ("volume", "0.25")];
            // The worker draws its beeps itself, at the whole seconds of its clock.
            let wave = if purpose == Use::Worker { &[("wave", "silence")][..] } else { &ticks };
            line.element("audiotestsrc", &[&source, wave].concat());
        }
        AudioSource::Alsa(device) => {
            // Stamped by the pipeline's clock and not by its own: what is heard with a picture is not paced by the sound
            // card. The worker takes jitter and drift out of these stamps. A driver's own stamps may be of another clock
            // (those of ALSA's pulse plug-in are calendar time).
            let clock =
                [("provide-clock", "false"), ("slave-method", "re-timestamp"), ("use-driver-timestamps", "false")];
            let sizes = [("buffer-time", "200000"), ("latency-time", "10000")];
            line.element("alsasrc", &[&[("name", "source"), ("device", device)], &clock[..], &sizes].concat());
            // In order of preference; alsasrc alone would choose 44.1 kHz.
            line.caps("audio/x-raw,rate=48000,channels=2;audio/x-raw,rate=48000;audio/x-raw");
            line.element("audioconvert", &[]);
            line.element("audioresample", &[]);
        }
    }
    line.caps(RAW);
    if (plan.gain - 1.0).abs() > 1e-6 {
        line.element("volume", &[("volume", &format!("{:.6}", plan.gain))]);
    }
    line.element("level", &[("name", "level"), ("interval", "100000000")]);
    line.valve(purpose);
    if encoder != "voaacenc" {
        line.element("audioconvert", &[]);
    }
    line.element(encoder, &[("name", "encoder"), ("bitrate", &plan.bitrate.bits().to_string())]);
    line.caps("audio/mpeg,mpegversion=4,stream-format=raw");
    line.end(purpose, "audio");
    line.0
}

/// The arguments of gst-launch-1.0 that make a JPEG, at most 640 pixels wide, of one picture of `width` x `height`: goes
/// in at `picture`, comes out at `jpeg`.
pub fn preview(compressed: bool, width: u32, height: u32) -> Vec<String> {
    let shown = width.clamp(1, 640);
    let lines = (u64::from(height) * u64::from(shown) / u64::from(width.max(1))).max(1);
    let mut line = Line::default();
    line.element("appsrc", &[("name", "picture")]);
    if compressed {
        line.element("jpegdec", &[]);
    }
    line.element("videoconvertscale", &[]);
    line.caps(format!("video/x-raw,width={shown},height={lines},pixel-aspect-ratio=1/1"));
    line.element("jpegenc", &[("quality", "75")]);
    line.element("appsink", &[("name", "jpeg"), ("sync", "false")]);
    line.0
}

/// One argument as a shell reads it.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    if argument == "!" || !argument.is_empty() && argument.chars().all(plain) {
        return argument.into();
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests;
