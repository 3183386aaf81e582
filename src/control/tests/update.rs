//! Updates: what is taken, when the box restarts, and what comes of a system on trial.

use super::*;
use crate::{
    command::UpdateFrom,
    control::update::{Act, Bundle, Kept, Own, Record, Resumed, Told, Trouble},
    status::{FirmwareResult, FirmwareState},
};

fn own() -> Own {
    Own { version: "0.1.0".into(), slot: Some("A".into()), boot: "one".into() }
}

fn told(told: Told) -> Event {
    Event::Update(told)
}

fn here(resumed: Resumed) -> Event {
    told(Told::Here { own: Some(own()), resumed, last: None })
}

fn asked(request: u64, confirm: bool) -> Event {
    command(request, Command::Update { from: UpdateFrom::Usb, confirm, downgrade: false })
}

fn fetched(version: &str) -> Event {
    let bundle = Bundle { compatible: "fieldcast-bench".into(), version: version.into() };
    told(Told::Fetched { result: Ok(bundle), compatible: "fieldcast-bench".into() })
}

fn acts(effects: &[Effect]) -> Vec<&Act> {
    let acts = effects.iter().filter_map(|effect| if let Effect::Update(act) = effect { Some(act) } else { None });
    acts.collect()
}

fn answers(effects: &[Effect]) -> Vec<(u64, Result<(), Reason>)> {
    let answers = effects.iter().filter_map(|effect| match effect {
        Effect::Answer { request, answer: Answer::Successful { .. } } => Some((request.0, Ok(()))),
        Effect::Answer { request, answer: Answer::Failed { reason, .. } } => Some((request.0, Err(*reason))),
        _ => None,
    });
    answers.collect()
}

fn record() -> Record {
    Record {
        from: "0.0.9".into(),
        to: "0.1.0".into(),
        slot: Some("B".into()),
        boot: "zero".into(),
        installed: true,
        inputs: BTreeSet::from(["hdmi".to_owned()]),
        ingest: Some("Main".into()),
    }
}

fn state(control: &Control, now: u64) -> (FirmwareState, Option<FirmwareResult>) {
    let firmware = control.status(at(now), None, Default::default()).firmware.expect("an image");
    (firmware.state, firmware.last.map(|last| last.result))
}

#[test]
fn an_update_off_air_ends_in_a_restart_of_the_box() {
    let mut control = core();
    control.handle(here(Resumed::Nothing), at(0));
    control.handle(locked("hdmi"), at(0));
    control.handle(signal("camera", SignalState::NoDevice), at(0));
    let effects = control.handle(asked(1, false), at(10));
    assert!(matches!(acts(&effects)[..], [Act::Fetch { from: UpdateFrom::Usb, .. }, Act::Reach(_)]), "{effects:?}");
    control.handle(told(Told::Reached(true)), at(20));
    control.handle(told(Told::Progress { state: FirmwareState::Checking, percent: None }), at(30));
    assert_eq!(state(&control, 30).0, FirmwareState::Checking);
    let effects = control.handle(fetched("0.2.0"), at(40));
    let [Act::Install(kept)] = acts(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(
        kept.record,
        Some(Record {
            from: "0.1.0".into(),
            to: "0.2.0".into(),
            slot: Some("A".into()),
            boot: "one".into(),
            installed: false,
            inputs: BTreeSet::from(["hdmi".to_owned()]),
            ingest: Some("Main".into()),
        })
    );
    control.handle(told(Told::Progress { state: FirmwareState::Installing, percent: Some(40) }), at(50));
    let firmware = control.status(at(50), None, Default::default()).firmware.expect("an image");
    assert_eq!(
        (firmware.state, firmware.progress, firmware.to.as_deref()),
        (FirmwareState::Installing, Some(40), Some("0.2.0"))
    );
    let effects = control.handle(told(Told::Installed(Ok(()))), at(60));
    let [Act::Record(kept)] = acts(&effects)[..] else { panic!("{effects:?}") };
    assert!(kept.record.as_ref().is_some_and(|record| record.installed));
    assert_eq!(answers(&effects), [], "it is answered when nothing can go wrong any more");
    let effects = control.handle(told(Told::Recorded(Ok(()))), at(70));
    assert!(matches!(acts(&effects)[..], [Act::Leave(_)]), "{effects:?}");
    assert_eq!(answers(&effects), [(1, Ok(()))]);
    let effects = control.handle(told(Told::Leaving), at(80));
    assert_eq!(acts(&effects), [&Act::Restart]);
    assert!(!control.pushing() && control.restarting());
}

#[test]
fn what_cannot_be_updated_now_says_so() {
    let refused = |control: &mut Control, event, now| match answers(&control.handle(event, at(now)))[..] {
        [(_, Err(reason))] => reason,
        ref other => panic!("{other:?}"),
    };
    let mut control = core();
    assert_eq!(refused(&mut control, asked(1, true), 0), Reason::NoUpdater);
    control.handle(told(Told::Here { own: None, resumed: Resumed::Nothing, last: None }), at(0));
    assert_eq!(refused(&mut control, asked(2, true), 0), Reason::NoUpdater);
    assert!(control.status(at(0), None, Default::default()).firmware.is_none());

    let (mut control, _, _) = on_air();
    control.handle(here(Resumed::Nothing), at(600));
    assert_eq!(refused(&mut control, asked(3, false), 700), Reason::ConfirmationNeeded);
    assert_eq!(answers(&control.handle(asked(4, true), at(800))), []);
    assert_eq!(refused(&mut control, asked(5, true), 900), Reason::WrongState);
    // The first one is still answered, once.
    let old = control.handle(fetched("0.0.9"), at(1000));
    assert_eq!((answers(&old), acts(&old)), (vec![(4, Err(Reason::OlderVersion))], vec![&Act::Discard]));
    assert_eq!(state(&control, 1000), (FirmwareState::Idle, None));

    let mut control = core();
    control.handle(here(Resumed::OnTrial(record())), at(0));
    assert_eq!(refused(&mut control, asked(6, true), 10), Reason::WrongState);
}

#[test]
fn a_push_that_was_begun_meanwhile_is_not_interrupted() {
    let mut control = core();
    control.handle(here(Resumed::Nothing), at(0));
    control.handle(locked("hdmi"), at(0));
    control.handle(asked(1, false), at(10));
    control.handle(fetched("0.2.0"), at(20));
    let started = control.handle(command(2, Command::Start { sources: None }), at(30));
    let id = opened(&started)[0].0;
    let effects = control.handle(told(Told::Installed(Ok(()))), at(40));
    assert!(matches!(acts(&effects)[..], [Act::Record(_)]), "a daemon that ends meanwhile knows of it");
    let effects = control.handle(told(Told::Recorded(Ok(()))), at(50));
    assert_eq!((answers(&effects), acts(&effects)), (vec![(1, Ok(()))], vec![]), "who asked is told that it waits");
    control.handle(acknowledged(id, 1000), at(500));
    let status = control.status(at(500), None, Default::default());
    assert!(status.faults.iter().any(|fault| fault.code == "update-waits"));
    control.handle(command(3, Command::Stop { confirm: true, end: None }), at(600));
    let effects = control.handle(uplink(id, uplink::Report::Closed), at(700));
    let all = [effects, control.handle(Event::Tick, at(800))].concat();
    assert!(matches!(acts(&all)[..], [Act::Leave(_)]), "{all:?}");
    assert_eq!(state(&control, 800).0, FirmwareState::Restarting);
}

#[test]
fn an_update_that_was_forced_interrupts_the_push() {
    let (mut control, _, _) = on_air();
    control.handle(here(Resumed::Nothing), at(600));
    control.handle(asked(2, true), at(700));
    control.handle(fetched("0.2.0"), at(800));
    control.handle(told(Told::Installed(Ok(()))), at(900));
    let effects = control.handle(told(Told::Recorded(Ok(()))), at(910));
    let [Act::Leave(kept)] = acts(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(kept.record.as_ref().and_then(|record| record.ingest.as_deref()), Some("Main"), "it was on air");
}

#[test]
fn what_fails_is_deleted_and_told() {
    let mut control = core();
    control.handle(here(Resumed::Nothing), at(0));
    control.handle(asked(1, false), at(10));
    let lost = Trouble::NoSpace("The disk is full".into());
    let effects = control.handle(told(Told::Fetched { result: Err(lost), compatible: String::new() }), at(20));
    assert_eq!((answers(&effects), acts(&effects)), (vec![(1, Err(Reason::NoSpace))], vec![&Act::Discard]));
    control.handle(asked(2, false), at(30));
    control.handle(fetched("0.2.0"), at(40));
    let effects = control.handle(told(Told::Installed(Err(Trouble::Damaged))), at(50));
    assert_eq!(answers(&effects), [(2, Err(Reason::DamagedBundle))]);
    assert!(matches!(acts(&effects)[..], [Act::Discard, Act::Keep(_)]));
    assert_eq!(state(&control, 50), (FirmwareState::Idle, Some(FirmwareResult::Failed)));
    // A disk that does not take the record: the old system stays.
    control.handle(asked(3, false), at(60));
    control.handle(fetched("0.2.0"), at(70));
    control.handle(told(Told::Installed(Ok(()))), at(80));
    let effects = control.handle(told(Told::Recorded(Err(Trouble::NotRecorded("full".into())))), at(90));
    assert_eq!(answers(&effects), [(3, Err(Reason::Internal))]);
    assert!(!control.restarting());
}

/// A system on trial at 0 s, with all that it has to show but the ingest.
fn on_trial() -> Control {
    let mut control = core();
    control.handle(here(Resumed::OnTrial(record())), at(0));
    control.handle(told(Told::Ready), at(10));
    control.handle(locked("hdmi"), at(20));
    control
}

#[test]
fn a_good_system_is_confirmed_and_who_asked_has_the_answer() {
    let mut control = on_trial();
    let mut reached = 0;
    for second in 1..30 {
        let effects = control.handle(Event::Tick, at(second * 1000));
        reached += acts(&effects).iter().filter(|act| matches!(act, Act::Reach(_))).count();
        assert!(!acts(&effects).contains(&&Act::Confirm));
    }
    assert!((2..=4).contains(&reached), "{reached}");
    assert_eq!(state(&control, 30_000).0, FirmwareState::OnTrial);
    let effects = control.handle(told(Told::Reached(true)), at(30_000));
    assert_eq!(acts(&effects), [&Act::Confirm]);
    let effects = control.handle(told(Told::Confirmed(Ok(()))), at(30_100));
    let [Act::Answer(Answer::Successful { result }), Act::Keep(kept)] = acts(&effects)[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(result["version"], "0.1.0");
    assert!(matches!(&**kept, Kept { record: None, last: Some(last) } if last.result == FirmwareResult::Confirmed));
    assert_eq!(state(&control, 30_200), (FirmwareState::Idle, Some(FirmwareResult::Confirmed)));
}

#[test]
fn a_system_that_does_not_do_what_the_old_one_did_is_given_up() {
    let mut control = on_trial();
    let mut acts_seen = Vec::new();
    for second in 1..=240 {
        acts_seen.extend(acts(&control.handle(Event::Tick, at(second * 1000))).into_iter().cloned());
    }
    acts_seen.retain(|act| !matches!(act, Act::Reach(_)));
    let [Act::GiveUp(why)] = &acts_seen[..] else { panic!("{acts_seen:?}") };
    assert!(why.contains("ingest of Main"), "{why}");
    let effects = control.handle(told(Told::GivenUp), at(241_000));
    assert_eq!(acts(&effects), [&Act::Restart]);
    assert!(control.restarting());
}

#[test]
fn a_rescue_does_not_find_its_own_system_good() {
    let mut control = Control::new(board(), settings(), "fc-1".into(), None, None, at(0).time);
    control.begin_rescue("Fieldcast crashed again and again (SIGSEGV)".into(), at(0).time);
    // Nothing was there before that could be missed.
    let record = Record { inputs: BTreeSet::new(), ingest: None, ..record() };
    let mut effects = control.handle(here(Resumed::OnTrial(record)), at(0));
    effects.extend(control.handle(told(Told::Ready), at(0)));
    for second in 1..20 {
        effects.extend(control.handle(Event::Tick, at(second * 1000)));
    }
    let [Act::GiveUp(why)] = acts(&effects)[..] else { panic!("{effects:?}") };
    assert!(why.contains("SIGSEGV"), "{why}");
    let effects = control.handle(told(Told::GivenUp), at(20_000));
    assert_eq!(acts(&effects), [&Act::Restart]);
}

#[test]
fn the_old_system_says_why_it_is_back() {
    let mut control = core();
    let back = Resumed::RolledBack { to: "0.2.0".into(), why: "It does not find the input".into() };
    let effects = control.handle(here(back), at(0));
    let [Act::Keep(_), Act::Answer(Answer::Failed { reason: Reason::RolledBack, text, .. })] = acts(&effects)[..]
    else {
        panic!("{effects:?}")
    };
    assert!(text.contains("It does not find the input"));
    let status = control.status(at(10), None, Default::default());
    let fault = status.faults.iter().find(|fault| fault.code == "update-rolled-back").expect("a fault");
    assert!(fault.text.contains("0.2.0") && fault.text.contains("It does not find the input"));
    // It stands over restarts, until another update.
    let last = status.firmware.expect("an image").last;
    let mut again = core();
    again.handle(told(Told::Here { own: Some(own()), resumed: Resumed::Nothing, last }), at(0));
    let faults = |control: &Control| control.status(at(0), None, Default::default()).faults;
    assert!(faults(&again).iter().any(|fault| fault.code == "update-rolled-back"));
    again.handle(asked(1, false), at(10));
    assert!(!faults(&again).iter().any(|fault| fault.code == "update-rolled-back"));
}

#[test]
fn a_stick_with_a_bundle_is_offered_on_the_panel() {
    let mut desk = super::menu::Desk::new(&[ButtonRole::Go, ButtonRole::Down, ButtonRole::Enter], settings());
    let open = |desk: &mut super::menu::Desk| -> Vec<String> {
        while desk.view().page != crate::control::menu::Page::System {
            desk.tap(ButtonRole::Down);
        }
        desk.tap(ButtonRole::Enter);
        desk.view().list.expect("a list").entries.into_iter().map(|entry| entry.text).collect()
    };
    assert!(!open(&mut desk).contains(&"Update from USB".to_owned()));
    desk.tell(here(Resumed::Nothing));
    desk.tell(told(Told::Stick(true)));
    desk.pass(10);
    desk.find(ButtonRole::Down, "Update from USB");
    desk.effects.clear();
    desk.tap(ButtonRole::Enter);
    assert!(acts(&desk.effects).is_empty(), "it is held");
    desk.hold(ButtonRole::Enter, 4000);
    assert!(matches!(acts(&desk.effects)[..], [Act::Fetch { from: UpdateFrom::Usb, .. }, ..]), "{:?}", desk.effects);
    // A push of its own is what goes on: nothing is offered.
    let mut pushing = super::menu::Desk::new(&[ButtonRole::Go, ButtonRole::Down, ButtonRole::Enter], settings());
    pushing.tell(here(Resumed::Nothing));
    pushing.tell(told(Told::Stick(true)));
    pushing.tell(command(1, Command::Start { sources: None }));
    assert!(!open(&mut pushing).contains(&"Update from USB".to_owned()));
}

#[test]
fn what_was_broken_off_changes_nothing() {
    let mut control = core();
    let effects = control.handle(here(Resumed::BrokenOff(Record { installed: false, ..record() })), at(0));
    assert!(matches!(
        acts(&effects)[..],
        [Act::Keep(_), Act::Answer(Answer::Failed { reason: Reason::Interrupted, .. })]
    ));
    assert_eq!(state(&control, 0), (FirmwareState::Idle, Some(FirmwareResult::Failed)));
    let mut control = core();
    let effects = control.handle(here(Resumed::Restart(record())), at(0));
    assert!(matches!(acts(&effects)[..], [Act::Leave(_)]), "the daemon crashed before it could restart the box");
    // RAUC is a service of its own and may go on: whatever comes of it, the old system stays.
    let mut control = core();
    let effects = control.handle(here(Resumed::Unfinished(Record { installed: false, ..record() })), at(0));
    assert_eq!((acts(&effects), state(&control, 0).0), (vec![&Act::Undo], FirmwareState::Installing));
    let effects = control.handle(told(Told::Undone), at(10));
    assert!(matches!(
        acts(&effects)[..],
        [Act::Keep(_), Act::Answer(Answer::Failed { reason: Reason::Interrupted, .. })]
    ));
}

proptest! {
    /// Whatever happens in whatever order: one answer to each command, one word to who asked before the restart, one verdict.
    #[test]
    fn every_update_gets_one_answer(trial in any::<bool>(), steps in prop::collection::vec((0_u8..16, 1_u64..20_000), 0..80)) {
        let mut control = core();
        let mut now = 0;
        let (mut asked_for, mut answered, mut told_before, mut given_up, mut confirmed) = (0, BTreeMap::new(), 0, 0, 0);
        let mut count = |effects: &[Effect]| -> Result<(), TestCaseError> {
            for (request, _) in answers(effects) {
                prop_assert!(answered.insert(request, ()).is_none(), "{request} twice");
            }
            for act in acts(effects) {
                match act {
                    Act::Answer(_) => told_before += 1,
                    Act::GiveUp(_) => given_up += 1,
                    Act::Confirm => { confirmed += 1; prop_assert_eq!(given_up, 0); }
                    _ => {}
                }
            }
            prop_assert!(told_before <= 1 && given_up <= 1 && confirmed <= 60);
            Ok(())
        };
        let resumed = if trial { Resumed::OnTrial(record()) } else { Resumed::Nothing };
        count(&control.handle(here(resumed), at(0)))?;
        for (step, pause) in steps {
            now += pause;
            let event = match step {
                0 => { asked_for += 1; asked(asked_for, false) }
                1 => { asked_for += 1; asked(asked_for, true) }
                2 => fetched("0.2.0"),
                3 => fetched("0.0.1"),
                4 => told(Told::Fetched { result: Err(Trouble::Damaged), compatible: String::new() }),
                5 => told(Told::Installed(Ok(()))),
                6 => told(Told::Installed(Err(Trouble::Damaged))),
                7 => told(Told::Recorded(Ok(()))),
                14 => told(Told::Leaving),
                15 => told(Told::Undone),
                8 => told(Told::Ready),
                9 => told(Told::Reached(true)),
                10 => locked("hdmi"),
                11 => told(Told::Confirmed(Ok(()))),
                12 => told(Told::Confirmed(Err("busy".into()))),
                _ => Event::Tick,
            };
            count(&control.handle(event, at(now)))?;
        }
        // Edges answer what they were asked: then nothing is left open.
        for event in [
            told(Told::Fetched { result: Err(Trouble::Damaged), compatible: String::new() }),
            told(Told::Installed(Err(Trouble::Damaged))),
        ] {
            count(&control.handle(event, at(now)))?;
        }
        prop_assert_eq!(answered.len() as u64, asked_for);
    }
}
