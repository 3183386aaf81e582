//! Delivery to a real nginx-rtmp: every picture that was given arrives, byte for byte, with its time stamp.

mod support;

use fieldcast::{
    access_unit::{AccessUnit, Track},
    status::AcknowledgedBy,
    uplink::{Cause, Report, trust::Trust},
};
use std::{process::Command, sync::Arc, time::Duration};
use support::{
    Authority, Nginx, TlsFront, flv,
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

/// Pictures and sound that arrived: time stamp and content.
fn arrived(ingest: &Nginx, key: &str, pictures: usize) -> (Vec<(u32, Vec<u8>)>, Vec<(u32, Vec<u8>)>) {
    let tags = wait(&format!("{pictures} pictures\n{}", ingest.log()), 5 * SECOND, || {
        let tags = flv::tags(&ingest.recording(key));
        (tags.iter().filter(|tag| tag.is_picture()).count() >= pictures).then_some(tags)
    });
    let some = |wanted: fn(&flv::Tag) -> bool, skip: usize| {
        tags.iter().filter(|tag| wanted(tag)).map(|tag| (tag.timestamp, tag.body[skip..].to_vec())).collect()
    };
    (some(flv::Tag::is_picture, 5), some(flv::Tag::is_sound, 2))
}

fn given(units: &[AccessUnit], track: Track) -> Vec<(u32, Vec<u8>)> {
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
    let ingest = Nginx::start();
    every_picture_arrives(&ingest, &ingest.url(), no_trust()).await;
}

#[tokio::test]
async fn over_rtmps_every_picture_arrives() {
    let (ingest, authority) = (Nginx::start(), Authority::new("Test"));
    let front = TlsFront::start(ingest.port, authority.issue("localhost", |_| {}));
    let trust = Trust::in_authorities([authority.certificate()], Duration::ZERO);
    every_picture_arrives(&ingest, &front.url(), Arc::new(trust)).await;
}

#[tokio::test]
async fn long_streams_pass_the_24_and_the_32_bit_edge_of_time() {
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
    let port = support::free_port();
    let deny = format!("http {{ access_log off; server {{ listen 127.0.0.1:{port}; return 403; }} }}");
    let ingest = Nginx::start_with(&format!("on_publish http://127.0.0.1:{port}/;"), &deny);
    let mut push = Push::start(target(&ingest.url(), "bad"), no_trust());
    let (_, cause, retry_in) = push.failed(5 * SECOND).await;
    assert_eq!((cause, retry_in.as_secs()), (Cause::KeyRejected, 30));
}

#[tokio::test]
async fn a_frozen_ingest_is_noticed_and_left() {
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
    push.until(2 * SECOND, |report| matches!(report, Report::Acknowledged { .. }).then_some(())).await;
    ingest.freeze();
    let (took, cause, _) = push.failed(14 * SECOND).await;
    println!("left after {took:?}");
    assert_eq!(cause, Cause::Stalled);
    assert!(took >= 7 * SECOND);
    // It stays frozen: TCP connects, nobody speaks, and a stop is still quick.
    assert_eq!(push.failed(8 * SECOND).await.1, Cause::Silent(fieldcast::uplink::Stage::Handshake));
    let took = push.stop().await;
    assert!(took < SECOND, "{took:?}");
    ingest.thaw();
    feeder.abort();
}
