//! Remote control over MQTT. A request has an id and an age: it is carried out once, never too late, and always answered.
//!
//! | where | what |
//! |---|---|
//! | [`topic`] | where messages go: `<prefix>/<box-id>/<leaf>` |
//! | [`message`] | what is in them: requests and answers |
//! | [`document`] | what a box tells of itself: info, events, log lines |
//! | [`age`] [`journal`] [`spool`] [`happened`] | whether a request comes in time and was carried out before; what happened |
//! | [`home`] | the device as Home Assistant wants to be told of it |
//! | [`session`] | what is said, done and remembered (all of the above are pure) |
//! | [`link`] [`retry`] [`trouble`] | one connection, when the next is tried, and what is told of it |
//! | [`client`] | the task that holds the connection |

pub mod age;
pub mod client;
pub mod document;
pub mod happened;
pub mod home;
pub mod journal;
pub mod link;
pub mod message;
pub mod retry;
pub mod session;
pub mod spool;
pub mod topic;
pub mod trouble;
