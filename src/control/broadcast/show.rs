//! What is told of the Broadcast: in the status, and as faults.

use super::*;
use crate::{
    control::fault::Notice,
    status::{BroadcastStatus, PublicState, Severity},
};

/// At most so much of what the Studio finds wrong with the stream is shown.
const NOTES: usize = 3;
/// The longest text of the Studio's that is shown, characters.
const TEXT: usize = 80;

impl Over {
    pub(super) fn text(&self) -> &'static str {
        match self {
            Self::Ended => "The Broadcast has ended",
            Self::Dropped => "The push was stopped, or goes elsewhere, before the Broadcast was public",
            Self::Elsewhere(BroadcastState::TimedOut) => "X ended the Broadcast: no video came for 5 minutes",
            Self::Elsewhere(_) => "The Broadcast was ended from elsewhere",
            Self::Deleted => "The Broadcast was deleted from elsewhere",
            Self::Refused(_) => "The Studio refused to publish",
            Self::Unknown => "Whether the Broadcast is public is not known, and cannot be found out from here",
        }
    }
}

impl Broadcast {
    /// Why it is not done yet, in a few words.
    pub(super) fn cause(&self) -> String {
        let step = self.own.as_ref().map(|own| own.step);
        match (&self.trouble, step) {
            (Some(trouble), _) => trouble.text(),
            (None, Some(Step::Waiting)) => "the Studio does not see the Source's media yet".into(),
            (None, Some(Step::Doubt(_))) => "whether it was published is not known yet".into(),
            (None, _) => "the Studio has not done it yet".into(),
        }
    }

    /// For the status; none: nothing is or was published, and no Source of the Studio is pushed to.
    pub fn status(&self, place: &Place, now: Time) -> Option<BroadcastStatus> {
        let shown = |saved: &SavedBroadcast, seen: &Seen, state| BroadcastStatus {
            id: saved.id.clone(),
            title: seen.title.as_ref().or(saved.publish.title.as_ref()).map(|title| cut(title)),
            tags: saved.publish.tags.iter().map(|tag| cut(tag)).collect(),
            source: saved.source.clone(),
            state,
            viewers: seen.viewers,
            share_url: seen.share_url.clone(),
            since: seen.started,
            confirmed_at: seen.wall,
            source_active: self.active(&saved.studio, now),
            notes: self.notes(&saved.studio, now),
        };
        if let Some(own) = &self.own {
            return Some(shown(&own.saved, &own.seen, self.state(own)));
        }
        if let Some((saved, seen, over)) = &self.last
            && saved.id.is_some()
        {
            let state = match over {
                Over::Elsewhere(BroadcastState::TimedOut) => PublicState::TimedOut,
                _ => PublicState::Ended,
            };
            return Some(shown(saved, &Seen { viewers: None, ..seen.clone() }, state));
        }
        let source = place.source.as_ref().filter(|_| place.pushing)?;
        let studio = source.studio.as_ref()?;
        let active = self.active(studio, now);
        Some(BroadcastStatus {
            id: None,
            title: None,
            tags: Vec::new(),
            source: source.name.clone(),
            state: if active == Some(true) { PublicState::Ready } else { PublicState::WaitingForSource },
            viewers: None,
            share_url: None,
            since: None,
            confirmed_at: None,
            source_active: active,
            notes: self.notes(studio, now),
        })
    }

    fn state(&self, own: &Own) -> PublicState {
        match (own.saved.wish, own.step, own.seen.state) {
            (Wish::Ended, ..) => PublicState::Ending,
            (_, Step::Waiting, _) => PublicState::WaitingForSource,
            (_, Step::Keeping(..) | Step::Asking, _) => PublicState::Publishing,
            (_, Step::Known, Some(BroadcastState::Running)) => PublicState::Running,
            (_, Step::Known, Some(BroadcastState::NotStarted | BroadcastState::PrePublished)) => {
                PublicState::Publishing
            }
            (_, Step::Doubt(_) | Step::Known, _) => PublicState::Unknown,
        }
    }

    fn known(&self, studio: &StudioId, now: Time) -> Option<&Activity> {
        // A failure or two later it is still worth something, but not for ever.
        self.activity.as_ref().filter(|known| known.source_id == studio.source_id && now.since(known.at) <= UNCONFIRMED)
    }

    fn active(&self, studio: &StudioId, now: Time) -> Option<bool> {
        self.known(studio, now).map(|known| known.active)
    }

    fn notes(&self, studio: &StudioId, now: Time) -> Vec<String> {
        self.known(studio, now)
            .map_or(Vec::new(), |known| known.notes.iter().take(NOTES).map(|note| cut(note)).collect())
    }

    /// What is wrong. `unserved`: the Broadcast's Source does not get the program, which goes to this one.
    pub fn notices(&self, place: &Place, unserved: Option<&str>, now: Time) -> Vec<Notice> {
        let mut notices = Vec::new();
        if let Some((saved, _, over)) = &self.last {
            notices.extend(over_notice(over, &saved.source).filter(|_| place.pushing));
        }
        let published = self.own.as_ref().filter(|own| own.saved.wish == Wish::Published);
        let unconfirmed =
            published.is_some_and(|own| own.step == Step::Known && now.since(own.confirmed()) >= UNCONFIRMED);
        if unconfirmed {
            let text = "The Studio is not reached: whether viewers see it is not known";
            let advice = self.trouble.as_ref().map_or("The push goes on; check the network", Trouble::advice);
            notices.push(Notice::new("studio-unreached", Severity::Notice, text, advice));
        }
        if let Some(trouble) = &self.trouble {
            // What passes is worth a word when it does not pass at once.
            let worth = !trouble.passes() || (self.failures >= 3 && !unconfirmed);
            let severity = if trouble.passes() { Severity::Notice } else { Severity::Warning };
            let notice = || Notice::new(code(trouble), severity, trouble.text(), trouble.advice());
            notices.extend((worth && (self.own.is_some() || place.pushing && place.source.is_some())).then(notice));
        }
        if let (Some(own), Some(other)) = (published.filter(|_| place.pushing), unserved) {
            let text =
                format!("The Broadcast stays on {}: its viewers do not see what goes to {other}", own.saved.source);
            let advice = format!("Go back to {} within 5 minutes, or end it and publish again", own.saved.source);
            notices.push(Notice::new("broadcast-left-behind", Severity::Error, text, advice));
        }
        notices
    }
}

fn over_notice(over: &Over, source: &str) -> Option<Notice> {
    let (code, severity, text, advice) = match over {
        Over::Ended | Over::Dropped => return None,
        Over::Elsewhere(BroadcastState::TimedOut) => {
            ("broadcast-timed-out", Severity::Error, over.text().into(), "Check the network, and publish again")
        }
        Over::Elsewhere(_) | Over::Deleted => {
            ("broadcast-ended", Severity::Error, over.text().into(), "Publish again if that was not meant")
        }
        Over::Refused(trouble) => (
            code(trouble),
            Severity::Warning,
            format!("{source} is not published: {}", trouble.text()),
            trouble.advice(),
        ),
        Over::Unknown => (
            "broadcast-unknown",
            Severity::Warning,
            over.text().into(),
            "Look in the Studio, and publish again if it is not there",
        ),
    };
    Some(Notice::new(code, severity, text, advice))
}

/// A word for programs.
fn code(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::NotLinked(_) | Trouble::SeveralLinked => "studio-not-linked",
        Trouble::Revoked => "studio-revoked",
        Trouble::NotAllowed(_) => "studio-not-allowed",
        Trouble::NotEligible => "studio-not-eligible",
        Trouble::NotFound => "studio-source-unknown",
        Trouble::Conflict(_) => "studio-conflict",
        Trouble::Tls(_) => "studio-certificate",
        Trouble::ClockWrong => "studio-clock",
        Trouble::TooMany(_) => "studio-too-many",
        Trouble::Refused(_) | Trouble::NotSent(_) | Trouble::NoReplay | Trouble::File(_) => "studio-refused",
        Trouble::Unreachable | Trouble::AnswerLost | Trouble::Broken(_) | Trouble::Garbled(_) => "studio-unreached",
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}
