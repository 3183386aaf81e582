//! The transport stream as a real demuxer and real decoders take it.

mod support;

use bytes::Bytes;
use fieldcast::{
    access_unit::{AccessUnit, CodecConfig, Track},
    settings::Codec,
    units::Time,
    uplink::ts::Muxer,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use support::{
    has_tools, picture,
    units::{RATE, later, made},
};

const SECOND: u64 = 1_000_000_000;
const SECONDS: u64 = 4;

/// The program of [`made`] with its pictures in HEVC.
fn made_hevc() -> Vec<AccessUnit> {
    let picture = format!("testsrc2=size=320x180:rate={RATE}:duration={SECONDS}");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", &picture, "-c:v", "libx265", "-preset", "ultrafast"]);
    ffmpeg.args(["-x265-params", "log-level=error:aud=1:repeat-headers=1:bframes=0:keyint=30:scenecut=0:open-gop=0"]);
    let output = ffmpeg.args(["-pix_fmt", "yuv420p", "-f", "hevc", "-"]).output().expect("ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let kind = |nal: &[u8]| nal[0] >> 1 & 0x3f;
    let config = Arc::new(CodecConfig::Hevc(Bytes::new()));
    let mut pictures: Vec<AccessUnit> = Vec::new();
    for nal in nals(&output.stdout) {
        // A delimiter begins a picture; the program has none.
        if kind(nal) == 35 {
            let time = Time::from_nanos(pictures.len() as u64 * SECOND / RATE);
            let (config, data) = (config.clone(), Bytes::new());
            pictures.push(AccessUnit { track: Track::Video, time, key: false, config, data });
            continue;
        }
        let unit = pictures.last_mut().expect("a delimiter first");
        unit.key |= matches!(kind(nal), 19 | 20);
        unit.data = [&unit.data[..], &(nal.len() as u32).to_be_bytes(), nal].concat().into();
    }
    assert_eq!(pictures.len() as u64, RATE * SECONDS);
    let sound = made(SECONDS as u32).into_iter().filter(|unit| unit.track == Track::Audio);
    let mut units: Vec<AccessUnit> = sound.chain(pictures).collect();
    units.sort_by_key(|unit| unit.time);
    units
}

/// NAL units of a byte stream.
fn nals(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = (0..stream.len() - 3).filter(|&at| stream[at..].starts_with(&[0, 0, 1])).collect();
    let ends = starts[1..].iter().copied().chain([stream.len()]);
    let nal = |(&start, end): (&usize, usize)| {
        let nal = &stream[start + 3..end];
        // The zero before a start code of four bytes; a NAL unit does not end with one.
        &nal[..nal.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)]
    };
    starts.iter().zip(ends).map(nal).collect()
}

fn muxed(muxer: &mut Muxer, units: &[AccessUnit]) -> Vec<u8> {
    let mut out = Vec::new();
    units.iter().for_each(|unit| muxer.write(unit, &mut out));
    out
}

fn file(folder: &Path, content: &[u8]) -> PathBuf {
    let path = folder.join("program.ts");
    fs::write(&path, content).expect("written");
    path
}

/// Seconds and whether it is a key frame, of each packet of the first stream of `kind` (`v` or `a`).
fn packets(file: &Path, kind: &str) -> Vec<(f64, bool)> {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-select_streams", &format!("{kind}:0"), "-of", "csv=p=0"]);
    let output = ffprobe.args(["-show_entries", "packet=pts_time,flags"]).arg(file).output().expect("ffprobe");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).expect("text");
    let packet = |line: &str| {
        let (time, flags) = line.split_once(',').expect("two fields");
        (time.parse().expect("a time"), flags.starts_with('K'))
    };
    text.lines().filter(|line| !line.is_empty()).map(packet).collect()
}

/// Every unit is there, `begin` seconds after its own time and at most `within` seconds off.
fn assert_times(file: &Path, units: &[AccessUnit], begin: f64) {
    for (kind, track, within) in [("v", Track::Video, 0.000_02), ("a", Track::Audio, 0.002)] {
        let found = packets(file, kind);
        // The last frame of sound waits for its pair.
        let mut wanted: Vec<&AccessUnit> = units.iter().filter(|unit| unit.track == track).collect();
        assert!((found.len()..=found.len() + usize::from(track == Track::Audio)).contains(&wanted.len()), "{kind}");
        wanted.truncate(found.len());
        for (&(time, key), unit) in found.iter().zip(wanted) {
            let expected = unit.time.nanos() as f64 / SECOND as f64 + begin;
            assert!((time - expected).abs() < within, "{kind}: {time}, wanted {expected}");
            assert_eq!(key, unit.key, "{kind} at {time}");
        }
    }
}

#[test]
fn ffmpeg_finds_and_decodes_every_unit_at_its_time() {
    if !has_tools() {
        return;
    }
    for (codec, name, units) in [(Codec::H264, "h264", made(SECONDS as u32)), (Codec::Hevc, "hevc", made_hevc())] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = file(folder.path(), &muxed(&mut Muxer::new(codec), &units));
        picture::decodes(&path).expect("no error");
        // Once for the programme and once for the file.
        let told = |kind, entries| picture::stream(&path, kind, entries).expect("a stream");
        assert_eq!(told("v", "codec_name,width"), format!("codec_name={name}\nwidth=320\n").repeat(2));
        let sound = "codec_name=aac\nprofile=LC\nsample_rate=48000\nchannels=2\n";
        assert_eq!(told("a", "codec_name,profile,sample_rate,channels"), sound.repeat(2));
        assert_times(&path, &units, 1.0 - units[0].time.nanos() as f64 / SECOND as f64);
    }
}

#[test]
fn the_stamps_wrap_after_26_hours_and_a_player_may_join_at_any_idr() {
    if !has_tools() {
        return;
    }
    let units = made(SECONDS as u32);
    let mut muxer = Muxer::new(Codec::H264);
    let first = units.iter().find(|unit| unit.track == Track::Video).expect("a picture");
    muxer.write(first, &mut Vec::new());
    // A player joins 2 s before the 2^33 ticks of 90 kHz are over, and tells the time before the wrap as negative.
    let age = (1 << 33) * SECOND / 90_000 - 3 * SECOND;
    let late: Vec<AccessUnit> = units.iter().map(|unit| (*later(unit, age)).clone()).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(folder.path(), &muxed(&mut muxer, &late));
    picture::decodes(&path).expect("no error");
    assert_times(&path, &units, -2.0 - first.time.nanos() as f64 / SECOND as f64);
}
