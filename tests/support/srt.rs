//! A real SRT receiver, and a way to it that loses packets.

use super::{Process, free_port, host::Host, now};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const PROGRAM: &str = "srt-live-transmit";

/// srt-live-transmit, listening, which writes what it receives to a file.
pub struct Receiver {
    process: Option<Process>,
    folder: TempDir,
    options: String,
    /// What runs it, and where it listens.
    program: Vec<OsString>,
    address: String,
    /// Its UDP port.
    pub port: u16,
}

impl Receiver {
    /// Starts it with these options, such as `"passphrase=..."`; it ends when dropped.
    pub fn start(options: &str) -> Self {
        Self::start_at(vec![PROGRAM.into()], "127.0.0.1", options)
    }

    /// Starts it on another host, where it has this address.
    pub fn start_on(host: &Host, address: &str) -> Self {
        let command = host.command(PROGRAM);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        Self::start_at(words.map(OsString::from).collect(), address, "")
    }

    fn start_at(program: Vec<OsString>, address: &str, options: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let address = address.into();
        let mut receiver = Self { process: None, folder, options: options.into(), program, address, port };
        receiver.restart();
        receiver
    }

    /// Ends it, as a crash does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port; it goes on with the same file.
    pub fn restart(&mut self) {
        self.process = None;
        let options = format!("mode=listener&{}", self.options);
        let mut command = Command::new(&self.program[0]);
        command.args(&self.program[1..]);
        command.args(["-q", "-c:1316", &format!("srt://{}:{}?{options}", self.address, self.port), "file://con"]);
        command.stdout(self.append("received.ts")).stderr(self.append("log"));
        self.process = Some(Process::start(&mut command));
    }

    fn append(&self, name: &str) -> Stdio {
        let file = OpenOptions::new().create(true).append(true).open(self.folder.path().join(name));
        file.expect("a file").into()
    }

    /// Stops its program (SIGSTOP).
    pub fn freeze(&self) {
        self.process.as_ref().expect("running").signal("-STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.process.as_ref().expect("running").signal("-CONT");
    }

    /// Asks it to end (SIGTERM), which tells the caller; what it received is whole then.
    pub fn end(&mut self) {
        let mut process = self.process.take().expect("running");
        process.signal("-TERM");
        process.0.wait().expect("its end");
    }

    /// Where to push to.
    pub fn url(&self) -> String {
        format!("srt://{}:{}", self.address, self.port)
    }

    /// What it received.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("received.ts")
    }

    /// Throws away what it received so far.
    pub fn empty(&self) {
        File::create(self.path()).expect("emptied");
    }

    /// How much that is, bytes.
    pub fn received(&self) -> u64 {
        fs::metadata(self.path()).map_or(0, |meta| meta.len())
    }

    /// Its log, for messages of failed tests.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// A listener that takes callers by their stream id (`srt_listener.py`).
pub struct Listener {
    _process: Process,
    port: u16,
}

impl Listener {
    /// Starts it; it ends when dropped.
    pub fn start() -> Self {
        let port = free_port();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/srt_listener.py");
        Self { _process: Process::start(Command::new("python3").args([script, &port.to_string()])), port }
    }

    /// Where to push to.
    pub fn url(&self) -> String {
        format!("srt://127.0.0.1:{}", self.port)
    }
}

/// A way to a receiver on loopback that loses every so-manieth packet in both directions, can be cut, and may be long and
/// narrow.
pub struct LossyWay {
    /// The port at its near end.
    pub port: u16,
    /// Packets that it has lost so far.
    pub lost: Arc<AtomicU32>,
    cut: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    /// Each way takes so many ms.
    delay: Arc<AtomicU32>,
    /// So many kbit/s pass each way; 0: any.
    rate: Arc<AtomicU32>,
}

/// What does not fit into this time before a narrow way is lost.
const BUFFER: Duration = Duration::from_millis(400);

impl LossyWay {
    /// A way to `port` on which `percent` of the packets are lost, which ones by `seed`.
    pub fn start(port: u16, percent: u32, seed: u64) -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let far = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        far.connect(("127.0.0.1", port)).expect("an address");
        let way = Self {
            port: near.local_addr().expect("an address").port(),
            lost: Arc::default(),
            cut: Arc::default(),
            over: Arc::default(),
            delay: Arc::default(),
            rate: Arc::default(),
        };
        let caller: Arc<std::sync::Mutex<Option<SocketAddr>>> = Arc::default();
        for forth in [true, false] {
            let (near, far) = (near.try_clone().expect("a socket"), far.try_clone().expect("a socket"));
            let (caller, lost, cut, over) = (caller.clone(), way.lost.clone(), way.cut.clone(), way.over.clone());
            let (delay, rate) = (way.delay.clone(), way.rate.clone());
            let mut random = fastrand::Rng::with_seed(seed + u64::from(forth));
            let from = if forth { &near } else { &far };
            from.set_read_timeout(Some(Duration::from_millis(100))).expect("a time limit");
            let (queue, waiting) = mpsc::channel::<(Instant, Vec<u8>)>();
            let (to_near, to_far, answer_to) = (near.try_clone().expect("a socket"), far.try_clone(), caller.clone());
            let to_far = to_far.expect("a socket");
            thread::spawn(move || {
                for (due, packet) in waiting {
                    thread::sleep(due.saturating_duration_since(now()));
                    let caller = *answer_to.lock().expect("no panic");
                    // Not connected, it hears that nobody listens at the far end: no end of the way.
                    let _ = match (forth, caller) {
                        (true, _) => to_far.send(&packet),
                        (false, Some(caller)) => to_near.send_to(&packet, caller),
                        (false, None) => continue,
                    };
                }
            });
            thread::spawn(move || {
                let mut packet = [0; 2048];
                let mut free = now();
                while !over.load(Ordering::Relaxed) {
                    let received = if forth {
                        near.recv_from(&mut packet).map(|(n, from)| (n, Some(from)))
                    } else {
                        far.recv(&mut packet).map(|n| (n, None))
                    };
                    let Ok((length, from)) = received else { continue };
                    if let Some(from) = from {
                        *caller.lock().expect("no panic") = Some(from);
                    }
                    free = free.max(now());
                    let full = free.saturating_duration_since(now()) > BUFFER;
                    if full || cut.load(Ordering::Relaxed) || random.u32(..100) < percent {
                        lost.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let rate = u64::from(rate.load(Ordering::Relaxed)) * 1000;
                    free += Duration::from_nanos((length as u64 * 8_000_000_000).checked_div(rate).unwrap_or(0));
                    let due = free + Duration::from_millis(delay.load(Ordering::Relaxed).into());
                    let _ = queue.send((due, packet[..length].to_vec()));
                }
            });
        }
        way
    }

    /// From now on nothing gets through, or everything again but for the loss.
    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    /// From now on `kbits` pass each second, and each way takes `ms`.
    pub fn shape(&self, kbits: u32, ms: u32) {
        self.rate.store(kbits, Ordering::Relaxed);
        self.delay.store(ms, Ordering::Relaxed);
    }

    /// Where to push to.
    pub fn url(&self) -> String {
        format!("srt://127.0.0.1:{}", self.port)
    }
}

impl Drop for LossyWay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
