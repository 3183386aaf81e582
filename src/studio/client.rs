//! One call of X's API.

use bytes::Bytes;
use http::Method;
use serde_json::Value;

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
        Self { method: Method::GET, path: path.into(), query: Vec::new(), body: Body::None, repeat: Repeat::May }
    }

    /// With parameter `name` of the query.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }
}
