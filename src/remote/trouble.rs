//! Why there is no connection to the broker, in words for people.

use crate::status::{Fault, Severity};
use rumqttc::{ConnectReturnCode as Code4, ConnectionError as Error4, StateError as State4, TlsError, v5};
use std::{error::Error, io};
use v5::{
    ConnectionError as Error5, StateError as State5,
    mqttbytes::v5::{ConnectReturnCode as Code5, DisconnectReasonCode},
};

/// Why there is no connection, or why it is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A file of the settings cannot be used.
    Settings(String),
    /// Nothing answers.
    Unreachable(String),
    /// The connection broke.
    Closed,
    /// The broker does not want this version of MQTT, or cannot be understood in it.
    Version,
    /// The broker knows no such user, or does not let it in.
    Refused,
    /// The certificate is not one to be trusted, or the broker does not trust the box's.
    Certificate(String),
    /// Another client has this box's id.
    Takeover,
    /// The broker does not let the box hear its commands.
    NotAllowed,
    /// The broker does not take what the box says.
    NotTaken {
        /// Where.
        topic: String,
        /// In the words of MQTT 5.
        why: String,
    },
    /// The broker is there and does not work.
    Broker(String),
}

impl Trouble {
    /// Whether it may be over before anybody has read of it.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Closed | Self::Version)
    }

    /// As a fault.
    pub fn fault(&self, broker: &str) -> Fault {
        let (code, text, advice) = match self {
            Self::Settings(text) => ("mqtt-settings", text.clone(), "Mend the file that [mqtt] of the settings names"),
            Self::Unreachable(why) => (
                "mqtt-unreachable",
                format!("The broker {broker} cannot be reached ({why})"),
                "Check the network and the address. What is on air goes on; events are kept",
            ),
            Self::Closed | Self::Version => (
                "mqtt-unreachable",
                format!("The broker {broker} ends the connection"),
                "Look at the broker's log. What is on air goes on; events are kept",
            ),
            Self::Refused => (
                "mqtt-refused",
                format!("The broker {broker} does not let this box in"),
                "Check username and password in [mqtt], and the broker's list of users",
            ),
            Self::Certificate(why) => (
                "mqtt-certificate",
                format!("No safe connection to the broker {broker}: {why}"),
                "Check ca-file, cert-file and the host's name in [mqtt], and the box's clock",
            ),
            Self::Takeover => (
                "mqtt-takeover",
                "Another client has connected to the broker with this box's id".into(),
                "Give one of the two boxes another id in its settings",
            ),
            Self::NotAllowed => (
                "mqtt-not-allowed",
                format!("The broker {broker} does not let this box hear its commands"),
                "Let it subscribe to its own topics in the broker's access list",
            ),
            Self::NotTaken { topic, why } => (
                "mqtt-not-taken",
                format!("The broker {broker} does not take what this box says on {topic} ({why})"),
                "Let it write below its own topic in the broker's access list. What it said there meanwhile is lost",
            ),
            Self::Broker(why) => (
                "mqtt-broker",
                format!("The broker {broker} does not work as it should ({why})"),
                "Look at the broker's log. What is on air goes on; events are kept",
            ),
        };
        Fault { code, severity: Severity::Warning, text, advice: advice.into(), since: None }
    }
}

impl From<Error5> for Trouble {
    fn from(error: Error5) -> Self {
        match error {
            Error5::MqttState(State5::ServerDisconnect { reason_code, .. }) => match reason_code {
                DisconnectReasonCode::SessionTakenOver => Self::Takeover,
                DisconnectReasonCode::NotAuthorized => Self::Refused,
                DisconnectReasonCode::ServerShuttingDown => Self::Closed,
                other => Self::Broker(format!("it said {other:?}")),
            },
            Error5::MqttState(State5::ConnectionAborted) => Self::Closed,
            Error5::MqttState(State5::Io(error)) | Error5::Io(error) => of_io(&error),
            Error5::MqttState(error) => Self::Broker(error.to_string()),
            Error5::Timeout(_) => Self::Unreachable("no answer".into()),
            Error5::Tls(error) => of_tls(&error),
            Error5::ConnectionRefused(code) => match code {
                Code5::UnsupportedProtocolVersion | Code5::RefusedProtocolVersion => Self::Version,
                Code5::BadUserNamePassword | Code5::NotAuthorized | Code5::Banned | Code5::BadAuthenticationMethod => {
                    Self::Refused
                }
                other => Self::Broker(format!("it said {other:?}")),
            },
            Error5::NotConnAck(_) => Self::Version,
            other => Self::Broker(other.to_string()),
        }
    }
}

impl From<Error4> for Trouble {
    fn from(error: Error4) -> Self {
        match error {
            Error4::MqttState(State4::ConnectionAborted) => Self::Closed,
            Error4::MqttState(State4::Io(error)) | Error4::Io(error) => of_io(&error),
            Error4::MqttState(error) => Self::Broker(error.to_string()),
            Error4::NetworkTimeout | Error4::FlushTimeout => Self::Unreachable("no answer".into()),
            Error4::Tls(error) => of_tls(&error),
            Error4::ConnectionRefused(Code4::RefusedProtocolVersion) => Self::Version,
            Error4::ConnectionRefused(Code4::BadUserNamePassword | Code4::NotAuthorized) => Self::Refused,
            Error4::ConnectionRefused(other) => Self::Broker(format!("it said {other:?}")),
            other => Self::Broker(other.to_string()),
        }
    }
}

fn of_tls(error: &TlsError) -> Trouble {
    match error {
        TlsError::Io(error) => of_io(error),
        other => Trouble::Certificate(other.to_string()),
    }
}

fn of_io(error: &io::Error) -> Trouble {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(error) => Trouble::Certificate(match error {
            rustls::Error::InvalidCertificate(why) => format!("its certificate is not trusted, {why:?}"),
            rustls::Error::AlertReceived(why) => format!("it does not trust this box's certificate, {why:?}"),
            other => other.to_string(),
        }),
        None => match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
                Trouble::Closed
            }
            _ => Trouble::Unreachable(error.source().map_or_else(|| error.to_string(), ToString::to_string)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_apart() {
        let io = |kind: io::ErrorKind| Error5::Io(io::Error::from(kind));
        assert!(matches!(Trouble::from(io(io::ErrorKind::ConnectionRefused)), Trouble::Unreachable(_)));
        assert_eq!(Trouble::from(io(io::ErrorKind::ConnectionReset)), Trouble::Closed);
        let taken =
            State5::ServerDisconnect { reason_code: DisconnectReasonCode::SessionTakenOver, reason_string: None };
        assert_eq!(Trouble::from(Error5::MqttState(taken)), Trouble::Takeover);
        assert_eq!(Trouble::from(Error5::ConnectionRefused(Code5::UnsupportedProtocolVersion)), Trouble::Version);
        assert_eq!(Trouble::from(Error4::ConnectionRefused(Code4::NotAuthorized)), Trouble::Refused);
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = io::Error::new(io::ErrorKind::InvalidData, tls);
        let Trouble::Certificate(text) = Trouble::from(Error5::Io(error)) else { panic!("not the certificate") };
        assert!(text.contains("UnknownIssuer"), "{text}");
    }

    #[test]
    fn every_trouble_says_what_to_do() {
        for trouble in [Trouble::Closed, Trouble::Takeover, Trouble::Refused, Trouble::Unreachable("x".into())] {
            let fault = trouble.fault("mqtts://b:8883");
            assert!(fault.code.starts_with("mqtt-") && !fault.advice.is_empty() && fault.severity == Severity::Warning);
        }
    }
}
