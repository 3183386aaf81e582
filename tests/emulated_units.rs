//! The emulated box under the shipped units: on air with all that they take from daemon and workers, back on air after a loop
//! that hangs, in rescue after crashes and after settings that cannot be used, out of it again, and off the network only after
//! the stream has ended.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that fails, and waits for a machine")]

mod support;

use serde_json::Value;
use std::time::{Duration, Instant};
use support::{
    Nginx,
    guest::{BOOT, Guest, report, say, the_machine},
};

/// The daemon is started again after 11 s without a sign of it, and has to get on air then.
const BACK: Duration = Duration::from_secs(120);

fn on_air(guest: &mut Guest, what: &str) {
    let from = Instant::now();
    guest.wait_until(what, BACK, |guest| {
        let status = guest.status();
        status["phase"] == "on-air" && status["program"]["showing"] == "live"
    });
    report(what, from.elapsed());
}

fn rescue_fault(status: &Value) -> Option<String> {
    let faults = status["faults"].as_array()?;
    Some(faults.iter().find(|fault| fault["code"] == "rescue")?["text"].as_str()?.to_owned())
}

/// Waits for the rescue; why it is there, in its own words.
fn rescued(guest: &mut Guest) -> String {
    let from = Instant::now();
    guest.wait_until("the rescue", BACK, |guest| rescue_fault(&guest.status()).is_some());
    report("until the rescue answers", from.elapsed());
    assert_eq!(guest.run("systemctl is-active fieldcast-rescue").trim(), "active");
    assert_eq!(guest.unit("ActiveState"), "failed");
    assert_eq!(guest.run("pgrep -c fieldcast-media || true").trim(), "0");
    rescue_fault(&guest.status()).unwrap()
}

/// The answer to a command, over HTTP in the box.
fn command(guest: &mut Guest, name: &str) -> String {
    guest.run(&format!(
        "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'POST /api/v1/commands/{name} HTTP/1.0\\r\\nHost: localhost\\r\\n\
         Content-Type: application/json\\r\\nContent-Length: 2\\r\\n\\r\\n{{}}' >&3 && cat <&3"
    ))
}

#[test]
fn the_units_keep_a_box_on_air_and_rescue_it() {
    let Some(_machine) = the_machine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ingest = Nginx::start();
    let mut guest = Guest::boot(folder.path(), ingest.port, "always");
    guest.wait_until_ready();
    on_air(&mut guest, "on air");
    closed(&mut guest);

    // A loop that hangs.
    let pid = guest.unit("MainPID");
    let stopped = Instant::now();
    guest.run(&format!("kill -STOP {pid}"));
    guest.wait_until("the watchdog", BACK, |guest| guest.unit("NRestarts") == "1");
    on_air(&mut guest, "on air again after the watchdog");
    report("SIGSTOP to on air", stopped.elapsed());
    assert_ne!(guest.unit("MainPID"), pid);

    // A program that crashes at each start.
    guest.wait_until("six starts", BACK, |guest| {
        guest.run(
            "kill -SEGV $(systemctl show --value --property=MainPID fieldcastd | grep -v '^0$') 2>/dev/null || true",
        );
        guest.unit("ActiveState") == "failed"
    });
    let why = rescued(&mut guest);
    assert!(why.contains("SIGSEGV"), "{why}");
    let answer = command(&mut guest, "start");
    assert!(answer.contains("rescue mode"), "{answer}");
    let answer = command(&mut guest, "restart");
    assert!(answer.contains("successful"), "{answer}");
    on_air(&mut guest, "on air again after `restart` of the rescue");
    assert_eq!(guest.run("systemctl is-active fieldcast-rescue || true").trim(), "inactive");

    // Settings that nobody can use, and then the right ones again.
    let settings = "/etc/fieldcast/settings.toml";
    guest.run(&format!("cp {settings} /tmp/right && sed -i 's/^mode = .*/mode = \"4k\"/' {settings}"));
    guest.run("systemctl restart --no-block fieldcastd");
    let why = rescued(&mut guest);
    assert!(why.contains("output.mode"), "{why}");
    guest.run(&format!("cat /tmp/right >{settings} && systemctl start --no-block fieldcastd"));
    on_air(&mut guest, "on air again after settings that are right");

    // Restarts that somebody asks for are no crashes, however many there are.
    for _ in 0..7 {
        guest.run("systemctl restart fieldcastd");
    }
    assert_eq!(guest.unit("ActiveState"), "active");
    on_air(&mut guest, "on air again after seven restarts");

    // The way down: the publisher says goodbye before the network goes.
    guest.run("systemctl reboot --no-block");
    guest.wait_for_restart();
    let deadline = Instant::now() + BOOT;
    while !ingest.log().contains(" disconnect,") {
        assert!(Instant::now() < deadline, "still connected");
    }
    let log = ingest.log();
    let last = &log[..log.rfind(" disconnect,").unwrap()];
    let begun = last.rfind(" publish:").unwrap_or(0);
    assert!(last[begun..].contains(" deleteStream,"), "the stream was not ended but dropped:\n{log}");
}

/// What the unit and the workers themselves take away is away, and what is needed is there.
fn closed(guest: &mut Guest) {
    let worker = guest.run("pgrep fieldcast-media | head -n 1");
    let state = guest.run(&format!("cat /proc/{}/status", worker.trim()));
    assert!(state.contains("NoNewPrivs:\t1") && state.contains("Seccomp:\t2"), "{state}");
    let filters = |state: &str| {
        let line = state.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"));
        line.unwrap().trim().parse::<u32>().unwrap()
    };
    let pid = guest.unit("MainPID");
    let daemon = guest.run(&format!("cat /proc/{pid}/status"));
    assert!(filters(&state) > filters(&daemon), "the worker's own beside the unit's");
    let journal = guest.run("journalctl --no-pager -u fieldcastd");
    assert!(!journal.contains("confinement") && !journal.contains("no Landlock"), "{journal}");
    assert!(daemon.contains("CapEff:\t0000000000000000"), "{daemon}");
    // Another user namespace than the box's.
    assert_ne!(guest.run("readlink /proc/1/ns/user"), guest.run(&format!("readlink /proc/{pid}/ns/user")));
    for (link, node) in [("/dev/fieldcast/hdmi", "/dev/video"), ("/dev/v4l/by-path/*video-index0", "/dev/video")] {
        let target = guest.run(&format!("readlink -f {link}"));
        assert!(target.starts_with(node), "{link}: {target}");
    }
    let exposure = guest.run("systemd-analyze security --no-pager fieldcastd | tail -n 1; true");
    say(exposure.trim());
}
