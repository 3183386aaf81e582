//! What the API's answers say, whatever bytes they are (pure).

use super::Trouble;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::time::Duration;

/// So long at most is what the API says in its own words, in characters.
const LONGEST: usize = 300;
/// A clock that is off by more than this is wrong: signatures hold for about as long (stated nowhere by X).
const CLOCK_OFF: SignedDuration = SignedDuration::from_mins(5);

/// One whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// `Location`, of a redirect.
    pub location: Option<String>,
    /// `Date`: what time it is at X.
    pub date: Option<Timestamp>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The JSON that it is; null where it is empty.
    ///
    /// # Errors
    /// What the API says went wrong. `off_by`: how far the own calendar is from `Date`, where the request was signed by it.
    pub fn json(&self, off_by: Option<SignedDuration>) -> Result<Value, Trouble> {
        match self.status {
            204 => Ok(Value::Null),
            200..=299 if self.body.is_empty() => Ok(Value::Null),
            200..=299 => serde_json::from_slice(&self.body).map_err(|_| Trouble::Garbled(not_json(&self.body))),
            _ => Err(self.trouble(off_by)),
        }
    }

    fn trouble(&self, off_by: Option<SignedDuration>) -> Trouble {
        match self.status {
            300..=399 => Trouble::Garbled("it points to another place".into()),
            // How long is known to the client, which has the headers.
            429 => Trouble::TooMany(Duration::from_secs(60)),
            // The API's errors are JSON: a proxy's "403" is not X's, nor is its "404" of a Broadcast.
            400..=499 if self.is_page() => Trouble::Garbled(not_json(&self.body)),
            401 if off_by.is_some_and(|off| off.abs() > CLOCK_OFF) => Trouble::ClockWrong,
            401 => Trouble::Revoked,
            403 => Trouble::NotAllowed(words(&self.body)),
            404 => Trouble::NotFound,
            409 => Trouble::Conflict(words(&self.body)),
            412 => Trouble::NotEligible,
            400..=499 => Trouble::Refused(words(&self.body)),
            _ => Trouble::Broken(self.status),
        }
    }

    /// Whether it is a page for people, and so not the API's.
    pub fn is_page(&self) -> bool {
        self.body.trim_ascii_start().starts_with(b"<")
    }
}

/// What the body of an error says, of any documented shape: RFC 7807's `title` and `detail` (present routes), `errors` of texts or
/// of objects with a `message`, `error_type` with `message` (first routes), `error` with `error_description` (RFC 6749); at most
/// 300 characters, none of them a control character. Empty: nothing that can be understood.
pub fn words(body: &[u8]) -> String {
    let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let told = match (text("detail"), text("message"), text("error_description")) {
        (Some(detail), ..) => detail.to_owned(),
        (_, Some(message), _) => message.to_owned(),
        (.., Some(description)) => description.to_owned(),
        _ => String::new(),
    };
    let errors = body.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let each = errors.iter().filter_map(|error| match error {
        Value::String(text) => Some(text.as_str()),
        Value::Object(error) => ["detail", "message"].iter().find_map(|name| error.get(*name)?.as_str()),
        _ => None,
    });
    let each: Vec<_> = each.take(5).collect();
    let told = match (told.is_empty(), each.is_empty()) {
        (true, false) => each.join("; "),
        (true, true) => ["title", "error_type", "error"].iter().find_map(|name| text(name)).unwrap_or_default().into(),
        // Often the generic sentence is beside the one that says which field is wrong.
        (false, false) if !each.contains(&told.as_str()) => format!("{told} {}", each.join("; ")),
        (false, _) => told,
    };
    clean(&told)
}

/// One line for people.
pub fn clean(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>().trim_end_matches('.').to_owned()
}

fn not_json(body: &[u8]) -> String {
    match body.trim_ascii_start().first() {
        Some(b'<') => "it is a page for people; this network may ask for a login".into(),
        Some(b'{' | b'[') => "its JSON is cut or wrong".into(),
        _ => "it is not JSON".into(),
    }
}

/// What `data` of an answer holds.
///
/// # Errors
/// There is none; where `errors` say why, that.
pub fn data(mut answer: Value) -> Result<Value, Trouble> {
    match answer.get_mut("data").map(Value::take) {
        Some(Value::Null) | None => {}
        Some(data) => return Ok(data),
    }
    let kind = answer.pointer("/errors/0/type").and_then(Value::as_str).unwrap_or_default();
    if kind.ends_with("/resource-not-found") {
        return Err(Trouble::NotFound);
    }
    match words(answer.to_string().as_bytes()) {
        words if words.is_empty() => Err(Trouble::Garbled("there is nothing in it".into())),
        words => Err(Trouble::Refused(words)),
    }
}

/// A field that is a text; ids come as numbers at some routes.
///
/// # Errors
/// It is neither.
pub fn text(of: &Value, name: &str) -> Result<Option<String>, Trouble> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(Trouble::Garbled(format!("{name} is not a text"))),
    }
}

/// A text that has to be there.
///
/// # Errors
/// It is missing, empty, or no text.
pub fn needed(of: &Value, name: &str) -> Result<String, Trouble> {
    let found = text(of, name)?.filter(|text| !text.is_empty());
    found.ok_or_else(|| Trouble::Garbled(format!("{name} is missing")))
}

/// An id, which becomes a part of a path and of a file's name.
///
/// # Errors
/// It is missing, or not of letters and digits.
pub fn id(of: &Value, name: &str) -> Result<String, Trouble> {
    let id = needed(of, name)?;
    match id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        true => Ok(id),
        false => Err(Trouble::Garbled(format!("{name} is not an id"))),
    }
}

/// A field that is true or false.
///
/// # Errors
/// It is neither.
pub fn flag(of: &Value, name: &str) -> Result<Option<bool>, Trouble> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(Trouble::Garbled(format!("{name} is neither true nor false"))),
    }
}

/// A field that is a number, as such or as a text: the API has both.
///
/// # Errors
/// It is none, or negative.
pub fn number(of: &Value, name: &str) -> Result<Option<u64>, Trouble> {
    let wrong = || Trouble::Garbled(format!("{name} is not a number"));
    text(of, name)?.filter(|text| !text.is_empty()).map(|text| text.parse().map_err(|_| wrong())).transpose()
}

/// A time in milliseconds since 1970; 0 is none.
///
/// # Errors
/// It is no such time.
pub fn time(of: &Value, name: &str) -> Result<Option<Timestamp>, Trouble> {
    let wrong = || Trouble::Garbled(format!("{name} is not a time"));
    let Some(millis) = number(of, name)?.filter(|millis| *millis > 0) else { return Ok(None) };
    let time = i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    time.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, location: None, date: None, body: body.into() }
    }

    #[test]
    fn every_documented_shape_of_an_error_is_read() {
        for (body, text) in [
            (r#"{"errors":["name: field is required"]}"#, "name: field is required"),
            (
                r#"{"errors":[{"message":"Sorry, that page does not exist.","code":34}]}"#,
                "Sorry, that page does not exist",
            ),
            (r#"{"error_type":"badRequest","message":"no such region"}"#, "no such region"),
            (
                r#"{"type":"https://api.x.com/2/problems/conflict","title":"Conflict","detail":"Is live.","status":409}"#,
                "Is live",
            ),
            (r#"{"title":"Forbidden","type":"about:blank","status":403}"#, "Forbidden"),
            (r#"{"title":"Invalid","detail":"One is wrong.","errors":[{"message":"a: b"}]}"#, "One is wrong. a: b"),
            (r#"{"error":"invalid_grant","error_description":"It was used."}"#, "It was used"),
            ("<html>no</html>", ""),
            ("[]", ""),
            ("", ""),
        ] {
            assert_eq!(words(body.as_bytes()), text, "{body}");
        }
    }

    #[test]
    fn a_status_is_a_trouble() {
        let body = r#"{"detail":"why"}"#;
        for (status, trouble) in [
            (302, Trouble::Garbled("it points to another place".into())),
            (400, Trouble::Refused("why".into())),
            (401, Trouble::Revoked),
            (403, Trouble::NotAllowed("why".into())),
            (404, Trouble::NotFound),
            (409, Trouble::Conflict("why".into())),
            (412, Trouble::NotEligible),
            (413, Trouble::Refused("why".into())),
            (422, Trouble::Refused("why".into())),
            (500, Trouble::Broken(500)),
            (503, Trouble::Broken(503)),
        ] {
            assert_eq!(reply(status, body).json(None), Err(trouble));
        }
        assert_eq!(reply(204, "").json(None), Ok(Value::Null));
        assert_eq!(reply(200, r#"{"a":1}"#).json(None), Ok(json!({"a": 1})));
        for status in [200, 400, 401, 403, 404, 407, 409, 412] {
            let page = reply(status, "\n<!DOCTYPE html>").json(None).expect_err("no JSON");
            assert!(page.text().contains("a page for people"), "{}", page.text());
        }
        assert!(reply(200, r#"{"data":{"id""#).json(None).expect_err("no JSON").text().contains("cut"));
    }

    #[test]
    fn a_401_is_of_the_clock_where_that_signed() {
        let off = |minutes| reply(401, "{}").json(Some(SignedDuration::from_mins(minutes)));
        assert_eq!(off(6), Err(Trouble::ClockWrong));
        assert_eq!(off(-6), Err(Trouble::ClockWrong));
        assert_eq!(off(4), Err(Trouble::Revoked));
    }

    #[test]
    fn ids_come_as_texts_and_as_numbers() {
        let all =
            json!({"a": 1923456789012345678u64, "b": "1923456789012345678", "c": {}, "d": null, "e": "../x", "f": ""});
        assert_eq!(id(&all, "a"), id(&all, "b"));
        assert_eq!(text(&all, "d"), Ok(None));
        for wrong in ["c", "d", "e", "f", "g"] {
            assert!(matches!(id(&all, wrong), Err(Trouble::Garbled(_))), "{wrong}");
        }
        let all = json!({"a": "1790000000000", "b": 0, "c": "x", "d": "99999999999999999999", "e": u64::MAX, "f": -1});
        assert_eq!(time(&all, "a").map(|time| time.map(Timestamp::as_second)), Ok(Some(1_790_000_000)));
        assert_eq!(time(&all, "b"), Ok(None));
        for wrong in ["c", "d", "e", "f"] {
            assert!(matches!(time(&all, wrong), Err(Trouble::Garbled(_))), "{wrong}");
        }
    }

    #[test]
    fn an_answer_without_data_says_why() {
        let missing = json!({"errors": [{"type": "https://api.x.com/2/problems/resource-not-found", "detail": "No."}]});
        assert_eq!(data(missing), Err(Trouble::NotFound));
        assert_eq!(data(json!({"errors": [{"detail": "No."}]})), Err(Trouble::Refused("No".into())));
        assert!(matches!(data(json!({})), Err(Trouble::Garbled(_))));
        assert_eq!(data(json!({"data": [1], "errors": []})), Ok(json!([1])));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(status in 100u16..1000, body in prop::collection::vec(any::<u8>(), 0..200)) {
            let reply = Reply { status, location: None, date: None, body };
            let outcome = reply.json(Some(SignedDuration::ZERO));
            prop_assert!(outcome.is_err() || (200..300).contains(&status));
        }

        #[test]
        fn what_is_told_is_one_short_line(text in "(\\PC|\\pC){0,500}", shape in 0..4) {
            let body = match shape {
                0 => json!({"detail": text}),
                1 => json!({"errors": [text]}),
                2 => json!({"errors": [{"message": text}, {"message": text}]}),
                _ => json!({"message": text, "errors": [1, null, {}]}),
            };
            let words = words(body.to_string().as_bytes());
            prop_assert!(words.chars().count() <= LONGEST && !words.chars().any(char::is_control));
        }
    }
}
