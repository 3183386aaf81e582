//! What a worker cannot do any more: by the function itself in a child of this test, and by a real worker that runs.

use crate::rig::{Rig, video};
use fieldcast::{
    media::{Order, Plan, Report, VideoPlan, VideoSource, confine},
    sys,
};
use std::{
    env, fs,
    io::{self, ErrorKind, Read as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

/// The folder in which the child looks for what it must not find.
const FOLDER: &str = "CONFINED_FOLDER";
/// A port of the parent's.
const PORT: &str = "CONFINED_PORT";

fn refused<T>(what: &str, result: io::Result<T>) {
    let error = result.err().unwrap_or_else(|| panic!("{what} works"));
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{what}: {error}");
}

#[test]
fn a_confined_process_has_no_network_and_no_files_of_ours() {
    assert!(sys::landlock_is_there(), "this machine's kernel has no Landlock: the test shows nothing");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("key"), "secret").expect("written");
    fs::create_dir(folder.path().join("plugins")).expect("made");
    fs::write(folder.path().join("plugins/libgstmine.so"), "x").expect("written");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let _bus = UnixListener::bind(folder.path().join("bus")).expect("a socket");
    let child = Command::new(env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "--nocapture", "confined::tries_what_it_must_not"])
        .env(FOLDER, folder.path())
        .env(PORT, listener.local_addr().expect("bound").port().to_string())
        .env("XDG_CACHE_HOME", folder.path().join("cache"))
        .env("GST_PLUGIN_PATH", folder.path().join("plugins"))
        .env_remove("GST_REGISTRY")
        .env_remove("GST_REGISTRY_1_0")
        .stdin(Stdio::null())
        .output()
        .expect("run");
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{told}{}", String::from_utf8_lossy(&child.stderr));
    println!("{}", told.lines().find(|line| line.contains("confined in")).expect("how long it took"));
    assert!(folder.path().join("cache/gstreamer-1.0/registry").exists(), "the registry is kept");
}

#[test]
#[ignore = "run by a_confined_process_has_no_network_and_no_files_of_ours in a process of its own"]
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn tries_what_it_must_not() {
    let folder = env::var_os(FOLDER).expect("the folder");
    let folder = Path::new(&folder);
    let port: u16 = env::var(PORT).expect("a port").parse().expect("a number");
    let open = TcpStream::connect(("127.0.0.1", port));
    assert!(open.is_ok(), "before, it can");
    let begun = Instant::now();
    confine::confine().expect("confined");
    // Below 1 ms on a machine that does nothing else.
    println!("confined in {} us", begun.elapsed().as_micros());

    refused("TCP", TcpStream::connect(("127.0.0.1", port)));
    refused("listening", TcpListener::bind("127.0.0.1:0"));
    refused("UDP", UdpSocket::bind("127.0.0.1:0"));
    refused("a socket of the system's", UnixStream::connect(folder.join("bus")));
    UnixStream::pair().expect("a pair is nobody else's");

    refused("reading the state", fs::read(folder.join("key")));
    refused("listing the state", fs::read_dir(folder));
    refused("writing beside it", fs::write(folder.join("other"), "x"));
    refused("deleting", fs::remove_file(folder.join("key")));
    refused("writing to /tmp", fs::write("/tmp/fieldcast-confined", "x"));
    refused("reading accounts", fs::read("/etc/shadow"));
    fs::read_dir("/usr/lib").expect("libraries are read");
    fs::read(folder.join("plugins/libgstmine.so")).expect("plugins outside /usr are read");
    let mut null = fs::File::open("/dev/null").expect("devices are opened");
    assert_eq!(null.read(&mut [0; 4]).expect("read"), 0);
    fs::read_to_string("/proc/self/status").expect("itself");
    let registry = folder.join("cache/gstreamer-1.0");
    fs::write(registry.join("registry.tmp"), "x").expect("the registry is written");
    fs::rename(registry.join("registry.tmp"), registry.join("registry")).expect("and replaced");

    let parent = rustix::process::getppid().expect("a parent");
    let of_parent = |file: &str| format!("/proc/{}/{file}", parent.as_raw_nonzero());
    refused("the daemon's descriptors", fs::read_link(of_parent("fd/0")));
    refused("the daemon's memory", fs::File::open(of_parent("mem")));
    refused("a signal to the daemon", rustix::process::test_kill_process(parent).map_err(Into::into));
    // What it starts is confined too.
    let inherited = Command::new("cat").arg(folder.join("key")).output().expect("run");
    assert!(!inherited.status.success());
}

#[tokio::test]
async fn a_running_worker_is_confined() {
    let mut rig = Rig::start(Plan::Video(video("x264enc", "360p30")));
    rig.order(Order::Encode);
    rig.units(3).await;
    let pid = rig.worker.as_ref().and_then(fieldcast::media::supervisor::Worker::pid).expect("a process");
    // Each thread of GStreamer's.
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("threads").flatten();
    let states: Vec<String> = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok()).collect();
    assert!(states.len() > 3, "{} threads", states.len());
    for state in &states {
        assert!(state.contains("NoNewPrivs:\t1\n") && state.contains("Seccomp:\t2\n"), "{state}");
    }
}

#[tokio::test]
async fn a_plan_that_names_something_outside_dev_opens_nothing() {
    // A device, as a file would be refused by its kind before it is opened: /dev/null's twin, in a state folder.
    let folder = tempfile::tempdir().expect("a folder");
    let device = folder.path().join("video0");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let null = rustix::fs::makedev(1, 3);
    if let Err(error) = rustix::fs::mknodat(rustix::fs::CWD, &device, rustix::fs::FileType::CharacterDevice, mode, null)
    {
        assert!(env::var("CI").is_err(), "making a device node: {error}");
        return eprintln!("SKIPPED: only root makes device nodes ({error})");
    }
    let mode = "640x360p30".parse().expect("a mode");
    let plan = |device: &Path| {
        let source = VideoSource::V4l2 { device: device.into(), format: None, mode, hdmi: false };
        Plan::Video(VideoPlan { source, ..video("x264enc", "360p30") })
    };
    let mut texts = Vec::new();
    for device in [Path::new("/dev/null"), &device] {
        let mut rig = Rig::start(plan(device));
        let failure = rig.rest().await.into_iter().find_map(|report| match report {
            Report::Failed(failure) => Some(failure),
            _ => None,
        });
        texts.push(failure.expect("it cannot go on").text);
    }
    assert!(!texts[0].contains("Permission denied"), "that one is opened, and is no camera: {}", texts[0]);
    assert!(texts[1].contains("Permission denied"), "{}", texts[1]);
}
