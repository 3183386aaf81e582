//! Delivery over SRT to a real srt-live-transmit and a real ffmpeg: what is given arrives, over a way that loses packets too,
//! and what goes wrong is noticed and told for what it is.

mod support;

use fieldcast::{
    access_unit::{AccessUnit, Track},
    settings::{Encryption, Secret},
    status::AcknowledgedBy,
    uplink::{Cause, Report, SrtTerms, Target, preflight},
};
use std::{path::Path, process::Command, time::Duration};
use support::{
    has_tools,
    host::Host,
    in_namespace, now,
    push::{Push, no_trust, target},
    srt::{Listener, LossyWay, Receiver},
    units::{RATE, later, made},
};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const PASSPHRASE: &str = "correct horse battery";
const LATENCY: Duration = Duration::from_millis(300);

fn to(url: &str, stream_id: &str, passphrase: Option<(&str, Encryption)>) -> Target {
    let usual = SrtTerms::default();
    let srt = SrtTerms {
        passphrase: passphrase.map(|(passphrase, _)| Secret::new(passphrase)),
        encryption: passphrase.map_or(usual.encryption, |(_, encryption)| encryption),
        latency: LATENCY,
    };
    Target { srt, ..target(url, stream_id) }
}

/// Frames in a received stream, by what they contain, in order.
fn frames(path: &Path, kind: &str) -> Vec<String> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-xerror", "-i"]).arg(path).args([
        "-map",
        kind,
        "-f",
        "framehash",
        "-hash",
        "crc32",
        "-",
    ]);
    let output = ffmpeg.output().expect("ffmpeg");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().expect("a hash").trim().to_owned()).collect()
}

/// The same of the program as it was made.
fn frames_of(units: &[AccessUnit]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("made.ts");
    let mut muxer = fieldcast::uplink::ts::Muxer::new(fieldcast::settings::Codec::H264);
    let mut stream = Vec::new();
    units.iter().for_each(|unit| muxer.write(unit, &mut stream));
    std::fs::write(&path, stream).expect("written");
    frames(&path, "0:v")
}

/// Gives media at its speed.
async fn feed(push: &Push, units: &[AccessUnit]) {
    for unit in units {
        push.media.send(later(unit, 5_000_000_000)).await.expect("the uplink runs");
        if unit.track == Track::Video {
            sleep(Duration::from_millis(1000 / RATE)).await;
        }
    }
}

/// From the first picture on: sound before it is skipped.
fn program(seconds: u32) -> Vec<AccessUnit> {
    made(seconds).into_iter().skip_while(|unit| unit.track != Track::Video).collect()
}

async fn acknowledged(push: &mut Push) {
    let by = |report| match report {
        Report::Acknowledged { by, .. } => Some(by),
        _ => None,
    };
    assert_eq!(push.until(8 * SECOND, by).await.1, AcknowledgedBy::SrtAck);
}

async fn every_picture_arrives(receiver: &mut Receiver, target: Target) {
    let latency = target.srt.latency;
    let units = program(4);
    let mut push = Push::start(target, no_trust());
    push.publishing().await;
    feed(&push, &units).await;
    let all: u64 = units.iter().map(|unit| unit.data.len() as u64).sum();
    let (_, bytes) = push
        .until(3 * SECOND, |report| match report {
            Report::Acknowledged { bytes, by: AcknowledgedBy::SrtAck } => (bytes > all * 9 / 10).then_some(bytes),
            _ => None,
        })
        .await;
    assert!(bytes <= all, "{bytes} of {all}");
    let took = push.stop().await;
    assert!(took < SECOND, "{took:?}");
    // It hands on what it has when it is due, and the way may have lost the word that this was all.
    let mut before = 0;
    while receiver.received() != before {
        before = receiver.received();
        sleep(latency + SECOND / 2).await;
    }
    receiver.end();
    let (arrived, given) = (frames(&receiver.path(), "0:v"), frames_of(&units));
    assert_eq!(arrived.len(), given.len(), "{}", receiver.log());
    assert!(arrived == given, "the pictures are not those that were given");
    assert!(frames(&receiver.path(), "0:a").len() > 180, "sound");
}

#[tokio::test]
async fn every_picture_arrives_in_the_clear() {
    if !has_tools() {
        return;
    }
    let mut receiver = Receiver::start("");
    let url = receiver.url();
    every_picture_arrives(&mut receiver, to(&url, "", None)).await;
}

#[tokio::test]
async fn every_picture_arrives_encrypted() {
    if !has_tools() {
        return;
    }
    for encryption in [Encryption::Aes128, Encryption::Aes256] {
        let mut receiver = Receiver::start(&format!("passphrase={PASSPHRASE}"));
        let url = receiver.url();
        every_picture_arrives(&mut receiver, to(&url, "camera/1", Some((PASSPHRASE, encryption)))).await;
    }
}

#[tokio::test]
async fn every_picture_arrives_over_a_way_that_loses_packets() {
    if !has_tools() {
        return;
    }
    for percent in [2, 5] {
        let mut receiver = Receiver::start("");
        let way = LossyWay::start(receiver.port, percent, 7);
        let mut target = to(&way.url(), "", None);
        // Time enough to send again what a busy machine noticed late.
        target.srt.latency = 2 * LATENCY;
        every_picture_arrives(&mut receiver, target).await;
        let lost = way.lost.load(std::sync::atomic::Ordering::Relaxed);
        println!("  {lost} packets lost, every picture there");
        assert!(lost > 10, "the way is too good: {lost}");
    }
}

#[tokio::test]
async fn another_passphrase_is_told_for_what_it_is() {
    if !has_tools() {
        return;
    }
    let closed = Receiver::start(&format!("passphrase={PASSPHRASE}"));
    let open = Receiver::start("");
    let given = |passphrase| Some((passphrase, Encryption::Aes128));
    for (target, expected) in [
        (to(&closed.url(), "", given("not the passphrase")), Cause::WrongPassphrase),
        (to(&closed.url(), "", None), Cause::PassphraseMissing),
        (to(&open.url(), "", given(PASSPHRASE)), Cause::PassphraseUnexpected),
    ] {
        let mut push = Push::start(target, no_trust());
        let (took, cause, retry_in) = push.failed(6 * SECOND).await;
        println!("  {} after {took:.2?}", cause.text());
        assert_eq!(cause, expected);
        assert_eq!(retry_in, 30 * SECOND, "it is no use to insist");
    }
}

#[tokio::test]
async fn what_the_receiver_says_of_the_stream_id_is_told() {
    if !has_tools() {
        return;
    }
    let listener = Listener::start();
    for (stream_id, expected) in [
        ("taken", Cause::StreamIdInUse),
        ("late", Cause::Unavailable),
        ("camera/2", Cause::StreamIdRejected),
        ("", Cause::StreamIdRejected),
    ] {
        let mut push = Push::start(to(&listener.url(), stream_id, None), no_trust());
        assert_eq!(push.failed(6 * SECOND).await.1, expected, "{stream_id:?}");
    }
    let mut push = Push::start(to(&listener.url(), "camera/1", None), no_trust());
    push.feed(program(2));
    acknowledged(&mut push).await;
    push.stop().await;
}

#[tokio::test]
async fn a_preflight_tells_the_way_and_the_handshake() {
    if !has_tools() {
        return;
    }
    let listener = Listener::start();
    let done = preflight::preflight(&to(&listener.url(), "camera/1", None), &no_trust(), &mut |_| {}).await;
    assert!(done.passed() && done.upload.is_none() && done.checks.len() == 2, "{done:?}");
    let done = preflight::preflight(&to(&listener.url(), "camera/2", None), &no_trust(), &mut |_| {}).await;
    assert!(!done.passed());
    assert_eq!(done.suggestion(), Some(Cause::StreamIdRejected.advice()));
    let done = preflight::preflight(&to("srt://127.0.0.1:9", "", None), &no_trust(), &mut |_| {}).await;
    assert_eq!(done.checks[1].result, Err(Cause::NoAnswer));
}

/// On air, and that for a while.
async fn on_air(url: &str) -> Push {
    let mut push = Push::start(to(url, "", None), no_trust());
    push.feed(program(4));
    acknowledged(&mut push).await;
    sleep(2 * SECOND).await;
    push.missed();
    push
}

/// Noticed within a time, told as this; and back within 1 s and one retry interval once `mend` was done.
async fn lost_and_found(mut push: Push, noticed: Duration, cause: Cause, mend: impl AsyncFnOnce()) {
    let (took, why, mut retry) = push.failed(noticed + SECOND).await;
    println!("  noticed after {took:.2?}: {}", why.text());
    assert_eq!(why, cause);
    assert!(took <= noticed, "noticed after {took:?}");
    // Not a moment at which the receiver can be found by chance.
    sleep(SECOND).await;
    mend().await;
    let begun = now();
    let (_, at, ()) = push
        .until_at(12 * SECOND, |report| match report {
            Report::Failed { retry_in, .. } => {
                retry = retry_in;
                None
            }
            Report::Acknowledged { .. } => Some(()),
            _ => None,
        })
        .await;
    let took = at.saturating_duration_since(begun);
    println!("  back after {took:.2?}, where the last wait was {retry:.2?}");
    assert!(took <= SECOND + retry, "back after {took:?}, where the last wait was {retry:?}");
    push.stop().await;
}

#[tokio::test]
async fn a_receiver_that_ends_is_noticed_at_once_and_found_again() {
    if !has_tools() {
        return;
    }
    let mut receiver = Receiver::start("");
    let push = on_air(&receiver.url()).await;
    receiver.end();
    lost_and_found(push, SECOND, Cause::Closed(None), async || receiver.restart()).await;
}

#[tokio::test]
async fn a_receiver_that_is_killed_is_noticed_and_found_again() {
    if !has_tools() {
        return;
    }
    let mut receiver = Receiver::start("");
    let push = on_air(&receiver.url()).await;
    receiver.kill();
    lost_and_found(push, 5 * SECOND, Cause::Stalled, async || {
        receiver.restart();
    })
    .await;
    // What arrived since then begins with a picture that can be decoded.
    assert!(receiver.received() > 0);
}

#[tokio::test]
async fn a_receiver_that_hangs_is_noticed_and_found_again() {
    if !has_tools() {
        return;
    }
    let receiver = Receiver::start("");
    let push = on_air(&receiver.url()).await;
    receiver.freeze();
    lost_and_found(push, 5 * SECOND, Cause::Stalled, async || receiver.thaw()).await;
}

#[tokio::test]
async fn a_way_that_is_cut_is_noticed_and_found_again() {
    if !has_tools() {
        return;
    }
    let receiver = Receiver::start("");
    let way = LossyWay::start(receiver.port, 0, 1);
    let push = on_air(&way.url()).await;
    way.cut(true);
    lost_and_found(push, 5 * SECOND, Cause::Stalled, async || way.cut(false)).await;
}

#[tokio::test]
async fn a_way_that_is_cut_for_a_second_costs_no_connection() {
    if !has_tools() {
        return;
    }
    let mut receiver = Receiver::start("");
    let way = LossyWay::start(receiver.port, 0, 1);
    let mut push = on_air(&way.url()).await;
    way.cut(true);
    sleep(SECOND).await;
    way.cut(false);
    // A second waits by then, and it goes at one and a half times the program's rate.
    push.missed();
    let caught_up = |report| match report {
        Report::Failed { cause, .. } => panic!("the connection is lost: {}", cause.text()),
        Report::Stats(stats) => (stats.queue < SECOND / 10 && stats.rtt.is_some()).then_some(stats),
        _ => None,
    };
    let (took, stats) = push.until(6 * SECOND, caught_up).await;
    println!("  caught up after {took:.2?}");
    assert_eq!(stats.reconnects, 0, "{stats:?}");
    push.stop().await;
    receiver.end();
    // Not one picture is missing or damaged: what was lost meanwhile was repeated.
    assert!(frames(&receiver.path(), "0:v").len() as u64 > 3 * RATE);
}

#[tokio::test]
async fn a_way_that_is_too_narrow_costs_pictures_and_no_connection() {
    const NAME: &str = "a_way_that_is_too_narrow_costs_pictures_and_no_connection";
    if !has_tools() || in_namespace(NAME, "ip link set lo up") {
        return;
    }
    let host = Host::start();
    host.cable(1);
    // Half of what the program needs, and a buffer of 200 ms that loses what is beyond. The way back is wide, as it is in the
    // field: what is acknowledged does not wait behind media.
    let shaper = "qdisc add dev c1 root tbf rate 500kbit burst 8kb latency 200ms";
    assert!(Command::new("tc").args(shaper.split(' ')).status().expect("tc(8)").success());
    let receiver = Receiver::start_on(&host, "10.9.1.2");
    let mut push = Push::start(to(&receiver.url(), "", None), no_trust());
    push.feed(program(4));
    acknowledged(&mut push).await;
    sleep(20 * SECOND).await;
    let (mut last, mut links) = (None, Vec::new());
    for report in push.missed() {
        match report {
            Report::Failed { cause, .. } => panic!("{}", cause.text()),
            Report::Stats(stats) => last = Some(stats),
            Report::Link(link) => links.push(link),
            _ => {}
        }
    }
    let stats = last.expect("figures");
    let busy: Duration = links.iter().map(|link| link.busy).sum();
    let arrived: u64 = links.iter().map(|link| link.arrived_busy).sum();
    let seen = arrived as f64 * 8e-3 / busy.as_secs_f64();
    println!("  the link as seen: {seen:.0} kbit/s; {stats:?}; {} bytes received", receiver.received());
    assert!(stats.dropped_pictures > 30, "pictures are dropped here, where it is known which");
    assert!((300.0..700.0).contains(&seen), "{seen}");
    let took = push.stop().await;
    assert!(took < SECOND, "{took:?}");
}
