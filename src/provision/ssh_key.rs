//! Public keys of OpenSSH.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Kinds that OpenSSH takes for users by default (sshd_config(5), `PubkeyAcceptedAlgorithms`).
const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];

/// Says what is wrong with a line of `authorized_keys` (sshd(8)): a kind, the key in base64, perhaps a comment, and no options.
pub(super) fn wrong(line: &str) -> Option<&'static str> {
    if line.contains("PRIVATE KEY") {
        return Some("this is a private key, which stays where it is: give the line of its .pub file");
    }
    if line.len() > 8192 || line.chars().any(char::is_control) {
        return Some("expected one line of at most 8192 bytes");
    }
    let expected = Some("expected a public key as in ~/.ssh/id_ed25519.pub: \"ssh-ed25519 AAAA... name\"");
    let mut words = line.split(' ');
    let (Some(kind), Some(key)) = (words.next(), words.next()) else { return expected };
    if !KINDS.contains(&kind) {
        return expected;
    }
    let Ok(bytes) = STANDARD.decode(key) else { return expected };
    // The key begins with its kind, as a string with its length before it (RFC 4253 6.6, RFC 4251 5).
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return expected };
    let inner = usize::try_from(u32::from_be_bytes(*length)).ok().and_then(|length| rest.get(..length));
    let whole = inner == Some(kind.as_bytes()) && rest.len() > kind.len() + 4;
    if whole { None } else { Some("the key is damaged or cut off: copy the whole line of the .pub file") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_are_told_from_everything_else() {
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAIJ7ZxKcE0lYcfF3WcOm2uWbGqkz8w6ZoDkz1KqW6QYyO";
        assert_eq!(wrong(&format!("ssh-ed25519 {key} me@desk with words")), None);
        assert_eq!(wrong(&format!("ssh-ed25519 {key}")), None);
        for line in [
            "",
            "ssh-ed25519",
            key,
            &format!("ssh-rsa {key}"),
            &format!("ssh-ed25519 {}", &key[..20]),
            &format!("ssh-ed25519  {key}"),
            &format!("command=\"sh\" ssh-ed25519 {key}"),
            &format!("ssh-ed25519 {key}\nssh-ed25519 {key}"),
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "ssh-dss AAAAB3NzaC1kc3MAAACBAP",
            "ssh-ed25519 AAAA",
        ] {
            assert!(wrong(line).is_some(), "{line}");
        }
    }
}
