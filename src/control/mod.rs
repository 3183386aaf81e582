//! The decisions: an event and the time go in, effects come out. No clock, no thread, no socket in here.

use crate::{
    board::ButtonRole,
    command::{Answer, Command, Origin},
    media::{self, Plan},
    settings::Settings,
    status::{Intent, SignalState},
    units::{BitRate, Mode, Time},
    uplink,
};
use jiff::Timestamp;
use std::path::PathBuf;

/// When something happens: on the monotonic clock, and by the calendar once that is known.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Monotonic time; what decisions use.
    pub time: Time,
    /// Calendar time, for people; none while the clock is not set.
    pub wall: Option<Timestamp>,
}

/// A media worker; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkerId(pub u64);

/// An uplink; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UplinkId(pub u64);

/// A command waiting for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// What an input of the board receives.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// Typed state.
    pub state: SignalState,
    /// The node while the device is there.
    pub node: Option<PathBuf>,
    /// The picture format while locked.
    pub mode: Option<Mode>,
    /// fourcc to capture in, where one was chosen.
    pub format: Option<String>,
    /// Whether the driver says that the source is protected (HDCP).
    pub protected: bool,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An input changed.
    Signal {
        /// The input's name on the board.
        input: String,
        /// What it receives now.
        signal: Signal,
    },
    /// A worker said something. Access units and previews do not come this way.
    Worker {
        /// Which.
        id: WorkerId,
        /// What.
        report: media::Report,
    },
    /// A worker's process has ended; nothing more comes from it.
    WorkerExited {
        /// Which.
        id: WorkerId,
    },
    /// An uplink said something.
    Uplink {
        /// Which.
        id: UplinkId,
        /// What.
        report: uplink::Report,
    },
    /// A button went down or up.
    Button {
        /// What it does.
        role: ButtonRole,
        /// Down or up.
        pressed: bool,
    },
    /// A surface asks for something.
    Command {
        /// To be answered exactly once.
        request: RequestId,
        /// Who asked.
        origin: Origin,
        /// What.
        command: Command,
    },
}
