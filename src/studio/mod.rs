//! X Media Studio's Producer, by X's API: accounts, Sources, Broadcasts, media and posts.
//!
//! The box and the operator's desk use the same client: what is asked is [`crate::command::studio::What`], the words of every
//! surface. `own` has the questions about the Broadcast of this box, which [`crate::control`] asks.

pub mod own;
pub mod trouble;
pub mod types;

pub use own::{Ask, AskId, Told};
pub use trouble::Trouble;
pub use types::{Broadcast, BroadcastState, StudioSource};
