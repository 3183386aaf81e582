//! What viewers see: when the program begins, what the operator shows, and what follows when the picture goes.

use super::{Control, Effect, Now, SavedIntent};
use crate::{
    command::Cut,
    media::plan,
    settings::{OnSignalLoss, Output, OutputMode},
    status::{Intent, Showing},
    units::{Mode, Time},
};
use std::time::Duration;

/// A push waits this long for a picture; then it begins with the slate.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Viewers of an input that is locked see no card for longer than this without a fault that says why.
const UNEXPLAINED: Duration = Duration::from_secs(3);
/// The first picture comes before cards are made: so long after power-on at the earliest,
const SETTLED: Duration = Duration::from_millis(1500);
/// and while a picture is on its way to an ingest for the first time, at the latest after this time.
const UNDERWAY: Duration = Duration::from_secs(60);

/// What viewers see.
#[derive(Debug, Default)]
pub(super) struct Show {
    /// The operator's choice.
    pub cut: Cut,
    /// Whether they hear nothing.
    pub mute: bool,
    /// The output mode of the program, from its begin to its end.
    pub program: Option<Mode>,
    /// Whether the program has had a picture of the input.
    pub pictured: bool,
    /// Since when viewers see the last picture or the slate.
    pub hidden: Option<Time>,
    /// Since when something should be pushed.
    pub since: Option<Time>,
    /// Since when there is no picture although there should be.
    pub lost: Option<Time>,
    /// The push has ended by itself, as `on-signal-loss` says.
    pub ended: bool,
}

impl Show {
    /// Viewers see something else than before.
    pub fn see(&mut self, showing: Option<Showing>, now: Time) {
        let hidden = matches!(showing, Some(Showing::Hold | Showing::Slate));
        self.hidden = hidden.then(|| self.hidden.unwrap_or(now));
    }

    /// Whether viewers do not get the input although the operator shows it, and for how long.
    fn hidden(&self) -> Option<Time> {
        self.hidden.filter(|_| self.cut == Cut::Live)
    }

    /// Whether that has been so for longer than building something anew takes.
    pub fn unexplained(&self, now: Time) -> bool {
        self.hidden().is_some_and(|since| now.since(since) >= UNEXPLAINED)
    }

    /// When something follows from time passing.
    pub fn next_wake(&self, loss: OnSignalLoss) -> Option<Time> {
        let begin = self.since.filter(|_| self.program.is_none()).map(|since| since + PATIENCE);
        let end = match loss {
            OnSignalLoss::StopAfter(span) => self.lost.map(|lost| lost + span.duration()),
            OnSignalLoss::Slate => None,
        };
        begin.into_iter().chain(end).min()
    }
}

impl Control {
    /// The operator shows something else. Without a push it is kept for the next one.
    pub(super) fn show(&mut self, cut: Cut, mute: bool, now: Time) -> Vec<Effect> {
        (self.show.cut, self.show.mute) = (cut, mute);
        self.show.hidden = self.show.hidden.map(|_| now);
        let mut effects = vec![Effect::SaveIntent(self.saved_intent())];
        if self.show.program.is_some() {
            effects.push(Effect::Cut { cut, mute });
        }
        effects
    }

    pub(super) fn saved_intent(&self) -> SavedIntent {
        SavedIntent {
            intent: if self.stop_at.is_some() { Intent::OffAir } else { self.intent },
            sources: self.chosen_sources.clone(),
            show: self.show.cut,
            mute: self.show.mute,
            input: self.show.pictured.then(|| self.input.clone()),
        }
    }

    /// The output's settings, with the mode of the program that runs: nothing that comes in changes it.
    pub(super) fn output(&self) -> Output {
        let mode = self.show.program.map_or(self.running.output.mode, OutputMode::Fixed);
        Output { mode, ..self.running.output.clone() }
    }

    /// The mode that goes out, or would.
    pub(super) fn output_mode(&self) -> Mode {
        let output = self.output();
        let encoder = self.board.encoders.iter().find(|encoder| encoder.codec == output.codec);
        plan::output_mode(&output, self.board.limits, encoder, self.wanted_signal().and_then(|signal| signal.mode))
    }

    /// Begins the program: with the first picture, or with the slate if none comes.
    pub(super) fn begin_program(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.show.since = self.pushing().then(|| self.show.since.unwrap_or(now));
        let Some(since) = self.show.since.filter(|_| self.show.program.is_none()) else { return };
        let locked = self.wanted_signal().is_some();
        let patient = now.since(since) < PATIENCE || !self.stills.ready(Cut::Slate);
        if !locked && patient {
            return;
        }
        self.show.program = Some(self.output_mode());
        effects.push(Effect::BeginProgram { card: !locked });
        effects.push(Effect::Cut { cut: self.show.cut, mute: self.show.mute });
    }

    /// Has the cards made that can be needed.
    pub(super) fn make_cards(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let underway = self.pushing() && !self.acknowledged && self.wanted_signal().is_some();
        let early = self.show.since.filter(|_| underway).is_some_and(|since| now.since(since) < UNDERWAY);
        if early || now.since(self.begun) < SETTLED || self.shutdown.is_some() || self.in_rescue() {
            return;
        }
        let mode = self.output_mode();
        let program = self.show.program.is_some();
        let effect = self.stills.reconcile(&self.board, &self.running, mode, program, now, &mut self.next_id);
        effects.extend(effect);
    }

    /// When [`make_cards`](Self::make_cards) begins, if nothing else happens.
    pub(super) fn cards_wakes(&self) -> impl Iterator<Item = Time> + use<> {
        [Some(self.begun + SETTLED), self.show.since.map(|since| since + UNDERWAY)].into_iter().flatten()
    }

    /// Ends the push when the picture was away for as long as the operator allows.
    pub(super) fn judge_loss(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let seen = self.show.program.is_none() || self.show.hidden().is_none();
        let lost = self.pushing() && (self.wanted_signal().is_none() || self.video.given_up() || !seen);
        self.show.lost = lost.then(|| self.show.lost.unwrap_or(now.time));
        if let (Some(since), OnSignalLoss::StopAfter(span)) = (self.show.lost, self.running.push.on_signal_loss)
            && now.time.since(since) >= span.duration()
        {
            self.set_intent(Intent::OffAir, None, effects);
            self.show.ended = true;
        }
    }
}
