//! Tier "the serial panel": the keeper of a CFA635 against a stand-in for one on a pseudo-terminal.

mod support;

use fieldcast::{
    board::{Button, ButtonPlace, ButtonRole, KeypadColour, KeypadKey},
    control::Event,
    panel::cfa635::Handle,
};
use std::{collections::BTreeSet, path::PathBuf, thread, time::Duration};
use support::{
    cfa635::{Panel, StandIn, soon},
    now,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

struct Rig {
    _folder: tempfile::TempDir,
    link: PathBuf,
    handle: Option<Handle>,
    events: UnboundedReceiver<Event>,
}

impl Rig {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("usb-Crystalfontz_CFA635-USB_CF030415-if00-port0");
        let button = |role, key| Button { role, place: ButtonPlace::Keypad(key) };
        let buttons = [
            button(ButtonRole::Go, KeypadKey::Enter),
            button(ButtonRole::Up, KeypadKey::Up),
            button(ButtonRole::Back, KeypadKey::Exit),
        ];
        let (sender, events) = unbounded_channel();
        let handle = Handle::start(link.clone(), &buttons, sender).expect("a thread");
        Self { _folder: folder, link, handle: Some(handle), events }
    }

    fn handle(&self) -> &Handle {
        self.handle.as_ref().expect("not dropped")
    }

    fn show(&self, rows: [&str; 4]) {
        let row = |text: &str| std::array::from_fn(|column| text.chars().nth(column).unwrap_or(' '));
        self.handle().show(rows.map(row));
    }

    /// The next thing that a button did.
    fn button(&mut self) -> (ButtonRole, bool) {
        let start = now();
        loop {
            match self.events.try_recv() {
                Ok(Event::Button { role, pressed }) => return (role, pressed),
                Ok(other) => panic!("a button was waited for, not {other:?}"),
                Err(_) => thread::sleep(Duration::from_millis(2)),
            }
            assert!(start.elapsed() < Duration::from_secs(30), "no button");
        }
    }

    fn present(&self) {
        soon("the panel is there", || self.handle().present());
    }
}

#[test]
fn text_lamps_and_light_are_shown_and_only_what_changed_is_sent() {
    let rig = Rig::start();
    let panel = StandIn::plug(&rig.link);
    rig.show(["ON AIR  00:12:34", "4.0 Mbit/s", "Zürich", "[####----]"]);
    rig.handle().brightness(80);
    rig.handle().lamps(BTreeSet::from([(1, KeypadColour::Red), (4, KeypadColour::Green)]));
    panel.shows(0, "ON AIR  00:12:34");
    panel.shows(1, "4.0 Mbit/s");
    panel.shows(2, "Zurich");
    soon("lamps", || panel.panel().outputs[5..] == [100, 0, 0, 0, 0, 0, 0, 100]);
    soon("light", || panel.panel().brightness == 80);
    // Brackets are elsewhere in its set of letters.
    assert_eq!(panel.panel().text[3][..10], *b"\xfa####----\xfc");
    rig.present();
    // The whole is sent again each 10 s: of three seconds at most one meets that.
    let alone = (35..38).filter(|second| {
        panel.panel().heard.clear();
        let first = format!("ON AIR  00:12:{second}");
        rig.show([&first, "4.0 Mbit/s", "Zürich", "[####----]"]);
        panel.shows(0, &first);
        let last = first.as_bytes()[15];
        panel.panel().heard.iter().filter(|(number, _)| *number == 31).eq([&(31, vec![15, 0, last])])
    });
    assert!(alone.count() >= 2);
    assert_eq!(rig.handle().errors(), 0);
}

#[test]
fn keys_are_told_by_their_roles() {
    let mut rig = Rig::start();
    let panel = StandIn::plug(&rig.link);
    soon("keys report", || panel.panel().masks == [0x3f, 0x3f]);
    rig.present();
    panel.panel().key(5, true, false);
    assert_eq!(rig.button(), (ButtonRole::Go, true));
    // Left has no role.
    panel.panel().key(3, true, false);
    panel.panel().key(1, true, false);
    assert_eq!(rig.button(), (ButtonRole::Up, true));
    panel.panel().key(5, false, false);
    assert_eq!(rig.button(), (ButtonRole::Go, false));
    panel.panel().key(1, false, false);
    assert_eq!(rig.button(), (ButtonRole::Up, false));
}

#[test]
fn a_lost_report_of_a_release_is_noticed() {
    let mut rig = Rig::start();
    let panel = StandIn::plug(&rig.link);
    soon("keys report", || panel.panel().masks == [0x3f, 0x3f]);
    panel.panel().key(5, true, false);
    assert_eq!(rig.button(), (ButtonRole::Go, true));
    panel.panel().key(5, false, true);
    assert_eq!(rig.button(), (ButtonRole::Go, false));
}

#[test]
fn damaged_answers_and_noise_are_survived() {
    let mut rig = Rig::start();
    let panel = StandIn::plug(&rig.link);
    panel.panel().damage = Some(4);
    rig.show(["one", "two", "three", "four"]);
    panel.shows(3, "four");
    soon("keys report", || panel.panel().masks == [0x3f, 0x3f]);
    panel.panel().key(5, true, false);
    assert_eq!(rig.button(), (ButtonRole::Go, true));
    panel.panel().key(5, false, false);
    assert_eq!(rig.button(), (ButtonRole::Go, false));
    soon("damage is counted", || rig.handle().errors() > 0);
    panel.panel().damage = None;
    rig.show(["five", "", "", ""]);
    panel.shows(0, "five");
    panel.shows(3, "");
    rig.present();
}

#[test]
fn a_panel_that_falls_silent_is_painted_anew_when_it_answers() {
    let rig = Rig::start();
    let panel = StandIn::plug(&rig.link);
    rig.show(["READY", "", "", ""]);
    rig.handle().lamps(BTreeSet::from([(2, KeypadColour::Green)]));
    panel.shows(0, "READY");
    rig.present();
    panel.panel().silent = true;
    soon("it is missed", || !rig.handle().present());
    assert!(rig.handle().errors() >= 3, "each try counts");
    // It was without power meanwhile.
    *panel.panel() = Panel::new();
    panel.shows(0, "READY");
    soon("its lamp", || panel.panel().outputs[9] == 100);
    soon("its keys", || panel.panel().masks == [0x3f, 0x3f]);
    rig.present();
}

#[test]
fn an_unplugged_panel_releases_its_keys_and_another_one_is_taken() {
    let mut rig = Rig::start();
    rig.show(["ON AIR", "", "", ""]);
    assert!(!rig.handle().present(), "nothing is there yet");
    let first = StandIn::plug(&rig.link);
    first.shows(0, "ON AIR");
    soon("keys report", || first.panel().masks == [0x3f, 0x3f]);
    first.panel().key(6, true, false);
    assert_eq!(rig.button(), (ButtonRole::Back, true));
    drop(first);
    assert_eq!(rig.button(), (ButtonRole::Back, false));
    soon("it is missed", || !rig.handle().present());
    rig.show(["RECONNECTING", "", "", ""]);
    let second = StandIn::plug(&rig.link);
    second.shows(0, "RECONNECTING");
    soon("keys report", || second.panel().masks == [0x3f, 0x3f]);
    // A key that is held as it is plugged in counts from its next press on.
    second.panel().key(5, false, false);
    second.panel().key(1, true, false);
    assert_eq!(rig.button(), (ButtonRole::Up, true));
}

#[test]
fn the_last_wish_is_shown_before_the_end() {
    let mut rig = Rig::start();
    let panel = StandIn::plug(&rig.link);
    rig.show(["ON AIR", "", "", ""]);
    panel.shows(0, "ON AIR");
    rig.present();
    rig.show(["stopped", "", "", ""]);
    rig.handle().brightness(5);
    rig.handle = None;
    assert_eq!(panel.panel().row(0), "stopped");
    assert_eq!(panel.panel().brightness, 5);
    let start = now();
    drop(Rig::start());
    assert!(start.elapsed() < Duration::from_secs(2), "a panel that is not there holds nobody up");
}
