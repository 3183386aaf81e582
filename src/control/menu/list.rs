//! Which choices there are, as board, settings and the push are now.

use super::{Choice, Entry, List, Page};
use crate::{
    command::Cut,
    control::Control,
    settings::{OutputMode, Source},
    units::{Mode, Time},
    uplink::{
        probe::Measured,
        services::{self, Service},
    },
};

/// Output modes that are offered as far as the board can do them; any other one is set in the settings.
const MODES: [&str; 9] =
    ["1080p60", "1080p50", "1080p30", "1080p25", "720p60", "720p50", "720p30", "720p25", "854x480p30"];

/// Which list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::control) enum Listing {
    /// Start, stop, what viewers see.
    Live,
    /// What comes in and in which format it goes out.
    Input,
    /// Where it goes.
    Sources,
    /// The regions of this Source's service.
    Regions(String),
    /// The Broadcast.
    Publish,
    /// What becomes of the Broadcast when the push ends.
    Stop,
    /// What can be tried before going on air.
    Preflight,
    /// The box itself.
    System,
    /// The computers that may use the box.
    Paired,
    /// Whether everything is really to be deleted.
    Reset,
}

impl Listing {
    /// What is chosen on `page`; none: there is nothing, it is only read.
    pub(super) fn of(page: Page) -> Option<Self> {
        Some(match page {
            Page::Live => Self::Live,
            Page::Input => Self::Input,
            Page::Network | Page::Preflight => Self::Preflight,
            Page::Sources => Self::Sources,
            Page::Publish => Self::Publish,
            Page::System => Self::System,
            Page::Faults => return None,
        })
    }

    /// Where "Back" leads; none: to the page.
    pub(super) fn parent(&self) -> Option<Self> {
        match self {
            Self::Regions(_) => Some(Self::Sources),
            Self::Reset | Self::Paired => Some(Self::System),
            _ => None,
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Live => "Live".into(),
            Self::Input => "Input and output".into(),
            Self::Sources => "Source".into(),
            Self::Regions(source) => format!("Region of {source}"),
            Self::Publish => "Publish".into(),
            Self::Stop => "End the broadcast?".into(),
            Self::Preflight => "Preflight".into(),
            Self::System => "System".into(),
            Self::Paired => "Hold to unpair".into(),
            Self::Reset => "Delete all changes made on this box?".into(),
        }
    }
}

/// The service of a Source whose region can be chosen.
fn regional(source: &Source) -> Option<&'static Service> {
    let service = source.service.as_deref().and_then(services::service)?;
    (service.one_key_everywhere && service.regions.len() > 1).then_some(service)
}

impl Control {
    /// The choices of a list; the last one always leaves it.
    pub(super) fn choices(&self, listing: &Listing) -> Vec<Choice> {
        let mut choices = Vec::new();
        match listing {
            Listing::Live => {
                choices.push(if self.pushing() { self.stop_choice() } else { self.start_choice() });
                choices.extend([Cut::Live, Cut::Slate, Cut::Test].map(Choice::Show));
                choices.push(Choice::Mute(!self.show.mute));
            }
            Listing::Input => {
                choices.push(Choice::Input("auto".into()));
                choices.extend(self.board.inputs.iter().map(|input| Choice::Input(input.name.clone())));
                choices.extend(self.offered_modes().iter().map(|mode| Choice::Mode(mode.to_string())));
            }
            Listing::Sources => {
                for source in &self.settings.sources {
                    choices.push(Choice::Source(source.name.clone()));
                    choices.extend(regional(source).map(|_| Choice::Open(Listing::Regions(source.name.clone()))));
                }
            }
            Listing::Regions(name) => {
                if let Some(service) = self.source(name).and_then(regional) {
                    choices.push(Choice::Measure(name.clone()));
                    let regions: Vec<&str> = match self.measured(name) {
                        Some(table) => table.iter().map(|row| row.region.name.as_str()).collect(),
                        None => service.regions.iter().map(|region| region.name.as_str()).collect(),
                    };
                    let region = |region: &str| Choice::Region { source: name.clone(), region: region.into() };
                    choices.extend(["auto"].into_iter().chain(regions).map(region));
                }
            }
            Listing::Publish => choices.extend(self.publish_choices()),
            Listing::Stop => {
                if self.pushing() && self.broadcast.exists() {
                    choices.extend([true, false].map(|end| Choice::Stop(Some(end))));
                }
            }
            Listing::Preflight => choices.extend(self.primary_name().map(Choice::Check)),
            Listing::System => {
                choices.extend([Choice::Identify, Choice::Pair]);
                choices.extend((!self.menu.paired.is_empty()).then_some(Choice::Open(Listing::Paired)));
                choices.extend(self.offers_update().then_some(Choice::Update));
                choices.extend(self.menu.stick.then_some(Choice::Diagnostics));
                choices.extend([Choice::Lock(true), Choice::Restart, Choice::Open(Listing::Reset)]);
            }
            Listing::Paired => {
                let revoke = |(id, name): &(String, String)| Choice::Revoke { id: id.clone(), name: name.clone() };
                choices.extend(self.menu.paired.iter().map(revoke));
            }
            Listing::Reset => choices.push(Choice::Reset),
        }
        choices.push(Choice::Leave);
        choices
    }

    /// How a push begins.
    pub(super) fn start_choice(&self) -> Choice {
        if self.previews() { Choice::Push } else { Choice::Start }
    }

    /// How it ends: with a Broadcast that asks which.
    pub(super) fn stop_choice(&self) -> Choice {
        match (self.broadcast.exists(), self.board.display.is_some()) {
            (false, _) => Choice::Stop(None),
            (true, true) => Choice::Open(Listing::Stop),
            // There is nothing to choose on.
            (true, false) => Choice::Stop(Some(true)),
        }
    }

    /// What makes it public, once media gets to a Source of the Studio; its title is the box's name.
    pub(super) fn publish_choice(&self) -> Option<Choice> {
        let may = self.pushing() && self.acknowledged && !self.broadcast.exists() && self.studio_source().is_some();
        may.then(|| Choice::Publish(self.settings.name.clone()))
    }

    fn publish_choices(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        choices.extend(self.publish_choice());
        choices.extend(self.broadcast.exists().then_some(Choice::End));
        choices.push(match self.pushing() {
            true => self.stop_choice(),
            false => self.start_choice(),
        });
        choices
    }

    /// The list as it is shown.
    pub(super) fn list(&self, listing: &Listing, choices: &[Choice], cursor: usize, now: Time) -> List {
        let entry = |choice: &Choice| Entry {
            text: choice.text(),
            chosen: self.chosen_now(choice),
            remark: self.remark(choice, now),
            hold: self.takes_hold(choice),
        };
        List { title: listing.title(), entries: choices.iter().map(entry).collect(), cursor }
    }

    /// Whether a tap does not choose it.
    pub(super) fn takes_hold(&self, choice: &Choice) -> bool {
        matches!(choice, Choice::Start | Choice::Push | Choice::Publish(_)) || choice.ends(self.pushing())
    }

    /// The name of the Source that is pushed to first.
    pub(super) fn primary_name(&self) -> Option<String> {
        let named = self.chosen_sources.as_ref().and_then(|names| names.first());
        let first = named.or(self.settings.push.sources.first());
        first.or(self.settings.sources.first().map(|source| &source.name)).cloned()
    }

    /// Whether it is what is in use.
    pub(super) fn chosen_now(&self, choice: &Choice) -> bool {
        match choice {
            Choice::Show(cut) => self.show.cut == *cut,
            Choice::Input(name) => self.settings.input.device == *name,
            Choice::Mode(mode) => self.settings.output.mode.to_string() == *mode,
            Choice::Source(name) => self.primary_name().as_ref() == Some(name),
            Choice::Region { source, region } => {
                self.source(source).is_some_and(|source| source.region.as_deref().unwrap_or("auto") == region)
            }
            _ => false,
        }
    }

    fn remark(&self, choice: &Choice, now: Time) -> Option<String> {
        match choice {
            Choice::Region { source, region } => {
                let table = self.measured(source)?;
                let row = table.iter().find(|row| row.region.name == *region)?;
                Some(match &row.result {
                    Ok(time) if table.first() == Some(row) => format!("nearest, {} ms", time.as_millis()),
                    Ok(time) => format!("{} ms", time.as_millis()),
                    Err(_) => "no answer".into(),
                })
            }
            Choice::Source(name) => {
                let region = self.region_of(name)?;
                Some(if region == "auto" { "nearest region".into() } else { region })
            }
            Choice::Measure(_) if self.menu.waits_for(choice) => Some("measuring".into()),
            Choice::Diagnostics if self.menu.waits_for(choice) => Some("is written".into()),
            Choice::Identify if self.menu.identifies(now) => Some("on".into()),
            _ => None,
        }
    }

    fn source(&self, name: &str) -> Option<&Source> {
        self.settings.sources.iter().find(|source| source.name == name)
    }

    /// The regions of a Source's service, nearest first, once they were measured.
    pub(super) fn measured(&self, source: &str) -> Option<&[Measured]> {
        let service = self.source(source)?.service.as_deref()?;
        self.menu.regions.get(service).map(Vec::as_slice)
    }

    /// The region of a Source: the one that is used, else that of the settings.
    pub(super) fn region_of(&self, name: &str) -> Option<String> {
        let used = self.uplinks.iter().find(|uplink| uplink.closing.is_none() && uplink.source.name == name);
        let source = self.source(name)?;
        let of_service = || regional(source).map(|_| "auto".to_owned());
        used.and_then(|uplink| uplink.region().map(str::to_owned)).or_else(|| source.region.clone()).or_else(of_service)
    }

    /// Output modes within the board's limits, and the present one.
    fn offered_modes(&self) -> Vec<OutputMode> {
        let load = |mode: Mode| f64::from(mode.width) * f64::from(mode.height) * mode.rate.hz();
        let limit = self.board.limits.mode;
        let fits = |mode: &Mode| mode.height <= limit.height && load(*mode) <= load(limit) * 1.001;
        let modes = MODES.iter().filter_map(|mode| mode.parse().ok()).filter(fits).map(OutputMode::Fixed);
        let mut modes: Vec<OutputMode> = [OutputMode::Follow].into_iter().chain(modes).collect();
        if !modes.contains(&self.settings.output.mode) {
            modes.push(self.settings.output.mode);
        }
        modes
    }
}
