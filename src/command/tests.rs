use super::*;
use proptest::prelude::*;
use serde_json::json;

fn failure(name: &str, arguments: Value) -> (Reason, Option<String>, String) {
    match Command::parse(name, &arguments) {
        Err(Answer::Failed { reason, field, text }) => (reason, field, text),
        other => panic!("{name} {arguments}: {other:?}"),
    }
}

#[test]
fn commands_are_read() {
    let parsed = |name, arguments| Command::parse(name, &arguments).expect("a command");
    assert_eq!(parsed("start", Value::Null), Command::Start { sources: None });
    assert_eq!(parsed("start", json!({"sources": ["A"]})), Command::Start { sources: Some(vec!["A".into()]) });
    assert_eq!(parsed("stop", json!({"confirm": true})), Command::Stop { confirm: true, end: None });
    assert_eq!(parsed("stop", json!({"confirm": null})), Command::Stop { confirm: false, end: None });
    assert_eq!(
        parsed("source", json!({"name": "A", "region": "eu"})),
        Command::Source { name: "A".into(), region: Some("eu".into()) }
    );
    assert_eq!(parsed("show", json!({"what": "live"})), Command::Show { what: Cut::Live, mute: None });
    assert_eq!(parsed("regions", json!({"source": "A"})), Command::Regions { source: "A".into() });
    assert_eq!(parsed("lock-panel", json!({"locked": false})), Command::LockPanel { locked: false });
    assert_eq!(parsed("restart", Value::Null), Command::Restart { confirm: false });
    assert_eq!(parsed("logs", Value::Null), Command::Logs { lines: 100, since: None, follow: None });
    assert_eq!(parsed("diagnostics", json!({"to": "usb"})), Command::Diagnostics { usb: true });
    assert_eq!(parsed("diagnostics", json!({})), Command::Diagnostics { usb: false });
    assert_eq!(parsed("factory-reset", json!({"confirm": true})), Command::FactoryReset { confirm: true });
}

#[test]
fn what_is_wrong_is_named() {
    for (name, arguments, reason, field, part) in [
        ("strat", json!({}), Reason::UnknownCommand, None, "did you mean \"start\""),
        ("frobnicate", json!({}), Reason::UnknownCommand, None, "there are start, stop"),
        ("stop", json!({"confrim": true}), Reason::WrongArguments, Some("confrim"), "did you mean \"confirm\""),
        ("preview", json!({"a": 1}), Reason::WrongArguments, Some("a"), "takes no arguments"),
        ("input", json!({}), Reason::WrongArguments, Some("device"), "is missing"),
        ("input", json!({"device": 3}), Reason::WrongArguments, Some("device"), "expected a text"),
        ("input", json!({"device": "a\nb"}), Reason::WrongArguments, Some("device"), "one line"),
        ("start", json!({"sources": "A"}), Reason::WrongArguments, Some("sources"), "expected a list"),
        ("start", json!({"sources": []}), Reason::WrongArguments, Some("sources"), "expected a list"),
        ("stop", json!({"confirm": "yes"}), Reason::WrongArguments, Some("confirm"), "true or false"),
        ("stop", json!([true]), Reason::WrongArguments, None, "as an object"),
        ("show", json!({"what": "cat"}), Reason::WrongArguments, Some("what"), "live"),
        ("lock-panel", json!({}), Reason::WrongArguments, Some("locked"), "is missing"),
        ("identify", json!({"confirm": true}), Reason::WrongArguments, Some("confirm"), "takes no arguments"),
        ("restart", json!({"confirm": 1}), Reason::WrongArguments, Some("confirm"), "true or false"),
        ("logs", json!({"lines": 0}), Reason::WrongArguments, Some("lines"), "1 to 1000"),
        ("logs", json!({"since": "noon"}), Reason::WrongArguments, Some("since"), "2026"),
    ] {
        let (got, at, text) = failure(name, arguments.clone());
        let right = got == reason && at.as_deref() == field && text.contains(part);
        assert!(right, "{name} {arguments}: {got:?} {at:?} {text:?}");
    }
}

#[test]
fn a_reason_is_one_word_everywhere() {
    for reason in [Reason::UnknownCommand, Reason::NotAcknowledged, Reason::SecretNeedsTls, Reason::Interrupted] {
        assert_eq!(json!(reason), reason.code());
    }
}

#[test]
fn a_key_in_a_set_is_not_printed() {
    let command = Command::parse("set", &json!({"source.Main.key": "live_123"})).expect("a command");
    assert_eq!(format!("{command:?}"), "Set([\"source.Main.key\"])");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let word = prop::sample::select(vec![
        "sources", "confirm", "device", "name", "region", "what", "mute", "source", "locked", "id", "lines", "x",
    ]);
    leaf.prop_recursive(3, 20, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..4)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_string(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_a_command_or_one_answer(name in prop_oneof![prop::sample::select(Command::NAMES.to_vec()).prop_map(String::from), ".{0,9}"], arguments in any_json()) {
        match Command::parse(&name, &arguments) {
            Ok(command) => prop_assert_eq!(command.name(), name),
            Err(Answer::Failed { reason: Reason::UnknownCommand, .. }) => prop_assert!(!Command::NAMES.contains(&name.as_str())),
            Err(Answer::Failed { text, .. }) => prop_assert!(!text.is_empty()),
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }
}
