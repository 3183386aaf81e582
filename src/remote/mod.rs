//! Remote control over MQTT: the messages that box and operator exchange.
//!
//! | where | what |
//! |---|---|
//! | [`topic`] | where messages go: `<prefix>/<box-id>/<leaf>` |
//! | [`message`] | what is in them: requests and answers |
//! | [`document`] | what a box tells of itself: info, events, log lines |

pub mod document;
pub mod message;
pub mod topic;
