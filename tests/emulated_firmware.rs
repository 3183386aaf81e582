//! The firmware in the emulated box: the units and the disk of an appliance (two systems, RAUC, a data partition) under
//! systemd. It proves what a box without anybody beside it has to do: start and go on air by itself, take a new system or
//! go back to the old one, and keep its data, whenever the power goes.
//!
//! The slice runs with `make test`; the whole, with its table, with `make box-tests`. QEMU is the boot ROM, the initramfs
//! (tests/qemu/firmware/init) the boot loader. A power cut is the end of QEMU: what the box had not written to its disk is
//! lost; a disk that loses what it said was written cannot be shown so.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that fails, and waits for a machine")]

mod support;

use serde_json::{Value, json};
use std::{
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};
use support::{
    broker::{Broker, has_broker},
    firmware::{
        self, Bundles, Firmware, INSTALL, ROLLBACK, begin_command, command, outcome, refused, row, slots, system,
        update, version,
    },
    guest::{BOOT, Guest, SOON, report, say},
};

fn on_air(status: &Value) -> bool {
    status["phase"] == "on-air" && status["program"]["showing"] == "live"
}

/// How many times of a random kind, from SEED, as the fault campaign has it.
fn seed() -> u64 {
    std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_secs()
    })
}

#[test]
fn a_system_is_updated_and_one_that_fails_is_taken_back() {
    let Some(_machine) = firmware::the_machine() else { return };
    let (firmware, bundles) = (Firmware::new(&system("0.1.0", "plain"), "never"), Bundles::serve());
    let mut guest = firmware.power_on();
    guest.wait_until_ready();
    assert_eq!(version(&mut guest), "0.1.0");
    assert_eq!(slots(&mut guest), "A good bad");
    guest.wait_for_status("the picture locks", |status| status["input"]["signal"] == "locked");
    command(&mut guest, "set", &json!({"output.bitrate-max": "700 kbit/s"}));

    // Signed by somebody else: nothing is touched.
    let why = refused(&mut guest, &bundles.url("0.2.0", "stranger"));
    say(&format!("another signature: {why}"));
    assert!(why.contains("signature") || why.contains("signed"), "{why}");
    assert_eq!(slots(&mut guest), "A good bad");

    update(&mut guest, &bundles.url("0.2.0", "plain"));
    assert_eq!(version(&mut guest), "0.2.0");
    assert!(slots(&mut guest).starts_with("B good "), "{}", slots(&mut guest));
    let last = outcome(&mut guest, "0.2.0", BOOT);
    assert_eq!(last["result"], "confirmed", "{last:#}");
    assert_eq!(slots(&mut guest), "B good good");
    assert_kept(&mut guest);

    // The power goes while the next one is written, over the first system.
    let url = bundles.url("0.3.0", "plain");
    command(&mut guest, "update", &json!({ "url": url }));
    guest.wait_until("it is being written", INSTALL, |guest| slots(guest) == "B bad good");
    guest.power_cut();
    let mut guest = firmware.power_on();
    guest.wait_until_ready();
    assert_eq!(version(&mut guest), "0.2.0");
    assert_kept(&mut guest);

    // The daemon of this one crashes at its start.
    update(&mut guest, &bundles.url("0.4.0", "crashes"));
    let last = outcome(&mut guest, "0.4.0", ROLLBACK);
    say(&format!("a daemon that crashes: {}", last["why"]));
    assert_eq!(last["result"], "rolled-back", "{last:#}");
    assert_eq!(version(&mut guest), "0.2.0");
    assert_kept(&mut guest);
    guest.power_cut();
    firmware.check_data();
}

/// What was set before the first update.
fn assert_kept(guest: &mut Guest) {
    guest.wait_until_ready();
    let kept = guest.run("cat /var/lib/fieldcast/overrides.toml /etc/fieldcast/settings.toml");
    assert!(kept.contains("700") && kept.contains("Test box"), "{kept}");
}

fn seconds(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Seconds after the kernel's start at which systemd had this unit up.
fn up_at(guest: &mut Guest, unit: &str) -> f64 {
    let mut at = 0.0;
    guest.wait_until(&format!("{unit} is up"), BOOT, |guest| {
        let show = format!("systemctl show --value --property=ActiveEnterTimestampMonotonic {unit}");
        at = guest.run(&show).trim().parse::<f64>().unwrap_or(0.0) / 1e6;
        at > 0.0
    });
    at
}

/// Kernel start to READY beside systemd alone, and to the first picture at the ingest beside a bare script, in the same image
/// on the same machine: the median of three starts each.
#[test]
#[ignore = "make box-tests"]
fn power_on_beside_systemd_alone_and_a_bare_script() {
    let Some(_machine) = firmware::the_machine() else { return };
    let image = system("0.1.0", "plain");
    let size = std::fs::metadata(&image).unwrap().len() as f64 / 1e6;
    row("image, compressed", &format!("{size:.0} MB"), "at most 200 MB");
    assert!(size <= 200.0);

    let ours = Firmware::new(&image, "always");
    let alone = Firmware::new(&system("0.1.0", "alone"), "never");
    let bare = Firmware::new(&system("0.1.0", "bare"), "never");
    let (mut ready, mut air, mut multi_user, mut script) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // The first start of each makes what is kept: the partition is grown, the script's registry is written.
    for start in 0..4 {
        let mut guest = alone.power_on();
        let up = up_at(&mut guest, "multi-user.target");
        guest.power_cut();

        let mut guest = bare.power_on();
        let picture = bare.first_picture(BOOT);
        let picture_bare = (picture - guest.kernel_start()).as_secs_f64();
        // The first start's registry and the like reach the disk.
        guest.run("sync");
        guest.power_cut();

        let mut guest = ours.power_on();
        let picture = ours.first_picture(BOOT);
        let picture_ours = (picture - guest.kernel_start()).as_secs_f64();
        let own = up_at(&mut guest, "fieldcastd.service");
        guest.run("sync");
        guest.power_cut();
        say(&format!("alone {up:.1} s, READY {own:.1} s; script {picture_bare:.1} s, on air {picture_ours:.1} s"));
        if start > 0 {
            multi_user.push(up);
            ready.push(own);
            script.push(picture_bare);
            air.push(picture_ours);
        }
    }
    let (ready, alone) = (seconds(&ready), seconds(&multi_user));
    let (air, script) = (seconds(&air), seconds(&script));
    row("kernel start to multi-user.target, systemd alone", &format!("{alone:.1} s"), "");
    row("kernel start to READY", &format!("{ready:.1} s"), "at most 1.5 times that");
    row("kernel start to first picture, gst-launch-1.0 in an init script", &format!("{script:.1} s"), "");
    row("kernel start to first picture, on air by itself", &format!("{air:.1} s"), "at most 1.25 times that");
    assert!(ready <= 1.5 * alone, "READY after {ready:.1} s, systemd alone {alone:.1} s");
    assert!(air <= 1.25 * script, "on air after {air:.1} s, a bare script {script:.1} s");
}

#[test]
#[ignore = "make box-tests"]
fn what_is_no_update_for_this_box_is_refused_and_told_apart() {
    let Some(_machine) = firmware::the_machine() else { return };
    let (firmware, bundles) = (Firmware::new(&system("0.2.0", "plain"), "never"), Bundles::serve());
    let mut guest = firmware.power_on();
    guest.wait_until_ready();
    guest.wait_for_status("the picture locks", |status| status["input"]["signal"] == "locked");
    let mut texts = Vec::new();
    for (version, kind, word) in [
        ("0.3.0", "stranger", "sign"),
        ("0.3.0", "expired", "expired"),
        ("0.3.0", "elsewhere", "board"),
        ("0.3.0", "large", "larger"),
        ("0.1.0", "plain", "older"),
    ] {
        let why = refused(&mut guest, &bundles.url(version, kind));
        row(&format!("update refused: {version}, {kind}"), "told", &why);
        assert!(why.to_lowercase().contains(word), "{kind}: {why}");
        assert!(slots(&mut guest).starts_with("A good "), "{kind}");
        texts.push(why);
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 5, "each has its own words: {texts:#?}");

    guest.hold_go(Duration::from_millis(1200));
    guest.wait_for_status("on air", on_air);
    let answer = command(&mut guest, "update", &json!({"url": bundles.url("0.3.0", "plain")}));
    assert!(answer.contains("confirmation-needed"), "{answer}");
    row("update on air without `confirm`", "refused", "confirmation-needed");
}

/// Over MQTT the operator's desk is answered when the new system has been found good or was given up, whatever restarts.
#[test]
#[ignore = "make box-tests"]
fn the_desk_is_told_what_came_of_an_update() {
    let Some(_machine) = firmware::the_machine() else { return };
    if !has_broker() {
        return;
    }
    let broker = Broker::start("");
    let mqtt = format!("[mqtt]\nbroker = \"mqtt://10.0.2.2:{}\"\nallow-plaintext = true\n", broker.port);
    let settings = |port| format!("{}{mqtt}", Guest::settings(port, "never"));
    let (firmware, bundles) = (Firmware::with_settings(&system("0.1.0", "plain"), settings), Bundles::serve());
    let mut guest = firmware.power_on();
    guest.wait_until_ready();
    firmware::wait_until_grown(&mut guest);
    let desk = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldcast"));
        command.env("FIELDCAST_CONFIG", firmware.folder().join("config.toml")).env("FIELDCAST_BROKER", broker.url());
        let said = command.args(arguments).output().unwrap();
        let words = [said.stdout, said.stderr].concat();
        (said.status.code(), String::from_utf8_lossy(&words).into_owned())
    };
    guest.wait_until("the box is at the broker", SOON, |_| desk(&["list"]).1.contains("Test box"));
    let from = support::now();
    let (code, said) = desk(&["update", &bundles.url("0.2.0", "plain"), "Test box"]);
    assert_eq!(code, Some(0), "{said}");
    row(
        "`fieldcast update` to its answer, the new system confirmed",
        &format!("{:.0} s", from.elapsed().as_secs_f64()),
        "",
    );
    let from = support::now();
    let (code, said) = desk(&["update", &bundles.url("0.4.0", "crashes"), "Test box"]);
    assert!(code != Some(0) && said.contains("SEGV"), "{code:?} {said}");
    let why = said.lines().find(|line| line.contains("SEGV")).unwrap();
    row("... of one that crashes: given up", &format!("{:.0} s", from.elapsed().as_secs_f64()), why.trim());
}

#[test]
#[ignore = "make box-tests"]
fn a_system_that_hangs_is_taken_back() {
    let Some(_machine) = firmware::the_machine() else { return };
    let (firmware, bundles) = (Firmware::new(&system("0.1.0", "plain"), "never"), Bundles::serve());
    let mut guest = firmware.power_on();
    guest.wait_until_ready();
    let from = support::now();
    update(&mut guest, &bundles.url("0.2.0", "hangs"));
    let last = outcome(&mut guest, "0.2.0", ROLLBACK);
    assert_eq!(last["result"], "rolled-back", "{last:#}");
    assert_eq!(version(&mut guest), "0.1.0");
    let took = format!("{:.0} s", from.elapsed().as_secs_f64());
    row("a new system that hangs before READY: back in the old one", &took, last["why"].as_str().unwrap_or_default());
}

#[test]
#[ignore = "make box-tests"]
fn ten_power_cuts_in_an_install() {
    let Some(_machine) = firmware::the_machine() else { return };
    let mut random = fastrand::Rng::with_seed(seed());
    say(&format!("SEED={}", random.get_seed()));
    let (firmware, bundles) = (Firmware::new(&system("0.1.0", "plain"), "never"), Bundles::serve());
    let (mut old, mut new) = (0, 0);
    let mut guest = firmware.power_on();
    guest.wait_until_ready();
    firmware::wait_until_grown(&mut guest);
    // What runs is replaced by the other one, which may be the older.
    let begin = |guest: &mut Guest| {
        let before = version(guest);
        let to = if before == "0.1.0" { "0.2.0" } else { "0.1.0" };
        begin_command(guest, "update", &json!({"url": bundles.url(to, "plain"), "downgrade": true}));
        (before, to)
    };
    // What came of the one before is told until then.
    let confirmed = |guest: &mut Guest, to: &str| {
        guest.wait_until("it is confirmed", BOOT, |guest| {
            let last = &guest.try_status()["firmware"]["last"];
            last["version"] == to && last["result"] == "confirmed"
        });
    };
    // One that nothing interrupts, for how long it takes here.
    let (start, from) = (guest.boot_id(), support::now());
    let (_, to) = begin(&mut guest);
    guest.wait_until("it is installed", INSTALL, |guest| !slots(guest).contains("bad"));
    let whole = from.elapsed();
    report("`update` until it is installed", whole);
    guest.wait_for_next_start(&start, BOOT);
    confirmed(&mut guest, to);

    for cut in 0..10 {
        let (before, to) = begin(&mut guest);
        let wait = whole.mul_f64(1.3 * random.f64());
        sleep(wait);
        guest.power_cut();
        guest = firmware.power_on();
        guest.wait_until_ready();
        let runs = version(&mut guest);
        say(&format!("cut {cut}, {:.1} s into installing {to} over {before}: {runs} runs", wait.as_secs_f64()));
        assert!(runs == before || runs == to, "{runs}");
        if runs == to {
            confirmed(&mut guest, to);
            new += 1;
        } else {
            old += 1;
        }
    }
    row("power cuts in an install that started a system", &format!("{}", old + new), &format!("{old} old, {new} new"));
}

#[test]
#[ignore = "make box-tests"]
fn a_wedged_loop_is_started_again_and_on_air() {
    let Some(_machine) = firmware::the_machine() else { return };
    let firmware = Firmware::new(&system("0.1.0", "plain"), "always");
    let mut guest = firmware.power_on();
    guest.wait_until_ready();
    guest.wait_for_status("on air", on_air);
    let pid = guest.unit("MainPID");
    let wedged = support::now();
    guest.run(&format!("kill -STOP {pid}"));
    guest.wait_until("it is started again", SOON, |guest| guest.unit("NRestarts") == "1");
    guest.wait_for_status("on air again", on_air);
    row(
        "a wedged loop (SIGSTOP) to on air again",
        &format!("{:.1} s", wedged.elapsed().as_secs_f64()),
        "WatchdogSec=10",
    );
}

#[test]
#[ignore = "make box-tests"]
fn twenty_power_cuts_on_air() {
    let Some(_machine) = firmware::the_machine() else { return };
    let mut random = fastrand::Rng::with_seed(seed());
    say(&format!("SEED={}", random.get_seed()));
    let firmware = Firmware::new(&system("0.1.0", "plain"), "resume");
    let mut guest = firmware.power_on();
    guest.wait_until_ready();
    guest.wait_for_status("the picture locks", |status| status["input"]["signal"] == "locked");
    command(&mut guest, "set", &json!({"output.bitrate-max": "700 kbit/s"}));
    guest.hold_go(Duration::from_millis(1200));
    let mut starts = Vec::new();
    for cut in 0..20 {
        guest.wait_until("on air", BOOT, |guest| on_air(&guest.status()));
        assert_kept(&mut guest);
        sleep(Duration::from_millis(random.u64(0..8_000)));
        guest.power_cut();
        firmware.check_data();
        guest = firmware.power_on();
        let picture = firmware.first_picture(BOOT);
        let took = (picture - guest.kernel_start()).as_secs_f64();
        say(&format!("cut {cut}: a picture again {took:.1} s after the kernel's start"));
        starts.push(took);
    }
    guest.wait_until("on air", BOOT, |guest| on_air(&guest.status()));
    sleep(Duration::from_secs(3));
    guest.run("systemctl stop fieldcastd");
    assert!(firmware.pictures() > 25);
    row(
        "power cuts on air: file system clean, state there, on air",
        "20",
        &format!("median {:.1} s", seconds(&starts)),
    );
}

#[test]
#[ignore = "make box-tests"]
fn a_full_data_partition_keeps_nobody_off_air() {
    let Some(_machine) = firmware::the_machine() else { return };
    let firmware = Firmware::new(&system("0.1.0", "plain"), "always");
    let mut guest = firmware.power_on();
    guest.wait_until_ready();
    firmware::wait_until_grown(&mut guest);
    // ext4 has up to 16 MiB that no file gets, so that this is not all of what it says is free.
    guest.run("fallocate -l $(($(stat -f -c %a*%S /data) - (24 << 20))) /data/full");
    guest.run(
        "dd if=/dev/zero of=/data/fuller bs=64K 2>/dev/null; dd if=/dev/zero of=/data/fullest bs=4K 2>/dev/null; sync",
    );
    guest.run("! dd if=/dev/zero of=/data/more bs=4K count=1 2>/dev/null");
    guest.power_cut();
    let mut guest = firmware.power_on();
    guest.wait_until_ready();
    guest.wait_until("on air", BOOT, |guest| on_air(&guest.status()));
    let said = |status: &Value| status["faults"].to_string().contains("full");
    guest.wait_for_status("it says so", said);
    row("data partition full: starts, on air", "told", "");
    guest.power_cut();
    firmware.check_data();
}

/// No signal and no push: what all processes of the daemon's service take.
#[test]
#[ignore = "make box-tests"]
fn an_idle_box_takes_little() {
    let Some(_machine) = firmware::the_machine() else { return };
    let firmware = Firmware::new(&system("0.1.0", "plain"), "never");
    let mut guest = firmware.power_on();
    guest.wait_until_ready();
    guest.run("v4l2-ctl -d /dev/video0 --set-ctrl=dv_timings_signal_mode=1");
    guest.wait_for_status("no cable", |status| status["input"]["signal"] == "no-cable");
    up_at(&mut guest, "multi-user.target");
    guest.wait_until("the slate and the test card are made", INSTALL, |guest| {
        guest.run("ls /var/lib/fieldcast/slates 2>/dev/null | wc -l").trim().parse::<u32>().unwrap() >= 2
    });
    sleep(SOON / 4);
    let group = "/sys/fs/cgroup/system.slice/fieldcastd.service";
    let used = |guest: &mut Guest| -> (f64, Instant) {
        let stat = guest.run(&format!("sed -n 's/^usage_usec //p' {group}/cpu.stat"));
        (stat.trim().parse::<f64>().unwrap() / 1e6, support::now())
    };
    let (before, from) = used(&mut guest);
    sleep(SOON);
    let (after, to) = used(&mut guest);
    let share = (after - before) / (to - from).as_secs_f64() * 100.0;
    let pss = guest.run(&format!(
        "for pid in $(cat {group}/cgroup.procs {group}/*/cgroup.procs 2>/dev/null); do \
         sed -n 's/^Pss: *\\([0-9]*\\) kB/\\1/p' /proc/$pid/smaps_rollup; done"
    ));
    let memory = pss.lines().map(|line| line.trim().parse::<f64>().unwrap()).sum::<f64>() / 1024.0;
    row("idle: memory (PSS) of all processes", &format!("{memory:.1} MiB"), "at most 40 MiB");
    row("idle: share of a core", &format!("{share:.1} %"), "at most 2 %");
    report("measured over", to - from);
    assert!(memory <= 40.0 && share <= 2.0);
}
