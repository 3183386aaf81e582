//! The GO button: held, it acts; tapped, it does nothing.

use crate::units::Time;
use std::time::Duration;

/// What a hold asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Go on air.
    Start,
    /// End the push.
    Stop,
}

/// One GO button.
#[derive(Debug, Default)]
pub struct GoButton {
    /// Since when it is down, and what it will do; none once it acted.
    down: Option<(Time, Held)>,
}

impl GoButton {
    /// It went down or up. What a hold means is settled by the state when it begins.
    pub fn press(&mut self, pressed: bool, pushing: bool, now: Time) {
        self.down = pressed.then_some((now, if pushing { Held::Stop } else { Held::Start }));
    }

    /// When the present hold acts.
    pub fn acts_at(&self, to_start: Duration, to_stop: Duration) -> Option<Time> {
        self.down.map(|(since, held)| since + if held == Held::Start { to_start } else { to_stop })
    }

    /// What the hold asks for now, once.
    pub fn poll(&mut self, to_start: Duration, to_stop: Duration, now: Time) -> Option<Held> {
        let (_, held) = self.down.filter(|_| self.acts_at(to_start, to_stop).is_some_and(|at| at <= now))?;
        self.down = None;
        Some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1);
    const STOP: Duration = Duration::from_secs(2);

    #[test]
    fn a_tap_does_nothing_and_a_hold_acts_once() {
        let mut button = GoButton::default();
        button.press(true, false, Time::from_millis(0));
        assert_eq!(button.poll(START, STOP, Time::from_millis(999)), None);
        button.press(false, false, Time::from_millis(999));
        assert_eq!(button.poll(START, STOP, Time::from_millis(5000)), None);
        button.press(true, false, Time::from_millis(6000));
        assert_eq!(button.poll(START, STOP, Time::from_millis(7000)), Some(Held::Start));
        assert_eq!(
            button.poll(START, STOP, Time::from_millis(9500)),
            None,
            "held on, it does not stop what it started"
        );
        button.press(false, true, Time::from_millis(9600));
        button.press(true, true, Time::from_millis(10_000));
        assert_eq!(button.poll(START, STOP, Time::from_millis(11_900)), None);
        assert_eq!(button.poll(START, STOP, Time::from_millis(12_000)), Some(Held::Stop));
    }
}
