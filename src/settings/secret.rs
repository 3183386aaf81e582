//! Stream keys and passwords: usable, but not to be seen.

use super::Source;
use crate::status::{Fault, Severity};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    fmt,
    fs::File,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// A stream key, password or token: it can be used but not printed; serialised it is the word `set`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("set")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own message for a value of a wrong type repeats the value; a key of digits without quotes would be
        // shown. So every kind of scalar is taken here and refused in words of our own.
        struct Text;
        macro_rules! refuse {
            ($($name:ident: $kind:ty),*) => {$(
                fn $name<E: de::Error>(self, _: $kind) -> Result<Secret, E> {
                    Err(E::custom("expected a text in quotes"))
                }
            )*};
        }
        impl de::Visitor<'_> for Text {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::new(text))
            }
            refuse!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128, visit_f64: f64);
        }
        deserializer.deserialize_str(Text)
    }
}

/// Whether the setting `key` (`source.Main.key`) holds a secret: it must not be read on the way.
pub fn is_secret(key: &str) -> bool {
    let field = key.rsplit('.').next().unwrap_or(key);
    matches!(field, "key" | "passphrase" | "stream-id" | "password") && key.contains('.')
}

/// Most bytes that a stream key may have; the longest seen (Facebook's, with its query) have about 200.
pub(super) const KEY_LIMIT: usize = 1024;

/// Says what is wrong with a stream key, without repeating it.
pub(super) fn wrong_key(key: &str) -> Option<&'static str> {
    match key {
        "" => Some("the stream key is empty"),
        key if key.len() > KEY_LIMIT => Some("the stream key is longer than 1024 bytes"),
        key if key.chars().any(|c| c.is_whitespace() || c.is_control()) => {
            Some("the stream key has a space or line break inside")
        }
        _ => None,
    }
}

/// Says what is wrong with an SRT passphrase, without repeating it.
pub(super) fn wrong_passphrase(passphrase: &str) -> Option<&'static str> {
    match passphrase {
        text if !(10..=79).contains(&text.len()) => Some("an SRT passphrase has 10 to 79 characters"),
        text if text.chars().any(char::is_control) => {
            Some("the passphrase has a line break or another control character inside")
        }
        _ => None,
    }
}

/// A stream key or passphrase, read when a push starts.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamKey {
    /// The key.
    pub key: Secret,
    /// Told when others can read the key's file.
    pub fault: Option<Fault>,
}

impl Source {
    /// Reads the stream key: from the settings, from `key-file`, or from the systemd credential in the folder
    /// `credentials` (`$CREDENTIALS_DIRECTORY`, systemd.exec(5)). Blocks on the disk.
    ///
    /// # Errors
    /// A sentence for people, without the key.
    pub fn stream_key(&self, credentials: Option<&Path>) -> Result<StreamKey, String> {
        let (path, private) = match (&self.key, &self.key_file, &self.credential) {
            (Some(key), ..) => return Ok(StreamKey { key: key.clone(), fault: None }),
            (_, Some(path), _) => (path.clone(), false),
            // systemd keeps credentials in a folder that only the service can enter.
            (.., Some(name)) => (credential_path(name, credentials)?, true),
            _ => return Err(format!("Source {:?} has no stream key", self.name)),
        };
        read("key file", &path, private, wrong_key)
    }

    /// Reads the SRT passphrase, where the Source has one. Blocks on the disk.
    ///
    /// # Errors
    /// A sentence for people, without the passphrase.
    pub fn srt_passphrase(&self) -> Result<Option<StreamKey>, String> {
        match (&self.passphrase, &self.passphrase_file) {
            (Some(passphrase), _) => Ok(Some(StreamKey { key: passphrase.clone(), fault: None })),
            (None, Some(path)) => read("passphrase file", path, false, wrong_passphrase).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// Reads a secret from the file at `path`; `what` it is, for people.
pub(super) fn read(
    what: &str,
    path: &Path,
    private: bool,
    wrong: fn(&str) -> Option<&'static str>,
) -> Result<StreamKey, String> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| format!("the {what} {shown} cannot be read: {error}");
    // Asked before it is opened: opening a FIFO would wait for a writer.
    let meta = path.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(format!("the {what} {shown} is not a file"));
    }
    let mut text = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    // Room for a line break or a byte order mark around the longest key.
    file.take(KEY_LIMIT as u64 + 16).read_to_end(&mut text).map_err(unreadable)?;
    let text = String::from_utf8(text).map_err(|_| format!("the {what} {shown} is not text"))?;
    let key = text.trim_start_matches('\u{feff}').trim();
    if let Some(wrong) = wrong(key) {
        return Err(format!("{wrong} ({what} {shown})"));
    }
    let open_to_others = !private && meta.permissions().mode() & 0o077 != 0;
    Ok(StreamKey { key: Secret::new(key), fault: open_to_others.then(|| exposed(what, path)) })
}

fn credential_path(name: &str, credentials: Option<&Path>) -> Result<PathBuf, String> {
    credentials.map(|folder| folder.join(name)).ok_or_else(|| {
        format!("the credential {name:?} is only there when systemd starts the service with LoadCredential={name}:FILE")
    })
}

fn exposed(what: &str, path: &Path) -> Fault {
    Fault {
        code: "key-file-exposed",
        severity: Severity::Notice,
        text: format!("Other users of this box can read the {what} {}", path.display()),
        advice: format!("Run: chmod 600 {}", path.display()),
        since: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(field: &str, value: &str) -> Source {
        toml::from_str(&format!("name = 'Main'\nurl = 'rtmp://h/a'\n{field} = '{value}'")).expect("a source")
    }

    #[test]
    fn a_secret_is_never_shown() {
        let key = Secret::new("live_123_abc");
        assert_eq!(format!("{key:?}"), "Secret(…)");
        assert_eq!(serde_json::to_string(&key).expect("json"), "\"set\"");
        for wrong in [
            "= 123456",
            "= 1.23456",
            "= true",
            "= [123456]",
            "= { a = 123456 }",
            "= 2020-12-31",
            "= 99999999999999999999",
        ] {
            let error = toml::from_str::<Source>(&format!("name = 'Main'\nkey {wrong}")).expect_err("refused");
            assert!(!error.message().contains("23456") && !error.message().contains("9999"), "{}", error.message());
        }
    }

    #[test]
    fn a_key_file_is_read_trimmed_and_its_permissions_looked_at() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("key");
        std::fs::write(&path, "\u{feff}  abc-def\r\n").expect("written");
        let by_file = source("key-file", &path.display().to_string());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("mode");
        let read = by_file.stream_key(None).expect("a key");
        assert_eq!(read.key.reveal(), "abc-def");
        assert_eq!(read.fault.expect("a fault").code, "key-file-exposed");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("mode");
        assert_eq!(by_file.stream_key(None).expect("a key").fault, None);

        let by_credential = source("credential", "key");
        assert_eq!(by_credential.stream_key(Some(folder.path())).expect("a key").key.reveal(), "abc-def");
        assert!(by_credential.stream_key(None).expect_err("refused").contains("LoadCredential=key"));
    }

    #[test]
    fn a_passphrase_file_is_read_and_its_length_looked_at() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("passphrase");
        let by_file = source("passphrase-file", &path.display().to_string());
        std::fs::write(&path, "ten and more\n").expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("mode");
        let read = by_file.srt_passphrase().expect("readable").expect("a passphrase");
        assert_eq!((read.key.reveal(), read.fault), ("ten and more", None));
        std::fs::write(&path, "nine char").expect("written");
        let error = by_file.srt_passphrase().expect_err("refused");
        assert!(error.contains("10 to 79") && !error.contains("nine"), "{error}");
        assert_eq!(source("stream-id", "x").srt_passphrase(), Ok(None));
    }

    #[test]
    fn a_bad_key_file_is_refused_without_showing_it() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("key");
        let by_file = source("key-file", &path.display().to_string());
        let refused = |content: Option<&[u8]>, part: &str| {
            if let Some(content) = content {
                std::fs::write(&path, content).expect("written");
            }
            let error = by_file.stream_key(None).expect_err("refused");
            assert!(error.contains(part) && !error.contains("abcdef"), "{error}");
        };
        refused(None, "cannot be read");
        refused(Some(b" \n"), "empty");
        refused(Some(b"abcdef\nabcdef"), "line break");
        refused(Some(&[0xff, 0xfe, 0xff]), "not text");
        refused(Some(&[b'a'; 100_000]), "longer than");
        let folder_as_key = source("key-file", &folder.path().display().to_string());
        assert!(folder_as_key.stream_key(None).expect_err("refused").contains("not a file"));
    }
}
