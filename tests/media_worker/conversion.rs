//! The line that `describe` gives runs in gst-launch-1.0, with a test picture in the place of the camera; colours, shape
//! and rate come out right. The same for sound of many channels.

use crate::rig::{audio, run, video};
use fieldcast::{
    media::{AudioSource, Plan, VideoPlan, VideoSource, launch},
    units::Mode,
};
use std::process::Command;

/// One decoded picture: 24-bit RGB.
struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    fn at(&self, x: f64, y: f64) -> [u8; 3] {
        let (column, row) = ((x * self.width as f64) as usize, (y * self.height as f64) as usize);
        let at = (row * self.width + column) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }
}

/// Runs the plan for a device that sends `mode` in `format`, played by a test source that makes `caps`; gives pictures
/// of the output `out`.
fn converted(format: &str, mode: &str, caps: &str, out: &str) -> Vec<Picture> {
    let folder = tempfile::tempdir().expect("a folder");
    let out: Mode = out.parse().expect("a mode");
    let mode: Mode = mode.parse().expect("a mode");
    let source = VideoSource::V4l2 { device: "/dev/video0".into(), format: Some(format.into()), mode, hdmi: true };
    let mut plan = VideoPlan { source, mode: out, ..video("x264enc", "720p30") };
    plan.bitrate = fieldcast::units::BitRate::new(8_000_000);
    let line = launch::describe(&Plan::Video(plan));
    // videotestsrc makes limited range whatever its caps say: full range comes from RGB.
    let jpeg = "! videoconvert ! video/x-raw,format=I420,colorimetry=1:4:0:0 ! jpegenc quality=95";
    let encode = if format == "MJPG" { jpeg } else { "! identity" };
    let played = format!("videotestsrc num-buffers=40 pattern=smpte100 ! '{caps}' {encode}");
    let line = line.replace("v4l2src name=source device=/dev/video0", &played).replace("leaky=downstream", "leaky=no");
    assert!(line.contains("videotestsrc"), "{line}");
    let launched = Command::new("sh")
        .args(["-c", &format!("gst-launch-1.0 -q {line}")])
        .current_dir(folder.path())
        .output()
        .expect("gst-launch-1.0");
    assert!(launched.status.success(), "{line}: {}", String::from_utf8_lossy(&launched.stderr));
    let file = folder.path().join("fieldcast-video.mkv");
    let file = file.to_str().expect("a path");
    let rgb =
        run("ffmpeg", &["-v", "error", "-i", file, "-f", "rawvideo", "-pix_fmt", "rgb24", "-vsync", "0", "-"], &[]);
    let (width, height) = (out.width as usize, out.height as usize);
    rgb.chunks_exact(width * height * 3).map(|rgb| Picture { width, height, rgb: rgb.to_vec() }).collect()
}

/// The top of the bars: white, yellow, cyan, green, magenta, red, blue.
const BARS: [[u8; 3]; 7] =
    [[255, 255, 255], [255, 255, 0], [0, 255, 255], [0, 255, 0], [255, 0, 255], [255, 0, 0], [0, 0, 255]];

/// Checks the colours of the bars that lie between `left` and `right` of the picture.
fn check_bars(picture: &Picture, left: f64, right: f64, y: f64) {
    for (bar, wanted) in BARS.iter().enumerate() {
        let x = left + (right - left) * (bar as f64 + 0.5) / 7.0;
        let got = picture.at(x, y);
        let off = got.iter().zip(wanted).map(|(got, wanted)| got.abs_diff(*wanted)).max();
        assert!(off <= Some(10), "bar {bar} at {x:.2}: {got:?} instead of {wanted:?}");
    }
}

fn is_black(picture: &Picture, x: f64, y: f64) {
    assert!(picture.at(x, y).iter().all(|value| *value < 8), "a border at {x} {y}: {:?}", picture.at(x, y));
}

#[test]
fn a_narrow_picture_gets_borders_at_its_sides() {
    // BT.601 as cameras send it, limited range, to BT.709.
    let caps = "video/x-raw,format=UYVY,width=1024,height=768,framerate=30/1,colorimetry=bt601";
    let pictures = converted("UYVY", "1024x768p30", caps, "1280x720p30");
    assert_eq!(pictures.len(), 40, "the same rate: picture for picture");
    // 4:3 in 16:9 is 960 of 1280 wide.
    check_bars(&pictures[20], 0.125, 0.875, 0.3);
    for (x, y) in [(0.01, 0.5), (0.11, 0.1), (0.89, 0.9), (0.99, 0.5)] {
        is_black(&pictures[20], x, y);
    }
}

#[test]
fn a_wide_picture_gets_borders_above_and_below() {
    let caps = "video/x-raw,format=NV12,width=1920,height=800,framerate=30/1,colorimetry=bt709";
    let pictures = converted("NV12", "1920x800p30", caps, "640x480p30");
    // 2.4:1 in 4:3 is 266 of 480 high.
    check_bars(&pictures[20], 0.0, 1.0, 0.4);
    for (x, y) in [(0.5, 0.05), (0.1, 0.2), (0.9, 0.8), (0.5, 0.97)] {
        is_black(&pictures[20], x, y);
    }
}

#[test]
fn jpeg_of_full_range_becomes_limited_range() {
    let caps = "video/x-raw,format=RGB,width=640,height=360,framerate=30/1";
    let pictures = converted("MJPG", "640x360p30", caps, "1280x720p30");
    check_bars(&pictures[20], 0.0, 1.0, 0.3);
}

#[test]
fn rgb_of_a_computer_becomes_limited_range() {
    let caps = "video/x-raw,format=BGR,width=1280,height=720,framerate=30/1";
    check_bars(&converted("BGR3", "1280x720p30", caps, "1280x720p30")[20], 0.0, 1.0, 0.3);
}

#[test]
fn rates_are_converted_and_fields_become_pictures() {
    let caps = |rate| format!("video/x-raw,format=UYVY,width=640,height=360,framerate={rate}/1");
    assert!(converted("UYVY", "640x360p60", &caps(60), "640x360p30").len().abs_diff(20) <= 1);
    assert!(converted("UYVY", "640x360p25", &caps(25), "640x360p50").len().abs_diff(80) <= 2);
    let fields = format!("{},interlace-mode=interleaved", caps(25));
    let pictures = converted("UYVY", "640x360i50", &fields, "640x360p50");
    assert!(pictures.len().abs_diff(80) <= 2, "{} pictures of 80 fields", pictures.len());
    check_bars(&pictures[40], 0.0, 1.0, 0.3);
    assert!(converted("UYVY", "640x360i50", &fields, "640x360p25").len().abs_diff(40) <= 1);
}

#[test]
fn surround_sound_is_mixed_down_with_its_centre_on_both_sides() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = launch::describe(&Plan::Audio(audio(AudioSource::Alsa("hw:CARD=hdmi".into()))));
    // 5.1 at 44.1 kHz with sound in the centre alone.
    let (source, rest) = line.split_once(" ! audioconvert").expect("a conversion");
    assert!(source.starts_with("alsasrc"), "{source}");
    let surround = "audiotestsrc num-buffers=50 volume=0.5 ! audio/x-raw,rate=44100,channels=1 ! \
                    audioconvert mix-matrix='<<0.0>,<0.0>,<1.0>,<0.0>,<0.0>,<0.0>>' ! \
                    'audio/x-raw,channels=6,channel-mask=(bitmask)0x3f'";
    let launched = Command::new("sh")
        .args(["-c", &format!("gst-launch-1.0 -q {surround} ! audioconvert{rest}")])
        .current_dir(folder.path())
        .output()
        .expect("gst-launch-1.0");
    assert!(launched.status.success(), "{line}: {}", String::from_utf8_lossy(&launched.stderr));
    let file = folder.path().join("fieldcast-audio.mkv");
    let samples = run("ffmpeg", &["-v", "error", "-i", file.to_str().expect("a path"), "-f", "s16le", "-"], &[]);
    let peak = |channel: usize| {
        let samples = samples.as_chunks::<4>().0.iter().skip(9000);
        samples.map(|s| i16::from_le_bytes([s[channel], s[channel + 1]]).unsigned_abs()).max()
    };
    assert!(peak(0) > Some(2000) && peak(0).zip(peak(2)).is_some_and(|(left, right)| left.abs_diff(right) < 200));
}
