//! What each stand-in of an encoder is: the facts of the real one, with their sources.
//!
//! - mpph264enc, mpph265enc: gst/rockchipmpp/gstmppenc.c, gstmpph264enc.c, gstmpph265enc.c (JeffyCN/mirrors). `bps` in bit/s.
//! - vpuenc_h264, vpuenc_hevc: plugins/vpu/gstvpuenc.c (nxp-imx/imx-gst1.0-plugin). `bitrate` in kbit/s.
//! - nvv4l2h264enc, nvv4l2h265enc: gst-v4l2/gstv4l2videoenc.c, gstv4l2h264enc.c of NVIDIA's L4T sources. `bitrate` in bit/s.
//! - vah264enc, vah264lpenc, vah265lpenc: sys/va/gstvah264enc.c, gstvabaseenc.c (gst-plugins-bad). `bitrate` in kbit/s.
//! - v4l2h264enc, v4l2h265enc: sys/v4l2/gstv4l2videoenc.c (gst-plugins-good 1.22): controls, and no properties for them.

use crate::{driver::Driver, properties};
use gstreamer::glib;
use std::{collections::BTreeMap, sync::Arc};

/// How a real element stands to the profile in the caps after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// It makes what is asked for there.
    Caps,
    /// A property says what it makes, and its caps say what the property says.
    Property,
    /// A property says what it makes, and its caps repeat what was asked for.
    PropertyUnchecked,
    /// It makes Main, and its caps name no profile: a filter after it adds what it asks for.
    Unnamed,
}

/// An element.
pub struct Spec {
    pub name: &'static str,
    pub hevc: bool,
    pub sink: &'static str,
    pub src: &'static str,
    pub properties: fn() -> Vec<glib::ParamSpec>,
    pub profile: Profile,
    /// Whether the event GstForceKeyUnit reaches the hardware.
    pub event: bool,
    /// Whether a V4L2 driver is behind it.
    pub v4l2: bool,
    pub orders: fn(&Settings) -> Option<Orders>,
}

/// What an encoder is told, in units of its own made one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orders {
    /// Bit/s; none: a constant quality, whatever the bitrate says.
    pub bits: Option<u64>,
    /// Pictures between two IDR.
    pub interval: u32,
    /// What a property says of the profile, as caps write it.
    pub profile: Option<&'static str>,
    /// The coarsest quantisation that is allowed.
    pub qp_max: u32,
    /// A new bitrate begins a new GOP.
    pub restarts: bool,
}

/// The properties and controls of an element.
pub struct Settings {
    pub values: BTreeMap<String, glib::Value>,
    pub driver: Option<Arc<Driver>>,
}

impl Settings {
    fn uint(&self, name: &str) -> Option<u64> {
        Some(self.values.get(name)?.get::<u32>().ok()?.into())
    }

    fn int(&self, name: &str) -> Option<i32> {
        self.values.get(name)?.get().ok()
    }

    fn nick(&self, name: &str) -> Option<String> {
        Some(glib::EnumValue::from_value(self.values.get(name)?)?.1.nick().to_owned())
    }

    fn is(&self, name: &str, nick: &str) -> bool {
        self.nick(name).as_deref() == Some(nick)
    }

    fn control(&self, name: &str) -> Option<i64> {
        self.driver.as_ref()?.value(name)
    }
}

fn mpp(settings: &Settings) -> Option<Orders> {
    Some(Orders {
        bits: if settings.is("rc-mode", "cbr") { settings.uint("bps") } else { None },
        interval: u32::try_from(settings.int("gop")?).ok()?,
        profile: match settings.nick("profile").as_deref() {
            Some("baseline") => Some("baseline"),
            Some("main") => Some("main"),
            Some("high") => Some("high"),
            _ => None,
        },
        // gst_mpp_h264_enc_update_properties() of the plugin's older versions.
        qp_max: settings.uint("qp-max").filter(|qp| *qp > 0).map_or(28, |qp| qp as u32),
        restarts: false,
    })
}

fn vpu(settings: &Settings) -> Option<Orders> {
    Some(Orders {
        bits: Some(settings.uint("bitrate")? * 1000),
        interval: settings.uint("gop-size")? as u32,
        profile: match settings.int("profile")? {
            9 => Some("baseline"),
            11 => Some("high"),
            _ => Some("main"),
        },
        qp_max: 51,
        restarts: false,
    })
}

fn nv(settings: &Settings) -> Option<Orders> {
    Some(Orders {
        bits: if settings.is("control-rate", "constant_bitrate") { settings.uint("bitrate") } else { None },
        interval: settings.uint("idrinterval")? as u32,
        profile: match settings.nick("profile")?.as_str() {
            "Baseline" => Some("baseline"),
            "High" => Some("high"),
            _ => Some("main"),
        },
        qp_max: 51,
        restarts: false,
    })
}

fn va(settings: &Settings) -> Option<Orders> {
    Some(Orders {
        bits: if settings.is("rate-control", "cbr") { Some(settings.uint("bitrate")? * 1000) } else { None },
        interval: settings.uint("key-int-max")? as u32,
        profile: None,
        qp_max: 51,
        restarts: true,
    })
}

fn v4l2(settings: &Settings) -> Option<Orders> {
    let bcm2835 = settings.driver.as_ref()?.is_bcm2835;
    let interval = if bcm2835 { "h264_i_frame_period" } else { "video_gop_size" };
    let constant = settings.control("video_bitrate_mode")? == 1;
    let controlled = bcm2835 || settings.control("frame_level_rate_control_enable")? == 1;
    Some(Orders {
        bits: if constant && controlled { u64::try_from(settings.control("video_bitrate")?).ok() } else { None },
        interval: u32::try_from(settings.control(interval)?).ok()?,
        profile: None,
        qp_max: 51,
        restarts: false,
    })
}

const SYSTEM_NV12: &str = "video/x-raw,format=NV12";
const H264: &str = "video/x-h264,stream-format=byte-stream,alignment=au";
const H265: &str = "video/x-h265,stream-format=byte-stream,alignment=au";
const NVMM: &str = "video/x-raw(memory:NVMM),format={I420,NV12,P010_10LE}";
const VA: &str = "video/x-raw(memory:VAMemory),format=NV12;video/x-raw,format=NV12";
const VPU: &str =
    "video/x-raw,format={NV12,I420,YUY2,UYVY,RGBA,RGBx,RGB16,RGB15,BGRA,BGRx,BGR16},width=[64,1920],height=[64,1088]";
/// Of the widths that the element takes, those that the chip is known to survive (rockchip-linux/mpp#557).
const MPP: &str =
    "video/x-raw,format={NV12,I420,YUY2,UYVY,NV16,NV24,RGB16,BGR16,BGRx,RGBx},width=[64,8192,64],height=[64,8192]";

/// All encoders.
pub const MPP_H264: Spec = Spec {
    name: "mpph264enc",
    hevc: false,
    sink: MPP,
    src: "video/x-h264,stream-format=byte-stream,alignment=au,profile={baseline,main,high}",
    properties: properties::mpp_h264,
    profile: Profile::Property,
    event: true,
    v4l2: false,
    orders: mpp,
};
pub const MPP_H265: Spec = Spec {
    name: "mpph265enc",
    hevc: true,
    src: H265,
    properties: properties::mpp_h265,
    profile: Profile::Unnamed,
    ..MPP_H264
};
pub const VPU_H264: Spec = Spec {
    name: "vpuenc_h264",
    sink: VPU,
    src: "video/x-h264,stream-format={avc,byte-stream},alignment={au,nal}",
    properties: properties::vpu_h264,
    profile: Profile::PropertyUnchecked,
    orders: vpu,
    ..MPP_H264
};
pub const VPU_HEVC: Spec = Spec {
    name: "vpuenc_hevc",
    hevc: true,
    src: "video/x-h265,variant=itu,width=[64,1920],height=[64,1088]",
    properties: properties::vpu_hevc,
    profile: Profile::Unnamed,
    ..VPU_H264
};
pub const NV_H264: Spec = Spec {
    name: "nvv4l2h264enc",
    sink: NVMM,
    src: H264,
    properties: properties::nv_h264,
    profile: Profile::PropertyUnchecked,
    event: false,
    orders: nv,
    ..MPP_H264
};
pub const NV_H265: Spec = Spec {
    name: "nvv4l2h265enc",
    hevc: true,
    src: H265,
    properties: properties::nv_h265,
    profile: Profile::Unnamed,
    ..NV_H264
};
pub const VA_H264: Spec = Spec {
    name: "vah264enc",
    sink: VA,
    src: "video/x-h264,stream-format=byte-stream,alignment=au,profile={main,high,constrained-baseline}",
    properties: properties::va,
    profile: Profile::Caps,
    orders: va,
    ..MPP_H264
};
pub const VA_H264_LP: Spec = Spec { name: "vah264lpenc", ..VA_H264 };
pub const VA_H265_LP: Spec = Spec {
    name: "vah265lpenc",
    hevc: true,
    src: "video/x-h265,stream-format=byte-stream,alignment=au,profile={main,main-10}",
    ..VA_H264
};
/// GStreamer 1.22 passes no event on to the driver.
pub const V4L2_H264: Spec = Spec {
    name: "v4l2h264enc",
    sink: SYSTEM_NV12,
    src: H264,
    properties: properties::v4l2,
    profile: Profile::Caps,
    event: false,
    v4l2: true,
    orders: v4l2,
    ..MPP_H264
};
pub const V4L2_H265: Spec = Spec { name: "v4l2h265enc", hevc: true, src: H265, profile: Profile::Unnamed, ..V4L2_H264 };
