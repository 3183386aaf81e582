//! What can be chosen on the panel. A choice carries what it does, so that a list that is out of date can do nothing else.

use super::Listing;
use crate::{
    command::{Command, Cut, UpdateFrom, studio::Publish},
    settings::Changes,
};
use serde_json::{Map, Value, json};

/// Something to choose.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::control) enum Choice {
    /// Go on air.
    Start,
    /// Push to Sources of the Studio, which is not public yet.
    Push,
    /// Make it public, with this title.
    Publish(String),
    /// End the Broadcast; the push goes on.
    End,
    /// End the push; and the Broadcast before, or not, where there is one.
    Stop(Option<bool>),
    /// What viewers see, the sound as it is.
    Show(Cut),
    /// Whether viewers hear nothing.
    Mute(bool),
    /// `"auto"` or an input of the board.
    Input(String),
    /// The output's mode, as settings write it.
    Mode(String),
    /// The primary Source.
    Source(String),
    /// A region of a Source's service.
    Region {
        /// The Source.
        source: String,
        /// `"auto"` or a region.
        region: String,
    },
    /// Measure the regions of this Source's service.
    Measure(String),
    /// Try this Source.
    Check(String),
    /// Show which box this is.
    Identify,
    /// Show a PIN that pairs a computer.
    Pair,
    /// Let a paired computer use the box no more.
    Revoke {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
    },
    /// Switch the buttons off or on.
    Lock(bool),
    /// Install the system that is on a USB stick.
    Update,
    /// Write all that is known about the box onto the USB stick.
    Diagnostics,
    /// Start the box's program anew.
    Restart,
    /// Forget what was changed on this box.
    Reset,
    /// Open another list.
    Open(Listing),
    /// Read on in what is longer than the display.
    Read,
    /// Leave the list.
    Leave,
}

impl Choice {
    /// What it says, as an entry and beside the bar of a hold.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Start => "Go on air".into(),
            Self::Push => "Push, not public".into(),
            Self::Publish(_) => "Publish now".into(),
            Self::End => "End the broadcast".into(),
            Self::Stop(None) => "Stop".into(),
            Self::Stop(Some(true)) => "End and stop".into(),
            Self::Stop(Some(false)) => "Only stop pushing".into(),
            Self::Show(Cut::Live) => "Show the input".into(),
            Self::Show(Cut::Slate) => "Show the slate".into(),
            Self::Show(Cut::Test) => "Show the test picture".into(),
            Self::Mute(true) => "Mute the sound".into(),
            Self::Mute(false) => "Sound on".into(),
            Self::Input(name) if name == "auto" => "Input: automatic".into(),
            Self::Input(name) => format!("Input: {}", name.to_uppercase()),
            Self::Mode(mode) if mode == "follow" => "Send as it comes in".into(),
            Self::Mode(mode) => format!("Send {mode}"),
            Self::Source(name) => name.clone(),
            Self::Region { region, .. } if region == "auto" => "Nearest".into(),
            Self::Region { region, .. } => region.clone(),
            Self::Measure(_) => "Measure the regions".into(),
            Self::Check(source) => format!("Check {source}"),
            Self::Identify => "Show this box".into(),
            Self::Pair => "Pair a computer".into(),
            Self::Revoke { name, .. } => name.clone(),
            Self::Lock(true) => "Lock the buttons".into(),
            Self::Lock(false) => "Unlock the buttons".into(),
            Self::Update => "Update from USB".into(),
            Self::Diagnostics => "Diagnostics to USB".into(),
            Self::Restart => "Restart".into(),
            Self::Reset => "Delete all changes".into(),
            Self::Open(Listing::Regions(source)) => format!("Region of {source}"),
            Self::Open(Listing::Stop) => "Stop or end".into(),
            Self::Open(Listing::Reset) => "Factory reset".into(),
            Self::Open(Listing::Paired) => "Paired computers".into(),
            Self::Open(_) => "Choose".into(),
            Self::Read => "Read".into(),
            Self::Leave => "Back".into(),
        }
    }

    /// Whether it can end or move a push, or delete something: it takes the full hold, whatever the button.
    pub(super) fn ends(&self, pushing: bool) -> bool {
        match self {
            Self::Stop(_)
            | Self::End
            | Self::Open(Listing::Stop)
            | Self::Reset
            | Self::Revoke { .. }
            | Self::Update => true,
            Self::Source(_) | Self::Region { .. } | Self::Restart => pushing,
            _ => false,
        }
    }

    /// What it asks for; none for what the panel does by itself. `muted`: whether viewers hear nothing now, `shown`: what
    /// they see, as the command `show` sets both.
    pub(super) fn command(&self, shown: Cut, muted: bool) -> Option<Command> {
        let set = |key: String, value: Value| Command::Set(Changes(Map::from_iter([(key, value)])));
        Some(match self {
            Self::Start | Self::Push => Command::Start { sources: None },
            Self::Publish(title) => {
                Command::Publish(Box::new(Publish { title: Some(title.clone()), ..Publish::default() }))
            }
            Self::End => Command::End { confirm: true },
            Self::Stop(end) => Command::Stop { confirm: true, end: *end },
            Self::Show(cut) => Command::Show { what: *cut, mute: Some(muted) },
            Self::Mute(mute) => Command::Show { what: shown, mute: Some(*mute) },
            Self::Input(device) => Command::Input { device: device.clone() },
            Self::Mode(mode) => set("output.mode".into(), json!(mode)),
            Self::Source(name) => Command::Source { name: name.clone(), region: None },
            Self::Region { source, region } => set(format!("source.{source}.region"), json!(region)),
            Self::Measure(source) => Command::Regions { source: source.clone() },
            Self::Check(source) => Command::Preflight { source: Some(source.clone()) },
            Self::Identify => Command::Identify,
            Self::Pair => Command::Pair,
            Self::Revoke { id, .. } => Command::Revoke { id: id.clone() },
            Self::Lock(locked) => Command::LockPanel { locked: *locked },
            Self::Update => Command::Update { from: UpdateFrom::Usb, confirm: false, downgrade: false },
            Self::Diagnostics => Command::Diagnostics { usb: true },
            Self::Restart => Command::Restart { confirm: true },
            Self::Reset => Command::FactoryReset { confirm: true },
            Self::Open(_) | Self::Read | Self::Leave => return None,
        })
    }

    /// What to say once it is done; none where the page says it.
    pub(super) fn done(&self, pushing: bool) -> Option<String> {
        Some(match self {
            Self::Show(Cut::Live) => "Viewers see the input".into(),
            Self::Show(Cut::Slate) => "Viewers see the slate".into(),
            Self::Show(Cut::Test) => "Viewers see the test picture".into(),
            Self::Mute(true) => "Viewers hear nothing".into(),
            Self::Mute(false) => "Viewers hear the sound".into(),
            Self::Mode(_) if pushing => format!("{}, from the next start on", self.text()),
            Self::Input(_) | Self::Mode(_) => self.text(),
            Self::Source(name) => format!("Source: {name}"),
            Self::Region { region, .. } => format!("Region: {region}"),
            Self::Measure(_) => "The regions are measured".into(),
            Self::Identify => "The box shows itself for 30 s".into(),
            Self::Revoke { name, .. } => format!("{name} is not paired any more"),
            Self::Lock(true) => "The buttons are locked".into(),
            Self::Lock(false) => "The buttons work again".into(),
            Self::Diagnostics => "The diagnostics are on the stick".into(),
            Self::Update | Self::Restart | Self::Reset => "Restarting".into(),
            Self::End => "The broadcast has ended".into(),
            Self::Start
            | Self::Push
            | Self::Publish(_)
            | Self::Stop(_)
            | Self::Pair
            | Self::Check(_)
            | Self::Open(_)
            | Self::Read
            | Self::Leave => {
                return None;
            }
        })
    }
}
