//! A box that runs from one of two slots, as far as the daemon and RAUC can see.

use super::{
    bundles::{COMPATIBLE, keys},
    support::{self, daemon::Daemon, wait},
};
use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// Whether a box can be made here; else the test is skipped.
pub fn can_run() -> bool {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let missing: Vec<_> = ["rauc", "dbus-daemon", "mksquashfs"].into_iter().filter(|name| !there(name)).collect();
    if !missing.is_empty() {
        return support::skip(&format!("{} missing (tests/setup.sh test installs it)", missing.join(", ")));
    }
    let mounts = "mount -t tmpfs none /run && touch /run/x && mount --bind /run/x /proc/cmdline && losetup -f";
    let root = Command::new("unshare").args(["-m", "sh", "-c", mounts]).output();
    root.is_ok_and(|output| output.status.success())
        || support::skip("RAUC mounts bundles: that needs root and a loop device")
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The box.
pub struct Image {
    /// With everything in it.
    pub path: PathBuf,
    folder: Option<tempfile::TempDir>,
    settings: String,
    rauc: Option<Process>,
    _bus: Process,
    /// None between two starts.
    pub daemon: Option<Daemon>,
    boots: u32,
}

impl Image {
    /// Running `version` from slot A, with these settings of the daemon.
    pub fn start(version: &str, settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().to_owned();
        for name in ["data", "mount", "sticks/one", "slots.d", "rauc"] {
            fs::create_dir_all(path.join(name)).expect("made");
        }
        for slot in ["a.img", "b.img"] {
            File::create(path.join(slot)).and_then(|file| file.set_len(4 << 20)).expect("a slot");
        }
        let at = path.display();
        // A stand-in of the boot loader that keeps and tells what RAUC says (docs/integration.rst, "Custom").
        let slots = format!(
            "#!/bin/sh\ncd {at}/slots.d || exit 1\necho \"$*\" >>log\ncase $1 in\n\
             get-primary) cat primary ;;\nset-primary) echo \"$2\" >primary ;;\nget-state) cat \"$2\" ;;\n\
             set-state) echo \"$3\" >\"$2\" ;;\n*) exit 1 ;;\nesac\n"
        );
        for (name, text) in [("primary", "A\n"), ("A", "good\n"), ("B", "good\n"), ("log", "")] {
            fs::write(path.join("slots.d").join(name), text).expect("written");
        }
        let before = format!("#!/bin/sh\nwhile [ -e {at}/hold ]; do touch {at}/held; sleep 0.1; done\n");
        for (name, text) in [("slots", slots), ("before", before)] {
            fs::write(path.join(name), text).expect("written");
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o755)).expect("set");
        }
        let keyring = keys().join("ca.pem");
        let system = format!(
            "[system]\ncompatible={COMPATIBLE}\nbootloader=custom\nbundle-formats=plain\nstatusfile={at}/data/status\n\
             mountprefix={at}/mount\n[keyring]\npath={}\n[handlers]\nbootloader-custom-backend={at}/slots\n\
             pre-install={at}/before\n[slot.rootfs.0]\ndevice={at}/a.img\ntype=raw\nbootname=A\n[slot.rootfs.1]\n\
             device={at}/b.img\ntype=raw\nbootname=B\n",
            keyring.display()
        );
        fs::write(path.join("rauc/system.conf"), system).expect("written");
        // The box's own /etc is this machine's, but for two files.
        let copied = Command::new("cp").args(["-a", "/etc"]).arg(&path).status();
        assert!(copied.is_ok_and(|status| status.success()));
        fs::create_dir_all(path.join("etc/rauc")).expect("made");
        fs::copy(path.join("rauc/system.conf"), path.join("etc/rauc/system.conf")).expect("copied");
        let bus = format!(
            "<busconfig><type>system</type><listen>unix:path={at}/bus</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/>\
             <allow send_requested_reply=\"true\" send_type=\"method_return\"/>\
             <allow send_requested_reply=\"true\" send_type=\"error\"/>\
             <allow receive_type=\"method_call\"/><allow receive_type=\"method_return\"/>\
             <allow receive_type=\"error\"/><allow receive_type=\"signal\"/></policy></busconfig>"
        );
        fs::write(path.join("bus.conf"), bus).expect("written");
        let mut command = Command::new("dbus-daemon");
        command.arg(format!("--config-file={at}/bus.conf")).args(["--nofork", "--nopidfile"]).stdin(Stdio::null());
        let bus = Process(command.spawn().expect("dbus-daemon"));
        wait("the bus", Duration::from_secs(5), || path.join("bus").exists().then_some(()));
        let script = format!(
            "mount --make-rprivate / && mount -t tmpfs none /run && mkdir -p /run/media/fieldcast || exit 70\n\
             mount --bind {at}/etc /etc && mount --bind {at}/sticks /run/media/fieldcast || exit 70\n\
             mount --bind {at}/cmdline /proc/cmdline || exit 70\n\
             mount --bind {at}/boot-id /proc/sys/kernel/random/boot_id || exit 70\nexec \"$@\"\n"
        );
        fs::write(path.join("root.sh"), script).expect("written");
        let mut image = Self {
            path,
            folder: Some(folder),
            settings: settings.into(),
            rauc: None,
            _bus: bus,
            daemon: None,
            boots: 0,
        };
        image.boot(version, "A");
        image
    }

    /// The box comes up with `version` from `slot`.
    pub fn boot(&mut self, version: &str, slot: &str) {
        self.boots += 1;
        let write = |name: &str, text: String| fs::write(self.path.join(name), text).expect("written");
        let _ = fs::remove_file(self.path.join("etc/os-release"));
        write("etc/os-release", format!("ID=debian\nIMAGE_ID=fieldcast\nIMAGE_VERSION=\"{version}\"\n"));
        write("cmdline", format!("console=tty0 rauc.slot={slot}\n"));
        write("boot-id", format!("{:08}-0000-4000-8000-000000000000\n", self.boots));
        self.start_rauc(slot);
        match &mut self.daemon {
            Some(daemon) => daemon.start_again(),
            None => {
                let bus = format!("unix:path={}/bus", self.path.display());
                let environment = [("DBUS_SYSTEM_BUS_ADDRESS", bus.as_str()), ("FIELDCAST_CAN_REBOOT", "yes")];
                let folder = self.folder.take().expect("a folder");
                self.daemon = Some(Daemon::start_in(folder, &self.settings, &environment));
            }
        }
    }

    /// RAUC's service, of a box that runs from `slot`.
    pub fn start_rauc(&mut self, slot: &str) {
        self.rauc = None;
        let log = File::options().create(true).append(true).open(self.path.join("rauc.log")).expect("a log");
        // What it mounts goes with it.
        let mut command = Command::new("unshare");
        command.args(["-m", "rauc"]).arg(format!("--conf={}/rauc/system.conf", self.path.display()));
        command.args([&format!("--override-boot-slot={slot}"), "service"]).stdin(Stdio::null());
        command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}/bus", self.path.display()));
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        self.rauc = Some(Process(command.spawn().expect("rauc")));
    }

    /// RAUC is gone, as killed.
    pub fn kill_rauc(&mut self) {
        self.rauc = None;
    }

    /// The running daemon.
    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("a daemon")
    }

    /// `status.firmware`.
    pub fn firmware(&self) -> serde_json::Value {
        self.daemon().status()["firmware"].clone()
    }

    /// Waits until the daemon has ended; whether in order to restart the box.
    pub fn wants_restart(&mut self) -> bool {
        self.daemon.as_mut().expect("a daemon").ended(Duration::from_secs(20)).code() == Some(80)
    }

    /// What RAUC told the boot loader to do.
    pub fn slots(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path.join("slots.d/log")).expect("a log");
        log.lines().filter(|line| line.starts_with("set-")).map(str::to_owned).collect()
    }

    /// Whether slot B begins with `image`.
    pub fn holds(&self, image: &[u8]) -> bool {
        let mut there = vec![0; image.len()];
        let mut file = File::open(self.path.join("b.img")).expect("a slot");
        file.read_exact(&mut there).is_ok() && there == image
    }

    /// A file of the state folder.
    pub fn state(&self, name: &str) -> PathBuf {
        self.path.join("state").join(name)
    }
}

/// A web server for one file that breaks off the first answers; it knows ranges.
pub struct Web {
    /// Where it is.
    pub address: SocketAddr,
    /// The first byte that each request asked for.
    pub asked: Arc<Mutex<Vec<u64>>>,
}

impl Web {
    /// Gives `file`, the first `breaks` times only half of what is left.
    pub fn serve(file: &Path, breaks: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (address, file) = (listener.local_addr().expect("an address"), file.to_owned());
        let asked: Arc<Mutex<Vec<u64>>> = Arc::default();
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let _ = Self::answer(stream, &file, number < breaks, &noted);
            }
        });
        Self { address, asked }
    }

    /// The URL of the file.
    pub fn url(&self) -> String {
        format!("http://{}/update.raucb", self.address)
    }

    fn answer(mut stream: TcpStream, file: &Path, breaks: bool, noted: &Mutex<Vec<u64>>) -> std::io::Result<()> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? > 0 {
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let range = head.lines().find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok());
        let from: u64 = range.unwrap_or(0);
        noted.lock().expect("a lock").push(from);
        let Ok(mut file) = File::open(file) else {
            return stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        };
        let length = file.metadata()?.len();
        let rest = length - from;
        let status = match range {
            Some(_) => format!("206 Partial Content\r\ncontent-range: bytes {from}-{}/{length}", length - 1),
            None => "200 OK".into(),
        };
        let head = format!("HTTP/1.1 {status}\r\netag: \"one\"\r\ncontent-length: {rest}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        file.seek(SeekFrom::Start(from))?;
        std::io::copy(&mut file.take(if breaks { rest / 2 } else { rest }), &mut stream)?;
        Ok(())
    }
}
