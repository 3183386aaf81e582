//! The worker's still pictures: drawn or decoded, and encoded once, as fast as it goes.

use super::{
    Card, Failure, FailureKind, Report, StillPlan,
    canvas::Canvas,
    encoder::{self, Pictures},
    launch::{self, Use},
    link::Link,
    picture_file, pipeline,
};
use crate::units::Mode;
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use std::sync::Arc;

/// How often an error is looked for while nothing comes. There is no limit here: the daemon has one.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// Sends the GOP that shows the plan's card; `file` is the operator's picture, where that is the card.
///
/// # Errors
/// When the picture cannot be used, or an element is missing or fails.
pub fn encode(plan: &StillPlan, file: &[u8], link: &Arc<Link>) -> Result<(), Failure> {
    let (chosen, missing) = encoder::choose(&plan.encoders, plan.codec);
    let Some(board) = chosen else {
        return Err(failure(FailureKind::NoEncoder, format!("none of the encoders exists: {missing:?}")));
    };
    let out = board.fit(plan.mode);
    let canvas = draw(&plan.card, file, out)?;
    link.send(&Report::Started(encoder::started(&board, missing)));

    let stream = Stream::new(&launch::still(plan, &board, Use::Worker), "source", "units")?;
    let element = stream.pipeline.by_name("encoder").ok_or_else(incomplete)?;
    let mut pictures = Pictures::new(link.clone(), board.codec, element).stamped_by_place(out.rate);
    let (caps, buffer) = raw(&canvas).ok_or_else(|| failure(FailureKind::Other, "no memory for a picture"))?;
    stream.feed(&caps, buffer)?;
    while let Some(sample) = stream.next()? {
        pictures.take(&sample);
    }
    // The pipeline is not taken down: the process ends.
    std::mem::forget(stream);
    Ok(())
}

fn draw(card: &Card, bytes: &[u8], out: Mode) -> Result<Canvas, Failure> {
    match card {
        Card::Bars => Ok(Canvas::bars(out.width, out.height)),
        Card::Name(name) => Canvas::name(out.width, out.height, name)
            .map_err(|error| failure(FailureKind::Other, format!("the built-in font: {error}"))),
        Card::Picture(path) => {
            let told = |why: &str| failure(FailureKind::Picture, format!("{}: {why}", path.display()));
            let file = picture_file::look(bytes).map_err(told)?;
            let (width, height) = file.fitted(out.width, out.height);
            let sample = decode(file.png, width, height, bytes.to_vec()).map_err(|error| match error.kind {
                FailureKind::MissingElement => error,
                _ => told(&error.text),
            })?;
            let mut canvas = Canvas::black(out.width, out.height);
            let buffer = sample.buffer().and_then(|buffer| buffer.map_readable().ok()).ok_or_else(incomplete)?;
            canvas.place(width, height, width as usize * 4, &buffer);
            Ok(canvas)
        }
    }
}

/// The picture of the file `bytes` as `width` x `height` RGBA pixels without gaps between rows.
fn decode(png: bool, width: u32, height: u32, bytes: Vec<u8>) -> Result<gst::Sample, Failure> {
    let stream = Stream::new(&launch::decoded(png, width, height), "file", "picture")?;
    let caps = gst::Caps::builder(if png { "image/png" } else { "image/jpeg" }).build();
    stream.feed(&caps, gst::Buffer::from_slice(bytes))?;
    let sample = stream.next()?.ok_or_else(|| failure(FailureKind::Picture, "there is no picture in it"))?;
    // Gives back the memory of the picture as it was before it was scaled. Software only: this cannot hang.
    let _ = stream.pipeline.set_state(gst::State::Null);
    Ok(sample)
}

/// The picture as GStreamer has it.
fn raw(canvas: &Canvas) -> Option<(gst::Caps, gst::Buffer)> {
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, canvas.width, canvas.height).build().ok()?;
    let stride = usize::try_from(info.stride()[0]).ok()?;
    let row = canvas.width as usize * 3;
    let mut bytes = vec![0; info.size()];
    for (to, from) in bytes.chunks_mut(stride).zip(canvas.rgb.chunks_exact(row)) {
        to[..row].copy_from_slice(from);
    }
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    buffer.get_mut()?.set_pts(gst::ClockTime::ZERO);
    Some((info.to_caps().ok()?, buffer))
}

/// A pipeline that is given one buffer.
struct Stream {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    source: gst_app::AppSrc,
    sink: gst_app::AppSink,
}

impl Stream {
    fn new(arguments: &[String], source: &str, sink: &str) -> Result<Self, Failure> {
        let pipeline = pipeline::build(arguments)?;
        let named = |name: &str| pipeline.by_name(name).ok_or_else(incomplete);
        let source = named(source)?.downcast::<gst_app::AppSrc>().map_err(|_| incomplete())?;
        let sink = named(sink)?.downcast::<gst_app::AppSink>().map_err(|_| incomplete())?;
        source.set_format(gst::Format::Time);
        let bus = pipeline.bus().ok_or_else(incomplete)?;
        Ok(Self { pipeline, bus, source, sink })
    }

    fn feed(&self, caps: &gst::Caps, buffer: gst::Buffer) -> Result<(), Failure> {
        self.source.set_caps(Some(caps));
        if self.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(self.error().unwrap_or_else(|| failure(FailureKind::Other, "it does not start")));
        }
        // Refused only after an error, which is then found.
        let _ = self.source.push_buffer(buffer).and_then(|_| self.source.end_of_stream());
        Ok(())
    }

    /// The next sample; none: that was all.
    fn next(&self) -> Result<Option<gst::Sample>, Failure> {
        loop {
            let sample = self.sink.try_pull_sample(LOOK);
            // Before the end is believed: elements pass it on after an error, too.
            if let Some(error) = self.error() {
                return Err(error);
            }
            if sample.is_some() || self.sink.is_eos() {
                return Ok(sample);
            }
        }
    }

    fn error(&self) -> Option<Failure> {
        self.bus.pop_filtered(&[gst::MessageType::Error]).map(|error| pipeline::told_by(&error))
    }
}

fn failure(kind: FailureKind, text: impl Into<String>) -> Failure {
    Failure { kind, text: text.into() }
}

fn incomplete() -> Failure {
    failure(FailureKind::Other, "the pipeline is incomplete")
}
