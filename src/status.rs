//! What every surface shows: one snapshot, never optimistic. The JSON is the same on HTTP, MQTT and the command line.

use crate::units::Mode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

/// `State` with `Stats`, as HTTP gives them in one document.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// Version of this document.
    pub schema: u32,
    /// The box's id: `fc-` and 8 hex digits.
    pub id: String,
    /// The box's name for people.
    pub name: String,
    /// Words to find the box by.
    pub tags: Vec<String>,
    /// The board's name.
    pub board: String,
    /// Fieldcast's version.
    pub version: String,
    /// Where the push is.
    pub phase: Phase,
    /// What the operator wants.
    pub intent: Intent,
    /// Since when it is on air.
    pub on_air_since: Option<Timestamp>,
    /// What comes in.
    pub input: InputStatus,
    /// What goes out.
    pub program: ProgramStatus,
    /// Each delivery.
    pub uplinks: Vec<UplinkStatus>,
    /// The network that is used; none without a default route.
    pub network: Option<NetworkStatus>,
    /// All networks that the box can be in, the best first.
    pub networks: Vec<NetworkLink>,
    /// The whole system; none: it is no image that can be updated.
    pub firmware: Option<FirmwareStatus>,
    /// The Studio's Broadcast; none: nothing is or was published, and no Source of the Studio is pushed to.
    pub broadcast: Option<BroadcastStatus>,
    /// The front panel's display; none: the board has none.
    pub panel: Option<PanelStatus>,
    /// What is wrong, and what to do.
    pub faults: Vec<Fault>,
    /// Figures.
    pub stats: Stats,
}

impl Status {
    /// One sentence for people: the service manager's status line.
    pub fn sentence(&self) -> String {
        let sources: Vec<&str> = self.uplinks.iter().map(|uplink| uplink.source.as_str()).collect();
        let sources = if sources.is_empty() { "the Source".to_string() } else { sources.join(", ") };
        let phase = match self.phase {
            Phase::OffAir => "Off air".to_string(),
            Phase::Starting => format!("Going on air to {sources}"),
            Phase::Previewing => format!("Previewing at {sources}, not public"),
            Phase::OnAir => format!("On air to {sources}"),
            Phase::Reconnecting => format!("Reconnecting to {sources}"),
            Phase::Stopping => "Ending the push".to_string(),
        };
        match self.faults.iter().max_by_key(|fault| fault.severity) {
            Some(fault) if fault.severity > Severity::Notice => format!("{phase}. {}", fault.text),
            _ => phase,
        }
    }
}

/// Where the push is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing is pushed, and nothing should be.
    OffAir,
    /// Media is wanted at a Source and was not acknowledged yet.
    Starting,
    /// Acknowledged in the last 3 s by Sources of the Studio, none of which is public.
    Previewing,
    /// Acknowledged in the last 3 s, and, for a Source of the Studio, public.
    OnAir,
    /// It was acknowledged, and is not now.
    Reconnecting,
    /// The streams are being ended.
    Stopping,
}

/// What the operator wants; survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// Push.
    OnAir,
    /// Do not push.
    OffAir,
}

/// What comes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InputStatus {
    /// The chosen input of the board.
    pub device: String,
    /// What it receives.
    pub signal: SignalState,
    /// The picture format while locked.
    #[serde(serialize_with = "optional_text")]
    pub mode: Option<Mode>,
    /// Where the sound comes from; none: silence.
    pub audio: Option<String>,
}

/// What an input receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignalState {
    /// The capture device is not there.
    NoDevice,
    /// Nothing is plugged in (no +5 V on HDMI).
    NoCable,
    /// Plugged in, but nothing is sent (ENOLINK).
    NoSignal,
    /// Something is sent that the receiver cannot lock to (ENOLCK).
    NoLock,
    /// Locked to a format beyond what the receiver takes (ERANGE).
    OutOfRange,
    /// Pictures can be captured.
    Locked,
}

/// What goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProgramStatus {
    /// What viewers see; none while nothing is encoded.
    pub showing: Option<Showing>,
    /// Whether the operator took the sound away.
    pub muted: bool,
    /// Picture format.
    #[serde(serialize_with = "optional_text")]
    pub mode: Option<Mode>,
    /// Video codec.
    pub codec: crate::settings::Codec,
    /// The encoder in use.
    pub encoder: Option<String>,
    /// Whether that is hardware.
    pub hardware: bool,
}

/// What viewers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Showing {
    /// The input.
    Live,
    /// The last picture.
    Hold,
    /// The slate.
    Slate,
    /// The test picture.
    Test,
}

/// One delivery of the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UplinkStatus {
    /// The Source's name.
    pub source: String,
    /// Its region, where it has one.
    pub region: Option<String>,
    /// Where it is.
    pub state: UplinkState,
    /// Time to the next try while waiting, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
    /// What tells that media arrived.
    pub acknowledged_by: Option<AcknowledgedBy>,
    /// Since when it is in this state.
    pub since: Option<Timestamp>,
}

/// Where an uplink is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UplinkState {
    /// Not wanted.
    Idle,
    /// From name look-up until media is acknowledged.
    Connecting,
    /// Media was acknowledged in the last 3 s.
    OnAir,
    /// It failed and will be tried again.
    Waiting,
    /// The ingest does not want this key or app; tried again after a long wait.
    Refused,
}

/// What tells that media arrived, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AcknowledgedBy {
    /// RTMP Acknowledgement messages (RTMP 1.0, 5.4.3).
    RtmpAck,
    /// SRT's acknowledgement (draft-sharabayko-srt-01, 3.2.4): the receiving program has the packets.
    SrtAck,
    /// The answer to a ping sent after the media (RTMP 1.0, 7.1.7).
    Ping,
    /// The kernel's count of acknowledged bytes: it says that the ingest's host has them.
    Tcp,
}

/// The whole system, which is updated as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FirmwareStatus {
    /// The image's version.
    pub version: String,
    /// The boot name of the slot that runs, where that is known.
    pub slot: Option<String>,
    /// What is being done.
    pub state: FirmwareState,
    /// Percents of it, where that is known.
    pub progress: Option<u8>,
    /// The version that is being installed, once it is known.
    pub to: Option<String>,
    /// What came of the last update.
    pub last: Option<FirmwareLast>,
}

/// What came of the last update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FirmwareLast {
    /// The version that was to be.
    pub version: String,
    /// What came of it.
    pub result: FirmwareResult,
    /// Why, where it is not what runs now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When; none: the clock was not set.
    pub time: Option<Timestamp>,
}

/// What came of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirmwareResult {
    /// The new system runs, and was found to be good.
    Confirmed,
    /// The new system was not good: the old one runs.
    RolledBack,
    /// It was not installed.
    Failed,
}

/// What is being done about the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirmwareState {
    /// Nothing.
    Idle,
    /// A bundle is being got.
    Downloading,
    /// Its signature, board and version are being looked at.
    Checking,
    /// It is being written.
    Installing,
    /// It is installed; the box restarts now, or when a push has ended.
    Restarting,
    /// This system is new, and nobody has said yet that it is good.
    OnTrial,
}

/// The Broadcast that this box made public, or may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BroadcastStatus {
    /// The API's id, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its tags, at most two.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The Source's name.
    pub source: String,
    /// Where it is, by the Studio's last word.
    pub state: PublicState,
    /// Who watch it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewers: Option<u64>,
    /// Where people watch it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_url: Option<String>,
    /// Since when it is public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When the Studio last said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Timestamp>,
    /// Whether the Studio sees the Source's media; looked at until it is public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_active: Option<bool>,
    /// What the Studio finds wrong with the stream.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Where a Broadcast is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublicState {
    /// The Studio does not see the Source's media yet.
    WaitingForSource,
    /// The Studio sees it: it can be published.
    Ready,
    /// It is being made public.
    Publishing,
    /// It is public.
    Running,
    /// It is being ended.
    Ending,
    /// It has ended.
    Ended,
    /// X ended it, as no video came for 5 minutes.
    TimedOut,
    /// It may be public: the Studio has not told yet.
    Unknown,
}

/// The network that is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NetworkStatus {
    /// The interface of the default route.
    pub interface: String,
    /// Its address; none while it has none.
    pub address: Option<std::net::IpAddr>,
}

/// A kind of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkKind {
    /// A cable.
    Ethernet,
    /// A wireless network.
    Wifi,
    /// A mobile network.
    Modem,
    /// A bridge, a tunnel, or something made up.
    Other,
}

/// A network that the box can be in. Who sets them up is not Fieldcast's daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NetworkLink {
    /// The interface.
    pub interface: String,
    /// What it is.
    pub kind: NetworkKind,
    /// Whether there is a link.
    pub up: bool,
    /// The box's address there; null while it has none.
    pub address: Option<std::net::IpAddr>,
    /// Metric of its default route, of which the lowest is used; null: it has no such route.
    pub metric: Option<u32>,
    /// Whether it is the one in use.
    pub used: bool,
}

/// The front panel's display.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PanelStatus {
    /// The board's word for what it is.
    pub kind: &'static str,
    /// Whether it shows what it should.
    pub present: bool,
    /// Failures since the daemon started; each was tried again.
    pub errors: u64,
}

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The push is as good as it can be, something else is not.
    Notice,
    /// Viewers may notice.
    Warning,
    /// Viewers see nothing.
    Error,
}

/// Something wrong, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fault {
    /// Stable word for programs.
    pub code: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What is wrong, in a few words.
    pub text: String,
    /// What to do about it.
    pub advice: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// Figures, once a second.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
pub struct Stats {
    /// When they were taken; null while the clock is not set.
    pub time: Option<Timestamp>,
    /// Since the daemon started.
    pub uptime_ms: u64,
    /// Video bitrate asked of the encoder, bit/s.
    pub bitrate: u64,
    /// Pictures dropped from queues since the push started.
    pub dropped_pictures: u64,
    /// Peak of each channel in the last second, dBFS; empty without sound.
    pub audio_peak_db: Vec<f64>,
    /// Each delivery.
    pub uplinks: Vec<UplinkStats>,
    /// Hottest thermal zone, degrees Celsius.
    pub temperature_c: Option<f64>,
    /// How much warmer the box may get before the board slows down, degrees Celsius, below 0 beyond that; null where the
    /// hardware does not tell.
    pub heat_headroom_c: Option<f64>,
    /// The most that heat leaves of the bitrate, bit/s; null while it takes nothing.
    pub heat_bitrate_cap: Option<u64>,
    /// Whether every second picture is left out because of heat.
    pub heat_half_pictures: bool,
    /// Whether heat or a weak power supply slows the processor down; null where the hardware does not tell.
    pub throttled: Option<bool>,
    /// CPU use of the daemon and its workers, in cores.
    pub cpu: Option<f64>,
    /// Resident memory of the daemon and its workers.
    pub memory_bytes: Option<u64>,
    /// Free space of the state folder's disk.
    pub disk_free_bytes: Option<u64>,
    /// `synchronised` (with a time server), `battery` (set at start from a clock with a battery), `http` (learnt from a web
    /// server) or `not-set`.
    pub clock: Option<&'static str>,
}

/// Figures of one delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
pub struct UplinkStats {
    /// The Source's name.
    pub source: String,
    /// Acknowledged in the last second, bit/s.
    pub bitrate: u64,
    /// Media waiting to be sent, ms.
    pub queue_ms: u64,
    /// Round trip, ms.
    pub rtt_ms: Option<u64>,
    /// Packets that had to be sent again in the last second, in parts of 1; null where the network does not tell.
    pub loss: Option<f64>,
    /// Acknowledged since the push started.
    pub acknowledged_bytes: u64,
    /// Times the connection was made again since the push started.
    pub reconnects: u64,
}

fn optional_text<T: std::fmt::Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A box on air, for the tests of every surface.
    pub(crate) fn on_air() -> Status {
        let since: Timestamp = "2026-11-23T18:00:00Z".parse().expect("a time");
        Status {
            schema: 1,
            id: "fc-1a2b3c4d".into(),
            name: "OB van 3".into(),
            tags: vec!["stage-left".into()],
            board: "desktop".into(),
            version: "0.1.0".into(),
            phase: Phase::OnAir,
            intent: Intent::OnAir,
            on_air_since: Some(since),
            input: InputStatus {
                device: "hdmi".into(),
                signal: SignalState::Locked,
                mode: "720p60".parse().ok(),
                audio: None,
            },
            program: ProgramStatus {
                showing: Some(Showing::Live),
                muted: false,
                mode: "720p30".parse().ok(),
                codec: crate::settings::Codec::H264,
                encoder: Some("x264enc".into()),
                hardware: false,
            },
            uplinks: vec![UplinkStatus {
                source: "Main".into(),
                region: None,
                state: UplinkState::OnAir,
                retry_in_ms: None,
                acknowledged_by: Some(AcknowledgedBy::RtmpAck),
                since: Some(since),
            }],
            network: Some(NetworkStatus { interface: "eth0".into(), address: "192.0.2.17".parse().ok() }),
            networks: vec![NetworkLink {
                interface: "eth0".into(),
                kind: NetworkKind::Ethernet,
                up: true,
                address: "192.0.2.17".parse().ok(),
                metric: Some(100),
                used: true,
            }],
            firmware: None,
            broadcast: None,
            panel: None,
            faults: Vec::new(),
            stats: Stats {
                uplinks: vec![UplinkStats { source: "Main".into(), bitrate: 3_980_000, ..UplinkStats::default() }],
                ..Stats::default()
            },
        }
    }

    #[test]
    fn the_document_has_the_words_of_the_interface() {
        let json = serde_json::to_value(on_air()).expect("json");
        assert_eq!(json["phase"], "on-air");
        assert_eq!(json["on-air-since"], "2026-11-23T18:00:00Z");
        assert_eq!(json["input"]["mode"], "1280x720p60");
        assert_eq!(json["uplinks"][0]["acknowledged-by"], "rtmp-ack");
        assert_eq!(json["stats"]["uplinks"][0]["bitrate"], 3_980_000);
        assert!(json["stats"]["time"].is_null() && json["uplinks"][0].get("retry-in-ms").is_none());
    }

    #[test]
    fn the_sentence_tells_the_worst_fault() {
        let mut status = on_air();
        assert_eq!(status.sentence(), "On air to Main");
        let fault =
            |severity, text: &str| Fault { code: "x", severity, text: text.into(), advice: String::new(), since: None };
        status.faults = vec![fault(Severity::Notice, "Update"), fault(Severity::Warning, "No sound")];
        assert_eq!(status.sentence(), "On air to Main. No sound");
    }
}
