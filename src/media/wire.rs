//! Framing between the daemon and a media worker (pure).
//!
//! A frame is its length (4 bytes, big endian, counts what follows), a kind byte and the payload. Small messages are
//! JSON; access units and previews are binary, so that a picture is neither copied nor escaped. An access unit's codec
//! configuration goes out once, in a frame of its own, before the first unit that needs it.

use super::{Failure, Flow, Look, Order, Plan, Report, Started};
use crate::{
    access_unit::{AccessUnit, CodecConfig, Track},
    units::Time,
};
use bytes::{Buf, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use std::{sync::Arc, time::Duration};

/// Largest frame after its length field: an IDR picture of 4096x2160 at the highest bitrate is below 4 MiB, an operator's
/// picture file has at most 20 ([`super::picture_file::MOST_BYTES`]).
pub const MAX_FRAME: usize = 24 << 20;

/// Why bytes are not a message. The connection is of no use after one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The length field is zero or beyond [`MAX_FRAME`].
    #[error("a frame of {0} bytes: allowed are 1 to {MAX_FRAME}")]
    Length(u32),
    /// The kind byte means nothing in this direction.
    #[error("unknown kind of frame {0:#04x}")]
    Kind(u8),
    /// The payload is not what its kind says.
    #[error("a frame of kind {kind:#04x} that cannot be read: {why}")]
    Payload {
        /// The frame's kind.
        kind: u8,
        /// What is wrong with it.
        why: String,
    },
    /// An access unit came before its codec configuration.
    #[error("an access unit before its codec configuration")]
    NoConfig,
}

mod kind {
    pub const PLAN: u8 = 0x01;
    pub const ORDER: u8 = 0x02;
    pub const FILE: u8 = 0x03;
    pub const STARTED: u8 = 0x11;
    pub const CONFIG: u8 = 0x12;
    pub const UNIT: u8 = 0x13;
    pub const LEVEL: u8 = 0x14;
    pub const PREVIEW: u8 = 0x15;
    pub const BITRATE_FIXED: u8 = 0x16;
    pub const ALIVE: u8 = 0x17;
    pub const FAILED: u8 = 0x18;
    pub const PICTURE: u8 = 0x19;
}

/// What the daemon says to a worker: first its plan, with the file that it names, then orders.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// What to do; the first message, sent once.
    Plan(Plan),
    /// The operator's picture file, as it is, which the worker may not open itself; empty: it cannot be read. Follows a plan for
    /// it.
    File(Bytes),
    /// What to change.
    Order(Order),
}

/// Puts `head` and `payload` into one frame.
fn frame(kind: u8, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(5 + payload.len());
    out.extend_from_slice(&(1 + payload.len() as u32).to_be_bytes());
    out.push(kind);
    out.extend_from_slice(payload);
    out.into()
}

fn json_frame(kind: u8, message: &impl serde::Serialize) -> Bytes {
    // Our own plain types: writing them to memory cannot fail, and an empty payload would be refused by the reader.
    frame(kind, &serde_json::to_vec(message).unwrap_or_default())
}

/// Writes what the daemon says.
pub fn request(request: &Request) -> Bytes {
    match request {
        Request::Plan(plan) => json_frame(kind::PLAN, plan),
        Request::File(bytes) => frame(kind::FILE, bytes),
        Request::Order(order) => json_frame(kind::ORDER, order),
    }
}

/// Writes what a worker says, an access unit with its codec configuration before it.
pub fn report(report: &Report) -> Bytes {
    match report {
        Report::Started(started) => json_frame(kind::STARTED, started),
        Report::Unit(unit) => {
            let header = unit_header(unit.track, unit.time, unit.key, unit.data.len());
            [config(&unit.config), header.to_vec().into(), unit.data.clone()].concat().into()
        }
        Report::Level(peaks) => frame(kind::LEVEL, &peaks.iter().flat_map(|db| db.to_be_bytes()).collect::<Vec<_>>()),
        Report::Preview(jpeg) => frame(kind::PREVIEW, jpeg),
        Report::BitrateFixed => frame(kind::BITRATE_FIXED, &[]),
        Report::Alive(flow) => frame(kind::ALIVE, &flow_bytes(flow)),
        Report::Picture(look) => frame(kind::PICTURE, &[u8::from(look.black) | u8::from(look.still) << 1]),
        Report::Failed(failure) => json_frame(kind::FAILED, failure),
    }
}

/// Two times in milliseconds, 4 bytes each, and a byte that is one once something was encoded.
fn flow_bytes(flow: &Flow) -> Vec<u8> {
    let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX).to_be_bytes();
    [&ms(flow.captured)[..], &ms(flow.waiting), &[u8::from(flow.encoded)]].concat()
}

fn read_flow(payload: &[u8]) -> Option<Flow> {
    let [a, b, c, d, e, f, g, h, encoded @ 0..=1] = *payload else { return None };
    let ms = |bytes| Duration::from_millis(u64::from(u32::from_be_bytes(bytes)));
    Some(Flow { captured: ms([a, b, c, d]), waiting: ms([e, f, g, h]), encoded: encoded == 1 })
}

/// Writes the configuration of the access units that follow.
pub fn config(config: &CodecConfig) -> Bytes {
    let (codec, record) = match config {
        CodecConfig::H264(record) => (0, record),
        CodecConfig::Hevc(record) => (1, record),
        CodecConfig::Aac(record) => (2, record),
    };
    frame(kind::CONFIG, &[&[codec], &record[..]].concat())
}

/// Length of [`unit_header`].
pub const UNIT_HEADER: usize = 14;

/// Writes all of an access unit's frame but its `length` bytes of data, which follow it on the wire as they are.
pub fn unit_header(track: Track, time: Time, key: bool, length: usize) -> [u8; UNIT_HEADER] {
    let mut out = [0; UNIT_HEADER];
    out[..4].copy_from_slice(&((UNIT_HEADER - 4 + length) as u32).to_be_bytes());
    out[4] = kind::UNIT;
    out[5] = u8::from(key) | u8::from(track == Track::Audio) << 1;
    out[6..].copy_from_slice(&time.nanos().to_be_bytes());
    out
}

/// Takes frames out of a stream of bytes, however it is cut.
#[derive(Debug, Default)]
struct Frames {
    buffer: BytesMut,
}

impl Frames {
    /// The next whole frame's kind and payload; none: more bytes are needed.
    fn next(&mut self) -> Result<Option<(u8, Bytes)>, WireError> {
        let Some(head) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*head);
        let size = length as usize;
        if size == 0 || size > MAX_FRAME {
            return Err(WireError::Length(length));
        }
        if self.buffer.len() < 4 + size {
            // One allocation for the rest of a large picture instead of many.
            self.buffer.reserve(4 + size - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(4);
        let mut payload = self.buffer.split_to(size).freeze();
        Ok(Some((payload.get_u8(), payload)))
    }
}

fn json<T: DeserializeOwned>(kind: u8, payload: &[u8]) -> Result<T, WireError> {
    serde_json::from_slice(payload).map_err(|error| WireError::Payload { kind, why: error.to_string() })
}

/// Reads what the daemon says, in the worker.
#[derive(Debug, Default)]
pub struct Requests {
    frames: Frames,
}

impl Requests {
    /// Where to put received bytes.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.frames.buffer
    }

    /// The next request; none: more bytes are needed.
    ///
    /// # Errors
    /// When the bytes are no request.
    pub fn take(&mut self) -> Result<Option<Request>, WireError> {
        let Some((kind, payload)) = self.frames.next()? else { return Ok(None) };
        match kind {
            kind::PLAN => json(kind, &payload).map(|plan| Some(Request::Plan(plan))),
            kind::FILE => Ok(Some(Request::File(payload))),
            kind::ORDER => json(kind, &payload).map(|order| Some(Request::Order(order))),
            _ => Err(WireError::Kind(kind)),
        }
    }
}

/// Reads what a worker says, in the daemon.
#[derive(Debug, Default)]
pub struct Reports {
    frames: Frames,
    config: Option<Arc<CodecConfig>>,
}

impl Reports {
    /// Where to put received bytes.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.frames.buffer
    }

    /// The next report; none: more bytes are needed. Access units are slices of the received bytes.
    ///
    /// # Errors
    /// When the bytes are no report.
    pub fn take(&mut self) -> Result<Option<Report>, WireError> {
        while let Some((kind, payload)) = self.frames.next()? {
            if kind == kind::CONFIG {
                let config = read_config(payload)?;
                // The same `Arc` as long as nothing changes: that is how a change is seen.
                if self.config.as_deref() != Some(&config) {
                    self.config = Some(Arc::new(config));
                }
            } else {
                return self.report(kind, payload).map(Some);
            }
        }
        Ok(None)
    }

    fn report(&self, kind: u8, payload: Bytes) -> Result<Report, WireError> {
        let wrong = |why: &str| WireError::Payload { kind, why: why.into() };
        match kind {
            kind::STARTED => json::<Started>(kind, &payload).map(Report::Started),
            kind::UNIT => self.unit(payload),
            kind::LEVEL => {
                let (peaks, rest) = payload.as_chunks::<8>();
                let peaks: Vec<f64> = peaks.iter().map(|db| f64::from_be_bytes(*db)).collect();
                if !rest.is_empty() || peaks.len() > 64 || peaks.iter().any(|db| db.is_nan()) {
                    return Err(wrong("not up to 64 levels"));
                }
                Ok(Report::Level(peaks))
            }
            kind::PREVIEW => Ok(Report::Preview(payload)),
            kind::BITRATE_FIXED if payload.is_empty() => Ok(Report::BitrateFixed),
            kind::BITRATE_FIXED => Err(wrong("it should be empty")),
            kind::ALIVE => read_flow(&payload).map(Report::Alive).ok_or_else(|| wrong("not two times and a flag")),
            kind::PICTURE => match payload[..] {
                [flags @ 0..=3] => Ok(Report::Picture(Look { black: flags & 1 == 1, still: flags & 2 == 2 })),
                _ => Err(wrong("not two flags")),
            },
            kind::FAILED => json::<Failure>(kind, &payload).map(Report::Failed),
            _ => Err(WireError::Kind(kind)),
        }
    }

    fn unit(&self, mut payload: Bytes) -> Result<Report, WireError> {
        let wrong = |why: &str| WireError::Payload { kind: kind::UNIT, why: why.into() };
        let config = self.config.clone().ok_or(WireError::NoConfig)?;
        if payload.len() <= UNIT_HEADER - 5 {
            return Err(wrong("it has no data"));
        }
        let flags = payload.get_u8();
        let track = if flags & 2 == 0 { Track::Video } else { Track::Audio };
        let sound = matches!(*config, CodecConfig::Aac(_));
        if flags > 3 || sound != (track == Track::Audio) {
            return Err(wrong("it does not fit its codec configuration"));
        }
        let time = Time::from_nanos(payload.get_u64());
        Ok(Report::Unit(AccessUnit { track, time, key: flags & 1 == 1, config, data: payload }))
    }
}

fn read_config(mut payload: Bytes) -> Result<CodecConfig, WireError> {
    let wrong = |why: &str| WireError::Payload { kind: kind::CONFIG, why: why.into() };
    if payload.len() < 3 {
        return Err(wrong("it is too short"));
    }
    match payload.get_u8() {
        0 => Ok(CodecConfig::H264(payload)),
        1 => Ok(CodecConfig::Hevc(payload)),
        2 => Ok(CodecConfig::Aac(payload)),
        _ => Err(wrong("unknown codec")),
    }
}

#[cfg(test)]
mod tests;
