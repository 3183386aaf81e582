//! The front panel: what its display shows, its buttons and its lamps.

pub mod buttons;
pub mod canvas;
pub mod screen;
pub mod thumbnail;
