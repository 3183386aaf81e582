//! What can go wrong with the Studio, in words for people (pure).

use std::time::Duration;

/// Why the Studio did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No account is linked, or none of this name.
    NotLinked(String),
    /// Several accounts are linked, and none was chosen.
    SeveralLinked,
    /// The box is not reached by the network: nothing was sent.
    Unreachable,
    /// It was sent, and no answer came: whether it was done is not known.
    AnswerLost,
    /// The certificate or TLS is wrong.
    Tls(String),
    /// The link was taken back, or has run out: it has to be made again (401, `invalid_grant`).
    Revoked,
    /// The box's clock is wrong: signatures and certificates cannot be right.
    ClockWrong,
    /// The app may not use the API (403).
    NotAllowed(String),
    /// The account may not go live (412).
    NotEligible,
    /// There is no such thing (404).
    NotFound,
    /// Not possible now (409).
    Conflict(String),
    /// The API refuses the request (400, 422).
    Refused(String),
    /// Too much was asked (429): again after this time.
    TooMany(Duration),
    /// The API is broken (5xx).
    Broken(u16),
    /// The answer cannot be understood.
    Garbled(String),
    /// It cannot be done as it was asked, for the reason given, and nothing was sent.
    NotSent(String),
    /// X's API has no file of a Broadcast.
    NoReplay,
    /// A file of this machine: X would not take it, it vanished, changed, or the disk is full.
    File(String),
}

impl Trouble {
    /// What is wrong, in a few words.
    pub fn text(&self) -> String {
        match self {
            Self::NotLinked(account) if account.is_empty() => "No account of X is linked".into(),
            Self::NotLinked(account) => format!("No account called {account:?} is linked"),
            Self::SeveralLinked => "Several accounts of X are linked".into(),
            Self::Unreachable => "The Studio is not reached".into(),
            Self::AnswerLost => "The Studio's answer was lost".into(),
            Self::Tls(what) => format!("The Studio's certificate {what}"),
            Self::Revoked => "The link to the account is not valid any more".into(),
            Self::ClockWrong => "The clock is wrong, and the Studio refuses what it signs".into(),
            Self::NotAllowed(detail) => format!("The app may not use the Studio's API{}", colon(detail)),
            Self::NotEligible => "This account may not go live on X".into(),
            Self::NotFound => "The Studio does not know it".into(),
            Self::Conflict(detail) => format!("Not possible now{}", colon(detail)),
            Self::Refused(detail) => format!("The Studio refused the request{}", colon(detail)),
            Self::TooMany(wait) => format!("The Studio was asked too often; it answers again in {} s", wait.as_secs()),
            Self::Broken(status) => format!("The Studio has an error of its own ({status})"),
            Self::Garbled(what) => format!("The Studio's answer cannot be understood: {what}"),
            Self::NotSent(why) => why.clone(),
            Self::NoReplay => "X's API has no recording of this Broadcast".into(),
            Self::File(what) => what.clone(),
        }
    }

    /// What to do.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotLinked(_) | Self::Revoked => "Link the account: fieldcast studio link",
            Self::SeveralLinked => "Say which: account = \"...\", or studio.account in the settings",
            Self::Unreachable => "Check the network; the push does not need the Studio",
            Self::AnswerLost => "The box looks what came of it",
            Self::Tls(_) => "Check the clock, and whether this network asks for a login",
            Self::ClockWrong => "Set the clock: connect the box to a network with a time server",
            Self::NotAllowed(_) => "Ask X to put the app on the list for the Livestream API, with the needed scopes",
            Self::NotEligible => "Check in X's settings that the account may go live, and is not protected",
            Self::NotFound => "List what there is; it may have been deleted in the Studio",
            Self::Conflict(_) => "End what is live on this account, or wait until the Source gets media",
            Self::Refused(_) => "Check the title, the Source's id and the other arguments",
            Self::TooMany(_) => "Wait",
            Self::Broken(_) | Self::Garbled(_) => "Wait; the push does not need the Studio",
            Self::NotSent(_) => "Nothing was sent",
            Self::NoReplay => {
                "Download it in the Studio, or ask X for the account's data: the recordings are in that archive"
            }
            Self::File(_) => "Check the file and the disk",
        }
    }

    /// Whether the same may work a little later without anybody doing anything.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Unreachable | Self::AnswerLost | Self::TooMany(_) | Self::Broken(_) | Self::Garbled(_))
    }
}

fn colon(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}
