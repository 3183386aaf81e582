//! One delivery of the program: connects, sends, notices, connects again, stops.

use super::{
    Cause, Protocol, Report, Stage, Stats, Target,
    choice::Choice,
    connect::{Stream, is_gone, within},
    connection::Connection,
    ledger::LITTLE_PATIENCE,
    names::Names,
    queue::Queue,
    rtmp,
    sample::{OBSERVE, SAMPLE, Sampler},
    session::Purpose,
    srt,
    trust::Trust,
};
use crate::{access_unit::AccessUnit, control::backoff::Backoff, sys, units::Time};
use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    time::{self, MissedTickBehavior},
};

/// What an uplink can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// End the publish properly, and the task with it.
    Stop,
    /// An address, a route or a link changed, perhaps one that is not used: past waits say nothing, and a connection, or an
    /// attempt at one, is given 2 s to get on.
    NetworkChanged,
}

/// How often the ledger is looked at, and arrival is reported at most.
const LOOK: Duration = Duration::from_millis(250);
/// An IDR picture is asked for at most this often: each costs as much as many others.
const KEYFRAME: Duration = Duration::from_secs(1);
/// After a change of the network the nearest ingest gets its chance again, at most so often: with an interface that comes
/// and goes all the time, no other one would ever get one.
const NEAREST: Duration = Duration::from_secs(60);
/// The same for a wait after a key was refused: an ingest may lock out who insists.
const INSIST: Duration = Duration::from_secs(30);

/// Why a wait ended early.
enum Break {
    Stop,
    NetworkChanged,
    Failed(Cause),
}

/// Delivers `input` to `target`, at the ingest of `choice` that works, until it is told to stop (or `orders` is closed), with
/// reports about everything that happens; the last one is [`Report::Closed`].
///
/// `input` is always read at once, connected or not, so that its other end can be written with `try_send` and a short
/// channel. Dropping the future closes the connection without ending the publish; [`Order::Stop`] takes at
/// most 1 s.
pub async fn run(
    target: Target,
    choice: Choice,
    trust: Arc<Trust>,
    input: mpsc::Receiver<Arc<AccessUnit>>,
    orders: mpsc::Receiver<Order>,
    report: impl FnMut(Report),
) {
    let mut uplink = Uplink {
        target,
        choice,
        names: Names::default(),
        dead: None,
        trust,
        input,
        orders,
        report,
        queue: Queue::new(Queue::LIMIT),
        backoff: Backoff::default(),
        before: 0,
        stats: Stats::default(),
        asked: None,
        local: None,
        hurried: false,
        nearest: None,
        insisted: None,
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
        uplink.hurried = matches!(end, Break::NetworkChanged);
        let end = match end {
            Break::Failed(cause) => {
                if uplink.choice.failed(&cause, sys::now()) {
                    uplink.move_on();
                }
                let retry_in = uplink.backoff.after(&cause, lasted, fastrand::f64());
                (uplink.report)(Report::Failed { cause, retry_in });
                uplink.rest(retry_in).await
            }
            end => Some(end),
        };
        match end {
            Some(Break::Stop) => break (uplink.report)(Report::Closed),
            Some(Break::NetworkChanged) => uplink.begin_anew(),
            _ => {}
        }
    }
}

struct Uplink<R> {
    target: Target,
    choice: Choice,
    names: Names,
    /// The last connection, if it died without an end. An ingest that was not told refuses the next publish of the same key,
    /// and while nothing gets through, it cannot be told: this is reset as soon as the next connection shows that it can.
    dead: Option<Stream>,
    trust: Arc<Trust>,
    input: mpsc::Receiver<Arc<AccessUnit>>,
    orders: mpsc::Receiver<Order>,
    report: R,
    queue: Queue,
    backoff: Backoff,
    /// Media acknowledged on earlier connections.
    before: u64,
    stats: Stats,
    /// When an IDR was last asked for on this connection.
    asked: Option<Time>,
    /// The address from which the present attempt is made, once it has one that it cannot change.
    local: Option<SocketAddr>,
    /// The last attempt was given up as the network changed. The next one gets all its time: where the network changes
    /// all the time, an ingest that takes long to answer would never be reached.
    hurried: bool,
    /// When the nearest ingest last got its chance again.
    nearest: Option<Time>,
    /// When the wait after a refused key was last ended by a change of the network.
    insisted: Option<Time>,
}

impl<R: FnMut(Report)> Uplink<R> {
    /// Waits while media is thrown away; an order ends it early, but not again and again where a key was refused.
    async fn rest(&mut self, wait: Duration) -> Option<Break> {
        // No other wait is as long (with its jitter).
        let refused = wait > INSIST / 2;
        let wait = time::sleep(wait);
        tokio::pin!(wait);
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(Order::NetworkChanged) => {
                        let now = sys::now();
                        if !refused || self.insisted.is_none_or(|at| now.since(at) >= INSIST) {
                            self.insisted = refused.then_some(now).or(self.insisted);
                            return Some(Break::NetworkChanged);
                        }
                    }
                    Some(Order::Stop) | None => return Some(Break::Stop),
                },
                () = &mut wait => return None,
                unit = self.input.recv(), if open => open = unit.is_some(),
            }
        }
    }

    /// Does a part of an attempt while media is thrown away. When the network changes it goes on, as that may be another
    /// interface; it is given up if it has lost its address, or has not got on to the next part 2 s later.
    async fn unless_told<T>(&mut self, work: impl Future<Output = Result<T, Cause>>) -> Result<T, Break> {
        tokio::pin!(work);
        let (mut open, mut doubted) = (true, false);
        let little = time::sleep(Duration::ZERO);
        tokio::pin!(little);
        loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(Order::NetworkChanged) => {
                        self.backoff.reset();
                        if self.local.is_some_and(is_gone) {
                            return Err(Break::NetworkChanged);
                        }
                        if !doubted && !self.hurried {
                            doubted = true;
                            little.as_mut().reset(time::Instant::now() + LITTLE_PATIENCE);
                        }
                    }
                    Some(Order::Stop) | None => return Err(Break::Stop),
                },
                done = &mut work => return done.map_err(Break::Failed),
                () = &mut little, if doubted => return Err(Break::NetworkChanged),
                unit = self.input.recv(), if open => open = unit.is_some(),
            }
        }
    }

    /// The network changed while there was no connection.
    fn begin_anew(&mut self) {
        self.backoff.reset();
        self.names.ask_anew();
        let now = sys::now();
        if self.nearest.is_none_or(|at| now.since(at) >= NEAREST) {
            self.nearest = Some(now);
            if self.choice.begin_again() {
                self.move_on();
            }
        }
    }

    async fn stage<T>(&mut self, stage: Stage, work: impl Future<Output = Result<T, Cause>>) -> Result<T, Break> {
        (self.report)(Report::Connecting(stage));
        self.unless_told(within(stage, work)).await
    }

    /// Connects to the ingest by its name.
    async fn reach(&mut self) -> Result<TcpStream, Break> {
        let (url, mut names) = (self.target.url.clone(), std::mem::take(&mut self.names));
        let connected = match self.stage(Stage::Name, names.look_up(&url)).await {
            Ok(addresses) => self.stage(Stage::Tcp, names.reach(&url, addresses)).await,
            Err(end) => Err(end),
        };
        self.names = names;
        connected
    }

    /// Another ingest is the chosen one.
    fn move_on(&mut self) {
        self.target.url = self.choice.url().clone();
        self.names.forget();
        self.backoff.reset();
        if let Some(region) = self.choice.region() {
            tracing::info!(region, "another ingest is tried");
            (self.report)(Report::Region(region.to_owned()));
        }
    }

    async fn connect(&mut self) -> Result<Connection, Break> {
        self.local = None;
        match self.target.url.protocol {
            Protocol::Srt => self.call().await.map(|srt| Connection::Srt(Box::new(srt))),
            Protocol::Rtmp | Protocol::Rtmps => self.publish().await.map(|rtmp| Connection::Rtmp(Box::new(rtmp))),
        }
    }

    /// The way to the air with SRT.
    async fn call(&mut self) -> Result<srt::Connection, Break> {
        let (target, mut names) = (self.target.clone(), std::mem::take(&mut self.names));
        let connected = match self.stage(Stage::Name, names.look_up(&target.url)).await {
            Ok(addresses) => {
                let called = self.stage(Stage::Handshake, srt::Connection::call(&addresses, &target)).await;
                if called.is_ok() {
                    names.reached(addresses);
                }
                called
            }
            Err(end) => Err(end),
        };
        self.names = names;
        connected
    }

    /// The way to the air with RTMP.
    async fn publish(&mut self) -> Result<rtmp::Connection, Break> {
        let (target, trust) = (self.target.clone(), self.trust.clone());
        let socket = self.reach().await?;
        self.local = socket.local_addr().ok();
        if let Some(dead) = self.dead.take() {
            dead.reset();
        }
        let stream = match target.url.protocol {
            Protocol::Rtmps => self.stage(Stage::Tls, Stream::secure(socket, &target.url, &trust)).await?,
            _ => Stream::Plain(socket),
        };
        let mut connection = rtmp::Connection::new(stream, &target, Purpose::Publish);
        for stage in [Stage::Handshake, Stage::Connect, Stage::Publish] {
            (self.report)(Report::Connecting(stage));
            if let Err(end) = self.unless_told(connection.pass(stage)).await {
                // It may hold the key by now, and may not hear that this connection ends.
                if stage == Stage::Publish && matches!(end, Break::NetworkChanged | Break::Failed(Cause::Silent(_))) {
                    let stream = connection.into_stream();
                    stream.put_aside();
                    self.dead = Some(stream);
                }
                return Err(end);
            }
        }
        Ok(connection)
    }

    /// Sends media until something ends it.
    async fn deliver(&mut self, mut connection: Connection) -> Break {
        if let Some(peer) = connection.peer() {
            (self.report)(Report::Publishing { peer });
        }
        let mut look = time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = time::interval(OBSERVE);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sampler = Sampler::new(sys::now());
        let mut account = Account {
            reported: self.before,
            second: sys::now(),
            second_acknowledged: self.before,
            second_media: 0,
            second_packets: (0, 0),
        };
        let mut open = true;
        self.asked = None;
        let end = loop {
            if connection.is_idle()
                && let Some(unit) = self.queue.pop()
            {
                connection.send(&unit);
            }
            self.ask_for_keyframe();
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(Order::NetworkChanged) => {
                        self.backoff.reset();
                        if connection.is_orphaned() {
                            break Cause::NoNetwork;
                        }
                        connection.doubt();
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
                    Some(unit) => {
                        let sent = connection.media();
                        sampler.push(unit, &mut self.queue, sent, sys::now());
                    }
                    None => open = false,
                },
                _ = watch.tick() => self.watch(&mut connection, &mut sampler),
                _ = look.tick() => {
                    self.look(&mut connection, &mut account);
                    if connection.stalled() {
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
        self.stats = Stats { bitrate: 0, queue: Duration::ZERO, rtt: None, loss: None, ..self.stats };
        (self.report)(Report::Stats(self.stats));
        self.before += connection.observe().acknowledged.map_or(0, |(bytes, _)| bytes);
        if matches!(end, Cause::Stalled | Cause::NoNetwork) {
            self.dead = connection.put_aside();
        }
        Break::Failed(end)
    }

    fn ask_for_keyframe(&mut self) {
        let now = sys::now();
        if self.queue.wants_keyframe() && self.asked.is_none_or(|asked| now.since(asked) >= KEYFRAME) {
            self.asked = Some(now);
            (self.report)(Report::KeyframeWanted);
        }
    }

    /// Sees how the link keeps up, and reports it each tenth of a second.
    fn watch(&mut self, connection: &mut Connection, sampler: &mut Sampler) {
        let (now, seen) = (sys::now(), connection.observe());
        sampler.observe(connection.media(), seen.arrived, seen.rtt, seen.packets.unwrap_or_default().0, now);
        if sampler.age(now) >= SAMPLE {
            (self.report)(Report::Link(sampler.take(now)));
        }
    }

    /// Reports what arrived, and each second the figures.
    fn look(&mut self, connection: &mut Connection, account: &mut Account) {
        let now = sys::now();
        let seen = connection.observe();
        if let Some((bytes, by)) = seen.acknowledged
            && self.before + bytes > account.reported
        {
            account.reported = self.before + bytes;
            self.backoff.worked();
            self.choice.worked();
            (self.report)(Report::Acknowledged { bytes: account.reported, by });
        }
        let second = now.since(account.second);
        if second < Duration::from_secs(1) {
            return;
        }
        let per_second = |bytes: u64| (bytes as f64 / second.as_secs_f64()).round() as u64;
        let media = connection.media();
        connection.each_second(per_second(media - account.second_media));
        self.stats = Stats {
            bitrate: 8 * per_second(account.reported - account.second_acknowledged),
            queue: self.queue.waiting(),
            rtt: seen.rtt,
            loss: seen.packets.map(|(repeated, sent)| {
                let (before, sent_before) = account.second_packets;
                let sent = sent.saturating_sub(sent_before);
                if sent == 0 { 0.0 } else { (repeated.saturating_sub(before) as f64 / sent as f64).min(1.0) }
            }),
            acknowledged_bytes: account.reported,
            dropped_pictures: self.queue.dropped_pictures(),
            ..self.stats
        };
        (self.report)(Report::Stats(self.stats));
        (account.second, account.second_acknowledged, account.second_media) = (now, account.reported, media);
        account.second_packets = seen.packets.unwrap_or_default();
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
    /// Packets sent again and in all by then.
    second_packets: (u64, u64),
}
