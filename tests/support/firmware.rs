//! The emulated box with the firmware on its disk: two systems, a data partition, and the bundles of other versions.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that fails, and waits for a machine")]

use super::{
    Nginx,
    guest::{self, BOOT, Guest, say},
    now,
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::MutexGuard,
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// For a bundle to be downloaded and written.
pub const INSTALL: Duration = Duration::from_secs(300);
/// For three starts, and the five minutes that a new system has.
pub const ROLLBACK: Duration = Duration::from_secs(900);

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/qemu/firmware");

/// One box at a time, and what its firmware is made with besides. None, said aloud, when this machine cannot run it.
pub fn the_machine() -> Option<MutexGuard<'static, ()>> {
    let machine = guest::the_machine()?;
    let missing: Vec<&str> = ["rauc", "mksquashfs", "mkfs.vfat", "mcopy", "sfdisk", "openssl", "ssh"]
        .into_iter()
        .filter(|program| {
            let found = format!("PATH=$PATH:/usr/sbin:/sbin command -v {program} >/dev/null");
            !Command::new("sh").args(["-c", &found]).status().is_ok_and(|status| status.success())
        })
        .collect();
    if missing.is_empty() {
        return Some(machine);
    }
    assert!(std::env::var("CI").is_err(), "missing: {}", missing.join(", "));
    say(&format!("SKIPPED: the firmware needs {} (tests/setup.sh test)", missing.join(", ")));
    None
}

/// A line of the table that `make box-tests` prints at its end.
pub fn row(what: &str, value: &str, wanted: &str) {
    let line = format!("{what:<64} {value:>12}   {wanted}");
    say(&line);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("box-tests.txt");
    let mut table = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    writeln!(table, "{line}").unwrap();
}

/// Runs one of the scripts of tests/qemu/firmware; what it prints last.
fn script(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(Path::new(SCRIPTS).join(name)).args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{name} {arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().lines().last().unwrap_or_default().to_owned()
}

/// The root file system of a version, as a slot holds it.
pub fn system(version: &str, kind: &str) -> PathBuf {
    script("system", &[version, kind]).into()
}

/// A box with the firmware, its disk and what it pushes to. Its disk lasts from one power-on to the next.
pub struct Firmware {
    folder: TempDir,
    pub ingest: Nginx,
}

impl Firmware {
    /// A box as it was set up once: this system, these settings for the time after power-on.
    pub fn new(system: &Path, at_power_on: &str) -> Self {
        Self::with_settings(system, |port| Guest::settings(port, at_power_on))
    }

    /// As services do, it lets a stream go that has become silent: a box that lost its cable could not say good-bye.
    fn ingest() -> Nginx {
        Nginx::start_with("drop_idle_publisher 10s;", "")
    }

    /// A box with these settings, made for its ingest's port.
    pub fn with_settings(system: &Path, make: impl FnOnce(u16) -> String) -> Self {
        let (folder, ingest) = (tempfile::tempdir().unwrap(), Self::ingest());
        let settings = folder.path().join("settings.toml");
        fs::write(&settings, make(ingest.port)).unwrap();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        script("disk", &[&path(system), &path(&folder.path().join("disk.img")), &path(&settings)]);
        Self { folder, ingest }
    }

    /// A box as it leaves the factory, with no data, and a `fieldcast.toml` on its boot partition, made for its ingest's port.
    pub fn from_factory(system: &Path, provisioning: impl FnOnce(u16) -> String) -> Self {
        let (folder, ingest) = (tempfile::tempdir().unwrap(), Self::ingest());
        let file = folder.path().join("fieldcast.toml");
        fs::write(&file, provisioning(ingest.port)).unwrap();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        script("disk", &[&path(system), &path(&folder.path().join("disk.img")), "", &path(&file)]);
        Self { folder, ingest }
    }

    /// Where its disk is, and what is plugged in beside it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn power_on(&self) -> Guest {
        self.power_on_with(&[])
    }

    /// With more hardware, as options of QEMU.
    pub fn power_on_with(&self, hardware: &[&str]) -> Guest {
        let mut qemu = Command::new(Path::new(SCRIPTS).join("boot"));
        qemu.arg(self.folder.path()).args(hardware);
        let _ = fs::remove_file(self.ingest.recording_path("box"));
        Guest::start(self.folder.path().to_owned(), qemu)
    }

    /// Waits until the recording at the ingest holds a whole key picture: when that was.
    pub fn first_picture(&self, within: Duration) -> Instant {
        let deadline = now() + within;
        loop {
            let recorded = fs::read(self.ingest.recording_path("box")).unwrap_or_default();
            let key = |tag: &super::flv::Tag| tag.is_picture() && tag.body[0] >> 4 == 1;
            if recorded.len() > 13 && super::flv::tags(&recorded).iter().any(key) {
                return now();
            }
            assert!(now() < deadline, "no picture at the ingest within {within:?}\n{}", self.ingest.log());
            sleep(Duration::from_millis(20));
        }
    }

    /// Decodes what the ingest recorded: whether all of it does, and how many pictures there are. What a power cut left
    /// unfinished at the end counts as well.
    pub fn pictures(&self) -> usize {
        let decoded = Command::new("ffprobe")
            .args(["-v", "error", "-count_frames", "-select_streams", "v", "-show_entries", "stream=nb_read_frames"])
            .args(["-of", "csv=p=0"])
            .arg(self.ingest.recording_path("box"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&decoded.stderr);
        assert!(decoded.status.success() && said.is_empty(), "the recording does not decode: {said}");
        String::from_utf8_lossy(&decoded.stdout).trim().parse().unwrap()
    }

    /// Checks the data partition's file system on this machine, with the box off: after the journal has been replayed,
    /// as the box itself does at its start, nothing is left to mend.
    pub fn check_data(&self) {
        let data = self.folder.path().join("data.img");
        let disk = self.folder.path().join("disk.img");
        let table = Command::new("sfdisk").env("PATH", PATH).arg("--json").arg(&disk).output().unwrap();
        let table: Value = serde_json::from_slice(&table.stdout).unwrap();
        let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
        let own = partitions.iter().find(|partition| partition["name"] == "data").unwrap();
        let copied = Command::new("dd")
            .arg(format!("if={}", disk.display()))
            .arg(format!("of={}", data.display()))
            .args([format!("skip={}", own["start"]), format!("count={}", own["size"])])
            .args(["conv=sparse", "status=none"])
            .status();
        assert!(copied.unwrap().success());
        let run = |arguments: &[&str]| {
            let output = Command::new("e2fsck").env("PATH", PATH).args(arguments).arg(&data).output().unwrap();
            (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let _ = run(&["-p", "-E", "journal_only"]);
        let (code, said) = run(&["-n", "-f"]);
        assert_eq!(code, Some(0), "{said}");
        fs::remove_file(data).unwrap();
    }
}

/// Where the administrator's programs are.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Bundles of other versions on an HTTP server of this machine, for one box.
pub struct Bundles {
    folder: TempDir,
    port: u16,
}

impl Bundles {
    pub fn serve() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let root = folder.path().to_owned();
        // It ends with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(&root, stream);
            }
        });
        Self { folder, port }
    }

    /// Where the box gets the bundle of this version and kind (tests/qemu/firmware/bundle).
    pub fn url(&self, version: &str, kind: &str) -> String {
        let name = format!("{version}-{kind}.raucb");
        let link = self.folder.path().join(&name);
        if !link.exists() {
            std::os::unix::fs::symlink(script("bundle", &[version, kind]), link).unwrap();
        }
        format!("http://10.0.2.2:{}/{name}", self.port)
    }
}

/// Answers one request: whole files, one at a time.
fn answer(folder: &Path, mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let name = first.split(' ').nth(1).and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
    let Ok(mut file) = fs::File::open(folder.join(name)) else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let length = file.metadata()?.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    if !first.starts_with("HEAD") {
        std::io::copy(&mut file, &mut stream)?;
    }
    Ok(())
}

/// Gives the daemon a command by its HTTP interface: the head and the body of the answer, or nothing if that takes longer
/// than 5 s.
pub fn command(guest: &mut Guest, name: &str, body: &Value) -> String {
    guest.run(&format!("{} && timeout 5 cat <&3; true", request(name, body)))
}

const ANSWER: &str = "/tmp/answer";

/// Gives the command and does not wait.
pub fn begin_command(guest: &mut Guest, name: &str, body: &Value) {
    guest.run(&format!(
        "rm -f {ANSWER}; ({} && cat <&3 >{ANSWER}.new; mv {ANSWER}.new {ANSWER}) >/dev/null 2>&1 &",
        request(name, body)
    ));
}

/// As [`command`], for what takes minutes: the box's agent waits for no command so long.
pub fn slow_command(guest: &mut Guest, name: &str, body: &Value) -> String {
    begin_command(guest, name, body);
    let there = format!("[ -e {ANSWER} ] && cat {ANSWER}; true");
    let mut said = String::new();
    guest.wait_until("the answer", INSTALL, |guest| {
        said = guest.run(&there);
        !said.is_empty()
    });
    said
}

fn request(name: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'POST /api/v1/commands/{name} HTTP/1.0\\r\\nHost: localhost\\r\\n\
         Content-Type: application/json\\r\\nContent-Length: {}\\r\\n\\r\\n{body}' >&3",
        body.len()
    )
}

/// What the boot loader would do: the primary system and the state of both.
pub fn slots(guest: &mut Guest) -> String {
    guest.run("/usr/lib/fieldcast/slots show").trim().to_owned()
}

/// The version that runs.
pub fn version(guest: &mut Guest) -> String {
    guest.run(". /etc/os-release; echo $IMAGE_VERSION").trim().to_owned()
}

/// The data partition gets the rest of the disk, and so room for a bundle, some time after the first start.
pub fn wait_until_grown(guest: &mut Guest) {
    guest.wait_until("the data partition has grown", INSTALL, |guest| guest.run("ls -A /data").contains(".grown"));
}

/// Asks for an update and waits for its end where that is a refusal or a failure: why.
pub fn refused(guest: &mut Guest, url: &str) -> String {
    wait_until_grown(guest);
    let answer = slow_command(guest, "update", &serde_json::json!({ "url": url }));
    let told = answer.lines().last().unwrap_or_default();
    say(&format!("update: {told}"));
    let problem: Value = serde_json::from_str(told).unwrap_or_default();
    assert!(problem["reason"].is_string(), "it was not refused: {answer}");
    problem["detail"].as_str().unwrap_or_default().to_owned()
}

/// Asks for an update, and waits until the box has restarted by itself.
pub fn update(guest: &mut Guest, url: &str) {
    wait_until_grown(guest);
    let start = guest.boot_id();
    let from = now();
    let answer = command(guest, "update", &serde_json::json!({ "url": url }));
    say(&format!("update: {}", answer.lines().last().unwrap_or_default()));
    guest.wait_for_next_start(&start, INSTALL + BOOT);
    say(&format!("from `update` to the restarted box: {:.0} s", from.elapsed().as_secs_f64()));
}

/// Waits for what came of the last update, as the daemon tells it, across restarts of the box.
pub fn outcome(guest: &mut Guest, version: &str, within: Duration) -> Value {
    let deadline = now() + within;
    loop {
        if guest.reconnect(Duration::from_secs(5)).is_ok() {
            let status = guest.try_status();
            let last = &status["firmware"]["last"];
            if last["version"] == version && last["result"].is_string() {
                return last.clone();
            }
        }
        assert!(now() < deadline, "not told within {within:?}: what came of the update to {version}");
        sleep(Duration::from_millis(500));
    }
}
