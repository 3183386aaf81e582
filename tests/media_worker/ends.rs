//! How a worker ends: asked, killed, with its daemon, or for good reason.

use crate::rig::{Rig, WORKER, audio, encoder, script, video};
use fieldcast::{
    media::{AudioSource, FailureKind, Flow, Order, Plan, Report, VideoPlan, VideoSource, supervisor::Said, wire},
    settings::{Codec, Latency},
    sys,
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

fn process_lives(pid: u32) -> bool {
    // A zombie lives no more.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn dies_within(pid: u32, limit: Duration) -> bool {
    let until = sys::now() + limit;
    while process_lives(pid) && sys::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    !process_lives(pid)
}

/// The line of a worker's script that says its process id in the file `pid` of `folder`.
fn say_pid(folder: &Path) -> String {
    format!("echo $$ > {0}/pid.new && mv {0}/pid.new {0}/pid", folder.display())
}

fn with_pid(folder: &Path, lines: &str) -> std::path::PathBuf {
    script(folder, &format!("{}\n{lines}", say_pid(folder)))
}

async fn pid(folder: &Path) -> u32 {
    loop {
        if let Ok(text) = std::fs::read_to_string(folder.join("pid")) {
            return text.trim().parse().expect("a process id");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn send(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process id");
    rustix::process::kill_process(pid, signal).expect("sent");
}

#[tokio::test]
async fn a_killed_worker_is_reported_once_after_all_that_it_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rig = Rig::start_as(&with_pid(folder.path(), "exec $WORKER"), Plan::Video(video("x264enc", "360p30")));
    rig.order(Order::Encode);
    rig.units(10).await;
    let pid = pid(folder.path()).await;
    send(pid, rustix::process::Signal::KILL);
    let from = sys::now();
    rig.rest().await;
    assert!(sys::now().since(from) < Duration::from_millis(500));
    assert!(!process_lives(pid), "reaped");
    // Orders to it are forgotten.
    rig.order(Order::Keyframe);
}

#[tokio::test]
async fn a_stopped_worker_is_gone_at_once() {
    let mut rig = Rig::start(Plan::Video(video("x264enc", "360p30")));
    rig.order(Order::Encode);
    rig.units(5).await;
    let from = sys::now();
    rig.worker.take().expect("a worker").stop();
    rig.rest().await;
    assert!(sys::now().since(from) < Duration::from_millis(500), "{:?}", sys::now().since(from));
}

#[tokio::test]
async fn a_worker_that_does_not_end_is_killed_after_a_second() {
    let folder = tempfile::tempdir().expect("a folder");
    // Neither reads its socket nor minds SIGTERM; and a child of its own holds the socket open. It is met when all that
    // is so.
    let lines = format!("trap '' TERM; sleep 30 &\n{}\nwhile true; do sleep 1; done", say_pid(folder.path()));
    let mut rig = Rig::start_as(&script(folder.path(), &lines), Plan::Audio(audio(AudioSource::Test)));
    let pid = pid(folder.path()).await;
    let from = sys::now();
    rig.worker.take().expect("a worker").stop();
    rig.rest().await;
    let took = sys::now().since(from);
    assert!((Duration::from_millis(900)..Duration::from_millis(1900)).contains(&took), "{took:?}");
    assert!(!process_lives(pid));
}

#[tokio::test]
async fn a_worker_that_talks_nonsense_is_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = "head -c 4000 /dev/zero >&0; sleep 30";
    let mut rig = Rig::start_as(&script(folder.path(), lines), Plan::Audio(audio(AudioSource::Test)));
    let from = sys::now();
    assert_eq!(rig.rest().await, []);
    assert!(sys::now().since(from) < Duration::from_secs(3));
}

#[tokio::test]
async fn a_full_channel_does_not_hold_up_the_end() {
    let mut rig = Rig::start(Plan::Video(video("x264enc", "360p30")));
    rig.order(Order::Encode);
    rig.units(1).await;
    // More pictures than the channel and the socket hold, and nobody takes them.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let from = sys::now();
    rig.worker.take().expect("a worker").stop();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    rig.rest().await;
    assert!(sys::now().since(from) < Duration::from_millis(2500));
}

/// A worker whose parent is a shell, not the daemon: its process id, the shell, and our end of the socket.
fn with_a_shell_for_a_parent() -> (u32, std::process::Child, UnixStream) {
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    let mut shell = Command::new("sh")
        .args(["-c", "exec 3<&0; \"$0\" <&3 & echo $!; exec 3<&- 0</dev/null; wait", WORKER])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut line = String::new();
    BufReader::new(shell.stdout.take().expect("an output")).read_line(&mut line).expect("a line");
    let plan = Plan::Video(video("x264enc", "360p30"));
    ours.write_all(&wire::request(&wire::Request::Plan(plan))).expect("a plan");
    // It runs: the first report comes.
    ours.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
    ours.read_exact(&mut [0]).expect("a report");
    (line.trim().parse().expect("a process id"), shell, ours)
}

#[tokio::test]
async fn a_worker_dies_with_its_parent() {
    let (pid, mut shell, ours) = with_a_shell_for_a_parent();
    assert!(process_lives(pid));
    shell.kill().expect("killed");
    shell.wait().expect("reaped");
    assert!(dies_within(pid, Duration::from_secs(1)).await);
    drop(ours);
}

#[tokio::test]
async fn a_worker_ends_when_its_socket_closes() {
    let (pid, mut shell, ours) = with_a_shell_for_a_parent();
    drop(ours);
    assert!(dies_within(pid, Duration::from_secs(1)).await);
    assert!(shell.wait().expect("reaped").success());
}

async fn failure_of(plan: Plan) -> FailureKind {
    let mut rig = Rig::start(plan);
    match &rig.rest().await[..] {
        [Report::Failed(failure)] => failure.kind,
        reports => panic!("{reports:?}"),
    }
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    let plan = video("x264enc", "360p30");
    let camera = |device: &str| VideoSource::V4l2 {
        device: device.into(),
        format: Some("YUYV".into()),
        mode: "360p30".parse().expect("a mode"),
        hdmi: false,
    };
    let with = |change: fn(&mut fieldcast::board::Encoder)| {
        let mut encoder = encoder("x264enc");
        change(&mut encoder);
        Plan::Video(VideoPlan { encoders: vec![encoder], ..plan.clone() })
    };
    assert_eq!(
        failure_of(Plan::Video(VideoPlan { source: camera("/dev/nosuch"), ..plan.clone() })).await,
        FailureKind::Device
    );
    assert_eq!(
        failure_of(Plan::Video(VideoPlan { source: camera("/dev/null"), ..plan.clone() })).await,
        FailureKind::Device
    );
    assert_eq!(failure_of(with(|encoder| encoder.element = "nosuchenc".into())).await, FailureKind::NoEncoder);
    assert_eq!(failure_of(Plan::Video(VideoPlan { codec: Codec::Hevc, ..plan.clone() })).await, FailureKind::NoEncoder);
    assert_eq!(
        failure_of(with(|encoder| drop(encoder.properties.insert("nosuch".into(), "1".into())))).await,
        FailureKind::Other
    );
}

/// How the pipeline flows, as it was said last before something else was picked.
async fn flow(rig: &mut Rig) -> Flow {
    rig.until(|report| if let Report::Alive(flow) = report { Some(*flow) } else { None }).await
}

#[tokio::test]
async fn a_wedged_worker_says_nothing_and_is_gone_once_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rig = Rig::start_as(&with_pid(folder.path(), "exec $WORKER"), Plan::Video(video("x264enc", "360p30")));
    rig.order(Order::Encode);
    for _ in 0..8 {
        let flow = flow(&mut rig).await;
        assert!(flow.captured < Duration::from_millis(500) && flow.waiting < Duration::from_millis(500), "{flow:?}");
    }
    let pid = pid(folder.path()).await;
    send(pid, rustix::process::Signal::STOP);
    let from = sys::now();
    // What it said before comes still, and then nothing.
    while let Ok(said) = tokio::time::timeout(Duration::from_millis(600), rig.said()).await {
        assert!(matches!(said, Said::Report(_)) && sys::now().since(from) < Duration::from_secs(2), "{said:?}");
    }
    let from = sys::now();
    rig.worker.take().expect("a worker").kill();
    rig.rest().await;
    assert!(sys::now().since(from) < Duration::from_millis(200), "not asked first: {:?}", sys::now().since(from));
    assert!(!process_lives(pid));
}

#[tokio::test]
async fn an_encoder_that_gives_nothing_is_told() {
    // The real one, made to look ten seconds ahead.
    let mut encoder = encoder("x264enc");
    encoder.properties.extend(
        [("rc-lookahead", "250"), ("sync-lookahead", "250"), ("mb-tree", "true")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let plan = VideoPlan { encoders: vec![encoder], latency: Latency::Normal, ..video("x264enc", "360p25") };
    let mut rig = Rig::start(Plan::Video(plan));
    rig.order(Order::Encode);
    let stalled = loop {
        let flow = flow(&mut rig).await;
        if flow.waiting > Duration::from_millis(1500) {
            break flow;
        }
    };
    assert!(!stalled.encoded && stalled.captured < Duration::from_millis(500), "it is the encoder: {stalled:?}");
}
