//! One use of the command line: the way to the boxes, what was heard of them, and a command on its way.

use super::{
    broker::Broker,
    fleet::Fleet,
    link::{DirectLink, Heard},
    order::Order,
    pick::Choice,
    round::{Round, Row},
    seen::Told,
};
use crate::{http::tokens::random, sys, units::Time};
use bytes::Bytes;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

/// What a broker keeps comes at once: after so long without anything all of it has come.
const QUIET: Duration = Duration::from_millis(400);
/// The same until the first of it has come.
const FIRST: Duration = Duration::from_millis(1500);
/// The same where boxes tell something all the time.
const MOST: Duration = Duration::from_secs(3);
/// A box tells its status each 30 s, which is how boxes are found at a broker that keeps nothing.
const PERIOD: Duration = Duration::from_secs(35);
/// Between two looks at the time while answers are waited for.
const TICK: Duration = Duration::from_millis(250);

/// More than a box that is asked directly has for its answer.
const GRACE: Duration = Duration::from_secs(1);
/// Boxes tell their figures once a second.
const FIGURES: Duration = Duration::from_millis(1500);

/// The way to the boxes.
#[derive(Debug)]
pub enum Link {
    /// One.
    Direct(DirectLink),
    /// All.
    Broker(Broker),
}

/// The way to the boxes, and what is known of them.
#[derive(Debug)]
pub struct Session {
    link: Link,
    heard: mpsc::Receiver<Heard>,
    /// What is known of them.
    pub fleet: Fleet,
    /// Why there is no connection now.
    pub lost: Option<String>,
    /// Lines of boxes' logs that came, each with the box's id.
    pub lines: Vec<(String, Value)>,
}

/// A command that is on its way.
#[derive(Debug)]
pub struct Running {
    request: String,
    /// Where it is.
    pub round: Round,
    /// Whether what comes of it is a file.
    file: bool,
    /// Files that came, by box.
    pub files: BTreeMap<String, Bytes>,
}

impl Session {
    /// Of this link, whose words come to `heard`.
    pub fn new(link: Link, heard: mpsc::Receiver<Heard>) -> Self {
        Self { link, heard, fleet: Fleet::default(), lost: None, lines: Vec::new() }
    }

    /// Hears of the boxes until all are known, or those that are meant by `choice`; `patient` waits for boxes at a broker
    /// that keeps nothing.
    ///
    /// # Errors
    /// For people: the broker was not reached.
    pub async fn gather(&mut self, choice: &Choice, note: impl Fn(&str)) -> Result<(), String> {
        let (mut quiet, mut kept, mut connected) = (FIRST, false, None);
        loop {
            let since = connected.map(|at| sys::now().since(at));
            // What is never quiet is listened to for so long.
            let left = since.map_or(PERIOD, |since| (if kept { MOST } else { PERIOD }).saturating_sub(since));
            if left.is_zero() {
                return Ok(());
            }
            let heard = timeout(quiet.min(left), self.heard.recv()).await;
            match heard {
                Ok(Some(Heard::Lost(why))) => return Err(why),
                Ok(Some(Heard::Settled)) => return Ok(()),
                Ok(Some(Heard::Connected)) => connected = connected.or(Some(sys::now())),
                Ok(Some(heard)) => {
                    if let Heard::Told { told: Told::Status { live: false, .. }, .. } = &heard {
                        (kept, quiet) = (true, QUIET);
                    }
                    self.take(heard, &mut []);
                }
                Ok(None) => return Err("the connection has ended".into()),
                Err(_) if kept => return Ok(()),
                Err(_) if connected.is_some() && quiet < PERIOD => {
                    note("the broker keeps nothing of any box; each tells of itself within 30 s (Ctrl-C ends)");
                    quiet = PERIOD;
                }
                Err(_) => {}
            }
            if choice.is_met(&self.fleet.candidates()) && self.fleet.boxes().all(|seen| seen.known()) {
                return Ok(());
            }
        }
    }

    /// Hears the figures of the boxes that are there, which no broker keeps.
    pub async fn figures(&mut self, ids: &[String]) {
        let begun = sys::now();
        let told = |fleet: &Fleet, now| {
            let mut boxes = ids.iter().filter_map(|id| fleet.get(id));
            boxes.all(|seen| !seen.online(now) || !seen.rates().is_empty())
        };
        while !told(&self.fleet, sys::now()) && sys::now().since(begun) < FIGURES {
            self.step(&mut []).await;
        }
    }

    /// Goes on hearing of a box that is asked directly; a broker tells by itself.
    pub fn follow(&self) {
        if let Link::Direct(direct) = &self.link {
            direct.follow();
        }
    }

    /// Sends `order` to the boxes `ids` that are online; to those in `confirmed` with the confirmation.
    ///
    /// # Errors
    /// For people: the system gives no random numbers.
    pub fn begin(&self, order: &Order, ids: &[String], confirmed: &BTreeSet<String>) -> Result<Running, String> {
        let number = random::<8>().map_err(|error| error.to_string())?;
        let request = format!("desk-{:016x}", u64::from_be_bytes(number));
        let now = sys::now();
        let known = |id: &String| {
            let seen = self.fleet.get(id)?;
            Some((id.clone(), seen.name(), seen.online(now)))
        };
        let boxes: Vec<_> = ids.iter().filter_map(known).collect();
        match &self.link {
            Link::Direct(direct) => direct.send(&request, order, !confirmed.is_empty()),
            Link::Broker(broker) => {
                let online = boxes.iter().filter(|(.., online)| *online);
                broker.send(&request, order, online.map(|(id, ..)| (id.clone(), confirmed.contains(id))).collect());
            }
        }
        // One that is asked directly says itself why there is no answer.
        let grace = if let Link::Direct(_) = self.link { GRACE } else { Duration::ZERO };
        let round = Round::new(order.command, boxes, now, order.patience + grace);
        Ok(Running { request, round, file: order.saved, files: BTreeMap::new() })
    }

    /// Waits for the next thing heard, for a moment at most, and takes it; true: one of `running` has got on. Can be dropped
    /// while it waits.
    pub async fn step(&mut self, running: &mut [Running]) -> bool {
        let heard = tokio::select! {
            heard = self.heard.recv() => heard,
            () = sleep(TICK) => None,
        };
        let mut changed = heard.is_some_and(|heard| self.take(heard, running));
        for running in running {
            changed |= running.round.expire(sys::now());
        }
        changed
    }

    fn take(&mut self, heard: Heard, running: &mut [Running]) -> bool {
        match heard {
            Heard::Told { id, told } => {
                let online = match told {
                    Told::Availability(online) => Some(online),
                    _ => None,
                };
                self.fleet.hear(&id, told, sys::now());
                let mut changed = false;
                if let Some(online) = online {
                    running.iter_mut().for_each(|running| changed |= running.round.connected(&id, online));
                }
                changed
            }
            Heard::Reply { id, request, reply } => {
                let asked = running.iter_mut().find(|running| running.request == request);
                asked.is_some_and(|running| running.round.hear(&id, reply))
            }
            Heard::Bytes { id, bytes } => {
                let asked = running.iter_mut().find(|running| running.file);
                asked.is_some_and(|running| running.files.insert(id, bytes).is_none())
            }
            Heard::Line { id, line } => {
                self.lines.push((id, line));
                false
            }
            Heard::Connected => {
                self.lost = None;
                false
            }
            Heard::Lost(why) => {
                self.fleet.lose();
                self.lost = Some(why);
                false
            }
            Heard::Settled => false,
        }
    }

    /// Takes back what was asked and was not answered, and what the broker keeps of the answers.
    pub fn finish(&self, running: &Running) {
        if let Link::Broker(broker) = &self.link {
            let ids: Vec<_> = running.round.rows().keys().cloned().collect();
            broker.clear(&running.request, running.round.command(), &ids);
        }
    }

    /// Ends the connection properly.
    pub async fn close(self) {
        if let Link::Broker(broker) = self.link {
            broker.close().await;
        }
    }
}

impl Running {
    /// Whether there is nothing more to come: each box has its outcome, and files that were asked for are here.
    pub fn is_over(&self, now: Time) -> bool {
        let here =
            |(id, row): (&String, &Row)| row.stage.result().is_none() || !self.file || self.files.contains_key(id);
        self.round.is_over() && (now >= self.round.deadline() || self.round.rows().iter().all(here))
    }
}
