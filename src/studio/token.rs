//! Tokens: linking, refreshing, and giving back. X rotates refresh tokens, so a new one is on the disk before it is used.

use super::{
    Studio, Trouble,
    account::{Account, Link, Tokens, is_name},
    answer,
    client::{Body, Call, Proof, Repeat},
    oauth1::Keys,
    store::{Held, Linked},
};
use crate::{command::studio::Grant, settings::Secret, sys, units::Time};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// An access token that is good for less than this is refreshed before it is used.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// A refresh that was refused is not tried again for so long; one that failed, while the access token is good.
const REFUSED: Duration = Duration::from_secs(60);
const FAILED: Duration = Duration::from_secs(10);
/// Giving tokens back may take so long; the account is forgotten before.
const GIVE_BACK: Duration = Duration::from_secs(15);

impl Studio {
    /// What proves for whom the box acts. `stale`: an access token that X has just refused.
    pub(super) async fn proof(&self, linked: &Linked, stale: Option<&Secret>) -> Result<Proof, Trouble> {
        let mut held = linked.held.lock().await;
        if held.gone {
            return Err(Trouble::NotLinked(linked.name.clone()));
        }
        if held.unsaved {
            held.unsaved = self.0.store.save(&held.account).await.is_err();
        }
        let tokens = match &held.account.link {
            Link::OAuth1(keys) => return Ok(Proof::Signed(keys.clone())),
            Link::OAuth2(tokens) => tokens.clone(),
        };
        let access = Proof::Bearer(tokens.access_token.clone());
        let refused = stale == Some(&tokens.access_token);
        let soon = |early| held.until.is_some_and(|until| is_over(until - early));
        if !refused && !soon(EARLY) {
            return Ok(access);
        }
        let good = !refused && !soon(Duration::ZERO);
        let outcome = match &held.failed {
            Some((again, why)) if !is_over(*again) => Err(why.clone()),
            _ if tokens.refresh_token.is_none() => Err(Trouble::Revoked),
            _ => self.refresh(&mut held, &tokens, good).await,
        };
        match outcome {
            Ok(token) => Ok(Proof::Bearer(token)),
            // It is used to its end, as long as that may be.
            Err(_) if good => Ok(access),
            // The call itself was not sent.
            Err(Trouble::AnswerLost) => Err(Trouble::Unreachable),
            Err(trouble) => Err(trouble),
        }
    }

    /// Gets new tokens and keeps them.
    async fn refresh(&self, held: &mut Held, tokens: &Tokens, good: bool) -> Result<Secret, Trouble> {
        let _claim = self.0.store.claim().await;
        let now = self.0.client.calendar();
        // The desk is many programs: another may just have done it.
        if let Some(account) = self.0.store.reload(&held.account.name).await.filter(|_| !held.unsaved)
            && let Link::OAuth2(newer) = &account.link
            && newer.access_token != tokens.access_token
        {
            let token = newer.access_token.clone();
            *held = Held::new(account, now);
            return Ok(token);
        }
        let mut outcome = Err(Trouble::Revoked);
        // After an answer that was lost nobody knows which of the last two X believes.
        for refresh in [&tokens.refresh_token, &tokens.previous].into_iter().flatten() {
            let form = || {
                vec![
                    ("grant_type", "refresh_token".to_owned()),
                    ("refresh_token", refresh.reveal().to_owned()),
                    ("client_id", tokens.client_id.clone()),
                ]
            };
            outcome = self.tokens(&tokens.client_id, form()).await;
            if matches!(outcome, Err(Trouble::AnswerLost)) && !good {
                outcome = self.tokens(&tokens.client_id, form()).await;
            }
            if !matches!(outcome, Err(Trouble::Revoked)) {
                break;
            }
        }
        let mut newer = match outcome {
            Ok(newer) => newer,
            Err(trouble) => {
                tracing::warn!(account = held.account.name, why = trouble.text(), "the link to X is not renewed");
                let lasts = !trouble.passes();
                if lasts || good {
                    held.failed = Some((sys::now() + if lasts { REFUSED } else { FAILED }, trouble.clone()));
                }
                return Err(trouble);
            }
        };
        newer.previous = tokens.refresh_token.clone();
        // RFC 6749, 6: without a new one the old one stays.
        newer.refresh_token = newer.refresh_token.or_else(|| tokens.refresh_token.clone());
        let token = newer.access_token.clone();
        let account = Account { link: Link::OAuth2(newer), ..held.account.clone() };
        let saved = self.0.store.save(&account).await;
        if let Err(trouble) = &saved {
            // The old ones are worth nothing any more: without the disk, memory has to do.
            tracing::error!(
                account = account.name,
                why = trouble.text(),
                "the renewed link is not kept over a power cut"
            );
        }
        *held = Held { unsaved: saved.is_err(), ..Held::new(account, now) };
        Ok(token)
    }

    /// Asks the token endpoint.
    async fn tokens(&self, client_id: &str, form: Vec<(&'static str, String)>) -> Result<Tokens, Trouble> {
        let call = Call::new(Method::POST, "/2/oauth2/token", Body::Form(form), Repeat::Never);
        let reply = self.0.client.send("", &Proof::None, &call).await?;
        if let 400 | 401 = reply.status
            && !reply.is_page()
        {
            let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            // RFC 6749, 5.2; X says `invalid_request` for a token that it does not know.
            return Err(match body.get("error").and_then(Value::as_str) {
                Some("invalid_client" | "unauthorized_client" | "unsupported_grant_type") => {
                    Trouble::NotAllowed(answer::words(&reply.body))
                }
                _ => Trouble::Revoked,
            });
        }
        let answer = reply.json(None)?;
        Ok(Tokens {
            client_id: client_id.into(),
            access_token: Secret::new(answer::needed(&answer, "access_token")?),
            refresh_token: answer::text(&answer, "refresh_token")?.filter(|token| !token.is_empty()).map(Secret::new),
            previous: None,
            obtained: self.0.client.calendar(),
            expires_in: answer::number(&answer, "expires_in")?.unwrap_or(7200),
        })
    }

    /// The end of OAuth 2.0 with PKCE: what the `code` is worth that the browser brought back to `redirect`.
    ///
    /// # Errors
    /// [`Trouble::Revoked`]: the code is older than 30 s, was used, or does not belong to `verifier`.
    pub async fn exchange(
        &self,
        client_id: &str,
        code: &Secret,
        verifier: &Secret,
        redirect: &str,
    ) -> Result<Grant, Trouble> {
        let form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.reveal().to_owned()),
            ("redirect_uri", redirect.to_owned()),
            ("client_id", client_id.to_owned()),
            ("code_verifier", verifier.reveal().to_owned()),
        ];
        let Tokens { client_id, access_token, refresh_token, expires_in, .. } = self.tokens(client_id, form).await?;
        Ok(Grant::OAuth2 { client_id, access_token, refresh_token, expires_in })
    }

    /// Acts for an account from now on; what is told of it.
    pub(super) async fn link(&self, grant: Grant) -> Result<Value, Trouble> {
        let now = self.0.client.calendar();
        let (proof, link) = match grant {
            Grant::OAuth2 { client_id, access_token, refresh_token, expires_in } => {
                let proof = Proof::Bearer(access_token.clone());
                let previous = None;
                let tokens = Tokens { client_id, access_token, refresh_token, previous, obtained: now, expires_in };
                (proof, Link::OAuth2(tokens))
            }
            Grant::OAuth1 { consumer_key, consumer_secret, token, token_secret } => {
                let keys = Keys { consumer_key, consumer_secret, token, token_secret };
                (Proof::Signed(keys.clone()), Link::OAuth1(keys))
            }
        };
        let me = self.0.client.send("", &proof, &Call::get("/2/users/me")).await?;
        let me = answer::data(self.read(&me, &proof)?)?;
        let (name, id) = (answer::needed(&me, "username")?, answer::id(&me, "id")?);
        if !is_name(&name) {
            return Err(Trouble::Garbled("username is not one".into()));
        }
        let account = Account { name, id, linked: now, link };
        // A refresh of the former link ends first: it would write its tokens over these.
        let former = self.linked(Some(&account.name)).ok();
        let _former = match &former {
            Some(linked) => Some(linked.held.lock().await),
            None => None,
        };
        self.0.store.insert(account.clone(), now).await?;
        Ok(account.document(self.is_chosen(&account.name), false))
    }

    /// Forgets an account, and lets its tokens be worth nothing if X can be told.
    pub(super) async fn unlink(&self, linked: &Linked) -> Result<Value, Trouble> {
        let mut held = linked.held.lock().await;
        held.gone = true;
        let removed = self.0.store.remove(&linked.name).await;
        let given_back = match &held.account.link {
            Link::OAuth2(tokens) => {
                tokio::time::timeout(GIVE_BACK, self.give_back(tokens)).await.is_ok_and(|done| done.is_ok())
            }
            // X has no such call for keys of an app; its owner takes them back.
            Link::OAuth1(_) => false,
        };
        removed?;
        // Stream keys too; those of other accounts are asked for again.
        let ingests = self.0.ingests.clone();
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(ingests)).await;
        let advice = "Take the app's access back in X's settings, under Connected apps";
        let advice = (!given_back).then_some(advice);
        Ok(json!({"name": linked.name, "given-back": given_back, "advice": advice}))
    }

    async fn give_back(&self, tokens: &Tokens) -> Result<(), Trouble> {
        let both = [("refresh_token", tokens.refresh_token.as_ref()), ("access_token", Some(&tokens.access_token))];
        for (kind, token) in both {
            let Some(token) = token else { continue };
            let form = vec![
                ("token", token.reveal().to_owned()),
                ("token_type_hint", kind.to_owned()),
                ("client_id", tokens.client_id.clone()),
            ];
            let call = Call::new(Method::POST, "/2/oauth2/revoke", Body::Form(form), Repeat::May);
            self.0.client.send("", &Proof::None, &call).await?.json(None)?;
        }
        Ok(())
    }
}

fn is_over(time: Time) -> bool {
    sys::now() >= time
}
