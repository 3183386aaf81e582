//! Where the time may be asked for.

use crate::uplink::IngestUrl;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// `[clock]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Clock {
    /// Web servers, `host` or `host:port`, that are asked for the date by HTTPS while no time server is reached.
    pub http: Vec<String>,
}

impl Clock {
    /// The web servers of the list; `check` has refused what is none.
    pub fn servers(&self) -> Vec<WebServer> {
        self.http.iter().filter_map(|server| server.parse().ok()).collect()
    }
}

/// A web server that is asked for the time: `host` or `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebServer(pub(crate) IngestUrl);

impl FromStr for WebServer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        let url = text.chars().all(plain).then(|| format!("rtmps://{text}/time").parse::<IngestUrl>().ok()).flatten();
        url.map(Self)
            .ok_or("expected the name of a web server, such as \"www.example.org\" or \"www.example.org:8443\"")
    }
}

impl fmt::Display for WebServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.host, self.0.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_names_with_or_without_a_port() {
        let text = |text: &str| text.parse::<WebServer>().map(|server| server.to_string()).ok();
        assert_eq!(text("www.example.org").as_deref(), Some("www.example.org:443"));
        assert_eq!(text("10.0.2.2:8443").as_deref(), Some("10.0.2.2:8443"));
        for wrong in ["", "https://www.example.org", "user@host", "host/path", "host:0", "a b", "host#", "host?"] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
    }
}
