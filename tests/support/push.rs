//! An uplink as the daemon runs it: its task, its channels, and what it reports.

use super::now;
use fieldcast::{
    access_unit::AccessUnit,
    settings::{Codec, Secret},
    units::{BitRate, Mode, Rate},
    uplink::{
        Cause, MediaInfo, Report, Target,
        task::{Order, run},
        trust::Trust,
    },
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

/// What is pushed where, for a small H.264 program.
pub fn target(url: &str, key: &str) -> Target {
    let media = MediaInfo {
        mode: Mode::progressive(320, 180, Rate::new(30, 1)),
        codec: Codec::H264,
        bitrate: BitRate::new(800_000),
        audio_bitrate: BitRate::new(96_000),
        encoder: "libx264".into(),
    };
    Target { url: url.parse().expect("an ingest URL"), key: Secret::new(key), media }
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
    task: JoinHandle<()>,
}

impl Push {
    /// Starts one; the test has to run in tokio.
    pub fn start(target: Target, trust: Arc<Trust>) -> Self {
        let (media, input) = mpsc::channel(64);
        let (orders, told) = mpsc::channel(4);
        let (tell, reports) = mpsc::unbounded_channel();
        let report = move |report| drop(tell.send((now(), report)));
        Self { media, orders, reports, task: tokio::spawn(run(target, trust, input, told, report)) }
    }

    /// The next report that `wanted` takes, with the time from now until it was made; fails after `within`.
    pub async fn until<T>(&mut self, within: Duration, mut wanted: impl FnMut(Report) -> Option<T>) -> (Duration, T) {
        let begun = now();
        let mut seen = Vec::new();
        let found = timeout(within, async {
            while let Some((at, report)) = self.reports.recv().await {
                seen.push(format!("{report:?}"));
                if let Some(found) = wanted(report) {
                    return (at.saturating_duration_since(begun), found);
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
