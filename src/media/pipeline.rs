//! The worker's pipeline: built from its plan, on the monotonic clock.

use super::{
    AudioPlan, Failure, FailureKind, Flow, Report, Started, VideoPlan, VideoSource,
    encoder::{self, Frames, Pictures, VideoEncoder},
    flow::Gauge,
    launch::{self, Use},
    link::Link,
    look,
    preview::Preview,
    sound,
    testcard::{self, Cadence},
    thin::Thinner,
};
use crate::{
    sys,
    units::{BitRate, Rate},
};
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;
use gstreamer_video::{self as gst_video, VideoFrameExt as _};
use std::sync::{Arc, Mutex, OnceLock};

/// A pipeline that runs.
pub struct Pipeline {
    /// What GStreamer says about it.
    pub bus: gst::Bus,
    link: Arc<Link>,
    air: gst::Element,
    gauge: Arc<Gauge>,
    preview: Arc<Preview>,
    video: Option<Pictured>,
}

/// What takes orders about pictures.
struct Pictured {
    encoder: Arc<VideoEncoder>,
    thinner: Arc<Thinner>,
}

/// Builds a pipeline from the arguments of gst-launch-1.0.
pub fn parse(arguments: &[String]) -> Result<gst::Pipeline, gst::glib::Error> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let element = gst::parse::launchv_full(&arguments, None, gst::ParseFlags::FATAL_ERRORS)?;
    element
        .downcast::<gst::Pipeline>()
        .map_err(|_| gst::glib::Error::new(gst::ParseError::Syntax, "not a whole pipeline"))
}

/// As [`parse`], with what its error means.
pub fn build(arguments: &[String]) -> Result<gst::Pipeline, Failure> {
    parse(arguments).map_err(|error| {
        let missing = error.matches(gst::ParseError::NoSuchElement);
        let kind = if missing { FailureKind::MissingElement } else { FailureKind::Other };
        failure(kind, format!("{error}: {}", arguments.join(" ")))
    })
}

impl Pipeline {
    /// Builds and starts the video pipeline.
    ///
    /// # Errors
    /// When an element is missing or refuses, or the device cannot be opened.
    pub fn video(plan: &VideoPlan, link: &Arc<Link>) -> Result<Self, Failure> {
        let (chosen, mut missing) = encoder::choose(&plan.encoders, plan.codec);
        let Some(board) = chosen else {
            return Err(failure(FailureKind::NoEncoder, format!("none of the encoders exists: {missing:?}")));
        };
        let mut plan = plan.clone();
        if let Some(converter) = plan.converter.take_if(|converter| !encoder::exists(&converter.element)) {
            missing.push(converter.element);
        }
        let parts = Parts::new(&launch::video(&plan, &board, Use::Worker))?;
        look::attach(&parts.last_readable_pad()?, link.clone());
        let (codec, element) = (board.codec, parts.encoder.clone());
        let mut pictures = Pictures::new(link.clone(), codec, element.clone());
        let started = encoder::started(&board, missing);
        if plan.source == VideoSource::Test {
            draw(&parts.source_pad, board.fit(plan.mode).rate);
        }
        let encoder = Arc::new(VideoEncoder::new(element, board));
        let thinner = Thinner::attach(&parts.pipeline, &parts.air, encoder.clone(), plan.keyframe_interval);
        parts.start(link, started, Some(Pictured { encoder, thinner }), move |sample| pictures.take(sample))
    }

    /// Builds and starts the sound pipeline.
    ///
    /// # Errors
    /// As [`Pipeline::video`].
    pub fn audio(plan: &AudioPlan, link: &Arc<Link>) -> Result<Self, Failure> {
        let (missing, found): (Vec<&str>, Vec<&str>) = {
            let first = launch::AAC_ENCODERS.iter().position(|element| encoder::exists(element));
            let (missing, rest) = launch::AAC_ENCODERS.split_at(first.unwrap_or(launch::AAC_ENCODERS.len()));
            (missing.to_vec(), rest.to_vec())
        };
        let Some(&element) = found.first() else {
            return Err(failure(FailureKind::NoEncoder, format!("none of the encoders exists: {missing:?}")));
        };
        let parts = Parts::new(&launch::audio(plan, element, Use::Worker))?;
        let air = parts.air.static_pad("sink").ok_or_else(incomplete)?;
        sound::attach(&plan.source, &parts.source_pad, &air, link);
        let mut frames = Frames::new(link.clone(), element, plan.delay);
        let missing = missing.into_iter().map(Into::into).collect();
        let started = Started { encoder: element.into(), hardware: false, missing, note: None };
        parts.start(link, started, None, move |sample| frames.take(sample))
    }

    /// Starts to encode; the first picture is an IDR, as the encoder starts with it.
    pub fn encode(&self) {
        self.gauge.begin();
        self.air.set_property("drop", false);
    }

    /// Makes the next picture an IDR.
    pub fn keyframe(&self) {
        if let Some(video) = self.video.as_ref().filter(|_| self.gauge.on_air()) {
            video.encoder.keyframe();
        }
    }

    /// Changes the bitrate, or reports that this encoder cannot while it runs.
    pub fn set_bitrate(&self, bitrate: BitRate) {
        let running = self.gauge.on_air();
        if !self.video.as_ref().is_some_and(|video| video.encoder.set_bitrate(bitrate, running)) {
            self.link.send(&Report::BitrateFixed);
        }
    }

    /// Encodes each `every`-th picture only.
    pub fn thin(&self, every: u32) {
        if let Some(video) = &self.video {
            video.thinner.set(every);
        }
    }

    /// Sends a JPEG of the next captured picture.
    pub fn preview(&self) {
        if self.video.is_some() {
            self.preview.ask();
        }
    }

    /// How it flows.
    pub fn flow(&self) -> Flow {
        self.gauge.read(sys::now())
    }
}

/// A pipeline that is built, and its elements that have names.
struct Parts {
    pipeline: gst::Pipeline,
    source_pad: gst::Pad,
    air: gst::Element,
    encoder: gst::Element,
    units: gst_app::AppSink,
}

impl Parts {
    fn new(arguments: &[String]) -> Result<Self, Failure> {
        let pipeline = build(arguments)?;
        let named = |name: &str| pipeline.by_name(name).ok_or_else(incomplete);
        let source_pad = named("source")?.static_pad("src").ok_or_else(incomplete)?;
        let (air, encoder) = (named("air")?, named("encoder")?);
        let units = named("units")?.downcast::<gst_app::AppSink>().map_err(|_| incomplete())?;
        Ok(Self { pipeline, source_pad, air, encoder, units })
    }

    /// Where pictures are what the encoder gets, and still in memory that can be read.
    fn last_readable_pad(&self) -> Result<gst::Pad, Failure> {
        let element = self.pipeline.by_name(launch::UPLOAD).unwrap_or_else(|| self.encoder.clone());
        element.static_pad("sink").ok_or_else(incomplete)
    }

    fn start(
        self,
        link: &Arc<Link>,
        started: Started,
        video: Option<Pictured>,
        mut take: impl FnMut(&gst::Sample) + Send + 'static,
    ) -> Result<Pipeline, Failure> {
        let (gauge, preview) = (Arc::new(Gauge::new(sys::now())), Arc::new(Preview::default()));
        let encoded = gauge.clone();
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            // Before it is sent: while the daemon does not read, the encoder is not to blame. Without a stamp it is not sent.
            if sample.buffer().is_some_and(|buffer| buffer.pts().is_some()) {
                encoded.encoded();
            }
            take(&sample);
            Ok(gst::FlowSuccess::Ok)
        });
        self.units.set_callbacks(callbacks.build());
        self.watch(link.clone(), started, gauge.clone(), preview.clone());

        // Running time is the monotonic clock's own: stamps are capture times without any arithmetic.
        self.pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        self.pipeline.set_base_time(gst::ClockTime::ZERO);
        self.pipeline.set_start_time(gst::ClockTime::NONE);
        let bus = self.pipeline.bus().ok_or_else(incomplete)?;
        if self.pipeline.set_state(gst::State::Playing).is_err() {
            let told = bus.pop_filtered(&[gst::MessageType::Error]);
            return Err(told.map_or_else(|| failure(FailureKind::Other, "it does not start"), |told| told_by(&told)));
        }
        let (link, air) = (link.clone(), self.air);
        // The pipeline itself is never freed: stopping a device can hang, and the process ends soon enough.
        std::mem::forget(self.pipeline);
        Ok(Pipeline { bus, link, air, gauge, preview, video })
    }

    /// Looks at what is captured: that it comes, the first of it, and now and then one to show.
    fn watch(&self, link: Arc<Link>, started: Started, gauge: Arc<Gauge>, preview: Arc<Preview>) {
        let started = Mutex::new(Some(started));
        self.source_pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            gauge.captured(sys::now());
            if let Some(started) = started.lock().ok().and_then(|mut started| started.take()) {
                link.send(&Report::Started(Started { note: sound::note(pad), ..started }));
            }
            if let Some(buffer) = info.buffer() {
                preview.see(pad, buffer, &link);
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// Draws counter and flash into the test picture, and stamps it as if a camera locked to the clock had made it. That of a
/// moment before this worker has been given by the one before it.
fn draw(source: &gst::Pad, rate: Rate) {
    let begun = sys::now().nanos();
    let cadence = Mutex::new(Cadence::new(rate));
    let told = OnceLock::new();
    let format: OnceLock<Option<gst_video::VideoInfo>> = OnceLock::new();
    source.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let format = format.get_or_init(|| {
            let caps = pad.current_caps()?;
            gst_video::VideoInfo::from_caps(&caps).ok()
        });
        let (Some(format), Some(buffer)) = (format, info.buffer_mut()) else { return gst::PadProbeReturn::Ok };
        let Ok(mut cadence) = cadence.lock() else { return gst::PadProbeReturn::Ok };
        let made = buffer.pts().map_or(0, gst::ClockTime::nseconds);
        let time = cadence.stamp(made);
        if time < begun {
            return gst::PadProbeReturn::Drop;
        }
        // Who measures delays by the stamp has to take this off.
        told.get_or_init(|| eprintln!("test pictures are stamped {} us before they are made", (made - time) / 1000));
        let buffer = buffer.make_mut();
        buffer.set_pts(gst::ClockTime::from_nseconds(time));
        if let Ok(mut frame) = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, format) {
            let (width, height, stride) = (frame.width() as usize, frame.height() as usize, frame.plane_stride()[0]);
            if let Ok(luma) = frame.plane_data_mut(0) {
                testcard::draw(luma, width, height, stride.unsigned_abs() as usize, time, rate);
            }
        }
        gst::PadProbeReturn::Ok
    });
}

fn failure(kind: FailureKind, text: impl Into<String>) -> Failure {
    Failure { kind, text: text.into() }
}

fn incomplete() -> Failure {
    failure(FailureKind::Other, "the pipeline is incomplete")
}

/// What an error message on the bus means.
pub fn told_by(message: &gst::MessageRef) -> Failure {
    let gst::MessageView::Error(error) = message.view() else {
        return failure(FailureKind::Device, "the input ended");
    };
    let by = message.src().map(|by| by.name().to_string()).unwrap_or_default();
    let debug = error.debug().unwrap_or_default();
    let why = error.error();
    let kind = if why.matches(gst::ResourceError::Busy) {
        FailureKind::Busy
    } else if why.matches(gst::CoreError::MissingPlugin) || why.matches(gst::StreamError::CodecNotFound) {
        FailureKind::MissingElement
    } else if by == "encoder" {
        FailureKind::Encoder
    } else if why.is::<gst::ResourceError>() {
        FailureKind::Device
    } else if debug.contains("not-negotiated")
        || why.matches(gst::CoreError::Negotiation)
        || why.matches(gst::StreamError::Format)
        || why.matches(gst::StreamError::WrongType)
    {
        FailureKind::Format
    } else if by == "source" {
        FailureKind::Device
    } else {
        FailureKind::Other
    };
    // Elements put whole caps into their errors.
    let text: String = format!("{by}: {why}: {debug}").chars().take(800).collect();
    failure(kind, text)
}
