//! What lost answers, a full disk, power cuts and a Studio that is away do to the box's own Broadcast.

use super::*;

#[test]
fn publish_gives_up_after_a_minute_and_the_wish_stays() {
    let mut bench = Bench::previewing();
    bench.tell(command(2, publish(Publish::default())));
    for _ in 0..13 {
        bench.active(false);
        bench.pass(5000);
    }
    assert_eq!(bench.refused(2), Some(Reason::TimedOut));
    bench.active(true);
    bench.written();
    assert!(matches!(bench.ask(), Some(Ask::GoLive { .. })));
}

#[test]
fn a_lost_answer_is_looked_for_and_never_asked_for_blindly() {
    for lost in [Trouble::AnswerLost, Trouble::Broken(503), Trouble::Garbled("html".into())] {
        let mut bench = Bench::previewing();
        bench.tell(command(2, publish(Publish::default())));
        bench.active(true);
        bench.written();
        bench.answer(Told::Failed(lost));
        bench.pass(1000);
        let since = jiff::Timestamp::from_millisecond(1_795_000_000_000 + 1 - 60_000).ok();
        assert_eq!(bench.ask(), Some(&Ask::Find { since }));
        // Too soon to be believed: the request may still be on its way.
        bench.answer(Told::Found(None));
        bench.pass(5000);
        assert!(matches!(bench.ask(), Some(Ask::Find { .. })));
        bench.answer(Told::Found(Some(broadcast("a", Running))));
        assert_eq!(bench.phase(), Phase::OnAir);
        assert!(matches!(bench.answer_to(2), Some(Answer::Successful { .. })));
    }
}

#[test]
fn it_is_asked_for_again_when_there_certainly_is_none() {
    let mut bench = Bench::previewing();
    bench.tell(command(2, publish(Publish::default())));
    bench.active(true);
    bench.written();
    bench.answer(Told::Failed(Trouble::AnswerLost));
    bench.pass(1000);
    while let Some(Ask::Find { .. }) = bench.ask() {
        bench.answer(Told::Found(None));
        bench.pass(5000);
    }
    assert!(bench.now > 10_000);
    bench.active(true);
    assert!(matches!(bench.ask(), Some(Ask::GoLive { .. })), "{:?}", bench.ask());
    // Without a clock nobody can tell which ones are meant: nothing is asked for again.
    let mut bench = Bench::previewing();
    bench.clock = false;
    bench.tell(command(2, publish(Publish::default())));
    bench.active(true);
    bench.written();
    bench.answer(Told::Failed(Trouble::AnswerLost));
    bench.pass(1000);
    assert_eq!(bench.ask(), Some(&Ask::Find { since: None }));
    while bench.ask().is_some_and(|ask| matches!(ask, Ask::Find { .. })) {
        bench.answer(Told::Found(None));
        bench.pass(5000);
    }
    assert!(bench.fault("broadcast-unknown") && bench.refused(2).is_some());
}

#[test]
fn a_full_disk_does_not_keep_it_from_being_published() {
    let mut bench = Bench::previewing();
    bench.tell(command(2, publish(Publish::default())));
    bench.active(true);
    bench.pass(4999);
    assert_eq!(bench.ask(), None);
    bench.pass(1);
    assert!(matches!(bench.ask(), Some(Ask::GoLive { .. })), "a disk that says nothing");
}

#[test]
fn a_power_cut_resumes_the_same_broadcast() {
    let bench = Bench::public();
    let saved = bench.kept.last().expect("kept").1.clone();
    let mut again = bench.after_power_cut(saved.clone());
    assert_eq!((again.phase(), again.state()), (Phase::Previewing, PublicState::Unknown));
    assert_eq!(again.ask(), Some(&Ask::Broadcast { id: "a".into() }));
    again.answer(Told::Broadcast(broadcast("a", Running)));
    assert_eq!((again.phase(), again.kept.len()), (Phase::OnAir, 0));
    // It ended meanwhile: it is not published again by itself.
    let mut again = bench.after_power_cut(saved);
    again.pass(1000);
    again.answer(Told::Broadcast(broadcast("a", TimedOut)));
    assert_eq!((again.phase(), again.state()), (Phase::Previewing, PublicState::TimedOut));
    assert!(again.fault("broadcast-timed-out") && again.kept.last().is_some_and(|(_, kept)| kept.is_none()));
    again.pass(60_000);
    assert!(!again.asked.iter().any(|(_, ask)| matches!(ask, Ask::GoLive { .. })));
}

#[test]
fn a_power_cut_while_it_is_asked_for_makes_no_second_one() {
    let mut bench = Bench::previewing();
    bench.tell(command(2, publish(Publish::default())));
    bench.active(true);
    let saved = bench.kept.last().expect("kept").1.clone();
    let mut again = bench.after_power_cut(saved);
    again.pass(1000);
    assert!(matches!(again.ask(), Some(Ask::Find { since: Some(_) })));
    again.answer(Told::Found(Some(broadcast("a", Running))));
    assert_eq!(again.phase(), Phase::OnAir);
}

#[test]
fn the_push_goes_on_while_the_studio_is_away() {
    let mut bench = Bench::public();
    for _ in 0..30 {
        bench.pass(10_000);
        if bench.ask().is_some() {
            bench.answer(Told::Failed(Trouble::Unreachable));
        }
    }
    assert_eq!(bench.phase(), Phase::OnAir, "as last known");
    assert!(bench.fault("studio-unreached"));
    let shown = bench.status().broadcast.expect("shown");
    assert_eq!(
        (shown.state, shown.confirmed_at),
        (PublicState::Running, jiff::Timestamp::from_millisecond(1_795_000_000_001).ok())
    );
    let tries = bench.asked.len();
    assert!(tries < 40, "{tries}");
    if bench.ask().is_none() {
        bench.tell(Event::NetworkChanged);
    }
    bench.answer(Told::Failed(Trouble::Revoked));
    assert!(bench.fault("studio-revoked") && bench.uplinks.len() == 1);
    bench.pass(60_000);
    bench.answer(Told::Broadcast(broadcast("a", Running)));
    assert!(!bench.fault("studio-unreached") && !bench.fault("studio-revoked"));
}
