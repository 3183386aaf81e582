//! Reads the operator's ingest URL.

use super::{IngestUrl, Protocol};
use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Why a text is not an ingest URL. Never repeats the text: people paste stream keys and passwords into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Over 2048 characters.
    #[error("the URL is longer than 2048 characters")]
    TooLong,
    /// Not printable ASCII.
    #[error("the URL has a space or a character beyond ASCII: write such a host name in its xn-- form")]
    NotAscii,
    /// `srt://host:port?...`.
    #[error(
        "an SRT URL ends with the port: leave out what follows, and give streamid as \"stream-id\", passphrase as \
         \"passphrase\", pbkeylen as \"encryption\" and latency as \"latency\""
    )]
    SrtQuery,
    /// `mode=listener`, `mode=rendezvous`.
    #[error("the box is the caller: it cannot be called, and knows no rendezvous; have the ingest listen")]
    SrtMode,
    /// SRT has no usual port.
    #[error("an SRT URL needs a port, such as srt://ingest.example:9000")]
    MissingPort,
    /// Another one.
    #[error("expected a URL that starts with rtmp://, rtmps:// or srt://")]
    Scheme,
    /// `user:password@`.
    #[error("the URL has a user name before the host: leave it out, and give the stream key as \"key\"")]
    UserInfo,
    /// No host, or not one.
    #[error("the host of the URL is not a name, an IPv4 address or an IPv6 address in [brackets]")]
    Host,
    /// Not a number from 1 to 65535.
    #[error("the port of the URL is not a number from 1 to 65535")]
    Port,
    /// Nothing after the host.
    #[error("the URL has no application: expected one after the host, such as rtmp://ingest.example/app")]
    MissingApp,
    /// `#`, which is not sent anywhere.
    #[error("the URL has a #: write it as %23")]
    Fragment,
}

impl FromStr for IngestUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > 2048 {
            return Err(UrlError::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::NotAscii);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let protocol = match scheme.to_ascii_lowercase().as_str() {
            "rtmp" => Protocol::Rtmp,
            "rtmps" => Protocol::Rtmps,
            "srt" => Protocol::Srt,
            _ => return Err(UrlError::Scheme),
        };
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (authority, app) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            None => protocol.usual_port().ok_or(UrlError::MissingPort)?,
            Some(port) => number(port).ok_or(UrlError::Port)?,
        };
        let app = app.trim_matches('/');
        if protocol == Protocol::Srt {
            return match app {
                "" => Ok(Self { protocol, host, port, app: String::new() }),
                query if query.contains("mode=listener") || query.contains("mode=rendezvous") => Err(UrlError::SrtMode),
                _ => Err(UrlError::SrtQuery),
            };
        }
        if app.is_empty() || app.starts_with('?') {
            return Err(UrlError::MissingApp);
        }
        Ok(Self { protocol, host, port, app: app.into() })
    }
}

impl Protocol {
    /// The scheme of its URLs.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Rtmps => "rtmps",
            Self::Srt => "srt",
        }
    }

    /// The port of a URL that names none.
    fn usual_port(self) -> Option<u16> {
        match self {
            Self::Rtmp => Some(1935),
            Self::Rtmps => Some(443),
            Self::Srt => None,
        }
    }
}

/// Splits `host[:port]`, where an IPv6 address is in brackets.
fn split_port(authority: &str) -> Result<(String, Option<&str>), UrlError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, after) = rest.split_once(']').ok_or(UrlError::Host)?;
        let address: Ipv6Addr = address.parse().map_err(|_| UrlError::Host)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((address.to_string(), Some(port))),
            None if after.is_empty() => Ok((address.to_string(), None)),
            None => Err(UrlError::Host),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if is_name(host) { Ok((host.to_ascii_lowercase(), port)) } else { Err(UrlError::Host) }
}

/// Whether it can be a DNS name (RFC 1123 2.1, with the underscore that is in use) or a dotted IPv4 address.
fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    // A last label of digits only is an address to the resolver, which also takes forms such as "1" and "0x7f.1".
    let looks_like_address = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= 253 && name.split('.').all(label) && (!looks_like_address || host.parse::<Ipv4Addr>().is_ok())
}

fn number(port: &str) -> Option<u16> {
    // `parse` would take a leading plus sign.
    port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())?.filter(|&port| port != 0)
}

impl fmt::Display for IngestUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.protocol.scheme();
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]", self.host)?,
            false => write!(f, "{scheme}://{}", self.host)?,
        }
        if self.protocol.usual_port() != Some(self.port) {
            write!(f, ":{}", self.port)?;
        }
        match self.protocol {
            Protocol::Srt => Ok(()),
            Protocol::Rtmp | Protocol::Rtmps => write!(f, "/{}", self.app),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> Result<(Protocol, String, u16, String), UrlError> {
        text.parse::<IngestUrl>().map(|url| (url.protocol, url.host, url.port, url.app))
    }

    #[test]
    fn reads_what_services_print() {
        let read = |protocol, host: &str, port, app: &str| Ok((protocol, host.into(), port, app.into()));
        assert_eq!(url("rtmp://ingest.example/app"), read(Protocol::Rtmp, "ingest.example", 1935, "app"));
        assert_eq!(url("RTMPS://Ingest.Example:443/rtmp/"), read(Protocol::Rtmps, "ingest.example", 443, "rtmp"));
        assert_eq!(url("rtmps://b.example/live2?backup=1"), read(Protocol::Rtmps, "b.example", 443, "live2?backup=1"));
        assert_eq!(url("rtmp://127.0.0.1:1936/a/inst"), read(Protocol::Rtmp, "127.0.0.1", 1936, "a/inst"));
        assert_eq!(url("rtmp://[::1]:19350/live"), read(Protocol::Rtmp, "::1", 19350, "live"));
        assert_eq!(url("rtmp://[2001:DB8::1]/live"), read(Protocol::Rtmp, "2001:db8::1", 1935, "live"));
        assert_eq!(url("srt://Ingest.Example:9000"), read(Protocol::Srt, "ingest.example", 9000, ""));
        assert_eq!(url("srt://[::1]:9000/"), read(Protocol::Srt, "::1", 9000, ""));
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, error) in [
            ("", UrlError::Scheme),
            ("ingest.example/app", UrlError::Scheme),
            ("https://ingest.example/app", UrlError::Scheme),
            ("srt://ingest.example", UrlError::MissingPort),
            ("srt://ingest.example:9000?streamid=abc&passphrase=0123456789", UrlError::SrtQuery),
            ("srt://ingest.example:9000/live", UrlError::SrtQuery),
            ("srt://:9000?mode=listener", UrlError::Host),
            ("srt://0.0.0.0:9000?mode=listener", UrlError::SrtMode),
            ("rtmp://user:pw@ingest.example/app", UrlError::UserInfo),
            ("rtmp://ingest.example", UrlError::MissingApp),
            ("rtmp://ingest.example/", UrlError::MissingApp),
            ("rtmp://ingest.example/?x=1", UrlError::MissingApp),
            ("rtmp://ingest.example/app#x", UrlError::Fragment),
            ("rtmp:///app", UrlError::Host),
            ("rtmp://:1935/app", UrlError::Host),
            ("rtmp://-x.example/app", UrlError::Host),
            ("rtmp://a..b/app", UrlError::Host),
            ("rtmp://999.1.1.1/app", UrlError::Host),
            ("rtmp://1/app", UrlError::Host),
            ("rtmp://::1/app", UrlError::Host),
            ("rtmp://[::1/app", UrlError::Host),
            ("rtmp://[fe80::1%eth0]/app", UrlError::Host),
            ("rtmp://[::1]x/app", UrlError::Host),
            ("rtmp://h:/app", UrlError::Port),
            ("rtmp://h:0/app", UrlError::Port),
            ("rtmp://h:65536/app", UrlError::Port),
            ("rtmp://h:+80/app", UrlError::Port),
            ("rtmp://[::1]:x/app", UrlError::Port),
            ("rtmp://bücher.example/app", UrlError::NotAscii),
            ("rtmp://h/app key", UrlError::NotAscii),
            ("rtmp://h/app\n", UrlError::NotAscii),
        ] {
            assert_eq!(url(text), Err(error), "{text:?}");
        }
        assert_eq!(url(&format!("rtmp://h/{}", "a".repeat(3000))), Err(UrlError::TooLong));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_was_read_is_written_back(
            text in "(rtmps?|srt|x)?(://)?[\\[a-z0-9.:@\\]]{0,20}/?\\PC{0,20}",
        ) {
            if let Ok(url) = text.parse::<IngestUrl>() {
                prop_assert_eq!(url.to_string().parse(), Ok(url));
            }
        }
    }
}
