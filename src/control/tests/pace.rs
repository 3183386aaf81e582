//! The bitrate of the program follows the link that leads, or the slowest.

use super::*;
use crate::{settings::RateFollows, uplink::LinkSample};
use std::net::{IpAddr, Ipv4Addr};

fn publishing(id: UplinkId) -> Event {
    uplink(id, uplink::Report::Publishing { peer: IpAddr::V4(Ipv4Addr::LOCALHOST) })
}

/// 100 ms in which the link had no pause and carried `rate` bit/s.
fn full(id: UplinkId, rate: u64, dropped_pictures: u64) -> Event {
    let span = Duration::from_millis(100);
    let bytes = rate / 80;
    let sample = LinkSample {
        span,
        offered: bytes,
        arrived: bytes,
        busy: span,
        arrived_busy: bytes,
        dropped_pictures,
        ..LinkSample::default()
    };
    uplink(id, uplink::Report::Link(sample))
}

/// What follows from a tenth of a second in which all goes on and the link carries `rate` bit/s.
fn tenth_of_a_second(control: &mut Control, id: UplinkId, video: WorkerId, rate: u64, ms: u64) -> Vec<Effect> {
    let alive = |id| Event::Worker { id, report: Report::Alive(Flow::default()) };
    let events = [acknowledged(id, 2000 + ms), alive(video), alive(WorkerId(2)), full(id, rate, 0)];
    events.into_iter().flat_map(|event| control.handle(event, at(ms))).collect()
}

fn shown(control: &Control, ms: u64) -> u64 {
    control.status(at(ms), None, crate::status::Stats::default()).stats.bitrate
}

fn codes(control: &Control, ms: u64) -> Vec<&'static str> {
    control.status(at(ms), None, crate::status::Stats::default()).faults.iter().map(|fault| fault.code).collect()
}

#[test]
fn the_encoder_follows_the_link_between_its_limits() {
    let (mut control, video, id) = on_air();
    control.handle(publishing(id), at(1000));
    let mut ordered = Vec::new();
    for tenth in 0..20 {
        for effect in control.handle(full(id, 1_500_000, 0), at(1100 + tenth * 100)) {
            match effect {
                Effect::Order { id, order: Order::Bitrate(rate) } if id == video => ordered.push(rate.bits()),
                Effect::Order { order: Order::Bitrate(_), .. } => panic!("to another worker"),
                _ => {}
            }
        }
    }
    assert!(!ordered.is_empty() && ordered.iter().all(|rate| (500_000..2_500_000).contains(rate)), "{ordered:?}");
    assert_eq!(shown(&control, 3100), ordered[ordered.len() - 1]);
    // An old uplink's word changes nothing.
    assert!(control.handle(full(UplinkId(999), 100_000, 0), at(3200)).is_empty());
}

#[test]
fn dropped_pictures_are_a_fault_that_passes_and_is_worse_at_the_lowest_rate() {
    let (mut control, _, id) = on_air();
    control.handle(publishing(id), at(1000));
    for tenth in 0..10 {
        control.handle(full(id, 60_000, 60), at(1100 + tenth * 100));
        control.handle(acknowledged(id, 2000 + tenth), at(1100 + tenth * 100));
    }
    assert_eq!(shown(&control, 2100), 500_000);
    let status = control.status(at(2100), None, crate::status::Stats::default());
    let fault = status.faults.iter().find(|fault| fault.code == "network-slow").expect("a fault");
    assert_eq!(fault.severity, crate::status::Severity::Error);
    for second in 3..13 {
        control.handle(acknowledged(id, 3000 + second), at(second * 1000));
        control.handle(Event::Tick, at(second * 1000));
    }
    assert!(!codes(&control, 12_100).contains(&"network-slow"));
}

#[test]
fn the_slowest_source_decides_when_told() {
    let mut both = settings();
    both.push.sources = vec!["Main".into(), "Spare".into()];
    for (follows, expected) in [(RateFollows::Primary, 2_000_000..4_000_001), (RateFollows::Slowest, 500_000..900_000)]
    {
        both.push.rate_follows = follows;
        let mut control = Control::new(board(), both.clone(), "fc-00000000".into(), None, None, Time::ZERO);
        control.handle(locked("hdmi"), at(0));
        let ids = opened(&control.handle(command(1, Command::Start { sources: None }), at(10)));
        for (number, (id, _)) in ids.iter().enumerate() {
            control.handle(publishing(*id), at(100));
            for tenth in 0..20 {
                control.handle(full(*id, if number == 0 { 4_000_000 } else { 800_000 }, 0), at(200 + tenth * 100));
                control.handle(acknowledged(*id, 1000 + tenth), at(200 + tenth * 100));
            }
        }
        assert!(expected.contains(&shown(&control, 2200)), "{follows:?}: {}", shown(&control, 2200));
    }
}

#[test]
fn a_start_uses_what_the_network_carried_and_keeps_what_it_carries() {
    let mut control = core();
    control.handle(Event::KnownRate(Some(BitRate::new(900_000))), at(0));
    let (video, plan) = workers(&control.handle(locked("hdmi"), at(0)))[0].clone();
    assert!(matches!(plan, Plan::Video(plan) if plan.bitrate == BitRate::new(900_000)));
    let id = opened(&control.handle(command(1, Command::Start { sources: None }), at(10)))[0].0;
    control.handle(publishing(id), at(100));
    let mut kept = Vec::new();
    for tenth in 0..400 {
        let effects = tenth_of_a_second(&mut control, id, video, 2_000_000, 200 + tenth * 100);
        kept.extend(effects.into_iter().filter_map(|effect| match effect {
            Effect::KeepRate(rate) => Some(rate.bits()),
            _ => None,
        }));
    }
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!((1_200_000..1_900_000).contains(&kept[0]), "{kept:?}");
}

#[test]
fn an_encoder_that_keeps_its_bitrate_is_started_anew_at_most_each_ten_seconds() {
    let (mut control, mut video, id) = on_air();
    control.handle(publishing(id), at(600));
    let mut stops = Vec::new();
    for tenth in 0..300 {
        let ms = 700 + tenth * 100;
        // It swings: each time another bitrate would be right.
        let rate = if tenth / 20 % 2 == 0 { 900_000 } else { 3_500_000 };
        for effect in tenth_of_a_second(&mut control, id, video, rate, ms) {
            match effect {
                Effect::Order { id, order: Order::Bitrate(_) } => {
                    control.handle(Event::Worker { id, report: Report::BitrateFixed }, at(ms));
                }
                Effect::StopWorker { id } if id == video => {
                    stops.push(ms);
                    video = workers(&control.handle(Event::WorkerExited { id }, at(ms)))[0].0;
                }
                _ => {}
            }
        }
    }
    assert!((2..=3).contains(&stops.len()), "{stops:?}");
    assert!(stops.windows(2).all(|pair| pair[1] - pair[0] >= 10_000), "{stops:?}");
}

/// What the primary carried when it failed says nothing about the others.
#[test]
fn while_the_primary_is_away_the_rate_follows_who_is_on_air() {
    let mut both = settings();
    both.push.sources = vec!["Main".into(), "Spare".into()];
    for follows in [RateFollows::Primary, RateFollows::Slowest] {
        both.push.rate_follows = follows;
        let mut control = Control::new(board(), both.clone(), "fc-00000000".into(), None, None, Time::ZERO);
        control.handle(locked("hdmi"), at(0));
        let ids = opened(&control.handle(command(1, Command::Start { sources: None }), at(10)));
        let (main, second) = (ids[0].0, ids[1].0);
        for id in [main, second] {
            control.handle(publishing(id), at(100));
        }
        for tenth in 0..20 {
            control.handle(full(main, 700_000, 0), at(200 + tenth * 100));
            control.handle(acknowledged(main, 1000 + tenth), at(200 + tenth * 100));
            control.handle(full(second, 3_000_000, 0), at(200 + tenth * 100));
            control.handle(acknowledged(second, 1000 + tenth), at(200 + tenth * 100));
        }
        assert!(shown(&control, 2200) < 700_000, "{follows:?}");
        let failed = uplink::Report::Failed { cause: Cause::Refused, retry_in: Duration::from_secs(600) };
        control.handle(uplink(main, failed), at(2300));
        for tenth in 0..20 {
            control.handle(full(second, 3_000_000, 0), at(2400 + tenth * 100));
            control.handle(acknowledged(second, 2000 + tenth), at(2400 + tenth * 100));
        }
        assert!((2_000_000..3_000_000).contains(&shown(&control, 4400)), "{follows:?}: {}", shown(&control, 4400));
    }
}

#[test]
fn the_second_push_of_a_run_begins_with_what_the_first_learnt() {
    let (mut control, video, id) = on_air();
    control.handle(publishing(id), at(1000));
    for tenth in 0..400 {
        tenth_of_a_second(&mut control, id, video, 1_200_000, 1100 + tenth * 100);
    }
    control.handle(command(2, Command::Stop { confirm: true, end: None }), at(42_000));
    control.handle(uplink(id, uplink::Report::Closed), at(42_100));
    let (_, plan) = workers(&control.handle(Event::WorkerExited { id: video }, at(42_100)))[0].clone();
    assert!(matches!(plan, Plan::Video(plan) if (700_000..1_200_000).contains(&plan.bitrate.bits())));
}

/// The route has moved and the old connection stays where it was: what it carries is not the new network's.
#[test]
fn a_connection_of_the_network_before_keeps_its_rate_and_teaches_nothing() {
    let (mut control, video, id) = on_air();
    control.handle(publishing(id), at(1000));
    for tenth in 0..50 {
        tenth_of_a_second(&mut control, id, video, 800_000, 1100 + tenth * 100);
    }
    let before = shown(&control, 6100);
    control.handle(Event::KnownRate(Some(BitRate::new(3_000_000))), at(6150));
    assert_eq!(shown(&control, 6150), before);
    let mut kept = false;
    for tenth in 0..400 {
        let effects = tenth_of_a_second(&mut control, id, video, 800_000, 6200 + tenth * 100);
        kept |= effects.iter().any(|effect| matches!(effect, Effect::KeepRate(_)));
    }
    assert!(!kept && shown(&control, 46_200) < 800_000);
    control.handle(publishing(id), at(46_300));
    assert_eq!(shown(&control, 46_300), 3_000_000, "the next connection is made in the new one");
}
