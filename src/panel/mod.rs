//! The front panel: its buttons.

pub mod buttons;
