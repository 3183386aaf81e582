//! The Studio as resources below `/api/v1/studio`: each route is one command, whose arguments are in path, query and body.

use super::{
    api::{Api, BODY_BYTES, arguments, command_answer},
    problem::Problem,
};
use crate::command::Command;
use axum::{
    Router,
    extract::{Path, Query, Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{delete, get, post},
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// All of them.
pub fn routes() -> Router<Api> {
    /// A handler that carries out the command of this name.
    macro_rules! to {
        ($name:literal) => {
            async |api: State<Api>, path: Path<Words>, query: Query<Words>, request: Request| {
                carry_out($name, api.0, path.0, query.0, request).await
            }
        };
    }
    Router::new()
        .route("/accounts", get(to!("studio-accounts")).post(to!("studio-link")))
        .route("/accounts/{account}", delete(to!("studio-unlink")))
        .route("/sources", get(to!("studio-sources")).post(to!("studio-source-create")))
        .route(
            "/sources/{id}",
            get(to!("studio-source")).patch(to!("studio-source-rename")).delete(to!("studio-source-delete")),
        )
        .route("/broadcasts", get(to!("studio-broadcasts")).post(to!("publish")))
        .route("/broadcasts/{id}", get(to!("studio-broadcast")).delete(to!("studio-broadcast-delete")))
        .route("/broadcasts/{id}/end", post(to!("studio-broadcast-end")))
        .route("/schedules", get(to!("studio-schedules")).post(to!("schedule")))
        .route("/schedules/{id}", delete(to!("studio-schedule-cancel")).patch(to!("schedule")))
        .route("/schedules/{id}/start", post(to!("studio-schedule-start")))
        .route("/media", post(to!("studio-upload")))
        .route("/media/{key}", get(to!("studio-media")))
        .route("/media/{key}/download", post(to!("studio-download")))
        .route("/posts", post(to!("studio-post")))
}

/// Of path or query, by their names.
type Words = BTreeMap<String, String>;

async fn carry_out(name: &str, api: Api, path: Words, query: Words, request: Request) -> Result<Response, Problem> {
    let arguments = match arguments(request, BODY_BYTES).await? {
        Value::Object(given) => given,
        Value::Null => Map::new(),
        _ => return Err(Problem::new(StatusCode::BAD_REQUEST, "Send the arguments as a JSON object")),
    };
    let arguments = Value::Object(merged(arguments, path, query)?);
    Ok(match Command::parse(name, &arguments) {
        Ok(command) => command_answer(&api, command).await?.into_response(),
        Err(answer) => answer.into_response(),
    })
}

/// What is said at one place only; of a query as what it looks like.
fn merged(mut arguments: Map<String, Value>, path: Words, query: Words) -> Result<Map<String, Value>, Problem> {
    // Addresses are kept in logs and histories: nothing else belongs there.
    if let Some(other) = query.keys().find(|name| !["account", "confirm", "limit"].contains(&name.as_str())) {
        return Err(Problem::wrong(other, "belongs into the body; the query takes account, confirm and limit"));
    }
    let path = path.into_iter().map(|(name, word)| (name, Value::String(word)));
    let query = query.into_iter().map(|(name, word)| {
        let value = match name.as_str() {
            "confirm" | "limit" => serde_json::from_str(&word).unwrap_or(Value::String(word)),
            _ => Value::String(word),
        };
        (name, value)
    });
    for (name, value) in path.chain(query) {
        if arguments.insert(name.clone(), value).is_some() {
            return Err(Problem::wrong(&name, "is given twice"));
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_come_from_path_query_and_body() {
        let words = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect::<Words>();
        let Value::Object(body) = json!({"name": "A"}) else { unreachable!() };
        let all = merged(body.clone(), words(&[("id", "17")]), words(&[("confirm", "true"), ("limit", "5")]));
        assert_eq!(Value::Object(all.expect("merged")), json!({"name": "A", "id": "17", "confirm": true, "limit": 5}));
        assert!(merged(body.clone(), words(&[("name", "B")]), Words::new()).is_err());
        assert!(merged(body, Words::new(), words(&[("access-token", "x")])).is_err());
    }
}
