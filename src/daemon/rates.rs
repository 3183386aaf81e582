//! What the networks that the box was in carried: the next push in one of them starts with that.

use super::Daemon;
use crate::{control::Event, network, state::versioned, status::Fault, sys, units::BitRate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const FILE: &str = "rates.json";
/// Networks that are remembered; a van meets more, but few that it comes back to.
const MOST: usize = 32;

/// By interface and gateway: the video bitrate in bit/s, and how many were noted before it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved {
    networks: BTreeMap<String, (u64, u64)>,
}

/// The networks that are remembered, and the present one.
#[derive(Debug, Default)]
pub(super) struct Rates {
    saved: Saved,
    present: Option<String>,
}

impl Rates {
    /// Those of the last run.
    pub(super) fn load(state: &crate::state::StateFolder) -> (Self, Option<Fault>) {
        let (saved, fault) = state.load(FILE);
        (Self { saved: saved.unwrap_or_default(), present: None }, fault)
    }

    /// Goes over to `network`; what it carried, if it is another one than before.
    fn enter(&mut self, network: Option<String>) -> Option<Option<BitRate>> {
        if self.present == network {
            return None;
        }
        self.present = network;
        let known = self.present.as_ref().and_then(|name| self.saved.networks.get(name));
        Some(known.map(|(bits, _)| BitRate::new(*bits)))
    }

    /// Notes what the present network carries; false while there is none.
    fn note(&mut self, rate: BitRate) -> bool {
        let Some(name) = self.present.clone() else { return false };
        let networks = &mut self.saved.networks;
        let number = networks.values().map(|(_, number)| number + 1).max().unwrap_or(0);
        networks.insert(name, (rate.bits(), number));
        if networks.len() > MOST
            && let Some(oldest) = networks.iter().min_by_key(|(_, (_, number))| *number).map(|(name, _)| name.clone())
        {
            networks.remove(&oldest);
        }
        true
    }
}

impl Daemon {
    /// The network may be another one.
    pub(super) fn look_at_network(&mut self) {
        self.network = network::in_use("/".as_ref());
        self.networks = network::list("/".as_ref(), &sys::addresses());
        if let Some(known) = self.rates.enter(network::default_route("/".as_ref())) {
            let _ = self.events.send(Event::KnownRate(known));
        }
    }

    /// Keeps what the present network carries.
    pub(super) fn keep_rate(&mut self, rate: BitRate) {
        if self.rates.note(rate) {
            self.files.keep(FILE, versioned(&self.rates.saved));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_known_again_and_the_oldest_is_forgotten() {
        let mut rates = Rates::default();
        assert!(!rates.note(BitRate::new(1)), "there is no network");
        let name = |number: u32| Some(format!("wwan0 {number}"));
        assert_eq!(rates.enter(name(0)), Some(None));
        assert_eq!(rates.enter(name(0)), None, "it is the same");
        assert!(rates.note(BitRate::new(1_000_000)));
        for number in 1..=32 {
            rates.enter(name(number));
            rates.note(BitRate::new(u64::from(number)));
            if number == 20 {
                rates.enter(name(1));
                rates.note(BitRate::new(7));
            }
        }
        assert_eq!(rates.enter(name(0)), Some(None));
        assert_eq!(rates.enter(name(1)), Some(Some(BitRate::new(7))));
        assert_eq!(rates.saved.networks.len(), MOST);
    }
}
