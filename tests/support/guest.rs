//! The emulated box: an arm64 machine under QEMU, controlled from outside.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that fails, and waits for a machine")]

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

/// The picture that the box sends: small, as every instruction of it is emulated.
pub const WIDTH: usize = 320;
/// Its lines.
pub const HEIGHT: usize = 180;
/// Pictures a second.
pub const RATE: usize = 25;

/// Until systemd reports the daemon ready; about 10 s on an idle machine of two cores.
pub const BOOT: Duration = Duration::from_secs(360);
/// For anything that takes the box a second or two.
pub const SOON: Duration = Duration::from_secs(60);

/// nginx's module, in Debian's package.
pub const RTMP_MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// One box at a time: two would share two cores. None, said aloud, when this machine cannot run it.
pub fn the_machine() -> Option<MutexGuard<'static, ()>> {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut missing: Vec<&str> =
        ["qemu-system-aarch64", "aarch64-linux-gnu-gcc", "mmdebstrap", "mke2fs", "cpio", "nginx", "ffmpeg"]
            .into_iter()
            .filter(|program| !works("sh", &["-c", &format!("PATH=$PATH:/usr/sbin:/sbin command -v {program}")]))
            .collect();
    if !Path::new(RTMP_MODULE).exists() {
        missing.push("libnginx-mod-rtmp");
    }
    if !works("sh", &["-c", "[ $(id -u) = 0 ] || sudo -n true"]) {
        missing.push("root, to make the box's root file system");
    }
    if missing.is_empty() {
        return Some(guard);
    }
    assert!(std::env::var("CI").is_err(), "missing: {}", missing.join(", "));
    say(&format!("SKIPPED: the emulated box needs {} (tests/setup.sh test)", missing.join(", ")));
    None
}

fn works(program: &str, arguments: &[&str]) -> bool {
    let run = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

/// Prints past the capture of the test harness: figures and skips are meant to be seen when tests pass.
pub fn say(line: &str) {
    let _ = std::io::stderr().lock().write_all(format!("emulated box: {line}\n").as_bytes());
}

pub fn report(what: &str, took: Duration) {
    say(&format!("{what}: {:.1} s", took.as_secs_f64()));
}

/// The box, running. Dropped, it loses power; when a test fails, its log is printed first.
pub struct Guest {
    folder: PathBuf,
    qemu: Child,
    agent: BufReader<UnixStream>,
}

impl Guest {
    /// Boots with the state that the last boot in this folder left behind, and pushes to this port of the host.
    pub fn boot(folder: &Path, port: u16, at_power_on: &str) -> Self {
        Self::boot_with(folder, port, at_power_on, &[])
    }

    /// The same with more hardware, as options of QEMU.
    pub fn boot_with(folder: &Path, port: u16, at_power_on: &str, hardware: &[&str]) -> Self {
        Self::boot_settings(folder, &Self::settings(port, at_power_on), hardware)
    }

    /// The settings of a box with one Source, `Host`.
    pub fn settings(port: u16, at_power_on: &str) -> String {
        format!(
            r#"
name = "Test box"
[output]
mode = "{WIDTH}x{HEIGHT}p{RATE}"
bitrate-max = "1 Mbit/s"
[[source]]
name = "Host"
url = "rtmp://10.0.2.2:{port}/live"
key = "box"
[push]
sources = ["Host"]
at-power-on = "{at_power_on}"
"#
        )
    }

    /// Boots with these settings and more hardware.
    pub fn boot_settings(folder: &Path, settings: &str, hardware: &[&str]) -> Self {
        let folder = folder.join("box");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("settings.toml"), settings).unwrap();
        let mut qemu = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/qemu/box"));
        qemu.arg(&folder).args(hardware);
        Self::start(folder, qemu)
    }

    /// Starts a machine by this command, which puts its sockets into the folder (tests/qemu/box, tests/qemu/firmware/boot).
    pub fn start(folder: PathBuf, mut command: Command) -> Self {
        let _ = fs::remove_file(folder.join("agent"));
        let log = fs::File::create(folder.join("qemu.log")).unwrap();
        let mut qemu = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        // The first time, the programs and the root file system are built before it boots.
        let deadline = Instant::now() + Duration::from_secs(30 * 60);
        let agent = loop {
            if let Ok(agent) = UnixStream::connect(folder.join("agent")) {
                break agent;
            }
            if qemu.try_wait().unwrap().is_some() || Instant::now() > deadline {
                let _ = qemu.kill();
                panic!("the box does not start:\n{}", tail(&folder.join("qemu.log")));
            }
            sleep(Duration::from_millis(50));
        };
        agent.set_read_timeout(Some(BOOT)).unwrap();
        Self { folder, qemu, agent: BufReader::new(agent) }
    }

    /// Takes up the agent's line anew: after a restart of the box, an answer that was under way never comes.
    pub fn reconnect(&mut self, within: Duration) -> std::io::Result<()> {
        let agent = UnixStream::connect(self.folder.join("agent"))?;
        agent.set_read_timeout(Some(within))?;
        self.agent = BufReader::new(agent);
        let word = format!("here-{:?}", Instant::now()).replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let answer = format!("0 {}", word.len());
        writeln!(self.agent.get_mut(), "printf %s {word}")?;
        // What is left of answers to commands before it is passed over, which may be in the middle of a line; of those to
        // words before it, too, which look the same.
        let (mut line, mut said) = (String::new(), vec![0; word.len()]);
        while said != word.as_bytes() {
            line.clear();
            if self.agent.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line.trim_end().ends_with(&answer) {
                self.agent.read_exact(&mut said)?;
            }
        }
        self.agent.get_ref().set_read_timeout(Some(BOOT))
    }

    /// Which start of the box this is.
    pub fn boot_id(&mut self) -> String {
        self.run("cat /proc/sys/kernel/random/boot_id")
    }

    /// Waits until the box has restarted by itself, once.
    pub fn wait_for_next_start(&mut self, before: &str, within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            assert!(Instant::now() < deadline, "the box does not restart within {within:?}");
            let alive = self.reconnect(Duration::from_secs(5)).is_ok();
            if alive && self.try_run("cat /proc/sys/kernel/random/boot_id").is_ok_and(|(_, id)| id != before) {
                return;
            }
            sleep(Duration::from_millis(200));
        }
    }

    /// Runs a shell command as root: its exit code and what it printed.
    pub fn try_run(&mut self, command: &str) -> std::io::Result<(i32, String)> {
        writeln!(self.agent.get_mut(), "{command}")?;
        let mut answer = String::new();
        self.agent.read_line(&mut answer)?;
        let unexpected = || std::io::Error::other(format!("the agent answered {answer:?}"));
        let (code, length) = answer.trim_end().split_once(' ').ok_or_else(unexpected)?;
        let mut output = vec![0; length.parse().map_err(|_| unexpected())?];
        self.agent.read_exact(&mut output)?;
        Ok((code.parse().map_err(|_| unexpected())?, String::from_utf8_lossy(&output).into_owned()))
    }

    pub fn run(&mut self, command: &str) -> String {
        let (code, output) = self.try_run(command).unwrap();
        assert_eq!(code, 0, "{command}: {output}");
        output
    }

    /// A property of the daemon's unit.
    pub fn unit(&mut self, property: &str) -> String {
        self.run(&format!("systemctl show --value --property={property} fieldcastd")).trim().to_owned()
    }

    /// The daemon's status, null while it does not answer.
    pub fn status(&mut self) -> Value {
        self.answered_status().unwrap()
    }

    /// The same while the box may restart.
    pub fn try_status(&mut self) -> Value {
        self.answered_status().unwrap_or(Value::Null)
    }

    fn answered_status(&mut self) -> std::io::Result<Value> {
        let request = "exec 3<>/dev/tcp/127.0.0.1/8080 && \
                       printf 'GET /api/v1/status HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && cat <&3";
        let (_, answer) = self.try_run(request)?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok(serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Waits until systemd has the daemon's READY.
    pub fn wait_until_ready(&mut self) {
        self.wait_until("the daemon is ready", BOOT, |guest| guest.unit("ActiveState") == "active");
        let ready = self.unit("ActiveEnterTimestampMonotonic").parse().unwrap();
        report("kernel start to READY", Duration::from_micros(ready));
    }

    pub fn wait_until(&mut self, what: &str, within: Duration, mut holds: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + within;
        while !holds(self) {
            assert!(Instant::now() < deadline, "not within {within:?}: {what}");
            sleep(Duration::from_millis(200));
        }
    }

    pub fn wait_for_status(&mut self, what: &str, holds: impl Fn(&Value) -> bool) {
        let mut last = Value::Null;
        let deadline = Instant::now() + SOON;
        while !holds(&last) {
            assert!(Instant::now() < deadline, "not within {SOON:?}: {what}; the status is {last:#}");
            sleep(Duration::from_millis(100));
            last = self.status();
        }
    }

    /// When the kernel's own clock began.
    pub fn kernel_start(&mut self) -> Instant {
        let uptime = self.run("cut -d ' ' -f 1 /proc/uptime");
        Instant::now() - Duration::from_secs_f64(uptime.trim().parse().unwrap())
    }

    /// Holds the GO button of boards/qemu-virt.toml, from outside.
    pub fn hold_go(&self, held: Duration) {
        self.hold("g", held);
    }

    /// Holds a key, as QEMU names it.
    pub fn hold(&self, key: &str, held: Duration) {
        let mut control = Control::of(self);
        control.key(key, true);
        sleep(held);
        control.key(key, false);
    }

    /// Waits until the box restarts itself, which is QEMU's end (`-no-reboot`).
    pub fn wait_for_restart(mut self) {
        let deadline = Instant::now() + SOON;
        while self.qemu.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the box does not restart");
            sleep(Duration::from_millis(100));
        }
    }

    /// What the box had not written to its disk is lost.
    pub fn power_cut(mut self) {
        self.qemu.kill().unwrap();
    }

    fn print_log(&mut self) {
        let journal = "journalctl --no-pager -o short-monotonic -u fieldcastd; \
                       journalctl --no-pager -o short-monotonic -p warning | tail -n 100; \
                       systemctl --no-pager status fieldcastd";
        let _ = self.agent.get_ref().set_read_timeout(Some(SOON));
        match self.try_run(journal) {
            Ok((_, log)) => say(&format!("the box's journal:\n{log}")),
            Err(error) => say(&format!("no journal of the box: {error}")),
        }
        say(&format!("its console:\n{}", tail(&self.folder.join("console.log"))));
        say(&format!("QEMU:\n{}", tail(&self.folder.join("qemu.log"))));
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_log();
        }
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// QEMU's own control of the machine (QMP).
pub struct Control(BufReader<UnixStream>);

impl Control {
    pub fn of(guest: &Guest) -> Self {
        let stream = UnixStream::connect(guest.folder.join("qmp")).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut control = Self(BufReader::new(stream));
        control.tell(&serde_json::json!({"execute": "qmp_capabilities"}));
        control
    }

    /// Gives a command and waits until it is done.
    pub fn tell(&mut self, command: &Value) {
        writeln!(self.0.get_mut(), "{command}").unwrap();
        let mut answer = String::new();
        while !answer.contains("\"return\"") {
            assert!(!answer.contains("\"error\""), "{command}: {answer}");
            answer.clear();
            assert_ne!(self.0.read_line(&mut answer).unwrap(), 0, "QEMU hung up");
        }
    }

    /// Presses or releases a key.
    pub fn key(&mut self, key: &str, down: bool) {
        let key = serde_json::json!({"down": down, "key": {"type": "qcode", "data": key}});
        let events = serde_json::json!([{"type": "key", "data": key}]);
        self.tell(&serde_json::json!({"execute": "input-send-event", "arguments": {"events": events}}));
    }
}

/// The end of a log.
fn tail(file: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
