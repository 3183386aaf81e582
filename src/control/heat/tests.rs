use super::*;
use proptest::prelude::*;

fn warm(headroom: f64) -> Heat {
    Heat { headroom: Some(headroom), throttled: false }
}

const RATE: BitRate = BitRate::new(4_000_000);

/// A governor that is told the same each second.
struct Bench {
    governor: Governor,
    second: u64,
}

impl Bench {
    fn new() -> Self {
        Self { governor: Governor::default(), second: 0 }
    }

    fn now(&self) -> Time {
        Time::from_millis(self.second * 1000)
    }

    fn tell(&mut self, heat: Heat) -> usize {
        self.second += 1;
        self.governor.take(heat, RATE, self.now());
        self.governor.step
    }

    /// The step after so many seconds.
    fn seconds(&mut self, number: u64, heat: Heat) -> usize {
        (0..number).fold(self.governor.step, |_, _| self.tell(heat))
    }
}

#[test]
fn bitrate_goes_first_then_every_second_picture() {
    let mut bench = Bench::new();
    assert_eq!(bench.seconds(100, warm(3.5)), 0);
    assert_eq!(bench.governor.cap(), None);
    for (step, cap) in [(1, 3_000_000), (2, 2_000_000), (3, 1_400_000)] {
        assert_eq!(bench.tell(warm(3.0)), step);
        assert_eq!((bench.governor.cap(), bench.governor.halves()), (Some(BitRate::new(cap)), false));
        assert_eq!(bench.seconds(19, warm(3.0)), step, "it gets the time to show");
    }
    assert_eq!(bench.tell(warm(3.0)), 4);
    assert_eq!((bench.governor.cap(), bench.governor.halves()), (Some(BitRate::new(1_400_000)), true));
    assert_eq!(bench.seconds(1000, warm(-10.0)), 4, "there is no more to take");
}

#[test]
fn beyond_the_limit_all_is_taken_in_15_seconds() {
    assert_eq!(Bench::new().seconds(16, warm(-0.1)), 4);
}

#[test]
fn a_board_that_only_says_that_it_is_slowed_down_is_believed() {
    let slowed = Heat { headroom: None, throttled: true };
    let mut bench = Bench::new();
    assert_eq!(bench.seconds(61, slowed), 4);
    assert_eq!(bench.seconds(59, Heat::default()), 4);
    assert_eq!(bench.seconds(2, Heat::default()), 3);
    // So far from any limit it is not heat that slows it down.
    assert_eq!(Bench::new().seconds(100, Heat { headroom: Some(30.0), throttled: true }), 0);
    assert_eq!(Bench::new().seconds(1, Heat { headroom: Some(10.0), throttled: true }), 1);
}

#[test]
fn it_comes_back_step_by_step_and_more_slowly_after_each_relapse() {
    let mut bench = Bench::new();
    bench.seconds(16, warm(-1.0));
    for step in [3, 2, 1, 0] {
        // The first of these seconds only begins the wait.
        assert_eq!(bench.seconds(if step == 3 { 60 } else { 59 }, warm(8.1)), step + 1);
        assert_eq!(bench.tell(warm(8.1)), step);
    }
    let mut waits = Vec::new();
    for _ in 0..7 {
        assert_eq!(bench.tell(warm(2.0)), 1, "a relapse");
        let begun = bench.second;
        while bench.tell(warm(20.0)) > 0 {}
        waits.push(bench.second - begun);
    }
    assert_eq!(waits, [121, 241, 481, 961, 1921, 1921, 1921]);
    // Half an hour without heat, and it is as at first.
    bench.seconds(31 * 60, warm(20.0));
    bench.tell(warm(2.0));
    assert_eq!((bench.seconds(60, warm(20.0)), bench.seconds(2, warm(20.0))), (1, 0));
}

#[test]
fn between_hot_and_cool_nothing_changes() {
    let mut bench = Bench::new();
    bench.tell(warm(1.0));
    assert_eq!(bench.seconds(10_000, warm(5.0)), 1);
    // A moment that is not cool begins the wait anew.
    bench.seconds(59, warm(9.0));
    bench.tell(warm(7.9));
    assert_eq!(bench.seconds(60, warm(9.0)), 1);
}

/// Warm-up of a box: each step leaves less to be heated by, and it follows with `delay` seconds.
struct Plant {
    degrees: f64,
    ambient: f64,
    /// Above ambient with all of the program, and the part of that which encoding it makes.
    rise: f64,
    part: f64,
    delay: f64,
}

impl Plant {
    fn second(&mut self, step: usize) -> f64 {
        let work = [1.0, 0.85, 0.7, 0.6, 0.35][step];
        let end = self.ambient + self.rise * (1.0 - self.part + self.part * work);
        self.degrees += (end - self.degrees) / self.delay;
        self.degrees
    }
}

proptest! {
    #[test]
    fn it_never_jumps_and_never_hurries_back(
        heats in prop::collection::vec((prop::option::of(-20.0..40.0f64), any::<bool>(), 1u64..40), 1..60),
    ) {
        let mut bench = Bench::new();
        let (mut taken, mut cool) = (None::<u64>, 0);
        for (headroom, throttled, seconds) in heats {
            for _ in 0..seconds {
                let (heat, before) = (Heat { headroom, throttled }, bench.governor.step);
                let step = bench.tell(heat);
                prop_assert!(step <= HALF && step.abs_diff(before) <= 1);
                let is_cool = headroom.is_none_or(|headroom| headroom > FAR)
                    && !(throttled && headroom.is_none_or(|headroom| headroom < UNRELATED));
                cool = if is_cool { cool + 1 } else { 0 };
                if step > before {
                    prop_assert!(throttled || headroom.is_some_and(|headroom| headroom <= NEAR));
                    prop_assert!(taken.is_none_or(|at| bench.second - at >= 5));
                    taken = Some(bench.second);
                }
                if step < before {
                    prop_assert!(cool > COOL.as_secs(), "cool for {cool} s only");
                    cool = 1;
                }
                prop_assert!(bench.governor.cap().is_none_or(|cap| cap <= RATE));
                prop_assert_eq!(bench.governor.cap().is_some(), step > 0);
            }
        }
    }

    #[test]
    fn a_box_that_is_too_hot_settles(
        ambient in 15.0..60.0f64, rise in 10.0..70.0f64, part in 0.2..0.9f64, delay in 20.0..300.0f64,
        noise in prop::collection::vec(-0.8..0.8f64, 1..50),
    ) {
        const LIMIT: f64 = 85.0;
        let mut plant = Plant { degrees: ambient, ambient, rise, part, delay };
        let mut bench = Bench::new();
        let (mut changes, mut most, mut step) = (0, f64::MIN, 0);
        for second in 0..6 * 3600usize {
            let degrees = plant.second(step) + noise[second % noise.len()];
            let next = bench.tell(warm(LIMIT - degrees));
            if second >= 3 * 3600 {
                changes += next.abs_diff(step);
                most = most.max(degrees);
            }
            step = next;
        }
        // The least that it can be brought to.
        let least = ambient + rise * (1.0 - part + part * 0.35);
        prop_assert!(least > LIMIT - NEAR - 1.0 || most <= LIMIT, "{most} °C with {least} within reach");
        // One step back and forth in half an hour, in three hours.
        prop_assert!(changes <= 14, "{changes} changes");
        // A box that is never near its limit keeps everything.
        prop_assert!(ambient + rise > LIMIT - NEAR - 1.0 || step == 0);
    }
}
