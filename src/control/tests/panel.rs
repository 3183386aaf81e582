//! What the panel is told, its commands on every surface, and what the lamps tell.

use super::{menu::Desk, *};
use crate::{
    board::{ButtonRole::*, Tally},
    control::menu::{Page, Verdict},
    uplink::{
        Stage,
        preflight::{self, Check, Preflight, Progress},
        probe::Measured,
        services,
    },
};

fn asked(effects: &[Effect]) -> RequestId {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Perform { request, .. } | Effect::Answer { request, .. } => Some(*request),
        _ => None,
    });
    found.expect("something was asked")
}

fn failed(effects: &[Effect]) -> Option<Reason> {
    effects.iter().find_map(|effect| match effect {
        Effect::Answer { answer: Answer::Failed { reason, .. }, .. } => Some(*reason),
        _ => None,
    })
}

#[test]
fn an_answer_is_said_for_five_seconds() {
    let mut desk = Desk::new(&[Go, Down, Enter], settings());
    desk.tap(Down);
    desk.tap(Enter);
    desk.find(Down, "Input: CAMERA");
    desk.effects.clear();
    desk.tap(Enter);
    let request = asked(&desk.effects);
    assert!(request.is_of_panel() && desk.view().notice.is_none());
    desk.tell(Event::Answered { request, answer: Answer::done() });
    assert_eq!(desk.view().notice.map(|notice| (notice.text, notice.failed)), Some(("Input: CAMERA".into(), false)));
    desk.pass(4999);
    assert!(desk.view().notice.is_some());
    desk.pass(1);
    assert_eq!(desk.view().notice, None);
    desk.tell(Event::Answered { request, answer: Answer::failed(Reason::Internal, "late") });
    assert_eq!(desk.view().notice, None, "one answer to each request");
}

#[test]
fn a_start_that_fails_is_told_after_thirty_seconds_and_goes_on() {
    let mut desk = Desk::new(&[Go], settings());
    desk.hold(Go, 1100);
    let id = opened(&desk.effects)[0].0;
    desk.tell(uplink(id, uplink::Report::Failed { cause: Cause::Refused, retry_in: Duration::from_secs(1) }));
    desk.effects.clear();
    desk.pass(28_000);
    assert!(failed(&desk.effects).is_none());
    desk.pass(3000);
    let answer = desk.effects.iter().find_map(|effect| match effect {
        Effect::Answer { request, answer } => Some((*request, answer.clone())),
        _ => None,
    });
    let (request, answer) = answer.expect("an answer");
    desk.tell(Event::Answered { request, answer });
    let notice = desk.view().notice.expect("a notice");
    assert!(notice.failed && notice.text.contains("refused"), "{notice:?}");
    assert!(desk.control.pushing());
}

#[test]
fn a_box_without_a_source_says_so_and_stays_off_air() {
    let mut desk = Desk::new(&[Go], Settings::default());
    desk.hold(Go, 1100);
    assert_eq!((failed(&desk.effects), desk.control.pushing()), (Some(Reason::WrongState), false));
}

#[test]
fn the_operator_cuts_to_the_slate_and_mutes_from_the_panel() {
    let mut desk = Desk::new(&[Go, Down, Enter], settings());
    for (text, shown) in [
        ("Show the slate", (Cut::Slate, false)),
        ("Mute the sound", (Cut::Slate, true)),
        ("Show the input", (Cut::Live, true)),
        ("Sound on", (Cut::Live, false)),
    ] {
        desk.tap(Enter);
        desk.find(Down, text);
        desk.tap(Enter);
        assert_eq!((desk.control.show.cut, desk.control.show.mute), shown, "{text}");
    }
}

#[test]
fn identify_lasts_thirty_seconds() {
    let mut desk = Desk::new(&[Go], settings());
    let effects = desk.tell(command(5, Command::Identify));
    assert!(effects.contains(&Effect::Answer { request: RequestId(5), answer: Answer::done() }));
    let tally = |desk: &Desk| desk.control.tally(at(desk.now).time);
    assert_eq!((desk.view().identify, tally(&desk)), (true, Some(Tally::Identify)));
    desk.pass(29_999);
    assert!(desk.view().identify);
    desk.pass(1);
    assert!(!desk.view().identify && tally(&desk) != Some(Tally::Identify));
}

#[test]
fn the_panel_is_locked_from_elsewhere() {
    let mut desk = Desk::new(&[Go], settings());
    desk.key(Go, true);
    desk.pass(500);
    desk.tell(command(5, Command::LockPanel { locked: true }));
    desk.pass(5000);
    assert!(desk.view().locked && !desk.control.pushing(), "what was held is cancelled");
    desk.key(Go, false);
    desk.tell(command(6, Command::LockPanel { locked: false }));
    desk.hold(Go, 1100);
    assert!(desk.control.pushing());
}

#[test]
fn a_restart_is_confirmed_while_pushing_and_keeps_the_intent() {
    let (mut control, _, id) = on_air();
    let effects = control.handle(command(2, Command::Restart { confirm: false }), at(600));
    assert_eq!(failed(&effects), Some(Reason::ConfirmationNeeded));
    let effects = control.handle(command(3, Command::Restart { confirm: true }), at(700));
    assert!(effects.contains(&Effect::Answer { request: RequestId(3), answer: Answer::done() }));
    assert!(effects.contains(&Effect::CloseUplink { id }), "the stream is ended, not cut");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::SaveIntent(_))));
    assert_eq!(failed(&control.handle(command(4, Command::Identify), at(800))), Some(Reason::WrongState));
    let effects = control.handle(Event::Tick, at(4700));
    assert!(effects.contains(&Effect::Exit) && control.restarting());
    // Off air nobody is interrupted.
    let mut control = core();
    assert_eq!(failed(&control.handle(command(2, Command::Restart { confirm: false }), at(0))), None);
}

#[test]
fn a_factory_reset_is_refused_while_pushing_and_comes_last() {
    let (mut control, _, id) = on_air();
    let reset = |request, confirm| command(request, Command::FactoryReset { confirm });
    assert_eq!(failed(&control.handle(reset(2, true), at(600))), Some(Reason::WrongState));
    control.handle(command(3, Command::Stop { confirm: true, end: None }), at(700));
    control.handle(uplink(id, uplink::Report::Closed), at(800));
    assert_eq!(failed(&control.handle(reset(4, false), at(900))), Some(Reason::ConfirmationNeeded));
    let effects = control.handle(reset(5, true), at(1000));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Answer { .. } | Effect::Reset { .. })));
    let effects = control.handle(Event::Tick, at(5000));
    let end = [Effect::Reset { request: RequestId(5) }, Effect::Exit];
    assert!(effects.ends_with(&end), "{effects:?}");
    let again = control.handle(Event::Tick, at(6000));
    assert!(!again.contains(&end[0]), "once");
}

#[test]
fn a_factory_reset_from_the_panel_needs_two_lists_and_the_hold() {
    let mut desk = Desk::new(&[Go, Up, Down, Enter, Back], settings());
    let to_system = |desk: &mut Desk| {
        desk.tap(Up);
        desk.tap(Up);
        assert_eq!(desk.view().page, Page::System);
        desk.tap(Enter);
        desk.find(Down, "Factory reset");
    };
    to_system(&mut desk);
    desk.tap(Enter);
    desk.find(Down, "Delete all changes");
    desk.tap(Enter);
    assert!(desk.control.shutdown.is_none());
    desk.hold(Enter, 2100);
    assert!(desk.control.shutdown.is_some() && desk.control.restarting());
    let mut desk = Desk::new(&[Go, Up, Down, Enter, Back], settings());
    desk.on_air();
    to_system(&mut desk);
    desk.tap(Enter);
    assert_eq!(desk.view().notice.map(|notice| notice.text), Some("Stop the push first".into()));
    assert_eq!(desk.view().list.map(|list| list.title), Some("System".into()));
}

fn check(stage: Stage, result: Result<(), Cause>) -> Check {
    Check { step: preflight::Step::Stage(stage), took: Duration::from_millis(31), result }
}

#[test]
fn a_preflight_is_ticked_step_by_step_from_any_surface() {
    let mut desk = Desk::new(&[Go], settings());
    desk.tell(command(9, Command::Preflight { source: None }));
    assert_eq!(desk.view().preflight.source.as_deref(), Some("Main"));
    let request = RequestId(9);
    let tell = |desk: &mut Desk, progress| drop(desk.tell(Event::Preflight { request, progress }));
    tell(&mut desk, Progress::Begun(preflight::Step::Stage(Stage::Name)));
    assert_eq!(desk.view().preflight.steps[0].passed, None);
    tell(&mut desk, Progress::Ended(check(Stage::Name, Ok(()))));
    tell(&mut desk, Progress::Begun(preflight::Step::Stage(Stage::Tcp)));
    let steps = desk.view().preflight.steps;
    assert_eq!((steps.len(), steps[0].passed, steps[0].remark.as_deref()), (2, Some(true), Some("31 ms")));
    assert_eq!((steps[1].text.as_str(), steps[1].passed), ("connection", None));
    let done = Preflight {
        checks: vec![check(Stage::Name, Ok(())), check(Stage::Tcp, Err(Cause::Refused))],
        upload: None,
        needed: BitRate::new(4_128_000),
        last: Stage::Publish,
    };
    // What another one says does not count.
    desk.tell(Event::Preflighted { request: RequestId(8), result: Err(Cause::NoNetwork) });
    assert_eq!(desk.view().preflight.verdict, None);
    desk.tell(Event::Preflighted { request, result: Ok(Box::new(done)) });
    let shown = desk.view().preflight;
    assert_eq!(shown.steps.iter().map(|step| step.passed).collect::<Vec<_>>(), [Some(true), Some(false)]);
    let Some(Verdict { passed: false, text }) = shown.verdict else { panic!("{shown:?}") };
    assert!(text.contains("refused") && text.contains("Check host and port"), "{text}");
}

#[test]
fn a_preflight_from_the_panel_is_watched_until_it_is_done() {
    let mut desk = Desk::new(&[Go, Up, Down, Enter, Back], settings());
    (0..2).for_each(|_| desk.tap(Down));
    desk.tap(Enter);
    assert_eq!(desk.entry(), "Check Main");
    desk.effects.clear();
    desk.tap(Enter);
    let request = asked(&desk.effects);
    assert_eq!((desk.view().page, desk.view().list), (Page::Preflight, None));
    desk.pass(28_000);
    desk.tell(Event::Preflight { request, progress: Progress::Begun(preflight::Step::Upload) });
    desk.pass(10_000);
    assert_eq!(desk.view().page, Page::Preflight);
    desk.tell(Event::Preflighted { request, result: Err(Cause::NoNetwork) });
    desk.pass(29_000);
    assert!(desk.view().preflight.verdict.is_some_and(|verdict| !verdict.passed));
    assert_eq!(desk.view().page, Page::Preflight);
    desk.pass(1000);
    assert_eq!(desk.view().page, Page::Live);
}

#[test]
fn regions_are_measured_and_the_nearest_is_marked() {
    let mut settings = settings();
    settings.sources[0] = Source { url: None, service: Some("twitch".into()), ..source("Main") };
    let mut desk = Desk::new(&[Go, Up, Down, Enter, Back], settings.clone());
    (0..3).for_each(|_| desk.tap(Down));
    desk.tap(Enter);
    desk.find(Down, "Region of Main");
    desk.tap(Enter);
    assert_eq!(desk.entry(), "Nearest", "as no region is set");
    desk.find(Up, "Measure the regions");
    desk.effects.clear();
    desk.tap(Enter);
    let measures = |effect: &Effect| matches!(effect, Effect::Perform { job: Job::Regions(_), .. });
    assert!(desk.effects.iter().any(measures), "{:?}", desk.effects);
    let twitch = services::service("twitch").expect("in the table");
    let row = |name: &str, result| Measured { region: twitch.region(name).expect("a region").clone(), result };
    let ms = |ms| Ok(Duration::from_millis(ms));
    let table = vec![row("fra", ms(18)), row("ber", ms(25)), row("syd", Err(Cause::PortBlocked))];
    desk.tell(Event::Regions { service: "twitch".into(), table });
    let remarks: Vec<_> = desk.view().list.expect("a list").entries.into_iter().map(|entry| entry.remark).collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(remarks[2..5], [text("nearest, 18 ms"), text("25 ms"), text("no answer")]);
    desk.find(Down, "fra");
    desk.effects.clear();
    desk.tap(Enter);
    let Effect::Perform { job: Job::Set(changes), .. } = &desk.effects[0] else { panic!("{:?}", desk.effects) };
    assert_eq!(changes.0["source.Main.region"], "fra");
    settings.sources[0].region = Some("fra".into());
    desk.tell(Event::Settings { settings: Box::new(settings), at_once: false });
    let line = &desk.view().sources[0];
    assert_eq!((line.region.as_deref(), line.nearest), (Some("fra"), true));
}

#[test]
fn the_lamps_never_tell_better_than_it_is() {
    let mut desk = Desk::new(&[Go], settings());
    let tally = |desk: &Desk| desk.control.tally(at(desk.now).time);
    assert_eq!(tally(&desk), Some(Tally::Ready));
    desk.tell(signal("hdmi", SignalState::NoCable));
    assert_eq!(tally(&desk), Some(Tally::Attention));
    desk.tell(locked("hdmi"));
    let id = opened(&desk.tell(command(1, Command::Start { sources: None })))[0].0;
    assert_eq!(tally(&desk), Some(Tally::Attention), "it starts, and nothing is wrong yet");
    desk.tell(uplink(id, uplink::Report::Failed { cause: Cause::Refused, retry_in: Duration::from_secs(1) }));
    assert_eq!(tally(&desk), Some(Tally::Trouble));
    desk.now = 500;
    desk.tell(acknowledged(id, 1000));
    assert_eq!(tally(&desk), Some(Tally::OnAir));
    desk.tell(signal("hdmi", SignalState::NoSignal));
    assert_eq!(tally(&desk), Some(Tally::Trouble), "viewers see the slate");
    // A worker that does not end would be a fault of its own.
    for effect in desk.effects.clone() {
        if let Effect::StopWorker { id } = effect {
            desk.tell(Event::WorkerExited { id });
        }
    }
    desk.tell(locked("hdmi"));
    assert_eq!(tally(&desk), Some(Tally::OnAir));
    desk.now = 3600;
    // A worker that says nothing would be a fault of its own.
    for (id, _) in workers(&desk.effects.clone()) {
        desk.tell(Event::Worker { id, report: Report::Alive(Flow::default()) });
    }
    assert_eq!(tally(&desk), Some(Tally::Trouble), "nothing was acknowledged for 3 s");
    desk.tell(command(2, Command::Stop { confirm: true, end: None }));
    assert_eq!(tally(&desk), None);
    desk.tell(uplink(id, uplink::Report::Closed));
    assert_eq!(tally(&desk), Some(Tally::Ready));
    desk.tell(Event::Shutdown);
    assert_eq!(tally(&desk), None);
}

#[test]
fn a_long_page_is_read_and_left() {
    let mut desk = Desk::new(&[Go], settings());
    let fault = |text: &str| Fault {
        code: "x",
        severity: crate::status::Severity::Notice,
        text: text.into(),
        advice: String::new(),
        since: None,
    };
    desk.tell(signal("hdmi", SignalState::NoCable));
    // A worker that does not end would be a fault of its own.
    for (id, _) in workers(&desk.effects.clone()) {
        desk.tell(Event::WorkerExited { id });
    }
    desk.tell(Event::Told(vec![fault("one"), fault("two")]));
    (0..7).for_each(|_| desk.tap(Go));
    assert_eq!(desk.view().page, Page::Faults);
    desk.hold(Go, 800);
    let scrolls: Vec<_> = (0..9)
        .map(|_| {
            desk.tap(Go);
            desk.view().scroll
        })
        .collect();
    assert_eq!(scrolls, [2, 4, 6, 8, 10, 12, 14, 16, 0]);
    desk.hold(Go, 800);
    desk.tap(Go);
    assert_eq!((desk.view().page, desk.view().scroll), (Page::Live, 0));
}

/// What letting GO go after `ms` does, when it was held at power-on.
fn held_at_power_on(ms: u64) -> (Desk, Vec<Effect>) {
    let mut desk = Desk::new(&[Go, Down], settings());
    desk.tell(Event::HeldAtStart { role: Go });
    desk.pass(ms);
    desk.effects.clear();
    desk.key(Go, false);
    desk.pass(5000);
    let effects = desk.effects.clone();
    (desk, effects)
}

#[test]
fn a_button_held_at_power_on_resets_when_it_is_let_go_in_time() {
    for ms in [10_000, 12_000, 14_999] {
        let (desk, effects) = held_at_power_on(ms);
        let resets = effects.iter().filter(|effect| matches!(effect, Effect::Reset { .. })).count();
        assert_eq!((resets, effects.last()), (1, Some(&Effect::Exit)), "{ms}");
        assert!(desk.control.restarting());
    }
}

#[test]
fn a_button_that_is_let_go_sooner_or_held_on_resets_nothing() {
    for ms in [0, 1500, 9_999, 15_000, 100_000] {
        let (mut desk, effects) = held_at_power_on(ms);
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Reset { .. } | Effect::Exit)), "{ms}");
        assert!(!desk.control.pushing() && !desk.control.restarting(), "it is no press");
        desk.hold(Go, 1100);
        assert!(desk.control.pushing(), "it works as ever after that");
    }
}

#[test]
fn the_display_and_the_lamps_tell_when_to_let_go() {
    let mut desk = Desk::new(&[Go, Down], settings());
    desk.tell(Event::HeldAtStart { role: Go });
    let reset = desk.view().reset.expect("a countdown");
    assert_eq!((reset.armed.millis(), reset.until.millis()), (10_000, 15_000));
    let tally = |desk: &Desk| desk.control.tally(at(desk.now).time);
    desk.pass(9_999);
    assert_ne!(tally(&desk), Some(Tally::Identify));
    desk.pass(1);
    assert_eq!(tally(&desk), Some(Tally::Identify));
    desk.pass(5000);
    assert_eq!(
        (desk.view().reset, desk.view().notice.map(|notice| notice.text)),
        (None, Some("Nothing was reset".into()))
    );
}

#[test]
fn only_go_at_power_on_resets_and_another_press_cancels() {
    let mut desk = Desk::new(&[Go, Down], settings());
    desk.tell(Event::HeldAtStart { role: Down });
    assert_eq!(desk.view().reset, None);
    desk.tell(Event::HeldAtStart { role: Go });
    desk.pass(11_000);
    desk.key(Down, true);
    assert_eq!(desk.view().reset, None);
    desk.effects.clear();
    desk.key(Go, false);
    desk.pass(100);
    assert!(!desk.effects.iter().any(|effect| matches!(effect, Effect::Reset { .. })));
    // A device that is plugged in later says nothing of power-on.
    let mut late = Desk::new(&[Go], settings());
    late.pass(10_000);
    late.tell(Event::HeldAtStart { role: Go });
    assert_eq!(late.view().reset, None);
}

#[test]
fn a_push_that_resumed_ends_with_the_reset() {
    let mut desk = Desk::new(&[Go], settings());
    desk.tell(command(1, Command::Start { sources: None }));
    desk.tell(Event::HeldAtStart { role: Go });
    desk.pass(11_000);
    assert!(desk.control.pushing());
    desk.key(Go, false);
    assert!(!desk.control.pushing());
    desk.pass(5000);
    assert!(desk.effects.iter().any(|effect| matches!(effect, Effect::Reset { .. })));
}

#[test]
fn diagnostics_go_to_a_stick_that_is_there() {
    let mut desk = Desk::new(&[Go, Down, Enter], settings());
    let entries = |desk: &mut Desk| {
        for _ in 0..6 {
            desk.tap(Down);
        }
        desk.tap(Enter);
        let list = desk.view().list.expect("a list");
        desk.tap(Down);
        list.entries.iter().map(|entry| entry.text.clone()).collect::<Vec<_>>()
    };
    assert!(!entries(&mut desk).contains(&"Diagnostics to USB".into()));
    let mut desk = Desk::new(&[Go, Down, Enter], settings());
    desk.tell(Event::Stick(true));
    assert!(entries(&mut desk).contains(&"Diagnostics to USB".into()));
    desk.find(Down, "Diagnostics to USB");
    desk.effects.clear();
    desk.tap(Enter);
    assert!(
        desk.effects.iter().any(|effect| matches!(effect, Effect::Perform { job: Job::Diagnostics { usb: true }, .. }))
    );
}
