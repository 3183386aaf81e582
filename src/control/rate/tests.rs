use super::*;
use proptest::prelude::*;

const LIMITS: Limits = Limits { min: BitRate::new(500_000), max: BitRate::new(6_000_000) };
const AUDIO: BitRate = BitRate::new(128_000);

fn at(tenths: u64) -> Time {
    Time::from_millis(1_000_000 + tenths * 100)
}

fn controller(known: u64) -> Controller {
    Controller::new(LIMITS, Some(BitRate::new(known)), AUDIO)
}

/// 100 ms over a link of `link` bit/s to which `rate` bit/s are offered; what waits is kept in `waiting`, bits.
fn sample(link: f64, rate: f64, waiting: &mut f64) -> LinkSample {
    let offered = rate / 10.0;
    *waiting += offered;
    let arrived = waiting.min(link / 10.0);
    *waiting -= arrived;
    let busy = if link > 0.0 { arrived / link } else { 0.1 };
    LinkSample {
        span: Duration::from_millis(100),
        offered: (offered / 8.0) as u64,
        arrived: (arrived / 8.0) as u64,
        outstanding: (*waiting / 8.0) as u64,
        busy: Duration::from_secs_f64(busy.min(0.1)),
        arrived_busy: (arrived / 8.0) as u64,
        ..LinkSample::default()
    }
}

/// Runs for `tenths` on a link of `link` bit/s; the rates that were asked for.
fn follow(control: &mut Controller, link: f64, tenths: std::ops::Range<u64>) -> Vec<u64> {
    let mut waiting = 0.0;
    tenths
        .map(|tenth| {
            let rate = control.made + 128e3;
            control.take(&sample(link, rate, &mut waiting), at(tenth));
            control.rate().bits()
        })
        .collect()
}

#[test]
fn settles_below_what_the_link_carries() {
    let rates = follow(&mut controller(2_500_000), 3e6, 0..100);
    assert!(rates[50..].iter().all(|rate| (2_300_000..2_700_000).contains(rate)), "{rates:?}");
}

#[test]
fn goes_down_at_once_and_comes_back() {
    let mut control = controller(5_000_000);
    follow(&mut control, 8e6, 0..30);
    let down = follow(&mut control, 1e6, 30..60);
    assert!(down[4..].iter().all(|rate| *rate < 1_000_000), "{down:?}");
    let up = follow(&mut control, 8e6, 60..90);
    assert!(up[20..].iter().all(|rate| *rate > 5_000_000), "{up:?}");
}

#[test]
fn a_link_that_carries_nothing_gets_the_least_and_recovers() {
    let mut control = controller(5_000_000);
    follow(&mut control, 8e6, 0..30);
    let gone = follow(&mut control, 0.0, 30..330);
    assert!(gone[3..].iter().all(|rate| *rate == 500_000), "{gone:?}");
    let back = follow(&mut control, 8e6, 330..360);
    assert!(back[25] > 5_000_000, "{back:?}");
}

#[test]
fn without_an_end_in_sight_the_top_is_reached() {
    // A local network: nothing ever waits, the round trip is nothing.
    let mut control = controller(500_000);
    let mut rates = Vec::new();
    for tenth in 0..40 {
        let offered = ((control.made + 128e3) / 80.0) as u64;
        let quick = LinkSample { span: Duration::from_millis(100), offered, arrived: offered, ..LinkSample::default() };
        control.take(&quick, at(tenth));
        rates.push(control.rate().bits());
    }
    assert_eq!(rates.last(), Some(&6_000_000), "{rates:?}");
}

#[test]
fn half_the_pictures_are_neither_a_still_picture_nor_a_lag() {
    // Ingests next door: nothing ever waits. Without knowing it, the half that comes would look like an encoder that idles.
    let mut control = controller(500_000);
    control.set_every(2);
    for tenth in 0..60 {
        let offered = ((0.45 * control.made + 128e3) / 80.0) as u64;
        let quick = LinkSample { span: Duration::from_millis(100), offered, arrived: offered, ..LinkSample::default() };
        control.take(&quick, at(tenth));
    }
    assert_eq!(control.rate().bits(), 6_000_000);
    // A link with an end: what is asked for stays below it, and half of that is made.
    let mut waiting = 0.0;
    let rates: Vec<u64> = (60..160)
        .map(|tenth| {
            let rate = control.made / 2.0 + 128e3;
            control.take(&sample(2e6, rate, &mut waiting), at(tenth));
            control.rate().bits()
        })
        .collect();
    assert!(rates[50..].iter().all(|rate| (1_400_000..2_000_000).contains(rate)), "{rates:?}");
    assert!(waiting < 100_000.0, "{waiting} bits wait");
}

#[test]
fn a_still_picture_changes_nothing() {
    let mut control = controller(2_000_000);
    for tenth in 0..3000 {
        let still =
            LinkSample { span: Duration::from_millis(100), offered: 350, arrived: 350, ..LinkSample::default() };
        control.take(&still, at(tenth));
    }
    assert_eq!(control.rate(), BitRate::new(2_000_000));
}

#[test]
fn sound_beside_a_still_picture_changes_nothing() {
    for sound in [128_000, 320_000] {
        let limits = Limits { min: BitRate::new(300_000), ..LIMITS };
        let mut control = Controller::new(limits, Some(BitRate::new(300_000)), BitRate::new(sound));
        for tenth in 0..3000 {
            let bytes = (28_000 + sound) / 80;
            let still = LinkSample {
                span: Duration::from_millis(100),
                offered: bytes,
                arrived: bytes,
                ..LinkSample::default()
            };
            control.take(&still, at(tenth));
        }
        assert_eq!(control.rate(), BitRate::new(300_000));
    }
}

#[test]
fn a_lowered_top_holds_at_once_and_for_ever() {
    let mut control = controller(5_000_000);
    follow(&mut control, 20e6, 0..30);
    control.set_limits(Limits { min: BitRate::new(300_000), max: BitRate::new(1_000_000) });
    assert_eq!(control.rate(), BitRate::new(1_000_000));
    let rates = follow(&mut control, 20e6, 30..600);
    assert!(rates.iter().all(|rate| *rate <= 1_000_000));
}

#[test]
fn starts_with_what_is_known_within_the_limits() {
    let start = |known: Option<u64>| Controller::new(LIMITS, known.map(BitRate::new), AUDIO).rate().bits();
    assert_eq!([start(None), start(Some(100)), start(Some(9_000_000))], [2_500_000, 500_000, 6_000_000]);
    let small = Limits { min: BitRate::new(100_000), max: BitRate::new(800_000) };
    assert_eq!(Controller::new(small, None, AUDIO).rate(), BitRate::new(800_000));
}

#[test]
fn a_new_connection_starts_with_the_usual_rate_and_not_with_the_last() {
    let mut control = controller(2_500_000);
    follow(&mut control, 4e6, 0..600);
    let usual = control.usual().expect("measured");
    assert!((3_000_000..3_600_000).contains(&usual.bits()), "{usual}");
    follow(&mut control, 0.0, 600..680);
    assert_eq!(control.rate(), BitRate::new(500_000));
    control.restart();
    assert!(control.rate().bits() > 2_500_000, "{}", control.rate());
}

#[test]
fn a_wall_needs_proof_and_is_probed_less_and_less_often() {
    let mut wall = Wall::default();
    let mut now = 0;
    let mut bump = |wall: &mut Wall, level: f64| {
        let full = Seen { span: 0.1, busy: 0.1, arrived_busy: level / 10.0, offered: level / 10.0 };
        for _ in 0..5 {
            wall.note(full, Some(9e6), at(now));
            now += 1;
        }
        wall.note(Seen { busy: 0.0, ..full }, Some(9e6), at(now));
        now
    };
    bump(&mut wall, 2e6);
    bump(&mut wall, 2.02e6);
    assert_eq!(wall.limit(at(12)), f64::MAX);
    let hit = bump(&mut wall, 2e6);
    assert!((1.9e6..2.1e6).contains(&wall.limit(at(hit + 9))) && wall.limit(at(hit + 25)) > 2.5e6);
    let hit = bump(&mut wall, 2e6);
    assert!(wall.limit(at(hit + 19)) < 2.1e6 && wall.limit(at(hit + 100)) > 8e6, "it is not for ever");
    bump(&mut wall, 4e6);
    assert_eq!(wall.limit(at(hit + 101)), f64::MAX, "another level is no wall yet");
}

proptest! {
    #[test]
    fn always_within_the_limits(
        samples in prop::collection::vec((0u64..300, 0u64..1_000_000, 0u64..1_000_000, 0u64..10_000_000, 0u64..300), 0..200),
        min in 100_000u64..2_000_000, more in 0u64..10_000_000,
    ) {
        let limits = Limits { min: BitRate::new(min), max: BitRate::new(min + more) };
        let mut control = Controller::new(limits, None, AUDIO);
        let mut now = at(0);
        for (span, offered, arrived, outstanding, busy) in samples {
            let (span, busy) = (Duration::from_millis(span), Duration::from_millis(busy.min(span)));
            let sample = LinkSample { span, offered, arrived, outstanding, busy, arrived_busy: arrived / 2, ..LinkSample::default() };
            now = now + span;
            control.take(&sample, now);
            prop_assert!((limits.min..=limits.max).contains(&control.rate()), "{:?}", control);
        }
    }
}
