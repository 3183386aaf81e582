//! The analysis that the loopback tests rely on, judged with material in which the truth is known.

mod support;

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};
use support::picture::*;

const SIZE: (usize, usize) = (320, 180);
const RATE: u64 = 30;
const FRAMES: u64 = 75;
/// The first picture's counter: it wraps in the middle.
const FIRST: u32 = (1 << COUNTER_BITS) - 40;

/// The test picture of frame `number`, flashing with each whole second; 4:2:0 planar.
fn draw(number: u64, flashes: bool) -> Vec<u8> {
    let (width, height) = SIZE;
    let mut picture = vec![128; width * height * 3 / 2];
    let mut fill = |x: usize, y: usize, w: usize, h: usize, luma: u8| {
        for row in y..y + h {
            picture[row * width + x..][..w].fill(luma);
        }
    };
    let value = (u64::from(FIRST) + number) as u32 % (1 << COUNTER_BITS);
    let cells = 0b10 << 22 | value << 2 | (value.count_ones() % 4);
    for cell in 0..CELLS {
        let white = cells >> (CELLS - 1 - cell) & 1 == 1;
        fill(cell * (width / 32), 0, width / 32, height / 18, if white { 235 } else { 16 });
    }
    let lit = flashes && number % RATE * 10 < RATE;
    fill(width * 3 / 8, height * 3 / 8, width / 4, height / 4, if lit { 235 } else { 16 });
    picture
}

/// Beeps with each whole second, `shift` samples late.
fn sound(shift: i64) -> Vec<u8> {
    let sample = |n: i64| {
        let phase = (n - shift).rem_euclid(48_000);
        let on = n >= shift && phase < 4_800;
        let value = (phase as f64 / 48.0 * std::f64::consts::TAU).sin() * 32768.0 * 10f64.powf(-12.0 / 20.0);
        if on { value as i16 } else { 0 }
    };
    (0..(FRAMES * 48_000 / RATE) as i64).flat_map(|n| sample(n).to_le_bytes().repeat(2)).collect()
}

/// Encodes `pictures` and `sound` as the daemon does.
fn record(pictures: impl Iterator<Item = Vec<u8>>, sound: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let (pcm, file) = (dir.path().join("sound.pcm"), dir.path().join("recording.flv"));
    std::fs::write(&pcm, sound).expect("written");
    let size = format!("{}x{}", SIZE.0, SIZE.1);
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-r", "30", "-s", &size, "-i", "-"]);
    ffmpeg.args(["-f", "s16le", "-ar", "48000", "-ac", "2", "-i"]).arg(&pcm);
    ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15", "-coder", "1"]);
    ffmpeg.args(["-profile:v", "main", "-c:a", "aac", "-b:a", "128k", "-f", "flv"]).arg(&file);
    let mut child = ffmpeg.stdin(Stdio::piped()).spawn().expect("ffmpeg");
    let mut pipe = child.stdin.take().expect("a pipe");
    for picture in pictures {
        pipe.write_all(&picture).expect("a reading ffmpeg");
    }
    drop(pipe);
    assert!(child.wait().expect("ffmpeg ends").success());
    (dir, file)
}

fn all() -> impl Iterator<Item = Vec<u8>> {
    (0..FRAMES).map(|number| draw(number, true))
}

#[test]
fn a_good_recording_has_no_flaw() {
    let (_dir, file) = record(all(), &sound(0));
    let recording = Recording::read(&file, 30.0).expect("readable");
    assert_eq!(recording.flaws(), []);
    assert!(recording.in_order());
    let counters: Vec<_> = recording.pictures.iter().map(|picture| picture.counter).collect();
    let drawn: Vec<_> = (0..FRAMES as u32).map(|number| Some((FIRST + number) % (1 << COUNTER_BITS))).collect();
    assert_eq!(counters, drawn);
    assert_eq!(recording.keyframe_intervals(), [15, 15, 15, 15]);
    let lit: Vec<_> = (0..FRAMES as usize).filter(|&index| recording.pictures[index].flash).collect();
    assert_eq!(lit, [0, 1, 2, 30, 31, 32, 60, 61, 62]);
    assert_eq!(decodes(&file), Ok(()));
    assert_eq!(is_cabac(&file), Ok(true));
    assert!(stream(&file, "v", "profile").expect("a profile").contains("Main"));
    let mp4 = remux_to_mp4(&file).expect("an MP4");
    assert_eq!(decodes(&mp4), Ok(()));
}

#[test]
fn the_beep_is_found_to_the_millisecond() {
    for shift_ms in [-60, 0, 35, 60] {
        let (_dir, file) = record(all(), &sound(shift_ms * 48));
        let recording = Recording::read(&file, 30.0).expect("readable");
        let offsets = recording.lip_sync();
        assert_eq!(offsets.len(), 2, "{offsets:?}");
        for offset in offsets {
            let offset = offset.expect("a beep for each flash");
            assert!((offset - shift_ms as f64).abs() < 2.5, "{offset} instead of {shift_ms}");
        }
        let whole = recording.beeps.iter().filter(|beep| beep.begins > 500.0);
        for beep in whole {
            assert!((beep.ends - beep.begins - 100.0).abs() < 4.0, "{beep:?}");
        }
    }
}

#[test]
fn a_flash_without_its_beep_is_told() {
    let (_dir, file) = record(all(), &vec![0; sound(0).len()]);
    let recording = Recording::read(&file, 30.0).expect("readable");
    assert_eq!(recording.beeps, []);
    assert_eq!(recording.lip_sync(), [None, None]);
}

#[test]
fn lost_repeated_and_swapped_pictures_are_told() {
    let lost = |numbers: Vec<u64>| {
        let (_dir, file) = record(numbers.into_iter().map(|number| draw(number, true)), &sound(0));
        let recording = Recording::read(&file, 30.0).expect("readable");
        (recording.flaws().len(), recording.in_order())
    };
    assert_eq!(lost((0..FRAMES).filter(|number| *number != 20).collect()), (1, true));
    assert_eq!(lost((0..20).chain(19..FRAMES).collect()), (1, false));
    let swapped = (0..FRAMES).map(|number| if number / 2 == 10 { number ^ 1 } else { number });
    assert_eq!(lost(swapped.collect()), (3, false));
}

#[test]
fn an_unreadable_picture_is_told() {
    let (width, height) = SIZE;
    let damaged = all().enumerate().map(|(number, mut picture)| {
        // One cell of the counter of one picture is inverted: only the check bits can tell.
        if number == 10 {
            for row in picture[..height / 18 * width].chunks_mut(width) {
                for luma in &mut row[12 * (width / 32)..13 * (width / 32)] {
                    *luma = 251 - *luma;
                }
            }
        }
        picture
    });
    let (_dir, file) = record(damaged, &sound(0));
    let recording = Recording::read(&file, 30.0).expect("readable");
    assert_eq!(recording.pictures[10].counter, None);
    assert!(recording.flaws().contains(&Flaw::Unreadable(10)));
}

#[test]
fn damaged_bytes_are_an_error() {
    let (dir, file) = record(all(), &sound(0));
    let mut bytes = std::fs::read(&file).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4000].iter_mut().for_each(|byte| *byte = byte.wrapping_mul(77).wrapping_add(13));
    let damaged = dir.path().join("damaged.flv");
    std::fs::write(&damaged, bytes).expect("written");
    assert!(decodes(&damaged).is_err());
    assert!(Recording::read(&damaged, 30.0).is_err());
}

#[test]
fn a_pause_in_the_stamps_is_told() {
    let (dir, file) = record(all(), &sound(0));
    let paused = dir.path().join("paused.flv");
    // From the 40th picture and the 50th sound packet on everything is 500 ms later.
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-i"]).arg(&file).args(["-c", "copy", "-bsf:v", "setts=ts=TS+500*gte(N\\,40)"]);
    let copied = ffmpeg.args(["-bsf:a", "setts=ts=TS+500*gte(N\\,50)"]).arg(&paused).status().expect("ffmpeg");
    assert!(copied.success());
    let recording = Recording::read(&paused, 30.0).expect("readable");
    let flaws = recording.flaws();
    assert!(matches!(flaws[..], [Flaw::Pace { index: 39, .. }, Flaw::SoundGap { index: 49, .. }]), "{flaws:?}");
    assert!((recording.longest_gap() - 533.0).abs() < 2.0);
}
