//! Where the boxes are: from the command line, the environment and the configuration file, in this order.

use super::args::Options;
use crate::{settings::Studio, studio::types::check_base_url};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Most bytes of a file that is read here.
const FILE_BYTES: u64 = 64 * 1024;

/// `config.toml`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    broker: Option<String>,
    r#box: Option<String>,
    username: Option<String>,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    prefix: Option<String>,
    allow_plaintext: bool,
    studio: Studio,
}

/// The way to the boxes.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// Straight to one: its URL, or the name or id of a paired one.
    Direct(String),
    /// Through a broker.
    Broker(BrokerWay),
}

/// A broker and who this is there.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerWay {
    /// Its URL.
    pub url: String,
    /// The user.
    pub username: Option<String>,
    /// Where the password is.
    pub password: Option<Password>,
    /// Authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// First part of every topic.
    pub prefix: String,
    /// Whether `mqtt://` and `ws://` are taken beyond loopback, where everyone on the way reads and changes all.
    pub allow_plaintext: bool,
}

/// Where the password is.
#[derive(Debug, Clone, PartialEq)]
pub enum Password {
    /// In the variable `FIELDCAST_PASSWORD`.
    Environment,
    /// In a file.
    File(PathBuf),
}

/// Where the configuration is: beside it are the paired boxes.
///
/// # Errors
/// For people: there is no home.
pub fn path(options: &Options, environment: impl Fn(&str) -> Option<String>) -> Result<PathBuf, String> {
    let named = options.config.clone().or_else(|| environment("FIELDCAST_CONFIG").map(PathBuf::from));
    named
        .or_else(|| {
            let folder = environment("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
            let folder = folder.or_else(|| Some(Path::new(&environment("HOME")?).join(".config")))?;
            Some(folder.join("fieldcast/config.toml"))
        })
        .ok_or_else(|| "HOME is not set: name the configuration file with --config".into())
}

/// Reads a text file of at most 64 KiB; none: it is not there.
///
/// # Errors
/// For people.
pub fn read(path: &Path) -> Result<Option<String>, String> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{shown} cannot be read: {error}")),
        Ok(meta) if !meta.is_file() || meta.len() > FILE_BYTES => {
            return Err(format!("{shown} is not a file of at most 64 KiB"));
        }
        Ok(_) => {}
    }
    std::fs::read_to_string(path).map(Some).map_err(|error| format!("{shown} cannot be read: {error}"))
}

fn parse(text: Option<&str>, path: &Path) -> Result<File, String> {
    let read =
        |text| toml::from_str(text).map_err(|error| format!("{}: {error}", path.display()).trim_end().to_owned());
    text.map_or_else(|| Ok(File::default()), read)
}

/// How this computer itself asks X: `[studio]` of the configuration file, at `path` with `text`.
///
/// # Errors
/// For people: what of it is wrong.
pub fn studio(text: Option<&str>, path: &Path, environment: impl Fn(&str) -> Option<String>) -> Result<Studio, String> {
    let studio = parse(text, path)?.studio;
    if let Some(Err(wrong)) = studio.base_url.as_deref().map(check_base_url) {
        return Err(format!("{}: studio.base-url: {wrong}", path.display()));
    }
    let set = environment("FIELDCAST_CLIENT_ID").filter(|value| !value.is_empty());
    Ok(Studio { client_id: set.or(studio.client_id), ..studio })
}

/// The way to the boxes. `text` is the configuration file's, at `path`.
///
/// # Errors
/// For people: what is wrong, or missing.
pub fn settle(
    options: &Options,
    text: Option<&str>,
    path: &Path,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Way, String> {
    let shown = path.display();
    let file = parse(text, path)?;
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    let layers = [
        ("the command line", options.direct.clone(), options.broker.clone()),
        ("the environment", set("FIELDCAST_BOX"), set("FIELDCAST_BROKER")),
        (shown.to_string().as_str(), file.r#box, file.broker),
    ]
    .map(|(from, direct, broker)| (from.to_owned(), direct, broker));
    let way = layers.into_iter().find(|(_, direct, broker)| direct.is_some() || broker.is_some());
    let url = match way {
        Some((_, Some(direct), None)) => return Ok(Way::Direct(direct)),
        Some((_, None, Some(broker))) => broker,
        Some((from, ..)) => return Err(format!("{from} has both a box and a broker: leave one of them")),
        None => {
            return Err(format!(
                "where are the boxes? Give --broker or --box, or write broker = \"mqtts://...\" into {shown}"
            ));
        }
    };
    if url.contains('@') {
        return Err("no user and password in the broker's URL: give username and password-file".into());
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let file_of = |variable: &str, given: Option<PathBuf>| {
        set(variable).map(PathBuf::from).or(given.map(|path| folder.join(path)))
    };
    let password = match (set("FIELDCAST_PASSWORD"), file_of("FIELDCAST_PASSWORD_FILE", file.password_file)) {
        (Some(_), _) => Some(Password::Environment),
        (None, file) => file.map(Password::File),
    };
    let cert_file = file_of("FIELDCAST_CERT_FILE", file.cert_file);
    let key_file = file_of("FIELDCAST_KEY_FILE", file.key_file);
    if cert_file.is_some() != key_file.is_some() {
        return Err("a certificate needs its key: give both cert-file and key-file".into());
    }
    let prefix = set("FIELDCAST_PREFIX").or(file.prefix).unwrap_or_else(|| "fieldcast".into());
    Ok(Way::Broker(BrokerWay {
        url,
        username: set("FIELDCAST_USERNAME").or(file.username),
        password,
        ca_file: file_of("FIELDCAST_CA_FILE", file.ca_file),
        cert_file,
        key_file,
        prefix,
        allow_plaintext: file.allow_plaintext,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "broker = 'mqtts://b'\nusername = 'desk'\npassword-file = 'password'\nca-file = '/etc/ca.pem'";

    fn way(options: &Options, text: &str, set: &[(&str, &str)]) -> Result<Way, String> {
        let environment =
            |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        settle(options, Some(text), Path::new("/home/a/.config/fieldcast/config.toml"), environment)
    }

    #[test]
    fn the_nearest_word_counts() {
        let options = Options::default();
        let Way::Broker(broker) = way(&options, FILE, &[]).expect("a way") else { panic!("a broker") };
        assert_eq!((broker.url.as_str(), broker.username.as_deref()), ("mqtts://b", Some("desk")));
        assert_eq!(broker.password, Some(Password::File("/home/a/.config/fieldcast/password".into())));
        assert_eq!((broker.ca_file, broker.prefix.as_str()), (Some("/etc/ca.pem".into()), "fieldcast"));

        let set = [("FIELDCAST_BROKER", "mqtt://e"), ("FIELDCAST_PASSWORD", "hidden"), ("FIELDCAST_PREFIX", "tv")];
        let Way::Broker(broker) = way(&options, FILE, &set).expect("a way") else { panic!("a broker") };
        assert_eq!((broker.url.as_str(), broker.prefix.as_str()), ("mqtt://e", "tv"));
        assert_eq!(broker.password, Some(Password::Environment));
        assert!(!format!("{broker:?}").contains("hidden"));

        assert_eq!(way(&options, FILE, &[("FIELDCAST_BOX", "van")]), Ok(Way::Direct("van".into())));
        let typed = Options { broker: Some("mqtt://t".into()), ..Options::default() };
        let Way::Broker(broker) = way(&typed, FILE, &[("FIELDCAST_BOX", "van")]).expect("a way") else { panic!() };
        assert_eq!(broker.url, "mqtt://t");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, set, part) in [
            ("", &[][..], "--broker or --box"),
            ("brokr = 'x'", &[], "unknown field `brokr`"),
            ("broker = 'x'\nbox = 'y'", &[], "config.toml has both"),
            ("", &[("FIELDCAST_BOX", "a"), ("FIELDCAST_BROKER", "b")], "the environment has both"),
            ("broker = 'mqtts://a:geheim@b'", &[], "password-file"),
            ("broker = 3", &[], "config.toml"),
            ("broker = 'x'\ncert-file = 'c'", &[], "needs its key"),
        ] {
            let problem = way(&Options::default(), text, set).expect_err("refused");
            assert!(problem.contains(part) && !problem.contains("geheim"), "{problem}");
        }
    }

    #[test]
    fn the_studio_is_asked_as_the_file_and_the_environment_say() {
        let read = |text: &str, client_id: Option<&str>| {
            studio(Some(text), Path::new("c.toml"), |name| {
                client_id.filter(|_| name == "FIELDCAST_CLIENT_ID").map(ToOwned::to_owned)
            })
        };
        let file = "[studio]\nclient-id = 'a'\naccount = 'anna'\nbase-url = 'http://127.0.0.1:9'";
        let studio = read(file, None).expect("settings");
        assert_eq!((studio.client_id.as_deref(), studio.account.as_deref()), (Some("a"), Some("anna")));
        assert_eq!(read(file, Some("b")).expect("settings").client_id.as_deref(), Some("b"));
        assert!(read("[studio]\nbase-url = 'http://h'", None).expect_err("refused").contains("base-url"));
        assert!(read("[studio]\nsecret = 'x'", None).is_err());
    }

    #[test]
    fn the_file_is_where_it_is_looked_for() {
        let at = |set: &[(&str, &str)]| {
            path(&Options::default(), |name| set.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(at(&[("HOME", "/home/a")]), Ok("/home/a/.config/fieldcast/config.toml".into()));
        assert_eq!(at(&[("HOME", "/home/a"), ("XDG_CONFIG_HOME", "/x")]), Ok("/x/fieldcast/config.toml".into()));
        assert_eq!(at(&[("FIELDCAST_CONFIG", "c.toml")]), Ok("c.toml".into()));
        assert!(at(&[]).is_err());
        let options = Options { config: Some("d.toml".into()), ..Options::default() };
        assert_eq!(path(&options, |_| Some("c.toml".into())), Ok("d.toml".into()));
    }
}
