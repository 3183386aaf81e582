//! What is wrong with a board file, and where: line and field of what the TOML reader or the checks refuse.

use crate::settings::nearest;
use std::ops::Range;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Why a text is not a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1.
    pub line: Option<usize>,
    /// Where in the file, such as `input[0].edid`; empty for the whole.
    pub field: String,
    /// What was expected.
    pub text: String,
}

/// A problem out of what the TOML reader says: its line and field are looked up, a misspelt word is answered with the
/// nearest known one, and Rust's names of types are put in plain words.
pub(super) fn explain(text: &str, error: &toml::de::Error) -> Problem {
    let start = error.span().map(|span| span.start);
    let mut message = error.message().replace('\n', ", ");
    let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    if let [unknown, known @ ..] = quoted.as_slice()
        && message.starts_with("unknown field")
        && let Some(nearest) = nearest(unknown, known.iter().copied(), LIKE)
    {
        message = format!("unknown field `{unknown}`: did you mean `{nearest}`?");
    }
    for (rust, plain) in [
        ("unknown variant", "unknown value"),
        ("invalid type: unit variant, expected newtype variant", "expected it with a name: { signal = \"...\" }"),
        ("` as i128,", "`,"),
        ("expected a sequence", "expected a list in [ ]"),
        ("expected an array of length", "expected a list in [ ] of"),
        ("wanted string or table", "expected a text in quotes or a table"),
        ("expected struct", "expected a table:"),
        ("expected a map", "expected a table"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected i64", "expected a whole number"),
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected a text in quotes"),
    ] {
        message = message.replace(rust, plain);
    }
    let field = start.and_then(|start| field_at(text, start)).unwrap_or_default();
    Problem { line: start.map(|start| line_at(text, start)), field, text: message.chars().take(300).collect() }
}

/// How like a known word another one has to be to have been meant for it.
pub(super) const LIKE: f64 = 0.4;

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// The path of what stands at `offset`: the innermost key or value that covers it.
fn field_at(text: &str, offset: usize) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    let mut innermost = None;
    walk(table.get_ref(), "", &mut |path, key, value| {
        if [key, value].into_iter().flatten().any(|span| span.contains(&offset)) {
            innermost = Some(path.to_string());
        }
    });
    innermost
}

/// The line of `field`, or of the innermost table around it that the text has.
pub(super) fn line_of(text: &str, field: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut best: (usize, Option<usize>) = (0, None);
    walk(table.get_ref(), "", &mut |path, key, value| {
        let within = field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        if within && path.len() >= best.0 {
            best = (path.len(), key.or(value).map(|span| line_at(text, span.start)));
        }
    });
    best.1
}

type Visit<'a> = dyn FnMut(&str, Option<Range<usize>>, Option<Range<usize>>) + 'a;

/// Visits each value with its path, the span of its key (list members have none) and its own.
fn walk(table: &DeTable<'_>, at: &str, visit: &mut Visit<'_>) {
    for (key, value) in table {
        let path = if at.is_empty() { key.get_ref().to_string() } else { format!("{at}.{}", key.get_ref()) };
        visit(&path, Some(key.span()), Some(value.span()));
        walk_value(value, &path, visit);
    }
}

fn walk_value(value: &Spanned<DeValue<'_>>, path: &str, visit: &mut Visit<'_>) {
    match value.get_ref() {
        DeValue::Table(table) => walk(table, path, visit),
        DeValue::Array(members) => {
            for (index, member) in members.iter().enumerate() {
                let path = format!("{path}[{index}]");
                visit(&path, None, Some(member.span()));
                walk_value(member, &path, visit);
            }
        }
        _ => {}
    }
}
