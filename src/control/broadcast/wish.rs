//! The core's side: the commands `publish` and `end`, a stop that ends the Broadcast first, and what the core tells it.

use super::*;
use crate::{
    control::{Control, onair::Uplink},
    status::{Intent, Phase},
};

/// So long the push goes on for a Broadcast that is to be ended first; then that is tried on without a push.
const LAST: Duration = Duration::from_secs(5);

impl Control {
    /// Where media goes, for the Broadcast.
    pub(in crate::control) fn place(&self, now: Time) -> Place {
        let sources = self.wanted_sources();
        let of_studio = sources.iter().filter_map(|source| source.studio.as_ref());
        let wanted = of_studio.map(|studio| studio.source_id.clone()).collect();
        let source = sources.into_iter().find(|source| source.studio.is_some()).cloned();
        let alive = self.uplinks.iter().filter(|uplink| uplink.closing.is_none() && uplink.on_air(now));
        let delivered = alive.filter_map(|uplink| Some(uplink.source.studio.as_ref()?.source_id.clone())).collect();
        Place { source, wanted, pushing: self.pushing(), ending: self.shutdown.is_some(), delivered }
    }

    /// Whether what `uplink` delivers is seen by viewers: of a Source of the Studio, once its Broadcast runs.
    pub(in crate::control) fn is_seen(&self, source: &Source) -> bool {
        source.studio.as_ref().is_none_or(|studio| self.broadcast.is_public(&studio.source_id))
    }

    /// The phase, never better than what was acknowledged and, for Sources of the Studio, is public. Any Source that viewers
    /// see makes it on air: with a Studio Source that is not published beside another Source, the other one's viewers see it.
    pub fn phase(&self, now: Time) -> Phase {
        let mut acknowledged =
            self.uplinks.iter().filter(|uplink| uplink.closing.is_none() && uplink.on_air(now)).peekable();
        match (self.pushing(), acknowledged.peek().is_some()) {
            (true, true) if acknowledged.any(|uplink| self.is_seen(&uplink.source)) => Phase::OnAir,
            (true, true) => Phase::Previewing,
            (true, false) if self.acknowledged => Phase::Reconnecting,
            (true, false) => Phase::Starting,
            (false, _) if self.uplinks.is_empty() => Phase::OffAir,
            (false, _) => Phase::Stopping,
        }
    }

    /// Whether a push would only be previewed, until it is published.
    pub(in crate::control) fn previews(&self) -> bool {
        let sources = self.wanted_sources();
        !sources.is_empty() && sources.iter().all(|source| !self.is_seen(source))
    }

    /// The Source of the Studio that is pushed to, and could be published.
    pub(in crate::control) fn studio_source(&self) -> Option<&Source> {
        self.wanted_sources().into_iter().find(|source| source.studio.is_some())
    }

    pub(in crate::control) fn publish(
        &mut self,
        request: RequestId,
        publish: Publish,
        now: Time,
    ) -> Result<Vec<Effect>, Answer> {
        if let Some(name) = &publish.source {
            self.known_source("source", Some(name))?;
        }
        if !self.pushing() || self.stop_at.is_some() {
            let text = "Nothing is pushed: start first, and publish what the Studio then sees";
            return Err(Answer::failed(Reason::WrongState, text));
        }
        let named = |source: &&Source| publish.source.as_ref().is_none_or(|name| source.name == *name);
        let wanted = self.wanted_sources();
        let Some(source) = wanted.into_iter().filter(named).find(|source| source.studio.is_some()).cloned() else {
            let text = match &publish.source {
                Some(name) => format!("{name} is no Source of the Studio, or is not pushed to"),
                None => "No Source of the Studio is pushed to: give one studio = { source-id = \"...\" }".into(),
            };
            return Err(Answer::failed(Reason::WrongState, text));
        };
        self.broadcast.publish(request, publish, &source, now)?;
        Ok(Vec::new())
    }

    pub(in crate::control) fn end(&mut self, request: RequestId, now: Time) -> Result<Vec<Effect>, Answer> {
        let mut effects = Vec::new();
        self.broadcast.end(Some(request), now, &mut effects)?;
        Ok(effects)
    }

    /// Ends the push; `end`: and the Broadcast before.
    pub(in crate::control) fn stop(&mut self, request: RequestId, end: bool, now: Time) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.stops.push(request);
        let first = end && self.pushing() && self.broadcast.exists();
        if end && self.broadcast.exists() {
            // There is one, so it can be ended.
            let _ = self.broadcast.end(None, now, &mut effects);
        }
        if first {
            if self.stop_at.is_none() {
                self.stop_at = Some(now + LAST);
                effects.push(Effect::SaveIntent(self.saved_intent()));
            }
        } else if self.intent == Intent::OnAir {
            self.stop_at = None;
            self.set_intent(Intent::OffAir, None, &mut effects);
        }
        effects
    }

    /// The push ends once the Broadcast has, or has had its time.
    pub(in crate::control) fn finish_stop(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let due = self.stop_at.is_some_and(|at| at <= now || self.broadcast.is_over());
        if due && self.shutdown.is_none() {
            self.stop_at = None;
            self.set_intent(Intent::OffAir, None, effects);
        }
    }

    pub(in crate::control) fn reconcile_broadcast(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let place = self.place(now.time);
        self.broadcast.reconcile(&place, now, &mut self.next_id, effects);
    }

    /// What gets the program in place of the Broadcast's Source: another one was chosen, or the backup carries it.
    pub(in crate::control) fn unserved(&self, now: Time) -> Option<&str> {
        let public = self.broadcast.public_source()?;
        if self.chosen().iter().any(|source| source.name == public) && !self.backup.carries() {
            return None;
        }
        let serves = |uplink: &&Uplink| uplink.closing.is_none() && uplink.on_air(now);
        let mut served = self.uplinks.iter().filter(serves);
        if served.clone().any(|uplink| uplink.source.name == public) {
            return None;
        }
        served.next().map(|uplink| uplink.source.name.as_str())
    }
}
