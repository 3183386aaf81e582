//! An RTMP publisher's side of one connection, without IO: bytes go in and come out, the caller brings the time.
//!
//! Handshake, `connect`, `releaseStream`, `FCPublish`, `createStream`, `publish`, media, `FCUnpublish`, `deleteStream`.

use super::{
    Cause, Stage, Target,
    amf::{self, Value},
    chunk::{Message, Reader, Writer, kind},
    flv::{self, Stamps},
    ledger::Ledger,
};
use crate::{
    access_unit::{AccessUnit, CodecConfig, Track},
    settings::Codec,
    units::Time,
};
use bytes::{Buf, BytesMut};
use std::{sync::Arc, time::Duration};

/// Size of our chunks: fewer headers than the initial 128, and what ingests are used to.
const CHUNK: u32 = 4096;
/// C1, C2, S1 and S2 (RTMP 1.0, 5.2.3).
const HANDSHAKE: usize = 1536;
/// The smallest window worth asking for, in bytes; sound alone fills it in half a second.
const SMALLEST_WINDOW: u32 = 8 * 1024;
/// While the ingest acknowledges at least this often, it is not pinged; else it is, as often.
const ACK_EXPECTED: Duration = Duration::from_millis(500);
/// With so many bytes pending, the ingest's questions stay without answer; far more than one picture.
const MOST_PENDING: usize = 4 << 20;
/// A message has 24 bits for its length (5.3.1.2.1); no encoder of ours comes near.
const LONGEST_UNIT: usize = 0xff_ffff - 16;
/// Transaction ids; each command that is answered has its own.
const CONNECT: f64 = 1.0;
const CREATE_STREAM: f64 = 4.0;
const PUBLISH: f64 = 5.0;

/// What the next word of the ingest decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// S0, S1 and S2 are to come.
    Handshake,
    /// The answer to `connect` is to come.
    Connect,
    /// The answer to `createStream` is to come.
    Create,
    /// The answer to `publish` is to come.
    Publish,
    /// Media flows.
    Live,
    /// The publish was taken back.
    Ended,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To publish with the key.
    Publish,
    /// To measure the way: it stops before the key is used.
    Measure,
}

/// One connection. Not `Debug`: what it sends holds the stream key.
pub struct Session {
    target: Target,
    purpose: Purpose,
    step: Step,
    reader: Reader,
    writer: Writer,
    /// Bytes of the ingest's handshake so far.
    greeting: BytesMut,
    out: BytesMut,
    /// The message stream that `createStream` gave.
    stream: u32,
    ledger: Ledger,
    stamps: Option<Stamps>,
    configs: [Option<Arc<CodecConfig>>; 2],
    /// When the last ping was sent.
    pinged: Option<Time>,
    /// The window that the ingest was asked to acknowledge.
    window: u32,
    /// The ingest wants an acknowledgement of ours each so many bytes.
    asked_window: u64,
    received: u64,
    reported: u64,
    ping: u32,
}

impl Session {
    /// Begins a connection; `random` fills the handshake's random bytes.
    pub fn new(target: &Target, purpose: Purpose, mut random: impl FnMut() -> u8, now: Time) -> Self {
        let mut session = Self {
            target: target.clone(),
            purpose,
            step: Step::Handshake,
            reader: Reader::default(),
            writer: Writer::default(),
            greeting: BytesMut::new(),
            out: BytesMut::with_capacity(16 * 1024),
            stream: 0,
            ledger: Ledger::default(),
            stamps: None,
            configs: [None, None],
            pinged: None,
            window: 0,
            asked_window: 0,
            received: 0,
            reported: 0,
            ping: 0,
        };
        // C0: version 3. C1: time zero, zero, random bytes.
        session.out.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0, 0]);
        session.out.extend(std::iter::repeat_with(&mut random).take(HANDSHAKE - 8));
        session.ledger.put(1 + HANDSHAKE, 0, now);
        session
    }

    /// The stage that it waits in; none once media may flow.
    pub fn stage(&self) -> Option<Stage> {
        match self.step {
            Step::Handshake => Some(Stage::Handshake),
            Step::Connect => Some(Stage::Connect),
            Step::Create | Step::Publish => Some(Stage::Publish),
            Step::Live | Step::Ended => None,
        }
    }

    /// What has arrived.
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Bytes to send.
    pub fn pending(&self) -> &[u8] {
        &self.out
    }

    /// The first `count` pending bytes were sent.
    pub fn sent(&mut self, count: usize) {
        self.out.advance(count);
    }

    /// Takes bytes of the ingest in; what they make necessary is appended to the pending bytes.
    ///
    /// # Errors
    /// Why the connection is of no use any more.
    pub fn receive(&mut self, bytes: &[u8], now: Time) -> Result<(), Cause> {
        if self.step > Step::Handshake {
            self.received += bytes.len() as u64;
            self.reader.push(bytes);
        } else {
            self.greeting.extend_from_slice(bytes);
            // 3 is the only version without encryption; an HTTP server says "H", a TLS server 0x15.
            if self.greeting.first().is_some_and(|version| *version != 3) {
                return Err(Cause::NotRtmp);
            }
            if self.greeting.len() < 1 + 2 * HANDSHAKE {
                return Ok(());
            }
            // C2 repeats S1. S2 is not compared with C1: some servers send something else.
            self.out.extend_from_slice(&self.greeting[1..=HANDSHAKE]);
            self.ledger.put(HANDSHAKE, 0, now);
            let rest = self.greeting.split_off(1 + 2 * HANDSHAKE);
            self.greeting = BytesMut::new();
            self.received = rest.len() as u64;
            self.reader.push(&rest);
            self.connect(now);
        }
        while let Some(message) = self.reader.next_message().map_err(|_| Cause::NotRtmp)? {
            self.handle(&message, now)?;
        }
        if self.asked_window > 0 && self.received - self.reported >= self.asked_window {
            self.reported = self.received;
            // The sequence number is modulo 2^32 (5.4.3).
            self.answer(kind::ACK, &(self.received as u32).to_be_bytes(), now);
        }
        Ok(())
    }

    fn handle(&mut self, message: &Message, now: Time) -> Result<(), Cause> {
        let number = |offset: usize| message.body.get(offset..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        match (message.kind, number(0)) {
            (kind::ACK, Some(sequence)) => self.ledger.ack(sequence, now),
            (kind::WINDOW, Some(window)) => self.asked_window = u64::from(window),
            // It limits what may be under way without an acknowledgement. Our window is far smaller; the peer wants to
            // be told so again (5.4.5).
            (kind::PEER_BANDWIDTH, Some(_)) if self.window > 0 => {
                self.answer(kind::WINDOW, &self.window.to_be_bytes(), now);
            }
            (kind::USER_CONTROL, _) => match (message.body.first_chunk(), number(2)) {
                (Some([0, 6]), Some(value)) => self.answer(kind::USER_CONTROL, &event(7, value), now),
                (Some([0, 7]), Some(value)) => self.ledger.pong(value, now),
                _ => {}
            },
            (kind::COMMAND, _) => return self.command(&amf::read_all(&message.body), now),
            _ => {}
        }
        Ok(())
    }

    fn command(&mut self, values: &[Value], now: Time) -> Result<(), Cause> {
        let name = values.first().and_then(Value::as_text).unwrap_or_default();
        let transaction = values.get(1).and_then(Value::as_number).unwrap_or_default();
        let about = |name: &str| values.iter().skip(2).find_map(|value| value.get(name)?.as_text()).unwrap_or_default();
        let (code, level) = (about("code"), about("level"));
        match name {
            "_result" if transaction == CONNECT && self.step == Step::Connect => self.create(now),
            "_result" if transaction == CREATE_STREAM && self.step == Step::Create => {
                let stream = values.get(3).and_then(Value::as_number).unwrap_or(1.0);
                self.publish(stream as u32, now);
            }
            // Some servers answer `publish` like any other command and send no status.
            "_result" if transaction == PUBLISH && self.step == Step::Publish => self.go_live(now),
            "onStatus" if code == "NetStream.Publish.Start" && self.step == Step::Publish => self.go_live(now),
            // `releaseStream` and `FCPublish` fail on servers that do not know them; that means nothing.
            "_error" if ![CONNECT, CREATE_STREAM, PUBLISH].contains(&transaction) => {}
            "_error" | "onStatus" if name == "_error" || level == "error" => {
                // The description is not logged: it may repeat the stream key.
                let code: String = code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').take(60).collect();
                tracing::info!(%code, "the ingest refused");
                return Err(self.refusal(&code, about("description")));
            }
            "close" => return Err(self.closed(true)),
            _ => {}
        }
        Ok(())
    }

    /// What an error status means (Adobe "ActionScript 3.0 Reference", `NetStatusEvent.info`; FMS for descriptions).
    fn refusal(&self, code: &str, description: &str) -> Cause {
        let description = description.to_ascii_lowercase();
        match code {
            "NetConnection.Connect.InvalidApp" => Cause::WrongApp,
            // Wowza and FMS refuse a publisher that they do not know here, with "authmod" or "need auth".
            "NetConnection.Connect.Rejected" if description.contains("auth") => Cause::KeyRejected,
            "NetConnection.Connect.Rejected" => Cause::WrongApp,
            "NetConnection.Connect.Failed" | "NetConnection.Connect.Closed" | "NetConnection.Connect.AppShutdown" => {
                Cause::Closed(self.stage())
            }
            // Defined as "already being published by someone else"; some ingests use it for any key that they refuse.
            "NetStream.Publish.BadName"
                if ["invalid", "not found", "denied", "unauthorized"].iter().any(|word| description.contains(word)) =>
            {
                Cause::KeyRejected
            }
            "NetStream.Publish.BadName" => Cause::NameInUse,
            _ => match self.step {
                Step::Handshake | Step::Connect => Cause::WrongApp,
                Step::Create | Step::Publish => Cause::KeyRejected,
                Step::Live | Step::Ended if code.starts_with("NetStream.Publish.") => Cause::KeyRejected,
                Step::Live | Step::Ended => Cause::Closed(None),
            },
        }
    }

    /// What it means that the ingest closed the connection now. `orderly` is an end of the stream, as opposed to a reset.
    ///
    /// Ingests rarely say why they refuse. After a good handshake an orderly end in place of the answer to `connect`
    /// means that the application does not exist (nginx-rtmp does this), in place of the answer to `publish` that the key
    /// was rejected (nginx-rtmp's `on_publish`, Twitch).
    pub fn closed(&self, orderly: bool) -> Cause {
        match self.step {
            Step::Connect if orderly => Cause::WrongApp,
            Step::Publish if orderly => Cause::KeyRejected,
            _ => Cause::Closed(self.stage()),
        }
    }

    fn connect(&mut self, now: Time) {
        self.step = Step::Connect;
        let before = self.out.len();
        self.writer.set_chunk_size(CHUNK, &mut self.out);
        self.ledger.put(self.out.len() - before, 0, now);
        let text = |text: &str| Value::text(text);
        let mut pairs = vec![
            ("app", text(&self.target.url.app)),
            ("type", text("nonprivate")),
            ("flashVer", text("FMLE/3.0 (compatible; Fieldcast)")),
            ("tcUrl", text(&self.target.url.to_string())),
        ];
        if self.target.media.codec == Codec::Hevc {
            // Enhanced RTMP: the codecs beyond FLV's own that may come.
            pairs.push(("fourCcList", Value::List(vec![text("hvc1")])));
        }
        let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.call(0, &[text("connect"), Value::Number(CONNECT), Value::Object(pairs)], now);
    }

    fn create(&mut self, now: Time) {
        let rate = (self.target.media.bitrate.bits() + self.target.media.audio_bitrate.bits()) / 8;
        self.ask_window(rate, now);
        if self.purpose == Purpose::Measure {
            self.step = Step::Live;
            return;
        }
        self.step = Step::Create;
        let key = Value::text(self.target.key.reveal());
        self.call(0, &[Value::text("releaseStream"), Value::Number(2.0), Value::Null, key.clone()], now);
        self.call(0, &[Value::text("FCPublish"), Value::Number(3.0), Value::Null, key], now);
        self.call(0, &[Value::text("createStream"), Value::Number(CREATE_STREAM), Value::Null], now);
    }

    fn publish(&mut self, stream: u32, now: Time) {
        (self.step, self.stream) = (Step::Publish, stream);
        let key = Value::text(self.target.key.reveal());
        let live = Value::text("live");
        self.call(stream, &[Value::text("publish"), Value::Number(PUBLISH), Value::Null, key, live], now);
    }

    fn go_live(&mut self, now: Time) {
        self.step = Step::Live;
        let metadata = flv::metadata(&self.target.media);
        self.message(kind::DATA, self.stream, 0, &[&metadata], 0, now);
    }

    /// Appends a unit; before it a sequence header where the configuration is new, after the first one a ping, so that
    /// its arrival is known after one round trip.
    pub fn send(&mut self, unit: &AccessUnit, now: Time) {
        if unit.data.len() > LONGEST_UNIT {
            tracing::error!(bytes = unit.data.len(), "no room in an RTMP message");
            return;
        }
        let first = self.stamps.is_none();
        let timestamp = self.stamps.get_or_insert(Stamps::new(unit.time)).stamp(unit.track, unit.time);
        let kind = match unit.track {
            Track::Video => kind::VIDEO,
            Track::Audio => kind::AUDIO,
        };
        let known = &mut self.configs[unit.track as usize];
        if known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &unit.config) && **known != *unit.config) {
            *known = Some(unit.config.clone());
            let header = flv::sequence_header(&unit.config);
            self.message(kind, self.stream, timestamp, &[&header], 0, now);
        }
        let (prefix, length) = flv::unit_prefix(unit);
        self.message(kind, self.stream, timestamp, &[&prefix[..length], &unit.data], unit.data.len(), now);
        if first {
            self.send_ping(now);
        }
    }

    /// Once a second: asks for a window that fits the present rate of `bytes` a second.
    pub fn each_second(&mut self, bytes: u64, now: Time) {
        if self.step != Step::Live {
            return;
        }
        let window = u64::from(self.window);
        if bytes > 0 && !(window / 2..=window * 2).contains(&bytes.max(u64::from(SMALLEST_WINDOW))) {
            self.ask_window(bytes, now);
        }
    }

    /// Several times a second: pings an ingest that has not acknowledged of late. On a way that narrowed, an answer takes as
    /// long as what the kernel holds, and on air is said for 3 s after the last proof only.
    pub fn ask_for_proof(&mut self, now: Time) {
        let asked = self.pinged.is_some_and(|at| now.since(at) < ACK_EXPECTED);
        if self.step == Step::Live && self.ledger.media() > 0 && !asked && !self.ledger.acked_within(ACK_EXPECTED, now)
        {
            self.send_ping(now);
        }
    }

    /// Takes the publish back; nothing is sent on this connection after what is pending then.
    pub fn unpublish(&mut self, now: Time) {
        if self.step == Step::Live && self.purpose == Purpose::Publish {
            let (key, stream) = (Value::text(self.target.key.reveal()), f64::from(self.stream));
            self.call(0, &[Value::text("FCUnpublish"), Value::Number(6.0), Value::Null, key], now);
            self.call(0, &[Value::text("deleteStream"), Value::Number(7.0), Value::Null, Value::Number(stream)], now);
            self.step = Step::Ended;
        }
    }

    /// Appends a command that every server takes and none acts on, filled up to `length` bytes: it measures the way
    /// without sending media. Counts as media in the ledger.
    pub fn send_filler(&mut self, length: usize, now: Time) {
        let mut body = amf::write_all(&[Value::text("fieldcastMeasure"), Value::Number(0.0), Value::Null]);
        Value::Text("x".repeat(length.saturating_sub(body.len()))).write(&mut body);
        self.message(kind::COMMAND, 0, 0, &[&body], length, now);
    }

    /// Appends a ping; its answer proves all media before it.
    pub fn send_ping(&mut self, now: Time) {
        self.ping = self.ping.wrapping_add(1);
        self.pinged = Some(now);
        self.message(kind::USER_CONTROL, 0, 0, &[&event(6, self.ping)], 0, now);
        self.ledger.pinged(self.ping);
    }

    /// Asks the ingest to acknowledge each `bytes` bytes, of which a second brings as many.
    fn ask_window(&mut self, bytes: u64, now: Time) {
        self.window = u32::try_from(bytes).unwrap_or(u32::MAX).max(SMALLEST_WINDOW);
        self.message(kind::WINDOW, 0, 0, &[&self.window.to_be_bytes()], 0, now);
    }

    /// Appends the answer to something of the ingest's; one that asks without reading does not fill the memory.
    fn answer(&mut self, kind: u8, body: &[u8], now: Time) {
        if self.out.len() < MOST_PENDING {
            self.message(kind, 0, 0, &[body], 0, now);
        }
    }

    fn call(&mut self, stream: u32, values: &[Value], now: Time) {
        self.message(kind::COMMAND, stream, 0, &[&amf::write_all(values)], 0, now);
    }

    fn message(&mut self, kind: u8, stream: u32, timestamp: u32, parts: &[&[u8]], media: usize, now: Time) {
        let before = self.out.len();
        self.writer.write(kind, stream, timestamp, parts, &mut self.out);
        self.ledger.put(self.out.len() - before, media, now);
    }
}

/// A User Control message with a 4-byte value (RTMP 1.0, 7.1.7).
fn event(event: u8, value: u32) -> [u8; 6] {
    let [a, b, c, d] = value.to_be_bytes();
    [0, event, a, b, c, d]
}

#[cfg(test)]
mod tests;
