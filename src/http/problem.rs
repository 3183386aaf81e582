//! Errors as problem documents (RFC 9457).

use crate::command::{Answer, Reason};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// An error answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    reason: Option<Reason>,
    field: Option<String>,
    /// Seconds until trying again makes sense.
    retry_after: Option<u64>,
}

impl Problem {
    /// A problem of HTTP itself.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), reason: None, field: None, retry_after: None }
    }

    /// An argument of HTTP's own requests is wrong.
    pub fn wrong(field: &str, detail: impl Into<String>) -> Self {
        Self {
            reason: Some(Reason::WrongArguments),
            field: Some(field.into()),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// Beyond loopback without the token of a paired computer.
    pub fn not_paired() -> Self {
        let text =
            "This computer is not paired, or no more: ask for a PIN at the box and open the box's address in a browser";
        Self::new(StatusCode::UNAUTHORIZED, text)
    }

    /// Too many tries; `seconds` until the next one.
    pub fn too_many(detail: impl Into<String>, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// The loop that does the work did not answer: busy, or ending.
    pub fn no_answer() -> Self {
        Self {
            reason: Some(Reason::TimedOut),
            ..Self::new(StatusCode::GATEWAY_TIMEOUT, "The box did not answer in time; see /healthz")
        }
    }

    /// The answer was lost on the way.
    pub fn lost() -> Self {
        Self { reason: Some(Reason::Internal), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The answer was lost") }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // about:blank: the status code says what kind of problem it is, `reason` is for programs (RFC 9457 4.2.1, 3.2).
        let mut document = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(reason) = self.reason {
            document["reason"] = json!(reason);
        }
        if let Some(field) = self.field {
            document["field"] = json!(field);
        }
        let mut response = (self.status, document.to_string()).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // Belongs to every 401 (RFC 9110 15.5.2).
            let scheme = HeaderValue::from_static("Bearer realm=\"fieldcast\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Answer::Successful { .. } => axum::Json(self).into_response(),
            Answer::Failed { reason, text, field } => {
                let status = match reason {
                    Reason::UnknownCommand => StatusCode::NOT_FOUND,
                    Reason::WrongArguments
                    | Reason::Payload
                    | Reason::WrongBoard
                    | Reason::WrongSignature
                    | Reason::ExpiredCertificate
                    | Reason::DamagedBundle => StatusCode::UNPROCESSABLE_ENTITY,
                    Reason::ConfirmationNeeded
                    | Reason::WrongState
                    | Reason::Expired
                    | Reason::AgeUnknown
                    | Reason::NoUpdater
                    | Reason::OlderVersion
                    | Reason::AlreadyInstalled
                    | Reason::RolledBack => StatusCode::CONFLICT,
                    Reason::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
                    Reason::Observe | Reason::SecretNeedsTls => StatusCode::FORBIDDEN,
                    // The ingest is the server behind this one.
                    Reason::NotAcknowledged | Reason::NotReached => StatusCode::BAD_GATEWAY,
                    Reason::TimedOut => StatusCode::GATEWAY_TIMEOUT,
                    Reason::Internal | Reason::Interrupted => StatusCode::INTERNAL_SERVER_ERROR,
                };
                Problem { status, detail: text, reason: Some(reason), field, retry_after: None }.into_response()
            }
        }
    }
}
