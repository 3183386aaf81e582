//! One call of X's API: time-outs, limits, repeats, and what an error of the connection means.

use super::{
    Trouble,
    answer::Reply,
    lost,
    oauth1::{self, Keys},
    rates::Rates,
};
use crate::{settings::Secret, sys, uplink::trust::Trust};
use bytes::Bytes;
use http::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use jiff::{SignedDuration, Timestamp};
use reqwest::multipart::{Form, Part};
use rustls::time_provider::TimeProvider;
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// Name look-up, connection and TLS.
const CONNECT: Duration = Duration::from_secs(10);
/// A whole call with its repeats, without the time that a long body needs.
const PATIENCE: Duration = Duration::from_secs(30);
/// A body may be sent as slowly as this, in bytes per second.
const SLOWEST: u64 = 16 * 1024;
/// A connection that was not used for so long is not used again.
const IDLE: Duration = Duration::from_secs(20);
/// Most bytes of an answer.
const LONGEST: usize = 8 * 1024 * 1024;
/// Most times that a call is sent again.
const REPEATS: u32 = 3;

/// One call of the API. Tokens may be in it: it is never printed.
#[derive(Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path, such as `/2/sources`.
    pub path: String,
    /// Parameters of the query, not yet encoded.
    pub query: Vec<(&'static str, String)>,
    /// The body.
    pub body: Body,
    /// Whether it may be sent again.
    pub repeat: Repeat,
}

/// The body of a call.
#[derive(Clone)]
pub enum Body {
    /// None.
    None,
    /// JSON.
    Json(Value),
    /// A form.
    Form(Vec<(&'static str, String)>),
    /// A multipart form with one file.
    Parts {
        /// Its other fields.
        fields: Vec<(&'static str, String)>,
        /// The field of the file.
        name: &'static str,
        /// The file, or a piece of it.
        bytes: Bytes,
    },
}

/// Whether a call may be sent again after an answer that was lost or says that the API is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Twice is the same as once.
    May,
    /// Twice may be two Broadcasts, Sources or posts.
    Never,
}

impl Call {
    /// A question.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Body::None, Repeat::May)
    }

    /// A call of any kind.
    pub fn new(method: Method, path: impl Into<String>, body: Body, repeat: Repeat) -> Self {
        Self { method, path: path.into(), query: Vec::new(), body, repeat }
    }

    /// With parameter `name` of the query.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    fn length(&self) -> usize {
        if let Body::Parts { bytes, .. } = &self.body { bytes.len() } else { 0 }
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nobody: the call has its own proof in it.
    None,
    /// A token of OAuth 2.0.
    Bearer(Secret),
    /// A signature of OAuth 1.0a.
    Signed(Keys),
}

/// The API at one base URL.
pub(super) struct Client {
    http: reqwest::Client,
    /// The same with a connection for each call: one that was kept may be closed by now, and what is sent into it is lost.
    fresh: reqwest::Client,
    base: String,
    clock: Arc<dyn TimeProvider>,
    rates: Rates,
}

impl Client {
    /// `base`: checked by [`super::types::check_base_url`].
    pub fn new(base: &str, trust: &Trust) -> Result<Self, String> {
        let tls = trust.client_config()?;
        let build = |kept: usize| {
            let builder = reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .http1_only()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT)
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(kept)
                .user_agent(concat!("fieldcast/", env!("CARGO_PKG_VERSION")));
            // A proxy, as the environment says (`HTTPS_PROXY`, `NO_PROXY`), is not asked for a stand-in on loopback.
            let builder = if base.starts_with("http://") { builder.no_proxy() } else { builder };
            builder.build().map_err(|_| "TLS cannot be set up".to_owned())
        };
        let (http, fresh) = (build(4)?, build(0)?);
        let (base, clock) = (base.trim_end_matches('/').to_owned(), trust.clock());
        Ok(Self { http, fresh, base, clock, rates: Rates::default() })
    }

    /// For other hosts than the API's.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Whether the API is on this machine.
    pub fn is_local(&self) -> bool {
        self.base.starts_with("http://")
    }

    /// What time it is, as certificates are judged.
    pub fn calendar(&self) -> Timestamp {
        let now = self.clock.current_time().map_or(0, |time| time.as_secs());
        i64::try_from(now).ok().and_then(|now| Timestamp::from_second(now).ok()).unwrap_or_default()
    }

    /// How far the own calendar was from X's when this answer came.
    pub fn off_by(&self, reply: &Reply) -> Option<SignedDuration> {
        Some(self.calendar().duration_since(reply.date?))
    }

    /// Sends `call` for `account` until there is an answer, of whatever status.
    pub async fn send(&self, account: &str, proof: &Proof, call: &Call) -> Result<Reply, Trouble> {
        let route = Rates::route(account, call.method.as_str(), &call.path);
        let length = u64::try_from(call.length()).unwrap_or(u64::MAX);
        let patience = PATIENCE + Duration::from_secs(length / SLOWEST);
        let end = sys::now() + patience;
        let mut sent = 0;
        loop {
            self.rates.wait(&route).await?;
            let left = end.since(sys::now());
            let outcome = match tokio::time::timeout(left, self.once(proof, call, &route)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Trouble::AnswerLost),
            };
            sent += 1;
            let may = call.repeat == Repeat::May;
            let again = match &outcome {
                Err(Trouble::Unreachable) => true,
                Err(Trouble::AnswerLost) => may,
                // Refused before it was done.
                Ok(reply) if reply.status == 429 => true,
                Ok(reply) => reply.status >= 500 && may,
                Err(_) => false,
            };
            // A last try has to have the time to see whether there is a connection, which tells unsent from lost.
            let pause = pause(sent, fastrand::f64());
            if !again || sent > REPEATS || sys::now() + pause + CONNECT > end {
                return outcome;
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn once(&self, proof: &Proof, call: &Call, route: &str) -> Result<Reply, Trouble> {
        let response = self.request(proof, call)?.send().await.map_err(|error| lost::trouble(&error))?;
        self.rates.note(route, response.status().as_u16(), response.headers(), self.calendar());
        read(response).await
    }

    fn request(&self, proof: &Proof, call: &Call) -> Result<reqwest::RequestBuilder, Trouble> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-');
        if !call.path.starts_with('/') || !call.path.chars().all(plain) {
            return Err(Trouble::Refused("an id is not of letters and digits".into()));
        }
        let url = reqwest::Url::parse(&format!("{}{}", self.base, call.path));
        let url = url.map_err(|_| Trouble::Refused("base-url is not a URL".into()))?;
        let http = if call.repeat == Repeat::May { &self.http } else { &self.fresh };
        let mut request = http.request(call.method.clone(), url.clone());
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        request = match &call.body {
            Body::None => request,
            Body::Json(value) => request.header(CONTENT_TYPE, "application/json").body(value.to_string()),
            Body::Form(fields) => request.form(fields),
            Body::Parts { fields, name, bytes } => {
                let mut form = Form::new();
                for (name, value) in fields {
                    form = form.text(*name, value.clone());
                }
                let file = Part::stream_with_length(bytes.clone(), bytes.len() as u64).file_name("media");
                request.multipart(form.part(*name, file))
            }
        };
        Ok(match proof {
            Proof::None => request,
            Proof::Bearer(token) => request.header(AUTHORIZATION, secret(&format!("Bearer {}", token.reveal()))?),
            Proof::Signed(keys) => {
                let form = if let Body::Form(fields) = &call.body { fields.as_slice() } else { &[] };
                let all = call.query.iter().chain(form);
                let all: Vec<_> = all.map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
                let nonce: String = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
                let time = u64::try_from(self.calendar().as_second()).unwrap_or(0);
                let signed = oauth1::authorization(keys, call.method.as_str(), url.as_str(), &all, &nonce, time);
                request.header(AUTHORIZATION, secret(&signed)?)
            }
        })
    }
}

/// A header that is not shown when the request is printed.
fn secret(text: &str) -> Result<http::HeaderValue, Trouble> {
    let mut value = http::HeaderValue::from_str(text).map_err(|_| Trouble::Revoked)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The whole answer, if it is not too long.
///
/// # Errors
/// It broke off, or is longer than 8 MiB.
pub(super) async fn read(mut response: reqwest::Response) -> Result<Reply, Trouble> {
    let header = |name: http::HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    let date = header(http::header::DATE).and_then(date_of);
    let location = header(http::header::LOCATION).map(str::to_owned);
    let (status, mut body) = (response.status().as_u16(), Vec::new());
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > LONGEST => {
                return Err(Trouble::Garbled("it is longer than 8 MiB".into()));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(Reply { status, location, date, body }),
            Err(_) => return Err(Trouble::AnswerLost),
        }
    }
}

/// A field `Date` (RFC 9110, 5.6.7).
pub(super) fn date_of(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// How long to wait before a call is sent again: about 0.5, 1 and 2 s, by a random half more or less.
fn pause(sent: u32, random: f64) -> Duration {
    let base = Duration::from_millis(500 << sent.saturating_sub(1).min(4));
    base.mul_f64(0.5 + random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        process::Command,
    };

    #[test]
    fn pauses_grow_and_differ() {
        assert_eq!(pause(1, 0.0), Duration::from_millis(250));
        assert_eq!(pause(1, 0.5), Duration::from_millis(500));
        assert_eq!(pause(3, 1.0), Duration::from_secs(3));
        assert!(pause(u32::MAX, 7.0) <= Duration::from_secs(12));
    }

    fn client(base: &str) -> Client {
        Client::new(base, &Trust::in_authorities([], Duration::ZERO)).expect("a client")
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    #[test]
    fn a_path_stays_where_it_is() {
        let client = client("http://127.0.0.1:9/base/");
        let path = |path: &str| client.request(&Proof::None, &Call::get(path)).is_ok();
        assert!(path("/2/sources/1923/stream_key"));
        for wrong in ["2/sources", "/2/sources/../x", "/2/a?b", "/2/a b", "/2/a%2e", "/2/a#b", "/2/\u{e4}"] {
            assert!(!path(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_token_that_is_no_header_is_not_sent() {
        let client = client("http://127.0.0.1:9");
        let proof = Proof::Bearer(Secret::new("a\r\nb: c"));
        assert_eq!(client.request(&proof, &Call::get("/2/sources")).err(), Some(Trouble::Revoked));
        let proof = Proof::Bearer(Secret::new("a-token"));
        let request = client.request(&proof, &Call::get("/2/sources")).expect("a request");
        assert!(!format!("{:?}", request.build()).contains("a-token"));
    }

    #[test]
    fn nobody_there_is_not_reached() {
        let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address");
        let outcome =
            runtime().block_on(client(&format!("http://{closed}")).send("", &Proof::None, &Call::get("/2/a")));
        assert_eq!(outcome.err(), Some(Trouble::Unreachable));
    }

    #[test]
    fn what_speaks_no_tls_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let base = format!("https://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let _ = stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n");
                let _ = stream.read(&mut [0; 512]);
            }
        });
        let outcome = runtime().block_on(client(&base).send("", &Proof::None, &Call::get("/2/a")));
        assert!(matches!(outcome, Err(Trouble::Tls(_))), "{outcome:?}");
    }

    #[test]
    fn the_proxy_of_the_environment_is_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let proxy = format!("http://{}", listener.local_addr().expect("an address"));
        // The environment is that of a whole process.
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--ignored", "--exact", "studio::client::tests::asks_by_a_proxy"])
            .env_remove("NO_PROXY")
            .env_remove("no_proxy")
            .env("HTTPS_PROXY", &proxy)
            .env("https_proxy", &proxy)
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("a child");
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut head = [0; 64];
        let length = stream.read(&mut head).expect("a request");
        assert!(head[..length].starts_with(b"CONNECT studio.invalid:443 "), "{:?}", String::from_utf8_lossy(&head));
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").expect("written");
        drop((stream, listener));
        assert!(child.wait().expect("it ends").success());
    }

    #[test]
    #[ignore = "run by the_proxy_of_the_environment_is_asked with a proxy"]
    fn asks_by_a_proxy() {
        let call = Call { repeat: Repeat::Never, ..Call::get("/2/a") };
        let outcome = runtime().block_on(client("https://studio.invalid").send("", &Proof::None, &call));
        assert_eq!(outcome.err(), Some(Trouble::Unreachable));
    }
}
