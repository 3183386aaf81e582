//! Video4Linux and media-controller nodes: the `v4l` crate's bindings and ioctl, with the requests that it does not have
//! (DV timings, events, subdevices, media controller).
//!
//! Sections are of the kernel's "Linux Media Subsystem Documentation", userspace API.

#![allow(unsafe_code)]

mod formats;
mod media;
mod timings;

pub use formats::{IntervalRange, SizeRange};
pub use media::Entity;
pub use timings::{RawTimings, Timings};

use std::{
    fs::File,
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::Path,
};
use v4l::{
    v4l_sys::*,
    v4l2::{self, vidioc},
};

/// An ioctl with the structure that it reads and writes.
struct Request<T> {
    number: vidioc::_IOC_TYPE,
    argument: std::marker::PhantomData<T>,
}

impl<T> Request<T> {
    /// The number's own size field (include/uapi/asm-generic/ioctl.h) has to be the structure's size, or it does not
    /// compile: the kernel never touches more than that.
    const fn new(number: vidioc::_IOC_TYPE) -> Self {
        assert!((number >> 16) & 0x3fff == mem::size_of::<T>() as vidioc::_IOC_TYPE);
        Self { number, argument: std::marker::PhantomData }
    }

    /// Request `number` of `kind` that moves its structure in `direction` ([`READ`], [`WRITE`]).
    const fn numbered(direction: u8, kind: u8, number: u8) -> Self {
        let size = mem::size_of::<T>() as vidioc::_IOC_TYPE;
        let (direction, kind) = (direction as vidioc::_IOC_TYPE, kind as vidioc::_IOC_TYPE);
        Self::new(direction << 30 | size << 16 | kind << 8 | number as vidioc::_IOC_TYPE)
    }
}

/// From us to the kernel.
const WRITE: u8 = 1;
/// From the kernel to us.
const READ: u8 = 2;

// include/uapi/linux/videodev2.h
const QUERYCAP: Request<v4l2_capability> = Request::new(vidioc::VIDIOC_QUERYCAP);
const ENUMINPUT: Request<v4l2_input> = Request::new(vidioc::VIDIOC_ENUMINPUT);
const G_INPUT: Request<i32> = Request::new(vidioc::VIDIOC_G_INPUT);
const S_INPUT: Request<i32> = Request::new(vidioc::VIDIOC_S_INPUT);
const G_CTRL: Request<v4l2_control> = Request::new(vidioc::VIDIOC_G_CTRL);
const DQEVENT: Request<v4l2_event> = Request::numbered(READ, b'V', 89);
const SUBSCRIBE_EVENT: Request<v4l2_event_subscription> = Request::numbered(WRITE, b'V', 90);

/// What a video node is (VIDIOC_QUERYCAP).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// The device's name.
    pub card: String,
    /// Where it sits, `"usb-0000:01:00.0-1.2"`.
    pub bus: String,
    /// How it captures; none: it does not.
    pub capture: Option<Planes>,
}

/// Single- or multi-planar capture: which buffer type a node's formats are asked for with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planes {
    /// V4L2_BUF_TYPE_VIDEO_CAPTURE
    Single,
    /// V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
    Multi,
}

impl Planes {
    fn buffer_type(self) -> u32 {
        match self {
            Self::Single => v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE,
            Self::Multi => v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
        }
    }
}

/// One of a node's inputs (VIDIOC_ENUMINPUT).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputInfo {
    /// What the driver calls it.
    pub name: String,
    /// Whether it has DV timings, as HDMI has.
    pub dv_timings: bool,
    /// Whether the driver says that it may not be captured: conditional access (V4L2_IN_ST_NO_ACCESS) or copy
    /// protection (V4L2_IN_ST_MACROVISION).
    pub protected: bool,
}

/// V4L2_CID_DV_RX_POWER_PRESENT: whether the source's +5 V is there, a bit for each connector.
pub const POWER_PRESENT: u32 = V4L2_CID_DV_RX_POWER_PRESENT;

/// An open video, subdevice or media node. It is closed when dropped, and children of the process do not inherit it.
#[derive(Debug)]
pub struct Node(File);

impl AsFd for Node {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Node {
    /// Opens `path` without waiting.
    ///
    /// # Errors
    /// What open(2) says.
    pub fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        File::options().read(true).write(true).custom_flags(flags).open(path).map(Self)
    }

    /// Sends `request` with a zeroed structure that `prepare` fills in, and gives the structure back.
    fn call<T: Copy>(&self, request: &Request<T>, prepare: impl FnOnce(&mut T)) -> io::Result<T> {
        // SAFETY: each `T` of a `Request` is a C structure of integers, arrays, unions of these and at most raw pointers;
        // zero is a value of all of them.
        let mut argument: T = unsafe { mem::zeroed() };
        prepare(&mut argument);
        loop {
            let pointer = std::ptr::from_mut(&mut argument).cast();
            // SAFETY: the pointer is valid for the size that the request's number carries (`Request::new`). The one
            // structure with a pointer of its own is `v4l2_edid`; `edid` and `set_edid` point it to a buffer as long as
            // they say and that outlives the call.
            match unsafe { v4l2::ioctl(self.0.as_raw_fd(), request.number, pointer) } {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map(|()| argument),
            }
        }
    }

    /// What the node is.
    ///
    /// # Errors
    /// ENOTTY when it is no video node; ENODEV when the device is gone.
    pub fn capability(&self) -> io::Result<Capability> {
        let raw = self.call(&QUERYCAP, |_| {})?;
        // Old drivers fill in only the union over all nodes of the device.
        let listed = raw.capabilities & V4L2_CAP_DEVICE_CAPS != 0;
        let caps = if listed { raw.device_caps } else { raw.capabilities };
        let capture = match caps {
            caps if caps & V4L2_CAP_VIDEO_CAPTURE != 0 => Some(Planes::Single),
            caps if caps & V4L2_CAP_VIDEO_CAPTURE_MPLANE != 0 => Some(Planes::Multi),
            _ => None,
        };
        Ok(Capability { card: text(&raw.card), bus: text(&raw.bus_info), capture })
    }

    /// Input `index`.
    ///
    /// # Errors
    /// EINVAL when there is none.
    pub fn input(&self, index: u32) -> io::Result<InputInfo> {
        let raw = self.call(&ENUMINPUT, |input| input.index = index)?;
        Ok(InputInfo {
            name: text(&raw.name),
            dv_timings: raw.capabilities & V4L2_IN_CAP_DV_TIMINGS != 0,
            protected: raw.status & (V4L2_IN_ST_NO_ACCESS | V4L2_IN_ST_MACROVISION) != 0,
        })
    }

    /// The input in use.
    ///
    /// # Errors
    /// ENOTTY when the node has no inputs to choose from.
    pub fn selected_input(&self) -> io::Result<u32> {
        Ok(self.call(&G_INPUT, |_| {})?.max(0) as u32)
    }

    /// Chooses input `index`.
    ///
    /// # Errors
    /// EINVAL when there is none, EBUSY while another one is captured.
    pub fn select_input(&self, index: u32) -> io::Result<()> {
        self.call(&S_INPUT, |input| *input = index as i32).map(drop)
    }

    /// The value of control `id`.
    ///
    /// # Errors
    /// EINVAL or ENOTTY when there is no such control.
    pub fn control(&self, id: u32) -> io::Result<i32> {
        Ok(self.call(&G_CTRL, |control| control.id = id)?.value)
    }

    /// Asks for events when the signal of the node's inputs changes.
    ///
    /// # Errors
    /// EINVAL or ENOTTY when the driver has no such event.
    pub fn subscribe_source_change(&self) -> io::Result<()> {
        self.call(&SUBSCRIBE_EVENT, |event| event.type_ = V4L2_EVENT_SOURCE_CHANGE).map(drop)
    }

    /// Asks for events when control `id` changes.
    ///
    /// # Errors
    /// EINVAL or ENOTTY when the driver has no such control.
    pub fn subscribe_control(&self, id: u32) -> io::Result<()> {
        self.call(&SUBSCRIBE_EVENT, |event| (event.type_, event.id) = (V4L2_EVENT_CTRL, id)).map(drop)
    }

    /// Takes the next event that was asked for (V4L2 section 3.13); false: none waits.
    ///
    /// # Errors
    /// ENODEV when the device is gone.
    pub fn take_event(&self) -> io::Result<bool> {
        match self.call(&DQEVENT, |_| {}) {
            Ok(_) => Ok(true),
            // ENOENT is what a non-blocking node says, EAGAIN what the documentation promises.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EAGAIN)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// No driver lists more than this of anything; one that never ends must not hang us.
const MOST: u32 = 256;

/// A text of a fixed-size field: up to the first NUL, whatever its bytes.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_kernels_numbers() {
        // As a C program prints them on a 64-bit machine.
        assert_eq!([DQEVENT.number, SUBSCRIBE_EVENT.number], [0x8088_5659, 0x4020_565a]);
    }

    #[test]
    fn a_node_that_is_no_video_device_is_an_error() {
        let node = Node::open(Path::new("/dev/null")).expect("a node");
        let errors = [node.capability().map(drop), node.query_timings().map(drop), node.entities().map(drop)];
        for error in errors {
            assert_eq!(error.expect_err("no video device").raw_os_error(), Some(libc::ENOTTY));
        }
        assert!(node.pixel_formats(Planes::Single).is_empty());
    }

    #[test]
    fn fixed_fields_hold_any_bytes() {
        assert_eq!(text(b"vivid\0\0junk"), "vivid");
        assert_eq!(text(&[b'a', 0xff]), "a\u{fffd}");
    }
}
