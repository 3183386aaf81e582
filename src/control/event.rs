//! What the control core is told, and what it wants done.

use super::{broadcast::SavedBroadcast, heat::Heat, menu::Pin, update};
use crate::{
    board::ButtonRole,
    command::{Answer, Command, Cut, Origin},
    media::{self, FailureKind, Order, Plan, StillPlan},
    settings::{Changes, Settings, Source},
    status::{Fault, Intent, Showing, SignalState},
    studio,
    units::{BitRate, Mode, Time},
    uplink::{
        self, Cause, MediaInfo,
        preflight::{Preflight, Progress},
        probe::Measured,
    },
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, path::PathBuf};

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

/// A card that is made; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CardId(pub u64);

/// A command waiting for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

impl RequestId {
    /// Set in those of the panel's requests, whom no edge waits for.
    const PANEL: u64 = 1 << 63;

    /// The panel's request of this number.
    pub const fn of_panel(number: u64) -> Self {
        Self(number | Self::PANEL)
    }

    /// Whether the panel asked: the answer goes back as [`Event::Answered`].
    pub const fn is_of_panel(self) -> bool {
        self.0 & Self::PANEL != 0
    }
}

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
    /// The sound cards that can be recorded from now, each by its id and its number.
    Cards(BTreeSet<String>),
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
    /// A button was held already when the process started; its release comes as [`Event::Button`].
    HeldAtStart {
        /// What it does.
        role: ButtonRole,
    },
    /// A USB stick is in the box, or none is any more.
    Stick(bool),
    /// A surface asks for something.
    Command {
        /// To be answered exactly once.
        request: RequestId,
        /// Who asked.
        origin: Origin,
        /// What.
        command: Command,
    },
    /// The answer to what the panel asked.
    Answered {
        /// What it asked.
        request: RequestId,
        /// The one answer.
        answer: Answer,
    },
    /// A preflight goes on.
    Preflight {
        /// The command that asked for it.
        request: RequestId,
        /// How far it is.
        progress: Progress,
    },
    /// A preflight is done.
    Preflighted {
        /// The command that asked for it.
        request: RequestId,
        /// What came of it; or why it could not begin.
        result: Result<Box<Preflight>, Cause>,
    },
    /// The ingests of a service were measured.
    Regions {
        /// The service's name in the table.
        service: String,
        /// Nearest first.
        table: Vec<Measured>,
    },
    /// The settings were read anew.
    Settings {
        /// What they are now.
        settings: Box<Settings>,
        /// Whether the running push takes all of them over at once, or only what it can without a break.
        at_once: bool,
    },
    /// The settings' Sources were chosen anew: they take the place of those that a `start` named.
    SourcesChosen,
    /// What edges found wrong that is not theirs to decide on; replaces what they said before.
    Told(Vec<Fault>),
    /// A card is made, or why it could not be.
    Card {
        /// Which.
        id: CardId,
        /// What came of it.
        result: Result<(), FailureKind>,
    },
    /// Viewers see something else.
    Showing(Option<Showing>),
    /// A live IDR is needed to leave a card.
    KeyframeWanted,
    /// A preflight measured that this video bitrate passes.
    Measured(BitRate),
    /// The box is in another network: the video bitrate that it carried the last time.
    KnownRate(Option<BitRate>),
    /// How hot the box is; once a second, before [`Event::Tick`].
    Heat(Heat),
    /// Another interface, address or route: waiting uplinks may succeed now.
    NetworkChanged,
    /// The front panel's display came or went, or failed once more.
    Display {
        /// Whether it shows what it should.
        present: bool,
        /// Failures since the start.
        errors: u64,
    },
    /// The computers that are paired, by id and name.
    Paired(Vec<(String, String)>),
    /// This PIN pairs a computer and is to be seen at the box, or none does any more.
    Pin(Option<Pin>),
    /// The Studio's answer to a question.
    Studio {
        /// Which.
        id: studio::AskId,
        /// What.
        told: studio::Told,
    },
    /// What [`Effect::KeepBroadcast`] had written is on the disk, or cannot be now.
    BroadcastKept {
        /// Its mark.
        mark: u64,
    },
    /// An update goes on.
    Update(update::Told),
    /// The process is asked to end. The intent stays.
    Shutdown,
    /// Time has passed.
    Tick,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Start a worker process.
    StartWorker {
        /// Its id.
        id: WorkerId,
        /// What it does.
        plan: Box<Plan>,
    },
    /// Tell a worker something.
    Order {
        /// Which.
        id: WorkerId,
        /// What.
        order: Order,
    },
    /// End a worker: 1 s, then by force.
    StopWorker {
        /// Which.
        id: WorkerId,
    },
    /// End a worker by force, at once: it does not answer.
    KillWorker {
        /// Which.
        id: WorkerId,
    },
    /// A worker cannot be ended: go on without it.
    AbandonWorker {
        /// Which.
        id: WorkerId,
    },
    /// Make a card, or take it from where it is kept, and tell.
    MakeCard {
        /// Its id.
        id: CardId,
        /// What it is shown as.
        cut: Cut,
        /// What it is.
        plan: Box<StillPlan>,
        /// Whether the one before may be shown until then: it is of the same mode.
        keep: bool,
    },
    /// Show this card, which was made, where its kind is shown.
    UseCard {
        /// Which.
        id: CardId,
    },
    /// Begin the card anew soon, if one is shown: a Source needs an IDR.
    RefreshCard,
    /// Begin a new timeline.
    BeginProgram {
        /// Whether with a card, as there is no picture.
        card: bool,
    },
    /// What viewers see and whether they hear nothing.
    Cut {
        /// What they see.
        cut: Cut,
        /// Silence.
        mute: bool,
    },
    /// End the timeline.
    EndProgram,
    /// Begin to deliver to a Source.
    OpenUplink {
        /// Its id.
        id: UplinkId,
        /// Where.
        source: Box<Source>,
        /// What the ingest is told.
        media: Box<MediaInfo>,
    },
    /// End a delivery properly.
    CloseUplink {
        /// Which.
        id: UplinkId,
    },
    /// End a delivery by force, at once: it did not end in its time. Control has forgotten it.
    DropUplink {
        /// Which.
        id: UplinkId,
    },
    /// Tell all uplinks that the network changed.
    RetryUplinks,
    /// Keep the intent over a power cut.
    SaveIntent(SavedIntent),
    /// Keep the video bitrate that this network carries, for the next start in it.
    KeepRate(BitRate),
    /// Keep what is known of the Broadcast over a power cut, and tell by [`Event::BroadcastKept`]: the Studio is asked for a new
    /// one only after that.
    KeepBroadcast {
        /// Grows by one each time.
        mark: u64,
        /// What; none: there is none any more.
        record: Option<Box<SavedBroadcast>>,
    },
    /// Ask the Studio about the Broadcast of this Source, which has `studio = {...}`; [`Event::Studio`] answers.
    AskStudio {
        /// The question's id.
        id: studio::AskId,
        /// Whose account and Source.
        source: Box<Source>,
        /// What.
        ask: studio::Ask,
    },
    /// Do something about an update.
    Update(update::Act),
    /// Answer a command.
    Answer {
        /// Which.
        request: RequestId,
        /// The one answer.
        answer: Answer,
    },
    /// Do something that takes time and answer the command then.
    Perform {
        /// The command.
        request: RequestId,
        /// What to do.
        job: Job,
    },
    /// Empty the state folder, but for the box's id and the last time that it knew, on an appliance also what was brought to
    /// it, and answer. [`Effect::Exit`] follows.
    Reset {
        /// The command.
        request: RequestId,
    },
    /// End the process; everything has been stopped.
    Exit,
}

/// What takes an edge to answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Job {
    /// Write overrides and apply them.
    Set(Changes),
    /// List the settings with their origins.
    Settings,
    /// Try a Source without going on air.
    Preflight(Box<Source>),
    /// Measure a service's ingests.
    Regions(Box<Source>),
    /// Take one picture of the input from this worker.
    Preview(WorkerId),
    /// Look up the last lines of the log.
    Logs {
        /// How many.
        lines: usize,
        /// Not those before.
        since: Option<Timestamp>,
    },
    /// Gather all that is known about the box.
    Diagnostics {
        /// Onto the USB stick, instead of into the answer.
        usb: bool,
    },
    /// End as at [`Event::Shutdown`], and let the whole box be restarted.
    Reboot,
    /// Let a new PIN hold, and show it.
    Pair,
    /// List the paired computers.
    Tokens,
    /// Revoke the token of the computer with this id.
    Revoke(String),
    /// Ask the Studio.
    Studio(Box<crate::command::studio::Request>),
}

/// The intent as it is kept over a power cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SavedIntent {
    /// What the operator wants.
    pub intent: Intent,
    /// The Sources named by `start`; none: those of the settings.
    pub sources: Option<Vec<String>>,
    /// What the operator shows: a slate stays a slate when the daemon is started anew.
    #[serde(default)]
    pub show: Cut,
    /// Whether without sound.
    #[serde(default)]
    pub mute: bool,
    /// The input that `auto` had chosen for the push; none: it shows nothing yet.
    #[serde(default)]
    pub input: Option<String>,
}
