use super::*;
use crate::{
    settings::Secret,
    status::AcknowledgedBy,
    units::{BitRate, Mode, Rate},
    uplink::{MediaInfo, SrtTerms},
};
use bytes::Bytes;
use proptest::prelude::*;

const KEY: &str = "live_key";

fn target(codec: Codec) -> Target {
    let media = MediaInfo {
        mode: Mode::progressive(1280, 720, Rate::new(30, 1)),
        codec,
        bitrate: BitRate::new(3_872_000),
        audio_bitrate: BitRate::new(128_000),
        encoder: "x264enc".into(),
    };
    Target { url: "rtmp://ingest.example/app".parse().unwrap(), key: Secret::new(KEY), srt: SrtTerms::default(), media }
}

/// An ingest made of the same chunk layer: what the session sends, as messages, and what it is told.
struct Ingest {
    session: Session,
    reader: Reader,
    writer: Writer,
    now: Time,
    /// Bytes that the session has sent.
    got: usize,
}

impl Ingest {
    fn new(codec: Codec) -> Self {
        let now = Time::from_millis(77);
        let session = Session::new(&target(codec), Purpose::Publish, || 0x5a, now);
        Self { session, reader: Reader::default(), writer: Writer::default(), now, got: 0 }
    }

    fn take(&mut self) -> Bytes {
        let bytes = Bytes::copy_from_slice(self.session.pending());
        self.session.sent(bytes.len());
        self.got += bytes.len();
        bytes
    }

    fn shake_hands(&mut self) {
        assert_eq!(self.take().len(), 1537);
        let mut answer = vec![3];
        answer.extend([7; 2 * HANDSHAKE]);
        // In two pieces, as a network may.
        self.session.receive(&answer[..2000], self.now).unwrap();
        assert_eq!(self.session.stage(), Some(Stage::Handshake));
        self.session.receive(&answer[2000..], self.now).unwrap();
        let c2 = self.take();
        assert_eq!(&c2[..HANDSHAKE], [7; HANDSHAKE]);
        self.reader.push(&c2[HANDSHAKE..]);
    }

    fn messages(&mut self) -> Vec<Message> {
        let bytes = self.take();
        self.reader.push(&bytes);
        std::iter::from_fn(|| self.reader.next_message().unwrap()).collect()
    }

    fn commands(&mut self) -> Vec<(String, Vec<Value>)> {
        let messages = self.messages().into_iter().filter(|message| message.kind == kind::COMMAND);
        messages.map(|message| amf::read_all(&message.body)).map(|v| (v[0].as_text().unwrap().into(), v)).collect()
    }

    fn say(&mut self, kind: u8, body: &[u8]) -> Result<(), Cause> {
        let mut out = BytesMut::new();
        self.writer.write(kind, 0, 0, &[body], &mut out);
        self.session.receive(&out, self.now)
    }

    fn command(&mut self, values: &[Value]) -> Result<(), Cause> {
        self.say(kind::COMMAND, &amf::write_all(values))
    }

    fn result(&mut self, transaction: f64, value: Value) -> Result<(), Cause> {
        self.command(&[Value::text("_result"), Value::Number(transaction), Value::Null, value])
    }

    fn status(&mut self, level: &str, code: &str, description: &str) -> Result<(), Cause> {
        let info = [("level", level), ("code", code), ("description", description)];
        let info = info.map(|(name, text)| (name.to_owned(), Value::text(text))).to_vec();
        self.command(&[Value::text("onStatus"), Value::Number(0.0), Value::Null, Value::Object(info)])
    }

    /// Goes up to this step in the way that servers do.
    fn at(step: Step) -> Self {
        let mut ingest = Self::new(Codec::H264);
        if step > Step::Handshake {
            ingest.shake_hands();
        }
        if step > Step::Connect {
            ingest.result(CONNECT, Value::Null).unwrap();
        }
        if step > Step::Create {
            ingest.result(CREATE_STREAM, Value::Number(1.0)).unwrap();
        }
        if step > Step::Publish {
            ingest.status("status", "NetStream.Publish.Start", "").unwrap();
        }
        assert!(ingest.session.step == step);
        if step > Step::Handshake {
            ingest.messages();
        }
        ingest
    }
}

fn unit(track: Track, time: Time, key: bool, config: &Arc<CodecConfig>, size: usize) -> AccessUnit {
    AccessUnit { track, time, key, config: config.clone(), data: Bytes::from(vec![9; size]) }
}

fn h264(record: &'static [u8]) -> Arc<CodecConfig> {
    Arc::new(CodecConfig::H264(Bytes::from_static(record)))
}

#[test]
fn goes_on_air_and_off_again_in_the_usual_words() {
    let mut ingest = Ingest::new(Codec::Hevc);
    ingest.shake_hands();
    assert_eq!(ingest.session.stage(), Some(Stage::Connect));
    let commands = ingest.commands();
    let (name, values) = &commands[0];
    assert_eq!((commands.len(), name.as_str(), values[1].as_number()), (1, "connect", Some(1.0)));
    assert_eq!(values[2].get("app"), Some(&Value::text("app")));
    assert_eq!(values[2].get("tcUrl"), Some(&Value::text("rtmp://ingest.example/app")));
    assert_eq!(values[2].get("fourCcList"), Some(&Value::List(vec![Value::text("hvc1")])));

    ingest.result(CONNECT, Value::Null).unwrap();
    let messages = ingest.messages();
    assert_eq!((messages[0].kind, &messages[0].body[..]), (kind::WINDOW, &500_000u32.to_be_bytes()[..]));
    let names: Vec<_> = messages[1..].iter().map(|m| amf::read_all(&m.body)[0].as_text().unwrap().to_owned()).collect();
    assert_eq!(names, ["releaseStream", "FCPublish", "createStream"]);

    // A server that does not know releaseStream says so, which means nothing.
    ingest.command(&[Value::text("_error"), Value::Number(2.0), Value::Null, Value::Null]).unwrap();
    ingest.result(CREATE_STREAM, Value::Number(7.0)).unwrap();
    let message = &ingest.messages()[0];
    let values = amf::read_all(&message.body);
    assert_eq!((message.stream, &values[3..]), (7, &[Value::text(KEY), Value::text("live")][..]));
    assert_eq!(ingest.session.stage(), Some(Stage::Publish));
    ingest.status("status", "NetStream.Publish.Start", "").unwrap();
    assert_eq!(ingest.session.stage(), None);
    assert_eq!(ingest.messages()[0].kind, kind::DATA);

    ingest.session.unpublish(ingest.now);
    let names: Vec<_> = ingest.commands().into_iter().map(|(name, values)| (name, values[3].clone())).collect();
    assert_eq!(names, [("FCUnpublish".into(), Value::text(KEY)), ("deleteStream".into(), Value::Number(7.0))]);
}

#[test]
fn a_new_configuration_goes_out_before_its_first_unit() {
    let mut ingest = Ingest::at(Step::Live);
    let (now, aac) = (ingest.now, Arc::new(CodecConfig::Aac(Bytes::from_static(&[0x11, 0x90]))));
    let (first, same, other) = (h264(b"one"), h264(b"one"), h264(b"two"));
    let at = |ms: u64| Time::from_millis(5000 + ms);
    for (track, ms, key, config) in [
        (Track::Video, 0, true, &first),
        (Track::Audio, 2, true, &aac),
        (Track::Video, 33, false, &first),
        (Track::Video, 67, true, &same),
        (Track::Video, 100, true, &other),
        (Track::Audio, 23, true, &aac),
    ] {
        ingest.session.send(&unit(track, at(ms), key, config, 5000), now);
    }
    let sent: Vec<_> = ingest.messages().into_iter().map(|m| (m.kind, m.timestamp, m.body.len(), m.body[1])).collect();
    assert_eq!(
        sent,
        [
            (kind::VIDEO, 0, 8, 0), // sequence header
            (kind::VIDEO, 0, 5005, 1),
            (kind::USER_CONTROL, 0, 6, 6), // ping
            (kind::AUDIO, 2, 4, 0),
            (kind::AUDIO, 2, 5002, 1),
            (kind::VIDEO, 33, 5005, 1),
            (kind::VIDEO, 67, 5005, 1),
            (kind::VIDEO, 100, 8, 0),
            (kind::VIDEO, 100, 5005, 1),
            (kind::AUDIO, 23, 5002, 1),
        ]
    );
    assert_eq!(ingest.session.ledger().media(), 6 * 5000);
}

#[test]
fn fifty_days_on_air_wrap_the_time_stamps() {
    let mut ingest = Ingest::at(Step::Live);
    let (now, config) = (ingest.now, h264(b"one"));
    // One picture each hour, then some around the 24-bit and the 32-bit edge.
    let hours = (0..1194u64).map(|hour| hour * 3_600_000);
    let edge = |edge: u64| (0..6).map(move |step| edge - 100 + 33 * step);
    let mut times: Vec<u64> = hours.chain(edge(1 << 24)).chain(edge(1 << 32)).collect();
    times.sort_unstable();
    for ms in &times {
        ingest.session.send(&unit(Track::Video, Time::from_millis(9_000 + ms), true, &config, 300), now);
    }
    let stamps: Vec<_> = ingest.messages().into_iter().filter(|m| m.body.len() == 305).map(|m| m.timestamp).collect();
    assert_eq!(stamps, times.iter().map(|ms| *ms as u32).collect::<Vec<_>>());
}

#[test]
fn arrival_is_learnt_from_acknowledgements_and_pings() {
    let mut ingest = Ingest::at(Step::Live);
    let config = h264(b"one");
    let second = |s: u64| Time::from_millis(10_000 + 1000 * s);
    ingest.session.send(&unit(Track::Video, second(0), true, &config, 1000), second(0));
    let ping = ingest.messages().pop().unwrap();
    ingest.now = second(1);
    ingest.say(kind::USER_CONTROL, &[&[0, 7], &ping.body[2..]].concat()).unwrap();
    assert_eq!(ingest.session.ledger().acknowledged(), Some((1000, AcknowledgedBy::Ping)));
    // Pinged on while it does not acknowledge, with a window that follows the rate.
    ingest.session.each_second(100_000, second(2));
    ingest.session.ask_for_proof(second(2));
    ingest.session.ask_for_proof(second(2) + Duration::from_millis(250));
    let kinds: Vec<_> = ingest.messages().iter().map(|m| m.kind).collect();
    assert_eq!(kinds, [kind::WINDOW, kind::USER_CONTROL]);
    ingest.session.send(&unit(Track::Video, second(2), true, &config, 1000), second(2));
    ingest.now = second(3);
    ingest.say(kind::ACK, &1_000_000u32.to_be_bytes()).unwrap();
    assert_eq!(ingest.session.ledger().acknowledged(), Some((1000, AcknowledgedBy::Ping)), "more than was sent");
    ingest.messages();
    ingest.say(kind::ACK, &(ingest.got as u32 - 1).to_be_bytes()).unwrap();
    assert_eq!(ingest.session.ledger().acknowledged(), Some((1000, AcknowledgedBy::Ping)), "one byte is missing");
    ingest.say(kind::ACK, &(ingest.got as u32).to_be_bytes()).unwrap();
    assert_eq!(ingest.session.ledger().acknowledged(), Some((2000, AcknowledgedBy::RtmpAck)));
    ingest.messages();
    ingest.session.each_second(120_000, second(4));
    ingest.session.ask_for_proof(second(3) + Duration::from_millis(400));
    assert!(ingest.messages().is_empty(), "neither a ping nor a window is needed");
}

#[test]
fn the_ingest_gets_its_answers() {
    let mut ingest = Ingest::at(Step::Live);
    ingest.say(kind::USER_CONTROL, &[0, 6, 1, 2, 3, 4]).unwrap();
    assert_eq!(ingest.messages()[0].body[..], [0, 7, 1, 2, 3, 4]);
    ingest.say(kind::PEER_BANDWIDTH, &[0, 0x4c, 0x4b, 0x40, 2]).unwrap();
    assert_eq!(ingest.messages()[0].kind, kind::WINDOW);
    ingest.say(kind::WINDOW, &1000u32.to_be_bytes()).unwrap();
    ingest.say(99, &[0; 1200]).unwrap();
    let ack = ingest.messages().pop().unwrap();
    assert_eq!(ack.kind, kind::ACK);
    assert_eq!(u64::from(u32::from_be_bytes(ack.body[..].try_into().unwrap())), ingest.session.received);
}

#[test]
fn refusals_are_understood() {
    use Stage::{Connect, Handshake, Publish};
    for (step, code, description, cause) in [
        (Step::Connect, "NetConnection.Connect.InvalidApp", "", Cause::WrongApp),
        (Step::Connect, "NetConnection.Connect.Rejected", "[ Server.Reject ] : (_defaultRoot_, )", Cause::WrongApp),
        (Step::Connect, "NetConnection.Connect.Rejected", "[ code=403 need auth; authmod=adobe ]", Cause::KeyRejected),
        (Step::Connect, "NetConnection.Connect.Failed", "", Cause::Closed(Some(Connect))),
        (Step::Create, "NetStream.Failed", "", Cause::KeyRejected),
        (Step::Publish, "NetStream.Publish.BadName", "Already publishing", Cause::NameInUse),
        (Step::Publish, "NetStream.Publish.BadName", "", Cause::NameInUse),
        (Step::Publish, "NetStream.Publish.BadName", "Invalid stream key", Cause::KeyRejected),
        (Step::Publish, "NetStream.Publish.Denied", "", Cause::KeyRejected),
        (Step::Live, "NetStream.Publish.Rejected", "", Cause::KeyRejected),
        (Step::Live, "NetConnection.Connect.AppShutdown", "", Cause::Closed(None)),
    ] {
        assert_eq!(Ingest::at(step).status("error", code, description), Err(cause), "{code}");
    }
    // The answer to `connect` may be an error of the command itself.
    let info = Value::Object(vec![("code".into(), Value::text("NetConnection.Connect.InvalidApp"))]);
    let error = [Value::text("_error"), Value::Number(CONNECT), Value::Null, info];
    assert_eq!(Ingest::at(Step::Connect).command(&error), Err(Cause::WrongApp));
    assert_eq!(Ingest::at(Step::Live).status("status", "NetStream.Record.Start", ""), Ok(()));

    for (step, orderly, reset) in [
        (Step::Handshake, Cause::Closed(Some(Handshake)), Cause::Closed(Some(Handshake))),
        (Step::Connect, Cause::WrongApp, Cause::Closed(Some(Connect))),
        (Step::Create, Cause::Closed(Some(Publish)), Cause::Closed(Some(Publish))),
        (Step::Publish, Cause::KeyRejected, Cause::Closed(Some(Publish))),
        (Step::Live, Cause::Closed(None), Cause::Closed(None)),
    ] {
        let session = Ingest::at(step).session;
        assert_eq!((session.closed(true), session.closed(false)), (orderly, reset));
    }
    for first in [b"HTTP/1.1 400 Bad Request".as_slice(), &[0x15, 3, 1], &[6]] {
        assert_eq!(Ingest::new(Codec::H264).session.receive(first, Time::ZERO), Err(Cause::NotRtmp));
    }
}

proptest! {
    #[test]
    fn any_bytes_at_any_step_end_in_a_cause_or_in_waiting(
        step in prop::sample::select(vec![Step::Handshake, Step::Connect, Step::Create, Step::Publish, Step::Live]),
        messages in prop::collection::vec((0u8..24, prop::collection::vec(any::<u8>(), 0..200)), 0..20),
        noise in prop::collection::vec(any::<u8>(), 0..4000),
        chunked in any::<bool>(),
    ) {
        let mut ingest = Ingest::at(step);
        if chunked {
            for (kind, body) in messages {
                let kind = if kind == kind::CHUNK_SIZE { kind::COMMAND } else { kind };
                if ingest.say(kind, &body).is_err() {
                    break;
                }
            }
        }
        for piece in noise.chunks(97) {
            if ingest.session.receive(piece, ingest.now).is_err() {
                break;
            }
        }
        prop_assert!(ingest.session.pending().len() <= MOST_PENDING + 100);
    }
}

#[test]
fn an_ingest_that_asks_without_reading_does_not_fill_the_memory() {
    let mut ingest = Ingest::at(Step::Live);
    for _ in 0..400_000 {
        ingest.say(kind::USER_CONTROL, &[0, 6, 1, 2, 3, 4]).unwrap();
    }
    assert!(ingest.session.pending().len() <= MOST_PENDING + 100);
}
