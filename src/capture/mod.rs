//! What the box's inputs receive: one thread follows each input and sends [`Event::Signal`] when, and only when, that
//! changes. Nothing is captured here; the media worker does that.

mod camera;
mod hdmi;
mod links;
pub mod nodes;
pub mod probe;
pub mod sound;
mod timings;

pub use probe::{Hardware, hardware};

use crate::{
    board::{Input, InputKind},
    control::{Event, Signal},
    status::SignalState,
    units::Mode,
    watch::{self, Watch, Watcher},
};
use rustix::event::PollFlags;
use std::{io, os::fd::BorrowedFd, path::PathBuf, time::Duration};
use tokio::sync::mpsc::UnboundedSender;

/// How often a device that is not there is looked for, and one that is there looked after.
const RESCAN: Duration = Duration::from_secs(1);

/// Follows `input` and tells `events` what it receives. `output` is the mode that goes out: a camera is asked for the
/// nearest to it, and the test picture has it.
///
/// # Errors
/// When the system has no thread or descriptor left.
pub fn watch(input: &Input, output: Mode, events: UnboundedSender<Event>) -> io::Result<Watch> {
    let (name, kind) = (input.name.clone(), input.kind.clone());
    watch::start(format!("capture-{name}"), events, move |watcher| {
        let mut teller = Teller { input: name, watcher, last: None };
        match kind {
            InputKind::Test => teller.tell(locked(None, output, None)),
            InputKind::Hdmi(hdmi) => hdmi::follow(&mut teller, &hdmi),
            InputKind::Camera(camera) => camera::follow(&mut teller, &camera, output),
        }
    })
}

fn locked(node: Option<PathBuf>, mode: Mode, format: Option<String>) -> Signal {
    Signal { state: SignalState::Locked, node, mode: Some(mode), format, protected: false }
}

fn not_locked(state: SignalState, node: Option<PathBuf>) -> Signal {
    Signal { state, node, mode: None, format: None, protected: false }
}

/// Tells of an input's signal when it is news.
struct Teller {
    input: String,
    watcher: Watcher,
    last: Option<Signal>,
}

impl Teller {
    fn tell(&mut self, signal: Signal) {
        if self.ended() || self.last.as_ref() == Some(&signal) {
            return;
        }
        let Signal { state, node, mode, format, protected } = &signal;
        let mode = mode.map(|mode| mode.to_string()).unwrap_or_default();
        tracing::info!(input = self.input, ?state, mode, ?format, ?node, protected, "signal");
        self.watcher.tell(Event::Signal { input: self.input.clone(), signal: signal.clone() });
        self.last = Some(signal);
    }

    /// The mode that was told last.
    fn mode(&self) -> Option<Mode> {
        self.last.as_ref().and_then(|signal| signal.mode)
    }

    fn ended(&self) -> bool {
        self.watcher.ended()
    }

    /// Waits for `time` or for something urgent on `devices`; what happened on each.
    fn wait(&self, time: Duration, devices: &[BorrowedFd<'_>]) -> Vec<PollFlags> {
        self.watcher.wait(time, devices, PollFlags::PRI)
    }
}

/// Whether `error` says that the device is not there any more.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO | libc::ESHUTDOWN | libc::ENOENT | libc::EBADF))
}

/// Says an error once, not with each try.
#[derive(Default)]
struct Complaint(Option<String>);

impl Complaint {
    fn say(&mut self, input: &str, error: &io::Error) {
        let text = error.to_string();
        if self.0.as_ref() != Some(&text) {
            tracing::warn!(input, error = text, "the input cannot be used");
            self.0 = Some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{Audio, Camera, DeviceMatch};
    use tokio::sync::mpsc::unbounded_channel;

    fn mode(text: &str) -> Mode {
        text.parse().expect("a mode")
    }

    fn input(kind: InputKind) -> Input {
        Input { name: "in".into(), kind, audio: Audio::None, automatic: true }
    }

    #[test]
    fn the_test_picture_is_locked_in_the_outputs_mode() {
        let (sender, mut events) = unbounded_channel();
        let _watch = watch(&input(InputKind::Test), mode("720p30"), sender).expect("a watch");
        let Some(Event::Signal { input, signal }) = events.blocking_recv() else { panic!("a signal") };
        assert_eq!((input.as_str(), signal.state, signal.mode), ("in", SignalState::Locked, Some(mode("720p30"))));
        assert_eq!((signal.node, signal.format), (None, None));
    }

    #[tokio::test]
    async fn a_missing_device_is_told_once_and_nothing_after_the_end() {
        let device = DeviceMatch { driver: Some("no such driver".into()), ..DeviceMatch::default() };
        let camera = Camera { device, formats: vec!["YUYV".into()], mode: None };
        let (sender, mut events) = unbounded_channel();
        let watch = watch(&input(InputKind::Camera(camera)), mode("720p30"), sender).expect("a watch");
        let first = tokio::time::timeout(Duration::from_secs(5), events.recv()).await.expect("in time");
        let Some(Event::Signal { signal, .. }) = first else { panic!("a signal") };
        assert_eq!(signal, not_locked(SignalState::NoDevice, None));
        let again = tokio::time::timeout(2 * RESCAN + RESCAN / 2, events.recv()).await;
        assert!(again.is_err(), "no news is not told: {again:?}");
        drop(watch);
        // The sender went with the watch: the channel is closed although the thread may still wait.
        assert!(matches!(events.try_recv(), Err(tokio::sync::mpsc::error::TryRecvError::Disconnected)));
    }
}
