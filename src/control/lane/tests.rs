use super::*;
use crate::{
    control::tests::encoder,
    media::{AudioPlan, AudioSource},
    settings::{Codec, Latency},
    units::BitRate,
};

fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

fn camera(mode: &str) -> Plan {
    let mode = mode.parse().expect("a mode");
    Plan::Video(VideoPlan {
        source: VideoSource::V4l2 { device: "/dev/video0".into(), format: None, mode, hdmi: false },
        mode,
        codec: Codec::H264,
        encoders: vec![encoder("x", true), encoder("y", false)],
        converter: None,
        bitrate: BitRate::new(1_000_000),
        keyframe_interval: 60,
        latency: Latency::Low,
    })
}

fn microphone() -> Plan {
    let source = AudioSource::Alsa("hw:CARD=x".into());
    Plan::Audio(AudioPlan { source, bitrate: BitRate::new(128_000), gain: 1.0, delay: 0 })
}

/// A lane with the one plan that is wanted of it, on air.
struct Bench {
    lane: Lane,
    plan: Plan,
    next_id: u64,
}

impl Bench {
    fn new(plan: Plan) -> Self {
        Self { lane: Lane::default(), plan, next_id: 0 }
    }

    fn go(&mut self, ms: u64) -> Vec<Effect> {
        self.lane.reconcile(Some(&self.plan), true, at(ms), &mut self.next_id)
    }

    fn id(&self) -> WorkerId {
        WorkerId(self.next_id)
    }

    fn says(&mut self, ms: u64, report: &Report) -> Vec<Effect> {
        assert!(self.lane.hear(self.id(), report, at(ms)));
        self.go(ms)
    }

    fn flows(&mut self, ms: u64, captured: u64, waiting: u64) -> Vec<Effect> {
        let ms_of = Duration::from_millis;
        self.says(ms, &Report::Alive(Flow { captured: ms_of(captured), waiting: ms_of(waiting), encoded: true }))
    }

    /// One that started at `ms` and flows.
    fn start(&mut self, ms: u64) {
        assert!(matches!(self.go(ms)[..], [Effect::StartWorker { .. }, Effect::Order { .. }]));
        let started = Started { encoder: "x".into(), hardware: false, missing: Vec::new(), note: None };
        assert_eq!(self.says(ms + 50, &Report::Started(started)), []);
        assert_eq!(self.flows(ms + 60, 10, 0), []);
    }

    fn exits(&mut self, ms: u64) -> Vec<Effect> {
        assert!(self.lane.exited(self.id(), at(ms)));
        self.go(ms)
    }

    fn stops(&self) -> [Effect; 1] {
        [Effect::StopWorker { id: self.id() }]
    }
}

fn starts(effects: &[Effect]) -> bool {
    matches!(effects, [Effect::StartWorker { .. }, Effect::Order { .. }])
}

#[test]
fn without_a_picture_for_a_second_the_worker_is_built_anew_at_once() {
    let mut bench = Bench::new(camera("720p30"));
    bench.start(0);
    for quarter in 1..40 {
        assert_eq!(bench.flows(quarter * 250, 30, 0), []);
    }
    assert_eq!(bench.flows(10_000, 999, 0), []);
    assert_eq!(bench.flows(10_250, 1000, 0), bench.stops());
    assert_eq!(bench.lane.failure(), Some(FailureKind::Stalled));
    assert_eq!(bench.flows(10_260, 1200, 0), [], "it is leaving");
    assert!(starts(&bench.exits(10_300)), "it ran before: at once");
    // From then on it gives nothing: patience for a slow device, then not without a break.
    assert_eq!(bench.flows(14_000, 3700, 0), []);
    assert_eq!(bench.flows(14_400, 4050, 0), bench.stops());
    assert_eq!(bench.exits(14_450), []);
    assert_eq!(bench.lane.next_wake(), Some(at(15_450)));
    bench.start(15_450);
    assert_eq!(bench.lane.failure(), Some(FailureKind::Stalled), "long enough to be read");
    assert_eq!(bench.flows(20_500, 30, 0), []);
    assert_eq!(bench.lane.failure(), None);
}

#[test]
fn a_box_that_is_too_busy_is_not_made_busier() {
    let mut bench = Bench::new(camera("720p30"));
    let mut now = 0;
    for patience in [1, 1, 2, 4, 8, 8] {
        bench.start(now);
        assert_eq!(bench.flows(now + 10_000, patience * 1000 - 1, 0), [], "{patience} s");
        assert_eq!(bench.flows(now + 10_250, patience * 1000, 0), bench.stops(), "{patience} s");
        let _ = bench.lane.exited(bench.id(), at(now + 10_300));
        now += 11_000;
    }
    bench.start(now);
    bench.flows(now + 30_100, 30, 0);
    assert_eq!(bench.flows(now + 38_100, 8000, 0), bench.stops());
    assert!(starts(&bench.exits(now + 38_200)));
    assert_eq!(bench.lane.worker.as_ref().map(|worker| worker.patience), Some(1), "it ran well in between");
}

#[test]
fn a_slow_camera_is_waited_for_three_pictures() {
    let mut bench = Bench::new(camera("640x480p2"));
    bench.start(0);
    assert_eq!(bench.flows(2000, 1400, 0), []);
    assert_eq!(bench.flows(2250, 1500, 0), bench.stops());
}

#[test]
fn stalled_sound_is_a_fault_of_its_own_and_is_tried_again() {
    let mut bench = Bench::new(microphone());
    bench.start(0);
    assert_eq!(bench.flows(7000, 1000, 0), bench.stops());
    assert_eq!(bench.lane.failure(), Some(FailureKind::Stalled));
    assert!(starts(&bench.exits(7050)));
}

#[test]
fn an_encoder_that_gives_nothing_is_built_anew_then_left_out() {
    let mut bench = Bench::new(camera("720p30"));
    let mut now = 0;
    for crash in 1..=CRASHES {
        bench.start(now);
        assert_eq!(bench.flows(now + 1000, 30, 999), []);
        assert_eq!(bench.flows(now + 1250, 30, 1000), bench.stops());
        assert_eq!(bench.lane.failure(), Some(FailureKind::EncoderStalled));
        let _ = bench.lane.exited(bench.id(), at(now + 1300));
        let skipped: &[String] = if crash == CRASHES { &["x".into()] } else { &[] };
        assert_eq!(bench.lane.skipped(), skipped, "the next one after five");
        now += 5000;
    }
}

#[test]
fn a_format_that_cannot_be_used_costs_no_encoder() {
    let mut bench = Bench::new(camera("720p30"));
    let mut now = 0;
    for _ in 1..=CRASHES {
        bench.start(now);
        let failed = Failure { kind: FailureKind::Format, text: String::new() };
        bench.lane.hear(bench.id(), &Report::Failed(failed), at(now + 100));
        let _ = bench.lane.exited(bench.id(), at(now + 200));
        now += 5000;
    }
    assert!(bench.lane.given_up() && bench.lane.skipped().is_empty());
}

#[test]
fn an_encoder_is_left_out_only_for_one_that_is_there() {
    let mut bench = Bench::new(camera("720p30"));
    let mut now = 0;
    for _ in 1..=CRASHES {
        bench.go(now);
        let started = Started { encoder: "y".into(), hardware: false, missing: vec!["x".into()], note: None };
        bench.says(now + 50, &Report::Started(started));
        let _ = bench.lane.exited(bench.id(), at(now + 1000));
        now += 5000;
    }
    assert!(bench.lane.given_up() && bench.lane.skipped().is_empty());
}

#[test]
fn one_that_crashes_each_six_seconds_is_told_and_its_encoder_left_out() {
    let mut bench = Bench::new(camera("720p30"));
    for crash in 0..u64::from(CRASHES) {
        bench.start(crash * 10_000);
        bench.flows(crash * 10_000 + 6000, 10, 0);
        let _ = bench.lane.exited(bench.id(), at(crash * 10_000 + 6100));
    }
    assert_eq!(bench.lane.skipped(), ["x"]);
}

/// In uninterruptible sleep, in a driver, not even SIGKILL ends a process.
#[test]
fn one_that_cannot_be_ended_is_told_and_then_gone_on_without() {
    let mut bench = Bench::new(camera("720p30"));
    bench.start(0);
    bench.flows(6000, 10, 0);
    let old = bench.id();
    assert_eq!(bench.go(7400), [Effect::KillWorker { id: old }]);
    assert_eq!((bench.go(10_399), bench.lane.stuck(at(10_399))), (vec![], false));
    assert!(bench.lane.stuck(at(10_400)));
    assert_eq!(bench.lane.next_wake(), Some(at(17_400)));
    let effects = bench.go(17_400);
    assert_eq!(effects[0], Effect::AbandonWorker { id: old });
    assert!(starts(&effects[1..]), "{effects:?}");
    assert!(bench.lane.stuck(at(17_500)) && !bench.lane.exited(old, at(18_000)));
    let started = Started { encoder: "x".into(), hardware: false, missing: Vec::new(), note: None };
    bench.says(18_000, &Report::Started(started));
    bench.flows(23_000, 10, 0);
    assert!(!bench.lane.stuck(at(23_000)), "another one runs well");
}

#[test]
fn an_encoder_may_look_ahead_before_its_first_picture() {
    let mut bench = Bench::new(camera("720p30"));
    bench.start(0);
    let ahead = |ms| Flow { captured: Duration::ZERO, waiting: Duration::from_millis(ms), encoded: false };
    assert_eq!(bench.says(4900, &Report::Alive(ahead(4800))), []);
    assert_eq!(bench.says(5200, &Report::Alive(ahead(5000))), bench.stops());
}

#[test]
fn one_that_says_nothing_is_killed() {
    let mut bench = Bench::new(camera("720p30"));
    bench.start(0);
    bench.flows(6000, 10, 0);
    assert_eq!(bench.lane.next_wake(), Some(at(7400)));
    assert_eq!(bench.go(7399), []);
    assert_eq!(bench.go(7400), [Effect::KillWorker { id: bench.id() }]);
    assert_eq!(bench.lane.failure(), Some(FailureKind::Wedged));
    assert!(starts(&bench.exits(7450)), "back at once");
}

#[test]
fn before_its_pipeline_runs_a_worker_may_be_silent_for_long() {
    let mut bench = Bench::new(camera("720p30"));
    bench.go(0);
    assert_eq!(bench.go(14_999), []);
    assert_eq!(bench.go(15_000), [Effect::KillWorker { id: bench.id() }]);
}

#[test]
fn a_loop_that_was_held_up_itself_kills_nobody() {
    let mut bench = Bench::new(camera("720p30"));
    bench.start(0);
    bench.flows(1000, 10, 0);
    // Three seconds in which nothing was heard as nobody listened; then what was said is read.
    assert_eq!(bench.go(4000), []);
    assert_eq!(bench.flows(4001, 10, 0), []);
    // Again; but this time it is silent indeed.
    assert_eq!(bench.go(8000), []);
    assert_eq!(bench.lane.next_wake(), Some(at(8500)));
    assert_eq!(bench.go(8500), [Effect::KillWorker { id: bench.id() }]);
}

#[test]
fn one_that_is_not_wanted_any_more_is_no_fault() {
    let mut bench = Bench::new(camera("720p30"));
    bench.start(0);
    bench.lane.hear(bench.id(), &Report::Alive(Flow { captured: STALLED, ..Flow::default() }), at(1000));
    let stopped = bench.lane.reconcile(None, false, at(1000), &mut bench.next_id);
    assert_eq!((&stopped[..], bench.lane.failure()), (&bench.stops()[..], None));
}
