//! Refuses what a web page of another site makes a browser send to loopback: by name (DNS rebinding), by `Origin`, and by
//! what the browser says of the fetch.

use super::problem::Problem;
use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::net::IpAddr;

/// Lets only requests through that were made on this machine, and marks every answer as not to be kept or embedded.
pub async fn guard(request: Request, next: Next) -> Response {
    let mut response = match judge(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn judge(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
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
    if !is_loopback(authority) {
        let text = "This surface answers to localhost and loopback addresses only";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, text));
    }
    let same = |origin: &HeaderValue| {
        let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        origin.is_some_and(|origin| origin.eq_ignore_ascii_case(authority))
    };
    // Fetch Metadata (W3C): sent by browsers also where they send no Origin, as for pictures.
    let elsewhere = |site: &HeaderValue| site != "same-origin" && site != "none";
    if !headers.get_all(header::ORIGIN).iter().all(same) || headers.get_all("sec-fetch-site").iter().any(elsewhere) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "Web pages of other sites may not use this surface"));
    }
    Ok(())
}

/// Whether `authority`, `host[:port]`, is a name of this machine that no name server can give to another.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|c| c.is_ascii_digit()) => host,
        _ => authority,
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(target: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a value"));
        }
        match judge(&target.parse().expect("a target"), &map) {
            Ok(()) => 200,
            Err(problem) => problem.into_response().status().as_u16(),
        }
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
}
