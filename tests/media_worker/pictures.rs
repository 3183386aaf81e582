//! Pictures: complete, in order, on the clock, and as the encoder was told.

use crate::{
    picture,
    rig::{Rig, decode, encoder, nals, probe, run, video},
};
use fieldcast::{
    access_unit::{AccessUnit, CodecConfig, Track},
    media::{Look, Order, Plan, Report, VideoPlan, testcard},
    units::{BitRate, Rate},
};
use std::{sync::Arc, time::Duration};

/// Checks what every encoder has to give of the test picture at 640x360p30 with an IDR each 30 pictures.
fn check(units: &[AccessUnit], kinds: fn(&[u8]) -> u8, sets: &[u8], idr: &[u8]) {
    let rate = Rate::new(30, 1);
    for (n, unit) in units.iter().enumerate() {
        assert_eq!((unit.track, unit.key), (Track::Video, n % 30 == 0), "picture {n}");
        assert!(Arc::ptr_eq(&unit.config, &units[0].config), "one configuration");
        let kinds: Vec<u8> = nals(&unit.data).into_iter().map(kinds).collect();
        if unit.key {
            assert_eq!(kinds[..sets.len()], *sets, "parameter sets before IDR {n}: {kinds:?}");
            assert!(kinds[sets.len()..].iter().any(|kind| idr.contains(kind)), "{kinds:?}");
        } else {
            assert!(!kinds.iter().any(|kind| sets.contains(kind) || idr.contains(kind)), "picture {n}: {kinds:?}");
        }
    }
    for pair in units.windows(2) {
        let step = pair[1].time.nanos() - pair[0].time.nanos();
        assert!(step.abs_diff(rate.period()) <= 1, "a step of {step} ns");
    }
    // Each picture is the one that its stamp says.
    let pictures = decode(units, 640, 360);
    assert_eq!(pictures.len(), units.len());
    let mut flashes = 0;
    for (luma, unit) in pictures.iter().zip(units) {
        let card = picture::read(luma, 640, 360, 640).expect("a counter");
        assert_eq!(card.counter, testcard::counter(unit.time.nanos(), rate));
        assert_eq!(card.flash, unit.time.nanos() % 1_000_000_000 < 100_000_000, "at {:?}", unit.time);
        flashes += u32::from(card.flash);
    }
    assert!(flashes >= 6, "at least two flashes of three pictures: {flashes}");
}

fn h264_kind(nal: &[u8]) -> u8 {
    nal[0] & 0x1f
}

/// entropy_coding_mode_flag of a PPS: after two Exp-Golomb codes, which are zero (one bit each) with a single SPS.
fn cabac(pps: &[u8]) -> bool {
    assert_eq!(pps[1] >> 6, 0b11, "the ids are zero");
    pps[1] >> 5 & 1 == 1
}

#[tokio::test]
async fn x264_gives_main_with_cabac_on_the_clock() {
    let mut rig = Rig::start(Plan::Video(video("x264enc", "360p30")));
    rig.order(Order::Encode);
    let started = rig.started().await;
    assert_eq!((started.encoder.as_str(), started.hardware, started.missing.len()), ("x264enc", false, 0));
    let (mut units, mut ages) = (Vec::new(), Vec::new());
    while units.len() < 95 {
        let (unit, came) = rig.unit().await;
        assert!(unit.time < came, "captured before it came");
        ages.push(came.since(unit.time));
        units.push(unit);
    }
    check(&units, h264_kind, &[7, 8], &[5]);
    ages.sort();
    // A period for the cadence, and what it takes to encode; half of them, as the machine may be busy.
    assert!(ages[ages.len() / 2] < Duration::from_millis(90), "{ages:?}");
    let first = nals(&units[0].data);
    assert!(matches!(first[0][1], 77 | 100), "profile_idc {}", first[0][1]);
    assert!(cabac(first[1]));
    let CodecConfig::H264(record) = &*units[0].config else { panic!("not H.264") };
    assert!(record.windows(first[0].len()).any(|part| part == first[0]), "the SPS in band is the record's");
    let told = probe(&units);
    for line in ["profile=Main", "color_range=tv", "color_space=smpte170m", "has_b_frames=0", "pix_fmt=yuv420p"] {
        assert!(told.contains(line), "{line}: {told}");
    }
}

#[tokio::test]
async fn openh264_is_baseline_and_its_colours_are_described() {
    let mut rig = Rig::start(Plan::Video(VideoPlan {
        encoders: vec![encoder("mpph264enc"), encoder("v4l2h264enc"), encoder("openh264enc")],
        ..video("openh264enc", "360p30")
    }));
    rig.order(Order::Encode);
    let started = rig.started().await;
    assert_eq!(
        (started.encoder.as_str(), started.missing),
        ("openh264enc", vec!["mpph264enc".into(), "v4l2h264enc".into()])
    );
    let units = rig.units(65).await;
    check(&units, h264_kind, &[7, 8], &[5]);
    let told = probe(&units);
    for line in ["profile=Constrained Baseline", "color_range=tv", "color_space=smpte170m"] {
        assert!(told.contains(line), "{line}: {told}");
    }
}

#[tokio::test]
async fn x265_gives_hevc_that_starts_at_idr_pictures() {
    let mut rig = Rig::start(Plan::Video(video("x265enc", "360p30")));
    rig.order(Order::Encode);
    let units = rig.units(65).await;
    assert!(matches!(&*units[0].config, CodecConfig::Hevc(record) if record[0] == 1));
    check(&units, |nal| nal[0] >> 1 & 0x3f, &[32, 33, 34], &[19, 20]);
    let told = probe(&units);
    assert!(told.contains("color_range=tv") && told.contains("has_b_frames=0"), "{told}");
}

#[tokio::test]
async fn high_definition_is_bt709() {
    let mut rig = Rig::start(Plan::Video(video("x264enc", "720p30")));
    rig.order(Order::Encode);
    let told = probe(&rig.units(3).await);
    for line in ["color_space=bt709", "color_primaries=bt709", "color_transfer=bt709", "color_range=tv"] {
        assert!(told.contains(line), "{line}: {told}");
    }
}

#[tokio::test]
async fn the_first_picture_comes_soon_after_the_process_starts() {
    let mut rig = Rig::start(Plan::Video(video("x264enc", "720p30")));
    rig.order(Order::Encode);
    let (unit, came) = rig.unit().await;
    assert!(unit.key);
    assert!(came.since(rig.begun) < Duration::from_millis(500), "{:?}", came.since(rig.begun));
}

#[tokio::test]
async fn no_test_picture_is_of_a_moment_before_the_worker() {
    for _ in 0..3 {
        // Of so few a second that the moment before is long ago.
        let mut rig = Rig::start(Plan::Video(video("x264enc", "360p5")));
        rig.order(Order::Encode);
        let (unit, _) = rig.unit().await;
        assert!(unit.time > rig.begun, "{:?} before", rig.begun.since(unit.time));
    }
}

#[tokio::test]
async fn off_air_it_is_alive_and_shows_itself_but_encodes_nothing() {
    let mut rig = Rig::start(Plan::Video(video("x264enc", "720p30")));
    rig.started().await;
    rig.order(Order::Preview);
    let jpeg = rig.until(|report| if let Report::Preview(jpeg) = report { Some(jpeg.clone()) } else { None }).await;
    for _ in 0..4 {
        rig.until(|report| matches!(report, Report::Alive(_)).then_some(())).await;
    }
    assert!(!rig.aside.iter().any(|report| matches!(report, Report::Unit(_))), "nothing was encoded");
    assert!(!rig.aside.iter().any(|report| matches!(report, Report::Preview(_))), "one preview for one order");

    let luma =
        run("ffmpeg", &["-v", "error", "-f", "mjpeg", "-i", "-", "-f", "rawvideo", "-pix_fmt", "gray", "-"], &jpeg);
    assert_eq!(luma.len(), 640 * 360, "no wider than 640");
    // JPEG is full range.
    assert!(picture::read(&luma, 640, 360, 640).is_some(), "it is the picture");

    let asked = fieldcast::sys::now();
    rig.order(Order::Encode);
    let (unit, came) = rig.unit().await;
    assert!(unit.key && unit.time + Duration::from_millis(50) > asked, "from now on, not from the past");
    assert!(came.since(asked) < Duration::from_millis(300), "{:?}", came.since(asked));
}

#[tokio::test]
async fn a_keyframe_comes_when_asked_for() {
    for element in ["x264enc", "openh264enc", "x265enc"] {
        let mut rig = Rig::start(Plan::Video(VideoPlan { keyframe_interval: 300, ..video(element, "360p30") }));
        rig.order(Order::Encode);
        let units = rig.units(20).await;
        assert_eq!(units.iter().filter(|unit| unit.key).count(), 1, "{element}");
        rig.order(Order::Keyframe);
        let units = rig.units(30).await;
        let keys: Vec<usize> = (0..30).filter(|&n| units[n].key).collect();
        assert!(keys.len() == 1 && keys[0] < 6, "{element}: {keys:?}");
    }
}

/// Bits a second over `count` pictures at 30 a second.
fn rate(units: &[AccessUnit]) -> usize {
    units.iter().map(|unit| unit.data.len()).sum::<usize>() * 8 * 30 / units.len()
}

#[tokio::test]
async fn the_bitrate_follows_while_it_runs() {
    // Above and below what the test picture takes of itself in the size.
    for (element, mode, tolerance, rates) in [
        ("x264enc", "720p30", 0.15, [3_000_000usize, 1_200_000, 2_000_000]),
        ("openh264enc", "720p30", 0.25, [3_000_000, 1_200_000, 2_000_000]),
        ("x265enc", "360p30", 0.25, [800_000, 400_000, 600_000]),
    ] {
        let mut rig = Rig::start(Plan::Video(video(element, mode)));
        rig.order(Order::Encode);
        for wanted in rates {
            rig.order(Order::Bitrate(BitRate::new(wanted as u64)));
            // What is asked for holds from about a second on.
            rig.units(45).await;
            let got = rate(&rig.units(60).await);
            let off = got.abs_diff(wanted) as f64 / wanted as f64;
            assert!(off < tolerance, "{element}: {got} bit/s instead of {wanted}");
        }
        assert!(!rig.aside.contains(&Report::BitrateFixed));
    }
}

#[tokio::test]
async fn an_encoder_that_cannot_change_its_bitrate_says_so() {
    let mut fixed = encoder("x264enc");
    fixed.bitrate.live = false;
    let mut rig = Rig::start(Plan::Video(VideoPlan { encoders: vec![fixed], ..video("x264enc", "360p30") }));
    rig.started().await;
    // Before it encodes, it is no change.
    rig.order(Order::Bitrate(BitRate::new(900_000)));
    rig.order(Order::Encode);
    rig.units(5).await;
    assert!(!rig.aside.contains(&Report::BitrateFixed));
    rig.order(Order::Bitrate(BitRate::new(800_000)));
    rig.until(|report| (*report == Report::BitrateFixed).then_some(())).await;
}

#[tokio::test]
async fn pictures_are_looked_at_twice_a_second_while_they_are_encoded() {
    let mut rig = Rig::start(Plan::Video(video("x264enc", "360p30")));
    rig.order(Order::Encode);
    let (_, from) = rig.unit().await;
    for _ in 0..6 {
        let look = rig.until(|report| if let Report::Picture(look) = report { Some(*look) } else { None }).await;
        assert_eq!(look, Look::default(), "neither black nor still: the counter moves");
    }
    let took = fieldcast::sys::now().since(from);
    assert!((Duration::from_millis(2000)..Duration::from_millis(4000)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn every_second_picture_can_be_left_out_and_come_back_while_it_runs() {
    let rate = Rate::new(30, 1);
    for element in ["x264enc", "openh264enc", "x265enc"] {
        let mut rig = Rig::start(Plan::Video(video(element, "360p30")));
        rig.order(Order::Encode);
        let mut units = rig.units(35).await;
        rig.order(Order::Thin(2));
        units.extend(rig.units(75).await);
        rig.order(Order::Thin(1));
        units.extend(rig.units(70).await);
        // In one stream, without a new configuration, and each picture is the one that its stamp says.
        assert!(units.iter().all(|unit| Arc::ptr_eq(&unit.config, &units[0].config)), "{element}");
        let pictures = decode(&units, 640, 360);
        assert_eq!(pictures.len(), units.len(), "{element}");
        for (luma, unit) in pictures.iter().zip(&units) {
            let card = picture::read(luma, 640, 360, 640).expect("a counter");
            assert_eq!(card.counter, testcard::counter(unit.time.nanos(), rate), "{element}");
        }
        let steps: Vec<u64> =
            units.windows(2).map(|pair| (pair[1].time.nanos() - pair[0].time.nanos() + 1000) / rate.period()).collect();
        assert!(steps.iter().all(|step| matches!(step, 1 | 2)), "{element}: {steps:?}");
        // All, then half, then all: with some that were under way when the order came.
        assert!(steps[..34].iter().all(|step| *step == 1) && steps[125..].iter().all(|step| *step == 1), "{steps:?}");
        assert!(steps[45..105].iter().all(|step| *step == 2), "{element}: {steps:?}");
        let keys: Vec<u64> = units.iter().filter(|unit| unit.key).map(|unit| unit.time.nanos()).collect();
        let apart: Vec<u64> = keys.windows(2).map(|pair| (pair[1] - pair[0] + 1000) / rate.period()).collect();
        // At each change one comes at once; a picture or two are on their way then.
        assert!(apart.iter().all(|pictures| *pictures <= 34), "{element}: IDR pictures are {apart:?} apart");
    }
}
