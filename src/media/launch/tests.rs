//! What each plan becomes.

use super::*;
use crate::board::{Align, BitrateControl, Converter, IntervalControl, KeyframeControl, Memory};

fn encoder(element: &str, through: Through) -> Encoder {
    let control = |name: &str| name.to_string();
    Encoder {
        element: element.into(),
        codec: Codec::H264,
        hardware: through == Through::V4l2Control,
        bitrate: BitrateControl { name: control("bitrate"), unit: BitrateUnit::Kilobit, through, live: true },
        keyframe: KeyframeControl::Event,
        properties: BTreeMap::new(),
        controls: BTreeMap::new(),
        interval: IntervalControl { name: control("interval"), through, also: None },
        profile: "main".into(),
        level: None,
        format: "I420".into(),
        memory: None,
        align: Align::default(),
        min_rate: None,
        min_bitrate: None,
    }
}

fn plan(source: VideoSource, mode: &str) -> VideoPlan {
    VideoPlan {
        source,
        mode: mode.parse().expect("a mode"),
        codec: Codec::H264,
        encoders: vec![encoder("x264enc", Through::Property)],
        converter: None,
        bitrate: BitRate::new(4_000_000),
        keyframe_interval: 60,
        latency: Latency::Low,
    }
}

fn receiver(mode: &str) -> VideoSource {
    let mode = mode.parse().expect("a mode");
    VideoSource::V4l2 { device: "/dev/video0".into(), format: Some("UYVY".into()), mode, hdmi: true }
}

fn camera(format: &str, mode: &str) -> VideoSource {
    let mode = mode.parse().expect("a mode");
    VideoSource::V4l2 { device: "/dev/video0".into(), format: Some(format.into()), mode, hdmi: false }
}

fn text(plan: &VideoPlan) -> String {
    describe(&Plan::Video(plan.clone()))
}

#[test]
fn the_test_picture_needs_no_conversion() {
    assert_eq!(
        text(&plan(VideoSource::Test, "720p30")),
        "videotestsrc name=source is-live=true ! \
         video/x-raw,format=I420,width=1280,height=720,pixel-aspect-ratio=1/1,framerate=30/1,colorimetry=bt709 ! \
         valve name=air drop=false ! \
         x264enc bitrate=4000 interval=60 name=encoder tune=zerolatency ! video/x-h264,profile=main ! h264parse ! \
         video/x-h264,stream-format=avc,alignment=au ! matroskamux streamable=true ! \
         filesink location=fieldcast-video.mkv"
    );
}

#[test]
fn pictures_are_dropped_before_the_conversion_and_repeated_after_it() {
    let order = |input: &str, output: &str| {
        let text = text(&plan(receiver(input), output));
        (text.find("videorate"), text.find("videoconvertscale").expect("a conversion"))
    };
    assert_eq!(order("720p30", "720p30").0, None);
    let (rate, scale) = order("1080p60", "720p30");
    assert!(rate.is_some_and(|rate| rate < scale));
    let (rate, scale) = order("1080p25", "720p50");
    assert!(rate.is_some_and(|rate| rate > scale));
    // A camera says 30 and gives 7.5 in the dark.
    assert!(text(&plan(camera("YUYV", "720p30"), "720p30")).contains("videorate"));
}

#[test]
fn fields_become_pictures_as_they_are_wanted() {
    let text = |output| text(&plan(receiver("1080i50"), output));
    assert!(text("720p25").contains("fields=top") && !text("720p25").contains("videorate"));
    assert!(text("720p50").contains("fields=all") && !text("720p50").contains("videorate"));
    assert!(text("720p30").contains("fields=all") && text("720p30").contains("videorate"));
}

#[test]
fn a_hardware_converter_scales_but_draws_no_borders() {
    let converter = Some(Converter { element: "v4l2convert".into(), properties: BTreeMap::new() });
    let wide = VideoPlan { converter: converter.clone(), ..plan(receiver("1080p60"), "720p60") };
    assert!(text(&wide).contains("v4l2convert") && !text(&wide).contains("videoconvertscale"));
    let narrow = VideoPlan { converter, ..plan(receiver("1024x768p60"), "720p60") };
    assert!(!text(&narrow).contains("v4l2convert") && text(&narrow).contains("add-borders=true"));
}

#[test]
fn cameras_are_asked_for_a_rate_and_jpeg_is_decoded() {
    let text = text(&plan(camera("MJPG", "1080p30"), "540p30"));
    assert!(text.contains("'image/jpeg,width=1920,height=1080,framerate=[29940/1000,30060/1000]' ! valve"), "{text}");
    assert!(text.find("valve") < text.find("jpegdec"), "off air nothing is decoded: {text}");
    assert!(text.contains("colorimetry=bt601"), "{text}");
}

#[test]
fn encoders_get_what_they_survive() {
    let mut odd = encoder("v4l2h264enc", Through::V4l2Control);
    odd.controls.insert("repeat_sequence_header".into(), 1);
    (odd.level, odd.align, odd.min_rate) = (Some("4".into()), Align { width: 16, height: 16 }, Some(9));
    odd.min_bitrate = Some(BitRate::new(200_000));
    let plan = VideoPlan { encoders: vec![odd], bitrate: BitRate::new(64_000), ..plan(receiver("1080p60"), "1080p5") };
    let text = text(&plan);
    assert!(text.contains("extra-controls=controls,bitrate=200,interval=60,repeat_sequence_header=1"), "{text}");
    assert!(text.contains("width=1920,height=1072") && text.contains("framerate=9/1"), "{text}");
    assert!(text.contains("'video/x-h264,profile=main,level=(string)4'"), "{text}");
}

#[test]
fn a_codec_without_encoder_still_gives_a_line_that_runs() {
    assert!(text(&VideoPlan { codec: Codec::Hevc, ..plan(VideoSource::Test, "720p30") }).ends_with("! fakesink"));
}

#[test]
fn shells_read_each_argument_as_one() {
    assert_eq!(quoted("device=hw:CARD=vivid"), "device=hw:CARD=vivid");
    assert_eq!(quoted("it's [1,2];"), r"'it'\''s [1,2];'");
    assert_eq!(quoted(""), "''");
}

#[test]
fn sound_prefers_what_the_program_has() {
    let plan = |source, gain| AudioPlan { source, bitrate: BitRate::new(128_000), gain, delay: 0 };
    let text = describe(&Plan::Audio(plan(AudioSource::Alsa("hw:CARD=vivid".into()), 0.5)));
    assert!(text.contains("device=hw:CARD=vivid provide-clock=false"), "{text}");
    assert!(text.contains("volume volume=0.500000 ! level"), "{text}");
    assert!(text.contains("voaacenc name=encoder bitrate=128000"), "{text}");
    assert!(!describe(&Plan::Audio(plan(AudioSource::Test, 1.0))).contains("volume volume"));
}

#[test]
fn pictures_go_into_the_encoders_own_memory_once() {
    let memory = Some(Memory { feature: "memory:NVMM".into(), upload: "nvvidconv".into() });
    let encoder = Encoder { memory, format: "NV12".into(), ..encoder("nvv4l2h264enc", Through::Property) };
    let there = "video/x-raw(memory:NVMM),format=NV12,width=1280,height=720,pixel-aspect-ratio=1/1";
    let line = |source, converter: Option<&str>, mode| {
        let converter = converter.map(|element| Converter { element: element.into(), properties: BTreeMap::new() });
        video(&VideoPlan { converter, ..plan(source, mode) }, &encoder, Use::Worker).join(" ")
    };
    let alone = format!("! nvvidconv name=upload ! {there} !");
    // The test picture; what software scales, as borders are needed; what another converter scales; what this one does.
    assert!(line(VideoSource::Test, Some("nvvidconv"), "1280x720p30").contains(&alone));
    let bordered = line(receiver("1600x1200p30"), Some("nvvidconv"), "1280x720p30");
    assert!(bordered.contains("videoconvertscale add-borders=true") && bordered.contains(&alone), "{bordered}");
    let other = line(receiver("1920x1080p30"), Some("v4l2convert"), "1280x720p30");
    let plain = "v4l2convert ! video/x-raw,format=NV12,width=1280,height=720,pixel-aspect-ratio=1/1 ";
    assert!(other.contains(&format!("{plain}{alone}")), "{other}");
    let same = line(receiver("1920x1080p30"), Some("nvvidconv"), "1280x720p30");
    assert!(same.contains(&alone) && !same.contains("videoconvertscale"), "{same}");
    // Pictures are repeated where they are.
    let faster = line(receiver("1920x1080p30"), Some("nvvidconv"), "1280x720p60");
    assert!(faster.contains("! video/x-raw(memory:NVMM),framerate=60/1 !"), "{faster}");
    for line in [bordered, other, same, faster] {
        assert_eq!(line.matches("nvvidconv").count(), 1, "{line}");
    }
}

#[test]
fn pictures_of_both_kinds_are_counted_alike() {
    let mut encoder = encoder("nvv4l2h264enc", Through::Property);
    encoder.interval =
        IntervalControl { name: "idrinterval".into(), through: Through::Property, also: Some("iframeinterval".into()) };
    let line = video(&plan(VideoSource::Test, "1280x720p30"), &encoder, Use::Worker).join(" ");
    assert!(line.contains("idrinterval=60 iframeinterval=60"), "{line}");
}
