//! A worker under test, plans for it, and ffmpeg to look at what it makes.

use fieldcast::{
    access_unit::{AccessUnit, CodecConfig},
    board::{Board, Encoder},
    control::WorkerId,
    media::{
        AudioPlan, AudioSource, Order, Plan, Report, Started, VideoPlan, VideoSource,
        supervisor::{self, Message, Said, Worker},
    },
    settings::Latency,
    sys,
    units::{BitRate, Time},
};
use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::sync::mpsc;

/// The worker's binary.
pub const WORKER: &str = env!("CARGO_BIN_EXE_fieldcast-media");

/// Encoders share the processor's time with nobody: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// A running worker and what it says.
pub struct Rig {
    pub worker: Option<Worker>,
    messages: mpsc::Receiver<Message>,
    /// Reports that were not asked for while others were waited for.
    pub aside: Vec<Report>,
    pub begun: Time,
    _alone: MutexGuard<'static, ()>,
}

impl Rig {
    pub fn start(plan: Plan) -> Self {
        Self::start_as(Path::new(WORKER), plan)
    }

    pub fn start_as(binary: &Path, plan: Plan) -> Self {
        let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (sender, messages) = mpsc::channel(64);
        let begun = sys::now();
        let worker = Some(supervisor::spawn(binary, WorkerId(7), &plan, sender).expect("a worker"));
        Self { worker, messages, aside: Vec::new(), begun, _alone: alone }
    }

    pub fn order(&self, order: Order) {
        self.worker.as_ref().expect("a worker").order(order);
    }

    pub async fn said(&mut self) -> Said {
        let message = tokio::time::timeout(Duration::from_secs(10), self.messages.recv()).await;
        let message = message.expect("something within 10 s").expect("a worker that was not reaped");
        assert_eq!(message.worker, WorkerId(7));
        message.said
    }

    /// The next report of which `pick` makes something.
    pub async fn until<T>(&mut self, pick: impl Fn(&Report) -> Option<T>) -> T {
        loop {
            match self.said().await {
                Said::Report(report) => match pick(&report) {
                    Some(picked) => return picked,
                    None => self.aside.push(report),
                },
                Said::Exited => panic!("it ended; before that: {:?}", self.aside.last()),
            }
        }
    }

    pub async fn started(&mut self) -> Started {
        self.until(|report| if let Report::Started(started) = report { Some(started.clone()) } else { None }).await
    }

    /// The next access unit, and when it came.
    pub async fn unit(&mut self) -> (AccessUnit, Time) {
        let unit = self.until(|report| if let Report::Unit(unit) = report { Some(unit.clone()) } else { None }).await;
        (unit, sys::now())
    }

    pub async fn units(&mut self, count: usize) -> Vec<AccessUnit> {
        let mut units = Vec::with_capacity(count);
        while units.len() < count {
            units.push(self.unit().await.0);
        }
        units
    }

    /// All that it says until it is gone.
    pub async fn rest(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        while let Said::Report(report) = self.said().await {
            reports.push(report);
        }
        assert!(self.messages.recv().await.is_none(), "nothing comes after the end");
        reports
    }
}

/// An encoder as the desk's board has it; one that it has not is called so instead of its first.
pub fn encoder(element: &str) -> Encoder {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("boards/desktop.toml");
    let board = Board::load(&file).expect("a board");
    let known = board.encoders.iter().find(|encoder| encoder.element == element).cloned();
    known.unwrap_or_else(|| Encoder { element: element.into(), ..board.encoders[0].clone() })
}

pub fn video(element: &str, mode: &str) -> VideoPlan {
    let encoder = encoder(element);
    VideoPlan {
        source: VideoSource::Test,
        mode: mode.parse().expect("a mode"),
        codec: encoder.codec,
        encoders: vec![encoder],
        converter: None,
        bitrate: BitRate::new(1_500_000),
        keyframe_interval: 30,
        latency: Latency::Low,
    }
}

pub fn audio(source: AudioSource) -> AudioPlan {
    AudioPlan { source, bitrate: BitRate::new(128_000), gain: 1.0, delay: 0 }
}

/// A script that runs as the worker's binary: `lines`, with the worker as `$WORKER`.
pub fn script(directory: &Path, lines: &str) -> PathBuf {
    let path = directory.join("worker.sh");
    std::fs::write(&path, format!("#!/bin/sh\nWORKER={WORKER}\n{lines}\n")).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    path
}

/// Runs a program with `input` and gives what it wrote.
pub fn run(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(program);
    let mut stdin = child.stdin.take().expect("an input");
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("an output");
    feeder.join().expect("fed");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
    output.stdout
}

/// The NAL units of an access unit.
pub fn nals(unit: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut nals) = (unit, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (nal, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        nals.push(nal);
        rest = after;
    }
    nals
}

/// As a stream with start codes, from the parameter sets in band alone.
pub fn annex_b(units: &[AccessUnit]) -> Vec<u8> {
    let nals = units.iter().flat_map(|unit| nals(&unit.data));
    nals.flat_map(|nal| [&[0, 0, 0, 1], nal].concat()).collect()
}

fn format_of(units: &[AccessUnit]) -> &'static str {
    match *units[0].config {
        CodecConfig::H264(_) => "h264",
        CodecConfig::Hevc(_) => "hevc",
        CodecConfig::Aac(_) => "aac",
    }
}

/// The luma of each decoded picture.
pub fn decode(units: &[AccessUnit], width: usize, height: usize) -> Vec<Vec<u8>> {
    let arguments = [
        "-v",
        "error",
        "-xerror",
        "-f",
        format_of(units),
        "-i",
        "-",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "gray",
        "-vsync",
        "0",
        "-",
    ];
    let luma = run("ffmpeg", &arguments, &annex_b(units));
    luma.chunks_exact(width * height).map(<[u8]>::to_vec).collect()
}

/// What ffprobe says of the stream, as `key=value` lines.
pub fn probe(units: &[AccessUnit]) -> String {
    let shown =
        "stream=profile,width,height,pix_fmt,has_b_frames,color_range,color_space,color_transfer,color_primaries";
    let arguments = ["-v", "error", "-f", format_of(units), "-show_entries", shown, "-of", "default=nw=1", "-"];
    String::from_utf8(run("ffprobe", &arguments, &annex_b(units))).expect("text")
}
