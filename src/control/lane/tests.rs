use super::*;
use crate::{
    media::{AudioPlan, AudioSource},
    settings::{Codec, Latency},
    units::BitRate,
};

const ENCODERS: usize = 2;

fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

fn camera(mode: &str) -> Plan {
    let mode = mode.parse().expect("a mode");
    Plan::Video(VideoPlan {
        source: VideoSource::V4l2 { device: "/dev/video0".into(), format: None, mode, hdmi: false },
        mode,
        codec: Codec::H264,
        encoders: Vec::new(),
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
        assert!(self.lane.exited(self.id(), ENCODERS, at(ms)));
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
        let _ = bench.lane.exited(bench.id(), ENCODERS, at(now + 10_300));
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
        let _ = bench.lane.exited(bench.id(), ENCODERS, at(now + 1300));
        assert_eq!(bench.lane.skipped(), usize::from(crash == CRASHES), "the next one after five");
        now += 5000;
    }
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
