//! A transport stream taken apart by the words of the standard, with what it asks held by assertions.

use super::super::{
    CLOCK, START, TABLES,
    packet::{AUDIO, PACKET, VIDEO},
};
use crate::access_unit::AAC_CONFIG;
use std::collections::BTreeMap;

/// The stamps of 33 bits and 90 kHz begin again.
pub const WRAP: u64 = 1 << 33;
/// The same for the clock of 27 MHz.
const CLOCK_WRAP: u64 = WRAP * 300;

/// What a packet says.
#[derive(Debug)]
pub struct Packet<'a> {
    pub pid: u16,
    pub start: bool,
    counter: u8,
    pub pcr: Option<u64>,
    random_access: bool,
    jump: bool,
    /// None: an adaptation field only.
    pub payload: Option<&'a [u8]>,
}

pub fn packet(bytes: &[u8]) -> Packet<'_> {
    assert_eq!((bytes.len(), bytes[0]), (PACKET, 0x47));
    assert_eq!((bytes[1] & 0xa0, bytes[3] & 0xc0), (0, 0), "no error, no priority, not scrambled");
    let mut packet = Packet {
        pid: u16::from_be_bytes([bytes[1] & 0x1f, bytes[2]]),
        start: bytes[1] & 0x40 != 0,
        counter: bytes[3] & 15,
        pcr: None,
        random_access: false,
        jump: false,
        payload: None,
    };
    let mut rest = &bytes[4..];
    if bytes[3] & 0x20 != 0 {
        let (field, after) = rest[1..].split_at(rest[0].into());
        if let Some((&flags, mut field)) = field.split_first() {
            assert_eq!(flags & !0xd0, 0, "flags of what is not there");
            (packet.jump, packet.random_access) = (flags & 0x80 != 0, flags & 0x40 != 0);
            if flags & 0x10 != 0 {
                let (pcr, after) = field.split_first_chunk::<6>().expect("a clock");
                let bits = pcr.iter().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
                assert_eq!(bits >> 9 & 0x3f, 0x3f, "reserved");
                assert!(bits & 0x1ff < 300);
                packet.pcr = Some((bits >> 15) * 300 + (bits & 0x1ff));
                field = after;
            }
            assert!(field.iter().all(|&byte| byte == 0xff), "stuffing");
        }
        rest = after;
    }
    packet.payload = (bytes[3] & 0x10 != 0).then_some(rest);
    assert_eq!(packet.payload.is_some(), !rest.is_empty());
    packet
}

/// A table's number and body, from a packet that has it whole.
fn section(payload: &[u8]) -> (u8, Vec<u8>) {
    assert_eq!(payload[0], 0);
    let length = usize::from(u16::from_be_bytes([payload[2], payload[3]]) & 0xfff);
    let (section, filling) = payload[1..].split_at(3 + length);
    assert!(filling.iter().all(|&byte| byte == 0xff));
    // Over the section with its CRC, the rest of the long division is nothing; here bit by bit, as on paper.
    let mut rest = u32::MAX;
    for bit in section.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)) {
        let over = (rest >> 31) as u8 ^ bit;
        rest = (rest << 1) ^ if over == 1 { 0x04c1_1db7 } else { 0 };
    }
    assert_eq!(rest, 0, "CRC");
    (section[0], section[8..section.len() - 4].to_vec())
}

/// Stamp and payload of a whole packetized elementary stream packet.
pub fn presented(stream: u8, pes: &[u8]) -> (u64, Vec<u8>) {
    assert_eq!(pes[..4], [0, 0, 1, stream]);
    let length = usize::from(u16::from_be_bytes([pes[4], pes[5]]));
    assert!(length == pes.len() - 6 || length == 0 && stream == 0xe0, "{length} of {}", pes.len());
    assert_eq!(pes[6..9], [0x84, 0x80, 5]);
    let stamp = &pes[9..14];
    assert_eq!((stamp[0] & 0xf1, stamp[2] & 1, stamp[4] & 1), (0x21, 1, 1));
    let of = |byte: u8, up: u32| u64::from(byte >> 1) << up;
    let pts = u64::from(stamp[0] >> 1 & 7) << 30
        | u64::from(stamp[1]) << 22
        | of(stamp[2], 15)
        | u64::from(stamp[3]) << 7
        | of(stamp[4], 0);
    (pts, pes[14..].to_vec())
}

/// Reads what a muxer writes, unit by unit, and holds it to the standard.
#[derive(Default)]
pub struct Demuxer {
    counters: BTreeMap<u16, u8>,
    /// The clock as it was told last, and what it would be if it did not wrap.
    pcr: Option<u64>,
    run: u64,
    /// Packets with the clock that followed on the one before, and the jumps.
    pub clocks: usize,
    pub jumps: usize,
    /// Stream time, in nanoseconds, of the latest unit and of the latest tables.
    latest: u64,
    tables: Option<u64>,
    streams: [Vec<Vec<u8>>; 2],
    /// For each picture, whether it can be decoded from there and whether the tables came before it.
    pub access: Vec<(bool, bool)>,
    pub map: Vec<u8>,
    /// Whether the tables came since the last picture.
    told: bool,
}

impl Demuxer {
    /// `time` is the stream time of the unit that was written.
    pub fn read(&mut self, time: u64, bytes: &[u8]) {
        assert_eq!(bytes.len() % PACKET, 0);
        self.latest = self.latest.max(time);
        let packets: Vec<Packet> = bytes.chunks(PACKET).map(packet).collect();
        let jumps = self.jumps;
        for (index, packet) in packets.iter().enumerate() {
            let last = self.counters.insert(packet.pid, packet.counter);
            let step = u8::from(packet.payload.is_some());
            assert!(last.is_none_or(|last| (last + step) & 15 == packet.counter), "continuity of {packet:?}");
            assert!(packet.pcr.is_none() || packet.pid == VIDEO);
            if let Some(pcr) = packet.pcr {
                self.clock(pcr, packet.jump);
            }
            match (packet.pid, packet.payload) {
                (0, Some(payload)) => {
                    assert!(packet.start);
                    assert_eq!(section(payload), (0, vec![0, 1, 0xf0, 0]));
                }
                (0x1000, Some(payload)) => {
                    let (table, body) = section(payload);
                    assert_eq!((packet.start, table, packets[index - 1].pid), (true, 2, 0));
                    self.map = body;
                    self.told = true;
                    // The clock that follows says where in the stream they are.
                    let next = packets[index..].iter().find_map(|packet| packet.pcr);
                    self.tables_at(
                        next.map_or(self.latest, |pcr| START + (self.run + self.since_last(pcr)) * 1_000 / 27),
                        jumps,
                    );
                }
                (VIDEO | AUDIO, Some(payload)) => {
                    let stream = &mut self.streams[usize::from(packet.pid == AUDIO)];
                    if packet.start {
                        stream.push(Vec::new());
                    }
                    stream.last_mut().expect("a beginning").extend_from_slice(payload);
                    if packet.start && packet.pid == VIDEO {
                        self.access.push((packet.random_access, std::mem::take(&mut self.told)));
                    }
                }
                (pid, payload) => assert_eq!((pid, payload), (VIDEO, None)),
            }
        }
        let tables = self.tables.expect("tables first");
        assert!(self.latest <= tables + TABLES);
    }

    /// How far `pcr` is after the clock before it.
    fn since_last(&self, pcr: u64) -> u64 {
        (pcr + CLOCK_WRAP - self.pcr.unwrap_or(pcr)) % CLOCK_WRAP
    }

    fn clock(&mut self, pcr: u64, jump: bool) {
        let step = self.since_last(pcr);
        assert!(self.pcr.is_none() || step > 0 && (jump || step < CLOCK_WRAP / 2), "{:?} then {pcr}", self.pcr);
        assert!(jump || step <= CLOCK * 27 / 1_000 + 1, "{} ms", step / 27_000);
        self.pcr = Some(pcr);
        // The stamp says it, modulo what a wrap hides.
        self.run = if jump { (self.latest - START) * 27 / 1_000 } else { self.run + step };
        self.clocks += 1;
        self.jumps += usize::from(jump);
    }

    fn tables_at(&mut self, time: u64, jumps: usize) {
        let jumped = self.jumps > jumps;
        assert!(
            self.tables.is_none_or(|last| jumped || time <= last + TABLES + 1_000),
            "{:?} then {time}",
            self.tables
        );
        self.tables = Some(time);
    }

    pub fn pictures(&self) -> Vec<(u64, Vec<u8>)> {
        self.streams[0].iter().map(|pes| presented(0xe0, pes)).collect()
    }

    /// Stamp and frames of each packet.
    pub fn sound(&self) -> Vec<(u64, Vec<Vec<u8>>)> {
        let frames = |mut adts: &[u8]| {
            let mut frames = Vec::new();
            while !adts.is_empty() {
                let length = usize::from(adts[3] & 3) << 11 | usize::from(adts[4]) << 3 | usize::from(adts[5] >> 5);
                // Object type less one, sampling frequency, channels: as AudioSpecificConfig has them.
                let (kind, rate) = (adts[2] >> 6, adts[2] >> 2 & 15);
                let channels = (adts[2] & 1) << 2 | adts[3] >> 6;
                assert_eq!([(kind + 1) << 3 | rate >> 1, rate << 7 | channels << 3], AAC_CONFIG);
                assert_eq!((adts[0], adts[1], adts[5] & 0x1f, adts[6]), (0xff, 0xf1, 0x1f, 0xfc));
                frames.push(adts[7..length].to_vec());
                adts = &adts[length..];
            }
            frames
        };
        let packets = self.streams[1].iter().map(|pes| presented(0xc0, pes));
        packets.map(|(pts, adts)| (pts, frames(&adts))).collect()
    }
}
