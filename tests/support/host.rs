//! A second host: a network namespace of its own at the other end of virtual cables, so that cables can be pulled, routes
//! moved and packets lost without a word. For tests that run in [`in_namespace`](super::in_namespace).

use super::{Process, wait};
use std::{fs, process::Command, time::Duration};

/// Runs ip(8) in the test's own namespace.
pub fn ip(words: &str) {
    run(Command::new("ip"), words);
}

fn run(mut command: Command, words: &str) {
    assert!(command.args(words.split(' ')).status().expect("ip(8)").success(), "ip {words}");
}

/// The other host; it ends with the test.
pub struct Host {
    process: Process,
}

impl Host {
    /// A host without any cable.
    pub fn start() -> Self {
        let process = Process::start(Command::new("unshare").args(["-n", "sleep", "infinity"]));
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let pid = process.0.id().to_string();
        wait("a namespace", Duration::from_secs(5), || (namespace(&pid)? != namespace("self")?).then_some(()));
        let host = Self { process };
        host.ip("link set lo up");
        host
    }

    /// Lays cable `number`: 10.9.`number`.1 here on `c<number>`, 10.9.`number`.2 there on `h<number>`.
    pub fn cable(&self, number: u8) {
        let pid = self.process.0.id();
        ip(&format!("link add c{number} type veth peer name h{number} netns {pid}"));
        ip(&format!("addr add 10.9.{number}.1/24 dev c{number}"));
        ip(&format!("link set c{number} up"));
        self.ip(&format!("addr add 10.9.{number}.2/24 dev h{number}"));
        self.ip(&format!("link set h{number} up"));
    }

    /// Runs ip(8) there.
    pub fn ip(&self, words: &str) {
        run(self.command("ip"), words);
    }

    /// A program that runs there.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.process.0.id().to_string(), "-n", program]);
        command
    }
}
