//! The colour description in an H.264 sequence parameter set (pure; ITU-T H.264 7.3.2.1.1 and E.1.1).
//!
//! Some encoders (openh264, drivers of small boards) do not say which matrix and range their pictures have, and players
//! then guess. What they leave out is written in here.

/// How sample values become colours, as code points of ISO/IEC 23091-2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    /// Whether luma goes from 0 to 255 and not from 16 to 235.
    pub full_range: bool,
    /// Code point of the primaries.
    pub primaries: u8,
    /// Code point of the transfer characteristics.
    pub transfer: u8,
    /// Code point of the matrix coefficients.
    pub matrix: u8,
}

/// The SPS NAL unit `nal` with `colour` described in it; none when it describes its colours already, or is not understood.
pub fn with_colour(nal: &[u8], colour: Colour) -> Option<Vec<u8>> {
    let (header, payload) = nal.split_first()?;
    if header & 0x1f != 7 {
        return None;
    }
    let payload = without_emulation_prevention(payload);
    let mut reader = Bits { bytes: &payload, at: 0 };
    skip_to_vui(&mut reader)?;
    let mut writer = Writer::default();
    let vui = reader.flag()?;
    if !vui {
        // A VUI that says nothing else: no aspect ratio, no overscan, ... no bitstream restriction.
        writer.copy(&payload, 0, reader.at - 1);
        writer.bits(0b100, 3);
        writer.signal_type(colour);
        writer.bits(0, 6);
    } else {
        if reader.flag()? && reader.bits(8)? == 255 {
            reader.bits(32)?;
        }
        if reader.flag()? {
            reader.flag()?;
        }
        if reader.flag()? {
            reader.bits(4)?;
            if reader.flag()? {
                return None;
            }
            // It has a format and a range of its own.
            writer.copy(&payload, 0, reader.at - 1);
            writer.bits(1, 1);
            writer.description(colour);
        } else {
            writer.copy(&payload, 0, reader.at - 1);
            writer.signal_type(colour);
        }
        writer.copy(&payload, reader.at, end_of_data(&payload)?);
    }
    let mut out = vec![*header];
    out.extend(with_emulation_prevention(&writer.finish()));
    Some(out)
}

/// Reads to just before vui_parameters_present_flag.
fn skip_to_vui(reader: &mut Bits) -> Option<()> {
    let profile = reader.bits(8)?;
    reader.bits(16)?;
    reader.golomb()?;
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        let chroma = reader.golomb()?;
        if chroma == 3 {
            reader.flag()?;
        }
        reader.golomb()?;
        reader.golomb()?;
        reader.flag()?;
        if reader.flag()? {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if reader.flag()? {
                    skip_scaling_list(reader, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    reader.golomb()?;
    match reader.golomb()? {
        0 => drop(reader.golomb()?),
        1 => {
            reader.flag()?;
            reader.golomb()?;
            reader.golomb()?;
            for _ in 0..reader.golomb()?.min(255) {
                reader.golomb()?;
            }
        }
        _ => {}
    }
    reader.golomb()?;
    reader.flag()?;
    reader.golomb()?;
    reader.golomb()?;
    if !reader.flag()? {
        reader.flag()?;
    }
    reader.flag()?;
    if reader.flag()? {
        for _ in 0..4 {
            reader.golomb()?;
        }
    }
    Some(())
}

fn skip_scaling_list(reader: &mut Bits, size: usize) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            let code = i64::from(reader.golomb()?);
            let delta = if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) };
            next = (last + delta).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// Bit position of the stop bit that ends the data (rbsp_trailing_bits).
fn end_of_data(payload: &[u8]) -> Option<usize> {
    let last = payload.iter().rposition(|&byte| byte != 0)?;
    Some(last * 8 + 7 - payload[last].trailing_zeros() as usize)
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        self.at += 1;
        Some(byte >> (7 - (self.at - 1) % 8) & 1 == 1)
    }

    fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0u32, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    /// An Exp-Golomb code (9.1), as its unsigned number.
    fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some(((1u64 << zeros) - 1) as u32 + self.bits(zeros)?)
    }
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    free: u32,
}

impl Writer {
    fn bits(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            self.free -= 1;
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> bit & 1) as u8) << self.free;
            }
        }
    }

    fn copy(&mut self, from: &[u8], start: usize, end: usize) {
        let mut reader = Bits { bytes: from, at: start };
        while reader.at < end {
            let Some(bit) = reader.flag() else { break };
            self.bits(u32::from(bit), 1);
        }
    }

    /// video_signal_type_present_flag and what follows it; video_format 5 is unspecified.
    fn signal_type(&mut self, colour: Colour) {
        self.bits(0b1101, 4);
        self.bits(u32::from(colour.full_range), 1);
        self.bits(1, 1);
        self.description(colour);
    }

    fn description(&mut self, colour: Colour) {
        for code in [colour.primaries, colour.transfer, colour.matrix] {
            self.bits(code.into(), 8);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.bits(1, 1);
        self.bytes
    }
}

/// Takes out the 3 of each 0 0 3 (7.4.1).
fn without_emulation_prevention(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for &byte in bytes {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Puts a 3 where two zeros and a byte up to 3 would look like a start code (7.4.1).
fn with_emulation_prevention(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 4);
    let mut zeros = 0;
    for &byte in bytes {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BT709: Colour = Colour { full_range: false, primaries: 1, transfer: 1, matrix: 1 };

    /// The SPS in `hex`.
    fn sps(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    }

    #[test]
    fn what_an_encoder_leaves_out_is_written_in() {
        // openh264 2.3, 1280x720, with a VUI that has no colours.
        let changed = with_colour(&sps("6742c01f8c8d402802dd00f08846a0"), BT709).expect("changed");
        assert_eq!(changed, sps("6742c01f8c8d402802dd3501010107844235"));
        // x264 at High without VUI colours, and with emulation prevention.
        let changed = with_colour(&sps("6764001facb402802dd80880000003008000001e478c1950"), BT709).expect("changed");
        assert_eq!(changed, sps("6764001facb402802dd80b50101014000003000400000300f23c60ca80"));
        let full = with_colour(&sps("6742c01f8c8d402802dd00f08846a0"), Colour { full_range: true, ..BT709 });
        assert_ne!(full, Some(sps("6742c01f8c8d402802dd3501010107844235")));
    }

    #[test]
    fn what_an_encoder_says_is_left_alone() {
        // x264 at Main for bt709.
        assert_eq!(with_colour(&sps("674d401fda014016ec05a808080a000003000200000300791e306540"), BT709), None);
        assert_eq!(with_colour(&sps("68ce3c80"), BT709), None);
        assert_eq!(with_colour(&[], BT709), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_changed_or_left(mut nal in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(first) = nal.first_mut() {
                *first = 0x67;
            }
            if let Some(changed) = with_colour(&nal, BT709) {
                // What was written is understood, and complete.
                prop_assert_eq!(with_colour(&changed, BT709), None);
            }
        }

        #[test]
        fn emulation_prevention_is_undone(bytes in prop::collection::vec(0u8..5, 0..60)) {
            let escaped = with_emulation_prevention(&bytes);
            prop_assert!(!escaped.windows(3).any(|three| three[0] == 0 && three[1] == 0 && three[2] < 3));
            prop_assert_eq!(without_emulation_prevention(&escaped), bytes);
        }
    }
}
