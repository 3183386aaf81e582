//! Rescue: the daemon did not stay up, and this process shows why and takes commands in its place. It captures and pushes nothing,
//! and ends by itself after a while, so that the daemon is tried again.

use super::{Control, Restart, fault};
use crate::{
    command::{Answer, Command, Reason},
    status::Intent,
    units::Time,
};
use std::time::Duration;

/// The daemon is tried again after this: whatever stopped it, such as heat or a driver, may be over, and nobody may be there.
const AGAIN: Duration = Duration::from_secs(10 * 60);

/// What a box in rescue knows.
#[derive(Debug)]
pub(super) struct Rescue {
    /// Why the daemon does not run, for people.
    why: String,
    /// When it is tried again.
    until: Time,
}

impl Control {
    /// Does nothing but show `why` and take commands, from `now` on. Call it before anything else happens.
    pub fn begin_rescue(&mut self, why: String, now: Time) {
        self.intent = Intent::OffAir;
        self.rescue = Some(Rescue { why, until: now + AGAIN });
        self.menu.stay_with_faults();
    }

    /// Whether this is the rescue: nothing is captured.
    pub fn in_rescue(&self) -> bool {
        self.rescue.is_some()
    }

    /// Why the daemon does not run, for people; none: it does.
    pub(super) fn rescue_reason(&self) -> Option<&str> {
        self.rescue.as_ref().map(|rescue| rescue.why.as_str())
    }

    /// Why `command` cannot be carried out here; none: it can.
    pub(super) fn refuse_in_rescue(&self, command: &Command) -> Option<Answer> {
        let refused = match command {
            Command::Start { .. } | Command::Show { .. } | Command::Publish(_) | Command::End { .. } => true,
            Command::Preview | Command::Preflight { .. } | Command::Regions { .. } | Command::Studio(_) => true,
            // The changes that were made on the box were not read, and would be lost.
            Command::Set(_) | Command::Input { .. } | Command::Source { .. } => true,
            _ => false,
        };
        let rescue = self.rescue.as_ref().filter(|_| refused)?;
        let text = format!(
            "The box is in rescue mode and cannot do this: {}. `restart` tries Fieldcast again; `logs` and `diagnostics` say more",
            rescue.why
        );
        Some(Answer::failed(Reason::WrongState, text))
    }

    /// What is wrong, and what to do.
    pub(super) fn rescue_notice(&self, now: Time) -> Option<fault::Notice> {
        let rescue = self.rescue.as_ref()?;
        let minutes = rescue.until.since(now).as_secs().div_ceil(60);
        Some(fault::rescue(&rescue.why, minutes))
    }

    /// When the rescue ends by itself.
    pub(super) fn rescue_wake(&self) -> Option<Time> {
        self.rescue.as_ref().map(|rescue| rescue.until)
    }

    /// Ends the rescue when it is time; the service manager starts the daemon then.
    pub(super) fn end_rescue(&mut self, now: Time) {
        if self.shutdown.is_none() && self.rescue_wake().is_some_and(|until| until <= now) {
            (self.shutdown, self.restart) = (Some(now), Some(Restart::Plain));
        }
    }
}
