//! Video4Linux and media-controller nodes: the `v4l` crate's bindings and ioctl, with the requests that it does not have
//! (DV timings, events, subdevices, media controller).
//!
//! Sections are of the kernel's "Linux Media Subsystem Documentation", userspace API.

#![allow(unsafe_code)]

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

    const fn write_read(kind: u8, number: u8) -> Self {
        Self::new(
            3 << 30
                | (mem::size_of::<T>() as vidioc::_IOC_TYPE) << 16
                | (kind as vidioc::_IOC_TYPE) << 8
                | number as vidioc::_IOC_TYPE,
        )
    }

    const fn write(kind: u8, number: u8) -> Self {
        Self::new(
            1 << 30
                | (mem::size_of::<T>() as vidioc::_IOC_TYPE) << 16
                | (kind as vidioc::_IOC_TYPE) << 8
                | number as vidioc::_IOC_TYPE,
        )
    }

    const fn read(kind: u8, number: u8) -> Self {
        Self::new(
            2 << 30
                | (mem::size_of::<T>() as vidioc::_IOC_TYPE) << 16
                | (kind as vidioc::_IOC_TYPE) << 8
                | number as vidioc::_IOC_TYPE,
        )
    }
}

// include/uapi/linux/videodev2.h
const QUERYCAP: Request<v4l2_capability> = Request::new(vidioc::VIDIOC_QUERYCAP);
const ENUM_FMT: Request<v4l2_fmtdesc> = Request::new(vidioc::VIDIOC_ENUM_FMT);
const G_FMT: Request<v4l2_format> = Request::new(vidioc::VIDIOC_G_FMT);
const ENUMINPUT: Request<v4l2_input> = Request::new(vidioc::VIDIOC_ENUMINPUT);
const G_INPUT: Request<i32> = Request::new(vidioc::VIDIOC_G_INPUT);
const S_INPUT: Request<i32> = Request::new(vidioc::VIDIOC_S_INPUT);
const G_CTRL: Request<v4l2_control> = Request::new(vidioc::VIDIOC_G_CTRL);
const G_EDID: Request<v4l2_edid> = Request::new(vidioc::VIDIOC_G_EDID);
const S_EDID: Request<v4l2_edid> = Request::new(vidioc::VIDIOC_S_EDID);
const ENUM_FRAMESIZES: Request<v4l2_frmsizeenum> = Request::new(vidioc::VIDIOC_ENUM_FRAMESIZES);
const ENUM_FRAMEINTERVALS: Request<v4l2_frmivalenum> = Request::new(vidioc::VIDIOC_ENUM_FRAMEINTERVALS);
const S_DV_TIMINGS: Request<v4l2_dv_timings> = Request::write_read(b'V', 87);
const G_DV_TIMINGS: Request<v4l2_dv_timings> = Request::write_read(b'V', 88);
const DQEVENT: Request<v4l2_event> = Request::read(b'V', 89);
const SUBSCRIBE_EVENT: Request<v4l2_event_subscription> = Request::write(b'V', 90);
const QUERY_DV_TIMINGS: Request<v4l2_dv_timings> = Request::read(b'V', 99);
// include/uapi/linux/v4l2-subdev.h
const SUBDEV_G_FMT: Request<PadFormat> = Request::write_read(b'V', 4);
const SUBDEV_S_FMT: Request<PadFormat> = Request::write_read(b'V', 5);
// include/uapi/linux/media.h
const ENUM_ENTITIES: Request<EntityDescription> = Request::write_read(b'|', 1);
const SETUP_LINK: Request<LinkDescription> = Request::write_read(b'|', 3);

/// `struct v4l2_subdev_format`, with the frame format as the opaque words that are passed on from pad to pad.
#[repr(C)]
#[derive(Clone, Copy)]
struct PadFormat {
    which: u32,
    pad: u32,
    format: [u32; 12],
    reserved: [u32; 8],
}

/// V4L2_SUBDEV_FORMAT_ACTIVE: the format that the hardware uses.
const ACTIVE: u32 = 1;

/// `struct media_entity_desc`
#[repr(C)]
#[derive(Clone, Copy)]
struct EntityDescription {
    id: u32,
    name: [u8; 32],
    kind: u32,
    revision: u32,
    flags: u32,
    group: u32,
    pads: u16,
    links: u16,
    reserved: [u32; 4],
    device: (u32, u32),
    more: [u32; 44],
}

/// MEDIA_ENT_ID_FLAG_NEXT: the entity after the one of this id.
const NEXT_ENTITY: u32 = 1 << 31;

/// `struct media_pad_desc`
#[repr(C)]
#[derive(Clone, Copy)]
struct PadDescription {
    entity: u32,
    index: u16,
    flags: u32,
    reserved: [u32; 2],
}

/// `struct media_link_desc`
#[repr(C)]
#[derive(Clone, Copy)]
struct LinkDescription {
    source: PadDescription,
    sink: PadDescription,
    flags: u32,
    reserved: [u32; 2],
}

/// MEDIA_LNK_FL_ENABLED
const LINK_ENABLED: u32 = 1;

/// What a video node is (VIDIOC_QUERYCAP).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// The driver's name.
    pub driver: String,
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

/// BT.656/1120 timings (`struct v4l2_bt_timings`); widths in pixels, heights in lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// Active width.
    pub width: u32,
    /// Active height; of both fields when interlaced.
    pub height: u32,
    /// Whether fields are sent.
    pub interlaced: bool,
    /// Hz.
    pub pixel_clock: u64,
    /// Front porch, sync and back porch together.
    pub horizontal_blanking: u32,
    /// Front porch, sync and back porch together; of both fields when interlaced.
    pub vertical_blanking: u32,
    /// Whether the driver has found the rate to be 1000/1001 of what the pixel clock says
    /// (V4L2_DV_FL_CAN_DETECT_REDUCED_FPS and V4L2_DV_FL_REDUCED_FPS).
    pub reduced_rate: bool,
}

/// Timings as the driver gave them, to be given back with [`Node::set_timings`].
#[derive(Clone, Copy)]
pub struct RawTimings(v4l2_dv_timings);

impl RawTimings {
    /// What they say.
    pub fn timings(&self) -> Timings {
        let raw = self.0;
        if raw.type_ != V4L2_DV_BT_656_1120 {
            return Timings::default();
        }
        // SAFETY: both members of the union are plain words, so any bits are a valid `bt`.
        let bt = unsafe { raw.__bindgen_anon_1.bt };
        let reduced = V4L2_DV_FL_CAN_DETECT_REDUCED_FPS | V4L2_DV_FL_REDUCED_FPS;
        let (interlaced, flags) = (bt.interlaced, bt.flags);
        let sum = |parts: &[u32]| parts.iter().fold(0, |sum: u32, part| sum.saturating_add(*part));
        let second = [bt.il_vfrontporch, bt.il_vsync, bt.il_vbackporch];
        let interlaced = interlaced == V4L2_DV_INTERLACED;
        Timings {
            width: bt.width,
            height: bt.height,
            interlaced,
            pixel_clock: bt.pixelclock,
            horizontal_blanking: sum(&[bt.hfrontporch, bt.hsync, bt.hbackporch]),
            vertical_blanking: sum(&[bt.vfrontporch, bt.vsync, bt.vbackporch]).saturating_add(if interlaced {
                sum(&second)
            } else {
                0
            }),
            reduced_rate: flags & reduced == reduced,
        }
    }
}

/// Something that a driver tells by itself (V4L2 section 3.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The signal at the input changed (V4L2_EVENT_SOURCE_CHANGE).
    SourceChange,
    /// The value of a control changed (V4L2_EVENT_CTRL).
    Control,
    /// Anything else.
    Other,
}

/// V4L2_CID_DV_RX_POWER_PRESENT: whether the source's +5 V is there, a bit for each connector.
pub const POWER_PRESENT: u32 = V4L2_CID_DV_RX_POWER_PRESENT;

/// A size that a camera offers; when stepwise, any between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRange {
    /// Smallest and largest width, and the step from the smallest.
    pub width: (u32, u32, u32),
    /// Smallest and largest height, and the step from the smallest.
    pub height: (u32, u32, u32),
}

/// An entity of a media device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    id: u32,
    /// Its name.
    pub name: String,
    /// Major and minor number of its device node; zero when it has none.
    pub device: (u32, u32),
}

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
        Ok(Capability { driver: text(&raw.driver), card: text(&raw.card), bus: text(&raw.bus_info), capture })
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

    /// The timings of the signal that comes in now.
    ///
    /// # Errors
    /// ENOLINK without signal, ENOLCK when it is not stable, ERANGE when it is beyond the hardware, ENODATA when this
    /// input has no timings (V4L2 section 7.54, VIDIOC_QUERY_DV_TIMINGS).
    pub fn query_timings(&self) -> io::Result<RawTimings> {
        self.call(&QUERY_DV_TIMINGS, |_| {}).map(RawTimings)
    }

    /// The timings that are captured with.
    ///
    /// # Errors
    /// ENODATA when this input has no timings.
    pub fn timings(&self) -> io::Result<RawTimings> {
        self.call(&G_DV_TIMINGS, |_| {}).map(RawTimings)
    }

    /// Captures with `timings` from now on.
    ///
    /// # Errors
    /// EBUSY while other timings are captured with, ERANGE when the hardware cannot.
    pub fn set_timings(&self, timings: &RawTimings) -> io::Result<()> {
        self.call(&S_DV_TIMINGS, |argument| *argument = timings.0).map(drop)
    }

    /// The first `blocks` blocks of the EDID of connector `pad`; fewer when it has fewer.
    ///
    /// # Errors
    /// ENODATA when it has none, EINVAL when there is no such connector.
    pub fn edid(&self, pad: u32, blocks: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; blocks * 128];
        let pointer = bytes.as_mut_ptr();
        let raw = self.call(&G_EDID, |edid| (edid.pad, edid.blocks, edid.edid) = (pad, blocks as u32, pointer))?;
        bytes.truncate(raw.blocks as usize * 128);
        Ok(bytes)
    }

    /// Loads `bytes`, whole blocks, as the EDID of connector `pad`; the source sees an unplug and a plug.
    ///
    /// # Errors
    /// E2BIG when the hardware has no room, EBUSY while it is captured from.
    pub fn set_edid(&self, pad: u32, bytes: &[u8]) -> io::Result<()> {
        // The kernel only reads, but its structure has no const.
        let mut bytes = bytes.to_vec();
        let (pointer, blocks) = (bytes.as_mut_ptr(), (bytes.len() / 128) as u32);
        self.call(&S_EDID, |edid| (edid.pad, edid.blocks, edid.edid) = (pad, blocks, pointer)).map(drop)
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

    /// Takes the next event that waits; none: no more wait.
    ///
    /// # Errors
    /// ENODEV when the device is gone.
    pub fn next_notice(&self) -> io::Result<Option<Notice>> {
        match self.call(&DQEVENT, |_| {}) {
            Ok(event) => Ok(Some(match event.type_ {
                V4L2_EVENT_SOURCE_CHANGE => Notice::SourceChange,
                V4L2_EVENT_CTRL => Notice::Control,
                _ => Notice::Other,
            })),
            // ENOENT is what a non-blocking node says, EAGAIN what the documentation promises.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EAGAIN)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The pixel format that would be captured in now.
    ///
    /// # Errors
    /// What the driver says.
    pub fn pixel_format(&self, planes: Planes) -> io::Result<String> {
        let raw = self.call(&G_FMT, |format| format.type_ = planes.buffer_type())?;
        // SAFETY: both are plain words at the same place; `pixelformat` is the third in each (V4L2 sections 2.4, 2.5).
        Ok(fourcc(unsafe { raw.fmt.pix.pixelformat }))
    }

    /// All pixel formats that the node offers.
    pub fn pixel_formats(&self, planes: Planes) -> Vec<String> {
        let format = |index| {
            let raw = self.call(&ENUM_FMT, |format| (format.index, format.type_) = (index, planes.buffer_type()));
            raw.ok().map(|raw| fourcc(raw.pixelformat))
        };
        (0..MOST).map_while(format).collect()
    }

    /// The sizes that the node offers in `format`.
    pub fn sizes(&self, format: &str) -> Vec<SizeRange> {
        let size = |index| {
            let code = code(format);
            let raw = self.call(&ENUM_FRAMESIZES, |size| (size.index, size.pixel_format) = (index, code)).ok()?;
            if raw.type_ == v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE {
                // SAFETY: `type_` says which; both are plain words.
                let discrete = unsafe { raw.__bindgen_anon_1.discrete };
                let (width, height) = (discrete.width, discrete.height);
                return Some(SizeRange { width: (width, width, 1), height: (height, height, 1) });
            }
            // SAFETY: as above. A driver gives one stepwise entry and then EINVAL.
            let steps = unsafe { raw.__bindgen_anon_1.stepwise };
            (index == 0).then_some(SizeRange {
                width: (steps.min_width, steps.max_width, steps.step_width.max(1)),
                height: (steps.min_height, steps.max_height, steps.step_height.max(1)),
            })
        };
        (0..MOST).map_while(size).collect()
    }

    /// The frame intervals, as fractions of a second, that the node offers in `format` and this size; of a range its
    /// shortest.
    pub fn intervals(&self, format: &str, width: u32, height: u32) -> Vec<(u32, u32)> {
        let interval = |index| {
            let code = code(format);
            let raw = self.call(&ENUM_FRAMEINTERVALS, |interval| {
                (interval.index, interval.pixel_format) = (index, code);
                (interval.width, interval.height) = (width, height);
            });
            let raw = raw.ok()?;
            let discrete = raw.type_ == v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE;
            // SAFETY: all members are plain words, and the shortest of a range stands where the discrete one does.
            let fraction = unsafe { raw.__bindgen_anon_1.discrete };
            (discrete || index == 0).then_some((fraction.numerator, fraction.denominator))
        };
        (0..MOST).map_while(interval).collect()
    }

    /// The entities of a media device.
    ///
    /// # Errors
    /// ENOTTY when this is no media node.
    pub fn entities(&self) -> io::Result<Vec<Entity>> {
        let mut entities: Vec<Entity> = Vec::new();
        loop {
            let last = entities.last().map_or(0, |entity| entity.id);
            match self.call(&ENUM_ENTITIES, |entity| entity.id = last | NEXT_ENTITY) {
                Ok(raw) if entities.len() < MOST as usize => {
                    entities.push(Entity { id: raw.id, name: text(&raw.name), device: raw.device });
                }
                // EINVAL: that was the last one.
                Err(error) if error.raw_os_error() != Some(libc::EINVAL) => return Err(error),
                _ => return Ok(entities),
            }
        }
    }

    /// Enables the link from a source pad to a sink pad of a media device.
    ///
    /// # Errors
    /// EINVAL when there is no such link, EBUSY while pictures flow through another one.
    pub fn enable_link(&self, source: (&Entity, u16), sink: (&Entity, u16)) -> io::Result<()> {
        let pad =
            |(entity, index): (&Entity, u16)| PadDescription { entity: entity.id, index, flags: 0, reserved: [0; 2] };
        self.call(&SETUP_LINK, |link| {
            (link.source, link.sink, link.flags) = (pad(source), pad(sink), LINK_ENABLED);
        })
        .map(drop)
    }

    /// Gives the format at `pad` of this subdevice to `sink_pad` of the next one.
    ///
    /// # Errors
    /// What the drivers say.
    pub fn pass_pad_format(&self, pad: u16, sink: &Self, sink_pad: u16) -> io::Result<()> {
        let source = self.call(&SUBDEV_G_FMT, |format| (format.which, format.pad) = (ACTIVE, pad.into()))?;
        sink.call(&SUBDEV_S_FMT, |format| {
            (format.which, format.pad, format.format) = (ACTIVE, sink_pad.into(), source.format);
        })
        .map(drop)
    }
}

/// No driver lists more than this of anything; one that never ends must not hang us.
const MOST: u32 = 256;

/// A text of a fixed-size field: up to the first NUL, whatever its bytes.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The four letters of a pixel format.
fn fourcc(code: u32) -> String {
    code.to_le_bytes().iter().map(|byte| char::from(byte & 0x7f)).collect()
}

fn code(fourcc: &str) -> u32 {
    let mut bytes = [b' '; 4];
    bytes.iter_mut().zip(fourcc.bytes()).for_each(|(byte, letter)| *byte = letter);
    u32::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_kernels_numbers() {
        // As `strace -X raw` shows them for v4l2-ctl and media-ctl on a 64-bit machine.
        let numbers = [QUERY_DV_TIMINGS.number, S_DV_TIMINGS.number, DQEVENT.number, SUBSCRIBE_EVENT.number];
        assert_eq!(numbers, [0x8084_5663, 0xc084_5657, 0x8088_5659, 0x4020_565a]);
        let numbers = [ENUM_ENTITIES.number, SETUP_LINK.number, SUBDEV_G_FMT.number, SUBDEV_S_FMT.number];
        assert_eq!(numbers, [0xc100_7c01, 0xc034_7c03, 0xc058_5604, 0xc058_5605]);
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
        assert_eq!(fourcc(code("UYVY")), "UYVY");
        assert_eq!(fourcc(code("Y16")), "Y16 ");
    }
}
