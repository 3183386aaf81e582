//! What a press means here and now.
//!
//! *One button*: a tap is the next page or entry; a hold acts: on the first page it starts or stops the push, elsewhere it
//! opens the page's list and chooses in it. What goes to a Source of the Studio is published by a second hold; what is
//! published asks how it is to be stopped. *With an Enter*: GO starts and stops wherever the operator is, Enter opens
//! and chooses. *Without a display* there are no pages, as nobody would know on which one the box is: GO starts and stops.
//! Up and Down turn pages and entries (a lone one of them: forward), Back leaves.
//!
//! What can end or move a push acts when it was held for `panel.hold-to-stop`, whichever button that is. Letting go before
//! cancels it, and so does another button.

use super::{Choice, Listing, Page, state::Held, state::Opened};
use crate::{
    board::ButtonRole,
    command::{Answer, Origin},
    control::{Control, Effect, RequestId},
    units::Time,
};
use std::time::Duration;

/// What is let go sooner was a tap.
const TAP: Duration = Duration::from_millis(500);
/// A held GO opens and chooses after this.
const CHOOSE: Duration = Duration::from_millis(700);
/// Two buttons held together lock or unlock after this.
const LOCK: Duration = Duration::from_secs(2);
/// A lone button unlocks after this.
const UNLOCK_ALONE: Duration = Duration::from_secs(5);
/// Lines that a fault takes on a small display.
const FAULT_LINES: usize = 6;

impl Control {
    /// A button went down or up.
    pub(in crate::control) fn press(&mut self, role: ButtonRole, pressed: bool, now: Time, effects: &mut Vec<Effect>) {
        if !pressed {
            if !self.let_go(role, now) {
                self.release(role, now);
            }
            return;
        }
        self.menu.touch(now);
        self.forget_reset(now);
        if !self.menu.down.insert(role) {
            return;
        }
        let locked = self.menu.locked;
        if self.menu.down.len() > 1 {
            self.menu.held = Some(Held { role, since: now, choice: Choice::Lock(!locked), locks: true });
            return;
        }
        if locked {
            self.menu.say(self.how_to_unlock(), true, now);
            if !self.has_several_buttons() {
                self.menu.held = Some(Held { role, since: now, choice: Choice::Lock(false), locks: true });
            }
            return;
        }
        if role == ButtonRole::Go {
            let choice = if self.go_is_go() { self.go() } else { self.present_choice() };
            self.menu.held = Some(Held { role, since: now, choice, locks: false });
        } else if self.board.display.is_some() {
            self.press_in_menu(role, now, effects);
        }
    }

    fn press_in_menu(&mut self, role: ButtonRole, now: Time, effects: &mut Vec<Effect>) {
        match role {
            ButtonRole::Go => {}
            ButtonRole::Up => {
                let alone = !self.has(ButtonRole::Down);
                self.menu.step(alone, self.lines());
            }
            ButtonRole::Down => self.menu.step(true, self.lines()),
            ButtonRole::Enter => {
                let choice = self.present_choice();
                if self.takes_hold(&choice) {
                    self.menu.held = Some(Held { role, since: now, choice, locks: false });
                } else {
                    self.choose(choice, now, effects);
                }
            }
            ButtonRole::Back if self.menu.open.is_some() => self.leave(),
            ButtonRole::Back if self.menu.reading => self.menu.turn_to(self.menu.page),
            ButtonRole::Back => self.menu.home(),
        }
    }

    fn release(&mut self, role: ButtonRole, now: Time) {
        self.menu.down.remove(&role);
        let Some(held) = self.menu.held.take() else { return };
        let tapped = held.role == role && !held.locks && now.since(held.since) < TAP;
        if !tapped || self.board.display.is_none() {
            return;
        }
        if role == ButtonRole::Go && !self.has(ButtonRole::Enter) {
            self.menu.step(true, self.lines());
        } else {
            self.menu.say(format!("Hold the button: {}", held.choice.text()), true, now);
        }
    }

    /// Lets time pass: what is held long enough acts.
    pub(in crate::control) fn tick_menu(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.refresh_list();
        self.pass_reset(now);
        if self.held_until().is_some_and(|until| until <= now)
            && let Some(held) = self.menu.held.take()
        {
            self.choose(held.choice, now, effects);
        }
        self.menu.pass(now);
    }

    /// When the menu changes by itself.
    pub(in crate::control) fn menu_wakes(&self) -> impl Iterator<Item = Time> {
        let reset = self.reset_shown().map(|reset| [reset.armed, reset.until]);
        self.menu.wakes().chain(self.held_until()).chain(reset.into_iter().flatten())
    }

    /// When what is held acts. It follows the state: what begins to end a push takes the full hold.
    pub(super) fn held_until(&self) -> Option<Time> {
        let held = self.menu.held.as_ref()?;
        let panel = &self.settings.panel;
        let span = match &held.choice {
            _ if held.locks && self.has_several_buttons() => LOCK,
            _ if held.locks => UNLOCK_ALONE,
            Choice::Start | Choice::Push | Choice::Publish(_) => panel.hold_to_start.duration(),
            choice if choice.ends(self.pushing()) => panel.hold_to_stop.duration(),
            _ => CHOOSE,
        };
        Some(held.since + span)
    }

    /// Does what was chosen.
    fn choose(&mut self, choice: Choice, now: Time, effects: &mut Vec<Effect>) {
        match &choice {
            Choice::Open(Listing::Reset) if self.pushing() => {
                return self.menu.say("Stop the push first", true, now);
            }
            Choice::Open(listing) => return self.open(listing.clone()),
            Choice::Leave => return self.leave(),
            Choice::Read => {
                (self.menu.reading, self.menu.scroll) = (!self.menu.reading, 0);
                let now_move = if self.menu.reading { "The buttons move the page" } else { "The buttons turn pages" };
                return self.menu.say(now_move, false, now);
            }
            Choice::Check(_) => self.menu.turn_to(Page::Preflight),
            Choice::Start | Choice::Push | Choice::Publish(_) | Choice::Stop(_) => self.menu.home(),
            // Its list shows what comes of it.
            Choice::Measure(_) if self.menu.waits_for(&choice) => return,
            Choice::Measure(_) => {}
            _ => self.menu.open = None,
        }
        if let Some(command) = choice.command(self.show.cut, self.show.mute) {
            let request = self.menu.ask(choice);
            effects.extend(self.take_command(request, Origin::Panel, command, now));
        }
    }

    /// What came of a choice.
    pub(in crate::control) fn take_answer(&mut self, request: RequestId, answer: &Answer, now: Time) {
        let Some(choice) = self.menu.asked.remove(&request) else { return };
        match answer {
            // The page says why.
            Answer::Failed { .. } if self.menu.tried.is_some_and(|(tried, _)| tried == request) => {}
            Answer::Failed { text, .. } => self.menu.say(text, true, now),
            Answer::Successful { .. } => {
                if let Some(text) = choice.done(self.pushing()) {
                    self.menu.say(text, false, now);
                }
            }
        }
    }

    fn open(&mut self, listing: Listing) {
        let choices = self.choices(&listing);
        let cursor = choices.iter().position(|choice| self.chosen_now(choice)).filter(|_| listing != Listing::Live);
        self.menu.open = Some(Opened { listing, choices, cursor: cursor.unwrap_or(0) });
    }

    fn leave(&mut self) {
        match self.menu.open.take().and_then(|open| open.listing.parent()) {
            Some(parent) => self.open(parent),
            None => self.menu.open = None,
        }
    }

    /// Settings and push change while a list is open: the cursor stays with its choice, else it goes to "Back".
    fn refresh_list(&mut self) {
        let Some(open) = self.menu.open.take() else { return };
        let choices = self.choices(&open.listing);
        let at = &open.choices[open.cursor];
        let cursor = choices.iter().position(|choice| choice == at);
        if cursor.is_none() && self.menu.held.as_ref().is_some_and(|held| held.choice == *at) {
            self.menu.held = None;
        }
        let cursor = cursor.unwrap_or(choices.len() - 1);
        self.menu.open = Some(Opened { choices, cursor, ..open });
    }

    /// What Enter does here.
    fn present_choice(&self) -> Choice {
        match &self.menu.open {
            Some(open) => open.choices[open.cursor].clone(),
            None => Listing::of(self.menu.page).map_or(Choice::Read, Choice::Open),
        }
    }

    /// What GO does: push, publish where that is to be done, stop.
    fn go(&self) -> Choice {
        if !self.pushing() { self.start_choice() } else { self.publish_choice().unwrap_or_else(|| self.stop_choice()) }
    }

    /// Whether GO starts and stops, and nothing else.
    fn go_is_go(&self) -> bool {
        let first = self.menu.page == Page::Live && self.menu.open.is_none();
        first || self.has(ButtonRole::Enter) || self.board.display.is_none()
    }

    fn has(&self, role: ButtonRole) -> bool {
        self.board.buttons.iter().any(|button| button.role == role)
    }

    fn has_several_buttons(&self) -> bool {
        let first = self.board.buttons.first().map(|button| button.role);
        self.board.buttons.iter().any(|button| Some(button.role) != first)
    }

    fn how_to_unlock(&self) -> &'static str {
        if self.has_several_buttons() { "Locked: hold two buttons for 2 s" } else { "Locked: hold the button for 5 s" }
    }

    /// About how long the page of faults is.
    fn lines(&self) -> usize {
        self.standing.len() * FAULT_LINES
    }
}
