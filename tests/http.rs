//! The HTTP surface over real loopback sockets, with raw requests: what it answers, and that no client can hold it up.

use bytes::Bytes;
use fieldcast::{
    command::{Answer, Command, Origin, Reason},
    http::{Ask, Interface, router, serve},
    settings::Codec,
    status::{FirmwareState, FirmwareStatus, InputStatus, Intent, Phase, ProgramStatus, SignalState, Stats, Status},
    sys::now,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::sync::{mpsc, watch};

fn off_air() -> Status {
    Status {
        schema: 1,
        id: "fc-00000001".into(),
        name: "OB van 3".into(),
        tags: Vec::new(),
        board: "desktop".into(),
        version: "0.1.0".into(),
        phase: Phase::OffAir,
        intent: Intent::OffAir,
        on_air_since: None,
        input: InputStatus { device: "test".into(), signal: SignalState::Locked, mode: None, audio: None },
        program: ProgramStatus {
            showing: None,
            muted: false,
            mode: None,
            codec: Codec::H264,
            encoder: None,
            hardware: false,
        },
        uplinks: Vec::new(),
        network: None,
        networks: Vec::new(),
        firmware: None,
        broadcast: None,
        panel: None,
        faults: Vec::new(),
        stats: Stats::default(),
    }
}

/// A served surface with a loop behind it that answers by the book.
struct Served {
    address: SocketAddr,
    status: watch::Sender<Arc<Status>>,
    /// Pictures that were asked for.
    pictures: Arc<AtomicUsize>,
    /// While set, the loop does not come round.
    stuck: Arc<AtomicBool>,
    /// The state folder.
    state: tempfile::TempDir,
}

fn start() -> Served {
    let folder = tempfile::tempdir().expect("folder");
    let state: Arc<std::path::Path> = folder.path().into();
    let (status, shown) = watch::channel(Arc::new(off_air()));
    let (_, tokens) = watch::channel(Arc::default());
    let (asks, mut asked) = mpsc::channel(8);
    let (pictures, stuck) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, blocked) = (Arc::clone(&pictures), Arc::clone(&stuck));
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(listener.local_addr().expect("an address")).expect("told");
            tokio::spawn(serve(listener, router(Interface { status: shown, tokens, asks, state }, None), None));
            while let Some(ask) = asked.recv().await {
                while blocked.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                answer(ask, &counted).await;
            }
        });
    });
    Served { address: told.recv().expect("an address"), status, pictures, stuck, state: folder }
}

async fn answer(ask: Ask, pictures: &AtomicUsize) {
    match ask {
        Ask::Health { reply } => drop(reply.send(())),
        Ask::Pair { .. } | Ask::Used { .. } => panic!("on loopback nobody pairs"),
        Ask::Preview { reply } => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let picture = match pictures.fetch_add(1, Ordering::Relaxed) {
                0 => Some(Bytes::from_static(b"\xff\xd8first")),
                _ => None,
            };
            let _ = reply.send(picture);
        }
        Ask::Command { command, origin, reply, .. } => {
            assert_eq!(origin, Origin::Http);
            let answer = match command {
                Command::Stop { confirm: false, .. } => {
                    Answer::failed(Reason::ConfirmationNeeded, "This ends the push")
                }
                Command::Input { device } if device == "sdi" => Answer::wrong("device", "this board has hdmi"),
                Command::Input { device } if device == "lost" => return,
                Command::Set(changes) => Answer::Successful { result: json!(changes.0.keys().collect::<Vec<_>>()) },
                Command::Settings => Answer::Successful { result: json!({"settings": {}}) },
                _ => Answer::done(),
            };
            let _ = reply.send(answer);
        }
    }
}

impl Served {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(12))).expect("set");
        stream
    }

    /// Sends raw bytes and reads until the server closes.
    fn raw(&self, request: &[u8]) -> Reply {
        let mut stream = self.connect();
        // A server that refuses early may close before all is sent.
        let _ = stream.write_all(request);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        Reply::of(&bytes)
    }

    fn get(&self, path: &str) -> Reply {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
    }

    fn post(&self, command: &str, body: &str) -> Reply {
        self.post_with(command, body, "Content-Type: application/json\r\n")
    }

    fn post_with(&self, command: &str, body: &str, headers: &str) -> Reply {
        let path = format!("/api/v1/commands/{command}");
        let length = body.len();
        self.raw(
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
                .as_bytes(),
        )
    }
}

#[derive(Debug)]
struct Reply {
    code: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn of(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { code, head, body: bytes[end..].to_vec() }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that this is a problem document (RFC 9457) of `code` whose text has `part`.
    fn is_problem(&self, code: u16, part: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!((&problem["type"], &problem["status"]), (&json!("about:blank"), &json!(code)));
        assert!(
            problem["title"].is_string() && problem["detail"].as_str().is_some_and(|text| text.contains(part)),
            "{problem}"
        );
    }
}

#[test]
fn the_documents_are_there() {
    let served = start();
    let status = served.get("/api/v1/status");
    assert_eq!((status.code, &status.json()["phase"]), (200, &json!("off-air")));
    assert!(status.head.contains("cache-control: no-store") && status.head.contains("nosniff"), "{}", status.head);
    assert_eq!(served.get("/api/v1/settings").json(), json!({"settings": {}}));
    let metrics = served.get("/metrics");
    assert!(metrics.head.contains("text/plain; version=0.0.4"), "{}", metrics.head);
    assert!(String::from_utf8_lossy(&metrics.body).contains("fieldcast_phase{state=\"off-air\"} 1\n"));
    assert_eq!((served.get("/healthz").code, served.get("/healthz").body), (200, b"ok\n".to_vec()));
}

#[test]
fn commands_are_answered_by_what_came_of_them() {
    let served = start();
    let done = served.post("start", "");
    assert_eq!((done.code, done.json()), (200, json!({"status": "successful"})));
    let set = served.post("set", r#"{"output.bitrate-max": "3 Mbit/s", "source.Main.key": null}"#);
    assert_eq!(set.json()["result"], json!(["output.bitrate-max", "source.Main.key"]));
    served.post("stop", "{}").is_problem(409, "ends the push");
    assert_eq!(served.post("stop", r#"{"confirm": true}"#).code, 200);
    let wrong = served.post("input", r#"{"device": "sdi"}"#);
    wrong.is_problem(422, "this board has hdmi");
    assert_eq!((&wrong.json()["field"], &wrong.json()["reason"]), (&json!("device"), &json!("wrong-arguments")));
    let misspelt = served.post("stop", r#"{"confrim": true}"#);
    misspelt.is_problem(422, "did you mean \"confirm\"");
    assert_eq!(misspelt.json()["field"], "confrim");
    served.post("strat", "{}").is_problem(404, "did you mean \"start\"");
    served.post("show", r#"{"what": "cat"}"#).is_problem(422, "slate");
    served.post("input", r#"{"device": "lost"}"#).is_problem(500, "lost");
}

impl Served {
    /// As of an image that can be updated.
    fn is_image(&self) {
        let firmware = FirmwareStatus {
            version: "0.1.0".into(),
            slot: Some("A".into()),
            state: FirmwareState::Idle,
            progress: None,
            to: None,
            last: None,
        };
        self.status.send_replace(Arc::new(Status { firmware: Some(firmware), ..off_air() }));
    }

    /// What is left of uploads.
    fn uploaded(&self) -> Vec<(String, usize)> {
        let files = std::fs::read_dir(self.state.path().join("update")).into_iter().flatten().flatten();
        let file = |entry: std::fs::DirEntry| {
            (entry.file_name().to_string_lossy().into_owned(), entry.metadata().expect("there").len() as usize)
        };
        files.map(file).collect()
    }
}

const UPLOAD: &str = "POST /api/v1/update HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";

#[test]
fn a_bundle_is_put_down_whole_or_not_at_all() {
    let served = start();
    let send = |length: u64, body: &[u8]| {
        served.raw(&[format!("{UPLOAD}Content-Length: {length}\r\n\r\n").as_bytes(), body].concat())
    };
    send(3, b"abc").is_problem(409, "no image");
    served.is_image();
    let bundle = vec![7; 3_000_000];
    let taken = send(3_000_000, &bundle);
    assert_eq!((taken.code, &taken.json()["result"]["bytes"]), (200, &json!(3_000_000)));
    assert_eq!(served.uploaded(), [("upload.raucb".to_owned(), 3_000_000)]);
    let chunked = format!("{UPLOAD}Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n");
    assert_eq!(served.raw(chunked.as_bytes()).code, 200);
    assert_eq!(served.uploaded(), [("upload.raucb".to_owned(), 5)], "the last one counts");
    // More than any disk has: refused before it is waited for.
    let full = send(1 << 60, b"");
    full.is_problem(507, "room for");
    assert_eq!(full.json()["reason"], "no-space");
    assert_eq!(served.uploaded(), []);
    send(0, b"").is_problem(400, "as the body");
    let mut stream = served.connect();
    stream.write_all(format!("{UPLOAD}Content-Length: 1000\r\n\r\nabc").as_bytes()).expect("sent");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(served.uploaded(), [("upload.part".to_owned(), 3)]);
    send(3, b"abc").is_problem(409, "Another bundle");
    drop(stream);
    let begun = now();
    while !served.uploaded().is_empty() {
        assert!(now().since(begun) < Duration::from_secs(5), "a broken upload leaves nothing");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(send(3, b"abc").code, 200, "and the next one is taken");
}

#[test]
fn wrong_requests_are_refused_with_a_problem() {
    let served = start();
    for body in ["{", "nope", "\u{1}", "{\"a\": 1}x", &"[".repeat(10_000)] {
        served.post("set", body).is_problem(400, "not JSON");
    }
    let secret = served.post("set", "{\"source.Main.key\": live_123}");
    secret.is_problem(400, "line 1");
    assert!(!String::from_utf8_lossy(&secret.body).contains("live_123"));
    served.post("set", "[1]").is_problem(422, "as an object");
    served.post("set", "3").is_problem(422, "as an object");
    served.post_with("stop", "{\"confirm\": true}", "Content-Type: text/plain\r\n").is_problem(415, "application/json");
    served.post_with("stop", "{\"confirm\": true}", "").is_problem(415, "application/json");
    served.get("/nothing").is_problem(404, "/api/v1/status");
    served.get("/api/v1/commands/").is_problem(404, "nothing here");
    let method = served.get("/api/v1/commands/stop");
    method.is_problem(405, "POST");
    assert!(method.head.contains("allow: post"), "{}", method.head);
    served
        .raw(b"DELETE /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .is_problem(405, "GET");
}

#[test]
fn what_is_too_large_is_refused() {
    let served = start();
    let large = "x".repeat(70_000);
    served.post("set", &format!("{{\"name\": \"{large}\"}}")).is_problem(413, "64 KiB");
    let head = "POST /api/v1/commands/set HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    served.raw(chunked.as_bytes()).is_problem(413, "64 KiB");
    // Announced and never sent: refused at once.
    let begun = now();
    served
        .raw(format!("{head}Content-Length: 99999999999\r\nConnection: close\r\n\r\n").as_bytes())
        .is_problem(413, "64 KiB");
    assert!(now().since(begun) < Duration::from_secs(4));
    let many: String = (0..200).map(|number| format!("X-{number}: y\r\n")).collect();
    assert_eq!(served.raw(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").as_bytes()).code, 431);
    let long = format!("GET /{large} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(matches!(served.raw(long.as_bytes()).code, 414 | 431));
    assert_eq!(served.get("/healthz").code, 200);
}

#[test]
fn other_sites_cannot_use_a_browser_here() {
    let served = start();
    let with = |headers: &str| {
        served.raw(format!("GET /api/v1/status HTTP/1.1\r\n{headers}Connection: close\r\n\r\n").as_bytes())
    };
    let port = served.address.port();
    assert_eq!(with(&format!("Host: 127.0.0.1:{port}\r\n")).code, 200);
    with("Host: fieldcast.evil.example\r\n").is_problem(421, "loopback");
    with("").is_problem(400, "Host");
    with("Host: localhost\r\nOrigin: http://evil.example\r\n").is_problem(403, "other sites");
    with("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n").is_problem(403, "other sites");
    let (json, foreign) = ("Content-Type: application/json\r\n", "Origin: http://evil.example\r\n");
    served.post_with("stop", r#"{"confirm": true}"#, &format!("{json}{foreign}")).is_problem(403, "other sites");
}

#[test]
fn a_picture_is_shared_and_not_made_again_at_once() {
    let served = start();
    let first = thread::scope(|scope| {
        let all: Vec<_> = (0..10).map(|_| scope.spawn(|| served.get("/preview.jpg"))).collect();
        all.into_iter().map(|one| one.join().expect("a reply")).collect::<Vec<_>>()
    });
    for reply in &first {
        assert_eq!((reply.code, reply.body.as_slice()), (200, b"\xff\xd8first".as_slice()));
        assert!(reply.head.contains("content-type: image/jpeg"));
    }
    assert_eq!(served.pictures.load(Ordering::Relaxed), 1);
    thread::sleep(Duration::from_millis(600));
    served.get("/preview.jpg").is_problem(503, "no picture");
    assert_eq!(served.pictures.load(Ordering::Relaxed), 2);
}

#[test]
fn events_come_at_once_then_two_a_second_and_the_last_is_never_missed() {
    let served = start();
    let mut stream = served.connect();
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let begun = now();
    let mut text = String::new();
    let mut until = |part: &str| {
        let mut buffer = [0; 4096];
        while !text.contains(part) {
            let length = stream.read(&mut buffer).expect("more");
            assert!(length > 0, "closed after {text}");
            text += &String::from_utf8_lossy(&buffer[..length]);
        }
        text.clone()
    };
    until("\"phase\":\"off-air\"");
    assert!(now().since(begun) < Duration::from_millis(400));
    for number in 0..100_u64 {
        let uptime_ms = 1000 + number;
        served.status.send_replace(Arc::new(Status { stats: Stats { uptime_ms, ..Stats::default() }, ..off_air() }));
        thread::sleep(Duration::from_millis(10));
    }
    let text = until("\"uptime-ms\":1099");
    assert!(text.contains("content-type: text/event-stream") && text.contains("event: status\ndata: {"));
    let events = text.matches("event: status").count();
    let most = 2 + now().since(begun).as_millis() as usize / 500;
    assert!((3..=most).contains(&events), "{events} events in {:?}", now().since(begun));
}

#[test]
fn event_streams_leave_room_for_commands() {
    let served = start();
    let open = || {
        let mut stream = served.connect();
        stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
        let mut buffer = [0; 16];
        let _ = stream.read(&mut buffer).expect("a reply");
        stream
    };
    let streams: Vec<_> = (0..16).map(|_| open()).collect();
    served.get("/api/v1/events").is_problem(503, "16 event streams");
    assert_eq!(served.get("/api/v1/status").code, 200);
    // A client that goes away leaves its place, though the status does not change.
    drop(streams);
    let begun = now();
    while now().since(begun) < Duration::from_secs(5) {
        let mut stream = served.connect();
        stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
        let mut buffer = [0; 12];
        stream.read_exact(&mut buffer).expect("a reply");
        if buffer.ends_with(b"200") {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("the places of the streams that were closed are lost");
}

/// Sends `parts` with a pause after each and tells how long the server kept the connection, and what it said.
fn slow(served: &Served, parts: &[&str], pause: Duration) -> (Duration, Reply) {
    let mut stream = served.connect();
    let begun = now();
    let writer = stream.try_clone();
    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    thread::spawn(move || {
        let mut writer = writer.expect("a handle");
        for part in parts {
            if writer.write_all(part.as_bytes()).is_err() {
                return;
            }
            thread::sleep(pause);
        }
    });
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    (now().since(begun), Reply::of(&bytes))
}

#[test]
fn slow_clients_are_cut_off() {
    let served = start();
    let bound = Duration::from_secs(3)..Duration::from_secs(8);
    thread::scope(|scope| {
        scope.spawn(|| {
            let drip: Vec<&str> =
                std::iter::once("GET / HTTP/1.1\r\nHost: localhost\r\n").chain(["X-A: b\r\n"; 100]).collect();
            let (kept, _) = slow(&served, &drip, Duration::from_millis(300));
            assert!(bound.contains(&kept), "slow head: {kept:?}");
        });
        scope.spawn(|| {
            let (kept, _) = slow(&served, &[""], Duration::ZERO);
            assert!(bound.contains(&kept), "nothing at all: {kept:?}");
        });
        scope.spawn(|| {
            let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
            let (kept, reply) = slow(&served, &[request], Duration::ZERO);
            assert!(reply.code == 200 && bound.contains(&kept), "idle: {kept:?}");
        });
        scope.spawn(|| {
            let head = "POST /api/v1/commands/stop HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n";
            let drip: Vec<&str> = std::iter::once(head).chain([" "; 100]).collect();
            let (kept, reply) = slow(&served, &drip, Duration::from_millis(300));
            reply.is_problem(408, "5 s");
            assert!(bound.contains(&kept), "slow body: {kept:?}");
        });
    });
    assert_eq!(served.get("/healthz").code, 200);
}

#[test]
fn idle_connections_cannot_lock_others_out() {
    let served = start();
    let idle: Vec<_> = (0..100).map(|_| served.connect()).collect();
    let begun = now();
    let reply = served.get("/api/v1/status");
    assert!(
        reply.code == 200 && now().since(begun) < Duration::from_secs(12),
        "{} after {:?}",
        reply.code,
        now().since(begun)
    );
    drop(idle);
}

#[test]
fn health_tells_a_wedged_loop() {
    let served = start();
    served.stuck.store(true, Ordering::Relaxed);
    let begun = now();
    served.get("/healthz").is_problem(503, "control loop");
    assert!((4..7).contains(&now().since(begun).as_secs()));
    assert_eq!(served.get("/api/v1/status").code, 200, "the last snapshot is still shown");
    served.stuck.store(false, Ordering::Relaxed);
    assert_eq!(served.get("/healthz").code, 200);
}

#[test]
fn any_bytes_leave_it_standing() {
    let served = start();
    let line = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /api/v1/commands/set HTTP/1.1\r\n",
        "GET /api/v1/commands/%00%ff HTTP/1.1\r\n",
        "Host: localhost\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: -1\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Type: application/json\r\n",
        "Connection: close\r\n",
        "\r\n",
        "{\"a\":",
        "ffffffffffffffffff\r\n",
    ]);
    let piece = prop_oneof![line.prop_map(|line| line.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 0..40)];
    let requests = prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 200, ..ProptestConfig::default() });
    runner
        .run(&requests, |request| {
            let mut stream = TcpStream::connect(served.address).expect("connected");
            let _ = stream.write_all(&request);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            prop_assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1."), "{:?}", bytes);
            Ok(())
        })
        .expect("standing");
    assert_eq!(served.get("/healthz").code, 200);
}
