//! Posts (docs.x.com, `POST /2/tweets`).

use super::{
    Body, Call, Repeat, Studio, Trouble, answer,
    kind::{self, Class},
    upload,
};
use http::Method;
use serde_json::{Value, json};

/// Posts `text` with `media`, up to four ids of uploads. Answers the post's id and text.
///
/// # Errors
/// [`Trouble::NotSent`] where X would refuse what is asked; [`Trouble::AnswerLost`]: there may be a post now, and it is
/// not asked for again.
pub(super) async fn post(
    studio: &Studio,
    account: Option<&str>,
    text: &str,
    media: &[String],
) -> Result<Value, Trouble> {
    let impossible = |why: &str| Trouble::NotSent(why.into());
    if text.trim().is_empty() && media.is_empty() {
        return Err(impossible("A post has a text or media"));
    }
    let mut classes = Vec::new();
    for id in media {
        // One alone mixes with nothing.
        classes.push(if media.len() > 1 { class(studio, account, id).await? } else { None });
    }
    kind::check_mix(&classes).map_err(impossible)?;
    let mut body = json!({});
    if !text.is_empty() {
        body["text"] = json!(text);
    }
    if !media.is_empty() {
        body["media"] = json!({"media_ids": media});
    }
    let call = Call::new(Method::POST, "/2/tweets", Body::Json(body), Repeat::Never);
    let answer = studio.call(account, call).await.and_then(answer::data).map_err(|trouble| match trouble {
        // It may have been done before it broke.
        Trouble::Broken(_) | Trouble::Garbled(_) => Trouble::AnswerLost,
        trouble => trouble,
    })?;
    Ok(json!({"id": answer["id"], "text": answer["text"]}))
}

/// What an upload is; none: X does not tell, and judges the post itself.
async fn class(studio: &Studio, account: Option<&str>, id: &str) -> Result<Option<Class>, Trouble> {
    let reply = match studio.call(account, upload::status_of(id)).await {
        Ok(reply) => reply,
        Err(Trouble::NotFound | Trouble::Refused(_)) => return Ok(None),
        Err(other) => return Err(other),
    };
    let data = &reply["data"];
    Ok(match data["image"]["image_type"].as_str() {
        Some("image/gif") => Some(Class::Gif),
        Some(_) => Some(Class::Image),
        None => data["video"].is_object().then_some(Class::Video),
    })
}
