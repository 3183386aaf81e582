//! The real daemon beside what root does for it on an appliance, in namespaces where `/run` and `/var/lib` are the test's own.

mod support;

use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use support::{
    daemon::Daemon,
    host::{Host, ip},
    in_namespace, wait,
};

/// `/run` and `/var/lib` of the test's own, and a `/sys` that shows its own network.
const OWN: &str = "mount -t sysfs none /sys\nmount -t tmpfs none /run\nmount -t tmpfs none /var/lib\nip link set lo up";
const SOON: Duration = Duration::from_secs(15);

fn run(program: &str, words: &[&str]) {
    assert!(Command::new(program).args(words).status().expect(program).success(), "{program} {words:?}");
}

/// The oneshot's report, as it writes it.
fn report(text: &Value) {
    fs::create_dir_all("/run/fieldcast").expect("made");
    fs::write("/run/fieldcast/provision.json.new", text.to_string()).expect("written");
    fs::rename("/run/fieldcast/provision.json.new", "/run/fieldcast/provision.json").expect("renamed");
}

fn refused() -> Value {
    let problem = json!({
        "file": "/run/media/fieldcast/sda1/fieldcast.toml", "line": 7, "field": "wifi[0].password", "text": "expected 8 to 63 characters",
    });
    json!({ "host-name": "fieldcast-1a2b3c4d", "refused": [problem] })
}

#[test]
fn a_refused_file_is_a_fault_until_it_is_gone() {
    if in_namespace("a_refused_file_is_a_fault_until_it_is_gone", OWN) {
        return;
    }
    report(&refused());
    let daemon = Daemon::start("");
    let fault = |status: &Value| {
        let faults = status["faults"].as_array().expect("faults").clone();
        faults.into_iter().find(|fault| fault["code"] == "provisioning-refused")
    };
    // From the start, and not a second later: the display shows it at once.
    let told = fault(&daemon.status()).expect("a fault");
    let text = told["text"].as_str().expect("a text");
    assert!(text.contains("sda1/fieldcast.toml") && text.contains("line 7: wifi[0].password: expected 8"), "{text}");
    report(&json!({ "host-name": "fieldcast-1a2b3c4d", "refused": [] }));
    wait("the fault ends", SOON, || fault(&daemon.status()).is_none().then_some(()));
    report(&refused());
    wait("the fault is told anew", SOON, || fault(&daemon.status()));
    // Something that is no report is nothing.
    fs::write("/run/fieldcast/provision.json", "{").expect("written");
    wait("the fault ends", SOON, || fault(&daemon.status()).is_none().then_some(()));
}

#[test]
fn diagnostics_are_copied_to_a_stick_by_root() {
    if in_namespace("diagnostics_are_copied_to_a_stick_by_root", OWN) {
        return;
    }
    let settings = "[[source]]\nname = \"Main\"\nurl = \"rtmp://127.0.0.1/live\"\nkey = \"live_secret_1\"\n";
    let daemon = Daemon::start(settings);
    let (code, answer) = daemon.command("diagnostics", json!({"to": "usb"}));
    assert_eq!((code, &answer["reason"]), (409, &json!("wrong-state")), "{answer}");

    let stick = PathBuf::from("/run/media/fieldcast/sda1");
    fs::create_dir_all(&stick).expect("made");
    fs::create_dir_all("/run/fieldcast").expect("made");
    fs::create_dir_all("/var/lib/fieldcast").expect("made");
    run("mount", &["-t", "tmpfs", "-o", "ro,nosuid,nodev,noexec", "none", "/run/media/fieldcast/sda1"]);
    run("mount", &["--bind", daemon.folder.path().join("state").to_str().expect("a path"), "/var/lib/fieldcast"]);
    // What the path unit does: the oneshot runs as soon as something lies there.
    let copies = std::thread::spawn(|| {
        let full =
            || Path::new("/var/lib/fieldcast/to-usb").read_dir().is_ok_and(|mut entries| entries.next().is_some());
        wait("something to copy", SOON, || full().then_some(()));
        run(env!("CARGO_BIN_EXE_fieldcastd"), &["usb-copy"]);
    });
    let answer = daemon.succeed("diagnostics", json!({"to": "usb"}));
    copies.join().expect("copied");
    assert_eq!(answer["result"]["stick"], "sda1");
    let file = stick.join(answer["result"]["file"].as_str().expect("a name"));
    let text = fs::read_to_string(&file).expect("the bundle");
    let bundle: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(bundle["settings"]["settings"]["source.Main.key"]["value"], "set");
    assert!(!text.contains("live_secret_1"), "secrets are masked");
    assert!(fs::write(stick.join("x"), "").is_err(), "the stick is read-only again");
    assert_eq!(fs::read_dir(&stick).expect("list").count(), 1, "no temporary file stays");
    assert_eq!(fs::read_dir("/var/lib/fieldcast/to-usb").expect("list").count(), 0);
}

#[test]
fn a_factory_reset_of_an_appliance_leaves_the_rest_to_root() {
    if in_namespace("a_factory_reset_of_an_appliance_leaves_the_rest_to_root", OWN) {
        return;
    }
    report(&json!({ "host-name": "fieldcast-1a2b3c4d", "refused": [] }));
    let mut daemon = Daemon::start_in(tempfile::tempdir().expect("a folder"), "", &[("FIELDCAST_CAN_REBOOT", "yes")]);
    daemon.succeed("set", json!({"name": "OB van 3"}));
    daemon.succeed("factory-reset", json!({"confirm": true}));
    assert_eq!(daemon.ended(Duration::from_secs(10)).code(), Some(80), "the unit restarts the box");
    let state = daemon.folder.path().join("state");
    assert!(state.join("factory-reset").exists() && !state.join("overrides.toml").exists());
}

#[test]
fn networks_are_listed_as_they_come_and_go() {
    if in_namespace("networks_are_listed_as_they_come_and_go", OWN) {
        return;
    }
    let daemon = Daemon::start("");
    let networks = || daemon.status()["networks"].as_array().expect("networks").clone();
    let is = |what: &str, expected: Value| {
        let mut last = Vec::new();
        for _ in 0..50 {
            last = networks();
            if json!(last) == expected {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(json!(last), expected, "{what}");
    };
    is("nothing", json!([]));
    let host = Host::start();
    // A virtual cable is neither card nor modem: it is listed while it is up.
    let cable = |number: u8, metric: Value, used: bool| {
        json!({
            "interface": format!("c{number}"), "kind": "other", "up": true, "address": format!("10.9.{number}.1"),
            "metric": metric, "used": used,
        })
    };
    host.cable(1);
    is("a cable", json!([cable(1, Value::Null, false)]));
    ip("route add default via 10.9.1.2 dev c1 metric 600");
    is("a route", json!([cable(1, json!(600), true)]));
    host.cable(2);
    ip("route add default via 10.9.2.2 dev c2 metric 100");
    is("a better one", json!([cable(2, json!(100), true), cable(1, json!(600), false)]));
    ip("route del default via 10.9.2.2 dev c2 metric 100");
    ip("route add default via 10.9.2.2 dev c2 metric 700");
    is("a worse one", json!([cable(1, json!(600), true), cable(2, json!(700), false)]));
    ip("link set c1 down");
    is("it is pulled", json!([cable(2, json!(700), true)]));
    ip("link del c2");
    is("nothing again", json!([]));
}
