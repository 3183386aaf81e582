//! One connection to the broker, in MQTT 5 or 3.1.1. It is never made again: what was on its way is sent anew by who knows
//! whether it is still wanted.

use super::{
    journal::ReplyTo,
    session::{Message, Outgoing, Receipt},
    trouble::Trouble,
};
use crate::settings::{BrokerUrl, Mqtt, Way};
use bytes::Bytes;
use rumqttc::{NetworkOptions, TlsConfiguration, Transport, v5};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    time_provider::TimeProvider,
};
use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinHandle};
use v5::mqttbytes::{
    QoS as QoS5,
    v5::{
        ConnectProperties, Filter, LastWill as Will5, Packet as Packet5, PubAckReason, Publish as Publish5,
        PublishProperties, SubscribeReasonCode as Granted5,
    },
};

/// Something is sent so often at least: mobile networks forget a connection that says nothing for half a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The broker keeps what is asked of the box while it is away for as long as a request can be good for, seconds.
const SESSION: u32 = 24 * 3600;
/// Time for the connection, with TLS and the broker's answer, seconds.
const CONNECT: u64 = 10;
/// Most bytes of a message that is taken at all.
const LARGEST: u32 = 1024 * 1024;
/// Messages that wait for their way: more than are ever sent at a time.
const QUEUE: usize = 64;
/// Messages that rumqttc lets fly; the session lets fewer.
const INFLIGHT: u16 = 32;

/// The version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 5.0.
    Five,
    /// 3.1.1.
    Three,
}

impl Version {
    /// What to try when the broker does not want this one.
    pub fn other(self) -> Self {
        match self {
            Self::Five => Self::Three,
            Self::Three => Self::Five,
        }
    }
}

/// What comes from the broker.
#[derive(Debug)]
pub enum Heard {
    /// It lets the box in; it keeps the connection for so long without a word.
    Connected(Duration),
    /// What the box subscribed to comes from now on; false: not all of it.
    Subscribed(bool),
    /// A message.
    Message(Message),
    /// It has a message of the box, on this topic.
    Delivered(String, Receipt),
    /// It does not take one, and why.
    Refused(String, Receipt, String),
    /// It lives.
    Alive,
    /// The connection is gone.
    Lost(Trouble),
}

/// What the task says.
enum Said {
    Connected(Duration),
    Subscribed(bool),
    Message(Message),
    Sent(u16),
    Delivered(u16),
    Refused(u16, String),
    Alive,
    Lost(Trouble),
}

enum Client {
    Five(v5::AsyncClient),
    Three(rumqttc::AsyncClient),
}

/// A connection, or the attempt at one.
pub struct Link {
    client: Client,
    said: mpsc::UnboundedReceiver<Said>,
    /// What the messages are about that have no number yet, and those that have.
    queued: VecDeque<(String, Receipt)>,
    flying: BTreeMap<u16, (String, Receipt)>,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// Begins to connect. Reads the files that `mqtt` names: blocks on the disk.
    ///
    /// # Errors
    /// [`Trouble::Settings`].
    pub fn open(
        mqtt: &Mqtt,
        broker: &BrokerUrl,
        id: &str,
        version: Version,
        will: Outgoing,
        clock: Arc<dyn TimeProvider>,
    ) -> Result<Self, Trouble> {
        let password = mqtt.read_password().map_err(Trouble::Settings)?;
        let login = mqtt.username.clone().map(|name| {
            let password = password.map(|password| password.reveal().to_owned());
            (name, password.unwrap_or_default())
        });
        let tls = || tls(mqtt, clock).map(TlsConfiguration::Rustls).map_err(Trouble::Settings);
        let (transport, host) = match broker.way {
            Way::Mqtt => (Transport::Tcp, broker.host.clone()),
            Way::Mqtts => (Transport::Tls(tls()?), broker.host.clone()),
            Way::Ws => (Transport::Ws, broker.to_string()),
            Way::Wss => (Transport::Wss(tls()?), broker.to_string()),
        };
        let (sender, said) = mpsc::unbounded_channel();
        let (client, task) = match version {
            Version::Five => {
                let mut options = v5::MqttOptions::new(id, host, broker.port);
                options.set_transport(transport).set_keep_alive(KEEP_ALIVE).set_clean_start(false);
                options.set_connection_timeout(CONNECT).set_manual_acks(true);
                options.set_outgoing_inflight_upper_limit(INFLIGHT);
                options.set_network_options(network());
                options.set_connect_properties(ConnectProperties {
                    session_expiry_interval: Some(SESSION),
                    max_packet_size: Some(LARGEST),
                    ..ConnectProperties::new()
                });
                options.set_last_will(Will5::new(will.topic, will.payload, QoS5::AtLeastOnce, will.retain, None));
                if let Some((name, password)) = login {
                    options.set_credentials(name, password);
                }
                let (client, events) = v5::AsyncClient::new(options, QUEUE);
                (Client::Five(client), tokio::spawn(follow_5(events, sender)))
            }
            Version::Three => {
                let mut options = rumqttc::MqttOptions::new(id, host, broker.port);
                options.set_transport(transport).set_keep_alive(KEEP_ALIVE).set_clean_session(false);
                options.set_manual_acks(true).set_inflight(INFLIGHT);
                options.set_max_packet_size(LARGEST as usize, LARGEST as usize);
                let qos = rumqttc::QoS::AtLeastOnce;
                options.set_last_will(rumqttc::LastWill::new(will.topic, will.payload, qos, will.retain));
                if let Some((name, password)) = login {
                    options.set_credentials(name, password);
                }
                let (client, mut events) = rumqttc::AsyncClient::new(options, QUEUE);
                events.set_network_options(network());
                (Client::Three(client), tokio::spawn(follow_3(events, sender)))
            }
        };
        Ok(Self { client, said, queued: VecDeque::new(), flying: BTreeMap::new(), task })
    }

    /// Asks for what is asked of the box: of each filter's messages those with `true` at least once, the others at most
    /// once. False: the connection does not move.
    pub fn subscribe(&self, filters: &[(String, bool)]) -> bool {
        match &self.client {
            Client::Five(client) => {
                let qos = |surely| if surely { QoS5::AtLeastOnce } else { QoS5::AtMostOnce };
                let filters = filters.iter().map(|(filter, surely)| Filter::new(filter, qos(*surely)));
                client.try_subscribe_many(filters.collect::<Vec<_>>()).is_ok()
            }
            Client::Three(client) => {
                let qos = |surely| if surely { rumqttc::QoS::AtLeastOnce } else { rumqttc::QoS::AtMostOnce };
                let filter =
                    |(filter, surely): &(String, bool)| rumqttc::SubscribeFilter::new(filter.clone(), qos(*surely));
                client.try_subscribe_many(filters.iter().map(filter).collect::<Vec<_>>()).is_ok()
            }
        }
    }

    /// Sends a message. False: the connection does not move, and the message is lost.
    pub fn publish(&mut self, outgoing: Outgoing) -> bool {
        let Outgoing { topic, payload, retain, expires, receipt, correlation } = outgoing;
        let sure = receipt.is_some();
        let on_its_way = receipt.map(|receipt| (topic.clone(), receipt));
        let sent = match &self.client {
            Client::Five(client) => {
                let properties = PublishProperties {
                    message_expiry_interval: expires.and_then(|time| u32::try_from(time.as_secs()).ok()),
                    correlation_data: correlation.map(Bytes::from),
                    ..PublishProperties::default()
                };
                let qos = if sure { QoS5::AtLeastOnce } else { QoS5::AtMostOnce };
                client.try_publish_with_properties(topic, qos, retain, payload, properties).is_ok()
            }
            Client::Three(client) => {
                let qos = if sure { rumqttc::QoS::AtLeastOnce } else { rumqttc::QoS::AtMostOnce };
                client.try_publish(topic, qos, retain, payload).is_ok()
            }
        };
        if sent {
            self.queued.extend(on_its_way);
        }
        sent || !sure
    }

    /// Tells the broker that the message with this ticket is safe. False: the connection does not move.
    pub fn acknowledge(&self, ticket: u64) -> bool {
        let number = u16::try_from(ticket).unwrap_or_default();
        match &self.client {
            Client::Five(client) => {
                let mut publish = Publish5::new("x", QoS5::AtLeastOnce, Bytes::new(), None);
                publish.pkid = number;
                client.try_ack(&publish).is_ok()
            }
            Client::Three(client) => {
                let mut publish = rumqttc::Publish::new("x", rumqttc::QoS::AtLeastOnce, Vec::new());
                publish.pkid = number;
                client.try_ack(&publish).is_ok()
            }
        }
    }

    /// Ends the connection properly, once all that was sent is on its way.
    pub fn disconnect(&self) {
        let _ = match &self.client {
            Client::Five(client) => client.try_disconnect().map_err(drop),
            Client::Three(client) => client.try_disconnect().map_err(drop),
        };
    }

    /// What comes next. Nothing is lost when the wait is given up.
    pub async fn hear(&mut self) -> Heard {
        loop {
            return match self.said.recv().await {
                Some(Said::Connected(keep)) => Heard::Connected(keep),
                Some(Said::Subscribed(all)) => Heard::Subscribed(all),
                Some(Said::Message(message)) => Heard::Message(message),
                Some(Said::Sent(number)) => {
                    self.flying.extend(self.queued.pop_front().map(|sent| (number, sent)));
                    continue;
                }
                Some(Said::Delivered(number)) => match self.flying.remove(&number) {
                    Some((topic, receipt)) => Heard::Delivered(topic, receipt),
                    None => Heard::Alive,
                },
                Some(Said::Refused(number, why)) => match self.flying.remove(&number) {
                    Some((topic, receipt)) => Heard::Refused(topic, receipt, why),
                    None => Heard::Alive,
                },
                Some(Said::Alive) => Heard::Alive,
                Some(Said::Lost(trouble)) => Heard::Lost(trouble),
                None => Heard::Lost(Trouble::Closed),
            };
        }
    }
}

/// An answer is small and goes at once.
fn network() -> NetworkOptions {
    let mut options = NetworkOptions::new();
    options.set_connection_timeout(CONNECT);
    options.set_tcp_nodelay(true);
    options
}

/// Follows the connection until it ends. In a task of its own: rumqttc must not be interrupted while it writes.
async fn follow_5(mut events: v5::EventLoop, say: mpsc::UnboundedSender<Said>) {
    let mut connected = false;
    loop {
        let said = match events.poll().await {
            Ok(v5::Event::Incoming(Packet5::ConnAck(ack))) => {
                connected = true;
                let keep = ack.properties.and_then(|properties| properties.server_keep_alive);
                Said::Connected(keep.map_or(KEEP_ALIVE, |seconds| Duration::from_secs(seconds.into())))
            }
            Ok(v5::Event::Incoming(Packet5::SubAck(ack))) => {
                Said::Subscribed(ack.return_codes.iter().all(|code| matches!(code, Granted5::Success(_))))
            }
            Ok(v5::Event::Incoming(Packet5::Publish(publish))) => Said::Message(message_5(publish)),
            Ok(v5::Event::Incoming(Packet5::PubAck(ack))) => match ack.reason {
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Said::Delivered(ack.pkid),
                why => Said::Refused(ack.pkid, format!("{why:?}")),
            },
            Ok(v5::Event::Outgoing(rumqttc::Outgoing::Publish(number))) if number != 0 => Said::Sent(number),
            Ok(v5::Event::Incoming(_)) => Said::Alive,
            Ok(v5::Event::Outgoing(_)) => continue,
            Err(error) => {
                let trouble = Trouble::from(error);
                // An old broker that does not know this version may say so in its own, or hang up.
                let unclear = !connected && matches!(trouble, Trouble::Closed | Trouble::Broker(_));
                let _ = say.send(Said::Lost(if unclear { Trouble::Version } else { trouble }));
                return;
            }
        };
        if say.send(said).is_err() {
            return;
        }
    }
}

fn message_5(publish: Publish5) -> Message {
    let properties = publish.properties.unwrap_or_default();
    // Who chose a topic to which nobody can write gets no answer there.
    let usable = |topic: &String| (1..=256).contains(&topic.len()) && !topic.contains(['+', '#', '\0']);
    let reply_to = properties.response_topic.filter(usable).map(|topic| ReplyTo {
        topic,
        correlation: properties.correlation_data.filter(|data| data.len() <= 128).map(|data| data.to_vec()),
    });
    Message {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload,
        retained: publish.retain,
        again: publish.dup,
        left: properties.message_expiry_interval.map(|seconds| Duration::from_secs(seconds.into())),
        reply_to,
        ticket: (publish.qos != QoS5::AtMostOnce).then_some(publish.pkid.into()),
    }
}

/// The same in MQTT 3.1.1, in which a broker has no word for what it does not take.
async fn follow_3(mut events: rumqttc::EventLoop, say: mpsc::UnboundedSender<Said>) {
    use rumqttc::{Event, Outgoing, Packet, SubscribeReasonCode};
    let mut connected = false;
    loop {
        let said = match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                connected = true;
                Said::Connected(KEEP_ALIVE)
            }
            Ok(Event::Incoming(Packet::SubAck(ack))) => {
                let granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
                Said::Subscribed(ack.return_codes.iter().all(granted))
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => Said::Message(Message {
                topic: publish.topic,
                payload: publish.payload,
                retained: publish.retain,
                again: publish.dup,
                left: None,
                reply_to: None,
                ticket: (publish.qos != rumqttc::QoS::AtMostOnce).then_some(publish.pkid.into()),
            }),
            Ok(Event::Incoming(Packet::PubAck(ack))) => Said::Delivered(ack.pkid),
            Ok(Event::Outgoing(Outgoing::Publish(number))) if number != 0 => Said::Sent(number),
            Ok(Event::Incoming(_)) => Said::Alive,
            Ok(Event::Outgoing(_)) => continue,
            Err(error) => {
                let trouble = Trouble::from(error);
                let unclear = !connected && matches!(trouble, Trouble::Closed | Trouble::Broker(_));
                let _ = say.send(Said::Lost(if unclear { Trouble::Version } else { trouble }));
                return;
            }
        };
        if say.send(said).is_err() {
            return;
        }
    }
}

/// By whom the broker is judged, and who the box is to it.
pub(crate) fn tls(mqtt: &Mqtt, clock: Arc<dyn TimeProvider>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match &mqtt.ca_file {
        Some(path) => drop(roots.add_parsable_certificates(certificates(path)?)),
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if roots.is_empty() {
        return Err(match &mqtt.ca_file {
            Some(path) => format!("{} has no certificate authority that can be used", path.display()),
            None => "This system has no certificate authorities: name one in mqtt.ca-file".into(),
        });
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_details(provider, clock);
    let builder =
        builder.with_safe_default_protocol_versions().map_err(|error| format!("TLS is not there: {error}"))?;
    let builder = builder.with_root_certificates(roots);
    let config = match (&mqtt.cert_file, &mqtt.key_file) {
        (Some(certificate), Some(key)) => {
            // The parser's own words may hold a part of the key.
            let wrong = || format!("{} holds no private key in PEM", key.display());
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|_| wrong())?;
            let unfit = |_| format!("The key {} does not fit its certificate", key.display());
            builder.with_client_auth_cert(certificates(certificate)?, secret).map_err(unfit)?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", path.display());
    let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
    let certificates = read.collect::<Result<Vec<_>, _>>().map_err(|error| wrong(&error))?;
    if certificates.is_empty() {
        Err(format!("{} holds no certificate in PEM", path.display()))
    } else {
        Ok(certificates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_go_to_topics_that_can_be_written_to() {
        let reply_to = |topic: &str| {
            let mut publish = Publish5::new("x", QoS5::AtLeastOnce, Bytes::new(), None);
            let properties = PublishProperties { response_topic: Some(topic.into()), ..PublishProperties::default() };
            publish.properties = Some(properties);
            message_5(publish).reply_to.map(|reply_to| reply_to.topic)
        };
        assert_eq!(reply_to("desk/7"), Some("desk/7".into()));
        for topic in ["", "desk/#", "+/7", "a\0b", &"x".repeat(257)] {
            assert_eq!(reply_to(topic), None, "{topic:?}");
        }
    }
}
