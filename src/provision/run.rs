//! The oneshot: what it does below a root, which is an argument, so that a tree of files can stand in for a box.

use super::{
    FILE, Provision, check,
    keyfile::keyfiles,
    report::Report,
    store::{Accepted, Store, folder, hash, put},
};
use crate::{
    board::{Board, find},
    settings::{self, Problem, Problems},
    state,
};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What the daemon is to know.
    pub report: Report,
    /// Whether a file was taken over that was not before.
    pub accepted: bool,
    /// Whether it brought settings.
    pub settings: bool,
}

/// Provisions the box below `root` (`/`), whose id is `id` (`fc-1a2b3c4d`), if that is known: forgets everything if that is
/// asked for, takes over what was brought, and writes down for this boot what was accepted. Blocks on the disk.
///
/// # Errors
/// The data partition cannot be used, or `/run` cannot be written. What is wrong with a file is no error, but in the report.
pub fn run(root: &Path, id: Option<&str>) -> io::Result<Done> {
    let store = Store::open(root)?;
    reset(root, &store)?;
    let mut accepted = store.load()?;
    let mut done = Done::default();
    let mut problems = Vec::new();
    for (place, path) in brought(root) {
        match take(root, &store, &accepted, place, &path) {
            Ok(None) => {}
            Ok(Some((new, settings))) => {
                tracing::info!("{} is taken over", path.display());
                (done.accepted, done.settings) = (true, done.settings || settings);
                accepted = new;
            }
            Err(Problems(found)) => {
                found.iter().for_each(|problem| tracing::error!("{problem}"));
                problems.extend(found);
            }
        }
    }
    let provision = check::understood(&accepted.text);
    let host_name = provision.host_name.clone().unwrap_or_else(|| host_name(id));
    write_down(root, &provision)?;
    // Left by the script that mounts the data partition, or memory in its place.
    let nothing_lasts = root.join("data/.nothing-lasts").exists();
    done.report = Report::new(host_name, &problems, nothing_lasts);
    folder(&root.join("run/fieldcast"), 0o755)?;
    put(&root.join("run/fieldcast"), "provision.json", &serde_json::to_vec(&done.report)?, 0o644, None)?;
    Ok(done)
}

/// The name of a box in its network.
pub fn host_name(id: Option<&str>) -> String {
    match id.and_then(|id| id.strip_prefix("fc-")) {
        Some(digits) => format!("fieldcast-{digits}"),
        None => "fieldcast".into(),
    }
}

/// A factory reset: the daemon has emptied its folder, or was interrupted while it did. The mark goes last.
fn reset(root: &Path, store: &Store) -> io::Result<()> {
    let folder = root.join("data/fieldcast");
    let mark = folder.join(state::RESET);
    if mark.symlink_metadata().is_err() {
        return Ok(());
    }
    tracing::warn!("factory reset: settings, networks and what was changed on this box are deleted");
    store.clear()?;
    let keys = root.join("data/ssh");
    if keys.exists() {
        state::empty(&keys, &[])?;
    }
    state::empty(&folder, &state::KEPT)?;
    fs::remove_file(mark)
}

/// The files that are there: of the boot partition, and of each USB stick. The last one holds.
fn brought(root: &Path) -> Vec<(&'static str, PathBuf)> {
    let sticks = fs::read_dir(root.join("run/media/fieldcast")).into_iter().flatten().flatten();
    let mut sticks: Vec<PathBuf> = sticks.map(|stick| stick.path().join(FILE)).collect();
    sticks.sort();
    let boot = [("boot", root.join("run/media/boot").join(FILE))];
    let all = boot.into_iter().chain(sticks.into_iter().map(|path| ("usb", path)));
    all.filter(|(_, path)| path.symlink_metadata().is_ok()).collect()
}

/// Takes over the file at `path`, if it is not the one that was taken over from its place last: what holds then, and whether
/// it brought settings.
fn take(
    root: &Path,
    store: &Store,
    before: &Accepted,
    place: &str,
    path: &Path,
) -> Result<Option<(Accepted, bool)>, Problems> {
    let one = |text: String| Problems(vec![Problem { file: path.into(), line: None, key: None, text }]);
    // A link could lead to a file of the box.
    if path.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
        return Err(one("is a link, not a file".into()));
    }
    let text = settings::read(path).map_err(one)?;
    let hash = hash(text.as_bytes());
    if before.seen.get(place) == Some(&hash) {
        return Ok(None);
    }
    let board = Board::find(root, &find::folders(), None).ok();
    let provision = check::read(&text, path, board.as_ref())?;
    let settings = provision.settings.as_ref().map(settings_text).transpose().map_err(one)?;
    let mut accepted = Accepted { text, seen: before.seen.clone() };
    accepted.seen.insert(place.into(), hash);
    store
        .accept(&accepted, settings.as_deref())
        .map_err(|error| one(format!("is right, but cannot be kept on the box: {error}")))?;
    Ok(Some((accepted, settings.is_some())))
}

fn settings_text(table: &toml::Table) -> Result<String, String> {
    let table = toml::to_string(table).map_err(|error| format!("the settings cannot be written: {error}"))?;
    Ok(format!("# From [settings] of a {FILE}; the next one that has such a part takes this file's place.\n\n{table}"))
}

/// Writes what was accepted where the image's services read it. It is gone with the power.
fn write_down(root: &Path, provision: &Provision) -> io::Result<()> {
    let profiles = root.join("run/NetworkManager/system-connections");
    folder(&profiles, 0o700)?;
    let files = keyfiles(provision);
    let names: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
    for entry in fs::read_dir(&profiles)?.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("fieldcast-") && !names.contains(name)) {
            fs::remove_file(entry.path())?;
        }
    }
    for file in &files {
        put(&profiles, &file.name, file.text.as_bytes(), 0o600, None)?;
    }
    let servers = &provision.network.time_servers;
    let servers = (!servers.is_empty()).then(|| format!("[Time]\nNTP={}\n", servers.join(" ")));
    keep(&root.join("run/systemd/timesyncd.conf.d"), "provision.conf", servers, 0o644)?;
    let country = provision.wifi.iter().find_map(|wifi| wifi.country.as_ref());
    keep(&root.join("run/fieldcast"), "wifi-country", country.map(|country| format!("COUNTRY={country}\n")), 0o644)?;
    let keys = &provision.ssh.keys;
    let keys = (!keys.is_empty()).then(|| keys.iter().map(|key| format!("{key}\n")).collect());
    // A folder of its own: sshd wants that nobody but root can write there or above (sshd_config(5), `StrictModes`).
    keep(&root.join("run/fieldcast-ssh"), "authorized_keys", keys, 0o600)
}

/// The file holds `text`, or is not there.
fn keep(path: &Path, name: &str, text: Option<String>, mode: u32) -> io::Result<()> {
    match text {
        Some(text) => {
            folder(path, 0o755)?;
            put(path, name, text.as_bytes(), mode, None)
        }
        None => match fs::remove_file(path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}
