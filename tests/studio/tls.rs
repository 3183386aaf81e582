//! Whom the client believes to be X.

use super::{grant, refused};
use crate::stand_in::Tokens;
use fieldcast::{settings, studio::Studio, uplink::trust::Trust};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    },
};

/// A server with a certificate for `name` that says who `/2/users/me` is; its base URL and its certificate.
async fn server(name: &str) -> (String, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS");
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key.into()).expect("TLS");
    let (acceptor, listener) =
        (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.expect("a listener"));
    let base = format!("https://localhost:{}", listener.local_addr().expect("an address").port());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let body = r#"{"data":{"id":"7","name":"Van","username":"van"}}"#;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (base, certificate)
}

fn open(base: &str, trust: Trust) -> (tempfile::TempDir, Studio) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings::Studio { base_url: Some(base.into()), ..settings::Studio::default() };
    let studio = Studio::open(&settings, folder.path(), Arc::new(trust)).expect("the Studio");
    (folder, studio)
}

fn link() -> serde_json::Value {
    grant(&Tokens { access: "access".into(), refresh: "refresh".into() }, 7200)
}

#[tokio::test]
async fn a_certificate_of_a_known_authority_is_believed_and_no_other() {
    let (base, certificate) = server("localhost").await;
    let (_folder, studio) = open(&base, Trust::in_authorities([certificate], Duration::ZERO));
    let linked = super::done(&studio, "studio-link", link()).await;
    assert_eq!(linked["name"], json!("van"));

    let (_folder, studio) = open(&base, Trust::in_authorities([], Duration::ZERO));
    let (_, text) = refused(&studio, "studio-link", link()).await;
    assert!(text.starts_with("The Studio's certificate is from an unknown authority. Check the clock"), "{text}");

    let (base, certificate) = server("somebody-else").await;
    let (_folder, studio) = open(&base, Trust::in_authorities([certificate], Duration::ZERO));
    let (_, text) = refused(&studio, "studio-link", link()).await;
    assert!(text.starts_with("The Studio's certificate is for another name"), "{text}");
}
