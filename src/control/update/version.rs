//! Which of two versions is the older one.

use std::cmp::Ordering;

/// A version as Semantic Versioning 2.0.0 compares it (clause 11), but for any number of numbers: `1.2` is `1.2.0`. None: it is no
/// such text, and cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version<'t> {
    numbers: Vec<u64>,
    /// What comes before the release: `rc1` of `1.2.0-rc1`.
    before: Vec<&'t str>,
}

impl<'t> Version<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        // What was built, not what it is (clause 10).
        let text = text.split('+').next()?;
        let (numbers, before) = match text.split_once('-') {
            Some((numbers, before)) => (numbers, before.split('.').collect()),
            None => (text, Vec::new()),
        };
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
        let number = |part: &str| if digits(part) { part.parse().ok() } else { None };
        let mut numbers: Vec<u64> = numbers.split('.').map(number).collect::<Option<_>>()?;
        let fine = |part: &&str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        if !before.iter().all(fine) {
            return None;
        }
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Some(Self { numbers, before })
    }
}

fn part(one: &str, other: &str) -> Ordering {
    let number = |part: &str| if part.bytes().all(|c| c.is_ascii_digit()) { part.parse::<u64>().ok() } else { None };
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => one.cmp(other),
    }
}

/// How `one` stands to `other`; none: one of them is no version.
pub(super) fn compare(one: &str, other: &str) -> Option<Ordering> {
    let (one, other) = (Version::parse(one)?, Version::parse(other)?);
    let before = match (one.before.is_empty(), other.before.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let parts = one.before.iter().zip(&other.before).map(|(one, other)| part(one, other));
            parts.fold(Ordering::Equal, Ordering::then).then(one.before.len().cmp(&other.before.len()))
        }
    };
    Some(one.numbers.cmp(&other.numbers).then(before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_are_ordered_as_semver_says() {
        // The example of clause 11, and what images are called.
        let rising = [
            "0.0.9",
            "0.1.0-rc1",
            "0.1.0",
            "0.1.1",
            "0.2.0-rc1",
            "0.2.0-rc2",
            "0.2.0",
            "0.10.0",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.0.1",
            "2026.11",
        ];
        for (index, one) in rising.iter().enumerate() {
            for (other_index, other) in rising.iter().enumerate() {
                assert_eq!(compare(one, other), Some(index.cmp(&other_index)), "{one} {other}");
            }
        }
        assert_eq!(compare("1.2", "1.2.0"), Some(Ordering::Equal));
        assert_eq!(compare("1.2.0+a", "1.2.0+b"), Some(Ordering::Equal));
    }

    #[test]
    fn what_is_no_version_is_not_compared() {
        for odd in ["", "v1.0", "1..2", "1.x", "1.0-", "1.0-a..b", "-1", "+1", "1.0-ä", "99999999999999999999"] {
            assert_eq!(compare(odd, "1.0"), None, "{odd:?}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_total(one in "[0-9]{1,3}(\\.[0-9]{1,2}){0,3}(-[a-z0-9]{1,4}(\\.[a-z0-9]{1,3}){0,2})?", other in "[0-9]{1,3}(\\.[0-9]{1,2}){0,3}(-[a-z0-9]{1,4})?") {
            prop_assert_eq!(compare(&one, &one), Some(Ordering::Equal));
            prop_assert_eq!(compare(&one, &other), compare(&other, &one).map(Ordering::reverse));
        }

        #[test]
        fn any_text_is_compared_or_not(one in ".{0,12}", other in "[0-9.+-]{0,12}") {
            prop_assert_eq!(compare(&one, &other).is_some(), compare(&other, &one).is_some());
        }
    }
}
