//! What the verbs of the Studio ask.

use super::args::{BroadcastVerb, Link, Of, Publish, Schedule, ScheduleVerb, SourceVerb, Studio, StudioVerb};
use crate::{
    command::studio::Grant,
    desk::{args::Options, order::Order},
    settings::Secret,
};
use serde_json::{Map, Value, json};

/// Most hashtags (docs.x.com, the Studio's categories).
const HASHTAGS: usize = 2;

/// Of what is given, an object.
fn some<const N: usize>(given: [(&str, Option<Value>); N]) -> Value {
    Value::Object(given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect::<Map<_, _>>())
}

fn text(text: &Option<String>) -> Option<Value> {
    text.as_ref().map(|text| json!(text))
}

/// `fieldcast publish`.
///
/// # Errors
/// For people: too many hashtags.
pub fn publish(asked: &Publish) -> Result<(Order, Vec<String>), String> {
    if asked.hashtags.len() > HASHTAGS {
        return Err("--hashtag: at most two".into());
    }
    let arguments = some([
        ("title", text(&asked.title)),
        ("tags", (!asked.hashtags.is_empty()).then(|| json!(asked.hashtags))),
        ("chat", text(&asked.chat)),
        ("post", asked.no_post.then_some(json!(false))),
        ("locale", text(&asked.locale)),
        ("source", text(&asked.source)),
    ]);
    Ok((Order::new("publish", arguments), asked.boxes.boxes.clone()))
}

/// `fieldcast schedule`.
pub fn schedule(asked: &Schedule) -> (Order, Vec<String>) {
    let arguments = some([
        ("id", text(&asked.id)),
        ("start", text(&asked.start)),
        ("end", text(&asked.end)),
        ("source", text(&asked.source)),
        ("title", text(&asked.title)),
        ("description", text(&asked.description)),
        ("chat", text(&asked.chat)),
        ("locale", text(&asked.locale)),
    ]);
    (Order::new("schedule", arguments), asked.boxes.boxes.clone())
}

/// The command of `fieldcast studio` and the boxes that it names; none for `link`, which needs more than one.
///
/// # Errors
/// For people: a file whose name is no text.
pub fn order(asked: &Studio) -> Result<Option<(Order, Vec<String>)>, String> {
    let none = || Value::Object(Map::new());
    let of = |of: &Of| (json!({ "id": of.id }), of.boxes.boxes.clone());
    let path = |path: &std::path::Path| match path.to_str() {
        Some(path) => Ok(json!(path)),
        None => Err(format!("{} is not named in UTF-8", path.display())),
    };
    let (command, (mut arguments, boxes)) = match &asked.verb {
        StudioVerb::Link(_) => return Ok(None),
        StudioVerb::Accounts(boxes) => ("studio-accounts", (none(), boxes.boxes.clone())),
        StudioVerb::Unlink(boxes) => ("studio-unlink", (none(), boxes.boxes.clone())),
        StudioVerb::Sources(boxes) => ("studio-sources", (none(), boxes.boxes.clone())),
        StudioVerb::Source { verb } => match verb {
            SourceVerb::Get(source) => ("studio-source", of(source)),
            SourceVerb::Create { name, boxes, region } => {
                let arguments = some([("name", Some(json!(name))), ("region", text(region))]);
                ("studio-source-create", (arguments, boxes.boxes.clone()))
            }
            SourceVerb::Rename { id, name, boxes } => {
                ("studio-source-rename", (json!({ "id": id, "name": name }), boxes.boxes.clone()))
            }
            SourceVerb::Delete(source) => ("studio-source-delete", of(source)),
        },
        StudioVerb::Broadcasts { boxes, limit } => {
            ("studio-broadcasts", (json!({ "limit": limit }), boxes.boxes.clone()))
        }
        StudioVerb::Broadcast { verb } => match verb {
            BroadcastVerb::Get(broadcast) => ("studio-broadcast", of(broadcast)),
            BroadcastVerb::End(broadcast) => ("studio-broadcast-end", of(broadcast)),
            BroadcastVerb::Delete(broadcast) => ("studio-broadcast-delete", of(broadcast)),
        },
        StudioVerb::Schedules(boxes) => ("studio-schedules", (none(), boxes.boxes.clone())),
        StudioVerb::Schedule { verb } => match verb {
            ScheduleVerb::Cancel(scheduled) => ("studio-schedule-cancel", of(scheduled)),
            ScheduleVerb::Start(scheduled) => ("studio-schedule-start", of(scheduled)),
        },
        StudioVerb::Upload { file, boxes, category, alt_text } => {
            let file = Some(path(file)?);
            let arguments = some([("file", file), ("category", text(category)), ("alt-text", text(alt_text))]);
            ("studio-upload", (arguments, boxes.boxes.clone()))
        }
        StudioVerb::Post { text: said, boxes, media } => {
            let media = (!media.is_empty()).then(|| json!(media));
            let said = (!said.is_empty()).then(|| json!(said));
            ("studio-post", (some([("text", said), ("media", media)]), boxes.boxes.clone()))
        }
        StudioVerb::Media { key, boxes } => ("studio-media", (json!({ "key": key }), boxes.boxes.clone())),
        StudioVerb::Download { key, boxes, output } => {
            let file = output.as_deref().map(path).transpose()?;
            ("studio-download", (some([("key", Some(json!(key))), ("file", file)]), boxes.boxes.clone()))
        }
    };
    if let Some(account) = &asked.account {
        arguments["account"] = json!(account);
    }
    Ok(Some((Order::new(command, arguments), boxes)))
}

/// Whether this computer asks X, and no box.
///
/// # Errors
/// For people: both are meant.
pub fn is_here(asked: &Studio, options: &Options) -> Result<bool, String> {
    let boxes = match &asked.verb {
        StudioVerb::Link(Link { boxes, .. }) => boxes.boxes.clone(),
        _ => order(asked)?.map(|(_, boxes)| boxes).unwrap_or_default(),
    };
    let named = !boxes.is_empty() || options.all || !options.tags.is_empty() || options.direct.is_some();
    match &asked.verb {
        _ if asked.here && named => Err("--here and boxes: give one of them".into()),
        StudioVerb::Download { output: None, .. } if !named => Err("which file? Give --output".into()),
        StudioVerb::Upload { .. } | StudioVerb::Download { .. } => Ok(!named),
        _ => Ok(asked.here),
    }
}

/// What hands `grant` over.
pub fn link(grant: Grant) -> Order {
    let (open, secrets) = match grant {
        Grant::OAuth2 { client_id, access_token, refresh_token, expires_in } => {
            let secrets = [("access-token", Some(access_token)), ("refresh-token", refresh_token)];
            (json!({ "client-id": client_id, "expires-in": expires_in }), given(secrets))
        }
        Grant::OAuth1 { consumer_key, consumer_secret, token, token_secret } => {
            let secrets = [
                ("consumer-key", Some(consumer_key)),
                ("consumer-secret", Some(consumer_secret)),
                ("token", Some(token)),
                ("token-secret", Some(token_secret)),
            ];
            (json!({}), given(secrets))
        }
    };
    Order { secrets, ..Order::new("studio-link", open) }
}

fn given<const N: usize>(secrets: [(&'static str, Option<Secret>); N]) -> Vec<(&'static str, Secret)> {
    secrets.into_iter().filter_map(|(name, secret)| Some((name, secret?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{
            Command,
            studio::{Chat, Request, What},
        },
        desk::{
            args::{Cli, Verb},
            order::order as of_verb,
        },
    };
    use clap::Parser as _;

    fn typed(line: &str) -> Cli {
        Cli::try_parse_from(["fieldcast"].into_iter().chain(line.split(' '))).expect("parsed")
    }

    fn read(line: &str) -> (Order, Vec<String>) {
        of_verb(&typed(line).verb).expect("taken").expect("a command")
    }

    #[test]
    fn verbs_become_commands_that_box_and_desk_take() {
        for (line, command, boxes) in [
            ("publish a --title T --hashtag news --hashtag sports --chat off --no-post --locale en_US", "publish", 1),
            ("publish --all", "publish", 0),
            ("end a b", "end", 2),
            ("schedule a --start 2026-11-23T18:00:00Z --end 2026-11-23T19:00:00Z --source Main", "schedule", 1),
            ("schedule --id 12 --title T --description D --chat followed", "schedule", 0),
            ("studio accounts a", "studio-accounts", 1),
            ("studio unlink --account anna a", "studio-unlink", 1),
            ("studio sources --here", "studio-sources", 0),
            ("studio source get 1 a", "studio-source", 1),
            ("studio source create Main a --region eu", "studio-source-create", 1),
            ("studio source rename 1 Spare", "studio-source-rename", 0),
            ("studio source delete 1", "studio-source-delete", 0),
            ("studio broadcasts -n 5", "studio-broadcasts", 0),
            ("studio broadcast get 1", "studio-broadcast", 0),
            ("studio broadcast end 1", "studio-broadcast-end", 0),
            ("studio broadcast delete 1", "studio-broadcast-delete", 0),
            ("studio schedules", "studio-schedules", 0),
            ("studio schedule cancel 1", "studio-schedule-cancel", 0),
            ("studio schedule start 1", "studio-schedule-start", 0),
            ("studio upload x.mp4 --category amplify_video --alt-text T", "studio-upload", 0),
            ("studio post Hello a --media 1 --media 2", "studio-post", 1),
            ("studio media 13_1", "studio-media", 0),
            ("studio download 13_1 -o x.mp4", "studio-download", 0),
        ] {
            let (order, named) = read(line);
            assert_eq!((order.command, named.len()), (command, boxes), "{line}");
            let taken = Command::parse(order.command, &order.arguments(true));
            assert_eq!(taken.map(|taken| taken.name()), Ok(command), "{line}");
        }
        let (order, _) = read("publish a --title T --hashtag news --chat verified --no-post");
        let Ok(Command::Publish(publish)) = Command::parse("publish", &order.arguments(false)) else { panic!() };
        assert_eq!(
            (publish.post, publish.chat, publish.tags),
            (Some(false), Some(Chat::Verified), vec!["news".into()])
        );
        let (order, _) = read("studio post Hello --account anna");
        let Ok(Command::Studio(request)) = Command::parse("studio-post", &order.arguments(false)) else { panic!() };
        let Request { account, what } = *request;
        assert_eq!((account.as_deref(), what), (Some("anna"), What::Post { text: "Hello".into(), media: vec![] }));
        assert!(of_verb(&typed("publish a --hashtag a --hashtag b --hashtag c").verb).is_err());
    }

    #[test]
    fn what_is_lost_for_ever_is_confirmed_by_whoever_asks() {
        for line in ["end a", "studio source delete 1", "studio broadcast end 1", "studio broadcast delete 1"] {
            let (order, _) = read(line);
            assert!(order.ends.is_some() && order.of_all, "{line}");
            let refused = Command::parse(order.command, &order.arguments(false));
            assert!(order.command == "end" || refused.is_err(), "{line}");
        }
    }

    #[test]
    fn boxes_that_are_named_are_asked_else_this_computer_where_its_files_are() {
        let here = |line: &str| {
            let cli = typed(line);
            let Verb::Studio(studio) = &cli.verb else { panic!("{line}") };
            is_here(studio, &cli.options)
        };
        for line in ["studio sources --here", "studio --here sources", "studio upload x", "studio download 1 -o x"] {
            assert_eq!(here(line), Ok(true), "{line}");
        }
        for line in ["studio sources", "studio sources a", "studio upload x a", "studio upload x --box http://[::1]"] {
            assert_eq!(here(line), Ok(false), "{line}");
        }
        for line in ["studio sources a --here", "studio link --here --all", "studio download 1"] {
            assert!(here(line).is_err(), "{line}");
        }
    }

    #[test]
    fn tokens_are_handed_over_and_not_printed() {
        let secret = || Secret::new("secret_1");
        let order = link(Grant::OAuth2 {
            client_id: "app".into(),
            access_token: secret(),
            refresh_token: Some(secret()),
            expires_in: 7200,
        });
        assert!(!format!("{order:?}").contains("secret_1") && order.arguments(true).to_string().contains("secret_1"));
        let keys = link(Grant::OAuth1 {
            consumer_key: secret(),
            consumer_secret: secret(),
            token: secret(),
            token_secret: secret(),
        });
        for order in [order, keys] {
            let taken = Command::parse(order.command, &order.arguments(false)).expect("a box takes it");
            let Command::Studio(request) = taken else { panic!() };
            assert!(matches!(request.what, What::Link(_)));
        }
    }
}
