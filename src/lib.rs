//! Fieldcast turns a small ARM box into a live encoder: HDMI or a camera in, a picture on air that stays there.
//!
//! **`control/` decides and does nothing; everything else does and decides nothing.** Control has no clock, no thread and no
//! socket: it is handed an event and the time, and hands back effects.
//!
//! ```text
//!  media workers: one child process per pipeline, the only places that load GStreamer
//!  ┌ fieldcast-media: HDMI/camera/test ─ convert ─ encoder ─ parse ┐  access units over a Unix socket
//!  ├ fieldcast-media: ALSA/test ─ level ─ drift ─ AAC encoder ─────┤
//!  └ fieldcast-media: slate, bars ─ the same encoder ─ one GOP, kept ┤
//!                                                                  ▼
//!                     program::Timeline (pure): live units while they come, else a card's GOP stamped anew
//!                                                                  │ Arc<AccessUnit>
//!                                              ┌───────────────────┴───────────────┐
//!                                        uplink (RTMP/S)                     uplink (SRT)
//!                                        own queue, own reconnect, own figures; none can stall another
//!
//!  edges ── Event ──▶ Control ── Vec<Effect> ──▶ daemon performs them
//!                        └─ Status ──▶ HTTP, MQTT, systemd, panel      View, Tally ──▶ panel: display, lamps
//! ```
//!
//! | where | what |
//! |---|---|
//! | [`units`] [`access_unit`] [`board`] [`settings`] [`status`] [`command`] | vocabulary: plain data |
//! | [`control`] [`program`] | decisions: pure, `now` is an argument |
//! | [`capture`] | V4L2: DV timings, events, EDID, cameras |
//! | [`media`] | the worker (plan and launch line are pure), its framing and its supervisor |
//! | [`uplink`] | queue, FLV and MPEG-TS (pure), the RTMP session, SRT, choice of region, preflight |
//! | [`panel`] | screens (pure), displays and the thread that draws them, buttons, lamps, serial panels |
//! | [`http`] | status, commands and preview: on loopback, and over TLS for paired computers (`pairing` is pure) |
//! | [`remote`] | MQTT: messages, journal, spool and session (pure), one connection, the task that holds it |
//! | [`studio`] | X Media Studio's Producer by X's API: accounts, Sources, Broadcasts, media; used by box and desk |
//! | [`state`] [`host`] [`clock`] [`sys`] | the state folder, the box's figures, what time it is, system calls |
//! | [`network`] [`usb`] [`watch`] [`notify`] [`log`] | the network, USB sticks, what changes at devices, the service manager, the log |
//! | [`update`] | a new system: getting a bundle, RAUC by D-Bus, what is kept over the restart (`control/update` decides) |
//! | [`provision`] | `fieldcast.toml` of a stick or the boot partition: networks, settings, keys; a root oneshot |
//! | [`cli`] [`daemon`] | the command line, and the loop that owns clock, channels and edges |
//! | [`desk`] | `fieldcast`, the operator's command line: a program of its own that shares words and messages with the box |
//!
//! Imports go edges → program, control → vocabulary, never back; `tests/structure.rs` holds that.
//!
//! **Words.** *Source*: a named place to push to. *Push*: media flowing to a Source. *Slate*: the picture that viewers see
//! when there is no input; *card*: the slate or the test picture. *On air*: acknowledged in the last 3 s.
//! *Access unit*: one encoded picture or AAC frame. *Program*: the one encoded timeline. *Uplink*: one delivery of the
//! program to one Source. *Mode*: width x height, scan, rate. *Board*: the hardware description. *Panel*: display and buttons.
pub mod access_unit;
pub mod board;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod command;
pub mod control;
pub mod daemon;
pub mod desk;
pub mod host;
pub mod http;
pub mod log;
pub mod media;
pub mod network;
pub mod notify;
pub mod panel;
pub mod program;
pub mod provision;
pub mod remote;
pub mod settings;
pub mod state;
pub mod status;
pub mod studio;
pub mod sys;
pub mod units;
pub mod update;
pub mod uplink;
pub mod usb;
pub mod watch;
