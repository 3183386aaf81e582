//! The one sentence of the design, held by a machine: `control/` and `program/` decide and do nothing.

use std::{fs, path::Path};

fn sources(dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).expect("a source folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("in the project").display().to_string();
            found.push((name, fs::read_to_string(&path).expect("a source file")));
        }
    }
}

/// Lines of code, outside comments, of files under `folders` that contain one of `words`.
fn mentions(folders: &[&str], words: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    assert!(all.len() > 20, "the sources were not found");
    let mut found = Vec::new();
    for (name, text) in all.iter().filter(|(name, _)| folders.iter().any(|folder| name.starts_with(folder))) {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) && !line.trim_start().starts_with("//") {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

fn complain(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

#[test]
fn decisions_touch_nothing() {
    let doing = [
        "tokio",
        "fs::",
        "std::net::Tcp",
        "std::thread",
        "std::process",
        "rustix",
        "Instant::",
        "SystemTime",
        "Timestamp::now",
        "crate::sys",
        "sys::now",
        "tracing::",
    ];
    let broken = mentions(&["src/control", "src/program"], &doing);
    complain("control and program have no clock, no thread, no socket", &broken);
}

#[test]
fn maps_that_decisions_walk_are_ordered() {
    let broken = mentions(&["src/control", "src/program"], &["HashMap", "HashSet"]);
    complain("the same events give the same effects", &broken);
}

#[test]
fn only_the_command_line_knows_the_daemon() {
    let edges = [
        "src/capture",
        "src/media",
        "src/uplink",
        "src/panel",
        "src/http",
        "src/remote",
        "src/update",
        "src/control",
        "src/program",
    ];
    complain("an edge knows the daemon", &mentions(&edges, &["crate::daemon", "daemon::"]));
}

#[test]
fn box_and_desk_share_words_only() {
    complain(
        "the desk runs a part of the box",
        &mentions(&["src/desk"], &["crate::control", "crate::daemon", "crate::media"]),
    );
    let mut broken = mentions(&["src"], &["crate::desk", "fieldcast::desk"]);
    broken.retain(|at| !at.starts_with("src/desk/") && !at.starts_with("src/bin/fieldcast.rs"));
    complain("the box knows the desk", &broken);
}

#[test]
fn what_the_desk_decides_touches_nothing() {
    let pure = [
        "pick",
        "order",
        "round",
        "update",
        "fleet",
        "seen",
        "words",
        "watch/rows",
        "watch/view",
        "studio/order",
        "studio/words",
    ];
    let files = pure.map(|name| format!("src/desk/{name}.rs"));
    let broken = mentions(
        &files.each_ref().map(String::as_str),
        &["tokio", "fs::", "std::net", "sys::", "say::", "Timestamp::now"],
    );
    complain("a decision of the desk does something", &broken);
}

#[test]
fn what_reads_the_studios_answers_touches_nothing() {
    let files = ["account", "answer", "oauth1", "trouble", "types"].map(|name| format!("src/studio/{name}.rs"));
    let doing = ["tokio", "fs::", "reqwest", "sys::", "Timestamp::now", "tracing::"];
    let broken = mentions(&files.each_ref().map(String::as_str), &doing);
    complain("what is said of the Studio does something", &broken);
}

#[test]
fn the_daemon_loads_no_gstreamer() {
    let mut broken = mentions(&["src"], &["gst::", "gstreamer::", "gstreamer_"]);
    broken.retain(|at| !at.starts_with("src/media/") && !at.starts_with("src/bin/fieldcast-media.rs"));
    complain("GStreamer outside the worker", &broken);
}

#[test]
fn unsafe_code_is_in_one_place() {
    let mut broken = mentions(&["src"], &["unsafe {", "unsafe fn", "unsafe impl", "allow(unsafe_code)"]);
    broken.retain(|at| !at.starts_with("src/sys"));
    complain("unsafe outside src/sys", &broken);
}
