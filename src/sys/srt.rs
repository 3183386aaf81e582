//! libsrt: the caller's side of SRT (Haivision, docs/API/API-functions.md and API-socket-options.md).

use crate::units::BitRate;
use libc::{c_char, c_int, c_void};
use socket2::SockAddr;
use std::{ffi::CStr, fmt, mem, net::SocketAddr, sync::OnceLock, time::Duration};

/// `SRTSOCKET`.
type Handle = i32;

const INVALID: Handle = -1;
/// `SRT_EASYNCSND`: the send buffer is full.
const FULL: c_int = 6001;
/// syslog's LOG_CRIT.
const CRITICAL: c_int = 2;

/// `SRT_SOCKOPT`.
#[derive(Clone, Copy)]
#[repr(i32)]
enum Opt {
    SendSynchronously = 1,
    ReceiveSynchronously = 2,
    SendBuffer = 5,
    Linger = 7,
    MaxBandwidth = 16,
    Sender = 21,
    Latency = 23,
    InputBandwidth = 24,
    Overhead = 25,
    Passphrase = 26,
    KeyLength = 27,
    TooLatePacketDrop = 31,
    LeastInputBandwidth = 38,
    SendDropDelay = 32,
    ConnectTimeout = 36,
    StreamId = 46,
    PayloadSize = 49,
}

/// `CBytePerfMon`: plain figures, of which new versions add some at the end. Only the round trip and the counts of packets are
/// read; the other fields are here for their sizes.
#[allow(dead_code)]
#[repr(C)]
struct Monitor {
    ms_time_stamp: i64,
    sent_total: i64,
    received_total: i64,
    /// Lost as the peer said, lost on the way here, sent again; acknowledgements and reports of losses.
    control_totals: [c_int; 7],
    send_duration_total: i64,
    dropped_totals: [c_int; 3],
    byte_totals: [u64; 7],
    interval: Interval,
    packet_period: f64,
    flow_window: c_int,
    congestion_window: c_int,
    in_flight: c_int,
    /// Milliseconds.
    rtt: f64,
    bandwidth: f64,
    /// All that follows, and what a later version may add.
    rest: [u64; 128],
}

/// The part of it that may be cleared.
#[allow(dead_code)]
#[repr(C)]
struct Interval {
    packets: [i64; 2],
    control: [c_int; 8],
    rates: [f64; 2],
    send_duration: i64,
    reorder_distance: c_int,
    belated_time: f64,
    belated: i64,
    dropped: [c_int; 3],
    bytes: [u64; 7],
}

// Linked by build.rs, by the name that pkg-config gives.
unsafe extern "C" {
    fn srt_startup() -> c_int;
    fn srt_setloglevel(level: c_int);
    fn srt_create_socket() -> Handle;
    fn srt_setsockflag(socket: Handle, option: c_int, value: *const c_void, length: c_int) -> c_int;
    fn srt_connect(socket: Handle, name: *const c_void, length: c_int) -> c_int;
    fn srt_close(socket: Handle) -> c_int;
    fn srt_getsockstate(socket: Handle) -> c_int;
    fn srt_getrejectreason(socket: Handle) -> c_int;
    fn srt_send(socket: Handle, bytes: *const c_char, length: c_int) -> c_int;
    fn srt_getsndbuffer(socket: Handle, blocks: *mut usize, bytes: *mut usize) -> c_int;
    fn srt_bistats(socket: Handle, figures: *mut Monitor, clear: c_int, instantaneous: c_int) -> c_int;
    fn srt_getlasterror(errno: *mut c_int) -> c_int;
    fn srt_strerror(code: c_int, errno: c_int) -> *const c_char;
}

/// Why libsrt did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SrtError {
    code: c_int,
    text: String,
}

impl SrtError {
    /// The last error of this thread.
    fn last() -> Self {
        let mut errno = 0;
        // SAFETY: the error number is written to the address given; the text is static or the thread's own, ends in NUL,
        // and is copied before the next call.
        unsafe {
            let code = srt_getlasterror(&raw mut errno);
            let text = srt_strerror(code, errno);
            let text = if text.is_null() { "" } else { CStr::from_ptr(text).to_str().unwrap_or("") };
            Self { code, text: text.trim().to_owned() }
        }
    }
}

impl fmt::Display for SrtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.code)
    }
}

/// How a connection is made. Not `Debug`: it has the stream id and the passphrase.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Told to the peer in the handshake; empty: none. At most 512 bytes.
    pub stream_id: &'a str,
    /// 10 to 79 bytes, and the bits of the AES key: 128 or 256; none: not encrypted.
    pub encryption: Option<(&'a str, u32)>,
    /// How long the peer waits for what was lost, if it does not want longer itself.
    pub latency: Duration,
    /// What is going to be sent at most, for now. One and a half times that is what goes out at most: an IDR picture is spread
    /// by it, losses and a queue that has grown still have room.
    pub rate: BitRate,
    /// Time for the handshake.
    pub timeout: Duration,
}

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In the handshake.
    Connecting,
    /// It can be sent on.
    Connected,
    /// It ended, or was never made: the reason that the handshake gave (`SRT_REJECT_REASON`, access_control.h).
    Broken(Reject),
}

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// No answer.
    Timeout,
    /// The passphrases differ.
    BadSecret,
    /// One side has a passphrase and the other has none.
    Unsecure,
    /// The peer's program did not take it, without a reason or for the stream id.
    Peer,
    /// The stream id is in use already.
    Conflict,
    /// The peer has too much to do or is down.
    Unavailable,
    /// Anything else, or no handshake failed.
    Other(i32),
}

impl From<c_int> for Reject {
    fn from(reason: c_int) -> Self {
        match reason {
            2 | 1000..=1003 | 1400 | 1401 | 1403..=1406 | 2000.. => Self::Peer,
            5 | 1402 | 1500..=1503 | 1507 => Self::Unavailable,
            10 => Self::BadSecret,
            11 => Self::Unsecure,
            16 => Self::Timeout,
            1409 | 1423 => Self::Conflict,
            other => Self::Other(other),
        }
    }
}

/// What libsrt knows of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SrtFigures {
    /// Smoothed round trip, as the peer measures it; 100 ms before it did.
    pub rtt: Duration,
    /// Bytes that were given to it and that the peer has not acknowledged.
    pub unacknowledged: u64,
    /// Packets sent, those among them that were sent again.
    pub sent: u64,
    /// See `sent`.
    pub repeated: u64,
}

/// A caller's socket. No method waits.
#[derive(Debug)]
pub struct SrtSocket(Handle);

impl SrtSocket {
    /// Most bytes of one [`send`](Self::send): seven packets of a transport stream, as all receivers expect.
    pub const PAYLOAD: usize = 1316;

    /// Begins to connect.
    ///
    /// # Errors
    /// When the options do not suit libsrt, or there is no route.
    pub fn connect(address: SocketAddr, options: &Options<'_>) -> Result<Self, SrtError> {
        static STARTED: OnceLock<()> = OnceLock::new();
        // SAFETY: both may be called at any time; the first before all others, which the lock is for. What libsrt needs for
        // its end (srt_cleanup) it does itself when the program exits.
        STARTED.get_or_init(|| unsafe {
            srt_setloglevel(CRITICAL);
            srt_startup();
        });
        // SAFETY: no arguments.
        let socket = Self(unsafe { srt_create_socket() });
        if socket.0 == INVALID {
            return Err(SrtError::last());
        }
        let ms = |time: Duration| c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX);
        let bytes_a_second = i64::try_from(options.rate.bits() / 8).unwrap_or(i64::MAX);
        // Closing sends what is left for up to three minutes, unless it is told not to: not all versions have that off.
        socket.set(Opt::Linger, &libc::linger { l_onoff: 0, l_linger: 0 })?;
        socket.set(Opt::SendSynchronously, &false)?;
        socket.set(Opt::ReceiveSynchronously, &false)?;
        // Peers older than 1.3 take who sends from this.
        socket.set::<c_int>(Opt::Sender, &1)?;
        socket.set(Opt::ConnectTimeout, &ms(options.timeout))?;
        socket.set(Opt::Latency, &ms(options.latency))?;
        socket.set(Opt::TooLatePacketDrop, &true)?;
        // Only the receiver drops, as only it knows what can still be played; whole groups of pictures are dropped before.
        socket.set::<c_int>(Opt::SendDropDelay, &-1)?;
        socket.set::<c_int>(Opt::PayloadSize, &(Self::PAYLOAD as c_int))?;
        socket.set::<i64>(Opt::MaxBandwidth, &0)?;
        // From then on it goes by what it is given, as the bitrate may be raised on air; 1.4.2 does not know the option.
        let follows = socket.set(Opt::LeastInputBandwidth, &bytes_a_second).is_ok();
        socket.set::<i64>(Opt::InputBandwidth, if follows { &0 } else { &bytes_a_second })?;
        socket.set::<c_int>(Opt::Overhead, &50)?;
        // Four seconds; what is given to it is limited to less by who gives it.
        let buffer = c_int::try_from(4 * bytes_a_second).unwrap_or(c_int::MAX).clamp(1 << 20, 64 << 20);
        socket.set(Opt::SendBuffer, &buffer)?;
        if !options.stream_id.is_empty() {
            socket.set_bytes(Opt::StreamId, options.stream_id.as_bytes())?;
        }
        if let Some((passphrase, bits)) = options.encryption {
            socket.set_bytes(Opt::Passphrase, passphrase.as_bytes())?;
            socket.set(Opt::KeyLength, &c_int::try_from(bits / 8).unwrap_or(0))?;
        }
        let name = SockAddr::from(address);
        // SAFETY: `name` is an address of `name.len()` bytes and outlives the call.
        let result = unsafe { srt_connect(socket.0, name.as_ptr().cast(), name.len() as c_int) };
        if result < 0 { Err(SrtError::last()) } else { Ok(socket) }
    }

    fn set<T: Copy>(&self, option: Opt, value: &T) -> Result<(), SrtError> {
        // SAFETY: `value` is valid for reads of its size, and each option is given the type that the documentation says.
        let result = unsafe {
            srt_setsockflag(self.0, option as c_int, std::ptr::from_ref(value).cast(), mem::size_of::<T>() as c_int)
        };
        if result < 0 { Err(SrtError::last()) } else { Ok(()) }
    }

    fn set_bytes(&self, option: Opt, value: &[u8]) -> Result<(), SrtError> {
        let length = c_int::try_from(value.len()).unwrap_or(c_int::MAX);
        // SAFETY: `value` is valid for reads of its length.
        let result = unsafe { srt_setsockflag(self.0, option as c_int, value.as_ptr().cast(), length) };
        if result < 0 { Err(SrtError::last()) } else { Ok(()) }
    }

    /// Where the connection is.
    pub fn state(&self) -> State {
        // SAFETY: any number may be asked about.
        match unsafe { srt_getsockstate(self.0) } {
            1..=4 => State::Connecting,
            5 => State::Connected,
            // SAFETY: as above.
            _ => State::Broken(unsafe { srt_getrejectreason(self.0) }.into()),
        }
    }

    /// Gives it one packet, of at most [`PAYLOAD`](Self::PAYLOAD) bytes; false when its buffer is full.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send(&self, payload: &[u8]) -> Result<bool, SrtError> {
        let length = c_int::try_from(payload.len()).unwrap_or(c_int::MAX);
        // SAFETY: `payload` is valid for reads of its length; it is copied.
        if unsafe { srt_send(self.0, payload.as_ptr().cast(), length) } >= 0 {
            return Ok(true);
        }
        match SrtError::last() {
            SrtError { code: FULL, .. } => Ok(false),
            error => Err(error),
        }
    }

    fn unacknowledged(&self) -> Option<u64> {
        let (mut blocks, mut bytes) = (0, 0);
        // SAFETY: both addresses are valid for writes.
        let span = unsafe { srt_getsndbuffer(self.0, &raw mut blocks, &raw mut bytes) };
        (span >= 0).then_some(bytes as u64)
    }

    /// What libsrt knows of the connection; none when it is broken.
    pub fn figures(&self) -> Option<SrtFigures> {
        let unacknowledged = self.unacknowledged()?;
        let mut monitor = mem::MaybeUninit::<Monitor>::zeroed();
        // SAFETY: it writes plain numbers, for all of which zeroes are a value, and fewer than the struct has room for.
        let monitor = unsafe {
            if srt_bistats(self.0, monitor.as_mut_ptr(), 0, 1) < 0 {
                return None;
            }
            monitor.assume_init()
        };
        let repeated = monitor.control_totals[2];
        Some(SrtFigures {
            rtt: Duration::try_from_secs_f64(monitor.rtt / 1e3).unwrap_or_default(),
            unacknowledged,
            sent: u64::try_from(monitor.sent_total).unwrap_or(0),
            repeated: u64::try_from(repeated).unwrap_or(0),
        })
    }
}

impl Drop for SrtSocket {
    fn drop(&mut self) {
        // SAFETY: the number is this socket's, which nobody else has.
        unsafe { srt_close(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options<'static> {
        Options {
            stream_id: "camera/1",
            encryption: Some(("correct horse battery", 256)),
            latency: Duration::from_millis(800),
            rate: BitRate::new(4_000_000),
            timeout: Duration::from_millis(100),
        }
    }

    #[test]
    fn a_call_that_nobody_takes_ends_by_its_timeout() {
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = SrtSocket::connect(nobody.local_addr().unwrap(), &options()).unwrap();
        assert_eq!(socket.state(), State::Connecting);
        assert!(socket.send(&[0x47; 188]).is_err());
        while socket.state() == State::Connecting {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(socket.state(), State::Broken(Reject::Timeout));
    }

    #[test]
    fn closing_takes_no_time_and_no_child_inherits_a_socket() {
        // Sockets of this process that a child would inherit; other tests open and close files meanwhile.
        let inherited = || -> std::collections::BTreeSet<String> {
            let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
            let names = open.filter_map(|entry| {
                let info = format!("/proc/self/fdinfo/{}", entry.file_name().to_string_lossy());
                let info = std::fs::read_to_string(info).ok()?;
                let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
                let flags = i32::from_str_radix(flags.trim(), 8).ok()?;
                let name = std::fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
                (flags & libc::O_CLOEXEC == 0 && name.starts_with("socket:")).then_some(name)
            });
            names.collect()
        };
        let before = inherited();
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = SrtSocket::connect(nobody.local_addr().unwrap(), &options()).unwrap();
        assert_eq!(inherited().difference(&before).next(), None);
        let begun = crate::sys::now();
        drop(socket);
        // With linger it would be minutes.
        assert!(crate::sys::now().since(begun) < Duration::from_secs(5));
    }

    #[test]
    fn options_that_libsrt_does_not_take_are_an_error() {
        let address = "127.0.0.1:9".parse().unwrap();
        let long = "x".repeat(513);
        for wrong in [
            Options { encryption: Some(("short", 128)), ..options() },
            Options { encryption: Some(("long enough", 100)), ..options() },
            Options { stream_id: &long, ..options() },
        ] {
            let error = SrtSocket::connect(address, &wrong).unwrap_err();
            assert!(!error.to_string().contains("short") && !error.text.is_empty(), "{error}");
        }
    }
}
