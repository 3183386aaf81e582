//! Tier "the serial panel": the keeper of a CFA635 against a stand-in for one on a pseudo-terminal, which reads the bytes
//! into text and lamps, answers, has keys, and can damage what it sends, fall silent, lose its power and be unplugged.

use fieldcast::{
    board::{Button, ButtonPlace, ButtonRole, KeypadColour, KeypadKey},
    control::Event,
    panel::cfa635::Handle,
};
use serialport::TTYPort;
use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Now, for waiting: a test has no clock handed to it.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

/// Waits, up to a generous limit, for what another thread does.
fn soon(what: &str, holds: impl Fn() -> bool) {
    let start = now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// CRC-16 as the data sheet's shift register has it, bit by bit from the other end than the product computes it.
fn check(bytes: &[u8]) -> [u8; 2] {
    let mut register = 0xffffu16;
    for bit in bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1)) {
        let out = register >> 15 ^ u16::from(bit);
        register = register << 1 ^ if out == 1 { 0x1021 } else { 0 };
    }
    (!register.reverse_bits()).to_le_bytes()
}

fn packet(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = [&[kind, data.len() as u8], data].concat();
    bytes.extend(check(&bytes));
    bytes
}

/// What the stand-in shows and does.
struct Panel {
    text: [[u8; 20]; 4],
    /// Output pins in percent; 5 to 12 are lamps.
    outputs: [u8; 13],
    brightness: u8,
    /// Which keys report presses and releases.
    masks: [u8; 2],
    /// Which keys are down, by their bits.
    down: u8,
    /// Commands as they came: number and data.
    heard: Vec<(u8, Vec<u8>)>,
    /// What is sent beside answers.
    outgoing: Vec<u8>,
    /// Answers nothing.
    silent: bool,
    /// Damages every n-th answer, and puts noise before others.
    damage: Option<u64>,
    answers: u64,
    unplugged: bool,
}

impl Panel {
    /// As it is when it gets power.
    fn new() -> Self {
        let mut panel = Self {
            text: [[b' '; 20]; 4],
            outputs: [0; 13],
            brightness: 50,
            masks: [0, 0],
            down: 0,
            heard: Vec::new(),
            outgoing: Vec::new(),
            silent: false,
            damage: None,
            answers: 0,
            unplugged: false,
        };
        panel.text[0][..12].copy_from_slice(b"Crystalfontz");
        panel
    }

    fn row(&self, row: usize) -> String {
        String::from_utf8_lossy(&self.text[row]).trim_end().into()
    }

    /// Obeys, and gives the data of the answer.
    fn obey(&mut self, number: u8, data: &[u8]) -> Vec<u8> {
        self.heard.push((number, data.to_vec()));
        match (number, data) {
            (14, [percent]) => self.brightness = *percent,
            (23, [press, release]) => self.masks = [*press, *release],
            (24, []) => return vec![self.down, 0, 0],
            (31, [column, row, text @ ..]) => {
                let column = usize::from(*column);
                self.text[usize::from(*row)][column..column + text.len()].copy_from_slice(text);
            }
            (34, [pin, percent]) => self.outputs[usize::from(*pin)] = *percent,
            (0, []) | (12, [0]) => {}
            other => panic!("no panel knows {other:?}"),
        }
        Vec::new()
    }

    /// A key, by its number in reports, goes down or up; unless the report is lost.
    fn key(&mut self, number: u8, pressed: bool, lost: bool) {
        let bit = [1, 32, 8, 16, 2, 4][usize::from(number - 1)];
        self.down = if pressed { self.down | bit } else { self.down & !bit };
        if !lost && self.masks[usize::from(!pressed)] & bit != 0 {
            self.outgoing.extend(packet(0x80, &[if pressed { number } else { number + 6 }]));
        }
    }
}

/// A panel on a pseudo-terminal, behind a link as udev makes one.
struct StandIn {
    link: PathBuf,
    panel: Arc<Mutex<Panel>>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    fn plug(link: &Path) -> Self {
        let (master, slave) = TTYPort::pair().expect("a pseudo-terminal");
        let name = serialport::SerialPort::name(&slave).expect("a name");
        let fresh = link.with_extension("new");
        std::os::unix::fs::symlink(name, &fresh).expect("a link");
        fs::rename(&fresh, link).expect("a link");
        let panel = Arc::new(Mutex::new(Panel::new()));
        let thread = thread::spawn({
            let panel = panel.clone();
            move || serve(master, &panel)
        });
        Self { link: link.into(), panel, thread: Some(thread) }
    }

    fn panel(&self) -> MutexGuard<'_, Panel> {
        self.panel.lock().expect("no panic in the stand-in")
    }

    fn shows(&self, row: usize, text: &str) {
        soon(&format!("{text:?} in row {row}"), || self.panel().row(row) == text);
    }
}

impl Drop for StandIn {
    /// Pulls it: link and port go.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.link);
        if let Ok(mut panel) = self.panel.lock() {
            panel.unplugged = true;
        }
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || !matches!(ended, Some(Err(_))), "the stand-in refused something");
    }
}

fn serve(mut port: TTYPort, panel: &Mutex<Panel>) {
    serialport::SerialPort::set_timeout(&mut port, Duration::from_millis(2)).expect("a time");
    let (mut bytes, mut buffer) = (Vec::new(), [0; 64]);
    loop {
        match port.read(&mut buffer) {
            Ok(read) => bytes.extend(&buffer[..read]),
            // While nobody has it open, too.
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
        let mut panel = panel.lock().expect("no panic in the test");
        if panel.unplugged {
            return;
        }
        while bytes.len() >= 4 && bytes.len() >= usize::from(bytes[1]) + 4 {
            let length = usize::from(bytes[1]);
            let command: Vec<u8> = bytes.drain(..length + 4).collect();
            assert!(length <= 22 && check(&command[..length + 2]) == command[length + 2..], "no packet: {command:?}");
            if panel.silent {
                continue;
            }
            let data = panel.obey(command[0], &command[2..length + 2]);
            let mut answer = packet(command[0] | 0x40, &data);
            panel.answers += 1;
            if panel.damage.is_some_and(|nth| panel.answers.is_multiple_of(nth)) {
                let at = panel.answers as usize % answer.len();
                answer[at] ^= 0x10;
            } else if panel.damage.is_some() {
                answer.splice(0..0, [0x5f, 0x03, 0xff]);
            }
            panel.outgoing.extend(answer);
        }
        let outgoing = std::mem::take(&mut panel.outgoing);
        drop(panel);
        // In pieces, as adapters give them.
        for piece in outgoing.chunks(3) {
            let _ = port.write_all(piece);
        }
    }
}

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
    panel.panel().heard.clear();
    rig.show(["ON AIR  00:12:35", "4.0 Mbit/s", "Zürich", "[####----]"]);
    panel.shows(0, "ON AIR  00:12:35");
    let text: Vec<_> = panel.panel().heard.iter().filter(|(number, _)| *number == 31).cloned().collect();
    // The whole is sent again now and then, and this may be such a moment.
    assert!(text.len() >= 4 || text == [(31, vec![15, 0, b'5'])], "{text:?}");
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
