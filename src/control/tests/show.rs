//! What viewers see when there is no picture, and what the operator shows.

use super::{
    cards::{codes, make_cards},
    *,
};
use crate::{
    media::{FailureKind, VideoSource},
    settings::{OnSignalLoss, OutputMode},
    units::Span,
};

#[test]
fn without_a_picture_the_push_begins_with_the_slate() {
    let mut control = core();
    make_cards(&mut control, 1500);
    control.handle(signal("hdmi", SignalState::NoCable), at(1600));
    let effects = control.handle(command(1, Command::Start { sources: None }), at(2000));
    assert_eq!(opened(&effects), []);
    assert_eq!(control.next_wake(at(2000).time), Some(at(5000).time));
    let effects = control.handle(Event::Tick, at(5000));
    assert!(effects.contains(&Effect::BeginProgram { card: true }));
    assert_eq!(opened(&effects).len(), 1);
    control.handle(acknowledged(opened(&effects)[0].0, 10), at(5500));
    assert_eq!(control.phase(at(5500).time), Phase::OnAir);
    assert_eq!(codes(&control, 5500), ["no-cable"]);
    let effects = control.handle(locked("hdmi"), at(6000));
    assert!(!workers(&effects).is_empty() && opened(&effects).is_empty());
}

#[test]
fn the_output_mode_stays_while_the_input_changes() {
    let mut settings = settings();
    settings.output.mode = OutputMode::Follow;
    let mut control = Control::new(board(), settings, "fc-00000000".into(), None, None, Time::ZERO);
    control.handle(locked("hdmi"), at(0));
    control.handle(command(1, Command::Start { sources: None }), at(10));
    let before = control.output_mode();
    let other = Signal {
        state: SignalState::Locked,
        node: None,
        mode: "1920x1080i50".parse().ok(),
        format: None,
        protected: false,
    };
    control.handle(Event::Signal { input: "hdmi".into(), signal: other }, at(1000));
    assert_eq!(control.output_mode(), before);
    control.handle(command(2, Command::Stop { confirm: true, end: None }), at(2000));
    assert_eq!(control.output_mode(), before, "until the streams have ended");
    let open: Vec<UplinkId> = control.uplinks.iter().map(|uplink| uplink.id).collect();
    for id in open {
        control.handle(uplink(id, uplink::Report::Closed), at(2100));
    }
    assert_ne!(control.output_mode(), before);
}

/// 1080p60 to 720p50 to 1080i50 to out of range and back, and a camera that comes back as another node.
#[test]
fn what_comes_in_changes_behind_the_slate() {
    let (mut control, mut video, _) = on_air();
    let before = control.output_mode();
    let signal = |mode: &str, node: &str| {
        let mode = mode.parse().ok();
        let state = if mode.is_some() { SignalState::Locked } else { SignalState::OutOfRange };
        let signal = Signal { state, node: Some(node.into()), mode, format: None, protected: false };
        Event::Signal { input: "hdmi".into(), signal }
    };
    let camera = board::Camera { device: board::DeviceMatch::default(), formats: Vec::new(), mode: None };
    control.board.inputs[0].kind = InputKind::Camera(camera);
    let series = [
        ("1920x1080p60", "/dev/video0"),
        ("1280x720p50", "/dev/video0"),
        ("1920x1080i50", "/dev/video0"),
        ("none", "/dev/video0"),
        ("1920x1080i50", "/dev/video0"),
        ("1920x1080i50", "/dev/video2"),
    ];
    let mut now = 1000;
    for (mode, node) in series {
        now += 1000;
        let mut effects = control.handle(signal(mode, node), at(now));
        let ended = effects.contains(&Effect::StopWorker { id: video });
        if ended {
            assert!(workers(&effects).is_empty(), "one at a time");
            effects.extend(control.handle(Event::WorkerExited { id: video }, at(now + 50)));
        }
        let ends = |effect: &Effect| matches!(effect, Effect::CloseUplink { .. } | Effect::EndProgram);
        assert!(!effects.iter().any(ends), "{effects:?}");
        assert_eq!(control.output_mode(), before);
        let started = workers(&effects).into_iter().find_map(|(id, plan)| match plan {
            Plan::Video(plan) => Some((id, plan)),
            _ => None,
        });
        let Some((id, plan)) = started else {
            assert_eq!((mode, ended), ("none", true), "{effects:?}");
            continue;
        };
        let source =
            VideoSource::V4l2 { device: node.into(), format: None, mode: mode.parse().expect("a mode"), hdmi: false };
        assert_eq!((plan.source, plan.mode), (source, before));
        assert!(effects.contains(&Effect::Order { id, order: Order::Encode }), "{effects:?}");
        video = id;
    }
}

#[test]
fn a_push_ends_by_itself_only_when_told() {
    for (loss, ends) in [(OnSignalLoss::Slate, false), (OnSignalLoss::StopAfter(Span::from_millis(60_000)), true)] {
        let mut settings = settings();
        settings.push.on_signal_loss = loss;
        let mut control = Control::new(board(), settings, "fc-00000000".into(), None, None, Time::ZERO);
        control.handle(locked("hdmi"), at(0));
        control.handle(command(1, Command::Start { sources: None }), at(10));
        control.handle(signal("hdmi", SignalState::NoSignal), at(10_000));
        control.handle(locked("hdmi"), at(60_000));
        control.handle(signal("hdmi", SignalState::NoSignal), at(61_000));
        control.handle(Event::Tick, at(120_999));
        assert!(control.pushing(), "it was back in between");
        let effects = control.handle(Event::Tick, at(121_000));
        assert_eq!(control.pushing(), !ends);
        assert_eq!(effects.iter().any(|effect| matches!(effect, Effect::CloseUplink { .. })), ends);
        assert_eq!(codes(&control, 121_000).contains(&"ended-without-picture"), ends);
        control.handle(command(2, Command::Start { sources: None }), at(122_000));
        assert!(!codes(&control, 122_000).contains(&"ended-without-picture"));
    }
}

#[test]
fn what_the_operator_shows_outlives_the_daemon_and_not_the_push() {
    let (mut control, ..) = on_air();
    let show = |what, mute| Command::Show { what, mute };
    let refused = control.handle(command(2, show(Cut::Slate, None)), at(600));
    assert!(
        matches!(&refused[..], [Effect::Answer { answer: Answer::Failed { .. }, .. }]),
        "not made yet: {refused:?}"
    );
    make_cards(&mut control, 1500);
    let effects = control.handle(command(3, show(Cut::Slate, Some(true))), at(2000));
    assert!(effects.contains(&Effect::Cut { cut: Cut::Slate, mute: true }), "{effects:?}");
    let saved = effects.iter().find_map(|effect| match effect {
        Effect::SaveIntent(saved) => Some(saved.clone()),
        _ => None,
    });
    assert!(control.status(at(2000), None, crate::status::Stats::default()).program.muted);

    let mut again = Control::new(board(), settings(), "fc-00000000".into(), saved, None, Time::ZERO);
    let effects = again.handle(locked("hdmi"), at(100));
    assert!(effects.contains(&Effect::Cut { cut: Cut::Slate, mute: true }), "{effects:?}");

    control.handle(command(4, Command::Stop { confirm: true, end: None }), at(3000));
    let effects = control.handle(command(5, Command::Start { sources: None }), at(3100));
    assert!(!effects.contains(&Effect::Cut { cut: Cut::Slate, mute: true }), "{effects:?}");
    assert_eq!(control.show.cut, Cut::Live);
}

fn showing(what: crate::status::Showing) -> Event {
    Event::Showing(Some(what))
}

fn begun(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::BeginProgram { .. }))
}

/// A camera that comes some seconds after GO is used, as nobody has seen another input yet.
#[test]
fn a_push_that_began_without_a_picture_takes_the_first_input_that_locks() {
    let mut control = core();
    make_cards(&mut control, 1500);
    control.handle(command(1, Command::Start { sources: None }), at(2000));
    assert!(begun(&control.handle(Event::Tick, at(5000))));
    let effects = control.handle(locked("camera"), at(9000));
    assert!(!workers(&effects).is_empty(), "{effects:?}");
    assert_eq!(control.status(at(9000), None, crate::status::Stats::default()).input.device, "camera");
    control.handle(locked("hdmi"), at(10_000));
    control.handle(signal("camera", SignalState::NoDevice), at(11_000));
    assert_eq!(control.input, "camera", "what viewers have seen is left by the operator only");
}

#[test]
fn after_a_restart_on_air_the_input_that_viewers_saw_is_waited_for() {
    let saved = SavedIntent {
        intent: Intent::OnAir,
        sources: None,
        show: Cut::Live,
        mute: false,
        input: Some("camera".into()),
    };
    let again = || Control::new(board(), settings(), "fc-00000000".into(), Some(saved.clone()), None, Time::ZERO);
    let mut control = again();
    assert!(workers(&control.handle(locked("hdmi"), at(100))).is_empty());
    assert!(begun(&control.handle(locked("camera"), at(2900))));
    assert_eq!(control.input, "camera");
    let mut control = again();
    control.handle(locked("hdmi"), at(100));
    assert!(begun(&control.handle(Event::Tick, at(3000))), "but not for ever");
    assert_eq!(control.input, "hdmi");
    let gone = SavedIntent { input: Some("no more".into()), ..saved };
    let control = Control::new(board(), settings(), "fc-00000000".into(), Some(gone), None, Time::ZERO);
    assert_eq!(control.input, "hdmi");
}

/// The receiver is locked and gives nothing, or the encoder hangs: viewers see no input all the same.
#[test]
fn a_picture_that_does_not_get_to_viewers_is_lost_and_told() {
    use crate::status::Showing::{Live, Slate};
    let mut settings = settings();
    settings.push.on_signal_loss = OnSignalLoss::StopAfter(Span::from_millis(60_000));
    let mut control = Control::new(board(), settings, "fc-00000000".into(), None, None, Time::ZERO);
    make_cards(&mut control, 1500);
    control.handle(locked("hdmi"), at(1600));
    control.handle(command(1, Command::Start { sources: None }), at(2000));
    control.handle(showing(Live), at(2100));
    control.handle(showing(Slate), at(10_000));
    assert!(!codes(&control, 12_999).contains(&"no-live-picture"));
    control.handle(Event::Tick, at(13_000));
    assert!(codes(&control, 13_000).contains(&"no-live-picture"));
    control.handle(showing(Live), at(14_000));
    assert!(!codes(&control, 14_000).contains(&"no-live-picture"));
    control.handle(command(2, Command::Show { what: Cut::Slate, mute: None }), at(15_000));
    control.handle(showing(Slate), at(15_100));
    control.handle(Event::Tick, at(80_000));
    assert!(control.pushing() && !codes(&control, 80_000).contains(&"no-live-picture"), "it is the operator's");
    control.handle(command(3, Command::Show { what: Cut::Live, mute: None }), at(81_000));
    control.handle(Event::Tick, at(140_999));
    assert!(control.pushing());
    control.handle(Event::Tick, at(141_000));
    assert!(!control.pushing());
}

#[test]
fn a_reload_changes_the_mode_on_air_only_if_the_mode_was_changed() {
    let mut settings = settings();
    settings.output.mode = OutputMode::Follow;
    let mut control = Control::new(board(), settings.clone(), "fc-00000000".into(), None, None, Time::ZERO);
    control.handle(locked("hdmi"), at(0));
    control.handle(command(1, Command::Start { sources: None }), at(10));
    let before = control.output_mode();
    let other = Signal {
        state: SignalState::Locked,
        node: None,
        mode: "1920x1080i50".parse().ok(),
        format: None,
        protected: false,
    };
    control.handle(Event::Signal { input: "hdmi".into(), signal: other }, at(1000));
    settings.sources.push(source("Another"));
    control.handle(Event::Settings { settings: Box::new(settings.clone()), at_once: true }, at(2000));
    assert_eq!(control.output_mode(), before);
    settings.output.mode = OutputMode::Fixed("640x360p25".parse().expect("a mode"));
    control.handle(Event::Settings { settings: Box::new(settings), at_once: true }, at(3000));
    assert_eq!(control.output_mode().to_string(), "640x360p25");
}

/// The streams of the push before are still being ended.
#[test]
fn a_push_that_follows_at_once_is_a_new_program() {
    let (mut control, ..) = on_air();
    make_cards(&mut control, 1500);
    control.handle(command(2, Command::Show { what: Cut::Slate, mute: Some(true) }), at(2000));
    control.handle(command(3, Command::Stop { confirm: true, end: None }), at(3000));
    let effects = control.handle(command(4, Command::Start { sources: None }), at(3100));
    let end = effects.iter().position(|effect| *effect == Effect::EndProgram).expect("ended");
    let begin = effects.iter().position(|effect| matches!(effect, Effect::BeginProgram { .. })).expect("begun");
    let cut = effects.iter().position(|effect| *effect == Effect::Cut { cut: Cut::Live, mute: false }).expect("cut");
    assert!(end < begin && begin < cut, "{effects:?}");
}

#[test]
fn failures_are_forgiven_when_the_camera_sends_another_format() {
    let mut control = core();
    let mode = |mode: &str| Signal {
        state: SignalState::Locked,
        node: Some("/dev/video0".into()),
        mode: mode.parse().ok(),
        format: None,
        protected: false,
    };
    let mut now = 0;
    let mut effects = control.handle(Event::Signal { input: "hdmi".into(), signal: mode("1080p60") }, at(now));
    while let Some((id, _)) = workers(&effects).into_iter().find(|(_, plan)| matches!(plan, Plan::Video(_))) {
        let failed = Failure { kind: FailureKind::Format, text: String::new() };
        control.handle(Event::Worker { id, report: Report::Failed(failed) }, at(now));
        effects = control.handle(Event::WorkerExited { id }, at(now + 10));
        now += 5000;
        effects.extend(control.handle(Event::Tick, at(now)));
        if now > 20_000 {
            break;
        }
    }
    assert!(control.video.given_up());
    control.handle(Event::Signal { input: "hdmi".into(), signal: mode("720p50") }, at(now + 100));
    assert!(!control.video.given_up() && control.video.live().is_some());
}

#[test]
fn sound_of_a_card_of_its_own_is_told_while_there_is_no_picture() {
    let mut settings = settings();
    settings.input.audio = "usb".into();
    let mut control = Control::new(board(), settings, "fc-00000000".into(), None, None, Time::ZERO);
    make_cards(&mut control, 1500);
    control.handle(signal("hdmi", SignalState::NoCable), at(1600));
    control.handle(command(1, Command::Start { sources: None }), at(2000));
    control.handle(Event::Tick, at(5000));
    control.handle(Event::Cards(BTreeSet::new()), at(6000));
    control.handle(Event::Tick, at(12_000));
    assert!(codes(&control, 12_000).contains(&"no-sound"), "{:?}", codes(&control, 12_000));
}

#[test]
fn a_worker_that_was_given_up_and_encodes_again_ends_no_push() {
    let mut settings = settings();
    settings.push.on_signal_loss = OnSignalLoss::StopAfter(Span::from_millis(60_000));
    let mut control = Control::new(board(), settings, "fc-00000000".into(), None, None, Time::ZERO);
    let video = |effects: &[Effect]| workers(effects).into_iter().find(|(_, plan)| matches!(plan, Plan::Video(_)));
    control.handle(locked("hdmi"), at(0));
    let mut effects = control.handle(command(1, Command::Start { sources: None }), at(10));
    let mut now = 1000;
    let mut worker = control.video.live().expect("a worker");
    // Both encoders of the board, five times each.
    while !control.video.given_up() {
        effects.extend(control.handle(Event::WorkerExited { id: worker }, at(now)));
        now += 2000;
        effects.extend(control.handle(Event::Tick, at(now)));
        worker = video(&std::mem::take(&mut effects)).map_or(worker, |(id, _)| id);
    }
    now += 31_000;
    let (worker, _) = video(&control.handle(Event::Tick, at(now))).expect("tried again");
    let flow = Flow { encoded: true, ..Flow::default() };
    for quarter in 1..200 {
        let now = now + quarter * 250;
        control.handle(Event::Worker { id: worker, report: Report::Alive(flow) }, at(now));
    }
    assert!(control.pushing() && control.show.lost.is_none());
}
