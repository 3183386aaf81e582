//! The cards that can stand in for the input: which are needed, and which are made.

use super::{CardId, Effect};
use crate::{
    board::Board,
    command::Cut,
    media::{Card, FailureKind, StillPlan, plan},
    settings::Settings,
    units::{Mode, Time},
};
use std::time::Duration;

/// After this long a card that could not be made is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// The slate and the test picture.
#[derive(Debug, Default)]
pub struct Stills {
    slate: Slot,
    bars: Slot,
    /// The operator's picture that cannot be used.
    refused: Option<Card>,
    /// The card that is being made, wanted or not any more.
    making: Option<CardId>,
}

#[derive(Debug, Default)]
struct Slot {
    plan: Option<StillPlan>,
    state: State,
    /// Encoders of the plan that could not make it: one that is on air may refuse a second stream.
    skipped: usize,
    /// A card was made that can be shown: of this plan, or, while a program runs, of the one before.
    made: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Wanted,
    Making(CardId),
    Ready,
    Failed {
        at: Time,
    },
}

impl Slot {
    /// `program`: one runs, for whose mode there is a card already.
    fn want(&mut self, plan: StillPlan, program: bool, now: Time) {
        let again = matches!(self.state, State::Failed { at, .. } if now.since(at) >= AGAIN);
        if self.plan.as_ref() != Some(&plan) {
            let fits = self.plan.as_ref().is_some_and(|old| (old.mode, old.codec) == (plan.mode, plan.codec));
            *self = Self { plan: Some(plan), made: self.made && program && fits, ..Self::default() };
        } else if again {
            self.state = State::Wanted;
        }
    }

    /// Begins to make the card if that is what it waits for.
    fn make(&mut self, cut: Cut, next_id: &mut u64) -> Option<Effect> {
        let (State::Wanted, Some(plan)) = (&self.state, &self.plan) else { return None };
        *next_id += 1;
        let id = CardId(*next_id);
        let encoders = plan.encoders[self.skipped..].to_vec();
        let plan = Box::new(StillPlan { encoders, ..plan.clone() });
        self.state = State::Making(id);
        Some(Effect::MakeCard { id, cut, plan, keep: self.made })
    }

    fn hear(&mut self, id: CardId, result: Result<(), FailureKind>, now: Time) -> bool {
        let own = matches!(self.state, State::Making(making) if making == id);
        let others = self.plan.as_ref().is_some_and(|plan| self.skipped + 1 < plan.encoders.len());
        // Neither a file nor what is not installed is better with another encoder.
        let fixed = |kind| matches!(kind, FailureKind::Picture | FailureKind::NoEncoder | FailureKind::MissingElement);
        match result {
            _ if !own => {}
            Ok(()) => (self.state, self.made) = (State::Ready, true),
            Err(kind) if others && !fixed(kind) => (self.state, self.skipped) = (State::Wanted, self.skipped + 1),
            Err(_) => (self.state, self.skipped) = (State::Failed { at: now }, 0),
        }
        own
    }
}

impl Stills {
    /// Has the cards made that `settings` need in this output mode, one after the other: an encoder may take one picture at
    /// a time. `program` says whether one runs.
    pub fn reconcile(
        &mut self,
        board: &Board,
        settings: &Settings,
        mode: Mode,
        program: bool,
        now: Time,
        next_id: &mut u64,
    ) -> Option<Effect> {
        let own = settings.slate.picture.clone().map(Card::Picture);
        if self.refused.is_some() && self.refused != own {
            self.refused = None;
        }
        let named = || Card::Name(settings.name.clone());
        let card = own.filter(|_| self.refused.is_none()).unwrap_or_else(named);
        self.slate.want(plan::still(board, &settings.output, mode, card), program, now);
        self.bars.want(plan::still(board, &settings.output, mode, Card::Bars), program, now);
        if self.making.is_some() {
            return None;
        }
        let effect = self.slate.make(Cut::Slate, next_id).or_else(|| self.bars.make(Cut::Test, next_id));
        self.making = effect.is_some().then_some(CardId(*next_id));
        effect
    }

    /// A card is made, or could not be; whether it is one that is still wanted.
    pub fn hear(&mut self, id: CardId, result: Result<(), FailureKind>, now: Time) -> bool {
        self.making.take_if(|making| *making == id);
        if !self.slate.hear(id, result, now) {
            return self.bars.hear(id, result, now);
        }
        let card = self.slate.plan.as_ref().map(|plan| plan.card.clone());
        if let (State::Failed { .. }, Some(card @ Card::Picture(_))) = (&self.slate.state, card) {
            // The box's own card takes its place.
            self.refused = Some(card);
        }
        true
    }

    /// Looks at the operator's picture anew: it may be another file by now. Until that is made, the old one is shown.
    pub fn forgive(&mut self) {
        self.refused = None;
        let pictured = self.slate.plan.as_ref().is_some_and(|plan| matches!(plan.card, Card::Picture(_)));
        if pictured && !matches!(self.slate.state, State::Making(_)) {
            self.slate.state = State::Wanted;
        }
    }

    /// Whether there is something to show instead of the input.
    pub fn ready(&self, cut: Cut) -> bool {
        match cut {
            Cut::Live => true,
            Cut::Slate => self.slate.made,
            Cut::Test => self.bars.made,
        }
    }

    /// When a card is tried again.
    pub fn next_wake(&self) -> Option<Time> {
        let again = |slot: &Slot| match slot.state {
            State::Failed { at, .. } => Some(at + AGAIN),
            _ => None,
        };
        again(&self.slate).into_iter().chain(again(&self.bars)).min()
    }

    /// The operator's picture cannot be used.
    pub fn picture_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// There is no slate, because it could not be made.
    pub fn without_slate(&self) -> bool {
        matches!(self.slate.state, State::Failed { .. }) && !self.slate.made
    }
}
