//! Can this box go on air to this ingest now?
//!
//! Preflight must never put something on air. So the key is used for a `publish` that is taken back at once and in which
//! no media is sent (on Twitch with the suffix that its documentation gives for tests), and the upload is measured on
//! a second connection that goes no further than `connect`: there it sends commands that no server knows, filled up to
//! 16 KiB, for 4 s at up to twice the rate that the push needs. Encoders that measure by a test stream, such as
//! OBS Studio's wizard, publish it with the key, which goes live on services without a test mode.
//!
//! SRT knows nothing between a handshake and a stream that is on, so there the handshake is all that is tried, and the
//! upload is not measured.

use super::{
    Cause, Protocol, Stage, Target,
    connect::{Stream, resolve, tcp, within},
    queue::Queue,
    rtmp::Connection,
    services::service_of,
    session::Purpose,
    srt,
    trust::Trust,
};
use crate::{settings::Secret, sys, units::BitRate};
use std::{future::Future, time::Duration};
use tokio::time::sleep;

/// How long the upload is measured.
const MEASURE: Duration = Duration::from_secs(4);
/// The first part of it, in which TCP finds its speed, does not count.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long that and the way to it may take.
const LONGEST: Duration = Duration::from_secs(10);
/// Bytes of one filler.
const FILLER: usize = 16 * 1024;

/// One step of a preflight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was tried.
    pub step: Step,
    /// How long it took.
    pub took: Duration,
    /// Whether it worked.
    pub result: Result<(), Cause>,
}

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A stage on the way to the air.
    Stage(Stage),
    /// The upload.
    Upload,
}

impl Step {
    /// What is tried, for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Stage(stage) => stage.text(),
            Self::Upload => "upload",
        }
    }
}

/// How far a preflight is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// This is tried now.
    Begun(Step),
    /// This was tried.
    Ended(Check),
}

/// Who is told how far it is.
type Tell<'a> = &'a mut (dyn FnMut(Progress) + Send);

/// What came of a preflight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// The steps in order, up to the first that failed.
    pub checks: Vec<Check>,
    /// Measured upload; no more than twice what the push needs, as it is not tried faster. None if it was not measured.
    pub upload: Option<BitRate>,
    /// What the push needs: top video bitrate and sound.
    pub needed: BitRate,
    /// The stage after which the ingest has taken the push.
    pub last: Stage,
}

impl Preflight {
    /// Whether the ingest would take the push. An upload that could not be measured, since the ingest does not take filler,
    /// is no obstacle.
    pub fn passed(&self) -> bool {
        let stages = self.checks.iter().filter(|check| check.step != Step::Upload);
        stages.clone().any(|check| check.step == Step::Stage(self.last))
            && stages.clone().all(|check| check.result.is_ok())
            && self.upload.is_none_or(|upload| upload >= self.needed)
    }

    /// The video bitrate that the measured upload carries beside `audio`, with a quarter left for its bad moments.
    pub fn fitting(&self, audio: BitRate) -> Option<BitRate> {
        let video = (self.upload?.bits() * 3 / 4).saturating_sub(audio.bits());
        (video > 0).then_some(BitRate::new(video))
    }

    /// What to change, for people; none where all is well.
    pub fn suggestion(&self) -> Option<String> {
        if let Some(cause) = self.checks.iter().find_map(|check| check.result.as_ref().err()) {
            let measuring = self.checks.iter().any(|check| check.step == Step::Upload && check.result.is_err());
            return Some(match measuring {
                true => format!("The upload could not be measured ({}); watch the queue once on air", cause.text()),
                false => cause.advice(),
            });
        }
        // A network that just carries it has nothing left for the moments when it carries less.
        let upload = self.upload.filter(|upload| upload.bits() * 3 < self.needed.bits() * 4)?;
        let fitting = BitRate::new(upload.bits() * 3 / 4 / 100_000 * 100_000);
        Some(match fitting.bits() {
            0 => format!("The upload of {upload} is too little for video: change the network"),
            _ => format!("The upload is {upload}: set bitrate-max to {fitting} or less, or change the network"),
        })
    }
}

/// Tries `target` step by step, and tells `tell` of each. Takes about 5 s when all is well; the measurement 10 s at most. Not while a
/// push with this key is on: the ingest would tell that the key is in use.
pub async fn preflight(target: &Target, trust: &Trust, tell: Tell<'_>) -> Preflight {
    let needed = BitRate::new(target.media.bitrate.bits() + target.media.audio_bitrate.bits());
    let mut report = Preflight { checks: Vec::new(), upload: None, needed, last: Stage::Publish };
    if target.url.protocol == Protocol::Srt {
        report.last = Stage::Handshake;
        let mut log = Log { checks: &mut report.checks, tell };
        if let Some(addresses) = log.check(Stage::Name, within(Stage::Name, resolve(&target.url))).await {
            let call = within(Stage::Handshake, srt::Connection::call(&addresses, target));
            drop(log.check(Stage::Handshake, call).await);
        }
        return report;
    }
    let mut log = Log { checks: &mut report.checks, tell };
    if let Some(connection) = go(target, Purpose::Publish, trust, &mut log).await {
        connection.finish(Queue::new(Queue::LIMIT)).await;
        let measured = async {
            tokio::time::timeout(LONGEST, measure(target, trust, needed)).await.unwrap_or(Err(Cause::Stalled))
        };
        report.upload = log.step(Step::Upload, measured).await;
    }
    report
}

/// Goes through the stages; none if one of them fails.
async fn go(target: &Target, purpose: Purpose, trust: &Trust, log: &mut Log<'_>) -> Option<Connection> {
    let mut target = target.clone();
    if let Some(suffix) = service_of(&target.url).and_then(|service| service.test_suffix.as_deref()) {
        target.key = Secret::new(format!("{}{suffix}", target.key.reveal()));
    }
    let addresses = log.check(Stage::Name, within(Stage::Name, resolve(&target.url))).await?;
    let socket = log.check(Stage::Tcp, within(Stage::Tcp, tcp(addresses))).await?;
    let stream = match target.url.protocol {
        Protocol::Rtmps => {
            log.check(Stage::Tls, within(Stage::Tls, Stream::secure(socket, &target.url, trust))).await?
        }
        _ => Stream::Plain(socket),
    };
    let mut connection = Connection::new(stream, &target, purpose);
    while let Some(stage) = connection.session().stage() {
        log.check(stage, connection.pass(stage)).await?;
    }
    Some(connection)
}

struct Log<'a> {
    checks: &'a mut Vec<Check>,
    tell: Tell<'a>,
}

impl Log<'_> {
    async fn check<T>(&mut self, stage: Stage, work: impl Future<Output = Result<T, Cause>>) -> Option<T> {
        self.step(Step::Stage(stage), work).await
    }

    async fn step<T>(&mut self, step: Step, work: impl Future<Output = Result<T, Cause>>) -> Option<T> {
        (self.tell)(Progress::Begun(step));
        let begun = sys::now();
        let result = work.await;
        let took = sys::now().since(begun);
        let (result, value) = match result {
            Ok(value) => (Ok(()), Some(value)),
            Err(cause) => (Err(cause), None),
        };
        let check = Check { step, took, result };
        (self.tell)(Progress::Ended(check.clone()));
        self.checks.push(check);
        value
    }
}

async fn measure(target: &Target, trust: &Trust, needed: BitRate) -> Result<BitRate, Cause> {
    // These stages are the way to the measurement, and were told before.
    let mut log = Log { checks: &mut Vec::new(), tell: &mut |_| {} };
    let mut connection = go(target, Purpose::Measure, trust, &mut log).await.ok_or(Cause::Closed(None))?;
    // Bytes a second.
    let most = needed.bits() / 4;
    let begun = sys::now();
    let mut warm = None;
    loop {
        let now = sys::now();
        let elapsed = now.since(begun);
        if warm.is_none() && elapsed >= WARM_UP {
            connection.observe();
            warm = Some((now, connection.session().ledger().arrived()));
        }
        if elapsed >= MEASURE {
            break;
        }
        let due = (most as f64 * elapsed.as_secs_f64()) as u64;
        let sent = connection.session().ledger().media();
        if connection.is_idle() && sent <= due {
            connection.session().send_filler(FILLER, now);
        }
        tokio::select! {
            moved = connection.transfer() => moved?,
            () = sleep(Duration::from_millis(10)) => {}
        }
    }
    connection.observe();
    let (since, before) = warm.unwrap_or((begun, 0));
    let arrived = connection.session().ledger().arrived() - before;
    let rate = (arrived as f64 * 8.0 / sys::now().since(since).as_secs_f64()) as u64;
    if rate == 0 { Err(Cause::Stalled) } else { Ok(BitRate::new(rate)) }
}
