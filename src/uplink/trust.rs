//! Whose certificates are believed, and at what time they are judged.

use super::Cause;
use crate::{clock::Dated, sys};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    time_provider::TimeProvider,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// When this program was built, seconds since 1970: `SOURCE_DATE_EPOCH` where it was set (reproducible-builds.org).
const BUILD_TIME: &str = env!("FIELDCAST_BUILD_TIME");
/// What rustls may keep of outgoing media; the queue that matters is ours.
const BUFFER: usize = 16 * 1024;

/// The authorities and the clock by which ingests are judged. Made once; keeps TLS sessions for quick reconnects.
pub struct Trust {
    /// None where nobody can be trusted, as on a system without authorities.
    config: Option<Arc<ClientConfig>>,
    /// The same for questions about the date.
    dates: Option<Arc<ClientConfig>>,
    clock: Arc<Clock>,
}

impl Trust {
    /// The system's authorities (or those in the file that `SSL_CERT_FILE` names). Reads files: takes some milliseconds.
    ///
    /// `saved` is the last calendar time that the box saved, since 1970: a box without a clock battery starts in 1970,
    /// where no certificate is valid yet, so certificates are judged at the latest of clock, build time and `saved`. What
    /// that gives away is small: a certificate that has expired since passes until the clock is set.
    pub fn load(saved: Duration) -> Self {
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "certificate authorities");
        }
        Self::in_authorities(native.certs, saved)
    }

    /// Only these authorities.
    pub fn in_authorities(authorities: impl IntoIterator<Item = CertificateDer<'static>>, saved: Duration) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities);
        let empty = roots.is_empty();
        let build = Duration::from_secs(BUILD_TIME.parse().unwrap_or(0));
        let clock = Arc::new(Clock { floor: saved.max(build), learnt: AtomicU64::new(0) });
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = || {
            let builder = ClientConfig::builder_with_details(provider.clone(), clock.clone());
            builder.with_safe_default_protocol_versions().ok().filter(|_| !empty)
        };
        let roots = Arc::new(roots);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone()).build().ok();
        let lenient = builder().zip(verifier).map(|(builder, verifier)| {
            let verifier = Arc::new(FromItsFirstDay(verifier));
            Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
        });
        let config = builder().map(|builder| Arc::new(builder.with_root_certificates(roots).with_no_client_auth()));
        Self { config, dates: lenient, clock }
    }

    /// The same for asking what time it is: a certificate that is not valid yet is judged as of its first day, since it is the
    /// box's calendar that is behind. Name, authority and signature are checked as always.
    pub fn for_dates(&self) -> Self {
        Self { config: self.dates.clone(), dates: None, clock: self.clock.clone() }
    }

    /// From now on certificates are judged by `dated` and no more by the system's clock, or by that again.
    pub fn learn(&self, dated: Option<Dated>) {
        let zero =
            dated.and_then(|dated| u64::try_from(dated.wall.as_second()).ok()?.checked_sub(dated.at.millis() / 1000));
        self.clock.learnt.store(zero.unwrap_or(0), Ordering::Relaxed);
    }

    /// The clock by which certificates are judged, for those who have authorities of their own.
    pub fn clock(&self) -> Arc<dyn TimeProvider> {
        self.clock.clone()
    }

    /// The earliest time that it can be: when this program was built, or the last that was saved.
    pub fn floor(&self) -> Duration {
        self.clock.floor
    }

    /// The same for an HTTP client.
    ///
    /// # Errors
    /// For people: TLS cannot be set up.
    pub fn client_config(&self) -> Result<ClientConfig, String> {
        if let Some(config) = &self.config {
            return Ok(ClientConfig::clone(config));
        }
        // Nobody is trusted; plain HTTP works.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_details(provider, self.clock.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
    }

    /// The TLS handshake with `host` on a connected socket.
    ///
    /// # Errors
    /// [`Cause::Certificate`], [`Cause::Tls`], or [`Cause::Closed`].
    pub async fn handshake(&self, host: &str, tcp: TcpStream) -> Result<TlsStream<TcpStream>, Cause> {
        let config = self.config.clone().ok_or_else(|| Cause::Certificate("authorities are missing".into()))?;
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned()).map_err(|_| Cause::NameNotFound)?;
        let connector = TlsConnector::from(config);
        let connected = connector.connect_with(name, tcp, |tls| tls.set_buffer_limit(Some(BUFFER))).await;
        connected.map_err(|error| cause(&error))
    }
}

/// Judges a certificate whose time has not come yet as if it had.
#[derive(Debug)]
struct FromItsFirstDay(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for FromItsFirstDay {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judge = |at| self.0.verify_server_cert(certificate, intermediates, name, ocsp, at);
        let mut verdict = judge(now);
        // Once for each certificate of a usual chain.
        for _ in 0..4 {
            match verdict {
                Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
                    verdict = judge(not_before.max(now));
                }
                _ => break,
            }
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// The time at which certificates are judged.
#[derive(Debug)]
struct Clock {
    floor: Duration,
    /// Seconds since 1970 at the zero of the monotonic clock, where the calendar was learnt otherwise than from the system's
    /// clock; zero: it was not.
    learnt: AtomicU64,
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let now = match self.learnt.load(Ordering::Relaxed) {
            0 => sys::wall(),
            zero => Duration::from_secs(zero + sys::now().millis() / 1000),
        };
        Some(UnixTime::since_unix_epoch(now.max(self.floor)))
    }
}

fn cause(error: &io::Error) -> Cause {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Cause::Tls,
            _ => Cause::Closed(Some(super::Stage::Tls)),
        };
    };
    certificate(error).map_or(Cause::Tls, |what| Cause::Certificate(what.into()))
}

/// What is wrong with the other side's certificate, where it is that: "the certificate ...".
pub fn certificate(error: &rustls::Error) -> Option<&'static str> {
    let rustls::Error::InvalidCertificate(error) = error else { return None };
    Some(match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not valid yet",
        CertificateError::UnknownIssuer => "is from an unknown authority",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "is for another name",
        CertificateError::Revoked => "was revoked",
        _ => "is not valid",
    })
}
