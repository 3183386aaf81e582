//! `update`: what is sent to boxes, how a fleet is rolled, and what one box that is asked directly says on its way.

use super::round::{Outcome, Round, Stage};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What `update` is told.
#[derive(Debug, Clone, Args)]
pub struct Update {
    /// A URL that the boxes reach, "usb" (a stick in the box), or a file for one box (--box)
    #[arg(value_name = "FILE|URL|usb")]
    pub source: String,
    /// Which boxes.
    #[command(flatten)]
    pub boxes: super::args::Boxes,
    /// Boxes that push too: they are interrupted for some minutes
    #[arg(long)]
    pub force: bool,
    /// An older version is meant, or the same again
    #[arg(long)]
    pub downgrade: bool,
    /// So many boxes at a time; the next ones when these are confirmed, and none after a failure
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub at_most: Option<u16>,
    /// Go on with the next ones after a failure
    #[arg(long, requires = "at_most")]
    pub keep_going: bool,
}

impl Update {
    /// The arguments of the command, and the file that goes before it.
    ///
    /// # Errors
    /// For people: it is none of the three.
    pub fn order(&self) -> Result<(Value, Option<PathBuf>), String> {
        let (url, file) = match self.source.as_str() {
            "usb" => ("usb", None),
            url if url.starts_with("http://") || url.starts_with("https://") => (url, None),
            other if other.contains("://") => return Err(format!("{other}: expected an http:// or https:// URL")),
            file => ("upload", Some(PathBuf::from(file))),
        };
        Ok((json!({ "url": url, "downgrade": self.downgrade }), file))
    }
}

/// What to say of a file that cannot go through a broker.
pub fn not_through_a_broker(file: &Path) -> String {
    format!(
        "{}: a file goes straight to one box (--box); through a broker give an http:// or https:// URL that the boxes reach",
        file.display()
    )
}

/// Boxes that are asked one part after the other.
pub fn parts(ids: &[String], at_most: Option<u16>) -> Vec<&[String]> {
    ids.chunks(at_most.map_or(ids.len(), usize::from).max(1)).collect()
}

/// Whether what came of a part says that the next one must not be asked. Who is offline has not failed.
pub fn went_wrong(round: &Round) -> bool {
    round.rows().values().any(|row| match &row.stage {
        Stage::Over(outcome) => !matches!(outcome, Outcome::Successful(_) | Outcome::Offline),
        _ => true,
    })
}

/// How far a box is, by `firmware` of its status; none: nothing is being done.
pub fn progress(firmware: &Value) -> Option<String> {
    let percent = firmware["progress"].as_u64().map(|percent| format!(" {percent} %")).unwrap_or_default();
    Some(match firmware["state"].as_str()? {
        "downloading" => format!("getting the bundle{percent}"),
        "checking" => "checking the bundle".into(),
        "installing" => format!("installing{percent}"),
        "restarting" => "restarting".into(),
        "on-trial" => "the new system is on trial".into(),
        _ => return None,
    })
}

/// What came of the update to `version`, once the box is back: Ok: it is confirmed. None: it is not known yet.
pub fn outcome(firmware: &Value, version: &str) -> Option<Result<(), String>> {
    if firmware["state"] != "idle" || firmware["last"]["version"] != version {
        return None;
    }
    let why = firmware["last"]["why"].as_str().unwrap_or("it does not say why");
    Some(if firmware["last"]["result"] == "confirmed" { Ok(()) } else { Err(super::seen::clean(why)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::Command,
        desk::{args::Cli, round::Reply, seen::tests::at},
    };
    use clap::Parser as _;
    use proptest::prelude::*;
    use std::time::Duration;

    fn read(line: &[&str]) -> Update {
        let parsed = Cli::try_parse_from([&["fieldcast", "update"], line].concat()).expect("parsed");
        let super::super::args::Verb::Update(update) = parsed.verb else { panic!("another verb") };
        update
    }

    #[test]
    fn a_file_goes_before_the_command() {
        for (source, url, file) in [
            ("usb", "usb", None),
            ("https://h/x.raucb", "https://h/x.raucb", None),
            ("x.raucb", "upload", Some("x.raucb")),
            ("/tmp/http.raucb", "upload", Some("/tmp/http.raucb")),
        ] {
            let (arguments, before) = read(&[source, "a", "--downgrade"]).order().expect("taken");
            assert_eq!((&arguments["url"], before), (&json!(url), file.map(PathBuf::from)), "{source}");
            Command::parse("update", &arguments).expect("a box takes it");
        }
        assert!(read(&["ftp://h/x"]).order().is_err());
        let all = read(&["usb", "a", "b", "--at-most", "2", "--keep-going", "--force"]);
        assert_eq!(
            (all.boxes.boxes, all.at_most, all.keep_going, all.force),
            (vec!["a".into(), "b".into()], Some(2), true, true)
        );
        for wrong in [&["usb", "--at-most", "0"][..], &["usb", "--keep-going"], &[]] {
            assert!(Cli::try_parse_from([&["fieldcast", "update"], wrong].concat()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_failure_ends_the_roll_and_an_offline_box_does_not() {
        let round = |online| {
            let boxes = [("a", true), ("b", online)].map(|(id, online)| (id.to_owned(), id.to_owned(), online));
            Round::new("update", boxes, at(0), Duration::from_secs(9))
        };
        let mut fine = round(false);
        assert!(went_wrong(&fine), "it is not over");
        fine.hear("a", Reply::Successful(Value::Null));
        assert!(!went_wrong(&fine));
        let mut failed = round(true);
        failed.hear("a", Reply::Successful(Value::Null));
        failed.hear("b", Reply::Failed { reason: "rolled-back".into(), text: "x".into(), field: None });
        assert!(went_wrong(&failed));
        let mut silent = round(true);
        silent.hear("a", Reply::Successful(Value::Null));
        silent.expire(at(9));
        assert!(went_wrong(&silent));
    }

    #[test]
    fn what_a_box_says_of_itself_is_understood() {
        let said = |state: &str, percent: Value| progress(&json!({ "state": state, "progress": percent }));
        assert_eq!(said("installing", json!(40)).as_deref(), Some("installing 40 %"));
        assert_eq!((said("idle", Value::Null), progress(&Value::Null)), (None, None));
        let last = |state: &str, result: &str, why: Value| json!({ "state": state, "last": { "version": "0.2.0", "result": result, "why": why } });
        assert_eq!(outcome(&last("on-trial", "failed", Value::Null), "0.2.0"), None);
        assert_eq!(outcome(&last("idle", "confirmed", Value::Null), "0.3.0"), None);
        assert_eq!(outcome(&last("idle", "confirmed", Value::Null), "0.2.0"), Some(Ok(())));
        let back = last("idle", "rolled-back", json!("No input\u{1b}"));
        assert_eq!(outcome(&back, "0.2.0"), Some(Err("No input".into())));
    }

    proptest! {
        #[test]
        fn every_box_is_in_one_part(count in 0_usize..40, at_most in prop::option::of(1_u16..50)) {
            let ids: Vec<String> = (0..count).map(|number| format!("fc-{number}")).collect();
            let parts = parts(&ids, at_most);
            prop_assert_eq!(parts.concat(), ids.clone());
            prop_assert!(parts.iter().all(|part| !part.is_empty() && at_most.is_none_or(|most| part.len() <= usize::from(most))));
        }
    }
}
