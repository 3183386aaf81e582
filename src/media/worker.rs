//! The worker's life: reads its plan, runs it, takes orders, and ends with its daemon.

use super::{
    Card, Failure, FailureKind, Order, Plan, Report, confine,
    link::Link,
    pipeline::{self, Pipeline},
    still,
    wire::{Request, Requests},
};
use crate::{sys, units::Time};
use bytes::{Bytes, BytesMut};
use gstreamer as gst;
use std::{
    io::{self, Read},
    os::{fd::AsFd, unix::net::UnixStream},
    sync::Arc,
    time::Duration,
};

/// How often the worker says that it lives, and how its pipeline flows.
const ALIVE: Duration = Duration::from_millis(250);

/// Runs the plan that comes in on the standard input, until that is closed or something fails. Never returns: a pipeline
/// cannot be taken down for certain, a process can.
pub fn run() -> ! {
    // The daemon may be gone before this; then the socket is closed, which ends us as well.
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)) {
        eprintln!("cannot be bound to the daemon's life: {error}");
    }
    // Short of memory, the kernel is to end a worker before the daemon.
    let _ = std::fs::write("/proc/self/oom_score_adj", "300");
    if let Err(error) = confine::confine() {
        eprintln!("goes on without all of its confinement: {error}");
    }
    let (requests, link) = match connect() {
        Ok(ends) => ends,
        Err(error) => {
            eprintln!("the standard input has to be the daemon's socket: {error}");
            sys::exit_now(2)
        }
    };
    let mut requests = Orders { socket: requests, reader: Requests::default() };
    let plan = match requests.next() {
        Ok(Some(Request::Plan(plan))) => plan,
        Ok(Some(_)) => link.fail(FailureKind::Other, "something before a plan"),
        Ok(None) => sys::exit_now(0),
        Err(error) => link.fail(FailureKind::Other, format!("no plan: {error}")),
    };
    match start(&plan, &mut requests, &link) {
        Ok(pipeline) => {
            let pipeline = Arc::new(pipeline);
            let (orders, told) = (pipeline.clone(), link.clone());
            if let Err(error) =
                std::thread::Builder::new().name("orders".into()).spawn(move || requests.follow(&orders, &told))
            {
                link.fail(FailureKind::Other, format!("no thread: {error}"));
            }
            watch(&pipeline, &link)
        }
        Err(Failure { kind, text }) => link.fail(kind, text),
    }
}

/// Both directions of the socket on the standard input.
fn connect() -> io::Result<(UnixStream, Arc<Link>)> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Fails here and not at the first report when it is a terminal or a pipe.
    socket.peer_addr()?;
    Ok((socket.try_clone()?, Arc::new(Link::new(socket))))
}

fn start(plan: &Plan, requests: &mut Orders, link: &Arc<Link>) -> Result<Pipeline, Failure> {
    gst::init().map_err(|error| Failure { kind: FailureKind::Other, text: error.to_string() })?;
    match plan {
        Plan::Video(plan) => Pipeline::video(plan, link),
        Plan::Audio(plan) => Pipeline::audio(plan, link),
        // It is made beside live pictures, which come first. It takes no orders, and when the daemon goes it ends with its next report.
        Plan::Still(plan) => {
            let _ = rustix::process::nice(19);
            let file = match plan.card {
                Card::Picture(_) => requests.file()?,
                Card::Name(_) | Card::Bars => Bytes::new(),
            };
            Err(match still::encode(plan, &file, link) {
                Ok(()) => sys::exit_now(0),
                Err(failure) => failure,
            })
        }
    }
}

/// What the daemon sends.
struct Orders {
    socket: UnixStream,
    reader: Requests,
}

impl Orders {
    /// Waits for the next request; none: the daemon closed the socket.
    fn next(&mut self) -> io::Result<Option<Request>> {
        loop {
            match self.reader.take() {
                Ok(Some(request)) => return Ok(Some(request)),
                Ok(None) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
            let mut bytes = [0; 4096];
            match self.socket.read(&mut bytes) {
                Ok(0) => return Ok(None),
                Ok(read) => BytesMut::extend_from_slice(self.reader.buffer(), &bytes[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the file that the plan names.
    fn file(&mut self) -> Result<Bytes, Failure> {
        let failure = |text: String| Failure { kind: FailureKind::Other, text };
        match self.next() {
            Ok(Some(Request::File(bytes))) => Ok(bytes),
            Ok(Some(_)) => Err(failure("something in place of the picture".into())),
            Ok(None) => sys::exit_now(0),
            Err(error) => Err(failure(format!("no picture: {error}"))),
        }
    }

    fn follow(mut self, pipeline: &Pipeline, link: &Link) -> ! {
        loop {
            match self.next() {
                Ok(Some(Request::Order(order))) => match order {
                    Order::Encode => pipeline.encode(),
                    Order::Keyframe => pipeline.keyframe(),
                    Order::Bitrate(bitrate) => pipeline.set_bitrate(bitrate),
                    Order::Thin(every) => pipeline.thin(every),
                    Order::Preview => pipeline.preview(),
                },
                Ok(Some(Request::Plan(_) | Request::File(_))) => link.fail(FailureKind::Other, "a second plan"),
                // Whatever was encoded is sent already.
                Ok(None) => sys::exit_now(0),
                Err(error) => link.fail(FailureKind::Other, format!("orders: {error}")),
            }
        }
    }
}

/// Passes on what GStreamer says, and how the pipeline flows.
fn watch(pipeline: &Pipeline, link: &Link) -> ! {
    let mut due: Time = sys::now() + ALIVE;
    loop {
        let wait = due.since(sys::now());
        let message = pipeline.bus.timed_pop(gst::ClockTime::from_nseconds(wait.as_nanos() as u64));
        if sys::now() >= due {
            link.send(&Report::Alive(pipeline.flow()));
            // Not from when it was due: the daemon may have held up all of us, and the others need a moment to go on.
            due = sys::now() + ALIVE;
        }
        let Some(message) = message else { continue };
        match message.view() {
            gst::MessageView::Error(_) | gst::MessageView::Eos(_) => {
                let Failure { kind, text } = pipeline::told_by(&message);
                link.fail(kind, text)
            }
            gst::MessageView::Warning(warning) => eprintln!("{}: {:?}", warning.error(), warning.debug()),
            gst::MessageView::Element(element) => {
                if let Some(peaks) = element.structure().and_then(peaks) {
                    link.send(&Report::Level(peaks));
                }
            }
            _ => {}
        }
    }
}

/// The peaks that the element `level` posts: dBFS, one for each channel.
fn peaks(told: &gst::StructureRef) -> Option<Vec<f64>> {
    if told.name() != "level" {
        return None;
    }
    let peaks = told.get::<gst::glib::ValueArray>("peak").ok()?;
    // Silence is minus infinity.
    Some(peaks.iter().filter_map(|peak| peak.get::<f64>().ok()).map(|peak| peak.max(-120.0)).collect())
}

/// Which GStreamer there is and which of `elements` exist in it, as JSON:
/// `{"gstreamer":"1.22.0","elements":{"x264enc":true}}`.
///
/// # Errors
/// When GStreamer cannot be started.
pub fn probe(elements: &[String]) -> Result<String, gst::glib::Error> {
    gst::init()?;
    let (major, minor, micro, _) = gst::version();
    let found: std::collections::BTreeMap<&str, bool> =
        elements.iter().map(|element| (element.as_str(), super::encoder::exists(element))).collect();
    Ok(serde_json::json!({ "gstreamer": format!("{major}.{minor}.{micro}"), "elements": found }).to_string())
}
