//! What the pictures look like, from some hundred samples of one now and then: black, or a picture that stands still.

use super::{Look, Report, link::Link};
use crate::{sys, units::Time};
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_video::{self as gst_video, VideoFrameExt as _};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// How often a picture is looked at.
const INTERVAL: Duration = Duration::from_millis(500);
/// Samples across and down: each stands for a spot of 1/64 by 1/36 of the picture, so that a counter in a corner is
/// seen to move.
const ACROSS: usize = 64;
const DOWN: usize = 36;
/// Brightest luma of a black picture, limited range: 16 is black, and a camera with its lid on makes some noise.
const BLACK: u8 = 32;
/// So many samples may be brighter: a hot pixel, or the corner of a station's logo.
const STRAY: usize = 2;

/// Looks at what goes into the encoder at `sink`, and reports.
pub fn attach(sink: &gst::Pad, link: Arc<Link>) {
    let state = Mutex::new((Time::ZERO, Eye::default()));
    sink.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let (Some(buffer), Ok(mut state)) = (info.buffer(), state.lock()) else { return gst::PadProbeReturn::Ok };
        let (due, eye) = &mut *state;
        let now = sys::now();
        if now < *due {
            return gst::PadProbeReturn::Ok;
        }
        *due = now + INTERVAL;
        // A hardware converter may give memory that only the encoder can read: then nothing is said of it.
        let format = pad.current_caps().and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok());
        if let Some(samples) = format.and_then(|format| samples(buffer, &format)) {
            link.send(&Report::Picture(eye.see(samples)));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Luma (or red) on a grid over the picture; none where it has not 8 bits, or cannot be read.
fn samples(buffer: &gst::BufferRef, format: &gst_video::VideoInfo) -> Option<Vec<u8>> {
    let info = format.format_info();
    if *info.depth().first()? != 8 {
        return None;
    }
    let (plane, offset) = (*info.plane().first()?, *info.poffset().first()? as usize);
    let step = usize::try_from(*info.pixel_stride().first()?).ok()?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, format).ok()?;
    let stride = usize::try_from(*frame.plane_stride().get(plane as usize)?).ok()?;
    let pixels = frame.plane_data(plane).ok()?;
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let at = |n: usize, of: usize, size: usize| (2 * n + 1) * size / (2 * of);
    let spots = (0..DOWN).flat_map(|row| (0..ACROSS).map(move |column| (row, column)));
    let offsets = spots.map(|(row, column)| at(row, DOWN, height) * stride + at(column, ACROSS, width) * step + offset);
    offsets.map(|offset| pixels.get(offset).copied()).collect()
}

/// Remembers what it saw last.
#[derive(Debug, Default)]
struct Eye {
    before: Vec<u8>,
}

impl Eye {
    fn see(&mut self, samples: Vec<u8>) -> Look {
        let black = samples.iter().filter(|sample| **sample > BLACK).count() <= STRAY;
        // Whatever a camera looks at, its own noise moves.
        let still = samples == self.before;
        self.before = samples;
        Look { black, still }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gstreamer_app as gst_app;

    /// What two pictures of a test source look like one after the other.
    fn looks(source: &str, caps: &str) -> Vec<Look> {
        gst::init().expect("GStreamer");
        let launched = format!("videotestsrc num-buffers=2 {source} ! {caps} ! appsink name=out");
        let arguments: Vec<String> = launched.split(' ').map(Into::into).collect();
        let pipeline = crate::media::pipeline::parse(&arguments).expect("a pipeline");
        let out = pipeline.by_name("out").and_then(|out| out.downcast::<gst_app::AppSink>().ok()).expect("a sink");
        pipeline.set_state(gst::State::Playing).expect("it plays");
        let mut eye = Eye::default();
        let seen = (0..2).map(|_| {
            let sample = out.pull_sample().expect("a picture");
            let format = gst_video::VideoInfo::from_caps(sample.caps().expect("caps")).expect("a format");
            eye.see(samples(sample.buffer().expect("a buffer"), &format).expect("it is read"))
        });
        let seen = seen.collect();
        pipeline.set_state(gst::State::Null).expect("it ends");
        seen
    }

    #[test]
    fn black_and_still_pictures_are_told_in_every_format_that_encoders_take() {
        let look = |black, still| Look { black, still };
        for format in ["I420", "NV12", "YUY2", "UYVY", "NV16", "BGRx"] {
            let caps = format!("video/x-raw,format={format},width=1280,height=720");
            assert_eq!(looks("pattern=black", &caps), [look(true, false), look(true, true)], "{format}");
            assert_eq!(looks("pattern=smpte100", &caps), [look(false, false), look(false, true)], "{format}");
            assert_eq!(looks("pattern=ball", &caps), [look(false, false); 2], "{format}");
            assert_eq!(looks("pattern=snow", &caps), [look(false, false); 2], "{format}");
        }
        let odd = "video/x-raw,format=I420,width=18,height=10";
        assert_eq!(looks("pattern=black", odd)[1], look(true, true));
    }

    #[test]
    fn what_has_more_than_8_bits_is_left_alone() {
        gst::init().expect("GStreamer");
        let format = gst_video::VideoInfo::builder(gst_video::VideoFormat::P01010le, 64, 36).build().expect("a format");
        let buffer = gst::Buffer::with_size(format.size()).expect("a buffer");
        assert_eq!(samples(&buffer, &format), None);
    }
}
