//! The program as an MPEG transport stream, as SRT carries it (pure; ISO/IEC 13818-1, which is ITU-T H.222.0).
//!
//! One programme: tables, pictures with the clock, sound. Positions in the stream are told by the clock, which is the
//! latest capture time seen; so the tables and clocks that a receiver has to find in time are placed by the media itself.

mod packet;

use crate::{
    access_unit::{AccessUnit, FRAME_SAMPLES, SAMPLE_RATE, Track},
    settings::Codec,
    units::Time,
};
use packet::{AUDIO, Mark, Packets, VIDEO};

/// Times here are in nanoseconds.
const MS: u64 = 1_000_000;
/// Stamp of the first unit, so that the clock and late sound have room before it.
const START: u64 = 1_000 * MS;
/// How far the clock is behind the pictures' stamps: time for a large picture to pass, and for sound that comes late.
const LEAD: u64 = 300 * MS;
/// The clock is told at least this often (2.7.2 asks for 100 ms, DVB recommends 40 ms).
const CLOCK: u64 = 40 * MS;
/// The tables are told at least this often (ETSI TR 101 290 asks for 500 ms; players join the faster), and not much more.
const TABLES: u64 = 100 * MS;
const TABLES_AGAIN: u64 = 80 * MS;
/// A longer pause, such as pictures that were dropped, is told as a jump of the clock.
const PAUSE: u64 = 1_000 * MS;
/// Length of a frame of sound.
const FRAME: u64 = FRAME_SAMPLES * 1_000 * MS / SAMPLE_RATE;
/// How exactly a frame of sound has to follow the one before to share its stamp.
const FOLLOWS: u64 = 2 * MS;
/// How long one frame of sound waits for another, which comes after 21 ms if all is well.
const WAIT: u64 = 40 * MS;
/// Largest AAC frame whose length with its header of 7 bytes fits into 13 bits (ISO/IEC 14496-3 1.A.2.2).
const AAC_MAX: usize = (1 << 13) - 1 - ADTS;
const ADTS: usize = 7;

/// Muxes the program into MPEG-TS (ISO/IEC 13818-1).
///
/// Decoding and presentation time are one. Stamps begin at 1 s with the first unit and wrap after 26.5 hours. Sound may come
/// up to 250 ms behind the pictures; its frames go out in pairs, which halves what their packets waste.
#[derive(Debug)]
pub struct Muxer {
    codec: Codec,
    packets: Packets,
    first: Option<Time>,
    /// The latest unit, in stream time: nanoseconds, [`START`] at the first unit.
    latest: u64,
    /// When the clock and the tables were told last.
    clock: u64,
    tables: u64,
    /// Sound that waits for a second frame.
    sound: Option<Sound>,
    /// The elementary stream packet in work; kept for its room.
    pes: Vec<u8>,
}

#[derive(Debug)]
struct Sound {
    /// Stream time of the first frame, and of the latest unit when it came.
    time: u64,
    came: u64,
    /// ADTS.
    frames: Vec<u8>,
}

impl Muxer {
    /// For pictures in `codec`.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            packets: Packets::new(codec),
            first: None,
            latest: 0,
            clock: 0,
            tables: 0,
            sound: None,
            pes: Vec::new(),
        }
    }

    /// Appends the packets of `unit` (188 bytes each) to `out`. A frame of sound may wait for the next unit; one that is
    /// empty or longer than 8184 bytes, which no encoder gives, cannot be expressed and is left out.
    pub fn write(&mut self, unit: &AccessUnit, out: &mut Vec<u8>) {
        let time = self.stream_time(unit.time, out);
        self.advance(time, out);
        match unit.track {
            Track::Video => self.picture(time, unit, out),
            Track::Audio => self.sound(time, &unit.data, out),
        }
    }

    /// Begins the stream with its first unit.
    fn stream_time(&mut self, time: Time, out: &mut Vec<u8>) -> u64 {
        let first = self.first.unwrap_or_else(|| {
            self.tell_tables(START, out);
            self.tell_clock(START, false, out);
            time
        });
        self.first = Some(first);
        (START + time.nanos()).saturating_sub(first.nanos())
    }

    /// Tells clock and tables as they are due until `time`.
    fn advance(&mut self, time: u64, out: &mut Vec<u8>) {
        if time > self.clock + PAUSE {
            self.flush(out);
            self.tell_clock(time, true, out);
            self.tell_tables(time, out);
        }
        loop {
            let due = (self.clock + CLOCK).min(self.tables + TABLES);
            if time <= due {
                break;
            }
            if due == self.tables + TABLES {
                self.tell_tables(due, out);
            }
            self.tell_clock(due, false, out);
        }
        if time >= self.tables + TABLES_AGAIN {
            self.tell_tables(time, out);
        }
        if self.sound.as_ref().is_some_and(|sound| time > sound.came + WAIT) {
            self.flush(out);
        }
        self.latest = self.latest.max(time);
    }

    fn tell_clock(&mut self, time: u64, jump: bool, out: &mut Vec<u8>) {
        self.clock = time;
        self.packets.clock(pcr(time), jump, out);
    }

    fn tell_tables(&mut self, time: u64, out: &mut Vec<u8>) {
        self.tables = time;
        self.packets.tables(out);
    }

    fn picture(&mut self, time: u64, unit: &AccessUnit, out: &mut Vec<u8>) {
        if unit.key && time != self.tables {
            self.tell_tables(time.max(self.tables), out);
        }
        // Length 0: until the next one begins, which only pictures may say.
        pes_header(&mut self.pes, 0xe0, 0, time);
        annex_b(self.codec, &unit.data, &mut self.pes);
        // Told already by sound that came before it.
        let ahead = time > self.clock;
        let mark = Mark { pcr: ahead.then(|| pcr(time)), random_access: unit.key, jump: false };
        self.clock = self.clock.max(time);
        self.packets.pes(VIDEO, mark, &self.pes, out);
    }

    fn sound(&mut self, time: u64, frame: &[u8], out: &mut Vec<u8>) {
        if !(1..=AAC_MAX).contains(&frame.len()) {
            return;
        }
        let header = adts(frame.len());
        if let Some(sound) = &mut self.sound {
            if time.abs_diff(sound.time + FRAME) <= FOLLOWS {
                sound.frames.extend_from_slice(&header);
                sound.frames.extend_from_slice(frame);
                return self.flush(out);
            }
            self.flush(out);
        }
        self.sound = Some(Sound { time, came: self.latest, frames: [&header, frame].concat() });
    }

    /// Sends the sound that waits.
    fn flush(&mut self, out: &mut Vec<u8>) {
        if let Some(Sound { time, frames, .. }) = self.sound.take() {
            pes_header(&mut self.pes, 0xc0, frames.len(), time);
            self.pes.extend_from_slice(&frames);
            self.packets.pes(AUDIO, Mark::default(), &self.pes, out);
        }
    }
}

/// Programme clock at `time`, in units of 27 MHz.
fn pcr(time: u64) -> u64 {
    time.saturating_sub(LEAD) * 27 / 1_000
}

/// Begins the packetized elementary stream packet of `stream` with `length` bytes that are presented at `time`; 0: not told
/// (2.4.3.6).
fn pes_header(pes: &mut Vec<u8>, stream: u8, length: usize, time: u64) {
    // Flags, stamps and their length.
    const REST: usize = 8;
    let length = if length == 0 { 0 } else { length + REST } as u16;
    let stamp = time * 9 / 100_000;
    let [high, low] = length.to_be_bytes();
    pes.clear();
    // The payload begins with an access unit, and a presentation time follows.
    pes.extend([0, 0, 1, stream, high, low, 0x84, 0x80, 5]);
    // '0010', then 3, 15 and 15 bits, each closed by a set bit.
    pes.push(0x21 | (stamp >> 29) as u8 & 0x0e);
    pes.extend(((stamp >> 14) as u16 | 1).to_be_bytes());
    pes.extend(((stamp << 1) as u16 | 1).to_be_bytes());
}

/// Appends NAL units as a byte stream (annex B of H.264 and HEVC), the delimiter first, as transport streams ask (2.14.1,
/// 2.17.1).
fn annex_b(codec: Codec, mut unit: &[u8], out: &mut Vec<u8>) {
    // Any kind of slices may follow.
    let delimiter: &[u8] = match codec {
        Codec::H264 => &[0x09, 0xf0],
        Codec::Hevc => &[0x46, 0x01, 0x50],
    };
    let is_delimiter = |first: u8| match codec {
        Codec::H264 => first & 0x1f == 9,
        Codec::Hevc => first >> 1 & 0x3f == 35,
    };
    let mut push = |nal: &[u8]| {
        out.extend([0, 0, 0, 1]);
        out.extend_from_slice(nal);
    };
    push(delimiter);
    while let Some((length, rest)) = unit.split_first_chunk::<4>() {
        let Some((nal, rest)) = rest.split_at_checked(u32::from_be_bytes(*length) as usize) else { break };
        if nal.first().is_some_and(|&first| !is_delimiter(first)) {
            push(nal);
        }
        unit = rest;
    }
}

/// Header of a frame of `length` bytes: MPEG-4, no CRC, AAC-LC, 48 kHz, stereo, variable rate (ISO/IEC 14496-3 1.A.2.2).
fn adts(length: usize) -> [u8; ADTS] {
    let length = (length + ADTS) as u16;
    let [high, low] = (length << 5 | 0x1f).to_be_bytes();
    [0xff, 0xf1, 0x4c, 0x80 | (length >> 11) as u8, high, low, 0xfc]
}

#[cfg(test)]
mod tests;
