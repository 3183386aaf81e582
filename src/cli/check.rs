//! `fieldcastd check`.

use super::{Place, Refusal, prepare::load};
use crate::{
    settings::{Layers, PATH},
    state::peek_overrides,
    uplink::{delivery, source::ingest},
};
use std::path::Path;

/// Explains the settings and the board: each value and where it comes from, and what people should look at.
///
/// # Errors
/// Everything that is wrong, one line each.
pub fn check(place: &Place) -> Result<String, Refusal> {
    let mut warnings = Vec::new();
    let overrides = peek_overrides(&place.state).unwrap_or_else(|why| {
        warnings.push(format!("the changes made on this box cannot be read ({}): {why}", place.state.display()));
        Default::default()
    });
    let (board, layers) = load(place, overrides)?;
    warnings.extend(layers.fault().map(|fault| format!("{}. {}", fault.text, fault.advice)));
    warnings.extend(keys(&layers));
    let settings = layers.settings();
    for source in &settings.sources {
        let limits = delivery::warnings(source, &settings.output);
        warnings.extend(limits.into_iter().map(|limit| format!("Source {:?}: {limit}", source.name)));
        if let Err(error) = ingest(source) {
            warnings.push(format!("Source {:?} cannot be used: {error}", source.name));
        }
    }

    let file = place.settings.as_deref().unwrap_or(Path::new(PATH));
    let missing = if file.exists() { "" } else { " (not there: all defaults)" };
    let mut text = format!("settings  {}{missing}\n", file.display());
    text += &format!("board     {}\nstate     {}\n\n", board.name, place.state.display());
    text += &table(&layers);
    if layers.settings().sources.is_empty() {
        warnings.push("there is no Source to push to: add a [[source]] with name, url and key".into());
    }
    for warning in &warnings {
        text += &format!("warning: {warning}\n");
    }
    text += if warnings.is_empty() { "Everything is right.\n" } else { "Nothing is wrong, but see the warnings.\n" };
    Ok(text)
}

/// Looks at the key files; credentials are only there for the service itself.
fn keys(layers: &Layers) -> Vec<String> {
    let files = layers.settings().sources.iter().flat_map(|source| {
        let key = source.key_file.as_ref().map(|_| source.stream_key(None));
        let passphrase = source.srt_passphrase().transpose();
        [key, passphrase].into_iter().flatten().map(|read| (&source.name, read))
    });
    files
        .filter_map(|(name, read)| match read {
            Ok(key) => key.fault.map(|fault| format!("{}. {}", fault.text, fault.advice)),
            Err(why) => Some(format!("Source {name:?}: {why}")),
        })
        .collect()
}

fn table(layers: &Layers) -> String {
    let shown = layers.describe();
    let rows: Vec<[String; 3]> = shown["settings"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, row)| !row["value"].is_null())
        .map(|(key, row)| [key.clone(), row["value"].to_string(), row["origin"].as_str().unwrap_or_default().into()])
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (key, value) = (width(0), width(1));
    let rows = rows.iter().map(|row| format!("{:key$}  {:value$}  {}\n", row[0], row[1], row[2]));
    rows.chain([String::from("\n")]).collect()
}
