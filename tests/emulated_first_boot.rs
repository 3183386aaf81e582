//! The first start of a box on the emulated one, as an operator has it: a `fieldcast.toml` on the card and on sticks that come
//! and go, the box's name on its network, a log-in by key, several networks in order of preference, and the factory reset.
//!
//! QEMU's USB Ethernet stands for a modem that shows a card (the kernel's driver for those takes it), two simulated radios and
//! a real access point for the Wi-Fi. A modem with a SIM card cannot be had here.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that fails, and waits for a machine")]

mod support;

use serde_json::{Value, json};
use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Output},
    thread::sleep,
    time::Duration,
};
use support::{
    firmware::{self, Firmware, command, slow_command, system},
    free_port,
    guest::{BOOT, Control, Guest, HEIGHT, RATE, SOON, WIDTH},
    now,
};

/// The box's address in a network without a DHCP server (RFC 5737), and ours.
const BOX: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const DESK: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// An access point in a network namespace of the box, on the second of two simulated radios.
const ACCESS_POINT: &str = r#"
modprobe mac80211_hwsim radios=2 && ip netns add van
for attempt in 1 2 3 4 5 6 7 8 9 10; do iw phy phy1 set netns name van && break; sleep 1; done
printf 'network={\nssid="Van"\nmode=2\nkey_mgmt=WPA-PSK\npsk="correct horse"\nfrequency=2412\n}\n' >/run/van.conf
printf 'interface wlan1\nstart 10.77.0.20\nend 10.77.0.30\nlease_file /run/van.leases\n' >/run/van-dhcp.conf
printf 'opt router 10.77.0.1\nopt subnet 255.255.255.0\nopt lease 600\n' >>/run/van-dhcp.conf
: >/run/van.leases
ip netns exec van ip address add 10.77.0.1/24 dev wlan1
ip netns exec van ip link set wlan1 up
ip netns exec van wpa_supplicant -B -i wlan1 -c /run/van.conf -P /run/van-wpa.pid
ip netns exec van busybox udhcpd -S /run/van-dhcp.conf"#;

/// A name for the box, a Source, its networks, and who may log in.
fn provisioning(port: u16, name: &str, key: &str) -> String {
    let size = format!("{WIDTH}x{HEIGHT}p{RATE}");
    format!(
        r#"
host-name = "ob-van-3"
[settings]
name = "{name}"
[settings.output]
mode = "{size}"
bitrate-max = "1 Mbit/s"
[[settings.source]]
name = "Host"
url = "rtmp://10.0.2.2:{port}/live"
key = "box"
[settings.push]
sources = ["Host"]
at-power-on = "always"
[[wifi]]
ssid = "Van"
password = "correct horse"
[[ethernet]]
interface = "enp0s16"
address = "{BOX}/24"
[ssh]
keys = ["{key}"]
"#
    )
}

/// A second network, which is raw frames between QEMU and this test.
struct Lan {
    socket: UdpSocket,
    hardware: Vec<String>,
}

impl Lan {
    fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let (ours, theirs) = (socket.local_addr().unwrap().port(), free_port());
        socket.connect((Ipv4Addr::LOCALHOST, theirs)).unwrap();
        let side = |side: &str, port| format!("{side}.type=inet,{side}.host=127.0.0.1,{side}.port={port}");
        let hardware = vec![
            "-netdev".into(),
            format!("dgram,id=lan,{},{}", side("local", theirs), side("remote", ours)),
            "-device".into(),
            "virtio-net-pci,netdev=lan,addr=0x10,romfile=".into(),
        ];
        Self { socket, hardware }
    }

    /// Asks all on this network for the address of a name, as a computer beside the box does (RFC 6762): whether the box answers
    /// with its own.
    fn finds(&self, name: &str) -> bool {
        let labels: Vec<u8> =
            name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
        let question = [&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &labels, &[0, 0, 1, 0, 1]].concat();
        // UDP over IPv4 may go without its checksum (RFC 768); the header's own is filled in below.
        let length = |payload: usize| (payload as u16).to_be_bytes();
        let udp =
            [&5353_u16.to_be_bytes(), &5353_u16.to_be_bytes(), &length(8 + question.len()), &[0, 0][..], &question];
        let udp = udp.concat();
        let mut ip =
            [&[0x45, 0], &length(20 + udp.len())[..], &[0, 0, 0, 0, 255, 17, 0, 0], &DESK.octets(), &[224, 0, 0, 251]];
        let sum: u32 = ip.concat().chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
        let filled = [&[0, 0, 0, 0, 255, 17][..], &sum.to_be_bytes()].concat();
        ip[2] = &filled;
        let ethernet = [&[0x01, 0, 0x5e, 0, 0, 0xfb][..], &[0x52, 0x54, 0, 0xaa, 0, 1], &[8, 0]];
        self.socket.send(&[ethernet.concat(), ip.concat(), udp].concat()).unwrap();

        let until = now() + Duration::from_secs(1);
        let mut frame = [0; 2048];
        while now() < until {
            let Ok(length) = self.socket.recv(&mut frame) else { break };
            let frame = &frame[..length];
            let holds = |bytes: &[u8]| frame.windows(bytes.len()).any(|window| window == bytes);
            // Flags of the answer (RFC 6762, section 18): a response, authoritative.
            let answers = frame.get(34..36) == Some(&[0x14, 0xe9]) && frame.get(44..46) == Some(&[0x84, 0]);
            if answers && holds(&labels) && holds(&BOX.octets()) {
                return true;
            }
        }
        false
    }
}

/// A FAT stick with one file.
fn stick(folder: &Path, name: &str, text: &str) -> PathBuf {
    let image = folder.join(format!("{name}.img"));
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output =
            Command::new("env").arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin").arg(program).args(arguments).output();
        assert!(output.as_ref().unwrap().status.success(), "{program} {arguments:?}: {output:?}");
    };
    run("mkfs.vfat", &[image.to_str().unwrap()]);
    run("mcopy", &["-i", image.to_str().unwrap(), file.to_str().unwrap(), "::fieldcast.toml"]);
    image
}

fn plug(guest: &Guest, image: &Path, name: &str) {
    let mut control = Control::of(guest);
    let file = json!({"driver": "file", "filename": image});
    let drive = json!({"driver": "raw", "node-name": name, "file": file});
    control.tell(&json!({"execute": "blockdev-add", "arguments": drive}));
    let device = json!({"driver": "usb-storage", "id": format!("{name}-stick"), "drive": name, "bus": "usb.0"});
    control.tell(&json!({"execute": "device_add", "arguments": device}));
}

fn unplug(guest: &Guest, name: &str) {
    Control::of(guest).tell(&json!({"execute": "device_del", "arguments": {"id": format!("{name}-stick")}}));
}

/// Logs in from this machine, by a forwarded port.
fn log_in(port: u16, key: &Path) -> Output {
    let quiet = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "ConnectTimeout=20"];
    let options = quiet.iter().flat_map(|option| ["-o", option]);
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-i"]).arg(key).args(["-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR"]).args(options);
    ssh.args(["-p", &port.to_string(), "root@127.0.0.1", "id -u; cat /proc/sys/kernel/hostname"]).output().unwrap()
}

fn make_key(folder: &Path, name: &str) -> (PathBuf, String) {
    let file = folder.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&file).status();
    assert!(made.unwrap().success());
    let public = fs::read_to_string(file.with_extension("pub")).unwrap();
    (file, public.trim().to_owned())
}

/// The networks that have a route to the world, the one in use first: kind and metric.
fn ways(status: &Value) -> Vec<(String, u64)> {
    let networks = status["networks"].as_array().cloned().unwrap_or_default();
    let way = |network: &Value| Some((network["kind"].as_str()?.to_owned(), network["metric"].as_u64()?));
    networks.iter().filter_map(way).collect()
}

fn way(kind: &str, metric: u64) -> (String, u64) {
    (kind.to_owned(), metric)
}

fn refusal(status: &Value) -> Option<String> {
    let faults = status["faults"].as_array()?;
    let fault = faults.iter().find(|fault| fault["code"] == "provisioning-refused")?;
    Some(fault["text"].as_str()?.to_owned())
}

#[test]
#[ignore = "make box-tests"]
fn one_file_sets_up_a_box() {
    let Some(_machine) = firmware::the_machine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (key, public) = make_key(folder.path(), "desk");
    let (stranger, _) = make_key(folder.path(), "stranger");
    let firmware = Firmware::from_factory(&system("0.1.0", "plain"), |port| provisioning(port, "OB van 3", &public));
    let (lan, log_in_port) = (Lan::new(), free_port());
    let modem = format!("user,id=modem,net=10.0.4.0/24,hostfwd=tcp:127.0.0.1:{log_in_port}-:22");
    let mut hardware: Vec<&str> = lan.hardware.iter().map(String::as_str).collect();
    hardware.extend([
        "-device",
        "qemu-xhci,id=usb,addr=0x11",
        "-netdev",
        &modem,
        "-device",
        "usb-net,netdev=modem,bus=usb.0",
    ]);

    // On air with nobody logged in.
    let mut guest = firmware.power_on_with(&hardware);
    let picture = firmware.first_picture(BOOT);
    firmware::row(
        "first start: a fieldcast.toml on the card to the first picture",
        &format!("{:.1} s", (picture - guest.kernel_start()).as_secs_f64()),
        "",
    );
    guest.wait_until_ready();
    assert_eq!(guest.status()["name"], "OB van 3");
    assert_eq!(guest.run("cat /proc/sys/kernel/hostname").trim(), "ob-van-3");
    assert!(guest.run("stat -c '%a %U' /data/provision/accepted.json").starts_with("600 root"));
    guest.wait_until("its name is answered for", BOOT, |_| lan.finds("ob-van-3.local"));
    assert!(!lan.finds("ob-van-4.local"));
    firmware::row("its name in the network (mDNS)", "found", "");

    // With the key that was brought, and with no other.
    guest.wait_until("a log-in", BOOT, |_| log_in(log_in_port, &key).stdout == b"0\nob-van-3\n");
    let refused = log_in(log_in_port, &stranger);
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("publickey"), "{refused:?}");
    firmware::row("log-in with the key that was brought, and with another", "as wanted", "");

    // Networks in order; a cable that is pulled, and an access point that goes.
    guest.run(&ACCESS_POINT.trim().replace('\n', "; "));
    let all = [way("ethernet", 100), way("wifi", 600), way("modem", 700)];
    guest.wait_until("three networks", BOOT, |guest| ways(&guest.status()) == all);
    Control::of(&guest).tell(&json!({"execute": "set_link", "arguments": {"name": "net", "up": false}}));
    guest.wait_until("Wi-Fi is used", SOON, |guest| ways(&guest.status()) == all[1..]);
    assert_eq!(guest.status()["networks"][0]["used"], true);
    guest.run("kill $(cat /run/van-wpa.pid)");
    guest.wait_until("the modem is used", SOON, |guest| ways(&guest.status()) == all[2..]);
    Control::of(&guest).tell(&json!({"execute": "set_link", "arguments": {"name": "net", "up": true}}));
    let wired = [way("ethernet", 100), way("modem", 700)];
    guest.wait_until("the cable is used again", SOON, |guest| ways(&guest.status()) == wired);
    firmware::row("cable, Wi-Fi, modem: used in that order as they go", "as wanted", "");

    a_stick_comes_and_goes(&mut guest, &firmware, folder.path());
    the_button_resets(&mut guest, &firmware);
    guest.power_cut();
    firmware.check_data();
}

/// A wrong file changes nothing and is told; a right one is taken over, on air; log-in is off without keys.
fn a_stick_comes_and_goes(guest: &mut Guest, firmware: &Firmware, folder: &Path) {
    let on_air = |guest: &mut Guest| guest.status()["phase"] == "on-air";
    guest.wait_until("on air over the cable again", SOON, on_air);
    let wrong = stick(folder, "wrong", "host-name = \"ob-van-4\"\n[[wifi]]\nssid = \"Van\"\npassword = \"short\"\n");
    plug(guest, &wrong, "wrong");
    guest.wait_until("the wrong file is told", SOON, |guest| refusal(&guest.status()).is_some());
    let why = refusal(&guest.status()).unwrap();
    assert!(why.contains("fieldcast.toml") && why.contains("line 4: wifi[0].password"), "{why}");
    assert_eq!(guest.run("cat /proc/sys/kernel/hostname").trim(), "ob-van-3");
    unplug(guest, "wrong");
    guest.wait_until("it is told no more", SOON, |guest| refusal(&guest.status()).is_none());
    firmware::row("a wrong fieldcast.toml on a stick", "told", &why);

    let text = provisioning(firmware.ingest.port, "OB van 4", "").replace("[ssh]\nkeys = [\"\"]\n", "");
    let right = stick(folder, "right", &text.replace("ob-van-3", "ob-van-4"));
    plug(guest, &right, "right");
    guest.wait_until("the right file is taken over", SOON, |guest| guest.status()["name"] == "OB van 4");
    guest.wait_until("the name", SOON, |guest| guest.run("cat /proc/sys/kernel/hostname").trim() == "ob-van-4");
    guest.wait_until("nobody can log in", SOON, |guest| {
        guest.run("[ -e /run/fieldcast-ssh/authorized_keys ] && echo keys; true").is_empty()
    });
    guest.wait_until("on air with the new settings", SOON, on_air);

    let answer = slow_command(guest, "diagnostics", &json!({"to": "usb"}));
    assert!(answer.contains("fieldcast-") && answer.contains("200 OK"), "{answer}");
    unplug(guest, "right");
    guest.wait_until("the stick is gone", SOON, |guest| guest.run("ls /run/media/fieldcast").trim().is_empty());
    let listed = Command::new("mdir").args(["-b", "-i"]).arg(&right).arg("::").output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains(".json"), "{listed}");
    firmware::row("a right one, on air, and diagnostics on its stick", "taken over", "");
}

/// GO held while the daemon starts, and let go when it says so.
fn the_button_resets(guest: &mut Guest, firmware: &Firmware) {
    command(guest, "set", &json!({"name": "Ours"}));
    guest.wait_until("set", SOON, |guest| guest.status()["name"] == "Ours");
    let start = guest.boot_id();
    // While it runs, holding GO means something else.
    guest.run("systemctl stop fieldcastd");
    Control::of(guest).key("g", true);
    guest.run("systemctl start fieldcastd");
    // 10 s make it ready, and there are 5 s to let go.
    sleep(Duration::from_secs(12));
    let photo = Path::new(env!("CARGO_TARGET_TMPDIR")).join("factory-reset.ppm");
    Control::of(guest).tell(&json!({"execute": "screendump", "arguments": {"filename": photo}}));
    Control::of(guest).key("g", false);
    guest.wait_for_next_start(&start, BOOT);
    guest.wait_until_ready();
    // Its card has the file still.
    assert_eq!(guest.status()["name"], "OB van 3");
    assert_eq!(guest.run("cat /proc/sys/kernel/hostname").trim(), "ob-van-3");
    assert!(guest.run("ls /var/lib/fieldcast").split_whitespace().all(|name| name != "overrides.toml"));
    firmware.first_picture(BOOT);
    firmware::row("factory reset by GO, and on air by the card's fieldcast.toml", "as wanted", "");
}

/// Nothing of what the box kept can be had: it starts, does what the card's fieldcast.toml says, and tells.
#[test]
#[ignore = "make box-tests"]
fn a_box_that_has_lost_its_data_partition_is_on_air() {
    let Some(_machine) = firmware::the_machine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (_, public) = make_key(folder.path(), "desk");
    let firmware = Firmware::from_factory(&system("0.1.0", "plain"), |port| provisioning(port, "OB van 3", &public));
    let disk = firmware.folder().join("disk.img");
    let mut sfdisk = Command::new("sfdisk");
    sfdisk.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(["--quiet", "--delete"]).arg(disk).arg("5");
    assert!(sfdisk.status().unwrap().success());
    let mut guest = firmware.power_on();
    firmware.first_picture(BOOT);
    guest.wait_for_status("it is told", |status| {
        status["faults"].as_array().is_some_and(|faults| faults.iter().any(|fault| fault["code"] == "nothing-lasts"))
    });
    firmware::row("data partition gone: on air by the card's fieldcast.toml", "told", "nothing-lasts");
}
