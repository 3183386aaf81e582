//! Sources and the recommended region (facts 1C, schemas/sources.json).

use super::{
    reply::{Refusal, Reply},
    routes::Call,
    world::{Source, State, World, secret},
};
use serde_json::{Value, json};

/// The only places that codes map to now (create-a-source).
fn place(region: &str) -> &'static str {
    if region.starts_with("us-west-") { "us-west-2" } else { "us-east-1" }
}

/// What every reply has of a source; the key is told elsewhere.
fn shown(world: &World, source: &Source) -> Value {
    let mut shown = json!({
        "id": source.id, "name": source.name, "region": source.region,
        "rtmp_url": world.settings.rtmp_url, "rtmps_url": world.settings.rtmps_url,
        "is_stream_active": source.active,
        // The example of /livestream-api/sources/create-source (facts 1B).
        "recommended_configuration": {
            "audio_codec": "AAC", "audio_sampling_rate": 44100, "audio_bitrate": 128000.0, "audio_num_channels": 2,
            "video_codec": "H.264/AVC", "video_bitrate": 4000000.0, "video_framerate": 30.0,
            "video_keyframe_interval_in_seconds": 3.0, "video_width": 1280, "video_height": 720,
        },
    });
    if source.last_video.is_some() {
        shown["stream_attributes"] = json!({"audio_codec": "AAC", "video_codec": "H.264/AVC"});
    }
    shown
}

/// Answered by another host, which must not see the token (facts 1B, unchanged in 1C).
pub fn region(world: &mut World, _: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    Ok(Reply::to(307, format!("{}/region", world.elsewhere)))
}

pub fn region_answer(world: &mut World, _: &Call) -> Result<Reply, Refusal> {
    Ok(Reply::json(200, json!({"region": world.settings.region})))
}

pub fn create(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let name = call.text("name").expect("checked").to_owned();
    let region = place(call.text("region").expect("checked"));
    let id = world.id();
    let source =
        Source { id, user: call.user(), name, region, stream_key: secret(24), active: false, last_video: None };
    let mut data = shown(world, &source);
    data["stream_key"] = json!(source.stream_key);
    world.sources.push(source);
    Ok(Reply::json(201, json!({"data": data})))
}

pub fn list(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let own = world.sources.iter().filter(|source| source.user == call.user());
    let data: Vec<_> = own.map(|source| shown(world, source)).collect();
    Ok(Reply::json(200, json!({"meta": {"result_count": data.len()}, "data": data})))
}

pub fn get(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let source = world.source(call.user(), call.path("id"))?.clone();
    Ok(Reply::json(200, json!({"data": shown(world, &source)})))
}

pub fn rename(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let source = world.source(call.user(), call.path("id"))?;
    source.name = call.text("name").expect("checked").to_owned();
    let source = source.clone();
    Ok(Reply::json(200, json!({"data": shown(world, &source)})))
}

pub fn delete(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let id = world.source(call.user(), call.path("id"))?.id.clone();
    let uses = |broadcast: &&mut super::world::Broadcast| broadcast.source_id.as_ref() == Some(&id);
    if world.broadcasts.iter_mut().filter(uses).any(|broadcast| broadcast.state == State::Running) {
        // The page names no status for this; ASSUMED.
        return Err(Refusal::conflict("An active broadcast is using this source."));
    }
    world.sources.retain(|source| source.id != id);
    // Broadcasts are kept; their source_id is omitted (delete-source-by-id).
    world.broadcasts.iter_mut().filter(uses).for_each(|broadcast| broadcast.source_id = None);
    Ok(Reply::json(200, json!({"data": {"deleted": true}})))
}

pub fn stream_key(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    world.allowed()?;
    let source = world.source(call.user(), call.path("id"))?;
    Ok(Reply::json(200, json!({"data": {"id": source.id, "stream_key": source.stream_key}})))
}
