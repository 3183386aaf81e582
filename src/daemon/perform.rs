//! Doing what control decided: workers, uplinks, files, answers.

use super::{Daemon, Done};
use crate::{
    access_unit::{AccessUnit, Track},
    command::{Answer, Cut, Reason},
    control::{CardId, Effect, Event, Job, RequestId, UplinkId, WorkerId},
    media::{Card, Failure, Order, StillPlan, cards, supervisor},
    program::{slate::Gop, timeline::Timeline},
    settings::{self, Source},
    state::versioned,
    sys,
    uplink::{MediaInfo, delivery, task},
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::JoinHandle};

/// A running uplink, from the loop's side.
pub(super) struct Delivery {
    media: mpsc::Sender<Arc<AccessUnit>>,
    /// It did not read; it gets nothing until the next IDR, with which decoding can go on.
    behind: bool,
    orders: mpsc::Sender<task::Order>,
    task: JoinHandle<()>,
}

/// The uplink's task reads at once; if it does not for so many units, something is very wrong.
const UNITS: usize = 512;
/// A worker that has a picture sends it well within this.
const PICTURE: Duration = Duration::from_secs(3);

impl Daemon {
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::StartWorker { id, plan } => self.start_worker(id, *plan),
            Effect::Order { id, order } => self.order(id, order),
            Effect::StopWorker { id } => {
                // What it still says comes through the channel.
                if let Some(worker) = self.workers.remove(&id) {
                    worker.stop();
                }
            }
            Effect::KillWorker { id } => {
                if let Some(worker) = self.workers.remove(&id) {
                    worker.kill();
                }
            }
            Effect::AbandonWorker { id } => {
                tracing::error!("{id:?} cannot be ended: it hangs in a driver");
                self.workers.remove(&id);
            }
            Effect::MakeCard { id, cut, plan, keep } => self.make_card(id, cut, *plan, keep),
            Effect::UseCard { id } => self.use_card(id),
            Effect::RefreshCard => {
                if let Some(timeline) = &mut self.timeline {
                    timeline.refresh();
                }
            }
            Effect::BeginProgram { card } => self.begin_program(card),
            Effect::Cut { cut, mute } => {
                if let Some(timeline) = &mut self.timeline {
                    timeline.cut(cut, mute);
                }
                self.tick_timeline(sys::now());
            }
            Effect::EndProgram => {
                self.timeline = None;
                self.note_showing(sys::now());
                self.follow_mode();
            }
            Effect::OpenUplink { id, source, media } => self.open_uplink(id, *source, *media),
            Effect::CloseUplink { id } => {
                if let Some(delivery) = self.uplinks.get(&id) {
                    let _ = delivery.orders.try_send(task::Order::Stop);
                }
            }
            Effect::DropUplink { id } => {
                if let Some(delivery) = self.uplinks.remove(&id) {
                    tracing::error!("{id:?} did not end in its time");
                    delivery.task.abort();
                }
            }
            Effect::RetryUplinks => {
                for delivery in self.uplinks.values() {
                    let _ = delivery.orders.try_send(task::Order::NetworkChanged);
                }
            }
            Effect::SaveIntent(intent) => {
                self.files.keep("intent.json", versioned(&intent));
            }
            Effect::KeepRate(rate) => self.keep_rate(rate),
            Effect::Answer { request, answer } => self.answer(request, answer),
            Effect::Perform { request, job } => self.perform_job(request, job),
            Effect::Reset { request } => self.reset(request),
            Effect::Exit => self.ended = true,
        }
    }

    fn start_worker(&mut self, id: WorkerId, plan: crate::media::Plan) {
        match supervisor::spawn(&supervisor::binary(), id, &plan, self.messages.clone()) {
            Ok(worker) => drop(self.workers.insert(id, worker)),
            Err(error) => {
                tracing::error!("the media worker cannot be started: {error}");
                let _ = self.events.send(Event::WorkerExited { id });
            }
        }
    }

    /// Has a card made beside the loop; `take_card` gets it.
    fn make_card(&mut self, id: CardId, cut: Cut, mut plan: StillPlan, keep: bool) {
        if !keep {
            self.cards.remove(&cut);
        }
        if let Card::Picture(path) = &mut plan.card {
            let settings = self.settings.as_deref().unwrap_or(Path::new(settings::PATH));
            *path = settings.parent().unwrap_or(Path::new("/")).join(&path);
        }
        let (folder, done) = (self.state.path().join("slates"), self.done.clone());
        tokio::spawn(async move { drop(done.send(Done::Card(id, cut, cards::gop(plan, &folder).await))) });
    }

    pub(super) fn take_card(&mut self, id: CardId, cut: Cut, made: Result<Gop, Failure>) {
        let result = match made {
            Ok(gop) => {
                self.made = Some((id, cut, gop));
                Ok(())
            }
            Err(failure) => {
                tracing::warn!("the card {cut:?} could not be made ({:?}): {}", failure.kind, failure.text);
                Err(failure.kind)
            }
        };
        self.handle(Event::Card { id, result });
    }

    fn use_card(&mut self, id: CardId) {
        let Some((_, cut, gop)) = self.made.take().filter(|(made, ..)| *made == id) else { return };
        if let Some(timeline) = &mut self.timeline {
            timeline.set_card(cut, gop.clone());
        }
        self.cards.insert(cut, gop);
    }

    fn begin_program(&mut self, card: bool) {
        let (mut timeline, now) = (Timeline::new(), sys::now());
        for (cut, gop) in &self.cards {
            timeline.set_card(*cut, gop.clone());
        }
        if card {
            timeline.begin(now);
        } else {
            timeline.begin_live(now);
        }
        self.timeline = Some(timeline);
    }

    pub(super) fn order(&mut self, id: WorkerId, order: Order) {
        if let Some(worker) = self.workers.get(&id) {
            worker.order(order);
        }
    }

    fn open_uplink(&mut self, id: UplinkId, source: Source, media: MediaInfo) {
        let (media_sender, input) = mpsc::channel(UNITS);
        let (order_sender, orders) = mpsc::channel(8);
        let events = self.events.clone();
        let report = move |report| drop(events.send(Event::Uplink { id, report }));
        let task = tokio::spawn(delivery::deliver(source, media, self.trust.clone(), input, orders, report));
        self.uplinks.insert(id, Delivery { media: media_sender, behind: false, orders: order_sender, task });
    }

    /// Hands units to every uplink; none of them can make the loop wait.
    pub(super) fn deliver(&mut self, units: Vec<AccessUnit>) {
        for unit in units.into_iter().map(Arc::new) {
            for (id, delivery) in &mut self.uplinks {
                let begins = unit.track == Track::Video && unit.key;
                if delivery.behind && !begins {
                    continue;
                }
                let full = matches!(delivery.media.try_send(unit.clone()), Err(mpsc::error::TrySendError::Full(_)));
                if full && !delivery.behind {
                    tracing::error!("{id:?} does not read its input");
                }
                delivery.behind = full;
            }
        }
    }

    /// Forgets what was changed on this box; the loop ends after it.
    fn reset(&mut self, request: RequestId) {
        self.files.end();
        let answer = match self.state.reset() {
            Ok(()) => Answer::done(),
            Err(error) => {
                tracing::error!("the state folder cannot be emptied: {error}");
                Answer::failed(Reason::Internal, format!("Not everything could be deleted: {error}"))
            }
        };
        self.answer(request, answer);
    }

    fn perform_job(&mut self, request: RequestId, job: Job) {
        match job {
            Job::Set(changes) => self.set(request, changes),
            Job::Settings => self.answer(request, Answer::Successful { result: self.layers.describe() }),
            Job::Preflight(source) => {
                let (media, trust) = (self.control.media_info(), self.trust.clone());
                let events = self.events.clone();
                self.answer_later(request, async move {
                    let tell = |progress| drop(events.send(Event::Preflight { request, progress }));
                    let result = delivery::try_out(&source, &media, &trust, tell).await;
                    let shown = result.clone().map(Box::new);
                    let _ = events.send(Event::Preflighted { request, result: shown });
                    match result {
                        Ok(done) => {
                            if let Some(known) = done.fitting(media.audio_bitrate) {
                                let _ = events.send(Event::Measured(known));
                            }
                            Answer::Successful { result: delivery::preflight_document(&done) }
                        }
                        Err(cause) => {
                            Answer::failed(Reason::WrongState, format!("{}. {}", cause.text(), cause.advice()))
                        }
                    }
                });
            }
            Job::Regions(source) => {
                let (trust, events) = (self.trust.clone(), self.events.clone());
                self.answer_later(request, async move {
                    match delivery::table(&source, &trust).await {
                        Ok(table) => {
                            let result = delivery::regions_document(&table);
                            let service = source.service.unwrap_or_default();
                            let _ = events.send(Event::Regions { service, table });
                            Answer::Successful { result }
                        }
                        Err(text) => Answer::failed(Reason::WrongState, text),
                    }
                });
            }
            Job::Pair => {
                let answer = self.pair();
                self.answer(request, answer);
            }
            Job::Tokens => self.answer(request, self.list_tokens()),
            Job::Revoke(id) => {
                let answer = self.revoke(&id);
                self.answer(request, answer);
            }
            Job::Preview(worker) => {
                self.picture_requests.push(request);
                self.order(worker, Order::Preview);
                self.answer_later(request, async {
                    tokio::time::sleep(PICTURE).await;
                    Answer::failed(Reason::TimedOut, "No picture came from the input")
                });
            }
        }
    }
}
