//! Fieldcast.
pub mod access_unit;
pub mod board;
pub mod command;
pub mod control;
pub mod media;
pub mod settings;
pub mod status;
pub mod sys;
pub mod units;
pub mod uplink;
