//! Quantities with their units: values are written as people write them (`"6 Mbit/s"`, `"2 s"`, `"1280x720p30"`).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr, time::Duration};

/// Why a text is not a quantity; its `Display` is meant for people and says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got {got:?}")]
pub struct UnitError {
    expected: &'static str,
    got: String,
}

impl UnitError {
    fn new(expected: &'static str, got: &str) -> Self {
        // A hostile value must not flood a log line or a display.
        Self { expected, got: got.chars().take(60).collect() }
    }
}

/// Splits `"1.5 Mbit/s"` into its number and unit; the number has to be finite.
fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+'))?;
    let number: f64 = text[..split].parse().ok()?;
    number.is_finite().then(|| (number, text[split..].trim()))
}

/// A data rate in bit/s, from 1 bit/s to 1 Gbit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BitRate(u64);

impl BitRate {
    const EXPECTED: &'static str = "a bit rate such as \"4 Mbit/s\" or \"500 kbit/s\", at most 1 Gbit/s";

    /// A rate of `bits` bit/s.
    pub const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// The rate in bit/s.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl FromStr for BitRate {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || UnitError::new(Self::EXPECTED, text);
        let (number, unit) = number_and_unit(text).ok_or_else(error)?;
        let factor = match unit {
            "bit/s" => 1.0,
            "kbit/s" => 1e3,
            "Mbit/s" => 1e6,
            "Gbit/s" => 1e9,
            _ => return Err(error()),
        };
        let bits = (number * factor).round();
        if (1.0..=1e9).contains(&bits) { Ok(Self(bits as u64)) } else { Err(error()) }
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bits if bits >= 1_000_000 && bits % 10_000 == 0 => write!(f, "{} Mbit/s", bits as f64 / 1e6),
            bits if bits >= 1_000 && bits % 10 == 0 => write!(f, "{} kbit/s", bits as f64 / 1e3),
            bits => write!(f, "{bits} bit/s"),
        }
    }
}

/// A length of time of at most 24 hours, written `"350 ms"`, `"2 s"` or `"5 min"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    const EXPECTED: &'static str = "a length of time such as \"350 ms\", \"2 s\" or \"5 min\", at most 24 h";

    /// A span of `ms` milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// The span as the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let ms = millis(text).filter(|ms| (0.0..=86_400_000.0).contains(ms));
        ms.map(|ms| Self(Duration::from_micros((ms * 1e3).round() as u64)))
            .ok_or_else(|| UnitError::new(Self::EXPECTED, text))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_micros() as f64 / 1e3;
        if ms >= 1e3 { write!(f, "{} s", ms / 1e3) } else { write!(f, "{ms} ms") }
    }
}

fn millis(text: &str) -> Option<f64> {
    let (number, unit) = number_and_unit(text)?;
    let factor = match unit {
        "ms" => 1.0,
        "s" => 1e3,
        "min" => 60e3,
        "h" => 3600e3,
        _ => return None,
    };
    Some(number * factor)
}

/// A signed shift of at most 5 s either way, written `"-120 ms"`: the sound against the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shift(i64);

impl Shift {
    const EXPECTED: &'static str = "a shift such as \"120 ms\" or \"-40 ms\", at most 5 s either way";

    /// The shift in nanoseconds; positive delays.
    pub const fn nanos(self) -> i64 {
        self.0
    }
}

impl FromStr for Shift {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let ms = millis(text).filter(|ms| ms.abs() <= 5000.0);
        ms.map(|ms| Self((ms * 1e6).round() as i64)).ok_or_else(|| UnitError::new(Self::EXPECTED, text))
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0 as f64 / 1e6)
    }
}

/// A level change of -60 dB to +30 dB, written `"-6 dB"`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Gain(f64);

impl Gain {
    const EXPECTED: &'static str = "a gain such as \"0 dB\" or \"-6.5 dB\", from -60 dB to 30 dB";

    /// In dB.
    pub fn db(self) -> f64 {
        self.0
    }

    /// The factor on each sample.
    pub fn factor(self) -> f64 {
        10f64.powf(self.0 / 20.0)
    }
}

impl FromStr for Gain {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        match number_and_unit(text) {
            Some((db, "dB")) if (-60.0..=30.0).contains(&db) => Ok(Self(db)),
            _ => Err(UnitError::new(Self::EXPECTED, text)),
        }
    }
}

impl fmt::Display for Gain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dB", self.0)
    }
}

/// Pictures (or fields, when interlaced) a second as an exact fraction: 30000/1001 is what people call 29.97.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Numerator, at least 1.
    pub num: u32,
    /// Denominator, 1 or 1001 for broadcast rates.
    pub den: u32,
}

impl Rate {
    /// A rate of `num` / `den`.
    pub const fn new(num: u32, den: u32) -> Self {
        Self { num, den }
    }

    /// The nearest broadcast rate to `hz`: whole, or whole times 1000/1001 (SMPTE ST 2036-1 table 2).
    pub fn nearest(hz: f64) -> Option<Self> {
        if !(1.0..=240.0).contains(&hz) {
            return None;
        }
        let whole = hz.round();
        let fractional = whole * 1000.0 / 1001.0;
        let dropped = (hz - fractional).abs() < (hz - whole).abs() && matches!(whole as u32, 24 | 30 | 48 | 60 | 120);
        Some(if dropped { Self::new(whole as u32 * 1000, 1001) } else { Self::new(whole as u32, 1) })
    }

    /// The rate in Hz.
    pub fn hz(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// The time between two pictures in nanoseconds.
    pub fn period(self) -> u64 {
        1_000_000_000 * u64::from(self.den) / u64::from(self.num)
    }

    /// When the `index`th picture comes, if the first comes at the clock's zero.
    pub fn time_of(self, index: u64) -> Time {
        let nanos = u128::from(index) * 1_000_000_000 * u128::from(self.den) / u128::from(self.num);
        Time::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 { write!(f, "{}", self.num) } else { write!(f, "{:.2}", self.hz()) }
    }
}

/// A picture format: width x height, scan and rate. Interlaced rates count fields: `1080i50` has 25 pictures a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Picture width in pixels, 16 to 8192.
    pub width: u32,
    /// Picture height in pixels, 16 to 8192.
    pub height: u32,
    /// Whether the two fields of a picture come one after the other.
    pub interlaced: bool,
    /// Pictures a second, or fields when interlaced.
    pub rate: Rate,
}

impl Mode {
    const EXPECTED: &'static str =
        "a mode such as \"1280x720p30\", \"720p59.94\" or \"1080i50\", 16 to 8192 pixels, 1 to 240 Hz";

    /// A progressive mode.
    pub const fn progressive(width: u32, height: u32, rate: Rate) -> Self {
        Self { width, height, interlaced: false, rate }
    }

    /// Whole pictures a second: half the field rate when interlaced.
    pub fn picture_rate(self) -> Rate {
        match (self.interlaced, self.rate.num % 2) {
            (false, _) => self.rate,
            (true, 0) => Rate::new(self.rate.num / 2, self.rate.den),
            (true, _) => Rate::new(self.rate.num, self.rate.den * 2),
        }
    }
}

impl FromStr for Mode {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || UnitError::new(Self::EXPECTED, text);
        let scan = text.find(['p', 'i']).ok_or_else(error)?;
        let (size, rate) = (text[..scan].trim(), &text[scan + 1..]);
        let whole = |text: &str| text.parse::<u32>().map_err(|_| error());
        let (width, height) = match size.split_once('x') {
            Some((width, height)) => (whole(width)?, whole(height)?),
            // A bare height means the broadcast size of that name, at 16:9 with an even width.
            None => match whole(size)? {
                480 => (854, 480),
                height @ (180 | 360 | 540 | 720 | 1080 | 1440 | 2160) => (height * 16 / 9, height),
                _ => return Err(error()),
            },
        };
        let rate = rate.trim().parse().ok().and_then(Rate::nearest).ok_or_else(error)?;
        let range = 16..=8192;
        if !range.contains(&width) || !range.contains(&height) {
            return Err(error());
        }
        Ok(Self { width, height, interlaced: text.as_bytes()[scan] == b'i', rate })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scan = if self.interlaced { 'i' } else { 'p' };
        write!(f, "{}x{}{scan}{}", self.width, self.height, self.rate)
    }
}

/// A point on the box's monotonic clock (CLOCK_MONOTONIC), in nanoseconds. All media stamps and all decisions use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(u64);

impl Time {
    /// The clock's zero.
    pub const ZERO: Self = Self(0);

    /// The point `nanos` nanoseconds after the clock's zero.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The point `ms` milliseconds after the clock's zero.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// Nanoseconds since the clock's zero.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the clock's zero.
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The time since `earlier`, zero if that is in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The point `shift` nanoseconds later (earlier when negative), never before the clock's zero.
    pub const fn shifted(self, shift: i64) -> Self {
        Self(self.0.saturating_add_signed(shift))
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl std::ops::Sub<Duration> for Time {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

macro_rules! serde_as_text {
    ($($unit:ty),*) => {$(
        impl Serialize for $unit {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $unit;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(<$unit>::EXPECTED)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$unit, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    )*};
}
serde_as_text!(BitRate, Span, Shift, Gain, Mode);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!("4 Mbit/s".parse(), Ok(BitRate::new(4_000_000)));
        assert_eq!("2.5Mbit/s".parse(), Ok(BitRate::new(2_500_000)));
        assert_eq!("500 kbit/s".parse(), Ok(BitRate::new(500_000)));
        assert_eq!("350 ms".parse(), Ok(Span::from_millis(350)));
        assert_eq!("1.5 s".parse(), Ok(Span::from_millis(1500)));
        assert_eq!("-40 ms".parse::<Shift>().map(Shift::nanos), Ok(-40_000_000));
        assert_eq!("720p30".parse(), Ok(Mode::progressive(1280, 720, Rate::new(30, 1))));
        assert_eq!("1920x1080p29.97".parse(), Ok(Mode::progressive(1920, 1080, Rate::new(30000, 1001))));
        let interlaced: Mode = "1080i50".parse().expect("a mode");
        assert_eq!((interlaced.interlaced, interlaced.picture_rate()), (true, Rate::new(25, 1)));
    }

    #[test]
    fn refuses_wrong_units_and_sizes() {
        for text in ["", "4", "4 MB/s", "-1 Mbit/s", "0 bit/s", "1e300 Mbit/s", "2 Gbit/s", "4 Mbit/s x", "NaN Mbit/s"]
        {
            assert!(text.parse::<BitRate>().is_err(), "{text:?}");
        }
        for text in ["2", "-2 s", "25 h", "2 parsecs"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
        for text in ["720", "720p", "p30", "0x0p30", "99999x99999p30", "1280x720p0", "1280x720p999", "-1x5p30"] {
            assert!(text.parse::<Mode>().is_err(), "{text:?}");
        }
        assert!("40 dB".parse::<Gain>().is_err());
        assert!("6 s".parse::<Shift>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,40}") {
            let _ = (text.parse::<BitRate>(), text.parse::<Span>(), text.parse::<Shift>());
            let _ = (text.parse::<Gain>(), text.parse::<Mode>());
        }

        #[test]
        fn what_is_written_reads_back(bits in 1u64..1_000_000_000, ms in 0u64..86_400_000, w in 16u32..8192, h in 16u32..8192,
                                      hz in prop::sample::select(vec![(24000, 1001), (25, 1), (30000, 1001), (50, 1), (60000, 1001)])) {
            prop_assert_eq!(BitRate::new(bits).to_string().parse(), Ok(BitRate::new(bits)));
            prop_assert_eq!(Span::from_millis(ms).to_string().parse(), Ok(Span::from_millis(ms)));
            let mode = Mode::progressive(w, h, Rate::new(hz.0, hz.1));
            prop_assert_eq!(mode.to_string().parse(), Ok(mode));
        }
    }
}
