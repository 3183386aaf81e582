use super::*;
use proptest::prelude::*;
use serde_json::json;

fn time() -> Timestamp {
    "2026-11-23T18:00:00Z".parse().expect("a time")
}

#[test]
fn a_request_is_read_as_it_is_written() {
    let request = Request { args: json!({"confirm": true}), time: Some(time()), expires: Some(5000) };
    let payload = request.payload();
    assert_eq!(payload, r#"{"args":{"confirm":true},"expires":5000,"status":"init","time":"2026-11-23T18:00:00Z"}"#);
    assert_eq!(Request::parse(payload.as_bytes()), Ok(Some(request.clone())));
    assert_eq!(Request::parse_simple(payload.as_bytes()), Ok(request));
    let bare = Request { args: Value::Null, time: None, expires: None };
    assert_eq!(bare.payload(), r#"{"status":"init"}"#);
    assert_eq!((bare.life(), Request::parse(br#"{"status":"init"}"#)), (LIFE, Ok(Some(bare))));
}

#[test]
fn answers_are_pinned() {
    let answers = [
        Reply::Executing { time: None, progress: None },
        Reply::Executing {
            time: Some(time()),
            progress: Some(Progress { step: "Upload".into(), done: Some(3), of: Some(8) }),
        },
        Reply::last(Answer::done(), Some(time())),
        Reply::last(Answer::Successful { result: json!({"now": ["name"]}) }, None),
        Reply::last(Answer::wrong("device", "is missing"), Some(time())),
        Reply::last(Answer::failed(Reason::AgeUnknown, "x"), None),
    ];
    let texts: Vec<String> = answers.iter().map(Reply::payload).collect();
    insta::assert_snapshot!(texts.join("\n"), @r#"
    {"status":"executing","time":null}
    {"status":"executing","time":"2026-11-23T18:00:00Z","progress":{"step":"Upload","done":3,"of":8}}
    {"status":"successful","time":"2026-11-23T18:00:00Z"}
    {"status":"successful","time":null,"result":{"now":["name"]}}
    {"status":"failed","time":"2026-11-23T18:00:00Z","reason":"wrong-arguments","text":"is missing","field":"device"}
    {"status":"failed","time":null,"reason":"age-unknown","text":"x"}
    "#);
    for (answer, text) in answers.iter().zip(&texts) {
        assert_eq!(Reply::parse(text.as_bytes()), Ok(Some(answer.clone())));
        assert_eq!(Request::parse(text.as_bytes()), Ok(None), "a box takes no answer for a request");
    }
    assert_eq!(Reply::parse(br#"{"status":"init"}"#), Ok(None));
    assert_eq!(Reply::parse(b""), Ok(None));
}

#[test]
fn simple_clients_may_send_arguments_or_nothing() {
    let simple = |text: &str| Request::parse_simple(text.as_bytes()).expect("a request").args;
    assert_eq!(simple(""), Value::Null);
    assert_eq!(simple(r#"{"confirm":true}"#), json!({"confirm": true}));
    assert_eq!(simple(r#"{"args":{"confirm":true}}"#), json!({"confirm": true}));
    assert_eq!(simple(r#"{"args":null,"expires":10}"#), Value::Null);
}

#[test]
fn what_is_wrong_is_named() {
    for (payload, field, part) in [
        ("{", None, "not JSON (line 1, column 1)"),
        ("\u{0}", None, "not JSON"),
        ("[]", None, "expected a JSON object"),
        ("{}", Some("status"), "is missing"),
        (r#"{"status":1}"#, Some("status"), "expected \"init\""),
        (r#"{"status":"init","args":[]}"#, Some("args"), "as an object"),
        (r#"{"status":"init","time":"yesterday"}"#, Some("time"), "2026"),
        (r#"{"status":"init","expires":0}"#, Some("expires"), "86400000"),
        (r#"{"status":"init","expires":1e300}"#, Some("expires"), "86400000"),
        (r#"{"status":"init","arsg":{}}"#, Some("arsg"), "unknown"),
    ] {
        let refusal = Request::parse(payload.as_bytes()).expect_err(payload);
        assert!(refusal.field.as_deref() == field && refusal.text.contains(part), "{payload}: {refusal:?}");
    }
    let deep = format!("{}{}", "[".repeat(17), "]".repeat(17));
    assert!(Request::parse(deep.as_bytes()).expect_err("deep").text.contains("16 deep"));
    let quoted = json!({"status": "init", "args": {"name": "[".repeat(99)}}).to_string();
    assert!(Request::parse(quoted.as_bytes()).is_ok());
    let large = json!({"status": "init", "args": {"name": "x".repeat(PAYLOAD_LIMIT)}}).to_string();
    assert!(Request::parse(large.as_bytes()).expect_err("large").text.contains("64 KiB"));
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_refused(payload in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        r#"\{"status":"(init|failed)?"(,"(args|time|expires|x)":(\{\}|\[|"[^"]{0,9}"|-?[0-9]{1,25}|null)){0,4}\}"#.prop_map(String::into_bytes),
    ]) {
        if let Ok(Some(request)) = Request::parse(&payload) {
            prop_assert_eq!(Request::parse(request.payload().as_bytes()), Ok(Some(request)));
        }
        let _ = Request::parse_simple(&payload);
        if let Ok(Some(reply)) = Reply::parse(&payload) {
            prop_assert_eq!(Reply::parse(reply.payload().as_bytes()), Ok(Some(reply)));
        }
    }

    #[test]
    fn nesting_is_what_the_parser_sees(depth in 1_usize..40, text in "[\\[\\]{}\"\\\\a]{0,9}") {
        let mut value = Value::from(text);
        for _ in 0..depth {
            value = json!([value]);
        }
        prop_assert_eq!(nesting(value.to_string().as_bytes()), depth);
    }
}
