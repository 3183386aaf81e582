//! DV timings and EDID of a receiver.

use super::{Node, READ, Request, WRITE};
use std::io;
use v4l::{v4l_sys::*, v4l2::vidioc};

// include/uapi/linux/videodev2.h
const G_EDID: Request<v4l2_edid> = Request::new(vidioc::VIDIOC_G_EDID);
const S_EDID: Request<v4l2_edid> = Request::new(vidioc::VIDIOC_S_EDID);
const S_DV_TIMINGS: Request<v4l2_dv_timings> = Request::numbered(READ | WRITE, b'V', 87);
const G_DV_TIMINGS: Request<v4l2_dv_timings> = Request::numbered(READ | WRITE, b'V', 88);
const QUERY_DV_TIMINGS: Request<v4l2_dv_timings> = Request::numbered(READ, b'V', 99);

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

impl Node {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_kernels_numbers() {
        // As a C program prints them on a 64-bit machine.
        let numbers = [QUERY_DV_TIMINGS.number, S_DV_TIMINGS.number, G_DV_TIMINGS.number];
        assert_eq!(numbers, [0x8084_5663, 0xc084_5657, 0xc084_5658]);
    }
}
