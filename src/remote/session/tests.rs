use super::*;
use crate::command::Reason;
use crate::remote::document::Capabilities;
use crate::status::{Fault, Severity, tests::on_air};
use jiff::Timestamp;

fn now(millis: u64) -> Now {
    let wall: Timestamp = "2026-11-23T18:00:00Z".parse().expect("a time");
    Now { time: Time::from_millis(millis), wall: Some(wall + Duration::from_millis(millis)) }
}

fn place() -> Place {
    Place {
        prefix: "fieldcast".parse().expect("a prefix"),
        id: "fc-1".into(),
        observe: false,
        private: true,
        home: false,
        boot: "a".into(),
    }
}

fn session() -> Session {
    let mut session = Session::new(place(), Journal::default(), Spool::default());
    session.connected(now(0));
    session.subscribed(now(0).time);
    let settled = session.take(now(3000));
    assert!(matches!(&settled[..], [Do::Publish(online), ..] if online.payload == "online"), "{settled:?}");
    settled.iter().for_each(|done| arrived(&mut session, done));
    session
}

/// The broker has what was sent.
fn arrived(session: &mut Session, done: &Do) {
    if let Do::Publish(Outgoing { receipt: Some(receipt), .. }) = done {
        session.delivered(receipt, Time::from_millis(3000));
    }
}

fn message(topic: &str, payload: &str) -> Message {
    Message {
        topic: format!("fieldcast/fc-1/{topic}"),
        payload: Bytes::from(payload.to_owned()),
        retained: false,
        again: false,
        left: None,
        reply_to: None,
        ticket: Some(7),
    }
}

/// What is done, in short words.
fn words(todo: &[Do]) -> Vec<String> {
    let word = |done: &Do| match done {
        Do::Publish(out) => {
            let text = String::from_utf8_lossy(&out.payload).into_owned();
            let topic = out.topic.strip_prefix("fieldcast/fc-1/").unwrap_or(&out.topic);
            let field = |name: &str| {
                let value: Value = serde_json::from_str(&text).ok()?;
                value.get(name)?.as_str().map(ToOwned::to_owned)
            };
            let about = field("reason").or(field("status")).or(field("kind")).unwrap_or(text.clone());
            format!("{topic} {about}")
        }
        Do::Acknowledge(ticket) => format!("ack {ticket}"),
        Do::Keep { file, mark, .. } => format!("keep {file} {mark:?}"),
        Do::Execute { command, .. } => format!("execute {}", command.name()),
    };
    todo.iter().map(word).collect()
}

fn key(command: &str, id: &str) -> Key {
    Key { command: command.into(), id: id.parse().expect("an id") }
}

#[test]
fn a_request_is_written_down_carried_out_and_answered() {
    let mut session = session();
    session.message(message("cmd/stop/a", r#"{"status":"init","args":{"confirm":true}}"#), now(3000));
    assert_eq!(words(&session.take(now(3000))), ["keep requests.journal Some(1)"]);
    session.kept(1, now(3010));
    assert_eq!(words(&session.take(now(3010))), ["ack 7", "execute stop", "cmd/stop/a executing"]);
    session.answered(Asked::Request(key("stop", "a")), Answer::done(), now(3020));
    let todo = session.take(now(9000));
    assert_eq!(words(&todo)[..3], ["keep requests.journal None", "cmd/stop/a successful", "event successful"]);
    assert!(
        matches!(&todo[1], Do::Publish(out) if out.retain && out.receipt.is_some() && out.expires == Some(ANSWER_KEPT))
    );
    todo.iter().for_each(|done| arrived(&mut session, done));
    session.answered(Asked::Request(key("stop", "a")), Answer::done(), now(9000));
    assert_eq!(words(&session.take(now(9000))), ["keep requests.journal None"], "delivered; and one answer only");
}

#[test]
fn what_the_broker_sends_before_the_subscription_is_answered() {
    let mut session = session();
    session.lost();
    session.connected(now(9000));
    session.message(message("cmd/identify/a", r#"{"status":"init"}"#), now(20_000));
    let todo = words(&session.take(now(20_000)));
    assert!(todo.contains(&"cmd/identify/a age-unknown".into()), "it may have waited: {todo:?}");
}

#[test]
fn the_same_request_is_carried_out_once() {
    let mut session = session();
    let request = message("cmd/identify/a", r#"{"status":"init"}"#);
    session.message(request.clone(), now(3000));
    session.message(request.clone(), now(3000));
    session.kept(1, now(3001));
    let todo = words(&session.take(now(3001)));
    assert_eq!(todo.iter().filter(|word| *word == "execute identify").count(), 1, "{todo:?}");
    session.answered(Asked::Request(key("identify", "a")), Answer::done(), now(3002));
    let todo = session.take(now(3002));
    todo.iter().for_each(|done| arrived(&mut session, done));
    session.message(Message { again: true, ..request.clone() }, now(3003));
    let todo = words(&session.take(now(3003)));
    assert!(!todo.iter().any(|word| word.starts_with("cmd/")), "the broker has the answer: {todo:?}");
    session.message(request.clone(), now(90_000));
    let todo = words(&session.take(now(90_000)));
    assert!(todo.contains(&"cmd/identify/a successful".into()), "who asks anew is told again: {todo:?}");
}

#[test]
fn an_answer_waits_for_the_connection() {
    let mut session = session();
    session.message(message("cmd/identify/a", r#"{"status":"init"}"#), now(3000));
    session.lost();
    session.kept(1, now(3001));
    assert_eq!(words(&session.take(now(3001))), ["keep requests.journal Some(1)", "execute identify"]);
    session.answered(Asked::Request(key("identify", "a")), Answer::done(), now(3002));
    session.take(now(3002));
    session.connected(now(9000));
    let todo = words(&session.take(now(9000)));
    assert_eq!(todo[..3], ["availability online", "cmd/identify/a successful", "event successful"], "{todo:?}");
}

#[test]
fn what_restarts_the_box_is_answered_after_it_is_back() {
    let mut session = session();
    session.message(message("cmd/restart/a", r#"{"status":"init"}"#), now(3000));
    session.kept(1, now(3001));
    session.answered(Asked::Request(key("restart", "a")), Answer::done(), now(3002));
    let todo = session.take(now(3002));
    assert!(!words(&todo).contains(&"cmd/restart/a successful".into()), "{:?}", words(&todo));
    let Some(Do::Keep { bytes, .. }) = todo.iter().find(|done| matches!(done, Do::Keep { mark: Some(1), .. })) else {
        panic!("not written down");
    };
    let journal: Journal = serde_json::from_slice(bytes).expect("a journal");
    let mut back = Session::new(place(), journal, Spool::default());
    back.connected(now(0));
    assert_eq!(words(&back.take(now(0)))[1], "cmd/restart/a successful");
}

#[test]
fn an_update_is_answered_when_its_outcome_is_known_once() {
    let mut session = session();
    let update = r#"{"status":"init","args":{"url":"usb"}}"#;
    session.message(message("cmd/update/a", update), now(3000));
    session.kept(1, now(3001));
    session.answered(Asked::Request(key("update", "a")), Answer::done(), now(3002));
    let todo = session.take(now(3002));
    assert!(!words(&todo).contains(&"cmd/update/a successful".into()), "{:?}", words(&todo));
    let Some(Do::Keep { bytes, .. }) = todo.iter().find(|done| matches!(done, Do::Keep { mark: Some(1), .. })) else {
        panic!("not written down");
    };
    let journal: Journal = serde_json::from_slice(bytes).expect("a journal");
    // In the new system, which is on trial; another one is asked for meanwhile.
    let mut back = Session::new(Place { boot: "b".into(), ..place() }, journal, Spool::default());
    back.connected(now(0));
    assert_eq!(words(&back.take(now(0)))[1], "cmd/update/a executing");
    back.subscribed(now(0).time);
    back.message(message("cmd/update/b", update), now(3000));
    back.kept(1, now(3001));
    back.take(now(3001));
    let given_up = Answer::failed(Reason::RolledBack, "It was given up");
    back.updated(&given_up, now(9000));
    let todo = words(&back.take(now(9000)));
    assert!(todo.contains(&"cmd/update/a rolled-back".into()), "{todo:?}");
    assert!(!todo.iter().any(|done| done.starts_with("cmd/update/b")), "{todo:?}");
    back.updated(&given_up, now(9001));
    assert!(!words(&back.take(now(9001))).iter().any(|done| done.starts_with("cmd/update")), "one answer");
}

#[test]
fn what_is_not_done_says_why() {
    for (topic, payload, reason) in [
        ("cmd/stop/a", "{", "payload"),
        ("cmd/stop/a", r#"{"status":"init","args":{"confrim":true}}"#, "wrong-arguments"),
        ("cmd/strat/a", r#"{"status":"init"}"#, "unknown-command"),
        ("cmd/stop/a", r#"{"status":"init","time":"2026-11-23T17:00:00Z"}"#, "expired"),
    ] {
        let mut session = session();
        session.message(message(topic, payload), now(3000));
        let todo = words(&session.take(now(3000)));
        assert_eq!(todo[..2], ["ack 7".to_owned(), format!("{topic} {reason}")], "{todo:?}");
    }
    let mut observed = session();
    observed.place.observe = true;
    observed.message(message("cmd/stop/a", r#"{"status":"init"}"#), now(3000));
    assert_eq!(words(&observed.take(now(3000)))[1], "cmd/stop/a observe");
}

#[test]
fn secrets_come_over_tls_and_are_not_kept() {
    let set = r#"{"status":"init","args":{"source.Main.key":"live_1"},"time":"2026-11-23T18:00:00Z"}"#;
    let mut open = session();
    open.place.private = false;
    open.message(message("cmd/set/a", set), now(3000));
    let todo = open.take(now(3000));
    assert_eq!(words(&todo)[1], "cmd/set/a secret-needs-tls");
    assert!(!format!("{todo:?}").contains("live_1"));
    let mut private = session();
    private.message(Message { retained: true, ..message("cmd/set/a", set) }, now(3000));
    assert_eq!(words(&private.take(now(3000)))[1], "cmd/set/a secret-needs-tls");
    private.message(message("cmd/set/b", set), now(3000));
    private.kept(1, now(3000));
    let todo = private.take(now(3000));
    assert!(words(&todo).contains(&"execute set".into()), "{:?}", words(&todo));
    assert!(!format!("{todo:?}").contains("live_1"), "it is not written down");
}

#[test]
fn an_account_is_linked_over_tls_and_its_tokens_are_not_kept() {
    let link = |args: &str| format!(r#"{{"status":"init","args":{args},"time":"2026-11-23T18:00:00Z"}}"#);
    let grant = link(r#"{"client-id":"app","access-token":"secret_1"}"#);
    let asked = |private: bool, retained: bool, payload: &str| {
        let mut session = session();
        session.place.private = private;
        session.message(Message { retained, ..message("cmd/studio-link/a", payload) }, now(3000));
        session.kept(1, now(3000));
        let todo = session.take(now(3000));
        assert!(!format!("{todo:?}").contains("secret_1"));
        words(&todo)
    };
    assert!(asked(true, false, &grant).contains(&"execute studio-link".into()));
    assert_eq!(asked(false, false, &grant)[1], "cmd/studio-link/a secret-needs-tls");
    assert_eq!(asked(true, true, &grant)[1], "cmd/studio-link/a secret-needs-tls");
    // Who sends none learns the same.
    assert_eq!(asked(false, false, &link("{}"))[1], "cmd/studio-link/a secret-needs-tls");
    assert_eq!(asked(true, false, &link("{}"))[1], "cmd/studio-link/a wrong-arguments");
    let mut open = session();
    open.place.private = false;
    open.message(Message { ticket: None, ..message("cmd/studio-link", &grant) }, now(3000));
    assert_eq!(words(&open.take(now(3000))), ["event secret-needs-tls"]);
}

#[test]
fn simple_commands_are_told_by_their_event() {
    let mut session = session();
    session.message(Message { ticket: None, ..message("cmd/identify", "") }, now(3000));
    assert_eq!(words(&session.take(now(3000))), ["execute identify"]);
    session.answered(Asked::Simple(1), Answer::done(), now(3001));
    assert!(words(&session.take(now(3001))).contains(&"event successful".into()));
    session.message(Message { ticket: None, retained: true, ..message("cmd/identify", "") }, now(3002));
    let todo = words(&session.take(now(3002)));
    assert_eq!(todo, ["event age-unknown"]);
}

#[test]
fn answers_go_where_the_request_says_as_well() {
    let mut session = session();
    let reply_to = Some(ReplyTo { topic: "desk/7".into(), correlation: Some(b"x".to_vec()) });
    session.message(Message { reply_to, ..message("cmd/identify/a", r#"{"status":"init"}"#) }, now(3000));
    session.kept(1, now(3001));
    session.answered(Asked::Request(key("identify", "a")), Answer::done(), now(3002));
    let todo = session.take(now(3002));
    let there: Vec<&Do> = todo
        .iter()
        .filter(|done| matches!(done, Do::Publish(out) if out.topic == "desk/7" && !out.retain && out.correlation.is_some()))
        .collect();
    assert_eq!(there.len(), 2, "{:?}", words(&todo));
}

#[test]
fn a_kept_answer_of_an_earlier_life_counts() {
    let mut session = session();
    let kept = |payload| Message { retained: true, ..message("cmd/stop/a", payload) };
    session.message(kept(r#"{"status":"successful","time":null}"#), now(100));
    session.message(message("cmd/stop/a", r#"{"status":"init"}"#), now(3000));
    let todo = words(&session.take(now(3000)));
    assert!(!todo.contains(&"execute stop".into()) && todo.contains(&"cmd/stop/a successful".into()), "{todo:?}");
    let kept = Message { retained: true, ..message("cmd/stop/b", r#"{"status":"executing","time":null}"#) };
    session.message(kept, now(3000));
    assert!(words(&session.take(now(3000))).contains(&"cmd/stop/b interrupted".into()));
}

#[test]
fn the_status_is_told_on_change_and_now_and_then() {
    let mut session = session();
    let mut status = on_air();
    let told = |session: &mut Session, status: &Status, millis: u64| -> Vec<String> {
        session.status(status, now(millis));
        let todo = session.take(now(millis));
        todo.iter().for_each(|done| arrived(session, done));
        words(&todo).into_iter().map(|word| word.split(' ').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(told(&mut session, &status, 3000), ["stats", "status"]);
    status.stats.uptime_ms = 9;
    assert_eq!(told(&mut session, &status, 3400), [""; 0], "figures come once a second");
    status.name = "Other".into();
    assert_eq!(told(&mut session, &status, 3450), [""; 0]);
    assert_eq!(session.next_wake(Time::from_millis(3450)), Some(Time::from_millis(3500)));
    assert_eq!(told(&mut session, &status, 3500), ["status"]);
    assert_eq!(told(&mut session, &status, 4500), ["stats"]);
    assert_eq!(told(&mut session, &status, 33_500), ["stats", "status"], "each 30 s");
}

#[test]
fn status_figures_and_availability_are_pinned() {
    let session = session();
    let mut status = on_air();
    status.faults.push(Fault {
        code: "no-signal",
        severity: Severity::Warning,
        text: "No picture on HDMI".into(),
        advice: "Check the cable".into(),
        since: now(0).wall,
    });
    let will = session.last_will();
    assert_eq!((will.topic.as_str(), &will.payload[..]), ("fieldcast/fc-1/availability", &b"offline"[..]));
    let pretty = |text: &str| serde_json::to_string_pretty(&serde_json::from_str::<Value>(text).expect("json"));
    insta::assert_snapshot!("status", pretty(&state(&status)).expect("json"));
    insta::assert_snapshot!("stats", pretty(&json(&status.stats)).expect("json"));
    assert!(state(&status).len() <= 2048 && json(&status.stats).len() <= 500);
    let info = Info { capabilities: Capabilities::default(), ..crate::remote::document::tests::info() };
    let mut session = session;
    session.info(&info);
    assert_eq!(words(&session.take(now(3000))).len(), 1);
    session.info(&info);
    assert_eq!(words(&session.take(now(3000))), [""; 0], "once");
}

#[test]
fn home_assistant_is_told_again_when_it_is_born() {
    let mut session = session();
    session.place.home = true;
    let told = |session: &mut Session| {
        let todo = session.take(now(3000));
        todo.iter()
            .filter(|done| matches!(done, Do::Publish(out) if out.topic == "homeassistant/device/fc-1/config"))
            .count()
    };
    session.info(&crate::remote::document::tests::info());
    assert_eq!((told(&mut session), told(&mut session)), (1, 0));
    let birth = Message { topic: "homeassistant/status".into(), ..message("", "online") };
    session.message(birth.clone(), now(3000));
    assert_eq!(told(&mut session), 1);
    session.message(Message { payload: "offline".into(), ..birth }, now(3000));
    assert_eq!(told(&mut session), 0);
    session.message(Message { ticket: None, ..message("cmd/on-air", r#"{"on":true}"#) }, now(3000));
    assert!(words(&session.take(now(3000))).contains(&"execute start".into()));
}

#[test]
fn few_messages_are_on_their_way_at_a_time() {
    let mut session = session();
    for _ in 0..100 {
        session.happened(What::Started, "x".into(), now(3000));
    }
    let todo = session.take(now(3000));
    let sent = |todo: &[Do]| todo.iter().filter(|done| matches!(done, Do::Publish(_))).count();
    assert_eq!(sent(&todo), WINDOW);
    todo.iter().for_each(|done| arrived(&mut session, done));
    assert_eq!(sent(&session.take(now(3001))), WINDOW);
    session.lost();
    assert_eq!(sent(&session.take(now(3002))), 0);
    session.connected(now(4000));
    let todo = session.take(now(4000));
    let event = todo.iter().find_map(|done| match done {
        Do::Publish(out) if out.topic.ends_with("/event") => serde_json::from_slice::<Value>(&out.payload).ok(),
        _ => None,
    });
    assert_eq!(event.map(|event| event["sequence"].clone()), Some(117.into()), "what did not arrive comes again");
}

#[test]
fn what_the_broker_refuses_is_over_and_told() {
    let mut session = session();
    session.happened(What::Started, "x".into(), now(3000));
    let todo = session.take(now(3000));
    let receipt = todo.iter().find_map(|done| match done {
        Do::Publish(Outgoing { receipt: Some(receipt @ Receipt::Event(_)), .. }) => Some(receipt.clone()),
        _ => None,
    });
    assert!(session.refused(&receipt.expect("an event"), now(3001).time));
    assert_eq!(words(&session.take(now(3001))), ["event events-lost"]);
    assert!(!session.refused(&Receipt::Elsewhere, now(3002).time), "it is up to who chose the topic");
}

#[test]
fn a_broker_that_takes_nothing_is_noticed() {
    let mut session = session();
    assert!(!session.is_stuck(Time::from_millis(500_000)), "nothing is on its way");
    session.happened(What::Started, "x".into(), now(500_000));
    let todo = session.take(now(500_000));
    assert!(!session.is_stuck(Time::from_millis(529_999)) && session.is_stuck(Time::from_millis(530_000)));
    todo.iter().for_each(|done| arrived(&mut session, done));
    assert!(!session.is_stuck(Time::from_millis(600_000)));
}

#[test]
fn progress_is_an_answer_that_is_not_the_last() {
    let mut session = session();
    session.message(message("cmd/preflight/a", r#"{"status":"init"}"#), now(3000));
    session.kept(1, now(3001));
    session.take(now(3001));
    let step = Progress { step: "name".into(), done: None, of: None };
    session.progress(&Asked::Request(key("preflight", "a")), step, now(3002));
    assert_eq!(words(&session.take(now(3002))), ["cmd/preflight/a executing"]);
}

proptest::proptest! {
    #[test]
    fn any_message_is_done_or_answered_and_acknowledged(
        topic in "(cmd/)?(stop|identify|[a-z/]{0,5})(/[a-z#+]{0,3})?",
        payload in r#"(\{"status":"(init|executing|failed)"(,"args":(\{\}|[0-9]|\{"confirm":true\}))?\}|.{0,9})"#,
        retained: bool, again: bool,
    ) {
        let mut session = session();
        session.message(Message { retained, again, ..message(&topic, &payload) }, now(3000));
        session.kept(u64::MAX, now(3000));
        let acknowledged = session.take(now(3000)).iter().filter(|done| **done == Do::Acknowledge(7)).count();
        proptest::prop_assert_eq!(acknowledged, 1);
    }
}
