//! Straight to one box: HTTP on loopback, and beyond it HTTPS with the certificate that was compared when it was paired.

use super::{
    address::{Address, Fingerprint},
    order::Order,
    round::Reply,
    seen::clean,
    update,
};
use crate::{http::tokens::Token, sys, units::Time};
use axum::http::{Method, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Body, Frame};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_stream::wrappers::ReceiverStream;

/// Most bytes of an answer: a picture, or a bundle of diagnostics.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Time for the connection with its handshake: a box that is not there is said to be so.
const CONNECT: Duration = Duration::from_secs(5);
/// Time for what is answered from memory.
const QUICK: Duration = Duration::from_secs(10);
/// Between two looks whether a box is back.
const LOOK: Duration = Duration::from_millis(500);

/// A box that is asked directly.
#[derive(Debug, Clone)]
pub struct Direct {
    /// Where it is.
    pub address: Address,
    /// How it is known; none on loopback in the clear.
    pub paired: Option<(Fingerprint, Token)>,
}

/// An answer of the box.
#[derive(Debug)]
struct Answer {
    code: StatusCode,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// What the box says of a request that it refused.
    fn detail(&self) -> String {
        let detail = self.json().and_then(|problem| problem["detail"].as_str().map(clean));
        detail.unwrap_or_else(|| format!("the answer is {}: is this a Fieldcast box?", self.code))
    }
}

impl Direct {
    /// The status document.
    ///
    /// # Errors
    /// For people: the box was not reached, or refused.
    pub async fn status(&self) -> Result<Value, String> {
        let answer = self.ask(Method::GET, "/api/v1/status", None, QUICK).await?;
        match (answer.code, answer.json()) {
            (StatusCode::OK, Some(document)) if document["id"].is_string() => Ok(document),
            (StatusCode::OK, _) => Err(format!("what answers at {} is not a Fieldcast box", self.address)),
            _ => Err(format!("{}: {}", self.address, answer.detail())),
        }
    }

    /// One JPEG of the input.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub async fn picture(&self) -> Result<Bytes, String> {
        let answer = self.ask(Method::GET, "/preview.jpg", None, QUICK).await?;
        if answer.code == StatusCode::OK { Ok(answer.body) } else { Err(answer.detail()) }
    }

    /// Has `order` carried out; a restart is answered when the box is back.
    pub async fn command(&self, order: &Order, confirmed: bool) -> Reply {
        let failed = |reason: &str, text| Reply::Failed { reason: reason.into(), text, field: None };
        let begun = sys::now();
        let path = format!("/api/v1/commands/{}", order.command);
        let arguments = order.arguments(confirmed);
        let reply = match self.ask(Method::POST, &path, Some(&arguments), order.patience).await {
            Ok(answer) => reply(&answer),
            Err(text) => return failed("not-reached", text),
        };
        match reply {
            Reply::Successful(result) if matches!(order.command, "restart" | "reboot") => {
                match self.back(begun, order.patience).await {
                    true => Reply::Successful(result),
                    false => failed("timed-out", "it has ended, and is not back".into()),
                }
            }
            reply => reply,
        }
    }

    /// Sends the file of `order`, has the update carried out, and waits until the new system is confirmed or given up; `tell`
    /// hears how far it is.
    pub async fn update(&self, order: &Order, confirmed: bool, tell: &(dyn Fn(String) + Send + Sync)) -> Reply {
        let failed = |reason: &str, text| Reply::Failed { reason: reason.into(), text, field: None };
        if let Some(file) = &order.file {
            match self.upload(file, order.patience, tell).await {
                Ok(Reply::Successful(_)) => {}
                Ok(reply) => return reply,
                Err(text) => return failed("not-reached", text),
            }
        }
        let begun = sys::now();
        let arguments = order.arguments(confirmed);
        let asked = self.ask(Method::POST, "/api/v1/commands/update", Some(&arguments), order.patience);
        tokio::pin!(asked);
        let answer = loop {
            tokio::select! {
                answer = &mut asked => break answer,
                () = sleep(LOOK) => {
                    let status = self.status().await.unwrap_or_default();
                    update::progress(&status["firmware"]).into_iter().for_each(tell);
                }
            }
        };
        let result = match answer.map(|answer| reply(&answer)) {
            Ok(Reply::Successful(result)) if result["restarts"] == "now" => result,
            Ok(reply) => return reply,
            Err(text) => return failed("not-reached", text),
        };
        let version = result["version"].as_str().unwrap_or_default();
        tell("restarting".into());
        while sys::now().since(begun) < order.patience {
            sleep(LOOK).await;
            let Ok(status) = self.status().await else { continue };
            let up = status["stats"]["uptime-ms"].as_u64().map(Duration::from_millis);
            if up.is_none_or(|up| up >= sys::now().since(begun)) {
                continue;
            }
            match update::outcome(&status["firmware"], version) {
                Some(Ok(())) => return Reply::Successful(json!({ "version": version })),
                Some(Err(why)) => return failed("rolled-back", format!("{version} was given up: {why}")),
                None => update::progress(&status["firmware"]).into_iter().for_each(tell),
            }
        }
        failed("timed-out", "it has restarted, and does not say what came of it".into())
    }

    /// Sends `file` to be installed.
    async fn upload(
        &self,
        file: &Path,
        patience: Duration,
        tell: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Reply, String> {
        let unreadable = |error: std::io::Error| format!("{}: {error}", file.display());
        let mut source = File::open(file).await.map_err(unreadable)?;
        let length = source.metadata().await.map_err(unreadable)?.len();
        let (pieces, body) = mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(4);
        let token = self.paired.as_ref().map(|(_, token)| token);
        let mut request = request(&self.address, Method::POST, "/api/v1/update", None, token)?
            .map(|_| StreamBody::new(ReceiverStream::new(body)));
        request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        let send = async {
            let (mut sent, mut piece) = (0_u64, vec![0; 256 * 1024]);
            loop {
                let read = source.read(&mut piece).await;
                let end = matches!(read, Ok(0));
                let frame = read.map(|read| {
                    sent += read as u64;
                    Frame::data(Bytes::copy_from_slice(&piece[..read]))
                });
                // A box that has refused it reads no more.
                if end || pieces.send(frame).await.is_err() {
                    break;
                }
                tell(format!("sending the bundle {} %", sent * 100 / length.max(1)));
            }
            drop(pieces);
            std::future::pending::<()>().await;
        };
        let exchanged = async {
            match &self.paired {
                Some((fingerprint, _)) => exchange(tls(&self.address, Some(*fingerprint)).await?.0, request).await,
                None => exchange(tcp(&self.address).await?, request).await,
            }
        };
        let answer = tokio::select! {
            answer = within(patience, exchanged) => answer?,
            () = send => return Err("nothing was sent".into()),
        };
        Ok(reply(&answer))
    }

    /// Waits until the box has started after `begun`.
    async fn back(&self, begun: Time, patience: Duration) -> bool {
        while sys::now().since(begun) < patience {
            sleep(LOOK).await;
            let Ok(status) = self.status().await else { continue };
            let up = status["stats"]["uptime-ms"].as_u64().map(Duration::from_millis);
            if up.is_some_and(|up| up < sys::now().since(begun)) {
                return true;
            }
        }
        false
    }

    /// Gives this computer's token for `pin`; the box calls it `name`.
    ///
    /// # Errors
    /// The box's own words.
    pub async fn claim(address: &Address, fingerprint: Fingerprint, pin: &str, name: &str) -> Result<Token, String> {
        let (stream, _) = tls(address, Some(fingerprint)).await?;
        let body = json!({ "pin": pin, "name": name }).to_string();
        let request = request(address, Method::POST, "/api/v1/pair", Some(body), None)?;
        let answer = within(QUICK, exchange(stream, request)).await?;
        let token = answer.json().and_then(|answer| Token::parse(answer["token"].as_str()?));
        match token.filter(|_| answer.code == StatusCode::OK) {
            Some(token) => Ok(token),
            None => Err(answer.detail()),
        }
    }

    /// The certificate that is shown at `address` now, whoever shows it.
    ///
    /// # Errors
    /// For people: nothing was reached, or it speaks no TLS.
    pub async fn certificate(address: &Address) -> Result<Fingerprint, String> {
        tls(address, None).await.map(|(_, seen)| seen)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        arguments: Option<&Value>,
        patience: Duration,
    ) -> Result<Answer, String> {
        let token = self.paired.as_ref().map(|(_, token)| token);
        let request = request(&self.address, method, path, arguments.map(Value::to_string), token)?;
        match &self.paired {
            Some((fingerprint, _)) => {
                let (stream, _) = tls(&self.address, Some(*fingerprint)).await?;
                within(patience, exchange(stream, request)).await
            }
            None => {
                let stream = tcp(&self.address).await?;
                within(patience, exchange(stream, request)).await
            }
        }
    }
}

/// The answer to a command.
fn reply(answer: &Answer) -> Reply {
    let document = answer.json().unwrap_or_default();
    if answer.code == StatusCode::OK && document["status"] == "successful" {
        return Reply::Successful(document["result"].clone());
    }
    let reason = match document["reason"].as_str() {
        Some(reason) => reason,
        None if answer.code == StatusCode::UNAUTHORIZED => "not-paired",
        None => "refused",
    };
    let field = document["field"].as_str().map(Into::into);
    Reply::Failed { reason: reason.into(), text: answer.detail(), field }
}

fn request(
    address: &Address,
    method: Method,
    path: &str,
    body: Option<String>,
    token: Option<&Token>,
) -> Result<Request<Full<Bytes>>, String> {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, address.authority());
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
    }
    let body = Full::new(Bytes::from(body.unwrap_or_default()));
    request.body(body).map_err(|error| format!("{address}: {error}"))
}

/// Sends `request` and reads the answer.
async fn exchange<B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<B>,
) -> Result<Answer, String>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let lost = |error: hyper::Error| format!("the box's answer was lost: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    let connection = tokio::spawn(connection);
    let answer = async {
        let (head, body) = sender.send_request(request).await.map_err(lost)?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| format!("the box's answer was lost: {error}"))?.to_bytes();
        Ok(Answer { code: head.status, body })
    };
    let answer = answer.await;
    connection.abort();
    answer
}

async fn within<T>(patience: Duration, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout(patience, work).await.unwrap_or_else(|_| Err(format!("no answer within {} s", patience.as_secs())))
}

async fn tcp(address: &Address) -> Result<TcpStream, String> {
    let connected = timeout(CONNECT, TcpStream::connect((address.host.as_str(), address.port))).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(format!("{address} is not reached: {error}")),
        Err(_) => return Err(format!("{address} is not reached: nothing answers there")),
    };
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Connects with TLS to who shows the certificate `known`, or to anybody; and the certificate that was shown.
async fn tls(address: &Address, known: Option<Fingerprint>) -> Result<(TlsStream<TcpStream>, Fingerprint), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{address}: no secure connection: {error}");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Pinned { known, algorithms: algorithms(&provider) });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from(address.host.clone()).map_err(|error| failed(&error))?;
    let stream = tcp(address).await?;
    let connected = timeout(CONNECT, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(failed(&error)),
        Err(_) => return Err(failed(&"nothing answers")),
    };
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|shown| Fingerprint::of(shown));
    Ok((stream, shown.ok_or_else(|| failed(&"no certificate"))?))
}

fn algorithms(provider: &CryptoProvider) -> WebPkiSupportedAlgorithms {
    provider.signature_verification_algorithms
}

/// Believes one certificate, or any when none is known yet. The box signs its own: name, dates and authority say nothing.
#[derive(Debug)]
struct Pinned {
    known: Option<Fingerprint>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Fingerprint::of(certificate);
        match self.known {
            Some(known) if known != shown => Err(rustls::Error::General(format!(
                "the box shows another certificate ({shown}) than the one that is known. Compare it with what the box says \
                 of itself (`fieldcastd pair` there, or its panel); if it is the same, pair again"
            ))),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::seen::tests::any_json;
    use proptest::prelude::*;

    fn answer(code: u16, body: &str) -> Answer {
        Answer { code: StatusCode::from_u16(code).expect("a code"), body: Bytes::from(body.to_owned()) }
    }

    #[test]
    fn answers_of_boxes_are_understood() {
        let done = r#"{"status":"successful","result":[1]}"#;
        assert_eq!(reply(&answer(200, done)), Reply::Successful(json!([1])));
        let failed = |code, body| match reply(&answer(code, body)) {
            Reply::Failed { reason, text, field } => (reason, text, field),
            other => panic!("{other:?}"),
        };
        let problem = r#"{"detail":"this board has hdmi\u001b","reason":"wrong-arguments","field":"device"}"#;
        let wrong = ("wrong-arguments".into(), "this board has hdmi".into(), Some("device".into()));
        assert_eq!(failed(422, problem), wrong);
        assert_eq!(failed(401, r#"{"detail":"not paired"}"#).0, "not-paired");
        assert!(failed(200, "<html>").1.contains("is this a Fieldcast box?"));
        assert!(failed(503, "").1.contains("503"));
    }

    proptest! {
        #[test]
        fn any_answer_is_a_success_or_a_failure(code in 100_u16..600, document in any_json(), text in ".{0,20}") {
            for body in [document.to_string(), text] {
                match reply(&answer(code, &body)) {
                    Reply::Successful(_) => prop_assert_eq!(code, 200),
                    Reply::Failed { text, .. } => prop_assert!(!text.chars().any(char::is_control)),
                    Reply::Executing { .. } => prop_assert!(false),
                }
            }
        }
    }
}
