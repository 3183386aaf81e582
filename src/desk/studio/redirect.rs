//! Waits at this computer for the browser that X sends back, once.

use crate::studio::link::{Attempt, Brought, CALLBACK};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

/// Connections at a time: browsers open some that they do not use.
const CONNECTIONS: usize = 16;
/// Most bytes of a request.
const REQUEST_BYTES: usize = 16 * 1024;
/// For a request and its answer.
const CONNECTION: Duration = Duration::from_secs(5);

/// Takes the port of the callback.
///
/// # Errors
/// For people: another program has it.
pub async fn listen(port: u16) -> Result<TcpListener, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
        format!(
            "port {port} of this computer cannot be used: {error}; give another with --port, as a callback of your app"
        )
    })
}

/// Waits for the browser and answers it; whatever else comes is answered 400, and nothing else happens.
pub async fn wait(listener: TcpListener, attempt: &Attempt) -> Brought {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, attempt.clone()))),
                // Such as too many open files: that passes.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(served) = connections.join_next() => {
                if let Ok(Some(brought)) = served {
                    return brought;
                }
            }
        }
    }
}

/// Serves one request of a connection.
async fn serve(stream: TcpStream, attempt: Attempt) -> Option<Brought> {
    let brought = Arc::new(Mutex::new(None));
    let service = service_fn(|request: Request<Incoming>| {
        let (code, text, brings) = answer(&request, &attempt);
        if brings.is_some() {
            *brought.lock().unwrap_or_else(PoisonError::into_inner) = brings;
        }
        std::future::ready(Ok::<_, Infallible>(page(code, text)))
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CONNECTION)
        .max_buf_size(REQUEST_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _ = timeout(CONNECTION, served).await;
    brought.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn answer<B>(request: &Request<B>, attempt: &Attempt) -> (StatusCode, &'static str, Option<Brought>) {
    let asked = request.method() == Method::GET && request.uri().path() == CALLBACK;
    let brought = asked.then(|| attempt.brought(request.uri().query().unwrap_or_default())).flatten();
    match &brought {
        Some(Brought::Code(_)) => (StatusCode::OK, "Fieldcast goes on by itself. You can close this page.", brought),
        Some(_) => (StatusCode::OK, "No account was linked. You can close this page.", brought),
        None => (StatusCode::BAD_REQUEST, "This is not what Fieldcast waits for.", None),
    }
}

fn page(code: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let page = format!("<!doctype html><html lang=\"en\"><title>Fieldcast</title><p>{text}</p></html>\n");
    let mut response = Response::new(Full::new(Bytes::from(page)));
    *response.status_mut() = code;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // The code is in this page's address.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ] {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}
