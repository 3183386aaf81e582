//! A JPEG of what is captured, made when asked for and only then.

use super::{Report, launch, link::Link};
use bytes::Bytes;
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// How long one picture may take.
const LIMIT: gst::ClockTime = gst::ClockTime::from_seconds(2);

/// Makes previews, one at a time.
#[derive(Debug, Default)]
pub struct Preview {
    wanted: AtomicBool,
    busy: AtomicBool,
}

impl Preview {
    /// The next captured picture is to be sent.
    pub fn ask(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Sees each captured picture; sends this one when asked, from a thread of its own.
    pub fn see(self: &Arc<Self>, pad: &gst::Pad, buffer: &gst::Buffer, link: &Arc<Link>) {
        // Not in one step: a wish that comes while one is made is kept for the next picture after it.
        if !self.wanted.load(Ordering::Relaxed) || self.busy.swap(true, Ordering::Relaxed) {
            return;
        }
        self.wanted.store(false, Ordering::Relaxed);
        let (this, link, buffer, caps) = (self.clone(), link.clone(), buffer.clone(), pad.current_caps());
        let spawned = std::thread::Builder::new().name("preview".into()).spawn(move || {
            match caps.ok_or_else(|| "no format".into()).and_then(|caps| jpeg(buffer, &caps)) {
                Ok(jpeg) => link.send(&Report::Preview(jpeg)),
                Err(error) => eprintln!("cannot make a preview: {error}"),
            }
            this.busy.store(false, Ordering::Relaxed);
        });
        if let Err(error) = spawned {
            eprintln!("cannot make a preview: {error}");
            self.busy.store(false, Ordering::Relaxed);
        }
    }
}

/// One captured picture as JPEG.
fn jpeg(buffer: gst::Buffer, caps: &gst::Caps) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    let format = caps.structure(0).ok_or("no format")?;
    let (width, height): (i32, i32) = (format.get("width")?, format.get("height")?);
    let compressed = format.name() != "video/x-raw";
    let arguments = launch::preview(compressed, u32::try_from(width)?, u32::try_from(height)?);
    let pipeline = super::pipeline::parse(&arguments)?;
    let end = |name: &str| pipeline.by_name(name).ok_or("an end is missing");
    let picture = end("picture")?.downcast::<gst_app::AppSrc>().map_err(|_| "not an appsrc")?;
    let sink = end("jpeg")?.downcast::<gst_app::AppSink>().map_err(|_| "not an appsink")?;
    picture.set_caps(Some(caps));
    pipeline.set_state(gst::State::Playing)?;
    let made = picture
        .push_buffer(buffer)
        .and_then(|_| picture.end_of_stream())
        .map_err(Into::into)
        .and_then(|_| sink.try_pull_sample(LIMIT).ok_or_else(|| "it did not come".into()))
        .and_then(|sample| sample.buffer_owned().ok_or_else(|| "it is empty".into()));
    // Software elements and memory only: this cannot hang as a device can.
    pipeline.set_state(gst::State::Null)?;
    Ok(Bytes::copy_from_slice(&made.and_then(|buffer: gst::Buffer| {
        buffer
            .into_mapped_buffer_readable()
            .map_err(|_| Box::<dyn std::error::Error + Send + Sync>::from("it cannot be read"))
    })?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One picture of a test source, as `launched` gives it, with its caps.
    fn picture(launched: &str) -> (gst::Buffer, gst::Caps) {
        gst::init().expect("GStreamer");
        let arguments: Vec<String> =
            format!("videotestsrc num-buffers=1 ! {launched} ! appsink name=out").split(' ').map(Into::into).collect();
        let pipeline = crate::media::pipeline::parse(&arguments).expect("a pipeline");
        let out = pipeline.by_name("out").and_then(|out| out.downcast::<gst_app::AppSink>().ok()).expect("a sink");
        pipeline.set_state(gst::State::Playing).expect("it plays");
        let sample = out.pull_sample().expect("a picture");
        pipeline.set_state(gst::State::Null).expect("it ends");
        (sample.buffer_owned().expect("a buffer"), sample.caps_owned().expect("caps"))
    }

    /// Width and height in a JPEG's frame header (ITU-T T.81 B.2.2).
    fn size(jpeg: &[u8]) -> (u16, u16) {
        let at = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a frame header");
        let number = |at: usize| u16::from_be_bytes([jpeg[at], jpeg[at + 1]]);
        (number(at + 7), number(at + 5))
    }

    #[test]
    fn a_preview_is_at_most_640_wide_in_the_shape_of_its_picture() {
        for (launched, wanted) in [
            ("video/x-raw,format=UYVY,width=1366,height=768", (640, 359)),
            ("video/x-raw,format=NV12,width=1920,height=1080", (640, 360)),
            ("video/x-raw,format=BGRx,width=320,height=240", (320, 240)),
            ("video/x-raw,format=I420,width=1280,height=960 ! jpegenc", (640, 480)),
        ] {
            let (buffer, caps) = picture(launched);
            assert_eq!(jpeg(buffer, &caps).map(|jpeg| size(&jpeg)).map_err(|error| error.to_string()), Ok(wanted));
        }
    }

    #[test]
    fn what_is_no_picture_gives_an_error_in_time() {
        let (_, caps) = picture("video/x-raw,format=I420,width=64,height=64 ! jpegenc");
        assert!(jpeg(gst::Buffer::from_slice([0; 100]), &caps).is_err());
    }
}
