//! An SRT connection, as caller. Every method can be dropped while it waits without losing a byte of its state.
//!
//! libsrt has threads of its own that send, repeat and acknowledge; its calls do not wait. What it holds is looked at each
//! 10 ms, which is how often a receiver acknowledges.

use super::{Cause, MediaInfo, Stage, Target, connect::has_route_to, queue::Queue, receipts::Receipts, ts::Muxer};
use crate::{
    access_unit::AccessUnit,
    sys::{
        self,
        srt::{Options, Reject, SrtError, SrtFigures, SrtSocket, State},
    },
    units::{BitRate, Time},
};
use bytes::{Buf as _, BytesMut};
use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::time::{self, Interval, MissedTickBehavior, timeout};

/// How often libsrt is looked at.
const TICK: Duration = Duration::from_millis(10);
/// Time for one handshake; libsrt repeats its question each 250 ms. A little less than the stage has.
const HANDSHAKE: Duration = Duration::from_millis(4500);
/// The next address is tried when the one before has not answered for this long. A handshake takes two round trips, and a
/// receiver that takes one caller only may take the first it hears.
const STAGGER: Duration = Duration::from_secs(1);
/// Media that libsrt gets to hold beside what is on the way, there and back for what has to be repeated; and all in all.
const HELD: Duration = Duration::from_millis(40);
const MOST_HELD: Duration = Duration::from_secs(2);
/// The shortest round trip is looked for in this time.
const ROUND_TRIPS: Duration = Duration::from_secs(10);
/// When nothing was acknowledged for this long and a round trip, and as often after that, a packet without content is sent.
/// A receiver reports what it misses when something newer comes, and libsrt repeats nothing unasked: were all lost that is
/// under way, and no more given, nothing would ever move again.
const PROBE: Duration = Duration::from_millis(100);
/// A null packet (ISO/IEC 13818-1, 2.4.1.1, table 2-3): every demuxer skips it.
const NULL_PACKET: [u8; 188] = {
    let mut packet = [0xff; 188];
    [packet[0], packet[1], packet[2], packet[3]] = [0x47, 0x1f, 0xff, 0x10];
    packet
};
/// What a transport stream adds to media, in percent: headers of packets and stuffing.
const OVERHEAD: u64 = 10;
/// All that a stop may take, and the part of it for media that still waits.
const STOP: Duration = Duration::from_millis(900);
const LAST_MEDIA: Duration = Duration::from_millis(400);

/// A connection to an ingest.
pub struct Connection {
    socket: SrtSocket,
    peer: IpAddr,
    latency: Duration,
    muxer: Muxer,
    /// Packets of the transport stream that libsrt had no room for.
    pending: BytesMut,
    /// Media in units that the muxer holds back.
    held: usize,
    receipts: Receipts,
    round_trips: RoundTrips,
    figures: SrtFigures,
    /// When a null packet was last sent.
    probed: Time,
    tick: Interval,
}

impl Connection {
    /// Connects to the first of the addresses that takes the call. Within 5 s.
    ///
    /// # Errors
    /// What the address that got furthest said.
    pub async fn call(addresses: &[SocketAddr], target: &Target) -> Result<Self, Cause> {
        let mut tick = time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = addresses.iter().copied();
        let mut calls: Vec<(SrtSocket, SocketAddr, Time)> = Vec::new();
        let mut worst = Cause::NoAnswer;
        let begun = sys::now();
        let mut dialled = None;
        loop {
            let now = sys::now();
            if (calls.is_empty() || dialled.is_none_or(|at| now.since(at) >= STAGGER))
                && let Some(address) = waiting.next()
            {
                dialled = Some(now);
                match dial(address, target) {
                    Ok(socket) => calls.push((socket, address, now)),
                    Err(error) => tracing::info!(%address, %error, "SRT"),
                }
            } else if calls.is_empty() || now.since(begun) >= HANDSHAKE {
                let way = worst != Cause::NoAnswer || addresses.iter().any(|address| has_route_to(*address));
                return Err(if way { worst } else { Cause::NoNetwork });
            }
            tick.tick().await;
            let states: Vec<State> = calls.iter().map(|(socket, ..)| socket.state()).collect();
            for (index, state) in states.into_iter().enumerate().rev() {
                match state {
                    State::Connecting => {}
                    State::Connected => {
                        let (socket, address, since) = calls.swap_remove(index);
                        // The handshake is two round trips (draft-sharabayko-srt-01, 4.3.1), before any media.
                        let round_trip = sys::now().since(since) / 2;
                        return Ok(Self::new(socket, address.ip().to_canonical(), target, round_trip, tick));
                    }
                    State::Broken(reject) => {
                        calls.remove(index);
                        if worst == Cause::NoAnswer {
                            worst = cause(reject, target);
                        }
                    }
                }
            }
        }
    }

    fn new(socket: SrtSocket, peer: IpAddr, target: &Target, round_trip: Duration, tick: Interval) -> Self {
        Self {
            socket,
            peer,
            latency: target.srt.latency,
            muxer: Muxer::new(target.media.codec),
            pending: BytesMut::new(),
            held: 0,
            receipts: Receipts::default(),
            round_trips: RoundTrips { ever: Some(round_trip), ..RoundTrips::default() },
            figures: SrtFigures::default(),
            probed: Time::ZERO,
            tick,
        }
    }

    /// The address that was reached.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Whether libsrt may have more: the moment to give the next unit.
    ///
    /// It holds what is on the way and what it may have to repeat, in media time; the rest waits in our queue, where it is
    /// seen and can be dropped. Were it given all that fits into the latency, it would fill the buffers of a narrow link, and
    /// the receiver would give up and acknowledge what is lost there. libsrt's own span is the time in which it was given its
    /// packets: a second that has waited here and goes at once is no time at all to it. Measured on a link of 500 kbit/s,
    /// 850 counted as arrived by that span, and 380 by this, of which none was given up.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.receipts.span() < self.round_trips.room(self.latency)
    }

    /// Gives it a unit.
    pub fn send(&mut self, unit: &AccessUnit) {
        let mut packets = Vec::new();
        self.muxer.write(unit, &mut packets);
        self.held += unit.data.len();
        if !packets.is_empty() {
            self.receipts.put(packets.len(), std::mem::take(&mut self.held), unit.time, sys::now());
            self.pending.extend_from_slice(&packets);
        }
    }

    /// Gives libsrt what is pending as far as it takes it, or waits for the next look at the connection.
    ///
    /// # Errors
    /// Why the connection is of no use any more.
    pub async fn transfer(&mut self) -> Result<(), Cause> {
        if self.flush()? {
            return Ok(());
        }
        self.tick.tick().await;
        self.observe();
        self.probe();
        match self.socket.state() {
            State::Broken(_) => Err(Cause::Closed(None)),
            _ => Ok(()),
        }
    }

    fn probe(&mut self) {
        let now = sys::now();
        let quiet = self.receipts.quiet(now) >= PROBE + self.figures.rtt;
        if quiet && self.pending.is_empty() && now.since(self.probed) >= PROBE {
            self.probed = now;
            self.receipts.put(NULL_PACKET.len(), 0, self.receipts.newest(), now);
            self.pending.extend_from_slice(&NULL_PACKET);
        }
    }

    /// Whether all that was pending, and something was, is with libsrt now.
    fn flush(&mut self) -> Result<bool, Cause> {
        let some = !self.pending.is_empty();
        while !self.pending.is_empty() {
            let length = self.pending.len().min(SrtSocket::PAYLOAD);
            let taken = self.socket.send(&self.pending[..length]).map_err(|error| {
                tracing::debug!(%error, "SRT");
                Cause::Closed(None)
            })?;
            if !taken {
                return Ok(false);
            }
            self.pending.advance(length);
        }
        Ok(some)
    }

    /// Looks at libsrt's account.
    pub fn observe(&mut self) {
        // A broken connection has none: the last one stays.
        let Some(figures) = self.socket.figures() else { return };
        self.figures = figures;
        self.receipts.observe(figures.unacknowledged + self.pending.len() as u64, sys::now());
        if let Some(rtt) = self.rtt() {
            self.round_trips.note(rtt, sys::now());
        }
    }

    /// The account.
    pub fn receipts(&mut self) -> &mut Receipts {
        &mut self.receipts
    }

    /// Packets that had to be sent again, and all that were sent.
    pub fn packets(&self) -> (u64, u64) {
        (self.figures.repeated, self.figures.sent)
    }

    /// Smoothed round trip, as the receiver measures it; none before anything was acknowledged.
    pub fn rtt(&self) -> Option<Duration> {
        (self.receipts.acknowledged() > 0).then_some(self.figures.rtt)
    }

    /// Ends the connection: the rest of the media as far as it goes in 400 ms, and time for the receiver to play what it
    /// holds back, which it throws away when it is told of the end. Takes at most 0.9 s.
    pub async fn finish(mut self, mut rest: Queue) {
        let goodbye = async {
            let media = async {
                loop {
                    while self.is_idle() {
                        match rest.pop() {
                            Some(unit) => self.send(&unit),
                            None => return Ok(()),
                        }
                        self.flush()?;
                    }
                    self.transfer().await?;
                }
            };
            if let Ok(Err(cause)) = timeout(LAST_MEDIA, media).await {
                return Err::<(), Cause>(cause);
            }
            while self.receipts.is_outstanding() {
                self.transfer().await?;
            }
            time::sleep(self.latency).await;
            Ok(())
        };
        let _ = timeout(STOP, goodbye).await;
    }
}

/// The shortest round trip of the last ten seconds, and the shortest of all, of which the handshake's is the first: on a
/// link that is overrun from the first picture on, all others have a queue in them.
#[derive(Debug, Default)]
struct RoundTrips {
    /// The shortest of each part of that time, with the moment at which the part began.
    parts: VecDeque<(Time, Duration)>,
    ever: Option<Duration>,
}

impl RoundTrips {
    fn note(&mut self, rtt: Duration, now: Time) {
        self.ever = Some(self.ever.map_or(rtt, |ever| ever.min(rtt)));
        while self.parts.front().is_some_and(|(since, _)| now.since(*since) >= ROUND_TRIPS) {
            self.parts.pop_front();
        }
        match self.parts.back_mut() {
            Some((since, shortest)) if now.since(*since) < ROUND_TRIPS / 5 => *shortest = rtt.min(*shortest),
            _ => self.parts.push_back((now, rtt)),
        }
    }

    /// Media that libsrt may hold, where the receiver waits for `latency`: two round trips of late, or a path that became
    /// longer would get its media in bursts of a round trip. A link that is overrun all the time makes its round trips
    /// longer too, the more the more is held; so what they have grown by counts up to a quarter of the latency in all, which
    /// is one round trip where the latency was chosen as advised.
    fn room(&self, latency: Duration) -> Duration {
        let of_late = self.parts.iter().map(|(_, rtt)| *rtt).min().unwrap_or_default();
        let way = (2 * of_late).min((2 * self.ever.unwrap_or_default()).max(latency / 4));
        (way + HELD).min(MOST_HELD)
    }
}

fn dial(address: SocketAddr, target: &Target) -> Result<SrtSocket, SrtError> {
    let passphrase = target.srt.passphrase.as_ref();
    SrtSocket::connect(
        address,
        &Options {
            stream_id: target.key.reveal(),
            encryption: passphrase.map(|passphrase| (passphrase.reveal(), target.srt.encryption.bits())),
            latency: target.srt.latency,
            rate: rate(&target.media),
            timeout: HANDSHAKE,
        },
    )
}

/// The most that the program takes as a transport stream.
fn rate(media: &MediaInfo) -> BitRate {
    BitRate::new((media.bitrate.bits() + media.audio_bitrate.bits()) * (100 + OVERHEAD) / 100)
}

fn cause(reject: Reject, target: &Target) -> Cause {
    match reject {
        Reject::Timeout => Cause::NoAnswer,
        Reject::BadSecret => Cause::WrongPassphrase,
        Reject::Unsecure if target.srt.passphrase.is_some() => Cause::PassphraseUnexpected,
        Reject::Unsecure => Cause::PassphraseMissing,
        Reject::Peer => Cause::StreamIdRejected,
        Reject::Conflict => Cause::StreamIdInUse,
        Reject::Unavailable => Cause::Unavailable,
        Reject::Other(reason) => {
            tracing::info!(reason, "SRT: the handshake failed");
            Cause::Closed(Some(Stage::Handshake))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_follows_the_round_trip_both_ways_and_not_a_queue() {
        let ms = Duration::from_millis;
        let room_after = |rtts: &[(u64, u64)], latency| {
            let (mut trips, mut now) = (RoundTrips::default(), Time::from_millis(1_000_000));
            for (rtt, span) in rtts {
                for _ in 0..span / 10 {
                    now = now + ms(10);
                    trips.note(ms(*rtt), now);
                }
            }
            assert!(trips.parts.len() <= 6);
            trips.room(latency)
        };
        assert_eq!(RoundTrips::default().room(ms(800)), HELD);
        assert_eq!(room_after(&[(20, 5000)], ms(800)), ms(80));
        assert_eq!(room_after(&[(20, 5000), (200, 5000)], ms(800)), ms(80), "it may be a queue that passes");
        assert_eq!(room_after(&[(20, 5000), (200, 12_000)], ms(800)), ms(240), "a longer path");
        assert_eq!(room_after(&[(20, 5000), (200, 12_000), (20, 10)], ms(800)), ms(80), "and back, at once");
        assert_eq!(room_after(&[(20, 5000), (900, 60_000)], ms(800)), ms(240), "a link that is overrun");
        assert_eq!(room_after(&[(300, 5000)], ms(400)), ms(640), "a path that was always so long");
        assert_eq!(room_after(&[(3000, 5000)], ms(400)), MOST_HELD);
    }
}
