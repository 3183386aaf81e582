//! What is done to a box, in which order and for how long; all of it follows from the seed.

use std::{fmt, time::Duration};

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of the worker that encodes the picture.
    VideoKilled,
    /// SIGSTOP of it: it is there and gives nothing.
    VideoWedged,
    /// `kill -9` of the sound worker.
    SoundKilled,
    /// `kill -9` of the daemon; the service manager starts it again.
    DaemonKilled,
    /// `kill -9` of the ingest, which comes back.
    IngestKilled,
    /// SIGSTOP of the ingest: its kernel goes on.
    IngestFrozen,
    /// The way to the ingest carries 250 kbit/s.
    Narrow,
    /// Nothing gets to the ingest and nobody says so.
    Outage,
    /// The interface goes down and comes up.
    LinkDown,
    /// The ingest goes, and with it its name from DNS.
    NameGone,
    /// The disk of the state folder is full, and the daemon has something to save.
    DiskFull,
    /// The operator shows the slate.
    OperatorSlate,
    /// The HDMI cable is pulled.
    NoCable,
    /// The receiver cannot lock.
    NoLock,
    /// The camera sends more than the receiver takes.
    OutOfRange,
    /// The camera sends another format.
    ModeChange,
    /// 120 ms more delay with 40 ms of jitter, and 2 % loss.
    Netem,
    /// The calendar jumps by a day.
    ClockStep,
}

impl Fault {
    /// All that can be done on loopback.
    pub const ON_LOOPBACK: [Self; 12] = [
        Self::VideoKilled,
        Self::VideoWedged,
        Self::SoundKilled,
        Self::DaemonKilled,
        Self::IngestKilled,
        Self::IngestFrozen,
        Self::Narrow,
        Self::Outage,
        Self::LinkDown,
        Self::NameGone,
        Self::DiskFull,
        Self::OperatorSlate,
    ];

    /// What is done to the emulated box.
    pub const ON_THE_BOX: [Self; 13] = [
        Self::NoCable,
        Self::NoLock,
        Self::OutOfRange,
        Self::ModeChange,
        Self::Netem,
        Self::Outage,
        Self::ClockStep,
        Self::DiskFull,
        Self::VideoKilled,
        Self::VideoWedged,
        Self::DaemonKilled,
        Self::IngestKilled,
        Self::IngestFrozen,
    ];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::VideoKilled => "video worker killed",
            Self::VideoWedged => "video worker wedged",
            Self::SoundKilled => "sound worker killed",
            Self::DaemonKilled => "daemon killed",
            Self::IngestKilled => "ingest killed",
            Self::IngestFrozen => "ingest frozen",
            Self::Narrow => "250 kbit/s",
            Self::Outage => "outage",
            Self::LinkDown => "interface down",
            Self::NameGone => "name gone",
            Self::DiskFull => "disk full",
            Self::OperatorSlate => "operator's slate",
            Self::NoCable => "cable pulled",
            Self::NoLock => "no lock",
            Self::OutOfRange => "out of range",
            Self::ModeChange => "other mode",
            Self::Netem => "netem 120 ms, 2 %",
            Self::ClockStep => "clock steps a day",
        }
    }

    /// Shortest and longest time that its cause stays, in seconds; none for what happens in a moment.
    fn lasts(self) -> Option<(f64, f64)> {
        match self {
            Self::VideoKilled | Self::VideoWedged | Self::SoundKilled | Self::DaemonKilled => None,
            Self::IngestKilled | Self::NameGone => Some((1.0, 6.0)),
            Self::IngestFrozen => Some((1.0, 12.0)),
            Self::Narrow | Self::Netem => Some((4.0, 10.0)),
            Self::NoCable | Self::NoLock | Self::OutOfRange | Self::ModeChange => Some((2.0, 6.0)),
            Self::Outage | Self::LinkDown => Some((1.0, 8.0)),
            Self::DiskFull | Self::OperatorSlate | Self::ClockStep => Some((2.0, 4.0)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A fault with its time.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What is done.
    pub fault: Fault,
    /// How long its cause stays.
    pub lasts: Duration,
    /// Quiet after it, so that what follows can be told to be of this cause.
    pub rest: Duration,
}

/// An endless series: each of `faults` comes once before any comes again.
pub fn series(seed: u64, faults: &'static [Fault]) -> impl Iterator<Item = Step> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bag: Vec<Fault> = Vec::new();
    std::iter::from_fn(move || {
        if bag.is_empty() {
            bag = faults.to_vec();
            random.shuffle(&mut bag);
        }
        let fault = bag.pop()?;
        let mut between = |(least, most): (f64, f64)| Duration::from_secs_f64(least + random.f64() * (most - least));
        Some(Step { fault, lasts: fault.lasts().map_or(Duration::ZERO, &mut between), rest: between((6.0, 8.0)) })
    })
}
