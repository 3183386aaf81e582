//! Whether a request comes in time: by its own time, by the broker's, or by how it came.

use super::message::Request;
use crate::{
    command::{Answer, Reason},
    units::Time,
};
use jiff::Timestamp;
use std::time::Duration;

/// A broker that had kept a message sends it well within this after the box has subscribed.
const SETTLED: Duration = Duration::from_secs(2);
/// By so much may the clock of who asks be ahead.
const AHEAD: Duration = Duration::from_secs(10);

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The broker had kept it on its topic.
    pub retained: bool,
    /// It may have come before.
    pub again: bool,
    /// What is left of the message's own time (MQTT 5.0, 3.3.2.3.3): the broker has counted down.
    pub left: Option<Duration>,
    /// Since when the box hears what is asked of it.
    pub subscribed: Option<Time>,
}

/// Judges `request`, which came as `arrival` tells, at `now` and by the calendar `wall`, none while the clock is not set.
///
/// # Errors
/// The one answer: it is too late, or nobody can tell.
pub fn judge(request: &Request, arrival: Arrival, now: Time, wall: Option<Timestamp>) -> Result<(), Answer> {
    if arrival.left.is_some_and(|left| left.is_zero()) {
        return Err(expired("its message has expired"));
    }
    let age = request.time.zip(wall).map(|(time, wall)| wall.duration_since(time));
    let ahead = jiff::SignedDuration::try_from(AHEAD).unwrap_or_default();
    match age {
        Some(age) if age > jiff::SignedDuration::try_from(request.life()).unwrap_or_default() => {
            return Err(expired(&format!("it was asked {} s ago", age.as_secs())));
        }
        Some(age) if age >= -ahead => return Ok(()),
        // Its clock or the box's is wrong.
        Some(_) | None => {}
    }
    let fresh = !arrival.retained
        && !arrival.again
        && arrival.subscribed.is_some_and(|subscribed| now.since(subscribed) >= SETTLED);
    if arrival.left.is_some() || fresh {
        return Ok(());
    }
    let why = match (request.time, age) {
        (Some(_), Some(_)) => "its time is in the future of this box's clock",
        (Some(_), None) => "this box's clock is not set",
        (None, _) => "it has no time, and the broker may have kept it",
    };
    let text =
        format!("Not done, as nobody can tell how old it is: {why}. Send it anew with a message expiry (MQTT 5)");
    Err(Answer::failed(Reason::AgeUnknown, text))
}

fn expired(why: &str) -> Answer {
    Answer::failed(Reason::Expired, format!("Not done, as it came too late: {why}. Ask again if it is still wanted"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(time: Option<&str>, expires: Option<u64>) -> Request {
        let time = time.map(|time| format!("2026-11-23T18:{time}Z").parse().expect("a time"));
        Request { args: serde_json::Value::Null, time, expires }
    }

    fn judged(request: &Request, arrival: Arrival, wall: Option<&str>) -> Option<&'static str> {
        let wall = wall.map(|time| format!("2026-11-23T18:{time}Z").parse().expect("a time"));
        match judge(request, arrival, Time::from_nanos(9_000_000_000), wall) {
            Ok(()) => None,
            Err(Answer::Failed { reason, .. }) => Some(reason.code()),
            Err(Answer::Successful { .. }) => panic!("a refusal is no success"),
        }
    }

    /// It comes live, 5 s after the box has subscribed.
    const LIVE: Arrival =
        Arrival { retained: false, again: false, left: None, subscribed: Some(Time::from_nanos(4_000_000_000)) };
    const KEPT: Arrival = Arrival { retained: true, ..LIVE };

    #[test]
    fn a_time_counts_while_the_clock_is_set() {
        let noon = Some("00:30");
        for (time, expires, judgement) in [
            ("00:29", None, None),
            ("00:00", Some(29_999), Some("expired")),
            ("00:00", Some(30_000), None),
            ("00:39", None, None),
        ] {
            assert_eq!(judged(&request(Some(time), expires), KEPT, noon), judgement, "{time}");
            assert_eq!(judged(&request(Some(time), expires), LIVE, noon), judgement, "{time}");
        }
        assert_eq!(judged(&request(Some("01:00"), None), KEPT, noon), Some("age-unknown"), "a clock is wrong");
        assert_eq!(judged(&request(Some("01:00"), None), LIVE, noon), None);
        assert_eq!(judged(&request(Some("00:00"), None), LIVE, Some("01:01")), Some("expired"));
    }

    #[test]
    fn without_a_clock_only_what_the_broker_vouches_for_is_done() {
        let left = |seconds| Some(Duration::from_secs(seconds));
        let timed = request(Some("00:00"), None);
        assert_eq!(judged(&timed, KEPT, None), Some("age-unknown"));
        assert_eq!(judged(&timed, Arrival { left: left(3), ..KEPT }, None), None);
        assert_eq!(judged(&timed, Arrival { left: left(0), ..LIVE }, None), Some("expired"));
        assert_eq!(judged(&timed, LIVE, None), None, "it cannot have waited");
    }

    #[test]
    fn what_has_no_time_must_not_have_waited() {
        let bare = request(None, None);
        assert_eq!(judged(&bare, LIVE, Some("00:00")), None);
        for waited in [
            KEPT,
            Arrival { again: true, ..LIVE },
            Arrival { subscribed: Some(Time::from_nanos(7_500_000_000)), ..LIVE },
            Arrival { subscribed: None, ..LIVE },
        ] {
            assert_eq!(judged(&bare, waited, Some("00:00")), Some("age-unknown"), "{waited:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_done_later_than_it_is_good_for(seconds in 0_u64..200, life in 1_u64..100_000, retained: bool, left in prop::option::of(0_u64..9)) {
            let asked: Timestamp = "2026-11-23T18:00:00Z".parse().expect("a time");
            let wall = asked + Duration::from_secs(seconds);
            let request = Request { args: serde_json::Value::Null, time: Some(asked), expires: Some(life) };
            let arrival = Arrival { retained, left: left.map(Duration::from_secs), ..LIVE };
            let late = seconds * 1000 > life || left == Some(0);
            prop_assert_eq!(judge(&request, arrival, Time::from_nanos(9_000_000_000), Some(wall)).is_err(), late);
        }
    }
}
