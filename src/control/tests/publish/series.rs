//! Any series of answers, commands and power cuts, against a Studio that carries calls out or loses them.

use super::*;

/// What becomes of a question.
#[derive(Debug, Clone)]
enum Fate {
    /// Carried out and answered.
    Done,
    /// Carried out, and the answer is lost.
    Lost(Trouble),
    /// Carried out, and something else is answered.
    Other(Told),
    /// Not carried out, and nobody knows.
    Never(Trouble),
    /// Not carried out, and said so.
    Refused(Trouble),
}

#[derive(Debug, Clone)]
enum Step {
    Answer(Fate),
    Stale(u64, Told),
    Written,
    PowerCut { done: bool, unwritten: bool },
    Elsewhere(BroadcastState),
    Publish,
    End,
    Stop(Option<bool>),
    Start,
    Inactive(bool),
    Clock(bool),
    Network,
    Pass(u64),
    Silence(u64),
}

fn told() -> impl Strategy<Value = Told> {
    prop::sample::select(vec![
        Told::Source { active: true, notes: Vec::new() },
        Told::Broadcast(broadcast("stray", Running)),
        Told::AlreadyLive(broadcast("stray", Running)),
        Told::Found(Some(broadcast("stray", Running))),
        Told::Found(None),
        Told::Ended,
        Told::Failed(Trouble::NotFound),
    ])
}

fn step() -> impl Strategy<Value = Step> {
    let lost = || prop::sample::select(vec![Trouble::AnswerLost, Trouble::Broken(502), Trouble::Garbled("{".into())]);
    let refused = prop::sample::select(vec![
        Trouble::Unreachable,
        Trouble::TooMany(Duration::from_secs(7)),
        Trouble::NotLinked(String::new()),
        Trouble::Revoked,
        Trouble::ClockWrong,
        Trouble::Tls("is of another host".into()),
        Trouble::NotAllowed(String::new()),
        Trouble::NotEligible,
        Trouble::Conflict(String::new()),
        Trouble::Refused(String::new()),
    ]);
    let fate = prop_oneof![
        5 => Just(Fate::Done),
        2 => lost().prop_map(Fate::Lost),
        1 => told().prop_map(Fate::Other),
        2 => lost().prop_map(Fate::Never),
        2 => refused.prop_map(Fate::Refused),
    ];
    prop_oneof![
        10 => fate.prop_map(Step::Answer),
        1 => (0..200u64, told()).prop_map(|(id, told)| Step::Stale(id, told)),
        6 => Just(Step::Written),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(done, unwritten)| Step::PowerCut { done, unwritten }),
        1 => prop::sample::select(vec![Ended, TimedOut]).prop_map(Step::Elsewhere),
        3 => Just(Step::Publish),
        2 => Just(Step::End),
        1 => prop::sample::select(vec![None, Some(true), Some(false)]).prop_map(Step::Stop),
        2 => Just(Step::Start),
        1 => any::<bool>().prop_map(Step::Inactive),
        1 => any::<bool>().prop_map(Step::Clock),
        1 => Just(Step::Network),
        6 => prop::sample::select(vec![1, 100, 999, 2500, 6000, 16_000, 70_000]).prop_map(Step::Pass),
        1 => (1..6000u64).prop_map(Step::Silence),
    ]
}

/// The Studio: what it made, for which of the operator's wishes, and where that is.
#[derive(Debug, Default)]
struct Api {
    made: Vec<(usize, BroadcastState, jiff::Timestamp)>,
    inactive: bool,
}

impl Api {
    /// Carries out a call; gives the answer.
    fn carry_out(&mut self, ask: &Ask, wish: usize, wall: jiff::Timestamp) -> Told {
        let show = |number: usize, state| broadcast(&format!("b{number}"), state);
        let number = |id: &str| id.strip_prefix('b').and_then(|number| number.parse::<usize>().ok());
        match ask {
            Ask::Source => Told::Source { active: !self.inactive, notes: Vec::new() },
            Ask::GoLive { .. } => {
                self.made.push((wish, Running, wall));
                Told::Broadcast(show(self.made.len() - 1, Running))
            }
            Ask::Find { since } => {
                let newest = self.made.iter().enumerate().rev().find(|(_, (_, state, at))| match since {
                    Some(since) => at >= since,
                    None => *state == Running,
                });
                Told::Found(newest.map(|(number, (_, state, _))| show(number, *state)))
            }
            Ask::Broadcast { id } => match number(id).and_then(|number| Some((number, self.made.get(number)?.1))) {
                Some((number, state)) => Told::Broadcast(show(number, state)),
                None => Told::Failed(Trouble::NotFound),
            },
            Ask::End { id } => {
                if let Some((_, state @ Running, _)) = number(id).and_then(|number| self.made.get_mut(number)) {
                    *state = Ended;
                }
                Told::Ended
            }
        }
    }

    fn running(&self) -> usize {
        self.made.iter().filter(|(_, state, _)| *state == Running).count()
    }
}

/// The box, the Studio, and what was promised to whom.
struct Trial {
    bench: Bench,
    api: Api,
    /// Lived through by boxes before power cuts, ms: the calendar goes on.
    lived: u64,
    /// How many wishes to publish began.
    wishes: usize,
    /// An end was acknowledged, and nothing was published after it.
    ended: bool,
    open: BTreeSet<u64>,
    requests: u64,
    ends: BTreeSet<u64>,
    disk: Option<SavedBroadcast>,
    written: usize,
    heard: usize,
}

impl Trial {
    fn wall(&self) -> jiff::Timestamp {
        let ms = 1_795_000_000_000 + (self.lived + self.bench.now) as i64;
        jiff::Timestamp::from_millisecond(ms).expect("a time")
    }

    fn command(&mut self, what: Command) {
        self.requests += 1;
        let request = 1000 + self.requests;
        self.open.insert(request);
        let ends = matches!(what, Command::End { .. } | Command::Stop { end: Some(true), .. });
        self.ends.extend(ends.then_some(request));
        let before = self.bench.control.broadcast.exists();
        let publishes = matches!(what, Command::Publish(_));
        self.bench.tell(command(request, what));
        if publishes && !before && self.bench.control.broadcast.exists() {
            self.wishes += 1;
            self.ended = false;
            // Those that were answered after it are not about this one.
        }
    }

    fn answer(&mut self, fate: Fate) {
        let Some((_, ask)) = self.bench.question.clone() else { return };
        let (wish, wall) = (self.wishes, self.wall());
        let told = match fate {
            Fate::Done => self.api.carry_out(&ask, wish, wall),
            Fate::Lost(trouble) => {
                self.api.carry_out(&ask, wish, wall);
                Told::Failed(trouble)
            }
            // A lie that fits the question is no disorder but another Studio.
            Fate::Other(told) if !fits(&ask, &told) => {
                self.api.carry_out(&ask, wish, wall);
                told
            }
            Fate::Other(_) => self.api.carry_out(&ask, wish, wall),
            Fate::Never(trouble) | Fate::Refused(trouble) => Told::Failed(trouble),
        };
        self.bench.answer(told);
    }

    /// The disk takes what waits.
    fn write(&mut self) {
        while let Some((mark, record)) = self.bench.kept.get(self.written).cloned() {
            self.written += 1;
            self.disk = record;
            self.bench.tell(Event::BroadcastKept { mark });
        }
    }

    fn power_cut(&mut self, done: bool) {
        if let Some((_, ask)) = self.bench.question.clone().filter(|_| done) {
            let (wish, wall) = (self.wishes, self.wall());
            self.api.carry_out(&ask, wish, wall);
        }
        self.check_answers();
        self.open.clear();
        self.ends.clear();
        self.lived += self.bench.now;
        let clock = self.bench.clock;
        self.bench = self.bench.after_power_cut(self.disk.clone());
        self.bench.clock = clock;
        (self.written, self.heard) = (0, 0);
    }

    fn check_answers(&mut self) {
        for (request, answer) in self.bench.answers[self.heard..].iter().filter(|(request, _)| *request > 1000) {
            assert!(self.open.remove(request), "one answer to each request: {request}");
            let acknowledged = match answer {
                Answer::Successful { result } => result.is_null(),
                Answer::Failed { .. } => false,
            };
            self.ended |= acknowledged && self.ends.contains(request);
        }
        self.heard = self.bench.answers.len();
    }

    fn check(&mut self) {
        self.check_answers();
        assert!(self.api.running() <= 1, "two are public: {:?}", self.api.made);
        let wishes: Vec<usize> = self.api.made.iter().map(|(wish, ..)| *wish).collect();
        assert!(wishes.windows(2).all(|pair| pair[0] < pair[1]), "published twice for one wish: {wishes:?}");
        assert!(!self.ended || self.api.running() == 0, "public after an acknowledged end");
        let shown = self.bench.phase() == Phase::OnAir;
        assert!(!shown || self.bench.control.broadcast.exists(), "on air without a Broadcast");
    }
}

fn fits(ask: &Ask, told: &Told) -> bool {
    matches!(
        (ask, told),
        (Ask::Source, Told::Source { .. })
            | (Ask::GoLive { .. } | Ask::Broadcast { .. }, Told::Broadcast(_) | Told::AlreadyLive(_))
            | (Ask::Find { .. }, Told::Found(_))
            | (Ask::End { .. }, Told::Ended)
            | (_, Told::Failed(_))
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    /// Published at most once for each wish, never two at a time, nothing public after an acknowledged end, whatever answers,
    /// commands and power cuts come in which order; and what is wanted comes true once the Studio answers again.
    #[test]
    fn no_second_broadcast_and_none_left_running(steps in prop::collection::vec(step(), 1..150)) {
        let mut trial = Trial {
            bench: Bench::previewing(), api: Api::default(), lived: 0, wishes: 0, ended: false, open: BTreeSet::new(),
            requests: 0, ends: BTreeSet::new(), disk: None, written: 0, heard: 0,
        };
        for step in steps {
            match step {
                Step::Answer(fate) => trial.answer(fate),
                Step::Stale(id, told) => {
                    let under_way = trial.bench.question.as_ref().map(|(id, _)| id.0);
                    if under_way != Some(id) {
                        trial.bench.tell(Event::Studio { id: AskId(id), told });
                    }
                }
                Step::Written => trial.write(),
                Step::PowerCut { done, unwritten } => {
                    // A disk that took nothing for 5 s is a fault of its own, and promises nothing.
                    if !unwritten {
                        trial.write();
                    }
                    trial.power_cut(done);
                }
                Step::Elsewhere(state) => {
                    if let Some(running) = trial.api.made.iter_mut().find(|(_, state, _)| *state == Running) {
                        running.1 = state;
                    }
                }
                Step::Publish => trial.command(publish(Publish::default())),
                Step::End => trial.command(Command::End { confirm: true }),
                Step::Stop(end) => trial.command(Command::Stop { confirm: true, end }),
                Step::Start => trial.command(Command::Start { sources: None }),
                Step::Inactive(inactive) => trial.api.inactive = inactive,
                Step::Clock(clock) => trial.bench.clock = clock,
                Step::Network => drop(trial.bench.tell(Event::NetworkChanged)),
                Step::Pass(ms) => {
                    // The disk has what it was given well before it is given up.
                    if ms >= 5000 {
                        trial.write();
                    }
                    trial.bench.pass(ms.min(4000));
                    trial.write();
                    trial.bench.pass(ms.saturating_sub(4000).max(1));
                }
                Step::Silence(ms) => {
                    trial.write();
                    trial.bench.now += ms;
                    trial.bench.tell(Event::Tick);
                }
            }
            for id in trial.bench.control.uplinks.iter().filter(|uplink| uplink.closing.is_some()).map(|uplink| uplink.id).collect::<Vec<_>>() {
                trial.bench.tell(uplink(id, uplink::Report::Closed));
            }
            trial.check();
        }
        // The Studio answers, and media flows.
        trial.api.inactive = false;
        trial.bench.clock = true;
        trial.command(Command::Start { sources: None });
        for _ in 0..400 {
            trial.write();
            trial.answer(Fate::Done);
            trial.bench.pass(500);
            trial.check();
        }
        let wanted = trial.bench.control.broadcast.published();
        prop_assert_eq!(trial.api.running(), usize::from(wanted));
        prop_assert_eq!(trial.bench.control.broadcast.exists(), wanted, "what was to be ended has ended");
        prop_assert_eq!(trial.bench.phase(), if wanted { Phase::OnAir } else { Phase::Previewing });
        trial.bench.tell(Event::Shutdown);
        trial.bench.pass(5000);
        trial.check_answers();
        prop_assert_eq!(trial.open, BTreeSet::new());
    }
}
