//! A stand-in for the hardware encoders and converters of the boards, and for the camera: a GStreamer plugin whose elements
//! have the names, properties, units and caps that the documentation of the real ones says, and a software encoder inside.
//! Each file names its sources. What it cannot tell: whether the documentation is right, and how fast the hardware is.
//!
//! It writes what it is told into the file named by `STAND_IN_LOG`, one line each (`log.rs`). `STAND_IN_DRIVER` names the
//! kernel driver that is to be behind `v4l2h264enc` and `v4l2h265enc`; for its controls to be reached by ioctl(2), this
//! library has to be preloaded (`driver.rs`).
#![allow(unsafe_code, missing_docs, reason = "GObject's macros, and ioctl(2); and nothing here is a library to anyone")]

mod coder;
mod converter;
mod driver;
mod encoder;
mod log;
mod properties;
mod source;
mod spec;

use gstreamer::{self as gst, glib};

fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    encoder::register(plugin)?;
    converter::register(plugin)?;
    source::register(plugin)
}

gst::plugin_define!(
    encoder_stand_in,
    "Stand-ins for hardware encoders",
    register,
    "0.1",
    "MIT/X11",
    "fieldcast",
    "fieldcast",
    "tests/encoder_stand_in"
);
