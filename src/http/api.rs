//! Routes and what each answers.

use super::{
    Ask, Interface, READ_TIMEOUT, events,
    guard::{COOKIE, Guard, Reached, guard},
    metrics, page,
    pairing::{Pin, Refusal, seconds},
    preview::Preview,
    problem::Problem,
    studio,
    tokens::{NAME_CHARS, TokenId},
    upload,
};
use crate::command::{Answer, Command, Origin, studio::What};
use axum::{
    Extension, Json, Router,
    body::HttpBody as _,
    extract::{DefaultBodyLimit, FromRequest as _, Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Response, Sse, sse::KeepAlive},
    routing::{get, post},
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Most bytes of a command's arguments.
pub(super) const BODY_BYTES: usize = 64 * 1024;
/// Most bytes of a request to pair.
const PAIR_BYTES: usize = 1024;
/// How long a browser keeps the token, seconds: 400 days, the most that it may (RFC 6265bis 5.5).
const COOKIE_AGE: u64 = 400 * 24 * 3600;
/// Time for the one answer to a command: `start` takes up to 30 s.
const COMMAND_DEADLINE: Duration = Duration::from_secs(35);
/// The same where the Studio is asked, which may want to be asked again; and where a whole file goes over a field's network.
const STUDIO_DEADLINE: Duration = Duration::from_secs(120);
const FILE_DEADLINE: Duration = Duration::from_secs(6 * 3600);
/// Time in which the working loop has to come round.
const HEALTH_DEADLINE: Duration = Duration::from_secs(5);
/// Event streams at a time: they stay open, and must leave connections for commands.
const STREAMS: usize = 16;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Clone)]
pub(super) struct Api {
    pub(super) interface: Interface,
    preview: Arc<Preview>,
    streams: Arc<Semaphore>,
    /// One computer is paired at a time: who guesses cannot keep the loop busy.
    pairing: Arc<Semaphore>,
    /// One bundle comes at a time.
    pub(super) uploads: Arc<Semaphore>,
}

/// All routes, guarded; `names` are those by which the box may be called beyond loopback.
pub fn router(interface: Interface, names: Arc<[String]>) -> Router {
    let guarded = Guard::new(names, interface.tokens.clone(), interface.asks.clone());
    let api = Api {
        interface,
        preview: Arc::default(),
        streams: Arc::new(Semaphore::new(STREAMS)),
        pairing: Arc::new(Semaphore::new(1)),
        uploads: Arc::new(Semaphore::new(1)),
    };
    page::routes()
        .route("/api/v1/pair", post(pair))
        .route("/api/v1/status", get(status))
        .route("/api/v1/events", get(stream))
        .route("/api/v1/settings", get(settings))
        .route("/api/v1/commands/{name}", post(command))
        .route("/api/v1/update", post(upload::upload))
        .nest("/api/v1/studio", studio::routes())
        .route("/preview.jpg", get(picture))
        .route("/metrics", get(figures))
        .route("/healthz", get(health))
        .fallback(async || {
            Problem::new(StatusCode::NOT_FOUND, "There is nothing here; the status is at /api/v1/status")
        })
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Commands take POST, everything else GET")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn_with_state(guarded, guard))
        .with_state(api)
}

/// Asks the working loop and waits for its reply, for `deadline` at most.
pub async fn ask<T>(
    asks: &mpsc::Sender<Ask>,
    deadline: Duration,
    question: impl FnOnce(oneshot::Sender<T>) -> Ask,
) -> Result<T, Problem> {
    let (reply, answer) = oneshot::channel();
    let asked = async {
        asks.send(question(reply)).await.map_err(|_| Problem::lost())?;
        answer.await.map_err(|_| Problem::lost())
    };
    tokio::time::timeout(deadline, asked).await.unwrap_or_else(|_| Err(Problem::no_answer()))
}

pub(super) async fn command_answer(api: &Api, command: Command) -> Result<Answer, Problem> {
    let deadline = match &command {
        Command::Studio(request) if matches!(request.what, What::Upload { .. } | What::Download { .. }) => {
            FILE_DEADLINE
        }
        Command::Update { .. } => FILE_DEADLINE,
        Command::Studio(_) | Command::Publish(_) | Command::End { .. } => STUDIO_DEADLINE,
        _ => COMMAND_DEADLINE,
    };
    let question = |reply| Ask::Command { command, origin: Origin::Http, reply, progress: None };
    ask(&api.interface.asks, deadline, question).await
}

async fn status(State(api): State<Api>) -> Response {
    let status = Arc::clone(&api.interface.status.borrow());
    Json(&*status).into_response()
}

async fn stream(State(api): State<Api>, computer: Option<Extension<TokenId>>) -> Result<Response, Problem> {
    let Ok(slot) = api.streams.try_acquire_owned() else {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "There are 16 event streams already; close one"));
    };
    let mut tokens = api.interface.tokens;
    let revoked = async move {
        match computer {
            // When nobody is left who could revoke it, the box is ending.
            Some(Extension(id)) => drop(tokens.wait_for(|tokens| !tokens.has(&id)).await),
            None => std::future::pending().await,
        }
    };
    let events = events::stream(api.interface.status, slot, revoked);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

async fn settings(State(api): State<Api>) -> Result<Response, Problem> {
    Ok(match command_answer(&api, Command::Settings).await? {
        Answer::Successful { result } => Json(result).into_response(),
        failed => failed.into_response(),
    })
}

/// Gives a computer a token for the PIN that the box shows.
async fn pair(
    State(api): State<Api>,
    Extension(reached): Extension<Reached>,
    request: Request,
) -> Result<Response, Problem> {
    if reached == Reached::Loopback {
        return Err(Problem::new(StatusCode::CONFLICT, "On loopback no token is needed: computers pair over HTTPS"));
    }
    let Ok(_turn) = api.pairing.try_acquire() else {
        return Err(Problem::too_many("Another computer is being paired: try again", 1));
    };
    let (pin, name) = claim(&arguments(request, PAIR_BYTES).await?)?;
    let token = ask(&api.interface.asks, HEALTH_DEADLINE, |reply| Ask::Pair { pin, name, reply }).await?;
    let token = token.map_err(refused)?.reveal();
    let cookie = format!("{COOKIE}={token}; Path=/; Max-Age={COOKIE_AGE}; Secure; HttpOnly; SameSite=Strict");
    Ok(([(header::SET_COOKIE, cookie)], Json(json!({ "token": token }))).into_response())
}

/// Reads who wants to pair: `{"pin": "123456", "name": "Anna's laptop"}`.
fn claim(arguments: &Value) -> Result<(Pin, String), Problem> {
    let Some(given) = arguments.as_object() else {
        return Err(Problem::wrong("pin", "Send the PIN and a name for this computer as a JSON object"));
    };
    if let Some(unknown) = given.keys().find(|key| !["pin", "name"].contains(&key.as_str())) {
        return Err(Problem::wrong(unknown, "Unknown; there are pin and name"));
    }
    let pin = given.get("pin").and_then(Value::as_str).and_then(Pin::parse);
    let pin = pin.ok_or_else(|| Problem::wrong("pin", "The PIN is a text of six digits"))?;
    let name = given
        .get("name")
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|name| !name.is_empty() && name.chars().count() <= NAME_CHARS && !name.chars().any(is_unseen));
    let name = name.ok_or_else(|| Problem::wrong("name", "The name has 1 to 64 characters on one line"))?;
    Ok((pin, name.into()))
}

/// Whether it moves or turns what stands beside it instead of being seen (Unicode, UAX #9).
fn is_unseen(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn refused(refusal: Refusal) -> Problem {
    let text = refusal.text();
    match refusal {
        Refusal::NoPin | Refusal::Full => Problem::new(StatusCode::CONFLICT, text),
        Refusal::Wrong { .. } => Problem::new(StatusCode::FORBIDDEN, text),
        Refusal::Wait(wait) => Problem::too_many(text, seconds(wait)),
        Refusal::NotKept => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, text),
    }
}

async fn command(State(api): State<Api>, Path(name): Path<String>, request: Request) -> Result<Response, Problem> {
    let arguments = arguments(request, BODY_BYTES).await?;
    Ok(match Command::parse(&name, &arguments) {
        Ok(command) => command_answer(&api, command).await?.into_response(),
        Err(answer) => answer.into_response(),
    })
}

/// Reads the body of at most `most` bytes, which the router does not let be more than 64 KiB: an object, or nothing.
pub(super) async fn arguments(request: Request, most: usize) -> Result<Value, Problem> {
    let json = is_json(request.headers());
    let too_large =
        || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("Arguments have at most {} KiB", most / 1024));
    // By Content-Length, before any of it is waited for.
    if request.body().size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    let body = tokio::time::timeout(READ_TIMEOUT, Bytes::from_request(request, &())).await;
    let body = match body {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => return Err(too_large()),
        Ok(Err(_)) => return Err(Problem::new(StatusCode::BAD_REQUEST, "The body could not be read")),
        Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "The body did not come within 5 s")),
    };
    if body.len() > most {
        return Err(too_large());
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    if !json {
        let text = "Send the arguments as a JSON object with Content-Type: application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    serde_json::from_slice(&body).map_err(|error| {
        // The parser's own words could repeat a stream key; its place does not.
        let place = format!("line {}, column {}", error.line(), error.column());
        Problem::new(StatusCode::BAD_REQUEST, format!("The body is not JSON ({place})"))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn picture(State(api): State<Api>) -> Result<Response, Problem> {
    match api.preview.picture(&api.interface.asks).await {
        Some(picture) => Ok(([(header::CONTENT_TYPE, "image/jpeg")], picture).into_response()),
        None => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "There is no picture; see the input in the status")),
    }
}

async fn figures(State(api): State<Api>) -> Response {
    let text = metrics::text(&api.interface.status.borrow());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn health(State(api): State<Api>) -> Result<Response, Problem> {
    match ask(&api.interface.asks, HEALTH_DEADLINE, |reply| Ask::Health { reply }).await {
        Ok(()) => Ok("ok\n".into_response()),
        Err(_) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The control loop did not answer within 5 s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Reason;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_never_answers_is_given_up() {
        let (asks, mut loop_end) = mpsc::channel(1);
        let question = |reply| Ask::Command { command: Command::Settings, origin: Origin::Http, reply, progress: None };
        let start = tokio::time::Instant::now();
        let problem = ask(&asks, COMMAND_DEADLINE, question).await.expect_err("no answer").into_response();
        assert_eq!((problem.status(), start.elapsed()), (StatusCode::GATEWAY_TIMEOUT, COMMAND_DEADLINE));
        // Its queue is full now: that counts as well.
        let problem = ask(&asks, COMMAND_DEADLINE, question).await.expect_err("no answer").into_response();
        assert_eq!(problem.status(), StatusCode::GATEWAY_TIMEOUT);
        // It takes the question and drops it, or has ended.
        let dropped = tokio::join!(ask(&asks, COMMAND_DEADLINE, question), async {
            while let Some(ask) = loop_end.recv().await {
                drop(ask);
                loop_end.close();
            }
        });
        assert_eq!(dropped.0.expect_err("lost").into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
        let ended = ask(&asks, COMMAND_DEADLINE, question).await.expect_err("lost").into_response();
        assert_eq!(ended.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    proptest::proptest! {
        #[test]
        fn any_claim_is_read_or_refused(pin in "([0-9 -]{0,9}|.{0,9})", name in ".{0,70}", more in ".{0,4}") {
            let read = claim(&json!({ "pin": pin, "name": name }));
            if let Ok((read, named)) = &read {
                proptest::prop_assert_eq!(read.reveal(), pin.replace([' ', '-'], ""));
                proptest::prop_assert_eq!(named, name.trim());
            }
            let odd = claim(&json!({ "pin": pin, "name": name, more.clone(): 1 }));
            proptest::prop_assert!(odd.is_err());
            for wrong in [json!([pin]), json!({ "pin": 123_456, "name": name }), json!({ "pin": "123456" }), Value::Null] {
                proptest::prop_assert!(claim(&wrong).is_err());
            }
        }
    }

    #[test]
    fn each_reason_has_its_status_code() {
        for (reason, code) in [
            (Reason::UnknownCommand, 404),
            (Reason::WrongArguments, 422),
            (Reason::ConfirmationNeeded, 409),
            (Reason::WrongState, 409),
            (Reason::NotAcknowledged, 502),
            (Reason::TimedOut, 504),
            (Reason::Internal, 500),
        ] {
            assert_eq!(Answer::failed(reason, "x").into_response().status().as_u16(), code);
        }
        assert_eq!(Answer::done().into_response().status().as_u16(), 200);
    }
}
