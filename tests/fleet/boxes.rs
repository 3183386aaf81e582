//! Simulated boxes: the control core and the remote task as every box has them, over a stand-in of the push. Workers run at
//! once and the ingest takes what comes; both say so four times a second. A state file is on the disk as soon as it is given.

use fieldcast::{
    board::Board,
    command::{Answer, Command, Cut, Reason},
    control::{Control, Effect, Event, Now, RequestId, Signal, UplinkId, WorkerId},
    http::Ask,
    media::{self, Flow, Look, Plan, Started},
    remote::{
        client::{self, Start, Tell, Wish},
        document::{Capabilities, Info, SourceInfo, What},
        happened,
        journal::Journal,
        session::Place,
        spool::Spool,
    },
    settings::{Mqtt, Secret, Settings, Source},
    status::{AcknowledgedBy, NetworkStatus, Showing, SignalState, Stats, Status},
    sys, uplink,
};
use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use rustls::time_provider::DefaultTimeProvider;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval, sleep},
};

/// Threads on which all boxes run.
const THREADS: usize = 2;
/// The stand-ins of workers and ingest say so often that all is well.
const REPORTS: Duration = Duration::from_millis(250);
/// Media that the ingest acknowledges meanwhile, bytes: 4 Mbit/s.
const MEDIA: u64 = 125_000;

/// The id of the box with this number.
pub fn id(number: usize) -> String {
    format!("fc-{number:08x}")
}

/// Boxes; they are gone without a word when dropped.
pub struct Boxes {
    number: usize,
    threads: Vec<JoinHandle<()>>,
    /// CPU time of each thread, ns.
    used: Arc<[AtomicU64; THREADS]>,
    running: Option<watch::Sender<()>>,
}

impl Boxes {
    /// Starts so many, for the broker at `port`.
    pub fn start(number: usize, port: u16) -> Self {
        let (running, end) = watch::channel(());
        let used = Arc::new([const { AtomicU64::new(0) }; THREADS]);
        let board = Path::new(env!("CARGO_MANIFEST_DIR")).join("boards/desktop.toml");
        let board = Board::load(&board).expect("a board");
        let run = |thread: usize| {
            let (board, used, mut end) = (board.clone(), used.clone(), end.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    for number in (thread..number).step_by(THREADS) {
                        tokio::spawn(simulate(number, port, board.clone()));
                    }
                    while !matches!(tokio::time::timeout(REPORTS, end.changed()).await, Ok(Err(_))) {
                        let time = clock_gettime(ClockId::ThreadCPUTime);
                        let time = time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs();
                        used[thread].store(time, Ordering::Relaxed);
                    }
                });
            })
        };
        let threads = (0..THREADS).map(run).collect();
        Self { number, threads, used, running: Some(running) }
    }

    /// CPU time that one box has used, on average.
    pub fn used(&self) -> Duration {
        let all: u64 = self.used.iter().map(|used| used.load(Ordering::Relaxed)).sum();
        Duration::from_nanos(all / self.number as u64)
    }
}

impl Drop for Boxes {
    fn drop(&mut self) {
        self.running = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One box, from the loop's side: what `daemon` is in a real one.
struct Simulated {
    control: Control,
    showing: Option<Showing>,
    status: watch::Sender<Arc<Status>>,
    tells: mpsc::UnboundedSender<Tell>,
    /// What the stand-ins have said.
    todo: VecDeque<Event>,
    /// Whether it is the one for sound.
    workers: BTreeMap<WorkerId, bool>,
    /// Media that was acknowledged, bytes.
    uplinks: BTreeMap<UplinkId, u64>,
    requests: BTreeMap<RequestId, oneshot::Sender<Answer>>,
    next_request: u64,
}

async fn simulate(number: usize, port: u16, board: Board) {
    // Boxes do not count their seconds in step.
    sleep(REPORTS.mul_f64(fastrand::f64())).await;
    let name = format!("OB van {number}");
    let source = Source {
        name: "Main".into(),
        url: Some("rtmp://127.0.0.1/live".into()),
        key: Some(Secret::new("k")),
        ..Source::default()
    };
    let settings =
        Settings { name: name.clone(), tags: vec!["stage-left".into()], sources: vec![source], ..Settings::default() };
    let info = info(number, &name, &board);
    let control = Control::new(board, settings, id(number), None, None, sys::now());
    let (status, shown) =
        watch::channel(Arc::new(control.status(Now { time: sys::now(), wall: None }, None, Stats::default())));
    let (asks, mut asked) = mpsc::channel(16);
    let (tells, told) = mpsc::unbounded_channel();
    let (wishes, mut wished) = mpsc::unbounded_channel();
    let mut simulated = Simulated {
        control,
        showing: None,
        status,
        tells,
        todo: VecDeque::new(),
        workers: BTreeMap::new(),
        uplinks: BTreeMap::new(),
        requests: BTreeMap::new(),
        next_request: 0,
    };
    simulated.begin(info);
    tokio::spawn(client::run(Start {
        place: Place {
            prefix: "fieldcast".parse().expect("a prefix"),
            id: id(number),
            observe: false,
            private: true,
            home: false,
            boot: format!("boot-{number}"),
        },
        mqtt: Mqtt::default(),
        broker: format!("mqtt://127.0.0.1:{port}").parse().expect("an address"),
        clock: Arc::new(DefaultTimeProvider),
        journal: Journal::default(),
        spool: Spool::default(),
        status: shown,
        asks,
        tells: told,
        wishes,
    }));
    let mut reports = interval(REPORTS);
    reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            Some(ask) = asked.recv() => simulated.take_ask(ask),
            Some(wish) = wished.recv() => simulated.take_wish(wish),
            _ = reports.tick() => simulated.report(),
        }
    }
}

fn info(number: usize, name: &str, board: &Board) -> Info {
    let codecs: BTreeSet<String> = board.encoders.iter().map(|encoder| encoder.codec.to_string()).collect();
    Info {
        schema: 1,
        id: id(number),
        name: name.into(),
        board: board.name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        tags: vec!["stage-left".into()],
        commands: Command::NAMES.map(Into::into).to_vec(),
        capabilities: Capabilities {
            codecs: codecs.into_iter().collect(),
            sources: vec![SourceInfo { name: "Main".into(), service: None }],
            inputs: board.inputs.iter().map(|input| input.name.clone()).collect(),
            panel: true,
            audio: true,
        },
        address: vec![Ipv4Addr::new(192, 0, 2, 17).into()],
        observe: false,
    }
}

fn now() -> Now {
    Now { time: sys::now(), wall: Some(Timestamp::now()) }
}

/// A box's figures, as long as those of a real one.
fn figures() -> Stats {
    Stats {
        temperature_c: Some(51.5),
        throttled: Some(false),
        cpu: Some(0.613_871_2),
        memory_bytes: Some(43_212_800),
        disk_free_bytes: Some(12_884_901_888),
        clock: Some("synchronised"),
        ..Stats::default()
    }
}

impl Simulated {
    fn begin(&mut self, info: Info) {
        let version = info.version.clone();
        let text = format!("Fieldcast {version} has started");
        let _ = self.tells.send(Tell::Happened(What::Booted { version }, text, now().wall));
        let _ = self.tells.send(Tell::Info(Box::new(info)));
        let signal = Signal {
            state: SignalState::Locked,
            node: None,
            mode: "1280x720p30".parse().ok(),
            format: None,
            protected: false,
        };
        self.todo.push_back(Event::Display { present: true, errors: 0 });
        self.todo.push_back(Event::Signal { input: "test".into(), signal });
        self.run();
    }

    /// Lets control take all that was said.
    fn run(&mut self) {
        while let Some(event) = self.todo.pop_front() {
            for effect in self.control.handle(event, now()) {
                self.perform(effect);
            }
        }
        let now = now();
        let network = NetworkStatus { interface: "wwan0".into(), address: "192.0.2.17".parse().ok() };
        let status = self.control.status(now, self.showing, figures());
        let status = Arc::new(Status { network: Some(network), ..status });
        let before = self.status.send_replace(status.clone());
        for (what, text) in happened::between(&before, &status) {
            let _ = self.tells.send(Tell::Happened(what, text, now.wall));
        }
    }

    /// What a good worker and a good ingest say while they run.
    fn report(&mut self) {
        let flow = Flow { captured: Duration::from_millis(9), waiting: Duration::ZERO, encoded: true };
        for (&id, sound) in &self.workers {
            let seen =
                if *sound { media::Report::Level(vec![-18.0; 2]) } else { media::Report::Picture(Look::default()) };
            for report in [media::Report::Alive(flow), seen] {
                self.todo.push_back(Event::Worker { id, report });
            }
        }
        for (&id, bytes) in &mut self.uplinks {
            *bytes += MEDIA;
            let figures = uplink::Stats {
                bitrate: 4_001_328,
                queue: Duration::from_millis(12),
                rtt: Some(Duration::from_millis(31)),
                loss: Some(0.001_25),
                acknowledged_bytes: *bytes,
                ..uplink::Stats::default()
            };
            let acknowledged = uplink::Report::Acknowledged { bytes: *bytes, by: AcknowledgedBy::RtmpAck };
            for report in [acknowledged, uplink::Report::Stats(figures)] {
                self.todo.push_back(Event::Uplink { id, report });
            }
        }
        self.todo.push_back(Event::Tick);
        self.run();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::StartWorker { id, plan } => {
                let (sound, encoder) = match *plan {
                    Plan::Video(plan) => (false, plan.encoders[0].element.clone()),
                    Plan::Audio(_) | Plan::Still(_) => (true, String::new()),
                };
                self.workers.insert(id, sound);
                let started = Started { encoder, hardware: false, missing: Vec::new(), note: None };
                self.todo.push_back(Event::Worker { id, report: media::Report::Started(started) });
            }
            Effect::StopWorker { id } | Effect::KillWorker { id } => {
                self.workers.remove(&id);
                self.todo.push_back(Event::WorkerExited { id });
            }
            Effect::MakeCard { id, .. } => self.todo.push_back(Event::Card { id, result: Ok(()) }),
            Effect::Cut { cut: Cut::Live, .. } => self.show(Some(Showing::Live)),
            Effect::Cut { cut: Cut::Slate, .. } => self.show(Some(Showing::Slate)),
            Effect::Cut { cut: Cut::Test, .. } => self.show(Some(Showing::Test)),
            Effect::EndProgram => self.show(None),
            Effect::OpenUplink { id, .. } => {
                self.uplinks.insert(id, 0);
                let report = uplink::Report::Publishing { peer: Ipv4Addr::LOCALHOST.into() };
                self.todo.push_back(Event::Uplink { id, report });
            }
            Effect::CloseUplink { id } => {
                self.uplinks.remove(&id);
                self.todo.push_back(Event::Uplink { id, report: uplink::Report::Closed });
            }
            Effect::Answer { request, answer } => self.answer(request, answer),
            Effect::Perform { request, .. } | Effect::Reset { request } => {
                self.answer(request, Answer::failed(Reason::WrongState, "A simulated box cannot do this"));
            }
            _ => {}
        }
    }

    fn show(&mut self, showing: Option<Showing>) {
        self.showing = showing;
        self.todo.push_back(Event::Showing(showing));
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        if let Some(reply) = self.requests.remove(&request) {
            let _ = reply.send(answer);
        }
    }

    fn take_ask(&mut self, ask: Ask) {
        // The others are not asked by MQTT, or find nobody who answers.
        if let Ask::Command { command, origin, reply, .. } = ask {
            self.next_request += 1;
            let request = RequestId(self.next_request);
            self.requests.insert(request, reply);
            self.todo.push_back(Event::Command { request, origin, command });
            self.run();
        }
    }

    fn take_wish(&mut self, wish: Wish) {
        match wish {
            Wish::Faults(faults) => {
                self.todo.push_back(Event::Told(faults));
                self.run();
            }
            Wish::Keep { mark: Some(mark), .. } => {
                let _ = self.tells.send(Tell::Kept(mark));
            }
            Wish::Keep { mark: None, .. } => {}
        }
    }
}
