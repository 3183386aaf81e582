//! A stand-in of a box: tells of itself and answers requests by the protocol's types, and does nothing else. What a real box
//! does with a request is proved by the box's own tests.

use fieldcast::{
    command::{Answer, Command, Reason},
    remote::{
        message::{Progress, Reply, Request},
        topic::{Leaf, Prefix},
    },
};
use rumqttc::{
    Outgoing,
    v5::{
        Client, Event, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{LastWill, Packet},
        },
    },
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// A box that is played.
pub struct StandIn {
    id: &'static str,
    phase: Arc<Mutex<&'static str>>,
    requests: Arc<Mutex<Vec<(String, Value)>>>,
    results: Arc<Mutex<BTreeMap<&'static str, Value>>>,
    public: Arc<AtomicBool>,
    client: Client,
}

fn prefix() -> Prefix {
    "fieldcast".parse().expect("a prefix")
}

fn status(id: &str, name: &str, tags: &[&str], phase: &str) -> String {
    json!({
        "schema": 1, "id": id, "name": name, "tags": tags, "board": "desktop", "version": "0.1.0", "phase": phase,
        "input": {"device": "hdmi", "signal": "locked", "mode": "1280x720p60"},
        "uplinks": [{"source": "Main", "state": if phase == "on-air" { "on-air" } else { "idle" }}],
        "faults": [],
    })
    .to_string()
}

impl StandIn {
    /// One that is connected, in this phase. It answers everything but `preflight`, takes a moment for `start` and fails `input`.
    pub fn start(
        port: u16,
        id: &'static str,
        name: &'static str,
        tags: &'static [&'static str],
        phase: &'static str,
    ) -> Self {
        let topic = |leaf: &Leaf| prefix().topic(id, leaf);
        let mut options = MqttOptions::new(id, "127.0.0.1", port);
        options.set_last_will(LastWill::new(topic(&Leaf::Availability), "offline", QoS::AtLeastOnce, true, None));
        options.set_keep_alive(Duration::from_secs(5));
        let (client, mut connection) = Client::new(options, 100);
        let phase = Arc::new(Mutex::new(phase));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (results, public) = (Arc::<Mutex<BTreeMap<&str, Value>>>::default(), Arc::<AtomicBool>::default());
        let played = Self {
            id,
            phase: phase.clone(),
            requests: requests.clone(),
            results: results.clone(),
            public: public.clone(),
            client: client.clone(),
        };
        let figures = client.clone();
        thread::spawn(move || {
            for second in 0_u64.. {
                let uplink = json!({"source": "Main", "bitrate": 3_000_000 + second % 4 * 300_000, "rtt-ms": 31, "queue-ms": 12});
                let stats = json!({"uplinks": [uplink], "temperature-c": 51.0}).to_string();
                if figures.publish(prefix().topic(id, &Leaf::Stats), QoS::AtMostOnce, false, stats).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(250));
            }
        });
        thread::spawn(move || {
            for event in connection.iter() {
                let message = match event {
                    Ok(Event::Incoming(Packet::Publish(message))) => message,
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        let told = *phase.lock().expect("a phase");
                        client.subscribe(prefix().filter(id, "cmd/+/+"), QoS::AtLeastOnce).expect("queued");
                        let tell = |leaf: &Leaf, text: String| {
                            let topic = prefix().topic(id, leaf);
                            client.publish(topic, QoS::AtLeastOnce, true, text).expect("queued");
                        };
                        tell(&Leaf::Info, json!({"schema": 1, "id": id, "name": name, "tags": tags}).to_string());
                        tell(&Leaf::Status, status(id, name, tags, told));
                        tell(&Leaf::Availability, "online".into());
                        continue;
                    }
                    Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
                    Ok(_) => continue,
                    Err(_) => {
                        thread::sleep(Duration::from_millis(200));
                        continue;
                    }
                };
                let name_of = String::from_utf8_lossy(&message.topic).into_owned();
                let Some((_, Leaf::Command { name: command, .. })) = prefix().parse(&name_of) else { continue };
                let Ok(Some(request)) = Request::parse(&message.payload) else { continue };
                // The broker counts the age of what MQTT 5 brings; else the request says it.
                let expiry = message.properties.and_then(|properties| properties.message_expiry_interval);
                assert!(expiry.is_some() != request.time.is_some(), "one of them tells the age: {request:?}");
                let known = json!({"command": command, "args": request.args, "expiry": expiry, "expires": request.expires, "kept": message.retain});
                requests.lock().expect("a list").push((command.clone(), known));
                let say =
                    |reply: &Reply| client.publish(&*name_of, QoS::AtLeastOnce, true, reply.payload()).expect("queued");
                let progress = Progress { step: "connecting to Main".into(), done: None, of: None };
                say(&Reply::Executing { time: None, progress: Some(progress) });
                if command == "preflight" {
                    continue;
                }
                let pushing = *phase.lock().expect("a phase") != "off-air";
                // What a Broadcast does at its stop is a question of its own.
                let mut args = request.args.clone();
                let with_end = args.as_object_mut().filter(|_| command == "stop").and_then(|args| args.remove("end"));
                let unsaid = public.load(Ordering::Relaxed) && with_end.is_none();
                let (answer, next) = match Command::parse(&command, &args) {
                    Ok(Command::Start { .. }) => {
                        thread::sleep(Duration::from_millis(300));
                        (Answer::done(), Some("on-air"))
                    }
                    Ok(Command::Stop { confirm: false, .. }) if pushing => {
                        (Answer::failed(Reason::ConfirmationNeeded, "This ends the push"), None)
                    }
                    Ok(Command::Stop { .. }) if unsaid => {
                        (Answer::failed(Reason::ConfirmationNeeded, "A Broadcast is public"), None)
                    }
                    Ok(Command::Stop { .. }) => (Answer::done(), Some("off-air")),
                    Ok(Command::Input { .. }) => (Answer::wrong("device", "this board has hdmi"), None),
                    Ok(Command::Preview) => {
                        let picture = b"\xff\xd8a picture".as_slice();
                        let topic = prefix().topic(id, &Leaf::Preview);
                        client.publish(topic, QoS::AtLeastOnce, false, picture).expect("queued");
                        (Answer::done(), None)
                    }
                    Ok(_) => {
                        let result = results.lock().expect("results").get(&*command).cloned().unwrap_or_default();
                        (Answer::Successful { result }, None)
                    }
                    Err(refused) => (refused, None),
                };
                if let Some(next) = next {
                    *phase.lock().expect("a phase") = next;
                    let text = status(id, name, tags, next);
                    client.publish(prefix().topic(id, &Leaf::Status), QoS::AtLeastOnce, true, text).expect("queued");
                }
                say(&Reply::last(answer, None));
            }
        });
        played
    }

    /// The commands that were asked for, with what was in the requests.
    pub fn requests(&self) -> Vec<(String, Value)> {
        self.requests.lock().expect("a list").clone()
    }

    /// From now on `command` has this result.
    pub fn give(&self, command: &'static str, result: Value) {
        self.results.lock().expect("results").insert(command, result);
    }

    /// Its Broadcast is public.
    pub fn publish(&self) {
        self.public.store(true, Ordering::Relaxed);
    }

    pub fn phase(&self) -> &'static str {
        *self.phase.lock().expect("a phase")
    }

    /// Its cable is pulled, and the broker has told that.
    pub fn unplug(self) {
        thread::sleep(Duration::from_millis(300));
        self.client
            .publish(prefix().topic(self.id, &Leaf::Availability), QoS::AtLeastOnce, true, "offline")
            .expect("queued");
        thread::sleep(Duration::from_millis(200));
        let _ = self.client.disconnect();
    }
}
