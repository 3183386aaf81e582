//! A V4L2 encoder's controls behind a file descriptor: `ioctl` is interposed for the stand-in's own descriptors, so that
//! VIDIOC_QUERYCTRL and VIDIOC_S_CTRL on `device-fd` get a driver's answers. All other calls go to the kernel. Interposing
//! works where this library is preloaded; else the descriptor is /dev/null's, and answers ENOTTY as that does.
//!
//! Stricter than the kernel in one thing: a value out of range is refused, where the kernel puts the nearest one
//! (v4l2-ctrls-core.c, std_validate_elem), and nobody would learn that a unit is wrong.

use crate::log;
use std::{
    collections::BTreeMap,
    ffi::{c_int, c_ulong, c_void},
    fs::File,
    os::fd::{AsRawFd, RawFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use v4l::{v4l_sys, v4l2::vidioc};

/// A control: its offset from V4L2_CID_MPEG_BASE (linux/v4l2-controls.h), its name (v4l2-ctrls-defs.c), range and default.
struct Control {
    id: u32,
    name: &'static str,
    min: i64,
    max: i64,
    default: i64,
}

const fn control(offset: u32, name: &'static str, min: i64, max: i64, default: i64) -> Control {
    Control { id: 0x0099_0900 + offset, name, min, max, default }
}

const FORCE_KEY_FRAME: &str = "force_key_frame";

/// `v4l2-ctl -L -d /dev/video11` on a Raspberry Pi 4 (raspberrypi/linux#4917). Sorted, as the kernel lists them.
const BCM2835_CODEC: [(Control, &str); 10] = [
    (control(203, "Video GOP Size", 0, i32::MAX as i64, 60), "video_gop_size"),
    (control(206, "Video Bitrate Mode", 0, 1, 0), "video_bitrate_mode"),
    (control(207, "Video Bitrate", 25_000, 25_000_000, 10_000_000), "video_bitrate"),
    (control(226, "Repeat Sequence Header", 0, 1, 0), "repeat_sequence_header"),
    (control(229, "Force Key Frame", 0, 0, 0), FORCE_KEY_FRAME),
    (control(353, "H264 Minimum QP Value", 0, 51, 20), "h264_minimum_qp_value"),
    (control(354, "H264 Maximum QP Value", 0, 51, 51), "h264_maximum_qp_value"),
    (control(358, "H264 I-Frame Period", 0, i32::MAX as i64, 60), "h264_i_frame_period"),
    (control(359, "H264 Level", 0, 15, 11), "h264_level"),
    (control(363, "H264 Profile", 0, 4, 4), "h264_profile"),
];

/// vsi-v4l2-enc.c of NXP's kernel.
const VSI_V4L2_ENC: [(Control, &str); 12] = [
    (control(203, "Video GOP Size", 0, i32::MAX as i64, 30), "video_gop_size"),
    (control(206, "Video Bitrate Mode", 0, 2, 0), "video_bitrate_mode"),
    (control(207, "Video Bitrate", 10_000, 288_000_000, 2_097_152), "video_bitrate"),
    (control(215, "Frame Level Rate Control Enable", 0, 1, 0), "frame_level_rate_control_enable"),
    (control(218, "H264 MB Level Rate Control", 0, 1, 0), "h264_mb_level_rate_control"),
    (control(226, "Repeat Sequence Header", 0, 1, 1), "repeat_sequence_header"),
    (control(229, "Force Key Frame", 0, 0, 0), FORCE_KEY_FRAME),
    (control(357, "H264 Entropy Mode", 0, 1, 0), "h264_entropy_mode"),
    (control(358, "H264 I-Frame Period", 0, i32::MAX as i64, 0), "h264_i_frame_period"),
    (control(359, "H264 Level", 0, 19, 14), "h264_level"),
    (control(363, "H264 Profile", 0, 16, 0), "h264_profile"),
    (control(644, "Prepend SPS and PPS to IDR", 0, 1, 0), "prepend_sps_and_pps_to_idr"),
];

/// An open encoder device.
pub struct Driver {
    element: &'static str,
    node: File,
    controls: &'static [(Control, &'static str)],
    values: Mutex<BTreeMap<u32, i64>>,
    /// Whether pictures flow.
    pub running: AtomicBool,
    /// A keyframe is asked for.
    pub keyframe: AtomicBool,
    /// The Raspberry Pi's.
    pub is_bcm2835: bool,
}

/// All that are open. None is ever closed: an element lives as long as its process.
static OPEN: Mutex<Vec<Arc<Driver>>> = Mutex::new(Vec::new());

impl Driver {
    /// Opens the driver that `STAND_IN_DRIVER` names for `element`; none: there is no such device.
    pub fn open(element: &'static str) -> Option<Arc<Self>> {
        let name = std::env::var("STAND_IN_DRIVER").ok()?;
        let controls: &'static [(Control, &str)] = match name.as_str() {
            "bcm2835-codec" => &BCM2835_CODEC,
            "vsi_v4l2enc" => &VSI_V4L2_ENC,
            _ => return None,
        };
        let driver = Arc::new(Self {
            element,
            node: File::open("/dev/null").ok()?,
            controls,
            values: Mutex::default(),
            running: AtomicBool::new(false),
            keyframe: AtomicBool::new(false),
            is_bcm2835: name == "bcm2835-codec",
        });
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).push(driver.clone());
        Some(driver)
    }

    pub fn fd(&self) -> RawFd {
        self.node.as_raw_fd()
    }

    /// What the control called `name` in GStreamer has; none: the driver has no such control.
    pub fn value(&self, name: &str) -> Option<i64> {
        let (control, _) = self.controls.iter().find(|(_, known)| *known == name)?;
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        Some(values.get(&control.id).copied().unwrap_or(control.default))
    }

    /// Sets the control called `name` in GStreamer.
    pub fn set_by_name(&self, name: &str, value: i64) -> Result<(), c_int> {
        let found = self.controls.iter().find(|(_, known)| *known == name);
        let Some((control, _)) = found else {
            log::line(&format!("refused {} control {name}", self.element));
            return Err(libc::EINVAL);
        };
        self.set(control.id, value)
    }

    fn set(&self, id: u32, value: i64) -> Result<(), c_int> {
        let (control, name) = self.controls.iter().find(|(control, _)| control.id == id).ok_or(libc::EINVAL)?;
        if *name == FORCE_KEY_FRAME {
            self.keyframe.store(true, Relaxed);
        } else if !(control.min..=control.max).contains(&value) {
            log::line(&format!("refused {} control {name} {value}", self.element));
            return Err(libc::ERANGE);
        }
        self.values.lock().unwrap_or_else(PoisonError::into_inner).insert(id, value);
        log::line(&format!("control {} {name} {value} {}", self.element, log::phase(self.running.load(Relaxed))));
        Ok(())
    }

    /// VIDIOC_QUERYCTRL, with V4L2_CTRL_FLAG_NEXT_CTRL as drivers with control handlers do it.
    fn describe(&self, query: &mut v4l_sys::v4l2_queryctrl) -> Result<(), c_int> {
        let (next, id) = (query.id & v4l_sys::V4L2_CTRL_FLAG_NEXT_CTRL != 0, query.id & 0x0fff_ffff);
        let found = self.controls.iter().find(|(control, _)| if next { control.id > id } else { control.id == id });
        let (control, _) = found.ok_or(libc::EINVAL)?;
        query.id = control.id;
        query.name = [0; 32];
        query.name[..control.name.len().min(31)]
            .copy_from_slice(&control.name.as_bytes()[..control.name.len().min(31)]);
        (query.minimum, query.maximum) = (clamped(control.min), clamped(control.max));
        (query.step, query.default_value) = (1, clamped(control.default));
        Ok(())
    }
}

fn clamped(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// ioctl(2), with the stand-in's own descriptors answered here.
///
/// # Safety
/// As ioctl(2): `argument` has to be what `request` takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    let driver = OPEN.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|driver| driver.fd() == fd).cloned();
    let Some(driver) = driver else {
        // SAFETY: handed on as it came.
        return unsafe { libc::syscall(libc::SYS_ioctl, fd, request, argument) as c_int };
    };
    let answer = match request {
        // SAFETY: the caller gives what the request takes.
        vidioc::VIDIOC_QUERYCTRL => driver.describe(unsafe { &mut *argument.cast() }),
        vidioc::VIDIOC_S_CTRL => {
            // SAFETY: as above.
            let control: &v4l_sys::v4l2_control = unsafe { &*argument.cast() };
            driver.set(control.id, control.value.into())
        }
        _ => Err(libc::ENOTTY),
    };
    match answer {
        Ok(()) => 0,
        Err(code) => {
            // SAFETY: this thread's own errno.
            unsafe { *libc::__errno_location() = code };
            -1
        }
    }
}
