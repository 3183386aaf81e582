//! The box, its ingest and the network between them, and what is done to them. Everything is in a network and mount
//! namespace of its own.

use crate::{
    ingest::Ingest,
    series::{Fault, Step, series},
    support::{
        daemon::{self, Daemon, signal},
        host::{self, Host},
        now, wait,
    },
    witness::{Seen, Witness},
};
use serde_json::json;
use std::{
    path::PathBuf,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

/// Names come from a file of our own, and nobody answers DNS.
pub const NAMESPACE: &str = "ip link set lo up; cp /etc/hosts /tmp/fieldcast-hosts.$$
     mount -t tmpfs tmpfs /mnt; mv /tmp/fieldcast-hosts.$$ /mnt/plain
     (cat /mnt/plain; echo '10.9.1.2 ingest.test') >/mnt/hosts; echo 'nameserver 127.0.0.1' >/mnt/resolv.conf
     mount --bind /mnt/hosts /etc/hosts; mount --bind /mnt/resolv.conf /etc/resolv.conf";

/// Where the ingest is, and the box's interface to it.
const INGEST: &str = "10.9.1.2";
const WAN: &str = "c1";
/// More than the program needs.
const WIDE: &str = "rate 100mbit burst 256kb limit 10mb";
/// As a mobile uplink in a full stadium.
const NARROW: &str = "rate 250kbit burst 4kb limit 32kb";
/// Nothing fits through.
const SHUT: &str = "rate 8bit burst 1 limit 1";

/// What happened when.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// What.
    pub fault: Fault,
    /// When it was done.
    pub began: Instant,
    /// When its cause was gone.
    pub gone: Instant,
    /// When the quiet after it was over.
    pub over: Instant,
    /// Whether the status said on air then, where whoever waited asked for it: an emulated box takes seconds to answer.
    pub on_air: Option<bool>,
}

/// A whole run.
pub struct Run {
    /// The series.
    pub done: Vec<Done>,
    /// What was seen.
    pub seen: Seen,
    /// The ingest with its recordings.
    pub ingest: Ingest,
    /// The stream's key.
    pub key: &'static str,
    /// Pictures a second.
    pub rate: f64,
    /// Whether times are judged: not under emulation.
    pub timed: bool,
    /// Faults of the status when the push was over its last quiet.
    pub faults_at_end: Vec<String>,
    /// The daemon's log.
    pub log: String,
}

/// Puts the box on air and does to it what the series says for `length`.
pub fn run(length: Duration, seed: u64) -> Run {
    let host = Host::start();
    host.cable(1);
    command("tc", &format!("qdisc add dev {WAN} root handle 1: tbf {WIDE}"));
    let ingest = Ingest::start_on(&host, INGEST);
    let port = ingest.nginx.port;
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    std::fs::create_dir(&state).expect("a folder");
    command("mount", &format!("-t tmpfs -o size=8m tmpfs {}", state.display()));
    let mut rig = Rig { daemon: Daemon::start_in(folder, &settings(port), &[]), ingest, state };
    rig.daemon.succeed("start", json!({}));
    sleep(Duration::from_secs(4));
    let port = rig.daemon.port;
    let witness = Witness::start(rig.ingest.nginx.folder(), move || daemon::status_at(port));
    let begun = now();
    let mut done = Vec::new();
    sleep(Duration::from_secs(2));
    for step in series(seed, &Fault::ON_LOOPBACK).take_while(|_| begun.elapsed() < length) {
        done.push(rig.take(step));
    }
    // A worker that was replaced has to live for a while before it counts as well.
    let quiet = now();
    while !rig.daemon.faults().is_empty() && quiet.elapsed() < Duration::from_secs(8) {
        sleep(Duration::from_millis(200));
    }
    let faults_at_end = rig.daemon.faults();
    rig.daemon.succeed("stop", json!({"confirm": true}));
    let seen = witness.end();
    let log = rig.daemon.log();
    drop(rig.daemon);
    command("umount", &rig.state.display().to_string());
    Run { done, seen, ingest: rig.ingest, key: "campaign", rate: 30.0, timed: true, faults_at_end, log }
}

fn settings(port: u16) -> String {
    format!(
        r#"
[output]
mode = "320x180p30"
bitrate-max = "800 kbit/s"
bitrate-min = "100 kbit/s"
audio-bitrate = "64 kbit/s"
[[source]]
name = "Main"
url = "rtmp://ingest.test:{port}/live"
key = "campaign"
[push]
at-power-on = "resume"
"#
    )
}

struct Rig {
    daemon: Daemon,
    ingest: Ingest,
    state: PathBuf,
}

impl Rig {
    fn take(&mut self, step: Step) -> Done {
        eprintln!("{:6.1} s  {}", step.lasts.as_secs_f64(), step.fault);
        let began = now();
        self.begin(step.fault);
        sleep(step.lasts);
        self.end(step.fault);
        let gone = now();
        sleep(step.rest);
        Done { fault: step.fault, began, gone, over: now(), on_air: None }
    }

    fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::VideoKilled => signal(self.worker("video"), "KILL"),
            Fault::VideoWedged => signal(self.worker("video"), "STOP"),
            Fault::SoundKilled => signal(self.worker("audio"), "KILL"),
            Fault::DaemonKilled => {
                self.daemon.signal("KILL");
                self.daemon.ended(Duration::from_secs(2));
                // What Restart=always of the unit does.
                sleep(Duration::from_millis(100));
                self.daemon.start_again();
            }
            Fault::IngestKilled => self.ingest.nginx.kill(),
            Fault::IngestFrozen => self.ingest.nginx.freeze(),
            Fault::Narrow => change_way(NARROW),
            Fault::Outage => change_way(SHUT),
            Fault::LinkDown => host::ip(&format!("link set {WAN} down")),
            Fault::NameGone => {
                self.ingest.nginx.kill();
                named(false);
            }
            Fault::DiskFull => {
                // As much as fits.
                let _ = std::fs::write(self.state.join("filler"), vec![0; 16 << 20]);
                self.daemon.command("set", json!({"settings": {"name": "Full"}}));
            }
            Fault::OperatorSlate => drop(self.daemon.command("show", json!({"what": "slate"}))),
            _ => unreachable!("on the emulated box"),
        }
    }

    fn end(&mut self, fault: Fault) {
        match fault {
            Fault::IngestKilled => self.ingest.nginx.restart(),
            Fault::IngestFrozen => self.ingest.nginx.thaw(),
            Fault::Narrow | Fault::Outage => change_way(WIDE),
            Fault::LinkDown => host::ip(&format!("link set {WAN} up")),
            Fault::NameGone => {
                named(true);
                self.ingest.nginx.restart();
            }
            Fault::DiskFull => std::fs::remove_file(self.state.join("filler")).expect("removed"),
            Fault::OperatorSlate => drop(self.daemon.command("show", json!({"what": "live"}))),
            _ => {}
        }
    }

    /// The worker of this track: only that of the picture has loaded an encoder for it.
    fn worker(&self, track: &str) -> u32 {
        let encodes = |pid: &u32| {
            let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
            maps.contains("libgstx264") == (track == "video")
        };
        wait("a worker", Duration::from_secs(5), || self.daemon.workers().into_iter().find(encodes))
    }
}

/// Whether the ingest has a name.
fn named(named: bool) {
    let plain = std::fs::read_to_string("/mnt/plain").expect("names");
    let text = if named { plain + &format!("{INGEST} ingest.test\n") } else { plain };
    // In place: the file is mounted.
    std::fs::write("/etc/hosts", text).expect("names");
}

fn change_way(way: &str) {
    command("tc", &format!("qdisc change dev {WAN} root handle 1: tbf {way}"));
}

fn command(program: &str, words: &str) {
    let output =
        Command::new(program).args(words.split(' ')).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words}: {said}");
}
