//! A Crystalfontz CFA635 on a serial port: 20x4 characters, six keys, four lamps of two colours.
//!
//! `packet` knows its bytes, `face` what it shows, `session` the conversation; here is the thread that owns the port. A
//! panel that goes, with its port or without, is looked for each second and painted anew when it is back.

mod face;
mod packet;
mod session;

use super::{buttons::Held, canvas::TEXT};
use crate::{
    board::{Button, ButtonPlace, ButtonRole, KeypadColour, KeypadKey},
    control::Event,
    sys,
    watch::{self, Watch, Watcher},
};
use face::Face;
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use serialport::TTYPort;
use session::{Action, Session};
use std::{
    collections::BTreeSet,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};
use tokio::sync::mpsc::UnboundedSender;

/// How often a port that is not there is tried.
const REOPEN: Duration = Duration::from_secs(1);

/// How long the last handle waits for what it asked for last to be shown.
const FAREWELL: Duration = Duration::from_millis(600);

/// A panel that is looked after. What is asked of it is shown as soon as it is there; a later wish replaces an earlier
/// one. The last handle that is dropped waits up to 600 ms for the panel to show what was asked for last.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    /// Says that the thread is through.
    done: Mutex<mpsc::Receiver<()>>,
    _watch: Watch,
}

#[derive(Debug)]
struct Shared {
    face: Mutex<Face>,
    /// Readable when the face changed or the end has come.
    wake: OwnedFd,
    closing: AtomicBool,
    present: AtomicBool,
    errors: AtomicU64,
}

impl Handle {
    /// Looks after the panel on `port`, a path that stays (`/dev/serial/by-id/...`), at 115200 bit/s, and tells `events`
    /// of those `buttons` that are keys of it. The port need not be there.
    ///
    /// # Errors
    /// When the system has no thread or descriptor left.
    pub fn start(port: PathBuf, buttons: &[Button], events: UnboundedSender<Event>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            face: Mutex::default(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            closing: AtomicBool::new(false),
            present: AtomicBool::new(false),
            errors: AtomicU64::new(0),
        });
        let (through, done) = mpsc::channel();
        let mut keeper =
            Keeper { port, buttons: buttons.to_vec(), held: Held::default(), shared: shared.clone(), told: None };
        let watch = watch::start("cfa635".into(), events, move |watcher| {
            keeper.run(&watcher);
            let _ = through.send(());
        })?;
        Ok(Self(Arc::new(Owner { shared, done: Mutex::new(done), _watch: watch })))
    }

    /// Shows this text. Only what differs from what the panel shows goes over the port.
    pub fn show(&self, text: [[char; TEXT.0]; TEXT.1]) {
        self.0.shared.change(|face| face.text = text);
    }

    /// Brightness of the light, 0 to 100 %.
    pub fn brightness(&self, percent: u8) {
        self.0.shared.change(|face| face.brightness = percent);
    }

    /// Lights these lamps, each by its number from 1 at the top and its colour, and no others.
    pub fn lamps(&self, lit: BTreeSet<(u8, KeypadColour)>) {
        self.0.shared.change(|face| face.lamps = lit);
    }

    /// Whether the panel is there and answers.
    pub fn present(&self) -> bool {
        self.0.shared.present.load(Ordering::Relaxed)
    }

    /// Answers that did not come, refusals, damage and losses of the panel since the start.
    pub fn errors(&self) -> u64 {
        self.0.shared.errors.load(Ordering::Relaxed)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.wake();
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = done.recv_timeout(FAREWELL);
    }
}

impl Shared {
    fn face(&self) -> MutexGuard<'_, Face> {
        self.face.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Face)) {
        change(&mut self.face());
        self.wake();
    }

    fn wake(&self) {
        // A counter that is full is readable just the same.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

/// What the thread has.
struct Keeper {
    port: PathBuf,
    buttons: Vec<Button>,
    held: Held,
    shared: Arc<Shared>,
    /// What the log has last of why it is not there.
    told: Option<String>,
}

impl Keeper {
    fn run(&mut self, watcher: &Watcher) {
        while !self.ends() {
            let lost = match open(&self.port) {
                Ok(port) => self.talk(port, watcher),
                Err(error) => Some(format!("cannot be opened ({error})")),
            };
            if self.shared.present.swap(false, Ordering::Relaxed) {
                self.shared.errors.fetch_add(1, Ordering::Relaxed);
            }
            // What was held on it is not any more.
            self.held.forget(|_, _| false).into_iter().for_each(|role| tell(watcher, role, false));
            // Once for each cause: it is tried each second, for hours perhaps.
            if lost.is_some() && lost != self.told {
                let cause = lost.as_deref();
                tracing::warn!(port = %self.port.display(), cause, "no CFA635; tried again each second");
                self.told = lost;
            }
            let again = sys::now() + REOPEN;
            while !self.ends() && sys::now() < again {
                self.wait(again.since(sys::now()), None, watcher);
            }
        }
    }

    /// Until the end (none) or the loss of the port, and why.
    fn talk(&mut self, mut port: TTYPort, watcher: &Watcher) -> Option<String> {
        let mut session = Session::new(sys::now());
        let mut bytes: &[u8] = &[];
        let mut buffer = [0; 256];
        loop {
            let now = sys::now();
            for (key, pressed) in session.receive(bytes, now) {
                self.key(key, pressed, watcher);
            }
            bytes = &[];
            let face = self.shared.face().clone();
            let action = session.act(&face, now);
            self.shared.errors.fetch_add(session.take_errors(), Ordering::Relaxed);
            if session.is_present() && !self.shared.present.swap(true, Ordering::Relaxed) {
                tracing::info!(port = %self.port.display(), "CFA635 answers");
                self.told = None;
            }
            if self.ends() && (session.is_done(&face) || !session.is_present()) {
                return None;
            }
            let wait = match action {
                Action::Send(packet) => match port.write_all(&packet) {
                    Ok(()) => continue,
                    Err(_) => return Some("the port takes nothing".into()),
                },
                Action::Wait(wait) => wait,
                Action::Lost => return Some("it does not answer".into()),
            };
            let happened = self.wait(wait, Some(&port), watcher);
            // A hang-up may come with the last bytes before it; a read that finds nothing tells.
            if !happened.is_empty() {
                bytes = match rustix::io::read(sys::port_fd(&port), &mut buffer) {
                    Ok(0) | Err(_) => return Some("the port is gone".into()),
                    Ok(read) => &buffer[..read],
                };
            }
        }
    }

    /// Waits for the port, a wish or the end; what happened at the port.
    fn wait(&self, time: Duration, port: Option<&TTYPort>, watcher: &Watcher) -> PollFlags {
        let mut devices = vec![self.shared.wake.as_fd()];
        devices.extend(port.map(sys::port_fd));
        let happened = watcher.wait(time, &devices, PollFlags::IN);
        let _ = rustix::io::read(&self.shared.wake, &mut [0; 8]);
        happened.get(1).copied().unwrap_or(PollFlags::empty())
    }

    fn ends(&self) -> bool {
        self.shared.closing.load(Ordering::Relaxed)
    }

    fn key(&mut self, key: KeypadKey, pressed: bool, watcher: &Watcher) {
        let id = (self.port.clone(), 0);
        for (index, button) in self.buttons.iter().enumerate() {
            if button.place == ButtonPlace::Keypad(key)
                && let Some((role, pressed)) = self.held.change(&id, index, button.role, i32::from(pressed))
            {
                tell(watcher, role, pressed);
            }
        }
    }
}

fn tell(watcher: &Watcher, role: ButtonRole, pressed: bool) {
    watcher.tell(Event::Button { role, pressed });
}

fn open(port: &Path) -> io::Result<TTYPort> {
    let path = port.to_string_lossy();
    // The time is that of a write that finds no room: the panel's answer is waited for elsewhere.
    let port = serialport::new(path, 115_200).timeout(Duration::from_millis(250)).open_native()?;
    // Where there is room for a part only, the rest must not wait without a bound.
    let flags = rustix::fs::fcntl_getfl(sys::port_fd(&port))?;
    rustix::fs::fcntl_setfl(sys::port_fd(&port), flags | rustix::fs::OFlags::NONBLOCK)?;
    Ok(port)
}
