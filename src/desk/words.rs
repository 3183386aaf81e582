//! What boxes tell, in words for people.

use super::{
    seen::{Broadcast, Seen, Uplink, clean},
    studio,
};
use crate::{remote::message::Progress, status::Severity, units::Time};
use serde_json::Value;

/// A word of the vocabulary as it is said: `on-air` is "on air".
pub fn said(word: &str) -> String {
    word.replace('-', " ")
}

/// A rate in bit/s.
pub fn rate(bits: u64) -> String {
    match bits {
        1_000_000.. => format!("{:.2} Mbit/s", bits as f64 / 1e6),
        1_000.. => format!("{} kbit/s", bits / 1000),
        _ => format!("{bits} bit/s"),
    }
}

/// The phase as the operator should see it: what an offline box told last is no news of now.
pub fn state(seen: &Seen, now: Time) -> String {
    match (seen.online(now), seen.phase()) {
        (true, Some(phase)) => said(&phase),
        (false, _) if !seen.is_lost() => "offline".into(),
        _ => "not known".into(),
    }
}

/// Rows in columns; the first row is the head.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// The table of `list`.
pub fn list(boxes: &[&Seen], now: Time) -> String {
    let mut rows = vec![["name", "id", "state", "signal", "address", "version", "tags"].map(String::from).to_vec()];
    rows.extend(boxes.iter().map(|seen| {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        vec![
            seen.name(),
            seen.id().to_owned(),
            state(seen, now),
            or_dash(seen.signal().map(|signal| said(&signal))),
            or_dash(seen.address()),
            or_dash(seen.version()),
            seen.tags().join(", "),
        ]
    }));
    table(&rows)
}

/// What a box does and what is wrong with it: several lines.
pub fn status(seen: &Seen, now: Time) -> String {
    let mut head = format!("{} ({})  {}", seen.name(), seen.id(), state(seen, now));
    if let Some(since) = seen.on_air_since().filter(|_| seen.online(now)) {
        head += &format!(" since {since}");
    }
    if !seen.known() {
        return format!("{head}\n  nothing is known of it yet\n");
    }
    let mut rows = Vec::new();
    let mut row = |what: &str, parts: Vec<String>| rows.push(vec![format!("  {what}"), parts.join(", ")]);
    let (device, mode) = seen.input();
    row("input", [device, seen.signal().map(|signal| said(&signal)), mode].into_iter().flatten().collect());
    let [showing, mode, codec] = seen.program();
    row("program", [showing, mode, codec].into_iter().flatten().collect());
    for uplink in seen.uplinks() {
        row(&uplink.source, delivery(&uplink));
    }
    if let Some(broadcast) = seen.broadcast() {
        row("Broadcast", public(&broadcast));
    }
    let temperature = seen.temperature().map(|degrees| format!("{degrees:.0} °C"));
    row("box", [seen.board(), seen.version(), seen.address(), temperature].into_iter().flatten().collect());
    for network in seen.networks() {
        row("network", network);
    }
    for trouble in seen.troubles() {
        let word = match trouble.severity {
            Severity::Notice => "notice",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        row(word, vec![format!("{}. {}", trouble.text, trouble.advice)]);
    }
    format!("{head}\n{}", table(&rows))
}

/// How one delivery goes.
pub fn delivery(uplink: &Uplink) -> Vec<String> {
    let on_air = uplink.state == "on-air";
    let retry = uplink.retry_in_ms.map(|ms| format!("again in {} s", ms.div_ceil(1000)));
    [
        uplink.region.clone(),
        Some(said(&uplink.state)),
        retry,
        uplink.bitrate.filter(|_| on_air).map(rate),
        uplink.rtt_ms.filter(|_| on_air).map(|ms| format!("round trip {ms} ms")),
        uplink.queue_ms.filter(|_| on_air).map(|ms| format!("queue {ms} ms")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// How a Broadcast is.
pub fn public(broadcast: &Broadcast) -> Vec<String> {
    let viewers = broadcast.viewers.map(|viewers| match viewers {
        1 => "1 viewer".into(),
        viewers => format!("{viewers} viewers"),
    });
    let parts = [Some(said(&broadcast.state)), viewers, broadcast.title.clone(), broadcast.share_url.clone()];
    parts.into_iter().flatten().collect()
}

/// How far a command is, on one line.
pub fn progress(progress: &Progress) -> String {
    let step = clean(&progress.step);
    match (progress.done, progress.of) {
        // Nobody counts so many but bytes.
        (Some(done), Some(of)) if of >= 100_000 => {
            format!("{:.1} of {:.1} MB: {step}", done as f64 / 1e6, of as f64 / 1e6)
        }
        (Some(done), Some(of)) => format!("{step} ({done} of {of})"),
        _ => step,
    }
}

/// What came of `command`, where there is more to say than that it was done: lines.
pub fn result(command: &str, result: &Value) -> String {
    match command {
        "settings" => settings(result),
        "preflight" => preflight(result),
        "regions" => regions(result),
        "logs" => logs(result),
        // Told by their files.
        "preview" => String::new(),
        "diagnostics" => match (text_of(result, "file"), text_of(result, "stick")) {
            (Some(file), Some(stick)) => format!("{file} is on the stick {stick}\n"),
            _ => String::new(),
        },
        _ => match result.as_object() {
            Some(told) if of_studio(command) => studio::words::result(told),
            _ => plain(result),
        },
    }
}

fn text_of(result: &Value, key: &str) -> Option<String> {
    result[key].as_str().map(clean)
}

fn of_studio(command: &str) -> bool {
    command.starts_with("studio-") || matches!(command, "publish" | "end" | "schedule")
}

fn plain(result: &Value) -> String {
    match result {
        Value::Null => String::new(),
        Value::String(text) => text.lines().map(|line| clean(line) + "\n").collect(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        other => format!("{other:#}").lines().map(|line| clean(line) + "\n").collect(),
    }
}

/// A line of a box's log.
pub fn log_line(line: &Value) -> String {
    let said = |key: &str| line[key].as_str().map(clean).unwrap_or_default();
    // To the second, as the journal has it.
    let time = said("time").split('.').next().unwrap_or_default().trim_end_matches('Z').replace('T', " ");
    format!("{time} {:5} {}: {}", said("level"), said("target"), said("text")).trim_start().to_owned()
}

fn logs(result: &Value) -> String {
    let lines = result.as_array().or_else(|| result["lines"].as_array());
    match lines {
        Some(lines) => lines.iter().map(|line| log_line(line) + "\n").collect(),
        None => plain(result),
    }
}

fn settings(result: &Value) -> String {
    let Some(settings) = result["settings"].as_object() else { return plain(result) };
    let row = |(key, setting): (&String, &Value)| {
        let origin = setting["origin"].as_str().unwrap_or_default();
        vec![clean(key), clean(&setting["value"].to_string()), clean(origin)]
    };
    table(&settings.iter().map(row).collect::<Vec<_>>())
}

fn preflight(result: &Value) -> String {
    let Some(steps) = result["steps"].as_array() else { return plain(result) };
    let mut text = String::new();
    for step in steps {
        let said = |key: &str| step[key].as_str().map(clean).unwrap_or_default();
        text += &match step["passed"] == true {
            true => format!("passed  {} ({} ms)\n", said("step"), step["took-ms"].as_u64().unwrap_or(0)),
            false => format!("FAILED  {}: {}. {}\n", said("step"), said("text"), said("advice")),
        };
    }
    let rate_of = |key: &str| result[key].as_u64().map(rate);
    if let (Some(upload), Some(needed)) = (rate_of("upload"), rate_of("needed")) {
        text += &format!("upload  {upload}; needed are {needed}\n");
    }
    if let Some(suggestion) = result["suggestion"].as_str() {
        text += &format!("change  {}\n", clean(suggestion));
    }
    text
}

fn regions(result: &Value) -> String {
    let Some(regions) = result.as_array() else { return plain(result) };
    let rows = regions.iter().map(|region| {
        let said = |key: &str| region[key].as_str().map(clean).unwrap_or_default();
        let time = region["connect-ms"].as_f64().map_or_else(|| said("text"), |ms| format!("{ms:.0} ms"));
        vec![said("region"), time, said("place"), said("url")]
    });
    table(&rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::seen::{
        Told,
        tests::{any_json, at, seen},
    };
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_box_is_described_as_people_say_it() {
        let text = status(&seen(), at(1));
        for line in [
            "OB van 3 (fc-1a2b3c4d)  on air since 2026-11-23T18:00:00Z",
            "  input    hdmi, locked, 1280x720p60",
            "  program  live, 1280x720p30, h264",
            "  Main     on air, 3.98 Mbit/s, round trip 31 ms, queue 12 ms",
            "  box      desktop, 0.1.0, 192.0.2.17, 51 °C",
        ] {
            assert!(text.lines().any(|known| known == line), "{line:?} in\n{text}");
        }
        let listed = list(&[&seen()], at(1));
        let row = "OB van 3  fc-1a2b3c4d  on air  locked  192.0.2.17  0.1.0    stage-left";
        assert_eq!(listed.lines().nth(1), Some(row), "{listed}");
    }

    #[test]
    fn an_offline_box_is_not_said_to_be_on_air() {
        let mut seen = seen();
        seen.hear(Told::Availability(false), at(2));
        let text = status(&seen, at(3));
        assert!(text.starts_with("OB van 3 (fc-1a2b3c4d)  offline\n"), "{text}");
        assert!(status(&Seen::new("fc-2"), at(0)).contains("nothing is known"));
    }

    #[test]
    fn a_broadcast_is_told_with_its_viewers() {
        let mut seen = Seen::new("fc-1");
        let told = |viewers: u64| {
            let url = "https://x.com/i/broadcasts/1";
            let broadcast = json!({"state": "running", "title": "Gala", "viewers": viewers, "share-url": url});
            json!({"phase": "on-air", "broadcast": broadcast})
        };
        seen.hear(Told::Status { document: told(1), live: true }, at(0));
        let line = "  Broadcast  running, 1 viewer, Gala, https://x.com/i/broadcasts/1";
        assert!(status(&seen, at(0)).lines().any(|known| known == line), "{}", status(&seen, at(0)));
        seen.hear(Told::Status { document: json!({"phase": "previewing", "broadcast": null}), live: true }, at(0));
        assert!(status(&seen, at(0)).starts_with("fc-1 (fc-1)  previewing\n") && !seen.is_public());
        let far = |done, of| progress(&Progress { step: "Uploading".into(), done: Some(done), of: Some(of) });
        assert_eq!(far(1_500_000, 3_000_000), "1.5 of 3.0 MB: Uploading");
        assert_eq!(far(2, 5), "Uploading (2 of 5)");
    }

    #[test]
    fn results_are_read_by_people() {
        let steps = json!([
            {"step": "name", "passed": true, "took-ms": 3},
            {"step": "TLS", "passed": false, "text": "No TLS", "advice": "Check the URL"},
        ]);
        let text = result(
            "preflight",
            &json!({"steps": steps, "upload": 3_000_000, "needed": 4_128_000, "suggestion": "Less"}),
        );
        assert_eq!(
            text,
            "passed  name (3 ms)\nFAILED  TLS: No TLS. Check the URL\nupload  3.00 Mbit/s; needed are 4.13 Mbit/s\nchange  Less\n"
        );
        let settings = json!({"settings": {"name": {"value": "Van", "origin": "settings.toml"}, "panel.brightness": {"value": 80, "origin": "default"}}});
        assert_eq!(
            result("settings", &settings),
            "name              \"Van\"  settings.toml\npanel.brightness  80     default\n"
        );
        let regions = json!([{"region": "eu", "place": "Berlin", "url": "rtmp://a/b", "connect-ms": 12.4}, {"region": "us", "text": "No answer"}]);
        assert_eq!(result("regions", &regions), "eu  12 ms      Berlin  rtmp://a/b\nus  No answer\n");
        let line = json!({"time": "2026-11-23T18:00:00.123456Z", "level": "warn", "target": "fieldcast::uplink", "text": "slow\n"});
        let said = "2026-11-23 18:00:00 warn  fieldcast::uplink: slow\n";
        assert_eq!(
            (result("logs", &json!([line])), result("logs", &json!({"lines": [line]}))),
            (said.into(), said.into())
        );
        assert_eq!((result("start", &Value::Null), result("set", &json!({}))), (String::new(), String::new()));
        assert_eq!(
            (rate(999), rate(128_000), rate(3_980_000)),
            ("999 bit/s".into(), "128 kbit/s".into(), "3.98 Mbit/s".into())
        );
    }

    proptest! {
        #[test]
        fn any_result_is_lines_that_move_no_terminal(document in any_json()) {
            for command in ["settings", "preflight", "regions", "preview", "logs", "start", "studio-sources", "publish"] {
                let text = result(command, &document);
                prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
            }
            let mut seen = Seen::new("fc-1");
            seen.hear(Told::Status { document, live: true }, at(0));
            let text = status(&seen, at(0)) + &list(&[&seen], at(0));
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        }
    }
}
