//! The software encoder inside: a pipeline of its own that gives one access unit for each picture.

use crate::spec::Orders;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use std::time::Duration;

pub struct Coder {
    pipeline: gst::Pipeline,
    input: gst_app::AppSrc,
    element: gst::Element,
    output: gst_app::AppSink,
}

impl Coder {
    /// Starts an encoder for pictures of `caps` that does what it is ordered: `profile` and `level` as caps write them.
    pub fn start(hevc: bool, caps: &gst::Caps, orders: &Orders, profile: &str, level: Option<&str>) -> Option<Self> {
        let Orders { interval, qp_max, .. } = orders;
        let kilobits = orders.bits.map_or(2048, |bits| (bits / 1000).max(1));
        let encoder = if hevc {
            let quality = if orders.bits.is_some() { "" } else { "qp=26" };
            format!(
                "x265enc name=coder speed-preset=ultrafast tune=zerolatency key-int-max={interval} bitrate={kilobits} {quality} \
                 option-string=scenecut=0:open-gop=0:bframes=0:qpmax={qp_max} \
                 ! video/x-h265,profile={profile},stream-format=byte-stream,alignment=au"
            )
        } else {
            let quality = if orders.bits.is_some() { "" } else { "pass=quant quantizer=26" };
            let level = level.map(|level| format!(":level={level}")).unwrap_or_default();
            let (high, cabac) = (profile == "high", !profile.ends_with("baseline"));
            format!(
                "x264enc name=coder speed-preset=ultrafast tune=zerolatency key-int-max={interval} bitrate={kilobits} {quality} \
                 aud=false b-adapt=false bframes=0 dct8x8={high} cabac={cabac} qp-max={qp_max} \
                 option-string=scenecut=0:open-gop=0{level} \
                 ! video/x-h264,profile={profile},stream-format=byte-stream,alignment=au"
            )
        };
        let line = format!("appsrc name=in format=time ! videoconvert ! {encoder} ! appsink name=out sync=false");
        let pipeline = gst::parse::launch(&line).ok()?.downcast::<gst::Pipeline>().ok()?;
        let input = pipeline.by_name("in")?.downcast::<gst_app::AppSrc>().ok()?;
        let output = pipeline.by_name("out")?.downcast::<gst_app::AppSink>().ok()?;
        let element = pipeline.by_name("coder")?;
        input.set_caps(Some(caps));
        pipeline.set_state(gst::State::Playing).ok()?;
        Some(Self { pipeline, input, element, output })
    }

    pub fn set_bitrate(&self, bits: u64) {
        let kilobits = u32::try_from(bits / 1000).unwrap_or(u32::MAX).clamp(1, 102_400);
        self.element.set_property("bitrate", kilobits);
    }

    /// The access unit of `picture`, and whether it is an IDR; none: it failed.
    pub fn encode(&self, picture: gst::Buffer, keyframe: bool) -> Option<(Vec<u8>, bool)> {
        if keyframe {
            let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
            self.element.send_event(event);
        }
        self.input.push_buffer(picture).ok()?;
        let patience = gst::ClockTime::from_nseconds(Duration::from_secs(5).as_nanos() as u64);
        let sample = self.output.try_pull_sample(patience)?;
        let buffer = sample.buffer()?;
        let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        Some((buffer.map_readable().ok()?.to_vec(), key))
    }
}

impl Drop for Coder {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
