//! What keeps a Broadcast from ending, and what keeps the next one from beginning.

use super::*;

fn two_studio_sources() -> Settings {
    let mut settings = studio_settings();
    let studio = Some(StudioId { account: None, source_id: "1900000000000000002".into() });
    settings.sources.push(Source { name: "Y".into(), studio, ..Source::default() });
    settings
}

#[test]
fn one_of_an_account_that_is_gone_is_over_in_time() {
    let mut bench = Bench::public();
    bench.pass(15_000);
    bench.answer(Told::Failed(Trouble::NotLinked("anna".into())));
    bench.tell(command(3, Command::Stop { confirm: true, end: Some(false) }));
    for _ in 0..700 {
        bench.pass(1000);
        if bench.question.is_some() {
            bench.answer(Told::Failed(Trouble::NotLinked("anna".into())));
        }
    }
    assert_eq!(bench.kept.last().map(|(_, record)| record.is_none()), Some(true), "nothing waits for it any more");
}

#[test]
fn a_wish_does_not_outlive_the_choice_of_another_source() {
    let mut bench = Bench::off(two_studio_sources(), None, None);
    bench.tell(command(1, Command::Start { sources: None }));
    bench.pass(1);
    bench.tell(command(2, publish(Publish::default())));
    bench.active(false);
    bench.tell(command(3, Command::Start { sources: Some(vec!["Y".into()]) }));
    bench.pass(1000);
    assert_eq!(bench.refused(2), Some(Reason::WrongState));
    bench.tell(command(4, publish(Publish::default())));
    assert_eq!(bench.refused(4), None, "the other Source can be published");
}

#[test]
fn an_end_does_not_wait_for_the_limit_of_another_route() {
    let mut bench = Bench::public();
    bench.pass(15_000);
    bench.answer(Told::Failed(Trouble::TooMany(Duration::from_secs(600))));
    bench.tell(command(3, Command::End { confirm: true }));
    bench.pass(10);
    assert_eq!(bench.ask(), Some(&Ask::End { id: "a".into() }));
}

#[test]
fn that_it_is_not_known_is_not_believed_just_after_it_was() {
    let mut bench = Bench::public();
    bench.tell(command(3, Command::End { confirm: true }));
    bench.pass(1);
    bench.answer(Told::Failed(Trouble::NotFound));
    assert_eq!(bench.answer_to(3), None);
    bench.pass(12_000);
    assert_eq!(bench.ask(), Some(&Ask::End { id: "a".into() }), "it is asked again");
    bench.answer(Told::Ended);
    bench.written();
    bench.pass(1);
    assert_eq!(bench.answer_to(3), Some(&Answer::done()));
}

#[test]
fn why_an_end_was_refused_stands_until_it_is_done() {
    let mut bench = Bench::public();
    bench.tell(command(3, Command::End { confirm: true }));
    bench.pass(1);
    bench.answer(Told::Failed(Trouble::Refused("locked".into())));
    bench.pass(2000);
    assert_eq!(bench.ask(), Some(&Ask::Broadcast { id: "a".into() }), "it is looked at first");
    bench.answer(Told::Broadcast(broadcast("a", Running)));
    bench.pass(10_000);
    assert!(bench.fault("studio-refused") && bench.ask().is_none());
    bench.pass(25_000);
    bench.answer(Told::Ended);
    bench.written();
    bench.pass(1);
    assert!(!bench.fault("studio-refused"));
}
