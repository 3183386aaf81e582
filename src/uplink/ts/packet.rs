//! Packets of 188 bytes (ISO/IEC 13818-1 2.4.3) and the tables (2.4.4) that say what is in them.

use crate::settings::Codec;

/// Length of a packet, in bytes.
pub const PACKET: usize = 188;
/// Programme association table (2.4.4.4).
const PAT: u16 = 0;
/// Programme map table (2.4.4.9): any number that no table of the standards or of DVB has.
const PMT: u16 = 0x1000;
/// Pictures, and the programme clock.
pub const VIDEO: u16 = 0x100;
/// Sound.
pub const AUDIO: u16 = 0x101;
/// The only programme.
const PROGRAM: u16 = 1;
/// Where the payload begins in a packet that has nothing else.
const HEADER: usize = 4;
/// Flags of the adaptation field (2.4.3.5).
const DISCONTINUITY: u8 = 0x80;
const RANDOM_ACCESS: u8 = 0x40;
const HAS_PCR: u8 = 0x10;

/// What is told of a packet beside its payload.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark {
    /// Programme clock in units of 27 MHz, not yet wrapped.
    pub pcr: Option<u64>,
    /// Decoding can start here.
    pub random_access: bool,
    /// The programme clock did not run on to this packet but jumped.
    pub jump: bool,
}

/// Continuity counter of one PID: that of the last packet with a payload.
#[derive(Debug)]
struct Counter(u8);

/// Writes packets, and counts them for each PID.
#[derive(Debug)]
pub struct Packets {
    tables: [(u16, Vec<u8>, Counter); 2],
    video: Counter,
    audio: Counter,
}

impl Packets {
    /// Of a program with pictures in `codec` and AAC.
    pub fn new(codec: Codec) -> Self {
        let start = || Counter(15);
        Self { tables: [(PAT, pat(), start()), (PMT, pmt(codec), start())], video: start(), audio: start() }
    }

    /// Both tables, a packet each.
    pub fn tables(&mut self, out: &mut Vec<u8>) {
        for (pid, section, counter) in &mut self.tables {
            let end = out.len() + PACKET;
            // The pointer: the section begins at once. What is left after it has to be 0xff.
            header(out, *pid, true, 1, counter.next());
            out.push(0);
            out.extend_from_slice(section);
            out.resize(end, 0xff);
        }
    }

    /// A packet of the video PID that has a clock and nothing else. It does not count.
    pub fn clock(&mut self, pcr: u64, jump: bool, out: &mut Vec<u8>) {
        header(out, VIDEO, false, 2, self.video.0);
        adaptation(out, Mark { pcr: Some(pcr), random_access: false, jump }, PACKET - HEADER);
    }

    /// A packetized elementary stream packet: of `pid`, which is [`VIDEO`] or [`AUDIO`], `mark` going with its beginning.
    pub fn pes(&mut self, pid: u16, mark: Mark, mut pes: &[u8], out: &mut Vec<u8>) {
        let counter = if pid == VIDEO { &mut self.video } else { &mut self.audio };
        let (mut mark, mut first) = (mark, true);
        while !pes.is_empty() {
            let needed = mark.length();
            let payload = pes.len().min(PACKET - HEADER - needed);
            let field = PACKET - HEADER - payload;
            header(out, pid, first, if field > 0 { 3 } else { 1 }, counter.next());
            adaptation(out, mark, field);
            out.extend_from_slice(&pes[..payload]);
            (pes, mark, first) = (&pes[payload..], Mark::default(), false);
        }
    }
}

impl Counter {
    fn next(&mut self) -> u8 {
        self.0 = (self.0 + 1) & 15;
        self.0
    }
}

impl Mark {
    fn flags(self) -> u8 {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        flag(self.jump, DISCONTINUITY) | flag(self.random_access, RANDOM_ACCESS) | flag(self.pcr.is_some(), HAS_PCR)
    }

    /// Bytes that it takes in a packet.
    fn length(self) -> usize {
        match (self.flags(), self.pcr) {
            (0, _) => 0,
            (_, None) => 2,
            (_, Some(_)) => 8,
        }
    }
}

/// `content`: 1 is payload, 2 an adaptation field, 3 both.
fn header(out: &mut Vec<u8>, pid: u16, start: bool, content: u8, counter: u8) {
    let [high, low] = pid.to_be_bytes();
    out.extend([0x47, high | u8::from(start) << 6, low, content << 4 | counter]);
}

/// An adaptation field that takes `length` bytes with its own length byte; the stuffing is in it.
fn adaptation(out: &mut Vec<u8>, mark: Mark, length: usize) {
    let end = out.len() + length;
    if length > 0 {
        out.push((length - 1) as u8);
    }
    if length > 1 {
        out.push(mark.flags());
        if let Some(pcr) = mark.pcr {
            let (base, extension) = (pcr / 300 % (1 << 33), pcr % 300);
            // 33 bits, 6 reserved, 9 bits (2.4.3.5).
            out.extend_from_slice(&(base << 15 | 0x3f << 9 | extension).to_be_bytes()[2..]);
        }
        out.resize(end, 0xff);
    }
}

fn pat() -> Vec<u8> {
    let [high, low] = PROGRAM.to_be_bytes();
    section(0, 1, &[high, low, 0xe0 | (PMT >> 8) as u8, PMT as u8])
}

fn pmt(codec: Codec) -> Vec<u8> {
    // Stream types of table 2-34; sound is AAC in ADTS.
    let video = match codec {
        Codec::H264 => 0x1b,
        Codec::Hevc => 0x24,
    };
    // PID of the clock, no descriptors; each stream with its PID and no descriptors.
    let mut body = [&pid13(VIDEO)[..], &[0xf0, 0]].concat();
    for (kind, pid) in [(video, VIDEO), (0x0f, AUDIO)] {
        let [high, low] = pid13(pid);
        body.extend([kind, high, low, 0xf0, 0]);
    }
    section(2, PROGRAM, &body)
}

/// A PID after three reserved bits.
fn pid13(pid: u16) -> [u8; 2] {
    (0xe000 | pid).to_be_bytes()
}

/// A table of one section, version 0, in force now (2.4.4.3).
fn section(table: u8, id: u16, body: &[u8]) -> Vec<u8> {
    let length = 5 + body.len() + 4;
    let [high, low] = id.to_be_bytes();
    let mut section = vec![table, 0xb0 | (length >> 8) as u8, length as u8, high, low, 0xc1, 0, 0];
    section.extend_from_slice(body);
    section.extend(crc32(&section).to_be_bytes());
    section
}

/// The CRC of annex A: the divisor of Ethernet's, bits neither mirrored nor inverted.
fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_that_of_the_standard() {
        // The catalogue's check value of CRC-32/MPEG-2.
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn tables_have_the_bytes_of_the_standard() {
        assert_eq!(pat()[..12], [0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0]);
        assert_eq!(pmt(Codec::H264)[..12], [2, 0xb0, 23, 0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0]);
        assert_eq!(pmt(Codec::H264)[12..22], [0x1b, 0xe1, 0, 0xf0, 0, 0x0f, 0xe1, 1, 0xf0, 0]);
        assert_eq!(pmt(Codec::Hevc)[12], 0x24);
        for table in [pat(), pmt(Codec::H264), pmt(Codec::Hevc)] {
            assert_eq!(crc32(&table), 0, "over a section and its CRC");
        }
    }
}
