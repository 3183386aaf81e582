//! Scheduled broadcasts (the excerpt; its fields have other types than those of a broadcast).

use super::{
    broadcasts,
    reply::{Refusal, Reply},
    routes::Call,
    world::{Scheduled, State, World},
};
use serde_json::{Value, json};
use std::time::Duration;

/// What is kept of a request as it came.
const KEPT: [&str; 8] = [
    "title",
    "description",
    "chat_option",
    "locale",
    "available_for_replay",
    "thumbnail_media_id",
    "telecast_id",
    "source_id",
];

fn shown(world: &World, at: usize) -> Value {
    let broadcast = &world.broadcasts[at];
    let plan = broadcast.scheduled.as_ref().expect("a scheduled one");
    let mut shown = json!({
        "broadcast_id": broadcast.id, "scheduled_broadcast_id": plan.id, "manual_publish": plan.manual,
        "scheduled_start_ms": plan.start.as_millis().to_string(), "scheduled_end_ms": plan.end.as_millis().to_string(),
        "state": match broadcast.state {
            _ if plan.failed => "Error",
            State::NotStarted => "Created",
            State::Running => "Running",
            _ => "Ended",
        },
    });
    for name in KEPT {
        if !plan.asked[name].is_null() {
            shown[name] = plan.asked[name].clone();
        }
    }
    if !plan.asked["recurrence"].is_null() {
        shown["recurring_schedule_id"] = json!(plan.id);
    }
    shown
}

fn position(world: &World, call: &Call) -> Result<usize, Refusal> {
    let mut all = world.broadcasts.iter();
    let found = all.position(|broadcast| {
        broadcast.user == call.user()
            && broadcast.id == call.path("id")
            && broadcast.scheduled.is_some()
            && broadcast.state != State::Canceled
    });
    found.ok_or_else(|| Refusal::missing("scheduled_broadcast"))
}

/// When it is to begin and to end; that the past is refused is ASSUMED.
fn times(world: &World, call: &Call) -> Result<(Duration, Duration), Refusal> {
    let at = |field: &str| {
        let millis = call.text(field).and_then(|text| text.parse().ok()).map(Duration::from_millis);
        millis.ok_or_else(|| Refusal::invalid(field, "is not a time in milliseconds"))
    };
    let (start, end) = (at("scheduled_start_ms")?, at("scheduled_end_ms")?);
    if start <= world.now() {
        return Err(Refusal::invalid("scheduled_start_ms", "is not in the future"));
    }
    if end <= start {
        return Err(Refusal::invalid("scheduled_end_ms", "is not after the start"));
    }
    Ok((start, end))
}

pub fn create(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let (user, (start, end)) = (call.user(), times(world, call)?);
    let source = call.text("source_id").expect("checked");
    // The key is taken as source_id until the end of 2026 (facts 1C); the stand-in lives after that.
    let source = world.source(user, source)?.id.clone();
    world.eligible(user)?;
    let mut broadcast = broadcasts::new(world, user, &source);
    broadcast.title = call.text("title").unwrap_or_default().to_owned();
    let (id, manual) = (world.id(), call.body["manual_publish"] == true);
    broadcast.scheduled = Some(Scheduled { id, start, end, manual, asked: call.body.clone(), failed: false });
    world.broadcasts.push(broadcast);
    Ok(Reply::json(201, json!({"data": shown(world, world.broadcasts.len() - 1)})))
}

pub fn list(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    if call.arguments.query.contains_key("pagination_token") {
        // The reply has no place for a token, so none was given.
        return Err(Refusal::invalid("pagination_token", "The pagination_token is not valid."));
    }
    let most = call.arguments.query.get("max_results").and_then(Value::as_u64).unwrap_or(100) as usize;
    let own = (0..world.broadcasts.len()).filter(|at| {
        let broadcast = &world.broadcasts[*at];
        broadcast.user == call.user() && broadcast.scheduled.is_some() && broadcast.state != State::Canceled
    });
    let data: Vec<_> = own.take(most).map(|at| shown(world, at)).collect();
    Ok(Reply::json(200, json!({"data": data})))
}

pub fn get(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let at = position(world, call)?;
    Ok(Reply::json(200, json!({"data": shown(world, at)})))
}

pub fn change(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let (at, (start, end)) = (position(world, call)?, times(world, call)?);
    if world.broadcasts[at].state != State::NotStarted {
        return Err(Refusal::conflict("It has begun."));
    }
    if let Some(source) = call.text("source_id") {
        world.source(call.user(), source)?;
    }
    let broadcast = &mut world.broadcasts[at];
    let plan = broadcast.scheduled.as_mut().expect("a scheduled one");
    if call.text("scheduled_broadcast_id") != Some(plan.id.as_str()) {
        return Err(Refusal::invalid("scheduled_broadcast_id", "is not that of this broadcast"));
    }
    // "Fully replaces": what is not sent again is gone; the source is ASSUMED to stay.
    let mut asked = call.body.clone();
    match call.text("source_id") {
        Some(source) => broadcast.source_id = Some(source.to_owned()),
        None => asked["source_id"] = json!(broadcast.source_id),
    }
    broadcast.title = call.text("title").unwrap_or_default().to_owned();
    (plan.start, plan.end, plan.manual) = (start, end, call.body["manual_publish"] == true);
    plan.asked = asked;
    Ok(Reply::json(200, json!({"data": shown(world, at)})))
}

pub fn cancel(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let at = position(world, call)?;
    if world.broadcasts[at].state == State::Running {
        return Err(Refusal::conflict("This broadcast is live: END it first."));
    }
    world.broadcasts[at].state = State::Canceled;
    Ok(Reply::json(200, json!({"data": {"deleted": true}})))
}

pub fn start(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let at = position(world, call)?;
    let manual = world.broadcasts[at].scheduled.as_ref().is_some_and(|plan| plan.manual);
    if !manual {
        return Err(Refusal::invalid("id", "It is published by itself: manual_publish is not set."));
    }
    if world.broadcasts[at].state != State::NotStarted {
        return Err(Refusal::conflict("It has begun, or is over."));
    }
    go_live(world, at);
    Ok(Reply::json(200, json!({"data": shown(world, at)})))
}

fn go_live(world: &mut World, at: usize) {
    let mut broadcast = world.broadcasts[at].clone();
    broadcasts::start(world, &mut broadcast, true);
    world.broadcasts[at] = broadcast;
}

/// Begins and ends what is due. That one whose source gives no video at its start goes to Error is ASSUMED.
pub fn pass_time(world: &mut World, at: usize) {
    let now = world.now();
    let Some(plan) = &world.broadcasts[at].scheduled else { return };
    let (begins, ends) = (now >= plan.start && !plan.manual, now >= plan.end);
    let source = world.broadcasts[at].source_id.clone();
    let active = world.sources.iter().any(|of| Some(&of.id) == source.as_ref() && of.active);
    match world.broadcasts[at].state {
        State::NotStarted if begins && active => go_live(world, at),
        State::NotStarted if begins || ends => {
            world.broadcasts[at].scheduled.as_mut().expect("a plan").failed = true;
            world.broadcasts[at].state = State::Ended;
        }
        State::Running if ends => {
            (world.broadcasts[at].state, world.broadcasts[at].ended) = (State::Ended, Some(now));
        }
        _ => {}
    }
}
