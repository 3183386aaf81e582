//! The cards that can be shown in place of the input: when each is made, and which is kept.

use super::*;
use crate::media::{Card, FailureKind, StillPlan};

pub(super) fn cards(effects: &[Effect]) -> Vec<(CardId, Cut, StillPlan)> {
    let made = effects.iter().filter_map(|effect| match effect {
        Effect::MakeCard { id, cut, plan, .. } => Some((*id, *cut, (**plan).clone())),
        _ => None,
    });
    made.collect()
}

pub(super) fn codes(control: &Control, now: u64) -> Vec<&'static str> {
    let status = control.status(at(now), None, crate::status::Stats::default());
    status.faults.iter().map(|fault| fault.code).collect()
}

/// Has every card made that is asked for, from `now` on.
pub(super) fn make_cards(control: &mut Control, now: u64) -> Vec<(Cut, StillPlan)> {
    let mut made = Vec::new();
    let mut effects = control.handle(Event::Tick, at(now));
    while let Some((id, cut, plan)) = cards(&effects).pop() {
        effects = control.handle(Event::Card { id, result: Ok(()) }, at(now));
        made.push((cut, plan));
    }
    made
}

#[test]
fn cards_are_made_off_air_one_after_the_other() {
    let mut control = core();
    assert_eq!(cards(&control.handle(Event::Tick, at(100))), [], "the first picture comes before them");
    assert_eq!(control.next_wake(at(100).time), Some(at(1500).time));
    let first = cards(&control.handle(Event::Tick, at(1500)));
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].1, &first[0].2.card), (Cut::Slate, &Card::Name("Fieldcast".into())));
    assert_eq!(cards(&control.handle(Event::Tick, at(1600))), [], "one at a time");
    let second = cards(&control.handle(Event::Card { id: first[0].0, result: Ok(()) }, at(2000)));
    assert_eq!((second[0].1, &second[0].2.card), (Cut::Test, &Card::Bars));
    let renamed = Settings { name: "OB 3".into(), ..settings() };
    let effects = control.handle(Event::Card { id: second[0].0, result: Ok(()) }, at(2100));
    assert_eq!(effects, [Effect::UseCard { id: second[0].0 }]);
    let effects = control.handle(Event::Card { id: first[0].0, result: Ok(()) }, at(2150));
    assert_eq!(effects, [], "one that is not waited for is not shown");
    let effects = control.handle(Event::Settings { settings: Box::new(renamed), at_once: false }, at(2200));
    assert_eq!(cards(&effects)[0].2.card, Card::Name("OB 3".into()));
}

#[test]
fn a_bad_picture_is_a_fault_and_the_built_in_card_takes_its_place() {
    let mut settings = settings();
    settings.slate.picture = Some("slate.png".into());
    let mut control = Control::new(board(), settings, "fc-00000000".into(), None, None, Time::ZERO);
    let card = cards(&control.handle(Event::Tick, at(1500))).remove(0);
    assert_eq!(card.2.card, Card::Picture("slate.png".into()));
    let effects = control.handle(Event::Card { id: card.0, result: Err(FailureKind::Picture) }, at(1600));
    assert_eq!(cards(&effects)[0].2.card, Card::Name("Fieldcast".into()));
    assert_eq!(codes(&control, 1600), ["slate-picture"]);
    let effects =
        control.handle(Event::Card { id: cards(&effects)[0].0, result: Err(FailureKind::NoEncoder) }, at(1700));
    assert_eq!(codes(&control, 1700), ["no-slate", "slate-picture"]);
    assert_eq!(cards(&effects)[0].1, Cut::Test, "which is tried all the same");
    assert_eq!(cards(&control.handle(Event::Tick, at(31_699))), []);
    control.handle(Event::Card { id: cards(&effects)[0].0, result: Ok(()) }, at(31_699));
    assert_eq!(cards(&control.handle(Event::Tick, at(31_700))).len(), 1, "and again after half a minute");
}

/// The hardware encoder of many boards takes one stream, and that is on air.
#[test]
fn an_encoder_that_refuses_a_second_stream_leaves_the_card_to_the_next() {
    let mut control = core();
    let card = cards(&control.handle(Event::Tick, at(1500))).remove(0);
    let names = |plan: &StillPlan| plan.encoders.iter().map(|encoder| encoder.element.clone()).collect::<Vec<_>>();
    assert_eq!(names(&card.2), ["hwenc", "x264enc"]);
    let effects = control.handle(Event::Card { id: card.0, result: Err(FailureKind::Encoder) }, at(1600));
    let second = cards(&effects).remove(0);
    assert_eq!((second.1, names(&second.2)), (Cut::Slate, vec!["x264enc".to_owned()]));
    let effects = control.handle(Event::Card { id: second.0, result: Err(FailureKind::Wedged) }, at(1700));
    assert_eq!((cards(&effects)[0].1, codes(&control, 1700)), (Cut::Test, vec!["no-slate"]));
    control.handle(Event::Card { id: cards(&effects)[0].0, result: Ok(()) }, at(1800));
    let again = cards(&control.handle(Event::Tick, at(31_700))).remove(0);
    assert_eq!(names(&again.2), ["hwenc", "x264enc"], "all of them are tried again");
}

#[test]
fn a_picture_that_was_replaced_is_taken_when_settings_are_read_again() {
    let mut settings = settings();
    settings.slate.picture = Some("slate.png".into());
    let mut control = Control::new(board(), settings.clone(), "fc-00000000".into(), None, None, Time::ZERO);
    make_cards(&mut control, 1500);
    let read = Event::Settings { settings: Box::new(settings), at_once: true };
    let looked = cards(&control.handle(read, at(2000)));
    assert_eq!(looked[0].2.card, Card::Picture("slate.png".into()));
    assert!(control.stills.ready(Cut::Slate), "the old one is there until then");
    let effects = control.handle(Event::Card { id: looked[0].0, result: Ok(()) }, at(2100));
    assert_eq!(cards(&effects), []);
}

#[test]
fn a_card_stays_until_the_next_one_is_made() {
    let (mut control, ..) = on_air();
    make_cards(&mut control, 1500);
    let mut changed = settings();
    changed.output.bitrate_min = crate::units::BitRate::new(700_000);
    let effects = control.handle(Event::Settings { settings: Box::new(changed), at_once: false }, at(2000));
    assert!(matches!(effects[..], [.., Effect::MakeCard { cut: Cut::Slate, keep: true, .. }]), "{effects:?}");
    let show = control.handle(command(2, Command::Show { what: Cut::Slate, mute: None }), at(2100));
    assert!(show.contains(&Effect::Cut { cut: Cut::Slate, mute: false }), "{show:?}");
    let id = cards(&effects)[0].0;
    let effects = control.handle(Event::Card { id, result: Err(FailureKind::NoEncoder) }, at(2200));
    assert!(!codes(&control, 2200).contains(&"no-slate"), "there is the old one: {effects:?}");
}

/// The encoder takes one picture at a time, whatever is wanted by then.
#[test]
fn a_card_that_is_not_wanted_any_more_is_waited_for() {
    let mut control = core();
    let first = cards(&control.handle(Event::Tick, at(1500))).remove(0);
    let renamed = Settings { name: "OB 3".into(), ..settings() };
    let effects = control.handle(Event::Settings { settings: Box::new(renamed), at_once: false }, at(1600));
    assert_eq!(cards(&effects), []);
    let effects = control.handle(Event::Card { id: first.0, result: Ok(()) }, at(2000));
    assert_eq!(cards(&effects)[0].2.card, Card::Name("OB 3".into()));
    assert!(!effects.contains(&Effect::UseCard { id: first.0 }) && !control.stills.ready(Cut::Slate));
}

#[test]
fn a_card_of_another_mode_is_not_kept() {
    let (mut control, ..) = on_air();
    make_cards(&mut control, 1500);
    let mut changed = settings();
    changed.output.mode = crate::settings::OutputMode::Fixed("640x360p25".parse().expect("a mode"));
    let effects = control.handle(Event::Settings { settings: Box::new(changed), at_once: true }, at(2000));
    assert!(matches!(effects[..], [.., Effect::MakeCard { cut: Cut::Slate, keep: false, .. }]), "{effects:?}");
    assert!(!control.stills.ready(Cut::Slate));
}

/// The first picture comes before them at every start, and nothing is encoded in full for nobody.
#[test]
fn a_box_without_a_network_keeps_its_processor_for_that() {
    let mut control = core();
    control.handle(locked("hdmi"), at(0));
    let effects = control.handle(command(1, Command::Start { sources: None }), at(10));
    let id = opened(&effects)[0].0;
    let thinned = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Order { order: Order::Thin(every), .. } => Some(*every),
            _ => None,
        })
    };
    assert_eq!(thinned(&effects), None, "the first try may do");
    let connecting = |stage| uplink(id, uplink::Report::Connecting(stage));
    let failed = || uplink(id, uplink::Report::Failed { cause: Cause::NoNetwork, retry_in: Duration::from_secs(1) });
    assert_eq!(thinned(&control.handle(failed(), at(20))), Some(6), "5 of 30 pictures a second");
    for event in [connecting(uplink::Stage::Name), connecting(uplink::Stage::Tcp), failed(), Event::Tick] {
        let effects = control.handle(event, at(2000));
        assert_eq!((thinned(&effects), cards(&effects)), (None, Vec::new()));
    }
    assert_eq!(control.next_wake(at(2000).time).map(|wake| wake <= at(60_010).time), Some(true));
    let effects = control.handle(connecting(uplink::Stage::Connect), at(3000));
    assert_eq!((thinned(&effects), cards(&effects)), (Some(1), Vec::new()), "an ingest has answered");
    let effects = control.handle(acknowledged(id, 1000), at(3500));
    assert_eq!(cards(&effects).len(), 1, "the first picture has come");
    assert_eq!(thinned(&control.handle(failed(), at(60_000))), None, "on air once, all goes on");

    // A picture that can go while it is on its way for minutes needs its slate.
    let mut control = core();
    control.handle(locked("hdmi"), at(0));
    control.handle(command(1, Command::Start { sources: None }), at(10));
    assert_eq!(cards(&control.handle(Event::Tick, at(60_009))), []);
    assert_eq!(cards(&control.handle(Event::Tick, at(60_010))).len(), 1);
}
