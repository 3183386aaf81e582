//! Which broker the box listens to, and how it gets there.

use super::{Secret, document::Flaw, secret};
use crate::remote::topic::Prefix;
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

/// What the broker may do with the box.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MqttMode {
    /// The box tells, and takes commands.
    #[default]
    Control,
    /// It only tells.
    Observe,
}

/// `[mqtt]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Mqtt {
    /// The broker, `mqtts://host[:port]`, `wss://host[:port]/path`, `mqtt://` or `ws://`; none: no remote control.
    pub broker: Option<String>,
    /// Who the box is to the broker.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// A file that holds the password, read at each connection.
    pub password_file: Option<PathBuf>,
    /// The authorities that the broker's certificate is judged by (PEM); none: the system's.
    pub ca_file: Option<PathBuf>,
    /// The box's own certificate, with those that it hangs on (PEM).
    pub cert_file: Option<PathBuf>,
    /// The key of that certificate (PEM).
    pub key_file: Option<PathBuf>,
    /// What all topics begin with.
    pub prefix: String,
    /// Whether the box takes commands from there.
    pub mode: MqttMode,
    /// Whether Home Assistant is told what it can show and switch.
    pub home_assistant: bool,
    /// Whether `mqtt://` and `ws://` are taken beyond loopback, where everyone on the way reads and changes all.
    pub allow_plaintext: bool,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            broker: None,
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            prefix: "fieldcast".into(),
            mode: MqttMode::Control,
            home_assistant: false,
            allow_plaintext: false,
        }
    }
}

impl Mqtt {
    /// The password, from the settings or its file. Blocks on the disk.
    ///
    /// # Errors
    /// A sentence for people, without the password.
    pub fn read_password(&self) -> Result<Option<Secret>, String> {
        match (&self.password, &self.password_file) {
            (Some(password), _) => Ok(Some(password.clone())),
            (None, Some(path)) => secret::read("password file", path, false, wrong_password).map(|read| Some(read.key)),
            (None, None) => Ok(None),
        }
    }
}

fn wrong_password(password: &str) -> Option<&'static str> {
    match password {
        "" => Some("the password is empty"),
        text if text.len() > secret::KEY_LIMIT => Some("the password is longer than 1024 bytes"),
        text if text.chars().any(char::is_control) => {
            Some("the password has a line break or another control character inside")
        }
        _ => None,
    }
}

/// How the broker is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// MQTT over TCP.
    Mqtt,
    /// MQTT over TLS.
    Mqtts,
    /// MQTT over a WebSocket.
    Ws,
    /// MQTT over a WebSocket over TLS.
    Wss,
}

impl Way {
    /// Whether nobody on the way can read it.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

/// A broker's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// How it is reached.
    pub way: Way,
    /// Its name or address; IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The path of the WebSocket, with its slash.
    pub path: String,
}

impl BrokerUrl {
    /// Whether it is on this box.
    pub fn is_local(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl FromStr for BrokerUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected the broker's URL, such as \"mqtts://broker.example:8883\"";
        let (scheme, rest) = text.split_once("://").ok_or(EXPECTED)?;
        let (way, usual) = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" => (Way::Mqtt, 1883),
            "mqtts" => (Way::Mqtts, 8883),
            "ws" => (Way::Ws, 80),
            "wss" => (Way::Wss, 443),
            _ => return Err("expected a URL that begins with mqtts://, wss://, mqtt:// or ws://"),
        };
        if rest.contains('@') {
            return Err("who the box is does not belong into the URL: use username and password-file");
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let web = matches!(way, Way::Ws | Way::Wss);
        if !web && path != "/" {
            return Err("a path belongs to ws:// and wss:// only");
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(EXPECTED)?;
                (host.parse::<std::net::Ipv6Addr>().map_err(|_| EXPECTED)?.to_string(), port)
            }
            None => {
                let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
                let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
                if host.is_empty() || host.len() > 253 || !host.chars().all(word) {
                    return Err(EXPECTED);
                }
                (host.to_ascii_lowercase(), port)
            }
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or("expected a port of 1 to 65535")?,
            None if port.is_empty() => usual,
            None => return Err(EXPECTED),
        };
        let plain =
            |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '\\' | '<' | '>' | '`' | '{' | '}' | '|' | '^');
        if path.len() > 256 || !path.chars().all(plain) {
            return Err("the path has a character that does not belong there");
        }
        // What nearly every broker calls it.
        let path = if web && path == "/" { "/mqtt" } else { path };
        Ok(Self { way, host, port, path: path.into() })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{}{close}:{}", self.way.scheme(), self.host, self.port)?;
        if matches!(self.way, Way::Ws | Way::Wss) { f.write_str(&self.path) } else { Ok(()) }
    }
}

/// Names what is wrong with `[mqtt]`.
pub(super) fn check(mqtt: &Mqtt, flaws: &mut Vec<Flaw>) {
    match mqtt.broker.as_deref().map(str::parse::<BrokerUrl>) {
        Some(Err(expected)) => flaws.push(Flaw::new("mqtt.broker", expected)),
        Some(Ok(broker)) if !broker.way.is_encrypted() && !broker.is_local() && !mqtt.allow_plaintext => {
            let encrypted = if broker.way == Way::Ws { "wss" } else { "mqtts" };
            let text = format!(
                "everyone on the way could read it and command the box: use {encrypted}://, or say allow-plaintext = true"
            );
            flaws.push(Flaw { at: vec!["mqtt.broker".into(), "mqtt.allow-plaintext".into()], text });
        }
        Some(Ok(_)) | None => {}
    }
    if let Err(expected) = mqtt.prefix.parse::<Prefix>() {
        flaws.push(Flaw::new("mqtt.prefix", expected));
    }
    if mqtt
        .username
        .as_ref()
        .is_some_and(|name| name.is_empty() || name.len() > 256 || name.chars().any(char::is_control))
    {
        flaws.push(Flaw::new("mqtt.username", "expected 1 to 256 bytes on one line"));
    }
    if let Some(password) = &mqtt.password {
        flaws.extend(wrong_password(password.reveal()).map(|text| Flaw::new("mqtt.password", text)));
    }
    if mqtt.password.is_some() && mqtt.password_file.is_some() {
        let text = "given twice: give one of password and password-file";
        flaws.push(Flaw { at: vec!["mqtt.password".into(), "mqtt.password-file".into()], text: text.into() });
    }
    if (mqtt.password.is_some() || mqtt.password_file.is_some()) && mqtt.username.is_none() {
        let text = "a password needs a username";
        flaws.push(Flaw { at: vec!["mqtt.username".into(), "mqtt.password".into()], text: text.into() });
    }
    if mqtt.cert_file.is_some() != mqtt.key_file.is_some() {
        let text = "a certificate needs its key: give both cert-file and key-file";
        flaws.push(Flaw { at: vec!["mqtt.cert-file".into(), "mqtt.key-file".into()], text: text.into() });
    }
    for (field, path) in [
        ("password-file", &mqtt.password_file),
        ("ca-file", &mqtt.ca_file),
        ("cert-file", &mqtt.cert_file),
        ("key-file", &mqtt.key_file),
    ] {
        if path.as_ref().is_some_and(|path| !path.is_absolute()) {
            flaws.push(Flaw::new(
                format!("mqtt.{field}"),
                "expected a whole path, such as \"/etc/fieldcast/broker.pem\"",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaws(text: &str) -> Vec<String> {
        let mut flaws = Vec::new();
        check(&toml::from_str(text).expect("settings"), &mut flaws);
        flaws.into_iter().map(|flaw| format!("{}: {}", flaw.at[0], flaw.text)).collect()
    }

    #[test]
    fn brokers_are_read_with_their_usual_ports() {
        for (text, shown) in [
            ("mqtts://broker.example", "mqtts://broker.example:8883"),
            ("MQTT://Localhost", "mqtt://localhost:1883"),
            ("mqtt://[::1]:18830/", "mqtt://[::1]:18830"),
            ("wss://broker.example", "wss://broker.example:443/mqtt"),
            ("ws://10.0.0.1:9001/a/b", "ws://10.0.0.1:9001/a/b"),
        ] {
            assert_eq!(text.parse::<BrokerUrl>().map(|url| url.to_string()).as_deref(), Ok(shown));
        }
        for wrong in [
            "",
            "broker.example",
            "http://broker",
            "mqtt://",
            "mqtt://a b",
            "mqtt://a:0",
            "mqtt://a:70000",
            "mqtt://a/b",
            "mqtts://user:pass@a",
            "mqtt://[::1",
            "mqtt://[x]",
            "ws://a/b c",
            "mqtt://a:1:2",
            "wss://a/<b>",
            "mqtt://a?b",
        ] {
            assert!(wrong.parse::<BrokerUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_safe_has_to_be_asked_for() {
        assert_eq!(flaws("broker = 'mqtts://broker.example'"), [""; 0]);
        assert_eq!(flaws("broker = 'mqtt://127.0.0.1'"), [""; 0]);
        assert!(flaws("broker = 'mqtt://broker.example'")[0].contains("use mqtts://, or say allow-plaintext"));
        assert!(flaws("broker = 'ws://10.0.0.1'")[0].contains("use wss://"));
        assert_eq!(flaws("broker = 'mqtt://broker.example'\nallow-plaintext = true"), [""; 0]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (text, part) in [
            ("prefix = 'a/+'", "mqtt.prefix: expected a topic"),
            ("password = 'x'", "mqtt.username: a password needs"),
            ("username = ''", "mqtt.username: expected 1 to"),
            ("username = 'a'\npassword = 'x'\npassword-file = '/a'", "mqtt.password: given twice"),
            ("cert-file = '/a'", "mqtt.cert-file: a certificate needs its key"),
            ("ca-file = 'a'", "mqtt.ca-file: expected a whole path"),
        ] {
            assert!(flaws(text).iter().any(|flaw| flaw.starts_with(part)), "{text}: {:?}", flaws(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_broker_or_not(text in "((mqtts?|wss?)://)?(\\[?[a-z0-9.:]{0,9}\\]?)?(:[0-9]{0,6})?.{0,6}") {
            if let Ok(url) = text.parse::<BrokerUrl>() {
                proptest::prop_assert_eq!(url.to_string().parse::<BrokerUrl>(), Ok(url));
            }
        }
    }
}
