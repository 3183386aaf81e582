//! Real peers for the loopback tests: an nginx-rtmp that records what it got, and a TLS front for it.
//!
//! ```no_run
//! let ingest = Nginx::start();
//! push_to(ingest.url());                      // rtmp://127.0.0.1:PORT/live
//! let tags = flv::tags(&ingest.recording("key"));
//! ```

// Not every test program needs all of it.
#![allow(dead_code)]

pub mod broker;
pub mod cfa635;
pub mod daemon;
pub mod firmware;
pub mod flv;
pub mod guest;
pub mod host;
pub mod picture;
pub mod proxy;
pub mod push;
pub mod srt;
pub mod units;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const NGINX: &str = "/usr/sbin/nginx";
const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// Now, for waiting: a test has no clock handed to it.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Instant {
    Instant::now()
}

/// A port on loopback that nothing listens on and that no other test of this program was given. It is below those that the
/// kernel gives to outgoing connections, so that none of them takes it before it is used.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 1_000) as u16 * 20;
    let next = || first + GIVEN.fetch_add(1, Ordering::Relaxed) % 2_000;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(next).take(2_000).find(free).expect("a free port")
}

/// Whether the programs of this tier are here. If not, the test is skipped so that nobody can miss it, and fails in CI.
pub fn has_tools() -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = |name: &str| std::env::split_paths(&paths).any(|folder| folder.join(name).exists());
    let programs = ["ffmpeg", "ffprobe", "srt-live-transmit", "stunnel", "unshare"];
    let mut missing: Vec<&str> = programs.into_iter().filter(|name| !found(name)).collect();
    missing.extend([NGINX, MODULE].into_iter().filter(|path| !Path::new(path).exists()));
    missing.is_empty() || skip(&format!("{} missing (tests/setup.sh test installs it)", missing.join(", ")))
}

/// Says past the test runner's capture that a test is skipped; false.
pub fn skip(why: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED {test}: {why}");
    false
}

/// Tries `get` each 20 ms until it gives something; fails after `within`.
pub fn wait<T>(what: &str, within: Duration, mut get: impl FnMut() -> Option<T>) -> T {
    let begun = now();
    loop {
        if let Some(got) = get() {
            return got;
        }
        assert!(begun.elapsed() < within, "waited {within:?} in vain: {what}");
        sleep(Duration::from_millis(20));
    }
}

fn wait_for_port(address: &str, port: u16) {
    wait("a server listens", Duration::from_secs(10), || TcpStream::connect((address, port)).ok());
}

/// A process that ends with the test.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_owned();
        Self(command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{name:?}: {error}")))
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.0.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the test `name` of this program again in a network and mount namespace of its own, prepared by `script`, and is true;
/// false inside of it, where the test goes on.
pub fn in_namespace(name: &str, script: &str) -> bool {
    if std::env::var_os("FIELDCAST_TEST_NAMESPACE").is_some() {
        return false;
    }
    let program = std::env::current_exe().expect("this program");
    let allowed = Command::new("unshare").args(["-rnm", "true"]).status().is_ok_and(|status| status.success());
    if !allowed {
        return !skip("no namespaces of its own (unshare -rnm)");
    }
    let run = format!("set -e\n{script}\nexec {} --exact {name} --nocapture", program.display());
    let mut command = Command::new("unshare");
    command.args(["-rnm", "sh", "-c", &run]).env("FIELDCAST_TEST_NAMESPACE", "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("unshare(1)");
    // What it says is shown while it runs where the runner shows what tests say.
    let said = child.stderr.take().expect("a pipe");
    let said = std::thread::spawn(move || {
        BufReader::new(said).lines().map_while(Result::ok).inspect(|line| eprintln!("{line}")).collect::<Vec<_>>()
    });
    let output = child.wait_with_output().expect("its end");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), said.join().expect("its words").join("\n"));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    print!("{text}");
    true
}

/// An nginx-rtmp with one application, `live`, that records every stream to a file.
pub struct Nginx {
    process: Option<Process>,
    folder: TempDir,
    /// What runs it, and where it listens.
    program: Command,
    address: String,
    /// Its RTMP port.
    pub port: u16,
}

impl Nginx {
    /// Starts it; it ends when dropped.
    pub fn start() -> Self {
        Self::start_with("", "")
    }

    /// Starts it with more lines in the application, and beside the `rtmp` block (such as an `http` block).
    pub fn start_with(application: &str, beside: &str) -> Self {
        Self::start_at(Command::new(NGINX), "127.0.0.1", "127.0.0.1:", application, beside)
    }

    /// Starts it on another host, which has this address; it listens on all of them.
    pub fn start_on(host: &host::Host, address: &str, application: &str) -> Self {
        Self::start_at(host.command(NGINX), address, "", application, "")
    }

    fn start_at(program: Command, address: &str, listen: &str, application: &str, beside: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let root = folder.path().display();
        let conf = format!(
            "load_module {MODULE};\n\
             daemon off; master_process off; user root; pid {root}/pid; error_log {root}/log info;\n\
             events {{ worker_connections 64; }}\n\
             rtmp {{ access_log off; server {{ listen {listen}{port}; application live {{\n\
               live on; record all; record_path {root}; {application}\n\
             }} }} }}\n{beside}\n"
        );
        fs::write(folder.path().join("nginx.conf"), conf).expect("written");
        let address = address.to_owned();
        let mut nginx = Self { process: None, folder, program, address, port };
        nginx.restart();
        nginx
    }

    /// Ends it, as a crash does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        self.process = None;
        let mut command = Command::new(self.program.get_program());
        command.args(self.program.get_args());
        command.arg("-p").arg(self.folder.path()).arg("-c").arg(self.folder.path().join("nginx.conf"));
        self.process = Some(Process::start(command.arg("-e").arg(self.folder.path().join("log"))));
        wait_for_port(&self.address, self.port);
    }

    /// Stops its program while its kernel goes on (SIGSTOP).
    pub fn freeze(&self) {
        self.process.as_ref().expect("running").signal("-STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.process.as_ref().expect("running").signal("-CONT");
    }

    /// Where to push to, without the key.
    pub fn url(&self) -> String {
        format!("rtmp://{}:{}/live", self.address, self.port)
    }

    /// Where its recordings and its log are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file to which the stream of this key is recorded; each new publish overwrites it.
    pub fn recording_path(&self, key: &str) -> PathBuf {
        self.folder.path().join(format!("{key}.flv"))
    }

    /// What was recorded so far of the stream of this key; waits for the publish to begin.
    pub fn recording(&self, key: &str) -> Vec<u8> {
        let path = self.recording_path(key);
        wait("a recording", Duration::from_secs(5), || fs::read(&path).ok())
    }

    /// nginx's log, for messages of failed tests.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// A certificate authority that was made for one test.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one of this name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate") }
    }

    /// Its own certificate, for those who shall trust it.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// The same as PEM, such as for the file that `SSL_CERT_FILE` names.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// PEM of a certificate for `name` and of its key; `change` adjusts it, such as its dates.
    pub fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

/// A TLS front (stunnel, so OpenSSL) before a server on loopback.
pub struct TlsFront {
    process: Option<Process>,
    folder: TempDir,
    /// Its port.
    pub port: u16,
}

impl TlsFront {
    /// Starts one before `port`, with the PEM of a certificate and of its key.
    pub fn start(port: u16, (certificate, key): (String, String)) -> Self {
        let (folder, accept) = (tempfile::tempdir().expect("a folder"), free_port());
        let root = folder.path().display();
        let conf = format!(
            "foreground = yes\npid =\nsyslog = no\noutput = {root}/log\n\
             [front]\naccept = 127.0.0.1:{accept}\nconnect = 127.0.0.1:{port}\ncert = {root}/both.pem\n"
        );
        fs::write(folder.path().join("stunnel.conf"), conf).expect("written");
        let mut front = Self { process: None, folder, port: accept };
        front.restart((certificate, key));
        front
    }

    /// Ends it, as a crash does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port, with this certificate and key.
    pub fn restart(&mut self, (certificate, key): (String, String)) {
        self.process = None;
        fs::write(self.folder.path().join("both.pem"), certificate + &key).expect("written");
        let mut command = Command::new("/usr/bin/stunnel");
        command.arg(self.folder.path().join("stunnel.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(Process::start(&mut command));
        wait_for_port("127.0.0.1", self.port);
    }

    /// Where to push to, by the name that the certificate should have.
    pub fn url(&self) -> String {
        format!("rtmps://localhost:{}/live", self.port)
    }
}
