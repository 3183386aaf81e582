//! The Studio's objects, as the rest of the program uses them (pure).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A Source of the Studio: a named place to push to. Its stream key is asked for when it is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StudioSource {
    /// The API's id, 19 digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is; may be another region than the one that was asked for.
    pub region: Option<String>,
    /// Its ingest, without the key.
    pub rtmp_url: Option<String>,
    /// The same over TLS.
    pub rtmps_url: Option<String>,
    /// Whether it gets media now; none: the answer does not say.
    pub active: Option<bool>,
}

/// A Broadcast of the Studio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Broadcast {
    /// The API's id.
    pub id: String,
    /// Its title.
    pub title: Option<String>,
    /// Where it is.
    pub state: BroadcastState,
    /// The Source that it shows.
    pub source_id: Option<String>,
    /// Where people watch it.
    pub share_url: Option<String>,
    /// Who watch it now.
    pub viewers: Option<u64>,
    /// When it became public.
    pub started: Option<Timestamp>,
    /// Its media object.
    pub media_key: Option<String>,
    /// The linked account that it is of, for asking about it again.
    #[serde(skip)]
    pub account: Option<String>,
}

/// Where a Broadcast is (docs.x.com, broadcast states).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BroadcastState {
    /// It was not made public.
    NotStarted,
    /// It will be made public.
    PrePublished,
    /// It is public.
    Running,
    /// It was ended.
    Ended,
    /// It ended as no video came for 5 minutes.
    TimedOut,
    /// It was taken back.
    Canceled,
    /// A state that this version does not know.
    Unknown,
}

/// X's API.
pub const BASE_URL: &str = "https://api.x.com";

/// Whether `url` is where an API may be: HTTPS, or HTTP on loopback, where a stand-in of it runs.
///
/// # Errors
/// What is wrong with it.
pub fn check_base_url(url: &str) -> Result<(), &'static str> {
    let uri: http::Uri = url.parse().map_err(|_| "expected a URL such as \"https://api.x.com\"")?;
    let host = uri.host().unwrap_or_default();
    if host.is_empty() || uri.query().is_some() || uri.authority().is_some_and(|all| all.as_str().contains('@')) {
        return Err("expected a URL such as \"https://api.x.com\"");
    }
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_loopback(host) => Ok(()),
        _ => Err("expected https://; http:// only on loopback"),
    }
}

/// Whether a URL's host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_is_asked_over_tls() {
        for right in [BASE_URL, "http://127.0.0.1:8090", "http://[::1]:1/", "http://localhost:9"] {
            assert_eq!(check_base_url(right), Ok(()), "{right}");
        }
        for wrong in ["", "api.x.com", "http://api.x.com", "ftp://h", "https://a:b@h", "https://h/?a=b", "https://"] {
            assert!(check_base_url(wrong).is_err(), "{wrong}");
        }
    }
}
