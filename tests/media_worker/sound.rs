//! Sound: on the clock to the millisecond after decoding, and refused when it is none.

use crate::rig::{Rig, audio, run, script};
use fieldcast::{
    access_unit::{AAC_CONFIG, AccessUnit, CodecConfig, Track},
    media::{AudioPlan, AudioSource, FailureKind, Order, Plan, Report},
};
use std::path::Path;

/// Samples, left channel, of the decoded units.
fn decode(units: &[AccessUnit]) -> Vec<i16> {
    let mut adts = Vec::new();
    for unit in units {
        // ISO/IEC 14496-3 1.A.2: MPEG-4, no CRC, AAC-LC, 48 kHz (3), 2 channels.
        let length = unit.data.len() + 7;
        adts.extend([
            0xff,
            0xf1,
            0x4c,
            0x80 | (length >> 11) as u8,
            (length >> 3) as u8,
            (length << 5) as u8 | 0x1f,
            0xfc,
        ]);
        adts.extend_from_slice(&unit.data);
    }
    let arguments = ["-v", "error", "-xerror", "-f", "aac", "-i", "-", "-f", "s16le", "-"];
    let samples = run("ffmpeg", &arguments, &adts);
    samples.as_chunks::<4>().0.iter().map(|sample| i16::from_le_bytes([sample[0], sample[1]])).collect()
}

/// How far, in milliseconds, each beep begins and ends from where the stamps say that it should.
fn beeps(units: &[AccessUnit]) -> Vec<(f64, f64)> {
    let samples = decode(units);
    assert_eq!(samples.len(), units.len() * 1024);
    let loud: Vec<f64> = samples
        .iter()
        .enumerate()
        .filter(|(_, sample)| sample.unsigned_abs() > 1000)
        .map(|(at, _)| (units[at / 1024].time.nanos() as f64 + (at % 1024) as f64 * 1e9 / 48e3) / 1e6)
        .collect();
    let mut beeps: Vec<(f64, f64)> = Vec::new();
    for time in loud {
        match beeps.last_mut() {
            Some((_, end)) if time - *end < 10.0 => *end = time,
            _ => beeps.push((time, time)),
        }
    }
    let off = |time: f64| (time + 500.0).rem_euclid(1000.0) - 500.0;
    beeps.into_iter().map(|(start, end)| (off(start), off(end - 100.0))).collect()
}

async fn beeps_of(binary: &Path, encoder: &str, delay: i64) -> Vec<(f64, f64)> {
    let mut rig = Rig::start_as(binary, Plan::Audio(AudioPlan { delay, ..audio(AudioSource::Test) }));
    rig.order(Order::Encode);
    assert_eq!(rig.started().await.encoder, encoder);
    // A little over three seconds: two whole beeps at least.
    let units = rig.units(150).await;
    for pair in units.windows(2) {
        assert!((pair[1].time.nanos() - pair[0].time.nanos()).abs_diff(21_333_333) <= 2);
    }
    assert!(units.iter().all(|unit| unit.key && unit.track == Track::Audio));
    assert_eq!(*units[0].config, CodecConfig::Aac(AAC_CONFIG.to_vec().into()));
    let whole = beeps(&units).into_iter().filter(|(start, end)| (start - end).abs() < 8.0).collect::<Vec<_>>();
    assert!(whole.len() >= 2, "{whole:?}");
    whole
}

#[tokio::test]
async fn a_beep_is_where_its_stamp_says_with_voaacenc() {
    let beeps = beeps_of(Path::new(crate::rig::WORKER), "voaacenc", 0).await;
    assert!(beeps.iter().all(|(start, end)| start.abs() < 5.0 && end.abs() < 5.0), "{beeps:?}");
}

#[tokio::test]
async fn a_beep_is_where_its_stamp_says_with_avenc_aac() {
    // A GStreamer that has no voaacenc.
    let folder = tempfile::tempdir().expect("a folder");
    let plugins =
        String::from_utf8(run("pkg-config", &["--variable=pluginsdir", "gstreamer-1.0"], &[])).expect("a path");
    for plugin in ["coreelements", "app", "audiotestsrc", "level", "libav", "audioconvert"] {
        let name = format!("libgst{plugin}.so");
        std::os::unix::fs::symlink(Path::new(plugins.trim()).join(&name), folder.path().join(&name)).expect("a link");
    }
    let folder_name = folder.path().display();
    let lines =
        format!("export GST_PLUGIN_SYSTEM_PATH={folder_name} GST_REGISTRY={folder_name}/registry\nexec $WORKER");
    let beeps = beeps_of(&script(folder.path(), &lines), "avenc_aac", 0).await;
    assert!(beeps.iter().all(|(start, end)| start.abs() < 5.0 && end.abs() < 5.0), "{beeps:?}");
}

#[tokio::test]
async fn sound_can_be_moved_against_the_picture() {
    let beeps = beeps_of(Path::new(crate::rig::WORKER), "voaacenc", 120_000_000).await;
    assert!(beeps.iter().all(|(start, _)| (start - 120.0).abs() < 5.0), "{beeps:?}");
}

#[tokio::test]
async fn levels_come_ten_times_a_second_with_the_gain_in_them() {
    let mut rig = Rig::start(Plan::Audio(AudioPlan { gain: 0.5, ..audio(AudioSource::Test) }));
    let mut peaks = Vec::new();
    let from = fieldcast::sys::now();
    while peaks.len() < 22 {
        let level =
            rig.until(|report| if let Report::Level(peaks) = report { Some(peaks.clone()) } else { None }).await;
        assert_eq!(level.len(), 2);
        peaks.push(level[0]);
    }
    let took = fieldcast::sys::now().since(from).as_secs_f64();
    assert!((1.9..2.9).contains(&took), "{took} s for 22 levels");
    let loudest = peaks.iter().copied().fold(f64::MIN, f64::max);
    assert!((loudest + 18.0).abs() < 0.2, "-12 dB, halved: {loudest}");
    assert!(peaks.iter().filter(|peak| **peak < -100.0).count() > 12, "silence between: {peaks:?}");
    assert!(!rig.aside.iter().any(|report| matches!(report, Report::Unit(_))), "nothing was encoded");
}

/// A sound card that plays `samples` again and again with `channels` channels, as an ALSA configuration.
async fn card(samples: &[u8], channels: u32) -> (Rig, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().display().to_string();
    std::fs::write(folder.path().join("in.raw"), samples).expect("samples");
    let config = format!(
        "</usr/share/alsa/alsa.conf>\n\
         pcm.played {{ type file slave.pcm null file /dev/null infile {at}/in.raw format raw }}\n\
         pcm.card {{ type plug slave {{ pcm played format S16_LE rate 48000 channels {channels} }} }}\n"
    );
    std::fs::write(folder.path().join("asound.conf"), config).expect("a configuration");
    let lines = format!("export ALSA_CONFIG_PATH={at}/asound.conf\nexec $WORKER");
    let device = if channels == 2 { "card" } else { "played" };
    let rig = Rig::start_as(&script(folder.path(), &lines), Plan::Audio(audio(AudioSource::Alsa(device.into()))));
    (rig, folder)
}

#[tokio::test]
async fn compressed_sound_is_refused() {
    let mut words: Vec<u16> = Vec::new();
    for _ in 0..400 {
        words.extend([0xf872, 0x4e1f, 1, 0x3000]);
        words.extend((4..1536 * 2).map(|n| n * 3));
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let (mut rig, _folder) = card(&bytes, 2).await;
    let reports = rig.rest().await;
    assert!(
        matches!(reports.last(), Some(Report::Failed(failure)) if failure.kind == FailureKind::NotPcm),
        "{:?}",
        reports.last()
    );
}

#[tokio::test]
async fn a_card_that_is_not_there_is_a_device_failure() {
    let mut rig = Rig::start(Plan::Audio(audio(AudioSource::Alsa("hw:CARD=nosuch".into()))));
    let reports = rig.rest().await;
    assert!(matches!(&reports[..], [Report::Failed(failure)] if failure.kind == FailureKind::Device), "{reports:?}");
}
