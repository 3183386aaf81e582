//! Broadcasts: one call creates and publishes, one ends (facts 1C, schemas/broadcasts.json and the excerpt).

use super::{
    reply::{Refusal, Reply},
    routes::Call,
    world::{Broadcast, Post, State, World},
};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What is shown without `broadcast.fields`; ASSUMED: which ones is nowhere said.
const DEFAULT_FIELDS: [&str; 3] = ["id", "title", "state"];
/// Broadcasts on a page without `max_results`; ASSUMED, as on the first routes.
const PAGE: usize = 100;

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}

/// All that there is to tell.
fn whole(world: &World, broadcast: &Broadcast) -> Map<String, Value> {
    let mut shown = json!({
        "id": broadcast.id, "broadcast_id": broadcast.id, "state": broadcast.state.text(), "title": broadcast.title,
        "chat_option": broadcast.chat_option, "language": broadcast.language, "media_key": broadcast.media_key,
        "created_at_ms": millis(broadcast.created), "updated_at_ms": millis(world.now()),
        "share_url": format!("https://x.com/i/broadcasts/{}", broadcast.id),
        "twitter_user_id": world.users[broadcast.user].id, "is_high_latency": true, "available_for_replay": true,
        "total_watching": broadcast.watching.to_string(), "total_watched": broadcast.watching.to_string(),
        "width": 1280, "height": 720,
    });
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            shown[name] = json!(value);
        }
    };
    add("source_id", broadcast.source_id.clone());
    add("start_ms", broadcast.started.map(millis));
    add("end_ms", broadcast.ended.map(millis));
    add("scheduled_start_ms", broadcast.scheduled.as_ref().map(|plan| millis(plan.start)));
    add("scheduled_end_ms", broadcast.scheduled.as_ref().map(|plan| millis(plan.end)));
    // The announcement is made a moment later: a second look finds it (get-broadcast-by-id).
    add("tweet_id", broadcast.post.clone().filter(|_| broadcast.read > 1));
    shown.as_object().cloned().expect("an object")
}

/// What was asked for of it.
fn shown(world: &mut World, at: usize, fields: &[&str]) -> Value {
    world.broadcasts[at].read += 1;
    let mut shown = whole(world, &world.broadcasts[at]);
    shown.retain(|name, _| fields.contains(&name.as_str()));
    Value::Object(shown)
}

fn fields(call: &Call) -> Vec<&str> {
    let asked = call.arguments.query.get("broadcast.fields").and_then(Value::as_array);
    let asked = asked.map(|fields| fields.iter().filter_map(Value::as_str));
    DEFAULT_FIELDS.into_iter().chain(asked.into_iter().flatten()).collect()
}

fn position(world: &World, call: &Call) -> Result<usize, Refusal> {
    let own = |broadcast: &Broadcast| broadcast.user == call.user() && broadcast.id == call.path("id");
    world.broadcasts.iter().position(own).ok_or_else(|| Refusal::missing("broadcast"))
}

/// Makes one that is not yet live.
pub fn new(world: &mut World, user: usize, source_id: &str) -> Broadcast {
    Broadcast {
        id: world.broadcast_id(),
        user,
        source_id: Some(source_id.to_owned()),
        state: State::NotStarted,
        title: String::new(),
        chat_option: 3,
        language: "en".into(),
        created: world.now(),
        started: None,
        ended: None,
        post: None,
        read: 0,
        media_key: format!("28_{}", world.id()),
        watching: 0,
        scheduled: None,
    }
}

pub fn go_live(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let (user, id) = (call.user(), call.text("source_id").expect("checked").to_owned());
    let active = world.source(user, &id)?.active;
    world.eligible(user)?;
    let on_it = |broadcast: &Broadcast| broadcast.source_id.as_ref() == Some(&id) && broadcast.state == State::Running;
    if let Some(at) = world.broadcasts.iter().position(on_it) {
        let live = &world.broadcasts[at];
        if live.scheduled.is_some() {
            // "Another broadcast is live on it" (go-live-on-a-source); that this is a scheduled one is ASSUMED.
            return Err(Refusal::conflict(format!(
                "Another broadcast, {}, is live on this source: END it first.",
                live.id
            )));
        }
        return Ok(Reply::json(200, json!({"data": whole(world, live)})));
    }
    // Most sources go live before video comes; those that cannot are answered so (go-live-on-a-source).
    if world.settings.needs_video && !active {
        return Err(Refusal::conflict("This source can't go live before its video comes: retry once it does."));
    }
    let mut broadcast = new(world, user, &id);
    broadcast.title = call.text("title").unwrap_or_default().to_owned();
    broadcast.chat_option = call.body["chat_option"].as_u64().unwrap_or(3);
    broadcast.language = call.text("locale").unwrap_or("en").chars().take_while(char::is_ascii_lowercase).collect();
    start(world, &mut broadcast, call.body["should_not_tweet"] != true);
    let data = whole(world, &broadcast);
    world.broadcasts.push(broadcast);
    Ok(Reply::json(201, json!({"data": data})))
}

/// Makes it live, and announces it.
pub fn start(world: &mut World, broadcast: &mut Broadcast, announce: bool) {
    (broadcast.state, broadcast.started) = (State::Running, Some(world.now()));
    if announce {
        let (id, text) = (world.id(), format!("https://x.com/i/broadcasts/{}", broadcast.id));
        world.posts.push(Post { id: id.clone(), user: broadcast.user, text, media_ids: Vec::new() });
        broadcast.post = Some(id);
    }
}

pub fn list(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let (query, fields) = (&call.arguments.query, fields(call));
    if query.contains_key("ids") && (query.contains_key("max_results") || query.contains_key("pagination_token")) {
        return Err(Refusal::invalid(
            "ids",
            "At most one of ids, max_results and of ids, pagination_token is allowed.",
        ));
    }
    let own = |broadcast: &Broadcast| broadcast.user == call.user();
    if let Some(ids) = query.get("ids").and_then(Value::as_array) {
        let (mut data, mut errors) = (Vec::new(), Vec::new());
        for id in ids.iter().filter_map(Value::as_str) {
            match world.broadcasts.iter().position(|broadcast| own(broadcast) && broadcast.id == id) {
                Some(at) => data.push(shown(world, at, &fields)),
                None => errors.push(json!({
                    "type": "https://api.x.com/2/problems/resource-not-found", "title": "Not Found Error",
                    "detail": "Could not find broadcast.", "resource_type": "broadcast", "resource_id": id, "value": id,
                    "parameter": "ids",
                })),
            }
        }
        let mut reply = json!({"meta": {"result_count": data.len()}, "data": data});
        if !errors.is_empty() {
            reply["errors"] = json!(errors);
        }
        return Ok(Reply::json(200, reply));
    }
    // The newest first; ASSUMED.
    let all: Vec<_> = (0..world.broadcasts.len()).rev().filter(|at| own(&world.broadcasts[*at])).collect();
    let most = query.get("max_results").and_then(Value::as_u64).map_or(PAGE, |most| most as usize);
    let from = match query.get("pagination_token").and_then(Value::as_str) {
        None => 0,
        Some(token) => {
            let at =
                token.strip_prefix("page-").and_then(|id| all.iter().position(|at| world.broadcasts[*at].id == id));
            at.ok_or_else(|| Refusal::invalid("pagination_token", "The pagination_token is not valid."))?
        }
    };
    let page: Vec<_> = all.iter().skip(from).take(most).map(|at| shown(world, *at, &fields)).collect();
    let mut meta = json!({"result_count": page.len()});
    if let Some(next) = all.get(from + most) {
        meta["next_token"] = json!(format!("page-{}", world.broadcasts[*next].id));
    }
    Ok(Reply::json(200, json!({"data": page, "meta": meta})))
}

pub fn get(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let at = position(world, call)?;
    Ok(Reply::json(200, json!({"data": shown(world, at, &fields(call))})))
}

pub fn end(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let (at, now) = (position(world, call)?, world.now());
    let broadcast = &mut world.broadcasts[at];
    if broadcast.state != State::Running {
        // That one which is over is refused, and with this status, is ASSUMED.
        return Err(Refusal::conflict(format!("This broadcast is {}.", broadcast.state.text())));
    }
    (broadcast.state, broadcast.ended) = (State::Ended, Some(now));
    Ok(Reply::json(200, json!({"data": {"id": broadcast.id, "state": broadcast.state.text()}})))
}

pub fn delete(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let at = position(world, call)?;
    if world.broadcasts[at].state == State::Running {
        return Err(Refusal::conflict("This broadcast is live: END it first."));
    }
    world.broadcasts.remove(at);
    Ok(Reply::json(200, json!({"data": {"deleted": true}})))
}

/// What time alone changes: no video for too long ends a broadcast, a plan begins and ends.
pub fn pass_time(world: &mut World) {
    let now = world.now();
    for source in world.sources.iter_mut().filter(|source| source.active) {
        source.last_video = Some(now);
    }
    for at in 0..world.broadcasts.len() {
        super::scheduled::pass_time(world, at);
        let broadcast = &mut world.broadcasts[at];
        if broadcast.state != State::Running {
            continue;
        }
        let source = world.sources.iter().find(|source| Some(&source.id) == broadcast.source_id.as_ref());
        let video = source.and_then(|source| source.last_video).max(broadcast.started);
        if video.is_some_and(|last| now.saturating_sub(last) >= world.settings.no_video) {
            (broadcast.state, broadcast.ended) = (State::TimedOut, Some(now));
        }
    }
}
