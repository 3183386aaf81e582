//! The program: the one encoded timeline that every uplink delivers. Pure: units and the time go in, units come out.

pub mod grid;
pub mod slate;
pub mod timeline;
pub mod tone;
