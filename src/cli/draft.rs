//! `fieldcastd probe --write-board`: a board file for hardware that nobody has described yet (pure).
//!
//! What the machine says of itself is written down; what it cannot say is left to a person, at each line with "check:". The
//! draft is a whole board file that the strict parser takes as it is, whatever names the hardware has.

mod encoders;
mod inputs;

pub use encoders::{DESKTOP, Known, known};

use crate::{
    board::find::Machine,
    capture::probe::Hardware,
    panel::{buttons::Keys, probe::Parts},
};
use std::collections::BTreeSet;

/// What was found on the machine.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// What it says of itself.
    pub machine: &'a Machine,
    /// What can be captured from.
    pub hardware: &'a Hardware,
    /// What a panel can be made of.
    pub parts: &'a Parts,
    /// Input devices with keys.
    pub keys: &'a [Keys],
    /// Encoders and converters that board files describe.
    pub known: &'a [Known],
    /// GStreamer's elements that exist here.
    pub elements: &'a BTreeSet<String>,
}

/// The board file as text.
pub fn draft(found: &Found<'_>) -> String {
    let mut text = format!(
        "# Drafted by `fieldcastd probe --write-board` (Fieldcast {}) from what this machine says of itself:\n# {}\n\
         # Lines with \"check:\" are guesses, for a person who has the board to decide. boards/README.md explains the fields.\n",
        env!("CARGO_PKG_VERSION"),
        remark(&found.machine.to_string()),
    );
    matches(found.machine, &mut text);
    inputs::write(found.hardware, &mut text);
    let hardware = encoders::write(found, &mut text);
    front(found, &mut text);
    limits(hardware, &mut text);
    text
}

/// What makes this machine known again: the most specific name that it has.
fn matches(machine: &Machine, text: &mut String) {
    *text += "\n[match]\n";
    match (machine.compatible.as_slice(), &machine.vendor) {
        ([own, general @ ..], _) => {
            *text += &format!("compatible = [{}]\n", quoted(own));
            if !general.is_empty() {
                let general: Vec<String> = general.iter().map(|name| remark(name)).collect();
                *text += "# More general names, which other boards with the same chip have, too:\n";
                *text += &format!("# {}\n", general.join(", "));
            }
        }
        ([], Some(vendor)) => {
            *text += "# check: some makers leave these as they got them, and then other machines have the same.\n";
            let product = machine.product.as_ref().map(|product| format!(", product = {}", quoted(product)));
            *text += &format!("dmi = [{{ vendor = {}{} }}]\n", quoted(vendor), product.unwrap_or_default());
        }
        ([], None) => {
            *text += "# check: this means each machine of the architecture that has no device tree.\n";
            *text += &format!("architecture = {}\n", quoted(&machine.architecture));
        }
    }
}

/// Display, buttons and lamps are somebody's choice: hints, each with what is there.
fn front(found: &Found<'_>, text: &mut String) {
    let parts = found.parts;
    let hint = |text: &mut String, head: &str, lines: &[String]| {
        *text += &format!("\n# check: {head}\n");
        lines.iter().for_each(|line| *text += &format!("# {}\n", remark(line)));
    };
    let mut displays: Vec<(String, String)> = Vec::new();
    displays.extend(parts.framebuffers.iter().map(|part| ("framebuffer".into(), part.name.clone())));
    let keypads = parts.serial.iter().filter(|part| part.name.contains("CFA635"));
    displays.extend(keypads.map(|part| ("cfa635".into(), part.name.clone())));
    displays.extend(parts.i2c.iter().map(|part| ("ssd1306".into(), part.name.clone())));
    if !displays.is_empty() {
        hint(text, "the display, if one of these is the front panel's.", &[]);
        for (number, (kind, device)) in displays.iter().enumerate() {
            let lines =
                ["[display]".into(), format!("kind = {}", quoted(kind)), format!("device = {}", quoted(device))];
            *text += if number > 0 { "#\n" } else { "" };
            lines.iter().for_each(|line| *text += &format!("# {}\n", remark(line)));
        }
    }
    for keys in found.keys {
        // Each keyboard has hundreds; the first ones of a button block are all that it has.
        let few: Vec<&str> = keys.keys.iter().take(8).map(String::as_str).collect();
        let Some(first) = few.first() else { continue };
        let more = if keys.keys.len() > few.len() { " ..." } else { "" };
        let head = format!("the GO button, if it is one of {:?}: {}{more}", keys.name, few.join(" "));
        let device = format!("device = {}", quoted(&keys.name));
        hint(
            text,
            &remark(&head),
            &["[[button]]".into(), "role = \"go\"".into(), format!("key = {}", quoted(first)), device],
        );
    }
    for led in &parts.leds {
        let lines = ["[[lamp]]".into(), format!("led = {}", quoted(&led.name)), "on-air = \"on\"".into()];
        hint(text, "a tally lamp, if this LED is free for that.", &lines);
    }
}

fn limits(hardware: bool, text: &mut String) {
    let (mode, bitrate, why) = match hardware {
        true => ("1920x1080p30", "20 Mbit/s", "what its H.264 encoder is rated for may be more"),
        false => (
            "1280x720p30",
            "6 Mbit/s",
            "a processor that encodes by itself is warm with this; `fieldcastd plan` and top(1) tell",
        ),
    };
    *text += &format!("\n# check: the largest that it encodes in time, for hours; {why}.\n");
    *text += &format!("[limits]\nmode = \"{mode}\"\nbitrate = \"{bitrate}\"\n");
}

/// `text` as a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}

/// `text` as it can stand in a comment: TOML allows no control characters there.
fn remark(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests;
