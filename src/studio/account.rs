//! A linked account, as it is kept (pure).

use super::oauth1::Keys;
use crate::settings::Secret;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use std::time::Duration;

/// An account of X for which the box may act. Its serialised form is for its file only: it has the secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Account {
    /// Its username, without `@`.
    pub name: String,
    /// X's id of it.
    pub id: String,
    /// When it was linked, by the box's calendar.
    pub linked: Timestamp,
    /// How it may act.
    pub link: Link,
}

/// How the box proves for whom it acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Link {
    /// OAuth 2.0.
    #[serde(rename = "oauth2")]
    OAuth2(Tokens),
    /// OAuth 1.0a.
    #[serde(rename = "oauth1")]
    OAuth1(Keys),
}

/// Tokens of OAuth 2.0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tokens {
    /// The operator's app.
    pub client_id: String,
    /// Good for two hours.
    #[serde(serialize_with = "reveal")]
    pub access_token: Secret,
    /// Gives the next two, once.
    #[serde(serialize_with = "reveal_some")]
    pub refresh_token: Option<Secret>,
    /// The refresh token before that.
    #[serde(serialize_with = "reveal_some")]
    pub previous: Option<Secret>,
    /// When they were got, by the box's calendar.
    pub obtained: Timestamp,
    /// For how long the access token is good from then on, in seconds.
    pub expires_in: u64,
}

impl Tokens {
    /// For how long the access token is still good, as far as the calendar knows; none: the calendar is before the day on which it
    /// was got, so it is not set.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        let passed = Duration::try_from(now.duration_since(self.obtained)).ok()?;
        Some(Duration::from_secs(self.expires_in).saturating_sub(passed))
    }
}

impl Account {
    /// What is told of it.
    pub fn document(&self, chosen: bool, revoked: bool) -> Value {
        let (kind, expires) = match &self.link {
            Link::OAuth2(tokens) => {
                let length = i64::try_from(tokens.expires_in).ok().map(SignedDuration::from_secs);
                // With a refresh token it goes on by itself.
                let ends = length.filter(|_| tokens.refresh_token.is_none() || revoked);
                ("oauth2", ends.and_then(|length| tokens.obtained.checked_add(length).ok()))
            }
            Link::OAuth1(_) => ("oauth1", None),
        };
        let (name, id, linked) = (&self.name, &self.id, self.linked);
        json!({"name": name, "id": id, "kind": kind, "linked": linked, "chosen": chosen, "revoked": revoked, "ends": expires})
    }
}

/// Whether `name` is a username of X (letters, digits and `_`, at most 15; 50 here, should that grow).
pub fn is_name(name: &str) -> bool {
    (1..=50).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Writes the secret itself, for the file of an account.
pub(super) fn reveal<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.reveal())
}

fn reveal_some<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::reveal).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn account() -> Account {
        let tokens = Tokens {
            client_id: "app".into(),
            access_token: Secret::new("access-1"),
            refresh_token: Some(Secret::new("refresh-1")),
            previous: None,
            obtained: time("2026-11-24T01:00:00Z"),
            expires_in: 7200,
        };
        let (name, linked) = ("OBvan".into(), time("2026-11-24T00:00:00Z"));
        Account { name, id: "77".into(), linked, link: Link::OAuth2(tokens) }
    }

    #[test]
    fn the_file_has_the_secrets_and_nothing_else_has() {
        let account = account();
        let text = serde_json::to_string(&account).expect("JSON");
        assert!(text.contains("access-1") && text.contains("refresh-1"), "{text}");
        assert_eq!(serde_json::from_str::<Account>(&text).expect("an account"), account);
        let shown = format!("{account:?} {}", account.document(true, false));
        assert!(!shown.contains("access-1") && !shown.contains("refresh-1"), "{shown}");
        let keys = ["a", "b", "c", "d"].map(Secret::new);
        let [consumer_key, consumer_secret, token, token_secret] = keys;
        let link = Link::OAuth1(Keys { consumer_key, consumer_secret, token, token_secret });
        let text = serde_json::to_string(&Account { link: link.clone(), ..account }).expect("JSON");
        assert_eq!(serde_json::from_str::<Account>(&text).expect("an account").link, link);
    }

    #[test]
    fn a_token_is_good_for_as_long_as_the_calendar_can_tell() {
        let Link::OAuth2(tokens) = account().link else { panic!("OAuth 2.0") };
        assert_eq!(tokens.left(time("2026-11-24T02:30:00Z")), Some(Duration::from_secs(1800)));
        assert_eq!(tokens.left(time("2027-11-24T02:30:00Z")), Some(Duration::ZERO));
        assert_eq!(tokens.left(time("1970-01-01T00:01:00Z")), None);
    }

    #[test]
    fn names_are_names_of_files_too() {
        assert!(is_name("OBvan_3"));
        for wrong in ["", "..", "a/b", "a.json", "\u{e4}", &"x".repeat(51)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
