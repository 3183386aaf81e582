use super::*;
use crate::board::{self, Board};
use crate::command::{Answer, Reason};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};
use std::path::Path;

const MAIN: &str = "[[source]]\nname = 'Main'\nurl = 'rtmps://ingest.example/app'\nkey = 'abc'\n";

fn load(text: &[u8], overrides: &str, board: Option<&Board>) -> Result<Layers, Problems> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    Layers::load(Some(file.path()), parse_overrides(overrides).expect("overrides"), board)
}

fn layers(text: &str, overrides: &str) -> Layers {
    load(text.as_bytes(), overrides, None).expect("settings")
}

/// The problems of a file as "line key: text".
fn problems(text: &str) -> Vec<String> {
    let problems = load(text.as_bytes(), "", None).expect_err("refused").0;
    let line = |line: Option<usize>| line.map_or("-".into(), |line| line.to_string());
    problems.into_iter().map(|p| format!("{} {}: {}", line(p.line), p.key.unwrap_or_default(), p.text)).collect()
}

fn set(layers: &Layers, changes: Json) -> Result<Layers, (String, String)> {
    let Json::Object(changes) = changes else { panic!("an object") };
    match layers.change(&Changes(changes.clone())) {
        Ok((layers, keys)) => {
            assert_eq!(keys.len(), changes.len());
            // What is written has to read back as the same.
            assert_eq!(parse_overrides(&layers.overrides_text()).as_ref(), Ok(&layers.overrides));
            Ok(layers)
        }
        Err(Answer::Failed { reason: Reason::WrongArguments, text, field }) => Err((field.unwrap_or_default(), text)),
        Err(other) => panic!("{other:?}"),
    }
}

/// The desktop, as small as these tests need it.
fn board() -> Board {
    let desktop = Path::new(env!("CARGO_MANIFEST_DIR")).join("boards/desktop.toml");
    let mut board = Board::load(&desktop).expect("a board");
    board.name = "small".into();
    board.inputs.truncate(1);
    board.inputs[0].name = "hdmi".into();
    board.encoders.retain(|encoder| encoder.codec == Codec::H264);
    board.limits = board::Limits { mode: "1280x720p30".parse().expect("a mode"), bitrate: BitRate::new(6_000_000) };
    board
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(*layers("", "").settings(), Settings::default());
}

#[test]
fn every_problem_is_listed_with_line_and_nearest_key() {
    let listed = problems(
        "nmae = 'Van'\nbitrate-max = '4 Mbit/s'\n[output]\nbitrate-max = 4\nbitrate-min = '5 MB/s'\ncodec = 'av1'\n\
         [pusch]\nsources = []\n[[source]]\nname = 'A'\nurls = 'x'\nurl = 'rtmp://h/a'\nkey = 12345678\n",
    );
    assert_eq!(
        listed,
        [
            "1 nmae: unknown key; did you mean \"name\"?",
            "2 bitrate-max: unknown key here; did you mean \"output.bitrate-max\"?",
            "4 output.bitrate-max: expected a bit rate such as \"4 Mbit/s\" or \"500 kbit/s\", at most 1 Gbit/s, got integer `4`",
            "5 output.bitrate-min: expected a bit rate such as \"4 Mbit/s\" or \"500 kbit/s\", at most 1 Gbit/s, got \"5 MB/s\"",
            "6 output.codec: expected `h264` or `hevc`, got `av1`",
            "7 pusch: unknown key; did you mean \"push\"?",
            "11 source.A.urls: unknown key; did you mean \"url\"?",
            "13 source.A.key: expected a text in quotes",
        ]
    );
}

#[test]
fn values_that_do_not_make_sense_are_refused_by_name() {
    for (text, line, part) in [
        ("name = ''", "1 name", "is empty"),
        ("name = \"a\\nb\"", "1 name", "line break"),
        ("id = 'Van 3'", "1 id", "small letters"),
        ("tags = ['a', 5]", "1 tags[1]", "expected a text in quotes"),
        ("tags = 'a'", "1 tags", "expected a list in [ ]"),
        ("output = 3", "1 output", "expected a table"),
        ("[output]\nkeyframe-interval = '0.2 s'", "2 output.keyframe-interval", "500 ms to 10 s"),
        ("[output]\nkeyframe-interval = '-2 s'", "2 output.keyframe-interval", "length of time"),
        ("[output]\naudio-bitrate = '8 kbit/s'", "2 output.audio-bitrate", "32 kbit/s to 320 kbit/s"),
        ("[output]\nbitrate-max = '900 Mbit/s'", "2 output.bitrate-max", "100 kbit/s to 100 Mbit/s"),
        ("[output]\nbitrate-max = '99999999999999999999 Mbit/s'", "2 output.bitrate-max", "at most 1 Gbit/s"),
        ("[output]\nbitrate-max = 99999999999999999999", "2 ", "too large"),
        ("[output]\nbitrate-min = '5 Mbit/s'", "2 output.bitrate-min", "more than bitrate-max"),
        ("[output]\nmode = '1080i50'", "2 output.mode", "progressive"),
        ("[input]\ngain = '90 dB'", "2 input.gain", "from -60 dB to 30 dB"),
        ("[http]\nlisten = '224.0.0.1:8443'", "2 http.listen", "an address that the box has"),
        ("[http]\nlisten = '0.0.0.0:0'", "2 http.listen", "a port is needed"),
        ("[http]\nlisten = 'localhost'", "2 http.listen", "socket address"),
        ("[clock]\nhttp = ['www.example.org', 'https://x']", "2 clock.http[1]", "name of a web server"),
        ("[panel]\nhold-to-stop = '1 min'", "2 panel.hold-to-stop", "200 ms to 10 s"),
        ("[panel]\nbrightness = 0", "2 panel.brightness", "1 to 100"),
        ("[panel]\nbrightness = 300", "2 panel.brightness", "expected a whole number"),
        (
            "[push]\nsources = ['Man']\n[[source]]\nname='Main'\nurl='rtmp://h/a'\nkey='k'",
            "2 push.sources",
            "there are \"Main\"",
        ),
        (
            "[push]\nbackup = 'B'\n[[source]]\nname='A'\nurl='rtmp://h/a'\nkey='k'",
            "2 push.backup",
            "no [[source]] is called \"B\"",
        ),
        ("[push]\nbackup = 'A'\n[[source]]\nname='A'\nurl='rtmp://h/a'\nkey='k'", "2 push.backup", "another Source"),
        ("[push]\non-signal-loss = 'stop'", "2 push.on-signal-loss", "\"slate\" or a time as in \"stop after 60 s\""),
        ("[push]\non-signal-loss = 'stop after 10 ms'", "2 push.on-signal-loss", "\"stop after 1 s\" to"),
        ("[slate]\npicture = 'slate.gif'", "2 slate.picture", ".png"),
        ("[push]\nbackup-return = 'soon'", "2 push.backup-return", "\"never\" or a time as in \"after 30 s\""),
        ("[push]\nbackup-return = 'after a while'", "2 push.backup-return", "length of time"),
        ("[push]\nbackup-return = 'after 10 ms'", "2 push.backup-return", "\"after 1 s\" to \"after 60 min\""),
        ("[push]\nat-power-on = 'sometimes'", "2 push.at-power-on", "`never`, `resume`, `always`"),
        ("source = ['x']", "1 source[0]", "expected a table"),
        ("source = 'x'", "1 source", "expected a list in [ ]"),
        ("[[source]]\nurl = 'rtmp://h/a'\nkey = 'k'", "1 source[0].name", "needs a name"),
        ("[[source]]\nname = 'A'\nkey = 'k'", "1 source.A.url", "where to push is missing"),
        ("[[source]]\nname = 'A'\nurl = 'rtmp://h/a'", "1 source.A.key", "stream key is missing"),
        ("[[source]]\nname = 'A'\nurl = 'rtmp://h/a'\nkey = 'k k'", "4 source.A.key", "has a space"),
        ("name = 'x'\nname = 'y'", "2 ", "duplicate key"),
        ("name = 'x", "1 ", "invalid literal string"),
        ("[output\nmode = 1", "1 ", "unclosed table"),
    ] {
        let listed = problems(text);
        assert!(listed.len() == 1 && listed[0].starts_with(line) && listed[0].contains(part), "{text:?}: {listed:?}");
    }
}

#[test]
fn a_source_is_one_place_with_one_key() {
    for (fields, part) in [
        ("url = 'rtmp://h/a'\nservice = 'twitch'\nkey = 'k'", "not both"),
        ("url = 'rtmp://h/a'\nkey = 'k'\nkey-file = '/k'", "more than once"),
        ("url = 'rtmp://h/a'\nkey-file = 'k'", "whole path"),
        ("url = 'rtmp://h/a'\ncredential = '../k'", "LoadCredential"),
        ("url = 'srt://h:9000'\nkey = 'k'", "SRT has no stream key"),
        ("url = 'srt://h'", "needs a port"),
        ("url = 'srt://h:9000?streamid=hunter2'", "leave out what follows"),
        ("url = 'srt://h:9000?mode=listener'", "the box is the caller"),
        ("url = 'srt://h:9000'\nstream-id = ''", "is empty"),
        ("url = 'srt://h:9000'\npassphrase = 'hunter2'", "10 to 79 characters"),
        ("url = 'srt://h:9000'\npassphrase-file = 'k'", "whole path"),
        ("url = 'srt://h:9000'\npassphrase = '0123456789'\npassphrase-file = '/k'", "given twice"),
        ("url = 'srt://h:9000'\nencryption = 'aes-256'", "needs a passphrase"),
        ("url = 'srt://h:9000'\nencryption = 'aes-192'", "expected `aes-128` or `aes-256`"),
        ("url = 'srt://h:9000'\nlatency = '10 ms'", "20 ms to 8 s"),
        ("url = 'rtmp://h/a'\nkey = 'k'\nlatency = '1 s'", "only for Sources whose url is srt://"),
        ("url = 'rtmp://h/a'\nkey = 'k'\nstream-id = 'hunter2'", "only for Sources whose url is srt://"),
        ("url = 'http://h/a'\nkey = 'k'", "starts with rtmp://"),
        ("url = 'rtmp://user:hunter2@h/a'\nkey = 'k'", "user name"),
        ("url = 'rtmp:///a'\nkey = 'k'", "host of the URL"),
        ("url = 'rtmp://h:0/a'\nkey = 'k'", "port"),
        ("url = 'rtmp://h:99999/a'\nkey = 'k'", "port"),
        ("url = 'rtmp://h'\nkey = 'k'", "no application"),
        ("url = 'h/a'\nkey = 'k'", "starts with rtmp://"),
    ] {
        let listed = problems(&format!("[[source]]\nname = 'A'\n{fields}"));
        assert!(listed.len() == 1 && listed[0].contains(part), "{fields:?}: {listed:?}");
        assert!(!listed[0].contains("hunter2"));
    }
    let whole = "url = 'srt://h:9000'\nstream-id = '#!::r=a,m=publish'\npassphrase = 'ten and more'\nencryption = 'aes-256'\n\
                 latency = '1.5 s'";
    for fields in ["url = 'srt://h:9000'", whole] {
        layers(&format!("[[source]]\nname = 'A'\n{fields}"), "");
    }
    assert!(problems(&[MAIN, MAIN].concat())[0].starts_with("6 source.Main.name: another Source is called"));
    let long = problems("[[source]]\nname = 'A'\nurl = 'rtmp://h/a'\nkey = 99999999999999999999");
    assert_eq!(long, ["4 : a number is too large; a text needs quotes"]);
    layers("[[source]]\nname = 'A'\nurl = 'rtmp://[::1]:1935/live/x'\ncredential = 'main-key'", "");
}

#[test]
fn the_board_s_limits_hold() {
    let board = board();
    let wrong = |text: &str| load(text.as_bytes(), "", Some(&board)).expect_err("refused").to_string();
    assert!(wrong("[input]\ndevice = 'camera'").contains("expected \"auto\", \"hdmi\""));
    assert!(wrong("[output]\nmode = '1080p30'").contains("more than board \"small\" can do, 1280x720p30"));
    assert!(wrong("[output]\nbitrate-max = '8 Mbit/s'").contains("6 Mbit/s"));
    assert!(wrong("[output]\ncodec = 'hevc'").contains("no hevc encoder"));
    // The same in an override is ignored: the card may have been moved to a smaller box.
    let moved = load(b"[output]\nmode = '720p25'", "output.mode = '1080p30'\ninput.device = 'hdmi'", Some(&board));
    let moved = moved.expect("settings");
    assert_eq!(moved.settings().output.mode.to_string(), "1280x720p25");
    assert_eq!(moved.settings().input.device, "hdmi");
    assert!(moved.fault().expect("a fault").text.contains("output.mode"));
}

#[test]
fn overrides_lie_over_the_file_and_say_so() {
    let over = "name = 'Van 4'\noutput.bitrate-max = '3 Mbit/s'\nsource.Main.key-file = '/k'\nsource.\"B.2\".url = 'rtmp://b/x'\nsource.\"B.2\".key = 'q'";
    let layers = layers(&format!("name = 'Van 3'\n[output]\nlatency = 'normal'\n{MAIN}"), over);
    let settings = layers.settings();
    assert_eq!((settings.name.as_str(), settings.output.bitrate_max), ("Van 4", BitRate::new(3_000_000)));
    // One way to give the key takes the place of another.
    assert_eq!((&settings.sources[0].key, settings.sources[0].key_file.as_deref()), (&None, Some(Path::new("/k"))));
    assert_eq!(settings.sources[1].name, "B.2");
    assert_eq!(layers.fault(), None);

    let shown = layers.describe();
    let value = |key: &str| (shown["settings"][key]["value"].clone(), shown["settings"][key]["origin"].clone());
    assert_eq!(value("name"), (json!("Van 4"), json!("overrides.toml")));
    assert_eq!(value("output.latency"), (json!("normal"), json!("settings.toml")));
    assert_eq!(value("output.mode"), (json!("1280x720p30"), json!("default")));
    assert_eq!(value("source.Main.url"), (json!("rtmps://ingest.example/app"), json!("settings.toml")));
    assert_eq!(value("source.Main.key"), (Json::Null, json!("default")));
    assert_eq!(value("source.B.2.key"), (json!("set"), json!("overrides.toml")));
}

#[test]
fn a_wrong_override_is_ignored_and_told() {
    for over in [
        "frobnicate = 1",
        "output.bitrate-max = 4",
        "output.bitrate-min = '5 Mbit/s'",
        "push.sources = ['Gone']",
        "source.Spare.key = 'k'",
        "source = 5",
        "http.listen = '0.0.0.0:0'",
        "name = ''",
        "source.Main.name = 'Other'",
        "output = 1",
        "name.x = 1",
    ] {
        let layers = layers(MAIN, &format!("{over}\ntags = ['kept']"));
        assert_eq!(layers.settings().tags, ["kept"], "{over}");
        let without = Settings { tags: vec!["kept".into()], ..super::tests::layers(MAIN, "").settings().clone() };
        assert_eq!(*layers.settings(), without, "{over}");
        assert_eq!(layers.fault().expect("a fault").code, "override-ignored", "{over}");
        assert_eq!(layers.describe()["ignored-overrides"].as_object().map(Map::len), Some(1), "{over}");
    }
}

#[test]
fn set_is_all_or_nothing() {
    let before = layers(MAIN, "");
    let after =
        set(&before, json!({"output.bitrate-max": "3 Mbit/s", "name": "Van", "push.sources": ["Main"]})).expect("set");
    assert_eq!((after.settings().name.as_str(), after.settings().output.bitrate_max.bits()), ("Van", 3_000_000));
    let wrong = set(&after, json!({"name": "Other", "output.bitrate-max": "3 MB"}));
    assert_eq!(wrong.expect_err("refused").0, "output.bitrate-max");
    // null takes the override back, also of a key without one.
    let back = set(&after, json!({"name": null, "output.mode": null})).expect("set");
    assert_eq!((back.settings().name.as_str(), back.origin("name")), ("Fieldcast", Layer::Default));
    assert_eq!(back.origin("output.bitrate-max"), Layer::Overrides);

    for (changes, field, part) in [
        (json!({"output.bitrate": "3 Mbit/s"}), "output.bitrate", "did you mean"),
        (json!({"output": {"mode": "720p30"}}), "output", "unknown key"),
        (json!({"name": {"a": 1}}), "name", "expected a text"),
        (json!({"source.Main": "x"}), "source.Main", "Source's name"),
        (json!({"source..url": "x"}), "source..url", "name is missing"),
        (json!({"source.Main.name": "x"}), "source.Main.name", "settings file"),
        (json!({"source.Main.url": "srt://x"}), "source.Main.url", "needs a port"),
        (json!({"source.New.url": "rtmp://h/a"}), "source.New.url", "stream key is missing"),
        (json!({"output.bitrate-min": "3.5 Mbit/s"}), "output.bitrate-min", "more than bitrate-max"),
        (json!({}), "set", "expected 1 to 64"),
        (json!({"name": 5}), "name", "expected a text in quotes"),
        (json!({"tags": [[[["a"]]]]}), "tags", "expected a text in quotes"),
    ] {
        let (named, text) = set(&after, changes.clone()).expect_err("refused");
        assert!(named == field && text.contains(part), "{changes}: {named}: {text}");
    }
}

#[test]
fn set_keeps_sources_whole() {
    let spare =
        json!({"source.OB van.2.url": "rtmp://b/x", "source.OB van.2.key": "se\"cr\\et", "push.sources": ["OB van.2"]});
    let with = set(&layers(MAIN, ""), spare).expect("set");
    assert_eq!(with.settings().sources[1].key, Some(Secret::new("se\"cr\\et")));
    // A second way of giving the key takes the first one's place.
    let by_file = set(&with, json!({"source.OB van.2.key-file": "/k"})).expect("set");
    assert!(by_file.settings().sources[1].key.is_none() && !by_file.overrides_text().contains("cr\\"));
    // The Source is in use: it cannot be taken away under the push.
    let (field, text) = set(&with, json!({"source.OB van.2.url": null})).expect_err("refused");
    assert!(field == "source.OB van.2.url" && text.contains("would no longer fit"), "{field}: {text}");
}

#[test]
fn an_ignored_override_is_kept_until_it_is_taken_back() {
    let newer = layers("", "slate.picture = 'a.png'\nname = 'Van'");
    let after = set(&newer, json!({"tags": ["a"]})).expect("set");
    assert!(after.overrides_text().contains("slate.picture = \"a.png\""));
    assert_eq!(set(&after, json!({"slate.picture": null})).expect("set").fault(), None);
    // A section and a value of the same name could not be written into one file.
    let broken = layers("", "output = 5");
    assert_eq!(set(&broken, json!({"output.mode": "720p25"})).expect("set").fault(), None);
}

#[test]
fn what_is_felt_when() {
    let keys = ["name", "output.bitrate-max", "output.mode", "http.listen"].map(String::from);
    assert_eq!(
        effects(&keys, true),
        json!({"now": ["name", "output.bitrate-max"], "next-start": ["output.mode", "http.listen"]})
    );
    assert_eq!(takes_effect("output.mode", false), TakesEffect::Now);
    assert_eq!(takes_effect("input.device", true), TakesEffect::Now);
}

fn any_toml() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "name",
        "id",
        "output.mode",
        "output.bitrate-max",
        "output",
        "source",
        "source.Main.url",
        "source.Main.key",
        "push.sources",
        "x",
        "tags",
        "source.\"\".key",
        "input.gain",
        "http.listen",
        "version",
        "source.B.url",
    ]);
    let value = prop::sample::select(vec![
        "1",
        "-1",
        "1e400",
        "inf",
        "true",
        "'x'",
        "''",
        "[]",
        "['Main']",
        "[[]]",
        "{}",
        "{ a = 1 }",
        "'2 Mbit/s'",
        "'rtmp://h/a'",
        "2020-01-01",
        "9223372036854775808",
        "'720p30'",
        "[{ name = 'Main' }]",
        "\"\\u0000\"",
    ]);
    prop::collection::vec((key, value), 0..6)
        .prop_map(|lines| lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect())
}

proptest! {
    #[test]
    fn any_bytes_are_settings_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = load(&bytes, "", None);
    }

    #[test]
    fn any_toml_is_settings_or_refused(text in any_toml()) {
        if let Err(problems) = load(text.as_bytes(), "", None) {
            prop_assert!(!problems.0.is_empty());
        }
    }

    #[test]
    fn no_overrides_stop_the_box(text in any_toml()) {
        if let Ok(overrides) = parse_overrides(&text) {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), MAIN).expect("written");
            let layers = Layers::load(Some(file.path()), overrides.clone(), None).expect("settings");
            prop_assert_eq!(parse_overrides(&layers.overrides_text()), Ok(overrides));
        }
    }

    #[test]
    fn any_json_is_set_or_refused(key in "(output\\.|source\\.|name|x|push\\.sources)?[a-z.\"]{0,8}", value in "\\PC{0,20}", nested in any::<bool>()) {
        let value = if nested { json!([value, 1.5, {"a": null}]) } else { json!(value) };
        let before = layers(MAIN, "");
        let Json::Object(changes) = json!({ key: value }) else { unreachable!() };
        if let Ok((after, _)) = before.change(&Changes(changes)) {
            prop_assert_eq!(after.fault(), None);
        }
    }
}

#[test]
fn a_source_of_the_studio_needs_nothing_but_its_id() {
    let text = "[[source]]\nname = 'A'\nstudio = { source-id = '1234567890123456789' }\n";
    let with = layers(&format!("{text}[studio]\nclient-id = 'x'\nbase-url = 'http://127.0.0.1:9'\n"), "");
    let source = &with.settings().sources[0];
    assert_eq!(source.studio.as_ref().map(|studio| studio.source_id.as_str()), Some("1234567890123456789"));
    for (wrong, part) in [
        (text.replace("'1234567890123456789'", "'de3f'"), "source-id"),
        (format!("{text}url = 'rtmp://h/a'\n"), "not several"),
        (format!("{text}key = 'abc'\n"), "leave out key"),
        (format!("{text}[studio]\nbase-url = 'http://api.example'\n"), "https://"),
        (format!("{text}[studio]\nclient = 'x'\n"), "client-id"),
    ] {
        let found = problems(&wrong);
        assert!(found.iter().any(|found| found.contains(part)), "{wrong}: {found:?}");
    }
}
