//! What presses do on boxes with one button and with five.

use super::*;
use crate::{
    board::{Button, ButtonPlace, Display, DisplayKind},
    control::menu::{Page, View},
    settings::OutputMode,
};
use ButtonRole::{Back, Down, Enter, Go, Up};

/// A board with a display and these buttons.
pub(super) fn panel(roles: &[ButtonRole]) -> Board {
    let place = || ButtonPlace::Key { key: "KEY_G".into(), device: None };
    Board {
        display: Some(Display { kind: DisplayKind::Png { file: None }, rotate: 0 }),
        buttons: roles.iter().map(|role| Button { role: *role, place: place() }).collect(),
        ..board()
    }
}

/// A box, its clock, and everything that it wanted done.
pub(super) struct Desk {
    pub control: Control,
    pub now: u64,
    pub effects: Vec<Effect>,
}

impl Desk {
    pub fn new(roles: &[ButtonRole], settings: Settings) -> Self {
        let control = Control::new(panel(roles), settings, "fc-0".into(), None, None, Time::ZERO);
        let mut desk = Self { control, now: 0, effects: Vec::new() };
        desk.tell(locked("hdmi"));
        desk
    }

    pub fn tell(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.control.handle(event, at(self.now));
        self.effects.extend(effects.clone());
        effects
    }

    /// Lets `ms` pass as the daemon does: it wakes when control wants to.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(wake) = self.control.next_wake(at(self.now).time).filter(|wake| wake.millis() <= end) {
            self.now = wake.millis().max(self.now + 1);
            self.tell(Event::Tick);
        }
        self.now = end;
    }

    pub fn key(&mut self, role: ButtonRole, pressed: bool) {
        self.tell(Event::Button { role, pressed });
    }

    pub fn hold(&mut self, role: ButtonRole, ms: u64) {
        self.key(role, true);
        self.pass(ms);
        self.key(role, false);
        self.pass(50);
    }

    pub fn tap(&mut self, role: ButtonRole) {
        self.hold(role, 100);
    }

    pub fn view(&self) -> View {
        self.control.view(at(self.now).time)
    }

    /// The entry that the cursor is on.
    pub fn entry(&self) -> String {
        let list = self.view().list.expect("a list");
        list.entries[list.cursor].text.clone()
    }

    /// Goes to the entry called `text`.
    pub fn find(&mut self, role: ButtonRole, text: &str) {
        for _ in 0..60 {
            if self.entry() == text {
                return;
            }
            self.tap(role);
        }
        panic!("no entry {text:?} in {:?}", self.view().list);
    }

    /// On air to the first Source.
    pub fn on_air(&mut self) -> UplinkId {
        let effects = self.tell(command(1, Command::Start { sources: None }));
        let id = opened(&effects)[0].0;
        self.tell(acknowledged(id, self.now + 1));
        id
    }

    fn set(&self) -> Vec<String> {
        let sets = self.effects.iter().filter_map(|effect| match effect {
            Effect::Perform { job: Job::Set(changes), request } if request.is_of_panel() => Some(changes),
            _ => None,
        });
        sets.map(|changes| serde_json::to_string(&changes.0).expect("json")).collect()
    }
}

#[test]
fn one_button_turns_pages_and_chooses() {
    let mut desk = Desk::new(&[Go], settings());
    desk.tap(Go);
    assert_eq!((desk.view().page, desk.control.pushing()), (Page::Input, false));
    desk.hold(Go, 1500);
    assert!(!desk.control.pushing(), "off the first page it does not start");
    assert_eq!(desk.entry(), "Input: automatic", "the cursor is on what is in use");
    desk.tap(Go);
    desk.tap(Go);
    assert_eq!(desk.entry(), "Input: CAMERA");
    desk.hold(Go, 900);
    assert_eq!(desk.set(), [r#"{"input.device":"camera"}"#]);
    assert_eq!((desk.view().page, desk.view().list), (Page::Input, None));
    // Seven more taps lead round to the first page, where a hold starts and stops.
    (0..7).for_each(|_| desk.tap(Go));
    assert_eq!(desk.view().page, Page::Live);
    desk.hold(Go, 900);
    assert!(!desk.control.pushing());
    desk.hold(Go, 1100);
    assert!(desk.control.pushing());
    desk.hold(Go, 1900);
    assert!(desk.control.pushing());
    desk.hold(Go, 2100);
    assert!(!desk.control.pushing());
}

#[test]
fn the_last_entry_leads_back() {
    let mut desk = Desk::new(&[Go], settings());
    (0..6).for_each(|_| desk.tap(Go));
    assert_eq!(desk.view().page, Page::System);
    desk.hold(Go, 800);
    desk.find(Go, "Factory reset");
    desk.hold(Go, 800);
    assert_eq!(desk.view().list.map(|list| (list.entries.len(), list.entries[0].hold)), Some((2, true)));
    desk.find(Go, "Back");
    desk.hold(Go, 800);
    assert_eq!(desk.view().list.map(|list| list.title), Some("System".into()));
    desk.find(Go, "Back");
    desk.hold(Go, 800);
    assert_eq!(desk.view().list, None);
}

#[test]
fn five_buttons_lead_from_power_on_to_on_air_through_the_sources_page() {
    let mut desk = Desk::new(&[Go, Up, Down, Enter, Back], settings());
    (0..3).for_each(|_| desk.tap(Down));
    assert_eq!(desk.view().page, Page::Sources);
    desk.tap(Enter);
    assert_eq!(desk.entry(), "Main");
    desk.tap(Down);
    desk.tap(Enter);
    assert_eq!(desk.set(), [r#"{"push.sources":["Spare"]}"#]);
    let mut changed = settings();
    changed.push.sources = vec!["Spare".into()];
    desk.tell(Event::Settings { settings: Box::new(changed), at_once: false });
    assert_eq!(desk.view().sources.iter().map(|line| line.primary).collect::<Vec<_>>(), [false, true]);
    // GO is GO on every page.
    desk.tap(Go);
    assert_eq!(desk.view().page, Page::Sources);
    assert!(desk.view().notice.is_some_and(|notice| notice.text.contains("Go on air")));
    desk.hold(Go, 1100);
    assert_eq!(opened(&desk.effects).iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["Spare"]);
    assert_eq!(desk.view().page, Page::Live);
    desk.tap(Up);
    assert_eq!(desk.view().page, Page::Faults);
    desk.tap(Back);
    assert_eq!(desk.view().page, Page::Live);
}

#[test]
fn without_a_display_go_is_go() {
    let mut desk = Desk::new(&[Go], settings());
    desk.control.board.display = None;
    desk.tap(Go);
    desk.tap(Go);
    assert_eq!(desk.view().page, Page::Live);
    desk.hold(Go, 1100);
    assert!(desk.control.pushing());
}

#[test]
fn a_bar_fills_and_letting_go_or_another_button_cancels_it() {
    let mut desk = Desk::new(&[Go, Down], settings());
    desk.pass(5000);
    desk.key(Go, true);
    let hold = desk.view().hold.expect("a bar");
    assert_eq!((hold.since, hold.until), (Time::from_millis(5000), Time::from_millis(6000)));
    assert_eq!(hold.text, "Go on air");
    desk.pass(990);
    desk.key(Go, false);
    desk.pass(5000);
    assert!(!desk.control.pushing() && desk.view().hold.is_none());
    desk.key(Go, true);
    desk.pass(500);
    desk.key(Down, true);
    assert_eq!(desk.view().hold.expect("a bar").text, "Lock the buttons");
    desk.pass(1000);
    desk.key(Down, false);
    desk.pass(5000);
    assert!(!desk.control.pushing(), "what was cancelled does not go on");
    assert_eq!(desk.view().page, Page::Live, "and is no tap");
}

#[test]
fn the_bar_follows_the_state() {
    let mut desk = Desk::new(&[Go, Enter, Down], settings());
    (0..3).for_each(|_| desk.tap(Down));
    desk.tap(Enter);
    desk.tap(Down);
    desk.tap(Enter);
    assert_eq!(desk.set().len(), 1, "off air a tap chooses");
    desk.on_air();
    desk.tap(Enter);
    desk.find(Down, "Spare");
    assert!(desk.view().list.is_some_and(|list| list.entries[1].hold));
    desk.tap(Enter);
    assert_eq!(desk.set().len(), 1);
    assert!(desk.view().notice.is_some_and(|notice| notice.failed && notice.text == "Hold the button: Spare"));
    desk.hold(Enter, 2100);
    assert_eq!(desk.set().len(), 2);
}

#[test]
fn a_box_that_goes_on_air_meanwhile_wants_the_full_hold() {
    let mut desk = Desk::new(&[Go], settings());
    (0..3).for_each(|_| desk.tap(Go));
    desk.hold(Go, 800);
    desk.find(Go, "Spare");
    desk.key(Go, true);
    desk.pass(300);
    desk.on_air();
    desk.pass(1600);
    assert_eq!(desk.set().len(), 0);
    desk.pass(200);
    assert_eq!(desk.set().len(), 1);
}

#[test]
fn two_buttons_lock_and_unlock() {
    let mut desk = Desk::new(&[Go, Down], settings());
    let both = |desk: &mut Desk, ms| {
        desk.key(Down, true);
        desk.key(Go, true);
        desk.pass(ms);
        desk.key(Down, false);
        desk.key(Go, false);
    };
    both(&mut desk, 1900);
    assert!(!desk.view().locked);
    both(&mut desk, 2000);
    let locks = desk.effects.iter().filter(|effect| matches!(effect, Effect::Answer { .. })).count();
    assert_eq!((desk.view().locked, locks), (true, 1));
    desk.hold(Go, 3000);
    desk.tap(Down);
    assert_eq!((desk.control.pushing(), desk.view().page), (false, Page::Live));
    let notice = desk.view().notice.expect("it says why");
    assert!(notice.failed && notice.text.contains("two buttons"), "{notice:?}");
    both(&mut desk, 2000);
    assert!(!desk.view().locked);
    desk.hold(Go, 1100);
    assert!(desk.control.pushing());
}

#[test]
fn a_lone_button_unlocks_after_five_seconds() {
    let mut desk = Desk::new(&[Go], settings());
    (0..6).for_each(|_| desk.tap(Go));
    desk.hold(Go, 800);
    desk.find(Go, "Lock the buttons");
    desk.hold(Go, 800);
    assert!(desk.view().locked);
    desk.hold(Go, 4900);
    assert!(desk.view().locked && !desk.control.pushing());
    desk.hold(Go, 5100);
    assert!(!desk.view().locked && !desk.control.pushing());
}

#[test]
fn it_goes_back_and_dims_when_nobody_presses() {
    let mut desk = Desk::new(&[Go, Down, Enter], settings());
    desk.tap(Down);
    desk.tap(Enter);
    desk.pass(29_000);
    assert!(desk.view().list.is_some());
    desk.pass(1000);
    assert_eq!((desk.view().page, desk.view().list, desk.view().idle), (Page::Live, None, false));
    desk.pass(30_000);
    assert!(desk.view().idle);
    desk.tap(Down);
    assert_eq!((desk.view().page, desk.view().idle), (Page::Input, false), "the press that wakes it acts");
}

#[test]
fn a_list_that_is_out_of_date_does_nothing_wrong() {
    let mut desk = Desk::new(&[Go, Up, Down, Enter, Back], settings());
    (0..3).for_each(|_| desk.tap(Down));
    desk.tap(Enter);
    desk.tap(Down);
    assert_eq!(desk.entry(), "Spare");
    desk.key(Enter, true);
    desk.key(Enter, false);
    assert_eq!(desk.set().len(), 1);
    desk.tap(Enter);
    desk.find(Down, "Spare");
    let mut one = settings();
    one.sources.truncate(1);
    desk.tell(Event::Settings { settings: Box::new(one.clone()), at_once: true });
    assert_eq!(desk.entry(), "Back");
    desk.tap(Enter);
    assert_eq!((desk.set().len(), desk.view().list), (1, None));
    // The same entry at another place stays the one that is chosen.
    desk.tap(Enter);
    one.sources.insert(0, source("New"));
    assert_eq!(desk.entry(), "Main");
    desk.tell(Event::Settings { settings: Box::new(one), at_once: true });
    assert_eq!(desk.entry(), "Main");
}

#[test]
fn modes_are_those_of_the_board() {
    let mut desk = Desk::new(&[Go, Down, Enter], settings());
    desk.control.board.limits.mode = "1280x720p30".parse().expect("a mode");
    desk.control.settings.output.mode = OutputMode::Fixed("640x360p25".parse().expect("a mode"));
    desk.tap(Down);
    desk.tap(Enter);
    let list = desk.view().list.expect("a list");
    let modes: Vec<_> = list.entries.iter().filter(|entry| entry.text.starts_with("Send")).collect();
    let texts: Vec<&str> = modes.iter().map(|entry| entry.text.as_str()).collect();
    let sizes = ["Send 1280x720p30", "Send 1280x720p25", "Send 854x480p30", "Send 640x360p25"];
    assert_eq!(texts, [&["Send as it comes in"][..], &sizes[..]].concat());
    assert!(modes[4].chosen && !modes[0].chosen);
    desk.find(Down, "Send 1280x720p25");
    desk.tap(Enter);
    assert_eq!(desk.set(), [r#"{"output.mode":"1280x720p25"}"#]);
}

#[derive(Debug, Clone)]
enum Press {
    Key(ButtonRole, bool),
    Pass(u64),
    Answers,
}

fn press() -> impl Strategy<Value = Press> {
    let role = prop::sample::select(vec![Go, Go, Up, Down, Enter, Enter, Back]);
    prop_oneof![
        4 => (role, any::<bool>()).prop_map(|(role, down)| Press::Key(role, down)),
        3 => prop::sample::select(vec![20, 100, 300, 700, 1100, 1990, 2010, 5100]).prop_map(Press::Pass),
        1 => Just(Press::Answers),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// However the buttons are pressed, what ends, moves or interrupts a push was held alone for the full time.
    #[test]
    fn nothing_ends_a_broadcast_without_the_hold(
        roles in prop::sample::select(vec![vec![Go], vec![Go, Down], vec![Go, Enter, Down], vec![Go, Up, Down, Enter, Back], vec![Enter, Down]]),
        presses in prop::collection::vec(press(), 1..200),
    ) {
        let mut desk = Desk::new(&roles, settings());
        let uplink = desk.on_air();
        // What is down, and since when nothing changed.
        let (mut down, mut since): (BTreeSet<ButtonRole>, u64) = (BTreeSet::new(), 0);
        for press in presses {
            desk.effects.clear();
            match press {
                Press::Key(role, pressed) if roles.contains(&role) => {
                    if if pressed { down.insert(role) } else { down.remove(&role) } {
                        desk.key(role, pressed);
                        since = desk.now;
                    }
                }
                Press::Key(..) => continue,
                Press::Pass(ms) => desk.pass(ms),
                Press::Answers => {
                    desk.tell(acknowledged(uplink, desk.now + 2));
                }
            }
            let ends = desk.control.shutdown.is_some() || !desk.control.pushing() || desk.effects.iter().any(|effect| match effect {
                Effect::SaveIntent(saved) => saved.intent == Intent::OffAir,
                Effect::Perform { job: Job::Set(changes), .. } => changes.0.keys().any(|key| key.starts_with("push") || key.starts_with("source")),
                Effect::CloseUplink { .. } | Effect::Reset { .. } | Effect::Exit | Effect::EndProgram => true,
                _ => false,
            });
            let view = desk.view();
            prop_assert!(view.list.is_none_or(|list| list.cursor < list.entries.len()));
            if ends {
                prop_assert!(down.len() == 1 && desk.now - since >= 2000, "{down:?} for {} ms", desk.now - since);
                break;
            }
        }
    }
}
