//! A box that gets too hot: bitrate and pictures go, the push stays. The thermal zone is a stand-in, files
//! as the kernel's Documentation/driver-api/thermal/sysfs-api.rst has them, bound over /sys/class/thermal in a mount namespace
//! of the test's own: the daemon looks where it always looks.

use crate::{alone, seconds, support};
use serde_json::Value;
use std::{fs, path::Path, process::Command};
use support::{Nginx, daemon::Daemon, in_namespace, wait};

const ZONE: &str = "/sys/class/thermal/thermal_zone0";

/// Makes the stand-in: a zone that is careful from 75 °C and throttles at 85 °C, cool now.
const PREPARE: &str = "
ip link set lo up
mount -t tmpfs tmpfs /sys/class/thermal
mkdir /sys/class/thermal/thermal_zone0
cd /sys/class/thermal/thermal_zone0
echo 52000 >temp
echo passive >trip_point_0_type; echo 75000 >trip_point_0_temp
echo passive >trip_point_1_type; echo 85000 >trip_point_1_temp
echo critical >trip_point_2_type; echo 115000 >trip_point_2_temp
cd - >/dev/null";

fn heat(millidegrees: u32) {
    fs::write(Path::new(ZONE).join("temp"), format!("{millidegrees}\n")).expect("the stand-in's temperature");
}

fn hot(status: &Value) -> Option<String> {
    let faults = status["faults"].as_array()?;
    let fault = faults.iter().find(|fault| fault["code"] == "hot")?;
    Some(fault["text"].as_str()?.to_owned())
}

#[test]
fn a_box_that_gets_too_hot_stays_on_air_with_less() {
    let name = "heat::a_box_that_gets_too_hot_stays_on_air_with_less";
    let _machine = alone();
    if !support::has_tools() || in_namespace(name, PREPARE) {
        return;
    }
    let ingest = Nginx::start();
    let source = crate::source("Main", &ingest.url(), "hot");
    let output = "mode = \"320x180p30\"\nbitrate-max = \"800 kbit/s\"\nbitrate-min = \"100 kbit/s\"";
    let settings = format!("[output]\n{output}\n{source}");
    let daemon = Daemon::start(&settings);
    daemon.succeed("start", serde_json::json!({}));
    let cool = daemon.wait_for("on-air", seconds(10));
    let mode = cool["program"]["mode"].clone();
    assert_eq!((hot(&cool), &cool["stats"]["heat-bitrate-cap"]), (None, &Value::Null));
    let shown =
        wait("the figures", seconds(3), || Some(daemon.status()).filter(|s| s["stats"]["heat-headroom-c"] == 33.0));
    assert_eq!(shown["stats"]["temperature-c"], 52.0);
    let before = shown["stats"]["bitrate"].as_u64().expect("a bitrate");

    // Two degrees beyond the limit: a step each five seconds.
    heat(87_000);
    let first = wait("the first step", seconds(4), || Some(daemon.status()).filter(|status| hot(status).is_some()));
    let cap = first["stats"]["heat-bitrate-cap"].as_u64().expect("a cap");
    assert!(cap < before && first["stats"]["bitrate"].as_u64() <= Some(cap), "{cap} of {before}");
    assert_eq!(first["stats"]["heat-half-pictures"], false, "pictures come after the bitrate");
    let last = wait("half the pictures", seconds(20), || {
        Some(daemon.status()).filter(|status| status["stats"]["heat-half-pictures"] == true)
    });
    assert!(hot(&last).is_some_and(|text| text.contains("second picture")), "{last:#}");
    assert_eq!((&last["phase"], &last["program"]["mode"]), (&"on-air".into(), &mode), "in the same size");
    assert!(last["stats"]["bitrate"].as_u64() < Some(before / 2), "{last:#}");
    let workers = daemon.workers();
    std::thread::sleep(seconds(8));
    assert_eq!((daemon.phase(), daemon.workers()), ("on-air".into(), workers), "without a break");
    daemon.succeed("stop", serde_json::json!({"confirm": true}));

    // Each picture that arrived decodes, and the last ones are every second.
    let tags = support::flv::tags(&ingest.recording("hot"));
    let times: Vec<u32> = tags.iter().filter(|tag| tag.is_picture()).map(|tag| tag.timestamp).collect();
    let gaps: Vec<u32> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap <= 350), "viewers see no hold: {gaps:?}");
    let usual = |gaps: &[u32]| gaps.iter().filter(|gap| (64..=70).contains(*gap)).count() * 10 >= gaps.len() * 9;
    assert!(usual(&gaps[gaps.len() - 90..]) && !usual(&gaps[..90]), "30 a second, then 15: {gaps:?}");
    let recording = ingest.recording_path("hot");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-xerror", "-i"]).arg(recording);
    // At their own times: ffmpeg would make 30 a second of them again.
    ffmpeg.args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"]);
    let decoded = ffmpeg.output().expect("ffmpeg");
    assert!(decoded.status.success() && decoded.stderr.is_empty(), "{}", String::from_utf8_lossy(&decoded.stderr));
}
