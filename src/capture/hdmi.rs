//! An HDMI receiver: cable, signal and timings, and the receiver set to what comes in.

use super::{
    Complaint, RESCAN, Teller, is_gone, links, locked, nodes, not_locked,
    timings::{self, Fit, exceeds, fit, steady},
};
use crate::{
    board::Hdmi,
    status::SignalState,
    sys::{
        self,
        v4l2::{Node, POWER_PRESENT, Planes, RawTimings},
    },
    units::{Mode, Time},
};
use rustix::event::PollFlags;
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    time::Duration,
};

/// After a change the timings are asked for again this soon, then each time after twice as long up to the board's
/// interval: a link trains for up to 6 s, and not every driver tells when it is done.
const EAGER: Duration = Duration::from_millis(250);

/// A source that flickers, or a driver that sends events without end, is not asked more often than this.
const CALM: Duration = Duration::from_millis(50);

/// Follows the receiver until the watch ends.
pub(super) fn follow(teller: &mut Teller, hdmi: &Hdmi) {
    let mut complaint = Complaint::default();
    while !teller.ended() {
        match Receiver::open(Path::new("/"), hdmi) {
            Ok(Some(mut receiver)) => match receiver.run(teller) {
                Err(error) if !is_gone(&error) => complaint.say(&teller.input, &error),
                _ => complaint = Complaint::default(),
            },
            Ok(None) => {}
            Err(error) => complaint.say(&teller.input, &error),
        }
        teller.tell(not_locked(SignalState::NoDevice, None));
        teller.wait(RESCAN, &[]);
    }
}

struct Receiver<'a> {
    hdmi: &'a Hdmi,
    path: PathBuf,
    node: Node,
    planes: Planes,
    /// Has the timings and the EDID when the capture node has not.
    subdevice: Option<Node>,
    route: Option<links::Route>,
    /// Whether the nodes can be waited for; some subdevices report an error at once instead.
    waits: bool,
}

/// What is known of the input after a look at it.
type Look = (SignalState, Option<Mode>);

impl<'a> Receiver<'a> {
    /// Finds and prepares the receiver; none: it is not there.
    fn open(root: &Path, hdmi: &'a Hdmi) -> io::Result<Option<Self>> {
        for listed in nodes::candidates(root, &hdmi.device) {
            let node = Node::open(&listed.node)?;
            let Some(planes) = node.capability()?.capture else { continue };
            let subdevice = match &hdmi.subdevice {
                None => None,
                Some(name) => match nodes::subdevice(root, name) {
                    Some(path) => Some(Node::open(&path)?),
                    // Its module may still be loading.
                    None => return Ok(None),
                },
            };
            let route = if hdmi.links.is_empty() { None } else { Some(links::enable(root, &hdmi.links)?) };
            let mut receiver = Self { hdmi, path: listed.node, node, planes, subdevice, route, waits: true };
            receiver.prepare()?;
            return Ok(Some(receiver));
        }
        Ok(None)
    }

    fn timings_node(&self) -> &Node {
        self.subdevice.as_ref().unwrap_or(&self.node)
    }

    fn prepare(&mut self) -> io::Result<()> {
        if let Some(input) = self.hdmi.input
            && self.node.selected_input()? != input
        {
            self.node.select_input(input)?;
        }
        if let Some(edid) = &self.hdmi.edid {
            // On a capture node the pad is the input (V4L2 section 7.12), on a subdevice it is the connector's.
            let pad = if self.subdevice.is_some() { 0 } else { self.hdmi.input.unwrap_or(0) };
            let (node, bytes) = (self.timings_node(), edid.bytes());
            // Loading one looks like a new cable to the source.
            if !node.edid(pad, bytes.len() / 128).is_ok_and(|loaded| edid.is(&loaded))
                && let Err(error) = node.set_edid(pad, bytes)
            {
                // Sources still send what they think is right.
                tracing::warn!(node = %self.path.display(), %error, "the EDID cannot be loaded");
            }
        }
        let subscribed = self.timings_node().subscribe_source_change();
        let power = self.timings_node().subscribe_control(POWER_PRESENT);
        self.waits = self.subdevice.is_none() || subscribed.is_ok() || power.is_ok();
        Ok(())
    }

    /// Follows the signal until the device goes or the watch ends.
    fn run(&mut self, teller: &mut Teller) -> io::Result<()> {
        let (mut power, mut look): (Option<bool>, Look) = (None, (SignalState::NoSignal, None));
        let (mut asked, mut due, mut pause) = (Time::ZERO, Time::ZERO, EAGER);
        let mut news = true;
        while !teller.ended() {
            let cable = self.cable()?;
            if cable != power {
                (power, news, due, pause) = (cable, true, Time::ZERO, EAGER);
            }
            if cable == Some(false) {
                look = (SignalState::NoCable, None);
            } else if sys::now() >= due {
                asked = sys::now();
                let (seen, busy) = self.look(teller.mode().filter(|_| !news))?;
                (look, news) = (seen.unwrap_or(look), false);
                due = asked
                    + match look.0 {
                        _ if busy => EAGER,
                        SignalState::Locked => self.hdmi.requery.duration(),
                        _ => pause,
                    };
                pause = (pause * 2).min(self.hdmi.requery.duration());
            }
            self.tell(teller, look);
            // The cable's control costs nothing to read, and not every driver has an event for it.
            let rest = if cable == Some(false) { RESCAN } else { due.since(sys::now()).min(RESCAN) };
            if self.wait(teller, rest)? {
                (news, due, pause) = (true, asked + CALM, EAGER);
            }
        }
        Ok(())
    }

    /// Whether the source's +5 V is there; none: the driver does not know.
    fn cable(&self) -> io::Result<Option<bool>> {
        match self.timings_node().control(POWER_PRESENT) {
            // A bit for each connector; a receiver with several shows a cable in any of them.
            Ok(connectors) => Ok(Some(connectors != 0)),
            Err(error) if is_gone(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Asks for the timings and sets the receiver to them. None: the driver cannot tell now. True: it is captured from
    /// with other timings; these are to be set as soon as that ends.
    fn look(&self, before: Option<Mode>) -> io::Result<(Option<Look>, bool)> {
        let found = match self.timings_node().query_timings() {
            Ok(found) => found,
            Err(error) => return Ok((timings::state(error)?.map(|state| (state, None)), false)),
        };
        let look = judge(timings::mode(found.timings()), before, self.hdmi.max);
        if look.0 != SignalState::Locked {
            return Ok((Some(look), false));
        }
        match self.set(&found) {
            Ok(busy) => Ok((Some(look), busy)),
            Err(error) if is_gone(&error) => Err(error),
            Err(error) => {
                tracing::warn!(node = %self.path.display(), %error, "the receiver does not take its own timings");
                Ok((Some((SignalState::OutOfRange, None)), false))
            }
        }
    }

    /// Sets the receiver to `found`; whether another picture is captured from it still, which keeps that from being done.
    fn set(&self, found: &RawTimings) -> io::Result<bool> {
        let node = self.timings_node();
        let fit = node.timings().map_or(Fit::Other, |set| fit(set.timings(), found.timings()));
        if fit == Fit::Same {
            return Ok(false);
        }
        match node.set_timings(found) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => return Ok(fit == Fit::Other),
            set => set?,
        }
        self.route.as_ref().map_or(Ok(()), links::Route::pass_format)?;
        Ok(false)
    }

    fn tell(&self, teller: &mut Teller, (state, mode): Look) {
        let node = Some(self.path.clone());
        let mut signal = match mode {
            Some(mode) => {
                let chosen = self.hdmi.pixel_format.clone();
                locked(node, mode, chosen.or_else(|| self.node.pixel_format(self.planes).ok()))
            }
            None => not_locked(state, node),
        };
        let input = self.node.selected_input().and_then(|input| self.node.input(input));
        signal.protected = input.is_ok_and(|input| input.protected);
        teller.tell(signal);
    }

    /// Waits until something may have changed, at most for `time`; whether the driver says that it has.
    fn wait(&mut self, teller: &Teller, time: Duration) -> io::Result<bool> {
        let devices: Vec<BorrowedFd<'_>> = if self.waits { vec![self.timings_node().as_fd()] } else { Vec::new() };
        let happened = teller.wait(time, &devices);
        let mut told = false;
        while self.timings_node().take_event().or_else(gone_or_none)? {
            told = true;
        }
        if !told && happened.iter().any(|flags| flags.intersects(PollFlags::ERR | PollFlags::HUP)) {
            // Gone, or a driver that cannot be waited for: then only the clock is left.
            self.node.capability()?;
            self.waits = false;
        }
        Ok(told)
    }
}

/// A driver without events has none.
fn gone_or_none(error: io::Error) -> io::Result<bool> {
    if is_gone(&error) { Err(error) } else { Ok(false) }
}

/// What a signal of `mode` is to a receiver that takes `max`; `before` was told last.
fn judge(mode: Option<Mode>, before: Option<Mode>, max: Option<Mode>) -> Look {
    match mode {
        // Some drivers give degenerate timings instead of ENOLINK.
        None => (SignalState::NoSignal, None),
        Some(mode) if max.is_some_and(|max| exceeds(mode, max)) => (SignalState::OutOfRange, None),
        Some(mode) => (SignalState::Locked, Some(steady(before, mode))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_judged_by_what_the_board_can_take() {
        let mode = |text: &str| Some(text.parse::<Mode>().expect("a mode"));
        assert_eq!(judge(None, None, None), (SignalState::NoSignal, None));
        assert_eq!(judge(mode("1080p60"), None, mode("1080p50")), (SignalState::OutOfRange, None));
        assert_eq!(judge(mode("1080p50"), None, mode("1080p50")), (SignalState::Locked, mode("1080p50")));
        assert_eq!(judge(mode("1080p60"), mode("1080p59.94"), None), (SignalState::Locked, mode("1080p59.94")));
        assert_eq!(judge(mode("1080p60"), mode("720p60"), None), (SignalState::Locked, mode("1080p60")));
    }
}
