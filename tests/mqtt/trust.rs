//! Who may: TLS, users, and the broker's access list as the README has it.

use crate::support::{
    Authority,
    broker::{Broker, has_broker, users},
    daemon::Daemon,
    free_port,
    proxy::Proxy,
    wait,
};
use crate::{BOX, desk::Desk, seconds, settings};
use serde_json::{Value, json};
use std::{fs, path::Path, thread::sleep};

/// Settings of a box that reaches the broker by TLS.
fn over_tls(port: u16, more: &str) -> String {
    settings(0, more).replace("mqtt://127.0.0.1:0", &format!("mqtts://localhost:{port}"))
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("written");
    path.display().to_string()
}

#[test]
fn a_broker_is_trusted_by_its_authority_and_a_box_by_its_certificate() {
    if !has_broker() {
        return;
    }
    let (authority, port) = (Authority::new("Test"), free_port());
    let (certificate, key) = authority.issue("localhost", |_| ());
    let broker = Broker::start_with(|folder| {
        let (ca, certificate, key) = (
            write(folder, "ca.pem", &authority.pem()),
            write(folder, "cert.pem", &certificate),
            write(folder, "key.pem", &key),
        );
        format!(
            "allow_anonymous true\nlistener {port} 127.0.0.1\nallow_anonymous true\ncafile {ca}\ncertfile {certificate}\n\
             keyfile {key}\nrequire_certificate true"
        )
    });
    let folder = tempfile::tempdir().expect("a folder");
    let right = write(folder.path(), "ca.pem", &authority.pem());
    let wrong = write(folder.path(), "other.pem", &Authority::new("Stranger").pem());
    let (certificate, key) = authority.issue(BOX, |_| ());
    let own = format!(
        "cert-file = \"{}\"\nkey-file = \"{}\"\n",
        write(folder.path(), "box.pem", &certificate),
        write(folder.path(), "box.key", &key)
    );

    let stranger = Daemon::start(&over_tls(port, &format!("ca-file = \"{wrong}\"\n{own}")));
    wait("the fault", seconds(10), || stranger.faults().contains(&"mqtt-certificate".into()).then_some(()));
    let text = stranger.status()["faults"].to_string();
    assert!(text.contains("UnknownIssuer"), "{text}");
    drop(stranger);
    let nobody = Daemon::start(&over_tls(port, &format!("ca-file = \"{right}\"\n")));
    wait("the fault", seconds(10), || nobody.faults().iter().any(|code| code.starts_with("mqtt-")).then_some(()));
    println!("without a certificate of its own: {}", nobody.status()["faults"]);
    drop(nobody);
    let missing = Daemon::start(&over_tls(port, "ca-file = \"/nonexistent/ca.pem\"\n"));
    wait("the fault", seconds(10), || missing.faults().contains(&"mqtt-settings".into()).then_some(()));
    drop(missing);

    let _daemon = Daemon::start(&over_tls(port, &format!("ca-file = \"{right}\"\n{own}")));
    let desk = Desk::at(broker.port);
    desk.wait_for("availability", seconds(10), |text| text == "online");
    let secret = json!({"source.Main.key": "live_secret", "source.Main.url": "rtmp://127.0.0.1/live"});
    let (outcome, text) = desk.outcome_of("set", "k", secret, seconds(5));
    assert_eq!(outcome, "successful", "{text}");
    assert!(desk.heard("cmd/set/k").iter().skip(1).all(|heard| !heard.text().contains("live_secret")));
}

#[test]
fn a_wrong_password_is_a_fault_that_says_so() {
    if !has_broker() {
        return;
    }
    let broker = Broker::start_with(|folder| users(folder, &[("box", "box")]));
    let daemon = Daemon::start(&settings(broker.port, "username = \"box\"\npassword = \"wrong\"\n"));
    wait("the fault", seconds(10), || daemon.faults().contains(&"mqtt-refused".into()).then_some(()));
    assert!(!daemon.log().contains("wrong"), "{}", daemon.log());
}

/// The access list of the README, between its marks.
fn access_list() -> String {
    let readme = include_str!("../../README.md");
    let begin = readme.find("# fieldcast.acl").expect("the access list in the README");
    let list = &readme[begin..];
    let list = &list[..list.find("```").expect("its end")];
    list.replace("fc-1a2b3c4d", BOX).replace("fc-5e6f7a8b", "fc-other")
}

#[test]
fn the_access_list_of_the_readme_holds() {
    if !has_broker() {
        return;
    }
    let broker = Broker::start_with(|folder| {
        let list = write(folder, "fieldcast.acl", &access_list());
        let names = [BOX, "fc-other", "anna", "ben", "control-room"].map(|name| (name, name));
        format!("{}acl_file {list}", users(folder, &names))
    });
    let login = format!("username = \"{BOX}\"\npassword = \"{BOX}\"\n");
    let daemon = Daemon::start(&settings(broker.port, &login));
    let user = |name: &'static str| Desk::as_user(broker.port, name, Some((name, name)));
    let (anna, ben, room) = (user("anna"), user("ben"), user("control-room"));
    anna.wait_for("status", seconds(10), |_| true);
    assert!(!daemon.faults().iter().any(|code| code.starts_with("mqtt-")), "{:?}", daemon.faults());
    // Anna's boxes are this one; Ben's another; the control room has all.
    assert_eq!(anna.outcome_of("identify", "a", Value::Null, seconds(5)).0, "successful");
    assert_eq!(room.outcome_of("identify", "r", Value::Null, seconds(5)).0, "successful");
    ben.ask("identify", "b", Value::Null);
    // Another box, or who has its password.
    let other = user("fc-other");
    other.ask("identify", "o", Value::Null);
    other.publish("status", "{\"forged\":true}", true);
    sleep(seconds(2));
    assert_eq!(room.replies("identify", "b"), [], "Ben may not");
    assert_eq!(room.replies("identify", "o"), [], "a box commands no other");
    assert!(
        room.heard("status").iter().all(|heard| !heard.text().contains("forged")),
        "nor writes what is not its own"
    );
    assert_eq!(ben.heard("status").len(), 0, "Ben does not even see it");
    assert_eq!(daemon.status()["phase"], "off-air");
}

/// A broker where nobody may hear the requests to this box. mosquitto's access lists are of no account when somebody
/// subscribes; its dynamic security, which comes with it, is.
fn deaf(folder: &Path) -> String {
    let list = json!({
        "defaultACLAccess": {
            "publishClientSend": true, "publishClientReceive": true, "subscribe": true, "unsubscribe": true,
        },
        "clients": [],
        "groups": [{"groupname": "all", "roles": [{"rolename": "deaf"}], "clients": []}],
        "roles": [{"rolename": "deaf", "acls": [
            {"acltype": "subscribeLiteral", "topic": format!("fieldcast/{BOX}/cmd/+/+"), "allow": false},
        ]}],
        "anonymousGroup": "all",
    });
    let list = write(folder, "security.json", &list.to_string());
    let plugin = format!("/usr/lib/{}-linux-gnu/mosquitto_dynamic_security.so", std::env::consts::ARCH);
    format!("allow_anonymous true\nplugin {plugin}\nplugin_opt_config_file {list}")
}

#[test]
fn a_box_that_may_not_hear_its_requests_says_so() {
    if !has_broker() {
        return;
    }
    for old in [false, true] {
        let broker = Broker::start_with(deaf);
        let desk = Desk::at(broker.port);
        desk.say("desk", "hears itself");
        desk.wait_for("desk", seconds(10), |_| true);
        let daemon = Daemon::start(&settings(Proxy::start(broker.port, old).port, ""));
        let code = "mqtt-not-allowed";
        wait("the fault", seconds(20), || daemon.faults().contains(&code.into()).then_some(()));
        // All else is as it should be: it tells, hears what it may, stays connected, and can be ruled from elsewhere.
        desk.wait_for("status", seconds(10), |text| text.contains(code));
        desk.wait_for("event", seconds(10), |text| text.contains("fault-begun") && text.contains(code));
        desk.wait_for("stats", seconds(10), |_| true);
        sleep(seconds(3));
        desk.publish("cmd/identify", "", false);
        desk.wait_for("event", seconds(10), |text| text.contains("identify: done"));
        daemon.succeed("identify", json!({}));
        assert_eq!(broker.log().matches(&format!(" as {BOX} (")).count(), 1, "{}", broker.log());
        assert_eq!((daemon.phase().as_str(), daemon.faults()), ("off-air", vec![code.to_owned()]));
    }
}

#[test]
fn what_the_broker_does_not_take_is_a_fault_and_counted() {
    if !has_broker() {
        return;
    }
    let list = |events: &str| format!("topic readwrite #\n{events}\n");
    let deny = list(&format!("topic deny fieldcast/{BOX}/event"));
    let broker = Broker::start_with(|folder| {
        format!("allow_anonymous true\nacl_file {}", write(folder, "fieldcast.acl", &deny))
    });
    let desk = Desk::at(broker.port);
    let daemon = Daemon::start(&settings(broker.port, ""));
    wait("the fault", seconds(20), || daemon.faults().contains(&"mqtt-not-taken".into()).then_some(()));
    let status = desk.wait_for("status", seconds(10), |text| text.contains("mqtt-not-taken"));
    let text = status.json()["faults"][0]["text"].to_string();
    assert!(text.contains(&format!("fieldcast/{BOX}/event (NotAuthorized)")), "{text}");
    assert_eq!(desk.outcome_of("identify", "i", Value::Null, seconds(10)).0, "successful");
    // Nothing is tried without end.
    sleep(seconds(2));
    let denied = || broker.log().lines().filter(|line| line.contains("Denied PUBLISH")).count();
    assert!((2..20).contains(&denied()), "{} denied", denied());
    assert_eq!(desk.events(), Vec::<Value>::new());
    // Let in again, it tells what was lost.
    write(broker.folder(), "fieldcast.acl", &list(""));
    broker.signal("HUP");
    desk.outcome_of("identify", "j", Value::Null, seconds(10));
    let lost = desk.wait_for("event", seconds(10), |text| text.contains("events-lost")).json();
    assert!(lost["count"].as_u64().is_some_and(|count| count >= 2), "{lost}");
    wait("its end", seconds(10), || (!daemon.faults().contains(&"mqtt-not-taken".into())).then_some(()));
}
