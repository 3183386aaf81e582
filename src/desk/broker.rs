//! The broker: hears of all boxes, sends requests, and takes them back.
//!
//! MQTT 5, whose message expiry lets the broker vouch for a request's age: the clock of the operator's desk is believed by
//! nobody. A broker that does not know it is spoken to in MQTT 3.1.1, and requests carry the desk's time then.

use super::{
    config::{BrokerWay, Password},
    link::{Heard, QUEUE},
    order::Order,
    round::Reply,
    seen::Told,
    wire::{Client, Failure, Packet, Refused, Wire},
    words,
};
use crate::{
    http::tokens::random,
    remote::{
        message,
        topic::{Leaf, Prefix, RequestName},
    },
    sys,
    units::Time,
};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Until a lost connection is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Between two looks whether the broker has what was sent.
const LOOK: Duration = Duration::from_millis(5);
/// What is waited at the end for the broker to take what was sent to it.
const LAST: Duration = Duration::from_secs(2);

/// A request that may be answered yet.
#[derive(Debug)]
struct Open {
    request: RequestName,
    order: Order,
    /// The boxes; for those that are `true` it is confirmed.
    boxes: BTreeMap<String, bool>,
    /// When nobody shall begin with it any more.
    until: Time,
}

/// The connection to the broker.
#[derive(Debug)]
pub struct Broker {
    shared: Arc<Shared>,
    work: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    prefix: Prefix,
    /// What the boxes tell that is wanted.
    leaves: Vec<&'static str>,
    open: Mutex<Vec<Open>>,
    client: Mutex<Option<Client>>,
    unsure: Mutex<Unsure>,
}

/// Messages of this connection that the broker has not said to have; which box was asked what with each, if one was.
#[derive(Debug, Default)]
struct Unsure {
    /// Those that have not left, in their order.
    leaving: VecDeque<Option<Question>>,
    /// Those that have, by number.
    gone: BTreeMap<u16, Option<Question>>,
}

/// A box and a request.
type Question = (String, RequestName);

impl Broker {
    /// Connects to the broker, and goes on doing so, to hear the `leaves` of all boxes.
    ///
    /// # Errors
    /// For people: what of the settings is wrong.
    pub fn open(way: &BrokerWay, leaves: &[&'static str]) -> Result<(Self, mpsc::Receiver<Heard>), String> {
        let prefix = way.prefix.parse().map_err(|wrong| format!("prefix: {wrong}"))?;
        let password = match &way.password {
            Some(Password::Environment) => std::env::var("FIELDCAST_PASSWORD").ok(),
            Some(Password::File(path)) => {
                let text = super::config::read(path)?.ok_or_else(|| format!("{} is not there", path.display()))?;
                Some(text.trim_end_matches(['\r', '\n']).to_owned())
            }
            None => None,
        };
        let number = random::<4>().map_err(|error| error.to_string())?;
        let id = format!("fieldcast-desk-{:08x}", u32::from_be_bytes(number));
        let wire = Wire::new(way, &id, password)?;
        let shared = Arc::new(Shared::new(prefix, leaves));
        let (heard, ear) = mpsc::channel(QUEUE);
        let work = tokio::spawn(run(Arc::clone(&shared), wire, heard));
        Ok((Self { shared, work }, ear))
    }

    /// Sends `order` to boxes; to those that are `true` with the confirmation.
    pub fn send(&self, request: &str, order: &Order, boxes: BTreeMap<String, bool>) {
        let Ok(request) = request.parse::<RequestName>() else { return };
        let life = order.patience.min(message::LIFE);
        let open = Open { request, order: order.clone(), boxes, until: sys::now() + life };
        self.shared.ask(&open);
        self.shared.lock_open().push(open);
    }

    /// Clears the topics of the request `request` for `command` at the boxes `ids`: the broker keeps no answer of theirs.
    pub fn clear(&self, request: &str, command: &str, ids: &[String]) {
        let Ok(request) = request.parse::<RequestName>() else { return };
        self.shared.lock_open().retain(|open| open.request != request);
        let client = self.shared.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = client.as_ref() {
            for id in ids {
                let topic = self.shared.prefix.topic(id, &Leaf::request(command, &request));
                if client.publish(&topic, true, Bytes::new(), None) {
                    self.shared.lock_unsure().leaving.push_back(None);
                }
            }
        }
    }

    /// Ends the connection when the broker has what was sent: what was not read before the end would be lost with it.
    pub async fn close(self) {
        let taken = async {
            while !self.shared.lock_unsure().is_empty() {
                sleep(LOOK).await;
            }
        };
        // A broker that does not take it is left.
        let _ = timeout(LAST, taken).await;
        if let Some(client) = self.shared.client.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            client.disconnect();
        }
        let _ = timeout(LAST, self.work).await;
    }
}

impl Unsure {
    fn is_empty(&self) -> bool {
        self.leaving.is_empty() && self.gone.is_empty()
    }
}

impl Shared {
    fn new(prefix: Prefix, leaves: &[&'static str]) -> Self {
        let (open, client) = (Mutex::default(), Mutex::default());
        Self { prefix, leaves: leaves.to_vec(), open, client, unsure: Mutex::default() }
    }

    fn lock_open(&self) -> std::sync::MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_unsure(&self) -> std::sync::MutexGuard<'_, Unsure> {
        self.unsure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broker has the message of this `number`; what a box is not asked then, if it is `denied`.
    fn taken(&self, number: u16, denied: bool) -> Option<Heard> {
        let (id, request) = self.lock_unsure().gone.remove(&number).flatten().filter(|_| denied)?;
        let (reason, text) = ("not-authorized".into(), "the broker does not let this user command this box".into());
        let reply = Reply::Failed { reason, text, field: None };
        Some(Heard::Reply { id, request: request.to_string(), reply })
    }

    /// Sends a request; again after a connection was lost, as a box does each request once.
    fn ask(&self, open: &Open) {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let left = open.until.since(sys::now());
        let Some(client) = client.as_ref() else { return };
        let leaf = Leaf::request(open.order.command, &open.request);
        client.subscribe(&[self.prefix.filter("+", &leaf.to_string())]);
        if left.is_zero() {
            return;
        }
        for (id, confirmed) in &open.boxes {
            let expires = u64::try_from(left.as_millis()).ok();
            let time = if client.vouches() { None } else { Some(Timestamp::now()) };
            let request = message::Request { args: open.order.arguments(*confirmed), time, expires };
            if client.publish(&self.prefix.topic(id, &leaf), false, request.payload().into(), Some(left)) {
                self.lock_unsure().leaving.push_back(Some((id.clone(), open.request.clone())));
            }
        }
    }

    /// What a message says; none: nothing for us.
    fn read(&self, topic: &str, payload: Bytes, kept: bool) -> Option<Heard> {
        let (id, leaf) = self.prefix.parse(topic)?;
        let id = id.to_owned();
        let json = |payload: &Bytes| serde_json::from_slice::<Value>(payload).ok().filter(Value::is_object);
        let told = match leaf {
            Leaf::Availability => Told::Availability(match payload.as_ref() {
                b"online" => true,
                b"offline" => false,
                _ => return None,
            }),
            Leaf::Info => Told::Info(json(&payload)?),
            Leaf::Status => Told::Status { document: json(&payload)?, live: !kept },
            Leaf::Stats => Told::Stats(json(&payload)?),
            Leaf::Preview | Leaf::Diagnostics => return (!kept).then_some(Heard::Bytes { id, bytes: payload }),
            Leaf::Command { request: Some(request), .. } => {
                let reply = match message::Reply::parse(&payload).ok()?? {
                    message::Reply::Executing { progress, .. } => {
                        Reply::Executing { progress: progress.map(|progress| words::progress(&progress)) }
                    }
                    message::Reply::Successful { result, .. } => Reply::Successful(result),
                    message::Reply::Failed { reason, text, field, .. } => Reply::Failed { reason, text, field },
                };
                return Some(Heard::Reply { id, request: request.to_string(), reply });
            }
            Leaf::Log => return Some(Heard::Line { id, line: json(&payload)? }),
            Leaf::Event | Leaf::Command { request: None, .. } => return None,
        };
        Some(Heard::Told { id, told })
    }
}

/// Keeps the connection until it is ended here, or nobody hears any more.
async fn run(shared: Arc<Shared>, mut wire: Wire, heard: mpsc::Sender<Heard>) {
    let mut known = false;
    loop {
        let (client, mut packets) = wire.connect();
        *shared.lock_unsure() = Unsure::default();
        *shared.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.clone());
        // Whether what the boxes tell was asked for, and the broker has not said that it comes.
        let mut asked = false;
        let failure = loop {
            let said = match packets.next().await {
                Ok(Packet::Connected) => {
                    known = true;
                    let filters: Vec<_> = shared.leaves.iter().map(|leaf| shared.prefix.filter("+", leaf)).collect();
                    client.subscribe(&filters);
                    asked = true;
                    shared.lock_open().iter().for_each(|open| shared.ask(open));
                    continue;
                }
                Ok(Packet::Subscribed { denied: true }) => {
                    let why = format!("the broker lets this user not hear of the boxes below {}", shared.prefix);
                    Heard::Lost(why)
                }
                Ok(Packet::Subscribed { denied: false }) if asked => {
                    asked = false;
                    Heard::Connected
                }
                Ok(Packet::Sent(number)) => {
                    let mut unsure = shared.lock_unsure();
                    let about = unsure.leaving.pop_front().flatten();
                    unsure.gone.insert(number, about);
                    continue;
                }
                Ok(Packet::Taken { number, denied }) => match shared.taken(number, denied) {
                    Some(heard) => heard,
                    None => continue,
                },
                Ok(Packet::Subscribed { .. } | Packet::Other) => continue,
                Ok(Packet::Message { topic, payload, kept }) => match shared.read(&topic, payload, kept) {
                    Some(heard) => heard,
                    None => continue,
                },
                Ok(Packet::Ended) => return,
                Err(failure) => break failure,
            };
            if heard.send(said).await.is_err() {
                return;
            }
        };
        let version = matches!(failure, Failure::Closed | Failure::Refused(Refused::Version));
        if version && !known && wire.turn() {
            continue;
        }
        if heard.send(Heard::Lost(wire.explain(&failure))).await.is_err() {
            return;
        }
        sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::seen::tests::any_json;
    use proptest::prelude::*;
    use serde_json::json;

    fn shared() -> Shared {
        let prefix = "fieldcast".parse().expect("a prefix");
        Shared::new(prefix, &[])
    }

    fn read(leaf: &str, payload: &str, kept: bool) -> Option<Heard> {
        shared().read(&format!("fieldcast/fc-1/{leaf}"), Bytes::from(payload.to_owned()), kept)
    }

    #[test]
    fn who_may_not_command_a_box_is_told() {
        let shared = shared();
        let question = ("fc-1".to_owned(), "r-1".parse().expect("an id"));
        shared.lock_unsure().gone.extend([(1, Some(question.clone())), (2, Some(question)), (3, None)]);
        let Some(Heard::Reply { id, request, reply: Reply::Failed { reason, .. } }) = shared.taken(1, true) else {
            panic!("a failure")
        };
        assert_eq!((id.as_str(), request.as_str(), reason.as_str()), ("fc-1", "r-1", "not-authorized"));
        assert!(shared.taken(2, false).is_none() && shared.taken(3, true).is_none() && shared.taken(4, true).is_none());
        assert!(shared.lock_unsure().is_empty());
    }

    #[test]
    fn messages_of_boxes_are_understood() {
        let told = |leaf, payload, kept| match read(leaf, payload, kept) {
            Some(Heard::Told { id, told }) => {
                assert_eq!(id, "fc-1");
                Some(told)
            }
            _ => None,
        };
        assert_eq!(told("availability", "online", true), Some(Told::Availability(true)));
        assert_eq!(told("availability", "", true), None);
        let status = Told::Status { document: json!({"phase": "on-air"}), live: false };
        assert_eq!(told("status", r#"{"phase":"on-air"}"#, true), Some(status));
        assert_eq!((told("status", "[]", true), told("stats", "{", false)), (None, None));
        let answer = r#"{"status":"executing","time":null,"progress":{"step":"uploading","done":2,"of":5}}"#;
        let Some(Heard::Reply { request, reply, .. }) = read("cmd/preflight/r-1", answer, true) else {
            panic!("a reply")
        };
        assert_eq!(request, "r-1");
        assert_eq!(reply, Reply::Executing { progress: Some("uploading (2 of 5)".into()) });
        for own in [r#"{"status":"init","args":{}}"#, "", "{}", "null"] {
            assert!(read("cmd/preflight/r-1", own, false).is_none(), "{own}");
        }
        assert!(read("preview", "jpeg", true).is_none() && read("preview", "jpeg", false).is_some());
    }

    proptest! {
        #[test]
        fn any_message_is_understood_or_nothing(
            leaf in "(status|stats|info|availability|preview|cmd/start/r|.{0,8})",
            document in any_json(),
            text in ".{0,12}",
            kept in any::<bool>(),
        ) {
            for payload in [document.to_string(), text] {
                if let Some(Heard::Reply { reply: Reply::Successful(_), .. }) = read(&leaf, &payload, kept) {
                    prop_assert!(payload.contains("successful"));
                }
            }
        }
    }
}
