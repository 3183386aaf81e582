//! What systemd is told (sd_notify(3)); nothing happens when it did not start this process.

use crate::units::Time;
use sd_notify::NotifyState;
use std::time::Duration;

/// How often the working loop should call [`alive`]: half of what the unit's `WatchdogSec=` allows; none without it.
pub fn watchdog_interval() -> Option<Duration> {
    let mut usec = 0;
    sd_notify::watchdog_enabled(false, &mut usec).then(|| Duration::from_micros(usec) / 2)
}

/// The box can accept GO; what it does, for people.
pub fn ready(sentence: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(&one_line(sentence))]);
}

/// The loop that does the work has come round.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// What the box does, for people.
pub fn status(sentence: &str) {
    send(&[NotifyState::Status(&one_line(sentence))]);
}

/// The settings are being read again, since `now`; [`ready`] ends it (systemd.service(5), `Type=notify-reload`).
pub fn reloading(now: Time) {
    send(&[NotifyState::Reloading, NotifyState::MonotonicUsec(i128::from(now.nanos() / 1000))]);
}

/// The streams are being ended.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}

/// A line break would begin another message.
fn one_line(sentence: &str) -> String {
    sentence.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::net::UnixDatagram, process::Command};

    #[test]
    fn systemd_hears_each_message() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        // The environment belongs to the whole process: a child says it all.
        let child = Command::new("sh")
            .args(["-c", "export WATCHDOG_PID=$$; exec \"$0\" --ignored --exact notify::tests::says_it_all"])
            .arg(std::env::current_exe().expect("this test"))
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "10000000")
            .output()
            .expect("run");
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        let hear = || {
            let mut buffer = [0; 256];
            let length = socket.recv(&mut buffer).expect("a message");
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        assert_eq!(hear(), "READY=1\nSTATUS=Off air WATCHDOG=trigger\n");
        assert_eq!(hear(), "WATCHDOG=1\n");
        assert_eq!(hear(), "STATUS=On air to Main\n");
        assert_eq!(hear(), "RELOADING=1\nMONOTONIC_USEC=1500\n");
        assert_eq!(hear(), "STOPPING=1\n");
    }

    #[test]
    #[ignore = "run by systemd_hears_each_message with systemd's environment"]
    fn says_it_all() {
        assert_eq!(watchdog_interval(), Some(Duration::from_secs(5)));
        ready("Off air\nWATCHDOG=trigger");
        alive();
        status("On air to Main");
        reloading(Time::from_nanos(1_500_999));
        stopping();
    }

    #[test]
    fn without_systemd_nothing_happens() {
        // The test runner may itself run under systemd with a watchdog of its own; its process id is not ours.
        assert_eq!(watchdog_interval(), None);
        alive();
    }
}
