//! One delivery of the program: connects, sends, notices, connects again, stops.

use super::{
    Cause, Report, Stage, Stats, Target,
    connect::{Stream, resolve, tcp, within},
    queue::Queue,
    rtmp::Connection,
    session::Purpose,
    trust::Trust,
};
use crate::{access_unit::AccessUnit, control::backoff::Backoff, sys, units::Time};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{self, MissedTickBehavior},
};

/// What an uplink can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// End the publish properly, and the task with it.
    Stop,
    /// An address, a route or a link changed: past waits say nothing, and the connection is given 2 s to prove itself.
    NetworkChanged,
}

/// How often the ledger is looked at, and arrival is reported at most.
const LOOK: Duration = Duration::from_millis(250);
/// An IDR picture is asked for at most this often: each costs as much as many others.
const KEYFRAME: Duration = Duration::from_secs(1);

/// Why a wait ended early.
enum Break {
    Stop,
    NetworkChanged,
    Failed(Cause),
}

/// Delivers `input` to `target` until it is told to stop (or `orders` is closed), with reports about everything that
/// happens; the last one is [`Report::Closed`].
///
/// `input` is always read at once, connected or not, so that its other end can be written with `try_send` and a short
/// channel (64 units). Dropping the future closes the connection without ending the publish; [`Order::Stop`] takes at
/// most 1 s.
pub async fn run(
    target: Target,
    trust: Arc<Trust>,
    input: mpsc::Receiver<Arc<AccessUnit>>,
    orders: mpsc::Receiver<Order>,
    report: impl FnMut(Report),
) {
    let mut uplink = Uplink {
        target,
        trust,
        input,
        orders,
        report,
        queue: Queue::new(Queue::LIMIT),
        backoff: Backoff::default(),
        before: 0,
        stats: Stats::default(),
        asked: None,
    };
    let mut connected = false;
    loop {
        let mut lasted = Duration::ZERO;
        let end = match uplink.connect().await {
            Err(end) => end,
            Ok(connection) => {
                uplink.stats.reconnects += u64::from(connected);
                connected = true;
                let began = sys::now();
                let end = uplink.deliver(connection).await;
                lasted = sys::now().since(began);
                end
            }
        };
        let end = match end {
            Break::Failed(cause) => {
                let retry_in = uplink.backoff.after(&cause, lasted, fastrand::f64());
                (uplink.report)(Report::Failed { cause, retry_in });
                let wait = async {
                    time::sleep(retry_in).await;
                    Ok(())
                };
                uplink.unless_told(wait).await.err()
            }
            end => Some(end),
        };
        match end {
            Some(Break::Stop) => break (uplink.report)(Report::Closed),
            Some(Break::NetworkChanged) => uplink.backoff.reset(),
            _ => {}
        }
    }
}

struct Uplink<R> {
    target: Target,
    trust: Arc<Trust>,
    input: mpsc::Receiver<Arc<AccessUnit>>,
    orders: mpsc::Receiver<Order>,
    report: R,
    queue: Queue,
    backoff: Backoff,
    /// Media acknowledged on earlier connections.
    before: u64,
    stats: Stats,
    /// When an IDR was last asked for.
    asked: Option<Time>,
}

impl<R: FnMut(Report)> Uplink<R> {
    /// Does `work` while there is no connection: media is thrown away, orders end it.
    async fn unless_told<T>(&mut self, work: impl Future<Output = Result<T, Cause>>) -> Result<T, Break> {
        tokio::pin!(work);
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => return Err(match order {
                    Some(Order::NetworkChanged) => Break::NetworkChanged,
                    Some(Order::Stop) | None => Break::Stop,
                }),
                done = &mut work => return done.map_err(Break::Failed),
                unit = self.input.recv(), if open => open = unit.is_some(),
            }
        }
    }

    async fn stage<T>(&mut self, stage: Stage, work: impl Future<Output = Result<T, Cause>>) -> Result<T, Break> {
        (self.report)(Report::Connecting(stage));
        self.unless_told(within(stage, work)).await
    }

    async fn connect(&mut self) -> Result<Connection, Break> {
        let (target, trust) = (self.target.clone(), self.trust.clone());
        let addresses = self.stage(Stage::Name, resolve(&target.url)).await?;
        let socket = self.stage(Stage::Tcp, tcp(addresses)).await?;
        let stream = match target.url.tls {
            true => self.stage(Stage::Tls, Stream::secure(socket, &target.url, &trust)).await?,
            false => Stream::Plain(socket),
        };
        let mut connection = Connection::new(stream, &target, Purpose::Publish);
        for stage in [Stage::Handshake, Stage::Connect, Stage::Publish] {
            (self.report)(Report::Connecting(stage));
            self.unless_told(connection.pass(stage)).await?;
        }
        Ok(connection)
    }

    /// Sends media until something ends it.
    async fn deliver(&mut self, mut connection: Connection) -> Break {
        if let Some(peer) = connection.stream().peer() {
            (self.report)(Report::Publishing { peer });
        }
        let mut look = time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut account =
            Account { reported: self.before, second: sys::now(), second_acknowledged: self.before, second_media: 0 };
        let mut open = true;
        let end = loop {
            if connection.is_idle()
                && let Some(unit) = self.queue.pop()
            {
                connection.session().send(&unit, sys::now());
            }
            self.ask_for_keyframe();
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(Order::NetworkChanged) => {
                        self.backoff.reset();
                        connection.session().ledger().doubt(sys::now());
                    }
                    Some(Order::Stop) | None => {
                        while let Ok(unit) = self.input.try_recv() {
                            self.queue.push(unit);
                        }
                        let rest = std::mem::replace(&mut self.queue, Queue::new(Queue::LIMIT));
                        connection.finish(rest).await;
                        return Break::Stop;
                    }
                },
                unit = self.input.recv(), if open => match unit {
                    Some(unit) => self.queue.push(unit),
                    None => open = false,
                },
                _ = look.tick() => {
                    self.look(&mut connection, &mut account);
                    if connection.session().ledger().stalled(sys::now()) {
                        break Cause::Stalled;
                    }
                }
                moved = connection.transfer() => if let Err(cause) = moved {
                    break cause;
                },
            }
        };
        self.queue.restart();
        // Nothing flows any more; the totals stay.
        self.stats = Stats { bitrate: 0, queue: Duration::ZERO, rtt: None, ..self.stats };
        (self.report)(Report::Stats(self.stats));
        self.before += connection.session().ledger().acknowledged().map_or(0, |(bytes, _)| bytes);
        Break::Failed(end)
    }

    fn ask_for_keyframe(&mut self) {
        let now = sys::now();
        if self.queue.wants_keyframe() && self.asked.is_none_or(|asked| now.since(asked) >= KEYFRAME) {
            self.asked = Some(now);
            (self.report)(Report::KeyframeWanted);
        }
    }

    /// Reports what arrived, and each second the figures.
    fn look(&mut self, connection: &mut Connection, account: &mut Account) {
        let now = sys::now();
        let figures = connection.observe();
        let ledger = connection.session().ledger();
        let media = ledger.media();
        if let Some((bytes, by)) = ledger.acknowledged()
            && self.before + bytes > account.reported
        {
            account.reported = self.before + bytes;
            self.backoff.worked();
            (self.report)(Report::Acknowledged { bytes: account.reported, by });
        }
        let second = now.since(account.second);
        if second < Duration::from_secs(1) {
            return;
        }
        let per_second = |bytes: u64| (bytes as f64 / second.as_secs_f64()).round() as u64;
        connection.session().each_second(per_second(media - account.second_media), now);
        self.stats = Stats {
            bitrate: 8 * per_second(account.reported - account.second_acknowledged),
            queue: self.queue.waiting(),
            rtt: figures.map(|figures| figures.rtt),
            acknowledged_bytes: account.reported,
            dropped_pictures: self.queue.dropped_pictures(),
            ..self.stats
        };
        (self.report)(Report::Stats(self.stats));
        (account.second, account.second_acknowledged, account.second_media) = (now, account.reported, media);
    }
}

/// Where the reports of one connection stand.
struct Account {
    /// Acknowledged media that was reported.
    reported: u64,
    /// When the last figures were reported, with the media acknowledged and sent by then.
    second: Time,
    second_acknowledged: u64,
    second_media: u64,
}
