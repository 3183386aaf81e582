//! Rescue: nothing is captured or pushed, commands are answered, and the daemon is tried again.

use super::*;

fn rescue(settings: Settings) -> Control {
    let saved = SavedIntent { intent: Intent::OnAir, sources: None, show: Cut::Live, mute: false, input: None };
    let mut control = Control::new(board(), settings, "fc-1".into(), Some(saved), None, at(0).time);
    control.begin_rescue("Fieldcast crashed again and again (SIGSEGV)".into(), at(0).time);
    control
}

fn fault(control: &mut Control, now: u64) -> Fault {
    control.handle(Event::Tick, at(now));
    let status = control.status(at(now), None, crate::status::Stats::default());
    status.faults.into_iter().find(|fault| fault.code == "rescue").expect("a fault")
}

#[test]
fn nothing_is_captured_made_or_pushed() {
    let mut always = settings();
    always.push.at_power_on = PowerOn::Always;
    let mut control = rescue(always);
    let mut effects = control.handle(locked("hdmi"), at(100));
    for ms in (1000..60_000).step_by(500) {
        effects.extend(control.handle(Event::Tick, at(ms)));
    }
    assert_eq!(effects, []);
    assert!(!control.pushing());
}

#[test]
fn it_says_why_and_when_the_daemon_is_tried_again() {
    let mut control = rescue(settings());
    let told = fault(&mut control, 100);
    assert_eq!(told.severity, crate::status::Severity::Error);
    assert!(told.text.contains("SIGSEGV") && told.advice.contains("in 10 min"), "{told:?}");
    assert!(fault(&mut control, 570_000).advice.contains("in 1 min"));
    assert_eq!(control.view(at(570_000).time).page, crate::control::menu::Page::Faults, "whoever looks sees it");
    assert_eq!(control.next_wake(at(599_000).time), Some(at(600_000).time));
    assert_eq!(control.handle(Event::Tick, at(599_999)), []);
    assert_eq!(control.handle(Event::Tick, at(600_000)), [Effect::Exit]);
}

#[test]
fn what_it_cannot_do_is_refused_and_the_rest_is_done() {
    let mut control = rescue(settings());
    let refused = [
        Command::Start { sources: None },
        Command::Show { what: Cut::Slate, mute: None },
        Command::Preflight { source: None },
        Command::Source { name: "Main".into(), region: None },
        Command::Set(crate::settings::Changes(serde_json::Map::new())),
    ];
    for (request, refused) in (1..).zip(refused) {
        let effects = control.handle(command(request, refused.clone()), at(100));
        let [Effect::Answer { answer: Answer::Failed { reason, text, .. }, .. }] = &effects[..] else {
            panic!("{refused:?}: {effects:?}")
        };
        assert!(*reason == Reason::WrongState && text.contains("rescue mode") && text.contains("SIGSEGV"), "{text}");
    }
    let jobs = [Command::Settings, Command::Logs { lines: 10, since: None, follow: None }];
    for (request, job) in (10..).zip(jobs) {
        let effects = control.handle(command(request, job), at(200));
        assert!(matches!(&effects[..], [Effect::Perform { .. }]), "{effects:?}");
    }
    let identified = control.handle(command(20, Command::Identify), at(300));
    assert_eq!(identified, [Effect::Answer { request: RequestId(20), answer: Answer::done() }]);
    let effects = control.handle(command(21, Command::FactoryReset { confirm: true }), at(400));
    assert_eq!(effects, [Effect::Reset { request: RequestId(21) }, Effect::Exit]);
    let mut control = rescue(settings());
    let effects = control.handle(command(22, Command::Restart { confirm: false }), at(400));
    assert_eq!(effects, [Effect::Answer { request: RequestId(22), answer: Answer::done() }, Effect::Exit]);
    assert!(control.restarting());
}
