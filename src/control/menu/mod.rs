//! The front panel's pages and choices: what its buttons do, and what it shows beside the status.

mod choice;
mod list;
mod press;
mod reset;
mod state;
mod view;

use choice::Choice;
use list::Listing;
pub(super) use state::Menu;

use crate::units::Time;

/// What the panel shows. The words of a page come from the status; this says which page, and what lies over it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    /// The page.
    pub page: Page,
    /// Lines by which a page that is longer than the display is moved up.
    pub scroll: usize,
    /// The choices that lie over the page.
    pub list: Option<List>,
    /// A button that is being held.
    pub hold: Option<Hold>,
    /// What came of the last choice, for some seconds.
    pub notice: Option<Notice>,
    /// Buttons do nothing.
    pub locked: bool,
    /// Nobody pressed anything for a while: the display is dimmed.
    pub idle: bool,
    /// Somebody looks for this box: the display flashes.
    pub identify: bool,
    /// The factory reset by a button that was held at power-on.
    pub reset: Option<Reset>,
    /// The number that pairs a computer, while it holds.
    pub pin: Option<Pin>,
    /// The Sources of the settings.
    pub sources: Vec<SourceLine>,
    /// The last preflight.
    pub preflight: Preflight,
    /// Where a computer reaches the box over HTTPS: `192.0.2.17:8443`, or an IPv6 address in brackets; none while it may not.
    pub address: Option<String>,
    /// The fingerprint of the box's certificate, as browsers show it.
    pub fingerprint: Option<String>,
}

/// A page, in the order in which they are turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Page {
    /// Where the push is, rate, queue, sound.
    #[default]
    Live,
    /// What comes in, and why nothing does.
    Input,
    /// Interface, address, Source, round trip.
    Network,
    /// The Sources to choose from.
    Sources,
    /// The Broadcast of the Studio, and what makes it public.
    Publish,
    /// Can this box go on air?
    Preflight,
    /// Temperature, disk, version, address.
    System,
    /// What is wrong, and what to do.
    Faults,
}

impl Page {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Live,
        Self::Input,
        Self::Network,
        Self::Sources,
        Self::Publish,
        Self::Preflight,
        Self::System,
        Self::Faults,
    ];
}

/// Choices, one of which the cursor is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// What is chosen, or asked.
    pub title: String,
    /// At least one.
    pub entries: Vec<Entry>,
    /// Index of the entry that the cursor is on.
    pub cursor: usize,
}

/// One choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it says.
    pub text: String,
    /// Whether it is what is in use now.
    pub chosen: bool,
    /// Said of it, such as "nearest" or "18 ms".
    pub remark: Option<String>,
    /// Whether it has to be held, as it begins, ends or deletes something.
    pub hold: bool,
}

/// A button that is being held and acts when the bar is full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// What it will do: "Go on air".
    pub text: String,
    /// When it went down.
    pub since: Time,
    /// When it acts.
    pub until: Time,
}

/// What came of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What to say.
    pub text: String,
    /// Whether it was not done.
    pub failed: bool,
}

/// A button that was held at power-on: letting it go deletes everything from `armed` on, and before that nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// From then on.
    pub armed: Time,
    /// From then on nothing is done whatever the button does.
    pub until: Time,
}

/// The number that pairs a computer.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin {
    /// Six digits.
    pub digits: String,
    /// When it is worth nothing any more.
    pub until: Time,
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pin(until {:?})", self.until)
    }
}

/// A Source to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// Its name.
    pub name: String,
    /// Its region, where it has one.
    pub region: Option<String>,
    /// Whether that is the nearest of its service that was measured.
    pub nearest: bool,
    /// Whether it is the primary.
    pub primary: bool,
    /// Whether it is the backup.
    pub backup: bool,
}

/// How far a preflight is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preflight {
    /// Which Source; none: none was tried.
    pub source: Option<String>,
    /// What was tried, in order.
    pub steps: Vec<Step>,
    /// The verdict, once there is one; while there is none and a Source is named, it runs.
    pub verdict: Option<Verdict>,
}

/// One step of a preflight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is tried: "TLS".
    pub text: String,
    /// Whether it worked; none: it is being tried.
    pub passed: Option<bool>,
    /// Said of it, such as "31 ms".
    pub remark: Option<String>,
}

/// What came of a preflight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it can go on air.
    pub passed: bool,
    /// In words, with what to do.
    pub text: String,
}
