//! An uplink as the daemon runs it: its task, its channels, and what it reports.

use super::{now, units::later};
use fieldcast::{
    access_unit::{AccessUnit, Track},
    settings::{Codec, Secret},
    units::{BitRate, Mode, Rate},
    uplink::{
        Cause, MediaInfo, Report, SrtTerms, Target,
        choice::Choice,
        task::{Order, run},
        trust::Trust,
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// What is pushed where, for a small H.264 program.
pub fn target(url: &str, key: &str) -> Target {
    let media = MediaInfo {
        mode: Mode::progressive(320, 180, Rate::new(30, 1)),
        codec: Codec::H264,
        bitrate: BitRate::new(800_000),
        audio_bitrate: BitRate::new(96_000),
        encoder: "libx264".into(),
    };
    Target { url: url.parse().expect("an ingest URL"), key: Secret::new(key), srt: SrtTerms::default(), media }
}

/// Nobody is trusted, for plain RTMP.
pub fn no_trust() -> Arc<Trust> {
    Arc::new(Trust::in_authorities([], Duration::ZERO))
}

/// A running uplink.
pub struct Push {
    /// Takes media, as the timeline gives it.
    pub media: mpsc::Sender<Arc<AccessUnit>>,
    /// Takes orders.
    pub orders: mpsc::Sender<Order>,
    reports: mpsc::UnboundedReceiver<(Instant, Report)>,
    /// It asked for an IDR.
    keyframe: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Push {
    /// Starts one; the test has to run in tokio.
    pub fn start(target: Target, trust: Arc<Trust>) -> Self {
        let only = Choice::only(None, target.url.clone());
        Self::start_at(target, only, trust)
    }

    /// Starts one that has a choice of ingests.
    pub fn start_at(target: Target, choice: Choice, trust: Arc<Trust>) -> Self {
        let (media, input) = mpsc::channel(64);
        let (orders, told) = mpsc::channel(4);
        let (tell, reports) = mpsc::unbounded_channel();
        let keyframe = Arc::new(AtomicBool::new(false));
        let asked = keyframe.clone();
        let report = move |report| {
            asked.fetch_or(report == Report::KeyframeWanted, Ordering::Relaxed);
            drop(tell.send((now(), report)));
        };
        Self { media, orders, reports, keyframe, task: tokio::spawn(run(target, choice, trust, input, told, report)) }
    }

    /// Gives it `units` at their pace over and over, with an IDR at once where one is asked for, as an encoder does, until it
    /// ends.
    pub fn feed(&self, units: Vec<AccessUnit>) {
        let (media, keyframe) = (self.media.clone(), self.keyframe.clone());
        tokio::spawn(async move {
            // Somewhere in the uptime of a box, so that no shift is negative.
            let mut time = 1_000_000_000_000;
            let (mut next, mut shift, mut owed) = (0, time, 0);
            loop {
                let is_start = |unit: &AccessUnit| unit.key && unit.track == Track::Video;
                if keyframe.swap(false, Ordering::Relaxed) || next == units.len() {
                    next = (next..units.len()).find(|at| is_start(&units[*at])).unwrap_or(0);
                    shift = (time + 33_333_333) - units[next].time.nanos();
                }
                let unit = later(&units[next], shift);
                owed += unit.time.nanos().saturating_sub(time);
                time = time.max(unit.time.nanos());
                if media.send(unit).await.is_err() {
                    return;
                }
                // By the stamps, as there may be few pictures.
                if owed >= 33_000_000 {
                    sleep(Duration::from_nanos(std::mem::take(&mut owed))).await;
                }
                next += 1;
            }
        });
    }

    /// The next report that `wanted` takes, with the time from now until it was made; fails after `within`.
    pub async fn until<T>(&mut self, within: Duration, wanted: impl FnMut(Report) -> Option<T>) -> (Duration, T) {
        let (took, _, found) = self.until_at(within, wanted).await;
        (took, found)
    }

    /// The reports that were not looked at so far.
    pub fn missed(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.reports.try_recv().ok()).map(|(_, report)| report).collect()
    }

    /// As [`until`](Self::until), also with the moment of the report.
    pub async fn until_at<T>(
        &mut self,
        within: Duration,
        mut wanted: impl FnMut(Report) -> Option<T>,
    ) -> (Duration, Instant, T) {
        let begun = now();
        let mut seen = Vec::new();
        let found = timeout(within, async {
            while let Some((at, report)) = self.reports.recv().await {
                seen.push(format!("{report:?}"));
                if let Some(found) = wanted(report) {
                    return (at.saturating_duration_since(begun), at, found);
                }
            }
            panic!("the uplink ended");
        });
        found.await.unwrap_or_else(|_| panic!("waited {within:?} in vain; seen: {seen:#?}"))
    }

    /// Waits for the ingest to accept the publish.
    pub async fn publishing(&mut self) {
        self.until(Duration::from_secs(10), |report| matches!(report, Report::Publishing { .. }).then_some(())).await;
    }

    /// Waits for the next failure: its cause, when, and the wait that it is followed by.
    pub async fn failed(&mut self, within: Duration) -> (Duration, Cause, Duration) {
        let (took, (cause, retry_in)) = self
            .until(within, |report| match report {
                Report::Failed { cause, retry_in } => Some((cause, retry_in)),
                _ => None,
            })
            .await;
        (took, cause, retry_in)
    }

    /// Stops it; how long that took.
    pub async fn stop(mut self) -> Duration {
        let begun = now();
        self.orders.send(Order::Stop).await.expect("it runs");
        self.until(Duration::from_secs(3), |report| (report == Report::Closed).then_some(())).await;
        self.task.await.expect("it ended");
        begun.elapsed()
    }
}
