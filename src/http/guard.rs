//! Who may ask. Refuses what a web page of another site makes a browser send here: by name (DNS rebinding), by `Origin`, and
//! by what the browser says of the fetch. On loopback that is all; beyond it each request needs the token of a paired
//! computer too.

use super::{
    Ask,
    problem::Problem,
    tokens::{Token, TokenId, Tokens},
};
use crate::{sys, units::Time};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// The cookie with the token. Browsers take a name with this prefix only with `Secure`, `Path=/` and no `Domain`, so that no
/// other host can set it (RFC 6265bis 4.1.3.2).
pub const COOKIE: &str = "__Host-fieldcast";
/// What is answered without a token beyond loopback: nothing that says more than that there is a Fieldcast box.
const OPEN: [(&str, Method); 4] =
    [("/", Method::GET), ("/page.css", Method::GET), ("/page.js", Method::GET), ("/api/v1/pair", Method::POST)];
/// How often the loop is told that a computer is here.
const USE_INTERVAL: Duration = Duration::from_secs(600);

/// How a request came to the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// In the clear, on loopback.
    Loopback,
    /// Over TLS, at this address of the box.
    Tls(IpAddr),
}

/// What the guard knows.
#[derive(Clone)]
pub struct Guard {
    names: Arc<[String]>,
    tokens: watch::Receiver<Arc<Tokens>>,
    asks: mpsc::Sender<Ask>,
    /// When the loop was told last that a computer was here.
    told: Arc<Mutex<BTreeMap<TokenId, Time>>>,
}

impl Guard {
    /// Of a box that is called `names` in its network.
    pub fn new(names: Arc<[String]>, tokens: watch::Receiver<Arc<Tokens>>, asks: mpsc::Sender<Ask>) -> Self {
        Self { names, tokens, asks, told: Arc::default() }
    }

    /// Whose token is among `headers`.
    fn computer(&self, method: &Method, headers: &HeaderMap) -> Result<TokenId, Problem> {
        let token = match (bearer(headers)?, cookie(headers)) {
            (Some(token), _) => Some(token),
            // A browser says where a request that changes something comes from; one that does not say proves nothing.
            (None, Some(_)) if method != Method::GET && !headers.contains_key(header::ORIGIN) => {
                return Err(Problem::new(StatusCode::FORBIDDEN, "With a cookie the Origin header is needed too"));
            }
            (None, cookie) => cookie,
        };
        let tokens = Arc::clone(&self.tokens.borrow());
        let id = token.and_then(|token| tokens.find(&token).cloned()).ok_or_else(Problem::not_paired)?;
        self.note_use(&id, &tokens);
        Ok(id)
    }

    fn note_use(&self, id: &TokenId, tokens: &Tokens) {
        let now = sys::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(id).is_none_or(|at| now.since(*at) >= USE_INTERVAL)
            // A loop that is busy is told with the next request.
            && self.asks.try_send(Ask::Used { id: id.clone() }).is_ok()
        {
            told.retain(|id, _| tokens.has(id));
            told.insert(id.clone(), now);
        }
    }
}

/// Lets only requests through that may be made, and marks every answer as not to be kept or embedded.
pub async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let reached = request.extensions().get().copied();
    let open = OPEN.iter().any(|(path, method)| request.uri().path() == *path && request.method() == method);
    let passed = match reached {
        Some(Reached::Loopback) => judge(request.uri(), request.headers(), "http", false, is_loopback),
        Some(Reached::Tls(address)) => {
            let ours = |authority: &str| is_ours(authority, address, &guard.names);
            // The page itself may be the target of a link.
            let linked = open && request.method() == Method::GET;
            judge(request.uri(), request.headers(), "https", linked, ours).and_then(|()| {
                if !open {
                    let id = guard.computer(request.method(), request.headers())?;
                    request.extensions_mut().insert(id);
                }
                Ok(())
            })
        }
        None => Err(Problem::lost()),
    };
    let mut response = match passed {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Judges by names and origin; `linked`: links of other sites may lead here.
fn judge(
    uri: &Uri,
    headers: &HeaderMap,
    scheme: &str,
    linked: bool,
    ours: impl Fn(&str) -> bool,
) -> Result<(), Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (host, None) = (hosts.next(), hosts.next()) else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "More than one Host header"));
    };
    // An absolute request target takes the place of Host (RFC 9112 3.2.2).
    let authority = match (uri.authority(), host.map(HeaderValue::to_str)) {
        (Some(authority), _) => authority.as_str(),
        (None, Some(Ok(host))) => host,
        (None, _) => return Err(Problem::new(StatusCode::BAD_REQUEST, "The Host header is missing")),
    };
    if !ours(authority) {
        let text = match scheme {
            "http" => "This surface answers to localhost and loopback addresses only",
            _ => "This surface answers to the box's own address and names only",
        };
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, text));
    }
    let same = |origin: &HeaderValue| {
        let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix(scheme)?.strip_prefix("://"));
        origin.is_some_and(|origin| origin.eq_ignore_ascii_case(authority))
    };
    // Fetch Metadata (W3C): sent by browsers also where they send no Origin, as for pictures.
    let elsewhere = |site: &HeaderValue| !linked && site != "same-origin" && site != "none";
    if !headers.get_all(header::ORIGIN).iter().all(same) || headers.get_all("sec-fetch-site").iter().any(elsewhere) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "Web pages of other sites may not use this surface"));
    }
    Ok(())
}

/// The host of `authority`, `host[:port]`, an IPv6 address without its brackets.
fn host(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|c| c.is_ascii_digit()) => host,
        _ => authority,
    };
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Whether `authority` is a name of this machine that no name server can give to another.
fn is_loopback(authority: &str) -> bool {
    let host = host(authority);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether `authority` is what the box is called by who reached it at `address`.
fn is_ours(authority: &str, address: IpAddr, names: &[String]) -> bool {
    let host = host(authority);
    match host.parse::<IpAddr>() {
        Ok(named) => named.to_canonical() == address.to_canonical(),
        Err(_) if address.to_canonical().is_loopback() && is_loopback(authority) => true,
        Err(_) => names.iter().any(|name| name.eq_ignore_ascii_case(host.strip_suffix('.').unwrap_or(host))),
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 2.1).
fn bearer(headers: &HeaderMap) -> Result<Option<Token>, Problem> {
    let Some(given) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token = given.to_str().ok().and_then(|given| {
        let (scheme, token) = given.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| Token::parse(token.trim()))?
    });
    token.map(Some).ok_or_else(Problem::not_paired)
}

/// The token of the cookie.
fn cookie(headers: &HeaderMap) -> Option<Token> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|pairs| pairs.to_str().ok());
    let value =
        pairs.flat_map(|pairs| pairs.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    value.and_then(Token::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(target: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a value"));
        }
        code(judge(&target.parse().expect("a target"), &map, "http", false, is_loopback))
    }

    fn code<T>(verdict: Result<T, Problem>) -> u16 {
        verdict.map_or_else(|problem| problem.into_response().status().as_u16(), |_| 200)
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.1.2.3:8080", "[::1]", "[::1]:8080"] {
            assert_eq!(verdict("/", &[("host", host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1:8080",
            "0.0.0.0",
            "[::]:80",
            "",
            "localhost@evil.example",
            "localhost:80:90",
        ] {
            assert_eq!(verdict("/", &[("host", host)]), 421, "{host}");
        }
        assert_eq!(verdict("/", &[]), 400);
        assert_eq!(verdict("/", &[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(verdict("http://evil.example/", &[("host", "localhost")]), 421);
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let from = |name: &'static str, value: &str| verdict("/", &[("host", "localhost:8080"), (name, value)]);
        assert_eq!(from("origin", "http://localhost:8080"), 200);
        for origin in ["null", "https://localhost:8080", "http://localhost:3000", "http://evil.example", ""] {
            assert_eq!(from("origin", origin), 403, "{origin}");
        }
        assert_eq!((from("sec-fetch-site", "same-origin"), from("sec-fetch-site", "none")), (200, 200));
        assert_eq!((from("sec-fetch-site", "cross-site"), from("sec-fetch-site", "same-site")), (403, 403));
    }

    #[test]
    fn beyond_loopback_the_box_has_the_address_that_was_reached_and_its_names() {
        let names = ["fc-1".to_owned(), "fc-1.local".to_owned()];
        let ours = |authority: &str, address: &str| is_ours(authority, address.parse().expect("an address"), &names);
        for (authority, address) in [
            ("192.0.2.7:8443", "192.0.2.7"),
            ("192.0.2.7", "::ffff:192.0.2.7"),
            ("[2001:db8::7]:8443", "2001:db8::7"),
            ("[2001:DB8:0::7]", "2001:db8::7"),
            ("FC-1.local:8443", "192.0.2.7"),
            ("fc-1.local.", "192.0.2.7"),
            ("localhost:8443", "127.0.0.1"),
        ] {
            assert!(ours(authority, address), "{authority}");
        }
        for authority in [
            "evil.example",
            "fc-1.local.evil.example",
            "evil.example:fc-1",
            "192.0.2.8",
            "0.0.0.0:8443",
            "localhost:8443",
            "127.0.0.1:8443",
            "[::1]",
            "fc-1@evil.example",
            "",
        ] {
            assert!(!ours(authority, "192.0.2.7"), "{authority}");
        }
    }

    #[test]
    fn a_token_comes_as_bearer_or_cookie() {
        let (digits, other) = ("ab".repeat(32), "cd".repeat(32));
        let headers = |lines: &[(&'static str, String)]| {
            let mut map = HeaderMap::new();
            for (name, value) in lines {
                map.append(*name, value.parse().expect("a value"));
            }
            map
        };
        let given = |text: String| bearer(&headers(&[("authorization", text)])).map(|token| token.map(|t| t.reveal()));
        assert_eq!(given(format!("bearer {digits}")).expect("read"), Some(digits.clone()));
        for wrong in [digits.clone(), format!("Basic {digits}"), "Bearer".into(), format!("Bearer {digits}0")] {
            assert_eq!(code(given(wrong)), 401);
        }
        let sent = |text: String| cookie(&headers(&[("cookie", text)])).map(|token| token.reveal());
        assert_eq!(sent(format!("a=b; {COOKIE}={digits};c=d")), Some(digits.clone()));
        assert_eq!(sent(format!("{COOKIE}={digits}; {COOKIE}={other}")), Some(digits.clone()));
        for wrong in [format!("fieldcast={digits}"), format!("{COOKIE}2={digits}"), format!("{COOKIE}={digits}\"")] {
            assert_eq!(sent(wrong), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_authority_but_its_own_is_the_boxs(authority in "([a-z.:\\[\\]@0-9]{0,20}|.{0,12})(fc-1|192.0.2.7)?([.:@][a-z0-9.]{0,8})?") {
            let names = ["fc-1".to_owned()];
            if is_ours(&authority, "192.0.2.7".parse().expect("an address"), &names) {
                let bare = host(&authority).trim_end_matches('.').to_ascii_lowercase();
                proptest::prop_assert!(bare == "fc-1" || bare.ends_with("192.0.2.7") || bare.contains("c000:207"), "{}", authority);
            }
        }
    }
}
