use super::*;
use crate::{
    media::{AudioPlan, AudioSource, FailureKind},
    units::BitRate,
};
use proptest::prelude::*;

fn reports() -> impl Strategy<Value = Report> {
    let bytes = prop::collection::vec(any::<u8>(), 1..300).prop_map(Bytes::from);
    let started =
        ("[a-z]{1,9}", any::<bool>(), prop::option::of("\\PC{0,20}")).prop_map(|(encoder, hardware, note)| {
            Report::Started(Started { encoder, hardware, missing: vec!["mpph264enc".into()], note })
        });
    let unit = (any::<bool>(), any::<u64>(), 0u8..3, bytes.clone(), bytes.clone()).prop_map(
        |(key, time, codec, record, data)| {
            let record = Bytes::from([&[1, 2], &record[..]].concat());
            let (track, config) = match codec {
                0 => (Track::Video, CodecConfig::H264(record)),
                1 => (Track::Video, CodecConfig::Hevc(record)),
                _ => (Track::Audio, CodecConfig::Aac(record)),
            };
            Report::Unit(AccessUnit { track, time: Time::from_nanos(time), key, config: Arc::new(config), data })
        },
    );
    let flow = (any::<u32>(), any::<u32>(), any::<bool>()).prop_map(|(captured, waiting, encoded)| {
        let ms = |ms| Duration::from_millis(u64::from(ms));
        Report::Alive(Flow { captured: ms(captured), waiting: ms(waiting), encoded })
    });
    let look = (any::<bool>(), any::<bool>()).prop_map(|(black, still)| Report::Picture(Look { black, still }));
    prop_oneof![
        4 => unit,
        1 => started,
        1 => prop::collection::vec(-120.0..0.0f64, 0..8).prop_map(Report::Level),
        1 => bytes.prop_map(Report::Preview),
        1 => Just(Report::BitrateFixed),
        1 => flow,
        1 => look,
        1 => "\\PC{0,40}".prop_map(|text| Report::Failed(Failure { kind: FailureKind::Busy, text })),
    ]
}

/// Reads all of `bytes`, fed in pieces whose sizes are taken from `cuts` in turn.
fn read_all(bytes: &[u8], cuts: &[usize]) -> Result<Vec<Report>, WireError> {
    let (mut reader, mut read, mut rest) = (Reports::default(), Vec::new(), bytes);
    for cut in cuts.iter().cycle() {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        reader.buffer().extend_from_slice(piece);
        while let Some(report) = reader.take()? {
            read.push(report);
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    Ok(read)
}

proptest! {
    #[test]
    fn reports_read_back_however_they_are_cut(sent in prop::collection::vec(reports(), 0..12),
                                              cuts in prop::collection::vec(1usize..400, 1..6)) {
        let bytes: Vec<u8> = sent.iter().flat_map(|one| report(one).to_vec()).collect();
        prop_assert_eq!(read_all(&bytes, &cuts), Ok(sent));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_all(&bytes, &[64]);
        let mut requests = Requests::default();
        requests.buffer().extend_from_slice(&bytes);
        while let Ok(Some(_)) = requests.take() {}
    }

    #[test]
    fn any_payload_of_any_kind_is_read_or_refused(kind in any::<u8>(), payload in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut bytes = config(&CodecConfig::H264(Bytes::from_static(&[1, 2]))).to_vec();
        bytes.extend_from_slice(&frame(kind, &payload));
        // A frame is either a report, or a typed error, or a new configuration; it never waits for more.
        match read_all(&bytes, &[1000]) {
            Ok(read) => prop_assert_eq!(read.len(), usize::from(kind != kind::CONFIG)),
            Err(error) => prop_assert!(!matches!(error, WireError::Length(_))),
        }
    }

    #[test]
    fn damage_never_yields_more_than_was_sent(sent in prop::collection::vec(reports(), 1..6), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes: Vec<u8> = sent.iter().flat_map(|one| report(one).to_vec()).collect();
        let at = at.index(bytes.len());
        bytes[at] = with;
        let _ = read_all(&bytes, &[100]);
    }
}

#[test]
fn requests_read_back() {
    let plan = Plan::Audio(AudioPlan {
        source: AudioSource::Alsa("hw:CARD=vivid".into()),
        bitrate: BitRate::new(128_000),
        gain: 0.5,
        delay: -40_000_000,
    });
    let sent = [
        Request::Plan(plan),
        Request::File(Bytes::from_static(b"a picture")),
        Request::File(Bytes::new()),
        Request::Order(Order::Bitrate(BitRate::new(800_000))),
        Request::Order(Order::Encode),
    ];
    let mut reader = Requests::default();
    for byte in sent.iter().flat_map(|one| request(one).to_vec()) {
        reader.buffer().extend_from_slice(&[byte]);
    }
    for one in sent {
        assert_eq!(reader.take(), Ok(Some(one)));
    }
    assert_eq!(reader.take(), Ok(None));
}

#[test]
fn a_configuration_is_one_arc_until_it_changes() {
    let unit = |record: &'static [u8]| {
        let config = Arc::new(CodecConfig::H264(Bytes::from_static(record)));
        let data = Bytes::from_static(&[0, 0, 0, 1, 0x65]);
        report(&Report::Unit(AccessUnit { track: Track::Video, time: Time::ZERO, key: true, config, data }))
    };
    let bytes = [unit(&[1, 2]), unit(&[1, 2]), unit(&[1, 3])].concat();
    let configs: Vec<_> = read_all(&bytes, &[1000])
        .expect("three units")
        .into_iter()
        .map(|report| if let Report::Unit(unit) = report { unit.config } else { panic!("{report:?}") })
        .collect();
    assert!(Arc::ptr_eq(&configs[0], &configs[1]));
    assert!(!Arc::ptr_eq(&configs[1], &configs[2]));
}

#[test]
fn refuses_what_cannot_be() {
    let refused = |bytes: &[u8]| read_all(bytes, &[1000]).expect_err("refused");
    assert_eq!(refused(&[0, 0, 0, 0, 1]), WireError::Length(0));
    assert_eq!(refused(&[0xff; 4]), WireError::Length(u32::MAX));
    assert_eq!(refused(&frame(0x7f, &[])), WireError::Kind(0x7f));
    assert_eq!(refused(&frame(kind::PLAN, b"{}")), WireError::Kind(kind::PLAN));
    assert_eq!(refused(&frame(kind::UNIT, &[0; 12])), WireError::NoConfig);
    let aac = config(&CodecConfig::Aac(Bytes::from_static(&[0x11, 0x90])));
    let picture = [&aac[..], &unit_header(Track::Video, Time::ZERO, true, 1), &[0]].concat();
    assert!(matches!(refused(&picture), WireError::Payload { kind: kind::UNIT, .. }));
}
