//! The front panel: what its display shows, its buttons and its lamps.

pub mod buttons;
pub mod canvas;
pub mod screen;
pub mod thumbnail;

use crate::{board::Tally, control::menu::View, status::Status};
use std::sync::Arc;
use tokio::sync::watch;

/// What a panel follows: the latest of each, told when it changes.
#[derive(Debug, Clone)]
pub struct Feed {
    /// What pages are filled with.
    pub status: watch::Receiver<Arc<Status>>,
    /// Which page, and what lies over it.
    pub view: watch::Receiver<Arc<View>>,
    /// What the lamps tell; none: they are dark.
    pub tally: watch::Receiver<Option<Tally>>,
}
