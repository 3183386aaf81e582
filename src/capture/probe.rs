//! What is plugged into this machine, for `fieldcastd probe` and for whoever writes a board file.

use super::{nodes, sound, timings};
use crate::{
    status::SignalState,
    sys::v4l2::{IntervalRange, Node, POWER_PRESENT, Planes, SizeRange},
    units::Mode,
};
use serde::Serialize;
use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// What can be captured from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Hardware {
    /// Nodes that capture pictures, by number.
    pub video: Vec<Video>,
    /// Subdevices that have a node, by number: their names, as a board file's `subdevice` wants them.
    pub subdevices: Vec<String>,
    /// Those of them that have DV timings: HDMI bridges.
    pub receivers: Vec<String>,
    /// Sound cards, by number.
    pub sound: Vec<sound::Card>,
}

/// A node that captures pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Video {
    /// The node now.
    pub node: PathBuf,
    /// Links to it that stay, for a board file's `path`.
    pub paths: Vec<PathBuf>,
    /// Its name, for a board file's `name`.
    pub name: String,
    /// The kernel driver, for a board file's `driver`.
    pub driver: Option<String>,
    /// What VIDIOC_QUERYCAP calls the device.
    pub card: String,
    /// Where it sits.
    pub bus: String,
    /// Its inputs; the number is the place.
    pub inputs: Vec<Connector>,
    /// Of the selected input, when it has DV timings: what it receives, without changing anything.
    pub signal: Option<SignalState>,
    /// What comes in, while locked.
    pub mode: Option<String>,
    /// Pixel formats, each with the sizes and rates that are listed for it.
    pub formats: Vec<Format>,
}

/// An input of a video node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Connector {
    /// What the driver calls it.
    pub name: String,
    /// Whether it has DV timings, as HDMI has.
    pub dv_timings: bool,
    /// Whether it is the one in use.
    pub selected: bool,
    /// Whether the driver says that the source is protected (HDCP).
    pub protected: bool,
}

/// A pixel format of a video node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Format {
    /// Its four letters.
    pub format: String,
    /// `"1280x720 30/10"`: a size with the rates that are listed for it, Hz.
    pub sizes: Vec<String>,
}

/// Looks at all video nodes and sound cards under `root`. Nothing is changed, but drivers may note in the kernel's log that
/// they were asked for a signal that is not there.
pub fn hardware(root: &Path) -> Hardware {
    let video = nodes::list(root, "video").into_iter().filter_map(|listed| video(root, listed).ok().flatten());
    let subdevices = nodes::list(root, "v4l-subdev");
    // What it captures with is known without asking for the signal, which some drivers note in the log.
    let has_timings = |listed: &&nodes::Listed| Node::open(&listed.node).is_ok_and(|node| node.timings().is_ok());
    Hardware {
        video: video.collect(),
        receivers: subdevices.iter().filter(has_timings).map(|listed| listed.name.clone()).collect(),
        subdevices: subdevices.into_iter().map(|listed| listed.name).collect(),
        sound: sound::cards(root),
    }
}

fn video(root: &Path, listed: nodes::Listed) -> io::Result<Option<Video>> {
    let node = Node::open(&listed.node)?;
    let capability = node.capability()?;
    let Some(planes) = capability.capture else { return Ok(None) };
    let selected = node.selected_input().ok();
    let connector = |number| {
        let input = node.input(number).ok()?;
        let (name, dv_timings, protected) = (input.name, input.dv_timings, input.protected);
        Some(Connector { name, dv_timings, protected, selected: selected == Some(number) })
    };
    let inputs: Vec<Connector> = (0..32).map_while(connector).collect();
    let (signal, mode) = match inputs.iter().any(|input| input.selected && input.dv_timings) {
        true => signal(&node),
        false => (None, None),
    };
    Ok(Some(Video {
        paths: nodes::stable_paths(root, &listed.node),
        node: listed.node,
        name: listed.name,
        driver: listed.driver,
        card: capability.card,
        bus: capability.bus,
        inputs,
        signal,
        mode: mode.map(|mode| mode.to_string()),
        formats: formats(&node, planes),
    }))
}

fn signal(node: &Node) -> (Option<SignalState>, Option<Mode>) {
    if node.control(POWER_PRESENT).is_ok_and(|connectors| connectors == 0) {
        return (Some(SignalState::NoCable), None);
    }
    match node.query_timings() {
        Ok(found) => match timings::mode(found.timings()) {
            Some(mode) => (Some(SignalState::Locked), Some(mode)),
            None => (Some(SignalState::NoSignal), None),
        },
        Err(error) => (timings::state(error).ok().flatten(), None),
    }
}

fn formats(node: &Node, planes: Planes) -> Vec<Format> {
    let size = |format: &str, size: SizeRange| {
        let SizeRange { width, height } = size;
        if width.0 != width.1 || height.0 != height.1 {
            return format!("{}x{} to {}x{}", width.0, height.0, width.1, height.1);
        }
        let rates: Vec<String> = node.intervals(format, width.0, height.0).iter().map(rates).collect();
        format!("{}x{} {}", width.0, height.0, rates.join("/")).trim_end().to_string()
    };
    let format = |format: String| {
        let sizes = node.sizes(&format).into_iter().map(|range| size(&format, range)).collect();
        Format { format, sizes }
    };
    node.pixel_formats(planes).into_iter().map(format).collect()
}

fn rates(interval: &IntervalRange) -> String {
    let rate = |(seconds, per): (u32, u32)| {
        let hz = f64::from(per) / f64::from(seconds.max(1));
        format!("{hz:.2}").trim_end_matches('0').trim_end_matches('.').to_string()
    };
    let (slowest, fastest) = (rate(interval.longest), rate(interval.shortest));
    if slowest == fastest { fastest } else { format!("{slowest}-{fastest}") }
}

impl fmt::Display for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.video.is_empty() {
            writeln!(f, "no video nodes")?;
        }
        for video in &self.video {
            let driver = video.driver.as_deref().unwrap_or("none");
            writeln!(
                f,
                "{}  name {:?}, driver {driver}, {} at {}",
                video.node.display(),
                video.name,
                video.card,
                video.bus
            )?;
            for path in &video.paths {
                writeln!(f, "  path    {}", path.display())?;
            }
            for (number, input) in video.inputs.iter().enumerate() {
                let kind = if input.dv_timings { "DV timings" } else { "no DV timings" };
                let selected = if input.selected { ", selected" } else { "" };
                let protected = if input.protected { ", protected" } else { "" };
                writeln!(f, "  input   {number} {} ({kind}{selected}{protected})", input.name)?;
            }
            if let Some(signal) = video.signal {
                // The word of the status document.
                let word = serde_json::to_value(signal).unwrap_or_default();
                let word = word.as_str().unwrap_or_default();
                writeln!(f, "  signal  {word} {}", video.mode.as_deref().unwrap_or_default())?;
            }
            // Many formats come in the same sizes: one line for all of these.
            let mut formats = video.formats.iter().collect::<Vec<_>>();
            while let Some(Format { sizes, .. }) = formats.first().copied() {
                let same = formats.iter().filter(|format| format.sizes == *sizes).map(|format| format.format.as_str());
                writeln!(f, "  format  {}: {}", same.collect::<Vec<_>>().join(" "), sizes.join(", "))?;
                formats.retain(|format| format.sizes != *sizes);
            }
        }
        for name in &self.subdevices {
            let timings = if self.receivers.contains(name) { " (DV timings)" } else { "" };
            writeln!(f, "subdevice {name:?}{timings}")?;
        }
        for card in &self.sound {
            let capture: Vec<String> = card.capture.iter().map(u32::to_string).collect();
            let capture = match capture.as_slice() {
                [] => "cannot be recorded now".to_string(),
                devices => format!("records on device {}", devices.join(", ")),
            };
            writeln!(f, "sound card {}  {:?}, {capture}", card.id, card.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Hardware {
        Hardware {
            video: vec![Video {
                node: "/dev/video0".into(),
                paths: vec!["/dev/v4l/by-path/platform-vivid.0-video-index0".into()],
                name: "vivid-000-vid-cap".into(),
                driver: Some("vivid".into()),
                card: "vivid".into(),
                bus: "platform:vivid-000".into(),
                inputs: vec![Connector {
                    name: "HDMI 000-0".into(),
                    dv_timings: true,
                    selected: true,
                    protected: false,
                }],
                signal: Some(SignalState::Locked),
                mode: Some("1280x720p60".into()),
                formats: ["YUYV", "NV12"]
                    .map(|format| Format { format: format.into(), sizes: vec!["1280x720 60/30".into()] })
                    .into(),
            }],
            subdevices: vec!["tc358743 10-000f".into(), "imx219 10-0010".into()],
            receivers: vec!["tc358743 10-000f".into()],
            sound: vec![sound::Card { number: 0, id: "tc358743".into(), name: "tc358743".into(), capture: vec![] }],
        }
    }

    #[test]
    fn the_table_says_what_a_board_file_needs() {
        let expected = "\
/dev/video0  name \"vivid-000-vid-cap\", driver vivid, vivid at platform:vivid-000
  path    /dev/v4l/by-path/platform-vivid.0-video-index0
  input   0 HDMI 000-0 (DV timings, selected)
  signal  locked 1280x720p60
  format  YUYV NV12: 1280x720 60/30
subdevice \"tc358743 10-000f\" (DV timings)
subdevice \"imx219 10-0010\"
sound card tc358743  \"tc358743\", cannot be recorded now
";
        assert_eq!(example().to_string(), expected);
    }

    #[test]
    fn the_document_has_the_words_of_the_status() {
        let document = serde_json::to_value(example()).expect("a document");
        assert_eq!(document["video"][0]["signal"], "locked");
        assert_eq!(document["video"][0]["inputs"][0]["dv-timings"], true);
    }

    #[test]
    fn a_machine_without_video_is_no_error() {
        let nothing = hardware(Path::new("/nowhere"));
        assert_eq!(nothing.to_string(), "no video nodes\n");
    }
}
