//! When a changed setting is felt.

use serde::Serialize;
use serde_json::{Value as Json, json};

/// When a changed setting is felt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TakesEffect {
    /// At once.
    Now,
    /// When the push is started the next time; `id`, `http.listen`, `mqtt` and `studio`: when the daemon is.
    NextStart,
}

/// When a change of `key` is felt, while something is pushed or not.
pub fn takes_effect(key: &str, pushing: bool) -> TakesEffect {
    match key {
        "id" | "http.listen" => TakesEffect::NextStart,
        key if key.starts_with("mqtt.") || key.starts_with("studio.") => TakesEffect::NextStart,
        "output.bitrate-max" | "output.bitrate-min" => TakesEffect::Now,
        key if pushing && key.starts_with("output.") => TakesEffect::NextStart,
        _ => TakesEffect::Now,
    }
}

/// The result of a `set`: which of `keys` are felt when.
pub fn effects(keys: &[String], pushing: bool) -> Json {
    let felt = |when| keys.iter().filter(|key| takes_effect(key, pushing) == when).collect::<Vec<_>>();
    json!({ "now": felt(TakesEffect::Now), "next-start": felt(TakesEffect::NextStart) })
}
