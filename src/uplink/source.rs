//! From a Source of the settings to its ingest.

use super::{
    IngestUrl,
    services::{self, Region},
    url::UrlError,
};
use crate::settings::Source;

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
    /// The Studio has not told yet.
    #[error("the Studio has not told where this Source is: link the account with `fieldcast studio link`")]
    NotTold,
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
        (None, None) if source.studio.is_some() => return Err(SourceError::NotTold),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn source(change: impl FnOnce(&mut Source)) -> Source {
        let mut source = Source { name: "Main".into(), ..Source::default() };
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
        assert_eq!(leads(Some("srt://h"), None, None), Err(SourceError::Url(UrlError::MissingPort)));
        assert_eq!(leads(None, Some("x"), Some("auto")), Err(SourceError::OwnUrl("X")));
        let unknown = leads(None, Some("twich"), None).unwrap_err().to_string();
        assert!(unknown.contains("\"twich\"") && unknown.contains("twitch, x, youtube"), "{unknown}");
        let unknown = leads(None, Some("youtube"), Some("mars")).unwrap_err().to_string();
        assert_eq!(unknown, "YouTube has no region \"mars\": expected \"auto\" or primary");
    }
}
