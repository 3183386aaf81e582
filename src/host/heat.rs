//! How warm the box is against what it may be, and whether heat slows it down already.
//!
//! Which temperatures matter is the board's own business, and the kernel tells them: the trip points of each thermal zone
//! (Documentation/driver-api/thermal/sysfs-api.rst).

use super::number;
use crate::units::Time;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// What is known of the heat; nothing is known on a machine that has no sensors.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Reading {
    /// Hottest thermal zone, °C.
    pub hottest: Option<f64>,
    /// How much warmer a zone may get before it is at its limit, °C; the least of all zones.
    pub headroom: Option<f64>,
    /// Whether the processor is slowed down.
    pub throttled: Option<bool>,
    /// Whether that is because of heat.
    pub by_heat: bool,
}

/// Limits hardly ever change, and are many files.
const LIMITS: Duration = Duration::from_secs(60);
/// Temperatures in millidegrees at which something can be slowed down; drivers give other numbers to trip points that are
/// switched off (THERMAL_TEMP_INVALID is -274000, x86_pkg_temp_thermal's are 0).
const PLAUSIBLE: std::ops::RangeInclusive<i64> = 55_000..=130_000;
/// A zone with nothing but a critical trip point is switched off there, without being slowed down before, °C.
const BEFORE_THE_END: f64 = 10.0;
/// From this on the firmware of a Raspberry Pi slows the processor down, whatever the kernel knows of it: its zone has a
/// critical trip point only (raspberrypi.com/documentation, "Frequency management and thermal control"), °C.
const PI_LIMIT: f64 = 80.0;

/// Looks at the sensors.
#[derive(Debug, Default)]
pub(super) struct Sensors {
    /// Of each zone, and since when.
    limits: Option<(Time, BTreeMap<PathBuf, f64>)>,
    /// How often the processors slowed themselves down, at the last look.
    events: Option<i64>,
}

impl Sensors {
    pub fn read(&mut self, root: &Path, now: Time) -> Reading {
        let firmware = pi_firmware(root);
        let zones = folders(&root.join("sys/class/thermal"), "thermal_zone");
        if self.limits.as_ref().is_none_or(|(since, _)| now.since(*since) >= LIMITS) {
            let limit = |zone: &PathBuf| Some((zone.clone(), limit(zone)?));
            self.limits = Some((now, zones.iter().filter_map(limit).collect()));
        }
        let pi = firmware.map(|_| PI_LIMIT);
        let (mut hottest, mut headroom) = (None::<f64>, None::<f64>);
        for zone in &zones {
            let Some(degrees) = temperature(zone) else { continue };
            hottest = Some(hottest.map_or(degrees, |most| most.max(degrees)));
            let own = self.limits.as_ref().and_then(|(_, limits)| limits.get(zone)).copied();
            if let Some(limit) = own.into_iter().chain(pi).min_by(f64::total_cmp) {
                headroom = Some(headroom.map_or(limit - degrees, |least| least.min(limit - degrees)));
            }
        }
        let (throttled, by_heat) = match firmware {
            Some(bits) => (Some(bits & 0xf != 0), pi_is_hot(bits)),
            None => {
                let events = throttle_events(root);
                let more = events.zip(self.events).map(|(events, before)| events > before);
                self.events = events;
                let throttled = match (cooled(root), more) {
                    (None, more) => more,
                    (Some(cooled), more) => Some(cooled || more == Some(true)),
                };
                (throttled, throttled == Some(true))
            }
        };
        Reading { hottest, headroom, throttled, by_heat }
    }
}

/// In millidegrees (sysfs-api.rst). A zone whose sensor is off says nonsense.
fn temperature(zone: &Path) -> Option<f64> {
    let degrees = number(&zone.join("temp"))? as f64 / 1e3;
    (-40.0..=150.0).contains(&degrees).then_some(degrees)
}

/// Where a zone's trip points say that it is slowed down in earnest, °C: at its highest passive one, as boards have lower ones
/// from which on they only begin to be careful. `active` ones switch fans.
fn limit(zone: &Path) -> Option<f64> {
    let (mut passive, mut end) = (None::<i64>, None::<i64>);
    // The kernel numbers them from 0 without a gap; 12 were the most there could be before it took any number.
    for number_of_trip in 0..64 {
        let trip = |what: &str| zone.join(format!("trip_point_{number_of_trip}_{what}"));
        let Ok(kind) = fs::read_to_string(trip("type")) else { break };
        let Some(at) = number(&trip("temp")).filter(|at| PLAUSIBLE.contains(at)) else { continue };
        match kind.trim() {
            "passive" => passive = passive.max(Some(at)),
            "hot" | "critical" => end = Some(end.map_or(at, |end| end.min(at))),
            _ => {}
        }
    }
    let degrees = |at: i64| at as f64 / 1e3;
    passive.map(degrees).or(end.map(|end| degrees(end) - BEFORE_THE_END))
}

/// What the firmware of a Raspberry Pi says of itself: bits 0 to 3 are weak supply, frequency capped, throttled and soft
/// limit reached, now; 16 to 19 the same since it was started (raspberrypi.com/documentation/computers/os.html,
/// get_throttled). The kernel's driver for it is raspberrypi-firmware, whatever the model calls the device, and gives them in
/// hexadecimal.
fn pi_firmware(root: &Path) -> Option<u32> {
    let devices = folders(&root.join("sys/bus/platform/drivers/raspberrypi-firmware"), "");
    let text = devices.iter().find_map(|device| fs::read_to_string(device.join("get_throttled")).ok())?;
    u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
}

/// A weak supply caps and throttles, too; the soft limit is one of temperature.
fn pi_is_hot(bits: u32) -> bool {
    bits & 0b1000 != 0 || (bits & 0b110 != 0 && bits & 1 == 0)
}

/// Whether a cooling device that slows the processor down is above state 0 (Documentation/ABI/testing/sysfs-class-thermal):
/// cpufreq's (`thermal-cpufreq-0`, `cpufreq-cpu0`), ACPI's (`Processor`), and what Jetson calls `cpu-throttle-alert` and
/// `gpu-throttle-alert`. None: there is none.
fn cooled(root: &Path) -> Option<bool> {
    let slows = |kind: &str| kind.contains("cpufreq") || kind == "Processor" || kind.ends_with("-throttle-alert");
    let devices = folders(&root.join("sys/class/thermal"), "cooling_device");
    let devices = devices
        .into_iter()
        .filter(|device| fs::read_to_string(device.join("type")).is_ok_and(|kind| slows(kind.trim())));
    let states: Vec<i64> = devices.filter_map(|device| number(&device.join("cur_state"))).collect();
    (!states.is_empty()).then(|| states.iter().any(|state| *state > 0))
}

/// How often Intel's processors slowed themselves down since the start (arch/x86/kernel/cpu/mce/therm_throt.c).
fn throttle_events(root: &Path) -> Option<i64> {
    let processors = folders(&root.join("sys/devices/system/cpu"), "cpu");
    let files = processors.iter().flat_map(|processor| {
        ["core", "package"].map(|what| processor.join(format!("thermal_throttle/{what}_throttle_count")))
    });
    files.filter_map(|file| number(&file)).reduce(i64::saturating_add)
}

/// Entries of `path` whose names start with `prefix`, in a stable order.
fn folders(path: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    let mut folders: Vec<PathBuf> = named.map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::{put, tree};

    const ZONE: &str = "sys/class/thermal/thermal_zone";

    fn read(files: &[(&str, &str)]) -> Reading {
        Sensors::default().read(tree(files).path(), Time::from_millis(5))
    }

    /// Zones, each with its temperature and its trip points.
    fn zones(zones: &[(&str, &[(&str, &str)])]) -> tempfile::TempDir {
        let root = tree(&[]);
        for (number, (temp, trips)) in zones.iter().enumerate() {
            put(root.path(), &format!("{ZONE}{number}/temp"), temp);
            for (trip, (kind, at)) in trips.iter().enumerate() {
                put(root.path(), &format!("{ZONE}{number}/trip_point_{trip}_type"), &format!("{kind}\n"));
                put(root.path(), &format!("{ZONE}{number}/trip_point_{trip}_temp"), &format!("{at}\n"));
            }
        }
        root
    }

    fn headroom(all: &[(&str, &[(&str, &str)])]) -> Option<f64> {
        Sensors::default().read(zones(all).path(), Time::from_millis(5)).headroom
    }

    #[test]
    fn nothing_is_known_without_sensors() {
        assert_eq!(read(&[]), Reading::default());
        assert_eq!(read(&[("sys/class/thermal/thermal_zone0/temp", "51200\n")]).headroom, None, "no trip point");
    }

    #[test]
    fn trip_points_tell_the_limit() {
        // rk3588-base.dtsi of the vendor's kernel: from the first passive one on it is careful, at the second it has to be.
        let rockchip: &[_] = &[("passive", "75000"), ("passive", "85000"), ("critical", "115000")];
        assert_eq!(headroom(&[("71000", rockchip)]), Some(14.0));
        // bcm2712.dtsi of the Raspberry Pi 5: fans are no limit.
        let pi: &[_] = &[("critical", "110000"), ("active", "50000"), ("active", "60000")];
        assert_eq!(headroom(&[("65000", pi)]), Some(35.0));
        let acpi: &[_] = &[("critical", "105000"), ("hot", "100000"), ("passive", "95000"), ("active0", "80000")];
        assert_eq!(headroom(&[("96500", acpi)]), Some(-1.5));
        // The one that is nearest to its own limit counts, not the hottest.
        assert_eq!(headroom(&[("70000", pi), ("69000", rockchip), ("30000", rockchip)]), Some(16.0));
    }

    #[test]
    fn what_is_switched_off_or_nonsense_is_no_limit() {
        let off: &[_] = &[("passive", "-274000"), ("passive", "0"), ("critical", "2147483647"), ("passive", "what")];
        assert_eq!(headroom(&[("60000", off)]), None);
        assert_eq!(headroom(&[("-274000", &[("passive", "85000")])]), None);
        assert_eq!(headroom(&[("hot", &[("passive", "85000")])]), None);
    }

    #[test]
    fn hottest_and_cooled() {
        let zones = [
            ("sys/class/thermal/thermal_zone0/temp", "51200\n"),
            ("sys/class/thermal/thermal_zone1/temp", "63000\n"),
            ("sys/class/thermal/thermal_zone2/temp", "-274000\n"),
            ("sys/class/thermal/cooling_device0/type", "thermal-cpufreq-0\n"),
            ("sys/class/thermal/cooling_device0/cur_state", "0\n"),
            ("sys/class/thermal/cooling_device1/type", "pwm-fan\n"),
            ("sys/class/thermal/cooling_device1/cur_state", "3\n"),
        ];
        let reading = read(&zones);
        assert_eq!((reading.hottest, reading.throttled, reading.by_heat), (Some(63.0), Some(false), false));
        for kind in ["thermal-cpufreq-0\n", "cpufreq-cpu4\n", "Processor\n", "cpu-throttle-alert\n"] {
            let kind = ("sys/class/thermal/cooling_device0/type", kind);
            let reading = read(&[kind, ("sys/class/thermal/cooling_device0/cur_state", "2\n")]);
            assert_eq!((reading.throttled, reading.by_heat), (Some(true), true), "{kind:?}");
        }
    }

    #[test]
    fn the_firmware_of_a_raspberry_pi_tells_heat_from_a_weak_supply() {
        let file = "sys/bus/platform/drivers/raspberrypi-firmware/soc:firmware/get_throttled";
        for (bits, throttled, by_heat) in [
            ("0", false, false),
            ("50000", false, false),
            ("50005", true, false),
            ("e0006", true, true),
            ("80008", true, true),
        ] {
            let reading = read(&[(file, &format!("{bits}\n")), ("sys/class/thermal/thermal_zone0/temp", "71000\n")]);
            assert_eq!((reading.throttled, reading.by_heat), (Some(throttled), by_heat), "{bits}");
            assert_eq!(reading.headroom, Some(9.0), "its firmware's limit");
        }
    }

    #[test]
    fn a_processor_that_counts_more_is_slowed_down() {
        let root = tree(&[
            ("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "41\n"),
            ("sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count", "7\n"),
        ]);
        let mut sensors = Sensors::default();
        let mut throttled = |ms| sensors.read(root.path(), Time::from_millis(ms)).throttled;
        assert_eq!((throttled(0), throttled(1000)), (None, Some(false)));
        put(root.path(), "sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count", "8\n");
        assert_eq!((throttled(2000), throttled(3000)), (Some(true), Some(false)));
    }

    #[test]
    fn limits_are_read_anew_now_and_then() {
        let root = zones(&[("60000", &[("passive", "85000")])]);
        let mut sensors = Sensors::default();
        let mut headroom = |ms| sensors.read(root.path(), Time::from_millis(ms)).headroom;
        assert_eq!(headroom(0), Some(25.0));
        put(root.path(), &format!("{ZONE}0/trip_point_0_temp"), "95000\n");
        assert_eq!((headroom(59_000), headroom(60_000)), (Some(25.0), Some(35.0)));
    }
}
