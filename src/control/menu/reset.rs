//! The factory reset by a button: GO is held while the box is switched on, and kept for 10 s; letting it go in the 5 s after that
//! resets the box. Who holds on, lets go sooner or presses anything else has done nothing, and neither has a button that is stuck.

use super::{Choice, Reset};
use crate::{
    board::ButtonRole,
    control::{Control, Restart},
    units::Time,
};
use std::time::Duration;

/// So long it has to be held.
const HELD: Duration = Duration::from_secs(10);
/// So long there is to let it go.
const WINDOW: Duration = Duration::from_secs(5);
/// A device that comes later than this after the start says nothing of power-on.
const START: Duration = Duration::from_secs(10);
const NOT_RESET: &str = "Nothing was reset";

impl Control {
    /// A button was held when the process started.
    pub(in crate::control) fn held_at_start(&mut self, role: ButtonRole, now: Time) {
        if role == ButtonRole::Go && now.since(self.begun) < START && self.menu.reset.is_none() {
            self.menu.touch(now);
            self.menu.reset = Some(now);
        }
    }

    /// How far that is, to be shown.
    pub(super) fn reset_shown(&self) -> Option<Reset> {
        let since = self.menu.reset?;
        Some(Reset { armed: since + HELD, until: since + HELD + WINDOW })
    }

    /// Whether letting the button go resets the box.
    pub(in crate::control) fn reset_is_due(&self, now: Time) -> bool {
        self.reset_shown().is_some_and(|reset| reset.armed <= now && now < reset.until)
    }

    /// A button went up; true: it was the one that was held at power-on.
    pub(super) fn let_go(&mut self, role: ButtonRole, now: Time) -> bool {
        let due = self.reset_is_due(now);
        if role != ButtonRole::Go || self.menu.reset.take().is_none() {
            return false;
        }
        if due && self.shutdown.is_none() {
            // What it goes on pushing after a power cut ends as well: somebody stands before it and means it.
            let request = self.menu.ask(Choice::Reset);
            (self.shutdown, self.restart) = (Some(now), Some(Restart::Reset(request)));
            self.menu.say("Everything is deleted", false, now);
        } else {
            self.menu.say(NOT_RESET, false, now);
        }
        true
    }

    /// Something else was pressed, or the button was held on.
    pub(super) fn forget_reset(&mut self, now: Time) {
        if self.menu.reset.take().is_some() {
            self.menu.say(NOT_RESET, false, now);
        }
    }

    /// Lets time pass.
    pub(super) fn pass_reset(&mut self, now: Time) {
        if self.reset_shown().is_some_and(|reset| reset.until <= now) {
            self.forget_reset(now);
        }
    }
}
