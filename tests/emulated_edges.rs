//! The emulated box, at the edges of its input: formats that change on air, a receiver that stays locked and gives no pictures,
//! pictures with nothing in them, a sound card that goes, comes and counts too fast, and a calendar that jumps. None of it ends
//! the push.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that fails, and waits for a machine")]

mod support;

use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};
use support::{
    Nginx,
    guest::{Guest, HEIGHT, RATE, WIDTH, report, say, the_machine},
    picture,
};

/// Samples of what is played into the box's sound card between two beeps, and in a beep.
const BEAT: usize = 48_000;
const BEEP: usize = 2_400;
/// What snd-aloop is told: it takes so many hundred-thousandths of the time for its samples (measured: with 110000 it gives
/// 10 s of them in 11 s).
const SHIFT: u32 = 99_900;
/// How much too fast it counts then, parts per million.
const FAST: f64 = (1e5 / SHIFT as f64 - 1.0) * 1e6;
/// How long that is measured.
const MEASURED: Duration = Duration::from_secs(90);

/// Seconds of it that tell whether all arrived: uncorrected, as many swings would be missing, and a third of them is too many.
const ENOUGH: u64 = 30;

/// A tone of 1 kHz, loud for the first 50 ms of each second: 16-bit stereo.
fn play_file(path: &Path, seconds: usize) {
    let sample = |n: usize| {
        let loud = if n % BEAT < BEEP { 16_000.0 } else { 1_600.0 };
        ((std::f64::consts::TAU * 1000.0 * (n % 48) as f64 / 48_000.0).sin() * loud) as i16
    };
    let samples = (0..seconds * BEAT).flat_map(|n| [sample(n).to_le_bytes(), sample(n).to_le_bytes()].concat());
    fs::write(path, samples.collect::<Vec<u8>>()).unwrap();
}

fn has_fault(status: &Value, code: &str) -> bool {
    status["faults"].as_array().is_some_and(|faults| faults.iter().any(|fault| fault["code"] == code))
}

/// Waits until the fault is there or not; how long that took.
fn fault(guest: &mut Guest, code: &str, there: bool) -> Duration {
    let from = Instant::now();
    guest.wait_for_status(&format!("{code}: {there}"), |status| status.is_object() && has_fault(status, code) == there);
    report(&format!("{code} {}", if there { "told" } else { "gone" }), from.elapsed());
    from.elapsed()
}

fn camera(guest: &mut Guest, setting: &str) {
    guest.run(&format!("v4l2-ctl -d /dev/video0 --set-ctrl={setting}"));
}

/// The camera sends these timings, by their name in vivid's list.
fn send(guest: &mut Guest, timings: &str) {
    let list = guest.run("v4l2-ctl -d /dev/video0 --list-ctrls-menus");
    let line = list.lines().find(|line| line.trim_end().ends_with(&format!(": {timings}")));
    let number =
        line.unwrap_or_else(|| panic!("{timings} is not in\n{list}")).split(':').next().unwrap().trim().to_owned();
    camera(guest, &format!("dv_timings={number},dv_timings_signal_mode=4"));
}

/// The receiver's mode is this and viewers see it; what they get is of the mode with which the push began.
fn live(guest: &mut Guest, mode: &str) {
    let from = Instant::now();
    guest.wait_for_status(mode, |status| status["input"]["mode"] == mode && status["program"]["showing"] == "live");
    report(&format!("live with {mode}"), from.elapsed());
    // Not the last picture of the mode before: the pictures go on.
    sleep(Duration::from_secs(2));
    guest.wait_for_status(&format!("still {mode}"), |status| status["program"]["showing"] == "live");
    let status = guest.status();
    let (phase, mode, wanted) = (&status["phase"], &status["program"]["mode"], format!("{WIDTH}x{HEIGHT}p{RATE}"));
    assert_eq!((phase, mode), (&"on-air".into(), &wanted.into()), "{status:#}");
}

/// What cameras are switched to while they are on air, interlaced too, and back by way of one that the receiver does not take.
fn formats_change_on_air(guest: &mut Guest) {
    // vivid names interlaced timings after their pictures, we after their fields.
    for (timings, mode) in
        [("1920x1080p60", "1920x1080p60"), ("1280x720p50", "1280x720p50"), ("1920x1080i25", "1920x1080i50")]
    {
        send(guest, timings);
        live(guest, mode);
    }
    camera(guest, "dv_timings_signal_mode=3");
    guest.wait_for_status("out of range", |status| {
        status["input"]["signal"] == "out-of-range" && status["program"]["showing"] == "slate"
    });
    let status = guest.status();
    let (phase, mode, wanted) = (&status["phase"], &status["program"]["mode"], format!("{WIDTH}x{HEIGHT}p{RATE}"));
    assert_eq!((phase, mode), (&"on-air".into(), &wanted.into()), "{status:#}");
    // Small pictures: the less the box has to do, the better it can be heard.
    camera(guest, "dv_timings=0,dv_timings_signal_mode=4");
    live(guest, "640x480p59.94");
}

#[test]
fn nothing_that_an_input_does_ends_the_push() {
    let Some(_machine) = the_machine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ingest = Nginx::start();
    let sound = folder.path().join("sound.raw");
    play_file(&sound, 400);
    let drive = format!("file={},format=raw,if=none,id=sound,readonly=on", sound.display());
    let disk = ["-drive", &drive, "-device", "virtio-blk-pci,drive=sound,serial=sound"];
    let mut guest = Guest::boot_with(folder.path(), ingest.port, "always", &disk);
    guest.wait_until_ready();
    guest.wait_for_status("on air", |status| status["phase"] == "on-air" && status["program"]["showing"] == "live");
    formats_change_on_air(&mut guest);

    // Nobody plays anything into the sound card, and the picture is black, then bars without their counter.
    camera(&mut guest, "test_pattern=5,osd_text_mode=2");
    let told = fault(&mut guest, "picture-black", true);
    assert!(told > Duration::from_secs(8), "after ten seconds, not {told:?}");
    assert!(has_fault(&guest.status(), "sound-silent"));
    camera(&mut guest, "test_pattern=0");
    fault(&mut guest, "picture-black", false);
    fault(&mut guest, "picture-frozen", true);
    camera(&mut guest, "osd_text_mode=0");
    fault(&mut guest, "picture-frozen", false);

    // Locked, and no pictures; then some again.
    camera(&mut guest, "percentage_of_dropped_buffers=100");
    fault(&mut guest, "no-pictures", true);
    let status = guest.status();
    assert_eq!((&status["input"]["signal"], &status["phase"]), (&"locked".into(), &"on-air".into()), "{status:#}");
    assert!(has_fault(&status, "no-pictures") && status["program"]["showing"] == "slate", "{status:#}");
    camera(&mut guest, "percentage_of_dropped_buffers=0");
    fault(&mut guest, "no-pictures", false);
    guest.wait_for_status("live", |status| status["program"]["showing"] == "live");

    // The sound card goes, and comes seconds later.
    let driver = "/sys/bus/platform/drivers/snd_aloop";
    guest.run(&format!("echo snd_aloop.0 >{driver}/unbind"));
    fault(&mut guest, "no-sound", true);
    guest.run(&format!("echo snd_aloop.0 >{driver}/bind"));
    fault(&mut guest, "no-sound", false);
    guest.wait_for_status("its sound", |status| status["input"]["audio"] == "hdmi");

    // A calendar that goes back to 1970, far ahead, and right again.
    let date = guest.run("date +%s");
    for second in ["600", "4000000000", date.trim()] {
        guest.run(&format!("date -s @{second}"));
        for _ in 0..10 {
            sleep(Duration::from_millis(300));
            assert_eq!(guest.status()["phase"], "on-air", "at {second}");
        }
    }
    assert_eq!(guest.status()["stats"]["uplinks"][0]["reconnects"], 0);

    // Player and recorder of the loopback count with this card's crystal.
    for device in [0, 1] {
        let control = format!("iface=PCM,name='PCM Rate Shift 100000',device={device},subdevice=0");
        guest.run(&format!("amixer -q -c Loopback cset \"{control}\" {SHIFT}"));
    }
    guest.run("systemd-run --unit=player aplay -q -D hw:Loopback,1 -t raw -f S16_LE -r 48000 -c 2 /dev/disk/by-id/virtio-sound");
    fault(&mut guest, "sound-silent", false);
    sleep(MEASURED + Duration::from_secs(3));
    let lost = guest.run("journalctl -u fieldcastd -u player | grep -c -e 'record audio fast' -e 'underrun' || true");
    guest.run("systemctl stop fieldcastd");
    drop(guest);
    let recording = ingest.recording_path("box");
    // All formats in one stream.
    picture::decodes(&recording).unwrap();
    check_sound(&recording, lost.trim().parse().unwrap());
}

/// What was played for a minute and a half by a card whose crystal is off arrives in step with the clock, and all of it.
/// Where the box was too busy, `lost` says how often player or recorder were late: then the longest time between is judged, which
/// has to be long enough to tell.
fn check_sound(recording: &Path, lost: usize) {
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(recording)
        .args(["-map", "0:a", "-f", "s16le", "-ac", "1", "-"])
        .output()
        .unwrap();
    assert!(decoded.status.success(), "{}", String::from_utf8_lossy(&decoded.stderr));
    let samples: Vec<i16> = decoded.stdout.as_chunks::<2>().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
    // Where each loud second begins.
    let mut beeps: Vec<usize> = Vec::new();
    for (at, sample) in samples.iter().enumerate() {
        if sample.unsigned_abs() > 8000 && beeps.last().is_none_or(|last| at - last > BEAT / 2) {
            beeps.push(at);
        }
    }
    // The beginning is still being settled; then the longest row of beeps that no loss interrupts.
    let beat = BEAT as f64 / (1.0 + FAST / 1e6);
    // What was lost by being late is no smaller than a card's period; the correction moves a beep by less.
    let torn = if lost > 0 { 240.0 } else { 960.0 };
    let rows = beeps[3..].chunk_by(|one, next| ((next - one) as f64 - beat).abs() < torn);
    let beeps = rows.max_by_key(|row| row.len()).unwrap();
    let off: Vec<f64> =
        beeps.iter().enumerate().map(|(n, at)| ((at - beeps[0]) as f64 - n as f64 * beat) / 48.0).collect();
    let most = off.iter().fold(0.0f64, |most, off| most.max(off.abs()));
    // Each swing of the tone, counted from a clear low to a clear high.
    let (mut low, mut swings) = (false, 0);
    for sample in &samples[beeps[0]..beeps[beeps.len() - 1]] {
        if *sample < -600 {
            low = true;
        } else if *sample > 600 && low {
            (low, swings) = (false, swings + 1);
        }
    }
    let missing = 1000 * (beeps.len() as i64 - 1) - swings;
    say(&format!(
        "{} s of sound from a card {FAST:.0} ppm fast: at most {most:.1} ms from where it was played, {missing} of {swings} \
         swings missing; uncorrected it would be {:.0} ms off",
        beeps.len() - 1,
        (beeps.len() - 1) as f64 * FAST / 1000.0
    ));
    assert!(most <= 40.0, "{off:.1?}");
    let least = if lost > 0 { ENOUGH } else { MEASURED.as_secs() - 5 };
    assert!(
        beeps.len() as u64 >= least,
        "{} beeps in a row, {least} are needed; player or recorder were late {lost} times",
        beeps.len()
    );
    // A card's samples made to fit by leaving frames out would cost 21 swings each.
    assert!(missing.abs() <= 10, "{missing} swings are missing");
}
