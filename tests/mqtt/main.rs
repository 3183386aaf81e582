//! The daemon as a process and a real mosquitto on loopback: what an operator far away asks is done once, in time, and
//! answered, whatever becomes of the connection. `tests/README.md` has the tiers.

mod connection;
mod desk;
mod life;
#[path = "../support/mod.rs"]
mod support;
mod trust;

use std::time::Duration;
use support::{broker::Broker, daemon::Daemon};

/// The box of these tests.
const BOX: &str = "fc-test";

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// Settings of a box at the broker at `port`; `more` belongs to `[mqtt]`, and may go on with other sections.
fn settings(port: u16, more: &str) -> String {
    format!(
        "id = \"{BOX}\"\nname = \"OB van 3\"\ntags = [\"stage-left\"]\n\
         [output]\nmode = \"320x180p30\"\nbitrate-max = \"800 kbit/s\"\n\
         [mqtt]\nbroker = \"mqtt://127.0.0.1:{port}\"\n{more}"
    )
}

/// A broker with a box and a desk at it; the box is online.
fn online() -> (Broker, Daemon, desk::Desk) {
    let broker = Broker::start("");
    let daemon = Daemon::start(&settings(broker.port, ""));
    let desk = desk::Desk::at(broker.port);
    desk.wait_for("availability", seconds(10), |text| text == "online");
    (broker, daemon, desk)
}
