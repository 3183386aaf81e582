//! Still pictures: closed GOPs that loop between live pictures, from cards and from the operator's files, and kept.

use crate::rig::{self, Rig, WORKER, decode, nals, probe, script, video};
use fieldcast::{
    access_unit::{AccessUnit, CodecConfig},
    media::{Card, FailureKind, Order, Plan, Report, StillPlan, cards},
    program::slate::Gop,
    settings::Latency,
    units::{BitRate, Rate},
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

fn still(element: &str, mode: &str, card: Card) -> StillPlan {
    let live = video(element, mode);
    StillPlan {
        card,
        mode: live.mode,
        codec: live.codec,
        encoders: live.encoders,
        bitrate: live.bitrate,
        keyframe_interval: live.keyframe_interval,
        latency: live.latency,
    }
}

fn card() -> Card {
    Card::Name("OB van 3".into())
}

/// All that the worker makes of the plan, or why it does not.
async fn worked(plan: StillPlan) -> Result<Vec<AccessUnit>, FailureKind> {
    let mut rig = Rig::start(Plan::Still(plan));
    let mut units = Vec::new();
    for report in rig.rest().await {
        match report {
            Report::Unit(unit) => units.push(unit),
            Report::Failed(failure) => return Err(failure.kind),
            Report::Started(_) => assert!(units.is_empty(), "it says what it is before it gives something"),
            other => panic!("{other:?}"),
        }
    }
    Ok(units)
}

async fn made(plan: StillPlan) -> Vec<AccessUnit> {
    let (pictures, rate) = (plan.keyframe_interval, plan.mode.rate);
    let pictures = pictures as usize;
    let mut units = worked(plan).await.expect("a GOP");
    assert_eq!(units.len(), pictures * 2, "the encoder warms up in a GOP before");
    for (n, unit) in units.iter().enumerate() {
        assert_eq!((unit.key, unit.time), (n % pictures == 0, rate.time_of(n as u64)), "picture {n}");
    }
    let gop = units.split_off(pictures);
    assert!(Gop::new(gop.clone(), rate).is_some());
    gop
}

/// The last decoded picture of `units`, alone.
fn shown(units: &[AccessUnit], width: usize, height: usize) -> Vec<u8> {
    decode(units, width, height).pop().expect("a picture")
}

/// Largest difference of two pictures' means over squares of 8 x 8.
fn difference(one: &[u8], other: &[u8], width: usize) -> u32 {
    let squares = |luma: &[u8]| {
        let mut sums = vec![0u32; (luma.len() / width).div_ceil(8) * width.div_ceil(8)];
        for (n, value) in luma.iter().enumerate() {
            sums[n / width / 8 * width.div_ceil(8) + n % width / 8] += u32::from(*value);
        }
        sums
    };
    squares(one).iter().zip(squares(other)).map(|(one, other)| one.abs_diff(other) / 64).max().expect("pictures")
}

#[tokio::test]
async fn a_card_loops_between_live_pictures() {
    for (element, sets) in [("x264enc", &[7, 8][..]), ("openh264enc", &[7, 8]), ("x265enc", &[32, 33, 34])] {
        let live = {
            let mut rig = Rig::start(Plan::Video(video(element, "360p30")));
            rig.order(Order::Encode);
            rig.units(60).await
        };
        let gop = made(still(element, "360p30", card())).await;
        let hevc = matches!(*gop[0].config, CodecConfig::Hevc(_));
        let kinds = |unit: &AccessUnit| -> Vec<u8> {
            nals(&unit.data).into_iter().map(|nal| if hevc { nal[0] >> 1 & 0x3f } else { nal[0] & 0x1f }).collect()
        };
        assert_eq!(kinds(&gop[0])[..sets.len()], *sets, "{element}: parameter sets in band");
        let idr =
            |unit: &AccessUnit| kinds(unit).iter().any(|kind| if hevc { [19, 20].contains(kind) } else { *kind == 5 });
        assert!(idr(&gop[0]) && !gop[1..].iter().any(idr), "{element}: one IDR");
        // Set up alike, the encoder describes both alike, so that nothing has to be told when one follows the other.
        assert_eq!(gop[0].config, live[0].config, "{element}");

        let (before, after) = live.split_at(30);
        let pictures = decode(&[before, &gop, &gop, &gop, after].concat(), 640, 360);
        assert_eq!(pictures.len(), 150, "{element}: all are decoded");
        let alone = decode(&gop, 640, 360);
        for round in 0..3 {
            assert!(
                pictures[30 + round * 30..][..30] == alone[..],
                "{element}: round {round} shows the GOP and no more"
            );
        }
        assert!(pictures[120..] == decode(after, 640, 360)[..], "{element}: nothing of it stays in what follows");
        assert!(difference(&alone[0], &alone[29], 640) <= 2, "{element}: it stands still");
    }
}

#[tokio::test]
async fn look_ahead_loses_no_picture() {
    let mut plan = still("x264enc", "360p30", Card::Bars);
    (plan.latency, plan.keyframe_interval) = (Latency::Normal, 75);
    let units = made(plan).await;
    assert_eq!(decode(&units, 640, 360).len(), 75);
}

#[tokio::test]
async fn cards_are_of_the_programs_mode_and_colours() {
    for (mode, width, height, colours) in [
        ("720p29.97", 1280usize, 720usize, ["color_space=bt709", "color_range=tv"]),
        ("320x180p25", 320, 180, ["color_space=smpte170m", "color_range=tv"]),
    ] {
        let mut plan = still("x264enc", mode, Card::Bars);
        (plan.keyframe_interval, plan.bitrate) = (10, BitRate::new(4_000_000));
        let units = made(plan).await;
        let told = probe(&units);
        for line in [&format!("width={width}"), &format!("height={height}"), colours[0], colours[1]] {
            assert!(told.contains(line), "{line}: {told}");
        }
        let luma = shown(&units, width, height);
        let at = |x: f32, y: f32| luma[(y * height as f32) as usize * width + (x * width as f32) as usize];
        // 75 % grey, 75 % blue, 100 % white and black.
        let blue = if height == 720 { 14 } else { 22 };
        for (x, y, wanted) in [(0.07, 0.3, 191), (0.93, 0.3, blue), (0.27, 0.9, 255), (0.6, 0.9, 0)] {
            assert!(at(x, y).abs_diff(wanted) <= 3, "{mode} at {x}, {y}: {} for {wanted}", at(x, y));
        }
    }
}

/// A picture file of ffmpeg's.
fn file(folder: &Path, name: &str, source: &str, options: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let shown = path.display().to_string();
    let arguments = ["-v", "error", "-y", "-f", "lavfi", "-i", source, "-frames:v", "1"];
    rig::run("ffmpeg", &[&arguments, options, &[&shown]].concat(), &[]);
    path
}

#[tokio::test]
async fn files_keep_their_shape_within_borders() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        ("white.png", "color=white:s=400x300", &[][..]),
        ("white.jpg", "color=white:s=4000x3000", &["-q:v", "2"]),
        ("grey16.png", "color=white:s=40x30", &["-pix_fmt", "rgb48be"]),
        ("palette.png", "color=white:s=640x480", &["-pix_fmt", "pal8"]),
        ("grey.jpg", "color=white:s=641x481", &["-pix_fmt", "gray", "-strict", "unofficial"]),
    ];
    for (name, source, options) in files {
        let path = file(folder.path(), name, source, options);
        let mut plan = still("x264enc", "360p30", Card::Picture(path));
        plan.keyframe_interval = 5;
        let luma = shown(&made(plan).await, 640, 360);
        let row: Vec<u8> = [5, 70, 90, 320, 550, 570, 634].map(|x| luma[180 * 640 + x]).to_vec();
        // 480 of 640 columns.
        for (at, (luma, wanted)) in row.iter().zip([0, 0, 255, 255, 255, 0, 0]).enumerate() {
            assert!(luma.abs_diff(wanted) <= 8, "{name}: {row:?} at {at}");
        }
        assert!(luma[320] >= 240 && luma[359 * 640 + 320] >= 240, "{name}: to the upper and lower edge");
    }
}

#[tokio::test]
async fn what_is_transparent_is_black() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(folder.path(), "half.png", "color=white@0.5:s=64x36,format=rgba", &[]);
    let mut plan = still("x264enc", "360p30", Card::Picture(path));
    plan.keyframe_interval = 2;
    let luma = shown(&made(plan).await, 640, 360);
    assert!(luma[180 * 640 + 320].abs_diff(128) <= 4, "{}", luma[180 * 640 + 320]);
}

#[tokio::test]
async fn files_that_cannot_be_shown_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let noise = "nullsrc=s=640x360,geq=random(1)*255:128:128";
    let (png, jpeg) = (file(folder.path(), "a.png", noise, &[]), file(folder.path(), "a.jpg", noise, &[]));
    let (whole, photo) = (fs::read(&png).expect("bytes"), fs::read(&jpeg).expect("bytes"));
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0x55;
    // A header that promises more than there is: as large as is allowed, and beyond.
    let sized = |size: u32| {
        let mut bytes = whole.clone();
        bytes[16..20].copy_from_slice(&size.to_be_bytes());
        bytes
    };
    let gif = file(folder.path(), "a.gif", "color=white:s=64x64", &[]);
    let bad = [
        ("cut.png", whole[..whole.len() / 2].to_vec()),
        ("cut.jpg", photo[..photo.len() / 2].to_vec()),
        ("damaged.png", damaged),
        ("wide.png", sized(8192)),
        ("huge.png", sized(100_000)),
        ("empty.png", Vec::new()),
        ("renamed.png", fs::read(gif).expect("bytes")),
        ("words.jpg", b"\xff\xd8\xff\xe0 not a picture".to_vec()),
    ];
    for (name, bytes) in bad {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        let plan = still("x264enc", "360p30", Card::Picture(path));
        assert_eq!(worked(plan).await.expect_err(name), FailureKind::Picture, "{name}");
    }
    let nothing = still("x264enc", "360p30", Card::Picture("/nosuch/slate.png".into()));
    assert_eq!(worked(nothing).await, Err(FailureKind::Picture));
    let plan = StillPlan { encoders: Vec::new(), ..still("x264enc", "360p30", card()) };
    assert_eq!(worked(plan).await, Err(FailureKind::NoEncoder));
}

/// The worker, with a line in `starts` for each time that it is started.
fn counted(folder: &Path) -> (PathBuf, impl Fn() -> usize) {
    let starts = folder.join("starts");
    let binary = script(folder, &format!("echo $$ >> {}\nexec $WORKER", starts.display()));
    (binary, move || fs::read_to_string(&starts).map_or(0, |text| text.lines().count()))
}

#[tokio::test]
async fn a_card_is_encoded_once_and_anew_when_something_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (binary, starts) = counted(folder.path());
    let slates = folder.path().join("state/slates");
    let gop = |plan: StillPlan| cards::gop_by(&binary, plan, &slates);
    let mut plan = still("x264enc", "320x180p30", card());
    plan.keyframe_interval = 10;
    let first = gop(plan.clone()).await.expect("a GOP");
    assert_eq!((first.len(), starts()), (10, 1));
    assert_eq!((gop(plan.clone()).await, starts()), (Ok(first.clone()), 1));

    let kept = fs::read_dir(&slates).expect("a folder").flatten().next().expect("a file").path();
    let bytes = fs::read(&kept).expect("bytes");
    fs::write(&kept, &bytes[..bytes.len() - 9]).expect("damaged");
    assert_eq!((gop(plan.clone()).await.map(|gop| gop.len()), starts()), (Ok(10), 2));
    assert_eq!(fs::read(&kept).map(|bytes| Gop::from_bytes(&bytes).is_ok()).ok(), Some(true));

    let other = StillPlan { card: Card::Name("OB van 4".into()), ..plan.clone() };
    assert_ne!(gop(other).await.expect("a GOP"), first);
    let slower = StillPlan { mode: "320x180p25".parse().expect("a mode"), ..plan.clone() };
    assert_eq!(gop(slower).await.expect("a GOP").period(), Duration::from_nanos(Rate::new(25, 1).period()));
    assert_eq!(starts(), 4);

    // The same name with another picture in it.
    let picture = StillPlan { card: Card::Picture(folder.path().join("slate.png")), ..plan };
    file(folder.path(), "slate.png", "color=white:s=64x36", &[]);
    let white = gop(picture.clone()).await.expect("a GOP");
    file(folder.path(), "slate.png", "color=gray:s=64x36", &[]);
    assert_ne!(gop(picture.clone()).await.expect("a GOP"), white);
    assert_eq!(starts(), 6);
    // One that cannot be used costs no worker.
    fs::write(folder.path().join("slate.png"), "no picture").expect("written");
    assert_eq!(gop(picture).await.expect_err("refused").kind, FailureKind::Picture);
    assert_eq!(starts(), 6);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_costs_only_the_next_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, mut plan) = (folder.path().join("slates"), still("x264enc", "320x180p30", Card::Bars));
    plan.keyframe_interval = 5;
    fs::write(&file, "not a folder").expect("written");
    let gop = cards::gop_by(Path::new(WORKER), plan, &file).await;
    assert_eq!(gop.expect("a GOP").len(), 5);
}

#[tokio::test]
async fn a_worker_that_hangs_is_ended_with_the_wish() {
    let folder = tempfile::tempdir().expect("a folder");
    let pid = folder.path().join("pid");
    let binary = script(folder.path(), &format!("echo $$ > {}\nexec sleep 60", pid.display()));
    let wish = cards::gop_by(&binary, still("x264enc", "360p30", card()), folder.path());
    assert!(tokio::time::timeout(Duration::from_secs(2), wish).await.is_err(), "it hangs");
    let pid = fs::read_to_string(pid).expect("it was started");
    let process = PathBuf::from(format!("/proc/{}/stat", pid.trim()));
    for _ in 0..50 {
        if !process.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the worker lives on");
}
