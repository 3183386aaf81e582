//! All boxes that are known.

use super::{
    pick::Candidate,
    seen::{Seen, Told},
};
use crate::units::Time;
use std::collections::BTreeMap;

/// Most boxes that are kept: a broker that invents some must not take this computer's memory.
const MOST: usize = 20_000;

/// All boxes that are known, by id.
#[derive(Debug, Default)]
pub struct Fleet {
    boxes: BTreeMap<String, Seen>,
}

impl Fleet {
    /// Takes what box `id` told.
    pub fn hear(&mut self, id: &str, told: Told, now: Time) {
        if self.boxes.contains_key(id) || self.boxes.len() < MOST {
            self.boxes.entry(id.to_owned()).or_insert_with(|| Seen::new(id)).hear(told, now);
        }
    }

    /// The way to them is lost.
    pub fn lose(&mut self) {
        self.boxes.values_mut().for_each(Seen::lose);
    }

    /// A box.
    pub fn get(&self, id: &str) -> Option<&Seen> {
        self.boxes.get(id)
    }

    /// Each box, in the order of their ids.
    pub fn boxes(&self) -> impl Iterator<Item = &Seen> {
        self.boxes.values()
    }

    /// Those that can be meant.
    pub fn candidates(&self) -> Vec<Candidate> {
        let candidate = |seen: &Seen| Candidate { id: seen.id().into(), name: seen.name(), tags: seen.tags() };
        self.boxes.values().map(candidate).collect()
    }

    /// Of `ids` those that are there at `now` and push, or may push.
    pub fn pushing(&self, ids: &[String], now: Time) -> Vec<&Seen> {
        let boxes = ids.iter().filter_map(|id| self.boxes.get(id));
        boxes.filter(|seen| seen.online(now) && seen.pushing()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::seen::tests::at;
    use serde_json::json;

    #[test]
    fn only_who_is_there_and_may_push_is_asked_about() {
        let mut fleet = Fleet::default();
        for (id, phase, online) in [("a", "on-air", true), ("b", "off-air", true), ("c", "on-air", false)] {
            fleet.hear(id, Told::Status { document: json!({ "phase": phase, "name": "Van" }), live: false }, at(0));
            fleet.hear(id, Told::Availability(online), at(0));
        }
        fleet.hear("d", Told::Availability(true), at(0));
        let ids = ["a", "b", "c", "d", "e"].map(String::from);
        let pushing: Vec<_> = fleet.pushing(&ids, at(1)).into_iter().map(Seen::id).collect();
        assert_eq!(pushing, ["a", "d"]);
        let names: Vec<_> = fleet.candidates().into_iter().map(|candidate| candidate.name).collect();
        assert_eq!(names, ["Van", "Van", "Van", "d"]);
    }
}
