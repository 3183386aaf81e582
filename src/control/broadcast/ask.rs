//! What is asked next, what follows without an answer, and who waits for what.

use super::*;

impl Broadcast {
    /// Asks what is to be asked, and answers who waits.
    pub fn reconcile(&mut self, place: &Place, now: Now, next_id: &mut u64, effects: &mut Vec<Effect>) {
        if place.ending {
            self.fail_publishes("The box is shutting down; what was begun goes on after that", effects);
            for waiting in self.ends.drain(..) {
                let text = "The box is shutting down; the Broadcast is ended after that";
                let answer = Answer::failed(Reason::WrongState, text);
                effects.push(Effect::Answer { request: waiting.request, answer });
            }
            return;
        }
        self.settle(place, now, effects);
        self.clearing.take_if(|(_, since)| now.time.since(*since) >= DISK);
        if let Some(ask) = self.question(place)
            && self.asked.is_none()
            && self.due <= now.time
        {
            let source = match &self.own {
                Some(own) => Some(source_of(&own.saved)),
                None => place.source.clone(),
            };
            if let Some((source, studio)) =
                source.and_then(|source| source.studio.clone().map(|studio| (source, studio)))
            {
                *next_id += 1;
                let id = AskId(*next_id);
                self.asked = Some(Asked { id, ask: ask.clone(), source_id: studio.source_id, at: now.time });
                effects.push(Effect::AskStudio { id, source: Box::new(source), ask });
            }
        }
        self.answer_waiting(now.time, effects);
    }

    /// What follows without a question.
    fn settle(&mut self, place: &Place, now: Now, effects: &mut Vec<Effect>) {
        let Some(own) = &self.own else { return };
        let unsent = !self.may_be_public(own);
        if unsent && own.saved.wish == Wish::Ended {
            return self.over(Over::Ended, now.time, effects);
        }
        let served = place.pushing && place.wanted.contains(&own.saved.studio.source_id);
        if unsent && !served {
            return self.over(Over::Dropped, now.time, effects);
        }
        // Nobody here can ask any more.
        let unlinked = matches!(self.trouble, Some(Trouble::NotLinked(_)));
        if !served && unlinked && now.time.since(own.confirmed()) >= GONE {
            return self.over(Over::Unknown, now.time, effects);
        }
        let delivered = place.delivered.contains(&own.saved.studio.source_id);
        let active = self.activity.as_ref().is_some_and(|activity| {
            activity.source_id == own.saved.studio.source_id && activity.active && now.time.since(activity.at) <= FRESH
        });
        let Some(own) = &mut self.own else { return };
        match own.step {
            Step::Waiting if delivered && active => {
                self.due = now.time;
                own.asked_at.get_or_insert(now.time);
                if own.kept {
                    own.step = Step::Asking;
                } else {
                    own.saved.begun = now.wall;
                    let mark = self.keep(effects);
                    if let Some(own) = &mut self.own {
                        own.step = Step::Keeping(mark, now.time);
                    }
                }
            }
            Step::Keeping(_, since) if now.time.since(since) >= DISK => own.step = Step::Asking,
            _ => {}
        }
        // The clock was set meanwhile: now it can be said when that was.
        if let Some(own) = &mut self.own
            && own.saved.begun.is_none()
            && own.kept
            && let (Some(at), Some(wall)) = (own.asked_at, now.wall)
        {
            own.saved.begun = wall.checked_sub(now.time.since(at)).ok();
            self.keep(effects);
        }
    }

    /// What is to be asked once it is due.
    fn question(&self, place: &Place) -> Option<Ask> {
        let delivered = |studio: &StudioId| place.delivered.contains(&studio.source_id);
        let Some(own) = &self.own else {
            return place.source.as_ref()?.studio.as_ref().filter(|studio| delivered(studio)).map(|_| Ask::Source);
        };
        let id = || own.saved.id.clone().unwrap_or_default();
        match (own.step, own.saved.wish) {
            (Step::Waiting, _) => delivered(&own.saved.studio).then_some(Ask::Source),
            (Step::Keeping(..), _) => None,
            (Step::Asking, _) => Some(go_live(&own.saved.publish)),
            (Step::Doubt(_), _) => Some(Ask::Find { since: own.saved.begun.and_then(|at| at.checked_sub(SKEW).ok()) }),
            (Step::Known, Wish::Ended) if !self.look => Some(Ask::End { id: id() }),
            (Step::Known, _) => Some(Ask::Broadcast { id: id() }),
        }
    }

    /// Keeps the record over a power cut, as it is now.
    pub(super) fn keep(&mut self, effects: &mut Vec<Effect>) -> u64 {
        self.marks += 1;
        if let Some(own) = &mut self.own {
            own.kept = true;
        }
        let record = self.own.as_ref().map(|own| Box::new(own.saved.clone()));
        effects.push(Effect::KeepBroadcast { mark: self.marks, record });
        self.marks
    }

    pub(super) fn over(&mut self, over: Over, now: Time, effects: &mut Vec<Effect>) {
        let Some(own) = self.own.take() else { return };
        if own.kept {
            self.clearing = Some((self.keep(effects), now));
        }
        let why = match &over {
            Over::Refused(trouble) => format!("{}. {}", trouble.text(), trouble.advice()),
            over => over.text().into(),
        };
        self.fail_publishes(&why, effects);
        self.before = own.saved.id.clone().or(own.saved.before.clone());
        (self.look, self.failures, self.trouble) = (false, 0, None);
        self.last = Some((own.saved, own.seen, over));
    }

    pub(super) fn fail_publishes(&mut self, why: &str, effects: &mut Vec<Effect>) {
        for waiting in self.publishes.drain(..) {
            let answer = Answer::failed(Reason::WrongState, why);
            effects.push(Effect::Answer { request: waiting.request, answer });
        }
    }

    fn answer_waiting(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let public = self.own.as_ref().filter(|own| own.seen.state == Some(BroadcastState::Running));
        let cause = self.cause();
        self.publishes.retain(|waiting| {
            let answer = if let Some(own) = public {
                let already = waiting.already || own.already;
                let result = json!({ "id": own.saved.id, "share-url": own.seen.share_url, "already-live": already });
                Answer::Successful { result }
            } else if now >= waiting.until {
                Answer::failed(Reason::TimedOut, format!("Not public after 60 s: {cause}. It is still tried"))
            } else {
                return true;
            };
            effects.push(Effect::Answer { request: waiting.request, answer });
            false
        });
        let ended = self.is_over();
        self.ends.retain(|waiting| {
            let answer = if ended {
                Answer::done()
            } else if now >= waiting.until {
                Answer::failed(Reason::TimedOut, format!("Not ended after 30 s: {cause}. It is still tried"))
            } else {
                return true;
            };
            effects.push(Effect::Answer { request: waiting.request, answer });
            false
        });
    }

    /// When something is to be done after `now` that no event tells.
    pub fn wakes(&self, place: &Place) -> Vec<Time> {
        let mut wakes: Vec<Time> = self.publishes.iter().chain(&self.ends).map(|waiting| waiting.until).collect();
        wakes.extend((self.asked.is_none() && self.question(place).is_some()).then_some(self.due));
        wakes.extend(self.clearing.map(|(_, since)| since + DISK));
        if let Some(own) = &self.own {
            wakes.extend(match own.step {
                Step::Keeping(_, since) => Some(since + DISK),
                Step::Known => Some(own.confirmed() + UNCONFIRMED),
                _ => None,
            });
        }
        wakes
    }
}

/// The Source as it was when the Broadcast was published; the settings may have changed.
fn source_of(saved: &SavedBroadcast) -> Source {
    Source { name: saved.source.clone(), studio: Some(saved.studio.clone()), ..Source::default() }
}

/// The question that makes it public. Tags have no field of their own: they are hashtags in the post.
fn go_live(publish: &Publish) -> Ask {
    let tags = publish.tags.iter().filter(|_| publish.post != Some(false)).filter_map(|tag| {
        let word: String = tag.chars().filter(|letter| letter.is_alphanumeric() || *letter == '_').collect();
        (!word.is_empty()).then(|| format!("#{word}"))
    });
    let words: Vec<String> = publish.title.iter().cloned().chain(tags).collect();
    Ask::GoLive {
        title: (!words.is_empty()).then(|| words.join(" ")),
        chat_option: publish.chat.map(|chat| chat.option()),
        locale: publish.locale.clone(),
        post: publish.post,
    }
}
