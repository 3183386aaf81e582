//! A conversation with a panel, from the opening of its port to its loss: one command at a time, each answered or asked
//! again. Time is an argument, the port is somebody else's.

use super::{
    face::{Face, Shown},
    packet::{Command, Decoder, Heard, KEYS},
};
use crate::{board::KeypadKey, units::Time};
use std::{collections::BTreeSet, time::Duration};

/// A panel answers sooner than this (CFA635 data sheet, "Packet Structure": 250 ms).
const ANSWER: Duration = Duration::from_millis(250);

/// How often a command is sent before the panel counts as gone.
const TRIES: u8 = 3;

/// Within a packet bytes come closer than this; adapters for USB hold them back for 16 ms.
const GAP: Duration = Duration::from_millis(50);

/// How often a panel that has nothing to do is asked whether it is there.
const PING: Duration = Duration::from_secs(1);

/// How often a panel with a key down is asked which are: the report of a release may have been lost, and a hold acts.
const POLL: Duration = Duration::from_millis(100);

/// How often everything is sent anew, for a panel that lost its power or misunderstood.
const REPAINT: Duration = Duration::from_secs(10);

/// What is to be done at the port.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Nothing, until bytes come, something else is to be shown, or for so long.
    Wait(Duration),
    /// Close the port: nobody answers.
    Lost,
}

/// The conversation.
#[derive(Debug)]
pub(super) struct Session {
    decoder: Decoder,
    shown: Shown,
    asked: Option<Asked>,
    down: BTreeSet<KeypadKey>,
    /// When bytes came.
    heard: Time,
    /// When a command was answered, or the port opened.
    answered: Time,
    /// When the panel was asked which keys are down.
    polled: Time,
    /// When everything was sent.
    painted: Time,
    present: bool,
    errors: u64,
}

#[derive(Debug)]
struct Asked {
    command: Command,
    since: Time,
    tries: u8,
}

impl Session {
    /// The port was opened.
    pub(super) fn new(now: Time) -> Self {
        Self {
            decoder: Decoder::default(),
            shown: Shown::default(),
            asked: None,
            down: BTreeSet::new(),
            heard: now,
            answered: now,
            polled: now,
            painted: now,
            present: false,
            errors: 0,
        }
    }

    /// Whether the panel has answered.
    pub(super) fn is_present(&self) -> bool {
        self.present
    }

    /// Whether there is nothing left to send or to wait for.
    pub(super) fn is_done(&self, face: &Face) -> bool {
        self.asked.is_none() && self.shown.next(face).is_none()
    }

    /// Answers that did not come, refusals and damage since the last call.
    pub(super) fn take_errors(&mut self) -> u64 {
        std::mem::take(&mut self.errors)
    }

    /// `bytes` came, perhaps none: the keys that went down (true) or up.
    pub(super) fn receive(&mut self, bytes: &[u8], now: Time) -> Vec<(KeypadKey, bool)> {
        let damaged = self.decoder.damaged();
        let mut heard = Vec::new();
        if self.decoder.is_waiting() && now.since(self.heard) >= GAP {
            heard = self.decoder.silence();
        }
        if !bytes.is_empty() {
            self.heard = now;
            heard.extend(self.decoder.feed(bytes));
        }
        if self.decoder.damaged() > damaged {
            self.errors += 1;
        }
        let mut keys = Vec::new();
        for heard in heard {
            match heard {
                Heard::Done(number, data) => self.answered(number, &data, now, &mut keys),
                Heard::Refused(number) => {
                    self.errors += 1;
                    // It would refuse again.
                    self.answered(number, &[], now, &mut keys);
                }
                Heard::Key(key, pressed) => {
                    let changed = if pressed { self.down.insert(key) } else { self.down.remove(&key) };
                    keys.extend(changed.then_some((key, pressed)));
                }
                Heard::Other => {}
            }
        }
        keys
    }

    fn answered(&mut self, number: u8, data: &[u8], now: Time, keys: &mut Vec<(KeypadKey, bool)>) {
        // A late answer to what was given up answers nothing.
        let Some(asked) = self.asked.take_if(|asked| asked.command.number() == number) else { return };
        self.present = true;
        self.answered = now;
        self.shown.done(&asked.command);
        if let (Command::Keys, [mask, ..]) = (&asked.command, data) {
            for (key, _) in KEYS.iter().filter(|(_, bit)| mask & bit == 0) {
                keys.extend(self.down.remove(key).then_some((*key, false)));
            }
        }
    }

    /// What to do now, so that the panel comes to show `face`.
    pub(super) fn act(&mut self, face: &Face, now: Time) -> Action {
        if now.since(self.painted) >= REPAINT {
            self.shown = Shown::default();
            self.painted = now;
        }
        let mut wait = PING;
        if self.decoder.is_waiting() {
            wait = left(self.heard, GAP, now);
        }
        if let Some(asked) = &mut self.asked {
            let more = left(asked.since, ANSWER, now);
            if more > Duration::ZERO {
                return Action::Wait(more.min(wait));
            }
            self.errors += 1;
            if asked.tries == TRIES {
                return Action::Lost;
            }
            asked.tries += 1;
            asked.since = now;
            return Action::Send(asked.command.packet());
        }
        let poll = if self.down.is_empty() { PING } else { left(self.polled, POLL, now) };
        let command = if poll == Duration::ZERO {
            Some(Command::Keys)
        } else {
            let ping = || left(self.answered, PING, now).is_zero().then_some(Command::Ping);
            self.shown.next(face).or_else(ping)
        };
        let Some(command) = command else { return Action::Wait(wait.min(poll).min(left(self.answered, PING, now))) };
        if command == Command::Keys {
            self.polled = now;
        }
        let bytes = command.packet();
        self.asked = Some(Asked { command, since: now, tries: 1 });
        Action::Send(bytes)
    }
}

/// What is left of `span` since `since`.
fn left(since: Time, span: Duration, now: Time) -> Duration {
    span.saturating_sub(now.since(since))
}

#[cfg(test)]
mod tests {
    use super::{super::packet::packet, *};

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn answer(number: u8, data: &[u8]) -> Vec<u8> {
        packet(0x40 | number, data)
    }

    fn key(number: u8) -> Vec<u8> {
        packet(0x80, &[number])
    }

    /// A session whose panel has done all that was asked of it.
    fn idle(face: &Face, now: Time) -> Session {
        let mut session = Session::new(now);
        while let Action::Send(bytes) = session.act(face, now) {
            session.receive(&answer(bytes[0], &[]), now);
        }
        assert!(session.is_done(face) && session.is_present());
        session
    }

    #[test]
    fn a_command_is_sent_three_times_and_then_the_panel_is_lost() {
        let (mut session, face) = (Session::new(at(0)), Face::default());
        let Action::Send(first) = session.act(&face, at(0)) else { panic!("there is something to do") };
        for ms in [0, 250] {
            assert_eq!(session.act(&face, at(ms + 1)), Action::Wait(Duration::from_millis(249)), "one at a time");
            assert_eq!(session.act(&face, at(ms + 250)), Action::Send(first.clone()));
        }
        assert_eq!(session.act(&face, at(750)), Action::Lost);
        assert_eq!(session.take_errors(), 3);
        assert!(!session.is_present());
    }

    #[test]
    fn an_idle_panel_is_asked_each_second_whether_it_is_there() {
        let face = Face::default();
        let mut session = idle(&face, at(0));
        assert_eq!(session.act(&face, at(1)), Action::Wait(Duration::from_millis(999)));
        assert_eq!(session.act(&face, at(1000)), Action::Send(Command::Ping.packet()));
        session.receive(&answer(0, &[]), at(1003));
        assert_eq!(session.act(&face, at(1003)), Action::Wait(Duration::from_secs(1)));
        assert_eq!(session.act(&face, at(10_000)), Action::Send(Command::Report(0x3f).packet()), "all of it anew");
    }

    #[test]
    fn an_answer_to_something_else_answers_nothing() {
        let (mut session, face) = (Session::new(at(0)), Face::default());
        session.act(&face, at(0));
        session.receive(&answer(31, &[]), at(5));
        assert_eq!(session.act(&face, at(5)), Action::Wait(Duration::from_millis(245)));
        assert!(!session.is_present());
    }

    #[test]
    fn a_panel_with_a_key_down_is_asked_for_it() {
        let face = Face::default();
        let mut session = idle(&face, at(0));
        assert_eq!(session.receive(&key(5), at(500)), [(KeypadKey::Enter, true)]);
        assert_eq!(session.receive(&key(5), at(510)), [], "told once");
        assert_eq!(session.act(&face, at(510)), Action::Send(Command::Keys.packet()));
        assert_eq!(session.receive(&answer(24, &[2, 2, 0]), at(515)), [], "it is still down");
        assert_eq!(session.act(&face, at(515)), Action::Wait(Duration::from_millis(95)));
        assert_eq!(session.act(&face, at(610)), Action::Send(Command::Keys.packet()));
        assert_eq!(session.receive(&answer(24, &[0, 0, 2]), at(615)), [(KeypadKey::Enter, false)]);
        assert_eq!(session.receive(&key(11), at(620)), [], "and its own report is late");
    }

    #[test]
    fn a_report_behind_half_a_packet_is_heard_after_the_gap() {
        let face = Face::default();
        let mut session = idle(&face, at(0));
        let half = answer(24, &[0; 22]);
        assert_eq!(session.receive(&[&half[..3], &key(1)].concat(), at(100)), []);
        assert_eq!(session.act(&face, at(100)), Action::Wait(GAP));
        assert_eq!(session.receive(&[], at(150)), [(KeypadKey::Up, true)]);
        assert_eq!(session.take_errors(), 1);
    }

    #[test]
    fn what_is_refused_is_counted_and_not_asked_again_at_once() {
        let (mut session, face) = (Session::new(at(0)), Face::default());
        let Action::Send(first) = session.act(&face, at(0)) else { panic!("there is something to do") };
        session.receive(&packet(0xc0 | first[0], &[]), at(3));
        let Action::Send(second) = session.act(&face, at(3)) else { panic!("there is more to do") };
        assert_ne!(first, second);
        assert_eq!(session.take_errors(), 1);
    }
}
