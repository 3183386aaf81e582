//! The properties of the real elements: those that a board file may name, with the neighbours that one may confuse them
//! with. Type, range, default and flags are those of the sources named in `spec.rs`.

use gstreamer::{self as gst, glib, prelude::*};

/// Nick and number of an enumeration's values are what board files and drivers count on.
macro_rules! enumeration {
    ($rust:ident, $glib:literal, $($variant:ident = $value:literal $nick:literal),+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, glib::Enum)]
        #[enum_type(name = $glib)]
        #[repr(i32)]
        pub enum $rust { $(#[enum_value(name = $nick, nick = $nick)] $variant = $value),+ }
    };
}

enumeration!(MppHeaders, "StandInMppHeaderMode", First = 0 "first-frame", EachIdr = 1 "each-idr");
enumeration!(MppRateControl, "StandInMppRcMode", Vbr = 0 "vbr", Cbr = 1 "cbr", FixQp = 2 "fixqp");
enumeration!(MppProfile, "StandInMppH264Profile", Baseline = 66 "baseline", Main = 77 "main", High = 100 "high");
enumeration!(NvRateControl, "StandInNvRateControl", Variable = 0 "variable_bitrate", Constant = 1 "constant_bitrate");
enumeration!(NvProfile, "StandInNvProfile", Baseline = 0 "Baseline", Main = 2 "Main", High = 4 "High");
enumeration!(NvProfileHevc, "StandInNvProfileHevc", Main = 0 "Main", Main10 = 1 "Main10");
enumeration!(
    NvPreset, "StandInNvPreset",
    Disable = 0 "DisablePreset", UltraFast = 1 "UltraFastPreset", Fast = 2 "FastPreset", Medium = 3 "MediumPreset",
    Slow = 4 "SlowPreset"
);
enumeration!(VaRateControl, "StandInVaRateControl", Cbr = 2 "cbr", Vbr = 4 "vbr", Cqp = 16 "cqp");

fn uint(name: &'static str, min: u32, max: u32, default: u32) -> glib::ParamSpec {
    glib::ParamSpecUInt::builder(name).minimum(min).maximum(max).default_value(default).build()
}

fn int(name: &'static str, min: i32, max: i32, default: i32) -> glib::ParamSpec {
    glib::ParamSpecInt::builder(name).minimum(min).maximum(max).default_value(default).build()
}

fn boolean(name: &'static str, default: bool) -> glib::ParamSpec {
    glib::ParamSpecBoolean::builder(name).default_value(default).build()
}

const LARGEST: u32 = i32::MAX as u32;

fn mpp() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecEnum::builder_with_default("header-mode", MppHeaders::First).build(),
        glib::ParamSpecEnum::builder_with_default("rc-mode", MppRateControl::Cbr).build(),
        int("gop", -1, i32::MAX, -1),
        uint("max-reenc", 0, 3, 1),
        uint("bps", 0, LARGEST, 0),
        uint("bps-min", 0, LARGEST, 0),
        uint("bps-max", 0, LARGEST, 0),
        boolean("zero-copy-pkt", true),
        uint("qp-init", 0, 51, 26),
        uint("qp-min", 0, 51, 0),
        uint("qp-max", 0, 51, 0),
    ]
}

pub fn mpp_h264() -> Vec<glib::ParamSpec> {
    let profile = glib::ParamSpecEnum::builder_with_default("profile", MppProfile::High).build();
    mpp().into_iter().chain([profile, uint("level", 10, 62, 40)]).collect()
}

pub fn mpp_h265() -> Vec<glib::ParamSpec> {
    mpp()
}

fn vpu() -> Vec<glib::ParamSpec> {
    vec![
        uint("bitrate", 0, LARGEST, 0),
        uint("gop-size", 0, 32_767, 30),
        int("quant", -1, 51, -1),
        int("qp-min", 0, 51, 0),
        int("qp-max", 0, 51, 0),
    ]
}

pub fn vpu_h264() -> Vec<glib::ParamSpec> {
    vpu().into_iter().chain([int("profile", 9, 12, 9), int("level", 10, 99, 31)]).collect()
}

pub fn vpu_hevc() -> Vec<glib::ParamSpec> {
    vpu().into_iter().chain([int("profile", 0, 2, 0), int("level", 30, 180, 153)]).collect()
}

fn nv() -> Vec<glib::ParamSpec> {
    let ready = |name, default| {
        glib::ParamSpecUInt::builder(name).maximum(u32::MAX).default_value(default).mutable_ready().build()
    };
    vec![
        ready("bitrate", 4_000_000),
        ready("iframeinterval", 30),
        ready("idrinterval", 256),
        ready("vbv-size", 4_000_000),
        glib::ParamSpecUInt::builder("peak-bitrate").maximum(u32::MAX).mutable_playing().build(),
        glib::ParamSpecEnum::builder_with_default("control-rate", NvRateControl::Constant).mutable_ready().build(),
        glib::ParamSpecEnum::builder_with_default("preset-level", NvPreset::UltraFast).mutable_ready().build(),
        glib::ParamSpecBoolean::builder("maxperf-enable").mutable_ready().build(),
        glib::ParamSpecBoolean::builder("EnableTwopassCBR").mutable_ready().build(),
        boolean("insert-sps-pps", false),
        boolean("insert-vui", false),
        boolean("insert-aud", false),
    ]
}

pub fn nv_h264() -> Vec<glib::ParamSpec> {
    let profile = glib::ParamSpecEnum::builder_with_default("profile", NvProfile::Baseline).mutable_ready().build();
    let frames = glib::ParamSpecUInt::builder("num-B-Frames").maximum(2).mutable_ready().build();
    nv().into_iter().chain([profile, frames, boolean("cabac-entropy-coding", false)]).collect()
}

pub fn nv_h265() -> Vec<glib::ParamSpec> {
    let profile = glib::ParamSpecEnum::builder_with_default("profile", NvProfileHevc::Main).mutable_ready().build();
    nv().into_iter().chain([profile]).collect()
}

pub fn va() -> Vec<glib::ParamSpec> {
    vec![
        uint("key-int-max", 0, 1024, 0),
        uint("b-frames", 0, 31, 0),
        uint("ref-frames", 0, 16, 3),
        uint("target-usage", 1, 7, 4),
        boolean("aud", false),
        glib::ParamSpecUInt::builder("bitrate").maximum(2000 * 1024).mutable_playing().build(),
        glib::ParamSpecUInt::builder("cpb-size").maximum(2000 * 1024).mutable_playing().build(),
        glib::ParamSpecEnum::builder_with_default("rate-control", VaRateControl::Cqp).mutable_playing().build(),
    ]
}

pub fn v4l2() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecInt::builder("device-fd").minimum(-1).default_value(-1).read_only().build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("extra-controls").build(),
    ]
}
