//! TEMP
use fieldcast::{board::Board, daemon, settings::Layers, state::StateFolder};
use std::path::PathBuf;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    fieldcast::log::start(false);
    let board = Board::find(std::path::Path::new("/"), &[PathBuf::from("boards")], Some(&a[1])).unwrap();
    let state = StateFolder::open(std::path::Path::new(&a[3])).unwrap();
    let (o, _) = state.overrides();
    let layers = Layers::load(Some(std::path::Path::new(&a[2])), o, Some(&board)).unwrap_or_else(|e| panic!("{e}"));
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rt.block_on(daemon::run(daemon::Start { board, layers, settings: Some(PathBuf::from(&a[2])), state, faults: vec![] })).unwrap();
}
