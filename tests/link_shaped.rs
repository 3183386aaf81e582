//! The rate controller over real connections, beside the link lab's figures for the same course of things: RTMP to nginx
//! through a shaper, and SRT to srt-live-transmit over a way that becomes narrow, and long.

#[path = "linklab/encoder.rs"]
mod encoder;
#[allow(dead_code)]
#[path = "linklab/link.rs"]
mod link;
#[allow(dead_code)]
#[path = "linklab/peers.rs"]
mod peers;
#[allow(dead_code)]
#[path = "linklab/run.rs"]
mod run;
mod support;

use bytes::Bytes;
use encoder::{Encoder, Model};
use fieldcast::{
    access_unit::{AccessUnit, Track},
    control::rate::{Controller, Limits},
    sys,
    units::BitRate,
    uplink::Report,
};
use link::Trace;
use run::{Conditions, Rule, run};
use std::{process::Command, sync::Arc, time::Duration};
use support::{
    Nginx, has_tools, in_namespace,
    push::{Push, no_trust, target},
    srt::{LossyWay, Receiver},
    units,
};

/// Seconds of each step, and its rates in Mbit/s.
const STEP: usize = 15;
const RATES: [u32; 3] = [6, 2, 6];

fn shape(what: &str, rate: u32) {
    let line = format!("qdisc {what} dev lo root tbf rate {rate}mbit burst 8kb latency 400ms");
    assert!(Command::new("tc").args(line.split(' ')).status().expect("tc").success(), "{line}");
}

/// Mean bitrate, and the worst delay, of the last two thirds of each step.
fn steps(asked: &[u32], delays: &[u32]) -> Vec<(u32, u32)> {
    let step = |number: usize| {
        let (from, to) = (number * STEP + STEP / 3, (number + 1) * STEP);
        let rates = &asked[from * 10..(to * 10).min(asked.len())];
        let mean = rates.iter().sum::<u32>() / rates.len() as u32;
        (mean, delays[from..to.min(delays.len())].iter().copied().max().unwrap_or(0))
    };
    (0..RATES.len()).map(step).collect()
}

/// What happened: the bitrates that were asked for, each 100 ms, the worst delay of each second, and the pictures dropped.
struct Course {
    asked: Vec<u32>,
    delays: Vec<u32>,
    dropped: usize,
}

/// Pushes what a live encoder would make of the bitrates that the controller asks for; `shape` begins each step.
async fn follow(mut push: Push, shape: impl Fn(usize)) -> Course {
    let real = units::made(1).into_iter().find(|unit| unit.track == Track::Video).expect("a picture");
    let config = real.config;
    push.publishing().await;
    let with = Conditions::REAL;
    let limits = Limits { min: BitRate::new(with.min), max: BitRate::new(with.max) };
    let mut control = Controller::new(limits, Some(BitRate::new(with.start)), BitRate::new(0));
    let mut encoder = Encoder::new(Model::REAL, with.start as f64);
    let mut pictures = tokio::time::interval(Duration::from_nanos(1_000_000_000 / 30));
    let begun = sys::now();
    let mut course = Course { asked: Vec::new(), delays: vec![0; STEP * RATES.len() + 1], dropped: 0 };
    let mut shaped = 0;
    loop {
        let now = sys::now();
        let second = now.since(begun).as_secs() as usize;
        if second >= STEP * RATES.len() {
            break;
        }
        if second / STEP != shaped {
            shaped = second / STEP;
            shape(shaped);
        }
        tokio::select! {
            _ = pictures.tick() => {
                let (bytes, key) = encoder.picture(control.rate().bits() as f64, 1000.0 / 30.0, false);
                let unit = AccessUnit { track: Track::Video, time: sys::now(), key, config: config.clone(), data: slice(bytes, key) };
                push.media.send(Arc::new(unit)).await.expect("it runs");
            }
            (_, sample) = push.until(Duration::from_secs(5), |report| match report {
                Report::Link(sample) => Some(sample),
                _ => None,
            }) => {
                control.take(&sample, sys::now());
                course.asked.push((control.rate().bits() / 1000) as u32);
                course.delays[second] = course.delays[second].max(sample.delay.as_millis() as u32);
                course.dropped += sample.dropped_pictures as usize;
            }
        }
    }
    push.stop().await;
    course
}

/// One NAL unit of a picture, of so many bytes with the length before it.
fn slice(bytes: u64, key: bool) -> Bytes {
    let mut data = vec![0x55; bytes as usize];
    data[..4].copy_from_slice(&(bytes as u32 - 4).to_be_bytes());
    data[4] = if key { 0x65 } else { 0x41 };
    data.into()
}

/// The lab's course of the same link, each way of which takes `one_way` ms.
fn in_the_lab(one_way: u64) -> Course {
    let course = |time: f64| f64::from(RATES[(time as usize / STEP).min(RATES.len() - 1)]) * 1e6;
    let trace = Trace { burst: 8192, ..Trace::of_rates("shaped", (STEP * RATES.len()) as f64, course) };
    let lab = run(Rule::Ours, &trace, &Conditions { audio: 0, one_way, ..Conditions::REAL });
    Course { asked: lab.asked, delays: lab.delays, dropped: lab.dropped }
}

fn compare(real: &Course, lab: &Course, alike: std::ops::Range<f64>) {
    let (in_fact, virtually) = (steps(&real.asked, &real.delays), steps(&lab.asked, &lab.delays));
    let rows = || RATES.iter().zip(in_fact.iter().zip(&virtually));
    for (rate, (real, lab)) in rows() {
        println!(
            "{rate} Mbit/s: {} kbit/s, at most {} ms behind (lab: {} kbit/s, {} ms)",
            real.0, real.1, lab.0, lab.1
        );
    }
    println!("{} pictures dropped (lab: {})", real.dropped, lab.dropped);
    assert_eq!(real.dropped, 0);
    for (rate, (real, lab)) in rows() {
        assert!(real.1 < 1000, "{rate} Mbit/s: {real:?}");
        // What is asked for in one moment and taken back in the next counts too, so this is a little over what passes.
        assert!(alike.contains(&(f64::from(real.0) / f64::from(lab.0))), "{rate} Mbit/s: {real:?} {lab:?}");
    }
}

#[tokio::test]
async fn the_rate_follows_a_shaped_link_as_in_the_lab() {
    if !has_tools() {
        return;
    }
    if in_namespace("the_rate_follows_a_shaped_link_as_in_the_lab", "ip link set lo mtu 1500 up") {
        return;
    }
    shape("add", RATES[0]);
    let ingest = Nginx::start();
    let push = Push::start(target(&ingest.url(), "shaped"), no_trust());
    let real = follow(push, |step| shape("change", RATES[step])).await;
    compare(&real, &in_the_lab(1), 0.6..1.6);
}

/// With the second step the way takes three times as long, too, which is no queue.
#[tokio::test]
async fn the_rate_of_srt_follows_a_narrow_and_a_long_way_as_in_the_lab() {
    const ONE_WAY: [u32; 3] = [20, 60, 60];
    if !has_tools() {
        return;
    }
    let receiver = Receiver::start("");
    let way = LossyWay::start(receiver.port, 0, 1);
    let shape = |step: usize| way.shape(RATES[step] * 1000, ONE_WAY[step]);
    shape(0);
    let push = Push::start(target(&way.url(), ""), no_trust());
    let real = follow(push, shape).await;
    println!("{} packets lost before the narrow way", way.lost.load(std::sync::atomic::Ordering::Relaxed));
    // Headers of the transport stream and of SRT pass too.
    compare(&real, &in_the_lab(20), 0.6..1.4);
}
