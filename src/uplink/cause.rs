//! What people and programs are told of a [`Cause`].

use super::{Cause, IngestUrl, Stage};

impl Stage {
    /// What is done in this stage, for people: "waiting for ...".
    pub fn text(self) -> &'static str {
        match self {
            Self::Name => "name look-up",
            Self::Tcp => "connection",
            Self::Tls => "encryption",
            Self::Handshake => "handshake",
            Self::Connect => "application",
            Self::Publish => "stream key",
        }
    }
}

impl Cause {
    /// Stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NameNotFound => "name-not-found",
            Self::NameServer => "no-name-server",
            Self::NoNetwork => "no-network",
            Self::Refused => "connection-refused",
            Self::PortBlocked => "port-blocked",
            Self::Certificate(_) => "certificate",
            Self::Tls => "tls-failed",
            Self::Silent(_) => "ingest-silent",
            Self::NotRtmp => "not-rtmp",
            Self::WrongApp => "wrong-application",
            Self::KeyRejected => "key-rejected",
            Self::NameInUse => "name-in-use",
            Self::Closed(_) => "connection-closed",
            Self::Stalled => "stalled",
            Self::KeyFile(_) => "key-file",
        }
    }

    /// What is wrong, in at most 40 characters, as the box's display has no room for more.
    pub fn text(&self) -> String {
        match self {
            Self::NameNotFound => "The ingest's name does not exist".into(),
            Self::NameServer => "No answer from the name server".into(),
            Self::NoNetwork => "No network".into(),
            Self::Refused => "The ingest refused the connection".into(),
            Self::PortBlocked => "No answer from the ingest's port".into(),
            Self::Certificate(what) => format!("Certificate {what}").chars().take(40).collect(),
            Self::Tls => "The ingest's encryption failed".into(),
            Self::Silent(stage) => format!("The ingest is silent ({})", stage.text()),
            Self::NotRtmp => "No RTMP server at this address".into(),
            Self::WrongApp => "The ingest does not know the application".into(),
            Self::KeyRejected => "The ingest rejected the stream key".into(),
            Self::NameInUse => "The stream key is in use".into(),
            Self::Closed(Some(stage)) => format!("The ingest hung up ({})", stage.text()),
            Self::Closed(None) => "The ingest closed the connection".into(),
            Self::Stalled => "Nothing arrives at the ingest".into(),
            Self::KeyFile(_) => "The key file cannot be read".into(),
        }
    }

    /// What to do about it; `url` is the ingest that was tried.
    pub fn advice(&self, url: Option<&IngestUrl>) -> String {
        let place = url.map_or_else(|| "the ingest".into(), |url| format!("{} port {}", url.host, url.port));
        match self {
            Self::NameNotFound => match url {
                Some(url) => format!("Check the URL of the Source: {} has no address", url.host),
                None => "Check the URL of the Source".into(),
            },
            Self::NameServer => "Check the network cable or Wi-Fi, and that this network has a name server".into(),
            Self::NoNetwork => "Plug in the network cable, or join a Wi-Fi".into(),
            Self::Refused => format!("Check address and port; is the ingest running? Nothing listens at {place}"),
            Self::PortBlocked if url.is_some_and(|url| url.port != 443) => {
                format!("A firewall may block {place}: ask for an rtmps:// address on port 443")
            }
            Self::PortBlocked => format!("A firewall may block {place}, or the ingest is down"),
            Self::Certificate(_) => {
                "Check the URL and the box's clock; a network that inspects traffic needs its authority installed".into()
            }
            Self::Tls => format!("Check that {place} takes rtmps://; if it is plain RTMP, write rtmp://"),
            Self::Silent(Stage::Publish) => "Check the stream key; the ingest may be overloaded".into(),
            Self::Silent(_) => format!("Check address and port: {place} accepts, and then says nothing"),
            Self::NotRtmp => format!("Check address and port; if {place} uses TLS, write rtmps://"),
            Self::WrongApp => "Check the last part of the Source's URL, after the host".into(),
            Self::KeyRejected => "Copy the stream key again from the service's page; it may have expired".into(),
            Self::NameInUse => "Stop the other encoder that uses this key, or take another key".into(),
            Self::Closed(Some(_)) => format!("Check address and port; {place} may be overloaded or restarting"),
            Self::Closed(None) => "The box connects again by itself; if it repeats, ask the service".into(),
            Self::Stalled => "The upload is too slow or gone: lower the bitrate or change the network".into(),
            Self::KeyFile(why) => format!("Check the Source's key-file or credential: {why}"),
        }
    }

    /// Whether the ingest does not want this key or application: trying again soon does not help.
    pub fn is_rejection(&self) -> bool {
        matches!(self, Self::WrongApp | Self::KeyRejected | Self::NameInUse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Cause> {
        let stages = [Stage::Name, Stage::Tcp, Stage::Tls, Stage::Handshake, Stage::Connect, Stage::Publish];
        let mut causes = vec![
            Cause::NameNotFound,
            Cause::NameServer,
            Cause::NoNetwork,
            Cause::Refused,
            Cause::PortBlocked,
            Cause::Certificate("is for another name".into()),
            Cause::Tls,
            Cause::NotRtmp,
            Cause::WrongApp,
            Cause::KeyRejected,
            Cause::NameInUse,
            Cause::Closed(None),
            Cause::Stalled,
            Cause::KeyFile("no such file".into()),
        ];
        causes.extend(stages.map(Cause::Silent));
        causes.extend(stages.map(|stage| Cause::Closed(Some(stage))));
        causes
    }

    #[test]
    fn texts_fit_the_display_and_each_has_advice() {
        let url = "rtmp://ingest.example/app".parse().unwrap();
        for cause in all() {
            assert!(cause.text().chars().count() <= 40, "{}", cause.text());
            assert!(!cause.advice(None).is_empty() && !cause.advice(Some(&url)).is_empty());
        }
        let codes: std::collections::BTreeSet<_> = all().iter().map(Cause::code).collect();
        assert_eq!(codes.len(), 15, "one for each kind");
    }

    #[test]
    fn a_blocked_1935_suggests_443() {
        let url = |url: &str| url.parse().unwrap();
        assert!(Cause::PortBlocked.advice(Some(&url("rtmp://ingest.example/app"))).contains("rtmps:// address on port 443"));
        assert!(!Cause::PortBlocked.advice(Some(&url("rtmps://ingest.example/app"))).contains("ask for"));
    }
}
