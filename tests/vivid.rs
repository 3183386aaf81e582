//! Tier "emulated box", run inside it: capture and buttons against a real kernel, with vivid as HDMI receiver and camera
//! and uinput as keyboard. Needs root, v4l2-ctl, and `modprobe vivid n_devs=2 node_types=0x1,0x1 num_inputs=1,1
//! input_types=0x3,0x0`; elsewhere ignored. One at a time: `vivid --ignored --test-threads=1`.

use evdev::{AttributeSet, EventType, InputEvent, KeyCode, uinput::VirtualDevice};
use fieldcast::{
    board::{Board, Button, ButtonPlace, ButtonRole, Input, InputKind, Link, Pad},
    capture,
    control::{Event, Signal},
    panel::buttons,
    status::SignalState,
    sys::v4l2::Node,
    units::Mode,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::timeout,
};

fn boards() -> PathBuf {
    // The folder of the installation in the box, the checkout's elsewhere.
    let installed = PathBuf::from("/usr/share/fieldcast/boards");
    if installed.exists() { installed } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("boards") }
}

fn input(name: &str) -> Input {
    let board = Board::find(Path::new("/"), &[boards()], None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(board.name, "qemu-virt");
    board.inputs.into_iter().find(|input| input.name == name).expect("the input")
}

fn control(node: &Path, setting: &str) {
    let status = Command::new("v4l2-ctl").arg("-d").arg(node).args(["-c", setting]).status().expect("v4l2-ctl");
    assert!(status.success(), "{setting}");
}

/// vivid's "DV Timings Signal Mode": 0 what is set, 1 none, 2 no lock, 3 out of range, 4 the one of `dv_timings`.
fn signal_mode(node: &Path, mode: u32) {
    control(node, &format!("dv_timings_signal_mode={mode}"));
}

async fn next(events: &mut UnboundedReceiver<Event>) -> Signal {
    match timeout(Duration::from_secs(8), events.recv()).await.expect("an event in time") {
        Some(Event::Signal { signal, .. }) => signal,
        other => panic!("a signal, not {other:?}"),
    }
}

async fn until(events: &mut UnboundedReceiver<Event>, state: SignalState) -> Signal {
    loop {
        let signal = next(events).await;
        if signal.state == state {
            return signal;
        }
    }
}

async fn quiet(events: &mut UnboundedReceiver<Event>) {
    if let Ok(event) = timeout(Duration::from_millis(1500), events.recv()).await {
        panic!("nothing has changed: {event:?}");
    }
}

fn mode(text: &str) -> Mode {
    text.parse().expect("a mode")
}

/// The place of `name` in vivid's menu of timings.
fn menu(node: &Path, name: &str) -> String {
    let list = Command::new("v4l2-ctl").arg("-d").arg(node).arg("--list-ctrls-menus").output().expect("v4l2-ctl");
    let list = String::from_utf8(list.stdout).expect("text");
    let line = list.lines().find(|line| line.trim_end().ends_with(&format!(": {name}")));
    line.unwrap_or_else(|| panic!("{name} is not in\n{list}")).split(':').next().expect("a number").trim().to_string()
}

#[tokio::test]
#[ignore = "needs the emulated box"]
async fn hdmi_is_followed_through_all_its_states() {
    let input = input("hdmi");
    let InputKind::Hdmi(hdmi) = &input.kind else { panic!("HDMI") };
    let (sender, mut events) = unbounded_channel();
    let watch = capture::watch(&input, mode("720p30"), sender).expect("a watch");
    let first = until(&mut events, SignalState::Locked).await;
    let node = first.node.clone().expect("a node");
    signal_mode(&node, 0);
    assert!(first.format.is_some() && !first.protected, "{first:?}");
    let edid = || Node::open(&node).and_then(|node| node.edid(0, 4)).expect("an EDID");
    assert!(hdmi.edid.as_ref().expect("the board's").is(&edid()), "{:02x?}", edid());

    signal_mode(&node, 1);
    assert_eq!(next(&mut events).await.state, SignalState::NoCable);
    signal_mode(&node, 2);
    assert_eq!(next(&mut events).await.state, SignalState::NoLock);
    signal_mode(&node, 3);
    let lost = next(&mut events).await;
    assert_eq!((lost.state, lost.mode, lost.node.as_ref()), (SignalState::OutOfRange, None, Some(&node)));
    // vivid names interlaced timings after their pictures, we after their fields.
    for (timings, expected) in [
        ("1920x1080p50", "1920x1080p50"),
        ("1280x720p60", "1280x720p60"),
        ("1920x1080i25", "1920x1080i50"),
        ("1920x1080p60", "1920x1080p60"),
    ] {
        control(&node, &format!("dv_timings={}", menu(&node, timings)));
        signal_mode(&node, 4);
        let signal = until(&mut events, SignalState::Locked).await;
        assert_eq!(signal.mode, Some(mode(expected)));
        // The receiver is set to it, so that it can be captured.
        let set = Node::open(&node).and_then(|node| node.timings()).expect("timings").timings();
        assert_eq!((set.width, set.height), (mode(expected).width, mode(expected).height));
        quiet(&mut events).await;
        signal_mode(&node, 2);
        assert_eq!(next(&mut events).await.state, SignalState::NoLock);
    }
    drop(watch);
    signal_mode(&node, 4);
    assert!(timeout(Duration::from_secs(2), events.recv()).await.expect("closed").is_none(), "nothing after the end");
}

#[tokio::test]
#[ignore = "needs the emulated box"]
async fn a_new_mode_is_told_while_the_old_one_is_captured_and_set_when_that_ends() {
    let input = input("hdmi");
    let node = PathBuf::from("/dev/video0");
    signal_mode(&node, 4);
    control(&node, &format!("dv_timings={}", menu(&node, "1280x720p60")));
    let (sender, mut events) = unbounded_channel();
    let _watch = capture::watch(&input, mode("720p30"), sender).expect("a watch");
    assert_eq!(next(&mut events).await.mode, Some(mode("1280x720p60")));
    let mut capturing = Command::new("v4l2-ctl")
        .arg("-d")
        .arg(&node)
        .args(["--stream-mmap", "--stream-count=100000"])
        .stderr(Stdio::null())
        .spawn()
        .expect("v4l2-ctl");
    tokio::time::sleep(Duration::from_secs(1)).await;
    control(&node, &format!("dv_timings={}", menu(&node, "1280x720p50")));
    assert_eq!(next(&mut events).await.mode, Some(mode("1280x720p50")));
    let set = || Node::open(&node).and_then(|node| node.timings()).expect("timings").timings();
    assert_eq!(set().horizontal_blanking, 370, "still captured with 1280x720p60");
    capturing.kill().and_then(|()| capturing.wait()).expect("killed");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(set().horizontal_blanking, 700);
    quiet(&mut events).await;
}

#[tokio::test]
#[ignore = "needs the emulated box"]
async fn devices_are_followed_through_removal() {
    let watches = ["hdmi", "camera"].map(|name| {
        let (sender, events) = unbounded_channel();
        (capture::watch(&input(name), mode("640x360p30"), sender).expect("a watch"), events)
    });
    signal_mode(Path::new("/dev/video0"), 0);
    let [(_hdmi, mut hdmi), (_camera, mut camera)] = watches;
    until(&mut hdmi, SignalState::Locked).await;
    let camera_locked = until(&mut camera, SignalState::Locked).await;
    let nodes = fs::read_dir("/sys/class/video4linux").expect("nodes").count();
    fs::write("/sys/bus/platform/drivers/vivid/unbind", "vivid.0").expect("unbound");
    assert_eq!(until(&mut hdmi, SignalState::NoDevice).await.node, None);
    assert_eq!(until(&mut camera, SignalState::NoDevice).await.node, None);
    assert_ne!(fs::read_dir("/sys/class/video4linux").expect("nodes").count(), nodes);
    quiet(&mut hdmi).await;
    fs::write("/sys/bus/platform/drivers/vivid/bind", "vivid.0").expect("bound");
    // What vivid begins with.
    assert_eq!(until(&mut hdmi, SignalState::Locked).await.mode, Some(mode("1280x720p60")));
    assert_eq!(until(&mut camera, SignalState::Locked).await.format, camera_locked.format);
}

#[tokio::test]
#[ignore = "needs the emulated box"]
async fn a_camera_that_comes_back_under_another_number_is_found() {
    let (sender, mut events) = unbounded_channel();
    let _watch = capture::watch(&input("camera"), mode("640x360p30"), sender).expect("a watch");
    let before = until(&mut events, SignalState::Locked).await;
    let node = before.node.clone().expect("a node");
    // Whoever captures holds the old number for a while, as after a camera was put into another port.
    let held = Node::open(&node).expect("open");
    fs::write("/sys/bus/platform/drivers/vivid/unbind", "vivid.0").expect("unbound");
    fs::write("/sys/bus/platform/drivers/vivid/bind", "vivid.0").expect("bound");
    let gone = next(&mut events).await;
    assert_eq!((gone.state, gone.node), (SignalState::NoDevice, None), "told even when another is there already");
    let after = until(&mut events, SignalState::Locked).await;
    assert_ne!(after.node, Some(node));
    assert_eq!((after.mode, after.format), (before.mode, before.format));
    drop(held);
    quiet(&mut events).await;
}

#[tokio::test]
#[ignore = "needs the emulated box"]
async fn a_camera_is_asked_for_what_it_lists() {
    let (sender, mut events) = unbounded_channel();
    let _watch = capture::watch(&input("camera"), mode("1280x720p30"), sender).expect("a watch");
    let signal = until(&mut events, SignalState::Locked).await;
    let (node, format) = (signal.node.expect("a node"), signal.format.expect("a format"));
    let chosen = signal.mode.expect("a mode");
    let size = format!("width={},height={}", chosen.width, chosen.height);
    let list = Command::new("v4l2-ctl")
        .arg("-d")
        .arg(&node)
        .arg(format!("--list-frameintervals={size},pixelformat={format}"))
        .output()
        .expect("v4l2-ctl");
    let list = String::from_utf8(list.stdout).expect("text");
    let rate = format!("({:.3} fps)", chosen.rate.hz());
    assert!(list.contains(&rate), "{rate} of {chosen} {format} is not in\n{list}");
}

#[test]
#[ignore = "needs the emulated box"]
fn probe_shows_what_is_there() {
    let found = capture::hardware(Path::new("/"));
    let hdmi = found.video.iter().find(|video| video.name.starts_with("vivid-000")).expect("the receiver");
    assert_eq!((hdmi.driver.as_deref(), hdmi.card.as_str()), (Some("vivid"), "vivid"));
    assert!(hdmi.inputs[0].dv_timings && hdmi.inputs[0].selected, "{:?}", hdmi.inputs);
    assert!(hdmi.signal.is_some());
    let camera = found.video.iter().find(|video| video.name.starts_with("vivid-001")).expect("the camera");
    assert_eq!(camera.signal, None);
    assert!(camera.formats.iter().any(|format| format.format == "YUYV" && !format.sizes.is_empty()));
    serde_json::to_string(&found).expect("a document");
}

#[test]
#[ignore = "needs the emulated box"]
fn the_media_controller_answers() {
    let Ok(media) = Node::open(Path::new("/dev/media0")) else {
        println!("this kernel's vivid has no media controller");
        return;
    };
    let entities = media.entities().expect("entities");
    let names: Vec<&str> = entities.iter().map(|entity| entity.name.as_str()).collect();
    assert!(names.contains(&"vivid-000-vid-cap"), "{names:?}");
    let same = (&entities[0], 0);
    let error = media.enable_link(same, same).expect_err("there is no such link");
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "the request is known, the link is not");
}

#[tokio::test]
#[ignore = "needs the emulated box"]
async fn a_link_that_cannot_be_set_leaves_the_input_without_device() {
    let mut input = input("hdmi");
    let InputKind::Hdmi(hdmi) = &mut input.kind else { panic!("HDMI") };
    let pad = Pad { entity: "vivid-000-vid-cap".into(), index: 0 };
    hdmi.links = vec![Link { source: pad.clone(), sink: pad }];
    let (sender, mut events) = unbounded_channel();
    let _watch = capture::watch(&input, mode("720p30"), sender).expect("a watch");
    assert_eq!(next(&mut events).await.state, SignalState::NoDevice);
    quiet(&mut events).await;
}

async fn press(events: &mut UnboundedReceiver<Event>) -> Option<bool> {
    match timeout(Duration::from_secs(4), events.recv()).await {
        Ok(Some(Event::Button { role: ButtonRole::Go, pressed })) => Some(pressed),
        Ok(other) => panic!("a button, not {other:?}"),
        Err(_) => None,
    }
}

#[tokio::test]
#[ignore = "needs the emulated box"]
async fn buttons_come_go_and_are_pressed() {
    let keyboard = || {
        let keys: AttributeSet<KeyCode> = [KeyCode::KEY_G, KeyCode::KEY_H].into_iter().collect();
        let builder = VirtualDevice::builder().expect("uinput").name("Bench keyboard");
        builder.with_keys(&keys).expect("keys").build().expect("a keyboard")
    };
    let key = |code: KeyCode, value| [InputEvent::new(EventType::KEY.0, code.0, value)];
    let mut first = keyboard();
    let place = ButtonPlace::Key { key: "KEY_G".into(), device: Some("Bench".into()) };
    let wanted = [Button { role: ButtonRole::Go, place }];
    let (sender, mut events) = unbounded_channel();
    let watch = buttons::watch(&wanted, sender).expect("a watch");
    tokio::time::sleep(Duration::from_secs(3)).await;
    first.emit(&key(KeyCode::KEY_H, 1)).expect("pressed");
    first.emit(&key(KeyCode::KEY_G, 1)).expect("pressed");
    assert_eq!(press(&mut events).await, Some(true));
    first.emit(&key(KeyCode::KEY_G, 2)).expect("repeated");
    first.emit(&key(KeyCode::KEY_G, 0)).expect("released");
    assert_eq!(press(&mut events).await, Some(false));
    first.emit(&key(KeyCode::KEY_G, 1)).expect("pressed");
    assert_eq!(press(&mut events).await, Some(true));
    drop(first);
    assert_eq!(press(&mut events).await, Some(false), "a lost device is a release");
    let mut second = keyboard();
    tokio::time::sleep(Duration::from_secs(3)).await;
    second.emit(&key(KeyCode::KEY_G, 1)).expect("pressed");
    assert_eq!(press(&mut events).await, Some(true), "found again");
    assert!(buttons::devices().iter().any(|device| device.name == "Bench keyboard" && device.keys.len() == 2));
    drop(watch);
}
