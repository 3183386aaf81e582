//! The slate as the timeline sends it: one still picture, encoded beforehand as a closed GOP that repeats for ever.

use crate::{
    access_unit::{AccessUnit, CodecConfig, Track},
    units::{Rate, Time},
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};

/// First bytes of a kept GOP; the last one is the format's version.
const MAGIC: [u8; 8] = *b"fc-gop\0\x01";
/// Most pictures: ten seconds at 240 Hz are 2,400.
const MOST_UNITS: usize = 10_000;
/// Most bytes of one kept GOP: ten seconds at 20 Mbit/s are 25 MB.
pub const MOST_BYTES: usize = 64 << 20;

/// A closed GOP of one still picture: an IDR picture and those that refer to it, with the times 0, 1/rate, 2/rate...
#[derive(Debug, Clone, PartialEq)]
pub struct Gop {
    units: Arc<[AccessUnit]>,
    rate: Rate,
}

/// The bytes are not a kept GOP, or one of another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a whole encoded slate of this version")]
pub struct Damaged;

impl Gop {
    /// Makes the GOP of `units`, which are stamped anew by their place. None: there are none or too many, the first is no
    /// IDR picture or another one is, or they are no pictures of one configuration.
    pub fn new(mut units: Vec<AccessUnit>, rate: Rate) -> Option<Self> {
        let config = units.first()?.config.clone();
        let video = !matches!(*config, CodecConfig::Aac(_)) && units.iter().all(|unit| unit.track == Track::Video);
        let closed = units.iter().enumerate().all(|(n, unit)| unit.key == (n == 0) && !unit.data.is_empty());
        let one = units.iter().all(|unit| unit.config == config);
        if !(video && closed && one) || units.len() > MOST_UNITS || rate.num == 0 || rate.den == 0 {
            return None;
        }
        for (n, unit) in units.iter_mut().enumerate() {
            (unit.time, unit.config) = (rate.time_of(n as u64), config.clone());
        }
        Some(Self { units: units.into(), rate })
    }

    /// The picture that is shown as the `index`th since the slate began; the stamp is that within the GOP.
    pub fn picture(&self, index: u64) -> &AccessUnit {
        &self.units[(index % self.len()) as usize]
    }

    /// Pictures in it, at least one.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> u64 {
        self.units.len() as u64
    }

    /// Time from one picture to the next.
    pub fn period(&self) -> Duration {
        Duration::from_nanos(self.rate.period())
    }

    /// As a file; [`Self::from_bytes`] reads it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (codec, record) = match &*self.units[0].config {
            CodecConfig::H264(record) => (0, record),
            CodecConfig::Hevc(record) => (1, record),
            CodecConfig::Aac(record) => (2, record),
        };
        let mut out = MAGIC.to_vec();
        out.push(codec);
        out.extend_from_slice(&self.rate.num.to_be_bytes());
        out.extend_from_slice(&self.rate.den.to_be_bytes());
        for part in std::iter::once(record).chain(self.units.iter().map(|unit| &unit.data)) {
            out.extend_from_slice(&(part.len() as u32).to_be_bytes());
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&checksum(&out).to_be_bytes());
        out
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// When it is anything else, whole or in part.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let (content, sum) = bytes.split_last_chunk::<8>().ok_or(Damaged)?;
        if bytes.len() > MOST_BYTES || u64::from_be_bytes(*sum) != checksum(content) {
            return Err(Damaged);
        }
        let rest = content.strip_prefix(&MAGIC).ok_or(Damaged)?;
        let (&[codec, a, b, c, d, e, f, g, h], mut rest) = rest.split_first_chunk().ok_or(Damaged)?;
        let rate = Rate { num: u32::from_be_bytes([a, b, c, d]), den: u32::from_be_bytes([e, f, g, h]) };
        let mut parts = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (part, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or(Damaged)?;
            parts.push(Bytes::copy_from_slice(part));
            rest = after;
        }
        if !rest.is_empty() || parts.is_empty() {
            return Err(Damaged);
        }
        let record = parts.remove(0);
        let config = Arc::new(match codec {
            0 => CodecConfig::H264(record),
            1 => CodecConfig::Hevc(record),
            _ => return Err(Damaged),
        });
        let unit =
            |(n, data)| AccessUnit { track: Track::Video, time: Time::ZERO, key: n == 0, config: config.clone(), data };
        Self::new(parts.into_iter().enumerate().map(unit).collect(), rate).ok_or(Damaged)
    }
}

/// FNV-1a, 64 bits: finds each change of a single byte, and others but for one in 2^64.
pub fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn units(sizes: &[usize], hevc: bool) -> Vec<AccessUnit> {
        let record = Bytes::from_static(b"\x01record");
        let config = Arc::new(if hevc { CodecConfig::Hevc(record) } else { CodecConfig::H264(record) });
        let unit = |(n, size): (usize, &usize)| AccessUnit {
            track: Track::Video,
            time: Time::from_millis(77),
            key: n == 0,
            config: config.clone(),
            data: vec![n as u8; *size].into(),
        };
        sizes.iter().enumerate().map(unit).collect()
    }

    #[test]
    fn pictures_repeat_and_are_stamped_by_their_place() {
        let gop = Gop::new(units(&[9, 5, 4], false), Rate::new(30_000, 1001)).expect("a GOP");
        assert_eq!((gop.len(), gop.period().as_nanos()), (3, 33_366_666));
        assert_eq!(gop.picture(2).time.nanos(), 66_733_333);
        assert_eq!(gop.picture(6_000_000_003), gop.picture(0));
        assert!(gop.picture(0).key && !gop.picture(1).key);
    }

    #[test]
    fn what_is_no_closed_gop_is_refused() {
        let rate = Rate::new(25, 1);
        assert_eq!(Gop::new(Vec::new(), rate), None);
        let mut two = units(&[3, 3], false);
        two[1].key = true;
        assert_eq!(Gop::new(two, rate), None);
        let mut headless = units(&[3, 3], false);
        headless[0].key = false;
        assert_eq!(Gop::new(headless, rate), None);
        let mixed = [units(&[3, 3], false), units(&[3, 3], true).split_off(1)].concat();
        assert_eq!(Gop::new(mixed, rate), None);
        let mut sound = units(&[3, 3], false);
        sound[1].track = Track::Audio;
        assert_eq!(Gop::new(sound, rate), None);
    }

    proptest! {
        #[test]
        fn kept_gops_read_back(sizes in prop::collection::vec(1usize..300, 1..40), hevc in any::<bool>(),
                               num in 1u32..300_000, den in 1u32..1002) {
            let gop = Gop::new(units(&sizes, hevc), Rate { num, den }).expect("a GOP");
            prop_assert_eq!(Gop::from_bytes(&gop.to_bytes()), Ok(gop));
        }

        #[test]
        fn a_changed_byte_or_a_missing_end_is_noticed(sizes in prop::collection::vec(1usize..60, 1..9),
                                                      at in any::<prop::sample::Index>(), change in 1u8..) {
            let mut bytes = Gop::new(units(&sizes, false), Rate::new(30, 1)).expect("a GOP").to_bytes();
            let at = at.index(bytes.len());
            prop_assert_eq!(Gop::from_bytes(&bytes[..at]), Err(Damaged));
            bytes[at] ^= change;
            prop_assert_eq!(Gop::from_bytes(&bytes), Err(Damaged));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), whole in any::<bool>()) {
            let mut file = if whole { MAGIC.to_vec() } else { Vec::new() };
            file.extend_from_slice(&bytes);
            file.extend_from_slice(&checksum(&file).to_be_bytes());
            let _ = Gop::from_bytes(&file);
        }
    }
}
