//! Requests signed with OAuth 1.0a, HMAC-SHA1 (facts 3, "Signing").

use super::world::{Account, World};
use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::hmac;
use std::time::Duration;

/// RFC 3986, 2.3: all but these is encoded.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How far the client's clock may be off; ASSUMED.
const SKEW: Duration = Duration::from_secs(300);

fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// The signature of these parameters (`oauth_*` without the signature, those of the query and of a form), not yet encoded,
/// for a URL without its query.
pub fn signature(method: &str, url: &str, parameters: &[(String, String)], consumer: &str, token: &str) -> String {
    let mut pairs: Vec<_> = parameters.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let base = format!("{method}&{}&{}", encode(url), encode(&pairs.join("&")));
    let key = format!("{}&{}", encode(consumer), encode(token));
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    STANDARD.encode(hmac::sign(&key, base.as_bytes()))
}

/// Who signed this request; why it is refused. `others` are the parameters of the query and of a form.
pub fn account(
    world: &mut World,
    header: &str,
    method: &str,
    url: &str,
    others: &[(String, String)],
) -> Result<Account, String> {
    let mut parameters = others.to_vec();
    for part in header.split(',') {
        let (name, value) = part.trim().split_once('=').ok_or("a parameter without a value")?;
        let value =
            value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).ok_or("a value without quotes")?;
        let value = percent_decode_str(value).decode_utf8().map_err(|_| "a value that is not UTF-8")?;
        parameters.push((name.to_owned(), value.into_owned()));
    }
    let of = |wanted: &str| {
        let mut all = parameters.iter().filter(|(name, _)| name == wanted);
        let first = all.next().map(|(_, value)| value.clone());
        if all.next().is_some() { None } else { first }
    };
    let need = |name: &str| of(name).ok_or_else(|| format!("{name} is missing, or there twice"));
    if need("oauth_signature_method")? != "HMAC-SHA1" || of("oauth_version").is_some_and(|version| version != "1.0") {
        return Err("another method or version".into());
    }
    let (time, nonce) = (need("oauth_timestamp")?, need("oauth_nonce")?);
    let (given, consumer, token) = (need("oauth_signature")?, need("oauth_consumer_key")?, need("oauth_token")?);
    parameters.retain(|(name, _)| name != "oauth_signature");
    let signer = world.signers.iter().find(|signer| signer.consumer_key == consumer && signer.token == token);
    let signer = signer.ok_or("a key or token that is not known")?.clone();
    if signature(method, url, &parameters, &signer.consumer_secret, &signer.token_secret) != given {
        return Err("the signature is wrong".into());
    }
    let at = Duration::from_secs(time.parse().map_err(|_| "a time that is no number")?);
    if at.abs_diff(world.now()) > SKEW {
        return Err("Timestamp out of bounds.".into());
    }
    if nonce.is_empty() || !world.nonces.insert((time, nonce)) {
        return Err("this nonce was used".into());
    }
    Ok(Account { user: signer.user, scopes: None })
}
