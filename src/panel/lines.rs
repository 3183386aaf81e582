//! Buttons on GPIO lines that no driver of the kernel takes, through the character device (gpio-v2 of linux/gpio.h).

use crate::{
    board::{Button, ButtonPlace, Line},
    units::Time,
};
use gpiocdev::{
    Request,
    line::{Bias, EdgeDetection, EdgeKind, Value},
};
use std::{
    collections::BTreeSet,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

/// How often a chip that is not there is tried.
const REOPEN: Duration = Duration::from_secs(2);

/// The lines of a board's buttons.
#[derive(Debug)]
pub(super) struct Lines(Vec<ButtonLine>);

#[derive(Debug)]
struct ButtonLine {
    /// The button's place in the board.
    index: usize,
    line: Line,
    span: Duration,
    open: Option<(Request, Debounce)>,
    /// When it is tried to be opened.
    next_try: Time,
    /// Whether the log has it that it cannot be opened.
    told: bool,
}

impl Lines {
    /// Those among `buttons`; they are opened by [`Lines::open`].
    pub(super) fn new(buttons: &[Button]) -> Self {
        let line = |(index, button): (usize, &Button)| match &button.place {
            ButtonPlace::Line { line, debounce } => Some(ButtonLine {
                index,
                line: line.clone(),
                span: debounce.duration(),
                open: None,
                next_try: Time::default(),
                told: false,
            }),
            ButtonPlace::Key { .. } | ButtonPlace::Keypad(_) => None,
        };
        Self(buttons.iter().enumerate().filter_map(line).collect())
    }

    /// Opens what is not open and due to be tried; the buttons, by their index, that are held already.
    pub(super) fn open(&mut self, now: Time) -> BTreeSet<usize> {
        let mut held = BTreeSet::new();
        for line in self.0.iter_mut().filter(|line| line.open.is_none() && line.next_try <= now) {
            line.next_try = now + REOPEN;
            let name = format!("{} {}", line.line.chip.display(), line.line.line);
            match request(&line.line) {
                Ok((request, active)) => {
                    tracing::info!(line = name, "button");
                    line.told = false;
                    held.extend(active.then_some(line.index));
                    line.open = Some((request, Debounce::new(line.span, active)));
                }
                Err(error) if !line.told => {
                    line.told = true;
                    tracing::warn!(line = name, %error, "button: the GPIO line cannot be opened; tried again");
                }
                Err(_) => {}
            }
        }
        held
    }

    /// What to wait for.
    pub(super) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.0.iter().filter_map(|line| line.open.as_ref()).map(|(request, _)| request.as_fd()).collect()
    }

    /// When [`Lines::poll`] has something to say though nothing happens at the lines.
    pub(super) fn due(&self) -> Option<Time> {
        self.0.iter().filter_map(|line| line.open.as_ref()?.1.due()).min()
    }

    /// Reads what happened: which buttons went down (true) or up. One whose chip is gone is closed.
    pub(super) fn poll(&mut self, now: Time) -> Vec<(usize, bool)> {
        let mut changes = Vec::new();
        for line in &mut self.0 {
            let Some((request, debounce)) = &mut line.open else { continue };
            let lost = loop {
                match request.has_edge_event().and_then(|has| has.then(|| request.read_edge_event()).transpose()) {
                    Ok(Some(edge)) => {
                        // Rising is "becomes active", whatever level that is; stamps are CLOCK_MONOTONIC (linux/gpio.h).
                        let active = edge.kind == EdgeKind::Rising;
                        changes.extend(
                            debounce.edge(active, Time::from_nanos(edge.timestamp_ns)).map(|on| (line.index, on)),
                        );
                    }
                    Ok(None) => break false,
                    Err(_) => break true,
                }
            };
            changes.extend(debounce.poll(now).map(|on| (line.index, on)));
            if lost {
                tracing::warn!(chip = %line.line.chip.display(), line = line.line.line, "button: GPIO line lost");
                line.open = None;
            }
        }
        changes
    }

    /// Whether the line of the button at `index` is open.
    pub(super) fn is_open(&self, index: usize) -> bool {
        self.0.iter().any(|line| line.index == index && line.open.is_some())
    }
}

/// The line as an input, and whether it is active now. It is pulled to "off" where the chip can do that: then a button
/// needs no resistor.
fn request(line: &Line) -> gpiocdev::Result<(Request, bool)> {
    let mut builder = Request::builder();
    builder.with_consumer("fieldcast").on_chip(&line.chip).with_line(line.line).as_input();
    if line.active_low {
        builder.as_active_low().with_bias(Bias::PullUp);
    } else {
        builder.as_active_high().with_bias(Bias::PullDown);
    }
    let request = builder.with_edge_detection(EdgeDetection::BothEdges).request()?;
    let active = request.value(line.line)? == Value::Active;
    Ok((request, active))
}

/// Tells a press from the noise of its contact: a level counts once it has lasted.
#[derive(Debug)]
struct Debounce {
    span: Duration,
    /// The level that counts.
    told: bool,
    /// The level after the last edge, and when that was.
    level: bool,
    since: Time,
}

impl Debounce {
    /// A line that is `active` when it is opened: what it is then is no change.
    fn new(span: Duration, active: bool) -> Self {
        Self { span, told: active, level: active, since: Time::default() }
    }

    /// An edge to `active` at `at`: the change that the level before it was, if that had lasted.
    fn edge(&mut self, active: bool, at: Time) -> Option<bool> {
        let change = self.poll(at);
        (self.level, self.since) = (active, at);
        change
    }

    /// The change that counts by now.
    fn poll(&mut self, now: Time) -> Option<bool> {
        self.due().filter(|due| *due <= now)?;
        self.told = self.level;
        Some(self.told)
    }

    /// When the present level counts, if it is another than before.
    fn due(&self) -> Option<Time> {
        (self.level != self.told).then(|| self.since + self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPAN: Duration = Duration::from_millis(10);

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn a_press_that_bounces_is_one_press() {
        let mut line = Debounce::new(SPAN, false);
        for (ms, active) in [(100, true), (101, false), (103, true), (104, false), (106, true)] {
            assert_eq!(line.edge(active, at(ms)), None);
        }
        assert_eq!(line.due(), Some(at(116)));
        assert_eq!(line.poll(at(115)), None);
        assert_eq!(line.poll(at(116)), Some(true));
        assert_eq!(line.poll(at(117)), None, "told once");
        assert_eq!(line.edge(false, at(300)), None);
        assert_eq!(line.edge(true, at(301)), None);
        assert_eq!(line.edge(false, at(302)), None);
        assert_eq!(line.poll(at(312)), Some(false));
    }

    #[test]
    fn a_spike_is_nothing() {
        let mut line = Debounce::new(SPAN, false);
        assert_eq!(line.edge(true, at(100)), None);
        assert_eq!(line.edge(false, at(109)), None);
        assert_eq!((line.due(), line.poll(at(200))), (None, None));
    }

    #[test]
    fn a_thread_that_comes_late_sees_both_changes() {
        let mut line = Debounce::new(SPAN, false);
        assert_eq!(line.edge(true, at(100)), None);
        assert_eq!(line.edge(false, at(150)), Some(true));
        assert_eq!(line.poll(at(500)), Some(false));
    }

    #[test]
    fn what_is_held_at_the_start_is_told_as_a_release_only() {
        let mut line = Debounce::new(SPAN, true);
        assert_eq!(line.poll(at(1000)), None);
        assert_eq!(line.edge(false, at(1000)), None);
        assert_eq!(line.poll(at(1010)), Some(false));
    }

    #[test]
    fn a_chip_that_is_not_there_is_tried_again() {
        let line = Line { chip: "/nowhere/gpiochip0".into(), line: 4, active_low: true };
        let place = ButtonPlace::Line { line, debounce: crate::units::Span::from_millis(10) };
        let key = ButtonPlace::Key { key: "KEY_G".into(), device: None };
        let go = |place| Button { role: crate::board::ButtonRole::Go, place };
        let mut lines = Lines::new(&[go(key), go(place)]);
        lines.open(at(0));
        assert!(lines.fds().is_empty() && lines.poll(at(1)).is_empty() && lines.due().is_none());
        assert!(!lines.is_open(1));
        assert_eq!(lines.0.iter().map(|line| (line.index, line.next_try)).collect::<Vec<_>>(), [(1, at(2000))]);
    }

    proptest! {
        /// Against a line that is looked at each millisecond.
        #[test]
        fn a_level_counts_when_it_has_lasted(active in any::<bool>(), gaps in prop::collection::vec(1u64..30, 0..40), asked in prop::collection::vec(0u64..1500, 0..20)) {
            let mut edges = std::collections::BTreeMap::new();
            let (mut level, mut ms) = (active, 0);
            for gap in gaps {
                ms += gap;
                level = !level;
                edges.insert(ms, level);
            }
            let (mut line, mut heard) = (Debounce::new(SPAN, active), Vec::new());
            let (mut told, mut level, mut since, mut expected) = (active, active, 0, Vec::new());
            for ms in 0..1500 {
                if level != told && ms - since >= 10 {
                    told = level;
                    expected.push(told);
                }
                if let Some(edge) = edges.get(&ms) {
                    heard.extend(line.edge(*edge, at(ms)));
                    (level, since) = (*edge, ms);
                }
                // However rarely it is looked at, nothing is lost.
                if asked.contains(&ms) {
                    heard.extend(line.poll(at(ms)));
                }
            }
            heard.extend(line.poll(at(1500)));
            prop_assert_eq!(heard, expected);
        }
    }
}
