//! The boxes with which this computer is paired: where, by which certificate, and with which token.

use super::address::{Address, Fingerprint};
use crate::{http::tokens::Token, state::write_whole};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    fs::{self, DirBuilder},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// Beside the configuration file.
const FILE: &str = "paired.json";
/// Most bytes of it.
const FILE_BYTES: u64 = 1024 * 1024;

/// A box that knows this computer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Paired {
    /// Where it was.
    pub url: Address,
    /// Its certificate.
    pub fingerprint: Fingerprint,
    /// What it knows this computer by.
    #[serde(serialize_with = "reveal", deserialize_with = "parse")]
    pub token: Token,
    /// Its id.
    pub id: String,
    /// Its name when it was paired.
    pub name: String,
}

fn reveal<S: Serializer>(token: &Token, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&token.reveal())
}

fn parse<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Token, D::Error> {
    let text = String::deserialize(deserializer)?;
    Token::parse(&text).ok_or_else(|| de::Error::custom("not a token"))
}

/// All of them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Store {
    boxes: Vec<Paired>,
}

impl Store {
    /// Reads them from beside the configuration file at `config`.
    ///
    /// # Errors
    /// For people: the file is damaged, or others can read it.
    pub fn load(config: &Path) -> Result<Self, String> {
        let path = beside(config);
        let shown = path.display();
        let meta = match fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            meta => meta.map_err(|error| format!("{shown} cannot be read: {error}"))?,
        };
        if meta.mode() & 0o077 != 0 {
            return Err(format!("{shown} can be read by others, and rules boxes: chmod 600 {shown}"));
        }
        if !meta.is_file() || meta.len() > FILE_BYTES {
            return Err(format!("{shown} is not a file of at most 1 MiB"));
        }
        let text = fs::read(&path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        // The parser's own words could repeat a token.
        serde_json::from_slice(&text).map_err(|_| format!("{shown} is damaged: delete it and pair again"))
    }

    /// The box that is called `word`: its address, name or id. The last one paired counts.
    pub fn find(&self, word: &str) -> Option<&Paired> {
        let address = word.parse::<Address>().ok();
        self.boxes.iter().rev().find(|paired| {
            Some(&paired.url) == address.as_ref()
                || paired.id.eq_ignore_ascii_case(word)
                || paired.name.to_lowercase() == word.to_lowercase()
        })
    }

    /// Adds `paired` in the place of what was known of this address, and keeps all in a file for this user only. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// For people: it cannot be written.
    pub fn add(&mut self, paired: Paired, config: &Path) -> Result<(), String> {
        self.boxes.retain(|other| other.url != paired.url);
        self.boxes.push(paired);
        let path = beside(config);
        let folder = path.parent().unwrap_or(Path::new("."));
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let written = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .and_then(|()| write_whole(folder, FILE, &serde_json::to_vec_pretty(self)?));
        written.map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }
}

fn beside(config: &Path) -> PathBuf {
    config.with_file_name(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn paired(url: &str, id: &str, name: &str) -> Paired {
        let token = Token::parse(&"ab".repeat(32)).expect("a token");
        let (id, name) = (id.to_owned(), name.to_owned());
        Paired { url: url.parse().expect("an address"), fingerprint: Fingerprint::of(b"x"), token, id, name }
    }

    #[test]
    fn what_was_paired_is_found_again_and_for_this_user_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("fieldcast/config.toml");
        let mut store = Store::load(&config).expect("none yet");
        assert!(store.find("192.0.2.17").is_none());
        store.add(paired("192.0.2.17", "fc-1", "OB van 3"), &config).expect("kept");
        store.add(paired("192.0.2.18", "fc-2", "Twin"), &config).expect("kept");
        store.add(paired("192.0.2.18", "fc-3", "Twin"), &config).expect("kept in its place");
        let store = Store::load(&config).expect("read");
        let id = |word: &str| store.find(word).map(|paired| paired.id.as_str());
        assert_eq!(
            (id("https://192.0.2.17:8443/"), id("ob van 3"), id("FC-1")),
            (Some("fc-1"), Some("fc-1"), Some("fc-1"))
        );
        assert_eq!((id("twin"), id("fc-2"), id("192.0.2.19")), (Some("fc-3"), None, None));
        assert!(!format!("{store:?}").contains("abab"));

        let file = folder.path().join("fieldcast/paired.json");
        assert_eq!(fs::metadata(&file).expect("there").mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.parent().expect("a folder")).expect("there").mode() & 0o777, 0o700);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("opened");
        assert!(Store::load(&config).expect_err("refused").contains("chmod 600"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("closed");
        fs::write(&file, format!("{{\"boxes\": [{{\"token\": \"{}\"}}]}}", "cd".repeat(32))).expect("written");
        let text = Store::load(&config).expect_err("refused");
        assert!(text.contains("pair again") && !text.contains("cdcd"), "{text}");
    }
}
