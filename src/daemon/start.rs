//! What the daemon starts with, and its first state.

use super::{Access, BROADCAST, Daemon, Done, INTENT, Shown, files, notify, provision, rates, requests};
use crate::{
    board::Board,
    clock::Dates,
    control::{Control, Event, Now, broadcast::SavedBroadcast},
    host::Host,
    media::supervisor::Message,
    panel::front::Front,
    settings::Layers,
    state::{ClockFloor, StateFolder},
    status::{Fault, Stats},
    studio::Studio,
    sys,
    uplink::trust::Trust,
};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// What the daemon starts with; everything in it has been read and checked.
#[derive(Debug)]
pub struct Start {
    /// The hardware.
    pub board: Board,
    /// The settings and where they come from.
    pub layers: Layers,
    /// The settings file, read again on SIGHUP; none: the usual place.
    pub settings: Option<PathBuf>,
    /// The state folder.
    pub state: StateFolder,
    /// The box's id.
    pub id: String,
    /// What was found wrong while reading all that.
    pub faults: Vec<Fault>,
    /// The display, which has been showing the splash; none: the board has none.
    pub front: Option<Front>,
    /// Some: this is the rescue of a box whose daemon does not stay up.
    pub rescue: Option<Rescue>,
    /// What edges tell, of which the display was the first.
    pub events: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
}

/// What the rescue knows of the daemon.
#[derive(Debug)]
pub struct Rescue {
    /// Why it does not run, for people.
    pub why: String,
    /// The state folder is a substitute: the box's own cannot be used.
    pub substitute: bool,
}

/// What the daemon cannot be without; the rescue can: it may be what stopped the daemon.
pub(super) fn needed<T>(rescue: bool, part: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match part {
        Ok(part) => Ok(Some(part)),
        Err(error) if rescue => {
            tracing::error!("goes on without: {error:#}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The address on loopback with the port of `listen`.
pub(super) fn loopback(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        ip if ip.is_loopback() => listen,
        _ => SocketAddr::from(([127, 0, 0, 1], listen.port())),
    }
}

impl Daemon {
    pub(super) fn new(
        start: Start,
        access: Access,
        messages: mpsc::Sender<Message>,
        done: mpsc::UnboundedSender<Done>,
    ) -> io::Result<(Self, Shown, mpsc::UnboundedReceiver<Event>)> {
        let now = sys::now();
        let Start { board, layers, settings, state, id, mut faults, front, rescue, events: (events, event_queue) } =
            start;
        let (mut saved, mut broadcast, mut rates) = (None, None, rates::Rates::default());
        // What may be what stopped the daemon is left alone, for the daemon to go on with.
        if rescue.is_none() {
            let (intent, fault) = state.load(INTENT);
            faults.extend(fault);
            let (record, fault) = state.load::<Option<SavedBroadcast>>(BROADCAST);
            faults.extend(fault);
            let (known, fault) = rates::Rates::load(&state);
            faults.extend(fault);
            (saved, broadcast, rates) = (intent, record.flatten(), known);
        }
        let (floor, fault) = ClockFloor::load(&state);
        faults.extend(fault);
        let trust = Arc::new(Trust::load(
            floor.time().map_or(Duration::ZERO, |time| Duration::from_secs(time.as_second().unsigned_abs())),
        ));
        let studio = rescue.is_none().then(|| Studio::open(&layers.settings().studio, state.path(), trust.clone()));
        let studio = studio.transpose().unwrap_or_else(|error| {
            tracing::error!("the Studio: {error}");
            None
        });
        let host = Host::new("/", state.path());
        let state = Arc::new(state);
        let files = files::Files::start(state.clone(), done.clone())?;
        let mut control = Control::new(board, layers.settings().clone(), id, saved, broadcast, now);
        let substitute = rescue.as_ref().is_some_and(|rescue| rescue.substitute);
        if let Some(Rescue { why, .. }) = rescue {
            control.begin_rescue(why, now);
        }
        let empty = control.status(Now { time: now, wall: None }, None, Stats::default());
        let (status, status_shown) = watch::channel(Arc::new(empty));
        let view = Arc::new(control.view(now));
        let (tally, tally_shown) = watch::channel(control.tally(now));
        let mut daemon = Self {
            control,
            layers,
            settings,
            state,
            files,
            access,
            remote: None,
            reboot: false,
            image: false,
            stick: false,
            told: None,
            substitute,
            sets: VecDeque::new(),
            floor,
            trust,
            studio,
            dates: Dates::default(),
            host,
            rates,
            front,
            network: None,
            networks: Vec::new(),
            brought: provision::Brought::default(),
            begun: now,
            figures: Stats::default(),
            found: BTreeMap::from([("start", faults)]),
            events,
            messages,
            status,
            view,
            tally,
            watches: Vec::new(),
            watched: None,
            timeline: None,
            cards: BTreeMap::new(),
            made: None,
            showing: None,
            workers: BTreeMap::new(),
            uplinks: BTreeMap::new(),
            requests: BTreeMap::new(),
            held: requests::Held::default(),
            picture_requests: Vec::new(),
            viewers: Vec::new(),
            done,
            next_request: 0,
            control_wake: None,
            measured: now,
            watchdog: notify::watchdog_interval().map(|interval| (interval, now)),
            sentence: String::new(),
            ended: false,
        };
        daemon.look_at_network();
        daemon.look_at_report();
        daemon.measure(now);
        daemon.find_faults();
        daemon.light();
        daemon.tell_paired();
        daemon.tell();
        Ok((daemon, Shown { status: status_shown, tally: tally_shown }, event_queue))
    }
}
