//! From a connection to an answer: who asks, may they, is it well formed, and what comes of it.

use super::{
    faults::Fault,
    oauth,
    reply::{Content, Refusal, Reply, Sent, Shape, made_byte},
    routes::{Call, Route},
    schema::{self, Wrong, api},
    signed,
    world::{Account, Asked, World, rate_headers},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{
    HeaderMap, Request, Response,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, IF_RANGE, RANGE},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{net::TcpListener, sync::watch};

pub type Shared = Arc<Mutex<World>>;

/// The longest body that is read, in bytes: an image or GIF at once, as base64.
const LONGEST: usize = 24 * 1024 * 1024;

/// What the client gets.
pub enum Answer {
    Send(Sent),
    Cut,
    Hang,
}

pub fn lock(shared: &Shared) -> MutexGuard<'_, World> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves this address while `open` says so; when it says no, nothing listens and every connection is cut.
pub async fn listen(first: TcpListener, is_api: bool, shared: Shared, mut open: watch::Receiver<bool>) {
    let address: SocketAddr = first.local_addr().expect("an address");
    let mut listener = Some(first);
    loop {
        if !*open.borrow_and_update() {
            listener = None;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(address).await.expect("the same port"));
        }
        let connection = tokio::select! {
            connection = accept(listener.as_ref()) => connection,
            changed = open.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let Ok(stream) = connection else { continue };
        let (shared, mut open) = (Arc::clone(&shared), open.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&shared), is_api, request));
            let server = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = server => {}
                _ = open.wait_for(|open| !*open) => {}
            }
        });
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<tokio::net::TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// The fields of a body, and the file in it.
type Fields = (Map<String, Value>, Bytes);

/// A request as it came.
struct Raw {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
    /// The fields and the file of a multipart body.
    multipart: Option<Result<Fields, Wrong>>,
}

impl Raw {
    fn header(&self, name: hyper::header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The media type without its parameters.
    fn content_type(&self) -> &str {
        self.header(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim()
    }
}

/// An error cuts the connection.
async fn answer(shared: Shared, is_api: bool, request: Request<Incoming>) -> io::Result<Response<Sent>> {
    let (head, body) = request.into_parts();
    let (method, path) = (head.method.to_string(), head.uri.path().to_owned());
    if !is_api && path.starts_with("/ingest/") {
        return super::ingest::told(&shared, &path, body).await;
    }
    let found = Route::of(&method, &path).filter(|(route, _)| route.is_api() == is_api);
    let number = {
        let mut world = lock(&shared);
        let template = found.as_ref().map_or("", |(route, _)| route.template()).to_owned();
        // A path of no route is not told: a key may be in it.
        let shown = if found.is_some() { path.clone() } else { "?".into() };
        if !is_api && head.headers.contains_key(AUTHORIZATION) {
            world.violations.push(format!("{method} {shown}: a token was given to another host than the API's"));
        }
        let at = world.now();
        world.asked.push(Asked { at, method: method.clone(), path: shown, template, status: None, refusal: None });
        world.asked.len() - 1
    };
    let Ok(body) = Limited::new(body, LONGEST).collect().await else {
        return send(&shared, number, Refusal::plain(413, "Too long.").reply(Shape::Problem), None).await;
    };
    let query = head.uri.query().unwrap_or_default();
    let mut raw = Raw {
        method,
        path,
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: head.headers,
        body: body.to_bytes(),
        multipart: None,
    };
    if raw.content_type() == "multipart/form-data" {
        raw.multipart = Some(multipart(&raw).await);
    }
    let (reply, fault) = decide(&mut lock(&shared), number, found, &raw);
    send(&shared, number, reply, fault).await
}

/// The answer, and the fault that is to spoil it.
fn decide(
    world: &mut World,
    number: usize,
    found: Option<(Route, BTreeMap<String, String>)>,
    raw: &Raw,
) -> (Reply, Option<Fault>) {
    let Some((route, path)) = found else {
        if raw.path.starts_with("/2/") {
            world.violations.push(format!("{} on a path of the API that is no route", raw.method));
        }
        return (Refusal::plain(404, "There is nothing here.").reply(Shape::Problem), None);
    };
    let fault = world.fault(route);
    if let Some(fault) = fault.as_ref().filter(|fault| fault.is_before()) {
        return (before(world, number, fault), Some(fault.clone()));
    }
    super::broadcasts::pass_time(world);
    let mut headers = Vec::new();
    let outcome = carry_out(world, number, route, path, raw, &mut headers);
    let mut reply = match outcome {
        Ok(mut reply) => {
            let body = if let Content::Json(body) = &reply.content { Some(body) } else { None };
            if let Some(wrong) = route.operation().wrong_reply(reply.status, body) {
                world.violations.push(format!("a reply of the stand-in's, {route:?}: {wrong}"));
            }
            if let Content::Json(body) = &mut reply.content
                && world.settings.unknown_fields
            {
                add_unknown(body);
            }
            reply
        }
        Err(refusal) => refused(world, number, &refusal),
    };
    reply.headers.append(&mut headers);
    (reply, fault)
}

fn refused(world: &mut World, number: usize, refusal: &Refusal) -> Reply {
    world.asked[number].refusal = Some(refusal.detail.clone());
    let reply = refusal.reply(world.shape());
    if let Content::Json(body) = &reply.content
        && let Some(wrong) = api().wrong_error(body)
    {
        world.violations.push(format!("an error of the stand-in's: {wrong}"));
    }
    reply
}

/// What is answered instead of carrying it out.
fn before(world: &mut World, number: usize, fault: &Fault) -> Reply {
    if let Some(refusal) = fault.refusal() {
        let mut reply = refused(world, number, &refusal);
        if let Fault::TooMany(wait) = fault {
            reply.headers.append(&mut rate_headers(450, 0, world.now() + *wait));
        }
        return reply;
    }
    match fault {
        Fault::RedirectAway => Reply::to(307, format!("{}/away", world.elsewhere)),
        Fault::Html(status) => Reply::empty(*status),
        _ => Reply::empty(500),
    }
}

/// Checks all that can be checked without knowing what the route does, and lets the route do it.
fn carry_out(
    world: &mut World,
    number: usize,
    route: Route,
    path: BTreeMap<String, String>,
    raw: &Raw,
    headers: &mut Vec<(&'static str, String)>,
) -> Result<Reply, Refusal> {
    let operation = route.operation();
    let is_token = matches!(route, Route::Token | Route::Revoke);
    let invalid = |wrong: Wrong| match is_token {
        true => Refusal::token("invalid_request", &wrong.text),
        false => Refusal::invalid(&wrong.parameter, wrong.text),
    };
    let account = match &operation.scopes {
        None if is_token && raw.headers.contains_key(AUTHORIZATION) => {
            return Err(Refusal::token("invalid_client", "A public client has no credentials."));
        }
        None => None,
        Some(scopes) => {
            let account = account(world, raw)?;
            let (mut told, too_many) = world.spend(account.user, route);
            headers.append(&mut told);
            if too_many {
                return Err(Refusal::plain(429, "Too Many Requests"));
            }
            let lacks = |given: &Vec<String>| scopes.iter().any(|scope| !given.contains(scope));
            if account.scopes.as_ref().is_some_and(lacks) {
                return Err(Refusal::plain(403, "The token lacks a scope."));
            }
            Some(account)
        }
    };
    let arguments = operation.arguments(path, &raw.query).map_err(|wrong| {
        // The path may be a key.
        world.asked[number].path = route.template().to_owned();
        invalid(wrong)
    })?;
    let (body, media) = body(route, raw).map_err(invalid)?;
    let header = |name| raw.header(name).map(str::to_owned);
    let call = Call { account, arguments, body, media, range: header(RANGE), if_range: header(IF_RANGE) };
    route.handler()(world, &call)
}

fn account(world: &mut World, raw: &Raw) -> Result<Account, Refusal> {
    let unauthorized = |why: &str| Refusal::plain(401, &format!("Unauthorized: {why}"));
    let header = raw.header(AUTHORIZATION).ok_or_else(|| unauthorized("no token"))?;
    if let Some(token) = header.strip_prefix("Bearer ") {
        return oauth::account(world, token).ok_or_else(|| unauthorized("the token is not known, expired or revoked"));
    }
    let signed = header.strip_prefix("OAuth ").ok_or_else(|| unauthorized("neither Bearer nor OAuth"))?;
    let url = format!("http://{}{}", raw.header(HOST).unwrap_or_default(), raw.path);
    // Bodies of JSON and multipart are not signed (facts 3); routes with a form take no signature.
    signed::account(world, signed, &raw.method, &url, &raw.query).map_err(|why| unauthorized(&why))
}

/// The body as JSON, checked, and the file in it.
fn body(route: Route, raw: &Raw) -> Result<(Value, Bytes), Wrong> {
    let operation = route.operation();
    if !operation.takes_a_body() {
        let none = raw.body.is_empty();
        return if none { Ok((Value::Null, Bytes::new())) } else { Err(Wrong::new("", "This route takes no body.")) };
    }
    let kind = raw.content_type();
    let (body, media) = match (kind, &raw.multipart) {
        ("application/x-www-form-urlencoded", _) => (Value::Object(schema::form(&raw.body)?), Bytes::new()),
        (_, Some(Ok((fields, media)))) => (Value::Object(fields.clone()), media.clone()),
        (_, Some(Err(wrong))) => return Err(Wrong::new(&wrong.parameter, &wrong.text)),
        _ => {
            let mut body: Value =
                serde_json::from_slice(&raw.body).map_err(|error| Wrong::new("", format!("not JSON: {error}")))?;
            let mut media = Bytes::new();
            if let Some(Value::String(text)) = body.get_mut("media").filter(|_| route != Route::CreatePost) {
                let bytes = STANDARD.decode(&*text).map_err(|_| Wrong::new("media", "not base64"))?;
                media = bytes.into();
                text.clear();
            }
            (body, media)
        }
    };
    operation.check_body(kind, &body)?;
    Ok((body, media))
}

/// The fields of a multipart body; numbers are numbers, and the file is a word in its place.
async fn multipart(raw: &Raw) -> Result<Fields, Wrong> {
    let wrong = |error: multer::Error| Wrong::new("", format!("multipart: {error}"));
    let boundary = multer::parse_boundary(raw.header(CONTENT_TYPE).unwrap_or_default()).map_err(wrong)?;
    let whole = tokio_stream::once(Ok::<_, Infallible>(raw.body.clone()));
    let (mut parts, mut fields, mut media) = (multer::Multipart::new(whole, boundary), Map::new(), Bytes::new());
    while let Some(part) = parts.next_field().await.map_err(wrong)? {
        let name = part.name().unwrap_or_default().to_owned();
        let value = if name == "media" {
            media = part.bytes().await.map_err(wrong)?;
            json!("")
        } else {
            let text = part.text().await.map_err(wrong)?;
            text.parse::<u64>().ok().filter(|_| name == "segment_index").map_or(json!(text), |number| json!(number))
        };
        if fields.insert(name.clone(), value).is_some() {
            return Err(Wrong::new(name, "is there twice"));
        }
    }
    Ok((fields, media))
}

/// Fields that a later version of the API may have: clients ignore them.
fn add_unknown(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().filter(|value| value.is_object() || value.is_array()).for_each(add_unknown);
            fields.insert("not_known_yet".into(), json!({"since": "a later version"}));
        }
        Value::Array(all) => all.iter_mut().for_each(add_unknown),
        _ => {}
    }
}

async fn send(shared: &Shared, number: usize, reply: Reply, fault: Option<Fault>) -> io::Result<Response<Sent>> {
    let html = || Bytes::from("<!DOCTYPE html><html><body><h1>Over capacity</h1></body></html>");
    let (right, start, length) = match (&reply.content, &fault) {
        (Content::None, Some(Fault::Html(_))) => (Sent::Whole(html()), html(), html().len() as u64),
        (Content::None, _) => (Sent::Whole(Bytes::new()), Bytes::new(), 0),
        (Content::Json(body), _) => {
            let text = Bytes::from(body.to_string());
            (Sent::Whole(text.clone()), text.clone(), text.len() as u64)
        }
        (Content::File(from, end), fault) => {
            // Only what a fault needs of it.
            let some = if fault.is_some() { (*end).min(from + 1_000_000) } else { *from };
            let start = (*from..some).map(made_byte).collect::<Vec<_>>();
            (Sent::Made(*from, *end), start.into(), end - from)
        }
    };
    let answer = match &fault {
        Some(Fault::Cut) => Answer::Cut,
        Some(Fault::Hang) => Answer::Hang,
        Some(fault) if !fault.is_before() => fault.spoil(start, length),
        _ => Answer::Send(right),
    };
    let body = match answer {
        Answer::Send(body) => body,
        Answer::Cut => return Err(io::Error::other("cut, as a test asked for")),
        Answer::Hang => std::future::pending().await,
    };
    lock(shared).asked[number].status = Some(reply.status);
    let mut response = Response::builder().status(reply.status);
    let kind = match reply.content {
        Content::Json(_) => Some("application/json; charset=utf-8"),
        Content::None if matches!(fault, Some(Fault::Html(_))) => Some("text/html"),
        _ => None,
    };
    if let Some(kind) = kind.filter(|_| reply.headers.iter().all(|(name, _)| *name != "content-type")) {
        response = response.header(CONTENT_TYPE, kind);
    }
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    Ok(response.body(body).expect("a right head"))
}
