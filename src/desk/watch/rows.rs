//! What `watch` shows and what its keys do. Pure: `now` is an argument.

use crate::{
    desk::{
        fleet::Fleet,
        order::Order,
        pick::Choice,
        seen::Seen,
        words::{said, state},
    },
    units::Time,
};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::json;
use std::collections::BTreeSet;

/// Rows that Page Up and Page Down move by.
const PAGE: usize = 10;

/// The keys, for the last lines.
pub const KEYS: [&str; 2] =
    ["spc mark  a all  i identify  s start  x stop  p publish  o end Broadcast", "l live  e slate  r restart  q quit"];

/// The table: which boxes, which of them are meant, and what the operator is asked.
#[derive(Debug, Default)]
pub struct Rows {
    /// Ids in the order of the table.
    ids: Vec<String>,
    /// The one that the cursor is on.
    cursor: usize,
    marked: BTreeSet<String>,
    question: Option<Question>,
    /// What happened last.
    pub message: String,
}

/// Something to be confirmed.
#[derive(Debug, Clone, PartialEq)]
struct Question {
    /// For `y`.
    order: Order,
    /// For `k`, where there are two ways.
    other: Option<Order>,
    ids: Vec<String>,
    text: String,
}

/// What a key asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// Send this to these boxes; the operator has confirmed it.
    Send(Order, Vec<String>),
    /// End.
    Quit,
}

impl Rows {
    /// Takes up boxes that came and drops those that are not meant by `choice` any more. The cursor stays on its box.
    pub fn refresh(&mut self, fleet: &Fleet, choice: &Choice) {
        let on = self.ids.get(self.cursor).cloned();
        // A box that is not there yet may come.
        let mut candidates = fleet.candidates();
        let meant = choice.pick(&candidates).unwrap_or_default();
        candidates.retain(|candidate| meant.contains(&candidate.id));
        candidates.sort_by_cached_key(|candidate| (candidate.name.to_lowercase(), candidate.id.clone()));
        self.ids = candidates.into_iter().map(|candidate| candidate.id).collect();
        self.marked.retain(|id| meant.contains(id));
        let kept = on.and_then(|on| self.ids.iter().position(|id| *id == on));
        self.cursor = kept.unwrap_or(self.cursor).min(self.ids.len().saturating_sub(1));
    }

    /// Ids in the order of the table.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The row that the cursor is on.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Whether box `id` is marked.
    pub fn is_marked(&self, id: &str) -> bool {
        self.marked.contains(id)
    }

    /// What the operator is asked.
    pub fn question(&self) -> Option<&str> {
        self.question.as_ref().map(|question| question.text.as_str())
    }

    /// The boxes that a key acts on: those that are marked, else the one under the cursor.
    fn meant(&self) -> Vec<String> {
        match self.marked.is_empty() {
            true => self.ids.get(self.cursor).cloned().into_iter().collect(),
            false => self.marked.iter().cloned().collect(),
        }
    }

    /// A key was pressed.
    pub fn press(&mut self, key: KeyEvent, fleet: &Fleet, now: Time) -> Option<Wish> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (key.code == KeyCode::Char('c')).then_some(Wish::Quit);
        }
        if let Some(question) = self.question.take() {
            return match key.code {
                KeyCode::Char('y' | 'Y') => Some(Wish::Send(question.order, question.ids)),
                KeyCode::Char('k' | 'K') if question.other.is_some() => {
                    question.other.map(|other| Wish::Send(other, question.ids))
                }
                _ => {
                    self.message = "nothing was sent".into();
                    None
                }
            };
        }
        let last = self.ids.len().saturating_sub(1);
        match key.code {
            KeyCode::Char('q') => return Some(Wish::Quit),
            KeyCode::Up | KeyCode::Char('k') => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.cursor = (self.cursor + 1).min(last),
            KeyCode::PageUp => self.cursor = self.cursor.saturating_sub(PAGE),
            KeyCode::PageDown => self.cursor = (self.cursor + PAGE).min(last),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = last,
            KeyCode::Char(' ') => {
                if let Some(id) = self.ids.get(self.cursor).filter(|id| !self.marked.remove(*id)) {
                    self.marked.insert(id.clone());
                }
                self.cursor = (self.cursor + 1).min(last);
            }
            KeyCode::Char('a') => {
                let all = self.marked.len() == self.ids.len();
                self.marked = if all { BTreeSet::new() } else { self.ids.iter().cloned().collect() };
            }
            KeyCode::Esc => self.marked.clear(),
            KeyCode::Char('i') => return Some(Wish::Send(Order::new("identify", json!({})), self.meant())),
            KeyCode::Char('s') => self.ask("start", json!({}), "Put on air", fleet, now),
            KeyCode::Char('x') => self.ask("stop", json!({}), "Take off air", fleet, now),
            KeyCode::Char('l') => self.ask("show", json!({"what": "live"}), "Show live", fleet, now),
            KeyCode::Char('e') => self.ask("show", json!({"what": "slate"}), "Show the slate of", fleet, now),
            KeyCode::Char('p') => self.ask("publish", json!({}), "Make public", fleet, now),
            KeyCode::Char('o') => self.ask("end", json!({}), "End the Broadcast of", fleet, now),
            KeyCode::Char('r') => self.ask("restart", json!({}), "Restart", fleet, now),
            _ => {}
        }
        None
    }

    fn ask(&mut self, command: &'static str, arguments: serde_json::Value, what: &str, fleet: &Fleet, now: Time) {
        let ids = self.meant();
        let boxes: Vec<&Seen> = ids.iter().filter_map(|id| fleet.get(id)).collect();
        let Some(first) = boxes.first() else { return };
        let who = match boxes.len() {
            1 => format!("{} ({})", first.name(), state(first, now)),
            several => {
                let pushing = boxes.iter().filter(|seen| seen.online(now) && seen.pushing()).count();
                format!("{several} boxes ({pushing} pushing)")
            }
        };
        let question = match command == "stop" && boxes.iter().any(|seen| seen.is_public()) {
            true => Question {
                order: Order::new(command, json!({ "end": true })),
                other: Some(Order::new(command, json!({ "end": false }))),
                text: format!("{what} {who}? y: its Broadcast ends too, k: keep that, N"),
                ids,
            },
            false => {
                let text = format!("{what} {who}? y/N");
                Question { order: Order::new(command, arguments), other: None, text, ids }
            }
        };
        self.question = Some(question);
    }
}

/// One sentence over the table: how many are in which state.
pub fn headline(fleet: &Fleet, ids: &[String], now: Time) -> String {
    let boxes: Vec<&Seen> = ids.iter().filter_map(|id| fleet.get(id)).collect();
    let mut parts = Vec::new();
    for phase in ["on-air", "previewing", "reconnecting", "starting", "stopping"] {
        let count = boxes.iter().filter(|seen| seen.online(now) && seen.phase().as_deref() == Some(phase)).count();
        if count > 0 {
            parts.push(format!("{count} {}", said(phase)));
        }
    }
    for (word, lost) in [("offline", false), ("not known", true)] {
        let count = boxes.iter().filter(|seen| !seen.online(now) && seen.is_lost() == lost).count();
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    let boxes = match boxes.len() {
        1 => "1 box".to_owned(),
        count => format!("{count} boxes"),
    };
    if parts.is_empty() { boxes } else { format!("{boxes}: {}", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::seen::{Told, tests::at};
    use proptest::prelude::*;

    fn fleet() -> Fleet {
        let mut fleet = Fleet::default();
        for (id, name, phase) in
            [("fc-1", "Van B", "on-air"), ("fc-2", "van a", "off-air"), ("fc-3", "Van C", "starting")]
        {
            fleet.hear(id, Told::Status { document: json!({"name": name, "phase": phase}), live: true }, at(0));
            fleet.hear(id, Told::Availability(id != "fc-3"), at(0));
        }
        fleet
    }

    fn all() -> Choice {
        Choice { all: true, ..Choice::default() }
    }

    fn key(code: char) -> KeyEvent {
        KeyEvent::from(KeyCode::Char(code))
    }

    fn shown() -> (Fleet, Rows) {
        let (fleet, mut rows) = (fleet(), Rows::default());
        rows.refresh(&fleet, &all());
        (fleet, rows)
    }

    #[test]
    fn rows_are_in_the_order_of_their_names_and_the_cursor_stays_on_its_box() {
        let (mut fleet, mut rows) = shown();
        assert_eq!(rows.ids(), ["fc-2", "fc-1", "fc-3"]);
        rows.press(KeyCode::Down.into(), &fleet, at(0));
        fleet.hear("fc-0", Told::Status { document: json!({"name": "An early one"}), live: true }, at(1));
        rows.refresh(&fleet, &all());
        assert_eq!(rows.ids()[rows.cursor()], "fc-1");
        let some = Choice { boxes: vec!["Van ?".into()], ..Choice::default() };
        rows.refresh(&fleet, &some);
        assert_eq!(rows.ids(), ["fc-2", "fc-1", "fc-3"]);
        assert_eq!(headline(&fleet, rows.ids(), at(1)), "3 boxes: 1 on air, 1 offline");
    }

    #[test]
    fn what_viewers_see_changes_after_a_yes_only() {
        let (fleet, mut rows) = shown();
        rows.press(KeyCode::Down.into(), &fleet, at(0));
        assert_eq!(rows.press(key('x'), &fleet, at(0)), None);
        assert_eq!(rows.question(), Some("Take off air Van B (on air)? y/N"));
        assert_eq!(rows.press(KeyCode::Enter.into(), &fleet, at(0)), None);
        assert_eq!((rows.question(), rows.message.as_str()), (None, "nothing was sent"));
        rows.press(key('x'), &fleet, at(0));
        let Some(Wish::Send(order, ids)) = rows.press(key('y'), &fleet, at(0)) else { panic!("sent") };
        assert_eq!(
            (order.command, order.arguments(true), ids),
            ("stop", json!({"confirm": true}), vec!["fc-1".to_owned()])
        );
        let Some(Wish::Send(order, _)) = rows.press(key('i'), &fleet, at(0)) else { panic!("sent") };
        assert_eq!(order.command, "identify");
    }

    #[test]
    fn a_public_box_is_stopped_with_its_broadcast_or_without() {
        let (mut fleet, mut rows) = shown();
        rows.press(KeyCode::Down.into(), &fleet, at(0));
        rows.press(key('p'), &fleet, at(0));
        assert_eq!(rows.question(), Some("Make public Van B (on air)? y/N"));
        let Some(Wish::Send(order, _)) = rows.press(key('y'), &fleet, at(0)) else { panic!("sent") };
        assert_eq!((order.command, order.arguments(true)), ("publish", json!({})));
        rows.press(key('o'), &fleet, at(0));
        assert_eq!(rows.press(key('k'), &fleet, at(0)), None, "there is one way");
        rows.press(key('o'), &fleet, at(0));
        let Some(Wish::Send(order, _)) = rows.press(key('y'), &fleet, at(0)) else { panic!("sent") };
        assert_eq!((order.command, order.arguments(true)), ("end", json!({"confirm": true})));

        let public = json!({"name": "Van B", "phase": "on-air", "broadcast": {"state": "running"}});
        fleet.hear("fc-1", Told::Status { document: public, live: true }, at(0));
        for (code, end) in [('y', true), ('k', false)] {
            rows.press(key('x'), &fleet, at(0));
            let question = "Take off air Van B (on air)? y: its Broadcast ends too, k: keep that, N";
            assert_eq!(rows.question(), Some(question));
            let Some(Wish::Send(order, _)) = rows.press(key(code), &fleet, at(0)) else { panic!("sent") };
            assert_eq!((order.command, order.arguments(true)), ("stop", json!({"confirm": true, "end": end})));
        }
        rows.press(key('x'), &fleet, at(0));
        assert_eq!(rows.press(key('n'), &fleet, at(0)), None);
    }

    #[test]
    fn marked_boxes_are_meant_together() {
        let (fleet, mut rows) = shown();
        for code in [' ', ' '] {
            rows.press(key(code), &fleet, at(0));
        }
        rows.press(key('e'), &fleet, at(0));
        assert_eq!(rows.question(), Some("Show the slate of 2 boxes (1 pushing)? y/N"));
        rows.press(KeyCode::Esc.into(), &fleet, at(0));
        rows.press(key('a'), &fleet, at(0));
        rows.press(key('s'), &fleet, at(0));
        let Some(Wish::Send(order, ids)) = rows.press(key('y'), &fleet, at(0)) else { panic!("sent") };
        assert_eq!((order.command, ids.len()), ("start", 3));
        rows.press(key('a'), &fleet, at(0));
        assert!(!rows.is_marked("fc-1"), "a second time takes the marks away");
    }

    #[test]
    fn it_ends_when_asked_to() {
        let (fleet, mut rows) = shown();
        assert_eq!(rows.press(key('q'), &fleet, at(0)), Some(Wish::Quit));
        rows.press(key('x'), &fleet, at(0));
        assert_eq!(
            rows.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL), &fleet, at(0)),
            Some(Wish::Quit)
        );
    }

    proptest! {
        #[test]
        fn any_keys_send_only_what_was_confirmed(keys in prop::collection::vec("[a-zA-Z ]", 0..40), boxes in 0..4_usize) {
            let mut known = Fleet::default();
            for seen in fleet().boxes().take(boxes) {
                known.hear(seen.id(), Told::Availability(true), at(0));
            }
            let mut rows = Rows::default();
            rows.refresh(&known, &all());
            for code in keys {
                let asked = rows.question().is_some();
                let code = code.chars().next().unwrap_or(' ');
                if let Some(Wish::Send(order, ids)) = rows.press(key(code), &known, at(0)) {
                    prop_assert!(order.command == "identify" || (asked && "yYkK".contains(code)));
                    prop_assert!(ids.iter().all(|id| known.get(id).is_some()));
                }
                prop_assert!(rows.cursor() < boxes.max(1));
            }
        }
    }
}
