//! A stand-in for a CFA635 on a pseudo-terminal, which reads the bytes into text and lamps, answers, has keys, and can
//! damage what it sends, fall silent, lose its power and be unplugged.

use super::now;
use serialport::TTYPort;
use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Waits, up to a generous limit, for what another thread does.
pub fn soon(what: &str, holds: impl Fn() -> bool) {
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
pub struct Panel {
    pub text: [[u8; 20]; 4],
    /// Output pins in percent; 5 to 12 are lamps.
    pub outputs: [u8; 13],
    pub brightness: u8,
    /// Which keys report presses and releases.
    pub masks: [u8; 2],
    /// Which keys are down, by their bits.
    down: u8,
    /// Commands as they came: number and data.
    pub heard: Vec<(u8, Vec<u8>)>,
    /// What is sent beside answers.
    outgoing: Vec<u8>,
    /// Answers nothing.
    pub silent: bool,
    /// Damages every n-th answer, and puts noise before others.
    pub damage: Option<u64>,
    answers: u64,
    unplugged: bool,
}

impl Panel {
    /// As it is when it gets power.
    pub fn new() -> Self {
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

    pub fn row(&self, row: usize) -> String {
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
    pub fn key(&mut self, number: u8, pressed: bool, lost: bool) {
        let bit = [1, 32, 8, 16, 2, 4][usize::from(number - 1)];
        self.down = if pressed { self.down | bit } else { self.down & !bit };
        if !lost && self.masks[usize::from(!pressed)] & bit != 0 {
            self.outgoing.extend(packet(0x80, &[if pressed { number } else { number + 6 }]));
        }
    }
}

/// A panel on a pseudo-terminal, behind a link as udev makes one.
pub struct StandIn {
    link: PathBuf,
    panel: Arc<Mutex<Panel>>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    pub fn plug(link: &Path) -> Self {
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

    pub fn panel(&self) -> MutexGuard<'_, Panel> {
        self.panel.lock().expect("no panic in the stand-in")
    }

    pub fn shows(&self, row: usize, text: &str) {
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
