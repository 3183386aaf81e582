//! What services document: their regional ingests and the limits on what they take. The data is in `services.toml`.

use super::IngestUrl;
use crate::{
    settings::{Codec, Output},
    units::{BitRate, Span},
};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::LazyLock};

/// The shipped table; a test holds that it parses.
static TABLE: LazyLock<BTreeMap<String, Service>> = LazyLock::new(|| {
    parse(include_str!("services.toml")).unwrap_or_else(|error| {
        tracing::error!(%error, "the table of services");
        BTreeMap::new()
    })
});

/// One service.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Service {
    /// Its name for people.
    pub title: String,
    /// The longest time between two IDR pictures.
    pub keyframe_interval: Span,
    /// The highest video bitrate.
    pub video_bitrate: BitRate,
    /// The highest sound bitrate.
    pub audio_bitrate: BitRate,
    /// Video codecs that it takes.
    pub codecs: Vec<Codec>,
    /// Whether a key works at each ingest.
    pub one_key_everywhere: bool,
    /// Appended to a key, it makes a publish that never goes live.
    pub test_suffix: Option<String>,
    /// Ends of host names that are the service's.
    hosts: Vec<String>,
    /// Its ingests.
    pub regions: Vec<Region>,
}

/// One regional ingest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Region {
    /// What settings and status call it.
    pub name: String,
    /// Where it is, for people.
    pub place: String,
    /// Where to push to.
    #[serde(deserialize_with = "url")]
    pub url: IngestUrl,
}

fn url<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<IngestUrl, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn parse(text: &str) -> Result<BTreeMap<String, Service>, toml::de::Error> {
    toml::from_str(text)
}

/// The service of this name.
pub fn service(name: &str) -> Option<&'static Service> {
    TABLE.get(name)
}

/// Names of all services.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.keys().map(String::as_str)
}

/// The service to which an ingest belongs, by its host.
pub fn service_of(url: &IngestUrl) -> Option<&'static Service> {
    let belongs =
        |end: &String| url.host.strip_suffix(end.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    TABLE.values().find(|service| service.hosts.iter().any(belongs))
}

impl Service {
    /// The region of this name.
    pub fn region(&self, name: &str) -> Option<&Region> {
        self.regions.iter().find(|region| region.name == name)
    }

    /// What of the settings is beyond the service's limits, for people; each names the limit.
    pub fn warnings(&self, output: &Output) -> Vec<String> {
        let title = &self.title;
        let mut warnings = Vec::new();
        if output.keyframe_interval > self.keyframe_interval {
            let (limit, set) = (self.keyframe_interval, output.keyframe_interval);
            warnings.push(format!("{title} takes a keyframe-interval of at most {limit}; it is {set}"));
        }
        if output.bitrate_max > self.video_bitrate {
            let (limit, set) = (self.video_bitrate, output.bitrate_max);
            warnings.push(format!("{title} takes at most {limit} of video; bitrate-max is {set}"));
        }
        if output.audio_bitrate > self.audio_bitrate {
            let (limit, set) = (self.audio_bitrate, output.audio_bitrate);
            warnings.push(format!("{title} takes at most {limit} of sound; audio-bitrate is {set}"));
        }
        if !self.codecs.contains(&output.codec) {
            let codecs: Vec<_> = self.codecs.iter().map(Codec::to_string).collect();
            warnings.push(format!("{title} takes {}; codec is {}", codecs.join(" or "), output.codec));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_shipped_table_is_complete() {
        let table = parse(include_str!("services.toml")).unwrap();
        assert_eq!(table.keys().map(String::as_str).collect::<Vec<_>>(), ["facebook", "twitch", "x", "youtube"]);
        for service in table.values() {
            let regions: BTreeSet<_> = service.regions.iter().map(|region| &region.name).collect();
            assert_eq!(regions.len(), service.regions.len(), "{}: names are unique", service.title);
            assert!(!regions.is_empty() && !regions.contains(&"auto".to_owned()));
            assert!(service.codecs.contains(&Codec::H264));
            // A URL of the table is recognised as the service's own.
            assert!(
                service
                    .regions
                    .iter()
                    .all(|region| service_of(&region.url).is_some_and(|of| of.title == service.title))
            );
        }
        assert!(!table["x"].one_key_everywhere);
        assert_eq!(table["twitch"].regions.len(), 47);
    }

    #[test]
    fn the_table_is_read_strictly() {
        let good = include_str!("services.toml");
        for (from, to) in [
            ("title = \"Twitch\"", "title = \"Twitch\"\ncolour = \"purple\""),
            ("title = \"Twitch\"", ""),
            ("\"6000 kbit/s\"", "6000"),
            ("codecs = [\"h264\"]", "codecs = [\"theora\"]"),
            ("rtmp://live-fra.twitch.tv/app", "http://live-fra.twitch.tv/app"),
        ] {
            assert!(good.contains(from), "{from}");
            assert!(parse(&good.replacen(from, to, 1)).is_err(), "{to}");
        }
    }

    #[test]
    fn limits_are_named() {
        let output = Output {
            keyframe_interval: Span::from_millis(5000),
            bitrate_max: BitRate::new(8_000_000),
            audio_bitrate: BitRate::new(192_000),
            codec: Codec::Hevc,
            ..Output::default()
        };
        assert_eq!(
            service("x").unwrap().warnings(&output),
            [
                "X takes a keyframe-interval of at most 3 s; it is 5 s",
                "X takes at most 160 kbit/s of sound; audio-bitrate is 192 kbit/s",
                "X takes h264; codec is hevc",
            ]
        );
        assert_eq!(service("twitch").unwrap().warnings(&output).len(), 3);
        assert!(names().all(|name| service(name).unwrap().warnings(&Output::default()).is_empty()));
    }

    #[test]
    fn a_host_tells_the_service() {
        let of = |url: &str| service_of(&url.parse().unwrap()).map(|service| service.title.as_str());
        assert_eq!(of("rtmp://de.pscp.tv:80/x"), Some("X"));
        assert_eq!(of("rtmps://ingest.global-contribute.live-video.net/app"), Some("Twitch"));
        assert_eq!(of("rtmp://notyoutube.com/app"), None);
        assert_eq!(of("rtmp://ingest.example/app"), None);
    }
}
