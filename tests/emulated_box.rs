//! The emulated box: an arm64 machine under QEMU with a real kernel, systemd, an HDMI input and a GO button, pushing to
//! an nginx-rtmp on this machine.
//!
//! It proves what no other tier can: that the arm64 programs run under the shipped unit as the shipped user, with that
//! unit's restrictions; that a key pressed on an input device goes on air; that the picture of a V4L2 HDMI receiver
//! arrives in the right colours; and what happens when the cable or the power is pulled.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that fails, and waits for a machine")]

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

/// The picture that the box sends: small, as every instruction of it is emulated.
const WIDTH: usize = 320;
const HEIGHT: usize = 180;
const RATE: usize = 25;

/// Until systemd reports the daemon ready; about 10 s on an idle machine of two cores.
const BOOT: Duration = Duration::from_secs(180);
/// For anything that takes the box a second or two.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn go_puts_hdmi_on_air_and_sigterm_ends_it_cleanly() {
    let Some(_machine) = the_machine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ingest = Ingest::start(folder.path());
    let mut guest = Guest::boot(folder.path(), &ingest, "never");
    guest.wait_until_ready();
    guest.wait_for_status("the picture locks", |s| s["input"]["signal"] == "locked");

    // The camera at the other end changes its mode: the receiver follows.
    guest.run("v4l2-ctl -d /dev/video0 --set-ctrl=dv_timings=6 --set-ctrl=dv_timings_signal_mode=4");
    guest.wait_for_status("the new mode", |s| s["input"]["mode"] == "1280x720p25" && s["input"]["signal"] == "locked");

    // A tap is not a wish to go on air.
    guest.hold_go(Duration::from_millis(200));
    sleep(Duration::from_secs(2));
    let status = guest.status();
    assert_eq!((&status["phase"], &status["intent"]), (&"off-air".into(), &"off-air".into()), "{status:#}");

    let pressed = Instant::now();
    guest.hold_go(Duration::from_millis(1200));
    report("GO pressed to first decodable picture", ingest.first_picture(SOON) - pressed);
    guest.wait_for_status("on air", |s| s["phase"] == "on-air");
    let status = guest.status();
    assert_eq!(status["input"]["device"], "hdmi", "{status:#}");
    assert_eq!(status["program"]["showing"], "live", "{status:#}");
    sleep(Duration::from_secs(6));

    // The cable is pulled, and put back: the push stays.
    guest.run("v4l2-ctl -d /dev/video0 --set-ctrl=dv_timings_signal_mode=1");
    guest.wait_for_status("the pulled cable is seen", |s| s["input"]["signal"] == "no-cable");
    assert_eq!(guest.status()["phase"], "on-air");
    guest.run("v4l2-ctl -d /dev/video0 --set-ctrl=dv_timings_signal_mode=4");
    guest.wait_for_status("the picture is back", |s| {
        s["input"]["signal"] == "locked" && s["phase"] == "on-air" && s["program"]["showing"] == "live"
    });
    sleep(Duration::from_secs(3));

    let asked = Instant::now();
    guest.run("systemctl stop fieldcastd");
    report("systemctl stop", asked.elapsed());
    assert_eq!(guest.unit("Result"), "success");
    assert_eq!(guest.unit("ExecMainStatus"), "0");
    ingest.wait_for_end();
    // Of the six seconds before the cable was pulled.
    check_pictures(&ingest.recording().expect("a recording"), 5 * RATE);
}

#[test]
fn after_a_power_cut_it_is_on_air_again() {
    let Some(_machine) = the_machine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ingest = Ingest::start(folder.path());
    let mut guest = Guest::boot(folder.path(), &ingest, "resume");
    guest.wait_until_ready();
    assert_eq!(guest.status()["phase"], "off-air", "nothing to resume yet");
    guest.hold_go(Duration::from_millis(1200));
    guest.wait_for_status("on air", |s| s["phase"] == "on-air");

    guest.power_cut();
    let before = ingest.recording();
    ingest.forget();

    let mut guest = Guest::boot(folder.path(), &ingest, "resume");
    let picture = ingest.first_picture(BOOT);
    guest.wait_for_status("on air again", |s| s["phase"] == "on-air");
    report(
        "kernel start to first decodable picture at the ingest, resumed after a power cut",
        picture - guest.kernel_start(),
    );
    sleep(Duration::from_secs(3));
    guest.run("systemctl stop fieldcastd");
    ingest.wait_for_end();
    let after = ingest.recording().expect("a recording");
    assert_ne!(before.as_ref(), Some(&after));
    check_pictures(&after, 2 * RATE);
}

/// The tests of tests/vivid.rs, in the box: HDMI, camera and buttons against a real kernel.
#[test]
fn capture_and_buttons_follow_a_real_kernel() {
    let Some(_machine) = the_machine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let built = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cross/arm64")).arg("vivid").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let program = String::from_utf8(built.stdout).unwrap();
    let drive = format!("file={},format=raw,if=none,id=tests,readonly=on", program.trim());
    let disk = ["-drive", &drive, "-device", "virtio-blk-pci,drive=tests,serial=tests"];
    // Nobody is pushed to.
    let mut guest = Guest::boot_with(folder.path(), 1935, "never", &disk);
    guest.wait_until_ready();
    guest.run("systemctl stop fieldcastd && modprobe -r vivid && modprobe uinput");
    // A second device, which is a webcam.
    guest.run("modprobe vivid n_devs=2 node_types=0x1,0x1 num_inputs=1,1 input_types=0x3,0x0 && udevadm settle");
    guest.run("cp /dev/disk/by-id/virtio-tests /run/vivid && chmod +x /run/vivid");
    let log = "--property=StandardOutput=file:/run/vivid.log --property=StandardError=file:/run/vivid.log";
    guest.run(&format!("systemd-run --unit=vivid {log} /run/vivid --ignored --test-threads=1"));
    guest.wait_until("the tests end", 8 * SOON, |guest| {
        let state = guest.run("systemctl show --value --property=ActiveState vivid");
        !state.starts_with("activ")
    });
    let log = guest.run("cat /run/vivid.log");
    assert!(log.contains("test result: ok. 8 passed"), "{log}");
}

/// Checks that the first `count` pictures of a recording are vivid's 75 % colour bars with a running counter, and that all
/// of it decodes.
fn check_pictures(recording: &Path, count: usize) {
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(recording)
        .args([
            "-map",
            "0:v",
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            "-1",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-",
        ])
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&decoded.stderr);
    assert!(decoded.status.success() && complaints.is_empty(), "the recording does not decode: {complaints}");
    let pictures: Vec<&[u8]> = decoded.stdout.chunks_exact(WIDTH * HEIGHT * 3).collect();
    assert!(pictures.len() >= count, "{} pictures arrived, {count} were due", pictures.len());

    for (number, picture) in pictures[..count].iter().enumerate() {
        for (bar, (name, colour)) in BARS.iter().enumerate() {
            let seen = mean(picture, bar * WIDTH / 8 + 10, HEIGHT * 3 / 4, 20, 20);
            let right = (0..3).all(|c| (seen[c] - f64::from(colour[c])).abs() < 12.0);
            assert!(right, "picture {number}: the {name} bar is {seen:.0?}, not {colour:?}");
        }
    }
    // vivid writes its counter in the first line of text, over the white bar; nothing else moves.
    let moved = |left, top| {
        let pairs = pictures[..count].windows(2);
        pairs.filter(|pair| difference(pair[0], pair[1], left, top, 32, 7) > 1.0).count()
    };
    // Emulated on a busy machine it sends fewer than it should; that all arrive is for the loopback tier to prove.
    assert!(moved(4, 3) >= count / 10, "the counter moved in only {} of {count} pictures", moved(4, 3));
    assert_eq!(moved(4, HEIGHT * 3 / 4), 0, "the bars themselves moved");
}

/// vivid's bars from left to right, R'G'B' in full range.
const BARS: [(&str, [u8; 3]); 8] = [
    ("white", [191, 191, 191]),
    ("yellow", [191, 191, 0]),
    ("cyan", [0, 191, 191]),
    ("green", [0, 191, 0]),
    ("magenta", [191, 0, 191]),
    ("red", [191, 0, 0]),
    ("blue", [0, 0, 191]),
    ("black", [0, 0, 0]),
];

/// The mean colour of a patch.
fn mean(picture: &[u8], left: usize, top: usize, width: usize, height: usize) -> [f64; 3] {
    let mut sum = [0.0; 3];
    for y in top..top + height {
        for x in left..left + width {
            for (c, total) in sum.iter_mut().enumerate() {
                *total += f64::from(picture[(y * WIDTH + x) * 3 + c]);
            }
        }
    }
    sum.map(|total| total / (width * height) as f64)
}

/// The mean difference of a patch between two pictures.
fn difference(one: &[u8], other: &[u8], left: usize, top: usize, width: usize, height: usize) -> f64 {
    let rows = (top..top + height).map(|y| (y * WIDTH + left) * 3..(y * WIDTH + left + width) * 3);
    let sum: u64 = rows.flatten().map(|at| u64::from(one[at].abs_diff(other[at]))).sum();
    sum as f64 / (height * width * 3) as f64
}

/// One box at a time: two would share two cores. None, said aloud, when this machine cannot run it.
fn the_machine() -> Option<MutexGuard<'static, ()>> {
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
fn say(line: &str) {
    let _ = std::io::stderr().lock().write_all(format!("emulated box: {line}\n").as_bytes());
}

fn report(what: &str, took: Duration) {
    say(&format!("{what}: {:.1} s", took.as_secs_f64()));
}

/// The box, running. Dropped, it loses power; when a test fails, its log is printed first.
struct Guest {
    folder: PathBuf,
    qemu: Child,
    agent: BufReader<UnixStream>,
}

impl Guest {
    /// Boots with the state that the last boot in this folder left behind.
    fn boot(folder: &Path, ingest: &Ingest, at_power_on: &str) -> Self {
        Self::boot_with(folder, ingest.port, at_power_on, &[])
    }

    /// The same with more hardware, as options of QEMU.
    fn boot_with(folder: &Path, port: u16, at_power_on: &str, hardware: &[&str]) -> Self {
        let folder = folder.join("box");
        fs::create_dir_all(&folder).unwrap();
        let settings = format!(
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
        );
        fs::write(folder.join("settings.toml"), settings).unwrap();
        let _ = fs::remove_file(folder.join("agent"));
        let log = fs::File::create(folder.join("qemu.log")).unwrap();
        let mut qemu = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/qemu/box"))
            .arg(&folder)
            .args(hardware)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
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

    /// Runs a shell command as root: its exit code and what it printed.
    fn try_run(&mut self, command: &str) -> std::io::Result<(i32, String)> {
        writeln!(self.agent.get_mut(), "{command}")?;
        let mut answer = String::new();
        self.agent.read_line(&mut answer)?;
        let unexpected = || std::io::Error::other(format!("the agent answered {answer:?}"));
        let (code, length) = answer.trim_end().split_once(' ').ok_or_else(unexpected)?;
        let mut output = vec![0; length.parse().map_err(|_| unexpected())?];
        self.agent.read_exact(&mut output)?;
        Ok((code.parse().map_err(|_| unexpected())?, String::from_utf8_lossy(&output).into_owned()))
    }

    fn run(&mut self, command: &str) -> String {
        let (code, output) = self.try_run(command).unwrap();
        assert_eq!(code, 0, "{command}: {output}");
        output
    }

    /// A property of the daemon's unit.
    fn unit(&mut self, property: &str) -> String {
        self.run(&format!("systemctl show --value --property={property} fieldcastd")).trim().to_owned()
    }

    /// The daemon's status, null while it does not answer.
    fn status(&mut self) -> Value {
        let request = "exec 3<>/dev/tcp/127.0.0.1/8080 && \
                       printf 'GET /api/v1/status HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && cat <&3";
        let (_, answer) = self.try_run(request).unwrap();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or(Value::Null)
    }

    /// Waits until systemd has the daemon's READY.
    fn wait_until_ready(&mut self) {
        self.wait_until("the daemon is ready", BOOT, |guest| guest.unit("ActiveState") == "active");
        let ready = self.unit("ActiveEnterTimestampMonotonic").parse().unwrap();
        report("kernel start to READY", Duration::from_micros(ready));
    }

    fn wait_until(&mut self, what: &str, within: Duration, mut holds: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + within;
        while !holds(self) {
            assert!(Instant::now() < deadline, "not within {within:?}: {what}");
            sleep(Duration::from_millis(200));
        }
    }

    fn wait_for_status(&mut self, what: &str, holds: impl Fn(&Value) -> bool) {
        let mut last = Value::Null;
        let deadline = Instant::now() + SOON;
        while !holds(&last) {
            assert!(Instant::now() < deadline, "not within {SOON:?}: {what}; the status is {last:#}");
            sleep(Duration::from_millis(100));
            last = self.status();
        }
    }

    /// When the kernel's own clock began.
    fn kernel_start(&mut self) -> Instant {
        let uptime = self.run("cut -d ' ' -f 1 /proc/uptime");
        Instant::now() - Duration::from_secs_f64(uptime.trim().parse().unwrap())
    }

    /// Holds the GO button of boards/qemu-virt.toml, from outside.
    fn hold_go(&self, held: Duration) {
        let mut qmp = BufReader::new(UnixStream::connect(self.folder.join("qmp")).unwrap());
        qmp.get_ref().set_read_timeout(Some(SOON)).unwrap();
        let mut tell = |command: &str| {
            writeln!(qmp.get_mut(), "{command}").unwrap();
            let mut answer = String::new();
            while !answer.contains("\"return\"") {
                assert!(!answer.contains("\"error\""), "{command}: {answer}");
                answer.clear();
                assert_ne!(qmp.read_line(&mut answer).unwrap(), 0, "QEMU hung up");
            }
        };
        let key = |down| {
            format!(
                r#"{{"execute": "input-send-event", "arguments": {{"events": [{{"type": "key",
                "data": {{"down": {down}, "key": {{"type": "qcode", "data": "g"}}}}}}]}}}}"#
            )
            .replace('\n', " ")
        };
        tell(r#"{"execute": "qmp_capabilities"}"#);
        tell(&key(true));
        sleep(held);
        tell(&key(false));
    }

    /// What the box had not written to its disk is lost.
    fn power_cut(mut self) {
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

/// The end of a log.
fn tail(file: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

const RTMP_MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// An nginx-rtmp on a free port that records what is pushed to it.
struct Ingest {
    folder: PathBuf,
    port: u16,
    nginx: Child,
}

impl Ingest {
    fn start(folder: &Path) -> Self {
        let folder = folder.join("ingest");
        fs::create_dir_all(folder.join("recordings")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let home = folder.display();
        let configuration = format!(
            r#"
load_module {RTMP_MODULE};
daemon off; master_process off; pid {home}/pid; error_log {home}/log info;
events {{}}
rtmp {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        application live {{ live on; record all; record_unique on; record_path {home}/recordings; }}
    }}
}}
"#
        );
        fs::write(folder.join("nginx.conf"), configuration).unwrap();
        let nginx = Command::new("/usr/sbin/nginx")
            .arg("-e")
            .arg(folder.join("log"))
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .spawn()
            .unwrap();
        Self { folder, port, nginx }
    }

    /// The newest recording.
    fn recording(&self) -> Option<PathBuf> {
        let files = fs::read_dir(self.folder.join("recordings")).unwrap();
        files.map(|entry| entry.unwrap().path()).max()
    }

    /// Deletes recordings and log.
    fn forget(&self) {
        fs::remove_dir_all(self.folder.join("recordings")).unwrap();
        fs::create_dir(self.folder.join("recordings")).unwrap();
        fs::write(self.folder.join("log"), "").unwrap();
    }

    /// Waits until a whole IDR picture is recorded: the moment it arrived.
    fn first_picture(&self, within: Duration) -> Instant {
        let deadline = Instant::now() + within;
        loop {
            let recorded = self.recording().map(|file| fs::read(file).unwrap()).unwrap_or_default();
            if has_key_picture(&recorded) {
                return Instant::now();
            }
            assert!(Instant::now() < deadline, "no picture at the ingest within {within:?}\n{}", self.log());
            sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the stream has ended, by the publisher's own word and not by its connection breaking.
    fn wait_for_end(&self) {
        let deadline = Instant::now() + SOON;
        while !self.log().contains(" disconnect,") {
            assert!(Instant::now() < deadline, "still connected after {SOON:?}\n{}", self.log());
            sleep(Duration::from_millis(100));
        }
        let log = self.log();
        let before = &log[..log.rfind(" disconnect,").unwrap_or(0)];
        assert!(before.contains(" deleteStream,"), "the stream was not ended but dropped:\n{log}");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}

/// Whether an FLV file holds a whole coded H.264 key picture (not only its sequence header).
fn has_key_picture(flv: &[u8]) -> bool {
    let mut rest = flv.get(13..).unwrap_or_default();
    while let [kind, a, b, c, ..] = rest {
        let size = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some(body) = rest.get(11..11 + size) else { return false };
        if *kind == 9 && body.starts_with(&[0x17, 1]) {
            return true;
        }
        rest = rest.get(11 + size + 4..).unwrap_or_default();
    }
    false
}
