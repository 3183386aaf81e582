//! Sound: on the clock to the millisecond after decoding, and refused when it is none.

use crate::rig::{Rig, audio, run, script};
use fieldcast::{
    access_unit::{AAC_CONFIG, AccessUnit, CodecConfig, Track},
    media::{AudioPlan, AudioSource, FailureKind, Order, Plan, Report},
};
use std::{io::Write, path::Path, time::Duration};

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

/// Starts a worker that finds the ALSA configuration and the samples in `at`: it may read what an ALSA_ variable names.
fn with_card(at: &str) -> String {
    format!("export ALSA_CONFIG_PATH={at}/asound.conf ALSA_SAMPLES={at}\nexec $WORKER")
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
    let lines = with_card(&at);
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

#[tokio::test]
async fn sound_that_stops_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().display().to_string();
    // A sound card that gives two seconds of sound and then no more, without an error: its samples come through a pipe.
    run("mkfifo", &[&format!("{at}/in.raw")], &[]);
    let config = format!(
        "</usr/share/alsa/alsa.conf>\n\
         pcm.card {{ type file slave.pcm null file /dev/null infile {at}/in.raw format raw }}\n"
    );
    std::fs::write(folder.path().join("asound.conf"), config).expect("a configuration");
    let lines = with_card(&at);
    let mut player = std::process::Command::new("sh")
        .args(["-c", &format!("exec 3<>{at}/in.raw; head -c 384000 /dev/urandom >&3; sleep 20")])
        .spawn()
        .expect("a player");
    let plan = Plan::Audio(audio(AudioSource::Alsa("card".into())));
    let mut rig = Rig::start_as(&script(folder.path(), &lines), plan);
    rig.started().await;
    let stalled = rig.until(|report| match report {
        Report::Alive(flow) if flow.captured > Duration::from_secs(1) => Some(*flow),
        _ => None,
    });
    let stalled = stalled.await;
    assert_eq!(stalled.waiting, Duration::ZERO, "the encoder is not to blame");
    player.kill().and_then(|()| player.wait()).expect("ended");
}

/// Plays a tone of 1 kHz into a pipe, `rate` samples a second, until nobody reads it: loud for the first 50 ms of each second.
/// Gives by how much it was late at worst, on a machine that is too busy.
fn play(pipe: &Path, rate: u64) -> Duration {
    let mut pipe = std::fs::File::options().write(true).open(pipe).expect("a pipe");
    let (begun, mut late) = (fieldcast::sys::now(), Duration::ZERO);
    for block in 0.. {
        let due = begun + Duration::from_nanos(block * 480 * 1_000_000_000 / rate);
        std::thread::sleep(due.since(fieldcast::sys::now()));
        late = late.max(fieldcast::sys::now().since(due));
        // What is written at once is read at once: ALSA takes a short read for a whole one.
        let phase = |n: u64| ((block * 480 + n) * 1000 % rate) as f64 / rate as f64;
        let samples = (0..480).flat_map(|n| {
            let loudness = if (block * 480 + n) % rate < rate / 20 { 16_000.0 } else { 4_000.0 };
            let sample = ((std::f64::consts::TAU * phase(n)).sin() * loudness) as i16;
            [sample.to_le_bytes(), sample.to_le_bytes()].concat()
        });
        if pipe.write_all(&samples.collect::<Vec<u8>>()).is_err() {
            break;
        }
    }
    late
}

/// Whether a player was in time; if not, says aloud that nothing is judged.
fn in_time(player: std::thread::JoinHandle<Duration>) -> bool {
    let late = player.join().expect("it has nobody to play to");
    if late > Duration::from_millis(60) {
        let said = format!("*** NOT JUDGED: this machine played a sound {late:?} late\n");
        let _ = std::io::stderr().lock().write_all(said.as_bytes());
    }
    late <= Duration::from_millis(60)
}

/// A sound card that calls 48,000 samples a second what `play` gives it, `rate` samples a second.
fn card_that_plays(rate: u64) -> (Rig, std::thread::JoinHandle<Duration>, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().display().to_string();
    run("mkfifo", &[&format!("{at}/in.raw")], &[]);
    let config = format!(
        "</usr/share/alsa/alsa.conf>\n\
         pcm.played {{ type file slave.pcm null file /dev/null infile {at}/in.raw format raw }}\n\
         pcm.card {{ type plug slave {{ pcm played format S16_LE rate 48000 channels 2 }} }}\n"
    );
    std::fs::write(folder.path().join("asound.conf"), config).expect("a configuration");
    let pipe = folder.path().join("in.raw");
    let player = std::thread::spawn(move || play(&pipe, rate));
    let lines = with_card(&at);
    let plan = Plan::Audio(audio(AudioSource::Alsa("card".into())));
    (Rig::start_as(&script(folder.path(), &lines), plan), player, folder)
}

#[tokio::test]
async fn a_card_whose_crystal_is_off_stays_on_the_clock_with_every_sample() {
    // Called 48 kHz it is 1500 ppm fast: 33 ms in these 22 s.
    const RATE: u64 = 48_072;
    let (mut rig, player, _folder) = card_that_plays(RATE);
    rig.started().await;
    rig.order(Order::Encode);
    let units = rig.units(1200).await;
    rig.worker.take().expect("a worker").stop();
    rig.rest().await;
    if !in_time(player) {
        return;
    }
    // Two seconds until it has settled.
    let units = &units[100..];
    let gaps =
        units.windows(2).filter(|pair| (pair[1].time.nanos() - pair[0].time.nanos()).abs_diff(21_333_333) > 1000);
    assert_eq!(gaps.count(), 0, "stamps follow each other without a gap");
    let samples = decode(units);
    let mut beeps: Vec<usize> = Vec::new();
    for (at, sample) in samples.iter().enumerate() {
        if sample.unsigned_abs() > 10_000 && beeps.last().is_none_or(|last| at - last > 24_000) {
            beeps.push(at);
        }
    }
    // The first may have been cut.
    let beeps = &beeps[1..];
    assert!(beeps.len() >= 20, "{} beeps", beeps.len());
    // A second of the player is a second of the clock: 48,000 samples on it, although it plays more.
    let off: Vec<f64> =
        beeps.iter().enumerate().map(|(n, at)| ((at - beeps[0]) as f64 - n as f64 * 48_000.0) / 48.0).collect();
    println!("beeps of a card 1500 ppm fast, ms from where they were played: {off:.1?}");
    assert!(off.iter().all(|off| off.abs() < 10.0), "{off:.1?}");
    let part = &samples[beeps[0]..beeps[beeps.len() - 1]];
    let swings = part.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
    assert!(swings.abs_diff(1000 * (beeps.len() - 1)) <= 2, "{swings} swings of {} s", beeps.len() - 1);
}

#[tokio::test]
async fn a_rate_that_the_card_does_not_know_is_found_and_resampled() {
    let (mut rig, player, _folder) = card_that_plays(44_100);
    rig.started().await;
    rig.order(Order::Encode);
    let units = rig.units(400).await;
    rig.worker.take().expect("a worker").stop();
    rig.rest().await;
    if !in_time(player) {
        return;
    }
    let samples = decode(&units);
    let pitch = |samples: &[i16]| {
        let crossings = samples.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        crossings as f64 * 48_000.0 / samples.len() as f64
    };
    let (before, after) = (pitch(&samples[4800..52_800]), pitch(&samples[samples.len() - 96_000..]));
    println!("{before:.0} Hz before, {after:.0} Hz after");
    assert!((before - 1088.0).abs() < 15.0, "called 48 kHz it sounds too high: {before} Hz");
    assert!((after - 1000.0).abs() < 3.0, "{after} Hz");
    // And it is on the clock without a gap again.
    let last = &units[units.len() - 90..];
    let steps = last.windows(2).map(|pair| pair[1].time.nanos() - pair[0].time.nanos());
    assert!(steps.clone().all(|step| step.abs_diff(21_333_333) < 100_000), "{:?}", steps.collect::<Vec<_>>());
}
