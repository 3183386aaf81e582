//! Linking an account: what the browser is sent to, and what it brings back. OAuth 2.0, authorization code with PKCE (RFC 6749 4.1,
//! RFC 7636; docs.x.com, "OAuth 2.0 Authorization Code Flow with PKCE"). Pure, but for the random numbers of an attempt.

use super::types::BASE_URL;
use crate::{command::studio::Grant, http::tokens::random, settings::Secret};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Url;
use ring::digest;
use serde::Deserialize;
use std::io;

/// What Fieldcast may do for the account; `offline.access` gives the refresh token.
pub const SCOPES: &str = "broadcast.read broadcast.write media.write tweet.write tweet.read users.read offline.access";
/// Where X asks whoever is signed in.
const PAGE: &str = "https://x.com/i/oauth2/authorize";
/// The same at another base URL than X's own (X's OpenAPI document, `OAuth2UserToken`).
const PATH: &str = "/2/oauth2/authorize";
/// Where the browser is sent back to.
pub const CALLBACK: &str = "/callback";

/// One attempt to link an account. The browser can end it once.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The operator's app.
    pub client_id: String,
    /// Where the browser is sent back to.
    pub redirect: String,
    /// What only who began the attempt knows.
    pub verifier: Secret,
    /// By which an answer is known to be one to this attempt.
    state: String,
}

/// What the browser brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Brought {
    /// The code, good for 30 s.
    Code(Secret),
    /// Whoever is signed in does not want it.
    Denied,
    /// X does not do it: its own word.
    Refused(String),
}

impl Attempt {
    /// A new one for the app `client_id`, which ends at `port` of this computer.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(client_id: &str, port: u16) -> io::Result<Self> {
        let word = || Ok::<_, io::Error>(URL_SAFE_NO_PAD.encode(random::<32>()?));
        let (verifier, state) = (Secret::new(word()?), word()?);
        // By number: a name could be resolved to another address than the one that is listened at (RFC 8252, 8.3).
        Ok(Self {
            client_id: client_id.into(),
            redirect: format!("http://127.0.0.1:{port}{CALLBACK}"),
            verifier,
            state,
        })
    }

    /// The page that the browser has to open; `base_url`: where the API is, none: X's own.
    pub fn page(&self, base_url: Option<&str>) -> String {
        let page = match base_url.map(|url| url.trim_end_matches('/')).filter(|url| *url != BASE_URL) {
            Some(url) => format!("{url}{PATH}"),
            None => PAGE.into(),
        };
        let challenge = challenge(self.verifier.reveal());
        let query = [
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect),
            ("scope", SCOPES),
            ("state", &self.state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        // X's examples have %20, and not what forms have.
        Url::parse_with_params(&page, query).map(|url| url.as_str().replace('+', "%20")).unwrap_or(page)
    }

    /// What the browser brought back in the `query` of its request; none: it is no answer to this attempt.
    pub fn brought(&self, query: &str) -> Option<Brought> {
        let url = Url::parse(&format!("{}?{query}", self.redirect)).ok()?;
        let one = |name: &str| {
            let mut values = url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
            let value = values.next()?;
            values.next().is_none().then_some(value)
        };
        if one("state")? != self.state {
            return None;
        }
        match (one("code"), one("error")) {
            (Some(code), None) if !code.is_empty() => Some(Brought::Code(Secret::new(code))),
            (None, Some(error)) if error == "access_denied" => Some(Brought::Denied),
            (None, Some(error)) => {
                let word = error.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(80);
                Some(Brought::Refused(word.collect()))
            }
            _ => None,
        }
    }
}

/// What the page is told of the `verifier` (RFC 7636, 4.2, S256).
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

/// User tokens of OAuth 1.0a from the text of a file, TOML.
///
/// # Errors
/// For people: what has to be in it, and nothing of what is.
pub fn oauth1(text: &str) -> Result<Grant, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Keys {
        consumer_key: Secret,
        consumer_secret: Secret,
        token: Secret,
        token_secret: Secret,
    }
    let wrong = |at: String| {
        format!("{at}it needs consumer-key, consumer-secret, token and token-secret, each a text as in token = \"…\"")
    };
    let keys: Keys = toml::from_str(text).map_err(|error| {
        let lines = |at: std::ops::Range<usize>| text.get(..at.start).map_or(0, |before| before.matches('\n').count());
        wrong(error.span().map_or_else(String::new, |at| format!("line {}: ", lines(at) + 1)))
    })?;
    let Keys { consumer_key, consumer_secret, token, token_secret } = keys;
    if [&consumer_key, &consumer_secret, &token, &token_secret].iter().any(|key| key.reveal().is_empty()) {
        return Err(wrong(String::new()));
    }
    Ok(Grant::OAuth1 { consumer_key, consumer_secret, token, token_secret })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn the_page_is_told_all_but_the_verifier() {
        let attempt = Attempt::new("an app", 8722).expect("random numbers");
        let page = attempt.page(None);
        assert!(page.starts_with("https://x.com/i/oauth2/authorize?response_type=code&client_id=an%20app&"), "{page}");
        assert!(page.contains("redirect_uri=http%3A%2F%2F127.0.0.1%3A8722%2Fcallback&"), "{page}");
        assert!(page.contains("&scope=broadcast.read%20broadcast.write%20") && page.contains("%20offline.access&"));
        assert!(!page.contains(attempt.verifier.reveal()) && page.contains(&challenge(attempt.verifier.reveal())));
        assert_eq!(attempt.page(Some("https://api.x.com/")), page);
        let other = attempt.page(Some("http://127.0.0.1:9/"));
        assert!(other.starts_with("http://127.0.0.1:9/2/oauth2/authorize?"), "{other}");
        // RFC 7636, 4.1: 43 to 128 characters, which nobody guesses.
        let next = Attempt::new("an app", 8722).expect("random numbers");
        assert_eq!(attempt.verifier.reveal().len(), 43);
        assert!(next.verifier.reveal() != attempt.verifier.reveal() && next.state != attempt.state);
        assert!(!format!("{attempt:?}").contains(attempt.verifier.reveal()));
    }

    #[test]
    fn only_an_answer_to_this_attempt_counts() {
        let attempt = Attempt { state: "s 1".into(), ..Attempt::new("app", 1).expect("random numbers") };
        let code = |code: &str| Some(Brought::Code(Secret::new(code)));
        assert_eq!(attempt.brought("state=s+1&code=a%3Db"), code("a=b"));
        assert_eq!(attempt.brought("code=x&state=s%201&more=1"), code("x"));
        assert_eq!(attempt.brought("error=access_denied&state=s%201"), Some(Brought::Denied));
        let refused = Brought::Refused("invalid_scope[31m".into());
        assert_eq!(attempt.brought("error=invalid_scope%1b[31m&state=s%201"), Some(refused));
        for other in ["", "code=x", "state=s&code=x", "state=s+1", "state=s+1&code=", "state=s+1&code=x&code=y"] {
            assert_eq!(attempt.brought(other), None, "{other}");
        }
        for other in ["state=s+1&state=s+1&code=x", "state=s+1&code=x&error=access_denied", "error=access_denied"] {
            assert_eq!(attempt.brought(other), None, "{other}");
        }
    }

    #[test]
    fn keys_of_a_file_are_read_and_never_repeated() {
        let text = "consumer-key = 'a'\nconsumer-secret = 'b'\ntoken = 'c'\ntoken-secret = 'd'\n";
        let Ok(Grant::OAuth1 { token_secret, .. }) = oauth1(text) else { panic!("keys") };
        assert_eq!(token_secret.reveal(), "d");
        for wrong in ["", "live_1", "token = 5", "consumer-key = 'a'\nlive_1 = 'live_1'", &text.replace("'d'", "''")] {
            let said = oauth1(wrong).expect_err("refused");
            assert!(said.contains("consumer-secret") && !said.contains("live_1"), "{said}");
        }
        assert!(oauth1("token = 'a'\n\nlive_1").expect_err("refused").contains("line 3"));
    }

    proptest! {
        #[test]
        fn any_query_is_an_answer_or_none(query in ".{0,60}") {
            let attempt = Attempt::new("app", 1).expect("random numbers");
            prop_assert_eq!(attempt.brought(&query), None);
        }
    }
}
