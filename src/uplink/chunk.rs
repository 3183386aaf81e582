//! The RTMP chunk stream, without IO (Adobe "Real-Time Messaging Protocol", 1.0, section 5.3).
//!
//! Own code: the reader of `rml_rtmp` 0.8 keeps one message at a time for all chunk streams, so that a legal interleaving
//! of two messages makes it panic, as do crafted time stamps.

use bytes::{Buf, Bytes, BytesMut};

/// Message types (5.4, 7.1, 6.2).
pub mod kind {
    /// Set Chunk Size.
    pub const CHUNK_SIZE: u8 = 1;
    /// Abort Message.
    pub const ABORT: u8 = 2;
    /// Acknowledgement.
    pub const ACK: u8 = 3;
    /// User Control Message.
    pub const USER_CONTROL: u8 = 4;
    /// Window Acknowledgement Size.
    pub const WINDOW: u8 = 5;
    /// Set Peer Bandwidth.
    pub const PEER_BANDWIDTH: u8 = 6;
    /// Audio.
    pub const AUDIO: u8 = 8;
    /// Video.
    pub const VIDEO: u8 = 9;
    /// Data in AMF0, such as `onMetaData`.
    pub const DATA: u8 = 18;
    /// Command in AMF0.
    pub const COMMAND: u8 = 20;
}

/// One RTMP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its type, see [`kind`].
    pub kind: u8,
    /// The message stream: 0 for the connection itself.
    pub stream: u32,
    /// Milliseconds, modulo 2^32.
    pub timestamp: u32,
    /// Its content.
    pub body: Bytes,
}

/// The bytes are no RTMP chunks, or break this reader's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a chunk stream")]
pub struct Malformed;

/// Chunk size at the start of each connection, both ways (5.4.1).
const INITIAL_CHUNK: usize = 128;
/// An ingest sends a publisher only short commands and figures; anything longer is not read into memory.
const MAX_MESSAGE: usize = 64 * 1024;
/// Chunk streams that an ingest may use at once; servers use about five.
const MAX_STREAMS: usize = 16;
/// From this on a time stamp goes into its own field (5.3.1.3).
const EXTENDED: u32 = 0xff_ffff;

/// A chunk stream of the peer: the last header, and the message under way.
#[derive(Debug, Default)]
struct Incoming {
    id: u32,
    kind: u8,
    stream: u32,
    length: usize,
    timestamp: u32,
    /// The time field of the last header that had one: what a message that starts without one adds.
    delta: u32,
    extended: bool,
    body: BytesMut,
}

/// Takes bytes, gives messages; Set Chunk Size and Abort are obeyed on the way and not given.
#[derive(Debug)]
pub struct Reader {
    buffer: BytesMut,
    chunk: usize,
    streams: Vec<Incoming>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { buffer: BytesMut::new(), chunk: INITIAL_CHUNK, streams: Vec::new() }
    }
}

impl Reader {
    /// Appends what came from the peer.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message; none until more bytes come.
    ///
    /// # Errors
    /// The connection cannot be read further.
    pub fn next_message(&mut self) -> Result<Option<Message>, Malformed> {
        loop {
            let Some(chunk) = self.next_chunk()? else { return Ok(None) };
            let Some(message) = chunk else { continue };
            let number = || message.body.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)).ok_or(Malformed);
            match message.kind {
                kind::CHUNK_SIZE => {
                    // The highest bit has to be zero (5.4.1).
                    let size = usize::try_from(number()?).map_err(|_| Malformed)?;
                    self.chunk = Some(size).filter(|size| (1..=0x7fff_ffff).contains(size)).ok_or(Malformed)?;
                }
                kind::ABORT => {
                    let id = number()?;
                    self.streams.iter_mut().filter(|stream| stream.id == id).for_each(|stream| stream.body.clear());
                }
                _ => return Ok(Some(message)),
            }
        }
    }

    /// Consumes one chunk; the inner option is the message that it completes.
    fn next_chunk(&mut self) -> Result<Option<Option<Message>>, Malformed> {
        let mut input = &self.buffer[..];
        let Some([first]) = take(&mut input) else { return Ok(None) };
        let id = match first & 0x3f {
            0 => take(&mut input).map(|[low]| 64 + u32::from(low)),
            1 => take(&mut input).map(|[low, high]| 64 + u32::from(low) + 256 * u32::from(high)),
            id => Some(u32::from(id)),
        };
        let Some(id) = id else { return Ok(None) };
        let format = first >> 6;
        let known = self.streams.iter().position(|stream| stream.id == id);
        let index = match known {
            Some(index) => index,
            // Only a full header can begin a chunk stream.
            None if format != 0 || self.streams.len() == MAX_STREAMS => return Err(Malformed),
            None => {
                self.streams.push(Incoming { id, ..Incoming::default() });
                self.streams.len() - 1
            }
        };
        let state = &mut self.streams[index];

        // Nothing is changed until the whole chunk is there.
        let mut time = state.delta;
        let (mut length, mut kind, mut stream) = (state.length, state.kind, state.stream);
        if format <= 2 {
            let Some(field) = take(&mut input) else { return Ok(None) };
            time = u24(field);
        }
        if format <= 1 {
            let Some(field) = take(&mut input) else { return Ok(None) };
            length = u24(field) as usize;
            let Some([field]) = take(&mut input) else { return Ok(None) };
            kind = field;
        }
        if format == 0 {
            let Some(field) = take(&mut input) else { return Ok(None) };
            stream = u32::from_le_bytes(field);
        }
        if length > MAX_MESSAGE {
            return Err(Malformed);
        }
        let continued = format == 3 && !state.body.is_empty();
        let extended = if format == 3 { state.extended } else { time == EXTENDED };
        if extended {
            let Some(field) = input.first_chunk() else { return Ok(None) };
            let field = u32::from_be_bytes(*field);
            // Some servers do not repeat the field in the chunks that continue a message, where it says nothing new.
            if !continued || field == state.delta {
                input = &input[4..];
                time = field;
            }
        }
        let before = if format == 3 { state.body.len() } else { 0 };
        let part = (length - before).min(self.chunk);
        let Some(payload) = input.get(..part) else { return Ok(None) };

        if format != 3 {
            state.body.clear();
        }
        if !continued {
            state.timestamp = if format == 0 { time } else { state.timestamp.wrapping_add(time) };
        }
        (state.length, state.kind, state.stream) = (length, kind, stream);
        (state.delta, state.extended) = (time, extended);
        state.body.extend_from_slice(payload);
        let message = (state.body.len() == length).then(|| Message {
            kind,
            stream,
            timestamp: state.timestamp,
            body: state.body.split().freeze(),
        });
        let consumed = self.buffer.len() - (input.len() - part);
        self.buffer.advance(consumed);
        Ok(Some(message))
    }
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*head)
}

fn u24([a, b, c]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}

/// Gives the bytes of messages. New for each connection: chunk size and header compression start afresh.
#[derive(Debug)]
pub struct Writer {
    chunk: usize,
    /// The last message stream and time stamp of each chunk stream in use.
    last: [Option<(u32, u32)>; 8],
}

impl Default for Writer {
    fn default() -> Self {
        Self { chunk: INITIAL_CHUNK, last: [None; 8] }
    }
}

impl Writer {
    /// Announces chunks of `size` bytes (1 to 0x7fffffff) and uses them from then on.
    pub fn set_chunk_size(&mut self, size: u32, out: &mut BytesMut) {
        self.write(kind::CHUNK_SIZE, 0, 0, &[&size.to_be_bytes()], out);
        self.chunk = size as usize;
    }

    /// Appends a message whose content is `parts`, one after the other. `timestamp` is in ms modulo 2^32.
    pub fn write(&mut self, kind: u8, stream: u32, timestamp: u32, parts: &[&[u8]], out: &mut BytesMut) {
        // Control messages belong on 2 (5.4); a track of its own lets time stamps of picture and sound be deltas.
        let id: u8 = match kind {
            kind::CHUNK_SIZE..=kind::PEER_BANDWIDTH => 2,
            kind::AUDIO => 4,
            kind::VIDEO => 6,
            kind::DATA => 5,
            _ => 3,
        };
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        out.reserve(length + 18 + 5 * (length / self.chunk));
        let last = &mut self.last[usize::from(id)];
        // A delta is positive; half the range tells a wrap from a step back.
        let delta = last.filter(|last| last.0 == stream).map(|last| timestamp.wrapping_sub(last.1));
        let (format, time) = match delta.filter(|delta| *delta < 1 << 31) {
            Some(delta) => (1, delta),
            None => (0, timestamp),
        };
        *last = Some((stream, timestamp));

        out.extend_from_slice(&[format << 6 | id]);
        out.extend_from_slice(&time.min(EXTENDED).to_be_bytes()[1..]);
        out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
        out.extend_from_slice(&[kind]);
        if format == 0 {
            out.extend_from_slice(&stream.to_le_bytes());
        }
        let extended = time.to_be_bytes();
        let extended = if time >= EXTENDED { &extended[..] } else { &[] };
        out.extend_from_slice(extended);

        let mut room = self.chunk;
        for part in parts {
            let mut part = *part;
            while !part.is_empty() {
                if room == 0 {
                    out.extend_from_slice(&[3 << 6 | id]);
                    out.extend_from_slice(extended);
                    room = self.chunk;
                }
                let (now, later) = part.split_at(part.len().min(room));
                out.extend_from_slice(now);
                room -= now.len();
                part = later;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn messages(reader: &mut Reader) -> Vec<Message> {
        std::iter::from_fn(|| reader.next_message().unwrap()).collect()
    }

    #[test]
    fn interleaved_messages_stay_apart() {
        let mut reader = Reader::default();
        let mut bytes = vec![3, 0, 0, 9, 0, 0, 200, 20, 0, 0, 0, 0];
        bytes.extend([7; 128]);
        bytes.extend([2, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 0, 1]);
        bytes.push(0xc3);
        bytes.extend([7; 72]);
        reader.push(&bytes);
        let got: Vec<_> = messages(&mut reader).iter().map(|m| (m.kind, m.timestamp, m.body.len())).collect();
        assert_eq!(got, [(kind::ACK, 0, 4), (kind::COMMAND, 9, 200)]);
    }

    #[test]
    fn chunk_size_and_abort_are_obeyed() {
        let mut reader = Reader::default();
        let mut bytes = vec![2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 5]; // chunks of 5
        bytes.extend([3, 0, 0, 0, 0, 0, 7, 20, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
        bytes.extend([2, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 3]); // abort what is on 3
        bytes.extend([3, 0, 0, 0, 0, 0, 7, 20, 0, 0, 0, 0, 2, 2, 2, 2, 2, 0xc3, 2, 2]);
        reader.push(&bytes);
        let got = messages(&mut reader);
        assert_eq!((got.len(), &got[0].body[..]), (1, &[2u8; 7][..]));
    }

    #[test]
    fn limits_are_kept() {
        for bytes in [
            &[0x43, 0, 0, 0, 0, 0, 1, 20, 0][..],              // no full header before
            &[3, 0, 0, 0, 1, 0, 1, 20, 0, 0, 0, 0],            // over 64 KiB
            &[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0], // chunks of nothing
            &[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], // highest bit
            &[2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],             // no number
        ] {
            let mut reader = Reader::default();
            reader.push(bytes);
            assert_eq!(reader.next_message(), Err(Malformed), "{bytes:?}");
        }
        let mut reader = Reader::default();
        (2..19).for_each(|id| reader.push(&[id, 0, 0, 0, 0, 0, 9, 20, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]));
        // Streams 2 to 17 wait for their ninth byte, which is the next header byte; the reader stays within its limits.
        assert!(matches!(reader.next_message(), Ok(_) | Err(Malformed)));
        assert!(reader.streams.len() <= MAX_STREAMS);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_in_any_pieces(
            sizes in prop::collection::vec((0usize..900, prop::sample::select(vec![kind::AUDIO, kind::VIDEO, kind::COMMAND]), 0u32..2), 1..12),
            start in prop_oneof![Just(0u32), Just(EXTENDED - 3), Just(u32::MAX - 5), any::<u32>()],
            steps in prop::collection::vec(prop_oneof![0u32..50, Just(EXTENDED), Just(EXTENDED + 7), Just(u32::MAX - 2)], 12),
            chunk in prop_oneof![Just(1u32), Just(128), Just(4096), 1u32..300],
            piece in 1usize..40,
        ) {
            let (mut writer, mut out, mut timestamp) = (Writer::default(), BytesMut::new(), start);
            writer.set_chunk_size(chunk, &mut out);
            let mut written = Vec::new();
            for (i, ((size, kind, stream), step)) in sizes.into_iter().zip(steps).enumerate() {
                timestamp = timestamp.wrapping_add(step);
                let body = Bytes::from(vec![i as u8; size]);
                let (head, tail) = body.split_at(size / 3);
                writer.write(kind, stream, timestamp, &[head, tail], &mut out);
                written.push(Message { kind, stream, timestamp, body: body.clone() });
            }
            let mut reader = Reader::default();
            let mut read = Vec::new();
            for piece in out.chunks(piece) {
                reader.push(piece);
                read.extend(messages(&mut reader));
            }
            prop_assert_eq!(read, written);
        }

        #[test]
        fn any_bytes_end_in_messages_or_an_error(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), 1u8..6, Just(0xc3), any::<u8>()], 0..600),
            piece in 1usize..50,
        ) {
            let mut reader = Reader::default();
            'pieces: for piece in bytes.chunks(piece) {
                reader.push(piece);
                loop {
                    match reader.next_message() {
                        Ok(Some(message)) => prop_assert!(message.body.len() <= MAX_MESSAGE),
                        Ok(None) => break,
                        Err(Malformed) => break 'pieces,
                    }
                }
                prop_assert!(reader.buffer.len() <= MAX_MESSAGE + 18 && reader.streams.len() <= MAX_STREAMS);
            }
        }
    }
}
