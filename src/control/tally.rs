//! What the lamps tell. How each state is lit is data of the board.

use super::Control;
use crate::{
    board::Tally,
    status::{Phase, Severity},
    units::Time,
};

impl Control {
    /// What the lamps tell at `now`; none: nothing, as a push or the process is being ended.
    ///
    /// A push that starts is [`Tally::Attention`] while all goes as it should, and [`Tally::Trouble`] once something is
    /// wrong: nobody has to run while the first connection is made.
    pub fn tally(&self, now: Time) -> Option<Tally> {
        if self.menu.identifies(now) || self.reset_is_due(now) {
            return Some(Tally::Identify);
        }
        if self.shutdown.is_some() {
            return None;
        }
        let wrong = self.standing.iter().any(|fault| fault.severity == Severity::Error);
        // A picture that is away is a fault as well, but not yet in its first moments.
        let lost = self.show.lost.is_some();
        Some(match self.phase(now) {
            Phase::Stopping => return None,
            Phase::OnAir | Phase::Starting | Phase::Previewing if wrong => Tally::Trouble,
            Phase::OnAir if lost => Tally::Trouble,
            Phase::OnAir => Tally::OnAir,
            Phase::Reconnecting => Tally::Trouble,
            Phase::Starting | Phase::Previewing => Tally::Attention,
            Phase::OffAir if self.ready() && !wrong => Tally::Ready,
            Phase::OffAir => Tally::Attention,
        })
    }
}
