//! A bundle comes into the state folder: over the network, from a USB stick, or as it was uploaded.

use super::on_stick;
use crate::{command::UpdateFrom, control::update::Trouble, status::FirmwareState, sys, uplink::trust::Trust};
use http::{
    HeaderMap, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderName, IF_RANGE, LAST_MODIFIED, RANGE},
};
use reqwest::{Response, Url};
use rustix::fs::statvfs;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{sleep, timeout},
};

/// The folder for bundles in the state folder.
const NAME: &str = "update";
/// Room that a bundle leaves on the disk, bytes: the box has to note what the operator wants.
const RESERVE: u64 = 16 * 1024 * 1024;
/// A host that says nothing for so long is lost.
const SILENCE: Duration = Duration::from_secs(30);
/// Name look-up, connection and TLS.
const CONNECT: Duration = Duration::from_secs(10);
/// Until what was broken off is gone on with.
const PAUSE: Duration = Duration::from_secs(2);
/// It is given up when nothing has come for so long.
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes that are copied at once.
const PIECE: usize = 256 * 1024;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What is being done.
    pub state: FirmwareState,
    /// How much of it is done.
    pub done: u64,
    /// Of how much; none: nobody knows.
    pub of: Option<u64>,
}

impl Step {
    /// The same in percents.
    pub fn percent(self) -> Option<u8> {
        let of = self.of.filter(|of| *of > 0)?;
        u8::try_from(self.done.min(of).saturating_mul(100) / of).ok()
    }
}

/// Where bundles are while they are needed: only one is there at a time.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// That of a state folder.
    pub fn of(state: &Path) -> Self {
        Self(state.join(NAME))
    }

    /// Where the bundle is that is to be installed.
    pub fn bundle(&self) -> PathBuf {
        self.0.join("bundle.raucb")
    }

    /// Where an upload is while it comes.
    pub fn part(&self) -> PathBuf {
        self.0.join("upload.part")
    }

    /// Where it is once it is whole.
    pub fn upload(&self) -> PathBuf {
        self.0.join("upload.raucb")
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it.
    ///
    /// # Errors
    /// The disk is full or failed.
    pub fn make(&self) -> io::Result<()> {
        fs::create_dir_all(&self.0)
    }

    /// Deletes what is in it, and it.
    pub fn clear(&self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a bundle cannot be deleted");
        }
    }

    /// Gets the bundle to where it is installed from, and `tell`s how far it is.
    ///
    /// # Errors
    /// [`Trouble::NoSpace`], [`Trouble::NoBundle`], [`Trouble::Lost`]; nothing is left then.
    pub async fn fetch(
        &self,
        from: &UpdateFrom,
        trust: &Arc<Trust>,
        tell: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<PathBuf, Trouble> {
        let got = match from {
            UpdateFrom::Upload => self.take_upload(),
            UpdateFrom::Usb => {
                self.clear();
                self.copy(tell).await
            }
            UpdateFrom::Url(url) => {
                self.clear();
                self.download(url, trust, tell).await
            }
        };
        if got.is_err() {
            self.clear();
        }
        got.map(|()| self.bundle())
    }

    fn take_upload(&self) -> Result<(), Trouble> {
        fs::rename(self.upload(), self.bundle())
            .map_err(|_| Trouble::NoBundle("Nothing was uploaded: send the bundle to POST /api/v1/update first".into()))
    }

    async fn copy(&self, tell: &(dyn Fn(Step) + Send + Sync)) -> Result<(), Trouble> {
        let none = || {
            Trouble::NoBundle("There is no USB stick with a file *.raucb: put it into the stick's top folder".into())
        };
        let path = on_stick().ok_or_else(none)?;
        let lost = |error: io::Error| Trouble::Lost(format!("The USB stick cannot be read: {error}"));
        let mut source = File::open(&path).await.map_err(lost)?;
        let length = source.metadata().await.map_err(lost)?.len();
        let mut bundle = Partial::create(self, Some(length)).await?;
        let mut piece = vec![0; PIECE];
        loop {
            let read = timeout(SILENCE, source.read(&mut piece)).await;
            let read = read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(lost)?;
            if read == 0 {
                break;
            }
            bundle.append(&piece[..read]).await?;
            tell(bundle.step());
        }
        bundle.finish().await
    }

    async fn download(&self, url: &str, trust: &Trust, tell: &(dyn Fn(Step) + Send + Sync)) -> Result<(), Trouble> {
        let url: Url = url.parse().map_err(|_| Trouble::Lost("The URL cannot be read".into()))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let client = client(trust).map_err(Trouble::Lost)?;
        let mut bundle = Partial::create(self, None).await?;
        let mut moved = sys::now();
        loop {
            let had = bundle.has;
            let why = match get(&client, &url, &mut bundle, tell).await {
                Ok(()) => return bundle.finish().await,
                Err(Broken::For(trouble)) => return Err(trouble),
                Err(Broken::Off(why)) => why,
            };
            if bundle.has > had {
                moved = sys::now();
            }
            if sys::now().since(moved) >= PATIENCE {
                let text = format!("Nothing came from {host} for {} minutes ({why})", PATIENCE.as_secs() / 60);
                return Err(Trouble::Lost(text));
            }
            tracing::info!(%host, %why, "the download of the update is gone on with");
            sleep(PAUSE).await;
        }
    }
}

/// A client that judges hosts as ingests are judged.
fn client(trust: &Trust) -> Result<reqwest::Client, String> {
    let tls = trust.client_config()?;
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .redirect(reqwest::redirect::Policy::limited(5))
        .connect_timeout(CONNECT)
        .user_agent(concat!("fieldcast/", env!("CARGO_PKG_VERSION")));
    builder.build().map_err(|_| "TLS cannot be set up".into())
}

/// Why a download stopped.
enum Broken {
    /// It can be gone on with.
    Off(String),
    /// It would be the same again.
    For(Trouble),
}

impl From<Trouble> for Broken {
    fn from(trouble: Trouble) -> Self {
        Self::For(trouble)
    }
}

/// Gets what is missing.
async fn get(
    client: &reqwest::Client,
    url: &Url,
    bundle: &mut Partial,
    tell: &(dyn Fn(Step) + Send + Sync),
) -> Result<(), Broken> {
    let off = |error: reqwest::Error| Broken::Off(cause(&error));
    let silent = |_| Broken::Off("it is silent".into());
    let mut request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
    if let Some(validator) = bundle.validator.as_ref().filter(|_| bundle.has > 0) {
        request = request.header(RANGE, format!("bytes={}-", bundle.has)).header(IF_RANGE, validator);
    }
    let mut response = timeout(SILENCE, request.send()).await.map_err(silent)?.map_err(off)?;
    match response.status() {
        StatusCode::OK => bundle.begin(&response).await?,
        StatusCode::PARTIAL_CONTENT if range(response.headers()) == Some(bundle.has) => {}
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
            bundle.validator = None;
            return Err(Broken::Off("it is another file now".into()));
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(Broken::Off(format!("the answer is {status}")));
        }
        status => {
            let host = url.host_str().unwrap_or_default();
            return Err(Trouble::Lost(format!("{host} does not give the bundle: the answer is {status}")).into());
        }
    }
    tell(bundle.step());
    while let Some(bytes) = timeout(SILENCE, response.chunk()).await.map_err(silent)?.map_err(off)? {
        bundle.append(&bytes).await?;
        tell(bundle.step());
    }
    match bundle.length {
        Some(length) if length != bundle.has => Err(Broken::Off("it ended too early".into())),
        _ => Ok(()),
    }
}

/// The innermost cause, which does not repeat the URL: there may be a password in it.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if std::ptr::eq(std::ptr::from_ref(cause).cast::<u8>(), std::ptr::from_ref(error).cast::<u8>()) {
        return "the connection broke".into();
    }
    cause.to_string()
}

/// By what a range is asked of the same file (RFC 9110, 13.1.5: a weak tag does not do). None: it is got anew.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let tag = text(ETAG).filter(|tag| tag.starts_with('"'));
    tag.or_else(|| text(LAST_MODIFIED)).map(str::to_owned)
}

/// The first byte of the part that came.
fn range(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// Whether the disk of `folder` has room for `bytes` more.
///
/// # Errors
/// [`Trouble::NoSpace`], with both figures.
pub fn room(folder: &Path, bytes: u64) -> Result<(), Trouble> {
    let Ok(disk) = statvfs(folder) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize).saturating_sub(RESERVE);
    if bytes <= free {
        return Ok(());
    }
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    Err(Trouble::NoSpace(format!(
        "The disk has room for {} MB, the bundle has {} MB: delete recordings or logs",
        free / 1_000_000,
        megabytes(bytes)
    )))
}

/// A bundle that is being written.
struct Partial {
    file: File,
    path: PathBuf,
    has: u64,
    length: Option<u64>,
    validator: Option<String>,
}

impl Partial {
    async fn create(folder: &Folder, length: Option<u64>) -> Result<Self, Trouble> {
        folder.make().map_err(|error| full(&error))?;
        let path = folder.bundle();
        room(&folder.0, length.unwrap_or(0))?;
        let file = File::create(&path).await.map_err(|error| full(&error))?;
        Ok(Self { file, path, has: 0, length, validator: None })
    }

    /// The whole comes, from its first byte on.
    async fn begin(&mut self, response: &Response) -> Result<(), Trouble> {
        let emptied = async {
            self.file.flush().await?;
            self.file.set_len(0).await?;
            tokio::io::AsyncSeekExt::rewind(&mut self.file).await
        };
        emptied.await.map_err(|error| full(&error))?;
        (self.has, self.length, self.validator) = (0, response.content_length(), validator(response.headers()));
        room(&self.path, self.length.unwrap_or(0))
    }

    async fn append(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        // What nobody announced may be without end.
        if self.length.is_none() {
            room(&self.path, bytes.len() as u64)?;
        }
        self.file.write_all(bytes).await.map_err(|error| full(&error))?;
        self.has += bytes.len() as u64;
        Ok(())
    }

    fn step(&self) -> Step {
        Step { state: FirmwareState::Downloading, done: self.has, of: self.length }
    }

    /// Waits until the disk has it, and closes it: RAUC takes no bundle that another program has open.
    async fn finish(mut self) -> Result<(), Trouble> {
        let written = async {
            self.file.flush().await?;
            self.file.sync_all().await
        };
        written.await.map_err(|error| full(&error))?;
        drop(self.file.into_std().await);
        Ok(())
    }
}

fn full(error: &io::Error) -> Trouble {
    Trouble::NoSpace(match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "The disk is full: delete recordings or logs".into()
        }
        _ => format!("The disk does not take the bundle: {error}"),
    })
}
