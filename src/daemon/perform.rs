//! Doing what control decided: workers, uplinks, files, answers.

use super::{BROADCAST, Daemon, INTENT, files::Once, provision, remote::CAN_REBOOT, studio};
use crate::{
    access_unit::AccessUnit,
    command::{Answer, Reason},
    control::{Effect, Event, RequestId, UplinkId, WorkerId},
    media::{Order, supervisor},
    settings::Source,
    state::{RESET, versioned},
    sys,
    uplink::{MediaInfo, delivery, task},
};
use std::sync::Arc;
use tokio::{sync::mpsc, task::JoinHandle};

/// A running uplink, from the loop's side.
pub(super) struct Delivery {
    pub media: mpsc::Sender<Arc<AccessUnit>>,
    /// It did not read; it gets nothing until the next IDR, with which decoding can go on.
    pub behind: bool,
    orders: mpsc::Sender<task::Order>,
    task: JoinHandle<()>,
}

/// The uplink's task reads at once; if it does not for so many units, something is very wrong.
const UNITS: usize = 512;

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
            Effect::SaveIntent(intent) => match versioned(&intent) {
                Ok(bytes) => {
                    self.files.keep_now(INTENT, bytes, Once::Intent);
                    self.held.begin(sys::now());
                }
                Err(error) => tracing::error!(%error, "the intent cannot be put into words"),
            },
            Effect::KeepRate(rate) => self.keep_rate(rate),
            Effect::KeepBroadcast { mark, record } => match versioned(&record) {
                Ok(bytes) => self.files.keep_now(BROADCAST, bytes, Once::Broadcast(mark)),
                Err(error) => tracing::error!(%error, "the Broadcast cannot be put into words"),
            },
            Effect::AskStudio { id, source, ask } => self.ask_studio(id, *source, ask),
            Effect::Update(act) => self.update(act),
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
        let studio = self.studio.clone();
        let find = async move || studio::told(&source, studio.as_ref()).await;
        let task = tokio::spawn(delivery::deliver(find, media, self.trust.clone(), input, orders, report));
        self.uplinks.insert(id, Delivery { media: media_sender, behind: false, orders: order_sender, task });
    }

    /// Forgets what was changed on this box; the loop ends after it.
    fn reset(&mut self, request: RequestId) {
        self.files.end();
        // On an appliance root does the rest before anything starts, and this anew should the power go meanwhile.
        let marked = if provision::is_appliance() {
            self.reboot = std::env::var_os(CAN_REBOOT).is_some();
            self.state.replace(RESET, b"")
        } else {
            Ok(())
        };
        let answer = match marked.and_then(|()| self.state.reset()) {
            Ok(()) if self.substitute => {
                Answer::failed(Reason::Internal, "The state folder cannot be used, so nothing in it could be deleted")
            }
            Ok(()) => Answer::done(),
            Err(error) => {
                tracing::error!("the state folder cannot be emptied: {error}");
                Answer::failed(Reason::Internal, format!("Not everything could be deleted: {error}"))
            }
        };
        self.answer(request, answer);
    }
}
