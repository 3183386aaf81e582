//! V4L2 controls of a hardware encoder that GStreamer has open: its `device-fd` is all that one gets of it.

use std::{io, mem::MaybeUninit, os::fd::RawFd};
use v4l::{v4l_sys, v4l2::vidioc};

/// Finds the control of the V4L2 device `fd` that GStreamer's `extra-controls` calls `name`: `"video_bitrate"` for the
/// driver's `Video Bitrate`. Walks the list of VIDIOC_QUERYCTRL (V4L2_CTRL_FLAG_NEXT_CTRL).
///
/// # Errors
/// `NotFound` when the device has no such control, or the driver's own error when it has no controls at all.
pub fn find(fd: RawFd, name: &str) -> io::Result<u32> {
    let mut id = 0;
    // A driver has some dozens of controls; the bound is for one that never ends its list.
    for _ in 0..1024 {
        // SAFETY: v4l2_queryctrl is plain integers and byte arrays, for which all zeros is a value.
        let mut query: v4l_sys::v4l2_queryctrl = unsafe { MaybeUninit::zeroed().assume_init() };
        query.id = id | v4l_sys::V4L2_CTRL_FLAG_NEXT_CTRL;
        // SAFETY: VIDIOC_QUERYCTRL reads and writes exactly one v4l2_queryctrl, which outlives the call.
        if unsafe { libc::ioctl(fd, vidioc::VIDIOC_QUERYCTRL, &raw mut query) } != 0 {
            let error = io::Error::last_os_error();
            let end_of_list = id != 0 && error.raw_os_error() == Some(libc::EINVAL);
            return Err(if end_of_list { not_found(name) } else { error });
        }
        id = query.id;
        if normalised(&query.name) == name {
            return Ok(id);
        }
    }
    Err(not_found(name))
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("the encoder's driver has no control {name:?}"))
}

/// Sets one control of the V4L2 device `fd` (VIDIOC_S_CTRL).
///
/// # Errors
/// What the driver answers: EINVAL for an unknown control, ERANGE for a value that it does not take, EBUSY when it may
/// not change while pictures flow.
pub fn set(fd: RawFd, id: u32, value: i32) -> io::Result<()> {
    let mut control = v4l_sys::v4l2_control { id, value };
    // SAFETY: VIDIOC_S_CTRL reads and writes exactly one v4l2_control, which outlives the call.
    match unsafe { libc::ioctl(fd, vidioc::VIDIOC_S_CTRL, &raw mut control) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A control's name as GStreamer writes it: lower case, what is between letters and digits one `_`
/// (gstv4l2object.c, `gst_v4l2_normalise_control_name`).
fn normalised(name: &[u8]) -> String {
    let (mut text, mut gap) = (String::new(), false);
    for &byte in name.iter().take_while(|&&byte| byte != 0) {
        if byte.is_ascii_alphanumeric() {
            if std::mem::take(&mut gap) && !text.is_empty() {
                text.push('_');
            }
            text.push(byte.to_ascii_lowercase().into());
        } else {
            gap = true;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn names_are_written_as_extra_controls_writes_them() {
        assert_eq!(normalised(b"Video Bitrate\0\0"), "video_bitrate");
        assert_eq!(normalised(b"H264 I-Frame Period (pictures)\0junk"), "h264_i_frame_period_pictures");
        assert_eq!(normalised(&[b'x'; 32]), "x".repeat(32));
    }

    #[test]
    fn a_descriptor_that_is_no_encoder_is_an_error() {
        let file = std::fs::File::open("/dev/null").expect("/dev/null");
        assert_eq!(find(file.as_raw_fd(), "video_bitrate").expect_err("no device").raw_os_error(), Some(libc::ENOTTY));
        assert_eq!(set(file.as_raw_fd(), 1, 1).expect_err("no device").raw_os_error(), Some(libc::ENOTTY));
    }
}
