//! What the answers of a DV-timings driver mean (pure).

use crate::{
    status::SignalState,
    sys::v4l2::Timings,
    units::{Mode, Rate},
};
use std::io;

/// Sizes that a [`Mode`] can have.
const SIZES: std::ops::RangeInclusive<u32> = 16..=8192;

/// The mode of `timings`; none when they are no picture's, as some drivers give without a signal.
pub fn mode(timings: Timings) -> Option<Mode> {
    let Timings { width, height, .. } = timings;
    let total = |active: u32, blanking: u32| f64::from(active) + f64::from(blanking);
    let pixels = total(width, timings.horizontal_blanking) * total(height, timings.vertical_blanking);
    if !SIZES.contains(&width) || !SIZES.contains(&height) {
        return None;
    }
    let mut rate = timings.pixel_clock as f64 / pixels;
    if timings.interlaced {
        // Lines are those of both fields, and the rate of an interlaced mode counts fields.
        rate *= 2.0;
    }
    if timings.reduced_rate {
        rate *= 1000.0 / 1001.0;
    }
    Some(Mode { width, height, interlaced: timings.interlaced, rate: Rate::nearest(rate)? })
}

/// What the clock that was measured just now and the one measured before say together: when nothing but the rate
/// differs, and by less than the step from 60 to 59.94 Hz with its margin, it is the measurement that moved.
pub fn steady(before: Option<Mode>, now: Mode) -> Mode {
    let close = |before: &Mode| {
        let same = (before.width, before.height, before.interlaced) == (now.width, now.height, now.interlaced);
        same && (before.rate.hz() / now.rate.hz() - 1.0).abs() < 0.002
    };
    before.filter(close).unwrap_or(now)
}

/// How far the timings that a receiver is set to are from those that it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// They are the same, but for the noise of a clock that is measured anew each time.
    Same,
    /// Another rate of the same picture: it is captured all the same, only called by the wrong rate.
    Rate,
    /// Another picture.
    Other,
}

/// How well a receiver that is set to `set` captures what `found` says.
pub fn fit(set: Timings, found: Timings) -> Fit {
    let geometry = |timings: Timings| {
        let blanking = (timings.horizontal_blanking, timings.vertical_blanking);
        (timings.width, timings.height, timings.interlaced, blanking)
    };
    let off = set.pixel_clock.abs_diff(found.pixel_clock) as f64 / found.pixel_clock.max(1) as f64;
    if geometry(set) != geometry(found) || off > 0.01 {
        Fit::Other
    } else if off > 0.0005 || set.reduced_rate != found.reduced_rate {
        Fit::Rate
    } else {
        Fit::Same
    }
}

/// What an error of VIDIOC_QUERY_DV_TIMINGS means (V4L2 section 7.54); none: the driver cannot tell now (EBUSY).
///
/// # Errors
/// The error itself when the device is gone or has no timings.
pub fn state(error: io::Error) -> io::Result<Option<SignalState>> {
    match error.raw_os_error() {
        Some(libc::ENOLINK) => Ok(Some(SignalState::NoSignal)),
        Some(libc::ENOLCK) => Ok(Some(SignalState::NoLock)),
        Some(libc::ERANGE) => Ok(Some(SignalState::OutOfRange)),
        Some(libc::EBUSY) => Ok(None),
        // A bridge on a bus that answers late: the signal is being found, the device is there.
        Some(libc::EIO | libc::ETIMEDOUT | libc::EREMOTEIO | libc::EAGAIN) => Ok(Some(SignalState::NoLock)),
        _ => Err(error),
    }
}

/// Whether `mode` is larger or faster than `max`.
pub fn exceeds(mode: Mode, max: Mode) -> bool {
    // 60 Hz against 59.94 is no difference that hardware cares about.
    mode.width > max.width || mode.height > max.height || mode.picture_rate().hz() > max.picture_rate().hz() * 1.002
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn timings(width: u32, height: u32, blanking: (u32, u32), pixel_clock: u64) -> Timings {
        let (horizontal_blanking, vertical_blanking) = blanking;
        Timings { width, height, horizontal_blanking, vertical_blanking, pixel_clock, ..Timings::default() }
    }

    fn text(timings: Timings) -> String {
        mode(timings).expect("a mode").to_string()
    }

    /// As vivid and a TC358743 report them; CTA-861-G table 1.
    const P60: Timings = Timings {
        width: 1920,
        height: 1080,
        interlaced: false,
        pixel_clock: 148_500_000,
        horizontal_blanking: 280,
        vertical_blanking: 45,
        reduced_rate: false,
    };

    #[test]
    fn reads_broadcast_modes() {
        assert_eq!(text(P60), "1920x1080p60");
        assert_eq!(text(Timings { pixel_clock: 148_351_648, ..P60 }), "1920x1080p59.94");
        assert_eq!(text(Timings { reduced_rate: true, ..P60 }), "1920x1080p59.94");
        assert_eq!(text(timings(1280, 720, (370, 30), 74_250_000)), "1280x720p60");
        assert_eq!(text(timings(1280, 720, (700, 30), 74_250_000)), "1280x720p50");
        assert_eq!(text(timings(1920, 1080, (830, 45), 74_175_824)), "1920x1080p23.98");
        assert_eq!(text(timings(3840, 2160, (560, 90), 297_000_000)), "3840x2160p30");
        let interlaced = Timings { interlaced: true, pixel_clock: 74_250_000, horizontal_blanking: 720, ..P60 };
        assert_eq!(text(interlaced), "1920x1080i50");
        assert_eq!(text(Timings { horizontal_blanking: 280, ..interlaced }), "1920x1080i60");
        // 640x480 of VIC 1: 25.175 MHz is 59.94 Hz.
        assert_eq!(text(timings(640, 480, (160, 45), 25_175_000)), "640x480p59.94");
    }

    #[test]
    fn what_is_no_picture_has_no_mode() {
        assert_eq!(mode(Timings::default()), None);
        assert_eq!(mode(Timings { pixel_clock: 0, ..P60 }), None);
        assert_eq!(mode(Timings { width: 0, ..P60 }), None);
        assert_eq!(mode(Timings { height: 100_000, ..P60 }), None);
    }

    #[test]
    fn a_measured_clock_does_not_flicker() {
        let measured = |pixel_clock| mode(Timings { pixel_clock, ..P60 });
        let (fast, slow) = (measured(148_430_000), measured(148_420_000));
        assert_ne!(fast, slow, "either side of the middle between 60 and 59.94");
        assert_eq!(steady(fast, slow.expect("a mode")), fast.expect("a mode"));
        assert_eq!(steady(None, slow.expect("a mode")), slow.expect("a mode"));
        let half = measured(74_250_000);
        assert_eq!(steady(fast, half.expect("a mode")), half.expect("a mode"));
    }

    #[test]
    fn a_receiver_is_set_to_what_it_finds() {
        assert_eq!(fit(P60, Timings { pixel_clock: 148_530_000, ..P60 }), Fit::Same);
        assert_eq!(fit(P60, Timings { pixel_clock: 148_351_648, ..P60 }), Fit::Rate);
        assert_eq!(fit(P60, Timings { reduced_rate: true, ..P60 }), Fit::Rate);
        assert_eq!(fit(P60, Timings { horizontal_blanking: 720, ..P60 }), Fit::Other);
        assert_eq!(fit(P60, Timings { pixel_clock: 74_250_000, ..P60 }), Fit::Other);
    }

    #[test]
    fn errors_are_states_of_the_signal() {
        let state = |code| state(io::Error::from_raw_os_error(code)).ok();
        assert_eq!(state(libc::ENOLINK), Some(Some(SignalState::NoSignal)));
        assert_eq!(state(libc::ENOLCK), Some(Some(SignalState::NoLock)));
        assert_eq!(state(libc::ERANGE), Some(Some(SignalState::OutOfRange)));
        assert_eq!(state(libc::EBUSY), Some(None));
        for gone in [libc::ENODEV, libc::ENXIO, libc::ENODATA, libc::ENOTTY] {
            assert_eq!(state(gone), None);
        }
    }

    #[test]
    fn a_board_may_take_less_than_its_receiver() {
        let exceeds = |mode: &str, max: &str| exceeds(mode.parse().expect("a mode"), max.parse().expect("a mode"));
        assert!(exceeds("1920x1080p60", "1920x1080p50"));
        assert!(exceeds("3840x2160p30", "1920x1080p60"));
        assert!(!exceeds("1920x1080p60", "1920x1080p59.94"));
        assert!(!exceeds("1920x1080i60", "1920x1080p50"), "30 pictures a second");
    }

    proptest! {
        #[test]
        fn any_timings_are_a_mode_or_none(
            width: u32, height: u32, interlaced: bool, pixel_clock: u64, horizontal_blanking: u32,
            vertical_blanking: u32, reduced_rate: bool,
        ) {
            let timings = Timings {
                width, height, interlaced, pixel_clock, horizontal_blanking, vertical_blanking, reduced_rate,
            };
            if let Some(mode) = mode(timings) {
                prop_assert!((1.0..=240.0).contains(&mode.rate.hz().round()));
                prop_assert!(steady(Some(mode), mode) == mode && fit(timings, timings) == Fit::Same);
            }
        }
    }
}
