//! Where a box is, and by which certificate it is known.

use axum::http::Uri;
use ring::digest;
use serde::{Deserialize, Serialize};
use std::{fmt, net::Ipv6Addr, str::FromStr};

/// The port where none is named: the one that the README tells for HTTPS.
const PORT: u16 = 8443;

/// A box's HTTP surface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// In the clear, which a box takes on loopback only.
    pub clear: bool,
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl Address {
    /// `host:port` as in a URL and in the Host header.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn is_loopback(&self) -> bool {
        let ip = self.host.parse::<std::net::IpAddr>();
        ip.map_or_else(|_| self.host.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address of a box: expected one such as https://192.0.2.17:8443");
        let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let uri: Uri = whole.parse().map_err(|_| wrong())?;
        let clear = match uri.scheme_str() {
            Some("https") => false,
            Some("http") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let rest = uri.path_and_query().map_or("", |path| path.as_str());
        if authority.as_str().contains('@') || !matches!(rest, "" | "/") {
            return Err(wrong());
        }
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let host = match authority.host().strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(host) => host.parse::<Ipv6Addr>().map_err(|_| wrong())?.to_string(),
            None if authority.host().chars().all(word) => authority.host().to_owned(),
            None => return Err(wrong()),
        };
        // A port that is no number leaves something behind the host.
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str() != authority.host() => return Err(wrong()),
            None if clear => 8080,
            None => PORT,
        };
        let address = Self { clear, host, port };
        if address.host.is_empty() || port == 0 {
            return Err(wrong());
        }
        match clear && !address.is_loopback() {
            true => {
                Err(format!("{text:?}: beyond loopback a box takes HTTPS only, as https://{}", address.authority()))
            }
            false => Ok(address),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.clear { "http" } else { "https" }, self.authority())
    }
}

/// SHA-256 of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of this certificate (DER).
    pub fn of(certificate: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        Self(bytes)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// As browsers and boxes show it, or without the colons.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a fingerprint is 32 pairs of hexadecimal digits, such as A1:B2:…".to_owned();
        let digits: Vec<u8> = text
            .chars()
            .filter(|c| !matches!(c, ':' | ' '))
            .map(|c| c.to_digit(16).map(|digit| digit as u8))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
        if digits.len() != 64 {
            return Err(wrong());
        }
        bytes.try_into().map(Self).map_err(|_| wrong())
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, whole) in [
            ("https://192.0.2.17:8443", "https://192.0.2.17:8443"),
            ("192.0.2.17", "https://192.0.2.17:8443"),
            ("fc-1.local:9000/", "https://fc-1.local:9000"),
            ("https://[2001:db8::7]", "https://[2001:db8::7]:8443"),
            ("http://localhost", "http://localhost:8080"),
            ("http://127.0.0.1:18080", "http://127.0.0.1:18080"),
        ] {
            assert_eq!(text.parse::<Address>().expect("read").to_string(), whole);
        }
        for (text, part) in [
            ("http://192.0.2.17:8443", "HTTPS only, as https://192.0.2.17:8443"),
            ("ftp://h", "no address"),
            ("https://u:p@h", "no address"),
            ("https://h/api", "no address"),
            ("https://h:0", "no address"),
            ("https://[%]", "no address"),
            ("https://a%b", "no address"),
            ("https://h:", "no address"),
            ("https://h:99999", "no address"),
            ("a b", "no address"),
            ("", "no address"),
        ] {
            let problem = text.parse::<Address>().expect_err("refused");
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown() {
        let fingerprint = Fingerprint::of(b"certificate");
        let shown = fingerprint.to_string();
        assert_eq!(shown.len(), 95);
        for text in [shown.clone(), shown.to_lowercase(), shown.replace(':', ""), shown.replace(':', " ")] {
            assert_eq!(text.parse(), Ok(fingerprint));
        }
        for wrong in ["", "A1:B2", &shown[..94], &format!("{shown}:00"), &shown.replace(['0', 'A'], "x")] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_that_reads_the_same_again_or_refused(text in "(https?://)?[a-z0-9.:\\[\\]@/ %-]{0,20}|.{0,20}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
            if let Ok(fingerprint) = text.parse::<Fingerprint>() {
                prop_assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
            }
        }
    }
}
