//! A thread that waits for the kernel's devices and tells the control core of changes, and that can be ended at any time.

use crate::control::Event;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tokio::sync::mpsc::UnboundedSender;

/// A device that is watched; dropping it ends that at once: no event comes any more, even while its thread still waits
/// for a driver to answer.
#[derive(Debug)]
pub struct Watch(Arc<Shared>);

/// What the watching thread works with.
#[derive(Debug)]
pub(crate) struct Watcher(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// None once the watch has ended.
    events: Mutex<Option<UnboundedSender<Event>>>,
    /// Readable once the watch has ended.
    end: OwnedFd,
}

impl Shared {
    fn events(&self) -> MutexGuard<'_, Option<UnboundedSender<Event>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts `run` in a thread called `name`; it is to return soon after [`Watcher::ended`].
///
/// # Errors
/// When the system has no thread or descriptor left.
pub(crate) fn start(
    name: String,
    events: UnboundedSender<Event>,
    run: impl FnOnce(Watcher) + Send + 'static,
) -> io::Result<Watch> {
    let end = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let shared = Arc::new(Shared { events: Mutex::new(Some(events)), end });
    let watcher = Watcher(shared.clone());
    thread::Builder::new().name(name).spawn(move || run(watcher))?;
    Ok(Watch(shared))
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.0.events() = None;
        // A counter that is full is readable just the same.
        let _ = rustix::io::write(&self.0.end, &1u64.to_ne_bytes());
    }
}

impl Watcher {
    /// Tells the control core.
    pub(crate) fn tell(&self, event: Event) {
        if let Some(events) = self.0.events().as_ref() {
            let _ = events.send(event);
        }
    }

    /// Whether nobody wants to know any more.
    pub(crate) fn ended(&self) -> bool {
        self.0.events().as_ref().is_none_or(UnboundedSender::is_closed)
    }

    /// Waits for `time`, for the watch's end or for `wanted` on one of `devices`; what happened on each.
    pub(crate) fn wait(&self, time: Duration, devices: &[BorrowedFd<'_>], wanted: PollFlags) -> Vec<PollFlags> {
        let mut fds = vec![PollFd::new(&self.0.end, PollFlags::IN)];
        fds.extend(devices.iter().map(|device| PollFd::from_borrowed_fd(*device, wanted)));
        let timeout = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
        // An interrupted wait is a short one; everything is looked at again.
        let _ = poll(&mut fds, Some(&timeout));
        fds[1..].iter().map(PollFd::revents).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::{error::TryRecvError, unbounded_channel};

    #[test]
    fn the_end_wakes_the_thread_and_silences_it() {
        let (sender, mut events) = unbounded_channel();
        let (ended, end) = std::sync::mpsc::channel();
        let watch = start("test".into(), sender, move |watcher| {
            watcher.tell(Event::Tick);
            while !watcher.ended() {
                watcher.wait(Duration::from_secs(60), &[], PollFlags::IN);
            }
            watcher.tell(Event::Tick);
            ended.send(()).expect("somebody waits");
        })
        .expect("a watch");
        assert_eq!(events.blocking_recv(), Some(Event::Tick));
        drop(watch);
        end.recv_timeout(Duration::from_secs(5)).expect("it does not wait for a minute");
        assert_eq!(events.try_recv(), Err(TryRecvError::Disconnected));
    }
}
