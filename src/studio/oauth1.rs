//! Requests signed by OAuth 1.0a with HMAC-SHA1 (RFC 5849, and "Creating a signature" on docs.x.com) (pure).

use crate::settings::Secret;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac;
use serde::{Deserialize, Serialize};

/// All but these is encoded (RFC 3986, 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The keys of an app and of one of its users. Its serialised form is for the account's file only: it has the secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Keys {
    /// The operator's app.
    #[serde(serialize_with = "super::account::reveal")]
    pub consumer_key: Secret,
    /// Its secret.
    #[serde(serialize_with = "super::account::reveal")]
    pub consumer_secret: Secret,
    /// The user's token.
    #[serde(serialize_with = "super::account::reveal")]
    pub token: Secret,
    /// Its secret.
    #[serde(serialize_with = "super::account::reveal")]
    pub token_secret: Secret,
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// The value of the header `Authorization` for a request of `url`, which has no query. `parameters` are those of the query and of
/// a form, not yet encoded; JSON and multipart bodies are not signed. `time` in seconds since 1970.
pub fn authorization(
    keys: &Keys,
    method: &str,
    url: &str,
    parameters: &[(String, String)],
    nonce: &str,
    time: u64,
) -> String {
    let mut oauth = vec![
        ("oauth_consumer_key".to_owned(), keys.consumer_key.reveal().to_owned()),
        ("oauth_nonce".to_owned(), nonce.to_owned()),
        ("oauth_signature_method".to_owned(), "HMAC-SHA1".to_owned()),
        ("oauth_timestamp".to_owned(), time.to_string()),
        ("oauth_token".to_owned(), keys.token.reveal().to_owned()),
        ("oauth_version".to_owned(), "1.0".to_owned()),
    ];
    let signature = signature(keys, method, url, &[&oauth, parameters].concat());
    oauth.push(("oauth_signature".to_owned(), signature));
    let fields: Vec<_> = oauth.iter().map(|(name, value)| format!("{name}=\"{}\"", encode(value))).collect();
    format!("OAuth {}", fields.join(", "))
}

fn signature(keys: &Keys, method: &str, url: &str, parameters: &[(String, String)]) -> String {
    let mut pairs: Vec<_> = parameters.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let base = format!("{method}&{}&{}", encode(url), encode(&pairs.join("&")));
    let key = format!("{}&{}", encode(keys.consumer_secret.reveal()), encode(keys.token_secret.reveal()));
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    STANDARD.encode(hmac::sign(&key, base.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of "Creating a signature" on docs.x.com; its keys are marked as not valid there.
    fn example() -> (Keys, [(String, String); 2]) {
        let keys = Keys {
            consumer_key: Secret::new("xvz1evFS4wEEPTGEFPHBog"),
            consumer_secret: Secret::new("kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw"),
            token: Secret::new("370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb"),
            token_secret: Secret::new("LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE"),
        };
        let status = "Hello Ladies + Gentlemen, a signed OAuth request!";
        (keys, [("include_entities".into(), "true".into()), ("status".into(), status.into())])
    }

    #[test]
    fn the_published_request_has_the_published_signature() {
        let (keys, parameters) = example();
        let header = |url: &str| {
            authorization(&keys, "POST", url, &parameters, "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg", 1_318_622_958)
        };
        let signed = header("https://api.x.com/1.1/statuses/update.json");
        assert!(signed.contains("oauth_signature=\"Ls93hJiZbQ3akF3HF3x1Bz8%2FzU4%3D\""), "{signed}");
        assert!(signed.starts_with("OAuth oauth_consumer_key=\"xvz1evFS4wEEPTGEFPHBog\", oauth_nonce="), "{signed}");
        // As it was published while the host was another.
        let signed = header("https://api.twitter.com/1.1/statuses/update.json");
        assert!(signed.contains("oauth_signature=\"hCtSmYh%2BiHYCEqBWrE7C7hYmtUk%3D\""), "{signed}");
        assert!(!signed.contains(keys.consumer_secret.reveal()) && !signed.contains(keys.token_secret.reveal()));
    }

    #[test]
    fn all_but_the_unreserved_is_encoded() {
        // "Percent encoding parameters" on docs.x.com.
        for (text, encoded) in [
            ("Ladies + Gentlemen", "Ladies%20%2B%20Gentlemen"),
            ("An encoded string!", "An%20encoded%20string%21"),
            ("Dogs, Cats & Mice", "Dogs%2C%20Cats%20%26%20Mice"),
            ("☃", "%E2%98%83"),
            ("-._~", "-._~"),
        ] {
            assert_eq!(encode(text), encoded);
        }
    }
}
