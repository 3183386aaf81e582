//! Delivery of the program to one ingest: one task each, with its own queue, reconnect and statistics; none can stall
//! another.
//!
//! | module | |
//! |---|---|
//! | [`url`] | reads the operator's ingest URL |
//! | [`queue`] | media that waits, bounded in time (pure) |
//! | [`sample`] | what is seen of the link, for the rate controller (pure) |
//! | [`flv`], [`amf`], [`chunk`] | the formats (pure) |
//! | [`ts`] | the program as an MPEG transport stream (pure) |
//! | [`session`], [`ledger`] | one RTMP connection, and what of its media arrived (pure) |
//! | [`ts`], [`receipts`] | for SRT: the format, and what of the media arrived (pure) |
//! | [`connect`], [`names`], [`trust`] | name, TCP, TLS |
//! | [`rtmp`] | a session on a socket |
//! | [`srt`] | an SRT connection |
//! | [`connection`] | either of them |
//! | [`task`] | one delivery: connect, send, reconnect, stop |
//! | [`source`], [`services`] | what the settings say of a Source, and the table of services |
//! | [`probe`], [`choice`], [`preflight`] | which of the regional ingests; can it go on air? |

pub mod amf;
pub mod cause;
pub mod choice;
pub mod chunk;
pub mod connect;
pub mod connection;
pub mod delivery;
pub mod flv;
pub mod ledger;
pub mod names;
pub mod preflight;
pub mod probe;
pub mod queue;
pub mod receipts;
pub mod rtmp;
pub mod sample;
pub mod services;
pub mod session;
pub mod source;
pub mod srt;
pub mod task;
pub mod trust;
pub mod ts;
pub mod url;

pub use sample::LinkSample;

use crate::{
    settings::{Codec, Encryption, Secret},
    status::AcknowledgedBy,
    units::{BitRate, Mode},
};
use std::{net::IpAddr, time::Duration};

/// Where and what an uplink delivers.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The ingest.
    pub url: IngestUrl,
    /// The stream key; with SRT the stream id, which may be empty.
    pub key: Secret,
    /// What else an SRT connection needs.
    pub srt: SrtTerms,
    /// Told to the ingest in `onMetaData`.
    pub media: MediaInfo,
}

/// How an SRT connection is made.
#[derive(Debug, Clone, PartialEq)]
pub struct SrtTerms {
    /// 10 to 79 bytes; none: not encrypted.
    pub passphrase: Option<Secret>,
    /// Length of the key that is made of it.
    pub encryption: Encryption,
    /// How long the receiver waits for what was lost on the way, at least.
    pub latency: Duration,
}

impl SrtTerms {
    /// Room for three repetitions over a round trip of 200 ms.
    pub const LATENCY: Duration = Duration::from_millis(800);
}

impl Default for SrtTerms {
    fn default() -> Self {
        Self { passphrase: None, encryption: Encryption::Aes128, latency: Self::LATENCY }
    }
}

/// What the ingest is told of the program.
#[derive(Debug, Clone, PartialEq)]
pub struct MediaInfo {
    /// Picture format.
    pub mode: Mode,
    /// Video codec.
    pub codec: Codec,
    /// Top video bitrate.
    pub bitrate: BitRate,
    /// Sound bitrate.
    pub audio_bitrate: BitRate,
    /// The encoder's element, for people at the ingest.
    pub encoder: String,
}

/// What is spoken with an ingest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RTMP over TCP.
    Rtmp,
    /// RTMP in TLS.
    Rtmps,
    /// SRT over UDP, as caller.
    Srt,
}

/// A checked ingest URL: `rtmp[s]://host[:port]/app` or `srt://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestUrl {
    /// By its scheme.
    pub protocol: Protocol,
    /// Name or address.
    pub host: String,
    /// 1935 for rtmp and 443 for rtmps when the URL has none.
    pub port: u16,
    /// Path without the leading slash: application and, as some ingests want, instance; empty with SRT.
    pub app: String,
}

/// What an uplink tells the control core.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// It leads to this region of its service, now that the ingest was chosen or another one is tried.
    Region(String),
    /// It is at this stage of connecting.
    Connecting(Stage),
    /// The ingest accepted the publish; media flows from the next IDR.
    Publishing {
        /// The address that was reached.
        peer: IpAddr,
    },
    /// Media arrived (at most 4 a second).
    Acknowledged {
        /// Media bytes since the uplink was opened, over all connections.
        bytes: u64,
        /// What tells so.
        by: AcknowledgedBy,
    },
    /// An IDR is wanted, to start the stream or to resume it after drops.
    KeyframeWanted,
    /// The connection failed or was lost; it will be tried again.
    Failed {
        /// Why.
        cause: Cause,
        /// After this time.
        retry_in: Duration,
    },
    /// Figures (1 a second).
    Stats(Stats),
    /// What it saw of its link (5 to 10 a second while connected).
    Link(LinkSample),
    /// It has ended after being asked to.
    Closed,
}

/// Figures of one uplink.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stats {
    /// Media acknowledged in the last second, bit/s.
    pub bitrate: u64,
    /// Media waiting in our queue.
    pub queue: Duration,
    /// Round trip, by TCP_INFO or as the SRT receiver measures it.
    pub rtt: Option<Duration>,
    /// Packets that had to be sent again in the last second, in parts of 1; none where the network does not tell.
    pub loss: Option<f64>,
    /// Media bytes acknowledged since the uplink was opened.
    pub acknowledged_bytes: u64,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Pictures dropped from the queue.
    pub dropped_pictures: u64,
}

/// A step on the way to the air; each has a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Name look-up.
    Name,
    /// TCP connect, both address families side by side.
    Tcp,
    /// TLS handshake and certificate.
    Tls,
    /// RTMP or SRT handshake.
    Handshake,
    /// `connect` command.
    Connect,
    /// `createStream` and `publish`.
    Publish,
}

/// Why an uplink is not on air.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The name does not exist.
    NameNotFound,
    /// No name server answered.
    NameServer,
    /// The network is down or there is no route.
    NoNetwork,
    /// Nothing listens on the port.
    Refused,
    /// No answer to TCP connect: a firewall may block the port.
    PortBlocked,
    /// The certificate is not valid; what is wrong with it, for people.
    Certificate(String),
    /// TLS failed otherwise, such as a server without TLS.
    Tls,
    /// It accepted and said nothing within the stage's deadline.
    Silent(Stage),
    /// It does not speak RTMP, such as an HTTP server.
    NotRtmp,
    /// The application of the URL does not exist there.
    WrongApp,
    /// The stream key was rejected.
    KeyRejected,
    /// Another encoder publishes with this key.
    NameInUse,
    /// It closed the connection, at this stage or while media flowed.
    Closed(Option<Stage>),
    /// Nothing was acknowledged for too long.
    Stalled,
    /// The Source leads nowhere; why, for people.
    Source(String),
    /// The Studio does not tell where its Source is; why, for people.
    Studio(String),
    /// Nobody answers at the port, over UDP.
    NoAnswer,
    /// The SRT passphrases differ.
    WrongPassphrase,
    /// The receiver wants a passphrase.
    PassphraseMissing,
    /// The receiver has no passphrase.
    PassphraseUnexpected,
    /// The receiver's program did not take the SRT connection.
    StreamIdRejected,
    /// Another encoder sends with this stream id.
    StreamIdInUse,
    /// The receiver says that it has too much to do or is down.
    Unavailable,
    /// The key file cannot be read.
    KeyFile(String),
}
