//! An operator's desk: an MQTT client that remembers all that boxes say.

use crate::{BOX, seconds, support::wait};
use fieldcast::remote::message::{Reply, Request};
use jiff::Timestamp;
use rumqttc::{
    NetworkOptions,
    v5::{
        Client, Event, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{Packet, Publish, PublishProperties},
        },
    },
};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Heard {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
    pub correlation: Option<Vec<u8>>,
    /// What is left of its time, seconds.
    pub left: Option<u32>,
    pub at: Instant,
}

impl Heard {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}

pub struct Desk {
    client: Client,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Desk {
    /// Connects to the broker at `port`, and hears everything.
    pub fn at(port: u16) -> Self {
        Self::as_user(port, "desk", None)
    }

    /// The same as a client of this id, with user and password.
    pub fn as_user(port: u16, id: &str, login: Option<(&str, &str)>) -> Self {
        let mut options = MqttOptions::new(id, "127.0.0.1", port);
        options.set_keep_alive(seconds(30)).set_max_packet_size(Some(4_000_000));
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        if let Some((user, password)) = login {
            options.set_credentials(user, password);
        }
        let (client, mut connection) = Client::new(options, 1000);
        client.subscribe("#", QoS::AtLeastOnce).expect("subscribed");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (into, again) = (heard.clone(), client.clone());
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::Publish(publish))) => into.lock().expect("a lock").push(note(publish)),
                    // The broker may have been restarted and have forgotten us.
                    Ok(Event::Incoming(Packet::ConnAck(_))) => drop(again.try_subscribe("#", QoS::AtLeastOnce)),
                    Ok(_) => {}
                    Err(_) if Arc::strong_count(&into) == 1 => return,
                    Err(_) => std::thread::sleep(Duration::from_millis(200)),
                }
            }
        });
        Self { client, heard }
    }

    /// Publishes `payload` on this topic of the box.
    pub fn publish(&self, leaf: &str, payload: &str, retain: bool) {
        let topic = format!("fieldcast/{BOX}/{leaf}");
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload.to_owned()).expect("published");
    }

    /// Publishes on a whole topic.
    pub fn say(&self, topic: &str, payload: &str) {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload.to_owned()).expect("published");
    }

    /// The same with properties of MQTT 5.
    pub fn publish_with(&self, leaf: &str, payload: &str, retain: bool, properties: PublishProperties) {
        let topic = format!("fieldcast/{BOX}/{leaf}");
        let sent = self.client.publish_with_properties(topic, QoS::AtLeastOnce, retain, payload.to_owned(), properties);
        sent.expect("published");
    }

    /// Asks for `name` under `id`, as the operator's command line does.
    pub fn ask(&self, name: &str, id: &str, args: Value) {
        let request = Request { args, time: Some(Timestamp::now()), expires: Some(30_000) };
        let properties = PublishProperties { message_expiry_interval: Some(30), ..PublishProperties::default() };
        self.publish_with(&format!("cmd/{name}/{id}"), &request.payload(), false, properties);
    }

    /// All messages so far on this topic of the box, or on the whole topic where it has one.
    pub fn heard(&self, leaf: &str) -> Vec<Heard> {
        let topic = format!("fieldcast/{BOX}/{leaf}");
        let heard = self.heard.lock().expect("a lock");
        heard.iter().filter(|heard| heard.topic == topic || heard.topic == leaf).cloned().collect()
    }

    /// Forgets what came so far.
    pub fn forget(&self) {
        self.heard.lock().expect("a lock").clear();
    }

    /// Waits for a message on this topic whose text fits.
    pub fn wait_for(&self, leaf: &str, within: Duration, fits: impl Fn(&str) -> bool) -> Heard {
        wait(&format!("{leaf} at the desk"), within, || self.heard(leaf).into_iter().find(|heard| fits(&heard.text())))
    }

    /// The answers to this request so far.
    pub fn replies(&self, name: &str, id: &str) -> Vec<Reply> {
        let heard = self.heard(&format!("cmd/{name}/{id}"));
        heard.iter().filter_map(|heard| Reply::parse(&heard.payload).ok().flatten()).collect()
    }

    /// Waits for the last answer to this request: its status or reason.
    pub fn outcome(&self, name: &str, id: &str, within: Duration) -> (String, Value) {
        let last = wait(&format!("the answer to {name}/{id}"), within, || {
            self.replies(name, id).into_iter().find(Reply::is_last)
        });
        match last {
            Reply::Successful { result, .. } => ("successful".into(), result),
            Reply::Failed { reason, text, .. } => (reason, text.into()),
            Reply::Executing { .. } => panic!("that is not the last one"),
        }
    }

    /// Asks and waits for the outcome.
    pub fn outcome_of(&self, name: &str, id: &str, args: Value, within: Duration) -> (String, Value) {
        self.ask(name, id, args);
        self.outcome(name, id, within)
    }

    /// The events so far.
    pub fn events(&self) -> Vec<Value> {
        self.heard("event").iter().map(Heard::json).collect()
    }

    /// How often the box told that it has carried out, or refused, the request of this id.
    pub fn told(&self, id: &str) -> usize {
        self.events().iter().filter(|event| event["kind"] == "command" && event["id"] == id).count()
    }
}

#[allow(clippy::disallowed_methods)]
fn note(publish: Publish) -> Heard {
    let properties = publish.properties.unwrap_or_default();
    Heard {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload.to_vec(),
        retained: publish.retain,
        correlation: properties.correlation_data.map(|data| data.to_vec()),
        left: properties.message_expiry_interval,
        at: Instant::now(),
    }
}
