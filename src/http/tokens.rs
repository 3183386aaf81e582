//! The tokens of paired computers: 256 random bits each, of which only a hash is kept. A slow hash, as for passwords, would
//! add nothing: nobody guesses 256 bits, however fast a guess is.

use jiff::Timestamp;
use ring::{digest, rand::SecureRandom as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};
use std::{fmt, io};
use subtle::ConstantTimeEq as _;

/// Most computers that are paired at a time.
pub const MOST: usize = 32;
/// Most characters of a computer's name.
pub const NAME_CHARS: usize = 64;

/// Bytes of the system's random number generator.
///
/// # Errors
/// The system has none.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = ring::rand::SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(bytes)
}

/// A token: it can be handed out once, and not printed.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// As [`random`].
    pub fn new() -> io::Result<Self> {
        random().map(Self)
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        bytes_of(text).map(Self)
    }

    /// The token in hexadecimal digits, for who paired.
    pub fn reveal(&self) -> String {
        hex(&self.0)
    }

    fn hash(&self) -> Hash {
        let digest = digest::digest(&digest::SHA256, &self.0);
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.as_ref());
        Hash(hash)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = (high? * 16 + low?) as u8;
    }
    Some(bytes)
}

/// SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Hash([u8; 32]);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(…)")
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        bytes_of(&text).map(Self).ok_or_else(|| de::Error::custom("expected 64 hexadecimal digits"))
    }
}

/// What a paired computer is called by, 8 hexadecimal digits; says nothing of its token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenId(String);

impl TokenId {
    /// The id, for people.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A paired computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Paired {
    id: TokenId,
    name: String,
    hash: Hash,
    /// None: the clock was not set.
    made: Option<Timestamp>,
    /// To ten minutes.
    used: Option<Timestamp>,
}

/// All paired computers, as kept in the state folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    tokens: Vec<Paired>,
}

impl Tokens {
    /// Whose `token` this is. Takes as long for a wrong one as for a right one.
    pub fn find(&self, token: &Token) -> Option<&TokenId> {
        let hash = token.hash();
        let same = |paired: &&Paired| bool::from(paired.hash.0.ct_eq(&hash.0));
        self.tokens.iter().filter(same).fold(None, |_, paired| Some(&paired.id))
    }

    /// Whether this computer is paired still.
    pub fn has(&self, id: &TokenId) -> bool {
        self.tokens.iter().any(|paired| paired.id == *id)
    }

    /// Forgets what is more than there may be: the file was made by somebody else.
    pub fn limit(&mut self) {
        self.tokens.truncate(MOST);
    }

    /// Whether no more computers can be paired.
    pub fn full(&self) -> bool {
        self.tokens.len() >= MOST
    }

    /// Pairs a computer called `name` at `made`.
    ///
    /// # Errors
    /// As [`random`].
    pub fn add(&mut self, token: &Token, name: String, made: Option<Timestamp>) -> io::Result<()> {
        let mut id = TokenId(hex(&random::<4>()?));
        while self.has(&id) {
            id = TokenId(hex(&random::<4>()?));
        }
        self.tokens.push(Paired { id, name, hash: token.hash(), made, used: None });
        Ok(())
    }

    /// Lets the token of computer `id` be worth nothing; false: there is no such computer.
    pub fn revoke(&mut self, id: &str) -> bool {
        let before = self.tokens.len();
        self.tokens.retain(|paired| paired.id.0 != id);
        self.tokens.len() < before
    }

    /// Notes that computer `id` was here at `wall`.
    pub fn note_use(&mut self, id: &TokenId, wall: Timestamp) {
        for paired in self.tokens.iter_mut().filter(|paired| paired.id == *id) {
            paired.used = Some(wall);
        }
    }

    /// For people and programs; in the order in which they were paired.
    pub fn describe(&self) -> Value {
        let row =
            |paired: &Paired| json!({ "id": paired.id, "name": paired.name, "made": paired.made, "used": paired.used });
        self.tokens.iter().map(row).collect()
    }

    /// Ids and names, in the order in which they were paired.
    pub fn names(&self) -> Vec<(String, String)> {
        self.tokens.iter().map(|paired| (paired.id.as_str().to_owned(), paired.name.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_is_found_until_it_is_revoked() {
        let (one, other) = (Token::new().expect("random"), Token::new().expect("random"));
        let mut tokens = Tokens::default();
        assert_eq!(tokens.find(&one), None);
        tokens.add(&one, "Anna's laptop".into(), None).expect("added");
        tokens.add(&other, "Phone".into(), None).expect("added");
        let id = tokens.find(&one).expect("found").clone();
        assert!(tokens.find(&other).is_some_and(|other| *other != id));
        let wall = "2026-11-23T18:00:00Z".parse().expect("a time");
        tokens.note_use(&id, wall);
        let listed = tokens.describe();
        assert_eq!(listed[0]["used"], "2026-11-23T18:00:00Z");
        assert_eq!((&listed[0]["name"], listed[1]["used"].is_null()), (&json!("Anna's laptop"), true));
        assert!(tokens.revoke(id.as_str()) && !tokens.revoke(id.as_str()));
        assert!(tokens.find(&one).is_none() && !tokens.has(&id) && tokens.find(&other).is_some());
    }

    #[test]
    fn neither_file_nor_list_nor_log_has_the_token() {
        let token = Token::new().expect("random");
        let mut tokens = Tokens::default();
        tokens.add(&token, "Phone".into(), None).expect("added");
        let file = serde_json::to_string(&tokens).expect("JSON");
        let hash = hex(&token.hash().0);
        assert!(file.contains(&hash) && !file.contains(&token.reveal()));
        for text in [format!("{tokens:?} {token:?}"), tokens.describe().to_string()] {
            assert!(!text.contains(&token.reveal()) && !text.contains(&hash), "{text}");
        }
        assert_eq!(serde_json::from_str::<Tokens>(&file).expect("JSON"), tokens);
        assert!(serde_json::from_str::<Tokens>(&file.replace(&hash, "00")).is_err());
    }

    #[test]
    fn they_are_few() {
        let mut tokens = Tokens::default();
        for _ in 0..MOST {
            assert!(!tokens.full());
            tokens.add(&Token::new().expect("random"), "x".into(), None).expect("added");
        }
        assert!(tokens.full());
    }

    proptest! {
        #[test]
        fn any_text_is_a_token_or_refused(text in "([0-9a-fA-F]{62,66}|.{0,70})") {
            if let Some(token) = Token::parse(&text) {
                prop_assert_eq!(token.reveal(), text.to_ascii_lowercase());
            } else {
                prop_assert!(text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()));
            }
        }
    }
}
