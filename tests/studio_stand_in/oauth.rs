//! Linking an account: OAuth 2.0 authorization code with PKCE (facts 3, "Signing").

use super::{
    reply::{Refusal, Reply},
    routes::Call,
    world::{Account, Code, Grant, World, secret},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;
use serde_json::json;
use std::time::Duration;

/// A code lives this long (facts 3).
const CODE: Duration = Duration::from_secs(30);
/// An access token lives this long (facts 3).
const ACCESS: Duration = Duration::from_secs(7200);

/// The page that the browser opens. Who is signed in agrees at once, or declines.
pub fn authorize(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    let query = |name: &str| call.arguments.query[name].as_str().expect("a checked text").to_owned();
    if query("client_id") != world.settings.client_id {
        return Err(Refusal::plain(400, "Something went wrong. You weren't able to give access to the App."));
    }
    let redirect = query("redirect_uri");
    if !is_registered(world, &redirect) {
        return Err(Refusal::plain(400, "The redirect_uri is not one of those registered."));
    }
    let scope = query("scope");
    if let Some(unknown) = scope.split(' ').find(|scope| !SCOPES.contains(scope)) {
        return Err(Refusal::plain(400, &format!("There is no scope {unknown}.")));
    }
    let back = if world.declines {
        [("error", "access_denied".to_owned()), ("state", query("state"))]
    } else {
        let code = secret(90);
        world.codes.push(Code {
            code: code.clone(),
            user: world.signed_in,
            scope,
            challenge: query("code_challenge"),
            redirect: redirect.clone(),
            until: world.now() + CODE,
        });
        [("state", query("state")), ("code", code)]
    };
    let back = form_urlencoded::Serializer::new(String::new()).extend_pairs(back).finish();
    Ok(Reply::to(302, format!("{redirect}{}{back}", if redirect.contains('?') { '&' } else { '?' })))
}

/// Scopes of X's that Fieldcast has a use for (the excerpt's source, securitySchemes).
const SCOPES: [&str; 7] =
    ["broadcast.read", "broadcast.write", "media.write", "tweet.write", "tweet.read", "users.read", "offline.access"];

/// Whether the app has this redirect. That a port of loopback is free to choose is RFC 8252, 7.3, and ASSUMED of X.
fn is_registered(world: &World, redirect: &str) -> bool {
    world.settings.redirects.iter().any(|registered| {
        registered == redirect
            || registered.split_once(":*").is_some_and(|(host, path)| {
                let rest = redirect.strip_prefix(host).and_then(|rest| rest.strip_prefix(':'));
                rest.and_then(|rest| rest.strip_suffix(path)).is_some_and(|port| port.parse::<u16>().is_ok())
            })
    })
}

pub fn token(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    if call.text("client_id") != Some(world.settings.client_id.as_str()) {
        return Err(Refusal::token("invalid_client", "There is no such public client."));
    }
    let now = world.now();
    if call.text("grant_type") == Some("refresh_token") {
        let given = call.text("refresh_token");
        let mut live = world.grants.iter_mut().filter(|grant| !grant.revoked && grant.refresh.is_some());
        let Some(old) = live.find(|grant| grant.refresh.as_deref() == given) else {
            return Err(Refusal::token("invalid_request", "Value passed for the token was invalid."));
        };
        // Rotation: the one that was used is dead. That its access token goes on until its end is ASSUMED.
        old.refresh = None;
        let (user, scope) = (old.user, old.scope.clone());
        return Ok(grant(world, user, scope));
    }
    // Single use, right or wrong.
    let at = world.codes.iter().position(|code| Some(code.code.as_str()) == call.text("code"));
    let code = at.map(|at| world.codes.remove(at)).filter(|code| now < code.until);
    let code =
        code.ok_or_else(|| Refusal::token("invalid_request", "Value passed for the authorization code was invalid."))?;
    if call.text("redirect_uri") != Some(code.redirect.as_str()) {
        return Err(Refusal::token("invalid_request", "Value passed for the redirect uri did not match."));
    }
    if challenge(call.text("code_verifier").unwrap_or_default()) != code.challenge {
        return Err(Refusal::token("invalid_request", "Value passed for the code verifier did not match."));
    }
    Ok(grant(world, code.user, code.scope))
}

/// RFC 7636, 4.2.
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

/// Gives new tokens.
pub fn grant(world: &mut World, user: usize, scope: String) -> Reply {
    let (access, until) = (secret(80), world.now() + ACCESS);
    let refresh = scope.split(' ').any(|scope| scope == "offline.access").then(|| secret(80));
    let mut answer =
        json!({"token_type": "bearer", "expires_in": ACCESS.as_secs(), "access_token": access, "scope": scope});
    if let Some(refresh) = &refresh {
        answer["refresh_token"] = json!(refresh);
    }
    world.grants.push(Grant { user, scope, access, until, refresh, revoked: false });
    Reply::json(200, answer)
}

pub fn revoke(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    if call.text("client_id") != Some(world.settings.client_id.as_str()) {
        return Err(Refusal::token("invalid_client", "There is no such public client."));
    }
    let given = call.text("token");
    // RFC 7009, 2.2: one that is not known is no error.
    for grant in &mut world.grants {
        grant.revoked |= Some(grant.access.as_str()) == given || (given.is_some() && grant.refresh.as_deref() == given);
    }
    Ok(Reply::json(200, json!({"revoked": true})))
}

pub fn me(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    let user = &world.users[call.user()];
    Ok(Reply::json(200, json!({"data": {"id": user.id, "name": user.username, "username": user.username}})))
}

/// Who has this access token.
pub fn account(world: &World, token: &str) -> Option<Account> {
    let now = world.now();
    let found = world.grants.iter().find(|grant| grant.access == token && !grant.revoked && now < grant.until)?;
    Some(Account { user: found.user, scopes: Some(found.scope.split(' ').map(str::to_owned).collect()) })
}
