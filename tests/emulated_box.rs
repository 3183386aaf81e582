//! The emulated box: an arm64 machine under QEMU with a real kernel, systemd, an HDMI input and a GO button, pushing to
//! an nginx-rtmp on this machine.
//!
//! It proves what no other tier can: that the arm64 programs run under the shipped unit as the shipped user, with that
//! unit's restrictions; that a key pressed on an input device goes on air; that the picture of a V4L2 HDMI receiver
//! arrives in the right colours; and what happens when the cable or the power is pulled.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that fails, and waits for a machine")]

mod support;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread::sleep,
    time::{Duration, Instant},
};
use support::guest::{BOOT, Guest, HEIGHT, RATE, RTMP_MODULE, SOON, WIDTH, report, the_machine};

#[test]
fn go_puts_hdmi_on_air_and_sigterm_ends_it_cleanly() {
    let Some(_machine) = the_machine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ingest = Ingest::start(folder.path());
    let mut guest = Guest::boot(folder.path(), ingest.port, "never");
    guest.wait_until_ready();
    runs_what_was_built(&mut guest);
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
    let mut guest = Guest::boot(folder.path(), ingest.port, "resume");
    guest.wait_until_ready();
    assert_eq!(guest.status()["phase"], "off-air", "nothing to resume yet");
    guest.hold_go(Duration::from_millis(1200));
    guest.wait_for_status("on air", |s| s["phase"] == "on-air");

    guest.power_cut();
    let before = ingest.recording();
    ingest.forget();

    let mut guest = Guest::boot(folder.path(), ingest.port, "resume");
    let picture = ingest.first_picture(BOOT);
    guest.wait_for_status("on air again", |s| s["phase"] == "on-air" && s["program"]["showing"] == "live");
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
    assert!(log.contains("test result: ok. 9 passed"), "{log}");
}

/// Checks that the first `count` live pictures of a recording, after the slate if it began with that, are vivid's 75 % colour bars with a running counter, and that all
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
    let all: Vec<&[u8]> = decoded.stdout.chunks_exact(WIDTH * HEIGHT * 3).collect();
    // The slate is dark where the white bar is.
    let slate = all.iter().take_while(|picture| mean(picture, 10, HEIGHT * 3 / 4, 20, 20)[0] < 96.0).count();
    let pictures = &all[slate..];
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

/// Where programs were built before, as by cross, these very files run in the box.
fn runs_what_was_built(guest: &mut Guest) {
    let Some(built) = std::env::var_os("FIELDCAST_ARM64").map(PathBuf::from) else { return };
    let sum = Command::new("sha256sum").arg(built.join("fieldcastd")).output().unwrap().stdout;
    let sum = String::from_utf8(sum).unwrap().split(' ').next().unwrap().to_owned();
    let main = guest.unit("MainPID");
    assert_eq!(guest.run(&format!("sha256sum </proc/{main}/exe")).split(' ').next(), Some(sum.as_str()));
}
