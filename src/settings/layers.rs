//! The overrides laid over the settings file, and where each value comes from.

use super::{
    PATH, Settings,
    document::{self, Document, KNOWN, Problem, Problems, key_of, related},
};
use crate::{
    board::Board,
    command::Answer,
    status::{Fault, Severity},
};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use std::{collections::BTreeMap, fmt, path::Path};
use toml::{Table, Value};

/// The overrides' file in the state folder.
pub const OVERRIDES: &str = "overrides.toml";

/// Changes made on a surface, by dotted key: `output.bitrate-max`, `source.Main.url`.
pub type Overrides = BTreeMap<String, Value>;

/// What a `set` asks for: dotted keys with their new values; null takes an override back. The values may be secrets, so only
/// the keys are printed.
#[derive(Clone, PartialEq)]
pub struct Changes(pub Map<String, Json>);

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Layer {
    /// Nobody said anything.
    #[serde(rename = "default")]
    Default,
    /// The operator's file.
    #[serde(rename = "settings.toml")]
    File,
    /// A surface.
    #[serde(rename = "overrides.toml")]
    Overrides,
}

/// Ways of saying one thing: an override of one takes the place of the others.
const RIVALS: [&[&str]; 2] = [&["url", "service"], &["key", "key-file", "credential"]];

fn rivals(field: &str) -> impl Iterator<Item = &'static str> {
    let group = RIVALS.iter().find(|group| group.contains(&field)).copied().unwrap_or_default();
    group.iter().copied().filter(move |rival| *rival != field)
}

/// Splits `source.OB van.2.url` into the Source's name and the field.
fn source_key(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix("source.")?.rsplit_once('.')
}

/// Says why `key` cannot be overridden, if so.
fn not_known(key: &str) -> Option<String> {
    match source_key(key) {
        Some(("", _)) => Some("the Source's name is missing, as in \"source.Main.url\"".into()),
        Some((_, "name")) => Some("a Source is renamed in the settings file only".into()),
        Some((_, field)) if KNOWN.contains(&format!("source[].{field}")) => None,
        Some((_, field)) => Some(document::unknown(&format!("source[].{field}"))),
        None if key == "source" || key.starts_with("source.") => {
            Some("expected the Source's name and a key, such as \"source.Main.url\"".into())
        }
        None if KNOWN.contains(key) => None,
        None => Some(document::unknown(key)),
    }
}

/// Reads `overrides.toml`.
///
/// # Errors
/// What is wrong with the text; the file is damaged.
pub fn parse_overrides(text: &str) -> Result<Overrides, String> {
    let Document { mut table, .. } = Document::parse(text).map_err(|(_, text)| text)?;
    table.remove("version");
    let mut overrides = Overrides::new();
    flatten(table, "", &mut overrides);
    Ok(overrides)
}

fn flatten(table: Table, path: &str, overrides: &mut Overrides) {
    for (key, value) in table {
        let path = if path.is_empty() { key } else { format!("{path}.{key}") };
        match value {
            Value::Table(inner) => flatten(inner, &path, overrides),
            value => {
                overrides.insert(path, value);
            }
        }
    }
}

/// The settings in force, and the two files that they are made of.
#[derive(Debug, Clone)]
pub struct Layers {
    file: Table,
    pub(super) overrides: Overrides,
    ignored: BTreeMap<String, String>,
    board: Option<Board>,
    settings: Settings,
}

impl Layers {
    /// Reads the settings file and lays `overrides` over it. With no `file`, [`PATH`] is read and may be missing: a box
    /// fresh from the factory has to start. With a `board`, the settings are held against it too. Blocks on the disk.
    ///
    /// # Errors
    /// Everything wrong with the file. A wrong override is never an error: it is ignored, see [`Self::fault`].
    pub fn load(file: Option<&Path>, overrides: Overrides, board: Option<&Board>) -> Result<Self, Problems> {
        let path = file.unwrap_or(Path::new(PATH));
        let problem = |line, key, text| Problem { file: path.into(), line, key, text };
        let one = |line, text| Problems(vec![problem(line, None, text)]);
        let document = if file.is_none() && !path.exists() {
            Document::default()
        } else {
            let text = document::read(path).map_err(|text| one(None, text))?;
            Document::parse(&text).map_err(|(line, text)| one(line, text))?
        };
        document::settings(&document.table, board).map_err(|flaws| {
            let mut problems: Vec<_> = flaws
                .into_iter()
                .map(|flaw| {
                    let place = flaw.at.first().map_or("", String::as_str);
                    problem(document.line(place), Some(key_of(place, &document.table)), flaw.text)
                })
                .collect();
            problems.sort_by_key(|problem| problem.line);
            Problems(problems)
        })?;
        let (settings, ignored) = settle(&document.table, &overrides, board).map_err(|text| one(None, text))?;
        Ok(Self { file: document.table, overrides, ignored, board: board.cloned(), settings })
    }

    /// As [`Self::load`], without overrides and never in vain: of a file that is wrong, what names the box and makes it reachable
    /// is kept where it is right, and the rest is as from the factory. Also gives what is wrong. Blocks on the disk.
    pub fn load_for_rescue(file: Option<&Path>, board: Option<&Board>) -> (Self, Option<Problems>) {
        let problems = match Self::load(file, Overrides::new(), board) {
            Ok(layers) => return (layers, None),
            Err(problems) => problems,
        };
        let text = document::read(file.unwrap_or(Path::new(PATH))).unwrap_or_default();
        let mut left = Document::parse(&text).map(|document| document.table).unwrap_or_default();
        let (mut kept, mut settings) = (Table::new(), Settings::default());
        for key in ["name", "id", "tags", "http", "mqtt", "panel", "clock"] {
            let Some(value) = left.remove(key) else { continue };
            let mut more = kept.clone();
            more.insert(key.into(), value);
            if let Ok(right) = document::settings(&more, None) {
                (kept, settings) = (more, right);
            }
        }
        let layers =
            Self { file: kept, overrides: Overrides::new(), ignored: BTreeMap::new(), board: board.cloned(), settings };
        (layers, Some(problems))
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Tells which overrides are ignored and why: this version does not know them, or they no longer fit the file.
    pub fn fault(&self) -> Option<Fault> {
        let (key, why) = self.ignored.iter().next()?;
        let others = match self.ignored.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        Some(Fault {
            code: "override-ignored",
            severity: Severity::Notice,
            text: format!("The change of {key} made on this box is ignored: {why}{others}"),
            advice: format!("Take it back, or set it anew: set {{\"{key}\": null}}"),
            since: None,
        })
    }

    /// Changes settings, all or nothing: a value overrides the file's, null takes an override back. The file on disk is
    /// left to the caller: [`Self::overrides_text`]. Also gives the changed keys, see `effects`.
    ///
    /// # Errors
    /// The answer to give, naming the key that is wrong.
    pub fn change(&self, Changes(changes): &Changes) -> Result<(Self, Vec<String>), Answer> {
        let mut overrides = self.overrides.clone();
        if changes.is_empty() || changes.len() > 64 {
            return Err(Answer::wrong(
                "set",
                "expected 1 to 64 settings, such as {\"output.bitrate-max\": \"3 Mbit/s\"}",
            ));
        }
        for (key, value) in changes {
            if value.is_null() && overrides.remove(key).is_some() {
                continue;
            }
            if let Some(text) = not_known(key) {
                return Err(Answer::wrong(key, text));
            }
            if value.is_null() {
                continue;
            }
            let value = toml_of(value)
                .ok_or_else(|| Answer::wrong(key, "expected a text, a number, true, false or a list of these"))?;
            // What a hand-edited file has above or below this key could not be written beside it.
            overrides.retain(|other, _| !related(other, key));
            if let Some((name, field)) = source_key(key) {
                for rival in rivals(field).map(|rival| format!("source.{name}.{rival}")) {
                    if !changes.contains_key(&rival) {
                        overrides.remove(&rival);
                    }
                }
            }
            overrides.insert(key.clone(), value);
        }
        let keys: Vec<String> = changes.keys().cloned().collect();
        let refused = |key: &str, text: &str| Answer::wrong(key, text);
        let (settings, ignored) =
            settle(&self.file, &overrides, self.board.as_ref()).map_err(|text| refused(&keys[0], &text))?;
        if let Some((key, why)) = keys.iter().find_map(|key| ignored.get_key_value(key)) {
            return Err(refused(key, why));
        }
        if let Some((other, why)) = ignored.iter().find(|(key, _)| !self.ignored.contains_key(*key)) {
            return Err(refused(&keys[0], &format!("{other} would no longer fit: {why}")));
        }
        let layers = Self { file: self.file.clone(), overrides, ignored, board: self.board.clone(), settings };
        Ok((layers, keys))
    }

    /// What belongs into `overrides.toml`. Holds secrets.
    pub fn overrides_text(&self) -> String {
        let mut text = String::from(
            "# Changes made on this box, applied over settings.toml. Written by fieldcastd.\nversion = 1\n",
        );
        for (key, value) in &self.overrides {
            let parts: Vec<&str> = match source_key(key) {
                Some((name, field)) => vec!["source", name, field],
                None => key.split('.').collect(),
            };
            let parts: Vec<String> = parts.into_iter().map(toml_key).collect();
            text += &format!("{} = {value}\n", parts.join("."));
        }
        text
    }

    /// The answer to `settings`: every value and where it comes from, secrets as `"set"`.
    pub fn describe(&self) -> Json {
        let mut values = BTreeMap::new();
        describe(&serde_json::to_value(&self.settings).unwrap_or_default(), "", &mut values);
        let shown: Map<String, Json> = values
            .into_iter()
            .map(|(key, value)| {
                let origin = self.origin(&key);
                (key, json!({ "value": value, "origin": origin }))
            })
            .collect();
        json!({ "settings": shown, "ignored-overrides": self.ignored })
    }

    /// Where the value of `key` comes from.
    pub fn origin(&self, key: &str) -> Layer {
        let overridden = |key: &str| self.overrides.contains_key(key) && !self.ignored.contains_key(key);
        let in_file = match source_key(key) {
            Some((name, field)) => {
                let of_rivals = rivals(field).any(|rival| overridden(&format!("source.{name}.{rival}")));
                let sources = self.file.get("source").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                let named = |source: &&Value| source.get("name").and_then(Value::as_str) == Some(name);
                !of_rivals && sources.iter().find(named).is_some_and(|source| source.get(field).is_some())
            }
            None => match key.split_once('.') {
                Some((section, key)) => self.file.get(section).is_some_and(|section| section.get(key).is_some()),
                None => self.file.contains_key(key),
            },
        };
        match (overridden(key), in_file) {
            (true, _) => Layer::Overrides,
            (false, true) => Layer::File,
            (false, false) => Layer::Default,
        }
    }
}

fn describe(value: &Json, path: &str, values: &mut BTreeMap<String, Json>) {
    let below = |key: &str| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
    match value {
        Json::Object(fields) => fields.iter().for_each(|(key, value)| describe(value, &below(key), values)),
        Json::Array(sources) if path == "source" => {
            for source in sources {
                describe(source, &below(source["name"].as_str().unwrap_or_default()), values);
            }
        }
        value => {
            values.insert(path.into(), value.clone());
        }
    }
}

/// Lays those of `overrides` over `file` that this version knows and that fit; tells why each of the others is ignored.
fn settle(
    file: &Table,
    overrides: &Overrides,
    board: Option<&Board>,
) -> Result<(Settings, BTreeMap<String, String>), String> {
    let mut ignored: BTreeMap<_, _> =
        overrides.keys().filter_map(|key| not_known(key).map(|why| (key.clone(), why))).collect();
    loop {
        let left: Vec<_> = overrides.iter().filter(|(key, _)| !ignored.contains_key(*key)).collect();
        let table = merged(file, &left);
        let flaws = match document::settings(&table, board) {
            Ok(settings) => return Ok((settings, ignored)),
            Err(flaws) => flaws,
        };
        let mut blamed = BTreeMap::new();
        for flaw in &flaws {
            let places: Vec<String> = flaw.at.iter().map(|at| key_of(at, &table)).collect();
            let mut blame = |guilty: &dyn Fn(&str, &str) -> bool| {
                let before = blamed.len();
                for (key, _) in left.iter().filter(|(key, _)| places.iter().any(|place| guilty(key, place))) {
                    blamed.entry((*key).clone()).or_insert_with(|| flaw.text.clone());
                }
                blamed.len() > before
            };
            let same_source = |key: &str, place: &str| match (source_key(key), source_key(place)) {
                (Some((a, _)), Some((b, _))) => a == b,
                _ => false,
            };
            let _ = blame(&related) || blame(&same_source);
        }
        if blamed.is_empty() {
            let why = flaws.first().map_or("", |flaw| &flaw.text);
            if left.is_empty() {
                return Err(why.into());
            }
            blamed.extend(left.iter().map(|(key, _)| ((*key).clone(), why.to_string())));
        }
        ignored.extend(blamed);
    }
}

fn merged(file: &Table, overrides: &[(&String, &Value)]) -> Table {
    let mut table = file.clone();
    for (key, _) in overrides {
        if let Some((name, field)) = source_key(key)
            && let Some(source) = source_of(&mut table, name)
        {
            rivals(field).for_each(|rival| drop(source.remove(rival)));
        }
    }
    for (key, value) in overrides {
        let (section, field) = match (source_key(key), key.split_once('.')) {
            (Some((name, field)), _) => (source_of(&mut table, name), field),
            (None, Some((section, field))) => {
                let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
                (section.as_table_mut(), field)
            }
            (None, None) => (Some(&mut table), key.as_str()),
        };
        if let Some(section) = section {
            section.insert(field.into(), (*value).clone());
        }
    }
    table
}

/// The Source called `name`, made if it is not there.
fn source_of<'a>(table: &'a mut Table, name: &str) -> Option<&'a mut Table> {
    let sources = table.entry("source").or_insert_with(|| Value::Array(Vec::new())).as_array_mut()?;
    let named = |source: &Value| source.get("name").and_then(Value::as_str) == Some(name);
    let index = sources.iter().position(named).unwrap_or_else(|| {
        sources.push(Value::Table(Table::from_iter([("name".to_string(), Value::String(name.into()))])));
        sources.len() - 1
    });
    sources[index].as_table_mut()
}

fn toml_of(value: &Json) -> Option<Value> {
    Some(match value {
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Integer(whole),
            (None, Some(real)) => Value::Float(real),
            (None, None) => return None,
        },
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::Array(items.iter().map(toml_of).collect::<Option<_>>()?),
        Json::Null | Json::Object(_) => return None,
    })
}

fn toml_key(part: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !part.is_empty() && part.chars().all(bare) { part.into() } else { Value::String(part.into()).to_string() }
}
