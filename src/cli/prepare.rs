//! What every subcommand stands on: the board, the settings, and for the daemon its state.

use super::{MISMATCH, Place, Refusal, WRONG};
use crate::{
    board::{Board, find},
    host,
    settings::{Layers, Overrides},
    state::StateFolder,
    status::Fault,
};
use std::path::Path;

/// What the daemon starts with.
#[derive(Debug)]
pub struct Prepared {
    /// The hardware.
    pub board: Board,
    /// The settings.
    pub layers: Layers,
    /// The state folder, claimed.
    pub state: StateFolder,
    /// The box's id.
    pub id: String,
    /// What was wrong and did not stop it.
    pub faults: Vec<Fault>,
}

/// Finds the board and reads the settings, with everything wrong with either in one text.
///
/// # Errors
/// [`WRONG`], or [`MISMATCH`] when only the hardware is at fault.
pub(super) fn load(place: &Place, overrides: Overrides) -> Result<(Board, Layers), Refusal> {
    let board = Board::find(Path::new("/"), &find::folders(), place.board.as_deref());
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
/// As [`check`](super::check), and [`WRONG`] for a state folder that cannot be used.
pub fn prepare(place: &Place) -> Result<Prepared, Refusal> {
    // First without the state: a wrong settings file is told whatever the state is like, and leaves no trace there.
    load(place, Overrides::new())?;
    let state = StateFolder::open(&place.state).map_err(|text| Refusal { code: WRONG, text })?;
    let (overrides, damaged) = state.overrides();
    let (board, layers) = load(place, overrides)?;
    let (id, not_kept) = host::box_id(Path::new("/"), &state);
    let id = layers.settings().id.clone().unwrap_or(id);
    let faults = damaged.into_iter().chain(layers.fault()).chain(not_kept).collect();
    Ok(Prepared { board, layers, state, id, faults })
}
