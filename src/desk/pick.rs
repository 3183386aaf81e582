//! Which boxes are meant: by id, name, pattern and tag.

use crate::settings::nearest;
use glob::{MatchOptions, Pattern};

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Ids, names and patterns.
    pub boxes: Vec<String>,
    /// Of these only those that have all of these tags.
    pub tags: Vec<String>,
    /// Of all boxes.
    pub all: bool,
}

/// A box that can be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
}

/// Capitals do not count, and a `/` is a character like any other.
const LENIENT: MatchOptions =
    MatchOptions { case_sensitive: false, require_literal_separator: false, require_literal_leading_dot: false };

impl Choice {
    /// Whether nothing was said of which boxes.
    pub fn is_open(&self) -> bool {
        self.boxes.is_empty() && self.tags.is_empty() && !self.all
    }

    /// Whether all that was asked for is among `known`: nobody needs to be waited for.
    pub fn is_met(&self, known: &[Candidate]) -> bool {
        !self.boxes.is_empty() && self.boxes.iter().all(|word| !is_pattern(word) && self.named(word, known).is_ok())
    }

    /// The ids of the boxes among `known` that are meant, each once and in order. Every word has to mean a box: who
    /// mistypes one of three must not find out on air that two went.
    ///
    /// # Errors
    /// For people: what means no box, or two of one name.
    pub fn pick(&self, known: &[Candidate]) -> Result<Vec<String>, String> {
        let mut picked: Vec<&Candidate> = Vec::new();
        if self.boxes.is_empty() {
            picked.extend(known);
        }
        for word in &self.boxes {
            picked.extend(self.named(word, known)?);
        }
        for tag in &self.tags {
            let pattern = pattern(tag)?;
            let has = |candidate: &Candidate| candidate.tags.iter().any(|tag| pattern.matches_with(tag, LENIENT));
            if !known.iter().any(has) {
                return Err(format!("no box has the tag {tag:?}"));
            }
            picked.retain(|candidate| has(candidate));
        }
        let mut ids: Vec<_> = picked.into_iter().map(|candidate| candidate.id.clone()).collect();
        ids.sort();
        ids.dedup();
        match ids.is_empty() {
            true if known.is_empty() => Err("there are no boxes".into()),
            true => Err(format!("no box is meant by {} together with its tags", self.boxes.join(", "))),
            false => Ok(ids),
        }
    }

    fn named<'a>(&self, word: &str, known: &'a [Candidate]) -> Result<Vec<&'a Candidate>, String> {
        if let Some(of_id) = known.iter().find(|candidate| candidate.id.eq_ignore_ascii_case(word)) {
            return Ok(vec![of_id]);
        }
        // A name that looks like a pattern is a name first.
        let same = |candidate: &&Candidate| candidate.name.to_lowercase() == word.to_lowercase();
        let of_name: Vec<_> = known.iter().filter(same).collect();
        match of_name.as_slice() {
            [] => {}
            [_] => return Ok(of_name),
            several => {
                let ids: Vec<_> = several.iter().map(|candidate| candidate.id.as_str()).collect();
                return Err(format!(
                    "{} boxes are called {word:?}: name one by its id ({})",
                    ids.len(),
                    ids.join(", ")
                ));
            }
        }
        let of_pattern: Vec<_> = if is_pattern(word) {
            let pattern = pattern(word)?;
            known
                .iter()
                .filter(|candidate| {
                    [&candidate.id, &candidate.name].iter().any(|text| pattern.matches_with(text, LENIENT))
                })
                .collect()
        } else {
            Vec::new()
        };
        if of_pattern.is_empty() {
            let words = known.iter().flat_map(|candidate| [candidate.name.as_str(), candidate.id.as_str()]);
            return Err(match nearest(word, words, 0.5) {
                Some(near) => format!("no box is called {word:?}; did you mean {near:?}?"),
                None => format!("no box is called {word:?}; `fieldcast list` tells which there are"),
            });
        }
        Ok(of_pattern)
    }
}

fn is_pattern(word: &str) -> bool {
    word.contains(['*', '?', '['])
}

fn pattern(word: &str) -> Result<Pattern, String> {
    Pattern::new(word).map_err(|error| format!("{word:?} is no pattern: {} at character {}", error.msg, error.pos + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fleet() -> Vec<Candidate> {
        let candidate = |id: &str, name: &str, tags: &[&str]| Candidate {
            id: id.into(),
            name: name.into(),
            tags: tags.iter().map(ToString::to_string).collect(),
        };
        vec![
            candidate("fc-00000001", "OB van 1", &["stage-left", "outdoor"]),
            candidate("fc-00000002", "OB van 2", &["stage-right", "outdoor"]),
            candidate("fc-00000003", "Twin", &[]),
            candidate("fc-00000004", "Twin", &["stage-left"]),
            candidate("fc-00000005", "Van [x]", &[]),
        ]
    }

    fn pick(boxes: &[&str], tags: &[&str], all: bool) -> Result<String, String> {
        let texts = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let ids = Choice { boxes: texts(boxes), tags: texts(tags), all }.pick(&fleet())?;
        Ok(ids.iter().map(|id| &id[10..]).collect::<Vec<_>>().join(""))
    }

    #[test]
    fn boxes_are_meant_by_id_name_pattern_and_tag() {
        for (boxes, tags, all, ids) in [
            (&["fc-00000003"][..], &[][..], false, "3"),
            (&["ob VAN 2", "FC-00000001", "OB van 1"], &[], false, "12"),
            (&["ob van ?"], &[], false, "12"),
            (&["fc-*[1-3]"], &[], false, "123"),
            (&["Twin*"], &[], false, "34"),
            (&["Van [x]"], &[], false, "5"),
            (&[], &["stage-left"], false, "14"),
            (&[], &["stage-*", "outdoor"], false, "12"),
            (&["OB van *"], &["stage-left"], false, "1"),
            (&[], &[], true, "12345"),
            (&[], &["outdoor"], true, "12"),
        ] {
            assert_eq!(pick(boxes, tags, all).as_deref(), Ok(ids), "{boxes:?} {tags:?}");
        }
    }

    #[test]
    fn every_word_has_to_mean_a_box() {
        for (boxes, tags, part) in [
            (&["OB van 1", "OB vann 2"][..], &[][..], "did you mean \"OB van 2\""),
            (&["x"], &[], "fieldcast list"),
            (&["x*"], &[], "no box is called \"x*\""),
            (&["Twin"], &[], "name one by its id (fc-00000003, fc-00000004)"),
            (&["OB[van"], &[], "is no pattern"),
            (&[], &["stage"], "no box has the tag"),
            (&["OB van 1"], &["stage-right"], "together with its tags"),
        ] {
            let text = pick(boxes, tags, false).expect_err("refused");
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(Choice { all: true, ..Choice::default() }.pick(&[]), Err("there are no boxes".into()));
    }

    #[test]
    fn only_names_that_are_all_there_need_no_waiting() {
        let met = |boxes: &[&str]| {
            let boxes = boxes.iter().map(ToString::to_string).collect();
            Choice { boxes, ..Choice::default() }.is_met(&fleet())
        };
        assert!(met(&["OB van 1", "fc-00000003"]));
        assert!(!met(&["OB van *"]) && !met(&["OB van 1", "OB van 9"]) && !met(&[]));
    }

    proptest! {
        #[test]
        fn any_words_mean_boxes_that_are_there_or_are_refused(
            boxes in prop::collection::vec("[a-zO*?\\[\\]! 0-9-]{0,8}|.{0,6}", 0..4),
            tags in prop::collection::vec("stage-.|.{0,4}", 0..3),
            all in any::<bool>(),
        ) {
            let known = fleet();
            match (Choice { boxes, tags, all }).pick(&known) {
                Ok(ids) => {
                    prop_assert!(!ids.is_empty() && ids.is_sorted());
                    prop_assert!(ids.iter().all(|id| known.iter().any(|candidate| candidate.id == *id)));
                }
                Err(text) => prop_assert!(!text.is_empty()),
            }
        }
    }
}
