//! What is wrong with what is shown and heard although all of it flows: a picture that is black or stands still, sound that is
//! silent or too loud.

use super::fault::{self, Notice};
use crate::{media::Look, units::Time};
use std::{collections::VecDeque, time::Duration};

/// How long something has to be so before it is a fault: a fade to black or a pause is none.
const LASTING: Duration = Duration::from_secs(10);
/// Peaks below are silence, dBFS: a microphone in a quiet room gives more.
const SILENCE: f64 = -60.0;
/// Peaks from here on are cut off: 16-bit full scale less one step is -0.0003 dBFS. What was cut off before the sound was
/// turned down is as much lower, and rounded.
const FULL_SCALE: f64 = -0.001;
const TURNED_DOWN: f64 = -0.02;
/// So many reports (a tenth of a second each) with such a peak within so long are clipping: one alone may be a clap.
const CLIPS: usize = 5;
const CLIPS_WITHIN: Duration = Duration::from_secs(5);

/// What was seen and heard of the input while on air.
#[derive(Debug, Default)]
pub struct Content {
    black: Option<Time>,
    still: Option<Time>,
    silent: Option<Time>,
    clips: VecDeque<Time>,
    /// Whether there was ever anything to see since the picture came.
    seen: bool,
}

impl Content {
    /// Takes what a picture looks like.
    pub fn picture(&mut self, look: Look, now: Time) {
        self.seen |= !look.black;
        note(&mut self.black, look.black, now);
        // Black stands still as well; one fault is enough.
        note(&mut self.still, look.still && !look.black, now);
    }

    /// Takes the peaks of a tenth of a second, dBFS, after a gain of `gain` dB.
    pub fn sound(&mut self, peaks: &[f64], gain: f64, now: Time) {
        let peak = peaks.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        note(&mut self.silent, peak < SILENCE, now);
        if peak >= if gain < 0.0 { gain + TURNED_DOWN } else { FULL_SCALE } {
            self.clips.push_back(now);
        }
        while self.clips.front().is_some_and(|first| now.since(*first) > CLIPS_WITHIN) {
            self.clips.pop_front();
        }
    }

    /// No picture comes any more.
    pub fn picture_gone(&mut self) {
        (self.black, self.still, self.seen) = (None, None, false);
    }

    /// No sound comes any more.
    pub fn sound_gone(&mut self) {
        self.silent = None;
        self.clips.clear();
    }

    /// What is wrong with the picture of `input` at `now`; `hdmi` says whether it can be copy-protected.
    pub fn seen(&self, input: &str, hdmi: bool, now: Time) -> Vec<Notice> {
        let lasts = |since: Option<Time>| lasts(since, now);
        let mut notices = Vec::new();
        if lasts(self.black) {
            notices.push(if hdmi && !self.seen { fault::perhaps_protected(input) } else { fault::black(input) });
        }
        if lasts(self.still) {
            notices.push(fault::still(input));
        }
        notices
    }

    /// What is wrong with the sound at `now`.
    pub fn heard(&self, now: Time) -> Vec<Notice> {
        let mut notices = Vec::new();
        if lasts(self.silent, now) {
            notices.push(fault::silent());
        }
        if self.clips.len() >= CLIPS {
            notices.push(fault::clipping());
        }
        notices
    }
}

fn lasts(since: Option<Time>, now: Time) -> bool {
    since.is_some_and(|since| now.since(since) >= LASTING)
}

/// Keeps since when it is `so`.
fn note(since: &mut Option<Time>, so: bool, now: Time) {
    *since = if so { since.or(Some(now)) } else { None };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn codes(content: &Content, ms: u64) -> Vec<&'static str> {
        let notices = content.seen("hdmi", true, at(ms)).into_iter().chain(content.heard(at(ms)));
        notices.map(|notice| notice.code).collect()
    }

    #[test]
    fn black_and_still_are_faults_after_ten_seconds_and_gone_at_once() {
        let mut content = Content::default();
        let (moving, black, still) =
            (Look::default(), Look { black: true, still: true }, Look { black: false, still: true });
        content.picture(moving, at(0));
        for half in 1..=21 {
            content.picture(black, at(half * 500));
            assert_eq!(codes(&content, half * 500), if half < 21 { vec![] } else { vec!["picture-black"] });
        }
        for half in 22..=42 {
            content.picture(still, at(half * 500));
            assert_eq!(codes(&content, half * 500), if half < 42 { vec![] } else { vec!["picture-frozen"] });
        }
        content.picture(moving, at(21_500));
        assert!(codes(&content, 21_500).is_empty());
    }

    #[test]
    fn what_was_never_anything_but_black_on_hdmi_is_perhaps_protected() {
        let mut content = Content::default();
        let black = Look { black: true, still: false };
        content.picture(black, at(0));
        assert_eq!(codes(&content, 10_000), ["perhaps-protected"]);
        assert_eq!(content.seen("camera", false, at(10_000))[0].code, "picture-black");
        content.picture(Look::default(), at(10_500));
        content.picture(black, at(11_000));
        assert_eq!(codes(&content, 21_000), ["picture-black"]);
        // Another picture may be protected again.
        content.picture_gone();
        content.picture(black, at(22_000));
        assert_eq!(codes(&content, 32_000), ["perhaps-protected"]);
    }

    #[test]
    fn silence_is_a_fault_after_ten_seconds_and_gone_with_the_first_sound() {
        let mut content = Content::default();
        content.sound(&[-20.0, -120.0], 0.0, at(0));
        for tenth in 1..150 {
            content.sound(&[-61.0, -120.0], 0.0, at(tenth * 100));
        }
        assert_eq!((codes(&content, 10_000), codes(&content, 10_100)), (vec![], vec!["sound-silent"]));
        content.sound(&[-120.0, -40.0], 0.0, at(15_000));
        assert!(codes(&content, 15_000).is_empty());
        content.sound(&[-120.0], 0.0, at(15_100));
        content.sound_gone();
        assert!(codes(&content, 60_000).is_empty());
    }

    #[test]
    fn repeated_full_scale_is_clipping_until_it_was_lower_for_some_seconds() {
        let mut content = Content::default();
        content.sound(&[0.0, -3.0], 0.0, at(0));
        assert!(codes(&content, 0).is_empty(), "a clap");
        for tenth in 1..5 {
            content.sound(&[-3.0, 0.0], 0.0, at(tenth * 1000));
        }
        assert_eq!(codes(&content, 4000), ["sound-clipping"]);
        content.sound(&[-0.1, -0.1], 0.0, at(5100));
        assert!(codes(&content, 5100).is_empty());
        // What the card cut off is no less cut off when it is turned down after that.
        for tenth in 0..5 {
            content.sound(&[-6.005, -9.0], -6.0, at(20_000 + tenth * 100));
            content.sound(&[-6.1, -6.1], 6.0, at(20_050 + tenth * 100));
        }
        assert_eq!(codes(&content, 20_500), ["sound-clipping"]);
        assert!(content.heard(at(26_000)).len() == 1, "nothing was heard since");
    }
}
