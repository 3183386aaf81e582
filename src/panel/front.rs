//! The thread that draws and shows: whatever a display does to it, the daemon does not wait.
//!
//! A display that is missing or was pulled is opened again every 2 s, and told of as an event; it stops nothing.

use super::{
    canvas::Frame,
    cfa635,
    display::{Care, Display},
    screen::{self, Scene, Shape},
    thumbnail,
};
use crate::{
    board::{self, Button, DisplayKind},
    clock::Dated,
    control::{Event, Now, menu::View},
    sys,
    units::Time,
};
use bytes::Bytes;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tokio::sync::mpsc::UnboundedSender;

/// Light of the display before the settings are read, percent.
pub const BRIGHTNESS: u8 = 80;

/// Figures and meters are drawn this often at most, a picture file less, and a bar that fills more.
const FIGURES: Duration = Duration::from_millis(100);
const FILE: Duration = Duration::from_millis(500);
const BAR: Duration = Duration::from_millis(50);
/// On a slow box figures are drawn less often, so that they take a tenth of a processor at most; never less than this.
const SLOWEST: Duration = Duration::from_secs(1);
/// What a press changes is shown at once; this is for a button that chatters.
const PRESS: Duration = Duration::from_millis(10);
/// A bus error is often a single one; a display that is away is not back at once.
const RETRY: Duration = Duration::from_millis(200);
const REOPEN: Duration = Duration::from_secs(2);
/// An OLED that lost its power for a moment acknowledges and shows nothing: it is painted whole so often.
const REFRESH: Duration = Duration::from_secs(10);
/// How long the last picture may take: a colour panel needs 0.5 s to be started. With the daemon's own end (4 s), its files
/// (2 s), lamps and serial panel (0.6 s each) and what hangs (1 s) it stays within what systemd gives (`TimeoutStopSec=`).
const LAST: Duration = Duration::from_secs(1);
/// An idle OLED's picture is moved one pixel further each minute, in a circle of these.
const MINUTE: Duration = Duration::from_secs(60);
const CIRCLE: [(i32, i32); 8] = [(0, 0), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1)];

/// The front panel's display. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Front {
    shared: Arc<Shared>,
    keypad: Option<cfa635::Handle>,
    colour: bool,
}

#[derive(Debug)]
struct Shared {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

impl Shared {
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be shown; only the last of each counts.
#[derive(Debug)]
struct Wanted {
    scene: Scene,
    /// Something in here has changed since it was shown.
    fresh: bool,
    dated: Option<Dated>,
    brightness: u8,
    /// A JPEG of the input that was not decoded yet; none in it: there is no input.
    picture: Option<Option<Bytes>>,
    ending: bool,
    ended: bool,
}

impl Front {
    /// Starts the thread, which shows the splash at once. Those `buttons` that are keys of the display are told to `events`; `state` is the state folder; `events` hears of the display's health.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(
        display: &board::Display,
        buttons: &[Button],
        state: &Path,
        events: UnboundedSender<Event>,
    ) -> io::Result<Self> {
        let keypad = match &display.kind {
            DisplayKind::Cfa635 { port } => Some(cfa635::Handle::start(port.clone(), buttons, events.clone())?),
            _ => None,
        };
        let wanted = Wanted {
            scene: Scene::Splash { version: env!("CARGO_PKG_VERSION").into() },
            fresh: true,
            dated: None,
            brightness: BRIGHTNESS,
            picture: None,
            ending: false,
            ended: false,
        };
        let shared = Arc::new(Shared { wanted: Mutex::new(wanted), changed: Condvar::new() });
        let painter = Painter::new(display.clone(), state.into(), keypad.clone(), events);
        let theirs = shared.clone();
        thread::Builder::new().name("panel".into()).spawn(move || run(&theirs, painter))?;
        Ok(Self { shared, keypad, colour: display.kind.is_colour() })
    }

    /// Shows `scene` from now on. The thumbnail in it is filled in here.
    pub fn show(&self, scene: Scene) {
        let at = sys::now();
        let wall = match &scene {
            Scene::Running { status, .. } => status.stats.time,
            _ => None,
        };
        self.change(|wanted| {
            wanted.scene = scene;
            wanted.dated = wall.map(|wall| Dated { at, wall });
        });
    }

    /// Sets the light, 1 to 100 percent.
    pub fn brightness(&self, percent: u8) {
        self.change(|wanted| wanted.brightness = percent);
    }

    /// Shows the JPEG `picture` as what comes in; none: nothing does.
    pub fn picture(&self, picture: Option<Bytes>) {
        self.change(|wanted| wanted.picture = Some(picture));
    }

    /// Whether it can show a picture of the input.
    pub fn takes_pictures(&self) -> bool {
        self.colour
    }

    /// The serial panel, whose keys and lamps are of use beside its display.
    pub fn keypad(&self) -> Option<&cfa635::Handle> {
        self.keypad.as_ref()
    }

    /// Shows `scene` as the last one: it stays on the glass. Waits until it is there, 1 s at most.
    pub fn end(&self, scene: Scene) {
        self.change(|wanted| (wanted.scene, wanted.ending) = (scene, true));
        let wanted = self.shared.wanted();
        let _ = self.shared.changed.wait_timeout_while(wanted, LAST, |wanted| !wanted.ended);
    }

    fn change(&self, change: impl FnOnce(&mut Wanted)) {
        let mut wanted = self.shared.wanted();
        if wanted.ending {
            return;
        }
        change(&mut wanted);
        wanted.fresh = true;
        drop(wanted);
        self.shared.changed.notify_all();
    }
}

fn run(shared: &Shared, mut painter: Painter) {
    loop {
        let mut wanted = shared.wanted();
        let now = loop {
            let now = sys::now();
            let wait = match painter.due(&wanted, now) {
                Some(due) if due <= now => break now,
                due => due.map_or(MINUTE, |due| due.since(now)),
            };
            let woken = shared.changed.wait_timeout(wanted, wait);
            (wanted, _) = woken.unwrap_or_else(PoisonError::into_inner);
        };
        let order = Order {
            scene: wanted.scene.clone(),
            wall: wanted.dated.and_then(|dated| dated.wall(now)),
            brightness: wanted.brightness,
            picture: wanted.picture.take(),
            last: wanted.ending,
        };
        wanted.fresh = false;
        drop(wanted);
        let last = order.last;
        painter.paint(order, now);
        if last {
            shared.wanted().ended = true;
            shared.changed.notify_all();
            return;
        }
    }
}

/// What is painted at one time.
#[derive(Debug)]
struct Order {
    scene: Scene,
    wall: Option<jiff::Timestamp>,
    brightness: u8,
    picture: Option<Option<Bytes>>,
    last: bool,
}

/// What draws, opens the display and minds its pace.
struct Painter {
    display: board::Display,
    state: PathBuf,
    keypad: Option<cfa635::Handle>,
    events: UnboundedSender<Event>,
    open: Option<Display>,
    thumbnail: Option<Arc<super::canvas::Canvas<embedded_graphics::pixelcolor::Rgb565>>>,
    /// The last that was shown, and when.
    shown: Option<(Frame, Care)>,
    shown_view: Option<Arc<View>>,
    shown_at: Option<Time>,
    /// Processor time that it took.
    cost: Duration,
    /// When the picture changes by itself.
    next: Option<Time>,
    idle_since: Option<Time>,
    /// When an OLED is painted whole again.
    refresh_at: Option<Time>,
    /// Since something was shown the last time.
    failures: u32,
    retry_at: Option<Time>,
    errors: u64,
    told: Option<(bool, u64)>,
}

impl Painter {
    fn new(
        display: board::Display,
        state: PathBuf,
        keypad: Option<cfa635::Handle>,
        events: UnboundedSender<Event>,
    ) -> Self {
        Self {
            display,
            state,
            keypad,
            events,
            open: None,
            thumbnail: None,
            shown: None,
            shown_view: None,
            shown_at: None,
            cost: Duration::ZERO,
            next: None,
            idle_since: None,
            refresh_at: None,
            failures: 0,
            retry_at: None,
            errors: 0,
            told: None,
        }
    }

    /// When to paint; none: not before something changes.
    fn due(&self, wanted: &Wanted, now: Time) -> Option<Time> {
        if wanted.ending {
            return Some(now);
        }
        if let Some(retry_at) = self.retry_at {
            return Some(retry_at);
        }
        let view = match &wanted.scene {
            Scene::Running { view, .. } => Some(view),
            _ => None,
        };
        let pause = match view {
            Some(view) if self.shown_view.as_ref() != Some(view) => PRESS,
            None => PRESS,
            Some(view) if view.hold.is_some() => BAR,
            Some(_) if matches!(self.display.kind, DisplayKind::Png { .. }) => FILE,
            Some(_) => FIGURES.max((10 * self.cost).min(SLOWEST)),
        };
        let moved = self.idle_since.map(|_| MINUTE).and_then(|minute| Some(self.shown_at? + minute));
        let next = [self.next, moved, self.refresh_at].into_iter().flatten().min();
        let next = if wanted.fresh { Some(now) } else { next };
        let earliest = self.shown_at.map_or(now, |shown| shown + pause);
        next.map(|next| next.max(earliest))
    }

    fn paint(&mut self, order: Order, now: Time) {
        let before = sys::processor_time();
        let painted = self.try_paint(order, now);
        self.cost = sys::processor_time().saturating_sub(before);
        match painted {
            Ok(()) => (self.failures, self.retry_at) = (0, None),
            Err(error) => {
                self.shown = None;
                self.failures += 1;
                let away = self.failures > 1;
                if away {
                    self.open = None;
                }
                if self.failures == 2 {
                    tracing::warn!("the display is away: {error}");
                }
                self.retry_at = Some(now + if away { REOPEN } else { RETRY });
            }
        }
        let errors = self.errors + self.keypad.as_ref().map_or(0, cfa635::Handle::errors);
        let health = (self.failures == 0, errors);
        // The first failure is told only if the second try fails, too.
        if self.failures != 1 && self.told != Some(health) {
            self.told = Some(health);
            let _ = self.events.send(Event::Display { present: health.0, errors });
        }
    }

    fn try_paint(&mut self, order: Order, now: Time) -> io::Result<()> {
        let display = match &mut self.open {
            Some(display) => display,
            closed => {
                let display = Display::open(&self.display, &self.state, self.keypad.as_ref())?;
                tracing::debug!(kind = self.display.kind.name(), "the display is there");
                closed.insert(display)
            }
        };
        let shape = display.shape();
        match (order.picture, shape) {
            (Some(Some(jpeg)), Shape::Colour { .. }) => {
                let (width, height) = screen::thumbnail_size(shape);
                self.thumbnail = thumbnail::decode(&jpeg, width, height).map(Arc::new);
            }
            (Some(_), _) => self.thumbnail = None,
            (None, _) => {}
        }
        let mut scene = order.scene;
        let (mut view, mut idle) = (None, order.last && matches!(scene, Scene::Stopped));
        if let Scene::Running { view: shown, thumbnail, .. } = &mut scene {
            thumbnail.clone_from(&self.thumbnail);
            idle = shown.idle;
            view = Some(shown.clone());
        }
        self.idle_since = idle.then(|| self.idle_since.unwrap_or(now));
        let minutes = self.idle_since.map_or(0, |since| now.since(since).as_secs() / MINUTE.as_secs());
        let shift = CIRCLE[(minutes % CIRCLE.len() as u64) as usize];
        let care = Care { brightness: order.brightness, dim: idle, shift };
        let at = Now { time: now, wall: order.wall };
        let frame = screen::draw(&scene, shape, at);
        self.next = screen::next_change(&scene, shape, at);
        (self.shown_view, self.shown_at) = (view, Some(now));
        let wanted = (frame, care);
        let refresh = self.refresh_at.is_some_and(|at| now >= at);
        if refresh {
            display.refresh();
        } else if self.shown.as_ref() == Some(&wanted) && display.is_there() {
            return Ok(());
        }
        if refresh || self.shown.is_none() {
            self.refresh_at = matches!(self.display.kind, DisplayKind::Oled(_)).then_some(now + REFRESH);
        }
        let shown = display.show(&wanted.0, care);
        match &shown {
            Ok(()) => self.shown = Some(wanted),
            Err(_) => self.errors += 1,
        }
        shown
    }
}

#[cfg(test)]
mod tests;
