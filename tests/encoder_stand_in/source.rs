//! The stand-in of `v4l2src`: a test picture in whatever raw format the plan asks of the node, live, with noise in a corner.

use glib::subclass::prelude::*;
use gst::{prelude::*, subclass::prelude::*};
use gstreamer::{self as gst, glib};
use std::sync::{Mutex, OnceLock, PoisonError};

#[derive(Default)]
pub struct Imp(Mutex<Option<String>>);

glib::wrapper! {
    pub struct Source(ObjectSubclass<Imp>) @extends gst::Bin, gst::Element, gst::Object, @implements gst::ChildProxy;
}

#[glib::object_subclass]
impl ObjectSubclass for Imp {
    const NAME: &'static str = "StandInV4l2Src";
    type Type = Source;
    type ParentType = gst::Bin;
}

impl ObjectImpl for Imp {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: OnceLock<Vec<glib::ParamSpec>> = OnceLock::new();
        PROPERTIES.get_or_init(|| vec![glib::ParamSpecString::builder("device").build()])
    }

    fn set_property(&self, _id: usize, value: &glib::Value, _known: &glib::ParamSpec) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value.get().ok();
    }

    fn property(&self, _id: usize, _known: &glib::ParamSpec) -> glib::Value {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).to_value()
    }

    fn constructed(&self) {
        self.parent_constructed();
        let source = gst::ElementFactory::make("videotestsrc").property("is-live", true).build();
        let (Ok(source), bin) = (source, self.obj()) else { return };
        let Some(pad) = source.static_pad("src").filter(|_| bin.add(&source).is_ok()) else { return };
        if let Ok(ghost) = gst::GhostPad::builder_with_target(&pad).map(|builder| builder.name("src").build()) {
            let _ = bin.add_pad(&ghost);
        }
    }
}

impl GstObjectImpl for Imp {}

impl ElementImpl for Imp {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: OnceLock<gst::subclass::ElementMetadata> = OnceLock::new();
        Some(METADATA.get_or_init(|| {
            gst::subclass::ElementMetadata::new("Stand-in: v4l2src", "Source/Video", "A test picture", "fieldcast")
        }))
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
        TEMPLATES.get_or_init(|| {
            let caps = gst::Caps::builder("video/x-raw").build();
            let (direction, presence) = (gst::PadDirection::Src, gst::PadPresence::Always);
            vec![gst::PadTemplate::new("src", direction, presence, &caps).expect("a template")]
        })
    }
}

impl BinImpl for Imp {}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "v4l2src", gst::Rank::NONE, Source::static_type())
}
