//! The same on the emulated box: what only a real kernel, its HDMI receiver and its network can do wrong.

use crate::{
    ingest::Ingest,
    rig::{Done, Run},
    series::{Fault, Step, series},
    support::{guest::Guest, now},
    witness::Witness,
};
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

/// Puts the box on air and does to it what the series says for `length`.
pub fn run(length: Duration, seed: u64) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let ingest = Ingest::start();
    let mut guest = Guest::boot(folder.path(), ingest.nginx.port, "always");
    guest.wait_until_ready();
    guest.run(&format!("v4l2-ctl -d {HDMI} -c dv_timings={SMALL} -c dv_timings_signal_mode=4"));
    guest.wait_for_status("on air", |s| s["phase"] == "on-air" && s["program"]["showing"] == "live");
    let mut rig = Rig { guest: Arc::new(Mutex::new(guest)), ingest };
    let asked = rig.guest.clone();
    let status = move || Some(lock(&asked).status()).filter(|status| status.is_object());
    let witness = Witness::start(rig.ingest.nginx.folder(), status);
    let begun = now();
    let mut done = Vec::new();
    sleep(Duration::from_secs(4));
    for step in series(seed, &Fault::ON_THE_BOX).take_while(|_| begun.elapsed() < length) {
        done.push(rig.take(step));
    }
    sleep(Duration::from_secs(8));
    let status = rig.guest().status();
    rig.guest().run("systemctl stop fieldcastd");
    let seen = witness.end();
    let log = rig.guest().run("journalctl --no-pager -o short-monotonic -u fieldcastd | tail -n 200");
    let faults = status["faults"].as_array().into_iter().flatten();
    let faults_at_end = faults.filter_map(|fault| Some(fault["code"].as_str()?.to_owned())).collect();
    Run { done, seen, ingest: rig.ingest, key: "box", rate: 25.0, timed: false, faults_at_end, log }
}

/// After the quiet.
const PATIENCE: Duration = Duration::from_secs(30);
/// 1280x720p25 in vivid's list of timings: less for the emulator to copy than p60.
const SMALL: u32 = 6;
/// 720x576p50 there.
const OTHER: u32 = 2;

struct Rig {
    guest: Arc<Mutex<Guest>>,
    ingest: Ingest,
}

fn lock(guest: &Mutex<Guest>) -> MutexGuard<'_, Guest> {
    guest.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rig {
    fn guest(&self) -> MutexGuard<'_, Guest> {
        lock(&self.guest)
    }

    fn take(&mut self, step: Step) -> Done {
        eprintln!("{:6.1} s  {}", step.lasts.as_secs_f64(), step.fault);
        let began = now();
        self.begin(step.fault);
        sleep(step.lasts);
        self.end(step.fault);
        let gone = now();
        // Emulated, a worker takes seconds to be there again, and more on a machine that does other things: how long is
        // printed, that it comes is judged.
        sleep(step.rest * 2);
        let on_air = loop {
            let on_air = self.guest().status()["phase"] == "on-air";
            if on_air || gone.elapsed() >= step.rest * 2 + PATIENCE {
                break on_air;
            }
            sleep(Duration::from_millis(500));
        };
        Done { fault: step.fault, began, gone, over: now(), on_air: Some(on_air) }
    }

    fn begin(&mut self, fault: Fault) {
        let signal = |mode: u32| format!("v4l2-ctl -d {HDMI} -c dv_timings_signal_mode={mode}");
        let command = match fault {
            Fault::NoCable => signal(1),
            Fault::NoLock => signal(2),
            Fault::OutOfRange => signal(3),
            Fault::ModeChange => format!("v4l2-ctl -d {HDMI} -c dv_timings={OTHER}"),
            Fault::Netem => format!("tc qdisc replace dev {WAN} root netem delay 120ms 40ms loss 2%"),
            Fault::Outage => format!("tc qdisc replace dev {WAN} root netem loss 100%"),
            Fault::ClockStep => "date -s '+1 day' >/dev/null".into(),
            Fault::DiskFull => format!("dd if=/dev/zero of={STATE}/filler bs=64k 2>/dev/null; true"),
            Fault::VideoKilled => format!("kill -9 $({VIDEO})"),
            Fault::VideoWedged => format!("kill -STOP $({VIDEO})"),
            Fault::DaemonKilled => "kill -9 $(systemctl show --value -p MainPID fieldcastd)".into(),
            Fault::IngestKilled => return self.ingest.nginx.kill(),
            Fault::IngestFrozen => return self.ingest.nginx.freeze(),
            Fault::SoundKilled | Fault::Narrow | Fault::LinkDown | Fault::NameGone | Fault::OperatorSlate => {
                unreachable!("on loopback")
            }
        };
        self.guest().run(&command);
    }

    fn end(&mut self, fault: Fault) {
        let command = match fault {
            Fault::NoCable | Fault::NoLock | Fault::OutOfRange => {
                format!("v4l2-ctl -d {HDMI} -c dv_timings_signal_mode=4")
            }
            Fault::ModeChange => format!("v4l2-ctl -d {HDMI} -c dv_timings={SMALL}"),
            Fault::Netem | Fault::Outage => format!("tc qdisc del dev {WAN} root"),
            Fault::ClockStep => "date -s '-1 day' >/dev/null".into(),
            Fault::DiskFull => format!("rm {STATE}/filler"),
            Fault::IngestKilled => return self.ingest.nginx.restart(),
            Fault::IngestFrozen => return self.ingest.nginx.thaw(),
            _ => return,
        };
        self.guest().run(&command);
    }
}

/// Prints the process of the video worker: the one that has loaded the encoder.
const VIDEO: &str = "for p in $(pgrep -x fieldcast-media); do grep -q libgstx264 /proc/$p/maps && echo $p; done";
