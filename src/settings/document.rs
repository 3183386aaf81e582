//! A settings file: text, then a table with line numbers, then [`Settings`] or every flaw in one list.

use super::{Settings, Source, check};
use crate::board::Board;
use serde::{Deserialize as _, Serialize, de::DeserializeOwned};
use serde_path_to_error::Segment;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::LazyLock,
};
use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

/// Most bytes that a settings file may have.
const SIZE_LIMIT: u64 = 256 * 1024;
/// Most flaws that are looked for in one file.
const FLAW_LIMIT: usize = 64;

/// One thing wrong in a file, for people: where, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: Option<usize>,
    /// The dotted key: `output.bitrate-max`, `source.Main.url`.
    pub key: Option<String>,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if let Some(key) = &self.key {
            write!(f, " {key}:")?;
        }
        write!(f, " {}", self.text)
    }
}

/// Everything wrong with the settings, one line each; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Reads a text file of at most 256 KiB.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Asked before it is opened: opening a FIFO would wait for a writer.
    let meta = path.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(if meta.is_dir() { "is a folder, not a file" } else { "is not a regular file" }.into());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        return Err("is larger than 256 KiB, which no settings file is".into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|&&b| b == b'\n').count() + 1;
        format!("is not UTF-8 text (line {line})")
    })
}

/// A file's table and where its keys are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document {
    pub(crate) table: Table,
    lines: BTreeMap<String, usize>,
}

impl Document {
    /// Parses TOML; the error is its line and what was expected.
    pub(crate) fn parse(text: &str) -> Result<Self, (Option<usize>, String)> {
        let line_of =
            |offset: usize| text.as_bytes()[..offset.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1;
        let line = |error: &toml::de::Error| error.span().map(|span| line_of(span.start));
        let spanned = DeTable::parse(text).map_err(|error| (line(&error), plain(error.message())))?;
        let mut lines = BTreeMap::new();
        note_lines(spanned.get_ref(), "", &line_of, &mut lines);
        // All that can fail here is a number beyond 64 bit. The parser's message would repeat it: it may be a stream key.
        let table = Table::deserialize(toml::de::Deserializer::from(spanned))
            .map_err(|error| (line(&error), "a number is too large; a text needs quotes".into()))?;
        Ok(Self { table, lines })
    }

    /// The line of the place `at`, or of what it is in.
    pub(crate) fn line(&self, at: &str) -> Option<usize> {
        let mut at = at;
        loop {
            match (self.lines.get(at), at.rfind(['.', '['])) {
                (Some(line), _) => return Some(*line),
                (None, Some(end)) => at = &at[..end],
                (None, None) => return None,
            }
        }
    }
}

fn note_lines(table: &DeTable<'_>, path: &str, line_of: &dyn Fn(usize) -> usize, lines: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let path = joined(path, key.get_ref());
        lines.insert(path.clone(), line_of(key.span().start));
        match value.get_ref() {
            DeValue::Table(inner) => note_lines(inner, &path, line_of, lines),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    lines.insert(path.clone(), line_of(item.span().start));
                    if let DeValue::Table(inner) = item.get_ref() {
                        note_lines(inner, &path, line_of, lines);
                    }
                }
            }
            _ => {}
        }
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.into() } else { format!("{path}.{key}") }
}

/// Something wrong at one or several places, such as `source[0].url`; the first is where people should look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) at: Vec<String>,
    pub(crate) text: String,
}

impl Flaw {
    pub(crate) fn new(at: impl Into<String>, text: impl Into<String>) -> Self {
        Self { at: vec![at.into()], text: text.into() }
    }
}

/// Whether one place is, or is in, the other.
pub(crate) fn related(a: &str, b: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    within(a, b) || within(b, a)
}

/// Makes [`Settings`] of a table, or names all its flaws, with their places in the table.
pub(crate) fn settings(table: &Table, board: Option<&Board>) -> Result<Settings, Vec<Flaw>> {
    let (settings, mut flaws) = tolerant::<Settings>(table, &KNOWN);
    let Some(settings) = settings else { return Err(flaws) };
    add_checked(&mut flaws, check::cross(&settings, board));
    if flaws.is_empty() { Ok(settings) } else { Err(flaws) }
}

/// Reads what can be read of a table whose keys are `known`, and names what is wrong with the rest; none when nothing can.
pub(crate) fn tolerant<T: DeserializeOwned>(table: &Table, known: &BTreeSet<String>) -> (Option<T>, Vec<Flaw>) {
    let mut table = table.clone();
    let mut flaws = Vec::new();
    refuse_unknown(&mut table, "", "", known, &mut flaws);
    // A wrong value is noted and taken out, until the rest can be read.
    loop {
        match serde_path_to_error::deserialize::<_, T>(Value::Table(table.clone())) {
            Ok(content) => return (Some(content), flaws),
            Err(error) => {
                let path: Vec<Segment> = error.path().iter().cloned().collect();
                flaws.push(Flaw::new(error.path().to_string(), plain(error.inner().message())));
                if flaws.len() >= FLAW_LIMIT || !take_out(&mut table, &path) {
                    return (None, flaws);
                }
            }
        }
    }
}

/// Adds what was found in values that could be read to the `flaws` of those that could not.
pub(crate) fn add_checked(flaws: &mut Vec<Flaw>, found: Vec<Flaw>) {
    let wrong: Vec<String> = flaws.iter().flat_map(|flaw| flaw.at.clone()).collect();
    // What depends on a value that was taken out was judged by its default: say nothing about it.
    for flaw in found {
        let misjudged = flaw.at.iter().any(|at| wrong.iter().any(|wrong| related(at, wrong)));
        // One message for one value.
        if !misjudged && !flaws.iter().any(|other| other.at.first() == flaw.at.first()) {
            flaws.push(flaw);
        }
    }
}

/// Takes the value at `path` out of `table`; an element of an array with the whole array, but a value of one that is a table
/// alone, and a Source by emptying it, so that the others keep their index.
fn take_out(table: &mut Table, path: &[Segment]) -> bool {
    let Some(Segment::Map { key }) = path.first() else { return false };
    match (path.get(1), table.get_mut(key)) {
        (Some(Segment::Map { .. }), Some(Value::Table(inner))) => take_out(inner, &path[1..]),
        (Some(Segment::Seq { index }), Some(Value::Array(items)))
            if key == "source" || matches!(items.get(*index), Some(Value::Table(_))) && path.len() > 2 =>
        {
            match items.get_mut(*index) {
                Some(Value::Table(item)) => take_out(item, &path[2..]),
                Some(other) => {
                    *other = Value::Table(Table::new());
                    true
                }
                None => false,
            }
        }
        _ => table.remove(key).is_some(),
    }
}

/// Every known key: `name`, `output.mode`, `source[].url`.
pub(super) static KNOWN: LazyLock<BTreeSet<String>> =
    LazyLock::new(|| known_keys(&Settings { sources: vec![Source::default()], ..Settings::default() }));

/// Every key of `sample`, in which each list of tables has one.
pub(crate) fn known_keys(sample: &impl Serialize) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    note_leaves(&serde_json::to_value(sample).unwrap_or_default(), "", &mut known);
    known
}

fn note_leaves(value: &serde_json::Value, path: &str, known: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| note_leaves(value, &joined(path, key), known));
        }
        serde_json::Value::Array(items) if items.first().is_some_and(|item| item.is_object()) => {
            note_leaves(&items[0], &format!("{path}[]"), known);
        }
        _ => {
            known.insert(path.into());
        }
    }
}

/// Whether keys lie below `pattern`.
fn is_section(pattern: &str, known: &BTreeSet<String>) -> bool {
    known.iter().any(|known| known.strip_prefix(pattern).is_some_and(|rest| rest.starts_with(['.', '['])))
}

/// Takes keys that are not `known` out of `table`. `path` is the place in the file, `pattern` the same without indices.
fn refuse_unknown(table: &mut Table, path: &str, pattern: &str, known: &BTreeSet<String>, flaws: &mut Vec<Flaw>) {
    table.retain(|key, value| {
        let (path, pattern) = (joined(path, key), joined(pattern, key));
        if is_section(&pattern, known) {
            match value {
                Value::Table(inner) => refuse_unknown(inner, &path, &pattern, known, flaws),
                Value::Array(items) => {
                    for (index, item) in items.iter_mut().enumerate() {
                        if let Value::Table(inner) = item {
                            refuse_unknown(inner, &format!("{path}[{index}]"), &format!("{pattern}[]"), known, flaws);
                        }
                    }
                }
                // The wrong type is found when it is read.
                _ => {}
            }
            return true;
        }
        let is_known = known.contains(&pattern);
        if !is_known && flaws.len() < FLAW_LIMIT {
            flaws.push(Flaw::new(path, unknown_among(&pattern, known)));
        }
        is_known
    });
}

/// Says that `pattern` (`output.bitrate`, `source[].urls`) is unknown, and which known key is the nearest.
pub(super) fn unknown(pattern: &str) -> String {
    unknown_among(pattern, &KNOWN)
}

fn unknown_among(pattern: &str, all: &BTreeSet<String>) -> String {
    let (section, word) = pattern.rsplit_once('.').unwrap_or(("", pattern));
    let mut siblings = BTreeSet::new();
    for known in all {
        let rest = if section.is_empty() {
            Some(known.as_str())
        } else {
            known.strip_prefix(section).and_then(|rest| rest.strip_prefix('.'))
        };
        siblings.extend(rest.and_then(|rest| rest.split(['.', '[']).next()));
    }
    if let Some(near) = nearest(word, siblings.iter().copied(), 0.5) {
        return format!("unknown key; did you mean {near:?}?");
    }
    // The right word in the wrong section.
    let last_word = |known: &str| known.rfind(['.', ']']).map_or(0, |end| end + 1);
    if let Some(near) = nearest(word, all.iter().map(|known| &known[last_word(known)..]), 0.8) {
        let place = all.iter().find(|known| &known[last_word(known)..] == near).map_or(near, |known| known);
        return format!("unknown key here; did you mean {:?}?", place.replace("[]", ""));
    }
    if siblings.is_empty() {
        return "unknown key".into();
    }
    format!("unknown key; known here: {}", siblings.into_iter().collect::<Vec<_>>().join(", "))
}

/// The candidate most like `word`, if any is more like it than `least` (0 to 1).
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>, least: f64) -> Option<&'a str> {
    // The measure takes time with the product of the lengths.
    let word: String = word.chars().take(60).collect();
    candidates
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > least)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// A parser's message in the words of the unit errors: what was expected, then what came.
fn plain(message: &str) -> String {
    let turned = |kind: &str| {
        let (got, expected) = message.strip_prefix(kind)?.split_once(", expected ")?;
        let expected = match expected.strip_prefix("one of ").unwrap_or(expected) {
            "a sequence" => "a list in [ ]",
            "a string" => "a text in quotes",
            "u8" => "a whole number",
            table if table.starts_with("struct ") => "a table with keys of its own",
            other => other,
        };
        Some(format!("expected {expected}, got {got}"))
    };
    let text = turned("invalid type: ").or_else(|| turned("invalid value: ")).or_else(|| turned("unknown variant "));
    let text = text.unwrap_or_else(|| message.replace('\n', " ").trim().into());
    // A hostile value must not flood a log line or a display.
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The place `at` (`source[0].url`) in the words of `set`: `source.Main.url`.
pub(crate) fn key_of(at: &str, table: &Table) -> String {
    let named = || {
        let (index, rest) = at.strip_prefix("source[")?.split_once(']')?;
        let source = table.get("source")?.as_array()?.get(index.parse::<usize>().ok()?)?;
        let name = source.get("name")?.as_str().filter(|name| !name.is_empty())?;
        Some(format!("source.{name}{rest}"))
    };
    named().unwrap_or_else(|| at.into())
}
