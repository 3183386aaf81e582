//! The bitrate of the program: what the leading delivery's link carries, or the slowest one's.

use super::{
    Control, Effect, Now, Uplink, UplinkId,
    fault::{self, Notice},
    rate::{Controller, Limits},
};
use crate::{
    board::Encoder,
    settings::RateFollows,
    units::{BitRate, Time},
    uplink::Report,
};
use std::{collections::BTreeMap, time::Duration};

/// Pictures that were dropped are a fault for this long.
const TOLD: Duration = Duration::from_secs(10);
/// The usual rate is kept for the next start after this time on air,
const SETTLED: Duration = Duration::from_secs(30);
/// and then so often, if it has changed.
const KEPT: Duration = Duration::from_secs(300);

/// The links as the rate controller sees them.
#[derive(Debug, Default)]
pub struct Pace {
    /// What this network carried before.
    known: Option<BitRate>,
    links: BTreeMap<UplinkId, Link>,
    kept: Option<(BitRate, Time)>,
}

#[derive(Debug)]
struct Link {
    rate: Controller,
    since: Time,
    /// When pictures were last dropped, by the queue's limit.
    dropped: Option<Time>,
    /// The box has gone to another network, and this connection was made before.
    moved: bool,
}

impl Pace {
    /// A preflight found out what the network carries; running pushes know better.
    pub(super) fn measured(&mut self, rate: BitRate) {
        self.known = Some(rate);
    }
}

impl Control {
    /// Another network, or the first: what is known to pass through it. A connection that was made before may stay where it
    /// was, so it is the next one that begins with it.
    pub(super) fn note_known_rate(&mut self, known: Option<BitRate>) {
        self.pace.known = known;
        self.pace.kept = None;
        for link in self.pace.links.values_mut() {
            link.moved = true;
        }
    }

    /// What an uplink says of its link.
    pub(super) fn note_link(&mut self, id: UplinkId, report: &Report, now: Time) {
        match report {
            Report::Publishing { .. } => {
                let (limits, audio) = (self.rate_limits(), self.running.output.audio_bitrate);
                let known = self.pace.known;
                let link = self.pace.links.entry(id).or_insert_with(|| Link {
                    rate: Controller::new(limits, known, audio),
                    since: now,
                    dropped: None,
                    moved: false,
                });
                if std::mem::take(&mut link.moved) {
                    link.rate.forget(known);
                    link.since = now;
                }
                link.rate.restart();
            }
            Report::Link(sample) => {
                let (limits, every) = (self.rate_limits(), self.every());
                if let Some(link) = self.pace.links.get_mut(&id) {
                    link.rate.set_limits(limits);
                    link.rate.set_every(every);
                    link.rate.take(sample, now);
                    if sample.dropped_pictures > 0 {
                        link.dropped = Some(now);
                    }
                }
            }
            _ => {}
        }
    }

    /// Between which bitrates the encoder may be set.
    pub(super) fn rate_limits(&self) -> Limits {
        let output = &self.running.output;
        let lowest = self.usual_encoder().and_then(|encoder| encoder.min_bitrate);
        let lowest = lowest.unwrap_or(output.bitrate_min);
        let (min, max) = (output.bitrate_min.max(lowest), output.bitrate_max.max(lowest));
        Limits { min, max: self.heat.cap().map_or(max, |cap| cap.clamp(min, max)) }
    }

    /// The encoder that a worker will use, as far as is known.
    pub(super) fn usual_encoder(&self) -> Option<&Encoder> {
        let skipped = self.video.skipped();
        let codec = self.running.output.codec;
        self.board.encoders.iter().find(|encoder| encoder.codec == codec && !skipped.contains(&encoder.element))
    }

    /// The video bitrate to encode at: the leading delivery's while that is on air, else that of the slowest which is. What
    /// a link carried before it failed is nobody's measure.
    pub(super) fn bitrate(&self, now: Time) -> BitRate {
        let limits = self.rate_limits();
        let rate = |uplink: &Uplink| self.pace.links.get(&uplink.id).map(|link| link.rate.rate());
        let on_air = self.uplinks.iter().filter(|uplink| uplink.closing.is_none() && uplink.on_air(now));
        let slowest = on_air.filter_map(rate).min();
        let leading = self.leading(now);
        let leads = leading.filter(|uplink| uplink.on_air(now)).and_then(rate);
        let rate = match self.running.push.rate_follows {
            RateFollows::Primary => leads.or(slowest),
            RateFollows::Slowest => slowest,
        };
        let unmeasured = || Controller::new(limits, self.pace.known, self.running.output.audio_bitrate).rate();
        let rate = rate.or(leading.and_then(|uplink| self.pace.links.get(&uplink.id)).map(|link| link.rate.rate()));
        rate.unwrap_or_else(unmeasured).clamp(limits.min, limits.max)
    }

    /// Forgets links that have gone, and keeps the leading one's usual rate for the next start.
    pub(super) fn reconcile_pace(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let uplinks = &self.uplinks;
        self.pace.links.retain(|id, _| uplinks.iter().any(|uplink| uplink.id == *id));
        let leading = self.leading(now.time).filter(|uplink| uplink.on_air(now.time));
        let link = leading.and_then(|uplink| self.pace.links.get(&uplink.id));
        let Some(link) = link.filter(|link| now.time.since(link.since) >= SETTLED) else { return };
        // What heat leaves is no measure of the network.
        let Some(usual) = link.rate.usual().filter(|_| !link.moved && self.heat.cap().is_none()) else { return };
        // The next push begins with it, and so does a Source that is added.
        self.pace.known = Some(usual);
        let news = self.pace.kept.is_none_or(|(kept, at)| {
            now.time.since(at) >= KEPT && kept.bits().abs_diff(usual.bits()) * 10 > kept.bits()
        });
        if news {
            self.pace.kept = Some((usual, now.time));
            effects.push(Effect::KeepRate(usual));
        }
    }

    /// Links that carry less than the least.
    pub(super) fn slow_links(&self, now: Time) -> impl Iterator<Item = Notice> {
        let least = self.rate_limits().min;
        self.uplinks.iter().filter(|uplink| uplink.closing.is_none()).filter_map(move |uplink| {
            let link = self.pace.links.get(&uplink.id)?;
            let dropped = link.dropped.is_some_and(|at| now.since(at) < TOLD);
            dropped.then(|| fault::network_slow(&uplink.source.name, link.rate.rate() <= least))
        })
    }
}
