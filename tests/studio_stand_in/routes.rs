//! The routes by name, and who answers them.

use super::{
    broadcasts, media, oauth,
    reply::{Refusal, Reply},
    scheduled,
    schema::{Arguments, Operation, api},
    sources, uploads,
    world::{Account, World},
};
use bytes::Bytes;
use serde_json::Value;
use std::collections::BTreeMap;

macro_rules! routes {
    ($($(#[$doc:meta])* $name:ident: $method:literal $template:literal, $limit:literal, $by:path;)*) => {
        /// A route of the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Route { $($(#[$doc])* $name,)* }

        const ALL: &[(Route, &str, &str, u32, Handler)] = &[$((Route::$name, $method, $template, $limit, $by),)*];
    };
}

/// Carries out a request whose form was checked.
type Handler = fn(&mut World, &Call) -> Result<Reply, Refusal>;

// Limits are per user and 15 minutes. Sources: facts 1C; media and posts: facts 3; all others are ASSUMED.
routes! {
    Authorize: "GET" "/2/oauth2/authorize", 450, oauth::authorize;
    /// The same page on x.com, another host.
    AuthorizePage: "GET" "/i/oauth2/authorize", 450, oauth::authorize;
    Token: "POST" "/2/oauth2/token", 450, oauth::token;
    Revoke: "POST" "/2/oauth2/revoke", 450, oauth::revoke;
    Me: "GET" "/2/users/me", 75, oauth::me;
    Region: "GET" "/2/region", 450, sources::region;
    /// What the host answers to which `Region` leads.
    RegionAnswer: "GET" "/region", 450, sources::region_answer;
    CreateSource: "POST" "/2/sources", 450, sources::create;
    ListSources: "GET" "/2/sources", 450, sources::list;
    GetSource: "GET" "/2/sources/{id}", 450, sources::get;
    RenameSource: "PUT" "/2/sources/{id}", 450, sources::rename;
    DeleteSource: "DELETE" "/2/sources/{id}", 450, sources::delete;
    StreamKey: "GET" "/2/sources/{id}/stream_key", 450, sources::stream_key;
    GoLive: "POST" "/2/broadcasts", 450, broadcasts::go_live;
    ListBroadcasts: "GET" "/2/broadcasts", 450, broadcasts::list;
    GetBroadcast: "GET" "/2/broadcasts/{id}", 450, broadcasts::get;
    EndBroadcast: "PUT" "/2/broadcasts/{id}/state", 450, broadcasts::end;
    DeleteBroadcast: "DELETE" "/2/broadcasts/{id}", 450, broadcasts::delete;
    Schedule: "POST" "/2/broadcasts/scheduled", 450, scheduled::create;
    ListScheduled: "GET" "/2/broadcasts/scheduled", 450, scheduled::list;
    GetScheduled: "GET" "/2/broadcasts/scheduled/{id}", 450, scheduled::get;
    ChangeScheduled: "PUT" "/2/broadcasts/scheduled/{id}", 450, scheduled::change;
    CancelScheduled: "DELETE" "/2/broadcasts/scheduled/{id}", 450, scheduled::cancel;
    StartScheduled: "POST" "/2/broadcasts/scheduled/{id}/live", 450, scheduled::start;
    Upload: "POST" "/2/media/upload", 500, uploads::one_shot;
    Initialize: "POST" "/2/media/upload/initialize", 1875, uploads::initialize;
    Append: "POST" "/2/media/upload/{id}/append", 1875, uploads::append;
    Finalize: "POST" "/2/media/upload/{id}/finalize", 1875, uploads::finalize;
    UploadStatus: "GET" "/2/media/upload", 1000, uploads::status;
    Metadata: "POST" "/2/media/metadata", 500, media::metadata;
    GetMedia: "GET" "/2/media/{media_key}", 450, media::get;
    ListMedia: "GET" "/2/media", 450, media::list;
    /// A file at the host of media.
    Download: "GET" "/media/{media_key}/{file}", 450, media::download;
    CreatePost: "POST" "/2/tweets", 100, media::post;
}

/// A request whose form was checked.
pub struct Call {
    /// Who asks; where no token is needed, nobody.
    pub account: Option<Account>,
    pub arguments: Arguments,
    /// JSON or the fields of a form; null without a body.
    pub body: Value,
    /// The field `media` of a multipart or JSON body, as bytes.
    pub media: Bytes,
    /// The headers `Range` and `If-Range`.
    pub range: Option<String>,
    pub if_range: Option<String>,
}

impl Call {
    pub fn user(&self) -> usize {
        self.account.as_ref().expect("the schema asks for a token").user
    }

    pub fn path(&self, name: &str) -> &str {
        &self.arguments.path[name]
    }

    pub fn text(&self, field: &str) -> Option<&str> {
        self.body[field].as_str()
    }
}

impl Route {
    fn row(self) -> &'static (Route, &'static str, &'static str, u32, Handler) {
        ALL.iter().find(|row| row.0 == self).expect("every route is in the table")
    }

    pub fn method(self) -> &'static str {
        self.row().1
    }

    pub fn template(self) -> &'static str {
        self.row().2
    }

    /// Whether it is one of the API's host.
    pub fn is_api(self) -> bool {
        self.template().starts_with("/2/")
    }

    /// Requests per user and 15 minutes.
    pub fn limit(self) -> u32 {
        self.row().3
    }

    pub fn handler(self) -> Handler {
        self.row().4
    }

    pub fn operation(self) -> &'static Operation {
        let mut all = api().operations.iter();
        let found = all.find(|operation| operation.method == self.method() && operation.template == self.template());
        found.unwrap_or_else(|| panic!("{self:?} has no schema"))
    }

    /// The route that is asked for, and the parameters of its path. Literal parts win over parameters.
    pub fn of(method: &str, path: &str) -> Option<(Self, BTreeMap<String, String>)> {
        let fits = ALL.iter().filter(|row| row.1 == method);
        let fits = fits.filter_map(|row| row.0.operation().fits(path).map(|found| (row.0, found)));
        fits.min_by_key(|(_, found)| found.len())
    }
}
