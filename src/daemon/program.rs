//! The program: what comes from workers goes through the timeline to every uplink, and cards stand in.

use super::{Daemon, Done};
use crate::{
    access_unit::{AccessUnit, Track},
    command::Cut,
    control::{CardId, Event, WorkerId},
    media::{Card, Failure, StillPlan, cards},
    program::{slate::Gop, timeline::Timeline},
    settings, sys,
    units::Time,
};
use std::{path::Path, sync::Arc};
use tokio::sync::mpsc;

impl Daemon {
    pub(super) fn take_unit(&mut self, worker: WorkerId, unit: AccessUnit) {
        let (now, mut out) = (sys::now(), Vec::new());
        let Some(timeline) = &mut self.timeline else { return };
        timeline.push(worker, unit, now, &mut out);
        let key_wanted = timeline.take_key_wanted();
        self.deliver(out);
        if key_wanted {
            self.handle(Event::KeyframeWanted);
        }
        self.note_showing(now);
    }

    /// Lets the timeline send what is due.
    pub(super) fn tick_timeline(&mut self, now: Time) {
        let mut out = Vec::new();
        if let Some(timeline) = &mut self.timeline {
            timeline.tick(now, &mut out);
        }
        self.deliver(out);
        self.note_showing(now);
    }

    /// Tells everybody when viewers see something else.
    pub(super) fn note_showing(&mut self, now: Time) {
        let showing = self.timeline.as_ref().and_then(|timeline| timeline.showing(now));
        if showing != self.showing {
            self.showing = showing;
            // Not at once: this may be in the midst of what control wants done.
            let _ = self.events.send(Event::Showing(showing));
        }
    }

    pub(super) fn begin_program(&mut self, card: bool) {
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

    /// Has a card made beside the loop; `take_card` gets it.
    pub(super) fn make_card(&mut self, id: CardId, cut: Cut, mut plan: StillPlan, keep: bool) {
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

    pub(super) fn use_card(&mut self, id: CardId) {
        let Some((_, cut, gop)) = self.made.take().filter(|(made, ..)| *made == id) else { return };
        if let Some(timeline) = &mut self.timeline {
            timeline.set_card(cut, gop.clone());
        }
        self.cards.insert(cut, gop);
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
}
