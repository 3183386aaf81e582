//! The stand-ins of encoders: one GObject class each, all of one behaviour.

use crate::{
    coder::Coder,
    converter,
    driver::Driver,
    log,
    spec::{self, Orders, Profile, Settings, Spec},
};
use glib::subclass::prelude::*;
use gst::{prelude::*, subclass::prelude::*};
use gst_video::{prelude::*, subclass::prelude::*};
use gstreamer::{self as gst, glib};
use gstreamer_video as gst_video;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// A property's value.
struct Held(glib::Value);

// SAFETY: the properties in `properties.rs` are numbers, enumerations and structures of such, which belong to no thread.
unsafe impl Send for Held {}

/// What every stand-in has.
#[derive(Default)]
pub struct Shared {
    values: Mutex<BTreeMap<String, Held>>,
    driver: OnceLock<Option<Arc<Driver>>>,
    running: AtomicBool,
    keyframe: AtomicBool,
    work: Mutex<Option<(Coder, Orders)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn set(&self, spec: &Spec, value: &glib::Value, known: &glib::ParamSpec) {
        let text = match glib::EnumValue::from_value(value) {
            Some((_, value)) => value.nick().to_owned(),
            None => value.serialize().map(|text| text.replace(' ', "")).unwrap_or_default().to_string(),
        };
        log::line(&format!(
            "property {} {} {text} {}",
            spec.name,
            known.name(),
            log::phase(self.running.load(Relaxed))
        ));
        lock(&self.values).insert(known.name().into(), Held(value.clone()));
    }

    fn get(&self, known: &glib::ParamSpec) -> glib::Value {
        if known.name() == "device-fd" {
            return self.driver().map_or(-1, |driver| driver.fd()).to_value();
        }
        lock(&self.values).get(known.name()).map_or(known.default_value(), |held| &held.0).clone()
    }

    fn driver(&self) -> Option<&Arc<Driver>> {
        self.driver.get().and_then(Option::as_ref)
    }

    fn settings(&self, spec: &Spec) -> Settings {
        let mut values: BTreeMap<String, glib::Value> =
            (spec.properties)().iter().map(|known| (known.name().into(), known.default_value().clone())).collect();
        values.extend(lock(&self.values).iter().map(|(name, held)| (name.clone(), held.0.clone())));
        Settings { values, driver: self.driver().cloned() }
    }

    fn open(&self, spec: &Spec) -> Result<(), gst::ErrorMessage> {
        if !spec.v4l2 {
            return Ok(());
        }
        let broken = |what: String| gst::error_msg!(gst::ResourceError::OpenReadWrite, ["{what}"]);
        let driver = self.driver.get_or_init(|| Driver::open(spec.name));
        let driver = driver.as_ref().ok_or_else(|| broken("there is no such device".into()))?;
        let controls = lock(&self.values).get("extra-controls").and_then(|held| held.0.get::<gst::Structure>().ok());
        for (name, value) in controls.iter().flat_map(|controls| controls.iter()) {
            let value = value.get::<i32>().map_err(|_| broken(format!("{name} is not a number")))?;
            // The real element only warns, and goes on with what the driver has.
            driver.set_by_name(name, value.into()).map_err(|code| broken(format!("{name}={value}: error {code}")))?;
        }
        Ok(())
    }

    /// What comes out, and how: decided from the settings and from what is asked for downstream.
    fn set_format(
        &self,
        spec: &Spec,
        element: &gst_video::VideoEncoder,
        state: &gst_video::VideoCodecState<'static, gst_video::video_codec_state::Readable>,
    ) -> Result<(), gst::LoggableError> {
        let refused = |why: &str| {
            log::line(&format!("refused {} {why}", spec.name));
            gst::loggable_error!(gst::CAT_RUST, "{why}")
        };
        let orders = (spec.orders)(&self.settings(spec)).ok_or_else(|| refused("incomplete settings"))?;
        let mut caps = element.src_pad().allowed_caps().ok_or_else(|| refused("nobody takes it"))?;
        if caps.is_empty() {
            return Err(refused("no common caps"));
        }
        caps.fixate();
        let asked = |field: &str| caps.structure(0).and_then(|caps| caps.get::<String>(field).ok());
        let (asked_profile, level) = (asked("profile"), asked("level"));
        if spec.v4l2 && self.driver().is_some_and(|driver| driver.is_bcm2835) {
            // raspberrypi/linux#3974 and #4906, #4739: here the real driver fails, or hangs.
            let enough = level.as_ref().is_some_and(|level| level.starts_with(['3', '4']));
            let rate = state.info().fps();
            if !enough || rate.numer() < 9 * rate.denom() {
                return Err(refused("No such process"));
            }
        }
        let profile = match spec.profile {
            Profile::Caps => asked_profile.clone(),
            Profile::Property | Profile::PropertyUnchecked => orders.profile.map(String::from),
            Profile::Unnamed => None,
        };
        let profile = profile.unwrap_or_else(|| "main".into());
        let pictures = system_caps(state.info()).ok_or_else(|| refused("unknown pictures"))?;
        let coder = Coder::start(spec.hevc, &pictures, &orders, &profile, level.as_deref());
        let coder = coder.ok_or_else(|| refused("the software inside does not start"))?;
        let bits = orders.bits.map_or("none".into(), |bits| bits.to_string());
        log::line(&format!("start {} bits={bits} interval={}", spec.name, orders.interval));
        *lock(&self.work) = Some((coder, orders));
        let out = caps.make_mut();
        out.set("stream-format", "byte-stream");
        out.set("alignment", "au");
        match spec.profile {
            Profile::Property => out.set("profile", &profile),
            Profile::Unnamed => {
                if let Some(structure) = out.structure_mut(0) {
                    structure.remove_field("profile");
                }
            }
            Profile::Caps | Profile::PropertyUnchecked => {}
        }
        let output = element.set_output_state(caps, Some(state));
        let output = output.map_err(|_| refused("no output state"))?;
        element.negotiate(output).map_err(|_| refused("its caps are not taken"))
    }

    fn encode(
        &self,
        spec: &Spec,
        element: &gst_video::VideoEncoder,
        mut frame: gst_video::VideoCodecFrame,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let forced = frame.flags().contains(gst_video::VideoCodecFrameFlags::FORCE_KEYFRAME) && spec.event;
        let by_driver = self.driver().is_some_and(|driver| driver.keyframe.swap(false, Relaxed));
        let mut keyframe = self.keyframe.swap(false, Relaxed) | by_driver | forced;
        let mut work = lock(&self.work);
        let (coder, before) = work.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let orders = (spec.orders)(&self.settings(spec)).ok_or(gst::FlowError::Error)?;
        if orders.bits != before.bits
            && let Some(bits) = orders.bits
        {
            coder.set_bitrate(bits);
            keyframe |= orders.restarts;
        }
        *before = orders;
        let buffer = frame.input_buffer_owned().ok_or(gst::FlowError::Error)?;
        let picture = converter::picture(&buffer).unwrap_or(buffer);
        let (unit, key) = coder.encode(picture, keyframe).ok_or(gst::FlowError::Error)?;
        drop(work);
        if key {
            frame.set_flags(gst_video::VideoCodecFrameFlags::SYNC_POINT);
        }
        frame.set_output_buffer(gst::Buffer::from_mut_slice(unit));
        self.running.store(true, Relaxed);
        if let Some(driver) = self.driver() {
            driver.running.store(true, Relaxed);
        }
        element.finish_frame(frame)
    }
}

/// The caps of pictures once they are in the system's memory.
fn system_caps(info: &gst_video::VideoInfo) -> Option<gst::Caps> {
    info.to_caps().ok()
}

macro_rules! stand_ins {
    ($($module:ident $class:literal $spec:expr, $signal:expr;)*) => {
        $(mod $module {
            use super::*;

            #[derive(Default)]
            pub struct Imp(Shared);

            glib::wrapper! {
                pub struct Encoder(ObjectSubclass<Imp>)
                    @extends gst_video::VideoEncoder, gst::Element, gst::Object;
            }

            #[glib::object_subclass]
            impl ObjectSubclass for Imp {
                const NAME: &'static str = $class;
                type Type = Encoder;
                type ParentType = gst_video::VideoEncoder;
            }

            impl ObjectImpl for Imp {
                fn properties() -> &'static [glib::ParamSpec] {
                    static PROPERTIES: OnceLock<Vec<glib::ParamSpec>> = OnceLock::new();
                    PROPERTIES.get_or_init($spec.properties)
                }

                fn signals() -> &'static [glib::subclass::Signal] {
                    static SIGNALS: OnceLock<Vec<glib::subclass::Signal>> = OnceLock::new();
                    SIGNALS.get_or_init(|| {
                        let name: Option<&'static str> = $signal;
                        let signal = |name: &'static str| {
                            glib::subclass::Signal::builder(name).run_last().action().class_handler(move |arguments| {
                                log::line(&format!("signal {} {name}", $spec.name));
                                let element = arguments.first()?.get::<Encoder>().ok()?;
                                element.imp().0.keyframe.store(true, Relaxed);
                                None
                            }).build()
                        };
                        name.map(signal).into_iter().collect()
                    })
                }

                fn set_property(&self, _id: usize, value: &glib::Value, known: &glib::ParamSpec) {
                    self.0.set(&$spec, value, known);
                }

                fn property(&self, _id: usize, known: &glib::ParamSpec) -> glib::Value {
                    self.0.get(known)
                }
            }

            impl GstObjectImpl for Imp {}

            impl ElementImpl for Imp {
                fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
                    static METADATA: OnceLock<gst::subclass::ElementMetadata> = OnceLock::new();
                    Some(METADATA.get_or_init(|| gst::subclass::ElementMetadata::new(
                        concat!("Stand-in: ", stringify!($module)), "Codec/Encoder/Video",
                        "A software encoder that looks like a hardware one", "fieldcast",
                    )))
                }

                fn pad_templates() -> &'static [gst::PadTemplate] {
                    static TEMPLATES: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
                    TEMPLATES.get_or_init(|| templates(&$spec))
                }
            }

            impl VideoEncoderImpl for Imp {
                fn open(&self) -> Result<(), gst::ErrorMessage> {
                    self.0.open(&$spec)
                }

                fn set_format(
                    &self,
                    state: &gst_video::VideoCodecState<'static, gst_video::video_codec_state::Readable>,
                ) -> Result<(), gst::LoggableError> {
                    self.0.set_format(&$spec, self.obj().upcast_ref(), state)
                }

                fn handle_frame(
                    &self,
                    frame: gst_video::VideoCodecFrame,
                ) -> Result<gst::FlowSuccess, gst::FlowError> {
                    self.0.encode(&$spec, self.obj().upcast_ref(), frame)
                }
            }
        })*

        pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
            $(gst::Element::register(Some(plugin), $spec.name, gst::Rank::NONE, $module::Encoder::static_type())?;)*
            Ok(())
        }
    };
}

fn templates(spec: &Spec) -> Vec<gst::PadTemplate> {
    let pad = |name, direction, caps: &str| {
        let caps: gst::Caps = caps.parse().expect("caps");
        gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).expect("a template")
    };
    vec![pad("sink", gst::PadDirection::Sink, spec.sink), pad("src", gst::PadDirection::Src, spec.src)]
}

stand_ins! {
    mpph264enc "StandInMppH264Enc" spec::MPP_H264, None;
    mpph265enc "StandInMppH265Enc" spec::MPP_H265, None;
    vpuenc_h264 "StandInVpuH264Enc" spec::VPU_H264, None;
    vpuenc_hevc "StandInVpuHevcEnc" spec::VPU_HEVC, None;
    nvv4l2h264enc "StandInNvH264Enc" spec::NV_H264, Some("force-IDR");
    nvv4l2h265enc "StandInNvH265Enc" spec::NV_H265, Some("force-IDR");
    vah264enc "StandInVaH264Enc" spec::VA_H264, None;
    vah264lpenc "StandInVaH264LpEnc" spec::VA_H264_LP, None;
    vah265lpenc "StandInVaH265LpEnc" spec::VA_H265_LP, None;
    v4l2h264enc "StandInV4l2H264Enc" spec::V4L2_H264, None;
    v4l2h265enc "StandInV4l2H265Enc" spec::V4L2_H265, None;
}
