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
    /// `kill -9` of the daemon while the name server is silent: nothing that was known of the name helps.
    NameSilent,
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
    /// The way to the ingest carries half of what is sent, and delays it by 40 ms.
    Thin,
    /// The calendar jumps by a day.
    ClockStep,
}

/// What a place can do to a box.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// These come first in each round: where a slice ends before the round does, it had them.
    pub first: &'static [Fault],
    /// Then these.
    pub then: &'static [Fault],
}

impl Faults {
    /// All that can be done on loopback.
    pub const ON_LOOPBACK: Self = Self {
        first: &[],
        then: &[
            Fault::VideoKilled,
            Fault::VideoWedged,
            Fault::SoundKilled,
            Fault::DaemonKilled,
            Fault::IngestKilled,
            Fault::IngestFrozen,
            Fault::Narrow,
            Fault::Outage,
            Fault::LinkDown,
            Fault::NameGone,
            Fault::NameSilent,
            Fault::DiskFull,
            Fault::OperatorSlate,
        ],
    };

    /// What is done to the emulated box; first what only a real kernel can do.
    pub const ON_THE_BOX: Self = Self {
        first: &[
            Fault::NoCable,
            Fault::ModeChange,
            Fault::Netem,
            Fault::Thin,
            Fault::ClockStep,
            Fault::DiskFull,
            Fault::DaemonKilled,
        ],
        then: &[
            Fault::NoLock,
            Fault::OutOfRange,
            Fault::Outage,
            Fault::VideoKilled,
            Fault::VideoWedged,
            Fault::IngestKilled,
            Fault::IngestFrozen,
        ],
    };

    /// How many there are: a round.
    pub fn count(self) -> usize {
        self.first.len() + self.then.len()
    }
}

impl Fault {
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
            Self::NameSilent => "restart without name",
            Self::DiskFull => "disk full",
            Self::OperatorSlate => "operator's slate",
            Self::NoCable => "cable pulled",
            Self::NoLock => "no lock",
            Self::OutOfRange => "out of range",
            Self::ModeChange => "other mode",
            Self::Netem => "netem 120 ms, 2 %",
            Self::Thin => "netem 500 kbit/s",
            Self::ClockStep => "clock steps a day",
        }
    }

    /// Shortest and longest time that its cause stays, in seconds; none for what happens in a moment. The long ones are
    /// longer than what it may take the box to notice, the short ones are over before.
    fn lasts(self, long: bool) -> Option<(f64, f64)> {
        let (short, long_one) = match self {
            Self::VideoKilled | Self::VideoWedged | Self::SoundKilled | Self::DaemonKilled => return None,
            Self::IngestKilled | Self::NameGone | Self::NameSilent => ((1.0, 2.0), (4.0, 5.0)),
            Self::IngestFrozen => ((1.0, 4.0), (10.0, 12.0)),
            Self::Outage | Self::LinkDown => ((1.0, 3.0), (6.0, 8.0)),
            Self::Narrow | Self::Netem | Self::Thin => ((4.0, 5.0), (6.0, 8.0)),
            Self::NoCable | Self::NoLock | Self::OutOfRange | Self::ModeChange => ((2.0, 3.0), (4.0, 6.0)),
            Self::DiskFull | Self::OperatorSlate | Self::ClockStep => ((1.0, 2.0), (3.0, 4.0)),
        };
        Some(if long { long_one } else { short })
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
    /// After it, before the box is asked whether all is well: what its cause does has begun by then.
    pub rest: Duration,
}

/// An endless series: each of `faults` comes once before any comes again, long and short in turn. The first round is the long
/// one: a slice that has all faults has all limits.
pub fn series(seed: u64, faults: Faults) -> impl Iterator<Item = Step> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bag: Vec<Fault> = Vec::new();
    let mut long = false;
    std::iter::from_fn(move || {
        if bag.is_empty() {
            long = !long;
            // Taken from its end.
            for part in [faults.then, faults.first] {
                let mut part = part.to_vec();
                random.shuffle(&mut part);
                bag.extend(part);
            }
        }
        let fault = bag.pop()?;
        let mut between = |(least, most): (f64, f64)| Duration::from_secs_f64(least + random.f64() * (most - least));
        let lasts = fault.lasts(long).map_or(Duration::ZERO, &mut between);
        Some(Step { fault, lasts, rest: between((2.0, 2.5)) })
    })
}

#[test]
fn each_fault_comes_once_in_a_round_and_the_important_ones_first() {
    for seed in 0..50 {
        for faults in [Faults::ON_LOOPBACK, Faults::ON_THE_BOX] {
            let all: Vec<Step> = series(seed, faults).take(2 * faults.count()).collect();
            let (one, two) = all.split_at(faults.count());
            for fault in faults.first.iter().chain(faults.then) {
                let of =
                    |round: &[Step]| round.iter().filter(|step| step.fault == *fault).map(|step| step.lasts).collect();
                let (long, short): (Vec<Duration>, Vec<Duration>) = (of(one), of(two));
                assert!(long.len() == 1 && short.len() == 1, "{fault}: {long:?} {short:?}");
                assert!(long > short || long[0].is_zero(), "{fault}: {long:?} {short:?}");
            }
            let first = &one[..faults.first.len()];
            assert!(first.iter().all(|step| faults.first.contains(&step.fault)), "{first:?}");
        }
    }
    let order = |seed| series(seed, Faults::ON_THE_BOX).take(7).map(|step| step.fault).collect::<Vec<_>>();
    assert!((1..9).any(|seed| order(seed) != order(0)), "the seed matters");
}
