//! The task that holds the connection to the broker: it hears, asks the loop, and performs what the session wants done. It
//! never keeps the loop waiting, and whatever the broker does, nothing on air notices.

mod execute;

use super::{
    document::{Info, LogLine, What},
    home,
    journal::Journal,
    link::{Heard, Link, Version},
    message::Progress,
    retry::Retry,
    session::{Asked, Do, Place, Session},
    spool::Spool,
    topic::Leaf,
    trouble::Trouble,
};
use crate::{
    command::{Answer, Command},
    control::Now,
    http::Ask,
    log,
    settings::{BrokerUrl, Mqtt},
    status::{Fault, Status},
    sys,
    units::Time,
};
use bytes::Bytes;
use jiff::Timestamp;
use rustls::time_provider::TimeProvider;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{sleep, timeout},
};

/// How long the end of the daemon waits for the broker.
const LAST_WORD: Duration = Duration::from_millis(300);
/// What may pass by itself is no fault before this is over.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the daemon tells the task. When it can tell no more, the task ends the connection properly.
#[derive(Debug)]
pub enum Tell {
    /// Something happened at this time.
    Happened(What, String, Option<Timestamp>),
    /// What the box is and can do now.
    Info(Box<Info>),
    /// The journal is written up to this mark, or cannot be.
    Kept(u64),
    /// What came of the update that was asked for before the box was restarted.
    Updated(Answer),
}

/// What the task wants of the daemon.
#[derive(Debug)]
pub enum Wish {
    /// These are the faults of remote control now.
    Faults(Vec<Fault>),
    /// Write a state file; with a mark, tell when it is written or cannot be.
    Keep {
        /// Its name.
        file: &'static str,
        /// What is in it.
        bytes: Vec<u8>,
        /// What to tell.
        mark: Option<u64>,
    },
}

/// What the task starts with.
pub struct Start {
    /// What does not change.
    pub place: Place,
    /// Which broker, and how.
    pub mqtt: Mqtt,
    /// Its address.
    pub broker: BrokerUrl,
    /// By which its certificate is judged.
    pub clock: Arc<dyn TimeProvider>,
    /// Which requests there were.
    pub journal: Journal,
    /// Events that the broker does not have.
    pub spool: Spool,
    /// The one snapshot.
    pub status: watch::Receiver<Arc<Status>>,
    /// To the loop that does the work.
    pub asks: mpsc::Sender<Ask>,
    /// What the daemon tells.
    pub tells: mpsc::UnboundedReceiver<Tell>,
    /// What the task wants of it.
    pub wishes: mpsc::UnboundedSender<Wish>,
}

/// What came of a command.
enum Outcome {
    /// So far it is.
    Progress(Asked, Progress),
    /// Its answer, with a message that belongs to it.
    Answer(Asked, Answer, Option<(Leaf, Bytes)>),
}

/// What came of a wait.
enum Next {
    Heard(Heard),
    Tell(Option<Tell>),
    Status(bool),
    Outcome(Outcome),
    Log(LogLine),
    Wake,
}

struct Client {
    session: Session,
    mqtt: Mqtt,
    broker: BrokerUrl,
    id: String,
    /// What the box hears, and whether at least once.
    filters: Vec<(String, bool)>,
    clock: Arc<dyn TimeProvider>,
    status: watch::Receiver<Arc<Status>>,
    asks: mpsc::Sender<Ask>,
    wishes: mpsc::UnboundedSender<Wish>,
    outcomes: mpsc::UnboundedSender<Outcome>,
    /// None: it is waited until the next attempt.
    link: Option<Link>,
    version: Version,
    retry: Retry,
    /// When something was heard, and how long silence is believed.
    heard: (Time, Duration),
    trouble: Option<(Trouble, Time)>,
    told: Vec<Fault>,
    /// The time as the status had it, and when.
    wall: Option<(Timestamp, Time)>,
    network: Option<crate::status::NetworkStatus>,
    /// Until when the log is followed, and its next lines.
    following: Option<(Time, broadcast::Receiver<LogLine>)>,
}

/// Holds the connection until nobody can tell it anything any more.
pub async fn run(start: Start) {
    let Start { place, mqtt, broker, clock, journal, spool, status, asks, mut tells, wishes } = start;
    let (outcomes, mut outcome_queue) = mpsc::unbounded_channel();
    let filter = |leaf| place.prefix.filter(&place.id, leaf);
    // Nobody keeps a command that has no id.
    let mut filters = vec![(filter("cmd/+"), false), (filter("cmd/+/+"), true)];
    filters.extend(place.home.then(|| (home::BIRTH.to_owned(), false)));
    let now = sys::now();
    let mut client = Client {
        filters,
        id: place.id.clone(),
        session: Session::new(place, journal, spool),
        mqtt,
        broker,
        clock,
        status,
        asks,
        wishes,
        outcomes,
        link: None,
        version: Version::Five,
        retry: Retry::new(now),
        heard: (now, Duration::ZERO),
        trouble: None,
        told: Vec::new(),
        wall: None,
        network: None,
        following: None,
    };
    client.look_at_status();
    loop {
        client.perform();
        let wake = client.next_wake();
        let next = tokio::select! {
            biased;
            tell = tells.recv() => Next::Tell(tell),
            Some(outcome) = outcome_queue.recv() => Next::Outcome(outcome),
            heard = hear(&mut client.link) => Next::Heard(heard),
            changed = client.status.changed() => Next::Status(changed.is_ok()),
            line = follow(&mut client.following) => Next::Log(line),
            () = sleep(wake) => Next::Wake,
        };
        match next {
            Next::Tell(Some(tell)) => client.take(tell),
            Next::Tell(None) | Next::Status(false) => break,
            Next::Outcome(outcome) => client.take_outcome(outcome),
            Next::Heard(heard) => client.hear(heard),
            Next::Status(true) => client.look_at_status(),
            Next::Log(line) => client.session.tell(&Leaf::Log, serde_json::to_vec(&line).unwrap_or_default()),
            Next::Wake => client.wake(),
        }
    }
    client.end().await;
}

async fn hear(link: &mut Option<Link>) -> Heard {
    match link {
        Some(link) => link.hear().await,
        None => std::future::pending().await,
    }
}

async fn follow(following: &mut Option<(Time, broadcast::Receiver<LogLine>)>) -> LogLine {
    match following {
        Some((_, lines)) => loop {
            match lines.recv().await {
                Ok(line) => return line,
                // It was too slow: what it missed can be asked for.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        },
        None => std::future::pending().await,
    }
}

impl Client {
    fn now(&self) -> Now {
        let time = sys::now();
        Now { time, wall: self.wall.map(|(wall, at)| wall + time.since(at)) }
    }

    fn take(&mut self, tell: Tell) {
        let now = self.now();
        match tell {
            Tell::Happened(what, text, wall) => self.session.happened(what, text, Now { wall, ..now }),
            Tell::Info(info) => self.session.info(&info),
            Tell::Kept(mark) => self.session.kept(mark, now),
            Tell::Updated(answer) => self.session.updated(&answer, now),
        }
    }

    fn take_outcome(&mut self, outcome: Outcome) {
        let now = self.now();
        match outcome {
            Outcome::Progress(asked, progress) => self.session.progress(&asked, progress, now),
            Outcome::Answer(asked, answer, with) => {
                if let Some((leaf, payload)) = with {
                    self.session.tell(&leaf, payload);
                }
                self.session.answered(asked, answer, now);
            }
        }
    }

    fn look_at_status(&mut self) {
        let status = Arc::clone(&self.status.borrow_and_update());
        let time = sys::now();
        self.wall = status.stats.time.map(|wall| (wall, time));
        self.session.status(&status, self.now());
        // Another network: past failures say nothing any more.
        if self.network != status.network {
            self.network.clone_from(&status.network);
            if self.link.is_none() {
                self.retry.at_once(time);
            }
        }
    }

    fn hear(&mut self, heard: Heard) {
        let now = self.now();
        self.heard.0 = now.time;
        match heard {
            Heard::Connected(keep_alive) => {
                // Its answer to a ping comes within a moment; one may be lost on the way.
                self.heard.1 = keep_alive.saturating_mul(2) + Duration::from_secs(5);
                if self.link.as_ref().is_some_and(|link| !link.subscribe(&self.filters)) {
                    return self.lose(Trouble::Closed);
                }
                self.session.connected(now);
                let status = Arc::clone(&self.status.borrow());
                self.session.status(&status, now);
            }
            Heard::Subscribed(all) => {
                tracing::info!("remote control through {} (MQTT {:?})", self.broker, self.version);
                self.retry.connected(now.time);
                self.session.subscribed(now.time);
                // Who took this box's id is still there: it is told until the connection has held. What is not taken is
                // not taken in this connection.
                if !matches!(self.trouble, Some((Trouble::Takeover | Trouble::NotTaken { .. }, _))) {
                    self.trouble = None;
                }
                if !all {
                    self.trouble = Some((Trouble::NotAllowed, now.time));
                }
            }
            Heard::Message(message) => self.session.message(message, now),
            Heard::Delivered(topic, receipt) => {
                self.session.delivered(&receipt, now.time);
                self.trouble
                    .take_if(|(trouble, _)| matches!(trouble, Trouble::NotTaken { topic: no, .. } if *no == topic));
            }
            Heard::Refused(topic, receipt, why) => {
                if self.session.refused(&receipt, now.time) {
                    self.not_taken(Trouble::NotTaken { topic, why }, now.time);
                }
            }
            Heard::Alive => {}
            Heard::Lost(trouble) => self.lose(trouble),
        }
    }

    /// Tells of the first topic only: each word of a fault that changes is a message, which may not be taken either.
    fn not_taken(&mut self, trouble: Trouble, now: Time) {
        use Trouble::{NotAllowed, NotTaken, Takeover};
        if !matches!(self.trouble, Some((NotAllowed | NotTaken { .. } | Takeover, _))) {
            tracing::warn!("{}", trouble.fault(&self.broker.to_string()).text);
            self.trouble = Some((trouble, now));
        }
    }

    fn lose(&mut self, trouble: Trouble) {
        let now = self.now();
        let version = trouble == Trouble::Version;
        if version {
            self.version = self.version.other();
        }
        self.link = None;
        self.session.lost();
        let thrown_out = self.retry.lost(now.time, version, fastrand::f64());
        let rival = matches!(self.trouble, Some((Trouble::Takeover, _)));
        // Not every broker says why: it hangs up as soon as the other one connects.
        let trouble = match trouble {
            Trouble::Closed if thrown_out || rival => Trouble::Takeover,
            other => other,
        };
        if self.trouble.as_ref().is_none_or(|(known, _)| *known != trouble) {
            tracing::warn!("{}", trouble.fault(&self.broker.to_string()).text);
        }
        if trouble == Trouble::Takeover && !rival {
            let text = "Another client has connected with this box's id";
            self.session.happened(What::Takeover, text.into(), now);
        }
        let since = self.trouble.as_ref().map_or(now.time, |(_, since)| *since);
        self.trouble = Some((trouble, since));
    }

    fn wake(&mut self) {
        let now = sys::now();
        match &self.link {
            Some(_) if now.since(self.heard.0) > self.heard.1 => self.lose(Trouble::Unreachable("it is silent".into())),
            Some(_) => {}
            None if self.retry.is_due(now) => self.connect(now),
            None => {}
        }
        if self.retry.has_held(now) && matches!(self.trouble, Some((Trouble::Takeover, _))) {
            self.trouble = None;
        }
        self.following = self.following.take_if(|(until, _)| *until > now);
    }

    fn connect(&mut self, now: Time) {
        // The connection has its own deadline.
        self.heard = (now, Duration::from_secs(30));
        let will = self.session.last_will();
        match Link::open(&self.mqtt, &self.broker, &self.id, self.version, will, self.clock.clone()) {
            Ok(link) => self.link = Some(link),
            Err(trouble) => self.lose(trouble),
        }
    }

    /// Performs what the session wants, and tells what is wrong.
    fn perform(&mut self) {
        let now = self.now();
        for wanted in self.session.take(now) {
            let moves = match (wanted, &mut self.link) {
                (Do::Publish(outgoing), Some(link)) => link.publish(outgoing),
                (Do::Acknowledge(ticket), Some(link)) => link.acknowledge(ticket),
                (Do::Publish(_) | Do::Acknowledge(_), None) => true,
                (Do::Keep { file, bytes, mark }, _) => {
                    let _ = self.wishes.send(Wish::Keep { file, bytes, mark });
                    true
                }
                (Do::Execute { asked, command }, _) => {
                    self.execute(asked, command);
                    true
                }
            };
            if !moves {
                self.lose(Trouble::Unreachable("it takes nothing".into()));
            }
        }
        if self.session.is_stuck(now.time) {
            self.lose(Trouble::Broker("it takes no message".into()));
        }
        let faults: Vec<Fault> = match &self.trouble {
            Some((trouble, since)) if !trouble.may_pass() || now.time.since(*since) >= PATIENCE => {
                vec![trouble.fault(&self.broker.to_string())]
            }
            _ => Vec::new(),
        };
        if faults != self.told {
            self.told.clone_from(&faults);
            let _ = self.wishes.send(Wish::Faults(faults));
        }
    }

    fn next_wake(&self) -> Duration {
        let now = sys::now();
        let silence = self.link.is_some().then(|| self.heard.0 + self.heard.1);
        let retry = self.link.is_none().then(|| self.retry.due());
        let patience = self.trouble.as_ref().filter(|_| self.told.is_empty()).map(|(_, since)| *since + PATIENCE);
        let rival = matches!(self.trouble, Some((Trouble::Takeover, _)));
        let held = rival.then(|| self.retry.holds_at()).flatten();
        let following = self.following.as_ref().map(|(until, _)| *until);
        let wakes = [silence, retry, self.session.next_wake(now), patience, held, following];
        let wake = wakes.into_iter().flatten().min();
        // A wake that is due and changes nothing must not be asked for without end.
        wake.map_or(Duration::from_secs(3600), |wake| wake.since(now).max(Duration::from_millis(5)))
    }

    /// Lets the loop carry out `command`, beside this task.
    fn execute(&mut self, asked: Asked, command: Command) {
        if let Command::Logs { follow: Some(follow), .. } = &command {
            self.following = Some((sys::now() + *follow, log::follow()));
        }
        let (asks, outcomes) = (self.asks.clone(), self.outcomes.clone());
        tokio::spawn(async move {
            let tell = |progress| drop(outcomes.send(Outcome::Progress(asked.clone(), progress)));
            let (answer, with) = match command {
                Command::Preview => execute::picture(&asks).await,
                Command::Diagnostics { usb: false } => {
                    let command = Command::Diagnostics { usb: false };
                    execute::bundle(execute::answer(&asks, command, tell).await, &asked)
                }
                command => (execute::answer(&asks, command, tell).await, None),
            };
            let _ = outcomes.send(Outcome::Answer(asked, answer, with));
        });
    }

    /// Says good-bye, and waits a moment for what is on its way.
    async fn end(mut self) {
        for wanted in self.session.take(self.now()).into_iter().chain(self.session.ended()) {
            match (wanted, &mut self.link) {
                (Do::Publish(outgoing), Some(link)) => drop(link.publish(outgoing)),
                (Do::Acknowledge(ticket), Some(link)) => drop(link.acknowledge(ticket)),
                (Do::Keep { file, bytes, mark }, _) => drop(self.wishes.send(Wish::Keep { file, bytes, mark })),
                (Do::Publish(_) | Do::Acknowledge(_) | Do::Execute { .. }, _) => {}
            }
        }
        let Some(mut link) = self.link else { return };
        link.disconnect();
        let gone = async { while !matches!(link.hear().await, Heard::Lost(_)) {} };
        let _ = timeout(LAST_WORD, gone).await;
    }
}
