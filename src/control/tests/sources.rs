//! Several Sources at once, and the backup.

use super::*;
use crate::settings::BackupReturn;

pub(super) fn with(sources: &[&str], backup: Option<&str>) -> Settings {
    let mut settings = Settings { sources: ["Main", "Spare", "Third"].map(source).to_vec(), ..Settings::default() };
    settings.push.sources = sources.iter().map(|name| (*name).into()).collect();
    settings.push.backup = backup.map(Into::into);
    settings
}

fn started(settings: Settings) -> (Control, Vec<(UplinkId, String)>) {
    let mut control = Control::new(board(), settings, "fc-00000000".into(), None, None, Time::ZERO);
    control.handle(locked("hdmi"), at(0));
    let effects = control.handle(command(1, Command::Start { sources: None }), at(0));
    (control, opened(&effects))
}

fn lost(id: UplinkId) -> Event {
    uplink(id, uplink::Report::Failed { cause: Cause::Refused, retry_in: Duration::from_secs(2) })
}

fn faults(control: &Control, now: u64) -> Vec<(&'static str, crate::status::Severity)> {
    let status = control.status(at(now), None, crate::status::Stats::default());
    // The workers of these tests say nothing and never end, which are faults of their own.
    let own = |code: &str| code.ends_with("worker-wedged") || code == "worker-stuck";
    let told = status.faults.iter().filter(|fault| !own(fault.code));
    told.map(|fault| (fault.code, fault.severity)).collect()
}

/// Lets time pass as the daemon does, with `id` acknowledged each second, up to `to`; all effects.
fn pass(control: &mut Control, from: u64, to: u64, id: Option<UplinkId>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for now in (from..=to).step_by(1000) {
        if let Some(id) = id {
            effects.extend(control.handle(acknowledged(id, now), at(now)));
        }
        effects.extend(control.handle(Event::Tick, at(now)));
    }
    effects
}

#[test]
fn a_source_that_fails_among_several_is_a_fault_and_the_push_is_on_air() {
    use crate::status::Severity::Error;
    let (mut control, open) = started(with(&["Main", "Third"], None));
    assert_eq!(open.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["Main", "Third"]);
    control.handle(acknowledged(open[0].0, 1000), at(500));
    control.handle(acknowledged(open[1].0, 1000), at(500));
    assert_eq!(faults(&control, 500), []);
    control.handle(lost(open[1].0), at(1000));
    assert_eq!(
        (control.phase(at(1000).time), faults(&control, 1000)),
        (Phase::OnAir, vec![("connection-refused", Error)])
    );
    // One that is silent, before its connection is given up.
    pass(&mut control, 1000, 4000, Some(open[1].0));
    assert_eq!((control.phase(at(4000).time), faults(&control, 4000)), (Phase::OnAir, vec![("stalled", Error)]));
    assert_eq!(
        control.leading(at(4000).time).map(|uplink| uplink.id),
        Some(open[0].0),
        "the primary leads all the same"
    );
}

#[test]
fn a_slow_source_does_not_cost_the_others_a_picture_each_second() {
    for (which, forced) in [(0, 11), (1, 2)] {
        let (mut control, open) = started(with(&["Main", "Third"], None));
        let asked = (1000..12_000).step_by(1000).map(|now| {
            let effects = control.handle(uplink(open[which].0, uplink::Report::KeyframeWanted), at(now));
            let live = effects.iter().any(|effect| matches!(effect, Effect::Order { order: Order::Keyframe, .. }));
            assert_eq!(effects.contains(&Effect::RefreshCard), live, "a card is begun anew when live pictures are");
            effects.iter().filter(|effect| matches!(effect, Effect::Order { order: Order::Keyframe, .. })).count()
        });
        assert_eq!(asked.sum::<usize>(), forced);
    }
}

#[test]
fn each_connection_of_a_source_that_does_not_lead_begins_with_a_picture_at_once() {
    let (mut control, open) = started(with(&["Main", "Third"], None));
    let third = open[1].0;
    let mut forced = |report, now| {
        let effects = control.handle(uplink(third, report), at(now));
        effects.contains(&Effect::RefreshCard)
    };
    for now in [1000, 3000, 5000] {
        forced(uplink::Report::Publishing { peer: [192, 0, 2, 1].into() }, now);
        assert!(forced(uplink::Report::KeyframeWanted, now + 10), "it is back at {now}");
        assert!(!forced(uplink::Report::KeyframeWanted, now + 1010), "it is only slow");
    }
}

#[test]
fn the_backup_carries_while_the_primary_is_lost_and_gives_back() {
    use crate::status::Severity::{Error, Warning};
    let (mut control, open) = started(with(&["Main"], Some("Spare")));
    assert_eq!(open.len(), 1);
    let main = open[0].0;
    pass(&mut control, 1000, 5000, Some(main));
    control.handle(lost(main), at(5500));
    assert_eq!(control.backup.wake(), Some(at(15_000).time), "10 s after the last acknowledgement");
    assert_eq!(opened(&pass(&mut control, 6000, 14_000, None)), []);
    assert_eq!(faults(&control, 14_000), [("connection-refused", Error)]);
    let spare = opened(&control.handle(Event::Tick, at(15_000)));
    assert_eq!(spare[0].1, "Spare");
    let spare = spare[0].0;
    assert_eq!(control.phase(at(15_000).time), Phase::Reconnecting);
    control.handle(acknowledged(spare, 10), at(15_500));
    assert_eq!(control.phase(at(15_500).time), Phase::OnAir);
    assert_eq!(faults(&control, 15_500), [("connection-refused", Warning), ("on-backup", Warning)]);
    assert_eq!(control.leading(at(15_500).time).map(|uplink| uplink.id), Some(spare));
    // The primary was tried on, and is back: both get the program for 30 s.
    let effects = pass(&mut control, 20_000, 49_000, Some(main));
    assert!(!effects.contains(&Effect::CloseUplink { id: spare }) && opened(&effects).is_empty());
    assert_eq!(control.leading(at(49_000).time).map(|uplink| uplink.id), Some(main));
    let effects = pass(&mut control, 50_000, 50_000, Some(main));
    assert!(effects.contains(&Effect::CloseUplink { id: spare }));
    control.handle(uplink(spare, uplink::Report::Closed), at(50_100));
    assert_eq!(faults(&control, 50_100), []);
    // Lost again, and the operator ends it: nothing is left of the backup.
    control.handle(lost(main), at(50_200));
    assert_eq!(opened(&pass(&mut control, 51_000, 60_000, None))[0].1, "Spare");
    let effects = control.handle(command(2, Command::Stop { confirm: true, end: None }), at(61_000));
    assert_eq!(effects.iter().filter(|effect| matches!(effect, Effect::CloseUplink { .. })).count(), 2);
    assert_eq!(faults(&control, 61_000), []);
}

#[test]
fn a_backup_is_kept_where_the_settings_say_so() {
    let mut settings = with(&["Main"], Some("Spare"));
    settings.push.backup_return = BackupReturn::Never;
    let (mut control, open) = started(settings);
    // It never went on air: that counts from the start.
    let spare = opened(&pass(&mut control, 1000, 10_000, None))[0].0;
    control.handle(acknowledged(spare, 10), at(10_500));
    let effects = pass(&mut control, 11_000, 120_000, Some(open[0].0));
    assert!(!effects.contains(&Effect::CloseUplink { id: spare }));
    assert!(faults(&control, 120_000).iter().any(|fault| fault.0 == "on-backup"));
}

#[test]
fn what_is_pushed_to_anyway_is_no_backup() {
    let (mut control, _) = started(with(&["Main", "Spare"], Some("Spare")));
    assert_eq!(opened(&pass(&mut control, 1000, 30_000, None)), []);
    assert!(!faults(&control, 30_000).iter().any(|fault| fault.0 == "on-backup"));
}

#[test]
fn the_backup_made_primary_changes_places_with_it() {
    let (mut control, _) = started(with(&["Main", "Third"], Some("Spare")));
    let effects = control.handle(command(2, Command::Source { name: "Spare".into(), region: None }), at(1000));
    let [Effect::Perform { job: Job::Set(changes), .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(changes.0["push.sources"], serde_json::json!(["Spare", "Third"]));
    assert_eq!(changes.0["push.backup"], "Main");
}

#[test]
fn one_of_several_is_released_only_when_what_takes_its_place_is_on_air() {
    let (mut control, open) = started(with(&["Main", "Spare"], None));
    let (main, spare) = (open[0].0, open[1].0);
    control.handle(acknowledged(main, 10), at(500));
    control.handle(acknowledged(spare, 10), at(500));
    let mut changed = with(&["Third", "Spare"], None);
    changed.sources.push(source("Third"));
    let effects = control.handle(Event::Settings { settings: Box::new(changed), at_once: false }, at(1000));
    let third = opened(&effects)[0].0;
    assert!(!effects.contains(&Effect::CloseUplink { id: main }), "the other one is no stand-in");
    control.handle(acknowledged(spare, 20), at(1500));
    let effects = control.handle(acknowledged(third, 10), at(2000));
    assert!(effects.contains(&Effect::CloseUplink { id: main }));
}

#[test]
fn one_that_is_not_wanted_is_released_at_last_when_its_successor_fails() {
    let (mut control, open) = started(with(&["Main", "Spare"], None));
    let (main, spare) = (open[0].0, open[1].0);
    control.handle(acknowledged(spare, 10), at(500));
    let mut changed = with(&["Third", "Spare"], None);
    changed.sources.push(source("Third"));
    control.handle(Event::Settings { settings: Box::new(changed), at_once: false }, at(1000));
    let closed = |effects: &[Effect]| effects.contains(&Effect::CloseUplink { id: main });
    assert!(!closed(&control.handle(acknowledged(spare, 20), at(10_900))));
    assert!(closed(&control.handle(acknowledged(spare, 30), at(11_000))));
}

/// The settings may refuse a choice, or the disk; until they took it, the push goes where it went.
#[test]
fn a_choice_moves_the_push_once_it_is_in_the_settings() {
    let mut control = core();
    control.handle(locked("hdmi"), at(0));
    let named = Command::Start { sources: Some(vec!["Spare".into()]) };
    let spare = opened(&control.handle(command(1, named), at(10)));
    assert_eq!(spare[0].1, "Spare");
    control.handle(acknowledged(spare[0].0, 10), at(500));
    let effects = control.handle(command(2, Command::Source { name: "Main".into(), region: None }), at(1000));
    assert!(opened(&effects).is_empty(), "{effects:?}");
    let effects = control.handle(Event::SourcesChosen, at(1100));
    assert_eq!(opened(&effects)[0].1, "Main");
    let kept = effects.iter().any(|effect| matches!(effect, Effect::SaveIntent(saved) if saved.sources.is_none()));
    assert!(kept, "a power cut must not undo it: {effects:?}");
}

#[test]
fn a_preflight_is_not_tried_beside_itself() {
    let mut control = core();
    let preflight = || Command::Preflight { source: None };
    assert!(matches!(control.handle(command(1, preflight()), at(0))[..], [Effect::Perform { .. }]));
    let effects = control.handle(command(2, preflight()), at(100));
    assert!(matches!(effects[..], [Effect::Answer { answer: Answer::Failed { reason: Reason::WrongState, .. }, .. }]));
}

#[test]
fn another_codec_waits_for_the_next_push() {
    let (mut control, ..) = on_air();
    let mut changed = settings();
    changed.output.codec = Codec::Hevc;
    control.handle(Event::Settings { settings: Box::new(changed), at_once: true }, at(1000));
    assert_eq!(control.media_info().codec, Codec::H264, "ingests were told of this one");
}
