//! The encoder in the worker: which one, its orders, and what comes out of it.

use super::{
    FailureKind, Started, launch,
    link::Link,
    nal::{Picture, Stream},
    sps::Colour,
};
use crate::{
    access_unit::{AAC_CONFIG, CodecConfig, SAMPLE_RATE, Track},
    board::{self, KeyframeControl, Through},
    settings::Codec,
    sys::encoder_controls,
    units::{BitRate, Rate, Time},
};
use bytes::Bytes;
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_video as gst_video;
use std::sync::Arc;

/// Whether GStreamer has the element.
pub fn exists(element: &str) -> bool {
    gst::ElementFactory::find(element).is_some()
}

/// The first of a plan's encoders all of whose elements exist, and the encoders before it.
pub fn choose(encoders: &[board::Encoder], codec: Codec) -> (Option<board::Encoder>, Vec<String>) {
    let mut missing = Vec::new();
    for encoder in encoders.iter().filter(|encoder| encoder.codec == codec) {
        if encoder.elements().all(exists) {
            return (Some(encoder.clone()), missing);
        }
        missing.push(encoder.element.clone());
    }
    (None, missing)
}

/// What the worker says of the encoder it chose.
pub fn started(encoder: &board::Encoder, missing: Vec<String>) -> Started {
    Started { encoder: encoder.element.clone(), hardware: encoder.hardware, missing, note: None }
}

/// Orders to a video encoder.
pub struct VideoEncoder {
    element: gst::Element,
    board: board::Encoder,
}

impl VideoEncoder {
    /// Takes orders for `element`, which the board describes as `board`.
    pub fn new(element: gst::Element, board: board::Encoder) -> Self {
        Self { element, board }
    }

    /// Makes the next picture an IDR.
    pub fn keyframe(&self) {
        let forced = match &self.board.keyframe {
            KeyframeControl::Event => {
                let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
                self.element.send_event(event).then_some(()).ok_or_else(|| "it takes no such event".to_string())
            }
            KeyframeControl::V4l2Control => self.control("force_key_frame", 1),
            KeyframeControl::Signal(name) => self.signal(name),
        };
        if let Err(error) = forced {
            eprintln!("cannot force a keyframe: {error}");
        }
    }

    /// Changes the bitrate; `running` says whether pictures flow. False: it has to be started anew for that.
    pub fn set_bitrate(&self, bitrate: BitRate, running: bool) -> bool {
        let control = &self.board.bitrate;
        if running && !control.live {
            return false;
        }
        let value = launch::bitrate_value(&self.board, bitrate);
        let set = match control.through {
            Through::Property => self.property(&control.name, value),
            Through::V4l2Control => self.control(&control.name, i32::try_from(value).unwrap_or(i32::MAX)),
        };
        if let Err(error) = &set {
            eprintln!("cannot set the bitrate: {error}");
        }
        set.is_ok()
    }

    fn property(&self, name: &str, value: u64) -> Result<(), String> {
        let known = self.element.find_property(name).ok_or_else(|| format!("there is no property {name:?}"))?;
        let value = gst::glib::Value::deserialize_with_pspec(&value.to_string(), &known)
            .map_err(|_| format!("{name} does not take {value}"))?;
        self.element.set_property_from_value(name, &value);
        Ok(())
    }

    /// Emits an action signal without arguments.
    fn signal(&self, name: &str) -> Result<(), String> {
        let known = gst::glib::subclass::SignalId::lookup(name, self.element.type_());
        known.ok_or_else(|| format!("there is no signal {name:?}"))?;
        self.element.emit_by_name::<()>(name, &[]);
        Ok(())
    }

    /// Sets a V4L2 control through the element's `device-fd`: before GStreamer 1.28 it offers no other way while it runs.
    fn control(&self, name: &str, value: i32) -> Result<(), String> {
        let known = self.element.find_property("device-fd").filter(|known| known.value_type() == i32::static_type());
        let fd: i32 = known.map(|_| self.element.property("device-fd")).ok_or("it has no device-fd")?;
        let set = encoder_controls::find(fd, name).and_then(|id| encoder_controls::set(fd, id, value));
        set.map_err(|error| format!("{name}={value}: {error}"))
    }
}

/// Sends what a video encoder makes: pictures with their capture time, each IDR with its parameter sets.
pub struct Pictures {
    link: Arc<Link>,
    codec: Codec,
    encoder: gst::Element,
    caps: Option<gst::Caps>,
    stream: Option<Stream>,
    /// Pictures a second and those sent, when they are stamped by their place.
    places: Option<(Rate, u64)>,
}

impl Pictures {
    /// Sends what `encoder` makes.
    pub fn new(link: Arc<Link>, codec: Codec, encoder: gst::Element) -> Self {
        Self { link, codec, encoder, caps: None, stream: None, places: None }
    }

    /// Stamps the pictures 0, 1/rate, 2/rate... in the order in which they come.
    pub fn stamped_by_place(self, rate: Rate) -> Self {
        Self { places: Some((rate, 0)), ..self }
    }

    /// Takes the next encoded picture.
    pub fn take(&mut self, sample: &gst::Sample) {
        if sample.caps() != self.caps.as_deref() {
            self.caps = sample.caps_owned();
            self.configure();
        }
        let Some((mut time, data)) = unit(sample) else { return };
        if let Some((rate, sent)) = &mut self.places {
            (time, *sent) = (rate.time_of(*sent), *sent + 1);
        }
        match self.stream.as_ref().and_then(|stream| stream.picture(&data)) {
            Some(Picture { key, data: Some(rebuilt) }) => self.link.unit(Track::Video, time, key, &rebuilt),
            Some(Picture { key, data: None }) => self.link.unit(Track::Video, time, key, &data),
            None => self.link.fail(FailureKind::Encoder, "the encoder made something that is no picture"),
        }
    }

    fn configure(&mut self) {
        let record = codec_data(self.caps.as_deref());
        let Some(stream) = record.as_deref().and_then(|record| Stream::new(self.codec, record, self.colour())) else {
            self.link.fail(FailureKind::Encoder, format!("no usable codec configuration in {:?}", self.caps));
        };
        // The same again is no news: caps also change with what is not in the record.
        if self.stream.as_ref() != Some(&stream) {
            let record: Bytes = stream.record.clone();
            self.link.config(&match self.codec {
                Codec::H264 => CodecConfig::H264(record),
                Codec::Hevc => CodecConfig::Hevc(record),
            });
        }
        self.stream = Some(stream);
    }

    /// How the encoder's input is coloured.
    fn colour(&self) -> Option<Colour> {
        let caps = self.encoder.static_pad("sink")?.current_caps()?;
        let colorimetry = gst_video::VideoInfo::from_caps(&caps).ok()?.colorimetry();
        Some(Colour {
            full_range: colorimetry.range() == gst_video::VideoColorRange::Range0_255,
            primaries: u8::try_from(colorimetry.primaries().to_iso()).ok()?,
            transfer: u8::try_from(colorimetry.transfer().to_iso()).ok()?,
            matrix: u8::try_from(colorimetry.matrix().to_iso()).ok()?,
        })
    }
}

/// Samples by which an AAC encoder's sound is later than its stamps say: the first access unit decodes to so much
/// silence before the first sample that went in (measured: `tests/media_worker.rs`).
pub fn priming(element: &str) -> u64 {
    match element {
        "voaacenc" => 1600,
        _ => 1024,
    }
}

/// Sends what an AAC encoder makes: frames with the capture time of their first sample.
pub struct Frames {
    link: Arc<Link>,
    shift: i64,
    caps: Option<gst::Caps>,
}

impl Frames {
    /// Sends what the element `encoder` makes, `delay` nanoseconds later than it was captured.
    pub fn new(link: Arc<Link>, encoder: &str, delay: i64) -> Self {
        let early = (priming(encoder) * 1_000_000_000 / SAMPLE_RATE).cast_signed();
        Self { link, shift: delay.saturating_sub(early), caps: None }
    }

    /// Takes the next AAC frame.
    pub fn take(&mut self, sample: &gst::Sample) {
        if sample.caps() != self.caps.as_deref() {
            self.caps = sample.caps_owned();
            // Some encoders append to it what is the default anyway (a sync extension that says "no SBR").
            if !codec_data(self.caps.as_deref()).is_some_and(|config| config.starts_with(&AAC_CONFIG)) {
                self.link.fail(FailureKind::Encoder, format!("not AAC-LC at 48 kHz in stereo: {:?}", self.caps));
            }
            self.link.config(&CodecConfig::Aac(Bytes::from_static(&AAC_CONFIG)));
        }
        if let Some((time, data)) = unit(sample) {
            self.link.unit(Track::Audio, time.shifted(self.shift), true, &data);
        }
    }
}

/// An access unit's stamp on the clock and its bytes. The pipeline's base time is the clock's zero, so running time is
/// clock time; the segment undoes what encoders do to stamps (x264enc adds 1000 hours).
fn unit(sample: &gst::Sample) -> Option<(Time, gst::MappedBuffer<gst::buffer::Readable>)> {
    let buffer = sample.buffer_owned()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let time = segment.to_running_time(buffer.pts()?)?;
    Some((Time::from_nanos(time.nseconds()), buffer.into_mapped_buffer_readable().ok()?))
}

fn codec_data(caps: Option<&gst::CapsRef>) -> Option<Vec<u8>> {
    let buffer: gst::Buffer = caps?.structure(0)?.get("codec_data").ok()?;
    Some(buffer.map_readable().ok()?.to_vec())
}
