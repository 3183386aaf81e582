//! What people and programs are told of a [`Cause`].

use super::{Cause, Stage};

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
            Self::NoAnswer => "no-answer",
            Self::WrongPassphrase => "wrong-passphrase",
            Self::PassphraseMissing => "passphrase-missing",
            Self::PassphraseUnexpected => "passphrase-unexpected",
            Self::StreamIdRejected => "stream-id-rejected",
            Self::StreamIdInUse => "stream-id-in-use",
            Self::Unavailable => "ingest-unavailable",
            Self::KeyFile(_) => "key-file",
            Self::Source(_) => "source-wrong",
            Self::Studio(_) => "studio",
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
            Self::NoAnswer => "The ingest does not answer over UDP".into(),
            Self::WrongPassphrase => "The ingest has another passphrase".into(),
            Self::PassphraseMissing => "The ingest wants a passphrase".into(),
            Self::PassphraseUnexpected => "The ingest has no passphrase".into(),
            Self::StreamIdRejected => "The ingest rejected the stream id".into(),
            Self::StreamIdInUse => "The stream id is in use".into(),
            Self::Unavailable => "The ingest has no room or is down".into(),
            Self::KeyFile(_) => "The key file cannot be read".into(),
            Self::Source(_) => "The Source is not set up right".into(),
            Self::Studio(_) => "The Studio does not tell the ingest".into(),
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> String {
        match self {
            Self::NameNotFound => "Check the URL of the Source: its host has no address",
            Self::NameServer => "Check the network cable or Wi-Fi, and that this network has a name server",
            Self::NoNetwork => "Plug in the network cable, or join a Wi-Fi",
            Self::Refused => "Check host and port of the Source's URL, and that the ingest is running",
            Self::PortBlocked => {
                "A firewall may block the port, as many do with 1935: use the service's rtmps:// address on 443"
            }
            Self::Certificate(_) => {
                "Check the URL and the box's clock; a network that inspects traffic needs its authority installed"
            }
            Self::Tls => "Check that the ingest takes rtmps:// on this port; if it is plain RTMP, write rtmp://",
            Self::Silent(Stage::Publish) => "Check the stream key; the ingest may be overloaded",
            Self::Silent(_) => "Check host and port of the Source's URL: it accepts, and then says nothing",
            Self::NotRtmp => "Check host and port of the Source's URL; if the ingest uses TLS, write rtmps://",
            Self::WrongApp => "Check the last part of the Source's URL, after the host",
            Self::KeyRejected => "Copy the stream key again from the service's page; it may have expired",
            Self::NameInUse => {
                "Stop the other encoder that uses this key; after a lost connection the ingest frees it by itself"
            }
            Self::Closed(Some(_)) => {
                "Check host and port of the Source's URL; the ingest may be overloaded or restarting"
            }
            Self::Closed(None) => "The box connects again by itself; if it repeats, ask the service",
            Self::Stalled => "The upload is too slow or gone: lower the bitrate or change the network",
            Self::NoAnswer => {
                "Check host and port of the Source's URL, that the receiver listens, and that this network lets UDP out"
            }
            Self::WrongPassphrase => "Copy the passphrase again, and check that both sides have the same",
            Self::PassphraseMissing => "Give the receiver's passphrase as the Source's passphrase",
            Self::PassphraseUnexpected => "Leave the Source's passphrase out, or set it at the receiver as well",
            Self::StreamIdRejected => "Copy the stream-id again from the receiver's page; it may have expired",
            Self::StreamIdInUse => {
                "Stop the other encoder that uses this stream id; after a lost connection the ingest frees it by itself"
            }
            Self::Unavailable => "The box tries again by itself; if it repeats, ask the service",
            Self::Studio(why) => return why.clone(),
            Self::Source(why) => return format!("Change the Source in the settings: {why}"),
            Self::KeyFile(why) => return format!("Check the Source's key-file or credential: {why}"),
        }
        .into()
    }

    /// Whether the ingest does not want this key or application: trying again soon does not help.
    pub fn is_rejection(&self) -> bool {
        matches!(
            self,
            Self::WrongApp
                | Self::KeyRejected
                | Self::NameInUse
                | Self::WrongPassphrase
                | Self::PassphraseMissing
                | Self::PassphraseUnexpected
                | Self::StreamIdRejected
                | Self::StreamIdInUse
        )
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
            Cause::NoAnswer,
            Cause::WrongPassphrase,
            Cause::PassphraseMissing,
            Cause::PassphraseUnexpected,
            Cause::StreamIdRejected,
            Cause::StreamIdInUse,
            Cause::Unavailable,
            Cause::KeyFile("no such file".into()),
            Cause::Studio("Link the account".into()),
        ];
        causes.extend(stages.map(Cause::Silent));
        causes.extend(stages.map(|stage| Cause::Closed(Some(stage))));
        causes
    }

    #[test]
    fn texts_fit_the_display_and_each_has_advice() {
        for cause in all() {
            assert!(cause.text().chars().count() <= 40, "{}", cause.text());
            assert!(!cause.advice().is_empty());
        }
        let codes: std::collections::BTreeSet<_> = all().iter().map(Cause::code).collect();
        assert_eq!(codes.len(), 23, "one for each kind");
    }

    #[test]
    fn a_blocked_1935_suggests_443() {
        assert!(Cause::PortBlocked.advice().contains("rtmps:// address on 443"));
    }
}
