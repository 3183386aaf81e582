//! Heat takes bitrate, then pictures, and gives them back; the size stays.

use super::*;
use crate::control::heat::Heat;

/// What follows from one second at this distance from the limit, with media going on.
fn second(control: &mut Control, id: UplinkId, headroom: f64, second: u64) -> Vec<Effect> {
    let heat = Event::Heat(Heat { headroom: Some(headroom), throttled: false });
    let alive = |id| Event::Worker { id, report: Report::Alive(Flow::default()) };
    let (video, audio) = (WorkerId(1), WorkerId(2));
    let mut effects = Vec::new();
    for part in 0..4 {
        let events = [alive(video), alive(audio), acknowledged(id, 2000 + second * 4 + part)];
        effects.extend(events.into_iter().flat_map(|event| control.handle(event, at(second * 1000 + part * 250))));
    }
    effects.extend(control.handle(heat, at(second * 1000 + 900)));
    effects
}

fn orders(effects: &[Effect]) -> Vec<Order> {
    let orders = effects.iter().filter_map(|effect| match effect {
        Effect::Order { order, .. } => Some(order.clone()),
        Effect::StartWorker { .. } | Effect::StopWorker { .. } => panic!("viewers would see a break: {effect:?}"),
        _ => None,
    });
    orders.collect()
}

fn status(control: &Control, second: u64) -> crate::status::Status {
    control.status(at(second * 1000), None, crate::status::Stats::default())
}

fn hot(control: &Control, second: u64) -> Option<String> {
    let faults = status(control, second).faults;
    faults.into_iter().find(|fault| fault.code == "hot").map(|fault| fault.text)
}

#[test]
fn on_air_bitrate_then_pictures_go_and_come_back_without_a_break() {
    let (mut control, _, id) = on_air();
    let mode = status(&control, 1).program.mode;
    let mut given = Vec::new();
    for time in 1..=70 {
        given.extend(orders(&second(&mut control, id, 1.0, time)));
        let text = hot(&control, time);
        assert!(text.is_some_and(|text| text.contains(if time <= 60 { "bitrate" } else { "second picture" })));
    }
    let bitrate = |bits| Order::Bitrate(BitRate::new(bits));
    // Before anything is known of the link, 2.5 Mbit/s are encoded.
    assert_eq!(given, [bitrate(1_875_000), bitrate(1_250_000), bitrate(875_000), Order::Thin(2)]);
    let seen = status(&control, 71);
    assert_eq!(seen.program.mode, mode, "the size and what ingests were told of it");
    assert_eq!((seen.stats.heat_bitrate_cap, seen.stats.heat_half_pictures), (Some(875_000), true));
    let mut given = Vec::new();
    for time in 71..400 {
        given.extend(orders(&second(&mut control, id, 20.0, time)));
    }
    assert_eq!(given, [Order::Thin(1), bitrate(1_250_000), bitrate(1_875_000), bitrate(2_500_000)]);
    assert_eq!((hot(&control, 400), status(&control, 400).stats.heat_bitrate_cap), (None, None));
}

#[test]
fn a_worker_that_is_started_while_it_is_hot_is_told() {
    let (mut control, video, id) = on_air();
    for time in 1..=70 {
        second(&mut control, id, 1.0, time);
    }
    let mut effects = control.handle(Event::WorkerExited { id: video }, at(71_000));
    effects.extend(control.handle(Event::Tick, at(72_000)));
    let (next, plan) = workers(&effects)[0].clone();
    assert!(matches!(plan, Plan::Video(plan) if plan.bitrate == BitRate::new(875_000)));
    assert!(effects.contains(&Effect::Order { id: next, order: Order::Thin(2) }), "{effects:?}");
}

#[test]
fn an_encoder_keeps_the_pictures_and_the_bitrate_that_it_needs_to_survive() {
    let mut board = board();
    (board.encoders[0].min_rate, board.encoders[0].min_bitrate) = (Some(31), Some(BitRate::new(2_000_000)));
    let mut control = Control::new(board, settings(), "fc-00000000".into(), None, None, Time::ZERO);
    control.handle(locked("hdmi"), at(0));
    let id = opened(&control.handle(command(1, Command::Start { sources: None }), at(10)))[0].0;
    let mut given = Vec::new();
    for time in 1..=70 {
        given.extend(second(&mut control, id, 1.0, time));
    }
    assert!(!given.iter().any(|effect| matches!(effect, Effect::Order { order: Order::Thin(_), .. })), "{given:?}");
    let stats = status(&control, 71).stats;
    assert_eq!((stats.bitrate, stats.heat_bitrate_cap, stats.heat_half_pictures), (2_000_000, Some(2_000_000), false));
    assert!(hot(&control, 71).is_some_and(|text| text.contains("bitrate")), "it says what is done, not what might be");
}

#[test]
fn off_air_it_is_only_told() {
    let mut control = core();
    control.handle(locked("hdmi"), at(0));
    let heat = Event::Heat(Heat { headroom: Some(-1.0), throttled: true });
    control.handle(heat, at(1000));
    let fault = status(&control, 1).faults.into_iter().find(|fault| fault.code == "hot").expect("a fault");
    assert_eq!((fault.severity, &*fault.text), (crate::status::Severity::Notice, "The box is hot"));
}
