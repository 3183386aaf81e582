//! What was accepted, kept so that a power cut leaves the old or the new, never a part of each.
//!
//! The settings are staged beside their place first; then one rename makes the file the accepted one, and a second puts the
//! settings into their place. A cut between the two is mended at the next start: staged settings that belong to what is
//! accepted are put into their place, others are deleted. After the first rename nothing needs room on the disk.

use crate::state::{self, versioned};
use ring::digest;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

const ACCEPTED: &str = "accepted.json";
const SETTINGS: &str = "settings.toml";
/// Of settings that wait for the rename; the digits of what they belong to follow.
const STAGED: &str = "settings.toml.of-";

/// The file that holds, and which files were taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Accepted {
    /// Its text; empty: none was accepted.
    pub text: String,
    /// The hash of the file that was taken over last from each kind of place: it is not taken over again, as what it brought
    /// may have been changed since.
    pub seen: BTreeMap<String, String>,
}

/// The folders on the data partition.
#[derive(Debug)]
pub(super) struct Store {
    provision: PathBuf,
    settings: PathBuf,
    /// The group that reads the settings; none: there is no such group.
    group: Option<u32>,
}

/// SHA-256 in hexadecimal digits.
pub(super) fn hash(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Store {
    /// Below `root` (`/`); makes the folders that are missing.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let store = Self {
            provision: root.join("data/provision"),
            settings: root.join("data/settings"),
            group: group(root, "fieldcast"),
        };
        folder(&store.provision, 0o700)?;
        folder(&store.settings, 0o750)?;
        Ok(store)
    }

    /// What holds, after mending what a power cut left.
    pub(super) fn load(&self) -> io::Result<Accepted> {
        // A damaged file is set aside: the box starts without networks of its own, and takes the file over anew.
        let (accepted, damaged) = state::load::<Accepted>(&self.provision, ACCEPTED);
        if let Some(fault) = damaged {
            tracing::error!("{}", fault.text);
        }
        let accepted = accepted.unwrap_or_default();
        let ours = staged(&accepted);
        let half = |name: &str| name.starts_with('.') && name.ends_with(".new");
        for entry in fs::read_dir(&self.settings)?.chain(fs::read_dir(&self.provision)?).flatten() {
            match entry.file_name().to_str() {
                Some(name) if name == ours => self.publish(&accepted)?,
                Some(name) if name.starts_with(STAGED) || half(name) => fs::remove_file(entry.path())?,
                _ => {}
            }
        }
        Ok(accepted)
    }

    /// Takes `accepted` over, and with it `settings` where it has some.
    ///
    /// # Errors
    /// The disk is full or failed: all is as it was.
    pub(super) fn accept(&self, accepted: &Accepted, settings: Option<&str>) -> io::Result<()> {
        self.stage(accepted, settings)?;
        self.commit(accepted)?;
        if settings.is_some() { self.publish(accepted) } else { Ok(()) }
    }

    /// Writes the settings beside their place.
    pub(super) fn stage(&self, accepted: &Accepted, settings: Option<&str>) -> io::Result<()> {
        match settings {
            Some(settings) => put(&self.settings, &staged(accepted), settings.as_bytes(), 0o640, self.group),
            None => Ok(()),
        }
    }

    /// Makes `accepted` what holds.
    pub(super) fn commit(&self, accepted: &Accepted) -> io::Result<()> {
        put(&self.provision, ACCEPTED, &versioned(accepted)?, 0o600, None)
    }

    /// Puts the settings into their place.
    pub(super) fn publish(&self, accepted: &Accepted) -> io::Result<()> {
        fs::rename(self.settings.join(staged(accepted)), self.settings.join(SETTINGS))?;
        File::open(&self.settings)?.sync_all()
    }

    /// Forgets everything: after a factory reset.
    pub(super) fn clear(&self) -> io::Result<()> {
        let (provision, settings) = (state::empty(&self.provision, &[]), state::empty(&self.settings, &[]));
        provision.and(settings)
    }
}

fn staged(accepted: &Accepted) -> String {
    format!("{STAGED}{}", &hash(accepted.text.as_bytes())[..16])
}

/// Makes a folder with this mode, whatever the process masks.
pub(super) fn folder(path: &Path, mode: u32) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode))),
    }
}

/// Puts `bytes` in the place of the file `name` of `folder`, with this mode and group, by a temporary file; waits for the disk.
pub(super) fn put(folder: &Path, name: &str, bytes: &[u8], mode: u32, group: Option<u32>) -> io::Result<()> {
    let temporary = folder.join(format!(".{name}.new"));
    // What a power cut left may have another mode, or be another's.
    let _ = fs::remove_file(&temporary);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            if let Some(group) = group {
                fchown(&file, None, Some(group))?;
            }
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, folder.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
        return written;
    }
    File::open(folder)?.sync_all()
}

/// The number of a group of `root` (group(5)).
fn group(root: &Path, name: &str) -> Option<u32> {
    let text = fs::read_to_string(root.join("etc/group")).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}
