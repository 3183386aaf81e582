//! Delivery to a real nginx-rtmp: every picture that was given arrives, byte for byte, with its time stamp.

mod support;

use fieldcast::{
    access_unit::{AccessUnit, Track},
    status::AcknowledgedBy,
    units::BitRate,
    uplink::{Cause, Report, Stage, choice::Choice, preflight, probe, services::Region, trust::Trust},
};
use std::{process::Command, sync::Arc, time::Duration};
use support::{
    Authority, Nginx, TlsFront, flv, free_port, has_tools, in_namespace,
    push::{Push, no_trust, target},
    units::{later, made},
    wait,
};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// Gives media at twice its speed, so that no queue fills.
async fn feed(push: &Push, units: impl IntoIterator<Item = Arc<AccessUnit>>) {
    for unit in units {
        let is_picture = unit.track == Track::Video;
        push.media.send(unit).await.expect("the uplink runs");
        if is_picture {
            sleep(Duration::from_millis(15)).await;
        }
    }
}

/// Time stamp and content of each unit.
type Arrived = Vec<(u32, Vec<u8>)>;

/// Pictures and sound that arrived.
fn arrived(ingest: &Nginx, key: &str, pictures: usize) -> (Arrived, Arrived) {
    let tags = wait(&format!("{pictures} pictures\n{}", ingest.log()), 5 * SECOND, || {
        let tags = flv::tags(&ingest.recording(key));
        (tags.iter().filter(|tag| tag.is_picture()).count() >= pictures).then_some(tags)
    });
    let some = |wanted: fn(&flv::Tag) -> bool, skip: usize| {
        tags.iter().filter(|tag| wanted(tag)).map(|tag| (tag.timestamp, tag.body[skip..].to_vec())).collect()
    };
    (some(flv::Tag::is_picture, 5), some(flv::Tag::is_sound, 2))
}

fn given(units: &[AccessUnit], track: Track) -> Arrived {
    let start = units[0].time;
    let ms = |unit: &AccessUnit| ((unit.time.nanos() - start.nanos() + 500_000) / 1_000_000) as u32;
    units.iter().filter(|unit| unit.track == track).map(|unit| (ms(unit), unit.data.to_vec())).collect()
}

fn same(arrived: &[(u32, Vec<u8>)], given: &[(u32, Vec<u8>)]) {
    assert_eq!(stamps(arrived), stamps(given));
    assert!(arrived == given, "the time stamps are right, the bytes are not");
}

fn decodes(path: &std::path::Path) {
    let output =
        Command::new("ffmpeg").args(["-v", "error", "-xerror", "-i"]).arg(path).args(["-f", "null", "-"]).output();
    let output = output.expect("ffmpeg");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// From the first picture on: sound before it is skipped.
fn from_first_picture(units: Vec<AccessUnit>) -> Vec<AccessUnit> {
    let start = units.iter().find(|unit| unit.track == Track::Video).expect("a picture").time;
    let skipped = units.into_iter().filter(|unit| unit.time >= start).collect::<Vec<_>>();
    assert_eq!(skipped[0].track, Track::Video);
    skipped
}

async fn every_picture_arrives(ingest: &Nginx, url: &str, trust: Arc<Trust>) {
    let units = from_first_picture(made(4));
    let mut push = Push::start(target(url, "whole"), trust);
    push.publishing().await;
    feed(&push, units.iter().map(|unit| later(unit, 5_000_000_000))).await;
    let (_, bytes) = push
        .until(3 * SECOND, |report| match report {
            Report::Acknowledged { bytes, by } => {
                assert!(matches!(by, AcknowledgedBy::RtmpAck | AcknowledgedBy::Ping), "{by:?}");
                (bytes > 200_000).then_some(bytes)
            }
            _ => None,
        })
        .await;
    let all: usize = units.iter().map(|unit| unit.data.len()).sum();
    assert!(bytes <= all as u64);
    let took = push.stop().await;
    assert!(took < SECOND, "{took:?}");

    let (pictures, sound) = arrived(ingest, "whole", 120);
    same(&pictures, &given(&units, Track::Video));
    same(&sound, &given(&units, Track::Audio));
    decodes(&ingest.recording_path("whole"));
    // nginx-rtmp logs how a publish ended.
    wait("the end of the publish", SECOND, || ingest.log().contains("deleteStream").then_some(()));
}

#[tokio::test]
async fn over_rtmp_every_picture_arrives() {
    if !has_tools() {
        return;
    }
    let ingest = Nginx::start();
    every_picture_arrives(&ingest, &ingest.url(), no_trust()).await;
}

#[tokio::test]
async fn over_rtmps_every_picture_arrives() {
    if !has_tools() {
        return;
    }
    let (ingest, authority) = (Nginx::start(), Authority::new("Test"));
    let front = TlsFront::start(ingest.port, authority.issue("localhost", |_| {}));
    let trust = Trust::in_authorities([authority.certificate()], Duration::ZERO);
    every_picture_arrives(&ingest, &front.url(), Arc::new(trust)).await;
}

#[tokio::test]
async fn long_streams_pass_the_24_and_the_32_bit_edge_of_time() {
    if !has_tools() {
        return;
    }
    let ingest = Nginx::start();
    let units = from_first_picture(made(3));
    let mut push = Push::start(target(&ingest.url(), "long"), no_trust());
    push.publishing().await;
    // The first second as it is, the second one over 2^24 ms, the third one over 2^32 ms.
    let start = units[0].time.nanos();
    let jumps = [0, (1 << 24) - 1500, (1u64 << 32) - 2500];
    let shifted = |unit: &AccessUnit| {
        later(unit, jumps[((unit.time.nanos() - start) / 1_000_000_000).min(2) as usize] * 1_000_000)
    };
    let given_units: Vec<_> = units.iter().map(shifted).collect();
    for second in 0..3 {
        let part = given_units
            .iter()
            .zip(&units)
            .filter(|(_, unit)| ((unit.time.nanos() - start) / 1_000_000_000).min(2) == second);
        feed(&push, part.map(|(unit, _)| unit.clone())).await;
        // What waits across a jump would look like hours of queue.
        sleep(Duration::from_millis(100)).await;
    }
    push.stop().await;
    let (pictures, sound) = arrived(&ingest, "long", 90);
    let plain: Vec<_> = given_units.iter().map(|unit| (**unit).clone()).collect();
    // nginx-rtmp's recorder takes the upper half of the range for negative and writes zero; after the wrap it is right.
    let recorded = |track| {
        stamps(&given(&plain, track)).into_iter().map(|ms| if ms > 1 << 31 { 0 } else { ms }).collect::<Vec<_>>()
    };
    assert_eq!(stamps(&pictures), recorded(Track::Video));
    assert_eq!(stamps(&sound), recorded(Track::Audio));
    assert_eq!(pictures.last().map(|picture| picture.0), Some(467), "it wrapped");
}

fn stamps(units: &[(u32, Vec<u8>)]) -> Vec<u32> {
    units.iter().map(|unit| unit.0).collect()
}

#[tokio::test]
async fn an_ingest_that_comes_back_gets_a_fresh_idr_and_nothing_stale() {
    if !has_tools() {
        return;
    }
    let mut ingest = Nginx::start();
    let units = from_first_picture(made(2));
    let mut push = Push::start(target(&ingest.url(), "again"), no_trust());
    push.publishing().await;
    feed(&push, units.iter().map(|unit| later(unit, 0))).await;
    ingest.kill();
    let (_, cause, retry_in) = push.failed(2 * SECOND).await;
    assert_eq!((cause, retry_in), (Cause::Closed(None), Duration::from_millis(250)));
    // Given while nobody listens: never to arrive.
    feed(&push, units.iter().map(|unit| later(unit, 10_000_000_000))).await;
    ingest.restart();
    push.publishing().await;
    push.until(SECOND, |report| (report == Report::KeyframeWanted).then_some(())).await;
    let fresh: Vec<_> = units.iter().map(|unit| later(unit, 20_000_000_000)).collect();
    // From the middle of a GOP: it waits for the next IDR.
    let middle = fresh.iter().position(|unit| unit.track == Track::Video && !unit.key).expect("a picture");
    feed(&push, fresh[middle..].iter().cloned()).await;
    let (_, stats) = push
        .until(2 * SECOND, |report| match report {
            Report::Stats(stats) if stats.reconnects == 1 => Some(stats),
            _ => None,
        })
        .await;
    assert!(stats.rtt.is_some_and(|rtt| rtt < SECOND));
    push.stop().await;
    let (pictures, _) = arrived(&ingest, "again", 30);
    let expected: Vec<_> = units.iter().filter(|unit| unit.track == Track::Video).skip(30).cloned().collect();
    same(&pictures, &given(&expected, Track::Video));
}

#[tokio::test]
async fn a_key_in_use_and_a_wrong_application_are_told_apart() {
    if !has_tools() {
        return;
    }
    let ingest = Nginx::start();
    let mut first = Push::start(target(&ingest.url(), "same"), no_trust());
    first.publishing().await;
    let mut second = Push::start(target(&ingest.url(), "same"), no_trust());
    let (_, cause, retry_in) = second.failed(5 * SECOND).await;
    assert_eq!((cause, retry_in.as_secs()), (Cause::NameInUse, 30));
    assert!(second.stop().await < SECOND, "also while it waits");
    first.stop().await;

    let url = ingest.url().replace("/live", "/nowhere");
    let mut wrong = Push::start(target(&url, "key"), no_trust());
    assert_eq!(wrong.failed(5 * SECOND).await.1, Cause::WrongApp);
}

#[tokio::test]
async fn a_key_that_the_ingest_asks_about_and_refuses_is_rejected() {
    if !has_tools() {
        return;
    }
    let port = support::free_port();
    let deny = format!("http {{ access_log off; server {{ listen 127.0.0.1:{port}; return 403; }} }}");
    let ingest = Nginx::start_with(&format!("on_publish http://127.0.0.1:{port}/;"), &deny);
    let mut push = Push::start(target(&ingest.url(), "bad"), no_trust());
    let (_, cause, retry_in) = push.failed(5 * SECOND).await;
    assert_eq!((cause, retry_in.as_secs()), (Cause::KeyRejected, 30));
}

#[tokio::test]
async fn a_frozen_ingest_is_noticed_and_left() {
    if !has_tools() {
        return;
    }
    let ingest = Nginx::start();
    let units = from_first_picture(made(3));
    let mut push = Push::start(target(&ingest.url(), "frozen"), no_trust());
    push.publishing().await;
    let media = push.media.clone();
    let feeder = tokio::spawn(async move {
        for round in 0.. {
            for unit in &units {
                if media.send(later(unit, round * 3_000_000_000)).await.is_err() {
                    return;
                }
                if unit.track == Track::Video {
                    sleep(Duration::from_millis(33)).await;
                }
            }
        }
    });
    // First by the ping after the first picture, then by the acknowledgements that were asked for.
    let by = |wanted| move |report| matches!(report, Report::Acknowledged { by, .. } if by == wanted).then_some(());
    push.until(SECOND, by(AcknowledgedBy::Ping)).await;
    push.until(3 * SECOND, by(AcknowledgedBy::RtmpAck)).await;
    ingest.freeze();
    let (took, cause, _) = push.failed(14 * SECOND).await;
    println!("left after {took:?}");
    assert_eq!(cause, Cause::Stalled);
    assert!(took <= 8 * SECOND, "{took:?}");
    // It stays frozen: TCP connects, nobody speaks, and a stop is still quick.
    assert_eq!(push.failed(8 * SECOND).await.1, Cause::Silent(Stage::Handshake));
    let took = push.stop().await;
    assert!(took < SECOND, "{took:?}");
    ingest.thaw();
    feeder.abort();
}

#[tokio::test]
async fn preflight_ticks_each_step_and_sends_no_media() {
    if !has_tools() {
        return;
    }
    let (ingest, authority) = (Nginx::start(), Authority::new("Test"));
    let front = TlsFront::start(ingest.port, authority.issue("localhost", |_| {}));
    let trust = Trust::in_authorities([authority.certificate()], Duration::ZERO);
    let begun = support::now();
    let report = preflight::preflight(&target(&front.url(), "flight"), &trust, &mut |_| {}).await;
    assert!(begun.elapsed() < 6 * SECOND, "{:?}", begun.elapsed());
    let steps: Vec<_> = report.checks.iter().map(|check| (check.step, check.result.clone())).collect();
    let stages = [Stage::Name, Stage::Tcp, Stage::Tls, Stage::Handshake, Stage::Connect, Stage::Publish];
    let mut expected: Vec<_> = stages.into_iter().map(|stage| (preflight::Step::Stage(stage), Ok(()))).collect();
    expected.push((preflight::Step::Upload, Ok(())));
    assert_eq!(steps, expected);
    assert!(report.passed() && report.suggestion().is_none(), "{report:?}");
    // As fast as it was tried, which is twice the need.
    let upload = report.upload.expect("measured").bits();
    assert!((1_600_000..=1_900_000).contains(&upload), "{upload}");
    assert!(ingest.recording("flight").is_empty(), "a publish, and nothing went on air");

    let closed =
        preflight::preflight(&target(&format!("rtmp://127.0.0.1:{}/live", free_port()), "key"), &trust, &mut |_| {})
            .await;
    assert!(!closed.passed());
    assert_eq!(closed.checks.last().map(|check| check.result.clone()), Some(Err(Cause::Refused)));
    assert_eq!(closed.suggestion(), Some(Cause::Refused.advice()));
}

/// Loopback in a namespace of its own, at 1 Mbit/s.
const SLOW: &str = "ip link set lo mtu 1500 up\ntc qdisc add dev lo root tbf rate 1mbit burst 8kb latency 200ms";

#[tokio::test]
async fn preflight_measures_a_slow_way() {
    if !has_tools() {
        return;
    }
    if in_namespace("preflight_measures_a_slow_way", SLOW) {
        return;
    }
    let ingest = Nginx::start();
    let mut target = target(&ingest.url(), "key");
    target.media.bitrate = BitRate::new(2_000_000);
    let report = preflight::preflight(&target, &Trust::in_authorities([], Duration::ZERO), &mut |_| {}).await;
    let upload = report.upload.expect("measured").bits();
    // Plain TCP brings 0.57 to 0.98 Mbit/s through this shaper, depending on what it loses.
    assert!((400_000..=1_050_000).contains(&upload), "{upload}");
    assert!(!report.passed());
    let fitting = BitRate::new(upload * 3 / 4 / 100_000 * 100_000);
    assert!(report.suggestion().is_some_and(|text| text.contains(&format!("set bitrate-max to {fitting} or less"))));
}

#[tokio::test]
async fn a_way_that_is_too_slow_costs_whole_groups_and_no_memory() {
    if !has_tools() {
        return;
    }
    if in_namespace("a_way_that_is_too_slow_costs_whole_groups_and_no_memory", SLOW) {
        return;
    }
    let ingest = Nginx::start();
    let units = from_first_picture(made(4));
    let mut push = Push::start(target(&ingest.url(), "slow"), no_trust());
    push.publishing().await;
    // 60 s of media of 900 kbit/s in 6 s: ten times what goes through.
    let mut given_pictures = Vec::new();
    for round in 0..15 {
        for unit in &units {
            let unit = later(unit, round * 4_000_000_000);
            if unit.track == Track::Video {
                given_pictures.push((unit.time, unit.key));
                sleep(Duration::from_micros(3_333)).await;
            }
            push.media.send(unit).await.expect("it runs");
        }
    }
    let (_, stats) = push
        .until(3 * SECOND, |report| match report {
            Report::Stats(stats) if stats.dropped_pictures > 0 => Some(stats),
            _ => None,
        })
        .await;
    assert!(stats.queue <= 3 * SECOND, "{stats:?}");
    let took = push.stop().await;
    assert!(took < SECOND, "{took:?}");
    let (pictures, _) = arrived(&ingest, "slow", 60);
    let start = given_pictures[0].0;
    let number = |ms: u32| {
        given_pictures.iter().position(|(time, _)| (time.since(start).as_micros() + 500) / 1000 == u128::from(ms))
    };
    let numbers: Vec<_> = pictures.iter().map(|picture| number(picture.0).expect("a picture that was given")).collect();
    let mut gaps = 0;
    for pair in numbers.windows(2) {
        assert!(pair[1] > pair[0]);
        if pair[1] != pair[0] + 1 {
            gaps += 1;
            assert!(given_pictures[pair[1]].1, "after a gap it goes on at an IDR");
        }
    }
    assert!(gaps > 0 && pictures.len() < 900, "{} pictures, {gaps} gaps", pictures.len());
}

#[tokio::test]
async fn the_nearest_region_is_measured() {
    if !has_tools() {
        return;
    }
    let (ingest, authority) = (Nginx::start(), Authority::new("Test"));
    let front = TlsFront::start(ingest.port, authority.issue("localhost", |_| {}));
    // A region far away: each new connection waits before it goes on to the front.
    let far = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let far_port = far.local_addr().expect("an address").port();
    let front_port = front.port;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = far.accept().await {
            tokio::spawn(async move {
                sleep(Duration::from_millis(150)).await;
                let mut server = tokio::net::TcpStream::connect(("127.0.0.1", front_port)).await.expect("the front");
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let region =
        |name: &str, url: String| Region { name: name.into(), place: "here".into(), url: url.parse().expect("a URL") };
    let regions = [
        region("gone", format!("rtmp://127.0.0.1:{}/live", free_port())),
        region("far", format!("rtmps://localhost:{far_port}/live")),
        region("near", front.url()),
        region("stranger", front.url().replace("localhost", "127.0.0.1")),
    ];
    let trust = Arc::new(Trust::in_authorities([authority.certificate()], Duration::ZERO));
    let table = probe::measure(&regions, &trust).await;
    let found: Vec<_> = table.iter().map(|row| (row.region.name.as_str(), row.result.clone().err())).collect();
    let wrong_name = Cause::Certificate("is for another name".into());
    assert_eq!(found, [("near", None), ("far", None), ("gone", Some(Cause::Refused)), ("stranger", Some(wrong_name))]);
    assert!(table[1].result.clone().is_ok_and(|far| far >= Duration::from_millis(150)));
    assert_eq!(Choice::nearest(&table).map(|choice| choice.region() == Some("near")), Ok(true));
    assert_eq!(Choice::nearest(&table[2..]), Err(Cause::Refused));
}

#[tokio::test]
async fn the_next_region_is_used_while_the_nearest_fails() {
    if !has_tools() {
        return;
    }
    let (mut near, mut far) = (Nginx::start(), Nginx::start());
    let row = |name: &str, ingest: &Nginx, ms| probe::Measured {
        region: Region { name: name.into(), place: "here".into(), url: ingest.url().parse().expect("a URL") },
        result: Ok(Duration::from_millis(ms)),
    };
    let choice = Choice::nearest(&[row("near", &near, 10), row("far", &far, 90)]).expect("two");
    let mut push = Push::start_at(target(&near.url(), "roams"), choice, no_trust());
    push.feed(made(2));
    let moved = |to: &'static str| move |report| (report == Report::Region(to.into())).then_some(());
    let arrives = |report| matches!(report, Report::Acknowledged { .. }).then_some(());
    push.until(5 * SECOND, arrives).await;
    near.kill();
    let (took, ()) = push.until(5 * SECOND, moved("far")).await;
    push.until(2 * SECOND, arrives).await;
    println!("far after {took:.2?}");
    assert!(!far.recording("roams").is_empty());
    // It stays there although the nearest is back, until that one fails too.
    near.restart();
    sleep(3 * SECOND).await;
    assert!(!push.missed().contains(&Report::Region("near".into())));
    far.kill();
    push.until(5 * SECOND, moved("near")).await;
    push.until(2 * SECOND, arrives).await;
    assert!(push.stop().await < SECOND);
}
