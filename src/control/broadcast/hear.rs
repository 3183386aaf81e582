//! What follows from each answer of the Studio.

use super::*;
use studio::Told;

impl Broadcast {
    /// Takes the Studio's answer; one to a question that is not under way changes nothing.
    pub fn hear(&mut self, id: AskId, told: Told, now: Now, effects: &mut Vec<Effect>) {
        let Some(asked) = self.asked.take_if(|asked| asked.id == id) else { return };
        match (&asked.ask, told) {
            (Ask::Source, Told::Source { active, notes }) => {
                self.activity = Some(Activity { source_id: asked.source_id, active, notes, at: now.time });
                self.reached(now.time + POLL);
            }
            (Ask::GoLive { .. }, Told::Broadcast(broadcast)) => self.adopt(*broadcast, false, now, effects),
            (Ask::GoLive { .. }, Told::AlreadyLive(broadcast)) => self.adopt(*broadcast, true, now, effects),
            (Ask::GoLive { .. }, Told::Failed(trouble)) => self.not_live(trouble, now.time, effects),
            (Ask::Find { .. }, Told::Found(found)) => {
                // The one before is none of this one's.
                let found = found.filter(|found| Some(&found.id) != self.before.as_ref());
                match found {
                    Some(found) => self.adopt(*found, false, now, effects),
                    None => self.not_found(&asked, now.time, effects),
                }
            }
            (Ask::Broadcast { id }, Told::Broadcast(broadcast)) if broadcast.id == *id => {
                self.note(*broadcast, now, effects);
                self.look = false;
            }
            (Ask::Broadcast { .. } | Ask::End { .. }, Told::Failed(Trouble::NotFound))
                if self.own.as_ref().is_some_and(|own| own.just_seen(now.time)) =>
            {
                self.fail(Trouble::NotFound, POLL, now.time);
            }
            (Ask::Broadcast { .. }, Told::Failed(Trouble::NotFound)) => self.over(Over::Deleted, now.time, effects),
            (Ask::End { .. }, Told::Ended | Told::Failed(Trouble::NotFound)) => {
                self.over(Over::Ended, now.time, effects)
            }
            (Ask::End { .. }, Told::Failed(trouble)) => {
                self.look = !trouble.passes();
                self.fail(trouble, Duration::ZERO, now.time);
            }
            (Ask::Source, Told::Failed(trouble)) => self.fail(trouble, POLL, now.time),
            (_, Told::Failed(trouble)) => self.fail(trouble, Duration::ZERO, now.time),
            (ask, _) => {
                let doubt = matches!(ask, Ask::GoLive { .. });
                let trouble = Trouble::Garbled("it belongs to another question".into());
                if doubt { self.not_live(trouble, now.time, effects) } else { self.fail(trouble, POLL, now.time) }
            }
        }
    }

    fn reached(&mut self, due: Time) {
        (self.failures, self.trouble, self.due) = (0, None, due);
    }

    fn fail(&mut self, trouble: Trouble, least: Duration, now: Time) {
        let pause = match &trouble {
            Trouble::TooMany(wait) => (*wait).clamp(POLL, LIMIT),
            trouble if !trouble.passes() && self.own.is_none() => LONG_PAUSE,
            _ => Duration::from_secs(1 << self.failures.min(5)).min(PAUSE),
        };
        self.due = now + pause.max(least);
        self.failures = self.failures.saturating_add(1);
        self.trouble = Some(trouble);
    }

    /// What was asked for was not made public, or that is not known.
    fn not_live(&mut self, trouble: Trouble, now: Time, effects: &mut Vec<Effect>) {
        let step = match trouble {
            // It was sent: it may have been done.
            Trouble::AnswerLost | Trouble::Broken(_) | Trouble::Garbled(_) => Step::Doubt(now),
            // It was not sent, or certainly not done, and may be done a little later.
            Trouble::Unreachable | Trouble::TooMany(_) | Trouble::Tls(_) | Trouble::ClockWrong => Step::Waiting,
            trouble => {
                self.reached(now + POLL);
                return self.over(Over::Refused(trouble), now, effects);
            }
        };
        if let Some(own) = &mut self.own {
            own.step = step;
        }
        // The Source is looked at again before it is asked for again.
        self.activity = None;
        self.fail(trouble, Duration::ZERO, now);
    }

    fn not_found(&mut self, asked: &Asked, now: Time, effects: &mut Vec<Effect>) {
        let Some(own) = &mut self.own else { return };
        let Step::Doubt(since) = own.step else { return };
        if asked.at.since(since) < SETTLE {
            return self.reached(now + POLL);
        }
        let Ask::Find { since } = asked.ask else { return };
        match (own.saved.wish, since) {
            // Without a time, one that has ended already is not seen: nothing is asked for again.
            (Wish::Published, None) => self.over(Over::Unknown, now, effects),
            (Wish::Published, Some(_)) => own.step = Step::Waiting,
            (Wish::Ended, _) => self.over(Over::Ended, now, effects),
        }
        self.reached(now);
    }

    /// This is the Broadcast of this box.
    fn adopt(&mut self, broadcast: studio::Broadcast, already: bool, now: Now, effects: &mut Vec<Effect>) {
        let Some(own) = &mut self.own else { return };
        own.saved.id = Some(broadcast.id.clone());
        // Whichever account is chosen later: it is asked of this one, and ended by it.
        if broadcast.account.is_some() {
            own.saved.studio.account.clone_from(&broadcast.account);
        }
        (own.step, own.already) = (Step::Known, already);
        self.keep(effects);
        self.note(broadcast, now, effects);
    }

    fn note(&mut self, broadcast: studio::Broadcast, now: Now, effects: &mut Vec<Effect>) {
        use BroadcastState::{Canceled, Ended, NotStarted, PrePublished, Running, TimedOut, Unknown};
        let Some(own) = &mut self.own else { return };
        let state = broadcast.state;
        own.seen = Seen {
            state: Some(state),
            title: broadcast.title,
            viewers: broadcast.viewers,
            share_url: broadcast.share_url.or(own.seen.share_url.take()),
            started: broadcast.started.or(own.seen.started),
            at: Some(now.time),
            wall: now.wall,
        };
        let wish = own.saved.wish;
        let pause = match (state, wish) {
            (_, Wish::Ended) => Duration::ZERO,
            (Running, Wish::Published) => WATCH,
            _ => POLL,
        };
        if self.look {
            // An end that was just refused would be refused again; why is still told.
            self.due = now.time + PAUSE;
        } else {
            self.reached(now.time + pause);
        }
        match (state, wish) {
            (NotStarted | PrePublished | Running | Unknown, _) => {}
            (Ended | TimedOut | Canceled, Wish::Ended) => self.over(Over::Ended, now.time, effects),
            (Ended | TimedOut | Canceled, Wish::Published) => self.over(Over::Elsewhere(state), now.time, effects),
        }
    }
}
