//! X Media Studio from the desk.
//!
//! | where | what |
//! |---|---|
//! | `args` `order` | what can be typed, and what is asked then (pure) |
//! | `here` | this computer asks X itself, with the box's own client |
//! | `words` | what X tells, in words for people (pure) |
//! | `link` `redirect` | lets a box or this computer act for an account: the browser is sent to X and waited for |

pub mod args;
mod here;
mod link;
pub mod order;
mod redirect;
pub mod words;

pub use here::ask;
pub use link::{is_private, link};
