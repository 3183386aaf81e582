//! The inputs of a draft: HDMI receivers by their DV timings, cameras by what they can be asked for, the test picture last.

use super::{quoted, remark};
use crate::{
    board::{InputKind, parse},
    capture::{
        probe::{Hardware, Video},
        sound::Card,
    },
};
/// Pixel formats that the worker can take from a camera, best first; `MJPG` costs a decoder.
const FORMATS: [&str; 4] = ["NV12", "YUYV", "UYVY", "MJPG"];

pub(super) fn write(hardware: &Hardware, text: &mut String) {
    let (mut receivers, mut cameras) = (0, 0);
    let has_timings = |video: &Video| video.inputs.iter().any(|input| input.dv_timings);
    // Nodes of the same receiver come in a row; what cannot be told apart is described once.
    let mut described: Vec<String> = Vec::new();
    let mut bridges = hardware.receivers.iter();
    for video in &hardware.video {
        let usb = video.driver.as_deref() == Some("uvcvideo");
        let formats: Vec<&str> =
            FORMATS.into_iter().filter(|name| video.formats.iter().any(|f| f.format == *name)).collect();
        let bridge = if has_timings(video) || usb { None } else { bridges.next() };
        if !has_timings(video) && bridge.is_none() && formats.is_empty() {
            *text += &format!("\n# {} gives no pixel format that can be used.\n", remark(&seen(video)));
            continue;
        }
        let Some(device) = device(video, &hardware.video).filter(|device| !described.contains(device)) else {
            *text += &format!("\n# check: {} cannot be told from another node.\n", remark(&seen(video)));
            continue;
        };
        *text += &format!("\n# {}\n", remark(&seen(video)));
        described.push(device.clone());
        if has_timings(video) || bridge.is_some() {
            receivers += 1;
            receiver(video, bridge, &numbered("hdmi", receivers), &device, text);
            sound(hardware, true, text);
        } else {
            cameras += 1;
            camera(usb, &formats, &numbered("camera", cameras), &device, text);
            sound(hardware, false, text);
        }
    }
    if !hardware.subdevices.is_empty() {
        let names: Vec<String> = hardware.subdevices.iter().map(|name| format!("{name:?}")).collect();
        *text += &format!("\n# Subdevices: {}\n", remark(&names.join(", ")));
    }
    *text += "\n[[input]]\nname = \"test\"\nkind = \"test\"\n";
    if receivers + cameras > 0 {
        *text += "automatic = false\n";
    } else {
        *text += "# check: nothing that captures was found; is its driver loaded, its overlay switched on, its cable plugged in?\n";
    }
}

/// What the machine says of a node.
fn seen(video: &Video) -> String {
    let formats: Vec<&str> = video.formats.iter().map(|format| format.format.as_str()).collect();
    format!(
        "{}: {:?}, {} at {}, formats {}",
        video.node.display(),
        video.name,
        video.card,
        video.bus,
        formats.join(" ")
    )
}

fn numbered(name: &str, number: usize) -> String {
    if number == 1 { name.into() } else { format!("{name}-{number}") }
}

/// How the node is found again: by driver and name, and by a path that stays where other nodes have the same.
fn device(video: &Video, all: &[Video]) -> Option<String> {
    let usable = |name: &&str| !name.trim().is_empty() && !name.chars().any(char::is_control);
    let driver = video.driver.as_deref().filter(usable);
    let name = Some(video.name.as_str()).filter(usable);
    // A board file's name is a part of the node's.
    let fits = |other: &&Video| {
        driver.is_none_or(|driver| other.driver.as_deref() == Some(driver))
            && name.is_none_or(|name| other.name.contains(name))
    };
    let below_dev = |path: &&str| usable(path) && path.starts_with("/dev/");
    let path = video.paths.iter().filter_map(|path| path.to_str()).find(below_dev);
    let path = path.filter(|_| all.iter().filter(fits).count() > 1);
    let conditions = [("path", path), ("driver", driver), ("name", name)];
    let conditions = conditions.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}", quoted(value?))));
    let conditions: Vec<String> = conditions.collect();
    (!conditions.is_empty()).then(|| format!("device = {{ {} }}\n", conditions.join(", ")))
}

fn receiver(video: &Video, bridge: Option<&String>, name: &str, device: &str, text: &mut String) {
    *text += &format!("[[input]]\nname = \"{name}\"\nkind = \"hdmi\"\n{device}");
    let timings = video.inputs.iter().position(|input| input.dv_timings);
    if let Some(input) = timings.filter(|_| video.inputs.len() > 1) {
        *text += &format!("# check: its other inputs have no DV timings.\ninput = {input}\n");
    }
    if let Some(bridge) = bridge {
        *text += "# check: the DV timings are on this subdevice, and this may be another node's; `media-ctl -p` shows the links.\n";
        let usable = !bridge.trim().is_empty() && !bridge.chars().any(char::is_control);
        *text += &if usable { format!("subdevice = {}\n", quoted(bridge)) } else { String::new() };
        *text += "# links = ['\"csi2\":4 -> \"rp1-cfe-csi2_ch0\":0']\n";
    }
    *text += "# check: what it takes at most, and then the EDID has to ask for no more.\n# max = \"1920x1080p60\"\n";
    *text += "# check: how often it is asked when no event comes; some drivers write a line to the kernel's log each time.\n";
    *text += "requery = \"5 s\"\n";
    if let Some(edid) = edid() {
        *text += "# 1080p60 preferred, 1080p50/30/25/24, 720p60/50, 576p50, 480p60; two channels of 48 kHz sound.\n";
        *text += &format!("edid = \"\"\"\n{edid}\"\"\"\n");
    }
}

/// The EDID of the emulated box's board, which asks for 1080p60 and announces sound, 64 digits a line.
fn edid() -> Option<String> {
    let example = parse::board("qemu-virt", include_str!("../../../boards/qemu-virt.toml")).ok()?;
    let edid = example.inputs.iter().find_map(|input| match &input.kind {
        InputKind::Hdmi(hdmi) => hdmi.edid.as_ref(),
        InputKind::Camera(_) | InputKind::Test => None,
    })?;
    let line = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    Some(edid.bytes().chunks(32).map(line).collect())
}

fn camera(usb: bool, formats: &[&str], name: &str, device: &str, text: &mut String) {
    *text += &format!("[[input]]\nname = \"{name}\"\nkind = \"camera\"\n{device}formats = {formats:?}\n");
    if !usb {
        *text += "# check: whether a sensor is behind it; a node of a processor's own may be there without one.\n";
        *text += "automatic = false\n";
    }
}

/// Sound cards that may belong to an input: one with HDMI in its name to a receiver, others are a person's choice.
fn sound(hardware: &Hardware, receiver: bool, text: &mut String) {
    let takes = |id: &str| id.len() <= 15 && parse::is_identifier(id);
    let cards = hardware.sound.iter().filter(|card| takes(&card.id));
    // A receiver's card cannot be recorded while no sound comes in, so its name has to do.
    let named = |card: &&Card| {
        let words = format!("{} {}", card.id, card.name).to_lowercase().replace(['-', '_', ' ', ','], "");
        ["hdmiin", "hdmirx", "tc358743"].iter().any(|word| words.contains(word))
    };
    let own = cards.clone().find(named).filter(|_| receiver);
    if let Some(card) = own {
        *text += &format!("# check: sound card {:?}, by its name.\naudio = {}\n", remark(&card.name), quoted(&card.id));
    }
    for card in cards.filter(|card| own.is_none() && !card.capture.is_empty()) {
        *text += &format!("# check: is this its sound? {:?}\n# audio = {}\n", remark(&card.name), quoted(&card.id));
    }
}
