//! The panel's packets, without any port: command, length, data, check (CFA635 data sheet, "Packet Structure").

use crate::board::KeypadKey;

/// Most data bytes of a packet.
pub const MOST: usize = 22;

/// Command, length and check around the data.
const AROUND: usize = 4;

/// What is sent to the panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Nothing: is it there?
    Ping,
    /// The cursor's style; 0: none.
    Cursor(u8),
    /// Brightness of the light, 0 to 100 %.
    Brightness(u8),
    /// Which keys tell of presses and of releases: a bit each.
    Report(u8),
    /// Which keys are down?
    Keys,
    /// Characters of the panel's own set from this column and row on.
    Text {
        /// 0 to 19.
        column: u8,
        /// 0 to 3.
        row: u8,
        /// At least one, at most what fits into the row.
        codes: Vec<u8>,
    },
    /// An output pin, which lights a lamp: 0 to 100 %.
    Output {
        /// 5 to 12 are lamps.
        pin: u8,
        /// How bright.
        percent: u8,
    },
}

impl Command {
    /// The command's number.
    pub fn number(&self) -> u8 {
        match self {
            Self::Ping => 0,
            Self::Cursor(_) => 12,
            Self::Brightness(_) => 14,
            Self::Report(_) => 23,
            Self::Keys => 24,
            Self::Text { .. } => 31,
            Self::Output { .. } => 34,
        }
    }

    /// The bytes to send.
    pub fn packet(&self) -> Vec<u8> {
        let data = match self {
            Self::Ping | Self::Keys => Vec::new(),
            Self::Cursor(value) | Self::Brightness(value) => vec![*value],
            Self::Report(mask) => vec![*mask, *mask],
            Self::Text { column, row, codes } => [&[*column, *row], codes.as_slice()].concat(),
            Self::Output { pin, percent } => vec![*pin, *percent],
        };
        packet(self.number(), &data)
    }
}

/// A packet's bytes; `data` is at most [`MOST`] long.
pub(super) fn packet(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, data.len() as u8];
    bytes.extend(data);
    let check = check(&bytes);
    bytes.extend(check.to_le_bytes());
    bytes
}

/// CRC-16 of the panel: polynomial 0x1021 reflected, begun and ended with all ones.
fn check(bytes: &[u8]) -> u16 {
    !bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x8408 } else { crc >> 1 })
    })
}

/// What the panel sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The command of this number was done; with what it asked for.
    Done(u8, Vec<u8>),
    /// The command of this number was understood and refused.
    Refused(u8),
    /// A key went down or up.
    Key(KeypadKey, bool),
    /// A report that nobody asked for, such as a temperature.
    Other,
}

/// The keys in the order of their numbers in reports, each with its bit in masks.
pub const KEYS: [(KeypadKey, u8); 6] = [
    (KeypadKey::Up, 1),
    (KeypadKey::Down, 32),
    (KeypadKey::Left, 8),
    (KeypadKey::Right, 16),
    (KeypadKey::Enter, 2),
    (KeypadKey::Exit, 4),
];

impl Heard {
    fn new(kind: u8, data: &[u8]) -> Self {
        match (kind >> 6, kind & 0x3f, data) {
            (1, number, data) => Self::Done(number, data.to_vec()),
            (3, number, _) => Self::Refused(number),
            (_, 0, [number @ 1..=12]) => {
                let index = usize::from(*number - 1);
                Self::Key(KEYS[index % KEYS.len()].0, index < KEYS.len())
            }
            _ => Self::Other,
        }
    }
}

/// Finds packets in the bytes that come from a port, in pieces of any size, and passes over what is none.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Begins with what may become a packet; shorter than the longest one between calls.
    bytes: Vec<u8>,
    damaged: u64,
}

impl Decoder {
    /// The packets that `bytes` completes.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Heard> {
        let mut heard = Vec::new();
        for byte in bytes {
            self.bytes.push(*byte);
            self.scan(&mut heard);
        }
        heard
    }

    /// The panel has been silent for so long that what is incomplete stays so: packets in the midst of it.
    pub fn silence(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        while !self.bytes.is_empty() {
            self.bytes.remove(0);
            self.damaged += 1;
            self.scan(&mut heard);
        }
        heard
    }

    /// Whether a packet may have begun.
    pub fn is_waiting(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Bytes that were in no packet.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    fn scan(&mut self, heard: &mut Vec<Heard>) {
        loop {
            let length = match self.bytes.as_slice() {
                [] => return,
                // Without one of the top bits it is no packet of a panel's.
                [0..0x40, ..] => None,
                [_] => return,
                [_, length, ..] => Some(usize::from(*length)).filter(|length| *length <= MOST),
            };
            match length {
                Some(length) if self.bytes.len() < length + AROUND => return,
                Some(length)
                    if check(&self.bytes[..length + 2]).to_le_bytes() == self.bytes[length + 2..length + 4] =>
                {
                    heard.push(Heard::new(self.bytes[0], &self.bytes[2..length + 2]));
                    self.bytes.drain(..length + AROUND);
                }
                _ => {
                    self.bytes.remove(0);
                    self.damaged += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_are_those_of_the_data_sheet() {
        // The check value of CRC-16/X-25 and the data sheet's ping.
        assert_eq!(check(b"123456789"), 0x906e);
        assert_eq!(Command::Ping.packet(), [0, 0, 0x47, 0x0f]);
        let text = Command::Text { column: 3, row: 1, codes: b"ON AIR".to_vec() }.packet();
        assert_eq!(text[..10], *b"\x1f\x08\x03\x01ON AIR");
        assert_eq!(Command::Report(0x3f).packet()[..4], [23, 2, 0x3f, 0x3f]);
        assert_eq!(Command::Output { pin: 12, percent: 100 }.packet()[..4], [34, 2, 12, 100]);
    }

    #[test]
    fn answers_reports_and_refusals_are_told_apart() {
        let heard = |kind, data: &[u8]| Decoder::default().feed(&packet(kind, data));
        assert_eq!(heard(0x40 | 24, &[1, 2, 3]), [Heard::Done(24, vec![1, 2, 3])]);
        assert_eq!(heard(0xc0 | 31, &[]), [Heard::Refused(31)]);
        assert_eq!(heard(0x80, &[1]), [Heard::Key(KeypadKey::Up, true)]);
        assert_eq!(heard(0x80, &[6]), [Heard::Key(KeypadKey::Exit, true)]);
        assert_eq!(heard(0x80, &[7]), [Heard::Key(KeypadKey::Up, false)]);
        assert_eq!(heard(0x80, &[12]), [Heard::Key(KeypadKey::Exit, false)]);
        for data in [&[0][..], &[13], &[], &[1, 1]] {
            assert_eq!(heard(0x80, data), [Heard::Other]);
        }
        assert_eq!(heard(0x82, &[0, 1, 2, 3]), [Heard::Other]);
        assert_eq!(heard(31, b"\0\0what a host sends"), []);
    }

    fn panel() -> impl Strategy<Value = Vec<u8>> {
        (0x40u8.., prop::collection::vec(any::<u8>(), 0..=MOST)).prop_map(|(kind, data)| packet(kind, &data))
    }

    /// All that a port may deliver: packets whole, cut and changed, and noise.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let changed = (panel(), any::<prop::sample::Index>(), 1u8..).prop_map(|(mut bytes, at, bits)| {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
            bytes
        });
        let cut = (panel(), any::<prop::sample::Index>()).prop_map(|(mut bytes, at)| {
            bytes.remove(at.index(bytes.len()));
            bytes
        });
        let noise = prop::collection::vec(any::<u8>(), 0..40);
        prop::collection::vec(prop_oneof![3 => panel(), 1 => changed, 1 => cut, 1 => noise], 0..12)
            .prop_map(|pieces| pieces.concat())
    }

    /// What a reader who has everything before him finds: the first packet, and on from its end.
    fn read(bytes: &[u8]) -> (Vec<Heard>, u64) {
        let (mut heard, mut damaged, mut at) = (Vec::new(), 0, 0);
        while at < bytes.len() {
            let rest = &bytes[at..];
            let length = rest.get(1).map_or(0, |length| usize::from(*length) + AROUND);
            let whole = rest[0] >= 0x40 && (AROUND..=MOST + AROUND).contains(&length) && rest.len() >= length;
            if whole && packet(rest[0], &rest[2..length - 2]) == rest[..length] {
                heard.push(Heard::new(rest[0], &rest[2..length - 2]));
                at += length;
            } else {
                damaged += 1;
                at += 1;
            }
        }
        (heard, damaged)
    }

    proptest! {
        #[test]
        fn every_packet_is_found_however_the_bytes_are_cut(bytes in stream(), pieces in prop::collection::vec(1usize..30, 1..40)) {
            let mut decoder = Decoder::default();
            let mut heard = Vec::new();
            let mut rest = bytes.as_slice();
            for piece in pieces.iter().cycle() {
                let (now, later) = rest.split_at((*piece).min(rest.len()));
                heard.extend(decoder.feed(now));
                prop_assert!(decoder.bytes.len() < MOST + AROUND);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            heard.extend(decoder.silence());
            prop_assert!(!decoder.is_waiting());
            prop_assert_eq!((heard, decoder.damaged()), read(&bytes));
        }

        /// A damaged packet costs itself: what comes after the silence behind it is heard.
        #[test]
        fn a_changed_bit_costs_one_packet(
            before in panel(), hit in panel(), after in panel(), at in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            let mut broken = hit.clone();
            broken[at.index(hit.len())] ^= 1 << bit;
            let good = |bytes: &[u8]| Decoder::default().feed(bytes);
            // A damaged length may make another packet of the pieces: one in 65536, and then nobody could tell.
            prop_assume!(read(&broken).0.is_empty());
            let mut decoder = Decoder::default();
            prop_assert_eq!(decoder.feed(&before), good(&before));
            decoder.feed(&broken);
            prop_assert!(decoder.silence().is_empty());
            prop_assert_eq!(decoder.feed(&after), good(&after));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut decoder = Decoder::default();
            decoder.feed(&bytes);
            prop_assert!(decoder.bytes.len() < MOST + AROUND);
        }
    }
}
