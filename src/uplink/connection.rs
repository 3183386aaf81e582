//! A connection to an ingest, of whichever protocol: what a delivery needs of it.

use super::{Cause, connect::Stream, queue::Queue, rtmp, srt};
use crate::{access_unit::AccessUnit, status::AcknowledgedBy, sys};
use std::{net::IpAddr, time::Duration};

/// A connection that media can be sent on. Every method can be dropped while it waits.
pub enum Connection {
    /// RTMP, in TLS or not.
    Rtmp(Box<rtmp::Connection>),
    /// SRT.
    Srt(Box<srt::Connection>),
}

/// What of the media on a connection has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Bytes acknowledged, and what told so; none before the first proof.
    pub acknowledged: Option<(u64, AcknowledgedBy)>,
    /// Bytes that reached the ingest by any account, if only its host.
    pub arrived: u64,
    /// Smoothed round trip.
    pub rtt: Option<Duration>,
    /// Packets that had to be sent again since the connection began, and about all that were sent.
    pub packets: Option<(u64, u64)>,
}

impl Connection {
    /// The address that was reached.
    pub fn peer(&self) -> Option<IpAddr> {
        match self {
            Self::Rtmp(rtmp) => rtmp.stream().peer(),
            Self::Srt(srt) => Some(srt.peer()),
        }
    }

    /// Whether it is the moment to give the next unit.
    pub fn is_idle(&self) -> bool {
        match self {
            Self::Rtmp(rtmp) => rtmp.is_idle(),
            Self::Srt(srt) => srt.is_idle(),
        }
    }

    /// Gives it a unit.
    pub fn send(&mut self, unit: &AccessUnit) {
        match self {
            Self::Rtmp(rtmp) => rtmp.session().send(unit, sys::now()),
            Self::Srt(srt) => srt.send(unit),
        }
    }

    /// Moves bytes, or waits until some can be moved.
    ///
    /// # Errors
    /// Why the connection is of no use any more.
    pub async fn transfer(&mut self) -> Result<(), Cause> {
        match self {
            Self::Rtmp(rtmp) => rtmp.transfer().await,
            Self::Srt(srt) => srt.transfer().await,
        }
    }

    /// Looks at what arrived.
    pub fn observe(&mut self) -> Account {
        match self {
            Self::Rtmp(rtmp) => {
                let figures = rtmp.observe();
                rtmp.session().ask_for_proof(sys::now());
                let ledger = rtmp.session().ledger();
                Account {
                    acknowledged: ledger.acknowledged(),
                    arrived: ledger.arrived(),
                    rtt: figures.map(|figures| figures.rtt),
                    packets: figures.map(|figures| {
                        let once = ledger.media() / figures.segment.max(1);
                        (figures.repeated, once + figures.repeated)
                    }),
                }
            }
            Self::Srt(srt) => {
                srt.observe();
                let (whole, arrived) = (srt.receipts().acknowledged(), srt.receipts().arrived());
                let acknowledged = (whole > 0).then_some((whole, AcknowledgedBy::SrtAck));
                Account { acknowledged, arrived, rtt: srt.rtt(), packets: Some(srt.packets()) }
            }
        }
    }

    /// Media put on the connection, bytes.
    pub fn media(&mut self) -> u64 {
        match self {
            Self::Rtmp(rtmp) => rtmp.session().ledger().media(),
            Self::Srt(srt) => srt.receipts().media(),
        }
    }

    /// Whether media is under way and nothing moved for too long.
    pub fn stalled(&mut self) -> bool {
        match self {
            Self::Rtmp(rtmp) => rtmp.session().ledger().stalled(sys::now()),
            Self::Srt(srt) => srt.receipts().stalled(sys::now()),
        }
    }

    /// The network changed: less patience until something moves.
    pub fn doubt(&mut self) {
        match self {
            Self::Rtmp(rtmp) => {
                rtmp.session().ledger().doubt(sys::now());
                // What it carries may be little: an answer to this shows that it lives.
                rtmp.session().send_ping(sys::now());
            }
            Self::Srt(srt) => srt.receipts().doubt(sys::now()),
        }
    }

    /// Whether the box has lost the address that the connection was made from: it can never go on. With SRT it can, from
    /// another one.
    pub fn is_orphaned(&self) -> bool {
        matches!(self, Self::Rtmp(rtmp) if rtmp.stream().is_orphaned())
    }

    /// To be called each second, with the media bytes of the last one.
    pub fn each_second(&mut self, bytes: u64) {
        if let Self::Rtmp(rtmp) = self {
            rtmp.session().each_second(bytes, sys::now());
        }
    }

    /// Ends the connection properly, after the rest of the media as far as it goes. Takes at most 0.9 s.
    pub async fn finish(self, rest: Queue) {
        match self {
            Self::Rtmp(rtmp) => rtmp.finish(rest).await,
            Self::Srt(srt) => srt.finish(rest).await,
        }
    }

    /// Keeps a connection that has died without a word sent, where the ingest has to be told of its end later.
    pub fn put_aside(self) -> Option<Stream> {
        let Self::Rtmp(rtmp) = self else { return None };
        let stream = rtmp.into_stream();
        stream.put_aside();
        Some(stream)
    }
}
