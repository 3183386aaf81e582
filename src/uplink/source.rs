//! From a Source of the settings to an ingest and its key.

use super::{
    Cause, IngestUrl,
    services::{self, Region},
    url::UrlError,
};
use crate::settings::{Secret, Source};
use std::{
    env,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Where a Source leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ingest {
    /// To this ingest; with a region where one is named.
    Fixed(Option<String>, IngestUrl),
    /// To the nearest of these, which has to be measured.
    Nearest(&'static [Region]),
}

/// Why a Source leads nowhere; for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Neither.
    #[error("the Source has neither \"url\" nor \"service\"")]
    Nowhere,
    /// Both.
    #[error("the Source has both \"url\" and \"service\": leave one out")]
    TwoWays,
    /// Not a URL for pushing.
    #[error("\"url\": {0}")]
    Url(#[from] UrlError),
    /// Not in the table.
    #[error("the service {0:?} is not known: expected {known}", known = services::names().collect::<Vec<_>>().join(", "))]
    UnknownService(String),
    /// A service whose Sources live in one region each.
    #[error("each Source of {0} has a URL of its own: copy it from there as \"url\", instead of \"service\"")]
    OwnUrl(&'static str),
    /// Not a region of the service.
    #[error("{service} has no region {region:?}: expected \"auto\" or {known}")]
    UnknownRegion {
        /// The service.
        service: &'static str,
        /// What was asked for.
        region: String,
        /// The regions that it has.
        known: String,
    },
}

/// Where the Source leads. A URL is used verbatim; a service without a region is taken as `"auto"`.
///
/// # Errors
/// What is wrong with the Source, for people.
pub fn ingest(source: &Source) -> Result<Ingest, SourceError> {
    let region = source.region.as_deref().unwrap_or("auto");
    let service = match (&source.url, &source.service) {
        (None, None) => return Err(SourceError::Nowhere),
        (Some(_), Some(_)) => return Err(SourceError::TwoWays),
        (Some(url), None) => return Ok(Ingest::Fixed(source.region.clone(), url.parse()?)),
        (None, Some(name)) => services::service(name).ok_or_else(|| SourceError::UnknownService(name.clone()))?,
    };
    if !service.one_key_everywhere {
        return Err(SourceError::OwnUrl(&service.title));
    }
    if region == "auto" {
        return Ok(match service.regions.as_slice() {
            [only] => Ingest::Fixed(Some(only.name.clone()), only.url.clone()),
            several => Ingest::Nearest(several),
        });
    }
    match service.region(region) {
        Some(region) => Ok(Ingest::Fixed(Some(region.name.clone()), region.url.clone())),
        None => {
            let known = service.regions.iter().map(|region| region.name.as_str()).collect::<Vec<_>>().join(", ");
            Err(SourceError::UnknownRegion { service: &service.title, region: region.into(), known })
        }
    }
}

/// The Source's stream key, read anew from its file or credential. Reads a file: takes some milliseconds.
///
/// # Errors
/// [`Cause::KeyFile`]
pub fn key(source: &Source) -> Result<Secret, Cause> {
    if let Some(key) = &source.key {
        return Ok(key.clone());
    }
    let path = match (&source.key_file, &source.credential) {
        (Some(path), _) => path.clone(),
        (None, Some(name)) => credential(name)?,
        (None, None) => return Err(Cause::KeyFile("the Source has no key".into())),
    };
    read_key(&path).map_err(|error| Cause::KeyFile(format!("{}: {error}", path.display())))
}

/// systemd puts the credentials of a service into a folder of its own (systemd.exec(5), `LoadCredential=`).
fn credential(name: &str) -> Result<PathBuf, Cause> {
    if name.is_empty() || name.contains('/') || name == ".." || name == "." {
        return Err(Cause::KeyFile("\"credential\" is a name without slashes".into()));
    }
    let folder = env::var_os("CREDENTIALS_DIRECTORY");
    let folder = folder.ok_or_else(|| Cause::KeyFile("systemd has given the service no credentials".into()))?;
    Ok(PathBuf::from(folder).join(name))
}

/// The first line of a file, at most 4 KiB.
fn read_key(path: &Path) -> io::Result<Secret> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    // A pipe would be waited for.
    if !path.metadata()?.is_file() {
        return Err(wrong("not a file"));
    }
    let mut text = Vec::new();
    File::open(path)?.take(4097).read_to_end(&mut text)?;
    if text.len() > 4096 {
        return Err(wrong("longer than 4 KiB, so not a stream key"));
    }
    let text = String::from_utf8(text).map_err(|_| wrong("not text"))?;
    match text.lines().next().map(str::trim) {
        Some(key) if !key.is_empty() => Ok(Secret::new(key)),
        _ => Err(wrong("its first line is empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn source(change: impl FnOnce(&mut Source)) -> Source {
        let mut source = Source {
            name: "Main".into(),
            url: None,
            service: None,
            region: None,
            key: None,
            key_file: None,
            credential: None,
        };
        change(&mut source);
        source
    }

    fn leads(url: Option<&str>, service: Option<&str>, region: Option<&str>) -> Result<Ingest, SourceError> {
        ingest(&source(|source| {
            source.url = url.map(Into::into);
            source.service = service.map(Into::into);
            source.region = region.map(Into::into);
        }))
    }

    #[test]
    fn a_url_is_used_verbatim_and_a_service_by_region() {
        let url: IngestUrl = "rtmp://de.pscp.tv:80/x".parse().unwrap();
        assert_eq!(leads(Some("rtmp://de.pscp.tv:80/x"), None, None), Ok(Ingest::Fixed(None, url.clone())));
        let labelled = leads(Some("rtmp://de.pscp.tv:80/x"), None, Some("eu-central-1"));
        assert_eq!(labelled, Ok(Ingest::Fixed(Some("eu-central-1".into()), url)));
        assert!(matches!(leads(None, Some("twitch"), None), Ok(Ingest::Nearest(several)) if several.len() > 40));
        assert!(
            matches!(leads(None, Some("twitch"), Some("fra")), Ok(Ingest::Fixed(_, url)) if url.host == "live-fra.twitch.tv")
        );
        assert!(matches!(leads(None, Some("youtube"), Some("auto")), Ok(Ingest::Fixed(_, _))));
    }

    #[test]
    fn a_source_that_leads_nowhere_says_why() {
        assert_eq!(leads(None, None, None), Err(SourceError::Nowhere));
        assert_eq!(leads(Some("rtmp://h/a"), Some("twitch"), None), Err(SourceError::TwoWays));
        assert_eq!(leads(Some("srt://h:1"), None, None), Err(SourceError::Url(UrlError::Srt)));
        assert_eq!(leads(None, Some("x"), Some("auto")), Err(SourceError::OwnUrl("X")));
        let unknown = leads(None, Some("twich"), None).unwrap_err().to_string();
        assert!(unknown.contains("\"twich\"") && unknown.contains("twitch, x, youtube"), "{unknown}");
        let unknown = leads(None, Some("youtube"), Some("mars")).unwrap_err().to_string();
        assert_eq!(unknown, "YouTube has no region \"mars\": expected \"auto\" or primary");
    }

    #[test]
    fn keys_come_from_the_settings_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = |content: &[u8]| {
            let path = folder.path().join("key");
            fs::write(&path, content).unwrap();
            key(&source(|source| source.key_file = Some(path)))
        };
        assert_eq!(key(&source(|source| source.key = Some(Secret::new("k")))), Ok(Secret::new("k")));
        assert_eq!(file(b"  live_1  \nsecond line\n"), Ok(Secret::new("live_1")));
        for bad in [&b""[..], b"\nkey\n", &[0xff, 0xfe], &[b'x'; 5000]] {
            assert!(matches!(file(bad), Err(Cause::KeyFile(_))));
        }
        for path in [folder.path().to_owned(), folder.path().join("missing")] {
            let cause = key(&source(|source| source.key_file = Some(path))).unwrap_err();
            assert!(matches!(cause, Cause::KeyFile(why) if why.contains(folder.path().to_str().unwrap())));
        }
        assert!(key(&source(|_| {})).is_err());
        assert!(key(&source(|source| source.credential = Some("../etc/passwd".into()))).is_err());
    }
}
