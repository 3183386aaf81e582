use super::*;
use crate::{
    access_unit::AAC_CONFIG,
    program::grid::{SILENCE, slot_length},
    units::Rate,
};
use bytes::Bytes;
use proptest::prelude::*;

fn ms(ms: u64) -> Time {
    Time::from_millis(ms)
}

fn picture(time: Time, key: bool, config: u8) -> AccessUnit {
    let config = Arc::new(CodecConfig::H264(Bytes::from(vec![config])));
    AccessUnit { track: Track::Video, time, key, config, data: Bytes::from_static(b"picture") }
}

fn sound(time: Time) -> AccessUnit {
    let config = Arc::new(CodecConfig::Aac(Bytes::from_static(&AAC_CONFIG)));
    AccessUnit { track: Track::Audio, time, key: true, config, data: Bytes::from_static(b"sound") }
}

fn is_silence(unit: &AccessUnit) -> bool {
    unit.data[..] == SILENCE
}

fn sounds(out: &[AccessUnit]) -> Vec<&AccessUnit> {
    out.iter().filter(|unit| unit.track == Track::Audio).collect()
}

#[test]
fn a_program_that_begins_live_asks_for_no_idr() {
    let (mut timeline, mut out) = (Timeline::new(), Vec::new());
    timeline.begin_live(ms(1000));
    timeline.cut(Cut::Live, false);
    assert!(!timeline.take_key_wanted());
    timeline.push(WorkerId(1), picture(ms(1000), true, 0), ms(1060), &mut out);
    timeline.push(WorkerId(1), picture(ms(1040), false, 0), ms(1100), &mut out);
    assert!(!timeline.take_key_wanted());
}

#[test]
fn begins_at_an_idr_and_sound_never_leads() {
    let (mut timeline, mut out) = (Timeline::new(), Vec::new());
    timeline.push(WorkerId(1), sound(ms(1000)), ms(1070), &mut out);
    timeline.push(WorkerId(2), picture(ms(1010), false, 0), ms(1070), &mut out);
    assert!(out.is_empty() && timeline.showing(ms(1070)).is_none());
    timeline.push(WorkerId(2), picture(ms(1043), true, 0), ms(1080), &mut out);
    assert_eq!((out.len(), out[0].time), (1, ms(1043)));
    assert_eq!(timeline.showing(ms(1080)), Some(Showing::Live));
}

#[test]
fn silence_fills_until_live_sound_joins_by_whole_units_and_after_it_goes() {
    let (mut timeline, mut out) = (Timeline::new(), Vec::new());
    timeline.push(WorkerId(1), picture(ms(1000), true, 0), ms(1010), &mut out);
    timeline.tick(ms(1300), &mut out);
    let filled = sounds(&out).len();
    assert!(filled >= 10 && sounds(&out).iter().all(|unit| is_silence(unit)));
    out.clear();
    for n in 0..20u64 {
        let captured = ms(1300) + slot_length() * n as u32;
        timeline.push(WorkerId(2), sound(captured), captured + Duration::from_millis(70), &mut out);
    }
    let live: Vec<_> = sounds(&out).into_iter().filter(|unit| !is_silence(unit)).collect();
    assert_eq!(live.len(), 20);
    let first = live[0].time;
    assert!(first.since(ms(1300)).max(ms(1300).since(first)) <= slot_length() / 2, "joined off the grid: {first:?}");
    out.clear();
    timeline.sound_gone(WorkerId(2));
    timeline.tick(ms(1300) + slot_length() * 20 + Duration::from_millis(500), &mut out);
    assert!(out.len() > 15 && out.iter().all(is_silence));
}

#[test]
fn sound_that_takes_long_joins_too() {
    let (mut timeline, mut out) = (Timeline::new(), Vec::new());
    live(&mut timeline, 1, 1000, 2000, &mut out);
    for n in 0..100u64 {
        let captured = ms(2000) + slot_length() * n as u32;
        run(&mut timeline, captured + Duration::from_millis(180), &mut out);
        timeline.push(WorkerId(2), sound(captured), captured + Duration::from_millis(180), &mut out);
    }
    let heard = sounds(&out).iter().filter(|unit| !is_silence(unit)).count();
    assert!(heard > 80, "{heard} of 100");
}

#[test]
fn a_dead_worker_is_held_and_its_successor_cuts_in_at_an_idr() {
    let (mut timeline, mut out) = (Timeline::new(), Vec::new());
    timeline.push(WorkerId(1), picture(ms(1000), true, 7), ms(1010), &mut out);
    let config = out[0].config.clone();
    assert_eq!(timeline.showing(ms(1400)), Some(Showing::Hold));
    timeline.push(WorkerId(3), picture(ms(1500), false, 7), ms(1510), &mut out);
    timeline.push(WorkerId(3), picture(ms(1533), true, 7), ms(1540), &mut out);
    timeline.push(WorkerId(1), picture(ms(1540), true, 7), ms(1545), &mut out);
    let times: Vec<_> = out.iter().filter(|unit| unit.track == Track::Video).map(|unit| unit.time).collect();
    assert_eq!(times, [ms(1000), ms(1533)]);
    let last = out.iter().rfind(|unit| unit.track == Track::Video).expect("a picture");
    assert!(Arc::ptr_eq(&config, &last.config), "an equal configuration is not a new one");
}

/// A card of ten pictures at 25 a second, whose pictures say which they are.
fn card(name: u8) -> Gop {
    let unit = |n: u8| {
        let config = Arc::new(CodecConfig::H264(Bytes::from(vec![name])));
        let data = Bytes::from(vec![name, n]);
        AccessUnit { track: Track::Video, time: Time::ZERO, key: n == 0, config, data }
    };
    Gop::new((0..10).map(unit).collect(), Rate::new(25, 1)).expect("a GOP")
}

/// The same over 4 s.
fn long_card() -> Gop {
    let pictures: Vec<AccessUnit> =
        (0..100).map(|n| AccessUnit { key: n == 0, ..card(1).picture(0).clone() }).collect();
    Gop::new(pictures, Rate::new(25, 1)).expect("a GOP")
}

/// Live pictures at 25 a second from `from` to `to`, each there 60 ms after its capture.
fn live(timeline: &mut Timeline, worker: u64, from: u64, to: u64, out: &mut Vec<AccessUnit>) {
    for (n, time) in (from..to).step_by(40).enumerate() {
        run(timeline, ms(time + 60), out);
        timeline.push(WorkerId(worker), picture(ms(time), n % 50 == 0, 7), ms(time + 60), out);
    }
}

/// Lets time pass up to `end`, waking when asked to.
fn run(timeline: &mut Timeline, end: Time, out: &mut Vec<AccessUnit>) {
    while let Some(wake) = timeline.next_wake().filter(|wake| *wake < end) {
        timeline.tick(wake + STEP, out);
        if timeline.next_wake().is_some_and(|next| next <= wake) {
            break;
        }
    }
    timeline.tick(end, out);
}

fn pictures(out: &[AccessUnit]) -> Vec<&AccessUnit> {
    out.iter().filter(|unit| unit.track == Track::Video).collect()
}

#[test]
fn the_slate_is_there_within_half_a_second_and_leaves_no_gap() {
    let (mut timeline, mut out) = (Timeline::new(), Vec::new());
    timeline.set_card(Cut::Slate, card(1));
    live(&mut timeline, 1, 1000, 3000, &mut out);
    let last = pictures(&out).last().expect("live").time;
    out.clear();
    // The last picture came at 3020.
    run(&mut timeline, ms(3020 + 349), &mut out);
    assert!(pictures(&out).is_empty() && timeline.showing(ms(3369)) == Some(Showing::Live));
    run(&mut timeline, ms(3020 + 500), &mut out);
    assert_eq!(timeline.showing(ms(3520)), Some(Showing::Slate));
    let slate = pictures(&out);
    assert!(slate[0].key && slate[0].data[..] == [1, 0]);
    let times: Vec<u64> = slate.iter().map(|unit| unit.time.since(last).as_millis() as u64).collect();
    // Filled back as far as the sound allows: what is missing is a hold.
    assert!(times[0] < 300 && times.windows(2).all(|pair| pair[1] - pair[0] == 40), "{times:?}");
    // As late as live pictures would be, or by one picture later.
    let late = ms(3520).since(slate.last().expect("a slate").time);
    assert!((60..=110).contains(&late.as_millis()), "{late:?}");
}

#[test]
fn a_slate_repeats_until_a_live_idr_comes() {
    let (mut timeline, mut out) = (Timeline::new(), Vec::new());
    timeline.set_card(Cut::Slate, card(1));
    live(&mut timeline, 1, 1000, 2000, &mut out);
    run(&mut timeline, ms(10_000), &mut out);
    let slate = pictures(&out).iter().filter(|unit| unit.data.len() == 2).count();
    assert!((190..=205).contains(&slate), "{slate} pictures in 8 s");
    out.clear();
    // The worker comes to itself in the middle of a GOP.
    assert!(!timeline.take_key_wanted());
    timeline.push(WorkerId(1), picture(ms(10_000), false, 7), ms(10_060), &mut out);
    assert!(timeline.take_key_wanted() && !timeline.take_key_wanted());
    assert_eq!(timeline.showing(ms(10_060)), Some(Showing::Slate));
    timeline.push(WorkerId(1), picture(ms(10_040), true, 7), ms(10_100), &mut out);
    timeline.push(WorkerId(1), picture(ms(10_080), false, 7), ms(10_140), &mut out);
    assert_eq!(timeline.showing(ms(10_140)), Some(Showing::Live));
    let sent = pictures(&out);
    assert_eq!(sent.iter().filter(|unit| unit.data.len() > 2).count(), 2);
    assert!(sent.windows(2).all(|pair| pair[1].time > pair[0].time));
    assert!(sent.iter().position(|unit| unit.data.len() > 2).is_some_and(|at| sent[at].key));
}

#[test]
fn the_operator_cuts_and_mutes() {
    let (mut timeline, mut out) = (Timeline::new(), Vec::new());
    timeline.set_card(Cut::Slate, card(1));
    timeline.set_card(Cut::Test, card(2));
    live(&mut timeline, 1, 1000, 2000, &mut out);
    out.clear();
    timeline.cut(Cut::Test, false);
    live(&mut timeline, 1, 2000, 3000, &mut out);
    let shown = pictures(&out);
    assert!(shown[0].key && shown.iter().all(|unit| unit.data[0] == 2), "bars at once, beginning with an IDR");
    assert!(sounds(&out).iter().rev().take(20).all(|unit| !is_silence(unit)), "with their tone");
    out.clear();
    timeline.cut(Cut::Slate, true);
    run(&mut timeline, ms(3500), &mut out);
    assert!(pictures(&out).iter().all(|unit| unit.data[0] == 1) && pictures(&out)[0].key);
    assert!(sounds(&out).iter().all(|unit| is_silence(unit)));
    out.clear();
    timeline.cut(Cut::Live, false);
    assert!(timeline.take_key_wanted());
    live(&mut timeline, 1, 3520, 4000, &mut out);
    assert_eq!(timeline.showing(ms(4020)), Some(Showing::Live));
    assert!(pictures(&out).iter().rev().take(5).all(|unit| unit.data.len() > 2));
}

#[test]
fn a_program_without_a_picture_begins_with_the_slate() {
    let (mut timeline, mut out) = (Timeline::new(), Vec::new());
    timeline.set_card(Cut::Slate, card(1));
    timeline.begin(ms(1000));
    run(&mut timeline, ms(2000), &mut out);
    let shown = pictures(&out);
    assert!(shown[0].key && (20..=26).contains(&shown.len()), "{}", shown.len());
    assert!(sounds(&out).len() > 35);
}

#[test]
fn an_uplink_that_needs_an_idr_of_a_card_gets_it_soon_and_not_too_often() {
    let (mut timeline, mut out) = (Timeline::new(), Vec::new());
    timeline.set_card(Cut::Slate, long_card());
    timeline.begin(ms(1000));
    run(&mut timeline, ms(1300), &mut out);
    assert_eq!(pictures(&out).iter().filter(|unit| unit.key).count(), 1);
    out.clear();
    // Asked for with each picture: one each half a second, and what goes before it is shown in order.
    for time in (1300..3300).step_by(40) {
        timeline.refresh();
        run(&mut timeline, ms(time), &mut out);
    }
    let keys: Vec<u64> = pictures(&out).iter().filter(|unit| unit.key).map(|unit| unit.time.millis()).collect();
    assert!((3..=4).contains(&keys.len()), "{keys:?}");
    assert!(keys.windows(2).all(|pair| (500..=560).contains(&(pair[1] - pair[0]))), "{keys:?}");
}

#[test]
fn a_program_whose_worker_gives_nothing_begins_with_the_slate_too() {
    let (mut timeline, mut out) = (Timeline::new(), Vec::new());
    timeline.set_card(Cut::Slate, card(1));
    timeline.begin_live(ms(1000));
    assert_eq!(timeline.next_wake(), Some(ms(4000)));
    run(&mut timeline, ms(3999), &mut out);
    assert!(out.is_empty() && timeline.showing(ms(3999)).is_none());
    run(&mut timeline, ms(4500), &mut out);
    assert!(pictures(&out).len() > 9 && timeline.showing(ms(4500)) == Some(Showing::Slate));
}

#[test]
fn what_the_operator_hides_is_not_shown_before_there_is_a_card() {
    let (mut timeline, mut out) = (Timeline::new(), Vec::new());
    timeline.cut(Cut::Slate, false);
    timeline.begin_live(ms(1000));
    live(&mut timeline, 1, 1000, 2000, &mut out);
    assert!(out.is_empty());
    timeline.set_card(Cut::Slate, card(1));
    live(&mut timeline, 1, 2000, 3000, &mut out);
    assert!(pictures(&out).len() > 20 && pictures(&out).iter().all(|unit| unit.data[0] == 1));
}

/// An encoder that looks ahead, or a slow one: the slate is shown all the same, as evenly as the sound allows.
#[test]
fn the_slate_follows_live_pictures_however_late_they_are() {
    for delay in [20, 150, 300, 900] {
        let (mut timeline, mut out) = (Timeline::new(), Vec::new());
        timeline.set_card(Cut::Slate, card(1));
        for (n, time) in (1000..4000).step_by(40).enumerate() {
            run(&mut timeline, ms(time + delay), &mut out);
            timeline.push(WorkerId(1), picture(ms(time), n % 50 == 0, 7), ms(time + delay), &mut out);
        }
        let seen = 3960 + delay;
        out.clear();
        run(&mut timeline, ms(seen + 500), &mut out);
        assert!(!pictures(&out).is_empty(), "nothing within 500 ms at {delay} ms");
        out.clear();
        run(&mut timeline, ms(seen + 4500), &mut out);
        let times: Vec<u64> = pictures(&out).iter().map(|unit| unit.time.millis()).collect();
        assert!((99..=101).contains(&times.len()), "{} pictures in 4 s at {delay} ms", times.len());
        assert!(times.windows(2).all(|pair| (15..=65).contains(&(pair[1] - pair[0]))), "{delay} ms: {times:?}");
    }
}

/// A worker that stood still sends what was captured meanwhile: nobody wants to see that now.
#[test]
fn a_worker_that_catches_up_ends_the_slate_with_a_picture_of_now() {
    let (mut timeline, mut out) = (Timeline::new(), Vec::new());
    timeline.set_card(Cut::Slate, card(1));
    live(&mut timeline, 1, 1000, 3000, &mut out);
    run(&mut timeline, ms(5000), &mut out);
    out.clear();
    for (n, time) in (3000..4900).step_by(40).enumerate() {
        timeline.push(WorkerId(1), picture(ms(time), n % 25 == 0, 7), ms(5001 + n as u64), &mut out);
    }
    assert!(timeline.take_key_wanted());
    assert!(pictures(&out).iter().all(|unit| unit.data.len() == 2));
    live(&mut timeline, 1, 5000, 5400, &mut out);
    assert_eq!(timeline.showing(ms(5420)), Some(Showing::Live));
    let sent = pictures(&out);
    assert!(sent.windows(2).all(|pair| pair[1].time.since(pair[0].time) >= Duration::from_millis(20)), "no rush");
    // One that stays late is shown late rather than not at all.
    run(&mut timeline, ms(8000), &mut out);
    out.clear();
    for (n, time) in (6000..8000).step_by(40).enumerate() {
        run(&mut timeline, ms(time + 2000), &mut out);
        timeline.push(WorkerId(1), picture(ms(time), n % 25 == 0, 7), ms(time + 2000), &mut out);
    }
    assert_eq!(timeline.showing(ms(9980)), Some(Showing::Live));
}

#[test]
fn without_a_slate_the_last_picture_is_held() {
    let (mut timeline, mut out) = (Timeline::new(), Vec::new());
    live(&mut timeline, 1, 1000, 2000, &mut out);
    out.clear();
    run(&mut timeline, ms(60_000), &mut out);
    assert_eq!((pictures(&out).len(), timeline.showing(ms(60_000))), (0, Some(Showing::Hold)));
    // It is made at last: nobody sees what lies a minute back.
    timeline.set_card(Cut::Slate, card(1));
    timeline.tick(ms(60_001), &mut out);
    assert!((1..=4).contains(&pictures(&out).len()), "{}", pictures(&out).len());
}

/// 24.8 days are 2^31 ms, 49.7 days are 2^32.
#[test]
fn a_slate_stays_in_step_over_weeks() {
    for wrap in [1u64 << 31, 1 << 32] {
        let (mut timeline, mut out) = (Timeline::new(), Vec::new());
        timeline.set_card(Cut::Slate, card(1));
        timeline.begin(ms(wrap - 5000));
        run(&mut timeline, ms(wrap + 5000), &mut out);
        let shown = pictures(&out);
        assert!((245..=255).contains(&shown.len()), "{} pictures in 10 s", shown.len());
        assert!(shown.windows(2).all(|pair| pair[1].time.since(pair[0].time).as_millis() == 40));
        let (picture, sound) = (shown.last().expect("one").time, sounds(&out).last().expect("one").time);
        assert!(picture.since(sound).max(sound.since(picture)) < INTERLEAVE);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Picture { worker: u64, age: u64, key: bool, config: u8 },
    Sound { worker: u64, age: u64 },
    Gone(u64),
    Cut(Cut, bool),
    Card(Cut, u8),
    Refresh,
    Begin,
    Pass(u64),
}

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![2 => Just(Cut::Live), 1 => Just(Cut::Slate), 1 => Just(Cut::Test)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4u64, 0..400u64, any::<bool>(), 0..2u8)
            .prop_map(|(worker, age, key, config)| Step::Picture { worker, age, key, config }),
        4 => (0..4u64, 0..400u64).prop_map(|(worker, age)| Step::Sound { worker, age }),
        1 => (0..4u64).prop_map(Step::Gone),
        1 => (cut(), any::<bool>()).prop_map(|(cut, mute)| Step::Cut(cut, mute)),
        1 => (cut(), 0..2u8).prop_map(|(cut, config)| Step::Card(cut, config)),
        1 => Just(Step::Refresh),
        1 => Just(Step::Begin),
        4 => (0..120u64).prop_map(Step::Pass),
        1 => (0..3000u64).prop_map(Step::Pass),
    ]
}

/// Whether a picture that is no IDR comes right after the one that its encoder made before it.
fn follows(before: &[u8], unit: &[u8], given: &[Bytes]) -> bool {
    if let ([card, place], [name, next]) = (before, unit) {
        return card == name && place + 1 == *next;
    }
    let worker = |data: &[u8]| data.get(4).copied();
    let mut earlier = given.iter().rev().skip_while(|data| data[..] != *unit).skip(1);
    earlier.find(|data| worker(data) == worker(unit)).is_some_and(|data| data[..] == *before)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn stamps_hold_whatever_comes(steps in prop::collection::vec(step(), 1..300)) {
        let (mut timeline, mut out, mut now) = (Timeline::new(), Vec::new(), 100_000u64);
        let (mut sent, mut given) = (0u32, Vec::new());
        for step in steps {
            match step {
                Step::Picture { worker, age, key, config } => {
                    sent += 1;
                    let data = Bytes::from([&b"live"[..], &[worker as u8], &u32::to_be_bytes(sent)].concat());
                    let unit = AccessUnit { data, ..picture(ms(now - age), key, config) };
                    given.push(unit.data.clone());
                    timeline.push(WorkerId(worker), unit, ms(now), &mut out);
                }
                Step::Sound { worker, age } => timeline.push(WorkerId(worker + 10), sound(ms(now - age)), ms(now), &mut out),
                Step::Gone(worker) => timeline.sound_gone(WorkerId(worker + 10)),
                Step::Cut(cut, mute) => timeline.cut(cut, mute),
                Step::Card(cut, config) => timeline.set_card(cut, card(config)),
                Step::Refresh => timeline.refresh(),
                Step::Begin => timeline.begin(ms(now)),
                Step::Pass(ms_) => {
                    // The daemon wakes when asked to, so time passes in steps no longer than that.
                    let end = now + ms_;
                    while let Some(wake) = timeline.next_wake().filter(|wake| wake.millis() < end) {
                        let before = out.len();
                        now = now.max(wake.millis() + 1);
                        timeline.tick(ms(now), &mut out);
                        if out.len() == before && timeline.next_wake() == Some(wake) { break; }
                    }
                    now = end.max(now);
                    timeline.tick(ms(now), &mut out);
                }
            }
        }
        let mut last = [None::<Time>; 2];
        let mut next_slot = None::<u64>;
        let mut started = false;
        let mut before = Bytes::new();
        let origin = out.iter().find(|unit| unit.track == Track::Audio).map(|unit| unit.time);
        for unit in &out {
            let (own, other) = match unit.track { Track::Video => (0, 1), Track::Audio => (1, 0) };
            if let Some(last) = last[own] {
                prop_assert!(unit.time >= last + STEP, "stamps of a track increase by a millisecond");
            }
            if let Some(last) = last[other] {
                prop_assert!(unit.time + INTERLEAVE >= last, "{:?} leaves {:?} after {:?}", unit.track, unit.time, last);
            }
            if unit.track == Track::Video && !started {
                prop_assert!(unit.key, "the program begins at an IDR");
                started = true;
            }
            if unit.track == Track::Video {
                if !unit.key {
                    prop_assert!(follows(&before, &unit.data, &given), "{:?} cannot refer to {before:?}", unit.data);
                }
                before = unit.data.clone();
            }
            if unit.track == Track::Audio {
                let grid = Grid::new(origin.expect("sound"));
                let slot = grid.nearest(unit.time).expect("on the grid");
                prop_assert_eq!(grid.slot_time(slot), unit.time);
                prop_assert!(next_slot.is_none_or(|next| next == slot), "sound never gaps");
                next_slot = Some(slot + 1);
            }
            last[own] = Some(unit.time);
        }
    }
}
