//! TCP, TLS and HTTP/2 to the frontend, as the client's options want them.

use std::error::Error as StdError;
use std::time::Duration;

use temporalio_client::TlsOptions;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::config::Settings;
use crate::error::{BoxError, CertificateProblem, Error};

const CONNECT_LIMIT: Duration = Duration::from_secs(15);

/// HTTP/2 windows. The default of 64 KiB makes a page of 25 MB wait for hundreds of round trips. A
/// page that waits for its share of memory holds one stream's window of the connection's, so the
/// connection's has room for more streams than there are calls.
const STREAM_WINDOW: u32 = 512 << 10;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Connects. A connection that is lost later is made anew by the channel itself.
pub(super) async fn connect(settings: &Settings) -> Result<Channel, Error> {
    let failed = |source: tonic::transport::Error| {
        connect_error(&settings.address, Box::new(source) as BoxError)
    };
    let options = &settings.options;
    let mut endpoint = Endpoint::from_shared(options.target.to_string())
        .map_err(failed)?
        .connect_timeout(CONNECT_LIMIT)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    if let Some(keep_alive) = &options.keep_alive {
        endpoint = endpoint
            .keep_alive_while_idle(true)
            .http2_keep_alive_interval(keep_alive.interval)
            .keep_alive_timeout(keep_alive.timeout);
    }
    if let Some(tls) = &options.tls_options {
        if let Some(domain) = &tls.domain {
            let origin = format!("https://{domain}").parse().map_err(|_| Error::Config {
                what: format!("{domain:?} is no server name"),
                hint: "give a host name as TEMPORAL_TLS_SERVER_NAME".into(),
            })?;
            endpoint = endpoint.origin(origin);
        }
        endpoint = endpoint.tls_config(tls_config(tls)).map_err(failed)?;
    }
    endpoint.connect().await.map_err(failed)
}

fn tls_config(options: &TlsOptions) -> ClientTlsConfig {
    let mut tls = ClientTlsConfig::new();
    tls = match &options.server_root_ca_cert {
        Some(authority) => tls.ca_certificate(Certificate::from_pem(authority)),
        None => tls.with_native_roots(),
    };
    if let Some(domain) = &options.domain {
        tls = tls.domain_name(domain);
    }
    if let Some(client) = &options.client_tls_options {
        tls = tls.identity(Identity::from_pem(&client.client_cert, &client.client_private_key));
    }
    tls
}

/// What a failed connection is: a matter of certificates, or of reaching the server at all.
pub(super) fn connect_error(address: &str, source: BoxError) -> Error {
    let address = address.to_owned();
    match tls_problem(source.as_ref()) {
        Some(problem) => Error::Certificate { address, problem, source },
        None => Error::Connect { address, source },
    }
}

/// What is wrong with TLS, when that is among the causes of an error.
pub(super) fn tls_problem(error: &(dyn StdError + 'static)) -> Option<CertificateProblem> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(problem(found));
        }
        // HTTP/2 keeps only the text of what broke its connection. With TLS 1.3 that is how a
        // client hears that its certificate is not liked: the handshake is over by then.
        if let Some(alert) = error.to_string().strip_prefix("received fatal alert: ") {
            return Some(match alert {
                "CertificateRequired" => CertificateProblem::ClientCertificateMissing,
                "CertificateExpired" => CertificateProblem::ClientCertificateExpired,
                "BadCertificate" | "UnknownCA" | "CertificateUnknown" | "AccessDenied" => {
                    CertificateProblem::ClientCertificateRefused
                }
                _ => CertificateProblem::Other,
            });
        }
        // An I/O error does not name what it wraps as its source.
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn problem(error: &rustls::Error) -> CertificateProblem {
    use rustls::{AlertDescription, CertificateError, Error as TlsError};
    match error {
        TlsError::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                CertificateProblem::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                CertificateProblem::NotYetValid
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                CertificateProblem::UnknownIssuer
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                CertificateProblem::WrongName
            }
            _ => CertificateProblem::Other,
        },
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => {
            CertificateProblem::ClientCertificateMissing
        }
        TlsError::AlertReceived(AlertDescription::CertificateExpired) => {
            CertificateProblem::ClientCertificateExpired
        }
        TlsError::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::AccessDenied,
        ) => CertificateProblem::ClientCertificateRefused,
        _ => CertificateProblem::Other,
    }
}
