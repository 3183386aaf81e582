//! What X tells, in words for people.

use crate::desk::{
    seen::clean,
    words::{said, table},
};
use serde_json::{Map, Value};

/// Lists of answers, with what their tables show.
const LISTS: [(&str, &[&str]); 4] = [
    ("accounts", &["name", "kind", "linked", "chosen", "revoked", "ends"]),
    ("sources", &["id", "name", "region", "active", "rtmps-url"]),
    ("broadcasts", &["id", "state", "started", "viewers", "title", "share-url"]),
    ("schedules", &["id", "state", "start", "end", "title", "source-id"]),
];

/// An answer of the Studio: a table for a list, else a line for each field.
pub fn result(result: &Map<String, Value>) -> String {
    for (name, columns) in LISTS {
        if let Some(Value::Array(items)) = result.get(name) {
            return list(name, columns, items);
        }
    }
    let known = result.iter().filter(|(_, value)| !value.is_null());
    let row = |(key, value): (&String, &Value)| vec![said(&clean(key)), cell(value)];
    table(&known.map(row).collect::<Vec<_>>())
}

fn list(name: &str, columns: &[&str], items: &[Value]) -> String {
    if items.is_empty() {
        return format!("there are no {name}\n");
    }
    let mut rows = vec![columns.iter().map(|column| said(column)).collect()];
    rows.extend(items.iter().map(|item| {
        columns.iter().map(|column| if item[column].is_null() { "-".into() } else { cell(&item[column]) }).collect()
    }));
    table(&rows)
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => clean(text),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Array(items) if items.iter().all(|item| !item.is_object()) => {
            items.iter().map(cell).collect::<Vec<_>>().join(", ")
        }
        other => clean(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(told: &Value) -> String {
        result(told.as_object().expect("an object"))
    }

    #[test]
    fn lists_are_tables_and_single_things_are_lines() {
        let sources = json!({"sources": [
            {"id": "12", "name": "Main\u{1b}", "region": "eu", "rtmp-url": "rtmp://a", "rtmps-url": null, "active": true},
            {"id": "13", "name": "Spare", "region": null, "rtmps-url": "rtmps://b/live", "active": false},
        ]});
        assert_eq!(
            shown(&sources),
            "id  name   region  active  rtmps url\n12  Main   eu      yes     -\n13  Spare  -       no      rtmps://b/live\n"
        );
        assert_eq!(shown(&json!({"broadcasts": []})), "there are no broadcasts\n");
        let one = json!({"id": "1", "media-key": "13_1", "notes": ["a", "b"], "viewers": null, "size": 5});
        assert_eq!(shown(&one), "id         1\nmedia key  13_1\nnotes      a, b\nsize       5\n");
    }
}
