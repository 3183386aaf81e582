//! A stand-in of X's Studio API: the routes that Fieldcast calls, on loopback, as strict as what X documents.
//!
//! ```no_run
//! let studio = StandIn::start();
//! let tokens = studio.link("fieldcast");                   // or by the page: studio.authorize_url()
//! // ... a client at studio.url() ...
//! studio.fail(Route::GoLive, Fault::LostAnswer, 1);
//! assert_eq!(studio.calls("POST", "/2/broadcasts"), 1);
//! studio.assert_clean();
//! ```
//!
//! Requests are checked against X's OpenAPI document, of which `x-api-openapi.json` is an excerpt, and against `schemas/`
//! where that lacks a route; so are replies. Prose rules are in the code beside their source. What nobody says is refused,
//! or marked ASSUMED. "Facts" are X's documentation as it was read in November 2026.

// Not every test program needs all of it.
#![allow(dead_code, unused_imports)]

mod broadcasts;
mod faults;
mod ingest;
mod media;
mod oauth;
mod reply;
mod routes;
mod scheduled;
mod schema;
mod server;
mod signed;
mod sources;
mod uploads;
mod world;

pub use faults::Fault;
pub use oauth::challenge;
pub use reply::made_byte;
pub use routes::Route;
pub use signed::signature;
pub use world::{Asked, Broadcast, Post, Signer, Source, State};

use server::{Shared, lock};
use std::{
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex, MutexGuard, mpsc},
    thread,
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch};
use world::World;

/// All scopes that Fieldcast asks for.
pub const SCOPES: &str = "broadcast.read broadcast.write media.write tweet.write tweet.read users.read offline.access";

/// How it behaves, where that is not the same for everybody.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens; port 0 is one that is free.
    pub listen: SocketAddr,
    /// The public client.
    pub client_id: String,
    /// Redirects of the app; the port `*` is any.
    pub redirects: Vec<String>,
    /// What every source's replies name as ingest, without the key.
    pub rtmp_url: String,
    pub rtmps_url: String,
    /// The region that is recommended.
    pub region: String,
    /// Whether the app may use the Livestream API; else 403.
    pub allow_listed: bool,
    /// Whether sources can go live only once video comes; else 409.
    pub needs_video: bool,
    /// A broadcast without video for so long is timed out.
    pub no_video: Duration,
    /// How long video and GIFs are processed, when to ask again (whole seconds), and whether it fails.
    pub processing: Duration,
    pub check_after: Duration,
    pub processing_fails: bool,
    /// Errors come in all shapes that are documented, one after another; else as problems.
    pub all_error_shapes: bool,
    /// Replies have fields that are not known yet.
    pub unknown_fields: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            client_id: "fieldcast-client".into(),
            redirects: vec!["http://127.0.0.1:*/callback".into(), "http://127.0.0.1:*/".into()],
            rtmp_url: "rtmp://127.0.0.1:1935/live".into(),
            rtmps_url: "rtmps://127.0.0.1:1936/live".into(),
            region: "eu-central-1".into(),
            allow_listed: true,
            needs_video: false,
            no_video: Duration::from_secs(300),
            processing: Duration::from_secs(2),
            check_after: Duration::from_secs(1),
            processing_fails: false,
            all_error_shapes: false,
            unknown_fields: true,
        }
    }
}

/// Tokens of OAuth 2.0.
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

/// What is known of a file that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    pub media_key: String,
    pub category: String,
    /// Bytes that came, and their SHA-256 in the order of the segments.
    pub length: u64,
    pub sha256: [u8; 32],
    pub segments: usize,
    pub finalized: bool,
    pub alt_text: Option<String>,
    /// How often the status was asked for before `check_after_secs` was over.
    pub hasty: u32,
}

/// A running stand-in; it ends when dropped.
pub struct StandIn {
    shared: Shared,
    open: Option<watch::Sender<bool>>,
    api: SocketAddr,
    elsewhere: SocketAddr,
    thread: Option<thread::JoinHandle<()>>,
}

impl StandIn {
    /// Starts one with one account, `fieldcast`, that may do everything.
    pub fn start() -> Self {
        Self::start_with(Settings::default())
    }

    pub fn start_with(settings: Settings) -> Self {
        let (open, opened) = watch::channel(true);
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let api = bind(settings.listen).await;
                let elsewhere = bind(SocketAddr::new(settings.listen.ip(), 0)).await;
                let at = elsewhere.local_addr().expect("an address");
                let shared: Shared = Arc::new(Mutex::new(World::new(settings, format!("http://{at}"))));
                tell.send((Arc::clone(&shared), api.local_addr().expect("an address"), at)).expect("told");
                // The other host stays while the API's does not listen.
                let (_stays, stays) = watch::channel(true);
                tokio::spawn(server::listen(elsewhere, false, Arc::clone(&shared), stays));
                server::listen(api, true, shared, opened).await;
            });
        });
        let (shared, api, elsewhere) = told.recv().expect("the stand-in starts");
        Self { shared, open: Some(open), api, elsewhere, thread: Some(thread) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        let mut world = lock(&self.shared);
        broadcasts::pass_time(&mut world);
        world
    }

    /// The base of the API, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// The base of another host, which answers the region and gives files: not to be given a token.
    pub fn elsewhere(&self) -> String {
        format!("http://{}", self.elsewhere)
    }

    /// The page that a browser opens to link an account, as on x.com.
    pub fn authorize_url(&self) -> String {
        format!("http://{}/i/oauth2/authorize", self.elsewhere)
    }

    /// Changes how it behaves from now on.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.world().settings);
    }

    /// The stand-in's clock moves on: what expires and times out does.
    pub fn advance(&self, by: Duration) {
        self.world().ahead += by;
    }

    /// Fails the next requests of this route so; several of one route come one after another.
    pub fn fail(&self, route: Route, fault: Fault, times: u32) {
        assert!(times > 0);
        self.world().faults.push((route, fault, times));
    }

    /// Faults that did not come yet, or no more.
    pub fn stop_failing(&self) {
        self.world().faults.clear();
    }

    /// Nothing listens and connections are cut, until it is called with true.
    pub fn listen(&self, yes: bool) {
        self.open.as_ref().expect("running").send_replace(yes);
        while TcpStream::connect(self.api).is_ok() != yes {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// At most so many requests of this route per user and 15 minutes.
    pub fn limit(&self, route: Route, requests: u32) {
        self.world().limits.insert(route, requests);
    }

    /// Another account.
    pub fn add_user(&self, username: &str) {
        self.world().add_user(username);
    }

    /// Who is signed in at the browser, and whether they let the app in.
    pub fn sign_in(&self, username: &str, agrees: bool) {
        let mut world = self.world();
        (world.signed_in, world.declines) = (world.user(username), !agrees);
    }

    /// Whether X lets this account go live; else 412.
    pub fn set_eligible(&self, username: &str, eligible: bool) {
        let mut world = self.world();
        let user = world.user(username);
        world.users[user].eligible = eligible;
    }

    /// Tokens for this account with all scopes, without the page.
    pub fn link(&self, username: &str) -> Tokens {
        self.link_with(username, SCOPES)
    }

    /// Tokens with these scopes, of which one is `offline.access`.
    pub fn link_with(&self, username: &str, scopes: &str) -> Tokens {
        let mut world = self.world();
        let user = world.user(username);
        oauth::grant(&mut world, user, scopes.to_owned());
        let grant = world.grants.last().expect("just given");
        Tokens { access: grant.access.clone(), refresh: grant.refresh.clone().expect("offline.access") }
    }

    /// The user takes back what they gave: all their tokens are dead.
    pub fn revoke(&self, username: &str) {
        let mut world = self.world();
        let user = world.user(username);
        world.grants.iter_mut().filter(|grant| grant.user == user).for_each(|grant| grant.revoked = true);
        world.signers.retain(|signer| signer.user != user);
    }

    /// A user token of OAuth 1.0a.
    pub fn signer(&self, username: &str) -> Signer {
        let mut world = self.world();
        let signer = Signer {
            user: world.user(username),
            consumer_key: world::secret(25),
            consumer_secret: world::secret(50),
            token: world::secret(50),
            token_secret: world::secret(45),
        };
        world.signers.push(signer.clone());
        signer
    }

    /// Lines for the application of an nginx-rtmp that then tells who pushes, and lets in who has a source's key.
    pub fn nginx_application(&self) -> String {
        let at = self.elsewhere();
        format!("on_publish {at}/ingest/publish; on_publish_done {at}/ingest/done;")
    }

    /// Whether video comes for this source, where no ingest tells.
    pub fn set_active(&self, source_id: &str, active: bool) {
        let mut world = self.world();
        let key = world.sources.iter().find(|source| source.id == source_id).expect("a source").stream_key.clone();
        ingest::set_active(&mut world, &key, active);
    }

    /// Gives a source another key, such as that of a stream which an ingest already gets.
    pub fn set_key(&self, source_id: &str, key: &str) {
        let mut world = self.world();
        world.sources.iter_mut().find(|source| source.id == source_id).expect("a source").stream_key = key.to_owned();
    }

    /// Viewers of a broadcast.
    pub fn set_watching(&self, broadcast_id: &str, viewers: u64) {
        let mut world = self.world();
        world.broadcasts.iter_mut().find(|of| of.id == broadcast_id).expect("a broadcast").watching = viewers;
    }

    /// A finished broadcast leaves files, of so many bit/s and bytes; that this can be is ASSUMED. Their bytes are
    /// `made_byte`.
    pub fn leave_replay(&self, broadcast_id: &str, files: &[(u64, u64)]) {
        let mut world = self.world();
        let of = world.broadcasts.iter().find(|of| of.id == broadcast_id).expect("a broadcast").clone();
        let mut media = uploads::made(&mut world, of.user, "amplify_video", "video/mp4", files);
        media.key = of.media_key;
        world.media.push(media);
    }

    pub fn sources(&self) -> Vec<Source> {
        self.world().sources.clone()
    }

    pub fn broadcasts(&self) -> Vec<Broadcast> {
        self.world().broadcasts.clone()
    }

    pub fn posts(&self) -> Vec<Post> {
        self.world().posts.clone()
    }

    pub fn media(&self) -> Vec<Uploaded> {
        let world = self.world();
        let uploaded = world.media.iter().map(|media| Uploaded {
            media_key: media.key.clone(),
            category: media.category.clone(),
            length: media.upload.length,
            sha256: media.upload.hash.clone().finish().as_ref().try_into().expect("32 bytes"),
            segments: media.upload.segments.len(),
            finalized: media.finalized.is_some(),
            alt_text: media.alt_text.clone(),
            hasty: media.hasty,
        });
        uploaded.collect()
    }

    /// How many requests came, by the path as it came or with its parameters in braces.
    pub fn calls(&self, method: &str, path: &str) -> usize {
        let world = self.world();
        world.asked.iter().filter(|of| of.method == method && (of.path == path || of.template == path)).count()
    }

    /// All requests, the oldest first.
    pub fn journal(&self) -> Vec<Asked> {
        self.world().asked.clone()
    }

    /// What must never be: wrong replies of the stand-in's, tokens given to another host, routes that are none.
    pub fn violations(&self) -> Vec<String> {
        self.world().violations.clone()
    }

    /// The same, and they are forgotten: a test that wants one.
    pub fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.world().violations)
    }

    /// Fails if there is any; so does the end of the stand-in.
    pub fn assert_clean(&self) {
        let violations = self.violations();
        assert!(violations.is_empty(), "{violations:#?}");
    }

    /// Follows an nginx by its page of statistics, on a thread that ends with the stand-in.
    pub fn watch_nginx(&self, url: &str) -> thread::JoinHandle<()> {
        let (shared, url) = (Arc::downgrade(&self.shared), url.to_owned());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(ingest::watch(shared, url));
        })
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.open = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if !thread::panicking() {
            self.assert_clean();
        }
    }
}

/// A listener; a port that is free is one below those that the kernel gives to outgoing connections.
async fn bind(address: SocketAddr) -> TcpListener {
    if address.port() != 0 {
        return TcpListener::bind(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    }
    for _ in 0..1000 {
        if let Ok(listener) = TcpListener::bind((address.ip(), fastrand::u16(20_000..32_000))).await {
            return listener;
        }
    }
    panic!("no free port")
}
