//! Pixel formats, sizes and rates that a node offers.

use super::{MOST, Node, Planes, Request};
use std::io;
use v4l::{v4l_sys::*, v4l2::vidioc};

// include/uapi/linux/videodev2.h
const ENUM_FMT: Request<v4l2_fmtdesc> = Request::new(vidioc::VIDIOC_ENUM_FMT);
const G_FMT: Request<v4l2_format> = Request::new(vidioc::VIDIOC_G_FMT);
const ENUM_FRAMESIZES: Request<v4l2_frmsizeenum> = Request::new(vidioc::VIDIOC_ENUM_FRAMESIZES);
const ENUM_FRAMEINTERVALS: Request<v4l2_frmivalenum> = Request::new(vidioc::VIDIOC_ENUM_FRAMEINTERVALS);

/// A size that a camera offers; when stepwise, any between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRange {
    /// Smallest and largest width, and the step from the smallest.
    pub width: (u32, u32, u32),
    /// Smallest and largest height, and the step from the smallest.
    pub height: (u32, u32, u32),
}

/// Times between two pictures that a camera offers, as numerator and denominator in seconds; when stepwise, any between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntervalRange {
    /// The shortest.
    pub shortest: (u32, u32),
    /// The longest.
    pub longest: (u32, u32),
}

impl Node {
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

    /// The frame intervals, in fractions of a second, that the node offers in `format` and this size.
    pub fn intervals(&self, format: &str, width: u32, height: u32) -> Vec<IntervalRange> {
        let interval = |index| {
            let code = code(format);
            let raw = self.call(&ENUM_FRAMEINTERVALS, |interval| {
                (interval.index, interval.pixel_format) = (index, code);
                (interval.width, interval.height) = (width, height);
            });
            let raw = raw.ok()?;
            let fraction = |fraction: v4l2_fract| (fraction.numerator, fraction.denominator);
            if raw.type_ == v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE {
                // SAFETY: `type_` says which; both are plain words.
                let discrete = fraction(unsafe { raw.__bindgen_anon_1.discrete });
                return Some(IntervalRange { shortest: discrete, longest: discrete });
            }
            // SAFETY: as above. A driver gives one stepwise entry and then EINVAL.
            let steps = unsafe { raw.__bindgen_anon_1.stepwise };
            (index == 0).then_some(IntervalRange { shortest: fraction(steps.min), longest: fraction(steps.max) })
        };
        (0..MOST).map_while(interval).collect()
    }
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
    fn pixel_formats_have_four_letters() {
        assert_eq!(fourcc(code("UYVY")), "UYVY");
        assert_eq!(fourcc(code("Y16")), "Y16 ");
    }
}
