//! Why a server that took our TLS handshake hung up at once.
//!
//! With TLS 1.3 a client learns only after the handshake that the server does not like its
//! certificate, or wants one. By then HTTP/2 is writing, and often sees a broken pipe before it reads
//! the server's alert. So a connection that broke on its first call is made once more, only to listen.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use temporalio_client::{ConnectionOptions, TlsOptions};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::BoxError;

/// A server that has nothing to say about our certificate says nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// What breaks the connection, if anything does.
pub(super) async fn broken(options: &ConnectionOptions) -> Option<BoxError> {
    let tls = options.tls_options.as_ref()?;
    match tokio::time::timeout(PATIENCE, listen(options, tls)).await {
        Ok(Err(error)) => Some(error),
        Ok(Ok(())) | Err(_) => None,
    }
}

async fn listen(options: &ConnectionOptions, tls: &TlsOptions) -> Result<(), BoxError> {
    let host = options.target.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = options.target.port_or_known_default().unwrap_or_default();
    let name = ServerName::try_from(tls.domain.clone().unwrap_or_else(|| host.clone()))?;
    let connector = TlsConnector::from(Arc::new(config(tls)?));
    let socket = TcpStream::connect((host, port)).await?;
    let mut stream = connector.connect(name, socket).await?;
    match stream.read(&mut [0]).await {
        // Settings of HTTP/2, or an end without a reason.
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn config(tls: &TlsOptions) -> Result<ClientConfig, BoxError> {
    let mut roots = RootCertStore::empty();
    match &tls.server_root_ca_cert {
        Some(pem) => {
            roots.add_parsable_certificates(certificates(pem)?);
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match &tls.client_tls_options {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let key = PrivateKeyDer::from_pem_slice(&client.client_private_key)?;
            builder.with_client_auth_cert(certificates(&client.client_cert)?, key)?
        }
    };
    config.alpn_protocols.push(b"h2".to_vec());
    Ok(config)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BoxError> {
    Ok(CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?)
}
