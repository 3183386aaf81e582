//! When a PIN is worth a token. Six digits can be guessed, so they hold for two minutes, for one use, and every fifth wrong
//! try costs the PIN and a wait that grows. Pure: `now` is an argument.

use crate::units::Time;
use std::{fmt, time::Duration};
use subtle::ConstantTimeEq as _;

/// How long a PIN is worth something.
pub const VALID: Duration = Duration::from_secs(120);
/// Wrong tries until the PIN is void. They are counted over all PINs, so that asking for new ones gives no more tries.
const TRIES: u32 = 5;
/// The first wait; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Six digits: they can be shown where they should be, and not printed by accident.
#[derive(Clone)]
pub struct Pin([u8; 6]);

impl Pin {
    /// The PIN that follows from 32 random bits; none for the few numbers that would make some PINs likelier than others.
    pub fn of_random(number: u32) -> Option<Self> {
        const FAIR: u32 = u32::MAX - u32::MAX % 1_000_000;
        if number >= FAIR {
            return None;
        }
        let mut rest = number % 1_000_000;
        let mut digits = [b'0'; 6];
        for digit in digits.iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        Some(Self(digits))
    }

    /// Reads a PIN as people type it: spaces and dashes between the digits do not count.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 16 {
            return None;
        }
        let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b' ' | b'-')).collect();
        let digits: [u8; 6] = digits.try_into().ok()?;
        digits.iter().all(u8::is_ascii_digit).then_some(Self(digits))
    }

    /// The digits, for who may see them.
    pub fn reveal(&self) -> String {
        self.0.iter().copied().map(char::from).collect()
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody at the box asked for a PIN, or it was used or timed out.
    NoPin,
    /// Another PIN.
    Wrong {
        /// Tries that are left for it.
        left: u32,
    },
    /// Too many were wrong.
    Wait(Duration),
    /// The PIN is right; there are as many tokens as there may be.
    Full,
    /// The PIN is right; the token could not be kept.
    NotKept,
}

impl Refusal {
    /// In words, with what to do.
    pub fn text(self) -> String {
        match self {
            Self::NoPin => "No PIN holds now: ask for one at the box, on its panel or with `fieldcastd pair`".into(),
            Self::Wrong { left: 0 } => {
                "This PIN is wrong and the right one is void now: wait, then ask for a new one at the box".into()
            }
            Self::Wrong { left: 1 } => "This PIN is wrong; one try is left".into(),
            Self::Wrong { left } => format!("This PIN is wrong; {left} tries are left"),
            Self::Wait(wait) => {
                format!("Too many PINs were wrong: wait {} s, then ask for a new one at the box", seconds(wait))
            }
            Self::Full => "As many computers are paired as can be: revoke one first".into(),
            Self::NotKept => "The box cannot keep the token: see its faults".into(),
        }
    }
}

/// Whole seconds, so that who waits for as long has waited enough.
pub fn seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000) as u64
}

/// The PIN that holds, if one does, and what was tried.
#[derive(Debug, Default)]
pub struct Pairing {
    open: Option<(Pin, Time)>,
    /// Wrong tries since the last wait or the last success.
    wrong: u32,
    /// Waits since the last success.
    waits: u32,
    wait_until: Option<Time>,
}

impl Pairing {
    /// Lets `pin` hold instead of an earlier one; gives until when.
    ///
    /// # Errors
    /// [`Refusal::Wait`].
    pub fn open(&mut self, pin: Pin, now: Time) -> Result<Time, Refusal> {
        self.open = None;
        self.wait(now)?;
        let until = now + VALID;
        self.open = Some((pin, until));
        Ok(until)
    }

    /// Judges a PIN. The right one is used up by that.
    ///
    /// # Errors
    /// Why it is not worth anything.
    pub fn attempt(&mut self, given: &Pin, now: Time) -> Result<(), Refusal> {
        self.wait(now)?;
        let Some((pin, until)) = &self.open else { return Err(Refusal::NoPin) };
        if now >= *until {
            self.open = None;
            return Err(Refusal::NoPin);
        }
        if bool::from(pin.0.ct_eq(&given.0)) {
            *self = Self::default();
            return Ok(());
        }
        self.wrong += 1;
        let left = TRIES - self.wrong;
        if left == 0 {
            let wait = FIRST_WAIT.saturating_mul(1 << self.waits.min(16)).min(LONGEST_WAIT);
            *self = Self { open: None, wrong: 0, waits: self.waits + 1, wait_until: Some(now + wait) };
        }
        Err(Refusal::Wrong { left })
    }

    /// Whether a PIN holds at `now`.
    pub fn holds(&self, now: Time) -> bool {
        self.open.as_ref().is_some_and(|(_, until)| now < *until)
    }

    fn wait(&self, now: Time) -> Result<(), Refusal> {
        match self.wait_until {
            Some(until) if now < until => Err(Refusal::Wait(until.since(now))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pin(number: u32) -> Pin {
        Pin::of_random(number).expect("a PIN")
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn a_pin_is_six_digits_and_not_printed() {
        assert_eq!(pin(7).reveal(), "000007");
        assert_eq!(pin(4_293_999_999).reveal(), "999999");
        assert!(Pin::of_random(4_294_000_000).is_none() && Pin::of_random(u32::MAX).is_none());
        assert_eq!(format!("{:?}", pin(123_456)), "Pin(…)");
        for text in ["123456", "123 456", "12-34-56", " 123456 "] {
            assert_eq!(Pin::parse(text).expect("a PIN").reveal(), "123456", "{text}");
        }
        for text in ["", "12345", "1234567", "12345a", "１２３４５６", "123456                            "] {
            assert!(Pin::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_pin_holds_for_two_minutes_and_one_use() {
        let mut pairing = Pairing::default();
        assert_eq!(pairing.attempt(&pin(1), at(0)), Err(Refusal::NoPin));
        assert_eq!(pairing.open(pin(1), at(0)), Ok(at(120)));
        assert!(pairing.holds(at(119)) && !pairing.holds(at(120)));
        assert_eq!(pairing.attempt(&pin(1), at(120)), Err(Refusal::NoPin));
        pairing.open(pin(1), at(200)).expect("a PIN");
        assert_eq!(pairing.attempt(&pin(1), at(319)), Ok(()));
        assert_eq!(pairing.attempt(&pin(1), at(319)), Err(Refusal::NoPin), "used");
        pairing.open(pin(1), at(400)).expect("a PIN");
        pairing.open(pin(2), at(401)).expect("a PIN");
        assert_eq!(pairing.attempt(&pin(1), at(402)), Err(Refusal::Wrong { left: 4 }), "replaced");
    }

    #[test]
    fn five_wrong_tries_cost_the_pin_and_a_wait_that_grows() {
        let mut pairing = Pairing::default();
        let mut now = 0;
        for wait in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600] {
            for left in (0..5).rev() {
                // A new PIN for each try gives no more of them.
                pairing.open(pin(1), at(now)).expect("a PIN");
                assert_eq!(pairing.attempt(&pin(2), at(now)), Err(Refusal::Wrong { left }));
            }
            let refused = Err(Refusal::Wait(Duration::from_secs(wait)));
            assert_eq!(pairing.attempt(&pin(1), at(now)), refused, "void");
            assert_eq!(pairing.open(pin(1), at(now)).map(|_| ()), refused);
            now += wait;
        }
        pairing.open(pin(1), at(now)).expect("a PIN");
        assert_eq!(pairing.attempt(&pin(1), at(now)), Ok(()));
        pairing.open(pin(1), at(now)).expect("a PIN");
        assert_eq!(pairing.attempt(&pin(2), at(now)), Err(Refusal::Wrong { left: 4 }), "a success forgives");
    }

    #[test]
    fn waits_are_told_in_whole_seconds_that_are_enough() {
        assert_eq!((seconds(Duration::from_millis(1)), seconds(Duration::from_secs(30))), (1, 30));
        assert!(Refusal::Wait(Duration::from_millis(29_001)).text().contains("wait 30 s"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_pin_or_refused(text in ".{0,20}") {
            if let Some(pin) = Pin::parse(&text) {
                let digits: String = text.chars().filter(char::is_ascii_digit).collect();
                prop_assert_eq!(pin.reveal(), digits);
            }
        }

        /// Whatever is asked for and guessed in whatever order: only the PIN that was shown last, in its time and once, is worth
        /// anything, and within any time no more is tried than the waits allow.
        #[test]
        fn nothing_but_the_shown_pin_pairs(steps in prop::collection::vec((0_u64..200, 0_u32..4, any::<bool>()), 1..200)) {
            let mut pairing = Pairing::default();
            let (mut now, mut shown, mut judged, mut waited) = (0, None, 0_u32, 0_u64);
            for (pause, number, opens) in steps {
                now += pause;
                if opens {
                    shown = None;
                    if pairing.open(pin(number), at(now)).is_ok() {
                        shown = Some((number, now + 120));
                    }
                    continue;
                }
                let right = shown.is_some_and(|(pin, until)| pin == number && now < until);
                match pairing.attempt(&pin(number), at(now)) {
                    Ok(()) => {
                        prop_assert!(right);
                        (shown, judged) = (None, 0);
                    }
                    Err(Refusal::Wrong { left }) => {
                        prop_assert!(!right && now >= waited);
                        judged += 1;
                        prop_assert_eq!(left, 4 - (judged - 1) % 5);
                        if left == 0 {
                            shown = None;
                            waited = now + (30 << ((judged / 5) - 1).min(7)).min(3600);
                        }
                    }
                    Err(Refusal::Wait(wait)) => prop_assert_eq!(wait.as_secs(), waited - now),
                    Err(_) => prop_assert!(shown.is_none_or(|(_, until)| now >= until)),
                }
                prop_assert_eq!(pairing.holds(at(now)), shown.is_some_and(|(_, until)| now < until));
            }
        }
    }
}
