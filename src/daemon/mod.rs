//! The loop: it owns the clock, the channels and the edges, and performs what the control core decides. The only place that
//! knows everybody.

mod clock;
mod files;
mod pairing;
mod panel;
mod perform;
mod program;
mod provision;
mod rates;
mod remote;
mod requests;
mod rhythm;
mod settings;
mod start;
mod studio;
mod update;

use crate::{
    board::Tally,
    capture,
    clock::Dates,
    command::{Answer, Cut},
    control::{CardId, Control, Event, Now, RequestId, UplinkId, WorkerId, menu::View, update::Told},
    host::Host,
    http,
    media::{
        self,
        supervisor::{Message, Said, Worker},
    },
    network, notify,
    panel::{
        buttons,
        front::Front,
        lamps::{self, LEDS},
    },
    program::{slate::Gop, timeline::Timeline},
    remote::message::Progress,
    settings::{Changes, Layers, OutputMode},
    state::{ClockFloor, StateFolder},
    status::{Fault, NetworkLink, NetworkStatus, Showing, Stats, Status},
    studio::Studio,
    sys,
    units::{Mode, Time},
    uplink::{self, trust::Trust},
    watch::Watch,
};
use anyhow::Context as _;
use bytes::Bytes;
use pairing::Access;
use perform::Delivery;
pub use start::{Rescue, Start};
use start::{loopback, needed};
use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    time::sleep_until,
};

/// How the daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As it was asked to.
    Stopped,
    /// So that the whole box is restarted.
    Reboot,
}

/// The state files of the Broadcast, and of what the operator wants.
const BROADCAST: &str = "broadcast.json";
const INTENT: &str = "intent.json";
/// Who asked for a restart has its answer well within this.
const LAST_WORD: Duration = Duration::from_millis(200);

/// Runs the box until SIGTERM, SIGINT or `restart`, which end the streams properly; that takes up to 8 s, of which ingests have 4.
///
/// # Errors
/// When the HTTP address cannot be listened on, or the system gives no signals.
pub async fn run(mut start: Start) -> anyhow::Result<Ended> {
    let (access, https) = Access::open(&mut start);
    let listen = start.layers.settings().http.listen;
    let address = if https.is_some() { listen } else { loopback(listen) };
    let rescue = start.rescue.is_some();
    let listeners = http::listen(address)
        .with_context(|| format!("cannot listen on http.listen = \"{listen}\": choose another port in the settings"));
    let listeners = needed(rescue, listeners)?.unwrap_or_default();
    if !rescue && !sys::landlock_is_there() {
        tracing::warn!("this kernel has no Landlock: media workers can read the files of the daemon's user");
    }
    for listener in &listeners {
        let address = listener.local_addr()?;
        let scheme = if address.ip().is_loopback() { "http" } else { "https" };
        tracing::info!("status on {scheme}://{address}/api/v1/status");
    }

    // Workers wait while the loop is behind; at 60 pictures and 47 sounds a second this holds 2 s.
    let (messages, mut message_queue) = mpsc::channel(256);
    let (asks, mut ask_queue) = mpsc::channel(16);
    let (done, mut done_queue) = mpsc::unbounded_channel();
    let (mut daemon, shown, mut event_queue) = Daemon::new(start, access, messages, done).context("state")?;
    let events = daemon.events.clone();
    let mut wish_queue = daemon.begin_remote(asks.clone(), shown.status.clone());
    daemon.begin_update();
    let interface = http::Interface {
        status: shown.status,
        tokens: daemon.access.tokens(),
        asks,
        state: daemon.state.path().into(),
    };
    let router = http::router(interface, https.as_ref());
    for listener in listeners {
        tokio::spawn(http::serve(listener, router.clone(), https.clone()));
    }
    tokio::spawn({
        let events = events.clone();
        async move { network::watch("/".as_ref(), events).await }
    });
    daemon.watch_inputs()?;
    let cards = (!rescue).then(|| capture::sound::watch("/".into(), events.clone()).context("sound cards"));
    let _cards = cards.transpose()?;
    let keypad = daemon.front.as_ref().and_then(Front::keypad).cloned();
    let lamps = lamps::follow(&daemon.control.board().lamps, LEDS.into(), keypad, shown.tally).context("lamps");
    let _lamps = needed(rescue, lamps)?;
    let buttons = buttons::watch(&daemon.control.board().buttons, events).context("buttons");
    let _buttons = needed(rescue, buttons)?;

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    daemon.handle(Event::Tick);
    notify::ready(&daemon.sentence);
    daemon.handle(Event::Update(Told::Ready));
    while !daemon.ended {
        tokio::select! {
            biased;
            Some(message) = message_queue.recv() => daemon.take_message(message),
            Some(event) = event_queue.recv() => daemon.handle(event),
            Some(ask) = ask_queue.recv() => daemon.take_ask(ask),
            Some(done) = done_queue.recv() => match done {
                Done::Answer(request, answer) => daemon.answer(request, answer),
                Done::Card(id, cut, made) => daemon.take_card(id, cut, made),
                Done::Written(files::Once::Set, saved) => daemon.take_set(saved),
                Done::Written(files::Once::Intent, _) => daemon.note_intent(),
                Done::Written(files::Once::Journal(mark), written) => daemon.note_journal(mark, &written),
                Done::Written(files::Once::Broadcast(mark), _) => daemon.handle(Event::BroadcastKept { mark }),
                Done::Saved(fault) => daemon.note_saved(fault),
            },
            Some(wish) = wish_queue.recv(), if daemon.remote.is_some() => daemon.take_wish(wish),
            _ = terminate.recv() => daemon.shut_down(),
            _ = interrupt.recv() => daemon.shut_down(),
            _ = hang_up.recv() => daemon.reload(),
            () = sleep_until(daemon.next_wake()) => daemon.wake(),
        }
    }
    daemon.release();
    if daemon.control.restarting() {
        tokio::time::sleep(LAST_WORD).await;
    }
    daemon.end_remote(wish_queue).await;
    Ok(if daemon.reboot { Ended::Reboot } else { Ended::Stopped })
}

/// What took an edge to do.
enum Done {
    /// A command's answer.
    Answer(RequestId, Answer),
    /// A card.
    Card(CardId, Cut, Result<Gop, media::Failure>),
    /// What was to be written once is on the disk, or is not.
    Written(files::Once, files::Written),
    /// State files cannot be written, or can again.
    Saved(Option<Fault>),
}

/// What the surfaces follow: the latest of each, told when it changes.
struct Shown {
    status: watch::Receiver<Arc<Status>>,
    /// What the lamps tell; none: they are dark.
    tally: watch::Receiver<Option<Tally>>,
}

struct Daemon {
    control: Control,
    layers: Layers,
    settings: Option<PathBuf>,
    state: Arc<StateFolder>,
    files: files::Files,
    /// Changes of settings, of which the first is being saved.
    sets: VecDeque<(RequestId, Changes)>,
    access: Access,
    /// None: the settings name no broker.
    remote: Option<remote::Remote>,
    /// The whole box is to be restarted.
    reboot: bool,
    /// Whether this is an image that can be updated.
    image: bool,
    /// Whether a USB stick with a bundle is there.
    stick: bool,
    /// Who wants to know how far an update is.
    told: Option<mpsc::UnboundedSender<Progress>>,
    /// The state folder is a substitute, and the box's own cannot be used.
    substitute: bool,
    floor: ClockFloor,
    trust: Arc<Trust>,
    /// None: the accounts cannot be kept.
    studio: Option<Studio>,
    dates: Dates,
    host: Host,
    rates: rates::Rates,
    front: Option<Front>,
    network: Option<NetworkStatus>,
    networks: Vec<NetworkLink>,
    /// What was brought to the box, and whether a stick is in it.
    brought: provision::Brought,
    begun: Time,
    figures: Stats,
    /// By what found them, so that a new finding replaces the old one.
    found: BTreeMap<&'static str, Vec<Fault>>,

    events: mpsc::UnboundedSender<Event>,
    messages: mpsc::Sender<Message>,
    status: watch::Sender<Arc<Status>>,
    view: Arc<View>,
    tally: watch::Sender<Option<Tally>>,
    /// One for each input of the board, and the output mode that they were told.
    watches: Vec<Watch>,
    watched: Option<Mode>,
    timeline: Option<Timeline>,
    /// What can be shown instead of the input.
    cards: BTreeMap<Cut, Gop>,
    /// The card that was made last, until control says whether it is used.
    made: Option<(CardId, Cut, Gop)>,
    showing: Option<Showing>,
    workers: BTreeMap<WorkerId, Worker>,
    uplinks: BTreeMap<UplinkId, Delivery>,
    /// Who waits for an answer.
    requests: BTreeMap<RequestId, requests::Waiting>,
    held: requests::Held,
    /// Commands that wait for a picture.
    picture_requests: Vec<RequestId>,
    /// Viewers that wait for a picture.
    viewers: Vec<oneshot::Sender<Option<Bytes>>>,
    /// Answers that took an edge to find.
    done: mpsc::UnboundedSender<Done>,
    next_request: u64,

    /// When control wants to be woken.
    control_wake: Option<Time>,
    /// When figures were taken last.
    measured: Time,
    watchdog: Option<(Duration, Time)>,
    sentence: String,
    ended: bool,
}

impl Daemon {
    fn handle(&mut self, event: Event) {
        let now = self.now();
        match &event {
            Event::WorkerExited { id } => {
                self.workers.remove(id);
                if let Some(timeline) = &mut self.timeline {
                    timeline.sound_gone(*id);
                }
            }
            Event::NetworkChanged => self.look_at_network(),
            Event::Uplink { id, report: uplink::Report::Closed } => drop(self.uplinks.remove(id)),
            _ => {}
        }
        // Ten a second for each uplink, and before each tick: they are shown with the next figures.
        let routine = matches!(event, Event::Uplink { report: uplink::Report::Link(_), .. } | Event::Heat(_));
        let effects = self.control.handle(event, now);
        let shown = !routine || !effects.is_empty();
        for effect in effects {
            self.perform(effect);
        }
        self.control_wake = self.control.next_wake(now.time);
        if shown {
            self.publish(now);
        }
    }

    /// Follows every input of the board.
    fn watch_inputs(&mut self) -> anyhow::Result<()> {
        if self.control.in_rescue() {
            return Ok(());
        }
        let board = self.control.board();
        let output = match self.layers.settings().output.mode {
            OutputMode::Fixed(mode) => mode,
            OutputMode::Follow => board.limits.mode,
        };
        if self.watched == Some(output) {
            return Ok(());
        }
        // The old watches end first: two would ask one driver at a time.
        self.watches.clear();
        self.watched = None;
        for input in &board.inputs {
            let watch = capture::watch(input, output, self.events.clone());
            self.watches.push(watch.with_context(|| format!("input {}", input.name))?);
        }
        self.watched = Some(output);
        Ok(())
    }

    /// Access units go straight to the timeline, pictures to who asked; the rest is for control.
    fn take_message(&mut self, Message { worker: id, said }: Message) {
        let report = match said {
            Said::Report(report) => report,
            Said::Exited => return self.handle(Event::WorkerExited { id }),
        };
        match report {
            media::Report::Unit(unit) => self.take_unit(id, unit),
            media::Report::Preview(picture) => {
                if let Some(front) = &self.front {
                    front.picture(Some(picture.clone()));
                }
                for viewer in self.viewers.drain(..) {
                    let _ = viewer.send(Some(picture.clone()));
                }
                for request in std::mem::take(&mut self.picture_requests) {
                    let result = serde_json::json!({ "picture": "/preview.jpg", "bytes": picture.len() });
                    self.answer(request, Answer::Successful { result });
                }
            }
            report => self.handle(Event::Worker { id, report }),
        }
    }

    fn shut_down(&mut self) {
        notify::stopping();
        self.handle(Event::Shutdown);
    }

    fn publish(&mut self, now: Now) {
        let status = self.control.status(now, self.showing, self.figures.clone());
        let status = Status { network: self.network.clone(), networks: self.networks.clone(), ..status };
        let sentence = status.sentence();
        if sentence != self.sentence {
            tracing::info!("{sentence}");
            notify::status(&sentence);
            self.sentence = sentence;
        }
        let status = Arc::new(status);
        self.show(&status, now);
        let before = self.status.send_replace(status.clone());
        self.tell_happened(&before, &status, now);
        let tally = self.control.tally(now.time);
        self.tally.send_if_modified(|shown| std::mem::replace(shown, tally) != tally);
    }
}
