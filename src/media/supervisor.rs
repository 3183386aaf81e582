//! The daemon's side of a media worker: starts the process, passes messages, stops it for certain, reaps it.

use super::{
    Card, Order, Plan, Report, picture_file,
    wire::{self, Reports, Request},
};
use crate::control::WorkerId;
use std::{
    env, io,
    os::{fd::OwnedFd, unix::net::UnixStream as Pair},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixStream, unix::OwnedReadHalf},
    process::{Child, ChildStderr, Command},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// How long a worker may take to end when asked.
const GRACE: Duration = Duration::from_secs(1);
/// Where packages put the worker.
const LIBEXEC: &str = "/usr/libexec/fieldcast/fieldcast-media";
/// Characters of a worker's log line that are kept, and lines a second.
const LINE: usize = 500;
const LINES: u32 = 20;

/// What came from a worker.
#[derive(Debug, PartialEq)]
pub struct Message {
    /// Which worker.
    pub worker: WorkerId,
    /// What it said, or that it is no more.
    pub said: Said,
}

/// What a worker said.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// A report.
    Report(Report),
    /// Its process has ended and is reaped. Comes exactly once, after all reports.
    Exited,
}

/// A running worker. Dropping it stops the process.
#[derive(Debug)]
pub struct Worker {
    pid: Option<u32>,
    orders: mpsc::UnboundedSender<Order>,
    wanted: oneshot::Sender<Kill>,
}

impl Worker {
    /// Gives an order; one to a worker that is ending is forgotten.
    pub fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// The process, for its figures; another one may have the number once this one has ended.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Ends the process: closes its socket and sends SIGTERM, after a second SIGKILL. Does not wait; [`Said::Exited`]
    /// says when it is done.
    pub fn stop(self) {
        drop(self);
    }

    /// Ends the process by SIGKILL, at once: for one that does not answer any more.
    pub fn kill(self) {
        let _ = self.wanted.send(Kill);
    }
}

/// The wish that a process ends without being asked.
#[derive(Debug)]
struct Kill;

/// Where the worker's binary is: `FIELDCAST_MEDIA` when set, else beside this program, else where packages put it.
pub fn binary() -> PathBuf {
    if let Some(path) = env::var_os("FIELDCAST_MEDIA") {
        return path.into();
    }
    let beside = env::current_exe().ok().and_then(|own| Some(own.parent()?.join("fieldcast-media")));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| LIBEXEC.into())
}

/// Starts `binary` as the worker `id` and gives it `plan`; what it says goes to `messages`. A full channel holds up the
/// worker, but not its end.
///
/// Call it on a thread that lives as long as the daemon: the worker is killed when that thread ends (PR_SET_PDEATHSIG).
///
/// # Errors
/// When the process cannot be started.
pub fn spawn(binary: &Path, id: WorkerId, plan: &Plan, messages: mpsc::Sender<Message>) -> io::Result<Worker> {
    let (ours, theirs) = Pair::pair()?;
    ours.set_nonblocking(true)?;
    let socket = UnixStream::from_std(ours)?;
    let mut child = Command::new(binary)
        .env_clear()
        .envs(env::vars_os().filter(|(name, _)| name.to_str().is_some_and(keeps)))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(log(id, stderr));
    }
    let (socket, mut writer) = socket.into_split();
    let (orders, mut waiting) = mpsc::unbounded_channel();
    let (wanted, unwanted) = oneshot::channel();
    let pid = child.id();
    let file = match plan {
        Plan::Still(still) => match &still.card {
            Card::Picture(path) => Some(path.clone()),
            Card::Name(_) | Card::Bars => None,
        },
        Plan::Video(_) | Plan::Audio(_) => None,
    };
    let plan = wire::request(&Request::Plan(plan.clone()));
    // Orders have a task of their own: a worker that does not read must not hold up what it still says.
    let writing = tokio::spawn(async move {
        writer.write_all(&plan).await?;
        if let Some(path) = file {
            let bytes = tokio::task::spawn_blocking(move || picture_file::read(&path)).await?.unwrap_or_else(|why| {
                tracing::warn!(worker = id.0, "{why}");
                Vec::new()
            });
            writer.write_all(&wire::request(&Request::File(bytes.into()))).await?;
        }
        while let Some(order) = waiting.recv().await {
            writer.write_all(&wire::request(&Request::Order(order))).await?;
        }
        io::Result::Ok(())
    });
    let keeper = Keeper { id, child, socket: Some(socket), reader: Reports::default(), writing, held: None };
    tokio::spawn(keeper.run(unwanted, messages));
    Ok(Worker { pid, orders, wanted })
}

/// Follows one process from its start to its end.
struct Keeper {
    id: WorkerId,
    child: Child,
    /// None once nothing more comes.
    socket: Option<OwnedReadHalf>,
    reader: Reports,
    writing: JoinHandle<io::Result<()>>,
    /// Read, and waiting for room in the channel.
    held: Option<Report>,
}

impl Keeper {
    async fn run(mut self, mut unwanted: oneshot::Receiver<Kill>, messages: mpsc::Sender<Message>) {
        let (mut exited, mut deadline, mut wanted) = (false, None, true);
        while !exited || self.socket.is_some() || self.held.is_some() {
            let kill_at = deadline.unwrap_or_else(Instant::now);
            tokio::select! {
                how = &mut unwanted, if wanted => {
                    wanted = false;
                    let end = self.terminate();
                    deadline = Some(if how.is_ok() { Instant::now() } else { deadline.unwrap_or(end) });
                }
                () = sleep_until(kill_at), if deadline.is_some() && !(exited && self.socket.is_none()) => {
                    // Beyond its time: what it still holds open, it or a child of its own, is not waited for.
                    let _ = self.child.start_kill();
                    (self.socket, deadline) = (None, Some(kill_at + GRACE));
                }
                status = self.child.wait(), if !exited => {
                    exited = true;
                    tracing::info!(worker = self.id.0, "media worker ended: {}", told(status));
                    deadline.get_or_insert_with(|| Instant::now() + GRACE);
                }
                read = read(&mut self.socket, &mut self.reader), if self.held.is_none() && self.socket.is_some() => {
                    if !matches!(read, Ok(1..)) {
                        self.socket = None;
                        deadline.get_or_insert_with(|| self.terminate());
                    }
                }
                room = messages.reserve(), if self.held.is_some() => {
                    match (room, self.held.take()) {
                        (Ok(room), Some(report)) => room.send(self.message(Said::Report(report))),
                        // Nobody listens any more.
                        _ => drop(deadline.get_or_insert_with(|| self.terminate())),
                    }
                }
            }
            if self.held.is_none() && !self.next_report() {
                self.socket = None;
                deadline.get_or_insert_with(|| self.terminate());
            }
        }
        self.writing.abort();
        let _ = messages.send(self.message(Said::Exited)).await;
    }

    fn message(&self, said: Said) -> Message {
        Message { worker: self.id, said }
    }

    /// Takes the next report out of what was read. False: what comes is no report.
    fn next_report(&mut self) -> bool {
        match self.reader.take() {
            Ok(report) => {
                if let Some(Report::Failed(failure)) = &report {
                    tracing::warn!(worker = self.id.0, "media worker failed ({:?}): {}", failure.kind, failure.text);
                }
                self.held = report;
            }
            Err(error) => {
                tracing::error!(worker = self.id.0, "media worker: {error}");
                self.reader = Reports::default();
                return false;
            }
        }
        true
    }

    /// Asks the process to end; gives the time until which it may.
    fn terminate(&self) -> Instant {
        // Its end of the socket reads end of file, once the task with our end is gone.
        self.writing.abort();
        if let Some(pid) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        Instant::now() + GRACE
    }
}

async fn read(socket: &mut Option<OwnedReadHalf>, reader: &mut Reports) -> io::Result<usize> {
    match socket {
        Some(socket) => {
            // Units are slices of this, so small reads would pin small pieces and large ones copy nothing.
            reader.buffer().reserve(32 << 10);
            socket.read_buf(reader.buffer()).await
        }
        None => Ok(0),
    }
}

fn told(status: io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

/// Whether a variable of our environment is the worker's business.
fn keeps(name: &str) -> bool {
    let prefixes = ["GST_", "XDG_", "ALSA_", "LC_", "ORC_"];
    matches!(name, "PATH" | "HOME" | "LANG" | "TZ" | "TMPDIR" | "LD_LIBRARY_PATH" | "RUST_BACKTRACE")
        || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Passes on what a worker logs: whole lines, cut when long, and not more than so many a second.
async fn log(id: WorkerId, mut stderr: ChildStderr) {
    let (mut line, mut bytes) = (Vec::new(), [0; 1024]);
    let (mut second, mut lines) = (Instant::now(), 0);
    while let Ok(read @ 1..) = stderr.read(&mut bytes).await {
        for &byte in &bytes[..read] {
            if byte != b'\n' {
                if line.len() < LINE {
                    line.push(byte);
                }
                continue;
            }
            if second.elapsed() >= Duration::from_secs(1) {
                if lines > LINES {
                    tracing::warn!(worker = id.0, "media worker: {} lines left out", lines - LINES);
                }
                (second, lines) = (Instant::now(), 0);
            }
            lines += 1;
            if lines <= LINES {
                tracing::warn!(worker = id.0, "media worker: {}", String::from_utf8_lossy(&line).trim_end());
            }
            line.clear();
        }
    }
}
