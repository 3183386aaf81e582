//! What each page says but the Live page, on every display.

use super::{
    pen::Tone,
    sheet::{Mark, Row, Sheet},
    words,
};
use crate::{
    control::{
        Now,
        menu::{Page, SourceLine, View},
    },
    status::{AcknowledgedBy, Fault, FirmwareState, NetworkKind, Phase, PublicState, SignalState, Status, UplinkState},
};

/// The title of `page`.
pub fn title(page: Page) -> &'static str {
    match page {
        Page::Live => "Live",
        Page::Input => "Input",
        Page::Network => "Network",
        Page::Sources => "Sources",
        Page::Publish => "Publish",
        Page::Preflight => "Preflight",
        Page::System => "System",
        Page::Faults => "Faults",
    }
}

/// What `view`'s page says. The Live page is drawn by itself and says nothing here.
pub fn sheet(status: &Status, view: &View, now: Now) -> Sheet {
    let mut sheet = Sheet::default();
    match view.page {
        Page::Live => {}
        Page::Input => input(&mut sheet, status),
        Page::Network => network(&mut sheet, status),
        Page::Sources => sources(&mut sheet, view),
        Page::Publish => publish(&mut sheet, status),
        Page::Preflight => preflight(&mut sheet, view),
        Page::System => system(&mut sheet, status, view, now),
        Page::Faults => faults(&mut sheet, status),
    }
    sheet
}

fn advise(sheet: &mut Sheet, fault: &Fault) {
    if !sheet.rows.is_empty() {
        sheet.rows.push(Row::Gap);
    }
    sheet.text(&fault.text, words::tone_of(fault.severity));
    sheet.text(&fault.advice, Tone::Plain);
}

/// Whether `fault` is of what comes in.
fn of_input(fault: &Fault) -> bool {
    const CODES: [&str; 18] = [
        "no-device",
        "no-cable",
        "no-signal",
        "no-lock",
        "out-of-range",
        "protected",
        "perhaps-protected",
        "picture-black",
        "picture-frozen",
        "no-pictures",
        "input-busy",
        "input-failed",
        "input-format",
        "missing-plugin",
        "no-encoder",
        "worker-crashed",
        "worker-wedged",
        "no-sound",
    ];
    CODES.contains(&fault.code) || fault.code.starts_with("sound-")
}

fn input(sheet: &mut Sheet, status: &Status) {
    let input = &status.input;
    let faults: Vec<&Fault> = words::worst_first(status).into_iter().filter(|fault| of_input(fault)).collect();
    if input.signal != SignalState::Locked {
        if faults.is_empty() {
            sheet.text(words::signal_word(input.signal), Tone::Warn);
        }
        faults.iter().for_each(|fault| advise(sheet, fault));
        sheet.rows.push(Row::Gap);
        sheet.pair("Input", &input.device);
        return;
    }
    sheet.pair("Input", &input.device);
    sheet.pair("Picture", input.mode.map_or("unknown".into(), |mode| mode.to_string()));
    sheet.pair("Sound", input.audio.as_deref().unwrap_or("none: silence is sent"));
    if let Some(mode) = status.program.mode {
        sheet.pair("Output", format!("{mode} {}", status.program.codec));
    }
    if let Some(encoder) = &status.program.encoder {
        let by = if status.program.hardware { "hardware" } else { "software" };
        sheet.pair("Encoder", format!("{encoder}, {by}"));
    }
    if status.program.muted {
        sheet.text("Viewers hear nothing: muted", Tone::Warn);
    }
    faults.iter().for_each(|fault| advise(sheet, fault));
}

fn network(sheet: &mut Sheet, status: &Status) {
    match &status.network {
        Some(network) => {
            sheet.pair("Interface", &network.interface);
            sheet.pair("Address", network.address.map_or("none".into(), |address| address.to_string()));
        }
        None => sheet.text("No network: plug a cable in, or check the Wi-Fi or modem", Tone::Warn),
    }
    let others: Vec<_> = status.networks.iter().filter(|network| !network.used).collect();
    if !others.is_empty() {
        sheet.rows.push(Row::Gap);
    }
    for network in others {
        let kind = match network.kind {
            NetworkKind::Ethernet => "Ethernet",
            NetworkKind::Wifi => "Wi-Fi",
            NetworkKind::Modem => "Modem",
            NetworkKind::Other => "Other",
        };
        let (mark, remark) = match (network.up, network.address) {
            (true, Some(_)) => (Mark::Open, "standing by"),
            (true, None) => (Mark::Open, "no address"),
            (false, _) => (Mark::None, "down"),
        };
        sheet.rows.push(Row::Entry(mark, format!("{kind} {}", network.interface), remark.into()));
    }
    for uplink in &status.uplinks {
        sheet.rows.push(Row::Gap);
        sheet.pair("Source", &uplink.source);
        if let Some(region) = &uplink.region {
            sheet.pair("Region", region);
        }
        let (state, tone) = match uplink.state {
            UplinkState::Idle => ("idle", Tone::Faint),
            UplinkState::Connecting => ("connecting", Tone::Busy),
            UplinkState::OnAir if status.phase == Phase::Previewing => ("not public", Tone::Warn),
            UplinkState::OnAir => ("on air", Tone::Plain),
            UplinkState::Waiting => ("failed, is tried again", Tone::Warn),
            UplinkState::Refused => ("refused", Tone::Bad),
        };
        sheet.rows.push(Row::Pair("State", state.into(), tone));
        if let Some(by) = uplink.acknowledged_by {
            let by = match by {
                AcknowledgedBy::RtmpAck => "the ingest",
                AcknowledgedBy::SrtAck => "the receiver",
                AcknowledgedBy::Ping => "its pings",
                AcknowledgedBy::Tcp => "its host only",
            };
            sheet.pair("Acknowledged by", by);
        }
        let Some(stats) = status.stats.uplinks.iter().find(|stats| stats.source == uplink.source) else { continue };
        sheet.pair("Round trip", stats.rtt_ms.map_or("unknown".into(), |rtt| format!("{rtt} ms")));
        let loss = stats.loss.filter(|loss| loss.is_finite());
        let tone = if loss.is_some_and(|loss| loss >= 0.02) { Tone::Warn } else { Tone::Plain };
        let percent = |loss: f64| format!("{:.1} %", loss.clamp(0.0, 1.0) * 100.0);
        sheet.rows.push(Row::Pair("Loss", loss.map_or("unknown".into(), percent), tone));
        let (queue, tone) = words::queue(stats.queue_ms);
        sheet.rows.push(Row::Pair("Queue", queue, tone));
        let (rate, unit) = words::rate(stats.bitrate);
        sheet.pair("Acknowledged", format!("{rate} {unit}"));
        if stats.reconnects > 0 {
            sheet.pair("Reconnected", format!("{} times", stats.reconnects));
        }
    }
    if status.stats.dropped_pictures > 0 {
        sheet.rows.push(Row::Gap);
        let dropped = status.stats.dropped_pictures.to_string();
        sheet.rows.push(Row::Pair("Dropped pictures", dropped, Tone::Warn));
    }
}

fn sources(sheet: &mut Sheet, view: &View) {
    if view.sources.is_empty() {
        sheet.text("No Source to push to", Tone::Warn);
        sheet.text("Add a [[source]] with url and key to settings.toml", Tone::Plain);
    }
    for SourceLine { name, region, nearest, primary, backup } in &view.sources {
        let mut remarks = Vec::new();
        remarks.extend(nearest.then(|| "nearest".to_string()));
        remarks.extend(backup.then(|| "backup".to_string()));
        remarks.extend(region.clone());
        let mark = if *primary { Mark::Full } else { Mark::None };
        sheet.rows.push(Row::Entry(mark, name.clone(), remarks.join(", ")));
    }
}

fn publish(sheet: &mut Sheet, status: &Status) {
    let Some(broadcast) = &status.broadcast else {
        sheet.text("Nothing to publish", Tone::Busy);
        sheet.text("Push to a Source of the Studio first", Tone::Plain);
        return;
    };
    let (state, tone) = match broadcast.state {
        PublicState::WaitingForSource => ("waiting", Tone::Busy),
        PublicState::Ready => ("ready", Tone::Good),
        PublicState::Publishing => ("publishing", Tone::Busy),
        PublicState::Running => ("public", Tone::Plain),
        PublicState::Ending => ("ending", Tone::Busy),
        PublicState::Ended => ("ended", Tone::Warn),
        PublicState::TimedOut => ("timed out", Tone::Warn),
        PublicState::Unknown => ("not known", Tone::Warn),
    };
    sheet.rows.push(Row::Pair("State", state.into(), tone));
    if let Some(active) = broadcast.source_active {
        let (seen, tone) = if active { ("seen", Tone::Good) } else { ("not seen", Tone::Warn) };
        sheet.rows.push(Row::Pair("Media", seen.into(), tone));
    }
    if let Some(viewers) = broadcast.viewers {
        sheet.pair("Viewers", viewers.to_string());
    }
    for note in &broadcast.notes {
        sheet.text(note, Tone::Warn);
    }
    sheet.pair("Source", &broadcast.source);
    if let Some(title) = &broadcast.title {
        sheet.pair("Title", title);
    }
    if !broadcast.tags.is_empty() {
        sheet.pair("Tags", broadcast.tags.join(", "));
    }
    if let Some(url) = &broadcast.share_url {
        sheet.pair("Link", url);
        sheet.code = Some(url.clone());
    }
}

fn preflight(sheet: &mut Sheet, view: &View) {
    let preflight = &view.preflight;
    let Some(source) = &preflight.source else {
        sheet.text("Can this box go on air?", Tone::Busy);
        sheet.text("Tries the way to the ingest and measures the upload. Nothing goes on air.", Tone::Plain);
        return;
    };
    if let Some(verdict) = &preflight.verdict {
        sheet.text(&verdict.text, if verdict.passed { Tone::Good } else { Tone::Bad });
    }
    sheet.follow = preflight.verdict.is_none();
    sheet.pair("Source", source);
    for step in &preflight.steps {
        let mark = match step.passed {
            Some(true) => Mark::Tick,
            Some(false) => Mark::Cross,
            None => Mark::Open,
        };
        sheet.rows.push(Row::Entry(mark, step.text.clone(), step.remark.clone().unwrap_or_default()));
    }
    if preflight.verdict.is_none() && preflight.steps.iter().all(|step| step.passed.is_some()) {
        sheet.text("Trying ...", Tone::Busy);
    }
}

fn system(sheet: &mut Sheet, status: &Status, view: &View, now: Now) {
    let stats = &status.stats;
    let number = |value: Option<f64>| value.filter(|value| value.is_finite() && value.abs() < 1e6);
    if let Some(degrees) = number(stats.temperature_c) {
        let headroom = number(stats.heat_headroom_c);
        // Without a limit of the board's own, what most processors are slowed down at.
        let near = headroom.map_or(degrees >= 80.0, |headroom| headroom <= 5.0);
        let tone = if near || stats.throttled == Some(true) { Tone::Warn } else { Tone::Plain };
        let text = match headroom {
            Some(headroom) if headroom < 0.0 => format!("{degrees:.0} °C, too hot"),
            Some(headroom) => format!("{degrees:.0} °C, {headroom:.0} left"),
            None => format!("{degrees:.0} °C"),
        };
        sheet.rows.push(Row::Pair("Heat", text, tone));
    }
    if let Some(cap) = stats.heat_bitrate_cap {
        let pictures = if stats.heat_half_pictures { ", half the pictures" } else { "" };
        sheet.text(format!("Lowered by heat: {:.1} Mbit/s at most{pictures}", cap as f64 / 1e6), Tone::Warn);
    }
    if stats.throttled == Some(true) {
        sheet.text("Slowed down: too hot, or the power supply is weak", Tone::Warn);
    }
    if let Some(cores) = number(stats.cpu) {
        sheet.pair("Load", format!("{:.0} %", cores * 100.0));
    }
    if let Some(free) = stats.disk_free_bytes {
        let tone = if free < 200_000_000 { Tone::Warn } else { Tone::Plain };
        let text = if free < 1_000_000_000 {
            format!("{} MB", free / 1_000_000)
        } else {
            format!("{} GB", free / 1_000_000_000)
        };
        sheet.rows.push(Row::Pair("Disk", text, tone));
    }
    sheet.pair("Up", words::long_span(stats.uptime_ms));
    match now.wall {
        Some(wall) => sheet.pair("Clock", wall.strftime("%H:%M UTC").to_string()),
        None => sheet.rows.push(Row::Pair("Clock", "not set".into(), Tone::Warn)),
    }
    sheet.pair("Version", &status.version);
    if let Some(firmware) = &status.firmware {
        let slot = firmware.slot.as_ref().map(|slot| format!(", slot {slot}")).unwrap_or_default();
        sheet.pair("System", format!("{}{slot}", firmware.version));
        if firmware.state == FirmwareState::OnTrial {
            sheet.text("The system is new, and on trial for some minutes", Tone::Busy);
        }
        if let Some((text, percent)) = words::update(status) {
            sheet.rows.push(Row::Pair("Update", percent.map_or(text, |percent| format!("{percent} %")), Tone::Busy));
        }
    }
    sheet.pair("Name", &status.name);
    sheet.pair("Id", &status.id);
    sheet.pair("Board", &status.board);
    if let Some(address) = &view.address {
        let link = format!("https://{address}");
        sheet.pair("Address", &link);
        sheet.code = Some(link);
    }
    if let Some(fingerprint) = &view.fingerprint {
        sheet.pair("Fingerprint", fingerprint);
    }
}

fn faults(sheet: &mut Sheet, status: &Status) {
    if status.faults.is_empty() {
        sheet.rows.push(Row::Entry(Mark::Tick, "Nothing is wrong".into(), String::new()));
    }
    words::worst_first(status).into_iter().for_each(|fault| advise(sheet, fault));
}
