//! What terminates TLS in front of an ingest, with a certificate of the test's own authority.

use crate::daemon::free_port;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::{path::PathBuf, sync::Arc};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// Passes RTMPS connections on to an ingest as RTMP.
pub struct TlsFront {
    /// On loopback.
    pub port: u16,
    folder: tempfile::TempDir,
}

impl TlsFront {
    /// Starts one in front of `ingest`, with a certificate for `name`.
    pub fn start(ingest: u16, name: &str) -> Self {
        let mut authority = CertificateParams::new([]).expect("parameters");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().expect("a key");
        let root = authority.self_signed(&authority_key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("authority.pem"), root.pem()).expect("written");

        let key = KeyPair::generate().expect("a key");
        let issuer = Issuer::new(authority, authority_key);
        let leaf = CertificateParams::new([name.to_owned()]).expect("parameters").signed_by(&key, &issuer);
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.expect("a certificate").der().clone()], secret)
            .expect("a server");
        let acceptor = TlsAcceptor::from(Arc::new(config));

        let port = free_port();
        let (bound, is_bound) = std::sync::mpsc::channel();
        let serve = async move {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a listener");
            bound.send(()).expect("the test");
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let Ok(mut server) = tokio::net::TcpStream::connect(("127.0.0.1", ingest)).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        // It serves until the test program ends.
        std::thread::spawn(move || runtime.block_on(serve));
        is_bound.recv().expect("a listener");
        Self { port, folder }
    }

    /// The certificate of the authority, as a file.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }
}
