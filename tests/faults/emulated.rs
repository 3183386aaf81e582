//! The same on the emulated box: what only a real kernel, its HDMI receiver and its network can do wrong.

use crate::{
    Length,
    disk::{self, Disk, codes},
    ingest::Ingest,
    rig::{Done, Run, is_well},
    series::{Fault, Faults, Step, series},
    support::{guest::Guest, now},
    witness::Witness,
};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::Duration,
};

/// The receiver.
const HDMI: &str = "/dev/video0";
/// The shell's word for the interface to the ingest.
const WAN: &str = "$(ip route show default | cut -d ' ' -f 5)";
/// A disk that can be filled without harm to the box itself.
const STATE: &str = "/var/lib/fieldcast";

/// 1280x720p25 in vivid's list of timings: less for the emulator to copy than p60.
const SMALL: u32 = 6;
/// 720x576p50 there.
const OTHER: u32 = 2;
/// Noise in vivid's list of pictures: it moves, and takes all the bitrate that it gets.
const NOISE: u32 = 21;
/// Half of what is sent then.
const THIN: &str = "rate 500kbit delay 40ms limit 60";

/// Emulated, a worker takes seconds to be there again, and more on a machine that does other things: so long after its rest the
/// box has to be well.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is seen of a box that is well, before the next cause.
const QUIET: Duration = Duration::from_millis(1500);

/// Puts the box on air and does to it what the series says.
pub fn run(length: Length, seed: u64) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let ingest = Ingest::start();
    let mut guest = Guest::boot(folder.path(), ingest.nginx.port, "always");
    guest.wait_until_ready();
    let picture = format!("-c test_pattern={NOISE} -c dv_timings={SMALL} -c dv_timings_signal_mode=4");
    guest.run(&format!("v4l2-ctl -d {HDMI} {picture}"));
    guest.wait_for_status("on air", |s| s["phase"] == "on-air" && s["program"]["showing"] == "live");
    let mut rig = Rig { guest: Arc::new(Mutex::new(guest)), ingest };
    let asked = rig.guest.clone();
    let witness = Witness::start(&rig.ingest, "box", move || ask(&asked));
    sleep(Duration::from_secs(4));
    let steps = series(seed, Faults::ON_THE_BOX);
    let done = length.of(steps, Faults::ON_THE_BOX.count()).map(|step| rig.take(step)).collect();
    sleep(Duration::from_secs(8));
    let status = rig.guest().status();
    rig.guest().run("systemctl stop fieldcastd");
    let seen = witness.end();
    let log = rig.guest().run("journalctl --no-pager -o short-monotonic -u fieldcastd | tail -n 200");
    let faults_at_end = codes(&status);
    Run { done, seen, ingest: rig.ingest, rate: 25.0, emulated: true, faults_at_end, log }
}

struct Rig {
    guest: Arc<Mutex<Guest>>,
    ingest: Ingest,
}

fn lock(guest: &Mutex<Guest>) -> MutexGuard<'_, Guest> {
    guest.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ask(guest: &Mutex<Guest>) -> Option<Value> {
    Some(lock(guest).status()).filter(Value::is_object)
}

impl Disk for Rig {
    fn fill(&mut self, full: bool) {
        let command = match full {
            true => format!("dd if=/dev/zero of={STATE}/filler bs=64k 2>/dev/null; true"),
            false => format!("rm {STATE}/filler"),
        };
        self.guest().run(&command);
    }

    fn tell(&mut self, command: &str, arguments: Value) -> u16 {
        let body = arguments.to_string();
        let head = format!(
            "POST /api/v1/commands/{command} HTTP/1.0\\r\\nHost: localhost\\r\\nContent-Type: application/json\\r\\n\
             Content-Length: {}\\r\\n\\r\\n",
            body.len()
        );
        let request = format!("exec 3<>/dev/tcp/127.0.0.1/8080 && printf '{head}{body}' >&3 && cat <&3");
        let answer = self.guest().run(&request);
        answer.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    fn ask(&mut self) -> Option<Value> {
        ask(&self.guest)
    }

    fn intent(&mut self) -> Value {
        let (_, text) = self.guest().try_run(&format!("cat {STATE}/intent.json")).expect("the agent");
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }
}

impl Rig {
    fn guest(&self) -> MutexGuard<'_, Guest> {
        lock(&self.guest)
    }

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
        // The status of the moment in which it was well: on a machine that does other things it may starve in the next.
        let after = loop {
            let status = self.ask().unwrap_or_default();
            if is_well(step.fault, &before, &status) || gone.elapsed() >= step.rest + PATIENCE {
                break status;
            }
            sleep(Duration::from_millis(300));
        };
        sleep(QUIET);
        Done { fault: step.fault, began, gone, over: now(), before, after, wrong }
    }

    fn begin(&mut self, fault: Fault, wrong: &mut Vec<String>) {
        let signal = |mode: u32| format!("v4l2-ctl -d {HDMI} -c dv_timings_signal_mode={mode}");
        let command = match fault {
            Fault::NoCable => signal(1),
            Fault::NoLock => signal(2),
            Fault::OutOfRange => signal(3),
            Fault::ModeChange => format!("v4l2-ctl -d {HDMI} -c dv_timings={OTHER}"),
            Fault::Netem => format!("tc qdisc replace dev {WAN} root netem delay 120ms 40ms loss 2%"),
            Fault::Thin => format!("tc qdisc replace dev {WAN} root netem {THIN}"),
            Fault::Outage => format!("tc qdisc replace dev {WAN} root netem loss 100%"),
            Fault::ClockStep => "date -s '+1 day' >/dev/null".into(),
            Fault::DiskFull => return disk::fill(self, wrong),
            Fault::VideoKilled => format!("kill -9 $({VIDEO})"),
            Fault::VideoWedged => format!("kill -STOP $({VIDEO})"),
            Fault::DaemonKilled => "kill -9 $(systemctl show --value -p MainPID fieldcastd)".into(),
            Fault::IngestKilled => return self.ingest.nginx.kill(),
            Fault::IngestFrozen => return self.ingest.nginx.freeze(),
            _ => unreachable!("on loopback"),
        };
        self.guest().run(&command);
    }

    fn end(&mut self, fault: Fault, wrong: &mut Vec<String>) {
        let command = match fault {
            Fault::NoCable | Fault::NoLock | Fault::OutOfRange => {
                format!("v4l2-ctl -d {HDMI} -c dv_timings_signal_mode=4")
            }
            Fault::ModeChange => format!("v4l2-ctl -d {HDMI} -c dv_timings={SMALL}"),
            Fault::Netem | Fault::Thin | Fault::Outage => format!("tc qdisc del dev {WAN} root"),
            Fault::ClockStep => "date -s '-1 day' >/dev/null".into(),
            Fault::DiskFull => return disk::empty(self, wrong),
            Fault::IngestKilled => return self.ingest.nginx.restart(),
            Fault::IngestFrozen => return self.ingest.nginx.thaw(),
            _ => return,
        };
        self.guest().run(&command);
    }
}

/// Prints the process of the video worker: the one that has loaded the encoder.
const VIDEO: &str = "for p in $(pgrep -x fieldcast-media); do grep -q libgstx264 /proc/$p/maps && echo $p; done";
