//! The box's own Broadcast: preview, publish, end, and what a power cut, lost answers and other people do to it.

use super::{menu::Desk, *};
use crate::{
    board::Tally,
    command::studio::Publish,
    control::{
        broadcast::{SavedBroadcast, Wish},
        menu::Page,
    },
    settings::StudioId,
    status::{PublicState, Status},
    studio::{Ask, AskId, Broadcast, BroadcastState, Told, Trouble},
};
use BroadcastState::{Ended, PrePublished, Running, TimedOut};
use ButtonRole::Go;

mod ends;
mod series;
mod uncertain;

/// A Source of the Studio called "X", and another one.
fn studio_settings() -> Settings {
    let studio = Some(StudioId { account: None, source_id: "1900000000000000001".into() });
    let mut settings = settings();
    settings.name = "Van".into();
    settings.sources = vec![Source { name: "X".into(), studio, ..Source::default() }, source("Spare")];
    settings
}

fn broadcast(id: &str, state: BroadcastState) -> Box<Broadcast> {
    Box::new(Broadcast {
        id: id.into(),
        title: Some("Title".into()),
        state,
        source_id: None,
        share_url: Some(format!("https://x.com/i/broadcasts/{id}")),
        viewers: Some(12),
        started: None,
        media_key: None,
        account: None,
    })
}

fn publish(words: Publish) -> Command {
    Command::Publish(Box::new(words))
}

/// A box that pushes to "X", as a daemon and a Studio see it.
struct Bench {
    control: Control,
    now: u64,
    clock: bool,
    bytes: u64,
    question: Option<(AskId, Ask)>,
    asked: Vec<(u64, Ask)>,
    kept: Vec<(u64, Option<SavedBroadcast>)>,
    answers: Vec<(u64, Answer)>,
    uplinks: Vec<UplinkId>,
    intents: Vec<Intent>,
}

impl Bench {
    fn off(settings: Settings, intent: Option<SavedIntent>, saved: Option<SavedBroadcast>) -> Self {
        let intents = intent.iter().map(|saved| saved.intent).collect();
        let control = Control::new(board(), settings, "fc-0".into(), intent, saved, Time::ZERO);
        let mut bench = Self {
            control,
            now: 0,
            clock: true,
            bytes: 0,
            question: None,
            asked: Vec::new(),
            kept: Vec::new(),
            answers: Vec::new(),
            uplinks: Vec::new(),
            intents,
        };
        bench.tell(locked("hdmi"));
        bench
    }

    /// Pushing, acknowledged, and asked for the first time whether the Source is active.
    fn previewing() -> Self {
        let mut bench = Self::off(studio_settings(), None, None);
        bench.tell(command(1, Command::Start { sources: None }));
        bench.pass(1);
        assert_eq!(bench.answers, [(1, Answer::done())]);
        bench
    }

    /// On air with the Broadcast "a".
    fn public() -> Self {
        let mut bench = Self::previewing();
        bench.tell(command(2, publish(Publish::default())));
        bench.active(true);
        bench.written();
        bench.answer(Told::Broadcast(broadcast("a", Running)));
        bench.written();
        assert_eq!(bench.phase(), Phase::OnAir);
        bench
    }

    fn at(&self) -> Now {
        let wall = jiff::Timestamp::from_millisecond(1_795_000_000_000 + self.now as i64).ok();
        Now { time: Time::from_millis(self.now), wall: wall.filter(|_| self.clock) }
    }

    fn tell(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.control.handle(event, self.at());
        for effect in &effects {
            match effect {
                Effect::AskStudio { id, ask, source } => {
                    assert!(self.question.is_none(), "one question at a time");
                    assert!(source.studio.is_some());
                    self.asked.push((self.now, ask.clone()));
                    self.question = Some((*id, ask.clone()));
                }
                Effect::KeepBroadcast { mark, record } => {
                    self.kept.push((*mark, record.as_deref().cloned()));
                }
                Effect::Answer { request, answer } => self.answers.push((request.0, answer.clone())),
                Effect::OpenUplink { id, .. } => self.uplinks.push(*id),
                Effect::CloseUplink { id } => self.uplinks.retain(|open| open != id),
                Effect::SaveIntent(saved) => self.intents.push(saved.intent),
                _ => {}
            }
        }
        effects
    }

    fn acknowledge(&mut self) {
        self.bytes += 1000;
        for id in self.uplinks.clone() {
            self.tell(acknowledged(id, self.bytes));
        }
    }

    /// Lets `ms` pass; media is acknowledged all the time.
    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let wake = self.control.next_wake(self.at().time).map_or(end, Time::millis);
            self.now = wake.max(self.now + 1).min(self.now + 1000).min(end);
            self.acknowledge();
            self.tell(Event::Tick);
            if self.now >= end {
                return;
            }
        }
    }

    fn answer(&mut self, told: Told) {
        let (id, _) = self.question.take().expect("a question");
        self.tell(Event::Studio { id, told });
    }

    fn active(&mut self, active: bool) {
        assert_eq!(self.question.as_ref().map(|(_, ask)| ask), Some(&Ask::Source));
        self.answer(Told::Source { active, notes: vec!["keyframes every 4 s".into()] });
    }

    /// The disk has what is to be kept.
    fn written(&mut self) {
        let mark = self.kept.last().expect("kept").0;
        self.tell(Event::BroadcastKept { mark });
    }

    fn ask(&self) -> Option<&Ask> {
        self.question.as_ref().map(|(_, ask)| ask)
    }

    fn phase(&self) -> Phase {
        self.control.phase(self.at().time)
    }

    fn status(&self) -> Status {
        self.control.status(self.at(), None, crate::status::Stats::default())
    }

    fn state(&self) -> PublicState {
        self.status().broadcast.expect("a Broadcast").state
    }

    fn fault(&self, code: &str) -> bool {
        self.status().faults.iter().any(|fault| fault.code == code)
    }

    fn answer_to(&self, request: u64) -> Option<&Answer> {
        self.answers.iter().find(|(asked, _)| *asked == request).map(|(_, answer)| answer)
    }

    fn refused(&self, request: u64) -> Option<Reason> {
        match self.answer_to(request) {
            Some(Answer::Failed { reason, .. }) => Some(*reason),
            _ => None,
        }
    }

    /// The box after a power cut, with what the disk has.
    fn after_power_cut(&self, saved: Option<SavedBroadcast>) -> Self {
        let intent = SavedIntent {
            intent: *self.intents.last().expect("an intent"),
            sources: None,
            show: Cut::Live,
            mute: false,
            input: None,
        };
        let mut again = Self::off(studio_settings(), Some(intent), saved);
        again.pass(100);
        again
    }
}

#[test]
fn from_active_to_running_it_takes_two_calls() {
    let mut bench = Bench::previewing();
    assert_eq!((bench.phase(), bench.state()), (Phase::Previewing, PublicState::WaitingForSource));
    bench.active(false);
    bench.pass(5000);
    bench.tell(command(2, publish(Publish { tags: vec!["Live Sports!".into(), "News".into()], ..Publish::default() })));
    bench.active(false);
    bench.pass(4999);
    assert_eq!(bench.ask(), None, "polled each 5 s");
    bench.pass(1);
    let before = bench.asked.len();
    bench.active(true);
    assert_eq!(bench.ask(), None, "not before the disk has it");
    let saved = bench.kept[0].1.clone().expect("a record");
    assert_eq!((saved.wish, saved.id.as_deref()), (Wish::Published, None));
    assert!(saved.begun.is_some());
    bench.written();
    let title = Some("#LiveSports #News".to_owned());
    assert_eq!(bench.ask(), Some(&Ask::GoLive { title, chat_option: None, locale: None, post: None }));
    assert_eq!((bench.phase(), bench.answer_to(2)), (Phase::Previewing, None));
    bench.answer(Told::Broadcast(broadcast("a", Running)));
    assert_eq!(bench.asked.len() - before, 1);
    assert_eq!((bench.phase(), bench.state()), (Phase::OnAir, PublicState::Running));
    let result = serde_json::json!({"id": "a", "share-url": "https://x.com/i/broadcasts/a", "already-live": false});
    assert_eq!(bench.answer_to(2), Some(&Answer::Successful { result }));
    assert_eq!(bench.kept.last().and_then(|(_, saved)| saved.as_ref()?.id.clone()).as_deref(), Some("a"));
    bench.pass(14_999);
    assert_eq!(bench.ask(), None);
    bench.pass(1);
    assert_eq!(bench.ask(), Some(&Ask::Broadcast { id: "a".into() }));
    bench.tell(command(3, publish(Publish::default())));
    assert!(matches!(bench.answer_to(3), Some(Answer::Successful { result }) if result["already-live"] == true));
}

#[test]
fn hashtags_are_left_out_without_a_post() {
    let mut bench = Bench::previewing();
    let words = Publish {
        title: Some("Cup".into()),
        tags: vec!["a b".into()],
        post: Some(false),
        chat: Some(crate::command::studio::Chat::Off),
        ..Publish::default()
    };
    bench.tell(command(2, publish(words)));
    bench.active(true);
    bench.written();
    let asked = Ask::GoLive { title: Some("Cup".into()), chat_option: Some(1), locale: None, post: Some(false) };
    assert_eq!(bench.ask(), Some(&asked));
    bench.answer(Told::AlreadyLive(broadcast("a", Running)));
    assert!(matches!(bench.answer_to(2), Some(Answer::Successful { result }) if result["already-live"] == true));
    assert_eq!(bench.status().broadcast.expect("shown").tags, ["a b"]);
}

#[test]
fn what_cannot_be_published_is_refused() {
    let mut bench = Bench::off(studio_settings(), None, None);
    bench.tell(command(5, publish(Publish::default())));
    bench.tell(command(6, Command::End { confirm: true }));
    assert_eq!((bench.refused(5), bench.refused(6)), (Some(Reason::WrongState), Some(Reason::WrongState)));
    let mut bench = Bench::previewing();
    bench.tell(command(5, publish(Publish { source: Some("Spare".into()), ..Publish::default() })));
    bench.tell(command(6, publish(Publish { source: Some("Nowhere".into()), ..Publish::default() })));
    assert_eq!((bench.refused(5), bench.refused(6)), (Some(Reason::WrongState), Some(Reason::WrongArguments)));
    let mut plain = Bench::off(settings(), None, None);
    plain.tell(command(1, Command::Start { sources: None }));
    plain.pass(60_000);
    plain.tell(command(5, publish(Publish::default())));
    assert_eq!((plain.phase(), plain.refused(5), plain.asked.len()), (Phase::OnAir, Some(Reason::WrongState), 0));
}

#[test]
fn another_source_makes_it_on_air_as_before() {
    let mut settings = studio_settings();
    settings.push.sources = vec!["X".into(), "Spare".into()];
    let mut bench = Bench::off(settings, None, None);
    bench.tell(command(1, Command::Start { sources: None }));
    bench.pass(1);
    assert_eq!((bench.phase(), bench.state()), (Phase::OnAir, PublicState::WaitingForSource));
}

#[test]
fn a_refusal_fails_at_once_and_drops_the_wish() {
    for (trouble, code) in [
        (Trouble::NotAllowed(String::new()), "studio-not-allowed"),
        (Trouble::NotEligible, "studio-not-eligible"),
        (Trouble::Conflict("another is live".into()), "studio-conflict"),
        (Trouble::Refused("title".into()), "studio-refused"),
        (Trouble::Revoked, "studio-revoked"),
    ] {
        let mut bench = Bench::previewing();
        bench.tell(command(2, publish(Publish::default())));
        bench.active(true);
        bench.written();
        bench.answer(Told::Failed(trouble));
        assert!(bench.refused(2).is_some() && bench.fault(code), "{code}: {:?}", bench.status().faults);
        assert_eq!((bench.phase(), bench.kept.last().map(|(_, kept)| kept.clone())), (Phase::Previewing, Some(None)));
        bench.written();
        bench.pass(20_000);
        assert!(!bench.asked[2..].iter().any(|(_, ask)| matches!(ask, Ask::GoLive { .. })));
    }
}

#[test]
fn somebody_else_ends_it() {
    let mut bench = Bench::public();
    bench.pass(15_000);
    bench.answer(Told::Broadcast(broadcast("a", Ended)));
    assert_eq!((bench.phase(), bench.state()), (Phase::Previewing, PublicState::Ended));
    assert!(bench.fault("broadcast-ended") && bench.status().on_air_since.is_none());
    assert_eq!(bench.control.tally(bench.at().time), Some(Tally::Trouble));
    bench.written();
    bench.tell(command(3, publish(Publish::default())));
    assert!(!bench.fault("broadcast-ended"));
    bench.active(true);
    bench.written();
    // The one before is none of this one's.
    bench.answer(Told::Failed(Trouble::AnswerLost));
    bench.pass(1000);
    bench.answer(Told::Found(Some(broadcast("a", Ended))));
    assert_eq!(bench.state(), PublicState::Unknown);
}

#[test]
fn an_end_is_tried_until_it_is_acknowledged() {
    let mut bench = Bench::public();
    bench.tell(command(3, Command::End { confirm: false }));
    assert_eq!(bench.refused(3), Some(Reason::ConfirmationNeeded));
    bench.tell(command(4, Command::End { confirm: true }));
    assert_eq!(bench.ask(), Some(&Ask::End { id: "a".into() }));
    assert_eq!(bench.kept.last().and_then(|(_, kept)| Some(kept.as_ref()?.wish)), Some(Wish::Ended));
    bench.answer(Told::Failed(Trouble::AnswerLost));
    bench.tell(command(5, publish(Publish::default())));
    assert_eq!(bench.refused(5), Some(Reason::WrongState));
    // Not even a power cut makes it forget.
    let mut again = bench.after_power_cut(bench.kept.last().expect("kept").1.clone());
    again.pass(1000);
    assert_eq!((again.ask(), again.state()), (Some(&Ask::End { id: "a".into() }), PublicState::Ending));
    bench.pass(1000);
    bench.answer(Told::Ended);
    assert_eq!(bench.answer_to(4), None, "a power cut could still undo it");
    bench.written();
    assert_eq!(bench.answer_to(4), Some(&Answer::done()));
    assert_eq!((bench.phase(), bench.uplinks.len()), (Phase::Previewing, 1), "the push goes on");
    bench.pass(60_000);
    assert!(!bench.asked.iter().skip(2).any(|(_, ask)| matches!(ask, Ask::GoLive { .. })));
}

#[test]
fn what_is_made_after_all_is_ended_too() {
    let mut bench = Bench::previewing();
    bench.tell(command(2, publish(Publish::default())));
    bench.active(true);
    bench.written();
    bench.tell(command(3, Command::End { confirm: true }));
    assert!(bench.refused(2).is_some());
    bench.answer(Told::Broadcast(broadcast("late", Running)));
    assert_eq!((bench.ask(), bench.answer_to(3)), (Some(&Ask::End { id: "late".into() }), None));
    bench.answer(Told::Ended);
    bench.written();
    assert_eq!(bench.answer_to(3), Some(&Answer::done()));
}

#[test]
fn stop_asks_what_becomes_of_the_broadcast() {
    let stop = |request, end| command(request, Command::Stop { confirm: true, end });
    let mut bench = Bench::public();
    bench.tell(stop(3, None));
    let Some(Answer::Failed { reason: Reason::ConfirmationNeeded, text, .. }) = bench.answer_to(3) else { panic!() };
    assert!(text.contains("end = true") && text.contains("end = false") && text.contains("5 minutes"), "{text}");
    // Only the push: the Broadcast is looked at on, and goes on with the next push.
    bench.tell(stop(4, Some(false)));
    assert!(!bench.control.pushing());
    bench.control.uplinks.clear();
    bench.pass(60_000);
    assert_eq!((bench.phase(), bench.state()), (Phase::OffAir, PublicState::Running));
    bench.answer(Told::Broadcast(broadcast("a", Running)));
    bench.tell(command(5, Command::Start { sources: None }));
    bench.pass(1);
    assert_eq!(bench.phase(), Phase::OnAir);
}

#[test]
fn a_stop_ends_the_broadcast_first_and_the_push_then() {
    let stop = |request| command(request, Command::Stop { confirm: true, end: Some(true) });
    let mut bench = Bench::public();
    bench.tell(stop(3));
    assert_eq!(bench.ask(), Some(&Ask::End { id: "a".into() }));
    assert!(bench.control.pushing() && bench.intents.last() == Some(&Intent::OffAir), "a power cut ends it too");
    bench.answer(Told::Ended);
    bench.written();
    assert!(!bench.control.pushing());
    bench.control.uplinks.clear();
    bench.pass(1);
    assert_eq!(bench.answer_to(3), Some(&Answer::done()));
    // The Studio does not answer: the push ends all the same, and the end is tried on.
    let mut bench = Bench::public();
    bench.tell(stop(3));
    bench.pass(4999);
    assert!(bench.control.pushing());
    bench.pass(1);
    assert!(!bench.control.pushing());
    bench.control.uplinks.clear();
    bench.answer(Told::Failed(Trouble::AnswerLost));
    assert!(matches!(bench.answer_to(3), Some(Answer::Successful { result }) if result["broadcast"] == "ending"));
    bench.pass(1000);
    assert_eq!(bench.ask(), Some(&Ask::End { id: "a".into() }));
    // A start takes it back; the end stays.
    let mut bench = Bench::public();
    bench.tell(stop(3));
    bench.tell(command(4, Command::Start { sources: None }));
    assert_eq!((bench.refused(3), bench.intents.last()), (Some(Reason::WrongState), Some(&Intent::OnAir)));
    bench.answer(Told::Ended);
    bench.written();
    bench.pass(10_000);
    assert_eq!(bench.phase(), Phase::Previewing);
}

#[test]
fn a_broadcast_does_not_follow_to_another_source() {
    let mut bench = Bench::public();
    let mut changed = studio_settings();
    changed.push.sources = vec!["Spare".into()];
    bench.tell(Event::Settings { settings: Box::new(changed), at_once: false });
    bench.pass(1000);
    assert!(bench.fault("broadcast-left-behind"), "{:?}", bench.status().faults);
    assert_eq!(bench.phase(), Phase::OnAir, "the viewers of the other one see it");
}

#[test]
fn the_limits_of_the_api_are_kept() {
    let window = |bench: &Bench| {
        let times: Vec<u64> = bench.asked.iter().map(|(at, _)| *at).collect();
        times.iter().map(|from| times.iter().filter(|at| (*from..from + 900_000).contains(*at)).count()).max()
    };
    let run = |bench: &mut Bench, told: &dyn Fn(&Ask) -> Told| {
        for _ in 0..4000 {
            bench.pass(500);
            if let Some(ask) = bench.ask() {
                let told = told(ask);
                bench.answer(told);
            }
        }
    };
    let mut preview = Bench::previewing();
    run(&mut preview, &|_| Told::Source { active: false, notes: Vec::new() });
    assert!(window(&preview).is_some_and(|most| (170..=450).contains(&most)), "{:?}", window(&preview));
    for trouble in [Trouble::Refused(String::new()), Trouble::Unreachable, Trouble::TooMany(Duration::from_secs(2))] {
        let mut ending = Bench::public();
        ending.tell(command(9, Command::End { confirm: true }));
        run(&mut ending, &|ask| match ask {
            Ask::Broadcast { .. } => Told::Broadcast(broadcast("a", Running)),
            _ => Told::Failed(trouble.clone()),
        });
        assert!(window(&ending).is_some_and(|most| most <= 450), "{trouble:?}: {:?}", window(&ending));
    }
    let mut waits = Bench::previewing();
    waits.answer(Told::Failed(Trouble::TooMany(Duration::from_secs(300))));
    waits.tell(command(9, publish(Publish::default())));
    waits.pass(299_000);
    assert_eq!(waits.ask(), None, "not before the Studio wants it");
    waits.pass(1000);
    assert_eq!(waits.ask(), Some(&Ask::Source));
}

#[test]
fn the_first_hold_pushes_and_the_second_publishes() {
    let mut desk = Desk::new(&[Go, ButtonRole::Back], studio_settings());
    let mut bytes = 0;
    let mut pass = |desk: &mut Desk, told: Told| {
        bytes += 1000;
        for (id, _) in opened(&desk.effects.clone()) {
            desk.tell(acknowledged(id, bytes));
        }
        let question = desk.effects.iter().rev().find_map(|effect| match effect {
            Effect::AskStudio { id, .. } => Some(*id),
            _ => None,
        });
        desk.tell(Event::Studio { id: question.expect("a question"), told });
    };
    let bar = |desk: &mut Desk| {
        desk.key(Go, true);
        let text = desk.view().hold.expect("a bar").text;
        desk.key(Go, false);
        desk.key(ButtonRole::Back, true);
        desk.key(ButtonRole::Back, false);
        text
    };
    assert_eq!(bar(&mut desk), "Push, not public");
    desk.hold(Go, 1100);
    pass(&mut desk, Told::Source { active: true, notes: Vec::new() });
    assert_eq!(desk.control.phase(at(desk.now).time), Phase::Previewing);
    assert_eq!(desk.control.tally(at(desk.now).time), Some(Tally::Attention), "red is for on air");
    assert_eq!(bar(&mut desk), "Publish now");
    desk.hold(Go, 1100);
    desk.tell(Event::BroadcastKept { mark: 1 });
    let asked = desk.effects.iter().any(|effect| match effect {
        Effect::AskStudio { ask: Ask::GoLive { title, .. }, .. } => title.as_deref() == Some("Van"),
        _ => false,
    });
    assert!(asked, "{:?}", desk.effects);
    pass(&mut desk, Told::Broadcast(broadcast("a", PrePublished)));
    desk.pass(5000);
    pass(&mut desk, Told::Broadcast(broadcast("a", Running)));
    assert_eq!(desk.control.phase(at(desk.now).time), Phase::OnAir);
    assert_eq!(bar(&mut desk), "Stop or end");
    desk.hold(Go, 1500);
    assert_eq!(desk.view().list, None, "it takes the full hold");
    desk.hold(Go, 2100);
    let list = desk.view().list.expect("a list");
    let texts: Vec<_> = list.entries.iter().map(|entry| (entry.text.as_str(), entry.hold)).collect();
    assert_eq!(texts, [("End and stop", true), ("Only stop pushing", true), ("Back", false)]);
    desk.hold(Go, 900);
    assert!(desk.control.pushing() && desk.control.broadcast.published(), "a short hold chooses nothing of these");
    desk.hold(Go, 2100);
    assert!(desk.control.broadcast.is_ending() && desk.view().list.is_none());
}

#[test]
fn the_publish_page_publishes_and_ends() {
    let mut desk = Desk::new(&[Go, ButtonRole::Down, ButtonRole::Enter], studio_settings());
    (0..4).for_each(|_| desk.tap(ButtonRole::Down));
    assert_eq!(desk.view().page, Page::Publish);
    let entries = |desk: &mut Desk| -> Vec<String> {
        desk.tap(ButtonRole::Enter);
        desk.view().list.expect("a list").entries.into_iter().map(|entry| entry.text).collect()
    };
    assert_eq!(entries(&mut desk), ["Push, not public", "Back"]);
    let id = opened(&desk.tell(command(1, Command::Start { sources: None })))[0].0;
    desk.tell(acknowledged(id, 1));
    desk.tell(Event::Tick);
    let texts: Vec<_> = desk.view().list.expect("a list").entries.into_iter().map(|entry| entry.text).collect();
    assert_eq!(texts, ["Publish now", "Stop", "Back"]);
    desk.find(ButtonRole::Down, "Publish now");
    desk.hold(ButtonRole::Enter, 1100);
    assert!(desk.control.broadcast.exists());
    (0..4).for_each(|_| desk.tap(ButtonRole::Down));
    assert_eq!(entries(&mut desk), ["End the broadcast", "Stop or end", "Back"]);
}
