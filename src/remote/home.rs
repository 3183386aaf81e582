//! Home Assistant: one device with its entities, told so that it needs no set-up there (MQTT discovery by device, Home
//! Assistant 2024.11 and later).
//!
//! The device of the snapshot was given to the integration itself (homeassistant 2025.4.4: all entities, their states, what
//! each command publishes, nothing logged), and read against its schemas in 2026.11.0
//! (homeassistant/components/mqtt/schemas.py and the platforms beside it).

use super::{
    document::Info,
    topic::{Leaf, Prefix},
};
use crate::command::{Answer, Command};
use serde_json::{Value, json};

/// Where Home Assistant tells that it has started.
pub const BIRTH: &str = "homeassistant/status";
/// What Home Assistant's switch sends: it has one topic for both ways.
pub const SWITCH: &str = "on-air";

/// Where the device is told.
pub fn topic(id: &str) -> String {
    format!("homeassistant/device/{id}/config")
}

/// What the switch asks for, `{"on": true}` or `{"on": false}`. It has no confirmation: who flips it means it, and a Broadcast
/// ends with it.
///
/// # Errors
/// The answer to give.
pub fn switch(arguments: &Value) -> Result<Command, Answer> {
    match arguments.get("on").and_then(Value::as_bool) {
        Some(true) => Ok(Command::Start { sources: None }),
        Some(false) => Ok(Command::Stop { confirm: true, end: Some(true) }),
        None => Err(Answer::wrong("on", "expected true or false")),
    }
}

/// The device with its entities.
pub fn device(prefix: &Prefix, info: &Info) -> Value {
    let topic = |leaf: &Leaf| prefix.topic(&info.id, leaf);
    let command = |name: &str| topic(&Leaf::Command { name: name.into(), request: None });
    let unique = |name: &str| format!("{}-{name}", info.id);
    let sensor = |name: &str, label: &str, leaf: &Leaf, template: &str| {
        json!({ "platform": "sensor", "unique_id": unique(name), "name": label, "state_topic": topic(leaf),
            "value_template": template })
    };
    let figure = |name: &str, label: &str, template: &str, class: &str, unit: &str| {
        let mut figure = sensor(name, label, &Leaf::Stats, template);
        figure["device_class"] = class.into();
        figure["unit_of_measurement"] = unit.into();
        figure["state_class"] = "measurement".into();
        figure
    };
    let button = |name: &str, label: &str, payload: &str| {
        json!({ "platform": "button", "unique_id": unique(name), "name": label, "command_topic": command(name),
            "payload_press": payload })
    };
    let first = |field: &str| format!("{{{{ value_json.uplinks[0]['{field}'] if value_json.uplinks else 0 }}}}");
    let mut entities = json!({
        "phase": sensor("phase", "Phase", &Leaf::Status, "{{ value_json.phase }}"),
        "signal": sensor("signal", "Signal", &Leaf::Status, "{{ value_json.input.signal }}"),
        "system": sensor("system", "System", &Leaf::Status, "{{ value_json.firmware.version if value_json.firmware else None }}"),
        "temperature": figure("temperature", "Temperature", "{{ value_json['temperature-c'] }}", "temperature", "°C"),
        "queue": figure("queue", "Queue", &first("queue-ms"), "duration", "ms"),
        "rate": figure("rate", "Rate", &first("bitrate"), "data_rate", "bit/s"),
        "problem": {
            "platform": "binary_sensor", "unique_id": unique("problem"), "name": "Problem", "device_class": "problem",
            "state_topic": topic(&Leaf::Status), "value_template": "{{ 'ON' if value_json.faults else 'OFF' }}",
        },
        "preview-image": {
            "platform": "image", "unique_id": unique("preview-image"), "name": "Preview",
            "image_topic": topic(&Leaf::Preview), "content_type": "image/jpeg",
        },
    });
    let sources: Vec<&str> = info.capabilities.sources.iter().map(|source| source.name.as_str()).collect();
    let controls = json!({
        SWITCH: {
            "platform": "switch", "unique_id": unique(SWITCH), "name": "On air", "command_topic": command(SWITCH),
            "payload_on": "{\"on\":true}", "payload_off": "{\"on\":false}", "state_on": "on-air", "state_off": "off-air",
            "state_topic": topic(&Leaf::Status), "value_template": "{{ value_json.intent }}",
        },
        "bitrate": {
            "platform": "number", "unique_id": unique("bitrate"), "name": "Bitrate", "command_topic": command("set"),
            "command_template": "{\"output.bitrate-max\": \"{{ value }} Mbit/s\"}", "optimistic": true,
            "min": 0.5, "max": 50, "step": 0.1, "unit_of_measurement": "Mbit/s", "mode": "box",
        },
        "identify": button("identify", "Identify", "{}"),
        "preview": button("preview", "Take a preview", "{}"),
        "reboot": button("reboot", "Reboot", "{\"confirm\":true}"),
        "source": {
            "platform": "select", "unique_id": unique("source"), "name": "Source", "command_topic": command("source"),
            "command_template": "{\"name\": {{ value | tojson }}}", "options": sources,
            "state_topic": topic(&Leaf::Status),
            "value_template": "{{ value_json.uplinks[0].source if value_json.uplinks else None }}",
        },
    });
    for (name, control) in controls.as_object().into_iter().flatten() {
        let has = !info.observe && (name != "source" || !sources.is_empty());
        // Home Assistant keeps what it knew before until it is told the platform alone.
        entities[name] = if has { control.clone() } else { json!({ "platform": control["platform"] }) };
    }
    json!({
        "device": {
            "identifiers": [info.id], "name": info.name, "manufacturer": "Fieldcast", "model": info.board,
            "sw_version": info.version,
        },
        "origin": { "name": "Fieldcast", "sw_version": info.version },
        "availability_topic": topic(&Leaf::Availability),
        "components": entities,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::document::tests::info;

    #[test]
    fn the_device_is_pinned() {
        let prefix: Prefix = "fieldcast".parse().expect("a prefix");
        let device = device(&prefix, &info());
        insta::assert_snapshot!("device", serde_json::to_string_pretty(&device).expect("json"));
    }

    #[test]
    fn a_box_that_only_tells_has_nothing_to_press() {
        let prefix: Prefix = "fieldcast".parse().expect("a prefix");
        let device = device(&prefix, &Info { observe: true, ..info() });
        assert!(!device.to_string().contains("command_topic"), "{device}");
        // What it had before is taken away.
        for (name, platform) in [(SWITCH, "switch"), ("bitrate", "number"), ("reboot", "button"), ("source", "select")]
        {
            assert_eq!(device["components"][name], json!({ "platform": platform }));
        }
        assert_eq!(device["components"]["phase"]["platform"], "sensor");
    }

    #[test]
    fn the_switch_has_two_ways() {
        assert_eq!(switch(&json!({"on": true})), Ok(Command::Start { sources: None }));
        assert_eq!(switch(&json!({"on": false})), Ok(Command::Stop { confirm: true, end: Some(true) }));
        assert!(switch(&json!({})).is_err() && switch(&Value::Null).is_err());
    }
}
