//! The Crystalfontz CFA635.

use crate::control::Event;
use std::{io, path::PathBuf};
use tokio::sync::mpsc::UnboundedSender;

/// A CFA635.
#[derive(Debug, Clone)]
pub struct Handle;

impl Handle {
    /// Follows the one at `port`.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(_port: PathBuf, _events: UnboundedSender<Event>) -> io::Result<Self> {
        Ok(Self)
    }

    /// Shows characters.
    pub fn show(&self, _cells: [[char; 20]; 4]) {}

    /// Light, percent.
    pub fn brightness(&self, _percent: u8) {}

    /// Whether it is there.
    pub fn present(&self) -> bool {
        false
    }

    /// Errors so far.
    pub fn errors(&self) -> u64 {
        0
    }
}
