//! The front panel: what its display shows, its buttons and its lamps.

pub mod buttons;
pub mod canvas;
pub mod cfa635;
pub mod display;
pub mod front;
pub mod lamps;
mod lines;
pub mod probe;
pub mod screen;
pub mod thumbnail;
