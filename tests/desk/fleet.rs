//! Several boxes through a broker.

use crate::{
    Said,
    broker::{self, has_programs, kept_requests},
    fieldcast,
    stand_in::StandIn,
    support::{Authority, broker::Broker, free_port, now, proxy::Proxy, wait},
    terminal::Terminal,
};
use serde_json::json;
use std::{fs, io::Read as _, process::Stdio, thread, time::Duration};
use tempfile::TempDir;

/// A broker and three boxes: one off air, one on air, and one that is offline.
pub struct Field {
    pub broker: Broker,
    pub off_air: StandIn,
    pub on_air: StandIn,
    folder: TempDir,
}

impl Field {
    pub fn start() -> Self {
        Self::start_at(Broker::start(""))
    }

    fn start_at(broker: Broker) -> Self {
        let port = broker.port;
        StandIn::start(port, "fc-00000003", "OB van 3", &["stage-left"], "on-air").unplug();
        let off_air = StandIn::start(port, "fc-00000001", "OB van 1", &["stage-left"], "off-air");
        let on_air = StandIn::start(port, "fc-00000002", "Pult", &["stage-right"], "on-air");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("config.toml"), format!("broker = \"{}\"\n", broker.url())).expect("written");
        thread::sleep(Duration::from_millis(300));
        Self { broker, off_air, on_air, folder }
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        Said::of(&fieldcast(self.folder()).args(arguments).output().expect("run"))
    }
}

#[test]
fn boxes_are_found_and_told_of() {
    if !has_programs() {
        return;
    }
    let field = Field::start();
    let listed = field.run(&["list"]);
    listed.is(0, "OB van 1  fc-00000001  off air  locked");
    listed.is(0, "OB van 3  fc-00000003  offline");
    let rows = field.run(&["list", "--json", "--tag", "stage-left"]).json();
    let seen: Vec<_> = rows.iter().map(|row| (row["id"].as_str(), row["online"].as_bool())).collect();
    assert_eq!(seen, [(Some("fc-00000001"), Some(true)), (Some("fc-00000003"), Some(false))]);
    let status = field.run(&["status", "Pult"]);
    status.is(0, "Pult (fc-00000002)  on air");
    status.is(0, "round trip 31 ms");
    field.run(&["status"]).is(3, "OB van 3 (fc-00000003)  offline");
    field.run(&["status", "OB van 3"]).is(1, "offline");
    field.run(&["status", "OB vna 1"]).is(2, "did you mean \"OB van 1\"?");
}

#[test]
fn a_command_reaches_who_is_there_and_leaves_nothing_behind() {
    if !has_programs() {
        return;
    }
    let field = Field::start();
    let begun = now();
    let started = field.run(&["start", "--all"]);
    started.is(3, "OB van 1  done");
    started.is(3, "OB van 3  offline: nothing was sent");
    started.is(3, "start: 2 of 3 done; offline: OB van 3");
    assert!(begun.elapsed() < Duration::from_secs(5), "the offline one is not waited for: {:?}", begun.elapsed());
    assert_eq!(field.off_air.phase(), "on-air");
    let (_, known) = field.off_air.requests().remove(0);
    assert_eq!((&known["expires"].is_u64(), &known["expiry"]), (&true, &json!(60)), "{known}");

    let failed = field.run(&["input", "sdi", "OB van *", "Pult", "--json"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let outcomes = failed.json();
    let of = |id: &str| outcomes.iter().find(|outcome| outcome["id"] == id).expect("an outcome").clone();
    let wrong = json!({"id": "fc-00000002", "name": "Pult", "command": "input", "status": "failed",
        "reason": "wrong-arguments", "text": "this board has hdmi", "field": "device"});
    assert_eq!((of("fc-00000002"), &of("fc-00000003")["status"]), (wrong, &json!("offline")));

    field.run(&["identify", "fc-00000001"]).is(0, "OB van 1  done");
    field.run(&["identify", "--tag", "stage-right"]).is(0, "Pult  done");
    for (arguments, part) in [
        (&["identify"][..], "--all"),
        (&["identify", "Pult", "nobody"], "no box is called \"nobody\""),
        (&["identify", "--all", "Pult"], "give one of them"),
        (&["set", "Pult", "source.Main.key=live_1"], "no secrets"),
    ] {
        field.run(arguments).is(2, part);
    }
    let asked = |stand_in: &StandIn| stand_in.requests().iter().filter(|(command, _)| command == "identify").count();
    assert_eq!((asked(&field.off_air), asked(&field.on_air)), (1, 1), "once each, and nothing after a wrong word");

    let picture = field.folder().join("x.jpg");
    field.run(&["preview", "Pult", "-o", picture.to_str().expect("a path")]).is(0, "Pult  done");
    assert_eq!(fs::read(picture).expect("a picture"), b"\xff\xd8a picture");
    assert_eq!(kept_requests(&field.broker), Vec::<String>::new());
}

#[test]
fn nobody_goes_off_air_unasked() {
    if !has_programs() {
        return;
    }
    let field = Field::start();
    let refused = field.run(&["stop", "--all"]);
    refused.is(2, "stop takes off air Pult (on air). Go on?");
    refused.is(2, "give --yes");
    assert!(field.on_air.requests().is_empty() && field.off_air.requests().is_empty());
    // One that is off air needs no question.
    field.run(&["stop", "OB van 1"]).is(0, "done");

    let terminal = Terminal::run(field.folder(), "stop Pult");
    terminal.shows("Go on? [y/N]");
    terminal.press(&["n", "Enter"]);
    terminal.shows("nothing was sent");
    terminal.shows("ended with 2");
    assert_eq!(field.on_air.phase(), "on-air");
    let terminal = Terminal::run(field.folder(), "stop Pult");
    terminal.shows("Go on? [y/N]");
    terminal.press(&["C-c"]);
    terminal.shows("ended with 130");
    assert!(field.on_air.requests().is_empty());
    let terminal = Terminal::run(field.folder(), "stop Pult");
    terminal.shows("stop takes off air Pult (on air). Go on? [y/N]");
    terminal.press(&["y", "Enter"]);
    terminal.shows("Pult  done");
    terminal.shows("ended with 0");
    assert_eq!(field.on_air.phase(), "off-air");
    field.run(&["start", "Pult"]).is(0, "done");
    field.run(&["stop", "--all", "--yes"]).is(3, "stop: 2 of 3 done; offline: OB van 3");
}

#[test]
fn who_does_not_answer_is_left_in_time_and_on_ctrl_c() {
    if !has_programs() {
        return;
    }
    let field = Field::start();
    let silent = field.run(&["preflight", "Pult", "--timeout", "1 s"]);
    silent.is(1, "no answer yet; it may still do it");
    assert_eq!(kept_requests(&field.broker), Vec::<String>::new());

    let mut child = fieldcast(field.folder())
        .args(["preflight", "--all"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run");
    wait("it is asked", Duration::from_secs(5), || (field.on_air.requests().len() == 2).then_some(()));
    thread::sleep(Duration::from_millis(200));
    assert!(!kept_requests(&field.broker).is_empty(), "the box's answer is kept while somebody waits");
    crate::support::daemon::signal(child.id(), "INT");
    let begun = now();
    let ended = wait("its end", Duration::from_secs(5), || child.try_wait().expect("its status"));
    assert!(ended.code() == Some(130) && begun.elapsed() < Duration::from_secs(2), "{ended:?}");
    assert_eq!(kept_requests(&field.broker), Vec::<String>::new());
}

#[test]
fn a_broker_that_is_not_there_or_refuses_is_named() {
    if !has_programs() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = fieldcast(folder.path());
        Said::of(&command.args(arguments).envs(environment.iter().copied()).output().expect("run"))
    };
    run(&["list"], &[]).is(2, "--broker or --box");
    run(&["list", "--broker", "http://b"], &[]).is(2, "is no broker");
    let nobody = format!("mqtt://127.0.0.1:{}", free_port());
    run(&["list", "--broker", &nobody], &[]).is(1, "is not reached");

    let authority = Authority::new("our own");
    let broker = broker::closed(&authority);
    fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
    fs::write(folder.path().join("password"), "a password\n").expect("written");
    let url = format!("mqtts://localhost:{}", broker.port);
    let file = format!("broker = \"{url}\"\nusername = \"desk\"\nca-file = \"ca.pem\"\n");
    fs::write(folder.path().join("config.toml"), &file).expect("written");
    run(&["identify", "--all"], &[("FIELDCAST_PASSWORD", "wrong")]).is(1, "check username and password-file");
    fs::write(folder.path().join("config.toml"), file + "password-file = \"password\"\n").expect("written");
    // The user is let in; that no box has told anything yet is no failure.
    let mut child = fieldcast(folder.path()).arg("list").stderr(Stdio::piped()).spawn().expect("run");
    let mut said = [0; 24];
    child.stderr.as_mut().expect("a pipe").read_exact(&mut said).expect("read");
    assert_eq!(String::from_utf8_lossy(&said), "the broker keeps nothing");
    child.kill().expect("killed");
    child.wait().expect("its end");
    let other = Authority::new("another");
    fs::write(folder.path().join("ca.pem"), other.pem()).expect("written");
    run(&["list"], &[]).is(1, "is not reached");
}

#[test]
fn who_may_not_command_a_box_is_told_at_once() {
    if !has_programs() {
        return;
    }
    let field = Field::start_at(broker::guarding("fc-00000002"));
    let begun = now();
    field.run(&["identify", "Pult"]).is(1, "the broker does not let this user command this box");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(field.on_air.requests().is_empty());
}

#[test]
fn a_broker_of_mqtt_3_1_1_does_too() {
    if !has_programs() {
        return;
    }
    let field = Field::start();
    let url = format!("mqtt://127.0.0.1:{}", Proxy::start(field.broker.port, true).port);
    field.run(&["start", "OB van 1", "--broker", &url]).is(0, "done");
    let (_, known) = field.off_air.requests().remove(0);
    assert_eq!(known["expiry"], json!(null), "the request itself says how old it is");
}
