//! The connection: it comes and goes, and nothing on air notices.

use crate::support::{
    Nginx,
    broker::{Broker, has_broker},
    daemon::Daemon,
    has_tools,
    proxy::Proxy,
    wait,
};
use crate::{BOX, desk::Desk, online, seconds, settings};
use rumqttc::v5::{Client, MqttOptions};
use serde_json::{Value, json};
use std::thread::sleep;

#[test]
fn a_broker_that_dies_or_hangs_changes_nothing_on_air() {
    if !has_broker() || !has_tools() {
        return;
    }
    let (mut broker, ingest) = (Broker::start(""), Nginx::start());
    let source = format!("[[source]]\nname = \"Main\"\nurl = \"{}\"\nkey = \"k\"\n", ingest.url());
    let daemon = Daemon::start(&settings(broker.port, &source));
    let desk = Desk::at(broker.port);
    desk.wait_for("availability", seconds(10), |text| text == "online");
    assert_eq!(desk.outcome_of("start", "s", Value::Null, seconds(30)).0, "successful");
    let acknowledged = || daemon.status()["stats"]["uplinks"][0]["acknowledged-bytes"].as_u64().expect("bytes");
    desk.wait_for("event", seconds(5), |text| text.contains("\"kind\":\"on-air\""));
    let before = desk.events().last().map(|event| event["sequence"].as_u64()).expect("events");
    broker.kill();
    let bytes = acknowledged();
    wait("the fault", seconds(15), || daemon.faults().contains(&"mqtt-unreachable".into()).then_some(()));
    // Until it is made.
    wait("the slate", seconds(60), || (daemon.command("show", json!({"what": "slate"})).0 == 200).then_some(()));
    daemon.succeed("input", json!({"device": "test"}));
    sleep(seconds(2));
    let goes_on = |before: u64| {
        let status = daemon.status();
        assert_eq!(status["phase"], "on-air");
        assert_eq!(status["stats"]["uplinks"][0]["reconnects"], 0);
        assert!(acknowledged() > before, "media goes on");
    };
    goes_on(bytes);
    desk.forget();
    broker.start_again();
    desk.wait_for("availability", seconds(40), |text| text == "online");
    desk.wait_for("event", seconds(5), |text| text.contains("fault-begun") && text.contains("mqtt-unreachable"));
    wait("the fault's end", seconds(5), || (!daemon.faults().contains(&"mqtt-unreachable".into())).then_some(()));
    desk.wait_for("event", seconds(5), |text| text.contains("fault-ended") && text.contains("mqtt-unreachable"));
    let sequences: Vec<u64> = desk.events().iter().filter_map(|event| event["sequence"].as_u64()).collect();
    assert!(sequences.is_sorted() && before < sequences.first().copied(), "{before:?} {sequences:?}");

    // One that hangs says nothing, and is noticed by that.
    desk.forget();
    broker.signal("STOP");
    let bytes = acknowledged();
    let fault = || daemon.faults().iter().any(|code| code.starts_with("mqtt-"));
    wait("the fault", seconds(60), || fault().then_some(()));
    daemon.succeed("show", json!({"what": "live"}));
    sleep(seconds(2));
    goes_on(bytes);
    broker.signal("CONT");
    wait("the fault's end", seconds(60), || (!fault()).then_some(()));
    assert_eq!(desk.outcome_of("identify", "i", Value::Null, seconds(10)).0, "successful");
    let last = sequences.last().copied().expect("events");
    desk.wait_for("event", seconds(10), |text| text.contains("fault-ended") && text.contains("mqtt-"));
    let sequences: Vec<u64> = desk.events().iter().filter_map(|event| event["sequence"].as_u64()).collect();
    assert!(sequences.is_sorted() && sequences[0] > last, "{last} {sequences:?}");
    goes_on(bytes);
}

#[test]
fn a_box_that_is_gone_is_offline() {
    if !has_broker() {
        return;
    }
    let (_broker, mut daemon, desk) = online();
    daemon.signal("KILL");
    daemon.ended(seconds(5));
    desk.wait_for("availability", seconds(5), |text| text == "offline");
    desk.forget();
    daemon.start_again();
    desk.wait_for("availability", seconds(10), |text| text == "online");
    daemon.signal("TERM");
    daemon.ended(seconds(5));
    desk.wait_for("availability", seconds(5), |text| text == "offline");
}

#[test]
fn a_broker_of_the_old_version_does_as_well() {
    if !has_broker() {
        return;
    }
    let broker = Broker::start("");
    let proxy = Proxy::start(broker.port, true);
    let mut daemon = Daemon::start(&settings(proxy.port, ""));
    let desk = Desk::at(broker.port);
    desk.wait_for("availability", seconds(10), |text| text == "online");
    wait("the version", seconds(5), || daemon.log().contains("MQTT Three").then_some(()));
    assert!(broker.log().contains(&format!("as {BOX} (p2, c0,")), "MQTT 3.1.1, with a session: {}", broker.log());
    // 3.1.1 has no message expiry, and the clock may not be set: only what cannot have waited is done.
    sleep(seconds(3));
    assert_eq!(desk.outcome_of("identify", "i", Value::Null, seconds(5)).0, "successful");
    assert_eq!(desk.outcome_of("stop", "s", json!({"confrim": 1}), seconds(5)).0, "wrong-arguments");
    desk.ask("restart", "r", Value::Null);
    daemon.ended(seconds(10));
    daemon.start_again();
    assert_eq!(desk.outcome("restart", "r", seconds(10)).0, "successful");
}

#[test]
fn a_second_box_with_the_same_id_is_a_fault() {
    if !has_broker() {
        return;
    }
    let (broker, daemon, desk) = online();
    let (_rival, mut connection) = Client::new(MqttOptions::new(BOX, "127.0.0.1", broker.port), 10);
    std::thread::spawn(move || {
        for event in connection.iter() {
            if event.is_err() {
                sleep(std::time::Duration::from_millis(500));
            }
        }
    });
    // This mosquitto does not say why it hangs up.
    wait("the fault", seconds(25), || daemon.faults().contains(&"mqtt-takeover".into()).then_some(()));
    desk.wait_for("event", seconds(20), |text| text.contains("\"kind\":\"takeover\""));
    assert_eq!(daemon.phase(), "off-air");
}

#[test]
fn a_web_socket_leads_to_the_broker_too() {
    if !has_broker() {
        return;
    }
    let web = crate::support::free_port();
    let broker = Broker::start(&format!("listener {web} 127.0.0.1\nprotocol websockets"));
    let text = settings(broker.port, "")
        .replace(&format!("mqtt://127.0.0.1:{}", broker.port), &format!("ws://127.0.0.1:{web}"));
    let _daemon = Daemon::start(&text);
    let desk = Desk::at(broker.port);
    desk.wait_for("availability", seconds(10), |text| text == "online");
    assert_eq!(desk.outcome_of("identify", "i", Value::Null, seconds(5)).0, "successful");
}
