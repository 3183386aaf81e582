//! Ingests that are not there, do not speak, or say no: each ends in its typed cause within its deadline, is tried again,
//! and lets go within a second.

mod support;

use bytes::BytesMut;
use fieldcast::{
    access_unit::Track,
    status::AcknowledgedBy,
    uplink::{
        Cause, Report, Stage,
        amf::{self, Value},
        chunk::{Reader, Writer, kind},
        task::Order,
        trust::Trust,
    },
};
use std::{
    future::Future,
    net::Ipv4Addr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use support::{
    Authority, Nginx, TlsFront, free_port, has_tools, in_namespace, now,
    push::{Push, no_trust, target},
    units,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

const SECOND: Duration = Duration::from_secs(1);

/// An ingest on loopback that treats every connection like this.
async fn ingest<F: Future<Output = ()> + Send + 'static>(treat: impl Fn(TcpStream) -> F + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(treat(stream));
        }
    });
    format!("rtmp://127.0.0.1:{port}/app")
}

/// Fails with `cause` between `from` and one second later, twice, and stops at once.
async fn ends_in(url: impl AsRef<str>, trust: Arc<Trust>, cause: Cause, from: Duration) {
    let url = url.as_ref();
    let mut push = Push::start(target(url, "key"), trust);
    for attempt in 0..2 {
        let (took, why, retry_in) = push.failed(from + 2 * SECOND).await;
        assert_eq!(why, cause, "{url}");
        // Its second attempt may begin some milliseconds before this looks.
        assert!(took + SECOND / 10 >= from && took < from + SECOND, "{url}: {took:?}");
        if cause.is_rejection() {
            assert_eq!(retry_in, 30 * SECOND);
            break;
        }
        let expected = if attempt == 0 { 250..=250 } else { 375..=500 };
        assert!(expected.contains(&retry_in.as_millis()), "{retry_in:?}");
        sleep(retry_in).await;
    }
    let took = push.stop().await;
    assert!(took < SECOND, "{url}: {took:?}");
}

/// Speaks the server's side up to the answer to `connect`, then answers as `answer` says, by command.
struct Scripted {
    stream: TcpStream,
    reader: Reader,
    writer: Writer,
    /// Bytes that came, and the window that the client asked for.
    received: u64,
    window: u64,
}

impl Scripted {
    async fn greet(mut stream: TcpStream) -> Self {
        let mut greeting = vec![0; 1537];
        stream.read_exact(&mut greeting).await.expect("C0 and C1");
        greeting.extend_from_within(1..);
        stream.write_all(&greeting).await.expect("S0, S1 and S2");
        stream.read_exact(&mut [0; 1536]).await.expect("C2");
        Self { stream, reader: Reader::default(), writer: Writer::default(), received: 3073, window: 0 }
    }

    /// The next command: its name and transaction; none once the client has gone.
    async fn command(&mut self) -> Option<(String, f64)> {
        loop {
            while let Some(message) = self.reader.next_message().expect("chunks") {
                match message.kind {
                    kind::COMMAND => {
                        let values = amf::read_all(&message.body);
                        return Some((values[0].as_text()?.to_owned(), values[1].as_number()?));
                    }
                    kind::WINDOW => self.window = u32::from_be_bytes(*message.body.first_chunk()?).into(),
                    _ => {}
                }
            }
            self.read().await?;
        }
    }

    /// More of what the client sends; none once it has gone.
    async fn read(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        self.received += count as u64;
        self.reader.push(&buffer[..count]);
        Some(())
    }

    /// Acknowledges each window that it was asked for and answers no ping, until it freezes.
    async fn acknowledge(&mut self, frozen: &AtomicBool) -> Option<()> {
        let mut acknowledged = 0;
        while !frozen.load(Ordering::Relaxed) {
            while let Some(message) = self.reader.next_message().expect("chunks") {
                if message.kind == kind::WINDOW {
                    self.window = u32::from_be_bytes(*message.body.first_chunk()?).into();
                }
            }
            if self.received - acknowledged >= self.window {
                acknowledged = self.received;
                let mut out = BytesMut::new();
                self.writer.write(kind::ACK, 0, 0, &[&(acknowledged as u32).to_be_bytes()], &mut out);
                self.stream.write_all(&out).await.ok()?;
            }
            self.read().await?;
        }
        Some(())
    }

    async fn answer(&mut self, values: &[Value]) {
        let mut out = BytesMut::new();
        self.writer.write(kind::COMMAND, 0, 0, &[&amf::write_all(values)], &mut out);
        let _ = self.stream.write_all(&out).await;
    }

    async fn result(&mut self, transaction: f64) {
        self.answer(&[Value::text("_result"), Value::Number(transaction), Value::Null, Value::Number(1.0)]).await;
    }

    async fn status(&mut self, level: &str, code: &str) {
        let info = [("level", level), ("code", code)].map(|(name, text)| (name.to_owned(), Value::text(text)));
        self.answer(&[Value::text("onStatus"), Value::Number(0.0), Value::Null, Value::Object(info.to_vec())]).await;
    }

    /// Says yes up to `publish`, for which it sends this status, or nothing if it is empty.
    async fn until_publish(stream: TcpStream, level: &str, code: &str) -> Self {
        let mut ingest = Self::greet(stream).await;
        while let Some((name, transaction)) = ingest.command().await {
            match name.as_str() {
                "connect" | "createStream" => ingest.result(transaction).await,
                "publish" => break,
                _ => {}
            }
        }
        if !code.is_empty() {
            ingest.status(level, code).await;
        }
        ingest
    }
}

/// Takes this long for each answer, and this long for the one to `publish`.
async fn slow(stream: TcpStream, each: Duration, publish: Duration) {
    sleep(each).await;
    let mut ingest = Scripted::greet(stream).await;
    while let Some((name, transaction)) = ingest.command().await {
        match name.as_str() {
            "connect" | "createStream" => {
                sleep(each).await;
                ingest.result(transaction).await;
            }
            "publish" => {
                sleep(publish).await;
                ingest.status("status", "NetStream.Publish.Start").await;
            }
            _ => {}
        }
    }
}

/// Tells the push of a change of the network each 300 ms, for as long as it runs.
fn flap(push: &Push) {
    let orders = push.orders.clone();
    tokio::spawn(async move {
        while orders.send(Order::NetworkChanged).await.is_ok() {
            sleep(Duration::from_millis(300)).await;
        }
    });
}

async fn forever() {
    std::future::pending().await
}

#[tokio::test]
async fn silence_ends_at_the_deadline_of_its_stage() {
    if !has_tools() {
        return;
    }
    let accepts = ingest(|stream| async move {
        let _keep = stream;
        forever().await;
    })
    .await;
    let greets = ingest(|stream| async {
        let _keep = Scripted::greet(stream).await;
        forever().await;
    })
    .await;
    let knows_nobody = ingest(|stream| async {
        let _keep = Scripted::until_publish(stream, "", "").await;
        forever().await;
    })
    .await;
    let secure = accepts.replace("rtmp:", "rtmps:");
    let authority = Authority::new("Test");
    let trust = Arc::new(Trust::in_authorities([authority.certificate()], Duration::ZERO));
    tokio::join!(
        ends_in(&accepts, no_trust(), Cause::Silent(Stage::Handshake), 5 * SECOND),
        ends_in(&secure, trust, Cause::Silent(Stage::Tls), 5 * SECOND),
        ends_in(&greets, no_trust(), Cause::Silent(Stage::Connect), 5 * SECOND),
        ends_in(&knows_nobody, no_trust(), Cause::Silent(Stage::Publish), 8 * SECOND),
    );
}

#[tokio::test]
async fn what_is_no_ingest_is_told_at_once() {
    if !has_tools() {
        return;
    }
    let closed = format!("rtmp://127.0.0.1:{}/app", free_port());
    // A real HTTP server on the RTMP port.
    let port = free_port();
    let web = Nginx::start_with("", &format!("http {{ access_log off; server {{ listen 127.0.0.1:{port}; }} }}"));
    let http = format!("rtmp://127.0.0.1:{port}/app");
    let garbage = ingest(|mut stream| async move {
        let _ = stream.write_all(&[0x5a; 5000]).await;
        forever().await;
    })
    .await;
    let garbage_later = ingest(|stream| async {
        let mut ingest = Scripted::greet(stream).await;
        let _ = ingest.stream.write_all(&[0xff; 500]).await;
        forever().await;
    })
    .await;
    let half_a_handshake = ingest(|mut stream| async move {
        let _ = stream.read_exact(&mut [0; 1537]).await;
        let _ = stream.write_all(&[3; 1000]).await;
    })
    .await;
    let hangs_up_at_connect = ingest(|stream| async {
        let mut ingest = Scripted::greet(stream).await;
        ingest.command().await;
    })
    .await;
    tokio::join!(
        ends_in(&closed, no_trust(), Cause::Refused, Duration::ZERO),
        ends_in(&http, no_trust(), Cause::NotRtmp, Duration::ZERO),
        ends_in(&garbage, no_trust(), Cause::NotRtmp, Duration::ZERO),
        ends_in(&garbage_later, no_trust(), Cause::NotRtmp, Duration::ZERO),
        ends_in(&half_a_handshake, no_trust(), Cause::Closed(Some(Stage::Handshake)), Duration::ZERO),
        ends_in(&hangs_up_at_connect, no_trust(), Cause::WrongApp, Duration::ZERO),
    );
    drop(web);
}

#[tokio::test]
async fn a_refused_publish_is_a_rejection_unless_the_key_has_worked() {
    if !has_tools() {
        return;
    }
    let refuses = ingest(|stream| async {
        Scripted::until_publish(stream, "error", "NetStream.Publish.Denied").await.command().await;
    })
    .await;
    let in_use = ingest(|stream| async {
        Scripted::until_publish(stream, "error", "NetStream.Publish.BadName").await.command().await;
    })
    .await;
    let hangs_up = ingest(|stream| async { drop(Scripted::until_publish(stream, "", "").await) }).await;
    tokio::join!(
        ends_in(&refuses, no_trust(), Cause::KeyRejected, Duration::ZERO),
        ends_in(&in_use, no_trust(), Cause::NameInUse, Duration::ZERO),
        ends_in(&hangs_up, no_trust(), Cause::KeyRejected, Duration::ZERO),
    );

    // The ingest crashes while it was on air, and comes back before it has noticed that the old connection is gone.
    let first = Arc::new(AtomicBool::new(true));
    let url = ingest(move |stream| {
        let first = first.clone();
        async move {
            if !first.swap(false, Ordering::Relaxed) {
                Scripted::until_publish(stream, "error", "NetStream.Publish.BadName").await.command().await;
                return;
            }
            let mut ingest = Scripted::until_publish(stream, "status", "NetStream.Publish.Start").await;
            // Media comes; the ping after the first picture is answered; then it crashes.
            let mut buffer = [0; 4096];
            'media: loop {
                while let Some(message) = ingest.reader.next_message().expect("chunks") {
                    if message.kind == kind::USER_CONTROL {
                        let mut out = BytesMut::new();
                        let pong = [&[0, 7], &message.body[2..]].concat();
                        ingest.writer.write(kind::USER_CONTROL, 0, 0, &[&pong], &mut out);
                        let _ = ingest.stream.write_all(&out).await;
                        sleep(SECOND).await;
                        break 'media;
                    }
                }
                let count = ingest.stream.read(&mut buffer).await.expect("media");
                ingest.reader.push(&buffer[..count]);
            }
        }
    })
    .await;
    let mut push = Push::start(target(&url, "key"), no_trust());
    push.publishing().await;
    for unit in &units::made(1) {
        push.media.send(units::later(unit, 0)).await.expect("it runs");
    }
    push.until(SECOND, |report| matches!(report, Report::Acknowledged { .. }).then_some(())).await;
    assert_eq!(push.failed(3 * SECOND).await.1, Cause::Closed(None));
    for expected in [500, 1000] {
        let (_, cause, retry_in) = push.failed(3 * SECOND).await;
        assert_eq!(cause, Cause::NameInUse);
        assert!(retry_in.as_millis() <= expected, "{retry_in:?}: the key has worked");
    }
}

/// Its kernel goes on for minutes, at a low rate; TCP's count must not say that all is well.
#[tokio::test]
async fn an_ingest_that_acknowledges_and_answers_no_ping_freezes() {
    if !has_tools() {
        return;
    }
    let all = units::made(4);
    let few: Vec<_> = all.iter().filter(|unit| unit.track == Track::Audio || unit.key).cloned().collect();
    for units in [all, few] {
        let frozen = Arc::new(AtomicBool::new(false));
        let freezes = frozen.clone();
        let url = ingest(move |stream| {
            let frozen = freezes.clone();
            async move {
                let mut ingest = Scripted::until_publish(stream, "status", "NetStream.Publish.Start").await;
                ingest.acknowledge(&frozen).await;
                forever().await;
            }
        })
        .await;
        let mut push = Push::start(target(&url, "key"), no_trust());
        push.feed(units);
        let by = |report| match report {
            Report::Acknowledged { by, .. } => Some(by),
            _ => None,
        };
        push.until(8 * SECOND, by).await;
        sleep(8 * SECOND).await;
        let reports = push.missed();
        assert!(!reports.iter().any(|report| matches!(report, Report::Failed { .. })), "{reports:?}");
        let proofs: Vec<_> = reports.into_iter().filter_map(by).collect();
        assert!(proofs.len() >= 3 && proofs.iter().all(|by| *by == AcknowledgedBy::RtmpAck), "{proofs:?}");
        let (began, mut said) = (now(), Duration::ZERO);
        frozen.store(true, Ordering::Relaxed);
        let (took, cause) = push
            .until(8 * SECOND, |report| match report {
                Report::Failed { cause, .. } => Some(cause),
                Report::Acknowledged { .. } => {
                    said = began.elapsed();
                    None
                }
                _ => None,
            })
            .await;
        println!("  noticed after {took:.2?}");
        assert_eq!(cause, Cause::Stalled);
        assert!(said <= SECOND, "what a kernel takes is no acknowledgement: {said:?}");
        push.stop().await;
    }
}

/// Such as an interface that nothing goes through, and that comes and goes.
#[tokio::test]
async fn a_network_that_changes_all_the_time_does_not_keep_the_box_off_air() {
    if !has_tools() {
        return;
    }
    let (each, nothing) = (Duration::from_millis(500), Duration::ZERO);
    for (each, publish, attempts) in [(each, each, 1), (nothing, 3 * SECOND, 2)] {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let url = ingest(move |stream| {
            counted.fetch_add(1, Ordering::Relaxed);
            slow(stream, each, publish)
        })
        .await;
        let mut push = Push::start(target(&url, "key"), no_trust());
        flap(&push);
        let publishing = |report| matches!(report, Report::Publishing { .. }).then_some(());
        let (took, ()) = push.until(7 * SECOND, publishing).await;
        println!("  on air after {took:.2?}");
        assert_eq!(calls.load(Ordering::Relaxed), attempts);
        assert!(push.stop().await < SECOND);
    }
    // And who refuses the key is not asked again each time.
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let url = ingest(move |stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { drop(Scripted::until_publish(stream, "error", "NetStream.Publish.Denied").await.command().await) }
    })
    .await;
    let push = Push::start(target(&url, "key"), no_trust());
    flap(&push);
    sleep(3 * SECOND).await;
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    push.stop().await;
    // Where nothing comes after a change, the attempt is begun anew long before its deadline.
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let url = ingest(move |stream| {
        let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if first {
                let _keep = stream;
                forever().await;
            } else {
                slow(stream, Duration::ZERO, Duration::ZERO).await;
            }
        }
    })
    .await;
    let mut push = Push::start(target(&url, "key"), no_trust());
    let handshake = |report| (report == Report::Connecting(Stage::Handshake)).then_some(());
    push.until(SECOND, handshake).await;
    push.orders.send(Order::NetworkChanged).await.expect("it runs");
    let (took, ()) = push.until(4 * SECOND, handshake).await;
    assert!((1900..3000).contains(&took.as_millis()), "{took:?}");
    push.publishing().await;
    push.stop().await;
}

#[tokio::test]
async fn a_stop_takes_less_than_a_second_whatever_the_ingest_does() {
    if !has_tools() {
        return;
    }
    let units = units::made(4);
    let stops_reading = ingest(|stream| async {
        let _keep = Scripted::until_publish(stream, "status", "NetStream.Publish.Start").await;
        forever().await;
    })
    .await;
    let never_hangs_up = ingest(|stream| async {
        let mut ingest = Scripted::until_publish(stream, "status", "NetStream.Publish.Start").await;
        let mut ended = Vec::new();
        while let Some((name, _)) = ingest.command().await {
            ended.push(name);
        }
        assert_eq!(ended, ["FCUnpublish", "deleteStream"]);
        // The client has ended its side; this one stays open.
        forever().await;
    })
    .await;
    for url in [stops_reading, never_hangs_up] {
        let mut push = Push::start(target(&url, "key"), no_trust());
        push.publishing().await;
        // More than fits into the sockets' buffers where nobody reads.
        for round in 0..8 {
            for unit in &units {
                push.media.send(units::later(unit, round * 4_000_000_000)).await.expect("never blocks for long");
            }
        }
        let took = push.stop().await;
        assert!(took < SECOND, "{url}: {took:?}");
    }
}

#[tokio::test]
async fn certificates_are_judged_by_authority_name_and_time() {
    if !has_tools() {
        return;
    }
    let (ingest, authority, stranger) = (Nginx::start(), Authority::new("Trusted"), Authority::new("Stranger"));
    let trusting = |saved| Arc::new(Trust::in_authorities([authority.certificate()], saved));
    let wrong = |what: &str| Cause::Certificate(what.into());
    let year = |year: i32| {
        move |params: &mut rcgen::CertificateParams| {
            params.not_before = rcgen::date_time_ymd(year, 1, 1);
            params.not_after = rcgen::date_time_ymd(year + 1, 1, 1);
        }
    };
    let front = |pair| TlsFront::start(ingest.port, pair);
    let by_stranger = front(stranger.issue("localhost", |_| {}));
    let other_name = front(authority.issue("other.example", |_| {}));
    let old = front(authority.issue("localhost", year(2001)));
    let future = front(authority.issue("localhost", year(2100)));
    let now = Duration::ZERO;
    let plain = ingest.url().replace("rtmp://127.0.0.1", "rtmps://localhost");
    tokio::join!(
        ends_in(by_stranger.url(), trusting(now), wrong("is from an unknown authority"), now),
        ends_in(other_name.url(), trusting(now), wrong("is for another name"), now),
        ends_in(old.url(), trusting(now), wrong("has expired"), now),
        ends_in(future.url(), trusting(now), wrong("is not valid yet"), now),
        ends_in(by_stranger.url(), no_trust(), wrong("authorities are missing"), now),
        // Something that is no TLS: nginx-rtmp takes the greeting for a handshake, and refuses its version or waits.
        async {
            let mut push = Push::start(target(&plain, "key"), trusting(now));
            let cause = push.failed(7 * SECOND).await.1;
            assert!(matches!(cause, Cause::Tls | Cause::Silent(Stage::Tls)), "{cause:?}");
        }
    );
    // A box whose clock is behind goes by the last time that it saved.
    let saved = Duration::from_secs(4_118_000_000); // in June 2100
    Push::start(target(&future.url(), "key"), trusting(saved)).publishing().await;
}

/// Names are looked up by the C library, whose name server is in a file; so this brings its own file and name server.
#[tokio::test]
async fn names_without_address_server_or_network_are_told_apart() {
    if !has_tools() {
        return;
    }
    let script = "ip link set lo up\n\
        resolv=$(mktemp); echo 'nameserver 127.0.0.1' > $resolv; mount --bind $resolv /etc/resolv.conf; rm $resolv";
    if in_namespace("names_without_address_server_or_network_are_told_apart", script) {
        return;
    }
    let url = "rtmp://ingest.example/app";
    // There is nothing but loopback, and no name server on it: asking fails at once.
    let mut push = Push::start(target(url, "key"), no_trust());
    assert_eq!(push.failed(6 * SECOND).await.1, Cause::NoNetwork);
    // By address it is the same.
    let mut by_address = Push::start(target("rtmp://203.0.113.1/app", "key"), no_trust());
    let (took, cause, _) = by_address.failed(6 * SECOND).await;
    assert!(cause == Cause::NoNetwork && took < SECOND);

    // A way out, where nobody answers.
    assert!(Command::new("ip").args(["route", "add", "default", "dev", "lo"]).status().expect("ip").success());
    let server = tokio::net::UdpSocket::bind("127.0.0.1:53").await.expect("port 53 of the namespace");
    by_address.orders.send(Order::NetworkChanged).await.expect("it runs");
    let mut asking = Push::start(target(url, "key"), no_trust());
    let ((blocked, cause, _), (silent, why, _)) =
        tokio::join!(by_address.failed(7 * SECOND), asking.failed(7 * SECOND));
    assert_eq!((cause, why), (Cause::PortBlocked, Cause::NameServer));
    assert!(blocked.as_secs() == 5 && silent.as_secs() == 5, "{blocked:?} {silent:?}");
    assert!(asking.stop().await < SECOND, "also while the name server is silent");

    // A name server that knows no such name.
    tokio::spawn(async move {
        let mut query = [0; 512];
        while let Ok((length, from)) = server.recv_from(&mut query).await {
            query[2..4].copy_from_slice(&[0x81, 0x83]); // an answer; NXDOMAIN
            let _ = server.send_to(&query[..length], from).await;
        }
    });
    let mut unknown = Push::start(target(url, "key"), no_trust());
    let (took, cause, _) = unknown.failed(2 * SECOND).await;
    assert!(cause == Cause::NameNotFound && took < SECOND, "{cause:?} {took:?}");
}
