//! What a front panel can be made of on this machine, for `fieldcastd probe` and for whoever writes a board file.

use super::lamps::LEDS;
use serde::Serialize;
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// Buses, ports, framebuffers, LEDs and chips, each sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Parts {
    /// I2C buses, for an OLED's `device`.
    pub i2c: Vec<Part>,
    /// SPI devices, for an LCD's `device`.
    pub spi: Vec<Part>,
    /// Framebuffers.
    pub framebuffers: Vec<Part>,
    /// Serial ports by paths that stay, for a CFA635's `device`.
    pub serial: Vec<Part>,
    /// LEDs, for a lamp's `led`.
    pub leds: Vec<Part>,
    /// GPIO chips, for a line's `chip`.
    pub gpio: Vec<Part>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Part {
    /// What a board file calls it: a node, or an LED's name.
    pub name: String,
    /// What the kernel says it is, if it says so.
    pub is: Option<String>,
}

/// Looks under `root`. Nothing is opened or changed.
pub fn parts(root: &Path) -> Parts {
    let nodes = |folder: &str, prefix: &str, is: &dyn Fn(&str) -> Option<PathBuf>| {
        let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut parts: Vec<Part> = names
            .filter(|name| {
                name.strip_prefix(prefix)
                    .is_some_and(|rest| prefix.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit()))
            })
            .map(|name| {
                let text = is(&name).and_then(|file| fs::read_to_string(root.join(file)).ok());
                let is = text
                    .map(|text| text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
                    .filter(|text| !text.is_empty());
                Part { name: format!("/{folder}/{name}"), is }
            })
            .collect();
        parts.sort();
        parts
    };
    let leds = nodes(&LEDS[1..], "", &|_| None);
    Parts {
        i2c: nodes("dev", "i2c-", &|name| Some(format!("sys/class/i2c-dev/{name}/name").into())),
        spi: nodes("dev", "spidev", &|_| None),
        framebuffers: nodes("dev", "fb", &|name| Some(format!("sys/class/graphics/{name}/name").into())),
        serial: nodes("dev/serial/by-id", "", &|_| None),
        leds: leds.into_iter().map(|led| Part { name: led.name[LEDS.len() + 1..].into(), is: led.is }).collect(),
        gpio: nodes("dev", "gpiochip", &|name| Some(format!("sys/bus/gpio/devices/{name}/of_node/name").into())),
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("I2C bus", &self.i2c),
            ("SPI device", &self.spi),
            ("framebuffer", &self.framebuffers),
            ("serial port", &self.serial),
            ("LED", &self.leds),
            ("GPIO chip", &self.gpio),
        ];
        for (kind, part) in kinds.into_iter().flat_map(|(kind, parts)| parts.iter().map(move |part| (kind, part))) {
            let is = part.is.as_ref().map(|is| format!("  {is:?}")).unwrap_or_default();
            writeln!(f, "{kind} {}{is}", part.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_words_of_a_board_file() {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in [
            ("dev/i2c-1", ""),
            ("sys/class/i2c-dev/i2c-1/name", "bcm2835 (i2c@7e804000)\n"),
            ("dev/spidev0.0", ""),
            ("dev/fb0", ""),
            ("dev/fbcondecor", ""),
            ("dev/serial/by-id/usb-Crystalfontz_CFA635-USB_CF030415-if00-port0", ""),
            ("sys/class/leds/red:tally/brightness", "0"),
            ("dev/gpiochip0", ""),
        ] {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, text).expect("a file");
        }
        let expected = "\
I2C bus /dev/i2c-1  \"bcm2835 (i2c@7e804000)\"
SPI device /dev/spidev0.0
framebuffer /dev/fb0
serial port /dev/serial/by-id/usb-Crystalfontz_CFA635-USB_CF030415-if00-port0
LED red:tally
GPIO chip /dev/gpiochip0
";
        assert_eq!(parts(root.path()).to_string(), expected);
        assert_eq!(parts(Path::new("/nowhere")), Parts::default());
    }
}
