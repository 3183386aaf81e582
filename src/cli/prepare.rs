//! What every subcommand stands on: the board, the settings, and for the daemon its state.

use super::{INTERNAL, MISMATCH, Place, REBOOT, Refusal, WRONG};
use crate::{
    board::{Board, BoardError, find},
    control::Event,
    daemon::{self, Ended, Start},
    host,
    panel::{front::Front, screen::Scene},
    settings::{Layers, Overrides},
    state::StateFolder,
};
use std::{path::Path, thread, time::Duration};
use tokio::sync::mpsc;

/// systemd starts what failed inside again after a second; a text on the display that comes and goes cannot be read.
const READING: Duration = Duration::from_secs(5);

/// Finds the board and reads the settings, with everything wrong with either in one text.
///
/// # Errors
/// [`WRONG`], or [`MISMATCH`] when only the hardware is at fault.
pub(super) fn load(place: &Place, overrides: Overrides) -> Result<(Board, Layers), Refusal> {
    judge(find_board(place), place, overrides)
}

pub(super) fn find_board(place: &Place) -> Result<Board, BoardError> {
    Board::find(Path::new("/"), &find::folders(), place.board.as_deref())
}

fn judge(board: Result<Board, BoardError>, place: &Place, overrides: Overrides) -> Result<(Board, Layers), Refusal> {
    let layers = Layers::load(place.settings.as_deref(), overrides, board.as_ref().ok());
    match (board, layers) {
        (Ok(board), Ok(layers)) => Ok((board, layers)),
        (Err(board), Ok(_)) => {
            let code = if board.is_mismatch() { MISMATCH } else { WRONG };
            Err(Refusal { code, text: board.to_string() })
        }
        (Ok(_), Err(settings)) => Err(Refusal { code: WRONG, text: settings.to_string() }),
        (Err(board), Err(settings)) => Err(Refusal { code: WRONG, text: format!("{settings}\n{board}") }),
    }
}

/// Makes everything ready for the daemon; claims the state folder. Blocks on the disk.
///
/// # Errors
/// As `check`, and [`WRONG`] for a state folder that cannot be used.
fn prepare(
    place: &Place,
    board: Result<Board, BoardError>,
    front: Option<Front>,
    events: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
) -> Result<Start, Refusal> {
    // First without the state: a wrong settings file is told whatever the state is like, and leaves no trace there.
    let (board, _) = judge(board, place, Overrides::new())?;
    let state = StateFolder::open(&place.state).map_err(|text| Refusal { code: WRONG, text })?;
    let (overrides, damaged) = state.overrides();
    let (board, layers) = judge(Ok(board), place, overrides)?;
    let (id, not_kept) = host::box_id(Path::new("/"), &state);
    let id = layers.settings().id.clone().unwrap_or(id);
    let faults = damaged.into_iter().chain(not_kept).collect();
    Ok(Start { board, layers, settings: place.settings.clone(), state, id, faults, front, rescue: None, events })
}

/// `fieldcastd run`.
///
/// # Errors
/// As `prepare`, and [`INTERNAL`] for what fails later.
pub fn run(place: &Place) -> Result<Vec<u8>, Refusal> {
    let events = mpsc::unbounded_channel();
    let board = find_board(place);
    // Before anything else can go wrong: what does is read there.
    let front = board.as_ref().ok().and_then(|board| show(board, place, &events.0));
    finish(front.clone(), prepare(place, board, front, events).and_then(work))
}

/// Begins to show the splash on the board's display; none: it has none, or the system has no thread for it.
pub(super) fn show(board: &Board, place: &Place, events: &mpsc::UnboundedSender<Event>) -> Option<Front> {
    let display = board.display.as_ref()?;
    let front = Front::start(display, &board.buttons, &place.state, events.clone());
    front.inspect_err(|error| tracing::error!("the display cannot be used: {error}")).ok()
}

/// Runs the loop to its end.
pub(super) fn work(start: Start) -> Result<Ended, Refusal> {
    block_on(daemon::run(start))?.map_err(|error| Refusal { code: INTERNAL, text: format!("{error:#}") })
}

/// Shows how it ended, and says so by the exit code.
pub(super) fn finish(front: Option<Front>, ended: Result<Ended, Refusal>) -> Result<Vec<u8>, Refusal> {
    if let Some(front) = front {
        match &ended {
            Ok(_) => front.end(Scene::Stopped),
            // It stays on the glass: nothing is started again after the other codes.
            Err(Refusal { code, text }) => {
                front.end(Scene::Failed(text.clone()));
                if *code == INTERNAL {
                    thread::sleep(READING);
                }
            }
        }
    }
    match ended? {
        Ended::Stopped => Ok(Vec::new()),
        Ended::Reboot => Err(Refusal { code: REBOOT, text: "the box is to be restarted".into() }),
    }
}

/// Runs `work` on this thread: workers die with the thread that started them.
///
/// # Errors
/// [`INTERNAL`] when the system gives no event queue.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Refusal { code: INTERNAL, text: format!("no event queue: {error}") })?;
    let result = runtime.block_on(work);
    // A disk or a console that hangs must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(result)
}
