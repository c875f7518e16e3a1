//! TLS to a real frontend that wants client certificates, and all that can be wrong with it.

mod support;

use std::path::Path;
use std::sync::LazyLock;

use harness::postgres::{Certificates, Tls};
use harness::temporal::Server;
use support::{options, shown};
use temporal::connect::{Connection, Options};
use temporal::{CertificateProblem, Error};
use tokio::sync::RwLock;

const MUTUAL: Tls = Tls { expired: false, required: true, client_certificate: true };

static SERVER: LazyLock<RwLock<(Server, harness::postgres::Server)>> = LazyLock::new(|| {
    let postgres = harness::postgres::Server::start(16).unwrap();
    RwLock::new((Server::options().tls(MUTUAL).start(&postgres).unwrap(), postgres))
});

/// Options that trust the server and show it a certificate.
fn mutual(server: &Server) -> Options {
    let mut options = options(&server.address());
    let certificates = server.certificates().unwrap();
    let mut set = |name: &str, path: &Path| {
        options.environment.insert(name.to_owned(), path.to_str().unwrap().to_owned())
    };
    set("TEMPORAL_TLS_SERVER_CA_CERT_PATH", &certificates.ca);
    set("TEMPORAL_TLS_CLIENT_CERT_PATH", &certificates.client_certificate);
    set("TEMPORAL_TLS_CLIENT_KEY_PATH", &certificates.client_key);
    options
}

async fn refused(options: &Options) -> (CertificateProblem, String) {
    let error = Connection::open(options).await.unwrap_err();
    match &error {
        Error::Certificate { problem, .. } => (*problem, shown(&error)),
        _ => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn client_certificate_opens_the_connection_and_its_lack_is_named() {
    let served = SERVER.read().await;
    let mut options = mutual(&served.0);
    let connection = Connection::open(&options).await.unwrap();
    assert_eq!(connection.namespace("default").await.unwrap().name, "default");
    options.environment.remove("TEMPORAL_TLS_CLIENT_CERT_PATH");
    options.environment.remove("TEMPORAL_TLS_CLIENT_KEY_PATH");
    let (problem, shown) = refused(&options).await;
    assert_eq!(problem, CertificateProblem::ClientCertificateMissing, "{shown}");
    assert!(shown.contains("TEMPORAL_TLS_CLIENT_CERT_PATH"), "{shown}");
    // One of another authority's is not enough.
    let stranger = tempfile::tempdir().unwrap();
    let stranger = Certificates::make(stranger.path(), MUTUAL).unwrap();
    for (name, path) in [("CERT", &stranger.client_certificate), ("KEY", &stranger.client_key)] {
        let name = format!("TEMPORAL_TLS_CLIENT_{name}_PATH");
        options.environment.insert(name, path.to_str().unwrap().to_owned());
    }
    let (problem, shown) = refused(&options).await;
    assert_eq!(problem, CertificateProblem::ClientCertificateRefused, "{shown}");
}

#[tokio::test]
async fn unknown_authority_and_wrong_name_are_told_apart() {
    let served = SERVER.read().await;
    let mut options = mutual(&served.0);
    options.environment.insert("TEMPORAL_TLS_SERVER_NAME".into(), "other.example".into());
    let (problem, shown) = refused(&options).await;
    assert_eq!(problem, CertificateProblem::WrongName, "{shown}");
    assert!(shown.contains("TEMPORAL_TLS_SERVER_NAME"), "{shown}");
    options.environment.remove("TEMPORAL_TLS_SERVER_NAME");
    // The authorities of this machine do not know the server's.
    options.environment.remove("TEMPORAL_TLS_SERVER_CA_CERT_PATH");
    let (problem, shown) = refused(&options).await;
    assert_eq!(problem, CertificateProblem::UnknownIssuer, "{shown}");
    assert!(shown.contains("TEMPORAL_TLS_SERVER_CA_CERT_PATH"), "{shown}");
}

#[tokio::test]
async fn plain_text_to_a_server_with_tls_is_a_connect_error_whose_hint_names_tls() {
    let served = SERVER.read().await;
    let error = Connection::open(&options(&served.0.address())).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(shown(&error).contains("TEMPORAL_TLS=true"), "{}", shown(&error));
}

#[tokio::test]
async fn certificate_that_has_expired_is_named_even_while_connected() {
    let mut served = SERVER.write().await;
    let open = Connection::open(&mutual(&served.0)).await.unwrap();
    served.0.renew_certificates(Tls { expired: true, ..MUTUAL }).unwrap();
    let (problem, shown) = refused(&mutual(&served.0)).await;
    assert_eq!(problem, CertificateProblem::Expired, "{shown}");
    assert!(shown.contains("has expired"), "{shown}");
    // The old connection is gone, and the authority with it: there is no use in waiting.
    let error = open.namespace("default").await.unwrap_err();
    assert!(matches!(error, Error::Certificate { .. }), "{error:?}");
    served.0.renew_certificates(MUTUAL).unwrap();
    Connection::open(&mutual(&served.0)).await.unwrap();
}
