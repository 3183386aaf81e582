//! A mosquitto of one test.

use crate::support::{Authority, free_port, skip, wait};
use rumqttc::v5::{
    Client, Connection, Event, MqttOptions,
    mqttbytes::{QoS, v5::Packet},
};
use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const PROGRAM: &str = "/usr/sbin/mosquitto";

/// Whether mosquitto and tmux are here; if not, the test is skipped so that nobody can miss it, and fails in CI.
pub fn has_programs() -> bool {
    let missing: Vec<_> = [PROGRAM, "/usr/bin/tmux"].into_iter().filter(|path| !Path::new(path).exists()).collect();
    missing.is_empty() || skip(&format!("{} missing (tests/setup.sh test installs it)", missing.join(", ")))
}

/// A broker on a port of its own; it ends when dropped.
pub struct Mosquitto {
    child: Option<Child>,
    folder: TempDir,
    pub port: u16,
}

impl Mosquitto {
    pub fn start() -> Self {
        Self::start_with(|_| "allow_anonymous true\n".into())
    }

    /// With TLS, a user `desk` with the password `a password`, and the certificate of `authority`.
    pub fn start_closed(authority: &Authority) -> Self {
        Self::start_with(|folder| {
            let (certificate, key) = authority.issue("localhost", |_| ());
            let root = folder.display();
            fs::write(folder.join("certificate.pem"), certificate).expect("written");
            fs::write(folder.join("key.pem"), key).expect("written");
            let mut command = Command::new("mosquitto_passwd");
            command.args(["-b", "-c"]).arg(folder.join("users")).args(["desk", "a password"]);
            assert!(command.status().expect("mosquitto_passwd").success());
            format!(
                "allow_anonymous false\npassword_file {root}/users\ncertfile {root}/certificate.pem\nkeyfile {root}/key.pem\n"
            )
        })
    }

    /// Where nobody may command the box `id`.
    pub fn start_guarding(id: &str) -> Self {
        Self::start_with(|folder| {
            // For clients without a name (mosquitto.conf(5), acl_file): what is not allowed is not done.
            let acl = format!(
                "topic read #\ntopic write fieldcast/+/availability\ntopic write fieldcast/+/info\n\
                topic write fieldcast/+/status\ntopic write fieldcast/+/stats\ntopic deny fieldcast/{id}/cmd/#\ntopic write fieldcast/+/cmd/#\n"
            );
            fs::write(folder.join("acl"), acl).expect("written");
            format!("allow_anonymous true\nacl_file {}/acl\n", folder.display())
        })
    }

    fn start_with(lines: impl Fn(&Path) -> String) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let lines = lines(folder.path());
        let conf = format!("user root\npersistence false\nset_tcp_nodelay true\nlistener {port} 127.0.0.1\n{lines}");
        fs::write(folder.path().join("mosquitto.conf"), conf).expect("written");
        let mut broker = Self { child: None, folder, port };
        broker.restart();
        broker
    }

    /// Starts it again; it has forgotten everything.
    pub fn restart(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).expect("a log");
        let mut command = Command::new(PROGRAM);
        command.arg("-v").arg("-c").arg(self.folder.path().join("mosquitto.conf"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(child.expect("mosquitto"));
        wait("the broker listens", Duration::from_secs(10), || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// Ends it, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// The topics below `fieldcast/+/cmd` of which the broker keeps a message.
    pub fn kept_requests(&self) -> Vec<String> {
        let mut options = MqttOptions::new("witness", "127.0.0.1", self.port);
        options.set_max_packet_size(Some(1 << 20));
        let (client, mut connection) = Client::new(options, 10);
        client.subscribe("fieldcast/+/cmd/#", QoS::AtLeastOnce).expect("queued");
        let mut topics = Vec::new();
        while let Ok(Ok(event)) = connection.recv_timeout(Duration::from_millis(500)) {
            if let Event::Incoming(Packet::Publish(message)) = event {
                topics.push(String::from_utf8_lossy(&message.topic).into_owned());
            }
        }
        topics
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!(
                "--- the broker's log:\n{}",
                fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
            );
        }
    }
}

/// A connection with a last will, for [`crate::stand_in`].
pub fn connect(options: MqttOptions) -> (Client, Connection) {
    Client::new(options, 100)
}
