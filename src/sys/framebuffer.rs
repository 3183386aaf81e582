//! What a framebuffer looks like (include/uapi/linux/fb.h).

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

// include/uapi/linux/fb.h
const FBIOGET_VSCREENINFO: libc::c_ulong = 0x4600;
const FBIOPUT_VSCREENINFO: libc::c_ulong = 0x4601;
const FBIOGET_FSCREENINFO: libc::c_ulong = 0x4602;
const FBIOBLANK: libc::c_ulong = 0x4611;
const FB_BLANK_UNBLANK: libc::c_int = 0;
/// Set it although nothing in it changes.
const FB_ACTIVATE_FORCE: u32 = 128;
/// Pixels stand one after the other, each with all its colours.
const FB_TYPE_PACKED_PIXELS: u32 = 0;

/// `struct fb_bitfield`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Bitfield {
    offset: u32,
    length: u32,
    msb_right: u32,
}

/// `struct fb_var_screeninfo`, 160 bytes.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct VarScreenInfo {
    xres: u32,
    yres: u32,
    xres_virtual: u32,
    yres_virtual: u32,
    xoffset: u32,
    yoffset: u32,
    bits_per_pixel: u32,
    grayscale: u32,
    red: Bitfield,
    green: Bitfield,
    blue: Bitfield,
    transp: Bitfield,
    nonstd: u32,
    activate: u32,
    /// From `height` on; nothing of it is used.
    rest: [u32; 18],
}

/// `struct fb_fix_screeninfo`, 80 bytes where a long has 8.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct FixScreenInfo {
    id: [u8; 16],
    smem_start: libc::c_ulong,
    smem_len: u32,
    kind: u32,
    type_aux: u32,
    visual: u32,
    xpanstep: u16,
    ypanstep: u16,
    ywrapstep: u16,
    line_length: u32,
    mmio_start: libc::c_ulong,
    mmio_len: u32,
    accel: u32,
    capabilities: u16,
    reserved: [u16; 2],
}

const _: () = assert!(size_of::<VarScreenInfo>() == 160);
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<FixScreenInfo>() == 80);

/// Where one colour is in a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its lowest bit.
    pub offset: u32,
    /// Bits, at most 8.
    pub length: u32,
}

impl Field {
    /// `value`, which has `bits` bits, in its place; full light stays full light.
    pub fn place(self, value: u8, bits: u32) -> u32 {
        let full = |bits: u32| (1u32 << bits) - 1;
        (u32::from(value) * full(self.length) / full(bits)) << self.offset
    }
}

/// A framebuffer's size, and how its pixels are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Pixels in a row that is seen.
    pub width: u32,
    /// Rows that are seen.
    pub height: u32,
    /// Bytes of a pixel, 2 to 4; the lowest first.
    pub bytes: u32,
    /// Bytes from one row to the next.
    pub line: u32,
    /// Bytes before the first pixel that is seen.
    pub start: u64,
    /// Where red is.
    pub red: Field,
    /// Where green is.
    pub green: Field,
    /// Where blue is.
    pub blue: Field,
}

/// Switches the framebuffer `device` on, and asks what it looks like. A DRM driver sets its mode only when somebody asks for
/// it, which the kernel's console does where it is not kept away.
///
/// # Errors
/// ENOTTY when it is none; in words when its pixels are of another kind.
pub fn layout(device: BorrowedFd<'_>) -> io::Result<Layout> {
    let (mut var, mut fix) = (VarScreenInfo::default(), FixScreenInfo::default());
    // SAFETY: the request writes one fb_var_screeninfo, which `var` is, and keeps no pointer.
    if unsafe { libc::ioctl(device.as_raw_fd(), FBIOGET_VSCREENINFO as _, &raw mut var) } < 0 {
        return Err(io::Error::last_os_error());
    }
    var.activate = FB_ACTIVATE_FORCE;
    // What cannot be switched on so is on already, or will not show anything: drivers of simple panels know neither.
    // SAFETY: the request reads and writes one fb_var_screeninfo, which `var` is, and keeps no pointer.
    unsafe { libc::ioctl(device.as_raw_fd(), FBIOPUT_VSCREENINFO as _, &raw mut var) };
    // SAFETY: the request takes a number.
    unsafe { libc::ioctl(device.as_raw_fd(), FBIOBLANK as _, FB_BLANK_UNBLANK) };
    // SAFETY: the request writes one fb_fix_screeninfo, which `fix` is, and keeps no pointer.
    if unsafe { libc::ioctl(device.as_raw_fd(), FBIOGET_FSCREENINFO as _, &raw mut fix) } < 0 {
        return Err(io::Error::last_os_error());
    }
    judge(&var, &fix)
}

fn judge(var: &VarScreenInfo, fix: &FixScreenInfo) -> io::Result<Layout> {
    let bytes = var.bits_per_pixel / 8;
    let fields = [var.red, var.green, var.blue];
    let placed = |field: &Bitfield| (1..=8).contains(&field.length) && field.offset + field.length <= bytes * 8;
    let sizes = (1..=16_384).contains(&var.xres) && (1..=16_384).contains(&var.yres);
    let wide = u64::from(var.xoffset) + u64::from(var.xres);
    if fix.kind != FB_TYPE_PACKED_PIXELS
        || !matches!(var.bits_per_pixel, 16 | 24 | 32)
        || !fields.iter().all(placed)
        || !sizes
        || wide * u64::from(bytes) > u64::from(fix.line_length)
    {
        let text =
            format!("a framebuffer of {} bits a pixel cannot be used: expected 16, 24 or 32", var.bits_per_pixel);
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    let [red, green, blue] = fields.map(|field| Field { offset: field.offset, length: field.length });
    let start = u64::from(var.yoffset) * u64::from(fix.line_length) + u64::from(var.xoffset * bytes);
    Ok(Layout { width: var.xres, height: var.yres, bytes, line: fix.line_length, start, red, green, blue })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> (VarScreenInfo, FixScreenInfo) {
        let field = |offset, length| Bitfield { offset, length, msb_right: 0 };
        let var = VarScreenInfo {
            xres: 320,
            yres: 240,
            yoffset: 240,
            bits_per_pixel: 32,
            red: field(16, 8),
            green: field(8, 8),
            blue: field(0, 8),
            ..VarScreenInfo::default()
        };
        (var, FixScreenInfo { line_length: 1280, ..FixScreenInfo::default() })
    }

    #[test]
    fn what_is_seen_may_begin_anywhere() {
        let (var, fix) = info();
        let layout = judge(&var, &fix).expect("a layout");
        assert_eq!((layout.width, layout.height, layout.bytes, layout.start), (320, 240, 4, 240 * 1280));
        assert_eq!(layout.red.place(31, 5), 0xff_0000);
        assert_eq!(layout.green.place(63, 6) | layout.blue.place(0, 5), 0xff00);
    }

    #[test]
    fn other_kinds_of_pixels_are_refused() {
        let refused = |change: fn(&mut VarScreenInfo, &mut FixScreenInfo)| {
            let (mut var, mut fix) = info();
            change(&mut var, &mut fix);
            judge(&var, &fix).is_err()
        };
        assert!(refused(|var, _| var.bits_per_pixel = 8));
        assert!(refused(|var, _| var.red.offset = 30));
        assert!(refused(|var, _| var.red.length = 0));
        assert!(refused(|var, _| var.xres = 0));
        assert!(refused(|_, fix| fix.line_length = 1279));
        assert!(refused(|_, fix| fix.kind = 1));
    }
}
