//! A client that hears all that boxes and operators say, and when.

use crate::support::{now, wait};
use fieldcast::remote::{
    message::{Reply, Request},
    topic::{Leaf, Prefix},
};
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
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// Messages on one kind of topic.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traffic {
    pub messages: usize,
    /// Topics and payloads.
    pub bytes: usize,
}

/// A request to one box, as it went.
#[derive(Debug, Clone)]
pub struct Asked {
    pub at: Instant,
    pub executing: Option<Instant>,
    /// When and why not; an empty text: it was done.
    pub answered: Option<(Instant, String)>,
}

/// All that was heard.
#[derive(Debug, Default)]
pub struct Book {
    /// Who said so, and when.
    pub online: BTreeMap<String, Instant>,
    pub on_air: BTreeSet<String>,
    /// Codes of faults that any box told of.
    pub faults: BTreeSet<String>,
    pub traffic: BTreeMap<&'static str, Traffic>,
    /// The largest payloads, bytes.
    pub largest: BTreeMap<&'static str, usize>,
    /// By the request's id and the box's.
    asked: BTreeMap<(String, String), Asked>,
}

/// A connection that hears everything.
pub struct Witness {
    client: Client,
    book: Arc<Mutex<Book>>,
}

fn prefix() -> Prefix {
    "fieldcast".parse().expect("a prefix")
}

impl Witness {
    /// Connects to the broker at `port`, and does so again when the connection is lost.
    pub fn at(port: u16) -> Self {
        let mut options = MqttOptions::new("witness", "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(Some(1 << 20));
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (client, mut connection) = Client::new(options, 1000);
        let book = Arc::new(Mutex::new(Book::default()));
        let (into, again) = (book.clone(), client.clone());
        std::thread::spawn(move || {
            let prefix = prefix();
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        into.lock().expect("a lock").take(&prefix, &publish);
                    }
                    // A broker that was started anew has forgotten us. Nothing of ours is to wait for acknowledgements.
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        drop(again.try_subscribe("fieldcast/#", QoS::AtMostOnce))
                    }
                    Ok(_) => {}
                    Err(_) if Arc::strong_count(&into) == 1 => return,
                    Err(_) => std::thread::sleep(Duration::from_millis(50)),
                }
            }
        });
        Self { client, book }
    }

    /// What was heard so far.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("a lock")
    }

    /// Waits until so many boxes are online; when the last of them was.
    pub fn online(&self, boxes: usize, within: Duration) -> Instant {
        wait("all boxes online", within, || {
            let book = self.book();
            (book.online.len() == boxes).then(|| book.online.values().max().copied()).flatten()
        })
    }

    /// Waits until so many boxes tell that they are on air.
    pub fn on_air(&self, boxes: usize, within: Duration) {
        wait("boxes on air", within, || (self.book().on_air.len() == boxes).then_some(()));
    }

    /// Asks the box `id` to go on air, as `fieldcast` does, and waits for the answer.
    pub fn start(&self, id: &str) -> Asked {
        let request = Request { args: Value::Null, time: Some(Timestamp::now()), expires: Some(30_000) };
        let properties = PublishProperties { message_expiry_interval: Some(30), ..PublishProperties::default() };
        let leaf = Leaf::request("start", &"one".parse().expect("a request's id"));
        let (topic, payload) = (prefix().topic(id, &leaf), request.payload());
        let at = now();
        self.client.publish_with_properties(topic, QoS::AtLeastOnce, false, payload, properties).expect("published");
        let key = ("one".to_owned(), id.to_owned());
        let asked = wait("an answer", Duration::from_secs(10), || {
            self.book().asked.get(&key).filter(|asked| asked.answered.is_some()).cloned()
        });
        Asked { at, ..asked }
    }

    /// The requests with another id than that of [`start`](Self::start), since they were last taken.
    pub fn take_asked(&self) -> Vec<Asked> {
        let asked = std::mem::take(&mut self.book().asked);
        asked.into_iter().filter(|((request, _), _)| request != "one").map(|(_, asked)| asked).collect()
    }
}

impl Book {
    fn take(&mut self, prefix: &Prefix, publish: &Publish) {
        let at = now();
        let topic = String::from_utf8_lossy(&publish.topic);
        let Some((id, leaf)) = prefix.parse(&topic) else { return };
        let payload = &publish.payload;
        let kind = match &leaf {
            Leaf::Status => "status",
            Leaf::Stats => "stats",
            _ => "others",
        };
        let traffic = self.traffic.entry(kind).or_default();
        traffic.messages += 1;
        traffic.bytes += topic.len() + payload.len();
        let largest = self.largest.entry(kind).or_default();
        *largest = payload.len().max(*largest);
        match leaf {
            Leaf::Availability if payload.as_ref() == b"online" => {
                self.online.entry(id.into()).or_insert(at);
            }
            Leaf::Availability => {
                self.online.remove(id);
            }
            Leaf::Status => {
                let status: Value = serde_json::from_slice(payload).expect("a status");
                if status["phase"] == "on-air" {
                    self.on_air.insert(id.into())
                } else {
                    self.on_air.remove(id)
                };
                let faults = status["faults"].as_array().expect("faults").iter();
                self.faults.extend(faults.filter_map(|fault| fault["code"].as_str()).map(Into::into));
            }
            Leaf::Command { request: Some(request), .. } => {
                let key = (request.as_str().to_owned(), id.to_owned());
                if let Ok(Some(_)) = Request::parse(payload) {
                    self.asked.entry(key).or_insert(Asked { at, executing: None, answered: None });
                    return;
                }
                let (Some(asked), Ok(Some(reply))) = (self.asked.get_mut(&key), Reply::parse(payload)) else { return };
                match reply {
                    Reply::Executing { .. } => {
                        asked.executing.get_or_insert(at);
                    }
                    Reply::Successful { .. } => asked.answered = Some((at, String::new())),
                    Reply::Failed { text, .. } => asked.answered = Some((at, text)),
                }
            }
            _ => {}
        }
    }
}
