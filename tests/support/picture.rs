//! What a recording of the test picture shows: the counter and flash of each picture and where each beep begins.
//!
//! It is taken from decoded pictures and samples, so it judges what a viewer gets and not what the stamps promise. `tests/picture.rs` judges it in turn.

use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Bits of the counter that is drawn into the picture.
pub const COUNTER_BITS: u32 = 20;
/// Cells of the row: white, black, the counter, two check bits.
pub const CELLS: usize = 24;
/// Luma between black (16) and white (235).
const MIDDLE: u8 = 126;

/// One decoded picture. Times are stream time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Picture {
    /// When it is shown.
    pub time: f64,
    /// Whether it is marked as one where decoding can begin.
    pub key: bool,
    /// Bytes of its packet.
    pub bytes: u32,
    /// The counter; none when its sync cells or its check bits are wrong.
    pub counter: Option<u32>,
    /// Whether the centre is lit.
    pub flash: bool,
}

/// Tone from one moment to another, in milliseconds of stream time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beep {
    /// The tone is first at half its level here.
    pub begins: f64,
    /// And last here.
    pub ends: f64,
}

/// Something that a viewer would notice.
#[derive(Clone, PartialEq)]
pub enum Flaw {
    /// The picture at this index has no readable counter.
    Unreadable(usize),
    /// From the picture at this index to the next the counter moved by another number than one.
    Counter { index: usize, from: u32, to: u32 },
    /// From the picture at this index to the next no time or more than two frame periods pass: one that was late (the
    /// machine was busy) may be shown late, but never by more than a frame.
    Pace { index: usize, ms: f64 },
    /// The sound packet at this index does not begin where the one before ended (+-3 ms).
    SoundGap { index: usize, ms: f64 },
}

impl fmt::Debug for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(index) => write!(f, "picture {index}: no counter"),
            Self::Counter { index, from, to } => write!(f, "picture {index}: counter {from} -> {to}"),
            Self::Pace { index, ms } => write!(f, "picture {index}: {ms:.1} ms to the next"),
            Self::SoundGap { index, ms } => write!(f, "sound {index}: {ms:.1} ms to the next"),
        }
    }
}

/// What was received.
#[derive(Debug, Clone)]
pub struct Recording {
    /// In the order of the file.
    pub pictures: Vec<Picture>,
    /// Start of each sound packet, ms.
    pub sound: Vec<f64>,
    /// In order.
    pub beeps: Vec<Beep>,
    /// Frame period, ms.
    pub period: f64,
}

impl Recording {
    /// Decodes `file`, made at `rate` pictures a second. Fails when ffmpeg meets a single error or when packets and
    /// decoded pictures differ in number.
    pub fn read(file: &Path, rate: f64) -> Result<Self, String> {
        let (width, height) = size(file)?;
        let video = packets(file, "v")?;
        let mut seen = Vec::with_capacity(video.len());
        decode(file, &LUMA, width * height, |luma| {
            seen.push((counter(luma, width, height), lit(luma, width, height)));
        })?;
        if seen.len() != video.len() {
            return Err(format!("{} packets gave {} pictures", video.len(), seen.len()));
        }
        let pictures = video.iter().zip(&seen);
        let pictures = pictures.map(|(packet, &(counter, flash))| Picture {
            time: packet.time,
            key: packet.key,
            bytes: packet.bytes,
            counter,
            flash,
        });
        let sound: Vec<f64> = packets(file, "a")?.iter().map(|packet| packet.time).collect();
        // One cycle of the tone is 48 samples; its RMS is the same wherever the window begins.
        let mut levels = Vec::new();
        decode(file, &["-map", "0:a:0", "-ac", "1", "-ar", "48000"], 48 * 2, |window| levels.push(rms(window)))?;
        let beeps = beeps(&levels, sound.first().copied().unwrap_or_default());
        Ok(Self { pictures: pictures.collect(), sound, beeps, period: 1000.0 / rate })
    }

    /// Everything in the stream that a viewer would notice, in order; empty when each picture of the time is there once.
    pub fn flaws(&self) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        for (index, picture) in self.pictures.iter().enumerate() {
            let Some(from) = picture.counter else {
                flaws.push(Flaw::Unreadable(index));
                continue;
            };
            let Some(next) = self.pictures.get(index + 1) else { break };
            if let Some(to) = next.counter
                && (from + 1) % (1 << COUNTER_BITS) != to
            {
                flaws.push(Flaw::Counter { index, from, to });
            }
            let ms = next.time - picture.time;
            // FLV stamps are whole milliseconds.
            if ms <= 0.0 || ms > 2.0 * self.period + 1.0 {
                flaws.push(Flaw::Pace { index, ms });
            }
        }
        for (index, pair) in self.sound.windows(2).enumerate() {
            let ms = pair[1] - pair[0];
            // FLV stamps are whole milliseconds, a frame is 21.33 ms.
            if (ms - 1024.0 / 48.0).abs() > 3.0 {
                flaws.push(Flaw::SoundGap { index, ms });
            }
        }
        flaws
    }

    /// The flaws that no load on the machine excuses: a picture that is stamped late is not among them.
    pub fn losses(&self) -> Vec<Flaw> {
        self.flaws().into_iter().filter(|flaw| !matches!(flaw, Flaw::Pace { .. })).collect()
    }

    /// The longest time between two pictures, ms.
    pub fn longest_gap(&self) -> f64 {
        self.pictures.windows(2).map(|pair| pair[1].time - pair[0].time).fold(0.0, f64::max)
    }

    /// Whether the counters, where they can be read, only ever grow: nothing came twice or out of order.
    pub fn in_order(&self) -> bool {
        let counters: Vec<u32> = self.pictures.iter().filter_map(|picture| picture.counter).collect();
        counters.windows(2).all(|pair| {
            let step = pair[1].wrapping_sub(pair[0]) % (1 << COUNTER_BITS);
            step > 0 && step < 1 << (COUNTER_BITS - 1)
        })
    }

    /// How long each flash is shown before its beep is heard, ms; a flash without a beep within half a second is none. One at
    /// the very end is left out: the tracks may end 100 ms apart, and 50 ms of a beep are needed to find it.
    pub fn lip_sync(&self) -> Vec<Option<f64>> {
        let lit = |index: usize| self.pictures[index].flash;
        let end = self.pictures.last().map_or(0.0, |last| last.time) - 150.0;
        let begins = |index: usize| lit(index) && !lit(index - 1) && self.pictures[index].time <= end;
        let flashes = (1..self.pictures.len()).filter(|&index| begins(index));
        let nearest = |time: f64| {
            let offsets = self.beeps.iter().map(|beep| beep.begins - time);
            offsets.min_by(|one, other| one.abs().total_cmp(&other.abs())).filter(|offset| offset.abs() < 500.0)
        };
        flashes.map(|index| nearest(self.pictures[index].time)).collect()
    }

    /// Pictures from each keyframe to the next.
    pub fn keyframe_intervals(&self) -> Vec<usize> {
        let keys: Vec<usize> = (0..self.pictures.len()).filter(|&index| self.pictures[index].key).collect();
        keys.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// Mean video bitrate between two moments of stream time, bit/s.
    pub fn bitrate(&self, from: f64, to: f64) -> f64 {
        let within = self.pictures.iter().filter(|picture| (from..to).contains(&picture.time));
        within.map(|picture| f64::from(picture.bytes) * 8.0).sum::<f64>() / (to - from) * 1000.0
    }
}

/// The counter in a single picture such as a JPEG.
pub fn still(file: &Path) -> Result<Option<u32>, String> {
    let (width, height) = size(file)?;
    let mut seen = None;
    decode(file, &["-vf", "extractplanes=y"], width * height, |luma| seen = counter(luma, width, height))?;
    Ok(seen)
}

/// Each picture's luma, numbered as they come: in the time base of a nominal rate two would seem to have one time.
#[rustfmt::skip]
const LUMA: [&str; 8] =
    ["-map", "0:v:0", "-vf", "extractplanes=y,settb=1/30,setpts=N", "-fps_mode", "passthrough", "-enc_time_base", "1:30"];

/// Mean difference of each picture's luma to that of the picture before it; 0 for the first.
pub fn motion(file: &Path) -> Result<Vec<f64>, String> {
    let (width, height) = size(file)?;
    let (mut last, mut motion): (Vec<u8>, Vec<f64>) = (Vec::new(), Vec::new());
    decode(file, &LUMA, width * height, |luma| {
        let sum: u64 = last.iter().zip(luma).map(|(one, other)| u64::from(one.abs_diff(*other))).sum();
        motion.push(sum as f64 / luma.len() as f64);
        last = luma.to_vec();
    })?;
    Ok(motion)
}

/// Decodes everything in `file`; the first error of any decoder or demuxer fails.
pub fn decodes(file: &Path) -> Result<(), String> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-xerror", "-threads", "1", "-i"]).arg(file);
    // The file's own time base: in that of its nominal rate two late pictures would seem to have one time.
    run(ffmpeg.args(["-enc_time_base", "-1", "-f", "null", "-"])).map(drop)
}

/// Copies `file` into an MP4 beside it without encoding anew.
pub fn remux_to_mp4(file: &Path) -> Result<PathBuf, String> {
    let mp4 = file.with_extension("mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    run(ffmpeg.args(["-nostdin", "-y", "-v", "error", "-xerror", "-i"]).arg(file).args(["-c", "copy"]).arg(&mp4))?;
    Ok(mp4)
}

/// `entries` of the first stream of `kind` (`v` or `a`) as ffprobe prints them: `key=value` lines.
pub fn stream(file: &Path, kind: &str, entries: &str) -> Result<String, String> {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-select_streams", &format!("{kind}:0"), "-of", "default=nw=1"]);
    run(ffprobe.args(["-show_entries", &format!("stream={entries}")]).arg(file))
}

/// Coding of the video's pictures, from its first picture parameter set: whether it is CABAC.
pub fn is_cabac(file: &Path) -> Result<bool, String> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "verbose", "-i"]).arg(file);
    ffmpeg.args(["-map", "0:v:0", "-c", "copy", "-frames:v", "1", "-bsf:v", "trace_headers", "-f", "null", "-"]);
    let output = ffmpeg.output().map_err(|error| format!("ffmpeg: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let flag = text.lines().find(|line| line.contains("entropy_coding_mode_flag"));
    flag.map(|line| line.trim_end().ends_with('1')).ok_or_else(|| format!("no picture parameter set: {text}"))
}

struct Packet {
    time: f64,
    key: bool,
    bytes: u32,
}

fn packets(file: &Path, kind: &str) -> Result<Vec<Packet>, String> {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-select_streams", &format!("{kind}:0"), "-of", "compact=p=0:nk=0"]);
    let text = run(ffprobe.args(["-show_entries", "packet=pts_time,size,flags"]).arg(file))?;
    let packet = |line: &str| {
        let field = |name: &str| line.split('|').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        Some(Packet {
            time: field("pts_time")?.parse::<f64>().ok()? * 1000.0,
            key: field("flags")?.starts_with('K'),
            bytes: field("size")?.parse().ok()?,
        })
    };
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| packet(line).ok_or_else(|| format!("ffprobe said {line:?}"))).collect()
}

fn size(file: &Path) -> Result<(usize, usize), String> {
    let text = stream(file, "v", "width,height")?;
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.parse::<usize>().ok());
    value("width=").zip(value("height=")).ok_or_else(|| format!("no picture size: {text}"))
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() && said.is_empty() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{command:?}: {}: {said}", output.status)),
    }
}

/// Decodes one stream to raw data and gives it on in pieces of `piece` bytes.
fn decode(file: &Path, options: &[&str], piece: usize, mut each: impl FnMut(&[u8])) -> Result<(), String> {
    let raw = if options.contains(&"-vf") { ["-f", "rawvideo"] } else { ["-f", "s16le"] };
    let mut ffmpeg = Command::new("ffmpeg");
    // One thread: the analysis of one test is not to disturb the timing of another.
    ffmpeg
        .args(["-nostdin", "-v", "error", "-xerror", "-threads", "1", "-i"])
        .arg(file)
        .args(options)
        .args(raw)
        .arg("-");
    let mut child = ffmpeg
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("ffmpeg cannot be run: {error}"))?;
    let mut out = child.stdout.take().ok_or("no pipe")?;
    let mut buffer = vec![0; piece];
    while out.read_exact(&mut buffer).is_ok() {
        each(&buffer);
    }
    drop(out);
    let output = child.wait_with_output().map_err(|error| format!("ffmpeg: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() && said.is_empty() { Ok(()) } else { Err(format!("{}: {said}", file.display())) }
}

/// Mean luma of the middle of a rectangle: its border is blurred by the encoder.
fn luma(picture: &[u8], width: usize, (x, y): (usize, usize), (w, h): (usize, usize)) -> u8 {
    let rows = y + h / 4..(y + h - h / 4).max(y + h / 4 + 1);
    let columns = x + w / 4..(x + w - w / 4).max(x + w / 4 + 1);
    let count = (rows.len() * columns.len()) as u64;
    let sum: u64 =
        rows.map(|row| picture[row * width..][columns.clone()].iter().map(|&v| u64::from(v)).sum::<u64>()).sum();
    (sum / count) as u8
}

fn counter(picture: &[u8], width: usize, height: usize) -> Option<u32> {
    let cell = (width / 32, height / 18);
    let bit = |index: usize| luma(picture, width, (index * cell.0, 0), cell) > MIDDLE;
    let number = |cells: std::ops::Range<usize>| cells.fold(0, |value, index| value << 1 | u32::from(bit(index)));
    let value = number(2..CELLS - 2);
    (bit(0) && !bit(1) && number(CELLS - 2..CELLS) == value.count_ones() % 4).then_some(value)
}

fn lit(picture: &[u8], width: usize, height: usize) -> bool {
    luma(picture, width, (width * 3 / 8, height * 3 / 8), (width / 4, height / 4)) > MIDDLE
}

fn rms(window: &[u8]) -> f64 {
    let samples = window.chunks_exact(2).map(|bytes| f64::from(i16::from_le_bytes([bytes[0], bytes[1]])));
    (samples.map(|sample| sample * sample).sum::<f64>() / (window.len() / 2) as f64).sqrt()
}

/// Beeps in `levels`, one RMS for each millisecond from `first` on. The tone is a sine at -12 dBFS.
fn beeps(levels: &[f64], first: f64) -> Vec<Beep> {
    let half = 32768.0 * 10f64.powf(-12.0 / 20.0) / 2f64.sqrt() / 2.0;
    let mut beeps: Vec<Beep> = Vec::new();
    for (ms, _) in levels.iter().enumerate().filter(|(_, level)| **level > half) {
        let time = first + ms as f64;
        match beeps.last_mut() {
            // A codec may dip for a moment inside the tone.
            Some(beep) if time - beep.ends <= 10.0 => beep.ends = time + 1.0,
            _ => beeps.push(Beep { begins: time, ends: time + 1.0 }),
        }
    }
    beeps
}
