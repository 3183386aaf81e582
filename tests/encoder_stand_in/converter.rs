//! The stand-ins of scalers and colour converters: what goes in and comes out is limited by the caps of the real ones.
//!
//! - v4l2convert: the ISP of the Raspberry Pi 4 (bcm2835-isp).
//! - imxvideoconvert_g2d: libs/device-2d/imx_2d_device_g2d.c (nxp-imx/imx-gst1.0-plugin), g2d_format_map of the i.MX 8M Plus.
//! - nvvidconv: "Accelerated GStreamer" of NVIDIA's Jetson Linux Developer Guide.
//! - vapostproc: sys/va/gstvavpp.c (gst-plugins-bad).
//!
//! Pictures in a device's memory are 64 bytes of nothing with the picture hidden in a meta, so that whoever reads them as if
//! they were in the system's gets no picture.

use glib::subclass::prelude::*;
use gst::{prelude::*, subclass::prelude::*};
use gst_base::subclass::{
    BaseTransformMode,
    base_transform::{InputBuffer, PrepareOutputBufferSuccess},
    prelude::*,
};
use gstreamer::{self as gst, glib};
use gstreamer_video::{self as gst_video, gst_base};
use std::sync::{Mutex, OnceLock, PoisonError};

const SURFACE: &str = "fieldcast-stand-in-surface";
const HANDLE: usize = 64;

/// The picture that a buffer in a device's memory stands for; none: it is in the system's memory.
pub fn picture(buffer: &gst::Buffer) -> Option<gst::Buffer> {
    let meta = gst::meta::CustomMeta::from_buffer(buffer, SURFACE).ok()?;
    meta.structure().get("picture").ok()
}

fn is_device(caps: &gst::Caps) -> bool {
    caps.features(0).is_some_and(|features| features.iter().any(|feature| feature != "memory:SystemMemory"))
}

struct Formats {
    from: gst_video::VideoInfo,
    to: gst_video::VideoInfo,
    to_device: bool,
    converter: gst_video::VideoConverter,
}

#[derive(Default)]
pub struct Shared(Mutex<Option<Formats>>);

impl Shared {
    fn set_caps(&self, from: &gst::Caps, to: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = |caps: &gst::Caps| gst_video::VideoInfo::from_caps(caps);
        let refused = |error: glib::BoolError| gst::loggable_error!(gst::CAT_RUST, "{error}");
        let (from, to, to_device) = (info(from).map_err(refused)?, info(to).map_err(refused)?, is_device(to));
        let converter = gst_video::VideoConverter::new(&from, &to, None).map_err(refused)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Formats { from, to, to_device, converter });
        Ok(())
    }

    fn output(&self, from: &gst::BufferRef) -> Result<gst::Buffer, gst::FlowError> {
        let formats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let formats = formats.as_ref().ok_or(gst::FlowError::NotNegotiated)?;
        let size = if formats.to_device { HANDLE } else { formats.to.size() };
        let mut buffer = gst::Buffer::with_size(size).map_err(|_| gst::FlowError::Error)?;
        let stamped = gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::FLAGS;
        from.copy_into(buffer.make_mut(), stamped, ..).map_err(|_| gst::FlowError::Error)?;
        Ok(buffer)
    }

    fn convert(&self, from: &gst::Buffer, to: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        let formats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let formats = formats.as_ref().ok_or(gst::FlowError::NotNegotiated)?;
        let failed = |_: glib::BoolError| gst::FlowError::Error;
        let from = picture(from).unwrap_or_else(|| from.clone());
        let source = gst_video::VideoFrameRef::from_buffer_ref_readable(&from, &formats.from).map_err(failed)?;
        if formats.to_device {
            let mut surface = gst::Buffer::with_size(formats.to.size()).map_err(failed)?;
            {
                let surface = surface.make_mut();
                let mut sink =
                    gst_video::VideoFrameRef::from_buffer_ref_writable(surface, &formats.to).map_err(failed)?;
                formats.converter.frame_ref(&source, &mut sink);
            }
            let mut meta = gst::meta::CustomMeta::add(to, SURFACE).map_err(failed)?;
            meta.mut_structure().set("picture", surface);
        } else {
            let mut sink = gst_video::VideoFrameRef::from_buffer_ref_writable(to, &formats.to).map_err(failed)?;
            formats.converter.frame_ref(&source, &mut sink);
        }
        Ok(gst::FlowSuccess::Ok)
    }
}

/// What `other` can be when this side is `caps`: the rate and the shape of pixels stay.
fn across(caps: &gst::Caps, other: &gst::Caps) -> gst::Caps {
    let mut all = gst::Caps::new_empty();
    for structure in caps.iter() {
        for (there, features) in other.iter_with_features() {
            let mut there = there.to_owned();
            for field in ["framerate", "pixel-aspect-ratio"] {
                if let Ok(value) = structure.value(field) {
                    there.set_value(field, value.clone());
                }
            }
            all.make_mut().append_structure_full(there, Some(features.to_owned()));
        }
    }
    all
}

macro_rules! stand_ins {
    ($($module:ident $class:literal $sink:expr, $src:expr;)*) => {
        $(mod $module {
            use super::*;

            #[derive(Default)]
            pub struct Imp(Shared);

            glib::wrapper! {
                pub struct Converter(ObjectSubclass<Imp>)
                    @extends gst_base::BaseTransform, gst::Element, gst::Object;
            }

            #[glib::object_subclass]
            impl ObjectSubclass for Imp {
                const NAME: &'static str = $class;
                type Type = Converter;
                type ParentType = gst_base::BaseTransform;
            }

            impl ObjectImpl for Imp {}
            impl GstObjectImpl for Imp {}

            impl ElementImpl for Imp {
                fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
                    static METADATA: OnceLock<gst::subclass::ElementMetadata> = OnceLock::new();
                    Some(METADATA.get_or_init(|| gst::subclass::ElementMetadata::new(
                        concat!("Stand-in: ", stringify!($module)), "Filter/Converter/Video/Scaler",
                        "A software converter that looks like a hardware one", "fieldcast",
                    )))
                }

                fn pad_templates() -> &'static [gst::PadTemplate] {
                    static TEMPLATES: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
                    TEMPLATES.get_or_init(|| templates($sink, $src))
                }
            }

            impl BaseTransformImpl for Imp {
                const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
                const PASSTHROUGH_ON_SAME_CAPS: bool = false;
                const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

                fn transform_caps(
                    &self,
                    direction: gst::PadDirection,
                    caps: &gst::Caps,
                    filter: Option<&gst::Caps>,
                ) -> Option<gst::Caps> {
                    let other = if direction == gst::PadDirection::Sink { $src } else { $sink };
                    let all = across(caps, &other.parse().ok()?);
                    Some(filter.map_or(all.clone(), |filter| filter.intersect_with_mode(&all, gst::CapsIntersectMode::First)))
                }

                fn fixate_caps(
                    &self,
                    _direction: gst::PadDirection,
                    caps: &gst::Caps,
                    mut other: gst::Caps,
                ) -> gst::Caps {
                    other.truncate();
                    if let (Some(this), Some(other)) = (caps.structure(0), other.make_mut().structure_mut(0)) {
                        for field in ["width", "height"] {
                            if let Ok(size) = this.get::<i32>(field) {
                                other.fixate_field_nearest_int(field, size);
                            }
                        }
                    }
                    other.fixate();
                    other
                }

                fn set_caps(&self, from: &gst::Caps, to: &gst::Caps) -> Result<(), gst::LoggableError> {
                    self.0.set_caps(from, to)
                }

                fn transform_size(
                    &self,
                    _direction: gst::PadDirection,
                    _caps: &gst::Caps,
                    _size: usize,
                    other: &gst::Caps,
                ) -> Option<usize> {
                    let info = gst_video::VideoInfo::from_caps(other).ok()?;
                    Some(if is_device(other) { HANDLE } else { info.size() })
                }

                fn prepare_output_buffer(
                    &self,
                    from: InputBuffer,
                ) -> Result<PrepareOutputBufferSuccess, gst::FlowError> {
                    let from = match from {
                        InputBuffer::Writable(buffer) => &*buffer,
                        InputBuffer::Readable(buffer) => buffer,
                    };
                    self.0.output(from).map(PrepareOutputBufferSuccess::Buffer)
                }

                fn transform(
                    &self,
                    from: &gst::Buffer,
                    to: &mut gst::BufferRef,
                ) -> Result<gst::FlowSuccess, gst::FlowError> {
                    self.0.convert(from, to)
                }
            }
        })*

        pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
            gst::meta::CustomMeta::register_simple(SURFACE);
            $(gst::Element::register(
                Some(plugin), stringify!($module), gst::Rank::NONE, $module::Converter::static_type(),
            )?;)*
            Ok(())
        }
    };
}

fn templates(sink: &str, src: &str) -> Vec<gst::PadTemplate> {
    let pad = |name, direction, caps: &str| {
        let caps: gst::Caps = caps.parse().expect("caps");
        gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).expect("a template")
    };
    vec![pad("sink", gst::PadDirection::Sink, sink), pad("src", gst::PadDirection::Src, src)]
}

const ISP: &str = "video/x-raw,format={I420,YV12,NV12,NV21,YUY2,YVYU,UYVY,VYUY,RGB,BGR,RGBx,BGRx,RGB16}";
const G2D_IN: &str =
    "video/x-raw,format={RGB16,RGBx,RGBA,BGRA,BGRx,BGR16,I420,NV12,UYVY,YUY2,YVYU,YV12,NV16,NV21,VYUY}";
const G2D_OUT: &str = "video/x-raw,format={RGB16,RGBx,RGBA,BGRA,BGRx,BGR16,UYVY,YUY2,NV12}";
const NVVIDCONV: &str = "video/x-raw(memory:NVMM),format={I420,UYVY,YUY2,YVYU,NV12,GRAY8,BGRx,RGBA};\
                         video/x-raw,format={I420,UYVY,YUY2,YVYU,NV12,GRAY8,BGRx,RGBA}";
const VAPOSTPROC: &str = "video/x-raw(memory:VAMemory),format={NV12,YV12,I420,YUY2,UYVY,BGRx,RGBA};\
                          video/x-raw,format={NV12,YV12,I420,YUY2,UYVY,BGRx,RGBA}";

stand_ins! {
    v4l2convert "StandInV4l2Convert" ISP, ISP;
    imxvideoconvert_g2d "StandInG2d" G2D_IN, G2D_OUT;
    nvvidconv "StandInNvvidconv" NVVIDCONV, NVVIDCONV;
    vapostproc "StandInVaPostProc" VAPOSTPROC, VAPOSTPROC;
}
