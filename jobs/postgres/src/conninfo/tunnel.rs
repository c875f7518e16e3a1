//! TLS where the driver's own falls short of libpq.
//!
//! The driver trusts the operating system's authorities besides those of `sslrootcert`, so with
//! `verify-ca` any public certificate would pass for the server's; and it can only verify the
//! name that it dials, not `host` when `hostaddr` says where to. So for these the encrypted
//! connection is made here, and the driver talks to it through a local socket.
//!
//! The socket is an abstract one (unix(7)): it leaves nothing in the file system, which may be
//! read-only. Other processes could connect to it, so a peer with another process id than ours
//! is turned away.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::{Host, Roots, Tls};

/// `SSLRequest` (PostgreSQL's protocol, "Message Formats"): length, and a code in place of a
/// protocol version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Bytes carried at a time: several TLS records.
const BUFFER: usize = 64 << 10;

/// How long the last bytes may take once the driver has said goodbye.
const LINGER: Duration = Duration::from_secs(2);

/// A connection carried through this process. Dropping it cuts it.
pub(crate) struct Tunnel {
    carrier: AbortOnDropHandle<io::Result<()>>,
}

/// Where the driver finds a tunnel: a socket folder and the port in the socket's name.
pub(super) struct Entrance {
    listener: UnixListener,
    /// For the driver's socket option.
    pub folder: String,
}

impl Tunnel {
    /// Makes the encrypted connection to `host`, and an entrance to it.
    ///
    /// # Errors
    /// As the driver has them, so that they are explained alike.
    pub(super) async fn dig(
        host: &Host,
        tls: &Tls,
        roots: &Roots,
        full: bool,
    ) -> Result<(TlsStream<TcpStream>, Entrance), sqlx::Error> {
        let config = config(tls, roots, full)?;
        let name = if host.name.is_empty() {
            host.address.as_deref().unwrap_or_default()
        } else {
            &host.name
        };
        let server_name =
            ServerName::try_from(name.to_owned()).map_err(|e| sqlx::Error::Tls(e.into()))?;

        let target = host.address.as_deref().unwrap_or(&host.name);
        let mut stream = TcpStream::connect((target, host.port)).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&SSL_REQUEST).await?;
        // Exactly one byte: whatever a man in the middle sends after it is no part of what the
        // server says inside TLS.
        match stream.read_u8().await? {
            b'S' => {}
            b'N' => return Err(sqlx::Error::Tls("server does not support TLS".into())),
            _ => {
                return Err(sqlx::Error::Protocol(
                    "unexpected answer to the request for TLS".to_owned(),
                ));
            }
        }
        let stream = TlsConnector::from(Arc::new(config)).connect(server_name, stream).await?;
        Ok((stream, Entrance::open(host.port)?))
    }

    /// Carries bytes between the entrance and the server.
    pub(super) fn carry(stream: TlsStream<TcpStream>, entrance: Entrance) -> Self {
        let carrier = tokio::spawn(async move {
            let mut stream = stream;
            let mut local = entrance.admit().await?;
            // Both ends are closed with this task, which is what the driver gets to see.
            copy_bidirectional_with_sizes(&mut local, &mut stream, BUFFER, BUFFER).await.map(drop)
        });
        Self { carrier: AbortOnDropHandle::new(carrier) }
    }

    /// Why the tunnel broke, where the driver only saw that it did: with TLS 1.3 a server says
    /// what it thinks of a client's certificate after the handshake.
    pub(super) async fn reason(self) -> Option<io::Error> {
        tokio::time::timeout(LINGER, self.carrier).await.ok()?.ok()?.err()
    }

    /// Waits until the driver's goodbye is through.
    pub async fn close(self) {
        // Nothing depends on it.
        drop(tokio::time::timeout(LINGER, self.carrier).await);
    }
}

impl Entrance {
    fn open(port: u16) -> Result<Self, io::Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let folder = format!("\0aidp-backup-{}-{number}", std::process::id());
            // The driver appends the name that a server's socket has.
            match UnixListener::bind(format!("{folder}/.s.PGSQL.{port}")) {
                Ok(listener) => return Ok(Self { listener, folder }),
                // Somebody else's: a process of this number in another container.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Lets the driver in, and nobody else.
    async fn admit(self) -> Result<UnixStream, io::Error> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let peer = stream.peer_cred()?.pid().and_then(|pid| u32::try_from(pid).ok());
            if peer == Some(std::process::id()) {
                return Ok(stream);
            }
        }
    }
}

fn config(tls: &Tls, roots: &Roots, full: bool) -> Result<ClientConfig, sqlx::Error> {
    let failed = |error: rustls::Error| sqlx::Error::Tls(error.into());
    let mut store = RootCertStore::empty();
    match roots {
        Roots::File(file) => {
            for certificate in certificates(file)? {
                store.add(certificate).map_err(failed)?;
            }
        }
        // One odd certificate among the system's is no reason not to use the others.
        Roots::System | Roots::Unchecked => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider))
            .build()
            .map_err(|e| sqlx::Error::Tls(e.into()))?;
    let verifier: Arc<dyn ServerCertVerifier> =
        if full { verifier } else { Arc::new(AnyName { verifier }) };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match &tls.client {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(|e| sqlx::Error::Tls(e.into()))?;
            builder.with_client_auth_cert(certificates(certificate)?, key).map_err(failed)
        }
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, sqlx::Error> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|e| sqlx::Error::Tls(e.into()))
}

/// `verify-ca`: who signed it counts, the name does not.
#[derive(Debug)]
struct AnyName {
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ) {
            // Names are checked last, after the chain and its dates.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
