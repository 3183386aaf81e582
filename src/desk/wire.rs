//! MQTT 5 and 3.1.1 in the same words, over TCP, TLS and WebSocket.

use super::config::BrokerWay;
use crate::{
    remote::link,
    settings::{BrokerUrl, Mqtt, Way},
};
use bytes::Bytes;
use rumqttc::{
    AsyncClient as Client4, ConnectionError as Error4, Event as Event4, EventLoop as Loop4, MqttOptions as Options4,
    NetworkOptions, Outgoing, Packet as Packet4, QoS as Qos4, StateError as State4, SubscribeFilter,
    SubscribeReasonCode as Code4, TlsConfiguration, Transport,
    v5::{
        AsyncClient as Client5, ConnectionError as Error5, Event as Event5, EventLoop as Loop5,
        MqttOptions as Options5, StateError as State5,
        mqttbytes::{
            QoS as Qos5,
            v5::{
                ConnectReturnCode as Return5, Filter, Packet as Packet5, PubAckReason as Taken5, PublishProperties,
                SubscribeReasonCode as Code5,
            },
        },
    },
};
use rustls::time_provider::DefaultTimeProvider;
use std::{sync::Arc, time::Duration};

/// Most bytes of a message of a box: a picture, or a bundle of diagnostics.
const MESSAGE_BYTES: u32 = 16 * 1024 * 1024;
/// Messages on their way to the broker: a request to each box of the largest fleet, and more.
const OUTGOING: usize = 65_536;
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How the broker is reached.
pub struct Wire {
    url: String,
    id: String,
    host: String,
    port: u16,
    transport: Transport,
    login: Option<(String, String)>,
    /// MQTT 3.1.1 because the broker does not know 5.
    old: bool,
}

/// Something that the broker did.
#[derive(Debug)]
pub enum Packet {
    /// It took the connection.
    Connected,
    /// It took a subscription, or parts of it not.
    Subscribed {
        /// Not all of it.
        denied: bool,
    },
    /// A message.
    Message {
        /// Its topic.
        topic: String,
        /// Its content.
        payload: Bytes,
        /// The broker had kept it.
        kept: bool,
    },
    /// A message that is sent once at least has left, under this number.
    Sent(u16),
    /// It has the message of this number.
    Taken {
        /// The number.
        number: u16,
        /// It does nothing with it: this user may not send it (MQTT 5 only; before that nobody is told).
        denied: bool,
    },
    /// The connection was ended here.
    Ended,
    /// Nothing of interest.
    Other,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum Failure {
    /// The broker does not want it.
    Refused(Refused),
    /// It closed the connection without a word: as some do that do not know this version.
    Closed,
    /// Anything else; for people.
    Lost(String),
}

/// Why a broker refuses a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// It does not speak this version of MQTT.
    Version,
    /// It does not know the user or the password.
    Login,
    /// Something else, in its own word.
    Other(String),
}

/// For sending. What cannot be queued is lost with the connection, and sent again with the next one.
#[derive(Debug, Clone)]
pub enum Client {
    /// MQTT 5.
    New(Client5),
    /// MQTT 3.1.1.
    Old(Client4),
}

/// For hearing.
pub enum Packets {
    /// MQTT 5.
    New(Box<Loop5>),
    /// MQTT 3.1.1.
    Old(Box<Loop4>),
}

impl Wire {
    /// To the broker of `way`, under the client id `id`. Reads the files of certificates.
    ///
    /// # Errors
    /// For people: what of the settings is wrong.
    pub fn new(way: &BrokerWay, id: &str, password: Option<String>) -> Result<Self, String> {
        let broker: BrokerUrl =
            way.url.parse().map_err(|expected| format!("{:?} is no broker: {expected}", way.url))?;
        if !broker.way.is_encrypted() && !broker.is_local() && !way.allow_plaintext {
            return Err(format!(
                "{}: everyone on the way could read it and command the boxes: use mqtts:// or wss://, or write \
                 allow-plaintext = true into the configuration file",
                way.url
            ));
        }
        let tls = || {
            let files = Mqtt {
                ca_file: way.ca_file.clone(),
                cert_file: way.cert_file.clone(),
                key_file: way.key_file.clone(),
                ..Mqtt::default()
            };
            link::tls(&files, Arc::new(DefaultTimeProvider)).map(TlsConfiguration::Rustls)
        };
        let (transport, host) = match broker.way {
            Way::Mqtt => (Transport::Tcp, broker.host.clone()),
            Way::Mqtts => (Transport::Tls(tls()?), broker.host.clone()),
            Way::Ws => (Transport::Ws, broker.to_string()),
            Way::Wss => (Transport::Wss(tls()?), broker.to_string()),
        };
        let login = way.username.clone().map(|user| (user, password.unwrap_or_default()));
        Ok(Self { url: way.url.clone(), id: id.into(), host, port: broker.port, transport, login, old: false })
    }

    /// A connection; it is made when it is first heard for packets.
    pub fn connect(&self) -> (Client, Packets) {
        if self.old {
            let mut options = Options4::new(&self.id, &self.host, self.port);
            options.set_transport(self.transport.clone()).set_keep_alive(KEEP_ALIVE).set_clean_session(true);
            options.set_max_packet_size(MESSAGE_BYTES as usize, MESSAGE_BYTES as usize);
            if let Some((user, password)) = &self.login {
                options.set_credentials(user, password);
            }
            let (client, mut packets) = Client4::new(options, OUTGOING);
            packets.set_network_options(network());
            return (Client::Old(client), Packets::Old(Box::new(packets)));
        }
        let mut options = Options5::new(&self.id, &self.host, self.port);
        options.set_transport(self.transport.clone()).set_keep_alive(KEEP_ALIVE).set_clean_start(true);
        options.set_max_packet_size(Some(MESSAGE_BYTES)).set_network_options(network());
        if let Some((user, password)) = &self.login {
            options.set_credentials(user, password);
        }
        let (client, packets) = Client5::new(options, OUTGOING);
        (Client::New(client), Packets::New(Box::new(packets)))
    }

    /// Speaks the other version of MQTT at the next connection; true: that is 3.1.1.
    pub fn turn(&mut self) -> bool {
        self.old = !self.old;
        self.old
    }

    /// Why there is no connection, for people.
    pub fn explain(&self, failure: &Failure) -> String {
        let url = &self.url;
        match failure {
            Failure::Refused(Refused::Version) => format!("{url} speaks neither MQTT 5 nor 3.1.1"),
            Failure::Refused(Refused::Login) => {
                format!("{url} does not let this user in: check username and password-file")
            }
            Failure::Refused(Refused::Other(word)) => format!("{url} refuses the connection: {word}"),
            Failure::Closed => format!("{url} closes the connection without a word"),
            Failure::Lost(text) => format!("{url} is not reached: {text}"),
        }
    }
}

impl Client {
    /// Whether the broker counts the age of messages (MQTT 5, 3.3.2.3.3).
    pub fn vouches(&self) -> bool {
        matches!(self, Self::New(_))
    }

    /// Wants messages of these topics, once at least.
    pub fn subscribe(&self, filters: &[String]) {
        let _ = match self {
            Self::New(client) => {
                // Not what is sent from here: requests and answers have one topic.
                let filter = |filter| Filter { nolocal: true, ..Filter::new(filter, Qos5::AtLeastOnce) };
                client.try_subscribe_many(filters.iter().map(filter)).is_ok()
            }
            Self::Old(client) => {
                let filter = |filter: &String| SubscribeFilter::new(filter.clone(), Qos4::AtLeastOnce);
                client.try_subscribe_many(filters.iter().map(filter)).is_ok()
            }
        };
    }

    /// Sends a message, once at least; `life`: how long it is good for. False: there is no room for it.
    pub fn publish(&self, topic: &str, kept: bool, payload: Bytes, life: Option<Duration>) -> bool {
        match self {
            Self::New(client) => {
                let seconds = life.map(|life| u32::try_from(life.as_millis().div_ceil(1000)).unwrap_or(u32::MAX));
                let properties = PublishProperties { message_expiry_interval: seconds, ..PublishProperties::default() };
                client.try_publish_with_properties(topic, Qos5::AtLeastOnce, kept, payload, properties).is_ok()
            }
            Self::Old(client) => client.try_publish(topic, Qos4::AtLeastOnce, kept, payload).is_ok(),
        }
    }

    /// Ends the connection after what was sent before.
    pub fn disconnect(&self) {
        let _ = match self {
            Self::New(client) => client.try_disconnect().is_ok(),
            Self::Old(client) => client.try_disconnect().is_ok(),
        };
    }
}

impl Packets {
    /// The next thing that the broker does.
    ///
    /// # Errors
    /// There is no connection any more.
    pub async fn next(&mut self) -> Result<Packet, Failure> {
        match self {
            Self::New(packets) => packets.poll().await.map(packet5).map_err(|error| failure5(&error)),
            Self::Old(packets) => packets.poll().await.map(packet4).map_err(|error| failure4(&error)),
        }
    }
}

fn packet5(event: Event5) -> Packet {
    match event {
        Event5::Incoming(Packet5::ConnAck(_)) => Packet::Connected,
        Event5::Incoming(Packet5::SubAck(ack)) => {
            Packet::Subscribed { denied: !ack.return_codes.iter().all(|code| matches!(code, Code5::Success(_))) }
        }
        Event5::Incoming(Packet5::Publish(message)) => Packet::Message {
            topic: String::from_utf8_lossy(&message.topic).into_owned(),
            kept: message.retain,
            payload: message.payload,
        },
        Event5::Outgoing(Outgoing::Publish(number)) if number != 0 => Packet::Sent(number),
        Event5::Incoming(Packet5::PubAck(ack)) => {
            let denied = !matches!(ack.reason, Taken5::Success | Taken5::NoMatchingSubscribers);
            Packet::Taken { number: ack.pkid, denied }
        }
        Event5::Outgoing(Outgoing::Disconnect) => Packet::Ended,
        _ => Packet::Other,
    }
}

fn packet4(event: Event4) -> Packet {
    match event {
        Event4::Incoming(Packet4::ConnAck(_)) => Packet::Connected,
        Event4::Incoming(Packet4::SubAck(ack)) => {
            Packet::Subscribed { denied: !ack.return_codes.iter().all(|code| matches!(code, Code4::Success(_))) }
        }
        Event4::Incoming(Packet4::Publish(message)) => {
            Packet::Message { topic: message.topic, kept: message.retain, payload: message.payload }
        }
        Event4::Outgoing(Outgoing::Publish(number)) if number != 0 => Packet::Sent(number),
        Event4::Incoming(Packet4::PubAck(ack)) => Packet::Taken { number: ack.pkid, denied: false },
        Event4::Outgoing(Outgoing::Disconnect) => Packet::Ended,
        _ => Packet::Other,
    }
}

fn failure5(error: &Error5) -> Failure {
    match error {
        Error5::ConnectionRefused(code) => Failure::Refused(match code {
            Return5::UnsupportedProtocolVersion | Return5::RefusedProtocolVersion => Refused::Version,
            Return5::BadUserNamePassword | Return5::NotAuthorized => Refused::Login,
            other => Refused::Other(format!("{other:?}")),
        }),
        // A broker of 3.1.1 answers with its own packet, which is one byte shorter (MQTT 3.1.1, 3.2), and closes.
        Error5::MqttState(State5::Deserialization(_) | State5::ConnectionAborted) => Failure::Closed,
        Error5::Timeout(_) => Failure::Lost("nothing answers there".into()),
        Error5::Io(error) => Failure::Lost(error.to_string()),
        other => Failure::Lost(other.to_string()),
    }
}

fn failure4(error: &Error4) -> Failure {
    match error {
        Error4::ConnectionRefused(code) => Failure::Refused(match code {
            rumqttc::ConnectReturnCode::RefusedProtocolVersion => Refused::Version,
            rumqttc::ConnectReturnCode::BadUserNamePassword | rumqttc::ConnectReturnCode::NotAuthorized => {
                Refused::Login
            }
            other => Refused::Other(format!("{other:?}")),
        }),
        Error4::MqttState(State4::ConnectionAborted) => Failure::Closed,
        Error4::NetworkTimeout | Error4::FlushTimeout => Failure::Lost("nothing answers there".into()),
        Error4::Io(error) => Failure::Lost(error.to_string()),
        other => Failure::Lost(other.to_string()),
    }
}

/// Small packets go at once: the next one of an exchange would wait for an acknowledgement by TCP.
fn network() -> NetworkOptions {
    let mut options = NetworkOptions::new();
    options.set_tcp_nodelay(true);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_safe_has_to_be_asked_for() {
        let open = |url: &str, allow_plaintext| {
            let (url, prefix) = (url.into(), "fieldcast".into());
            let way = BrokerWay {
                url,
                username: None,
                password: None,
                ca_file: None,
                cert_file: None,
                key_file: None,
                prefix,
                allow_plaintext,
            };
            Wire::new(&way, "x", None).map(drop)
        };
        for local in ["mqtt://127.0.0.1", "mqtt://[::1]:9", "ws://localhost:9001"] {
            assert_eq!(open(local, false), Ok(()));
        }
        for remote in ["mqtt://192.0.2.7", "ws://broker.example"] {
            assert!(open(remote, false).expect_err("refused").contains("allow-plaintext"));
            assert_eq!(open(remote, true), Ok(()));
        }
    }

    #[test]
    fn a_refusal_says_what_to_check() {
        let refused = |error| matches!(failure5(&error), Failure::Refused(Refused::Login));
        assert!(refused(Error5::ConnectionRefused(Return5::NotAuthorized)));
        let version = failure5(&Error5::ConnectionRefused(Return5::UnsupportedProtocolVersion));
        assert!(matches!(version, Failure::Refused(Refused::Version)));
    }
}
