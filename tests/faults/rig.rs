//! The box, its ingest and the network between them, and what is done to them. Everything is in a network and mount
//! namespace of its own.

use crate::{
    Length,
    disk::{self, Disk},
    ingest::Ingest,
    names::{NameServer, named},
    series::{Fault, Faults, Step, series},
    support::{
        daemon::{self, Daemon, signal},
        host::{self, Host},
        now, wait,
    },
    witness::{Seen, Witness},
};
use serde_json::{Value, json};
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

/// After its rest the box has so long to be well again; then it is judged as it is.
const PATIENCE: Duration = Duration::from_secs(12);
/// What lies between two causes: nothing may happen then.
const QUIET: Duration = Duration::from_secs(2);

/// What happened when.
#[derive(Debug, Clone)]
pub struct Done {
    /// What.
    pub fault: Fault,
    /// When it was done.
    pub began: Instant,
    /// When its cause was gone.
    pub gone: Instant,
    /// When the quiet after it was over.
    pub over: Instant,
    /// The status before it began.
    pub before: Value,
    /// The last status, when the quiet was over.
    pub after: Value,
    /// What was found wrong while it was done.
    pub wrong: Vec<String>,
}

/// A whole run.
pub struct Run {
    /// The series.
    pub done: Vec<Done>,
    /// What was seen.
    pub seen: Seen,
    /// The ingest with its recordings.
    pub ingest: Ingest,
    /// Pictures a second.
    pub rate: f64,
    /// Whether the box is emulated: an emulated one needs a multiple of the time, its receiver's picture has no counter that
    /// is read here, and nobody plays anything into its sound card.
    pub emulated: bool,
    /// Faults of the status when the push was over its last quiet.
    pub faults_at_end: Vec<String>,
    /// The daemon's log.
    pub log: String,
}

/// Whether viewers get what they should: on air, the picture live, the sound from the input, at the bitrate that there was
/// before a narrow way.
pub fn is_well(fault: Fault, before: &Value, status: &Value) -> bool {
    let bitrate = |status: &Value| status["stats"]["bitrate"].as_u64().unwrap_or(0) as f64;
    let narrow = matches!(fault, Fault::Narrow | Fault::Thin);
    status["phase"] == "on-air"
        && status["program"]["showing"] == "live"
        && status["input"]["audio"].is_string()
        && (!narrow || bitrate(status) >= 0.8 * bitrate(before))
}

/// Puts the box on air and does to it what the series says.
pub fn run(length: Length, seed: u64) -> Run {
    let host = Host::start();
    host.cable(1);
    command("tc", &format!("qdisc add dev {WAN} root handle 1: tbf {WIDE}"));
    let ingest = Ingest::start_on(&host, INGEST);
    let port = ingest.nginx.port;
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    std::fs::create_dir(&state).expect("a folder");
    command("mount", &format!("-t tmpfs -o size=8m tmpfs {}", state.display()));
    let mut rig = Rig { daemon: Daemon::start_in(folder, &settings(port), &[]), ingest, state, names: None };
    rig.daemon.succeed("start", json!({}));
    wait("on air, and live", PATIENCE, || {
        rig.ask().filter(|status| is_well(Fault::DaemonKilled, &Value::Null, status))
    });
    sleep(QUIET);
    let port = rig.daemon.port;
    let witness = Witness::start(&rig.ingest, "campaign", move || daemon::status_at(port));
    sleep(QUIET);
    let steps = series(seed, Faults::ON_LOOPBACK);
    let done = length.of(steps, Faults::ON_LOOPBACK.count()).map(|step| rig.take(step)).collect();
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
    Run { done, seen, ingest: rig.ingest, rate: 30.0, emulated: false, faults_at_end, log }
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
    names: Option<NameServer>,
}

impl Disk for Rig {
    fn fill(&mut self, full: bool) {
        let filler = self.state.join("filler");
        if full {
            // As much as fits.
            let _ = std::fs::write(filler, vec![0; 16 << 20]);
        } else {
            std::fs::remove_file(filler).expect("removed");
        }
    }

    fn tell(&mut self, command: &str, arguments: Value) -> u16 {
        self.daemon.command(command, arguments).0
    }

    fn ask(&mut self) -> Option<Value> {
        daemon::status_at(self.daemon.port)
    }

    fn intent(&mut self) -> Value {
        let text = std::fs::read(self.state.join("intent.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(4)
    }
}

impl Rig {
    fn take(&mut self, step: Step) -> Done {
        eprintln!("{:6.1} s  {}", step.lasts.as_secs_f64(), step.fault);
        let mut wrong = Vec::new();
        let before = self.ask().unwrap_or_default();
        let began = now();
        self.begin(step.fault, &mut wrong);
        sleep(step.lasts);
        self.end(step.fault, &mut wrong);
        let gone = now();
        sleep(step.rest);
        let well = |status: Option<Value>| status.is_some_and(|status| is_well(step.fault, &before, &status));
        while !well(self.ask()) && gone.elapsed() < step.rest + PATIENCE {
            sleep(Duration::from_millis(50));
        }
        sleep(QUIET);
        let after = self.ask().unwrap_or_default();
        Done { fault: step.fault, began, gone, over: now(), before, after, wrong }
    }

    fn begin(&mut self, fault: Fault, wrong: &mut Vec<String>) {
        match fault {
            Fault::VideoKilled => signal(self.worker("video"), "KILL"),
            Fault::VideoWedged => signal(self.worker("video"), "STOP"),
            Fault::SoundKilled => signal(self.worker("audio"), "KILL"),
            Fault::DaemonKilled => self.kill_daemon(),
            Fault::IngestKilled => self.ingest.nginx.kill(),
            Fault::IngestFrozen => self.ingest.nginx.freeze(),
            Fault::Narrow => change_way(NARROW),
            Fault::Outage => change_way(SHUT),
            Fault::LinkDown => host::ip(&format!("link set {WAN} down")),
            Fault::NameGone => {
                self.names = None;
                self.ingest.nginx.kill();
                named(false, INGEST);
            }
            Fault::NameSilent => {
                self.names = None;
                self.names = Some(NameServer::silent(INGEST.parse().expect("an address")));
                named(false, INGEST);
                self.kill_daemon();
            }
            Fault::DiskFull => disk::fill(self, wrong),
            Fault::OperatorSlate => drop(self.daemon.succeed("show", json!({"what": "slate"}))),
            _ => unreachable!("on the emulated box"),
        }
    }

    fn end(&mut self, fault: Fault, wrong: &mut Vec<String>) {
        match fault {
            Fault::IngestKilled => self.ingest.nginx.restart(),
            Fault::IngestFrozen => self.ingest.nginx.thaw(),
            Fault::Narrow | Fault::Outage => change_way(WIDE),
            Fault::LinkDown => host::ip(&format!("link set {WAN} up")),
            Fault::NameGone => {
                named(true, INGEST);
                self.ingest.nginx.restart();
            }
            Fault::NameSilent => {
                // It could as well be on air by an address that it should not know.
                if self.ask().is_some_and(|status| status["phase"] == "on-air") {
                    wrong.push("it was on air without a name for its ingest".into());
                }
                named(true, INGEST);
                self.names.as_ref().expect("the name server").speak();
            }
            Fault::DiskFull => disk::empty(self, wrong),
            Fault::OperatorSlate => drop(self.daemon.succeed("show", json!({"what": "live"}))),
            _ => {}
        }
    }

    fn kill_daemon(&mut self) {
        self.daemon.signal("KILL");
        self.daemon.ended(Duration::from_secs(2));
        // What Restart=always of the unit does.
        sleep(Duration::from_millis(100));
        self.daemon.start_again();
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

fn change_way(way: &str) {
    command("tc", &format!("qdisc change dev {WAN} root handle 1: tbf {way}"));
}

fn command(program: &str, words: &str) {
    let output =
        Command::new(program).args(words.split(' ')).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words}: {said}");
}
