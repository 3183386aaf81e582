//! `fieldcastd` as a process with settings and state of its own, asked and told over HTTP as any client would.

use super::{free_port, wait};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

/// Sends a signal by its name, as kill(1) does.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("kill");
    assert!(status.success(), "process {pid} is not there");
}

/// A running daemon.
pub struct Daemon {
    /// Settings, state and log.
    pub folder: tempfile::TempDir,
    child: Child,
    /// `run` or `rescue`.
    verb: &'static str,
    environment: Vec<(String, String)>,
    listen: String,
    /// Of its HTTP surface, on loopback.
    pub port: u16,
}

impl Daemon {
    /// Starts it with `settings`, to which the HTTP address is added.
    pub fn start(settings: &str) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), settings, &[])
    }

    /// Starts it with its files in `folder` and with environment variables.
    pub fn start_in(folder: tempfile::TempDir, settings: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_on("127.0.0.1", folder, settings, environment)
    }

    /// Starts the rescue in its place, as systemd does after it has failed.
    pub fn rescue_in(folder: tempfile::TempDir, settings: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_as("rescue", "127.0.0.1", folder, settings, environment)
    }

    /// Starts it listening on this address.
    pub fn start_on(listen: &str, folder: tempfile::TempDir, settings: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_as("run", listen, folder, settings, environment)
    }

    fn start_as(
        verb: &'static str,
        listen: &str,
        folder: tempfile::TempDir,
        settings: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let port = free_port();
        let listen = format!("{listen}:{port}");
        let environment: Vec<_> = environment.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        write_settings(folder.path(), settings, &listen);
        let child = run(verb, folder.path(), &environment);
        let daemon = Self { folder, child, verb, environment, listen, port };
        daemon.wait_for_http();
        daemon
    }

    /// Writes other settings; they are read at the next start or SIGHUP.
    pub fn write_settings(&self, settings: &str) {
        write_settings(self.folder.path(), settings, &self.listen);
    }

    /// Starts it anew after it has ended: the power is back.
    pub fn start_again(&mut self) {
        self.child = run(self.verb, self.folder.path(), &self.environment);
        self.wait_for_http();
    }

    fn wait_for_http(&self) {
        wait("the daemon answers", Duration::from_secs(10), || self.get("/healthz"));
    }

    /// The daemon's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its media workers, by process id.
    pub fn workers(&self) -> Vec<u32> {
        media_workers().into_iter().filter(|(_, parent)| *parent == self.pid()).map(|(pid, _)| pid).collect()
    }

    /// `GET path`; none when nothing answers.
    pub fn get(&self, path: &str) -> Option<(u16, Vec<u8>)> {
        request(self.port, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
    }

    /// The status document.
    pub fn status(&self) -> Value {
        let (code, body) = self.get("/api/v1/status").expect("an answer");
        assert_eq!(code, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("JSON")
    }

    /// The phase.
    pub fn phase(&self) -> String {
        self.status()["phase"].as_str().expect("a phase").to_owned()
    }

    /// Waits until the phase is `phase`.
    pub fn wait_for(&self, phase: &str, within: Duration) -> Value {
        wait(&format!("phase {phase}"), within, || Some(self.status()).filter(|status| status["phase"] == phase))
    }

    /// The code of each fault.
    pub fn faults(&self) -> Vec<String> {
        let status = self.status();
        let faults = status["faults"].as_array().expect("faults");
        faults.iter().map(|fault| fault["code"].as_str().expect("a code").to_owned()).collect()
    }

    /// Sends a command; the HTTP status and the answer.
    pub fn command(&self, name: &str, arguments: Value) -> (u16, Value) {
        let body = arguments.to_string();
        let head = format!(
            "POST /api/v1/commands/{name} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let (code, answer) = request(self.port, &(head + &body)).expect("an answer");
        let text = String::from_utf8_lossy(&answer).into_owned();
        (code, serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text:?}")))
    }

    /// Sends a command that has to be successful; its answer.
    pub fn succeed(&self, name: &str, arguments: Value) -> Value {
        let (code, answer) = self.command(name, arguments);
        assert_eq!((code, &answer["status"]), (200, &json!("successful")), "{name}: {answer}");
        answer
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// How it ended; fails when it runs on for longer than `within`.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        wait("the daemon ends", within, || self.child.try_wait().expect("its status"))
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the daemon's log:\n{}", self.log());
        }
    }
}

/// All media workers on this machine with their parents.
pub fn media_workers() -> Vec<(u32, u32)> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let worker = |folder: PathBuf| {
        let pid = folder.file_name()?.to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        // pid (name) state parent ...: the name is cut to 15 bytes and may hold anything.
        let (name, rest) = (stat.split_once('(')?.1.rsplit_once(')')?.0, stat.rsplit_once(')')?.1);
        let mut fields = rest.split_whitespace();
        let running = fields.next()? != "Z";
        (name == "fieldcast-media" && running).then_some((pid, fields.next()?.parse().ok()?))
    };
    entries.filter_map(|entry| worker(entry.path())).collect()
}

/// The status document of the daemon at this port; none when nothing answers.
pub fn status_at(port: u16) -> Option<Value> {
    let request_text = "GET /api/v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let (code, body) = request(port, request_text)?;
    (code == 200).then(|| serde_json::from_slice(&body).ok())?
}

fn write_settings(folder: &Path, settings: &str, listen: &str) {
    let text = format!("{settings}\n[http]\nlisten = \"{listen}\"\n");
    std::fs::write(folder.join("settings.toml"), text).expect("written");
}

fn run(verb: &str, folder: &Path, environment: &[(String, String)]) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).expect("a log");
    // A test's own board, else the desk's.
    let own = folder.join("board.toml");
    let desk = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/boards/desktop.toml"));
    let board = if own.exists() { &own } else { desk };
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldcastd"));
    command.args([verb, "--board"]).arg(board).arg("--settings").arg(folder.join("settings.toml"));
    command.arg("--state").arg(folder.join("state"));
    command.envs(environment.iter().map(|(key, value)| (key, value)));
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
    command.spawn().expect("the daemon")
}

/// Sends one HTTP request; the code and the body of the answer.
fn request(port: u16, text: &str) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(90))).expect("a timeout");
    stream.write_all(text.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let code = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((code, answer[end + 4..].to_vec()))
}
