//! Sound cards that come late, pictures and sound with nothing in them, and calendars that jump.

use super::*;

#[test]
fn a_sound_card_may_come_late_without_a_fault_or_a_process_for_each_try() {
    let mut board = board();
    board.inputs[0].audio = board::Audio::Alsa("hdmiin".into());
    let mut control = Control::new(board, settings(), "fc-00000000".into(), None, None, Time::ZERO);
    let cards = |names: &[&str]| Event::Cards(names.iter().map(|name| (*name).to_owned()).collect());
    let sound = |effects: &[Effect]| workers(effects).iter().any(|(_, plan)| matches!(plan, Plan::Audio(_)));
    let codes = |control: &Control, ms| -> Vec<&str> {
        control.status(at(ms), None, crate::status::Stats::default()).faults.iter().map(|fault| fault.code).collect()
    };
    control.handle(cards(&["usb", "1"]), at(0));
    assert!(!sound(&control.handle(locked("hdmi"), at(1000))));
    control.handle(Event::Tick, at(5900));
    assert!(codes(&control, 5900).is_empty());
    control.handle(Event::Tick, at(6000));
    assert_eq!(codes(&control, 6000), ["no-sound"]);
    assert!(sound(&control.handle(cards(&["hdmiin", "2", "usb", "1"]), at(9000))), "at once");
    assert!(codes(&control, 9000).is_empty());
    // It goes, and comes again with the next lock.
    let gone = control.handle(cards(&["usb", "1"]), at(20_000));
    assert!(matches!(gone[..], [Effect::StopWorker { .. }]), "{gone:?}");
}

#[test]
fn a_card_that_does_not_open_is_tried_each_second_and_a_fault_after_five() {
    let mut control = core();
    let effects = control.handle(locked("hdmi"), at(0));
    let (mut id, _) = workers(&effects)[1].clone();
    for second in 0..8 {
        let failure = Failure { kind: FailureKind::Device, text: String::new() };
        control.handle(Event::Worker { id, report: Report::Failed(failure) }, at(second * 1000 + 100));
        control.handle(Event::WorkerExited { id }, at(second * 1000 + 100));
        let status = control.status(at(second * 1000 + 100), None, crate::status::Stats::default());
        let codes: Vec<&str> = status.faults.iter().map(|fault| fault.code).collect();
        assert_eq!(codes, if second < 5 { vec![] } else { vec!["no-sound"] }, "second {second}");
        let again = control.handle(Event::Tick, at(second * 1000 + 1100));
        id = workers(&again)[0].0;
    }
}

#[test]
fn what_is_black_or_silent_is_a_fault_on_air_only() {
    let (mut control, video, _) = on_air();
    let codes = |control: &Control, ms| -> Vec<&str> {
        control.status(at(ms), None, crate::status::Stats::default()).faults.iter().map(|fault| fault.code).collect()
    };
    let black = |control: &mut Control, ms| {
        let look = Look { black: true, still: true };
        control.handle(Event::Worker { id: video, report: Report::Picture(look) }, at(ms));
        control.handle(Event::Worker { id: WorkerId(2), report: Report::Level(vec![-90.0, -90.0]) }, at(ms));
        for id in [video, WorkerId(2)] {
            control.handle(Event::Worker { id, report: Report::Alive(Flow::default()) }, at(ms));
        }
    };
    for half in 1..22 {
        black(&mut control, half * 500);
    }
    let found = codes(&control, 10_500);
    assert!(found.contains(&"picture-black") && found.contains(&"sound-silent"), "{found:?}");
    control.handle(command(2, Command::Stop { confirm: true, end: None }), at(10_600));
    assert!(!codes(&control, 10_600).contains(&"picture-black"));
}

proptest! {
    /// A start in 1970, a time server's first word, somebody's `date --set`: only what is shown changes.
    #[test]
    fn the_calendar_decides_nothing(walls in prop::collection::vec(prop::option::of(-2_000_000_000i64..4_000_000_000), 40)) {
        let run = |walls: &[Option<i64>]| {
            let mut control = core();
            let mut walls = walls.iter().cycle().copied();
            let mut told = Vec::new();
            let mut uplink_id = None;
            for ms in (0..60_000).step_by(500) {
                let event = match ms {
                    0 => locked("hdmi"),
                    1000 => command(1, Command::Start { sources: None }),
                    20_000 => signal("hdmi", SignalState::NoSignal),
                    24_000 => locked("hdmi"),
                    30_000 => Event::NetworkChanged,
                    50_000 => command(2, Command::Stop { confirm: true, end: None }),
                    // Nothing for ten seconds, then acknowledged again.
                    _ if (30_500..40_000).contains(&ms) => Event::Tick,
                    _ => uplink_id.map_or(Event::Tick, |id| acknowledged(id, ms * 100)),
                };
                let wall = walls.next().flatten().and_then(|second| Timestamp::from_second(second).ok());
                let now = Now { wall, ..at(ms) };
                let effects = control.handle(event, now);
                uplink_id = opened(&effects).first().map(|(id, _)| *id).or(uplink_id);
                told.push((effects, control.phase(now.time), control.next_wake(now.time)));
            }
            told
        };
        prop_assert_eq!(run(&walls), run(&[None]));
    }
}

#[test]
fn a_pin_is_shown_until_it_is_used_or_its_time_is_over() {
    let mut control = core();
    let pin = |ms| crate::control::menu::Pin { digits: "123456".into(), until: Time::from_millis(ms) };
    let shown = |control: &Control, ms| control.pin(Time::from_millis(ms)).is_some();
    control.handle(Event::Pin(Some(pin(120_000))), at(0));
    assert!(shown(&control, 119_999) && !shown(&control, 120_000));
    assert_eq!(control.next_wake(Time::from_millis(119_000)), Some(Time::from_millis(120_000)), "the panel is drawn");
    assert!(!format!("{control:?}").contains("123456"));
    control.handle(Event::Pin(None), at(1000));
    assert!(!shown(&control, 1000));
}

/// A box at rest takes its figures less often: not while a picture comes in, somebody is at the panel, or something is pushed.
#[test]
fn a_box_is_at_rest_when_nothing_goes_on() {
    let mut control = core();
    assert!(!control.at_rest(at(10).time), "whoever switched it on stands before it");
    let later = at(3_600_000);
    control.handle(Event::Tick, later);
    assert!(control.at_rest(later.time));
    control.handle(locked("hdmi"), later);
    assert!(!control.at_rest(later.time), "a picture is captured");

    let mut control = core();
    control.handle(command(1, Command::Start { sources: None }), later);
    assert!(!control.at_rest(later.time), "a push waits for its picture");

    let mut control = core();
    control.handle(Event::Button { role: ButtonRole::Down, pressed: true }, later);
    assert!(!control.at_rest(later.time), "somebody is at the panel");
}
