use super::*;
use crate::{
    board::{
        self, BitrateControl, BitrateUnit, ButtonRole, Encoder, Input, InputKind, IntervalControl, KeyframeControl,
        Limits, Through,
    },
    command::{Answer, Command, Origin, Reason},
    media::{Failure, FailureKind, Flow, Look, Order, Plan, Started},
    settings::{Codec, Source},
    status::{AcknowledgedBy, Phase, Showing, SignalState},
    units::BitRate,
    uplink::Cause,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

mod cards;
mod edges;
mod heat;
mod menu;
mod pace;
mod panel;
mod publish;
mod rescue;
mod show;
mod sources;
mod update;

pub(super) fn encoder(element: &str, hardware: bool) -> Encoder {
    let property = |name: &str| (name.to_owned(), Through::Property);
    Encoder {
        element: element.into(),
        codec: Codec::H264,
        hardware,
        bitrate: BitrateControl {
            name: property("bitrate").0,
            unit: BitrateUnit::Kilobit,
            through: Through::Property,
            live: true,
        },
        keyframe: KeyframeControl::Event,
        properties: BTreeMap::new(),
        controls: BTreeMap::new(),
        interval: IntervalControl { name: "key-int-max".into(), through: Through::Property, also: None },
        profile: "main".into(),
        level: None,
        format: "I420".into(),
        memory: None,
        align: board::Align::default(),
        min_rate: None,
        min_bitrate: None,
    }
}

fn board() -> Board {
    let input =
        |name: &str| Input { name: name.into(), kind: InputKind::Test, audio: board::Audio::Test, automatic: true };
    Board {
        name: "bench".into(),
        matches: board::Match::default(),
        inputs: vec![input("hdmi"), input("camera")],
        encoders: vec![encoder("hwenc", true), encoder("x264enc", false)],
        converter: None,
        display: None,
        buttons: Vec::new(),
        lamps: Vec::new(),
        limits: Limits { mode: "1080p60".parse().expect("a mode"), bitrate: BitRate::new(20_000_000) },
    }
}

fn source(name: &str) -> Source {
    Source {
        name: name.into(),
        url: Some("rtmp://127.0.0.1/live".into()),
        key: Some(crate::settings::Secret::new("k")),
        ..Source::default()
    }
}

fn settings() -> Settings {
    Settings { sources: vec![source("Main"), source("Spare")], ..Settings::default() }
}

fn at(ms: u64) -> Now {
    Now { time: Time::from_millis(ms), wall: None }
}

fn locked(input: &str) -> Event {
    signal(input, SignalState::Locked)
}

fn signal(input: &str, state: SignalState) -> Event {
    let mode = (state == SignalState::Locked).then(|| "1280x720p60".parse().expect("a mode"));
    Event::Signal { input: input.into(), signal: Signal { state, node: None, mode, format: None, protected: false } }
}

fn command(request: u64, command: Command) -> Event {
    Event::Command { request: RequestId(request), origin: Origin::Http, command }
}

fn uplink(id: UplinkId, report: uplink::Report) -> Event {
    Event::Uplink { id, report }
}

fn acknowledged(id: UplinkId, bytes: u64) -> Event {
    uplink(id, uplink::Report::Acknowledged { bytes, by: AcknowledgedBy::RtmpAck })
}

fn opened(effects: &[Effect]) -> Vec<(UplinkId, String)> {
    let mut found = Vec::new();
    for effect in effects {
        if let Effect::OpenUplink { id, source, .. } = effect {
            found.push((*id, source.name.clone()));
        }
    }
    found
}

fn workers(effects: &[Effect]) -> Vec<(WorkerId, Plan)> {
    let started = effects.iter().filter_map(|effect| match effect {
        Effect::StartWorker { id, plan } => Some((*id, (**plan).clone())),
        _ => None,
    });
    started.collect()
}

fn core() -> Control {
    Control::new(board(), settings(), "fc-00000000".into(), None, None, Time::ZERO)
}

/// A core on air to "Main": its video worker, its uplink.
fn on_air() -> (Control, WorkerId, UplinkId) {
    let mut control = core();
    let idle = control.handle(locked("hdmi"), at(0));
    let video = workers(&idle)[0].0;
    let started = control.handle(command(1, Command::Start { sources: None }), at(10));
    let id = opened(&started)[0].0;
    let answers = control.handle(acknowledged(id, 1000), at(500));
    assert!(answers.contains(&Effect::Answer { request: RequestId(1), answer: Answer::done() }));
    (control, video, id)
}

#[test]
fn a_locked_input_is_captured_off_air_and_encoded_on_go() {
    let mut control = core();
    let effects = control.handle(locked("hdmi"), at(0));
    assert_eq!(workers(&effects).len(), 2, "picture and sound: {effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Order { .. })));
    assert_eq!(control.phase(Time::ZERO), Phase::OffAir);
    let effects = control.handle(command(1, Command::Start { sources: None }), at(10));
    let encode = effects.iter().filter(|effect| matches!(effect, Effect::Order { order: Order::Encode, .. })).count();
    assert_eq!((encode, opened(&effects).len()), (2, 1), "{effects:?}");
    assert_eq!(control.phase(at(20).time), Phase::Starting);
}

#[test]
fn on_air_is_what_was_acknowledged_in_the_last_three_seconds() {
    let (mut control, _, id) = on_air();
    assert_eq!(control.phase(at(3500).time), Phase::OnAir);
    assert_eq!(control.phase(at(3501).time), Phase::Reconnecting);
    control.handle(acknowledged(id, 1000), at(3600));
    assert_eq!(control.phase(at(3600).time), Phase::Reconnecting, "the same bytes acknowledged again prove nothing");
    control.handle(acknowledged(id, 2000), at(3700));
    assert_eq!(control.phase(at(3700).time), Phase::OnAir);
}

#[test]
fn the_best_proof_of_the_last_seconds_is_shown() {
    let (mut control, _, id) = on_air();
    let mut by = |bytes, by, ms| {
        control.handle(uplink(id, uplink::Report::Acknowledged { bytes, by }), at(ms));
        control.status(at(ms), None, crate::status::Stats::default()).uplinks[0].acknowledged_by
    };
    assert_eq!(by(2000, AcknowledgedBy::Ping, 1000), Some(AcknowledgedBy::RtmpAck));
    assert_eq!(by(3000, AcknowledgedBy::Tcp, 3400), Some(AcknowledgedBy::RtmpAck));
    assert_eq!(by(4000, AcknowledgedBy::Ping, 3600), Some(AcknowledgedBy::Ping));
}

#[test]
fn start_fails_after_thirty_seconds_with_the_cause_and_goes_on_trying() {
    let mut control = core();
    control.handle(locked("hdmi"), at(0));
    let effects = control.handle(command(7, Command::Start { sources: None }), at(0));
    let id = opened(&effects)[0].0;
    control.handle(
        uplink(id, uplink::Report::Failed { cause: Cause::Refused, retry_in: Duration::from_secs(1) }),
        at(100),
    );
    let effects = control.handle(Event::Tick, at(30_000));
    let failed = effects.iter().any(|effect| {
        matches!(
            effect,
            Effect::Answer { request: RequestId(7), answer: Answer::Failed { reason: Reason::NotAcknowledged, .. } }
        )
    });
    assert!(failed, "{effects:?}");
    assert!(control.pushing());
}

#[test]
fn stop_needs_confirmation_and_is_answered_when_the_stream_has_ended() {
    let (mut control, _, id) = on_air();
    let effects = control.handle(command(2, Command::Stop { confirm: false, end: None }), at(600));
    assert!(matches!(
        &effects[..],
        [Effect::Answer { answer: Answer::Failed { reason: Reason::ConfirmationNeeded, .. }, .. }]
    ));
    let effects = control.handle(command(3, Command::Stop { confirm: true, end: None }), at(700));
    assert!(effects.contains(&Effect::CloseUplink { id }));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Answer { .. })));
    assert_eq!(control.phase(at(700).time), Phase::Stopping);
    let effects = control.handle(uplink(id, uplink::Report::Closed), at(800));
    assert!(effects.contains(&Effect::Answer { request: RequestId(3), answer: Answer::done() }));
    assert!(effects.contains(&Effect::EndProgram));
}

#[test]
fn a_delivery_that_does_not_end_is_ended_by_force() {
    let (mut control, _, id) = on_air();
    control.handle(command(2, Command::Stop { confirm: true, end: None }), at(1000));
    let drop = Effect::DropUplink { id };
    assert!(!control.handle(Event::Tick, at(3000)).contains(&drop), "it still has its time");
    assert_eq!(control.next_wake(at(3000).time), Some(at(3001).time));
    let effects = control.handle(Event::Tick, at(3001));
    assert!(effects.contains(&drop) && effects.contains(&Effect::EndProgram), "{effects:?}");
    assert!(effects.contains(&Effect::Answer { request: RequestId(2), answer: Answer::done() }));
    assert!(!control.handle(uplink(id, uplink::Report::Closed), at(3100)).contains(&drop), "once");
    // One that ends in its time is not.
    let (mut control, _, id) = on_air();
    control.handle(command(2, Command::Stop { confirm: true, end: None }), at(1000));
    control.handle(uplink(id, uplink::Report::Closed), at(1900));
    assert!(!control.handle(Event::Tick, at(5000)).iter().any(|effect| matches!(effect, Effect::DropUplink { .. })));
}

#[test]
fn a_start_right_after_a_stop_waits_until_the_key_is_free() {
    let (mut control, _, id) = on_air();
    control.handle(command(2, Command::Stop { confirm: true, end: None }), at(600));
    let effects = control.handle(command(3, Command::Start { sources: None }), at(650));
    assert_eq!(opened(&effects), []);
    let effects = control.handle(uplink(id, uplink::Report::Closed), at(800));
    assert_eq!(opened(&effects).len(), 1);
}

#[test]
fn go_is_held_not_tapped() {
    let mut control = core();
    control.handle(locked("hdmi"), at(0));
    let press = |pressed| Event::Button { role: ButtonRole::Go, pressed };
    control.handle(press(true), at(100));
    control.handle(press(false), at(900));
    assert!(!control.pushing());
    control.handle(press(true), at(1600));
    assert_eq!(control.next_wake(at(1600).time), Some(at(2600).time));
    let effects = control.handle(Event::Tick, at(2600));
    assert!(control.pushing() && !opened(&effects).is_empty());
    control.handle(Event::Tick, at(5000));
    assert!(control.pushing(), "holding on does not stop");
    control.handle(press(false), at(5100));
    control.handle(press(true), at(6000));
    control.handle(Event::Tick, at(8000));
    assert!(!control.pushing());
}

#[test]
fn a_killed_worker_is_back_at_once_and_the_uplink_stays() {
    let (mut control, video, _) = on_air();
    control.handle(Event::Worker { id: video, report: Report::Alive(Flow::default()) }, at(6000));
    let effects = control.handle(Event::WorkerExited { id: video }, at(6100));
    assert_eq!(workers(&effects).len(), 1, "{effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::CloseUplink { .. })));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Order { order: Order::Encode, .. })));
}

#[test]
fn an_encoder_that_crashes_five_times_at_once_is_left_out_and_then_it_is_a_fault() {
    let mut control = core();
    let mut effects = control.handle(locked("hdmi"), at(0));
    let mut now = 0;
    let mut encoders_used = Vec::new();
    for _ in 0..12 {
        let video = workers(&effects).into_iter().find(|(_, plan)| matches!(plan, Plan::Video(_)));
        let Some((id, Plan::Video(plan))) = video else { break };
        encoders_used.push(plan.encoders[0].element.clone());
        let failure = Failure { kind: FailureKind::Encoder, text: "broken".into() };
        control.handle(Event::Worker { id, report: Report::Failed(failure) }, at(now + 50));
        effects = control.handle(Event::WorkerExited { id }, at(now + 50));
        now += 50;
        if workers(&effects).is_empty() {
            now += 2000;
            effects = control.handle(Event::Tick, at(now));
        }
    }
    assert_eq!(encoders_used, [["hwenc"; 5], ["x264enc"; 5]].concat());
    let status = control.status(at(now), None, crate::status::Stats::default());
    assert!(status.faults.iter().any(|fault| fault.code == "encoder-failed"), "{:?}", status.faults);
    now += 30_000;
    assert!(!workers(&control.handle(Event::Tick, at(now))).is_empty(), "it is tried again later");
}

#[test]
fn a_missing_hardware_encoder_is_a_fault_never_silent() {
    let mut control = core();
    let video = workers(&control.handle(locked("hdmi"), at(0)))[0].0;
    let started = Started { encoder: "x264enc".into(), hardware: false, missing: vec!["hwenc".into()], note: None };
    control.handle(Event::Worker { id: video, report: Report::Started(started) }, at(100));
    let status = control.status(at(100), None, crate::status::Stats::default());
    assert_eq!(status.program.encoder.as_deref(), Some("x264enc"));
    assert!(status.faults.iter().any(|fault| fault.code == "encoder-missing"));
}

#[test]
fn the_new_source_is_on_air_before_the_old_one_is_released() {
    let (mut control, _, main) = on_air();
    let mut changed = settings();
    changed.push.sources = vec!["Spare".into()];
    let effects = control.handle(Event::Settings { settings: Box::new(changed), at_once: false }, at(1000));
    let spare = opened(&effects)[0].0;
    assert!(!effects.contains(&Effect::CloseUplink { id: main }));
    let effects = control.handle(acknowledged(spare, 10), at(1500));
    assert!(effects.contains(&Effect::CloseUplink { id: main }));
}

#[test]
fn a_changed_bitrate_goes_to_the_encoder_and_a_changed_mode_waits() {
    let (mut control, video, _) = on_air();
    let mut changed = settings();
    changed.output.bitrate_max = BitRate::new(2_000_000);
    changed.output.mode = crate::settings::OutputMode::Fixed("640x360p25".parse().expect("a mode"));
    let effects = control.handle(Event::Settings { settings: Box::new(changed.clone()), at_once: false }, at(1000));
    assert_eq!(effects, [Effect::Order { id: video, order: Order::Bitrate(BitRate::new(2_000_000)) }]);
    let effects = control.handle(Event::Settings { settings: Box::new(changed), at_once: true }, at(1100));
    assert_eq!(effects, [Effect::StopWorker { id: video }]);
}

#[test]
fn power_on_follows_the_policy() {
    let saved = Some(SavedIntent {
        intent: Intent::OnAir,
        sources: Some(vec!["Spare".into()]),
        show: Cut::Live,
        mute: false,
        input: None,
    });
    for (policy, pushing) in [(PowerOn::Never, false), (PowerOn::Resume, true), (PowerOn::Always, true)] {
        let mut settings = settings();
        settings.push.at_power_on = policy;
        let mut control = Control::new(board(), settings, "fc-0".into(), saved.clone(), None, Time::ZERO);
        let effects = control.handle(locked("hdmi"), at(0));
        assert_eq!(control.pushing(), pushing, "{policy:?}");
        let target = if policy == PowerOn::Resume { "Spare" } else { "Main" };
        assert!(opened(&effects).iter().all(|(_, name)| name == target));
        assert_eq!(opened(&effects).len(), usize::from(pushing));
    }
}

#[test]
fn shutdown_keeps_the_intent_and_exits_when_all_has_ended() {
    let (mut control, _, id) = on_air();
    let effects = control.handle(Event::Shutdown, at(1000));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::SaveIntent(_) | Effect::Exit)));
    let mut leaving: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::StopWorker { id } => Some(*id),
            _ => None,
        })
        .collect();
    assert_eq!(leaving.len(), 2);
    control.handle(uplink(id, uplink::Report::Closed), at(1100));
    control.handle(Event::WorkerExited { id: leaving.remove(0) }, at(1200));
    assert!(control.handle(Event::WorkerExited { id: leaving.remove(0) }, at(1300)).contains(&Effect::Exit));
}

#[derive(Debug, Clone)]
enum Step {
    Signal(&'static str, SignalState),
    Worker(usize, Report),
    Exit(usize),
    Uplink(usize, uplink::Report),
    Press(bool),
    Command(Command),
    Settings(u64, bool),
    Network,
    Showing(Showing),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    use SignalState::*;
    let state = prop::sample::select(vec![NoDevice, NoCable, NoSignal, NoLock, OutOfRange, Locked, Locked, Locked]);
    let report = prop::sample::select(vec![
        Report::Alive(Flow::default()),
        Report::Alive(Flow { captured: Duration::from_secs(2), ..Flow::default() }),
        Report::Alive(Flow { waiting: Duration::from_secs(9), ..Flow::default() }),
        Report::Picture(Look { black: true, still: false }),
        Report::BitrateFixed,
        Report::Level(vec![-3.0, -3.0]),
        Report::Failed(Failure { kind: FailureKind::Device, text: String::new() }),
        Report::Failed(Failure { kind: FailureKind::Encoder, text: String::new() }),
        Report::Failed(Failure { kind: FailureKind::Format, text: String::new() }),
        Report::Started(Started { encoder: "x".into(), hardware: false, missing: Vec::new(), note: None }),
    ]);
    let delivery = prop::sample::select(vec![
        uplink::Report::Acknowledged { bytes: 5, by: AcknowledgedBy::Ping },
        uplink::Report::Acknowledged { bytes: 9000, by: AcknowledgedBy::Tcp },
        uplink::Report::KeyframeWanted,
        uplink::Report::Closed,
        uplink::Report::Failed { cause: Cause::Refused, retry_in: Duration::from_secs(3) },
    ]);
    let command = prop::sample::select(vec![
        Command::Start { sources: None },
        Command::Start { sources: Some(vec!["Spare".into()]) },
        Command::Start { sources: Some(vec!["Nowhere".into()]) },
        Command::Stop { confirm: true, end: None },
        Command::Stop { confirm: false, end: None },
        Command::Show { what: Cut::Slate, mute: None },
        Command::Show { what: Cut::Live, mute: None },
        Command::Preflight { source: None },
        Command::Preview,
        Command::LockPanel { locked: true },
        Command::LockPanel { locked: false },
        Command::Restart { confirm: false },
    ]);
    prop_oneof![
        2 => (prop::sample::select(vec!["hdmi", "camera", "nothing"]), state).prop_map(|(input, state)| Step::Signal(input, state)),
        3 => (0..6usize, report).prop_map(|(worker, report)| Step::Worker(worker, report)),
        2 => (0..6usize).prop_map(Step::Exit),
        3 => (0..6usize, delivery).prop_map(|(id, report)| Step::Uplink(id, report)),
        1 => any::<bool>().prop_map(Step::Press),
        2 => command.prop_map(Step::Command),
        1 => (1..5u64, any::<bool>()).prop_map(|(rate, at_once)| Step::Settings(rate, at_once)),
        1 => Just(Step::Network),
        1 => prop::sample::select(vec![Showing::Live, Showing::Hold, Showing::Slate, Showing::Test]).prop_map(Step::Showing),
        3 => (0..4000u64).prop_map(Step::Pass),
    ]
}

/// What the world looks like to the one who performs the effects.
#[derive(Debug, Default)]
struct World {
    workers: BTreeMap<WorkerId, bool>,
    seen: BTreeSet<u64>,
    open: BTreeSet<UplinkId>,
    ever_open: Vec<UplinkId>,
    ever_worked: Vec<WorkerId>,
    asked: BTreeSet<u64>,
    answered: BTreeSet<u64>,
}

impl World {
    fn perform(&mut self, effects: &[Effect], pushing: bool) -> Result<(), TestCaseError> {
        for effect in effects {
            match effect {
                Effect::StartWorker { id, plan } => {
                    let video = matches!(**plan, Plan::Video(_));
                    prop_assert!(!self.workers.values().any(|track| *track == video), "one live worker per track");
                    prop_assert!(self.seen.insert(id.0), "ids are never used twice");
                    self.workers.insert(*id, video);
                    self.ever_worked.push(*id);
                }
                Effect::Order { id, order } => {
                    prop_assert!(self.workers.contains_key(id), "orders go to live workers");
                    prop_assert!(pushing || *order != Order::Encode, "no encoding without intent");
                }
                Effect::StopWorker { id } | Effect::KillWorker { id } => prop_assert!(self.workers.contains_key(id)),
                // It hangs in a driver: whatever it still does, it is not live.
                Effect::AbandonWorker { id } => prop_assert!(self.workers.remove(id).is_some()),
                Effect::OpenUplink { id, .. } => {
                    prop_assert!(pushing, "no delivery without intent");
                    prop_assert!(self.seen.insert(id.0), "ids are never used twice");
                    self.open.insert(*id);
                    self.ever_open.push(*id);
                }
                Effect::CloseUplink { id } => prop_assert!(self.open.remove(id), "closed once"),
                Effect::DropUplink { id } => prop_assert!(!self.open.contains(id), "asked to end before"),
                Effect::Answer { request, .. } | Effect::Perform { request, .. } if request.is_of_panel() => {}
                Effect::Answer { request, .. } | Effect::Perform { request, .. } | Effect::Reset { request } => {
                    prop_assert!(self.asked.contains(&request.0));
                    prop_assert!(self.answered.insert(request.0), "one answer to each request");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn rules_hold_over_any_series_of_events(steps in prop::collection::vec(step(), 1..120)) {
        let mut control = Control::new(board(), sources::with(&["Main"], Some("Spare")), "fc-0".into(), None, None, Time::ZERO);
        let (mut world, mut now, mut requests) = (World::default(), 0u64, 0u64);
        for step in steps {
            let event = match step {
                Step::Signal(input, state) => signal(input, state),
                // Old ids as well as live ones.
                Step::Worker(n, report) => match world.ever_worked.iter().rev().nth(n) {
                    Some(id) => Event::Worker { id: *id, report },
                    None => continue,
                },
                Step::Exit(n) => match world.ever_worked.iter().rev().nth(n).copied() {
                    Some(id) => { world.workers.remove(&id); Event::WorkerExited { id } }
                    None => continue,
                },
                Step::Uplink(n, report) => match world.ever_open.iter().rev().nth(n).copied() {
                    Some(id) => {
                        if report == uplink::Report::Closed { world.open.remove(&id); }
                        uplink(id, report)
                    }
                    None => continue,
                },
                Step::Press(pressed) => Event::Button { role: ButtonRole::Go, pressed },
                Step::Command(ordered) => {
                    requests += 1;
                    world.asked.insert(requests);
                    command(requests, ordered)
                }
                Step::Settings(rate, at_once) => {
                    let mut settings = sources::with(&["Main"], (rate > 2).then_some("Spare"));
                    settings.output.bitrate_max = BitRate::new(rate * 1_000_000);
                    Event::Settings { settings: Box::new(settings), at_once }
                }
                Step::Network => Event::NetworkChanged,
                Step::Showing(showing) => Event::Showing(Some(showing)),
                Step::Pass(ms) => {
                    now += ms;
                    Event::Tick
                }
            };
            now += 1;
            let effects = control.handle(event, at(now));
            world.perform(&effects, control.pushing())?;
            let fresh = control.phase(at(now).time) != Phase::OnAir || !control.uplinks.is_empty();
            prop_assert!(fresh, "on air without an uplink");
        }
        // However it went, after shutdown the process ends within its time and everyone has an answer.
        let effects = control.handle(Event::Shutdown, at(now));
        world.perform(&effects, false)?;
        let mut effects = control.handle(Event::Tick, at(now + SHUTDOWN.as_millis() as u64));
        prop_assert!(effects.contains(&Effect::Exit));
        effects.extend(control.handle(Event::Tick, at(now + 10_000)));
        world.perform(&effects, false)?;
        prop_assert_eq!(world.asked, world.answered);
    }
}
