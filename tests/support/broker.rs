//! A mosquitto on a free port.

use super::{daemon, free_port, now, skip};
use std::{
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};
use tempfile::TempDir;

const MOSQUITTO: &str = "/usr/sbin/mosquitto";

/// Whether mosquitto is here. If not, the test is skipped so that nobody can miss it, and fails in CI.
pub fn has_broker() -> bool {
    Path::new(MOSQUITTO).exists() || skip("mosquitto is missing (tests/setup.sh test installs it)")
}

/// A password file of these users and passwords in `folder`; the configuration for it.
pub fn users(folder: &Path, users: &[(&str, &str)]) -> String {
    let path = folder.join("users");
    std::fs::write(&path, "").expect("written");
    for (name, password) in users {
        let made = Command::new("mosquitto_passwd").arg("-b").arg(&path).args([name, password]).status();
        assert!(made.expect("mosquitto_passwd").success());
    }
    format!("allow_anonymous false\npassword_file {}\n", path.display())
}

pub struct Broker {
    pub port: u16,
    folder: TempDir,
    child: Option<Child>,
}

impl Broker {
    /// Starts it for everyone; `more` goes into its configuration.
    pub fn start(more: &str) -> Self {
        Self::start_with(|_| format!("allow_anonymous true\n{more}"))
    }

    /// Starts it with a configuration that may name files, which are put into its folder first.
    pub fn start_with(configuration: impl FnOnce(&Path) -> String) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder"));
        let more = configuration(folder.path());
        let root = folder.path().display();
        let text = format!(
            "user root\nlog_dest file {root}/log\nlog_type all\nset_tcp_nodelay true\nlistener {port} 127.0.0.1\n{more}\n"
        );
        std::fs::write(folder.path().join("mosquitto.conf"), text).expect("written");
        let mut broker = Self { port, folder, child: None };
        broker.start_again();
        broker
    }

    /// Starts it anew after `kill`; it remembers nothing.
    pub fn start_again(&mut self) {
        let child = Command::new(MOSQUITTO)
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("mosquitto"));
        let begun = now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "mosquitto does not listen:\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sends it a signal: HUP, and it reads its access list anew.
    pub fn signal(&self, name: &str) {
        daemon::signal(self.child.as_ref().expect("it runs").id(), name);
    }

    /// Ends it by force.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// What it says.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().rev().filter(|line| !line.contains("/stats")).take(150).collect();
            eprintln!("--- mosquitto, newest first:\n{}", lines.join("\n"));
        }
    }
}
