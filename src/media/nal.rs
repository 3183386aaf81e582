//! Encoded pictures as NAL units with 4-byte lengths (pure; ISO/IEC 14496-15 5.3.2).
//!
//! Whatever an encoder puts in, each IDR picture goes out with its parameter sets before it: a player that joins there
//! can decode, and so can one that saw another encoder until then.

use super::sps::{self, Colour};
use crate::settings::Codec;
use bytes::Bytes;

/// What a stream's pictures have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    codec: Codec,
    /// The configuration record, with the colours described in it.
    pub record: Bytes,
    /// The parameter sets, each with its 4-byte length.
    sets: Vec<u8>,
}

/// One encoded picture.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    /// Whether it is an IDR picture.
    pub key: bool,
    /// Its NAL units as they have to go out; none: as they came.
    pub data: Option<Vec<u8>>,
}

/// What a NAL unit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Idr,
    Parameters,
    /// Delimiters, ends of sequence and filler: padding here, as each unit is one picture with its length.
    Padding,
    Other,
}

impl Stream {
    /// Reads a configuration record: `avcC` for H.264 (5.3.3.1), `hvcC` for HEVC (8.3.3.1). `colour` is written into an
    /// H.264 SPS that does not describe its own. None: it cannot be read, or its lengths are not 4 bytes.
    pub fn new(codec: Codec, record: &[u8], colour: Option<Colour>) -> Option<Self> {
        match codec {
            Codec::H264 => Self::h264(record, colour),
            Codec::Hevc => Self::hevc(record),
        }
    }

    fn h264(record: &[u8], colour: Option<Colour>) -> Option<Self> {
        let (head, rest) = record.split_at_checked(6)?;
        if head[4] & 3 != 3 {
            return None;
        }
        let (mut out, mut sets) = (head.to_vec(), Vec::new());
        let mut rest = rest;
        for _ in 0..head[5] & 0x1f {
            let (set, after) = sized16(rest)?;
            let described = colour.and_then(|colour| sps::with_colour(set, colour));
            let set = described.as_deref().unwrap_or(set);
            out.extend_from_slice(&u16::try_from(set.len()).ok()?.to_be_bytes());
            out.extend_from_slice(set);
            push(&mut sets, set);
            rest = after;
        }
        // The count of PPS, the PPS, and for High profiles what follows them.
        out.extend_from_slice(rest);
        let (&count, mut rest) = rest.split_first()?;
        for _ in 0..count {
            let (set, after) = sized16(rest)?;
            push(&mut sets, set);
            rest = after;
        }
        Some(Self { codec: Codec::H264, record: out.into(), sets })
    }

    fn hevc(record: &[u8]) -> Option<Self> {
        let (head, mut rest) = record.split_at_checked(23)?;
        if head[21] & 3 != 3 {
            return None;
        }
        let mut sets = Vec::new();
        for _ in 0..head[22] {
            let (array, after) = rest.split_at_checked(3)?;
            rest = after;
            for _ in 0..u16::from_be_bytes([array[1], array[2]]) {
                let (set, after) = sized16(rest)?;
                // VPS, SPS and PPS; arrays of SEI may follow.
                if matches!(array[0] & 0x3f, 32..=34) {
                    push(&mut sets, set);
                }
                rest = after;
            }
        }
        Some(Self { codec: Codec::Hevc, record: record.to_vec().into(), sets })
    }

    fn kind(&self, nal: &[u8]) -> Kind {
        let first = nal.first().copied().unwrap_or(0);
        match self.codec {
            Codec::H264 => match first & 0x1f {
                5 => Kind::Idr,
                7 | 8 | 13 => Kind::Parameters,
                9..=12 => Kind::Padding,
                _ => Kind::Other,
            },
            Codec::Hevc => match first >> 1 & 0x3f {
                19 | 20 => Kind::Idr,
                32..=34 => Kind::Parameters,
                35..=38 => Kind::Padding,
                _ => Kind::Other,
            },
        }
    }

    /// Looks at one encoded picture. None: its lengths do not add up, or it has no picture in it.
    pub fn picture(&self, unit: &[u8]) -> Option<Picture> {
        let (mut key, mut whole, mut picture) = (false, true, false);
        for nal in nals(unit) {
            match self.kind(nal?) {
                Kind::Idr => (key, picture) = (true, true),
                Kind::Parameters | Kind::Padding => whole = false,
                Kind::Other => picture = true,
            }
        }
        if !picture {
            return None;
        }
        let data = (key || !whole).then(|| {
            let mut data = Vec::with_capacity(self.sets.len() + unit.len());
            if key {
                data.extend_from_slice(&self.sets);
            }
            for nal in nals(unit).flatten() {
                if matches!(self.kind(nal), Kind::Idr | Kind::Other) {
                    push(&mut data, nal);
                }
            }
            data
        });
        Some(Picture { key, data })
    }
}

fn push(out: &mut Vec<u8>, nal: &[u8]) {
    out.extend_from_slice(&(nal.len() as u32).to_be_bytes());
    out.extend_from_slice(nal);
}

fn sized16(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

/// The NAL units of a picture; a none among them: the lengths do not add up, nothing follows.
fn nals(unit: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = Some(unit);
    std::iter::from_fn(move || {
        let bytes = rest.take().filter(|bytes| !bytes.is_empty())?;
        let split = bytes.split_first_chunk::<4>().and_then(|(length, after)| {
            after.split_at_checked(u32::from_be_bytes(*length) as usize).filter(|(nal, _)| !nal.is_empty())
        });
        rest = split.map(|(_, after)| after);
        Some(split.map(|(nal, _)| nal))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BT709: Colour = Colour { full_range: false, primaries: 1, transfer: 1, matrix: 1 };
    const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x28, 0x02, 0xdd, 0x00, 0xf0, 0x88, 0x46, 0xa0];
    const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];

    fn avcc() -> Vec<u8> {
        let head = [1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, SPS.len() as u8];
        [&head[..], SPS, &[1, 0, PPS.len() as u8], PPS].concat()
    }

    fn unit(nals: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        nals.iter().for_each(|nal| push(&mut out, nal));
        out
    }

    #[test]
    fn an_idr_gets_its_parameter_sets_whatever_came_with_it() {
        let stream = Stream::new(Codec::H264, &avcc(), None).expect("a record");
        assert_eq!(stream.record, avcc());
        let idr: &[u8] = &[0x65, 1, 2, 3];
        let wanted = unit(&[SPS, PPS, &[6, 5], idr]);
        for nals in
            [&[&[6, 5], idr][..], &[SPS, PPS, &[6, 5], idr], &[&[9, 0xf0], SPS, PPS, PPS, &[6, 5], idr, &[12, 0xff]]]
        {
            let picture = stream.picture(&unit(nals));
            assert_eq!(picture, Some(Picture { key: true, data: Some(wanted.clone()) }));
        }
    }

    #[test]
    fn other_pictures_go_as_they_are_without_padding() {
        let stream = Stream::new(Codec::H264, &avcc(), None).expect("a record");
        let slice: &[u8] = &[0x41, 9];
        assert_eq!(stream.picture(&unit(&[slice, slice])), Some(Picture { key: false, data: None }));
        let padded = stream.picture(&unit(&[&[9, 0xf0], slice, &[12, 0xff]])).expect("a picture");
        assert_eq!(padded, Picture { key: false, data: Some(unit(&[slice])) });
        assert_eq!(stream.picture(&unit(&[SPS, PPS])), None);
        assert_eq!(stream.picture(&[0, 0, 0, 9, 1]), None);
        assert_eq!(stream.picture(&[0, 0, 0, 0]), None);
    }

    #[test]
    fn colours_go_into_the_record_and_in_band() {
        let stream = Stream::new(Codec::H264, &avcc(), Some(BT709)).expect("a record");
        let described = sps::with_colour(SPS, BT709).expect("changed");
        let again = Stream::new(Codec::H264, &stream.record, None).expect("the new record");
        assert_eq!(again.sets, unit(&[&described, PPS]));
        let data = stream.picture(&unit(&[SPS, PPS, &[0x65, 1]])).and_then(|picture| picture.data);
        assert_eq!(data, Some(unit(&[&described, PPS, &[0x65, 1]])));
    }

    #[test]
    fn hevc_records_give_vps_sps_and_pps() {
        let mut record = vec![0; 23];
        (record[21], record[22]) = (3, 4);
        for (kind, nal) in [(32u8, [0x40, 1]), (33, [0x42, 1]), (34, [0x44, 1]), (39, [0x4e, 1])] {
            record.extend([0x80 | kind, 0, 1, 0, 2]);
            record.extend(nal);
        }
        let stream = Stream::new(Codec::Hevc, &record, Some(BT709)).expect("a record");
        let picture = stream.picture(&unit(&[&[0x46, 1, 0x10], &[0x28, 1, 7]])).expect("a picture");
        assert_eq!(picture.data, Some(unit(&[&[0x40, 1], &[0x42, 1], &[0x44, 1], &[0x28, 1, 7]])));
        record[21] = 0;
        assert_eq!(Stream::new(Codec::Hevc, &record, None), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(record in prop::collection::vec(any::<u8>(), 0..80), data in prop::collection::vec(any::<u8>(), 0..80)) {
            for codec in [Codec::H264, Codec::Hevc] {
                if let Some(stream) = Stream::new(codec, &record, Some(BT709)) {
                    let _ = stream.picture(&data);
                }
            }
            let stream = Stream::new(Codec::H264, &avcc(), None).expect("a record");
            if let Some(Picture { data: Some(rebuilt), key }) = stream.picture(&data) {
                prop_assert_eq!(stream.picture(&rebuilt).map(|again| again.key), Some(key));
            }
        }
    }
}
